/*
 * What C cannot say: the ELF notes, the entry point, the stubs of traps and
 * callbacks, and the catching of exceptions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "xen.h"

#ifdef __x86_64__
#define WORD    .quad
#else
#define WORD    .long
#endif

    .macro NOTE type, desc:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  \desc
2:  .balign 4
    .popsection
    .endm

    NOTE 6, .asciz "xenpv-kvm test"     /* GUEST_OS */
    NOTE 8, .asciz "generic"            /* LOADER */
    NOTE 5, .asciz "xen-3.0"            /* XEN_VERSION */
    NOTE 3, WORD VIRT_BASE              /* VIRT_BASE */
    NOTE 1, WORD _start                 /* ENTRY */
    NOTE 2, WORD hypercall_page         /* HYPERCALL_PAGE */
    NOTE 9, .asciz "yes"                /* PAE_MODE */
    NOTE 10, .asciz "!writable_page_tables|pae_pgdir_above_4gb" /* FEATURES */
    NOTE 11, .asciz "no"                /* BSD_SYMTAB */

/*
 * Entry: everything the builder and the hypervisor put into registers is kept
 * for the tests, in the order of struct entry_state.
 */
    .section .head.text, "ax"
    .globl _start
_start:
#ifdef __x86_64__
    mov %rax, entry_state
    mov %rbx, entry_state + 8
    mov %rcx, entry_state + 16
    mov %rdx, entry_state + 24
    mov %rsi, entry_state + 32
    mov %rdi, entry_state + 40
    mov %rbp, entry_state + 48
    mov %rsp, entry_state + 56
    mov %r8, entry_state + 64
    mov %r9, entry_state + 72
    mov %r10, entry_state + 80
    mov %r11, entry_state + 88
    mov %r12, entry_state + 96
    mov %r13, entry_state + 104
    mov %r14, entry_state + 112
    mov %r15, entry_state + 120
    mov $boot_stack_end, %rsp
    pushfq
    popq entry_state + 128
    lea entry_state + 136, %rdi
    mov %cs, (%rdi)
    mov %ss, 2(%rdi)
    mov %ds, 4(%rdi)
    mov %es, 6(%rdi)
    mov %fs, 8(%rdi)
    mov %gs, 10(%rdi)
    cld
    mov %rsi, %rdi
    xor %ebp, %ebp
    call harness_main
#else
    mov %eax, entry_state
    mov %ebx, entry_state + 4
    mov %ecx, entry_state + 8
    mov %edx, entry_state + 12
    mov %esi, entry_state + 16
    mov %edi, entry_state + 20
    mov %ebp, entry_state + 24
    mov %esp, entry_state + 28
    mov $boot_stack_end, %esp
    pushfl
    popl entry_state + 32
    lea entry_state + 36, %edi
    mov %cs, (%edi)
    mov %ss, 2(%edi)
    mov %ds, 4(%edi)
    mov %es, 6(%edi)
    mov %fs, 8(%edi)
    mov %gs, 10(%edi)
    cld
    push %esi
    xor %ebp, %ebp
    call harness_main
#endif
    ud2

    .text
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .fill 4096, 1, 0xcc

/*
 * Traps and callbacks. Each stub pushes its vector onto what the hypervisor
 * has pushed; do_trap() replaces that by the address of the frame to return
 * through (struct trap_state).
 */
    .balign 16
    .globl trap_stubs
trap_stubs:
    vector = 0
    .rept NR_STUBS
    .balign 16
    push $vector
    jmp trap_common
    vector = vector + 1
    .endr

#ifdef __x86_64__
trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    call do_trap
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    pop %rsp
    push $0
    jmp hypercall_page + __HYPERVISOR_iret * 32

/* void enter_user(const struct iret_frame *frame, ulong arg1, ulong arg2) */
    .globl enter_user
enter_user:
    push 32(%rdi)
    push 24(%rdi)
    push 16(%rdi)
    push 8(%rdi)
    push (%rdi)
    mov %rsi, %rdi
    mov %rdx, %rsi
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    push $0
    jmp hypercall_page + __HYPERVISOR_iret * 32

/* bool catch_call(void (*fn)(void *), void *arg) */
    .globl catch_call
catch_call:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push catch_sp
    mov %rsp, catch_sp
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    xor %eax, %eax
1:  pop catch_sp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
/* void catch_throw(void): return true from the innermost catch_call() */
    .globl catch_throw
catch_throw:
    mov catch_sp, %rsp
    mov $1, %eax
    jmp 1b
#else
trap_common:
    push %ds
    push %es
    pusha
    cld
    mov $FLAT_KERNEL_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    push %esp
    call do_trap
    pop %eax
    popa
    pop %es
    pop %ds
    pop %esp
    jmp hypercall_page + __HYPERVISOR_iret * 32

    .globl enter_user
enter_user:
    mov 4(%esp), %edx
    push 16(%edx)
    push 12(%edx)
    push 8(%edx)
    push 4(%edx)
    push (%edx)
    mov $FLAT_USER_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    jmp hypercall_page + __HYPERVISOR_iret * 32

    .globl catch_call
catch_call:
    mov 4(%esp), %eax
    mov 8(%esp), %edx
    push %ebx
    push %ebp
    push %esi
    push %edi
    push catch_sp
    mov %esp, catch_sp
    push %edx
    call *%eax
    pop %edx
    xor %eax, %eax
1:  pop catch_sp
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret
    .globl catch_throw
catch_throw:
    mov catch_sp, %esp
    mov $1, %eax
    jmp 1b
#endif

/* Where a user function returns to */
    .section .user.text, "ax"
    .globl user_return
user_return:
    int $0x81
    ud2

    .bss
    .balign 4096
    .space 16384
    .globl boot_stack_end
boot_stack_end:
