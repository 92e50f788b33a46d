/*
 * The xenpv-kvm machine: Xen paravirtualised guests without Xen
 *
 * This file puts the machine together: RAM, the monitor's memory, vCPUs, Xen's
 * platform devices. At each reset it has the domain builder make the guest's
 * memory anew, and sets the vCPUs to the monitor's entry point. The monitor, in
 * pc-bios/xenpv/, does the rest inside the VM; include/hw/xenpv/xenpv-monitor.h
 * says what it finds there. All of it runs with the BQL held; no vCPU runs
 * while the machine is initialised or reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/datadir.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/option.h"
#include "qemu/config-file.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-common.h"
#include "qapi/visitor.h"
#include "exec/translation-block.h"
#include "system/block-backend.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#include "cpu.h"
#include "hw/i386/kvm/clock.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-kvm.h"
#include "hw/xenpv/xenpv-devices.h"
#include "hw/xenpv/xenpv-memory.h"
#include "xenpv-grub.h"
#include "xenpv-migration.h"
#include "trace.h"
#include "hw/xen/interface/xen.h"

#define XENPV_DEFAULT_XEN_VERSION   "4.17"
/* As KVM's own default for halt_poll_ns */
#define XENPV_DEFAULT_POLL_MAX_NS   200000

struct XenPVKVMState {
    X86MachineState parent_obj;

    /* Properties */
    char *xen_version;
    char *monitor_file;
    char *domain_name;
    bool vfb;
    uint32_t poll_max_ns;
    OnOffAuto xpti;
    unsigned boot_width;            /* 0: that of the QEMU binary */
    unsigned xen_major, xen_minor;

    bool accel_by_default;

    XenPVMemory memory;

    /* The guest */
    XenPVKernel *kernel;
    uint8_t *initrd;
    size_t initrd_len;
    uint8_t *monitor;
    size_t monitor_len;
    struct xenpv_image_header header;

    XenPVDevices *devices;
    XenPVTraits traits;

    /* For the TSC's rate under TCG: the clocks when the machine was made */
    int64_t start_ticks, start_ns;
};

/* Files */

static bool xenpv_load_monitor(XenPVKVMState *s, Error **errp)
{
    const char *name = s->monitor_file ?:
                       s->kernel->is_64bit ? "xenpv-x86_64.bin" :
                                             "xenpv-i386.bin";
    g_autofree char *path = qemu_find_file(QEMU_FILE_TYPE_BIOS, name);
    unsigned width = s->kernel->is_64bit ? 64 : 32;

    if (!path) {
        error_setg(errp, "the monitor '%s' was not found in QEMU's data "
                   "directories", name);
        return false;
    }
    if (!g_file_get_contents(path, (char **)&s->monitor, &s->monitor_len,
                             NULL)) {
        error_setg(errp, "the monitor '%s' cannot be read", path);
        return false;
    }
    if (s->monitor_len < sizeof(s->header) ||
        s->monitor_len > XENPV_CORE_IMAGE_MAX) {
        error_setg(errp, "'%s' is not a monitor", path);
        return false;
    }
    memcpy(&s->header, s->monitor, sizeof(s->header));
    if (le32_to_cpu(s->header.magic) != XENPV_IMAGE_MAGIC ||
        le32_to_cpu(s->header.image_size) > XENPV_CORE_IMAGE_MAX) {
        error_setg(errp, "'%s' is not a monitor", path);
        return false;
    }
    if (le32_to_cpu(s->header.abi_version) != XENPV_ABI_VERSION ||
        le32_to_cpu(s->header.width) != width) {
        error_setg(errp, "the monitor '%s' is for %u-bit guests and version %u "
                   "of the ABI, needed is %u-bit and version %u", path,
                   le32_to_cpu(s->header.width),
                   le32_to_cpu(s->header.abi_version), width,
                   XENPV_ABI_VERSION);
        return false;
    }
    trace_xenpv_machine_load(s->kernel->format, path, s->kernel->is_64bit);
    return true;
}

static char *xenpv_find_firmware(const char *name)
{
    return qemu_find_file(QEMU_FILE_TYPE_BIOS, name);
}

/* Is there a -hda, -drive, -blockdev or the like? */
static bool xenpv_has_disk(void)
{
    return blk_all_next(NULL) || bdrv_next_monitor_owned(NULL);
}

static bool xenpv_load_guest(XenPVKVMState *s, Error **errp)
{
    MachineState *machine = MACHINE(s);
    bool allow_64bit = TARGET_LONG_BITS == 64;
    uint64_t max_ram;

    if (machine->kernel_filename) {
        s->kernel = xenpv_kernel_load(machine->kernel_filename, allow_64bit,
                                      errp);
    } else if (machine->initrd_filename) {
        error_setg(errp, "-initrd needs -kernel");
    } else if (qtest_enabled()) {
        return true;            /* only the devices */
    } else if (!xenpv_has_disk()) {
        error_setg(errp, "-M xenpv-kvm needs a kernel, -kernel FILE, or a disk "
                   "to boot from, -hda FILE");
    } else {
        s->kernel = xenpv_grub_load(xenpv_find_firmware,
                                    s->boot_width ?: TARGET_LONG_BITS,
                                    allow_64bit, errp);
    }
    if (!s->kernel) {
        return false;
    }
    max_ram = s->kernel->is_64bit ? XENPV_MAX_RAM_64 : XENPV_MAX_RAM_32;
    if (machine->maxram_size > max_ram) {
        error_setg(errp, "-m: a %d-bit guest can have at most %" PRIu64 " GiB",
                   s->kernel->is_64bit ? 64 : 32, max_ram / GiB);
        return false;
    }
    if (machine->initrd_filename) {
        Error *local_err = NULL;

        s->initrd = xenpv_file_load(machine->initrd_filename,
                                    machine->ram_size, &s->initrd_len,
                                    &local_err);
        if (!s->initrd) {
            error_propagate_prepend(errp, local_err, "-initrd ");
            return false;
        }
    }
    return xenpv_load_monitor(s, errp);
}

/* Reset */

/*
 * Read the host's ticks and time at one moment. Takes the one of several tries
 * that was interrupted least.
 */
static void sample_clocks(int64_t *ticks, int64_t *ns)
{
    int64_t best = INT64_MAX;

    for (int i = 0; i < 8; i++) {
        int64_t t0 = get_clock(), t = cpu_get_host_ticks(), t1 = get_clock();

        if (t1 - t0 < best) {
            best = t1 - t0;
            *ticks = t;
            *ns = t0 + (t1 - t0) / 2;
        }
    }
}

/*
 * Tell the monitor the TSC's rate. Under KVM the monitor uses kvmclock instead.
 * TCG's TSC is the host's, whose rate is measured from when the machine was
 * made; with -icount it counts nanoseconds.
 */
static void xenpv_set_clock(XenPVKVMState *s, struct xenpv_boot_info *info)
{
    uint64_t hz = NANOSECONDS_PER_SECOND, scaled;
    int shift = 0;

    if (!icount_enabled()) {
        int64_t ticks, ns;

        while (get_clock() - s->start_ns < 20 * SCALE_MS) {
            g_usleep(1000);
        }
        sample_clocks(&ticks, &ns);
        ticks -= s->start_ticks;
        ns -= s->start_ns;
        /* Not muldiv64(): ns has more than 32 bits after 4 seconds */
        hz = (double)ticks * NANOSECONDS_PER_SECOND / ns;
    }
    s->traits.tsc_hz = s->traits.flags & XENPV_BOOT_KVM_CLOCK ? 0 : hz;
    /* ns = ((ticks << shift) * mul) >> 32, mul between 2^31 and 2^32 */
    scaled = hz;
    while (scaled > 2 * (uint64_t)NANOSECONDS_PER_SECOND) {
        scaled >>= 1;
        shift--;
    }
    while (scaled <= NANOSECONDS_PER_SECOND) {
        scaled <<= 1;
        shift++;
    }
    info->tsc_to_system_mul =
        cpu_to_le32(muldiv64(1ULL << 32, NANOSECONDS_PER_SECOND,
                             shift < 0 ? hz >> -shift : hz << shift));
    info->tsc_shift = cpu_to_le32(shift);
    info->tsc_timestamp = cpu_to_le64(cpus_get_elapsed_ticks());
    info->system_time = cpu_to_le64(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    info->apic_timer_mhz = cpu_to_le32(1000);
}

static void xenpv_fill_boot_info(XenPVKVMState *s, const XenPVDomain *dom)
{
    struct xenpv_boot_info *info =
        xenpv_memory_core(&s->memory, XENPV_CORE_BOOT_INFO);
    MachineState *machine = MACHINE(s);
    X86CPU *cpu = X86_CPU(first_cpu);
    uint32_t flags = 0;

    QEMU_BUILD_BUG_ON(sizeof(*info) > 64 * KiB);
    if (cpu->env.features[FEAT_1_ECX] & CPUID_EXT_X2APIC) {
        flags |= XENPV_BOOT_X2APIC;
    }
    if (kvm_enabled() &&
        (cpu->env.features[FEAT_KVM] & (1 << KVM_FEATURE_CLOCKSOURCE2))) {
        flags |= XENPV_BOOT_KVM_CLOCK;
    }
    if (kvm_enabled() &&
        (cpu->env.features[FEAT_KVM] & (1 << KVM_FEATURE_PV_EOI))) {
        flags |= XENPV_BOOT_KVM_PV_EOI;
    }
    if (qemu_loglevel_mask(LOG_UNIMP)) {
        flags |= XENPV_BOOT_TRACE;
    }
    if (s->xpti == ON_OFF_AUTO_ON ||
        (s->xpti == ON_OFF_AUTO_AUTO && xenpv_accel_needs_xpti())) {
        flags |= XENPV_BOOT_XPTI;
    }
    s->traits = (XenPVTraits) {
        .abi_version = XENPV_ABI_VERSION,
        .width = s->kernel->is_64bit ? 64 : 32,
        .nr_vcpus = machine->smp.max_cpus,
        .flags = flags,
        .xen_major = s->xen_major,
        .xen_minor = s->xen_minor,
        .ram_size = machine->ram_size,
    };
    info->abi_version = cpu_to_le32(XENPV_ABI_VERSION);
    info->flags = cpu_to_le32(flags);
    /* Not under TCG: polling would take a CPU that the back end may need */
    info->poll_max_ns = cpu_to_le32(kvm_enabled() ? s->poll_max_ns : 0);
    info->nr_vcpus = cpu_to_le32(machine->smp.max_cpus);
    info->domid = cpu_to_le32(XENPV_DOMID);
    info->nr_pages = cpu_to_le64(s->memory.nr_pages);
    info->start_pages = cpu_to_le64(s->memory.start_pages);
    info->max_mfn = cpu_to_le64(s->memory.max_mfn);
    info->tables_gpa = cpu_to_le64(s->memory.tables_gpa);
    info->m2p_size = cpu_to_le64(s->memory.m2p_size);
    info->frame_table_size = cpu_to_le64(s->memory.frame_table_size);
    info->top_table_mfn = cpu_to_le64(dom->top_table_mfn);
    info->entry = cpu_to_le64(dom->entry);
    info->stack = cpu_to_le64(dom->stack);
    info->start_info = cpu_to_le64(dom->start_info);
    info->xen_major = cpu_to_le32(s->xen_major);
    info->xen_minor = cpu_to_le32(s->xen_minor);
    pstrcpy(info->extraversion, sizeof(info->extraversion), ".0-xenpv-kvm");
    pstrcpy(info->capabilities, sizeof(info->capabilities),
            s->kernel->is_64bit ? "xen-3.0-x86_64 " : "xen-3.0-x86_32p ");
    memcpy(info->uuid, qemu_uuid.data, sizeof(info->uuid));
    info->nr_cpuid = cpu_to_le32(xenpv_cpuid_table(cpu, s->kernel->is_64bit,
                                                   s->xen_major, s->xen_minor,
                                                   info->cpuid,
                                                   info->cpuid_index));
    xenpv_set_clock(s, info);
}

static void *builder_frame(void *opaque, uint64_t mfn)
{
    return xenpv_frame_to_host(mfn);
}

/* The domain builder's configuration, still without the two rings' ports */
static XenPVDomainConfig xenpv_domain_config(XenPVKVMState *s)
{
    return (XenPVDomainConfig) {
        .kernel = s->kernel,
        .nr_pages = s->memory.start_pages,
        .hole_pfn = XENPV_HOLE_START >> XENPV_PAGE_SHIFT,
        .hole_pages = XENPV_HOLE_PAGES,
        .initrd = s->initrd,
        .initrd_len = s->initrd_len,
        .cmdline = MACHINE(s)->kernel_cmdline,
        .shared_info_mfn = (XENPV_CORE_GPA + XENPV_CORE_SHARED_INFO) >>
                           XENPV_PAGE_SHIFT,
        .frame = builder_frame,
    };
}

/*
 * Build no domain if one comes in whose memory is kept: with cpr-reboot and
 * x-ignore-shared it is there already, in a file to which nobody else may write
 */
static bool xenpv_wait_for_domain(XenPVKVMState *s)
{
    XenPVDomain none = { 0 };
    XenPVDevicePorts ports;

    if (!runstate_check(RUN_STATE_INMIGRATE) ||
        !xenpv_memory_is_kept(&s->memory)) {
        return false;
    }
    xenpv_devices_reset(s->devices, &ports);
    xenpv_fill_boot_info(s, &none);
    return true;
}

static void xenpv_build_domain(XenPVKVMState *s, XenPVDomain *dom)
{
    XenPVDomainConfig cfg = xenpv_domain_config(s);
    XenPVDevicePorts ports;

    memset(xenpv_memory_core(&s->memory, 0), 0, XENPV_CORE_SIZE);
    memcpy(xenpv_memory_core(&s->memory, XENPV_CORE_IMAGE), s->monitor,
           s->monitor_len);
    xenpv_suspend_forget();
    xenpv_devices_reset(s->devices, &ports);
    cfg.xencons_evtchn = ports.console;
    cfg.xenstore_evtchn = ports.xenstore;
    cfg.ram_is_zero = xenpv_memory_take_zero_ram(&s->memory);
    /* It cannot fail: xenpv_machine_init() has checked it */
    xenpv_domain_build(&cfg, dom, &error_fatal);
    if (dom->hypercall_page_mfn != XENPV_UNSET) {
        xenpv_fill_hypercall_page(xenpv_frame_to_host(dom->hypercall_page_mfn),
                                  s->kernel->is_64bit);
    }
    xenpv_memory_reset_tables(&s->memory);
    xenpv_fill_boot_info(s, dom);
    xenpv_counters_reset();
    xenpv_devices_set_wall_clock(&s->memory.core, s->kernel->is_64bit);
    memory_region_set_dirty(&s->memory.core, 0, XENPV_CORE_SIZE);
    memory_region_set_dirty(s->memory.ram, 0,
                            memory_region_size(s->memory.ram));
    xenpv_devices_start(s->devices, dom->xencons_mfn, dom->xenstore_mfn);
}

/* Put a vCPU into the state that struct xenpv_image_header promises */
static void xenpv_start_cpu(XenPVKVMState *s, X86CPU *cpu, unsigned index)
{
    CPUX86State *env = &cpu->env;
    bool is_64bit = s->kernel->is_64bit;
    uint32_t data = DESC_G_MASK | DESC_B_MASK | DESC_P_MASK | DESC_S_MASK |
                    DESC_W_MASK | DESC_A_MASK;
    uint32_t code = DESC_G_MASK | DESC_P_MASK | DESC_S_MASK | DESC_CS_MASK |
                    DESC_R_MASK | DESC_A_MASK |
                    (is_64bit ? DESC_L_MASK : DESC_B_MASK);
    uint64_t efer = 0;

    if (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_NX) {
        efer |= MSR_EFER_NXE;
    }
    if (is_64bit) {
        efer |= MSR_EFER_LME | MSR_EFER_LMA | MSR_EFER_SCE;
    }
    /* The mode first: the meaning of a segment depends on it */
    cpu_load_efer(env, efer);
    cpu_x86_update_cr4(env, CR4_PAE_MASK);
    env->cr[3] = le32_to_cpu(s->header.cr3);
    cpu_x86_update_cr0(env, CR0_PE_MASK | CR0_MP_MASK | CR0_ET_MASK |
                            CR0_NE_MASK | CR0_WP_MASK | CR0_AM_MASK |
                            CR0_PG_MASK);
    cpu_x86_load_seg_cache(env, R_CS, 8, 0, 0xffffffff, code);
    for (int seg = 0; seg < 6; seg++) {
        if (seg != R_CS) {
            cpu_x86_load_seg_cache(env, seg, 16, 0, 0xffffffff, data);
        }
    }
    env->eip = le64_to_cpu(s->header.entry);
    env->eflags = 2;
    env->regs[R_EBX] = index;
#ifdef CONFIG_KVM
    env->mp_state = KVM_MP_STATE_RUNNABLE;
#endif
    CPU(cpu)->halted = 0;
    trace_xenpv_machine_start_cpu(index, env->eip, env->cr[3]);
}

/* Reset the devices alone, for qtest, with the two rings in frames 1 and 2 */
static void xenpv_reset_without_guest(XenPVKVMState *s)
{
    XenPVDevicePorts ports;

    memset(xenpv_memory_core(&s->memory, 0), 0, XENPV_CORE_SIZE);
    xenpv_suspend_forget();
    xenpv_devices_reset(s->devices, &ports);
    memset(xenpv_frame_to_host(1), 0, 2 * XENPV_PAGE_SIZE);
    xenpv_devices_start(s->devices, 1, 2);
}

/*
 * Of the platform devices only xenpv-call has a reset phase, because of the
 * order: first the back ends let go, then the builder needs the devices' ports,
 * then the devices need the builder's frames.
 */
static void xenpv_machine_reset(MachineState *machine, ResetType type)
{
    XenPVKVMState *s = XENPV_KVM_MACHINE(machine);
    XenPVDomain dom;
    CPUState *cs;
    unsigned i = 0;

    trace_xenpv_machine_reset(type);
    qemu_devices_reset(type);
    CPU_FOREACH(cs) {
        x86_cpu_after_reset(X86_CPU(cs));   /* the local APIC, among others */
    }
    if (!s->kernel) {
        xenpv_reset_without_guest(s);
        return;
    }
    if (!xenpv_wait_for_domain(s)) {
        xenpv_build_domain(s, &dom);
    }
    if (tcg_enabled()) {
        /* What has been translated may be from memory that was overwritten */
        queue_tb_flush(first_cpu);
    }
    CPU_FOREACH(cs) {
        xenpv_start_cpu(s, X86_CPU(cs), i++);
    }
}

/* Machine */

static void xenpv_check_config(XenPVKVMState *s, Error **errp)
{
    MachineState *machine = MACHINE(s);

    if (!xenpv_memory_check(machine, errp)) {
        return;
    }
    if (kvm_enabled() && !kvm_irqchip_in_kernel()) {
        error_setg(errp, "-accel kvm,kernel-irqchip=off has no local APIC for "
                   "this machine: use kernel-irqchip=split");
        return;
    }
    if (sscanf(s->xen_version, "%u.%u", &s->xen_major, &s->xen_minor) != 2) {
        error_setg(errp, "xen-version: '%s' is not of the form MAJOR.MINOR",
                   s->xen_version);
        return;
    }
}

/*
 * With one vCPU, TCG turns locked instructions into plain loads and stores, as
 * no other vCPU can interfere. Here back ends change the same words by atomic
 * operations in their own threads: pending events, grants in use.
 */
static void xenpv_make_atomics_atomic(void)
{
    CPUState *cs;

    if (tcg_enabled()) {
        CPU_FOREACH(cs) {
            tcg_cflags_set(cs, CF_PARALLEL);
        }
    }
}

/* vCPUs that may be plugged later have CPUs from the start, too */
static void xenpv_make_more_cpus(MachineState *machine)
{
    for (unsigned i = machine->smp.cpus; i < machine->smp.max_cpus; i++) {
        Object *cpu = object_new(machine->cpu_type);

        object_property_set_uint(cpu, "apic-id",
                                 machine->possible_cpus->cpus[i].arch_id,
                                 &error_fatal);
        qdev_realize(DEVICE(cpu), NULL, &error_fatal);
        object_unref(cpu);
    }
}

static void xenpv_machine_init(MachineState *machine)
{
    XenPVKVMState *s = XENPV_KVM_MACHINE(machine);
    XenPVDevicesConfig cfg = { 0 };
    Error *err = NULL;

    sample_clocks(&s->start_ticks, &s->start_ns);

    if (s->accel_by_default && tcg_enabled() && !qtest_enabled()) {
        warn_report("KVM is not usable here (no /dev/kvm, or no VMX or SVM "
                    "behind it): using TCG, which is slower");
    }
    xenpv_check_config(s, &err);
    if (err) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    if (!xenpv_load_guest(s, &err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    xenpv_memory_init(&s->memory, OBJECT(s), machine->ram, machine->ram_size,
                      s->kernel && s->kernel->is_64bit);
    if (!machine->cpu_type) {
        /*
         * Not the class's default_cpu_type: libvirt would take that for the
         * name of a model in its own table, which has no "max".
         */
        machine->cpu_type = X86_CPU_TYPE_NAME("max");
    }
    if (!kvm_enabled()) {
        /*
         * TCG's "max" is an Athlon of model 6, stepping 3, which 32-bit Linux
         * calls unsuitable for SMP; it accepts stepping 1. (With newer families
         * kernels expect MSRs that Xen does not have.) -cpu may override these.
         */
        const char *max = X86_CPU_TYPE_NAME("max");

        object_register_sugar_prop(max, "family", "6", false);
        object_register_sugar_prop(max, "model", "6", false);
        object_register_sugar_prop(max, "stepping", "1", false);
        /*
         * These claim that REP MOVSB and STOSB are the fastest way to copy and
         * clear. TCG does them byte by byte: a page takes eight times as long
         * as with the quadwords that kernels and C libraries use otherwise.
         */
        object_register_sugar_prop(max, "erms", "off", false);
        object_register_sugar_prop(max, "fsrm", "off", false);
        object_register_sugar_prop(max, "fzrm", "off", false);
        object_register_sugar_prop(max, "fsrs", "off", false);
    }
    x86_cpus_init(X86_MACHINE(s), CPU_VERSION_LATEST);
    if (!xenpv_cpu_check(X86_CPU(first_cpu), s->kernel && s->kernel->is_64bit,
                         &err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    xenpv_make_more_cpus(machine);
    if (kvm_enabled()) {
        /* It stops KVM's clock while the machine is stopped, and migrates it */
        kvmclock_create(true);
    }
    xenpv_make_atomics_atomic();

    cfg.core = &s->memory.core;
    cfg.domid = XENPV_DOMID;
    cfg.is_64bit = s->kernel ? s->kernel->is_64bit : TARGET_LONG_BITS == 64;
    cfg.nr_vcpus = machine->smp.max_cpus;
    cfg.nr_fixed_vcpus = machine->smp.cpus;
    cfg.name = s->domain_name ?: qemu_name ?: "xenpv";
    cfg.uuid = qemu_uuid;
    cfg.ram_size = machine->ram_size;
    cfg.max_ram_size = machine->maxram_size;
    cfg.vfb = s->vfb;
    s->devices = xenpv_devices_create(&cfg);
    xenpv_suspend_init(&cfg, s->devices);
    xenpv_migration_init(&s->traits, &s->memory, s->devices);

    if (s->kernel) {
        /* Report what does not fit now, and not when the guest resets */
        XenPVDomainConfig dom_cfg = xenpv_domain_config(s);

        if (!xenpv_domain_check(&dom_cfg, &err)) {
            error_report_err(err);
            exit(EXIT_FAILURE);
        }
    }
}

static bool is_cpu(DeviceState *dev)
{
    return object_dynamic_cast(OBJECT(dev), TYPE_CPU);
}

static void xenpv_pre_plug(HotplugHandler *hotplug_dev, DeviceState *dev,
                           Error **errp)
{
    if (!is_cpu(dev)) {
        xenpv_vcpu_pre_plug(dev, errp);
        return;
    }
    /* Writes to x2APIC MSRs do not count as I/O for -icount */
    if (icount_enabled()) {
        object_property_set_bool(OBJECT(dev), "x2apic", false, &error_abort);
    }
    x86_cpu_pre_plug(hotplug_dev, dev, errp);
}

static void xenpv_plug(HotplugHandler *hotplug_dev, DeviceState *dev,
                       Error **errp)
{
    if (is_cpu(dev)) {
        x86_cpu_plug(hotplug_dev, dev, errp);
    } else {
        xenpv_vcpu_plug(dev, errp);
    }
}

static void xenpv_unplug_request(HotplugHandler *hotplug_dev, DeviceState *dev,
                                 Error **errp)
{
    if (is_cpu(dev)) {
        error_setg(errp, "CPUs of -smp cannot be unplugged");
    } else {
        xenpv_vcpu_unplug_request(dev, errp);
    }
}

static void xenpv_unplug(HotplugHandler *hotplug_dev, DeviceState *dev,
                         Error **errp)
{
    xenpv_vcpu_unplug(dev, errp);
}

static HotplugHandler *xenpv_get_hotplug_handler(MachineState *machine,
                                                 DeviceState *dev)
{
    if (is_cpu(dev) || object_dynamic_cast(OBJECT(dev), TYPE_XENPV_VCPU)) {
        return HOTPLUG_HANDLER(machine);
    }
    return NULL;
}

/* The accessors of a property that is a field of the machine's state */
#define XENPV_STR_ACCESSORS(field)                                          \
static char *xenpv_get_##field(Object *obj, Error **errp)                   \
{                                                                           \
    return g_strdup(XENPV_KVM_MACHINE(obj)->field);                         \
}                                                                           \
                                                                            \
static void xenpv_set_##field(Object *obj, const char *value, Error **errp) \
{                                                                           \
    XenPVKVMState *s = XENPV_KVM_MACHINE(obj);                              \
                                                                            \
    g_free(s->field);                                                       \
    s->field = g_strdup(value);                                             \
}

#define XENPV_ACCESSORS(field, type)                                        \
static void xenpv_get_##field(Object *obj, Visitor *v, const char *name,    \
                              void *opaque, Error **errp)                   \
{                                                                           \
    visit_type_##type(v, name, &XENPV_KVM_MACHINE(obj)->field, errp);       \
}                                                                           \
                                                                            \
static void xenpv_set_##field(Object *obj, Visitor *v, const char *name,    \
                              void *opaque, Error **errp)                   \
{                                                                           \
    visit_type_##type(v, name, &XENPV_KVM_MACHINE(obj)->field, errp);       \
}

XENPV_STR_ACCESSORS(xen_version)
XENPV_STR_ACCESSORS(monitor_file)
XENPV_STR_ACCESSORS(domain_name)
XENPV_ACCESSORS(poll_max_ns, uint32)
XENPV_ACCESSORS(xpti, OnOffAuto)
XENPV_ACCESSORS(vfb, bool)

static char *xenpv_get_boot_width(Object *obj, Error **errp)
{
    unsigned width = XENPV_KVM_MACHINE(obj)->boot_width;

    return width ? g_strdup_printf("%u", width) : g_strdup("auto");
}

static void xenpv_set_boot_width(Object *obj, const char *value, Error **errp)
{
    XenPVKVMState *s = XENPV_KVM_MACHINE(obj);

    if (!strcmp(value, "auto")) {
        s->boot_width = 0;
    } else if (!strcmp(value, "32")) {
        s->boot_width = 32;
    } else if (!strcmp(value, "64") && TARGET_LONG_BITS == 64) {
        s->boot_width = 64;
    } else {
        error_setg(errp, "boot-width: '%s' is not one of: auto, 32%s", value,
                   TARGET_LONG_BITS == 64 ? ", 64" : "");
    }
}

static char *xenpv_get_domain_uuid(Object *obj, Error **errp)
{
    return qemu_uuid_unparse_strdup(&qemu_uuid);
}

static void xenpv_set_domain_uuid(Object *obj, const char *value, Error **errp)
{
    if (qemu_uuid_parse(value, &qemu_uuid) < 0) {
        error_setg(errp, "domain-uuid: '%s' is not a UUID", value);
        return;
    }
    qemu_uuid_set = true;
}

static void xenpv_machine_instance_init(Object *obj)
{
    XenPVKVMState *s = XENPV_KVM_MACHINE(obj);
    MachineClass *mc = MACHINE_GET_CLASS(obj);

    s->xen_version = g_strdup(XENPV_DEFAULT_XEN_VERSION);
    s->poll_max_ns = XENPV_DEFAULT_POLL_MAX_NS;
    /*
     * The default accelerator is this machine's choice and not QEMU's, but
     * only if there is no -accel; "-machine accel=" overrides it later.
     */
    if (!qemu_opts_find(qemu_find_opts("accel"), NULL)) {
        s->accel_by_default = !xenpv_kvm_usable();
        mc->default_machine_opts = s->accel_by_default ? "accel=tcg:kvm"
                                                       : "accel=kvm:tcg";
    }
}

static void xenpv_machine_finalize(Object *obj)
{
    XenPVKVMState *s = XENPV_KVM_MACHINE(obj);

    xenpv_kernel_free(s->kernel);
    g_free(s->xen_version);
    g_free(s->monitor_file);
    g_free(s->domain_name);
    g_free(s->initrd);
    g_free(s->monitor);
}

static void xenpv_machine_class_init(ObjectClass *oc, XenPVClassData *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_CLASS(oc);

    mc->desc = "Xen paravirtualised guests without Xen";
    mc->init = xenpv_machine_init;
    mc->reset = xenpv_machine_reset;
    mc->max_cpus = XENPV_MAX_VCPUS;
    mc->default_ram_id = "xenpv.ram";
    mc->default_ram_size = 512 * MiB;
    mc->create_default_memdev = xenpv_memory_create_backend;
    mc->default_kernel_irqchip_split = true;
    mc->block_default_type = IF_XEN;
    mc->default_nic = "xen-net-device";
    mc->has_hotpluggable_cpus = true;
    mc->nvdimm_supported = false;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;
    mc->no_parallel = 1;

    mc->get_hotplug_handler = xenpv_get_hotplug_handler;
    hc->pre_plug = xenpv_pre_plug;
    hc->plug = xenpv_plug;
    hc->unplug_request = xenpv_unplug_request;
    hc->unplug = xenpv_unplug;

#define ADD_STR(name, field, desc)                                          \
    do {                                                                    \
        object_class_property_add_str(oc, name, xenpv_get_##field,          \
                                      xenpv_set_##field);                   \
        object_class_property_set_description(oc, name, desc);              \
    } while (0)
#define ADD(name, type, field, desc)                                        \
    do {                                                                    \
        object_class_property_add(oc, name, type, xenpv_get_##field,        \
                                  xenpv_set_##field, NULL, NULL);           \
        object_class_property_set_description(oc, name, desc);              \
    } while (0)

    ADD_STR("xen-version", xen_version, "The Xen version that the guest is "
            "told, MAJOR.MINOR (default: " XENPV_DEFAULT_XEN_VERSION ")");
    ADD_STR("monitor", monitor_file, "The monitor's file (default: "
            "xenpv-i386.bin or xenpv-x86_64.bin, by the guest's width)");
    ADD_STR("boot-width", boot_width, "Without -kernel: which width of PV GRUB "
            "is looked for first, 32 or 64 (default: auto, that of the "
            "emulator)");
    ADD_STR("domain-name", domain_name, "The domain's name in xenstore "
            "(default: that of -name, or \"xenpv\")");
    ADD_STR("domain-uuid", domain_uuid, "The domain's UUID (default: that of "
            "-uuid, or all zeroes)");
    ADD("poll-max-ns", "uint32", poll_max_ns, "How long, at most, a vCPU looks "
        "for a back end's answer before it halts, under KVM; 0: not (default: "
        stringify(XENPV_DEFAULT_POLL_MAX_NS) ")");
    ADD("xpti", "OnOffAuto", xpti, "Programs of a 64-bit guest never run with "
        "its kernel's page tables (default: auto, on for processors of the "
        "Meltdown class)");
    ADD("vfb", "bool", vfb, "A paravirtual framebuffer, keyboard and pointer "
        "(default: off)");
#undef ADD
#undef ADD_STR
    xenpv_standins_add_properties(oc);
    xenpv_counters_add_properties(oc);
}

static const TypeInfo xenpv_machine_info = {
    .name = TYPE_XENPV_KVM_MACHINE,
    .parent = TYPE_X86_MACHINE,
    .abstract = true,
    .instance_size = sizeof(XenPVKVMState),
    .instance_init = xenpv_machine_instance_init,
    .instance_finalize = xenpv_machine_finalize,
    .class_init = xenpv_machine_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_HOTPLUG_HANDLER },
        { }
    },
};

/*
 * What a guest sees of a machine version never changes. A change makes a new
 * version, which gets the alias; the old version then restores what it had.
 */
static void xenpv_machine_1_0_class_init(ObjectClass *oc, XenPVClassData *data)
{
    MACHINE_CLASS(oc)->alias = "xenpv-kvm";
}

static const TypeInfo xenpv_machine_1_0_info = {
    .name = MACHINE_TYPE_NAME("xenpv-kvm-1.0"),
    .parent = TYPE_XENPV_KVM_MACHINE,
    .class_init = xenpv_machine_1_0_class_init,
};

static void xenpv_machine_register_types(void)
{
    type_register_static(&xenpv_machine_info);
    type_register_static(&xenpv_machine_1_0_info);
}

type_init(xenpv_machine_register_types)
