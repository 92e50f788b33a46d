/*
 * Hypercalls about the domain, with everything that they refuse.
 *
 * The version, assists, event channels and physical devices, also
 * by the calls of before Xen 3.2.2, and what is for other kinds of domains or
 * for privileged ones: each sub-operation succeeds with what it is for, and
 * what it refuses gives Xen's error and changes nothing. Where an error is due
 * to a domU's rights, domain 0 under Xen cannot show it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NOBODY      77
#define NO_PORT     200000

/* --- The version --- */

static struct xen_feature_info features;

static const struct call version_calls[] = {
    { "XENVER_get_features", __HYPERVISOR_xen_version, 0,
      { XENVER_get_features, (ulong)&features } },
    { "XENVER_pagesize", __HYPERVISOR_xen_version, 4096, { XENVER_pagesize } },
    { "XENVER_pagesize with an argument", __HYPERVISOR_xen_version, -EINVAL,
      { XENVER_pagesize, 1 } },
    { "XENVER 11", __HYPERVISOR_xen_version, -ENOSYS, { 11 } },
    { "XENVER -1", __HYPERVISOR_xen_version, -ENOSYS, { ~0UL } },
};

/* Each fills all of its buffer, and nothing behind it */
static void version_texts(void)
{
    static const struct {
        unsigned cmd, size;
        const char *name;
    } texts[] = {
        { XENVER_extraversion, 16, "extraversion" },
        { XENVER_compile_info, 64 + 16 + 32 + 32, "compile_info" },
        { XENVER_capabilities, 1024, "capabilities" },
        { XENVER_changeset, 64, "changeset" },
        { XENVER_platform_parameters, sizeof(ulong), "platform_parameters" },
        { XENVER_guest_handle, 16, "guest_handle" },
    };
    static char text[1100];

    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        memset(text, 0x55, sizeof(text));
        check_ret(HYPERCALL(xen_version, texts[i].cmd, text), 0, "XENVER_%s",
                  texts[i].name);
        check(text[texts[i].size - 1] != 0x55, "XENVER_%s writes too little",
              texts[i].name);
        check(text[texts[i].size] == 0x55, "XENVER_%s writes too much",
              texts[i].name);
    }
    /*
     * pae_pgdir_above_4gb, mmu_pt_update_preserve_ad, highmem_assist,
     * gnttab_map_avail_bits, memory_op_vnode_supported, direct_mapped
     */
    check_eq(features.submap & ~(1u << 11), 0x220f0, "features but dom0");
    /* What is for domain 0 is not for others */
    if (!is_initdomain()) {
        check_ret(HYPERCALL(xen_version, XENVER_commandline, text), 0,
                  "XENVER_commandline");
        check(!strcmp(text, "<denied>"), "the command line is \"%s\"", text);
        check_ret(HYPERCALL(xen_version, XENVER_build_id, 0), -EPERM,
                  "XENVER_build_id");
    }
}

/* --- Assists --- */

#define A(type) VMASST_CMD_enable, VMASST_TYPE_##type
static const struct call assist_calls[] = {
    { "4gb_segments", __HYPERVISOR_vm_assist, 0, { A(4gb_segments) } },
    { "4gb_segments_notify", __HYPERVISOR_vm_assist, 0,
      { A(4gb_segments_notify) } },
    { "writable_pagetables", __HYPERVISOR_vm_assist, 0,
      { A(writable_pagetables) } },
    { "pae_extended_cr3", __HYPERVISOR_vm_assist, 0, { A(pae_extended_cr3) } },
    { "runstate_update_flag", __HYPERVISOR_vm_assist, 0,
      { A(runstate_update_flag) } },
    { "m2p_strict", __HYPERVISOR_vm_assist, IS_64BIT ? 0 : -EINVAL,
      { A(m2p_strict) } },
    { "m2p_strict, off", __HYPERVISOR_vm_assist, IS_64BIT ? 0 : -EINVAL,
      { VMASST_CMD_disable, VMASST_TYPE_m2p_strict } },
    { "m2p_strict, command 2", __HYPERVISOR_vm_assist,
      IS_64BIT ? -ENOSYS : -EINVAL, { 2, VMASST_TYPE_m2p_strict } },
    { "type 6", __HYPERVISOR_vm_assist, -EINVAL, { VMASST_CMD_enable, 6 } },
    { "type 63", __HYPERVISOR_vm_assist, -EINVAL, { VMASST_CMD_enable, 63 } },
    { "type -1", __HYPERVISOR_vm_assist, -EINVAL, { VMASST_CMD_enable, ~0UL } },
    { "command 2", __HYPERVISOR_vm_assist, -ENOSYS,
      { 2, VMASST_TYPE_writable_pagetables } },
    { "command 2 of type 6", __HYPERVISOR_vm_assist, -EINVAL, { 2, 6 } },
};

/* --- Event channels --- */

static struct evtchn_bind_virq global_virq = { 2, 1 };
static struct evtchn_bind_virq no_virq = { 24, 0 };
static struct evtchn_bind_virq no_vcpu_virq = { VIRQ_TIMER, 4096 };
static struct evtchn_bind_ipi no_vcpu_ipi = { 4096 };
static struct {
    uint32_t pirq, flags;
    evtchn_port_t port;
} no_pirq = { 1000000 }, some_pirq = { 5 };
static struct evtchn_port no_port = { NO_PORT }, port_0 = { 0 };
static struct evtchn_status nobodys = { .dom = NOBODY };
static struct evtchn_status no_status = { .dom = DOMID_SELF, .port = NO_PORT };
static struct evtchn_status status_0 = { .dom = DOMID_SELF, .port = 0 };
static struct evtchn_alloc_unbound alloc_nobody = { NOBODY, 0 };
static struct evtchn_alloc_unbound alloc_other = { 0, DOMID_SELF };
static struct evtchn_bind_interdomain bind_nobody = { NOBODY, 1 };
static struct evtchn_bind_interdomain bind_none = { DOMID_SELF, NO_PORT };
static struct evtchn_bind_interdomain bind_0 = { DOMID_SELF, 0 };
static struct evtchn_bind_vcpu vcpu_none = { NO_PORT, 0 };
static struct evtchn_bind_vcpu vcpu_0 = { 0, 0 };
static struct evtchn_bind_vcpu vcpu_4096 = { 0, 4096 };
static struct evtchn_reset reset_nobody = { NOBODY }, reset_other = { 0 };

#define E(op, arg) EVTCHNOP_##op, (ulong)(arg)
static const struct call event_calls[] = {
    { "bind_virq of a global one to vCPU 1", __HYPERVISOR_event_channel_op,
      -EINVAL, { E(bind_virq, &global_virq) } },
    { "bind_virq 24", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_virq, &no_virq) } },
    { "bind_virq to no vCPU", __HYPERVISOR_event_channel_op, -ENOENT,
      { E(bind_virq, &no_vcpu_virq) } },
    { "bind_ipi to no vCPU", __HYPERVISOR_event_channel_op, -ENOENT,
      { E(bind_ipi, &no_vcpu_ipi) } },
    { "bind_pirq of none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_pirq, &no_pirq) } },
    { "close of none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(close, &no_port) } },
    { "close of port 0", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(close, &port_0) } },
    { "send to none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(send, &no_port) } },
    { "send to port 0", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(send, &port_0) } },
    { "unmask of none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(unmask, &no_port) } },
    { "unmask of port 0", __HYPERVISOR_event_channel_op, 0,
      { E(unmask, &port_0) } },
    { "status of nobody's port", __HYPERVISOR_event_channel_op, -ESRCH,
      { E(status, &nobodys) } },
    { "status of none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(status, &no_status) } },
    { "status of port 0", __HYPERVISOR_event_channel_op, 0,
      { E(status, &status_0) } },
    { "alloc_unbound for nobody", __HYPERVISOR_event_channel_op, -ESRCH,
      { E(alloc_unbound, &alloc_nobody) } },
    { "bind_interdomain to nobody", __HYPERVISOR_event_channel_op, -ESRCH,
      { E(bind_interdomain, &bind_nobody) } },
    { "bind_interdomain to none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_interdomain, &bind_none) } },
    { "bind_interdomain to port 0", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_interdomain, &bind_0) } },
    { "bind_vcpu of none", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_vcpu, &vcpu_none) } },
    { "bind_vcpu of port 0", __HYPERVISOR_event_channel_op, -EINVAL,
      { E(bind_vcpu, &vcpu_0) } },
    { "bind_vcpu to none", __HYPERVISOR_event_channel_op, -ENOENT,
      { E(bind_vcpu, &vcpu_4096) } },
    { "reset of nobody", __HYPERVISOR_event_channel_op, -ESRCH,
      { E(reset, &reset_nobody) } },
    { "event_channel_op 15", __HYPERVISOR_event_channel_op, -ENOSYS, { 15 } },
    { "event_channel_op -1", __HYPERVISOR_event_channel_op, -ENOSYS,
      { ~0UL } },
};

static const struct call domu_event_calls[] = {
    { "bind_pirq", __HYPERVISOR_event_channel_op, -EPERM,
      { E(bind_pirq, &some_pirq) } },
    { "alloc_unbound for domain 0", __HYPERVISOR_event_channel_op, -EPERM,
      { E(alloc_unbound, &alloc_other) } },
    { "reset of domain 0", __HYPERVISOR_event_channel_op, -EPERM,
      { E(reset, &reset_other) } },
};

static void event_pointers(void)
{
    for (unsigned op = 0; op < EVTCHNOP_reset_cont; op++) {
        check_ret(HYPERCALL(event_channel_op, op, BAD_POINTER), -EFAULT,
                  "event_channel_op %u, bad pointer", op);
        check_ret(HYPERCALL(event_channel_op, op, HV_POINTER), -EFAULT,
                  "event_channel_op %u, the hypervisor's memory", op);
    }
    check_eq(status_0.status, EVTCHNSTAT_closed, "the status of port 0");
}

/* One structure for command and arguments, the form before 3.2.2 */
static struct {
    uint32_t cmd;
    union {
        struct evtchn_bind_virq virq;
        struct evtchn_bind_ipi ipi;
        struct evtchn_port port;
        struct evtchn_status status;
        uint32_t numbers[6];
    } u;
} old_op;

static long event_op_compat(uint32_t cmd)
{
    old_op.cmd = cmd;
    return HYPERCALL(event_channel_op_compat, &old_op);
}

/* What gives no answer is not written: a structure may be read-only */
static void readonly_structures(void)
{
    static union {
        struct evtchn_alloc_unbound unbound;
        struct evtchn_bind_vcpu vcpu;
        evtchn_port_t port;
    } *op;
    evtchn_port_t port;

    op = alloc_page();
    op->unbound = (struct evtchn_alloc_unbound) { DOMID_SELF, DOMID_SELF };
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_alloc_unbound, op), 0,
              "alloc_unbound");
    port = op->unbound.port;
    op->vcpu = (struct evtchn_bind_vcpu) { port, 0 };
    make_readonly(op);
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_vcpu, op), 0,
              "bind_vcpu of a read-only structure");
    make_writable(op);
    op->port = port;
    make_readonly(op);
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_send, op), 0,
              "send of a read-only structure");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, op), 0,
              "close of a read-only structure");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, op), -EINVAL,
              "close again");
    make_writable(op);
    op->unbound = (struct evtchn_alloc_unbound) { DOMID_SELF, DOMID_SELF };
    make_readonly(op);
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_alloc_unbound, op), -EFAULT,
              "alloc_unbound of a read-only structure");
    make_writable(op);
}

/* Where a structure ends with its page, and nothing is behind that */
static void at_the_end(void)
{
    char *page = alloc_page();
    uint32_t *cmd = (uint32_t *)(TEST_VA + PAGE_SIZE - 8);
    ulong *area = (ulong *)(TEST_VA + PAGE_SIZE - sizeof(ulong));

    map_page(TEST_VA, make_pte(virt_to_mfn(page), PAGE_KERNEL));
    map_page(TEST_VA + PAGE_SIZE, 0);
    /* All of the old structure is read, whatever the operation needs of it */
    cmd[0] = EVTCHNOP_close;
    cmd[1] = NO_PORT;
    check_ret(HYPERCALL(event_channel_op_compat, cmd), -EFAULT,
              "a part of a compat structure");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, cmd + 1), -EINVAL,
              "all of a structure");
    /* Of these, the address is read */
    *area = TEST_VA;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area),
              0, "register_runstate_memory_area");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0,
                        area), 0, "register_vcpu_time_memory_area");
    *area = HV_POINTER;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area),
              -EFAULT, "register_runstate_memory_area, not the guest's");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0,
                        area), -EFAULT,
              "register_vcpu_time_memory_area, not the guest's");
    *area = 0;
    HYPERCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area);
    HYPERCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, area);
}

static void old_events(void)
{
    evtchn_port_t port;

    check_ret(HYPERCALL(event_channel_op_compat, BAD_POINTER), -EFAULT,
              "compat, bad pointer");
    check_ret(HYPERCALL(event_channel_op_compat, HV_POINTER), -EFAULT,
              "compat, the hypervisor's memory");
    old_op.u.ipi = (struct evtchn_bind_ipi) { 0 };
    check_ret(event_op_compat(EVTCHNOP_bind_ipi), 0, "compat bind_ipi");
    port = old_op.u.ipi.port;
    check(port != 0, "compat bind_ipi gives no port");
    mask_port(port);
    old_op.u.port.port = port;
    check_ret(event_op_compat(EVTCHNOP_send), 0, "compat send");
    check(port_pending(port), "compat send sends nothing");
    clear_port(port);
    check_ret(event_op_compat(EVTCHNOP_unmask), 0, "compat unmask");
    check(!port_masked(port), "compat unmask does not unmask");
    old_op.u.status = (struct evtchn_status) { DOMID_SELF, port };
    check_ret(event_op_compat(EVTCHNOP_status), 0, "compat status");
    check_eq(old_op.u.status.status, EVTCHNSTAT_ipi, "the status");
    old_op.u.port.port = port;
    check_ret(event_op_compat(EVTCHNOP_close), 0, "compat close");
    check_ret(event_op_compat(EVTCHNOP_close), -EINVAL, "compat close again");
    old_op.u.virq = (struct evtchn_bind_virq) { 24, 0 };
    check_ret(event_op_compat(EVTCHNOP_bind_virq), -EINVAL,
              "compat bind_virq 24");
    for (uint32_t op = EVTCHNOP_reset; op < 17; op++) {
        check_ret(event_op_compat(op), -ENOSYS, "compat %u", op);
    }
}

/* --- Physical devices --- */

static uint32_t iopl_4 = 4, iopl_0;
static const uint8_t bits[8192];
static struct physdev_set_iobitmap map = { bits, 0 };
static struct physdev_set_iobitmap too_many = { bits, 65537 };
static struct physdev_set_iobitmap nowhere = { (void *)HV_POINTER, 1 };

#define P(op, arg) PHYSDEVOP_##op, (ulong)(arg)
static const struct call physdev_calls[] = {
    { "set_iopl(4)", __HYPERVISOR_physdev_op, -EINVAL, { P(set_iopl, &iopl_4) } },
    { "set_iopl(0)", __HYPERVISOR_physdev_op, 0, { P(set_iopl, &iopl_0) } },
    { "set_iobitmap of 65537 ports", __HYPERVISOR_physdev_op, -EINVAL,
      { P(set_iobitmap, &too_many) } },
    { "set_iobitmap of the hypervisor's memory", __HYPERVISOR_physdev_op,
      -EINVAL, { P(set_iobitmap, &nowhere) } },
    { "set_iobitmap", __HYPERVISOR_physdev_op, 0, { P(set_iobitmap, &map) } },
    { "physdev_op 99", __HYPERVISOR_physdev_op, -ENOSYS, { 99 } },
    { "physdev_op 3", __HYPERVISOR_physdev_op, -ENOSYS, { 3 } },
};

static void physdev(void)
{
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, BAD_POINTER), -EFAULT,
              "set_iopl, bad pointer");
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iobitmap, BAD_POINTER),
              -EFAULT, "set_iobitmap, bad pointer");
    check_calls(physdev_calls);
}

/* The form before 3.2.2 */
static struct {
    uint32_t cmd;
    union {
        uint32_t iopl, irq;
        struct physdev_set_iobitmap map;
        uint64_t numbers[3];
    } u __attribute__((aligned(sizeof(ulong))));
} old_physdev;

static long physdev_op_compat(uint32_t cmd)
{
    old_physdev.cmd = cmd;
    return HYPERCALL(physdev_op_compat, &old_physdev);
}

static void old_physdevs(void)
{
    check_ret(HYPERCALL(physdev_op_compat, BAD_POINTER), -EFAULT,
              "compat physdev, bad pointer");
    old_physdev.u.iopl = 4;
    check_ret(physdev_op_compat(PHYSDEVOP_set_iopl), -EINVAL,
              "compat set_iopl(4)");
    old_physdev.u.iopl = 0;
    check_ret(physdev_op_compat(PHYSDEVOP_set_iopl), 0, "compat set_iopl(0)");
    old_physdev.u.map = too_many;
    check_ret(physdev_op_compat(PHYSDEVOP_set_iobitmap), -EINVAL,
              "compat set_iobitmap");
    old_physdev.u.map = map;
    check_ret(physdev_op_compat(PHYSDEVOP_set_iobitmap), 0,
              "compat set_iobitmap");
    check_ret(physdev_op_compat(99), -ENOSYS, "compat physdev_op 99");
}

/* --- The console --- */

static const struct call console_calls[] = {
    { "console_io write, bad pointer", __HYPERVISOR_console_io, -EFAULT,
      { CONSOLEIO_write, 4, BAD_POINTER } },
    { "console_io write of nothing", __HYPERVISOR_console_io, 0,
      { CONSOLEIO_write, 0, BAD_POINTER } },
    { "console_io 2", __HYPERVISOR_console_io, -EPERM, { 2 }, .dom0 = -ENOSYS },
};

static const struct call domu_console_calls[] = {
    { "console_io read", __HYPERVISOR_console_io, -EPERM,
      { CONSOLEIO_read, 1, BAD_POINTER } },
};

void test_main(void)
{
    check_calls(version_calls);
    version_texts();
    check_calls(assist_calls);
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_enable,
                        VMASST_TYPE_architectural_iopl),
              is_initdomain() ? 0 : -EINVAL, "architectural_iopl");
    HYPERCALL(vm_assist, VMASST_CMD_disable, VMASST_TYPE_architectural_iopl);
    check_calls(event_calls);
    event_pointers();
    readonly_structures();
    at_the_end();
    old_events();
    physdev();
    old_physdevs();
    check_calls(console_calls);
    if (!is_initdomain()) {
        check_calls(domu_event_calls);
        check_calls(domu_console_calls);
    }
}
