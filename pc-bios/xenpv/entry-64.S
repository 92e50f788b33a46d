/*
 * Entry and exit of the 64-bit monitor
 *
 * Everything that enters ring 0 comes in here, with interrupts off: SYSCALL,
 * from the guest kernel (a hypercall) or from user mode, SYSENTER, exceptions
 * and interrupts. Each vCPU has its own stacks. While C code runs, CR3 and GS
 * are the guest kernel's; V_MODE is the mode that the guest will go on in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "layout.h"
#include "count.h"

#define HYPERCALL_IRET  23
#define V(x)    ((x) * 8)
#define AREA_V(x) (VCPU_OFFSET + (x) * 8)

    .macro EX from, to
    .pushsection __ex_table, "a"
    .quad \from, \to
    .popsection
    .endm

    /* Header: struct xenpv_image_header */
    .section .header, "a"
    .long XENPV_IMAGE_MAGIC, XENPV_ABI_VERSION, 64, image_size
    .quad start
    .long boot_l4 - XENPV_CORE_VIRT_64 + XENPV_CORE_GPA
    .long patches_start - XENPV_CORE_VIRT_64

    .text
    .code64
start:
    test %ebx, %ebx
    jnz 1f
    lea boot_stack_end(%rip), %rsp
    call start_monitor
    /* The other vCPUs wait here until the first one has made their stacks */
1:  pause
    cmpb $0, monitor_started(%rip)
    je 1b
    mov %cr3, %rax
    mov %rax, %cr3
    shl $VCPU_AREA_SHIFT, %rbx
    movabs $VCPU_VIRT + STACK_TOP, %rsp
    add %rbx, %rsp
    call start_secondary

    .macro SAVE_REGS
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

    .macro RESTORE_REGS
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $8, %rsp
    .endm

    /* The argument registers of a hypercall, which it preserves */
    .macro SAVE_ARGUMENTS
    push %rdi
    push %rsi
    push %rdx
    push %r10
    push %r8
    push %r9
    .endm

    .macro RESTORE_ARGUMENTS
    pop %r9
    pop %r8
    pop %r10
    pop %rdx
    pop %rsi
    pop %rdi
    .endm

    /*
     * Switch CR3 between the guest's modes, unless they have the same. to,
     * other: V_KERNEL_CR3 and V_USER_CR3, or the reverse. v: the offset of
     * struct vcpu from the register reg. Clobbers rax.
     */
    .macro CHANGE_CR3 to, other, v, reg
    mov \v + V(\to)(\reg), %rax
    cmp %rax, \v + V(\other)(\reg)
    je .Lsame\@
    mov %rax, %cr3
.Lsame\@:
    .endm
    .macro KERNEL_CR3 v, reg
    CHANGE_CR3 V_KERNEL_CR3, V_USER_CR3, \v, \reg
    .endm
    .macro USER_CR3 v, reg
    CHANGE_CR3 V_USER_CR3, V_KERNEL_CR3, \v, \reg
    .endm

    /* rbx = the vCPU's area; the guest's rbx must have been saved */
    .macro AREA_TO_RBX
    mov %rsp, %rbx
    and $-VCPU_AREA_SIZE, %rbx
    .endm

    /* One entry stub per vector, 16 bytes each */
    .align 16
    .globl trap_stubs
trap_stubs:
    vector = 0
    .rept 256
    .align 16
    .if vector >= 32 || !((HAS_ERROR_CODE >> (vector & 31)) & 1)
    push $0
    .endif
    movl $vector, 4(%rsp)
    .if vector == 1
    jmp debug_entry
    .elseif vector == 2
    jmp nmi_entry
    .elseif vector == 3 || vector == 0x80
    jmp fast_trap
    .elseif vector == 6
    jmp fast_undefined
    .elseif vector == 8
    jmp double_fault_entry
    .elseif vector == 13
    jmp fast_protection
    .elseif vector == 14
    jmp fast_page_fault
    .else
    jmp trap_entry
    .endif
    vector = vector + 1
    .endr

    .align 16
trap_entry:
    cld
    SAVE_REGS
    testb $3, V(FRAME_CS)(%rsp)
    jz trap_in_monitor
    AREA_TO_RBX
from_guest:
    cmpb $0, AREA_V(V_MODE)(%rbx)
    je from_user
    testb $2, V(FRAME_CS)(%rsp)
    jnz kernel_in_ring3
1:  mov %rsp, %rdi
2:  call do_trap
3:  SITE 2b, 3b, counted_trap
ret_to_guest:
    mov AREA_V(V_VCPU_INFO)(%rbx), %rax
    movzwl (%rax), %eax         /* upcall_pending, upcall_mask << 8 */
    dec %eax
    cmp $0xfe, %eax
    jbe upcall
2:  cmpb $0, AREA_V(V_MODE)(%rbx)
3:  SITE 2b, 3b, counted_leave
leave_to_guest:
    je ret_to_user
    RESTORE_REGS
iret_to_kernel:
    iretq
    EX iret_to_kernel, bad_iret
upcall:
    mov %rsp, %rdi
3:  call deliver_events
4:  SITE 3b, 4b, counted_upcall
after_upcall:
    jmp 2b

from_user:
    swapgs
    KERNEL_CR3 AREA_V(0), %rbx
    jmp 1b

    /*
     * The guest kernel has returned to itself by IRET with RPL 3, as Xen's ABI
     * allows. It has run in ring 3 since; this trap takes it back to ring 1.
     */
kernel_in_ring3:
    movq $RING1_CS, V(FRAME_CS)(%rsp)
    movq $RING1_SS, V(FRAME_CS + 3)(%rsp)
    mov %rsp, %rdi
1:  call kernel_trap_in_ring3
2:  SITE 1b, 2b, counted_trap_in_ring3
    jmp ret_to_guest

ret_to_user:
    swapgs
    USER_CR3 AREA_V(0), %rbx
    RESTORE_REGS
iret_to_user:
    iretq
    EX iret_to_user, bad_iret

    /* IRET faulted: the CPU cannot load the state that the guest returns to */
bad_iret:
    push $0
    SAVE_REGS
    AREA_TO_RBX
    cmpb $0, AREA_V(V_MODE)(%rbx)
    jne 1f
    swapgs
    KERNEL_CR3 AREA_V(0), %rbx
1:  mov %rsp, %rdi
    call do_bad_iret
    jmp ret_to_guest

trap_in_monitor:
    mov %rsp, %rdi
    call do_monitor_trap
    RESTORE_REGS
    iretq

    /*
     * Traps that the monitor only passes on to the guest kernel. Instead of C,
     * this code writes the frame that bounce() in bounce.c would write. A trap
     * that needs more goes to trap_entry with all registers restored
     * (fast_is_unusual). On the stack are 3 registers, the error code and the
     * vector, and the CPU's frame; rdx = the vCPU's area.
     */
    .set T_ERROR, 3 * 8
    .set T_VECTOR, 3 * 8 + 4
    .set T_IP, 4 * 8
    .set T_CS, 5 * 8
    .set T_FLAGS, 6 * 8
    .set T_SP, 7 * 8
    .set T_SS, 8 * 8

    .macro FAST_SAVE
    push %rax
    push %rcx
    push %rdx
.Lsite\@:
    testb $3, T_CS(%rsp)
.Lend\@:
    SITE .Lsite\@, .Lend\@, fast_is_unusual
    jz fast_is_unusual
    mov %rsp, %rdx
    and $-VCPU_AREA_SIZE, %rdx
    .endm

    /* rcx = the guest's stack; error: push an error code; kernel: it trapped */
    .macro FAST_BOUNCE error, kernel
    .if \error
    .set f, 8
    .else
    .set f, 0
    .endif
    and $-16, %rcx
    mov %rcx, %rax
    shr $43, %rax
    cmp $HV_BITS, %eax          /* the hypervisor's addresses */
    je fast_is_unusual_\kernel
    mov 8(%rsp), %rax
1:  mov %rax, -56 - f(%rcx)
2:  mov %r11, -48 - f(%rcx)
    .if \error
    mov T_ERROR(%rsp), %eax
3:  mov %rax, -48(%rcx)
    .else
3:
    .endif
    mov T_IP(%rsp), %rax
4:  mov %rax, -40(%rcx)
    .if \kernel
5:  movq $KERNEL_FRAME_CS, -32(%rcx)
    mov T_SP(%rsp), %rax
6:  mov %rax, -16(%rcx)
7:  movq $KERNEL_FRAME_SS, -8(%rcx)
    .else
    movzwl T_CS(%rsp), %eax
5:  mov %rax, -32(%rcx)
    mov T_SP(%rsp), %rax
6:  mov %rax, -16(%rcx)
    mov T_SS(%rsp), %rax
7:  mov %rax, -8(%rcx)
    .endif
    .irp l, 1b, 2b, 3b, 4b, 5b, 6b, 7b, 8f, 9f
    EX \l, fast_is_unusual_\kernel
    .endr
    lea -56 - f(%rcx), %rax
    mov %rax, T_SP(%rsp)
    /* From here on it faults only if another vCPU unmaps the stack just now */
    mov T_FLAGS(%rsp), %eax
    andl $~(EFL_AC | EFL_VM | EFL_RF | EFL_NT | EFL_TF), T_FLAGS(%rsp)
8:  mov %rax, -24(%rcx)
    mov AREA_V(V_VCPU_INFO)(%rdx), %rax
    cmpb $0, 1(%rax)
    je 1f
9:  movb $1, -28(%rcx)          /* saved_upcall_mask */
    andl $~EFL_IF, -24(%rcx)
1:
    movzbl T_VECTOR(%rsp), %ecx
    shl $4, %ecx
    add %rdx, %rcx
    testb $4, AREA_V(V_TRAPS) + 1(%rcx)
    jz 2f
    movb $1, 1(%rax)
2:  mov AREA_V(V_TRAPS) + 8(%rcx), %rcx
    mov %rcx, T_IP(%rsp)
    .if !\kernel
    movq $RING1_CS, T_CS(%rsp)
    movq $RING1_SS, T_SS(%rsp)
    movb $V_MODE_KERNEL, AREA_V(V_MODE)(%rdx)
    .endif
    movzwl (%rax), %eax
    pop %rdx
    pop %rcx
    dec %eax
    cmp $0xfe, %eax
    pop %rax
    jbe fast_events
    add $8, %rsp
    jmp iret_to_kernel
    .endm

    /* Used with the kernel's CR3: user mode's tables do not map vcpu_info */
    .macro FAST_CR2
    mov %cr2, %rax
    mov AREA_V(V_VCPU_INFO)(%rdx), %rcx
    mov %rax, VCPU_INFO_CR2(%rcx)
    .endm

    /* Pass the trap on, if there is a handler and no kernel runs in ring 3 */
    .macro FAST_TRAP error
    movzbl T_VECTOR(%rsp), %ecx
    shl $4, %ecx
    cmpq $0, AREA_V(V_TRAPS) + 8(%rdx, %rcx)
    je fast_is_unusual
    cmpb $0, AREA_V(V_MODE)(%rdx)
    je 10f
    testb $2, T_CS(%rsp)
    jnz fast_is_unusual
    .if \error
    FAST_CR2
    .endif
    mov T_SP(%rsp), %rcx
    FAST_BOUNCE \error, 1
10: swapgs
    KERNEL_CR3 AREA_V(0), %rdx
    .if \error
    FAST_CR2
    test %rax, %rax             /* upper half: see leave_kernel_tables() */
    js fast_is_unusual_0
    .endif
    mov AREA_V(V_KERNEL_SP)(%rdx), %rcx
    FAST_BOUNCE \error, 0
    .endm

    /*
     * #UD. The prefix ud2, "xen" is for emulate_forced_cpuid(); so is code that
     * cannot be read here. (Labels have names, because FAST_TRAP uses 1 to 10.)
     */
    .align 16
fast_undefined:
    push %rax
    mov 16(%rsp), %rax
read_opcode:
    mov (%rax), %eax
test_opcode:
    cmp $0x65780b0f, %eax
opcode_tested:
    SITE test_opcode, opcode_tested, counted_undefined
opcode_read:
    pop %rax
    je trap_entry
fast_trap:
    FAST_SAVE
    FAST_TRAP 0
no_opcode:
    cmp %eax, %eax              /* as if it were the prefix */
    jmp opcode_read
    EX read_opcode, no_opcode

    .align 16
fast_page_fault:
    FAST_SAVE
    /* The kernel's write to a present page may be one to a page table */
    mov T_ERROR(%rsp), %eax
    and $0xf, %eax
    cmp $3, %eax
    je fast_is_unusual
    FAST_TRAP 1

    /*
     * A kernel reads its program's GS base at each process switch. There is no
     * hypercall for it, so it uses RDMSR, which is a #GP in ring 1.
     */
    .set MSR_KERNEL_GS_BASE, 0xc0000102
    .set RDMSR, 0x320f
    .align 16
fast_protection:
1:  cmp $MSR_KERNEL_GS_BASE, %ecx
2:  SITE 1b, 2b, trap_entry
    jne trap_entry
    cmpw $RING1_CS, 16(%rsp)
    jne trap_entry
    testl $EFL_TF, 24(%rsp)
    jnz trap_entry
    push %rax
    mov 16(%rsp), %rax
1:  movzwl (%rax), %eax
    cmp $RDMSR, %eax
2:  pop %rax
    jne trap_entry
    cmpw $0, (%rsp)             /* the error code */
    jne trap_entry
    rdmsr
    addq $2, 8(%rsp)
    andl $~EFL_RF, 24(%rsp)
    add $8, %rsp
    jmp iret_to_kernel
3:  test %rsp, %rsp             /* as if it were another instruction */
    jmp 2b
    EX 1b, 3b

    /* Page faults that go to C at once: see choose_fault_gate() */
    .globl slow_page_fault
    .align 16
slow_page_fault:
    movl $14, 4(%rsp)
    jmp trap_entry

fast_is_unusual_0:
    swapgs
fast_is_unusual_1:
fast_is_unusual:
    pop %rdx
    pop %rcx
    pop %rax
    jmp trap_entry

fast_events:
    SAVE_REGS
    AREA_TO_RBX
    jmp upcall

    /* Entries by IST: if from the guest, move to the usual stack and go on */
    .macro IST_ENTRY name
\name:
    cld
    SAVE_REGS
    testb $3, V(FRAME_CS)(%rsp)
    jz trap_in_monitor
    AREA_TO_RBX
    lea AREA_V(0)(%rbx), %rdi   /* the end of the usual stack */
    sub $V(FRAME_CS + 4), %rdi
    mov %rsp, %rsi
    mov %rdi, %rsp
    mov $(FRAME_CS + 4), %ecx
    rep movsq
    jmp from_guest
    .endm
    IST_ENTRY debug_entry
    IST_ENTRY nmi_entry

double_fault_entry:
    SAVE_REGS
    mov %rsp, %rdi
    lea double_fault_text(%rip), %rsi
    call monitor_crash

    /*
     * SYSCALL leaves no register free to find the stack with. So each vCPU's
     * area has a copy of this stub, which addresses the area relative to
     * itself. copy_stub() in idt-64.c adjusts the jump at its end.
     */
    .macro FAR_JUMP to          /* jmp, always with a 32-bit distance */
    .byte 0xe9
    .long \to - . - 4
    .endm
    .globl syscall_stub, syscall_stub_end
    .align 16
syscall_stub:
    .set stub_vcpu, syscall_stub + (AREA_VCPU - AREA_STUB) * 4096
    mov %rsp, stub_vcpu + V(V_SCRATCH)(%rip)
    lea stub_vcpu(%rip), %rsp
    FAR_JUMP syscall_entry
syscall_stub_end:

    /* SYSCALL from a compatibility-mode program: a trap with a made-up vector */
    .globl syscall32_stub, syscall32_stub_end
    .align 16
syscall32_stub:
    .set stub32_vcpu, syscall32_stub + (AREA_VCPU - AREA_STUB) * 4096 - SYSCALL32_STUB
    mov %rsp, stub32_vcpu + V(V_SCRATCH)(%rip)
    lea stub32_vcpu(%rip), %rsp
    push $USER_SS
    push V(V_SCRATCH) + 8(%rsp)
    push %r11
    push $USER_CS32
    push %rcx
    push $0
    movl $VECTOR_SYSCALL32, 4(%rsp)
    FAR_JUMP trap_entry
syscall32_stub_end:

    /*
     * SYSENTER, on the usual stack. The CPU has not saved rip and rsp: push 0.
     * It keeps NT, with which IRET would fail, and TF, which would step us.
     */
    .globl sysenter_entry
    .align 16
sysenter_entry:
    push $USER_SS
    push $0
    pushfq
    push $2
    popfq
    orl $EFL_IF, (%rsp)
    push $3
    push $0
    push $0
    movl $VECTOR_SYSENTER, 4(%rsp)
    jmp trap_entry

    /* rsp = struct vcpu, rcx = rip, r11 = rflags; flags as by MSR_SFMASK */
    .globl syscall_entry
    .align 16
syscall_entry:
    cmpb $0, V(V_MODE)(%rsp)
1:  SITE syscall_entry, 1b, counted_syscall_entry
    je user_syscall
    cmp $HYPERCALL_IRET, %rax
    je iret_of_guest
hypercall_of_guest:
    /* The frame for the IRET back */
    push $RING1_SS
    push V(V_SCRATCH) + 8(%rsp)
    push %r11
    push $RING1_CS
    push %rcx
    SAVE_ARGUMENTS
    mov %r10, %rcx
1:  call dispatch_hypercall
2:  SITE 1b, 2b, counted_hypercall
hypercall_done:
    RESTORE_ARGUMENTS
    mov 5 * 8 + V(V_VCPU_INFO)(%rsp), %rcx
    cmpb $0, (%rcx)             /* upcall_pending */
    jne hypercall_pending
iret_hypercall:
    iretq
    EX iret_hypercall, bad_iret
hypercall_pending:
    cmpb $0, 1(%rcx)            /* upcall_mask */
    je hypercall_upcall
    jmp iret_hypercall

    /*
     * HYPERVISOR_iret, with struct iret_context on the guest's stack. This
     * makes the frame for our own IRET from it, and saves no register, as the
     * context has new values for rax, rcx and r11. If an event may be due, or
     * the guest's stack faults, do_iret() does all of it from the start.
     */
    .globl iret_of_multicall
iret_of_multicall:
    RESTORE_ARGUMENTS
    add $5 * 8, %rsp
    .align 16
iret_of_guest:
    cmpb $0, V(V_IN_NMI)(%rsp)
1:  SITE iret_of_guest, 1b, iret_by_c
    jne 9f
    mov V(V_SCRATCH)(%rsp), %rcx
1:  mov 48(%rcx), %r11          /* rflags */
    mov V(V_VCPU_INFO)(%rsp), %rax
    bt $9, %r11d
    setnc 1(%rax)               /* the new upcall mask: !IF */
    cmpb $0, (%rax)             /* upcall_pending */
    jne 9f
    and $~(EFL_IOPL | EFL_VM), %r11d
    or $EFL_IF, %r11d
7:  testb $3, 40(%rcx)          /* cs: user mode? it is checked again below */
    jnz iret_to_program
    push $RING1_SS
2:  push 56(%rcx)               /* rsp */
    push %r11
    push $RING1_CS
3:  push 32(%rcx)               /* rip */
4:  mov (%rcx), %rax
5:  mov 8(%rcx), %r11
6:  mov 16(%rcx), %rcx
    jmp iret_hypercall
iret_by_c:
9:  and $-VCPU_AREA_SIZE, %rsp
    add $VCPU_OFFSET, %rsp
    push $RING1_SS
    push V(V_SCRATCH) + 8(%rsp)
    push $2
    push $RING1_CS
    push $0
    push $0
    SAVE_REGS
    AREA_TO_RBX
    mov %rsp, %rdi
    call do_iret
    jmp ret_to_guest
iret_to_program:
    cmpq $0, V(V_USER_CR3)(%rsp)
    je 9b
8:  testb $1, 25(%rcx)          /* VGCF_in_syscall */
    jnz sysret_to_program
10: mov 64(%rcx), %rax          /* ss */
    or $3, %eax
    push %rax
11: push 56(%rcx)               /* rsp */
    push %r11
12: mov 40(%rcx), %rax          /* cs */
    push %rax
    not %eax
    test $3, %al
    jnz 9b
13: push 32(%rcx)               /* rip */
14: push (%rcx)                 /* rax */
15: mov 8(%rcx), %r11
16: mov 16(%rcx), %rcx
    movb $0, 48 + V(V_MODE)(%rsp)
    swapgs
    USER_CR3 48, %rsp
    pop %rax
iret_to_program_at_once:
    iretq
    EX iret_to_program_at_once, bad_iret
    /*
     * SYSRET to a non-canonical rip would fault in ring 0, on the guest's
     * stack; and it can return to 64-bit code only. So check both first.
     */
sysret_to_program:
20: cmpw $USER_CS32, 40(%rcx)
    je 9b
17: push (%rcx)                 /* rax */
18: push 56(%rcx)               /* rsp */
19: mov 32(%rcx), %rcx          /* rip */
    cmp last_user_ip(%rip), %rcx
    ja 9b
    movb $0, 16 + V(V_MODE)(%rsp)
    swapgs
    USER_CR3 16, %rsp
    mov 8(%rsp), %rax
    pop %rsp
    sysretq
    .irp l, 1b, 2b, 3b, 4b, 5b, 6b, 7b, 8b, 10b, 11b, 12b, 13b, 14b, 15b, 16b, 17b, 18b, 19b, 20b
    EX \l, 9b
    .endr

    /*
     * An event is deliverable after a hypercall: do as bounce() would for the
     * upcall. SYSCALL has overwritten rcx and r11: the frame has 0 for them.
     */
hypercall_upcall:
    cmpq $0, 40 + V(V_EVENT_IP)(%rsp)
1:  SITE hypercall_upcall, 1b, hypercall_events
    je hypercall_events
    mov 24(%rsp), %rcx
    and $-16, %rcx
    mov %rcx, %r11
    shr $43, %r11
    cmp $HV_BITS, %r11d
    je hypercall_events
1:  movq $0, -56(%rcx)          /* rcx and r11 */
2:  movq $0, -48(%rcx)
    mov (%rsp), %r11
3:  mov %r11, -40(%rcx)
4:  movq $KERNEL_FRAME_CS, -32(%rcx)
    mov 16(%rsp), %r11
5:  mov %r11, -24(%rcx)
    mov 24(%rsp), %r11
6:  mov %r11, -16(%rcx)
7:  movq $KERNEL_FRAME_SS, -8(%rcx)
    .irp l, 1b, 2b, 3b, 4b, 5b, 6b, 7b
    EX \l, hypercall_events
    .endr
    sub $56, %rcx
    mov %rcx, 24(%rsp)
    mov 40 + V(V_EVENT_IP)(%rsp), %rcx
    mov %rcx, (%rsp)
    andl $~(EFL_AC | EFL_VM | EFL_RF | EFL_NT | EFL_TF), 16(%rsp)
    mov 40 + V(V_VCPU_INFO)(%rsp), %rcx
    movb $1, 1(%rcx)
    jmp iret_hypercall

    /* Let C deliver it: leave as from a trap */
hypercall_events:
    push $0
    SAVE_REGS
    AREA_TO_RBX
    jmp upcall

bad_kernel_stack:
    xor %edi, %edi
    lea bad_kernel_stack_text(%rip), %rsi
    call domain_crash

    /*
     * SYSCALL from guest user mode: to the handler that the guest kernel
     * registered, on its stack, with Xen's frame.
     */
    .align 16
user_syscall:
    cmpq $0, V(V_SYSCALL_CB)(%rsp)
    je no_syscall
    push %rax
    KERNEL_CR3 8, %rsp
    swapgs
1:  mov 8 + V(V_KERNEL_SP)(%rsp), %rax
2:  SITE 1b, 2b, counted_user_syscall
user_syscall_sp:
    and $-16, %rax
    sub $56, %rax
1:  mov %rcx, (%rax)
2:  mov %r11, 8(%rax)
3:  mov %rcx, 16(%rax)
4:  mov %r11, 32(%rax)
    mov 8 + V(V_SCRATCH)(%rsp), %rcx
5:  mov %rcx, 40(%rax)
6:  movq $USER_SS, 48(%rax)
7:  movq $USER_CS, 24(%rax)
    mov 8 + V(V_VCPU_INFO)(%rsp), %rcx
    cmpb $0, 1(%rcx)            /* upcall_mask */
    jne 9f
8:  movzbl 8 + V(V_SYSCALL_MASKS)(%rsp), %r11d
    or %r11b, 1(%rcx)
    movb $V_MODE_KERNEL, 8 + V(V_MODE)(%rsp)
    mov %rax, %rcx
    pop %rax
    push $RING1_SS
    push %rcx
    push $(EFL_IF | 2)
    push $RING1_CS
    push 4 * 8 + V(V_SYSCALL_CB)(%rsp)
iret_user_syscall:
    iretq
9:  movb $1, 28(%rax)           /* saved_upcall_mask */
10: andl $~EFL_IF, 32(%rax)
    jmp 8b
    EX iret_user_syscall, bad_iret
    .irp l, 1b, 2b, 3b, 4b, 5b, 6b, 7b, 9b, 10b
    EX \l, bad_kernel_stack
    .endr

    /* The kernel has no handler for it: as if the CPU had no such instruction */
no_syscall:
    push $USER_SS
    push V(V_SCRATCH) + 8(%rsp)
    push %r11
    push $USER_CS
    push %rcx
    push $0
    movl $VECTOR_SYSCALL, 4(%rsp)
    jmp trap_entry

    /* enter_guest(regs): load the guest's state, from C */
    .globl enter_guest
enter_guest:
    mov %rdi, %rsp
    AREA_TO_RBX
    jmp ret_to_guest

    /* run_first_on(stack), start_vcpu_on(stack) */
    .macro RUN_ON function
    .globl \function\()_on
\function\()_on:
    mov %rdi, %rsp
    xor %ebp, %ebp
    call \function
    ud2
    .endm
    RUN_ON run_first
    RUN_ON start_vcpu

    /* Where the sites lead while the machine counts: see count.h and count.c */

counted_trap:
    call count_trap
    mov %rsp, %rdi
    call do_trap
    jmp ret_to_guest
counted_trap_in_ring3:
    call count_trap
    mov %rsp, %rdi
    call kernel_trap_in_ring3
    jmp ret_to_guest
counted_leave:
    call count_leave
    cmpb $0, AREA_V(V_MODE)(%rbx)
    jmp leave_to_guest
counted_upcall:
    call count_upcall
    mov %rsp, %rdi
    call deliver_events
    jmp after_upcall
counted_undefined:
    pop %rax
    jmp trap_entry
counted_syscall_entry:
    cmpb $0, V(V_MODE)(%rsp)
    je user_syscall
    cmp $HYPERCALL_IRET, %rax
    jne hypercall_of_guest
    CALL_FROM_ASM count_hypercall
    jmp iret_by_c
counted_hypercall:
    CALL_FROM_ASM count_hypercall
    call dispatch_hypercall
    CALL_FROM_ASM count_leave
    jmp hypercall_done
counted_user_syscall:
    CALL_FROM_ASM count_syscall
    mov 8 + V(V_KERNEL_SP)(%rsp), %rax
    jmp user_syscall_sp

    .section .rodata
    .align 8
last_user_ip:
    .quad (1 << 47) - 1
double_fault_text:
    .asciz "double fault"
bad_kernel_stack_text:
    .asciz "SYSCALL from user mode: the guest kernel's stack is not writable"

    /* The page tables the monitor starts with */
    .section .data
    .globl monitor_started
monitor_started:
    .byte 0
    .align 4096
    .globl boot_l4
boot_l4:
    .fill 257, 8, 0
    .quad boot_l3 - XENPV_CORE_VIRT_64 + XENPV_CORE_GPA + 3
    .fill 512 - 258, 8, 0
boot_l3:
    .quad boot_l2 - XENPV_CORE_VIRT_64 + XENPV_CORE_GPA + 3
    .fill 511, 8, 0
boot_l2:
    .quad XENPV_CORE_GPA + 0x000083
    .quad XENPV_CORE_GPA + 0x200083
    .quad XENPV_CORE_GPA + 0x400083
    .quad XENPV_CORE_GPA + 0x600083
    .fill 508, 8, 0

    .section .bss
    .align 16
    .skip 8192
boot_stack_end:
    .section .note.GNU-stack, "", @progbits
