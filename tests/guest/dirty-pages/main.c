/*
 * What a kernel writes while it is migrated is in its memory later, too.
 *
 * An emulator that lets a write go by, while it takes down which pages are still to
 * be sent, loses what was written there. By itself this does no more than write.
 * With "hold=1" on the command line it takes part in migration/dirty-pages of
 * tests/functional, which stops the emulator's CPU in the middle of an access to a
 * page that the TLB has just forgotten: it notices that time has gone by, writes to
 * this page for a second more, and then looks whether it keeps what was written.
 *
 * memory: 64M
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define SECOND      1000000000ULL

/* The page is sent first, and then what takes a while */
static volatile struct {
    ulong n;
    uint8_t rest[PAGE_SIZE - sizeof(ulong)];
    uint32_t others[4096][PAGE_SIZE / 4];
} memory __attribute__((aligned(4096)));

/* Until an access has taken a second */
static void be_held(void)
{
    uint64_t before;

    for (unsigned i = 0;; i++) {
        memory.others[i % ARRAY_SIZE(memory.others)][0] = i;
        mmuext_op(MMUEXT_INVLPG_LOCAL, (ulong)&memory, 0);
        before = system_time();
        memory.n++;
        if (system_time() - before > SECOND) {
            return;
        }
    }
}

void test_main(void)
{
    bool hold = option_number("hold", 0);
    uint64_t until;
    ulong n;

    printk("begin\n");
    if (hold) {
        be_held();
        printk("held\n");
    }
    until = system_time() + (hold ? SECOND : SECOND / 10);
    for (n = memory.n; system_time() < until; n++) {
        memory.n = n + 1;
    }
    printk("written\n");
    /* Said now and then, so that a reader knows that it runs */
    for (unsigned seconds = 0; memory.n == n && seconds < (hold ? 60 : 1);) {
        if (system_time() > until) {
            until += SECOND;
            seconds++;
            printk("kept\n");
        }
    }
    check_eq(memory.n, n, "writes to a page");
}
