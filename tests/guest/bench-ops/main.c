/*
 * What each operation costs; run by tests/guest/bench, not a test.
 *
 * Each operation runs in a loop between two readings of the TSC, less an empty
 * loop. Under "-icount shift=0" the TSC counts instructions, so the numbers
 * are exact and the same in each run. Printed as "bench NAME NUMBER".
 *
 * With op=NAME count=N on the command line only that operation runs, N times,
 * and nothing is measured: run so with N and 2 N, the difference in the outer
 * kernel's counters of VM exits is what N of them cost.
 *
 * The handlers here are as short as those of a kernel can be, so that the
 * numbers are those of what is below the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define LOOPS   64
#define ROUNDS  5

/* --- Handlers --- */

/* Those of traps return behind an instruction of 0 (a trap) or 2 bytes */
void after_trap(void), after_fault(void), after_page_fault(void);
void on_event(void), on_event_fifo(void), on_syscall(void), on_int80(void);
void on_sysenter(void);
void iret_self(void);

ulong *pending_sel;      /* for on_event, of the port of the bench */
ulong *pending_word;
/* for on_event_fifo, likewise */
struct evtchn_fifo_control_block *fifo_control;
uint32_t *fifo_head, *fifo_word;

#ifdef __x86_64__
#define IRET    "push $0; jmp hypercall_page + 23 * 32\n"
asm("after_trap: pop %rcx; pop %r11\n" IRET
    "after_fault: pop %rcx; pop %r11; addq $2, (%rsp)\n" IRET
    "after_page_fault: pop %rcx; pop %r11; add $8, %rsp; addq $2, (%rsp)\n"
    IRET
    "on_event: pop %rcx; pop %r11; push %rax\n"
    "mov shared_info, %rax; movb $0, (%rax)\n"
    "mov pending_sel, %rax; movq $0, (%rax)\n"
    "mov pending_word, %rax; movq $0, (%rax); pop %rax\n" IRET
    "on_event_fifo: pop %rcx; pop %r11; push %rax\n"
    "mov shared_info, %rax; movb $0, (%rax)\n"
    "mov fifo_control, %rax; movl $0, (%rax)\n"
    "mov fifo_head, %rax; movl $0, (%rax)\n"
    "mov fifo_word, %rax; movl $0, (%rax); pop %rax\n" IRET
    /* VGCF_in_syscall: RCX and R11 need not be restored */
    "on_syscall: pop %rcx; pop %r11; push $0x100\n"
    "jmp hypercall_page + 23 * 32\n"
    "on_int80: pop %rcx; pop %r11\n" IRET
    "on_sysenter: ud2\n"
    "iret_self: pop %rax; mov %rsp, %rcx; push $0xe02b; push %rcx\n"
    "push $0x202; push $0xe030; push %rax\n" IRET);
#else
/* As Linux does it: iret itself, when no event can be pending */
asm("after_trap: iret\n"
    "after_fault: addl $2, (%esp); iret\n"
    "after_page_fault: add $4, %esp; addl $2, (%esp); iret\n"
    "on_event: push %eax; mov shared_info, %eax; movb $0, (%eax)\n"
    "mov pending_sel, %eax; movl $0, (%eax)\n"
    "mov pending_word, %eax; movl $0, (%eax); pop %eax\n"
    "jmp hypercall_page + 23 * 32\n"
    "on_event_fifo: push %eax; mov shared_info, %eax; movb $0, (%eax)\n"
    "mov fifo_control, %eax; movl $0, (%eax)\n"
    "mov fifo_head, %eax; movl $0, (%eax)\n"
    "mov fifo_word, %eax; movl $0, (%eax); pop %eax\n"
    "jmp hypercall_page + 23 * 32\n"
    "on_syscall: ud2\n"
    "on_int80: iret\n"
    /* The program says where it was, see user_sysenter */
    "on_sysenter: mov %edx, (%esp); movl $0xe02b, 4(%esp)\n"
    "mov %ecx, 12(%esp); iret\n"
    "iret_self: pop %eax; push $0x202; push $0xe019; push %eax\n"
    "jmp hypercall_page + 23 * 32\n");
#endif

/* --- Operations --- */

static evtchn_port_t masked_port, ipi_port;
static char pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
/* Two versions of each: one operation maps pages, the next unmaps them */
static struct mmu_update updates[2][32];
static struct multicall_entry calls[2][8];
/* One operation maps this page, the next that one */
static uint64_t ptes[2];
static unsigned turn;
static volatile uint64_t *entry;
static ulong base_mfn;
static ulong sink;

static void do_nothing(void)
{
}

static inline void hypercall_op(void)
{
    HYPERCALL(xen_version, XENVER_version);
}

static inline void send_masked(void)
{
    send_event(masked_port);
}

static inline void ipi_self(void)
{
    send_event(ipi_port);
}

static inline void va_mapping(void)
{
    update_va_mapping(TEST_VA, ptes[0], UVMF_NONE);
}

static inline void va_mapping_invlpg(void)
{
    update_va_mapping(TEST_VA, ptes[turn ^= 1], UVMF_INVLPG);
}

static inline void map_unmap(void)
{
    update_va_mapping(TEST_VA, ptes[0], UVMF_INVLPG);
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
}

static inline void mmu_update_1(void)
{
    HYPERCALL(mmu_update, updates[turn ^= 1], 1, 0, DOMID_SELF);
}

static inline void mmu_update_32(void)
{
    HYPERCALL(mmu_update, updates[turn ^= 1], 32, 0, DOMID_SELF);
}

static inline void multicall_8(void)
{
    HYPERCALL(multicall, calls[turn ^= 1], 8);
}

static inline void tlb_flush(void)
{
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
}

static inline void invlpg(void)
{
    mmuext_op(MMUEXT_INVLPG_LOCAL, TEST_VA, 0);
}

static inline void new_baseptr(void)
{
    mmuext_op(MMUEXT_NEW_BASEPTR, base_mfn, 0);
}

static inline void direct_write(void)
{
#ifdef __x86_64__
    *entry = ptes[turn ^= 1];
#else
    *(volatile uint32_t *)entry = ptes[turn ^= 1];
#endif
}

static inline void int3(void)
{
    asm volatile("int3" : : : "memory");
}

static inline void ud2(void)
{
    asm volatile("ud2" : : : "memory");
}

static inline void iret(void)
{
    asm volatile("call iret_self" : : : "eax", "ecx", "memory", "cc");
}

static inline void page_fault(void)
{
    /* Two bytes */
    asm volatile("mov (%0), %%al" : : "D" (TEST_VA + PAGE_SIZE * 64) : "eax");
}

static inline void stack_switch(void)
{
    /* What is below the kernel's image is mapped, and free */
    HYPERCALL(stack_switch, FLAT_KERNEL_SS, VIRT_BASE + 0x100000);
}

static inline void set_segment_base(void)
{
    HYPERCALL(set_segment_base, SEGBASE_FS, VIRT_BASE);
}

static inline void fpu_taskswitch(void)
{
    HYPERCALL(fpu_taskswitch, 0);
}

static inline void cpuid(void)
{
    ulong a = 1, c = 0;

    asm volatile("ud2; .ascii \"xen\"; cpuid"
                 : "+a" (a), "+c" (c) : : "ebx", "edx", "memory");
}

static inline void read_cr0(void)
{
    asm volatile("mov %%cr0, %0" : "=r" (sink));
}

static inline void rdmsr(void)
{
    asm volatile("rdmsr" : : "c" (0xc0000080) : "eax", "edx");
}

/*
 * The tables of a process: two level-1 tables of its own, and with 32-bit guests a
 * copy of the kernel's level 2
 */
static ulong process_top;

static void new_table(uint64_t *entry, uint64_t flags)
{
    uint64_t *table = alloc_page();

    if (*entry & _PAGE_PRESENT) {
        memcpy(table, mfn_to_virt(PTE_MFN(*entry)), PAGE_SIZE);
    }
    *entry = make_pte(virt_to_mfn(table), flags);
}

static void make_process(void)
{
    uint64_t top_entry = make_pte(base_mfn, _PAGE_PRESENT);
    uint64_t *top, *l2;

    new_table(&top_entry, 0);
    top = mfn_to_virt(PTE_MFN(top_entry));
    if (IS_64BIT) {
        uint64_t *l3;

        top[0] = 0;
        new_table(&top[0], PAGE_TABLE);
        l3 = mfn_to_virt(PTE_MFN(top[0]));
        new_table(&l3[0], PAGE_TABLE);
        l2 = mfn_to_virt(PTE_MFN(l3[0]));
        make_readonly(l3);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            top[i] = 0;
            new_table(&top[i], _PAGE_PRESENT);
            make_readonly(mfn_to_virt(PTE_MFN(top[i])));
        }
        new_table(&top[3], _PAGE_PRESENT);
        l2 = mfn_to_virt(PTE_MFN(top[3]));
        make_readonly(l2);
        l2 = mfn_to_virt(PTE_MFN(top[0]));
        make_writable(l2);
    }
    for (unsigned i = 0; i < 2; i++) {
        new_table(&l2[i * 300], PAGE_TABLE);
        make_readonly(mfn_to_virt(PTE_MFN(l2[i * 300])));
    }
    for (unsigned i = 0; !IS_64BIT && i < 256; i++) {
        /* As many as the kernel has of its own where RAM is 512 MiB */
        if (!(l2[i] & _PAGE_PRESENT)) {
            l2[i] = l2[0];
        }
    }
    make_readonly(l2);
    make_readonly(top);
    process_top = virt_to_mfn(top);
}

static void pin_process(void)
{
    mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE, process_top,
              0);
    mmuext_op(MMUEXT_UNPIN_TABLE, process_top, 0);
}

/* In user mode, the loop is there; nothing else may be referred to */

#define USER_LOOP(name, ...) \
    static __user ulong name(ulong count, ulong arg) \
    { \
        uint32_t start, end; \
        asm volatile("rdtsc" : "=a" (start) : : "edx"); \
        for (ulong i = 0; i < count; i++) { \
            asm volatile(__VA_ARGS__); \
        } \
        asm volatile("rdtsc" : "=a" (end) : : "edx"); \
        return end - start; \
    }
USER_LOOP(user_nothing, "")
USER_LOOP(user_int80, "int $0x80" : : : "memory")
USER_LOOP(user_page_fault, "mov (%0), %%al" : : "D" (arg) : "eax")
#ifdef __x86_64__
USER_LOOP(user_syscall, "syscall" : : : "rcx", "r11", "memory")
#else
USER_LOOP(user_sysenter, "mov %%esp, %%ecx; call 1f; 1: pop %%edx\n\t"
          "add $2f - 1b, %%edx; sysenter; 2:" : : : "ecx", "edx", "memory")
#endif

/* --- The loop --- */

#define LOOP(fn) \
    static noinline uint64_t loop_##fn(ulong count) \
    { \
        uint64_t start = rdtsc(); \
        for (ulong i = 0; i < count; i++) { \
            barrier(); \
            fn(); \
            barrier(); \
        } \
        return rdtsc() - start; \
    }
LOOP(do_nothing)
LOOP(hypercall_op)
LOOP(send_masked)
LOOP(ipi_self)
LOOP(va_mapping)
LOOP(va_mapping_invlpg)
LOOP(map_unmap)
LOOP(mmu_update_1)
LOOP(mmu_update_32)
LOOP(multicall_8)
LOOP(tlb_flush)
LOOP(invlpg)
LOOP(new_baseptr)
LOOP(pin_process)
LOOP(direct_write)
LOOP(int3)
LOOP(ud2)
LOOP(iret)
LOOP(page_fault)
LOOP(stack_switch)
LOOP(fpu_taskswitch)
LOOP(cpuid)
LOOP(read_cr0)
LOOP(rdmsr)
#ifdef __x86_64__
LOOP(set_segment_base)
#else
#define loop_set_segment_base NULL
#define user_syscall NULL
#endif
#ifdef __x86_64__
#define user_sysenter NULL
#endif

static const struct {
    const char *name;
    uint64_t (*loop)(ulong count);
    user_fn *user;
    ulong arg;
    bool fifo;                  /* after the change to the FIFO ABI */
} ops[] = {
    { "hypercall", loop_hypercall_op },
    { "send-masked", loop_send_masked },
    { "ipi-self", loop_ipi_self },
    { "va-mapping", loop_va_mapping },
    { "va-mapping-invlpg", loop_va_mapping_invlpg },
    { "map-unmap", loop_map_unmap },
    { "mmu-update-1", loop_mmu_update_1 },
    { "mmu-update-32", loop_mmu_update_32 },
    { "multicall-8", loop_multicall_8 },
    { "tlb-flush", loop_tlb_flush },
    { "invlpg", loop_invlpg },
    { "new-baseptr", loop_new_baseptr },
    { "pin-process", loop_pin_process },
    { "direct-write", loop_direct_write },
    { "int3", loop_int3 },
    { "ud2", loop_ud2 },
    { "iret", loop_iret },
    { "fault-kernel", loop_page_fault },
    { "fault-user", .user = user_page_fault, USER_DATA + 64 * PAGE_SIZE },
    { "syscall", .user = user_syscall },
    { "int80", .user = user_int80 },
    { "sysenter", .user = user_sysenter },
    { "stack-switch", loop_stack_switch },
    { "set-segment-base", loop_set_segment_base },
    { "fpu-taskswitch", loop_fpu_taskswitch },
    { "cpuid", loop_cpuid },
    { "read-cr0", loop_read_cr0 },
    { "rdmsr-efer", loop_rdmsr },
    { "send-masked-fifo", loop_send_masked, .fifo = true },
    { "ipi-self-fifo", loop_ipi_self, .fifo = true },
};

static uint64_t user_loop(user_fn *fn, ulong count, ulong arg)
{
    struct trap t;
    ulong ticks;

    if (call_user(fn, count, arg, &ticks, &t)) {
        error("%s in user mode, at %lx", trap_name(t.vector), t.ip);
    }
    return ticks;
}

static void set_event_callback(void (*handler)(void))
{
#ifdef __x86_64__
    HYPERCALL(set_callbacks, handler, trap_stub(VECTOR_FAILSAFE), on_syscall);
#else
    HYPERCALL(set_callbacks, FLAT_KERNEL_CS, handler, FLAT_KERNEL_CS,
              trap_stub(VECTOR_FAILSAFE));
#endif
}

static void set_up_fifo(void)
{
    uint32_t *words = alloc_page();
    struct evtchn_init_control init = { 0 };
    struct evtchn_expand_array expand = { virt_to_mfn(words) };

    if (fifo_control) {
        return;
    }
    fifo_control = alloc_page();
    fifo_head = &fifo_control->head[EVTCHN_FIFO_PRIORITY_DEFAULT];
    fifo_word = &words[ipi_port];
    words[masked_port] = EVTCHN_FIFO_MASKED;
    init.control_gfn = virt_to_mfn(fifo_control);
    mask_upcalls();
    set_event_callback(on_event_fifo);
    if (HYPERCALL(event_channel_op, EVTCHNOP_init_control, &init) ||
        HYPERCALL(event_channel_op, EVTCHNOP_expand_array, &expand)) {
        error("the FIFO ABI cannot be had");
    }
    /* What was pending, and is again */
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*words); i++) {
        words[i] &= EVTCHN_FIFO_MASKED;
    }
    memset(fifo_control, 0, sizeof(*fifo_control));
    vcpu_info()->evtchn_upcall_pending = 0;
    unmask_upcalls();
}

static uint64_t run_op(unsigned i, ulong count)
{
    if (ops[i].fifo) {
        set_up_fifo();
    }
    if (ops[i].user) {
        return user_loop(ops[i].user, count, ops[i].arg);
    }
    return ops[i].loop(count);
}

static void set_up(void)
{
    unmask_upcalls();
    user_init();
    masked_port = bind_ipi(NULL);
    ipi_port = bind_ipi(NULL);
    unmask_port(ipi_port);
    pending_sel = &vcpu_info()->evtchn_pending_sel;
    pending_word = &shared_info->evtchn_pending[ipi_port / (8 * sizeof(ulong))];

    for (unsigned v = 0; v < 2; v++) {
        uint64_t pte = v ? 0 : make_pte(virt_to_mfn(pages[0]), PAGE_KERNEL);

        ptes[v] = make_pte(virt_to_mfn(pages[v]), PAGE_KERNEL);
        for (unsigned i = 0; i < ARRAY_SIZE(updates[v]); i++) {
            map_page(TEST_VA + i * PAGE_SIZE, pte);
            updates[v][i].ptr = pte_maddr(TEST_VA + i * PAGE_SIZE, 1);
            updates[v][i].val = pte;
        }
        for (unsigned i = 0; i < ARRAY_SIZE(calls[v]); i++) {
            calls[v][i].op = __HYPERVISOR_update_va_mapping;
            calls[v][i].args[0] = TEST_VA + i * PAGE_SIZE;
            calls[v][i].args[1] = pte;
            calls[v][i].args[2] = IS_64BIT ? UVMF_NONE : pte >> 32;
            calls[v][i].args[3] = UVMF_NONE;
        }
    }
    entry = pte_of(TEST_VA, 1);
    base_mfn = virt_to_mfn((void *)start_info->pt_base);
    make_process();
    if (mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                  process_top, 0) ||
        mmuext_op(MMUEXT_UNPIN_TABLE, process_top, 0)) {
        error("a process's tables cannot be pinned");
    }
    HYPERCALL(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);

    set_trap_entry(X86_BP, 3, (ulong)after_trap);
    set_trap_entry(X86_UD, 0, (ulong)after_fault);
    set_trap_entry(X86_PF, 0, (ulong)after_page_fault);
    set_trap_entry(0x80, 3, (ulong)on_int80);
    set_event_callback(on_event);
    if (!IS_64BIT) {
        register_callback(CALLBACKTYPE_sysenter, 0, (ulong)on_sysenter);
    }
    /* Nothing may come in between */
    HYPERCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
}

static void measure(unsigned i)
{
    uint64_t best = ~0ULL, empty = ~0ULL;

    run_op(i, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t ticks = ops[i].user ? user_loop(user_nothing, LOOPS, 0) :
                                       loop_do_nothing(LOOPS);

        empty = ticks < empty ? ticks : empty;
        ticks = run_op(i, LOOPS);
        best = ticks < best ? ticks : best;
    }
    printk("bench %s %llu\n", ops[i].name,
           (unsigned long long)divide(best - empty + LOOPS / 2, LOOPS));
}

void test_main(void)
{
    const char *only = option("op");

    set_up();
    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        if (!ops[i].loop && !ops[i].user) {
            continue;
        }
        if (!only) {
            measure(i);
        } else if (strcmp(only, ops[i].name) == 0) {
            ulong count = option_number("count", 1000);

            run_op(i, count);
            printk("done %s %lu\n", ops[i].name, count);
            finish();
        }
    }
    if (only) {
        error("no operation is called \"%s\"", only);
    }
}
