/*
 * The second vCPU: bringing it up, and races with it
 *
 * A race is rounds in which both vCPUs begin together, so that in the end every order
 * of things has happened, on a busy machine too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static struct vcpu_guest_context context;
static uint8_t stack[4 * PAGE_SIZE] __attribute__((aligned(4096)));

static side_fn *volatile other_side;
static volatile unsigned started, done;
volatile unsigned race_round;
volatile bool racing;

void start_second(void (*fn)(void))
{
    kernel_context(&context, (ulong)fn, (ulong)stack + sizeof(stack) - 8);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_initialise, 1, &context), 0,
              "VCPUOP_initialise");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_up, 1, NULL), 0, "VCPUOP_up");
}

bool is_of_second(const struct trap *trap)
{
    return trap->frame_address - (ulong)stack < sizeof(stack);
}

/* No PAUSE: with TCG it costs more than what is waited for */
#define wait_until(cond) \
    do { \
        barrier(); \
    } while (!(cond))

static void take_part(void)
{
    HYPERCALL(fpu_taskswitch, 0);
    asm volatile("fninit");
    for (;;) {
        wait_until(started != race_round);
        started = race_round;
        other_side();
        barrier();
        done = started;
    }
}

void start_races(void)
{
    start_second(take_part);
}

unsigned race(unsigned rounds, uint64_t ns, side_fn *before, side_fn *ours,
              side_fn *theirs, side_fn *after)
{
    const uint64_t end = system_time() + ns;
    const bool had_failed = failed();
    unsigned i;

    other_side = theirs;
    for (i = 0; i < rounds && system_time() < end && failed() == had_failed; i++) {
        before();
        racing = true;
        barrier();
        race_round++;
        wait_until(started == race_round);
        ours();
        barrier();
        racing = false;
        wait_until(done == race_round);
        after();
    }
    return i;
}
