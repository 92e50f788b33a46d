/*
 * Start of the monitor: its page tables, its vCPUs, and the guest's entry
 *
 * The machine has loaded the image, filled in boot_info and built the domain in
 * guest memory. entry-*.S calls start_monitor() on the first vCPU, on a boot
 * stack; on its own stack, this vCPU then enters the guest. It calls
 * start_secondary() on the others, which wait until the guest brings them up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "msr.h"

/* Make vCPU id's area and struct vcpu; the tables above its L1 exist already */
static void vcpu_create(u32 id)
{
    ulong base = VCPU_VIRT + (ulong)id * VCPU_AREA_SIZE;
    struct vcpu *v = (struct vcpu *)(base + VCPU_OFFSET);
    u64 *l1 = id % VCPU_AREAS_PER_L1 ? vcpus[id - 1]->area_l1 +
                                       VCPU_AREA_SIZE / PAGE_SIZE
                                     : alloc_page();
    static const u8 pages[] = {
        AREA_STACK, AREA_STACK + 1, AREA_VCPU, AREA_VCPU + 1, AREA_VCPU + 2,
        AREA_VCPU + 3, AREA_TSS, AREA_IDT, AREA_DF_STACK, AREA_NMI_STACK,
        AREA_DB_STACK, AREA_PDPT, AREA_STUB,
    };

    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        l1[pages[i]] = core_gpa(alloc_page()) | AREA_DATA;
    }
    for (int i = 0; WORD == 4 && i < AREA_NR_UPPER; i++) {
        l1[AREA_UPPER + i] = core_gpa(alloc_page()) | AREA_DATA;
    }
    map_vcpu_area(id, l1);
    v->id = id;
    v->area_l1 = l1;
    v->tss = (struct tss *)(base + AREA_TSS * PAGE_SIZE);
    v->idt = (struct gate *)(base + AREA_IDT * PAGE_SIZE);
    v->pdpt = (u64 *)(base + AREA_PDPT * PAGE_SIZE);
    memset(v->window, 0xff, sizeof(v->window));
    v->vcpu_info = first_vcpu_info(id);
    v->periodic_ns = FIRST_PERIOD;
    v->vcpu_info_gpa = core_gpa(v->vcpu_info);
    v->vcpu_info->evtchn_upcall_mask = 1;
    v->runstate.state = id ? RUNSTATE_offline : RUNSTATE_running;
    v->flush = FLUSH_NONE;
    vcpus[id] = v;
}

static void init_cpu(struct vcpu *v)
{
    init_gdt(v);
    init_idt(v);
    load_idt(v);
    /* CR0.TS is clear: the guest may use the FPU from its first instruction */
    write_cr4(read_cr4() | 0x600);      /* OSFXSR, OSXMMEXCPT */
    v->cr4 = 0x620;
    v->xcr0 = 1;
    init_speculation(v);
    cpuid_faults = rdmsr(MSR_PLATFORM_INFO) & PLATFORM_CPUID_FAULTING;
    if (cpuid_faults) {
        wrmsr(MSR_MISC_FEATURES, MISC_CPUID_FAULTS);
    }
    init_apic(v);
    /* Events that came before the local APIC was enabled had no vector */
    take_incoming(v);
}

void run_first(void)
{
    struct vcpu *v = current_vcpu();
    const u16 data = WORD == 8 ? 0 : RING1_SS;
    struct regs regs;

    init_cpu(v);
    init_time(v);
    update_time(v, system_time());
    for (u32 i = 1; i < boot_info->nr_vcpus; i++) {
        while (!atomic_load(&vcpus[i]->ready)) {
            asm volatile("pause");
        }
    }

    if (set_base_table(v, boot_info->top_table_mfn, false)) {
        monitor_crash(NULL, "the domain's page tables are malformed");
    }
    /* Xen's domain builder pins the top-level table */
    pin_boot_table(boot_info->top_table_mfn);

    memset(&regs, 0, sizeof(regs));
    regs.ip = boot_info->entry;
    regs.sp = boot_info->stack;
    regs.si = boot_info->start_info;
    regs.flags = EFL_IF | 2;
    regs.cs = RING1_CS;
    regs.ss = RING1_SS;
    load_data_segments(&regs, data, data, data, data);
    v->debugreg[6] = DR6_DEFAULT;
    v->debugreg[7] = DR7_DEFAULT;
    v->mode = V_MODE_KERNEL;
    v->initialised = v->up = v->runs = true;
    enter_guest(&regs);
}

void start_monitor(void)
{
    init_page_tables();
    init_memory();
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        vcpu_create(i);
    }
    atomic_store(&monitor_started, 1);
    run_first_on(VCPU_VIRT + STACK_TOP);
}

void start_secondary(void)
{
    init_cpu(current_vcpu());
    run_secondary();
}
