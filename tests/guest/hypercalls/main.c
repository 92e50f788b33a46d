/*
 * Hypercalls: both ways in, unknown numbers, bad arguments.
 *
 * Kernels probe for hypercalls and sub-operations by calling them, and tell by
 * the error what to do without; an error that is not Xen's, or a bad pointer
 * that is not answered by -EFAULT, sends them down paths that were never meant
 * for it. No hypercall may change a register other than the result.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static void two_ways(void)
{
    long page = HYPERCALL(xen_version, XENVER_version);
    long raw = raw_hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0);

    check_eq(raw, page, "the version without the hypercall page");
    check(page >> 16 >= 3 && page >> 16 < 6, "the version is %lx", page);

    for (int i = 0; i < 2; i++) {
        static const unsigned unknown[] = {
            11, 27, 45, 47, 55, 63, 64, 100, 0x1000, 0x7fffffff, 0x80000000,
            0xffffffff
        };

        for (unsigned j = 0; j < ARRAY_SIZE(unknown); j++) {
            /* 27 is for security modules that nobody has */
            if (unknown[j] != 27) {
                check_ret(raw_hypercall(unknown[j], 0, 0, 0), -ENOSYS,
                          "hypercall %u", unknown[j]);
            }
        }
    }
#ifdef __x86_64__
    {
        /* The number is all of RAX */
        long ret;

        asm volatile("syscall" : "=a" (ret)
                     : "0" ((1UL << 32) | __HYPERVISOR_xen_version), "D" (0UL)
                     : "rcx", "r11", "rsi", "rdx", "r8", "r9", "r10",
                       "memory");
        check(ret == -ENOSYS || ret == page, "hypercall 1 << 32 | 17: %ld",
              ret);
    }
#endif
}

/* A hypercall with the arguments 0 and 0, which changes no other register */
static void registers(unsigned nr)
{
    long ok;

#ifdef __x86_64__
    asm volatile("mov $0x101, %%ebx; mov $0x106, %%r12d; mov $0x107, %%r13d\n"
                 "mov $0x108, %%r15d; mov %%rsp, %%r14\n"
                 "mov $0x109, %%ecx; mov $0x10a, %%r11d\n"
                 "xor %%edi, %%edi; xor %%esi, %%esi\n"
                 "call *%[entry]\n"
                 "cmp $0x101, %%ebx; jne 1f; cmp $0x106, %%r12d; jne 1f\n"
                 "cmp $0x107, %%r13d; jne 1f; cmp $0x108, %%r15d; jne 1f\n"
                 "cmp $0x109, %%ecx; jne 1f; cmp $0x10a, %%r11d; jne 1f\n"
                 "cmp %%r14, %%rsp; jne 1f\n"
                 "mov $1, %%eax; jmp 2f\n"
                 "1: xor %%eax, %%eax\n2:"
                 : "=a" (ok)
                 : [entry] "0" (hypercall_page + nr * 32)
                 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                   "r12", "r13", "r14", "r15", "memory", "cc");
#else
    asm volatile("push %%ebp; mov %%esp, %%ebp; xor %%ebx, %%ebx\n"
                 "xor %%ecx, %%ecx\n"
                 "mov $0x103, %%edx; mov $0x104, %%esi; mov $0x105, %%edi\n"
                 "call *%[entry]\n"
                 "cmp %%ebp, %%esp; jne 1f\n"
                 "cmp $0x103, %%edx; jne 1f; cmp $0x104, %%esi; jne 1f\n"
                 "cmp $0x105, %%edi; jne 1f\n"
                 "mov $1, %%eax; jmp 2f\n"
                 "1: xor %%eax, %%eax\n2: pop %%ebp"
                 : "=a" (ok)
                 : [entry] "0" (hypercall_page + nr * 32)
                 : "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
#endif
    check(ok, "hypercall %u changes registers", nr);
}

static void version(void)
{
    static char text[1024];
    struct xen_feature_info f;
    ulong virt_start = 0;
    static const struct {
        unsigned cmd;
        const char *name;
    } writers[] = {
        { XENVER_extraversion, "XENVER_extraversion" },
        { XENVER_compile_info, "XENVER_compile_info" },
        { XENVER_capabilities, "XENVER_capabilities" },
        { XENVER_changeset, "XENVER_changeset" },
        { XENVER_platform_parameters, "XENVER_platform_parameters" },
        { XENVER_get_features, "XENVER_get_features" },
        { XENVER_guest_handle, "XENVER_guest_handle" },
        { XENVER_commandline, "XENVER_commandline" },
    };

    check_ret(HYPERCALL(xen_version, XENVER_capabilities, text), 0,
              "XENVER_capabilities");
    {
        const char *want = IS_64BIT ? "xen-3.0-x86_64" : "xen-3.0-x86_32p";
        bool found = false;

        for (const char *s = text; *s; s++) {
            found |= memcmp(s, want, strlen(want)) == 0;
        }
        check(found, "the capabilities are \"%s\"", text);
    }
    check_ret(HYPERCALL(xen_version, XENVER_extraversion, text), 0,
              "XENVER_extraversion");
    check(strlen(text) < 16, "the extra version is too long");
    check_ret(HYPERCALL(xen_version, XENVER_platform_parameters, &virt_start),
              0, "XENVER_platform_parameters");
    check(virt_start >= (IS_64BIT ? (ulong)0xffff800000000000ULL :
                         0xf5800000UL), "virt_start is %lx", virt_start);
    f.submap_idx = 0;
    check_ret(HYPERCALL(xen_version, XENVER_get_features, &f), 0,
              "XENVER_get_features");
    /* writable page tables, auto-translated, supervisor_mode_kernel: no */
    check_eq(f.submap & 0xd, 0, "features that PV guests do not have");
    check(f.submap & 1 << 5, "mmu_pt_update_preserve_ad is missing");
    f.submap_idx = 1000;
    check_ret(HYPERCALL(xen_version, XENVER_get_features, &f), -EINVAL,
              "XENVER_get_features of a page that is not there");
    check_ret(HYPERCALL(xen_version, XENVER_pagesize, 0), PAGE_SIZE,
              "XENVER_pagesize");
    check_ret(HYPERCALL(xen_version, 99, text), -ENOSYS, "XENVER 99");

    for (unsigned i = 0; i < ARRAY_SIZE(writers); i++) {
        check_ret(HYPERCALL(xen_version, writers[i].cmd, BAD_POINTER),
                  -EFAULT, "%s, bad pointer", writers[i].name);
        check_ret(HYPERCALL(xen_version, writers[i].cmd, HV_POINTER),
                  -EFAULT, "%s, the hypervisor's memory", writers[i].name);
        /* Page tables are read-only for the hypervisor, too */
        if (writers[i].cmd == XENVER_get_features) {
            continue;           /* what is there would be its argument */
        }
        check_ret(HYPERCALL(xen_version, writers[i].cmd, start_info->pt_base),
                  -EFAULT, "%s, read-only", writers[i].name);
    }
}

static void bad_pointers(void)
{
    static const struct {
        const char *name;
        unsigned nr;
        ulong a1, a2, a3;
        unsigned pointer;       /* which argument */
    } cases[] = {
        { "set_trap_table", __HYPERVISOR_set_trap_table, .pointer = 1 },
        { "set_gdt", __HYPERVISOR_set_gdt, 0, 512, .pointer = 1 },
        { "multicall", __HYPERVISOR_multicall, 0, 1, .pointer = 1 },
        { "console_io", __HYPERVISOR_console_io, CONSOLEIO_write, 4,
          .pointer = 3 },
        { "sched_op shutdown", __HYPERVISOR_sched_op, SCHEDOP_shutdown,
          .pointer = 2 },
        { "sched_op poll", __HYPERVISOR_sched_op, SCHEDOP_poll, .pointer = 2 },
        { "event_channel_op bind_virq", __HYPERVISOR_event_channel_op,
          EVTCHNOP_bind_virq, .pointer = 2 },
        { "event_channel_op bind_ipi", __HYPERVISOR_event_channel_op,
          EVTCHNOP_bind_ipi, .pointer = 2 },
        { "event_channel_op send", __HYPERVISOR_event_channel_op,
          EVTCHNOP_send, .pointer = 2 },
        { "event_channel_op unmask", __HYPERVISOR_event_channel_op,
          EVTCHNOP_unmask, .pointer = 2 },
        { "event_channel_op status", __HYPERVISOR_event_channel_op,
          EVTCHNOP_status, .pointer = 2 },
        { "callback_op register", __HYPERVISOR_callback_op,
          CALLBACKOP_register, .pointer = 2 },
        { "vcpu_op set_singleshot_timer", __HYPERVISOR_vcpu_op,
          VCPUOP_set_singleshot_timer, 0, .pointer = 3 },
        { "vcpu_op get_runstate_info", __HYPERVISOR_vcpu_op,
          VCPUOP_get_runstate_info, 0, .pointer = 3 },
        { "memory_op maximum_reservation", __HYPERVISOR_memory_op,
          XENMEM_maximum_reservation, .pointer = 2 },
        { "memory_op machphys_mapping", __HYPERVISOR_memory_op,
          XENMEM_machphys_mapping, .pointer = 2 },
        { "physdev_op set_iopl", __HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl,
          .pointer = 2 },
    };
    static const ulong pointers[] = { BAD_POINTER, HV_POINTER };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(pointers); j++) {
            ulong a[] = { cases[i].a1, cases[i].a2, cases[i].a3 };

            a[cases[i].pointer - 1] = pointers[j];
            check_ret(hypercall(cases[i].nr, a[0], a[1], a[2], 0, 0), -EFAULT,
                      "%s(%lx)", cases[i].name, pointers[j]);
        }
    }
}

static void bad_arguments(void)
{
    struct evtchn_bind_virq virq = { VIRQ_TIMER, 0, 0 };
    struct evtchn_bind_ipi ipi = { 1, 0 };
    struct evtchn_status status = { .dom = DOMID_SELF, .port = 0 };
    struct evtchn_port port = { 1023 };
    uint32_t iopl = 4;
    uint16_t self = DOMID_SELF;
    ulong frame = virt_to_mfn((void *)start_info->pt_base);

    check_ret(HYPERCALL(sched_op, 99, 0), -ENOSYS, "sched_op 99");
    check_ret(HYPERCALL(event_channel_op, 99, &virq), -ENOSYS,
              "event_channel_op 99");
    check_ret(HYPERCALL(memory_op, 63, 0), -ENOSYS, "memory_op 63");
    check_ret(HYPERCALL(callback_op, 99, 0), IS_64BIT ? -ENOSYS : -EINVAL,
              "callback_op 99");
    check_ret(HYPERCALL(vcpu_op, 99, 0, 0), -ENOSYS, "vcpu_op 99");
    check_ret(HYPERCALL(physdev_op, 99, 0), -ENOSYS, "physdev_op 99");
    check_ret(HYPERCALL(vm_assist, 99, VMASST_TYPE_writable_pagetables),
              -ENOSYS, "vm_assist 99");
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_enable, 31), -EINVAL,
              "vm_assist of type 31");
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_enable, 1000), -EINVAL,
              "vm_assist of type 1000");

    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &virq), 0,
              "bind_virq");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &virq), -EEXIST,
              "bind_virq again");
    status.port = port.port = virq.port;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, &port), 0, "close");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, &port), -EINVAL,
              "close again");
    virq.virq = 24;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &virq), -EINVAL,
              "bind_virq of VIRQ 24");
    virq.virq = VIRQ_TIMER;
    virq.vcpu = 1;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &virq), -ENOENT,
              "bind_virq to vCPU 1");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &ipi), -ENOENT,
              "bind_ipi to vCPU 1");
    port.port = 1023;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_send, &port), -EINVAL,
              "send on a free port");
    port.port = 200000;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_send, &port), -EINVAL,
              "send on no port");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_unmask, &port), -EINVAL,
              "unmask of no port");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, &port), -EINVAL,
              "close of no port");
    port.port = 0;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, &port), -EINVAL,
              "close of port 0");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &status), 0,
              "status of a free port");
    check_eq(status.status, EVTCHNSTAT_closed, "the status of a free port");

    check_ret(HYPERCALL(set_gdt, &frame, 8192), -EINVAL,
              "set_gdt of 8192 entries");
    check_ret(HYPERCALL(set_gdt, &frame, 512), -EINVAL,
              "set_gdt with a page table");
    check_ret(update_descriptor((uint64_t)frame << PAGE_SHIFT, 0), -EINVAL,
              "update_descriptor in a page table");
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), -EINVAL,
              "set_iopl(4)");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_is_up, 0, 0), 1, "VCPUOP_is_up of 0");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_is_up, 1, 0), -ENOENT,
              "VCPUOP_is_up of 1");
    check(HYPERCALL(memory_op, XENMEM_current_reservation, &self) > 0,
          "XENMEM_current_reservation");
#ifdef __x86_64__
    check_ret(HYPERCALL(set_segment_base, 99, 0), -EINVAL,
              "set_segment_base 99");
    check_ret(HYPERCALL(set_segment_base, SEGBASE_FS, 0x800000000000UL),
              -EINVAL, "set_segment_base, not canonical");
#endif
    check_ret(HYPERCALL(set_debugreg, 7, 0xffffffff), -EPERM,
              "set_debugreg(7) with all bits");
    if (IS_64BIT) {
        check_ret(HYPERCALL(set_debugreg, 0, HV_POINTER), -EPERM,
                  "set_debugreg(0), the hypervisor's");
    }
    check_ret(HYPERCALL(set_debugreg, 8, 0), -ENODEV,
              "set_debugreg(8)");
}

#ifdef __x86_64__
/* Commands, counts and vCPUs are 32-bit numbers, what is above them is not */
#define ABOVE   (0x12345UL << 32)
static const struct call above_calls[] = {
    { "mmu_update of 0", __HYPERVISOR_mmu_update, 0,
      { BAD_POINTER, ABOVE, 0, DOMID_SELF } },
    { "set_gdt of 0", __HYPERVISOR_set_gdt, 0, { BAD_POINTER, ABOVE } },
    { "fpu_taskswitch(0)", __HYPERVISOR_fpu_taskswitch, 0, { ABOVE } },
    { "sched_op_compat", __HYPERVISOR_sched_op_compat, 0,
      { ABOVE | SCHEDOP_yield } },
    { "set_debugreg", __HYPERVISOR_set_debugreg, 0, { ABOVE | 7, 0x400 } },
    { "get_debugreg", __HYPERVISOR_get_debugreg, 0x400, { ABOVE | 7 } },
    { "multicall of 0", __HYPERVISOR_multicall, 0, { BAD_POINTER, ABOVE } },
    { "xen_version", __HYPERVISOR_xen_version, PAGE_SIZE,
      { ABOVE | XENVER_pagesize } },
    { "console_io", __HYPERVISOR_console_io, 0,
      { ABOVE | CONSOLEIO_write, ABOVE, BAD_POINTER } },
    { "grant_table_op", __HYPERVISOR_grant_table_op, 0,
      { ABOVE | 0, BAD_POINTER, ABOVE } },
    { "vm_assist", __HYPERVISOR_vm_assist, 0,
      { ABOVE | VMASST_CMD_disable, ABOVE | VMASST_TYPE_4gb_segments } },
    { "vcpu_op", __HYPERVISOR_vcpu_op, 1, { ABOVE | VCPUOP_is_up, ABOVE } },
    { "set_segment_base", __HYPERVISOR_set_segment_base, 0,
      { ABOVE | SEGBASE_GS_USER_SEL } },
    { "mmuext_op of 0", __HYPERVISOR_mmuext_op, 0,
      { BAD_POINTER, ABOVE, 0, DOMID_SELF } },
    { "nmi_op", __HYPERVISOR_nmi_op, 0, { ABOVE | 1 } },
    { "sched_op", __HYPERVISOR_sched_op, 0, { ABOVE | SCHEDOP_yield } },
    { "callback_op", __HYPERVISOR_callback_op, -EFAULT,
      { ABOVE | CALLBACKOP_register, BAD_POINTER } },
    { "event_channel_op", __HYPERVISOR_event_channel_op, -EFAULT,
      { ABOVE | EVTCHNOP_send, BAD_POINTER } },
    { "physdev_op", __HYPERVISOR_physdev_op, -EFAULT,
      { ABOVE | PHYSDEVOP_set_iopl, BAD_POINTER } },
};
#endif

/* Two ports of one's own, connected */
static unsigned nr_events;

static void handler(evtchn_port_t port)
{
    nr_events++;
}

static void loopback(void)
{
    struct evtchn_alloc_unbound alloc = { DOMID_SELF, DOMID_SELF, 0 };
    struct evtchn_bind_interdomain bind = { DOMID_SELF, 0, 0 };
    struct evtchn_status status = { .dom = DOMID_SELF };

    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_alloc_unbound, &alloc), 0,
              "alloc_unbound");
    status.port = alloc.port;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &status), 0,
              "status");
    check_eq(status.status, EVTCHNSTAT_unbound, "the status");
    bind.remote_port = alloc.port;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_interdomain, &bind), 0,
              "bind_interdomain");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_interdomain, &bind),
              -EINVAL, "bind_interdomain again");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &status), 0,
              "status");
    check_eq(status.status, EVTCHNSTAT_interdomain, "the status");
    check_eq(status.u.interdomain.port, bind.local_port, "the other port");

    set_event_handler(alloc.port, handler);
    set_event_handler(bind.local_port, handler);
    unmask_port(alloc.port);
    unmask_port(bind.local_port);
    unmask_upcalls();
    nr_events = 0;
    check_ret(send_event(alloc.port), 0, "send");
    check_eq(nr_events, 1, "events at the other port");
    check_ret(send_event(bind.local_port), 0, "send back");
    check_eq(nr_events, 2, "events in all");
    close_port(alloc.port);
    check_ret(send_event(bind.local_port), 0,
              "send when the other port is closed");
    close_port(bind.local_port);
}

#ifdef __x86_64__
static ulong read_gs0(void)
{
    ulong val;

    asm volatile("mov %%gs:0, %0" : "=r" (val));
    return val;
}

static ulong read_fs0(void)
{
    ulong val;

    asm volatile("mov %%fs:0, %0" : "=r" (val));
    return val;
}

static __user ulong user_gs0(ulong a, ulong b)
{
    ulong val;

    asm volatile("mov %%gs:0, %0" : "=r" (val));
    return val;
}

static __user ulong user_fs0(ulong a, ulong b)
{
    ulong val;

    asm volatile("mov %%fs:0, %0" : "=r" (val));
    return val;
}

static void segment_bases(void)
{
    static ulong a = 0xaaaa, b = 0xbbbb;
    struct trap t;
    ulong val;

    user_init();
    *(ulong *)user_data = 0xcccc;
    *(ulong *)(user_data + 8) = 0xdddd;
    check_ret(HYPERCALL(set_segment_base, SEGBASE_GS_KERNEL, &a), 0,
              "SEGBASE_GS_KERNEL");
    check_ret(HYPERCALL(set_segment_base, SEGBASE_GS_USER, USER_DATA), 0,
              "SEGBASE_GS_USER");
    check_ret(HYPERCALL(set_segment_base, SEGBASE_FS, &b), 0, "SEGBASE_FS");
    check_eq(read_gs0(), 0xaaaa, "by the kernel's GS base");
    check_eq(read_fs0(), 0xbbbb, "by the FS base");
    check(!call_user(user_gs0, 0, 0, &val, &t) && val == 0xcccc,
          "by the user's GS base: %lx", val);
    check_eq(read_gs0(), 0xaaaa, "by the kernel's GS base, after user mode");
    HYPERCALL(set_segment_base, SEGBASE_FS, USER_DATA + 8);
    check(!call_user(user_fs0, 0, 0, &val, &t) && val == 0xdddd,
          "by the FS base in user mode: %lx", val);
    check_eq(read_gs0(), 0xaaaa, "by the kernel's GS base, after user mode");
    check_ret(HYPERCALL(set_segment_base, SEGBASE_GS_USER_SEL, 0), 0,
              "SEGBASE_GS_USER_SEL");
}
#endif

void test_main(void)
{
    two_ways();
    registers(__HYPERVISOR_xen_version);
    registers(__HYPERVISOR_sched_op_compat);    /* yields */
    version();
    bad_pointers();
    bad_arguments();
#ifdef __x86_64__
    check_calls(above_calls);
#endif
    loopback();
#ifdef __x86_64__
    segment_bases();
#endif
}
