/*
 * Hypercalls about a vCPU's state, with everything that they refuse.
 *
 * Trap table, descriptor tables, stacks, callbacks, debug registers, segment
 * bases, timers, scheduling and VCPUOPs: each sub-operation succeeds with what
 * it is for, and what it refuses gives Xen's error and changes nothing. A
 * kernel takes such an error as the answer to what it may use, and crashes, or
 * runs without a feature, if it is another.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NONCANONICAL    0x800000000000UL
#define NO_FRAME        ((1UL << 27) + 1)
#define CR4_DE          0x8

static uint64_t gdt[512] __attribute__((aligned(4096)));
static uint64_t plain[512] __attribute__((aligned(4096)));

static uint64_t maddr(void *p)
{
    return ((uint64_t)virt_to_mfn((void *)((ulong)p & ~4095UL)) << PAGE_SHIFT) +
           ((ulong)p & 4095);
}

/* --- Traps and callbacks --- */

static __user ulong int_90(ulong a, ulong b)
{
    asm volatile("int $0x90");
    return 0;
}

static void trap_table(void)
{
    /* At the end of a page: what follows is not there */
    static struct trap_info list[2 * PAGE_SIZE / sizeof(struct trap_info)]
        __attribute__((aligned(4096)));
    struct trap_info *t = list + ARRAY_SIZE(list) / 2 - 1;
    struct trap trap;

    check_ret(HYPERCALL(set_trap_table, 0), 0, "set_trap_table(NULL)");
    set_trap_flags(X86_BP, 3);          /* and all others again */

    /* The entries before the bad pointer are in effect */
    *t = (struct trap_info) { 0x90, 3, FLAT_KERNEL_CS, trap_stub(0x90) };
    update_va_mapping((ulong)list + PAGE_SIZE, 0, UVMF_INVLPG);
    check_ret(HYPERCALL(set_trap_table, t), -EFAULT,
              "set_trap_table of a list whose end is not there");
    check(call_user(int_90, 0, 0, NULL, &trap) && trap.vector == 0x90,
          "the first entry of it has no effect: %s", trap_name(trap.vector));
#ifdef __x86_64__
    *t = (struct trap_info) { 0x91, 3, FLAT_KERNEL_CS, NONCANONICAL };
    check_ret(HYPERCALL(set_trap_table, t), -EINVAL,
              "set_trap_table, not canonical");
#endif
    t->address = 0;
    check_ret(HYPERCALL(set_trap_table, t), 0, "set_trap_table of nothing");
    make_writable((char *)list + PAGE_SIZE);
}

static struct callback_register callback = { .type = CALLBACKTYPE_event };
static ulong handler;

#define CB(op, arg) CALLBACKOP_##op, (ulong)(arg)
static const struct call callback_calls[] = {
    { "callback_op 2", __HYPERVISOR_callback_op, IS_64BIT ? -ENOSYS : -EINVAL,
      { 2, (ulong)&callback } },
    { "CALLBACKOP_register, bad pointer", __HYPERVISOR_callback_op, -EFAULT,
      { CB(register, BAD_POINTER) } },
    { "CALLBACKOP_unregister, bad pointer", __HYPERVISOR_callback_op, -EFAULT,
      { CB(unregister, HV_POINTER) } },
    { "nmi_op 2", __HYPERVISOR_nmi_op, -ENOSYS, { 2, (ulong)&handler } },
    { "nmi_op register, bad pointer", __HYPERVISOR_nmi_op, -EFAULT,
      { 0, BAD_POINTER } },
    { "nmi_op register", __HYPERVISOR_nmi_op, 0, { 0, (ulong)&handler } },
    { "nmi_op unregister", __HYPERVISOR_nmi_op, 0, { 1 } },
    { "nmi_op unregister, again", __HYPERVISOR_nmi_op, 0, { 1 } },
};

static void callbacks(void)
{
    static const struct {
        unsigned type;
        long registered, unregistered;
    } types[] = {
        { CALLBACKTYPE_event, 0, -EINVAL },
        { CALLBACKTYPE_failsafe, 0, -EINVAL },
        { CALLBACKTYPE_syscall, IS_64BIT ? 0 : -ENOSYS,
          IS_64BIT ? -EINVAL : -ENOSYS },
        { 3, -ENOSYS, -ENOSYS },        /* sysenter, deprecated */
        { CALLBACKTYPE_nmi, 0, 0 },
        { CALLBACKTYPE_sysenter, 0, -EINVAL },
        { CALLBACKTYPE_syscall32, 0, -EINVAL },
        { 6, -ENOSYS, -ENOSYS },
        { 8, -ENOSYS, -ENOSYS },
        { 0xffff, -ENOSYS, -ENOSYS },
    };

    handler = trap_stub(2);
    check_calls(callback_calls);
#ifdef __x86_64__
    handler = NONCANONICAL;
    check_ret(HYPERCALL(nmi_op, 0, &handler), -EINVAL,
              "nmi_op register, not canonical");
#endif
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        ulong address = types[i].type == CALLBACKTYPE_event ?
                        trap_stub(VECTOR_EVENT) :
                        types[i].type == CALLBACKTYPE_failsafe ?
                        trap_stub(VECTOR_FAILSAFE) : trap_stub(VECTOR_SYSCALL);

        callback.type = types[i].type;
#ifdef __x86_64__
        callback.address = NONCANONICAL;
        check_ret(HYPERCALL(callback_op, CALLBACKOP_register, &callback),
                  -EINVAL, "a callback of type %u, not canonical",
                  types[i].type);
        callback.address = address;
#else
        callback.address.cs = FLAT_KERNEL_CS;
        callback.address.eip = address;
#endif
        check_ret(HYPERCALL(callback_op, CALLBACKOP_register, &callback),
                  types[i].registered, "registering a callback of type %u",
                  types[i].type);
        check_ret(HYPERCALL(callback_op, CALLBACKOP_unregister, &callback),
                  types[i].unregistered, "unregistering a callback of type %u",
                  types[i].type);
    }
#ifdef __x86_64__
    check_ret(HYPERCALL(set_callbacks, trap_stub(VECTOR_EVENT),
                        trap_stub(VECTOR_FAILSAFE), trap_stub(VECTOR_SYSCALL)),
              0, "set_callbacks");
    check_ret(HYPERCALL(set_callbacks, NONCANONICAL, NONCANONICAL,
                        NONCANONICAL), 0, "set_callbacks, not canonical");
#else
    check_ret(HYPERCALL(set_callbacks, FLAT_KERNEL_CS, trap_stub(VECTOR_EVENT),
                        FLAT_KERNEL_CS, trap_stub(VECTOR_FAILSAFE)),
              0, "set_callbacks");
#endif
}

/* --- Descriptors --- */

static void descriptor_tables(void)
{
    ulong frames[16], table = virt_to_mfn((void *)start_info->pt_base);
    uint64_t data = 0x00cff2000000ffffULL;

    gdt[9] = data;
    make_readonly(gdt);
    frames[0] = virt_to_mfn(gdt);
    check_ret(HYPERCALL(set_gdt, frames, 512), 0, "set_gdt");
    check_ret(HYPERCALL(set_gdt, BAD_POINTER, 512), -EFAULT,
              "set_gdt, bad pointer");
    check_ret(HYPERCALL(set_gdt, HV_POINTER, 512), -EFAULT,
              "set_gdt, the hypervisor's memory");
    check_ret(HYPERCALL(set_gdt, frames, FIRST_RESERVED_GDT_ENTRY + 1),
              -EINVAL, "set_gdt, into the hypervisor's entries");
    check_ret(HYPERCALL(set_gdt, frames, 0x80000000), -EINVAL,
              "set_gdt of too many");
    frames[1] = NO_FRAME;
    check_ret(HYPERCALL(set_gdt, frames, 513), -EINVAL, "set_gdt of no frame");
    frames[1] = table;
    check_ret(HYPERCALL(set_gdt, frames, 1024), -EINVAL,
              "set_gdt of a page table");
    /* The 32-bit one has no present system segments, but gates and type 0 */
    plain[3] = 0x0000890000000000ULL;
    make_readonly(plain);
    frames[1] = virt_to_mfn(plain);
    check_ret(HYPERCALL(set_gdt, frames, 1024), -EINVAL, "set_gdt with a TSS");
    make_writable(plain);
    {
        ulong sel = 0x4b, limit = 0;

        /* After all this the first one is in effect */
        asm volatile("lsl %1, %0" : "+r" (limit) : "r" (sel));
        check_eq((uint32_t)limit, 0xffffffff, "the limit of GDT entry 9");
    }
    check_ret(HYPERCALL(set_gdt, BAD_POINTER, 0), 0, "set_gdt of nothing");
    check_ret(update_va_mapping((ulong)gdt, make_pte(virt_to_mfn(gdt),
                                                     PAGE_KERNEL), UVMF_INVLPG),
              0, "making a former GDT writable");
}

/* A descriptor as it is found in the table, or 0 if it is refused */
static uint64_t descriptor(const char *what, uint64_t desc, uint64_t expected)
{
    long ret;

    plain[8] = 0x1234;
    ret = update_descriptor(maddr(&plain[8]), desc);
    check_ret(ret, expected ? 0 : -EINVAL, "update_descriptor, %s", what);
    check_eq(plain[8], expected ? expected : 0x1234, "%s in the table", what);
    return plain[8];
}

static void descriptors(void)
{
    const uint64_t p = 1ULL << 47, gate = p | 0xcULL << 40;
    ulong frame = virt_to_mfn((void *)start_info->pt_base);

    descriptor("not present, of any kind", 0x00cf097812345678ULL,
               0x00cf097812345678ULL);
    descriptor("data, DPL 0", 0x00cf920000001234ULL,
               IS_64BIT ? 0x00cff20000001234ULL : 0x00cfb20000001234ULL);
    descriptor("data, DPL 1", 0x00cfb20000001234ULL,
               IS_64BIT ? 0x00cff20000001234ULL : 0x00cfb20000001234ULL);
    descriptor("conforming code, DPL 0", 0x00cf9e0000001234ULL,
               IS_64BIT ? 0x00cffe0000001234ULL : 0x00cfbe0000001234ULL);
    descriptor("64-bit code", 0x00affa0000001234ULL,
               IS_64BIT ? 0x00affa0000001234ULL : 0);
    if (!IS_64BIT) {
        /* Up to below the hypervisor: what old kernels' segments are */
        descriptor("a segment beyond the hypervisor's start",
                   0x00cff2000000ffffULL, 0x00cff2000000ffffULL);
        descriptor("a truncated segment", 0x00cbf200000067ffULL,
                   0x00cbf200000067ffULL);
    }
    descriptor("type 0", p | 0x1234, p | 0x1234);
    descriptor("an LDT", p | 2ULL << 40, 0);
    descriptor("a TSS", p | 9ULL << 40, 0);
    descriptor("an interrupt gate", p | 0xeULL << 40, 0);
    descriptor("a task gate", p | 5ULL << 40, 0);
    /* What a 32-bit guest's gate looks like is the hypervisor's affair */
    if (IS_64BIT) {
        descriptor("a call gate", gate | 3ULL << 45 | 0x43ULL << 16,
                   gate | 0x43ULL << 16);
        descriptor("a call gate, DPL 1", gate | 1ULL << 45 | 0x43ULL << 16,
                   gate | 0x43ULL << 16);
        descriptor("a call gate to the kernel's frames' CS", gate |
                   3ULL << 45 | (uint64_t)FLAT_KERNEL_CS << 16, 0);
    }
    descriptor("a call gate to the hypervisor", gate | 0xe008ULL << 16, 0);
    descriptor("a call gate with reserved bits", gate | 0x43ULL << 16 |
               0x20ULL << 32, 0);
    check_ret(update_descriptor(maddr(&plain[8]) + 4, 0), -EINVAL,
              "update_descriptor, not aligned");
    check_ret(update_descriptor((uint64_t)NO_FRAME << PAGE_SHIFT, 0), -EINVAL,
              "update_descriptor in no frame");
    check_ret(update_descriptor((uint64_t)frame << PAGE_SHIFT, 0), -EINVAL,
              "update_descriptor in a page table");
}

/* --- Debug registers --- */

static long set_debugreg(unsigned nr, ulong val)
{
    return HYPERCALL(set_debugreg, nr, val);
}

static void write_cr4(ulong val)
{
    asm volatile("mov %0, %%cr4" : : "r" (val) : "memory");
}

static void debug_registers(void)
{
    static const struct call calls[] = {
        { "set_debugreg(8)", __HYPERVISOR_set_debugreg, -ENODEV, { 8 } },
        { "set_debugreg(-1)", __HYPERVISOR_set_debugreg, -ENODEV, { ~0UL } },
        { "get_debugreg(8)", __HYPERVISOR_get_debugreg, -ENODEV, { 8 } },
        { "get_debugreg(-1)", __HYPERVISOR_get_debugreg, -ENODEV, { ~0UL } },
        { "DR7 with GD", __HYPERVISOR_set_debugreg, -EPERM, { 7, 0x2000 } },
        { "DR7, an active I/O breakpoint", __HYPERVISOR_set_debugreg, -EPERM,
          { 7, 0x20002 } },
        { "DR7, an I/O breakpoint of register 3", __HYPERVISOR_set_debugreg,
          -EPERM, { 7, 0x20000080 } },
        { "DR7, an inactive one beside an active one",
          __HYPERVISOR_set_debugreg, -EPERM, { 7, 0x20000001 } },
#ifdef __x86_64__
        { "DR0, not canonical", __HYPERVISOR_set_debugreg, -EPERM,
          { 0, NONCANONICAL } },
        { "DR3, the hypervisor's", __HYPERVISOR_set_debugreg, -EPERM,
          { 3, HV_POINTER } },
        { "DR6, upper half", __HYPERVISOR_set_debugreg, -EINVAL,
          { 6, 1UL << 32 } },
        { "DR7, upper half", __HYPERVISOR_set_debugreg, -EINVAL,
          { 7, 1UL << 32 } },
        { "DR4, upper half", __HYPERVISOR_set_debugreg, -EINVAL,
          { 4, 1UL << 63 } },
#endif
    };
    ulong cr4;

    check_ret(set_debugreg(3, 0x1234), 0, "set_debugreg(3)");
    check_ret(set_debugreg(6, 0), 0, "set_debugreg(6)");
    check_ret(set_debugreg(7, 0x400), 0, "set_debugreg(7)");
    check_calls(calls);
    check_eq(HYPERCALL(get_debugreg, 3), 0x1234, "DR3 in the end");
    check_eq(HYPERCALL(get_debugreg, 7), 0x400, "DR7 in the end");
    check_eq((uint32_t)HYPERCALL(get_debugreg, 6), 0xffff0ff0, "DR6");
    check_ret(set_debugreg(6, 0xffffffff), 0, "set_debugreg(6)");
    check_eq((uint32_t)HYPERCALL(get_debugreg, 6), 0xffffefff, "DR6, all bits");
    check_ret(set_debugreg(7, 0xd800), 0, "set_debugreg(7)");
    check_eq(HYPERCALL(get_debugreg, 7), 0x400, "DR7, reserved bits");
    check_ret(set_debugreg(7, 0x20000), 0, "DR7, an I/O breakpoint, inactive");
    check_eq(HYPERCALL(get_debugreg, 7), 0x20400, "DR7");
    check_ret(set_debugreg(4, 0), 0, "DR4, which is DR6");
    check_eq((uint32_t)HYPERCALL(get_debugreg, 4), 0xffff0ff0, "DR4");
    check_ret(set_debugreg(5, 0), 0, "DR5, which is DR7");
    check_eq(HYPERCALL(get_debugreg, 5), 0x400, "DR5");

    asm volatile("mov %%cr4, %0" : "=r" (cr4));
    write_cr4(cr4 | CR4_DE);
    check_ret(set_debugreg(4, 0), -ENODEV, "DR4 with CR4.DE");
    check_ret(set_debugreg(5, 0), -ENODEV, "DR5 with CR4.DE");
    check_ret(HYPERCALL(get_debugreg, 4), -ENODEV, "DR4 with CR4.DE, read");
    check_ret(HYPERCALL(get_debugreg, 5), -ENODEV, "DR5 with CR4.DE, read");
    check_ret(set_debugreg(0, 0x60), 0, "set_debugreg(0)");
    /* Domain 0 may have a port to break on */
    check_ret(set_debugreg(7, 0x20002), is_initdomain() ? 0 : -EPERM,
              "an I/O breakpoint with CR4.DE");
    check_ret(set_debugreg(7, 0), 0, "set_debugreg(7)");
    write_cr4(cr4);
}

/* --- The rest of the registers --- */

static const struct call register_calls[] = {
    { "fpu_taskswitch(1)", __HYPERVISOR_fpu_taskswitch, 0, { 1 } },
    { "fpu_taskswitch(99)", __HYPERVISOR_fpu_taskswitch, 0, { 99 } },
    { "fpu_taskswitch(0)", __HYPERVISOR_fpu_taskswitch, 0, { 0 } },
#ifdef __x86_64__
    { "SEGBASE_FS", __HYPERVISOR_set_segment_base, 0, { SEGBASE_FS, 0 } },
    { "SEGBASE_GS_USER", __HYPERVISOR_set_segment_base, 0,
      { SEGBASE_GS_USER, 0 } },
    { "SEGBASE_GS_KERNEL", __HYPERVISOR_set_segment_base, 0,
      { SEGBASE_GS_KERNEL, 0 } },
    { "SEGBASE_FS, not canonical", __HYPERVISOR_set_segment_base, -EINVAL,
      { SEGBASE_FS, NONCANONICAL } },
    { "SEGBASE_GS_USER, not canonical", __HYPERVISOR_set_segment_base, -EINVAL,
      { SEGBASE_GS_USER, NONCANONICAL } },
    { "SEGBASE_GS_KERNEL, not canonical", __HYPERVISOR_set_segment_base,
      -EINVAL, { SEGBASE_GS_KERNEL, NONCANONICAL } },
    { "SEGBASE_GS_USER_SEL", __HYPERVISOR_set_segment_base, 0,
      { SEGBASE_GS_USER_SEL, 0 } },
    /* A selector that cannot be loaded is null instead */
    { "SEGBASE_GS_USER_SEL, bad", __HYPERVISOR_set_segment_base, 0,
      { SEGBASE_GS_USER_SEL, 0xfff8 } },
    { "set_segment_base 4", __HYPERVISOR_set_segment_base, -EINVAL, { 4, 0 } },
#else
    { "set_segment_base", __HYPERVISOR_set_segment_base, -ENOSYS,
      { SEGBASE_FS, 0 } },
#endif
};

/* --- Time and scheduling --- */

static evtchn_port_t no_port[1];
static struct sched_poll many = { no_port, 129 };
static struct sched_poll nowhere = { (evtchn_port_t *)HV_POINTER, 1 };
static struct sched_poll unmapped = { (evtchn_port_t *)BAD_POINTER, 1, 1 };
static struct sched_poll bad_port = { no_port, 1, 1 };
static struct sched_poll in_vain = { no_port, 0, 1 };
static struct {
    uint32_t id, timeout;
} watchdog;

static const struct call sched_calls[] = {
    { "yield", __HYPERVISOR_sched_op, 0, { SCHEDOP_yield } },
    { "shutdown, bad pointer", __HYPERVISOR_sched_op, -EFAULT,
      { SCHEDOP_shutdown, BAD_POINTER } },
    { "poll, bad pointer", __HYPERVISOR_sched_op, -EFAULT,
      { SCHEDOP_poll, BAD_POINTER } },
    { "poll of 129 ports", __HYPERVISOR_sched_op, -EINVAL,
      { SCHEDOP_poll, (ulong)&many } },
    { "poll of the hypervisor's memory", __HYPERVISOR_sched_op, -EFAULT,
      { SCHEDOP_poll, (ulong)&nowhere } },
    { "poll, ports unmapped", __HYPERVISOR_sched_op, -EFAULT,
      { SCHEDOP_poll, (ulong)&unmapped } },
    { "poll of port 0", __HYPERVISOR_sched_op, -EINVAL,
      { SCHEDOP_poll, (ulong)&bad_port } },
    { "poll of nothing, until now", __HYPERVISOR_sched_op, 0,
      { SCHEDOP_poll, (ulong)&in_vain } },
    { "watchdog, bad pointer", __HYPERVISOR_sched_op, -EFAULT,
      { SCHEDOP_watchdog, BAD_POINTER } },
    { "pin_override", __HYPERVISOR_sched_op, -EPERM,
      { SCHEDOP_pin_override, BAD_POINTER }, .dom0 = -EFAULT },
    { "sched_op 8", __HYPERVISOR_sched_op, -ENOSYS, { 8 } },
    { "compat yield", __HYPERVISOR_sched_op_compat, 0, { SCHEDOP_yield } },
    { "compat 3", __HYPERVISOR_sched_op_compat, -ENOSYS, { 3 } },
    { "compat 4", __HYPERVISOR_sched_op_compat, -ENOSYS, { 4 } },
    { "set_timer_op(0)", __HYPERVISOR_set_timer_op, 0, { 0, 0 } },
    { "set_timer_op, far ahead", __HYPERVISOR_set_timer_op, 0, { ~0UL, ~0UL } },
    { "set_timer_op(0)", __HYPERVISOR_set_timer_op, 0, { 0, 0 } },
};

static void watchdogs(void)
{
    watchdog.id = 3;
    watchdog.timeout = 10;
    check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), -EINVAL,
              "watchdog 3 of 2");
    watchdog.id = 1;
    check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), -EINVAL,
              "watchdog 1, which is not set");
    watchdog.id = 0;
    check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), 1,
              "a watchdog");
    check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), 2,
              "another watchdog");
    /* Xen's error is an unsigned int here */
    check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog),
              (uint32_t)-ENOSPC, "a third watchdog");
    for (watchdog.id = 1; watchdog.id < 3; watchdog.id++) {
        watchdog.timeout = 20;
        check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), 0,
                  "the watchdog once more");
        watchdog.timeout = 0;
        check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), 0,
                  "the watchdog off");
        check_ret(HYPERCALL(sched_op, SCHEDOP_watchdog, &watchdog), -EINVAL,
                  "the watchdog off again");
    }
}

static void blocking(void)
{
    /* An event is pending: no reason to wait */
    mask_upcalls();
    vcpu_info()->evtchn_upcall_pending = 1;
    check_ret(HYPERCALL(sched_op, SCHEDOP_block), 0, "block");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the mask after block");
    mask_upcalls();
    vcpu_info()->evtchn_upcall_pending = 1;
    check_ret(HYPERCALL(sched_op_compat, SCHEDOP_block), 0, "compat block");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the mask after block");
}

/* --- vCPUs --- */

static struct vcpu_set_periodic_timer short_period = { 999999 };
static struct vcpu_set_periodic_timer long_period = { 1ULL << 63 };
static struct vcpu_set_periodic_timer period = { 1000000000 };
static struct vcpu_set_singleshot_timer timeout = { 1ULL << 60 };
static struct vcpu_runstate_info info;
static ulong info_at = (ulong)&info, info_nowhere = HV_POINTER;
static struct vcpu_time_info time;
static ulong time_at = (ulong)&time;
static char page[PAGE_SIZE];
static struct {
    uint64_t mfn;
    uint32_t offset, rsvd;
} vcpu_info_at;

#define V(op, cpu, arg) VCPUOP_##op, cpu, (ulong)(arg)
static const struct call vcpu_calls[] = {
    { "vcpu_op 14", __HYPERVISOR_vcpu_op, -ENOSYS, { 14 } },
    { "vcpu_op of no vCPU", __HYPERVISOR_vcpu_op, -ENOENT, { 99, 8192 } },
    { "up", __HYPERVISOR_vcpu_op, 0, { V(up, 0, 0) } },
    { "is_up", __HYPERVISOR_vcpu_op, 1, { V(is_up, 0, BAD_POINTER) } },
    { "get_runstate_info", __HYPERVISOR_vcpu_op, 0,
      { V(get_runstate_info, 0, &info) } },
    { "get_runstate_info, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(get_runstate_info, 0, BAD_POINTER) } },
    { "register_runstate, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(register_runstate_memory_area, 0, BAD_POINTER) } },
    { "register_runstate of the hypervisor's memory", __HYPERVISOR_vcpu_op,
      -EFAULT, { V(register_runstate_memory_area, 0, &info_nowhere) } },
    { "register_runstate", __HYPERVISOR_vcpu_op, 0,
      { V(register_runstate_memory_area, 0, &info_at) } },
    { "set_periodic_timer, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(set_periodic_timer, 0, BAD_POINTER) } },
    { "set_periodic_timer, too short", __HYPERVISOR_vcpu_op, -EINVAL,
      { V(set_periodic_timer, 0, &short_period) } },
    { "set_periodic_timer, too long", __HYPERVISOR_vcpu_op, -EINVAL,
      { V(set_periodic_timer, 0, &long_period) } },
    { "set_periodic_timer", __HYPERVISOR_vcpu_op, 0,
      { V(set_periodic_timer, 0, &period) } },
    { "stop_periodic_timer", __HYPERVISOR_vcpu_op, 0,
      { V(stop_periodic_timer, 0, BAD_POINTER) } },
    { "set_singleshot_timer, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(set_singleshot_timer, 0, BAD_POINTER) } },
    { "set_singleshot_timer", __HYPERVISOR_vcpu_op, 0,
      { V(set_singleshot_timer, 0, &timeout) } },
    { "stop_singleshot_timer", __HYPERVISOR_vcpu_op, 0,
      { V(stop_singleshot_timer, 0, BAD_POINTER) } },
    { "register_vcpu_info, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(register_vcpu_info, 0, BAD_POINTER) } },
    { "send_nmi with an argument", __HYPERVISOR_vcpu_op, -EINVAL,
      { V(send_nmi, 0, 1) } },
    { "register_vcpu_time, bad pointer", __HYPERVISOR_vcpu_op, -EFAULT,
      { V(register_vcpu_time_memory_area, 0, BAD_POINTER) } },
    { "register_vcpu_time of the hypervisor's memory", __HYPERVISOR_vcpu_op,
      -EFAULT, { V(register_vcpu_time_memory_area, 0, &info_nowhere) } },
    { "register_vcpu_time", __HYPERVISOR_vcpu_op, 0,
      { V(register_vcpu_time_memory_area, 0, &time_at) } },
};

static void place_vcpu_info(const char *what, ulong mfn, uint32_t offset,
                            long expected)
{
    vcpu_info_at.mfn = mfn;
    vcpu_info_at.offset = offset;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &vcpu_info_at),
              expected, "register_vcpu_info, %s", what);
}

static void vcpus(void)
{
    check_calls(vcpu_calls);
    check_eq(info.state, 0, "the state of who asks");
    check(time.tsc_to_system_mul != 0, "there is no time in the area for it");
    if (!is_initdomain()) {
        check_ret(HYPERCALL(vcpu_op, VCPUOP_get_physid, 0, page), -EINVAL,
                  "get_physid");
    }
    place_vcpu_info("not aligned", virt_to_mfn(page), 1, -ENXIO);
    place_vcpu_info("over the end", virt_to_mfn(page), 4096 - 32, -ENXIO);
    place_vcpu_info("beyond the end", virt_to_mfn(page), 0xfffffff8, -ENXIO);
    place_vcpu_info("no frame", NO_FRAME, 0, -EINVAL);
    place_vcpu_info("a page table", virt_to_mfn((void *)start_info->pt_base), 0,
                    -EINVAL);
}

void test_main(void)
{
    user_init();
    trap_table();
    callbacks();
    descriptor_tables();
    descriptors();
    debug_registers();
    check_ret(HYPERCALL(stack_switch, FLAT_KERNEL_SS, BAD_POINTER), 0,
              "stack_switch");
    check_calls(register_calls);
    check_calls(sched_calls);
    watchdogs();
    blocking();
    vcpus();
}
