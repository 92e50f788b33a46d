/*
 * A return to a program by HYPERVISOR_iret loads what the frame says.
 *
 * A kernel returns so from each system call and fault, and a hypervisor has more
 * than one way for it. With each of them the program must find its registers,
 * flags and stack, the selectors must be its own, the new upcall mask is what the
 * frame's IF says, and an event that this lets in comes before the program's
 * next instruction. If one is wrong, programs crash at random, or events wait
 * until something else happens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

extern char user_return[];
#define AX      0x1111UL
#define CX      0x2222UL
#define R11     0x3333UL
#define STACK   (USER_STACK - 64)
#define FLAGS   (X86_EFLAGS_CF | 0x40 | 2)

/* As it lies on the stack where the hypercall page's code for it begins */
struct context {
#ifdef __x86_64__
    ulong flags;            /* VGCF_* */
#endif
    struct iret_frame frame;
};

static struct {
    ulong room[512];        /* what is pushed below, and handlers */
    struct context context;
} stack __attribute__((aligned(4096)));

void return_by(struct context *context);
asm(".pushsection .text\n"
    "return_by:\n"
#ifdef __x86_64__
    "mov %rdi, %rsp\n"
    "mov $0x1111, %eax\n"
    "mov $0x2222, %ecx\n"
    "mov $0x3333, %r11d\n"
#else
    "mov 4(%esp), %esp\n"
    "mov $0x1111, %eax\n"
    "mov $0x2222, %ecx\n"
#endif
    "jmp hypercall_page + 23 * 32\n"
    ".popsection\n");

static void go(void *unused)
{
    return_by(&stack.context);
}

/* VGCF_in_syscall: RCX and R11 are what SYSRET makes of them, and of CS Xen's two */
static bool in_syscall;
static uint16_t user_cs = FLAT_USER_CS;

/* To a program whose first instruction is the end of it */
static void program(const char *name, ulong flags, ulong ss, struct trap *t)
{
    stack.context = (struct context) {
        .frame = {
            user_address(user_return), user_cs, flags, STACK, ss
        },
#ifdef __x86_64__
        .flags = in_syscall ? VGCF_in_syscall : 0,
#endif
    };
    check(catch_exception(t, go, NULL) && t->vector == 0x81 && t->from_user,
          "%s: no trap of the program's, but %s", name, trap_name(t->vector));
    check_eq(t->ip, user_address(user_return) + 2, "%s: its ip", name);
    check_eq(t->sp, STACK, "%s: its stack", name);
    check_eq(t->cs, user_cs, "%s: its CS", name);
    check_eq(t->ss, FLAT_USER_SS, "%s: its SS", name);
    check_eq(t->regs->ax, AX, "%s: (r|e)ax", name);
    if (!in_syscall) {
        check_eq(t->regs->cx, CX, "%s: (r|e)cx", name);
#ifdef __x86_64__
        check_eq(t->regs->r11, R11, "%s: r11", name);
    } else if (!is_initdomain()) {
        /* Xen leaves in them what the hypercall made of them, if an event is due */
        check_eq(t->regs->cx, user_address(user_return), "%s: rcx", name);
        check_eq(t->regs->r11 & FLAGS, FLAGS, "%s: r11", name);
#endif
    }
    check_eq(t->flags & (FLAGS | X86_EFLAGS_TF | X86_EFLAGS_DF | 0x20000),
             FLAGS, "%s: its flags", name);
}

#ifdef __x86_64__
/* MSR_KERNEL_GS_BASE, the program's, which kernels ask for with RDMSR */
static ulong program_gs(void)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (0xc0000102));
    return (ulong)hi << 32 | lo;
}

/* One step behind it, and no other */
static ulong stepped_to;

static bool on_step(struct trap *t)
{
    stepped_to = t->ip;
    t->frame->flags &= ~(ulong)X86_EFLAGS_TF;
    return true;
}

static void read_program_gs(void)
{
    ulong gs[] = { 0, 0x12345678, 0x7fffdeadb000 };
    uint32_t lo, hi;
    ulong after;

    for (unsigned i = 0; i < ARRAY_SIZE(gs); i++) {
        check_ret(HYPERCALL(set_segment_base, SEGBASE_GS_USER, gs[i]), 0,
                  "set_segment_base");
        check_eq(program_gs(), gs[i], "MSR_KERNEL_GS_BASE");
    }
    set_handler(X86_DB, on_step);
    asm volatile("pushfq\n\t"
                 "orl $0x100, (%%rsp)\n\t"
                 "popfq\n\t"
                 "rdmsr\n\t"
                 "1: lea 1b(%%rip), %2"
                 : "=a" (lo), "=d" (hi), "=&r" (after) : "c" (0xc0000102)
                 : "cc", "memory");
    set_handler(X86_DB, NULL);
    check_eq((ulong)hi << 32 | lo, gs[2], "MSR_KERNEL_GS_BASE, stepped over");
    check_eq(stepped_to, after, "where the step ends");
}
#endif

static evtchn_port_t port;
static volatile unsigned nr_events;

static void on_event(evtchn_port_t which)
{
    nr_events++;
}

static void each_way(void)
{
    struct trap t;

    program("events let in", FLAGS | X86_EFLAGS_IF, FLAT_USER_SS, &t);
    check_eq(t.saved_upcall_mask, 0, "the upcall mask with IF");
    program("events masked", FLAGS, FLAT_USER_SS, &t);
    check_eq(t.saved_upcall_mask, 1, "the upcall mask without IF");
    program("an IOPL", FLAGS | X86_EFLAGS_IF | 0x3000, FLAT_USER_SS, &t);
    check_eq(t.saved_upcall_mask, 0, "the upcall mask with an IOPL");
    if (IS_64BIT) {
        program("a stack of RPL 0", FLAGS | X86_EFLAGS_IF, FLAT_USER_SS & ~3UL,
                &t);
    }

    mask_upcalls();
    check_ret(send_event(port), 0, "EVTCHNOP_send");
    nr_events = 0;
    program("an event that is masked", FLAGS, FLAT_USER_SS, &t);
    check_eq(nr_events, 0, "events without IF");
    mask_upcalls();
    nr_upcalls = 0;
    program("an event that is due", FLAGS | X86_EFLAGS_IF, FLAT_USER_SS, &t);
    check_eq(nr_events, 1, "events with IF");
    check_eq(nr_upcalls, 1, "upcalls with IF");
    check(last_upcall.from_user, "the upcall is in the kernel");
    check_eq(last_upcall.ip, user_address(user_return),
             "where the upcall finds the program");
}

void test_main(void)
{
    user_init();
    port = bind_ipi(on_event);
    unmask_port(port);
    each_way();
#ifdef __x86_64__
    in_syscall = true;
    each_way();
    user_cs = FLAT_USER_CS32;   /* SYSRETL; int $0x81 is the same in 32-bit code */
    each_way();
    user_cs = FLAT_USER_CS;
    read_program_gs();
#endif
}
