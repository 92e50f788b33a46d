/*
 * Entry and exit of the 32-bit PAE monitor
 *
 * Everything that enters ring 0 comes in here, with interrupts off and on a
 * stack of the vCPU's own: SYSENTER and, through the IDT, hypercalls by int
 * $0x82 from ring 1, exceptions and interrupts. (The guest's system-call gate
 * may lead straight to ring 1: see set_direct_gate() in idt-32.c.)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "layout.h"
#include "count.h"

#define V(x)    ((x) * 4)
#define AREA_V(x) (VCPU_OFFSET + (x) * 4)

    .macro EX from, to
    .pushsection __ex_table, "a"
    .long \from, \to
    .popsection
    .endm

    /* Header: struct xenpv_image_header */
    .section .header, "a"
    .long XENPV_IMAGE_MAGIC, XENPV_ABI_VERSION, 32, image_size
    .long start, 0
    .long boot_pdpt - XENPV_CORE_VIRT_32 + XENPV_CORE_GPA
    .long patches_start - XENPV_CORE_VIRT_32

    .text
    .code32
start:
    test %ebx, %ebx
    jnz 1f
    mov $boot_stack_end, %esp
    call start_monitor
    /* The other vCPUs wait here until the first one has made their stacks */
1:  pause
    cmpb $0, monitor_started
    je 1b
    mov %cr3, %eax
    mov %eax, %cr3
    shl $VCPU_AREA_SHIFT, %ebx
    lea VCPU_VIRT + STACK_TOP(%ebx), %esp
    call start_secondary

    .macro SAVE_GENERAL
    push %eax
    push %ebp
    push %edi
    push %esi
    push %edx
    push %ecx
    push %ebx
    .endm

    .macro SAVE_REGS
    push %es
    push %ds
    SAVE_GENERAL
    .endm

    .macro RESTORE_GENERAL
    pop %ebx
    pop %ecx
    pop %edx
    pop %esi
    pop %edi
    pop %ebp
    pop %eax
    .endm

    .macro MONITOR_SEGMENTS reg
    mov $MON_DS, %\reg
    mov %\reg, %ds
    mov %\reg, %es
    .endm

    .macro AREA_TO_EBX
    mov %esp, %ebx
    and $-VCPU_AREA_SIZE, %ebx
    .endm

    .align 16
    .globl trap_stubs
trap_stubs:
    vector = 0
    .rept 256
    .align 16
    .if vector >= 32 || !((HAS_ERROR_CODE >> (vector & 31)) & 1)
    push $0
    .endif
    movw $vector, 2(%esp)
    jmp trap_entry
    vector = vector + 1
    .endr

    .align 16
trap_entry:
    cld
    SAVE_REGS
    MONITOR_SEGMENTS eax
    testb $3, V(FRAME_CS)(%esp)
    jz trap_in_monitor
    push %esp
1:  call do_trap
2:  SITE 1b, 2b, counted_trap
trap_done:
    add $4, %esp
    /*
     * esp = struct regs, at the end of the stack, where struct vcpu begins. (C
     * functions do not preserve ebx, esi and edi, see build-monitor.sh.)
     */
ret_to_guest:
    mov V(FRAME_LONGS + V_VCPU_INFO)(%esp), %eax
    movzwl (%eax), %eax         /* upcall_pending, upcall_mask << 8 */
ret_to_guest_checked:
    dec %eax
1:  cmp $0xfe, %eax
2:  SITE 1b, 2b, counted_leave
leave_to_guest:
    jbe 3f
2:  RESTORE_GENERAL
4:  pop %ds
5:  pop %es
    add $4, %esp
6:  iret
    EX 4b, bad_pop_ds
    EX 5b, bad_pop_es
    EX 6b, bad_iret
3:  push %esp
7:  call deliver_events
8:  SITE 7b, 8b, counted_upcall
upcall_done:
    add $4, %esp
    jmp 2b

    /* The guest's DS, ES or CS:EIP cannot be loaded: the failsafe callback */
bad_iret:
    sub $4, %esp
    push %es
    push %ds
    jmp 1f
bad_pop_es:
    push %ds
1:
bad_pop_ds:
    SAVE_GENERAL
    MONITOR_SEGMENTS eax
    push %esp
    call do_bad_iret
    add $4, %esp
    jmp ret_to_guest

    /*
     * A trap on the way in or out may come with the guest's data segments.
     * Loading them again faults if another vCPU has changed their descriptors.
     * There is nobody to tell here: such a segment becomes null.
     */
trap_in_monitor:
    push %esp
    call do_monitor_trap
    add $4, %esp
    RESTORE_GENERAL
pop_ds:
    pop %ds
pop_es:
    pop %es
    add $4, %esp
    iret
null_ds:
    movl $0, (%esp)
    jmp pop_ds
null_es:
    movl $0, (%esp)
    jmp pop_es
    EX pop_ds, null_ds
    EX pop_es, null_es

    /*
     * SYSENTER, with esp = struct vcpu. The CPU has not saved eip and esp: push
     * 0. It keeps NT, with which IRET switches tasks, and TF, which steps us.
     */
    .globl sysenter_entry
    .align 16
sysenter_entry:
    push $USER_SS
    push $0
    pushf
    push $2
    popf
    orl $EFL_IF, (%esp)
    push $3
    push $0
    push $0
    movw $VECTOR_SYSENTER, 2(%esp)
    jmp trap_entry

    /*
     * A hypercall. The registers are saved in the order of the arguments: the
     * stack has struct regs and the argument list in one. So a handler may
     * overwrite the guest's registers, which Xen's ABI allows.
     */
    .globl hypercall_entry
    .align 16
hypercall_entry:
    cld
    push $0
    SAVE_REGS
    MONITOR_SEGMENTS ebp
1:  call dispatch_hypercall
7:  SITE 1b, 7b, counted_hypercall
hypercall_done:
    mov %eax, 6 * 4(%esp)
    mov V(FRAME_LONGS + V_VCPU_INFO)(%esp), %eax
    movzwl (%eax), %eax
    dec %eax
1:  cmp $0xfe, %eax
7:  SITE 1b, 7b, ret_to_guest_counted
    ja 2b
    jmp 3b

    /*
     * HYPERVISOR_iret, which dispatch_hypercall jumps to. On the guest's stack
     * are eax, eip, cs, eflags and, to return to user mode, esp and ss.
     */
    .globl do_iret
    .align 16
do_iret:
    add $4, %esp
    .globl iret_of_multicall
iret_of_multicall:
    cmpb $0, V(FRAME_LONGS + V_IN_NMI)(%esp)
    jne iret_and_more
iret_in_kernel:
    mov V(FRAME_CS + 2)(%esp), %esi
    cmp $XENPV_M2P_VIRT_32 - 24, %esi
    ja bad_iret_stack
1:  mov 12(%esi), %edx
2:  mov 8(%esi), %ecx
3:  mov 4(%esi), %edi
4:  mov (%esi), %eax
    mov %eax, V(6)(%esp)
    mov %edi, V(FRAME_CS - 1)(%esp)
    test $EFL_VM, %edx
    jnz iret_to_vm86
    test $2, %cl
    jnz 7f
    add $16, %esi
    mov %esi, V(FRAME_CS + 2)(%esp)
    or $1, %ecx                 /* never ring 0 */
5:  mov %ecx, V(FRAME_CS)(%esp)
    mov V(FRAME_LONGS + V_VCPU_INFO)(%esp), %eax
    bt $9, %edx
    setnc 1(%eax)               /* the new upcall mask: !IF */
    and $~EFL_IOPL, %edx
    or $EFL_IF | 2, %edx
    mov %edx, V(FRAME_CS + 1)(%esp)
    movzwl (%eax), %eax
    jmp ret_to_guest_checked
    /* to user mode: the stack, too */
7:  mov 16(%esi), %eax
8:  mov 20(%esi), %edi
    mov %eax, V(FRAME_CS + 2)(%esp)
    mov %edi, V(FRAME_CS + 3)(%esp)
    jmp 5b
    .irp l, 1b, 2b, 3b, 4b, 7b, 8b
    EX \l, bad_iret_stack
    .endr

iret_and_more:
    call end_nmi
    jmp iret_in_kernel

    /*
     * There is no VM86 mode, as under a 64-bit Xen. A null CS with RPL 3 makes
     * our IRET fault, which calls the kernel's failsafe callback.
     */
iret_to_vm86:
    mov $3, %ecx
    and $~EFL_VM, %edx
    jmp 7b

bad_iret_stack:
    push $bad_iret_stack_text
    push $0
    call domain_crash

    /* enter_guest(regs): load the guest's state, from C */
    .globl enter_guest
enter_guest:
    mov 4(%esp), %esi
    AREA_TO_EBX
    /* Move regs to the end of the stack, from the top: the two may overlap */
    add $V(FRAME_LONGS - 1), %esi
    lea STACK_TOP - V(1)(%ebx), %edi
    lea STACK_TOP - V(FRAME_LONGS)(%ebx), %esp
    mov $FRAME_LONGS, %ecx
    std
    rep movsl
    cld
    jmp ret_to_guest

    /* run_first_on(stack), start_vcpu_on(stack) */
    .macro RUN_ON function
    .globl \function\()_on
\function\()_on:
    mov 4(%esp), %esp
    xor %ebp, %ebp
    call \function
    ud2
    .endm
    RUN_ON run_first
    RUN_ON start_vcpu

    /* Where the double-fault task starts */
    .globl double_fault_task
double_fault_task:
    push $double_fault_text
    push $0
    call monitor_crash

    /*
     * Where the sites lead while the machine counts: see count.h and count.c. C
     * functions do not preserve ebx, esi, edi and their arguments.
     */
counted_trap:
    call count_trap
    add $4, %esp
    push %esp
    call do_trap
    jmp trap_done
ret_to_guest_counted:
    inc %eax
    jmp ret_to_guest_checked
counted_leave:
    CALL_FROM_ASM count_leave
    cmp $0xfe, %eax
    jmp leave_to_guest
counted_upcall:
    call count_upcall
    call deliver_events
    jmp upcall_done
counted_hypercall:
    CALL_FROM_ASM count_hypercall
    call dispatch_hypercall
    jmp hypercall_done

    .section .rodata
double_fault_text:
    .asciz "double fault"
bad_iret_stack_text:
    .asciz "HYPERVISOR_iret: the guest's stack is not readable"

    /* The page tables the monitor starts with */
    .section .data
    .globl monitor_started
monitor_started:
    .byte 0
    .align 4096
    .globl boot_hv_l2
boot_hv_l2:
    .fill 444, 8, 0
    .quad XENPV_CORE_GPA + 0x000083
    .quad XENPV_CORE_GPA + 0x200083
    .quad XENPV_CORE_GPA + 0x400083
    .quad XENPV_CORE_GPA + 0x600083
    .fill 512 - 448, 8, 0
    .align 32
boot_pdpt:
    .quad 0, 0, 0
    .long boot_hv_l2 - XENPV_CORE_VIRT_32 + XENPV_CORE_GPA + 1, 0

    .section .bss
    .align 16
    .skip 8192
boot_stack_end:
    .section .note.GNU-stack, "", @progbits
