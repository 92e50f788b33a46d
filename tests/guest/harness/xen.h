/*
 * The part of Xen's PV ABI that these kernels use
 *
 * Written out once more, with Xen's names, rather than included from where
 * the machine and the monitor have it: a number that is wrong there must make
 * a test fail, and these kernels also run under Xen itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_XEN_H
#define GUEST_XEN_H

#define __HYPERVISOR_set_trap_table         0
#define __HYPERVISOR_mmu_update             1
#define __HYPERVISOR_set_gdt                2
#define __HYPERVISOR_stack_switch           3
#define __HYPERVISOR_set_callbacks          4
#define __HYPERVISOR_fpu_taskswitch         5
#define __HYPERVISOR_sched_op_compat        6
#define __HYPERVISOR_platform_op            7
#define __HYPERVISOR_set_debugreg           8
#define __HYPERVISOR_get_debugreg           9
#define __HYPERVISOR_update_descriptor      10
#define __HYPERVISOR_memory_op              12
#define __HYPERVISOR_multicall              13
#define __HYPERVISOR_update_va_mapping      14
#define __HYPERVISOR_set_timer_op           15
#define __HYPERVISOR_event_channel_op_compat 16
#define __HYPERVISOR_xen_version            17
#define __HYPERVISOR_console_io             18
#define __HYPERVISOR_physdev_op_compat      19
#define __HYPERVISOR_grant_table_op         20
#define __HYPERVISOR_vm_assist              21
#define __HYPERVISOR_update_va_mapping_otherdomain 22
#define __HYPERVISOR_iret                   23
#define __HYPERVISOR_vcpu_op                24
#define __HYPERVISOR_set_segment_base       25
#define __HYPERVISOR_mmuext_op              26
#define __HYPERVISOR_xsm_op                 27
#define __HYPERVISOR_nmi_op                 28
#define __HYPERVISOR_sched_op               29
#define __HYPERVISOR_callback_op            30
#define __HYPERVISOR_xenoprof_op            31
#define __HYPERVISOR_event_channel_op       32
#define __HYPERVISOR_physdev_op             33
#define __HYPERVISOR_hvm_op                 34
#define __HYPERVISOR_sysctl                 35
#define __HYPERVISOR_domctl                 36
#define __HYPERVISOR_kexec_op               37
#define __HYPERVISOR_argo_op                39
#define __HYPERVISOR_xenpmu_op              40
#define __HYPERVISOR_dm_op                  41
#define __HYPERVISOR_hypfs_op               42
#define __HYPERVISOR_mca                    48

#define DOMID_SELF          0x7ff0
#define DOMID_IO            0x7ff1
#define DOMID_XEN           0x7ff2

/* Selectors that the hypervisor provides */
#ifdef __x86_64__
#define FLAT_KERNEL_CS      0xe030      /* as frames show it */
#define FLAT_KERNEL_SS      0xe02b
#define FLAT_KERNEL_DS      0
#define FLAT_USER_CS        0xe033
#define FLAT_USER_CS32      0xe023
#define FLAT_USER_SS        0xe02b
#define FLAT_USER_DS        0
#else
#define FLAT_KERNEL_CS      0xe019
#define FLAT_KERNEL_SS      0xe021
#define FLAT_KERNEL_DS      0xe021
#define FLAT_USER_CS        0xe02b
#define FLAT_USER_SS        0xe033
#define FLAT_USER_DS        0xe033
#endif

#define FIRST_RESERVED_GDT_ENTRY    (14 * 512)

/* Page-table entries */
#define _PAGE_PRESENT       0x001ULL
#define _PAGE_RW            0x002ULL
#define _PAGE_USER          0x004ULL
#define _PAGE_ACCESSED      0x020ULL
#define _PAGE_DIRTY         0x040ULL
#define _PAGE_PSE           0x080ULL
#define _PAGE_AVAIL         0xe00ULL
#define _PAGE_NX            (1ULL << 63)

#define PAGE_SHIFT          12
#define PAGE_SIZE           4096UL

#define X86_EFLAGS_CF       0x001
#define X86_EFLAGS_TF       0x100
#define X86_EFLAGS_IF       0x200
#define X86_EFLAGS_DF       0x400
#define X86_EFLAGS_IOPL     0x3000
#define X86_EFLAGS_AC       0x40000

#define X86_DE              0
#define X86_DB              1
#define X86_BP              3
#define X86_OF              4
#define X86_BR              5
#define X86_UD              6
#define X86_NM              7
#define X86_TS              10
#define X86_NP              11
#define X86_SS              12
#define X86_GP              13
#define X86_PF              14
#define X86_MF              16
#define X86_AC              17
#define X86_XM              19

#define PFEC_present        0x01
#define PFEC_write          0x02
#define PFEC_user           0x04
#define PFEC_rsvd           0x08
#define PFEC_insn           0x10

#ifndef __ASSEMBLY__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long ulong;
typedef unsigned long xen_pfn_t;

#define EPERM       1
#define ENOENT      2
#define ESRCH       3
#define ENXIO       6
#define E2BIG       7
#define EAGAIN      11
#define ENOMEM      12
#define EACCES      13
#define EFAULT      14
#define EBUSY       16
#define EEXIST      17
#define ENODEV      19
#define EINVAL      22
#define ENOSPC      28
#define EDOM        33
#define ERANGE      34
#define ENOSYS      38
#define ETIME       62
#define EOPNOTSUPP  95

struct start_info {
    char magic[32];
    ulong nr_pages;
    ulong shared_info;
    uint32_t flags;
    xen_pfn_t store_mfn;
    uint32_t store_evtchn;
    union {
        struct {
            xen_pfn_t mfn;
            uint32_t evtchn;
        } domU;
        struct {
            uint32_t info_off;
            uint32_t info_size;
        } dom0;
    } console;
    ulong pt_base;
    ulong nr_pt_frames;
    ulong mfn_list;
    ulong mod_start;
    ulong mod_len;
    char cmd_line[1024];
    ulong first_p2m_pfn;
    ulong nr_p2m_frames;
};

#define SIF_PRIVILEGED      (1 << 0)
#define SIF_INITDOMAIN      (1 << 1)
#define SIF_MULTIBOOT_MOD   (1 << 2)
#define SIF_MOD_START_PFN   (1 << 3)
#define SIF_VIRT_P2M_4TOOLS (1 << 4)

struct vcpu_time_info {
    uint32_t version;
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad1[2];
};

struct arch_vcpu_info {
    ulong cr2;
#ifdef __x86_64__
    ulong pad;
#else
    ulong pad[5];
#endif
};

struct vcpu_info {
    uint8_t evtchn_upcall_pending;
    uint8_t evtchn_upcall_mask;
    ulong evtchn_pending_sel;
    struct arch_vcpu_info arch;
    struct vcpu_time_info time;
};

struct shared_info {
    struct vcpu_info vcpu_info[32];
    ulong evtchn_pending[sizeof(ulong) * 8];
    ulong evtchn_mask[sizeof(ulong) * 8];
    uint32_t wc_version;
    uint32_t wc_sec;
    uint32_t wc_nsec;
#ifdef __x86_64__
    uint32_t wc_sec_hi;
#endif
    struct {
        ulong max_pfn;
        xen_pfn_t pfn_to_mfn_frame_list_list;
        ulong nmi_reason;
        ulong p2m_cr3;
        ulong p2m_vaddr;
        ulong p2m_generation;
#ifndef __x86_64__
        uint32_t wc_sec_hi;
#endif
    } arch;
};

struct trap_info {
    uint8_t vector;
    uint8_t flags;              /* 0-1: DPL; 2: mask upcalls */
    uint16_t cs;
    ulong address;
};
#define TI_IF               4

struct mmu_update {
    uint64_t ptr;
    uint64_t val;
};
#define MMU_NORMAL_PT_UPDATE        0
#define MMU_MACHPHYS_UPDATE         1
#define MMU_PT_UPDATE_PRESERVE_AD   2

struct mmuext_op {
    unsigned int cmd;
    union {
        xen_pfn_t mfn;
        ulong linear_addr;
    } arg1;
    union {
        unsigned int nr_ents;
        const void *vcpumask;
        xen_pfn_t src_mfn;
    } arg2;
};
#define MMUEXT_PIN_L1_TABLE         0
#define MMUEXT_PIN_L2_TABLE         1
#define MMUEXT_PIN_L3_TABLE         2
#define MMUEXT_PIN_L4_TABLE         3
#define MMUEXT_UNPIN_TABLE          4
#define MMUEXT_NEW_BASEPTR          5
#define MMUEXT_TLB_FLUSH_LOCAL      6
#define MMUEXT_INVLPG_LOCAL         7
#define MMUEXT_TLB_FLUSH_MULTI      8
#define MMUEXT_INVLPG_MULTI         9
#define MMUEXT_TLB_FLUSH_ALL        10
#define MMUEXT_INVLPG_ALL           11
#define MMUEXT_FLUSH_CACHE          12
#define MMUEXT_SET_LDT              13
#define MMUEXT_NEW_USER_BASEPTR     15
#define MMUEXT_CLEAR_PAGE           16
#define MMUEXT_COPY_PAGE            17
#define MMUEXT_FLUSH_CACHE_GLOBAL   18
#define MMUEXT_MARK_SUPER           19
#define MMUEXT_UNMARK_SUPER         20

#define UVMF_NONE           0UL
#define UVMF_TLB_FLUSH      1UL
#define UVMF_INVLPG         2UL
#define UVMF_MULTI          0UL
#define UVMF_LOCAL          0UL
#define UVMF_ALL            4UL

struct multicall_entry {
    ulong op;
    long result;
    ulong args[6];
};

#define VMASST_CMD_enable           0
#define VMASST_CMD_disable          1
#define VMASST_TYPE_4gb_segments    0
#define VMASST_TYPE_4gb_segments_notify 1
#define VMASST_TYPE_writable_pagetables 2
#define VMASST_TYPE_pae_extended_cr3 3
#define VMASST_TYPE_architectural_iopl 4
#define VMASST_TYPE_runstate_update_flag 5
#define VMASST_TYPE_m2p_strict      32

#define EVTCHNOP_bind_interdomain   0
#define EVTCHNOP_bind_virq          1
#define EVTCHNOP_bind_pirq          2
#define EVTCHNOP_close              3
#define EVTCHNOP_send               4
#define EVTCHNOP_status             5
#define EVTCHNOP_alloc_unbound      6
#define EVTCHNOP_bind_ipi           7
#define EVTCHNOP_bind_vcpu          8
#define EVTCHNOP_unmask             9
#define EVTCHNOP_reset              10
#define EVTCHNOP_init_control       11
#define EVTCHNOP_expand_array       12
#define EVTCHNOP_set_priority       13
#define EVTCHNOP_reset_cont         14

typedef uint32_t evtchn_port_t;
struct evtchn_bind_virq {
    uint32_t virq;
    uint32_t vcpu;
    evtchn_port_t port;
};
struct evtchn_bind_ipi {
    uint32_t vcpu;
    evtchn_port_t port;
};
struct evtchn_alloc_unbound {
    uint16_t dom, remote_dom;
    evtchn_port_t port;
};
struct evtchn_bind_interdomain {
    uint16_t remote_dom;
    evtchn_port_t remote_port;
    evtchn_port_t local_port;
};
struct evtchn_port {
    evtchn_port_t port;
};
struct evtchn_status {
    uint16_t dom;
    evtchn_port_t port;
    uint32_t status;
    uint32_t vcpu;
    union {
        struct {
            uint16_t dom;
            evtchn_port_t port;
        } interdomain;
        uint16_t unbound_dom;
        uint32_t virq;
    } u;
};
struct evtchn_bind_vcpu {
    evtchn_port_t port;
    uint32_t vcpu;
};
struct evtchn_reset {
    uint16_t dom;
};
struct evtchn_init_control {
    uint64_t control_gfn;
    uint32_t offset;
    uint32_t vcpu;
    uint8_t link_bits;
    uint8_t pad[7];
};
struct evtchn_expand_array {
    uint64_t array_gfn;
};
struct evtchn_set_priority {
    evtchn_port_t port;
    uint32_t priority;
};
#define EVTCHN_FIFO_PENDING         (1U << 31)
#define EVTCHN_FIFO_MASKED          (1U << 30)
#define EVTCHN_FIFO_LINKED          (1U << 29)
#define EVTCHN_FIFO_BUSY            (1U << 28)
#define EVTCHN_FIFO_LINK_MASK       0x1ffffU
#define EVTCHN_FIFO_PRIORITY_DEFAULT 7
struct evtchn_fifo_control_block {
    uint32_t ready;
    uint32_t rsvd;
    uint32_t head[16];
};
#define EVTCHNSTAT_closed           0
#define EVTCHNSTAT_unbound          1
#define EVTCHNSTAT_interdomain      2
#define EVTCHNSTAT_pirq             3
#define EVTCHNSTAT_virq             4
#define EVTCHNSTAT_ipi              5

#define VIRQ_TIMER          0
#define VIRQ_DEBUG          1

#define GNTTABOP_map_grant_ref      0
#define GNTTABOP_unmap_grant_ref    1
#define GNTTABOP_setup_table        2
#define GNTTABOP_transfer           4
#define GNTTABOP_copy               5
#define GNTTABOP_query_size         6
#define GNTTABOP_unmap_and_replace  7
#define GNTTABOP_set_version        8
#define GNTTABOP_get_status_frames  9
#define GNTTABOP_get_version        10
#define GNTTABOP_swap_grant_ref     11
#define GNTTABOP_cache_flush        12

#define GNTST_okay                  0
#define GNTST_general_error         -1
#define GNTST_bad_domain            -2
#define GNTST_bad_gntref            -3
#define GNTST_bad_handle            -4
#define GNTST_bad_virt_addr         -5
#define GNTST_bad_dev_addr          -6
#define GNTST_permission_denied     -8
#define GNTST_bad_page              -9
#define GNTST_bad_copy_arg          -10

#define GTF_permit_access           1
#define GTF_accept_transfer         2
#define GTF_transitive              3
#define GTF_readonly                (1 << 2)
#define GTF_reading                 (1 << 3)
#define GTF_writing                 (1 << 4)
#define GTF_sub_page                (1 << 8)

struct grant_entry_v1 {
    uint16_t flags, domid;
    uint32_t frame;
};
union grant_entry_v2 {
    struct {
        uint16_t flags, domid, page_off, length;
        uint64_t frame;
    } page;
    struct {
        uint16_t flags, domid, trans_domid, pad;
        uint32_t gref;
    } transitive;
};
struct gnttab_setup_table {
    uint16_t dom;
    uint32_t nr_frames;
    int16_t status;
    xen_pfn_t *frame_list;
};
struct gnttab_get_status_frames {
    uint32_t nr_frames;
    uint16_t dom;
    int16_t status;
    uint64_t *frame_list;
};
struct gnttab_copy {
    struct gnttab_copy_ptr {
        union {
            uint32_t ref;
            xen_pfn_t gmfn;
        } u;
        uint16_t domid;
        uint16_t offset;
    } source, dest;
    uint16_t len;
    uint16_t flags;
    int16_t status;
};
#define GNTCOPY_source_gref         1
#define GNTCOPY_dest_gref           2
struct gnttab_query_size {
    uint16_t dom;
    uint32_t nr_frames;
    uint32_t max_nr_frames;
    int16_t status;
};
struct gnttab_set_version {
    uint32_t version;
};
struct gnttab_get_version {
    uint16_t dom, pad;
    uint32_t version;
};
struct gnttab_swap_grant_ref {
    uint32_t ref_a, ref_b;
    int16_t status;
};
struct gnttab_transfer {
    xen_pfn_t mfn;
    uint16_t domid;
    uint32_t ref;
    int16_t status;
};
struct gnttab_map_grant_ref {
    uint64_t host_addr;
    uint32_t flags;
    uint32_t ref;
    uint16_t dom;
    int16_t status;
    uint32_t handle;
    uint64_t dev_bus_addr;
};
#define GNTMAP_device_map           (1 << 0)
#define GNTMAP_host_map             (1 << 1)
#define GNTMAP_readonly             (1 << 2)
#define GNTMAP_application_map      (1 << 3)
#define GNTMAP_contains_pte         (1 << 4)
struct gnttab_unmap_grant_ref {
    uint64_t host_addr, dev_bus_addr;
    uint32_t handle;
    int16_t status;
};
struct gnttab_unmap_and_replace {
    uint64_t host_addr, new_addr;
    uint32_t handle;
    int16_t status;
};
struct gnttab_cache_flush {
    uint64_t dev_bus_addr;
    uint16_t offset, length;
    uint32_t op;
};
#define GNTTAB_CACHE_CLEAN          (1U << 0)
#define GNTTAB_CACHE_INVAL          (1U << 1)
#define GNTTAB_CACHE_SOURCE_GREF    (1U << 31)

#define SCHEDOP_yield       0
#define SCHEDOP_block       1
#define SCHEDOP_shutdown    2
#define SCHEDOP_poll        3
#define SCHEDOP_remote_shutdown 4
#define SCHEDOP_shutdown_code 5
#define SCHEDOP_watchdog    6
#define SCHEDOP_pin_override 7
#define SHUTDOWN_poweroff   0
#define SHUTDOWN_reboot     1
#define SHUTDOWN_crash      3

struct sched_poll {
    evtchn_port_t *ports;
    unsigned int nr_ports;
    uint64_t timeout;
};

#define VCPUOP_initialise               0
#define VCPUOP_up                       1
#define VCPUOP_down                     2
#define VCPUOP_is_up                    3
#define VCPUOP_get_runstate_info        4
#define VCPUOP_register_runstate_memory_area 5
#define VCPUOP_set_periodic_timer       6
#define VCPUOP_stop_periodic_timer      7
#define VCPUOP_set_singleshot_timer     8
#define VCPUOP_stop_singleshot_timer    9
#define VCPUOP_register_vcpu_info       10
#define VCPUOP_send_nmi                 11
#define VCPUOP_get_physid               12
#define VCPUOP_register_vcpu_time_memory_area 13

struct cpu_user_regs {
#ifdef __x86_64__
    ulong r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
    uint32_t error_code, entry_vector;
    ulong ip;
    uint16_t cs, pad0;
    uint8_t saved_upcall_mask, pad1[3];
    ulong flags, sp;
    uint16_t ss, pad2[3], es, pad3[3], ds, pad4[3], fs, pad5[3], gs, pad6[3];
#else
    ulong bx, cx, dx, si, di, bp, ax;
    uint16_t error_code, entry_vector;
    ulong ip;
    uint16_t cs;
    uint8_t saved_upcall_mask, pad0;
    ulong flags, sp;
    uint16_t ss, pad1, es, pad2, ds, pad3, fs, pad4, gs, pad5;
#endif
};

struct vcpu_guest_context {
    char fpu_ctxt[512];
    ulong flags;                /* VGCF_* */
    struct cpu_user_regs user_regs;
    struct trap_info trap_ctxt[256];
    ulong ldt_base, ldt_ents;
    ulong gdt_frames[16], gdt_ents;
    ulong kernel_ss, kernel_sp;
    ulong ctrlreg[8];
    ulong debugreg[8];
#ifdef __x86_64__
    ulong event_callback_eip, failsafe_callback_eip, syscall_callback_eip;
    ulong vm_assist;
    uint64_t fs_base, gs_base_kernel, gs_base_user;
#else
    ulong event_callback_cs, event_callback_eip;
    ulong failsafe_callback_cs, failsafe_callback_eip;
    ulong vm_assist;
#endif
};
#define VGCF_IN_KERNEL                  4

struct vcpu_set_singleshot_timer {
    uint64_t timeout_abs_ns;
    uint32_t flags;
};
#define VCPU_SSHOTTMR_future    1
struct vcpu_set_periodic_timer {
    uint64_t period_ns;
};
#define RUNSTATE_running    0
#define RUNSTATE_blocked    2
#define RUNSTATE_offline    3
struct vcpu_runstate_info {
    int state;
    uint64_t state_entry_time;
    uint64_t time[4];
};

#define CALLBACKOP_register         0
#define CALLBACKOP_unregister       1
#define CALLBACKTYPE_event          0
#define CALLBACKTYPE_failsafe       1
#define CALLBACKTYPE_syscall        2
#define CALLBACKTYPE_nmi            4
#define CALLBACKTYPE_sysenter       5
#define CALLBACKTYPE_syscall32      7
#define CALLBACKF_mask_events       1
struct xen_callback {
#ifdef __x86_64__
    ulong address;
#else
    uint16_t cs;
    ulong eip;
#endif
};
struct callback_register {
    uint16_t type;
    uint16_t flags;
#ifdef __x86_64__
    ulong address;
#else
    struct {
        ulong cs;
        ulong eip;
    } address;
#endif
};

#define XENVER_version              0
#define XENVER_extraversion         1
#define XENVER_compile_info         2
#define XENVER_capabilities         3
#define XENVER_changeset            4
#define XENVER_platform_parameters  5
#define XENVER_get_features         6
#define XENVER_pagesize             7
#define XENVER_guest_handle         8
#define XENVER_commandline          9
#define XENVER_build_id             10
struct xen_feature_info {
    unsigned int submap_idx;
    uint32_t submap;
};

#define XENMEM_increase_reservation 0
#define XENMEM_decrease_reservation 1
#define XENMEM_maximum_ram_page     2
#define XENMEM_current_reservation  3
#define XENMEM_maximum_reservation  4
#define XENMEM_machphys_mfn_list    5
#define XENMEM_populate_physmap     6
#define XENMEM_add_to_physmap       7
struct memory_reservation {
    xen_pfn_t *extent_start;
    ulong nr_extents;
    unsigned int extent_order;
    unsigned int mem_flags;
    uint16_t domid;
};
struct machphys_mfn_list {
    unsigned int max_extents;
    xen_pfn_t *extent_start;
    unsigned int nr_extents;
};
struct memory_map {
    unsigned int nr_entries;
    void *buffer;
};
#define XENMEM_memory_map           9
#define XENMEM_machine_memory_map   10
#define XENMEM_exchange             11
#define XENMEM_machphys_mapping     12
#define XENMEM_set_memory_map       13
#define XENMEM_maximum_gpfn         14
#define XENMEM_remove_from_physmap  15
#define XENMEM_machphys_compat_mfn_list 25
struct xen_machphys_mapping {
    ulong v_start, v_end;
    ulong max_mfn;
};

#define CONSOLEIO_write             0
#define CONSOLEIO_read              1

#define SEGBASE_FS                  0
#define SEGBASE_GS_USER             1
#define SEGBASE_GS_KERNEL           2
#define SEGBASE_GS_USER_SEL         3

#define PHYSDEVOP_set_iopl          6
#define PHYSDEVOP_IRQ_UNMASK_NOTIFY 4
#define PHYSDEVOP_irq_status_query  5
#define PHYSDEVOP_set_iobitmap      7
#define PHYSDEVOP_apic_read         8
#define PHYSDEVOP_apic_write        9
#define PHYSDEVOP_alloc_irq_vector  10
#define PHYSDEVOP_eoi               12
#define PHYSDEVOP_map_pirq          13
#define PHYSDEVOP_unmap_pirq        14
#define PHYSDEVOP_manage_pci_add    15
#define PHYSDEVOP_manage_pci_remove 16
#define PHYSDEVOP_pirq_eoi_gmfn_v1  17
#define PHYSDEVOP_restore_msi       19
#define PHYSDEVOP_manage_pci_add_ext 20
#define PHYSDEVOP_setup_gsi         21
#define PHYSDEVOP_get_free_pirq     23
#define PHYSDEVOP_pci_mmcfg_reserved 24
#define PHYSDEVOP_pci_device_add    25
#define PHYSDEVOP_pci_device_remove 26
#define PHYSDEVOP_restore_msi_ext   27
#define PHYSDEVOP_pirq_eoi_gmfn_v2  28
#define PHYSDEVOP_dbgp_op           29
#define PHYSDEVOP_prepare_msix      30
#define PHYSDEVOP_release_msix      31
struct physdev_set_iobitmap {
    const uint8_t *bitmap;
    uint32_t nr_ports;
};

#define VGCF_in_syscall             0x100

struct xencons_interface {
    char in[1024];
    char out[2048];
    uint32_t in_cons, in_prod;
    uint32_t out_cons, out_prod;
};

#endif /* !__ASSEMBLY__ */
#endif
