/*
 * The monitor's own types and functions, by file; included by all of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_MONITOR_H
#define XENPV_MONITOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The monitor is one image, so no symbol needs a GOT */
#pragma GCC visibility push(hidden)

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/sched.h"
#include "hw/xen/interface/vcpu.h"
#include "hw/xen/interface/event_channel.h"
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned long ulong;

/* Xen's error numbers (public/errno.h) */
#define EPERM       1
#define ENOENT      2
#define ESRCH       3
#define ENXIO       6
#define ENOMEM      12
#define EACCES      13
#define EFAULT      14
#define EBUSY       16
#define EEXIST      17
#define ENODEV      19
#define EINVAL      22
#define ENOSPC      28
#define ENOSYS      38
#define EOPNOTSUPP  95

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline    __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define barrier()   asm volatile("" : : : "memory")

#define PAGE_SIZE   4096UL

/* Page-table entries */
#define PTE_P       0x001ULL
#define PTE_RW      0x002ULL
#define PTE_US      0x004ULL
#define PTE_PWT     0x008ULL
#define PTE_PCD     0x010ULL
#define PTE_A       0x020ULL
#define PTE_D       0x040ULL
#define PTE_PSE     0x080ULL       /* level 2 and up; at level 1 it is PAT: */
#define PTE_PAT     0x080ULL
#define PTE_G       0x100ULL
#define PTE_NX      (1ULL << 63)
/* A data page of the monitor; in a vCPU's area it is not executable, either */
#define PTE_DATA    (PTE_P | PTE_RW | PTE_A | PTE_D)
#define AREA_DATA   (PTE_DATA | nx)
extern u64 nx;                      /* PTE_NX, if the CPU has it */
#define PTE_MFN(e)  (((e) & 0x000ffffffffff000ULL) >> 12)

/* What is in a segment register now */
#define SELECTOR(name) \
    ({ u16 sel_; asm volatile("mov %%" name ", %0" : "=r" (sel_)); sel_; })

/* struct regs, struct gate, struct tss, and which addresses are the guest's */
#ifdef __x86_64__
#include "monitor-64.h"
#else
#include "monitor-32.h"
#endif

/* What another vCPU is to flush: a page's aligned address, or one of these */
#define FLUSH_NONE  1UL
#define FLUSH_ALL   (~0UL)

struct callback {
    ulong ip;
    u16 cs;
    u8 masks;           /* delivery sets evtchn_upcall_mask */
};

/* A vCPU. The first members are used by assembly: V_* in layout.h */
struct vcpu {
    ulong scratch;
    ulong kernel_sp;            /* stack_switch: where traps from user go */
    ulong kernel_cr3;           /* what CR3 holds in guest-kernel mode */
    ulong user_cr3;             /* 64-bit: ... in guest-user mode, or 0 */
    struct vcpu_info *vcpu_info;
    ulong syscall_cb;           /* 64-bit: the guest's SYSCALL handler */
    ulong mode;                 /* V_MODE_KERNEL or 0 */
    ulong syscall_masks;
    bool in_nmi;                /* until an iret it gets no other NMI */
    struct callback event;
    struct callback sysenter;   /* .cs 0: none */
    ulong kernel_ss;
    struct trap_info traps[256];

    u32 id;
    u32 apic_id;
    bool ready;                 /* its CPU has started */
    bool initialised, up;       /* VCPUOP_initialise, VCPUOP_up */
    bool runs;                  /* it is not in wait_until_up() */
    bool renewed;               /* .start has not been loaded yet */
    /* What other vCPUs ask of this one: see requests.c */
    bool idle;                  /* it flushes at wakeup, without an IPI */
    bool polling;               /* in SCHEDOP_poll */
    bool told_backend;          /* it has not answered yet */
    u32 poll_ns;                /* how long to poll for the answer before HLT */
    u64 wait_start;             /* for an answer, system time; 0: none */
    u32 requests;               /* REQUEST_* */
    ulong flush;                /* FLUSH_* or an address */
    u32 flush_asked, flush_done;    /* how many so far */
    u64 new_periodic_ns;
    u64 *area_l1;               /* the L1 table of this vCPU's area */
    u64 *user_area_l1;          /* 64-bit: the same in user mode's tables */
    struct tss *tss;
    struct gate *idt;

    ulong top_mfn;              /* MMUEXT_NEW_BASEPTR's, or 0 */
    ulong user_top_mfn;         /* MMUEXT_NEW_USER_BASEPTR's, or 0 */
    ulong next_top_mfn, next_user_top_mfn;  /* see set_next_tables() */
    ulong vcpu_info_gpa;
    ulong gdt_ents;
    ulong ldt_base, ldt_ents;
    bool ldt_holes;             /* a page fault may be due to the LDT */
    bool one_table;             /* 64-bit: ... may need give_user_bits() */
    ulong cr4;                  /* as the guest believes it to be */
#define CR4_DE  0x8
    u64 xcr0;                   /* what XSAVE saves */
    u32 tsc_aux;                /* MSR_TSC_AUX */
    u8 iopl;                    /* PHYSDEVOP_set_iopl */
    u32 nr_ports;               /* PHYSDEVOP_set_iobitmap */
    ulong iobitmap;
    u64 debugreg[8];
    u32 spec_ctrl;              /* the guest's MSR_SPEC_CTRL */

    struct callback failsafe, syscall32;

    u64 timer_deadline;         /* system time in ns, 0: none */
    u64 timer_set;              /* likewise: when the APIC's timer interrupts */
    u64 periodic_ns, periodic_next;
    struct vcpu_runstate_info runstate;
    ulong runstate_addr;        /* guest virtual, 0: none */
    ulong time_addr;            /* likewise: a copy of .vcpu_info's time */
    u32 time_version;           /* the time's version that was copied there */
    u64 poll_deadline;
    u64 time_update;            /* when to write .vcpu_info's time again */
    struct top_pair {           /* 64-bit: a kernel's and a program's base */
        ulong top, user;        /* table, with the same lower half as of */
        u32 changes;            /* this value of top_changes */
    } top_pairs[8];
    /* VCPUOP_initialise's context, which the vCPU starts with */
    struct vcpu_guest_context start __attribute__((aligned(16)));
    u64 *pdpt;                  /* 32-bit: the top level that CR3 points to */
    ulong upper_mfn;            /* likewise: the guest's table for the top GiB */
    u64 upper_version[AREA_NR_UPPER];   /* ... the version of each copy, or 0 */
    unsigned next_upper;        /* ... which copy to replace next */
    u32 window[AREA_WINDOW_PAGES];  /* 32-bit: mfn of each window page, or ~0 */
};

/* The offsets that layout.h gives to assembly */
#define IS_AT(member, longs) \
    _Static_assert(offsetof(struct vcpu, member) == (longs) * WORD, #member)
IS_AT(kernel_sp, V_KERNEL_SP);
IS_AT(kernel_cr3, V_KERNEL_CR3);
IS_AT(user_cr3, V_USER_CR3);
IS_AT(vcpu_info, V_VCPU_INFO);
IS_AT(syscall_cb, V_SYSCALL_CB);
IS_AT(mode, V_MODE);
IS_AT(syscall_masks, V_SYSCALL_MASKS);
IS_AT(in_nmi, V_IN_NMI);
IS_AT(event.ip, V_EVENT_IP);
IS_AT(traps, V_TRAPS);
_Static_assert(sizeof(struct vcpu) <= AREA_VCPU_PAGES * PAGE_SIZE, "");
_Static_assert(offsetof(struct regs, cs) == FRAME_CS * WORD, "");

static inline ulong area_base(void)
{
    ulong sp;

    asm("mov %%" STACK_POINTER ", %0" : "=r" (sp));
    return sp & ~(ulong)(VCPU_AREA_SIZE - 1);
}

/* The vCPU that runs this code */
static inline struct vcpu *current_vcpu(void)
{
    return (struct vcpu *)(area_base() + VCPU_OFFSET);
}

static inline bool in_kernel(const struct vcpu *v, const struct regs *regs)
{
    /*
     * 32-bit: look at SS, too. After a call gate to conforming code, QEMU's TCG
     * has the segment's ring in CS, though the program stays in its own. There
     * is no VM86 mode.
     */
    return WORD == 8 ? v->mode & V_MODE_KERNEL
                     : ((regs->cs | regs->ss) & 3) == 1;
}

/*
 * In all files volatile marks what another CPU, the machine or the guest may
 * access at the same time, and device registers: the compiler makes each access
 * that the code has, once, and does not split it.
 */

/* Where the image begins, CORE_VIRT: a symbol, for rip-relative addressing */
extern char image_start[];
#define boot_info ((struct xenpv_boot_info *)(image_start + XENPV_CORE_BOOT_INFO))
#define shared    ((struct shared_info *)(image_start + XENPV_CORE_SHARED_INFO))
#define evtchns   ((volatile struct xenpv_evtchn *)(image_start + \
                                                    XENPV_CORE_EVTCHN))
#define fifo      ((volatile struct xenpv_fifo *)(image_start + XENPV_CORE_FIFO))
#define virqs     ((volatile struct xenpv_virqs *)(image_start + \
                                                   XENPV_CORE_VIRQS))
#define incoming  ((struct xenpv_incoming *)(image_start + XENPV_CORE_INCOMING))

/* Of other domains, this one can only tell that domain 0 exists */
static inline bool domid_is_own(u16 domid)
{
    return domid == DOMID_SELF || domid == boot_info->domid;
}

static inline ulong core_gpa(const void *virt)
{
    return (ulong)virt - CORE_VIRT + XENPV_CORE_GPA;
}

static inline u64 rdtsc(void)
{
    u32 lo, hi;

    asm volatile("rdtsc" : "=a" (lo), "=d" (hi));
    return lo | (u64)hi << 32;
}

#define READ_REG(name, insn) \
    static inline ulong name(void) \
    { \
        ulong val; \
        asm volatile("mov %%" insn ", %0" : "=r" (val)); \
        return val; \
    }
#define WRITE_REG(name, insn) \
    static inline void name(ulong val) \
    { \
        asm volatile("mov %0, %%" insn : : "r" (val) : "memory"); \
    }
READ_REG(read_cr0, "cr0")
READ_REG(read_cr2, "cr2")
READ_REG(read_cr3, "cr3")
READ_REG(read_cr4, "cr4")
WRITE_REG(write_cr0, "cr0")
WRITE_REG(write_cr3, "cr3")
WRITE_REG(write_cr4, "cr4")

static inline void flush_tlb(void)
{
    write_cr3(read_cr3());
}

static inline void invlpg(ulong addr)
{
    asm volatile("invlpg %0" : : "m" (*(char *)addr) : "memory");
}

static inline void outl(u16 port, u32 val)
{
    asm volatile("outl %0, %1" : : "a" (val), "Nd" (port) : "memory");
}

static inline void outb(u16 port, u8 val)
{
    asm volatile("outb %0, %1" : : "a" (val), "Nd" (port) : "memory");
}

/*
 * Guest virtual memory, with the guest kernel's rights. access_ok(): none of
 * the range is the hypervisor's, but accesses may fault. access_ok_long() looks
 * at a long's first byte: if only others are the hypervisor's, access faults.
 */
static inline bool canonical(ulong addr)
{
    return WORD == 4 || (s64)(long)addr >> 47 == 0 ||
           (s64)(long)addr >> 47 == -1;
}

/* lib.c */

/* Return 0 or -EFAULT; a part may have been copied then */
int copy_from_guest(void *to, ulong from, ulong size);
int copy_to_guest(ulong to, const void *from, ulong size);

struct ex_entry {
    ulong fault, fixup;
};
ulong find_fixup(ulong ip);

#define EX_TABLE(from, to) \
    ".pushsection __ex_table, \"a\"\n\t" \
    WORD_DIRECTIVE " " #from ", " #to "\n\t" \
    ".popsection\n\t"

/* Read or write one long; go to the label if that faults */
#define GET_GUEST(val, addr, label) \
    asm goto("1: mov %1, %0\n\t" EX_TABLE(1b, %l[label]) \
             : "=r" (val) : "m" (*(volatile ulong *)(addr)) : : label)
#define GET_GUEST32(val, addr, label) \
    asm goto("1: movl %1, %0\n\t" EX_TABLE(1b, %l[label]) \
             : "=r" (val) : "m" (*(volatile u32 *)(addr)) : : label)
#define PUT_GUEST(addr, val, label) \
    asm goto("1: mov %0, %1\n\t" EX_TABLE(1b, %l[label]) \
             : : "r" (val), "m" (*(volatile ulong *)(addr)) \
             : "memory" : label)

/* A vCPU that waits for an event of the guest holds no lock */
struct spinlock {
    u32 held;
};
void spin_wait(void);           /* one turn of a wait: requests.c */

static inline void spin_lock(struct spinlock *l)
{
    while (unlikely(atomic_exchange(&l->held, 1))) {
        spin_wait();
    }
}

static inline void spin_unlock(struct spinlock *l)
{
    atomic_store_explicit(&l->held, 0, memory_order_release);
}

/* lib.c */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
/* %s %u %x, with l; %p is a ulong in full width */
void printk(const char *fmt, ...);
u64 div64(u64 n, u32 d);
void *alloc_page(void);                         /* zeroed */
/* Ends the domain as crashed: the guest did what no Xen guest may do */
void domain_crash(const struct regs *regs, const char *why)
    __attribute__((noreturn));
/* Ends the domain: the monitor itself is broken */
void monitor_crash(const struct regs *regs, const char *why)
    __attribute__((noreturn));
#define BUG_ON(c) \
    do { \
        if (unlikely(c)) { \
            monitor_crash(NULL, __FILE__ ": " #c); \
        } \
    } while (0)
/* A call to the machine: data goes both ways */
long machine_call(u32 op, u32 cmd, void *data, u32 size);

/* xenpv.lds: where the image's parts end, and the table of EX_TABLE() */
extern char text_end[], rodata_end[];
extern const struct ex_entry ex_table_start[], ex_table_end[];

/* entry-*.S: the tables that it boots with, and the ways into ring 0 */
extern u64 boot_l4[], boot_hv_l2[];
extern u8 monitor_started;          /* the other vCPUs may go on */
extern char trap_stubs[], sysenter_entry[];
extern char iret_of_multicall[];    /* a multicall with an iret returns here */
extern char slow_page_fault[], syscall_stub[], syscall_stub_end[];  /* 64-bit */
extern char syscall32_stub[], syscall32_stub_end[];                 /* 64-bit */
extern char hypercall_entry[], double_fault_task[];                 /* 32-bit */
void enter_guest(struct regs *regs) __attribute__((noreturn));

void do_iret(struct regs *regs);    /* iret-64.c, for entry-64.S */

/* init.c */
void start_monitor(void) __attribute__((noreturn));
void start_secondary(void) __attribute__((noreturn));
void run_first(void) __attribute__((noreturn));
void run_first_on(ulong stack) __attribute__((noreturn));   /* entry-*.S */

/* traps.c */
void do_trap(struct regs *regs);

/* bounce.c */
void deliver_events(struct regs *regs);
/* Give the guest #DB with these bits in DR6; after emulation, too */
void debug_exception(struct vcpu *v, struct regs *regs, u32 dr6);

/* idt.c and idt-*.c */
void init_idt(struct vcpu *v);
void load_idt(struct vcpu *v);
void set_trap_gate(struct vcpu *v, u8 vector);
void choose_fault_gate(struct vcpu *v);                 /* 64-bit */

/* callbacks.c */
void set_own_trap_table(struct vcpu *v);

/* privileged.c, port_io.c and cpuid.c: instructions that trap (emulate.h) */
bool emulate_privileged(struct vcpu *v, struct regs *regs);
bool emulate_segment_load(struct vcpu *v, struct regs *regs);   /* 64-bit */
bool emulate_program(struct vcpu *v, struct regs *regs);
bool emulate_forced_cpuid(struct vcpu *v, struct regs *regs);
extern bool cpuid_faults;           /* outside ring 0; the same on all CPUs */
void guest_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4]);

/* mappings.c and mappings-*.c */
void init_page_tables(void);
void init_memory(void);              /* memory.c */
void map_vcpu_area(u32 id, u64 *l1);
void map_area_page(struct vcpu *v, int page, u64 pte);
bool guest_mfn_valid(ulong mfn);
void release_unused_frame(ulong mfn);

/* frames.c */
void pin_boot_table(ulong mfn);
int get_seg_desc(ulong mfn);
void put_seg_desc(ulong mfn);

/* base_tables.c and base_tables-*.c */
int set_base_table(struct vcpu *v, ulong mfn, bool user);
int set_next_tables(struct vcpu *v, ulong top, ulong user);
void put_next_tables(struct vcpu *v);   /* of a vCPU that is not up */
void use_next_tables(struct vcpu *v);   /* on the vCPU itself */
bool leave_kernel_tables(struct vcpu *v, ulong addr);   /* 64-bit; likewise */
bool give_user_bits(struct vcpu *v, ulong addr, u64 need, u64 forbidden);
void flush_for_others(struct vcpu *v, ulong what);
void reload_base_tables(struct vcpu *v);

/* entries.c */
u64 read_l1_entry(ulong addr);      /* in the tables in use; 0: none */
bool access_allowed(ulong addr, bool write);    /* by them, to a supervisor */

/* table_writes.c */
extern ulong vm_assists;            /* bits VMASST_TYPE_* */
bool allow_table_write(struct vcpu *v, ulong addr);

/* segments.c and segments-*.c */
void set_kernel_stack(struct vcpu *v, ulong ss, ulong sp);
void init_gdt(struct vcpu *v);
int set_gdt_frames(struct vcpu *v, const ulong *frames, ulong ents);
int set_ldt(struct vcpu *v, ulong base, ulong ents);
bool fix_descriptor(u64 *desc);
bool ldt_fault(struct vcpu *v, ulong *addr);

/* debug.c */
#define DR6_DEFAULT     0xffff0ff0      /* bits that are always set */
#define DR7_DEFAULT     0x400
int check_debugreg(struct vcpu *v, unsigned *reg, ulong *val);
void load_debugregs(struct vcpu *v);

/* speculation.c. False: there is no such MSR, or it cannot have this value */
void init_speculation(struct vcpu *v);
bool read_speculation_msr(struct vcpu *v, u32 msr, u64 *val);
bool write_speculation_msr(struct vcpu *v, u32 msr, u64 val);

/* events.c */
long poll_port(u32 port);
void take_incoming(struct vcpu *v);
bool poll_incoming(struct vcpu *v, u64 until);
bool virq_is_bound(struct vcpu *v, u32 virq);
void raise_virq(struct vcpu *v, u32 virq);
void forget_events(void);
extern u32 nr_polling;              /* vCPUs in SCHEDOP_poll */

/* requests.c */
extern struct vcpu *vcpus[XENPV_MAX_VCPUS];
/* struct vcpu's .requests */
#define REQUEST_NMI         1
#define REQUEST_PERIODIC    2       /* .new_periodic_ns is to be set */
#define REQUEST_MOVED       4       /* vcpu_info_moved() is to be called */
#define REQUEST_TICKS       8       /* VIRQ_TIMER is bound */
void request(struct vcpu *v, u32 bits);
void answer_flush(struct vcpu *v);  /* if there is one to answer */
void flush_others(u64 mask, ulong what);
void flush_idle(void);
void wake_up(struct vcpu *v);
void kick_vcpu(struct vcpu *v);
bool take_request(struct vcpu *v, u32 bit);
void request_nmi(struct vcpu *v);   /* to be taken later */
void end_nmi(void);                 /* by an iret */
void ask_again(struct vcpu *v);
/* Between the parts of a long hypercall. Called with no lock held. */
void let_interrupts_in(void);
#define PART_OF_BATCH   256         /* elements in a part */

/* vcpu.c */
/* Protects whether a vCPU is up, its .start, and where its vcpu_info is */
extern struct spinlock vcpus_lock;
/* Where a vCPU's vcpu_info is until the guest has placed it */
struct vcpu_info *first_vcpu_info(u32 id);
void set_period(struct vcpu *v, u64 ns);
void vcpu_offline(struct vcpu *v);  /* until VCPUOP_up */
void do_requests(struct vcpu *v);
void idle(struct vcpu *v);
void update_runstate(struct vcpu *v, int state);
void wait_until_up(struct vcpu *v);

/* vcpu_start.c and vcpu_start-*.c */
long initialise_vcpu(struct vcpu *v, ulong arg);
void run_secondary(void) __attribute__((noreturn));
void start_vcpu(void) __attribute__((noreturn));
void start_vcpu_on(ulong stack) __attribute__((noreturn));  /* entry-*.S */
void load_data_segments(struct regs *regs, u16 ds, u16 es, u16 fs, u16 gs);

/* apic.c */
void apic_eoi(void);
void apic_send(u32 apic_id, u8 vector);
void apic_send_self(u8 vector);     /* in an NMI, too */
void init_apic(struct vcpu *v);
void apic_start_timer(u32 count);

/* time.c */
void init_time(struct vcpu *v);
void init_wall_clock(void);
void vcpu_info_moved(struct vcpu *v);
void copy_time(struct vcpu *v);
void update_time(struct vcpu *v, u64 now);
u64 system_time(void);
void timer_interrupt(struct vcpu *v);
void set_timer(struct vcpu *v, u64 deadline);
void resume_ticks(struct vcpu *v, u64 now);
void set_periodic_timer(struct vcpu *v, u64 ns);
void end_poll(struct vcpu *v);   /* SCHEDOP_poll */
#define FIRST_PERIOD    10000000u   /* ns: Xen's, until the guest sets another */
void forget_watchdogs(void);

/* count.c, for entry-*.S and dispatch.S; the last two for vcpu.c, too */
void count_trap(struct regs *regs);
void count_hypercall(ulong nr);
void count_nested(ulong nr);
void count_syscall(void);
void count_upcall(void);
void count_enter(void);
void count_leave(void);
#define counting() unlikely(boot_info->counting)
#define my_counters() \
    ((struct xenpv_counters *)(image_start + XENPV_CORE_COUNTERS) + \
     current_vcpu()->id)

/* suspend.c */
long suspend(ulong start_info_mfn);

/* dispatch.S: makes hypercall nr, whose handler must return */
long call_hypercall(ulong a1, ulong a2, ulong a3, ulong a4, ulong a5, ulong nr);

/* refused.c */
#ifdef __x86_64__
#define BY_REGISTER
#else
#define BY_REGISTER __attribute__((regparm(1)))
#endif
BY_REGISTER long refused_hypercall(ulong nr, ulong op);
long refuse(unsigned nr, u32 op);   /* Xen's -errno where there is no code */

/* A handler: dispatch.S has its file. Declared are those that C code calls */
#define HYPERCALL(name) \
    long name(ulong a1, ulong a2, ulong a3, ulong a4, ulong a5)
HYPERCALL(do_update_va_mapping);
HYPERCALL(do_multicall);
HYPERCALL(do_fpu_taskswitch);
HYPERCALL(do_set_debugreg);
HYPERCALL(do_get_debugreg);

#endif
