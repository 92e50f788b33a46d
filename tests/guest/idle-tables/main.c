/*
 * A vCPU that is idle, or has not started yet, does not keep another from changing
 * the page tables that it uses; and whatever becomes of the old ones, it goes on
 * with the new ones.
 *
 * It is not disturbed for a flush, which it makes up for when it wakes up. But with
 * 32-bit guests the CPU has a copy of the top-level table, and in the table for the
 * last GiB is the hypervisor itself: if that has become a page of data meanwhile,
 * there is nothing left to wake up with.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define ROUNDS      4
#define WAIT_NS     20000000000ULL
#define KERNEL_VA   VIRT_BASE

static uint8_t stack[4 * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
static struct vcpu_guest_context context;
static volatile unsigned asked, done;
static volatile uint8_t seen;
static evtchn_port_t port;              /* what vCPU 1 waits for */

static void __attribute__((noreturn, used)) secondary(void)
{
    for (;;) {
        struct sched_poll p = { &port, 1, 0 };

        while (done == asked) {
            barrier();
        }
        HYPERCALL(sched_op, SCHEDOP_poll, &p);
        seen = *(volatile uint8_t *)TEST_VA;
        barrier();
        done++;
    }
}

#define wait_until(cond, what) \
    do { \
        uint64_t end_ = system_time() + WAIT_NS; \
        while (!(cond)) { \
            if (system_time() > end_) { \
                error("vCPU 1 " what); \
            } \
        } \
    } while (0)

static int state_of_other(void)
{
    struct vcpu_runstate_info info = { .state = -1 };

    HYPERCALL(vcpu_op, VCPUOP_get_runstate_info, 1, &info);
    return info.state;
}

/*
 * A copy of the level-2 table that has the kernel takes its place, and the old
 * one becomes data. On 64-bit this is the table below it, of the test's page.
 */
static void replace_table(void)
{
    static const unsigned level = IS_64BIT ? 1 : 2;
    static const ulong va = IS_64BIT ? TEST_VA : KERNEL_VA;
    static uint64_t *spare;
    uint64_t *old = (uint64_t *)((ulong)pte_of(va, level) & ~4095UL);

    if (!spare) {
        spare = alloc_page();
    }
    memcpy(spare, old, PAGE_SIZE);
    make_readonly(spare);
    check_ret(mmu_update(pte_maddr(va, level + 1),
                         make_pte(virt_to_mfn(spare),
                                  IS_64BIT ? PAGE_TABLE : _PAGE_PRESENT)), 0,
              "another table in the place of the old one");
    if (IS_64BIT) {
        /* Which a change of 32-bit guests' top level does by itself */
        check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0, "TLB_FLUSH_ALL");
    }
    make_writable(old);
    memset(old, 0xff, PAGE_SIZE);
    spare = old;
}

static void change_page(unsigned i)
{
    check_ret(update_va_mapping(TEST_VA, make_pte(virt_to_mfn(pages[i & 1]),
                                                  PAGE_KERNEL),
                                UVMF_INVLPG | UVMF_ALL), 0,
              "update_va_mapping, on all vCPUs");
}

void test_main(void)
{
    struct evtchn_bind_ipi op = { .vcpu = 1 };

    if (is_initdomain() && !IS_64BIT) {
        skip("with Xen the table that has the hypervisor cannot be replaced");
        return;
    }
    memset(pages[0], 'A', PAGE_SIZE);
    memset(pages[1], 'B', PAGE_SIZE);
    make_tables(TEST_VA, 1);
    change_page(0);
    kernel_context(&context, (ulong)secondary, (ulong)stack + sizeof(stack) - 8);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_initialise, 1, &context), 0,
              "VCPUOP_initialise");
    replace_table();
    check_ret(HYPERCALL(vcpu_op, VCPUOP_up, 1, 0), 0, "VCPUOP_up");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op), 0,
              "EVTCHNOP_bind_ipi");
    port = op.port;
    mask_port(port);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        clear_port(port);
        asked++;
        wait_until(state_of_other() == RUNSTATE_blocked, "does not wait");
        change_page(i);
        replace_table();
        check_ret(send_event(port), 0, "EVTCHNOP_send");
        wait_until(done == asked, "does not wake up");
        check_eq(seen, i & 1 ? 'B' : 'A', "what vCPU 1 sees where it wakes up");
    }
}
