/*
 * The second vCPU, and a third: bringing them up, and races with the second
 *
 * A race is rounds in which both vCPUs begin together, so that in the end every order
 * of things has happened, on a busy machine too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define STACK_SIZE  (4 * PAGE_SIZE)
static struct vcpu_guest_context context;
static uint8_t stacks[2][STACK_SIZE] __attribute__((aligned(4096)));

static side_fn *volatile other_side;
static volatile unsigned started, done;
volatile unsigned race_round;
volatile bool racing;

static void start(unsigned cpu, void (*fn)(void))
{
    kernel_context(&context, (ulong)fn, (ulong)stacks[cpu - 1] + STACK_SIZE - 8);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_initialise, cpu, &context), 0,
              "VCPUOP_initialise of vCPU %u", cpu);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_up, cpu, NULL), 0, "VCPUOP_up of vCPU %u",
              cpu);
}

void start_second(void (*fn)(void))
{
    start(1, fn);
}

void start_third(void (*fn)(void))
{
    start(2, fn);
}

bool is_of_second(const struct trap *trap)
{
    return trap->frame_address - (ulong)stacks[0] < STACK_SIZE;
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
