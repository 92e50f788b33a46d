/*
 * The ABI between the xenpv-kvm machine and its ring-0 monitor
 *
 * The machine (QEMU, hw/xenpv/) loads the monitor (pc-bios/xenpv/) into a
 * RAM region of its own, fills in struct xenpv_boot_info, and starts the
 * vCPUs in the monitor. From then on the two talk through the memory that
 * is described here and three I/O ports. Monitor, devices and qtests all
 * include this file; every number of the ABI appears here and only here.
 *
 * Everything is little-endian and has the same layout in the 32-bit and in
 * the 64-bit monitor. The machine never trusts what it reads from here: the
 * guest kernel runs with supervisor rights for paging, so it can write the
 * monitor's memory. By doing so it can only hurt itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_MONITOR_H
#define HW_XENPV_MONITOR_H

#ifndef __ASSEMBLY__
#include <stdint.h>
#endif

/*
 * Guest-physical memory map
 *
 *   0                   guest RAM, up to XENPV_HOLE_START
 *   XENPV_HOLE_START    the monitor's core region, XENPV_CORE_SIZE bytes
 *   0xfee00000          the local APIC page
 *   4 GiB               the rest of guest RAM
 *   above guest RAM     the tables region (M2P, then the frame table),
 *                       2 MiB aligned, at boot_info.tables_gpa
 *
 * A guest pfn below XENPV_HOLE_START has the same number as its mfn; the
 * pfns of RAM above the hole are XENPV_HOLE_PAGES lower than their mfns.
 */
#define XENPV_HOLE_START        0xfe000000
#define XENPV_HOLE_END          0x100000000
#define XENPV_HOLE_PAGES        0x2000
#define XENPV_CORE_GPA          XENPV_HOLE_START
#define XENPV_CORE_SIZE         0x00800000

/* Layout of the core region: offsets from XENPV_CORE_GPA */
#define XENPV_CORE_IMAGE        0x00000000  /* the monitor's image, bss too */
#define XENPV_CORE_IMAGE_MAX    0x00070000
#define XENPV_CORE_COUNTERS     0x00070000  /* struct xenpv_counters[] */
#define XENPV_CORE_BOOT_INFO    0x00080000  /* struct xenpv_boot_info, 64 KiB */
#define XENPV_CORE_SHARED_INFO  0x00090000  /* the guest's shared_info page */
#define XENPV_CORE_GRANT_TABLE  0x000a0000  /* grant frames, v1/v2 and status */
#define XENPV_CORE_GRANT_PAGES  0x40        /* 64 frames, then 64 status */
#define XENPV_CORE_EVTCHN       0x00120000  /* struct xenpv_evtchn[], 1 MiB */
#define XENPV_CORE_FIFO         0x00220000  /* struct xenpv_fifo, 32 KiB */
#define XENPV_CORE_VIRQS        0x00228000  /* struct xenpv_virqs, 32 KiB */
#define XENPV_CORE_INCOMING     0x00230000  /* struct xenpv_incoming, 64 KiB */
#define XENPV_CORE_MAILBOX      0x00240000  /* struct xenpv_mailbox[] */
#define XENPV_CORE_FIFO_QUEUED  0x00280000  /* the monitor's own, 256 KiB */
#define XENPV_CORE_POOL         0x002c0000  /* free pages, the monitor's own */

/* Virtual addresses of the monitor's mappings, by width */
#define XENPV_M2P_VIRT_32       0xf5800000  /* up to XENPV_CORE_VIRT_32 */
#define XENPV_CORE_VIRT_32      0xf7800000
#define XENPV_VCPU_VIRT_32      0xf8000000
#define XENPV_M2P_VIRT_64       0xffff800000000000
#define XENPV_CORE_VIRT_64      0xffff808000000000
#define XENPV_VCPU_VIRT_64      0xffff808040000000
#define XENPV_DIRECT_VIRT_64    0xffff810000000000
#define XENPV_HV_VIRT_END_64    0xffff880000000000

/* The tables here have room for this many vCPUs; struct shared_info has 32 */
#define XENPV_MAX_VCPUS         64

/*
 * I/O ports. Writes of another size than given are ignored; reads return ~0.
 */
#define XENPV_IO_BASE           0x1900
#define XENPV_IO_SIZE           16
/*
 * 32-bit write of a local port number: EVTCHNOP_send on an interdomain port.
 * The machine signals the back end that is bound to it (an ioeventfd). A port
 * that is not bound to a back end is ignored.
 */
#define XENPV_IO_SEND           0
/*
 * 32-bit write of a vCPU's number: the machine performs the call in that
 * vCPU's mailbox before the write completes.
 */
#define XENPV_IO_CALL           4
/* 8-bit write: a character of the monitor's log, which is kept line by line */
#define XENPV_IO_LOG            8

/* The machine sends this vector for new bits in struct xenpv_incoming */
#define XENPV_UPCALL_VECTOR     0xf3
/* The vector of the local APIC's timer, used by the monitor alone */
#define XENPV_TIMER_VECTOR      0xf2
/* IPIs that the monitor sends from one vCPU to another */
#define XENPV_IPI_VECTOR        0xf4

/*
 * The frame table has 32 bits for each frame, for the monitor. The machine
 * initialises them to 0, or to this value for a frame that the domain does not
 * have; the monitor writes it, too, when the guest gives a frame back.
 */
#define XENPV_FRAME_RELEASED    0x07000000

#define XENPV_IMAGE_MAGIC       0x4d565058  /* "XPVM" */
#define XENPV_ABI_VERSION       4

#ifndef __ASSEMBLY__

/*
 * The monitor's image is a flat binary which is loaded at XENPV_CORE_GPA
 * and begins with this header. It is entered at .entry with paging on,
 * CR3 = .cr3 (page tables within the image that map the core region at the
 * width's XENPV_CORE_VIRT), CR0 = PE|MP|ET|NE|WP|AM|PG, CR4 = PAE, flat ring-0
 * segments with the limit 4 GiB (CS is a 64-bit segment in the 64-bit
 * monitor, and EFER = SCE|LME|LMA|NXE; 32-bit: EFER = NXE where there is
 * NX), interrupts off, and EBX/RBX = the vCPU's number.
 */
struct xenpv_image_header {
    uint32_t magic;         /* XENPV_IMAGE_MAGIC */
    uint32_t abi_version;   /* XENPV_ABI_VERSION */
    uint32_t width;         /* 32 or 64 */
    uint32_t image_size;    /* bytes, with bss, page aligned */
    uint64_t entry;         /* virtual */
    uint32_t cr3;           /* guest-physical */
    uint32_t patches;       /* offset of struct xenpv_patch[]; 0: no counters */
};

/*
 * A place in the image, and the bytes that the machine exchanges with those
 * there when it begins to count, and again when it stops. Before and after,
 * they belong to one instruction at .site, so the machine can do this whenever
 * no vCPU runs. An entry with .site = 0 ends the table. The guest can write the
 * image, so the machine checks what it reads here.
 */
#define XENPV_PATCH_BYTES       5
struct xenpv_patch {
    uint32_t site;          /* from the image's start */
    uint8_t bytes[XENPV_PATCH_BYTES];
    uint8_t reserved[3];
};

/* One per vCPU, which writes its own while boot_info.counting is not 0 */
#define XENPV_COUNTED_HYPERCALLS    64
#define XENPV_COUNTED_EXCEPTIONS    32
struct xenpv_counters {
    uint64_t hypercalls[XENPV_COUNTED_HYPERCALLS];  /* by number */
    uint64_t exceptions[XENPV_COUNTED_EXCEPTIONS];  /* by vector */
    uint64_t interrupts;    /* other vectors */
    uint64_t syscalls;      /* by SYSCALL */
    uint64_t upcalls;       /* event callbacks of the guest */
    uint64_t doorbells;     /* XENPV_IO_SEND */
    uint64_t flushes;       /* TLB flushes that it asked other vCPUs for */
    uint64_t ticks;         /* of the TSC, spent in the monitor */
    uint64_t entered;       /* TSC when it entered the monitor; 0: not in it */
    uint64_t reserved[25];
};

/* One answer of the emulated CPUID; the machine makes the policy */
struct xenpv_cpuid {
    uint32_t leaf;
    uint32_t subleaf;       /* XENPV_CPUID_ANY where it does not matter */
    uint32_t eax, ebx, ecx, edx;
};
#define XENPV_CPUID_ANY         0xffffffff
#define XENPV_CPUID_MAX         160
#define XENPV_CPUID_LEAVES      64      /* of each of the three ranges */
#define XENPV_CPUID_NONE        0xff

/* boot_info.flags */
#define XENPV_BOOT_X2APIC       0x1     /* the vCPUs have x2APIC mode: use it */
#define XENPV_BOOT_KVM_CLOCK    0x2     /* the kvmclock MSRs work */
#define XENPV_BOOT_TRACE        0x4     /* log unknown hypercalls and the like */
#define XENPV_BOOT_KVM_PV_EOI   0x8     /* the MSR of KVM's PV EOI works */
#define XENPV_BOOT_XPTI         0x10    /* 64-bit: user mode has its own tables */

/*
 * Written by the machine at each reset, read by the monitor. Only .max_pages
 * and .counting change later.
 */
struct xenpv_boot_info {
    uint32_t abi_version;   /* XENPV_ABI_VERSION */
    uint32_t flags;         /* XENPV_BOOT_* */
    uint32_t nr_vcpus;
    uint32_t domid;

    uint64_t nr_pages;      /* guest RAM, pages of 4 KiB */
    uint64_t start_pages;   /* how many of these it starts with: the first */
    uint64_t max_pages;     /* how many it may have: Xen's d->max_pages */
    uint64_t max_mfn;       /* M2P and frame table have this many entries */
    uint64_t tables_gpa;    /* the tables region */
    uint64_t m2p_size;      /* bytes, a multiple of 2 MiB */
    uint64_t frame_table_size; /* bytes, a multiple of 2 MiB, after the M2P */

    /* The domain as its builder made it */
    uint64_t top_table_mfn; /* top-level page table, mfn */
    uint64_t entry;         /* virtual addresses: entry point, */
    uint64_t stack;         /* initial stack pointer, */
    uint64_t start_info;    /* struct start_info */

    /* Time: see struct vcpu_time_info for tsc_to_system_mul and tsc_shift */
    uint64_t tsc_timestamp;
    uint64_t system_time;   /* ns */
    uint32_t tsc_to_system_mul;
    int32_t tsc_shift;
    uint32_t apic_timer_mhz; /* of the local APIC's timer, divisor 1 */
    /* How long a vCPU polls for a back end's answer before HLT; 0: never */
    uint32_t poll_max_ns;

    /* What xen_version and CPUID report */
    uint32_t xen_major, xen_minor;
    char extraversion[16];
    char capabilities[1024];
    uint8_t uuid[16];

    uint32_t nr_cpuid;
    uint32_t counting;      /* 1: struct xenpv_counters is to be written */
    /*
     * For each leaf from 0, 0x40000000 and 0x80000000 on, the index in .cpuid
     * of its first entry, which its others follow; XENPV_CPUID_NONE: no such
     * leaf
     */
    uint8_t cpuid_index[3][XENPV_CPUID_LEAVES];
    struct xenpv_cpuid cpuid[XENPV_CPUID_MAX];
};

/*
 * The event-channel port table. The machine owns it: it allocates, binds and
 * closes ports (calls XENPV_CALL_EVTCHN). The monitor reads it to send.
 */
#define XENPV_NR_PORTS          0x20000 /* of the FIFO ABI */
#define XENPV_NR_PIRQS          56      /* 24 GSIs, 32 extra for a domU */
#define XENPV_EVTCHN_INVALID    0       /* beyond all ports in use so far */
#define XENPV_EVTCHN_UNBOUND    1       /* waits for a remote domain */
#define XENPV_EVTCHN_INTERDOMAIN 2      /* bound to a back end: XENPV_IO_SEND */
#define XENPV_EVTCHN_VIRQ       3       /* .arg = VIRQ_* */
#define XENPV_EVTCHN_IPI        4
#define XENPV_EVTCHN_LOOPBACK   5       /* interdomain to .arg, a port of our own */
#define XENPV_EVTCHN_RESERVED   6       /* port 0 */
#define XENPV_EVTCHN_FREE       7
/* In these states a port has a pending bit */
#define XENPV_EVTCHN_USABLE(s)  ((s) - 1U < XENPV_EVTCHN_RESERVED - 1U)
struct xenpv_evtchn {
    uint8_t state;          /* XENPV_EVTCHN_* */
    /* FIFO ABI. The machine sets a new port's default, the monitor the rest */
    uint8_t priority;
    uint16_t vcpu;          /* the vCPU that is notified */
    uint32_t arg;
};

/*
 * The port that each vCPU's VIRQs are bound to, or 0; global VIRQs are vCPU
 * 0's. Only the machine writes here, as in the port table. It has changed both
 * when a call that binds or closes a port returns, on whichever vCPU.
 */
#define XENPV_NR_VIRQS          24
struct xenpv_virqs {
    uint32_t port[XENPV_MAX_VCPUS][XENPV_NR_VIRQS];
};

/*
 * What the guest has registered for the FIFO ABI. The machine checks that the
 * frames are guest RAM, and fills this in; the monitor checks that they may be
 * written to, and puts events there.
 */
#define XENPV_FIFO_WORDS        1024    /* event words in a frame */
#define XENPV_FIFO_FRAMES       (XENPV_NR_PORTS / XENPV_FIFO_WORDS)
#define XENPV_FIFO_CONTROL      0x1
struct xenpv_fifo {
    uint32_t active;        /* 0: the 2-level ABI */
    uint32_t nr_ports;      /* with event words: XENPV_FIFO_WORDS per frame */
    uint32_t reserved[14];
    /* By vCPU: its control block's address | XENPV_FIFO_CONTROL, or 0 */
    uint64_t control[XENPV_MAX_VCPUS];
    uint32_t array[XENPV_FIFO_FRAMES];  /* mfns */
};

/*
 * Events on their way to the guest. To send one, the machine sets three bits:
 * that of the port in .ports; then, for the port's vCPU, that of this word of
 * .ports in .words; then that of this word of .words in .summary. If .summary
 * was 0, it sends XENPV_UPCALL_VECTOR to the vCPU. The monitor takes the bits
 * the other way round, atomically, and makes the ports pending by Xen's rules,
 * masks included. While it is about to look anyway, it sets a bit of .summary
 * itself, so that the machine sends no vector.
 */
struct xenpv_incoming {
    uint64_t ports[XENPV_NR_PORTS / 64];
    struct {
        uint32_t summary;
        uint32_t reserved[15];
        uint64_t words[XENPV_NR_PORTS / 64 / 64];
    } vcpu[XENPV_MAX_VCPUS];
};

/*
 * Calls for what the machine must do or decide. One mailbox per vCPU.
 * The monitor fills in .op, .cmd, .size and .data and writes the vCPU's number
 * to XENPV_IO_CALL; the machine answers in .ret and .data.
 */
#define XENPV_CALL_EVTCHN       1   /* .cmd = EVTCHNOP_*, .data = its struct */
#define XENPV_CALL_GNTTAB       2   /* .cmd = GNTTABOP_*, see below */
/*
 * .cmd = SHUTDOWN_*. With SHUTDOWN_suspend, .data = start_info's mfn, 64 bits.
 * That call returns when the domain goes on, like one that has been restored:
 * its event channels and grants are gone, and start_info has xenstore's and the
 * console's new ports.
 */
#define XENPV_CALL_SHUTDOWN     3
#define XENPV_CALL_CONSOLE      4   /* .cmd = CONSOLEIO_*, .size bytes of text */
#define XENPV_CALL_CRASH        5   /* domain or monitor crashed; .data = why */
#define XENPV_CALL_MEMORY       6   /* .data = struct xenpv_reservation */
/* A report. .cmd = VCPUOP_up or _down, .data = the vCPU's number, 32 bits */
#define XENPV_CALL_VCPU         7
#define XENPV_NR_CALLS          8
/*
 * XENPV_CALL_GNTTAB, one element at a time; guest handles are not used:
 *   GNTTABOP_setup_table   .data = struct xenpv_gnttab_setup; on return the
 *                          mfns of the first nr_frames frames
 *   GNTTABOP_get_status_frames   likewise
 *   GNTTABOP_set_version / get_version / query_size / copy / ...
 *                          .data = one element of the public structure
 * .ret is the hypercall's return value, the element has its own .status.
 */
struct xenpv_gnttab_setup {
    uint16_t dom;
    int16_t status;         /* GNTST_* */
    uint32_t nr_frames;
    uint32_t frames[XENPV_CORE_GRANT_PAGES];    /* mfns */
};
/*
 * XENPV_CALL_MEMORY: how much memory the domain has now, and which frames it
 * has given back. The machine may discard their contents, so they read as
 * zeroes afterwards, or as before.
 */
#define XENPV_RESERVATION_FRAMES    256
struct xenpv_reservation {
    uint64_t nr_pages;
    uint32_t nr_frames;
    uint32_t frames[XENPV_RESERVATION_FRAMES];  /* mfns */
};
struct xenpv_mailbox {
    uint32_t op;            /* XENPV_CALL_* */
    uint32_t cmd;
    int64_t ret;            /* 0 or more, or minus a Xen errno */
    uint32_t size;          /* of .data, bytes */
    uint32_t reserved[3];
    uint8_t data[4096 - 32];
};

#endif /* !__ASSEMBLY__ */
#endif /* HW_XENPV_MONITOR_H */
