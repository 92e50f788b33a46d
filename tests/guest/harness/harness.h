/*
 * The harness of the tiny PV kernels in tests/guest
 *
 * A test is a folder with one main.c, which begins with a comment that says
 * the property in plain words and why a broken implementation would fail,
 * defines test_main(), and is built for 32-bit PAE and for 64-bit. It calls
 * check() and friends as often as it likes; the harness then reports exactly
 * one of Success, Skip, Failure and Error on the console, as "Result: ...",
 * and ends the domain. The expected values are Xen's: every test also passes
 * as a PV domain 0 under Xen.
 *
 *   start.S     ELF notes, entry, trap stubs
 *   harness.c   start of day, console, results
 *   traps.c     exceptions and callbacks, and catching them
 *   memory.c    page tables
 *   user.c      user mode
 *   events.c    event channels and time
 *   vcpus.c     the second vCPU, a third, and races with the second
 *
 * "volatile" is for memory that the hypervisor or the CPU changes, and for
 * accesses whose faulting is what a test is about.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_HARNESS_H
#define GUEST_HARNESS_H

#include "xen.h"

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#define barrier()       asm volatile("" : : : "memory")
#define noinline        __attribute__((__noinline__, __noclone__))
#ifdef __x86_64__
#define IS_64BIT        1
#else
#define IS_64BIT        0
#endif

/* --- harness.c --- */

/* The test */
void test_main(void);

/* The registers at the entry point */
struct entry_state {
#ifdef __x86_64__
    ulong ax, bx, cx, dx, si, di, bp, sp, r8, r9, r10, r11, r12, r13, r14, r15;
#else
    ulong ax, bx, cx, dx, si, di, bp, sp;
#endif
    ulong flags;
    uint16_t cs, ss, ds, es, fs, gs;
};
extern struct entry_state entry_state;
extern struct start_info *start_info;
extern struct shared_info *shared_info;
extern char hypercall_page[];

static inline bool is_initdomain(void)
{
    return start_info->flags & SIF_INITDOMAIN;
}

/*
 * Options are on the kernel's command line, as NAME=VALUE. Returns the value
 * of one, in a static buffer, or NULL.
 */
const char *option(const char *name);
ulong option_number(const char *name, ulong otherwise);

void printk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The result so far; the worst one counts */
void failure(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool failed(void);
void __attribute__((noreturn)) finish(void);
void __attribute__((noreturn)) error(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Both go on after a failure, so that one run shows all there is */
#define check(cond, ...) \
    do { \
        if (!(cond)) { \
            failure(__VA_ARGS__); \
        } \
    } while (0)

/* Compare two numbers; what: a format for check() and its arguments */
#define check_eq(seen, expected, ...) \
    check_equal((unsigned long long)(seen), (unsigned long long)(expected), \
                __VA_ARGS__)
void check_equal(unsigned long long seen, unsigned long long expected,
                 const char *what, ...) __attribute__((format(printf, 3, 4)));
/* The same for the result of a hypercall */
void check_ret(long seen, long expected, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);

/* Text onto the PV console ring; false if there is none, or it is stuck */
bool ring_write(const char *text, size_t n);

/* What CPUID says to kernels in EDX */
static inline uint32_t cpuid_edx(uint32_t leaf)
{
    uint32_t c = 0, d;

    asm volatile("ud2; .ascii \"xen\"; cpuid" : "+a" (leaf), "+c" (c), "=d" (d)
                 : : "ebx");
    return d;
}
#define CPUID1_SEP  (1u << 11)

/* --- Hypercalls --- */

#ifdef __x86_64__
static inline long hypercall(unsigned nr, ulong a1, ulong a2, ulong a3,
                             ulong a4, ulong a5)
{
    register ulong r10 asm("r10") = a4;
    register ulong r8 asm("r8") = a5;
    long ret;

    asm volatile("call *%[entry]"
                 : "=a" (ret), "+D" (a1), "+S" (a2), "+d" (a3), "+r" (r10),
                   "+r" (r8)
                 : [entry] "0" (hypercall_page + nr * 32)
                 : "rcx", "r11", "r9", "memory", "cc");
    return ret;
}

/* Without the hypercall page */
static inline long raw_hypercall(unsigned nr, ulong a1, ulong a2, ulong a3)
{
    long ret;

    asm volatile("syscall"
                 : "=a" (ret), "+D" (a1), "+S" (a2), "+d" (a3)
                 : "0" ((ulong)nr)
                 : "rcx", "r11", "r8", "r9", "r10", "memory", "cc");
    return ret;
}
#else
static inline long hypercall(unsigned nr, ulong a1, ulong a2, ulong a3,
                             ulong a4, ulong a5)
{
    long ret;

    asm volatile("call *%[entry]"
                 : "=a" (ret), "+b" (a1), "+c" (a2), "+d" (a3), "+S" (a4),
                   "+D" (a5)
                 : [entry] "0" (hypercall_page + nr * 32)
                 : "memory", "cc");
    return ret;
}

static inline long raw_hypercall(unsigned nr, ulong a1, ulong a2, ulong a3)
{
    long ret;

    asm volatile("int $0x82"
                 : "=a" (ret), "+b" (a1), "+c" (a2), "+d" (a3)
                 : "0" (nr)
                 : "esi", "edi", "memory", "cc");
    return ret;
}
#endif

#define HYPERCALL(nr, ...) \
    HYPERCALL_PAD(__HYPERVISOR_##nr, ##__VA_ARGS__, 0, 0, 0, 0, 0)
#define HYPERCALL_PAD(nr, a1, a2, a3, a4, a5, ...) \
    hypercall(nr, (ulong)(a1), (ulong)(a2), (ulong)(a3), (ulong)(a4), \
              (ulong)(a5))

/* Those whose arguments depend on the width */
static inline long update_va_mapping(ulong va, uint64_t pte, ulong flags)
{
#ifdef __x86_64__
    return HYPERCALL(update_va_mapping, va, pte, flags);
#else
    return HYPERCALL(update_va_mapping, va, pte, pte >> 32, flags);
#endif
}

static inline long update_descriptor(uint64_t maddr, uint64_t desc)
{
#ifdef __x86_64__
    return HYPERCALL(update_descriptor, maddr, desc);
#else
    return HYPERCALL(update_descriptor, maddr, maddr >> 32, desc, desc >> 32);
#endif
}

static inline long set_timer_op(uint64_t timeout)
{
#ifdef __x86_64__
    return HYPERCALL(set_timer_op, timeout);
#else
    return HYPERCALL(set_timer_op, timeout, timeout >> 32);
#endif
}

static inline long mmu_update(uint64_t ptr, uint64_t val)
{
    struct mmu_update u = { ptr, val };

    return HYPERCALL(mmu_update, &u, 1, 0, DOMID_SELF);
}

static inline long mmuext_op(unsigned cmd, ulong arg1, ulong arg2)
{
    struct mmuext_op op = { cmd, { arg1 }, { .src_mfn = arg2 } };

    return HYPERCALL(mmuext_op, &op, 1, 0, DOMID_SELF);
}

/*
 * A hypercall and what it returns. Where that is due to the rights of domain 0
 * which Xen runs these kernels as, .dom0 is what it returns to that.
 */
struct call {
    const char *name;
    unsigned nr;
    long expected;
    ulong args[5];
    long dom0;
};
#define check_calls(calls) check_nr_calls(calls, ARRAY_SIZE(calls))
void check_nr_calls(const struct call *calls, unsigned n);

/* Pointers for them: where nothing is mapped, and the hypervisor's memory */
#ifdef __x86_64__
#define BAD_POINTER     0x0000300000000000UL
#define HV_POINTER      0xffff830000000000UL
#else
#define BAD_POINTER     0x30000000UL
#define HV_POINTER      0xfc000000UL
#endif

/* --- traps.c --- */

/* What returns from a trap, by the iret hypercall */
struct iret_frame {
    ulong ip, cs, flags, sp, ss;
};

/* Vectors of ours for the callbacks, beyond the exceptions and interrupts */
#define VECTOR_EVENT        0x100
#define VECTOR_FAILSAFE     0x101
#define VECTOR_SYSCALL      0x102

/* On the stack at a trap: the registers and then what was pushed for it */
struct trap_state {
#ifdef __x86_64__
    ulong r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
#else
    ulong di, si, bp, unused, bx, dx, cx, ax;
    ulong es, ds;
#endif
    ulong vector;       /* do_trap() makes it the address of the iret_frame */
    ulong raw[];
};

/* The same, understood */
struct trap {
    unsigned vector;
    bool from_user;
    bool has_error_code;
    uint32_t error_code;
    /* The frame as it was pushed. A 32-bit kernel frame has no sp and ss. */
    ulong ip;
    uint16_t cs;
    uint8_t saved_upcall_mask;
    ulong flags;
    ulong sp;
    ulong ss;
    ulong rcx_slot, r11_slot;           /* 64-bit */
    ulong ds, es, fs, gs;               /* of the failsafe callback */
    ulong cr2;                          /* vcpu_info.arch.cr2 */
    uint8_t upcall_mask;                /* in the handler */
    ulong frame_address;                /* the handler's stack pointer */
    ulong raw[12];                      /* from there */
    struct iret_frame *frame;           /* to return through */
    struct trap_state *regs;
};

/*
 * Call fn(arg). If it raises an exception, put that into trap and return true;
 * whatever fn did to the upcall mask is then undone.
 */
bool catch_exception(struct trap *trap, void (*fn)(void *arg), void *arg);

/*
 * Handlers that return to where the trap came from. A handler may change
 * trap->frame and trap->regs; if it returns false, the trap is treated as if
 * there were no handler.
 */
typedef bool trap_handler(struct trap *trap);
void set_handler(unsigned vector, trap_handler *handler);

/* Flags (DPL, TI_IF) of vectors in the trap table; 0 to begin with */
void set_trap_flags(unsigned vector, unsigned flags);
/* The same with the address of any code */
long set_trap_entry(unsigned vector, unsigned flags, ulong address);
ulong trap_stub(unsigned vector);
/* CALLBACKOP_register, of a callback in the kernel's flat code segment */
long register_callback(unsigned type, unsigned flags, ulong address);
/* For VCPUOP_initialise: the kernel at ip, on the stack, with our tables */
void kernel_context(struct vcpu_guest_context *c, ulong ip, ulong sp);
void traps_init(void);
const char *trap_name(unsigned vector);

/* --- memory.c --- */

#define PAGE_TABLE  (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | \
                     _PAGE_DIRTY)
#define PAGE_KERNEL (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY)
#define PAGE_KERNEL_RO (_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY)
#define PAGE_USER   (PAGE_KERNEL | _PAGE_USER)
#define PTE_MFN(e)  ((ulong)(((e) & 0x000ffffffffff000ULL) >> PAGE_SHIFT))
#define PAGE_LEVELS (IS_64BIT ? 4 : 3)

static inline uint64_t make_pte(ulong mfn, uint64_t flags)
{
    return (uint64_t)mfn << PAGE_SHIFT | flags;
}

extern ulong *machine_to_phys;
void memory_init(void);
/* Of the first mapping, from VIRT_BASE on */
ulong virt_to_mfn(const void *p);
void *mfn_to_virt(ulong mfn);
ulong pfn_to_mfn(ulong pfn);
/* A zeroed page of the kernel's image */
void *alloc_page(void);
/* Pages of RAM that nothing maps: pfns, from the end of RAM down */
ulong alloc_pfn(void);
/* The entry for va in the table of this level, or NULL; read only */
volatile uint64_t *pte_of(ulong va, unsigned level);
/* Its machine address, or 0 */
uint64_t pte_maddr(ulong va, unsigned level);
/* Create tables down to the level, so that pte_of(va, level) is not NULL */
void make_tables(ulong va, unsigned level);
/* Map one page, making tables; errors end the test */
void map_page(ulong va, uint64_t pte);
/* Change the page's mapping at its usual address; errors end the test */
void make_readonly(void *page);
void make_writable(void *page);
/*
 * One like the base table that the domain began with, read-only. Of a 32-bit kernel
 * the table of the last GiB is a copy, too, since the hypervisor has entries there.
 */
uint64_t *copy_base_table(void);

/* An address of which no test maps the surroundings, and its 2 MiB region */
#define TEST_VA     (IS_64BIT ? (ulong)0x0000100000000000ULL : 0x20000000UL)

/* --- user.c --- */

/* For functions that run in user mode: they call and refer to nothing */
#define __user      __attribute__((section(".user.text"), used)) noinline
#define USER_BASE   0x400000UL
#define USER_STACK  0x500000UL          /* the page below this */
#define USER_DATA   0x600000UL          /* a page to read and write */
/* The same page for the kernel */
extern char user_data[];

typedef ulong user_fn(ulong arg1, ulong arg2);
void user_init(void);
/* The address in user mode of code that is in the section .user.text */
ulong user_address(const void *p);
/*
 * Call fn(arg1, arg2) in user mode. True: it raised an exception, or made a
 * system call, see trap; false: it returned *result.
 */
bool call_user(user_fn *fn, ulong arg1, ulong arg2, ulong *result,
               struct trap *trap);

/* --- events.c --- */

/* In shared_info, until a test moves it */
extern struct vcpu_info *the_vcpu_info;

static inline struct vcpu_info *vcpu_info(void)
{
    return the_vcpu_info;
}

static inline void mask_upcalls(void)
{
    *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_mask = 1;
    barrier();
}

/* Also takes what has become pending meanwhile */
void unmask_upcalls(void);

void events_init(void);
typedef void event_handler(evtchn_port_t port);
evtchn_port_t bind_ipi(event_handler *handler);
evtchn_port_t bind_virq(unsigned virq, event_handler *handler);
void set_event_handler(evtchn_port_t port, event_handler *handler);
void close_port(evtchn_port_t port);
long send_event(evtchn_port_t port);
long unmask_port(evtchn_port_t port);
bool port_pending(evtchn_port_t port);
bool port_masked(evtchn_port_t port);
void clear_port(evtchn_port_t port);
void mask_port(evtchn_port_t port);
/* How often the event callback was entered, and the last one's frame */
extern volatile unsigned nr_upcalls;
extern struct trap last_upcall;

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    asm volatile("rdtsc" : "=a" (lo), "=d" (hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

/* system_time now, in ns */
uint64_t system_time(void);
/* In the same ns; does not sleep */
void busy_wait(uint64_t ns);
/* a * mul >> 32, without a 64-bit division or overflow */
uint64_t mul_shift32(uint64_t a, uint32_t mul);
/* a / b for small b, as 32-bit code has no 64-bit division without a library */
uint64_t divide(uint64_t a, uint32_t b);

/* --- vcpus.c --- */

/* vCPU 1 runs this, which does not return, on a stack of its own and without events */
void start_second(void (*fn)(void));
/* And vCPU 2 this */
void start_third(void (*fn)(void));
/* Has it come from the second? */
bool is_of_second(const struct trap *trap);

/*
 * vCPU 1 takes part in races from here on: in each round, of which there are so many
 * or those that the time allows, ours and theirs begin together; before and after are
 * alone. A round that fails is the last one. Returns how many there were.
 */
typedef void side_fn(void);
void start_races(void);
unsigned race(unsigned rounds, uint64_t ns, side_fn *before, side_fn *ours,
              side_fn *theirs, side_fn *after);
extern volatile unsigned race_round;    /* which one it is */
extern volatile bool racing;            /* our side has not ended yet */

#endif
