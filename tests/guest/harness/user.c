/*
 * User mode: ring 3, and on 64-bit a top-level table of its own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

extern char user_start[], user_end[], user_return[];
extern void enter_user(const struct iret_frame *frame, ulong arg1, ulong arg2);

char user_data[PAGE_SIZE] __attribute__((aligned(4096)));
static char user_stack[PAGE_SIZE] __attribute__((aligned(4096)));
/* Where traps from user mode put their frames */
static char kernel_stack[8192] __attribute__((aligned(4096)));

ulong user_address(const void *p)
{
    return (ulong)p - (ulong)user_start + USER_BASE;
}

void user_init(void)
{
    static bool done;
    long ret;

    if (done) {
        return;
    }
    done = true;
    for (char *p = user_start; p < user_end; p += PAGE_SIZE) {
        map_page(user_address(p),
                 make_pte(virt_to_mfn(p), PAGE_USER & ~_PAGE_RW));
    }
    map_page(USER_STACK - PAGE_SIZE,
             make_pte(virt_to_mfn(user_stack), PAGE_USER));
    map_page(USER_DATA, make_pte(virt_to_mfn(user_data), PAGE_USER));

#ifdef __x86_64__
    {
        uint64_t *l4 = alloc_page();

        l4[0] = *pte_of(USER_BASE, 4);
        make_readonly(l4);
        ret = mmuext_op(MMUEXT_PIN_L4_TABLE, virt_to_mfn(l4), 0);
        if (ret) {
            error("pinning the user L4 returned %ld", ret);
        }
        ret = mmuext_op(MMUEXT_NEW_USER_BASEPTR, virt_to_mfn(l4), 0);
        if (ret) {
            error("MMUEXT_NEW_USER_BASEPTR returned %ld", ret);
        }
    }
#endif
    ret = HYPERCALL(stack_switch, FLAT_KERNEL_SS,
                    kernel_stack + sizeof(kernel_stack));
    if (ret) {
        error("stack_switch returned %ld", ret);
    }
}

struct user_call {
    struct iret_frame frame;
    ulong arg1, arg2;
};

static void enter(void *arg)
{
    struct user_call *call = arg;

    enter_user(&call->frame, call->arg1, call->arg2);
}

bool call_user(user_fn *fn, ulong arg1, ulong arg2, ulong *result,
               struct trap *trap)
{
    struct user_call call = {
        .frame = {
            user_address(fn), FLAT_USER_CS, X86_EFLAGS_IF, 0, FLAT_USER_SS
        },
        .arg1 = arg1,
        .arg2 = arg2,
    };
    ulong *stack = (ulong *)(user_stack + sizeof(user_stack));

    user_init();
    *--stack = 0;
#ifndef __x86_64__
    *--stack = arg2;
    *--stack = arg1;
#endif
    *--stack = user_address(user_return);
    call.frame.sp = USER_STACK - ((ulong)user_stack + sizeof(user_stack) -
                                  (ulong)stack);
    if (!vcpu_info()->evtchn_upcall_mask) {
        call.frame.flags |= X86_EFLAGS_IF;
    } else {
        call.frame.flags &= ~X86_EFLAGS_IF;
    }

    catch_exception(trap, enter, &call);
    if (trap->vector == 0x81 && trap->from_user &&
        trap->ip == user_address(user_return) + 2) {
        if (result) {
            *result = trap->regs->ax;
        }
        return false;
    }
    return true;
}
