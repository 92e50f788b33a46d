/*
 * Hypercall dispatch: from a number to its handler, by direct jumps alone
 *
 * A program can train the CPU to mispredict an indirect branch of ring 0, so
 * that it runs other code speculatively with our rights (Spectre v2). As in
 * Xen there is no table of functions: comparisons lead to the handler, first
 * for frequent hypercalls, then for the rest, in halves. entry-*.S and
 * multicall call this.
 *
 * The handlers: mmu.c has mmu_update, mmuext_op and update_va_mapping; memory.c
 * memory_op; callbacks.c set_trap_table, set_callbacks, callback_op and nmi_op;
 * segments*.c set_gdt, update_descriptor, stack_switch, set_segment_base and
 * fpu_taskswitch; debug.c set_debugreg and get_debugreg;
 * events.c event_channel_op; grants.c grant_table_op; time.c set_timer_op and
 * sched_op; vcpu.c vcpu_op; port_io.c physdev_op; entry-*.S iret;
 * table_writes.c vm_assist; hypercalls.c multicall, xen_version and console_io.
 * Hypercalls without a handler go to refused.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include "hw/xen/interface/xen.h"
#include "layout.h"
#include "count.h"

#ifdef __x86_64__
#define NR  %rax
#else
#define NR  %eax
#endif

#define IS(name)    cmp $__HYPERVISOR_##name, NR; je do_##name

    /*
     * Called with the number in rax or eax, and the arguments where a C
     * function expects them. Jumps to the handler, which returns to the caller
     * of this; only do_iret (32-bit) does not return.
     */
    .text
    .globl dispatch_hypercall
    .align 16
dispatch_hypercall:
    IS(mmu_update)
    IS(mmuext_op)
#ifdef __x86_64__
    IS(set_segment_base)
    IS(xen_version)
    IS(event_channel_op)
#else
    IS(event_channel_op)
    IS(xen_version)
#endif
#ifdef __x86_64__
    cmp $__HYPERVISOR_xen_version, NR
#endif
    ja .Labove_17

    /* 0 to 16 */
    IS(update_va_mapping)
    IS(stack_switch)
    IS(multicall)
    IS(fpu_taskswitch)
    cmp $__HYPERVISOR_platform_op, NR
    ja .Labove_7
    IS(set_trap_table)
    IS(set_gdt)
    IS(set_callbacks)
    IS(sched_op_compat)
    jmp .Lrefused
.Labove_7:
    IS(update_descriptor)
    IS(memory_op)
    IS(set_timer_op)
    IS(set_debugreg)
    IS(get_debugreg)
    IS(event_channel_op_compat)
    jmp .Lrefused

.Labove_17:
#ifndef __x86_64__
    IS(iret)                    /* entry-64.S looks for it itself */
#endif
    IS(sched_op)
    cmp $__HYPERVISOR_vcpu_op, NR
    ja .Labove_24
    IS(vcpu_op)
    IS(grant_table_op)
    IS(console_io)
    IS(physdev_op_compat)
    IS(vm_assist)
    IS(update_va_mapping_otherdomain)
    jmp .Lrefused
.Labove_24:
    IS(physdev_op)
    IS(callback_op)
    IS(nmi_op)

.Lrefused:
#ifdef __x86_64__
    mov %rdi, %rsi
    mov %rax, %rdi
#endif
    jmp refused_hypercall

    /* long call_hypercall(ulong a1, ..., ulong a5, ulong nr) */
    .globl call_hypercall
    .align 16
call_hypercall:
#ifdef __x86_64__
    mov %r9, %rax
#else
    mov 24(%esp), %eax
#endif
    /* jmp, always with a 32-bit distance */
1:  .byte 0xe9
    .long dispatch_hypercall - . - 4
2:  SITE 1b, 2b, counted_call

counted_call:
    CALL_FROM_ASM count_nested
    jmp dispatch_hypercall

    .section .note.GNU-stack, "", @progbits
