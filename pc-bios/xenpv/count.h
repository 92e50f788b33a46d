/*
 * Where something is counted, at no cost while nobody asks for it
 *
 * Included by assembly. A site is one instruction of 5 bytes or more. When the
 * machine is told to count, it puts a jump in its place, while no vCPU runs:
 * the table at the header's .patches has each site and its jump. The code there
 * counts, does what the instruction does, and goes on behind it; or it is the
 * way by which C does everything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_COUNT_H
#define XENPV_COUNT_H

    /* struct xenpv_patch: the instruction between from and end */
    .macro SITE from, end, to
    .if \end - \from < 5
    .error "there is no room for a jump"
    .endif
    .pushsection .patches, "a"
    .long \from - CORE_VIRT
    .byte 0xe9
    .long \to - \from - 5
    .byte 0, 0, 0
    .popsection
    .endm

    /*
     * Call a C function with eax as its argument. Keeps eax, and in 64-bit code
     * all registers; in 32-bit code the guest's are on the stack.
     */
    .macro CALL_FROM_ASM function
#ifdef __x86_64__
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov %eax, %edi
    call \function
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
#else
    push %eax
    push %eax
    call \function
    add $4, %esp
    pop %eax
#endif
    .endm

#endif
