/*
 * Call gates: the way from a program to its kernel that a kernel opens.
 *
 * A 32-bit kernel may put call gates into its GDT and LDT (as SVR4's system
 * calls came, and iBCS2's): a far call through one enters the kernel on the
 * stack of stack_switch, with parameters copied if the gate says so, and each
 * thing that is wrong with one is the exception that it is on a PC. 64-bit
 * kernels get a #GP for any, as Xen emulates none there. What matters most is
 * what no gate may do, whatever is in it: lead to the hypervisor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static uint64_t gdt[512] __attribute__((aligned(4096)));
static uint64_t ldt[512] __attribute__((aligned(4096)));

#define P           (1ULL << 47)
#define DPL(n)      ((uint64_t)(n) << 45)
#define FLAT        0x00cf00000000ffffULL
#define CODE        (FLAT | P | 0x1aULL << 40)
#define CONFORMING  (FLAT | P | 0x1eULL << 40)
#define DATA        (FLAT | P | 0x12ULL << 40)

/* Slots of the GDT; gates take two with 64-bit guests */
#define GATE        16
#define SEGMENT     32
#define SEL(slot)   ((slot) * 8)

static uint64_t maddr(uint64_t *entry)
{
    return ((uint64_t)virt_to_mfn((void *)((ulong)entry & ~4095UL))
            << PAGE_SHIFT) + ((ulong)entry & 4095);
}

static uint64_t call_gate(unsigned dpl, unsigned selector, ulong offset,
                          unsigned parameters)
{
    return P | DPL(dpl) | 0xcULL << 40 | (uint64_t)parameters << 32 |
           (uint64_t)selector << 16 | (offset & 0xffff) |
           (uint64_t)(offset >> 16 & 0xffff) << 48;
}

static void put(uint64_t *entry, uint64_t desc)
{
    check_ret(update_descriptor(maddr(entry), desc), 0,
              "update_descriptor of %llx", (unsigned long long)desc);
}

static void setup(void)
{
    ulong frame = virt_to_mfn(gdt), selector = 0xf;

    user_init();
    make_readonly(gdt);
    make_readonly(ldt);
    check_ret(HYPERCALL(set_gdt, &frame, 512), 0, "set_gdt");
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
    /*
     * Xen checks an LDT when it is used first, and would then take gates, in
     * the form that it has given them, for ones with DPL 1
     */
    asm volatile("lar %0, %0" : "+r" (selector) : : "cc");
}

/* --- Far calls and jumps to what is at USER_DATA --- */

struct far {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));

static void far_pointer(uint16_t selector, ulong offset)
{
    *(struct far *)user_data = (struct far) { offset, selector };
}

static __user ulong user_lcall(ulong a, ulong b)
{
    asm volatile("lcall *(%0)" : : "r" (USER_DATA) : "memory", "cc");
    return 1;
}

static __user ulong user_ljmp(ulong a, ulong b)
{
    asm volatile("ljmp *(%0)" : : "r" (USER_DATA) : "memory", "cc");
    return 1;
}

static void kernel_lcall(void *arg)
{
    asm volatile("lcall *(%0)" : : "r" (user_data) : "memory", "cc");
}

static void refused(const char *what, bool ok, bool user, const struct trap *t,
                    unsigned vector, unsigned error_code)
{
    check(ok && t->vector == vector && t->error_code == error_code &&
          t->from_user == user, "%s: %s(%x) from %s, expected %s(%x)", what,
          ok ? trap_name(t->vector) : "nothing", t->error_code,
          t->from_user ? "user" : "kernel", trap_name(vector), error_code);
}

static void user_refused(const char *what, uint16_t selector, unsigned vector,
                         unsigned error_code)
{
    struct trap t;

    far_pointer(selector, 0x1234);
    refused(what, call_user(user_lcall, 0, 0, NULL, &t), true, &t, vector,
            error_code);
}

static void kernel_refused(const char *what, uint16_t selector,
                           unsigned vector, unsigned error_code)
{
    struct trap t;

    far_pointer(selector, 0x1234);
    refused(what, catch_exception(&t, kernel_lcall, NULL), false, &t, vector,
            error_code);
}

/* --- What cannot be in a table --- */

static void forged(void)
{
    static const uint8_t types[] = { 1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 15 };
    unsigned accepted = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        for (unsigned dpl = 0; dpl < 4; dpl++) {
            check_ret(update_descriptor(maddr(&gdt[GATE]), P | DPL(dpl) |
                                        (uint64_t)types[i] << 40 |
                                        SEL(SEGMENT) << 16), -EINVAL,
                      "a descriptor of type %u", types[i]);
        }
    }
    /* Of the hypervisor's segments only the kernel's own can be named */
    for (unsigned sel = FIRST_RESERVED_GDT_ENTRY * 8; sel < 0x10000; sel++) {
        uint64_t gate = call_gate(3, sel, 0x1234, 0);
        bool named = sel & 4 || sel == (IS_64BIT ? FLAT_USER_CS : FLAT_KERNEL_CS);

        if (update_descriptor(maddr(&gdt[GATE]), gate) !=
            (named ? 0 : -EINVAL)) {
            failure("a gate to %x is %s", sel, named ? "refused" : "accepted");
            break;
        }
        accepted += named;
    }
    check(accepted == 0x1000 + 1, "%u gates are accepted", accepted);
    check_ret(update_descriptor(maddr(&gdt[GATE]),
                                call_gate(3, SEL(SEGMENT), 0, 0x20)), -EINVAL,
              "a gate with reserved bits");
    put(&gdt[GATE], 0);
}

/* Every selector of the hypervisor's part, which no program gets through */
static void reserved_selectors(void)
{
    for (unsigned slot = FIRST_RESERVED_GDT_ENTRY; slot < 8192; slot++) {
        struct trap t;

        if (SEL(slot) == (FLAT_USER_CS & ~7U) || (IS_64BIT && slot == 0x1c04)) {
            continue;           /* a program's own */
        }
        far_pointer(SEL(slot) | slot % 4, 0x1234);
        if (!call_user(slot & 8 ? user_ljmp : user_lcall, 0, 0, NULL, &t) ||
            t.vector != X86_GP || t.error_code != SEL(slot) || !t.from_user) {
            failure("to selector %x: %s(%x)", SEL(slot) | slot % 4,
                    trap_name(t.vector), t.error_code);
            return;
        }
    }
}

#ifdef __x86_64__
/* Whatever is in a gate */
static void no_gates(void)
{
    put(&gdt[SEGMENT], 0x00af000000000000ULL | CODE | DPL(3));
    put(&gdt[GATE], call_gate(3, SEL(SEGMENT) | 3, 0x400000, 0));
    put(&ldt[GATE], call_gate(3, SEL(SEGMENT) | 3, 0x400000, 0));
    user_refused("a gate", SEL(GATE) | 3, X86_GP, SEL(GATE));
    user_refused("a gate of the LDT", SEL(GATE) | 7, X86_GP, SEL(GATE) | 4);
    kernel_refused("a gate, by the kernel", SEL(GATE), X86_GP, SEL(GATE));
    kernel_refused("a gate, by the kernel, RPL 3", SEL(GATE) | 3, X86_GP,
                   SEL(GATE));
}
#else

/* --- Where gates lead to --- */

extern char gate_entry[], gate_entry_2[];
extern struct {
    ulong stack[6];             /* what the call has pushed */
    ulong sp, cs, ss, count;
} gate_seen;

asm(".macro GATE_ENTRY name, bytes\n"
    "\\name:\n"
    "push %eax; push %ebx\n"
    "mov %cs, %eax; mov %eax, gate_seen + 28\n"
    "mov %ss, %eax; mov %eax, gate_seen + 32\n"
    "lea 8(%esp), %ebx; mov %ebx, gate_seen + 24\n"
    "incl gate_seen + 36\n"
    ".irp i, 0, 4, 8, 12, 16, 20\n"
    "mov \\i(%ebx), %eax; mov %eax, gate_seen + \\i\n"
    ".endr\n"
    "pop %ebx; pop %eax\n"
    "lret $\\bytes\n"
    ".endm\n"
    "GATE_ENTRY gate_entry, 0\n"
    "GATE_ENTRY gate_entry_2, 8\n");
typeof(gate_seen) gate_seen;

/* The call, with two words on the stack. 0: the stack is what it was */
static __user ulong user_call_gate(ulong a, ulong b)
{
    ulong diff;

    asm volatile("mov %%esp, %%edi; push %2; push %1; lcall *(%3)\n"
                 "sub %%esp, %%edi; add %%edi, %%esp"
                 : "=&D" (diff)
                 : "r" (a), "r" (b), "r" (USER_DATA) : "memory", "cc");
    return diff;
}

/* In ring 3: to go through a gate, and to be called by one */
static __user ulong user_target(ulong a, ulong b)
{
    asm volatile("mov %cs, %eax; lret");
    return 0;
}

static __user ulong user_get_cs(ulong a, ulong b)
{
    ulong cs;

    asm volatile("lcall *(%1)" : "=a" (cs) : "r" (USER_DATA) : "memory", "cc");
    return cs;
}

/* Targets that try what a program may not, and what reaches them with EDX = a */
static __user ulong user_read_cr0(ulong a, ulong b)
{
    asm volatile("mov %cr0, %eax; lret");
    return 0;
}

static __user ulong user_trap_on_edx(ulong a, ulong b)
{
    asm volatile("mov %edx, %esp; ud2");
    return 0;
}

static __user ulong user_call_with_edx(ulong a, ulong b)
{
    asm volatile("lcall *(%0)" : : "r" (USER_DATA), "d" (a)
                 : "eax", "memory", "cc");
    return 0;
}

/* The same by a jump, which leaves it to the target to know where it came from */
static __user ulong user_jump_get_cs(ulong a, ulong b)
{
    ulong cs;

    asm volatile("call 1f; 1: pop %0; add $(2f - 1b), %0; push %%cs; push %0\n"
                 "ljmp *(%1); 2:"
                 : "=&a" (cs) : "r" (USER_DATA) : "memory", "cc");
    return cs;
}

/* A program's call that ends as it should */
static void goes_through(const char *what, uint16_t selector,
                         unsigned parameters)
{
    ulong count = gate_seen.count, diff = ~0UL;
    struct trap t;

    far_pointer(selector, 0xbad);
    if (call_user(user_call_gate, 0x1111, 0x2222, &diff, &t)) {
        failure("%s: %s(%x) at %lx", what, trap_name(t.vector), t.error_code,
                t.ip);
        return;
    }
    check_eq(gate_seen.count, count + 1, "%s: entries", what);
    check_eq(gate_seen.cs, FLAT_KERNEL_CS, "%s: CS", what);
    check_eq(gate_seen.ss, FLAT_KERNEL_SS, "%s: SS", what);
    check_eq(gate_seen.stack[1] & 0xffff, FLAT_USER_CS, "%s: the caller's CS",
             what);
    check_eq(gate_seen.stack[parameters + 3] & 0xffff, FLAT_USER_SS,
             "%s: the caller's SS", what);
    check(gate_seen.stack[0] > user_address(user_call_gate) &&
          gate_seen.stack[0] < user_address(user_call_gate) + 64,
          "%s: the caller's IP is %lx", what, gate_seen.stack[0]);
    check(gate_seen.stack[parameters + 2] < USER_STACK &&
          gate_seen.stack[parameters + 2] > USER_STACK - 256,
          "%s: the caller's SP is %lx", what, gate_seen.stack[parameters + 2]);
    check_eq(gate_seen.sp % PAGE_SIZE, PAGE_SIZE - 4 * (4 + parameters),
             "%s: the stack of stack_switch", what);
    if (parameters) {
        check_eq(gate_seen.stack[2], 0x1111, "%s: the first parameter", what);
        check_eq(gate_seen.stack[3], 0x2222, "%s: the second parameter", what);
    }
    /* What the kernel's return has popped of the program's stack */
    check_eq(diff, 8 - 4 * parameters, "%s: left on the stack", what);
}

static void gates(void)
{
    put(&gdt[GATE], call_gate(3, FLAT_KERNEL_CS, (ulong)gate_entry, 0));
    goes_through("a gate", SEL(GATE), 0);
    goes_through("a gate, RPL 3", SEL(GATE) | 3, 0);
    put(&gdt[GATE], call_gate(3, FLAT_KERNEL_CS, (ulong)gate_entry_2, 2));
    goes_through("a gate with parameters", SEL(GATE) | 3, 2);
    goes_through("a gate with parameters, again", SEL(GATE) | 3, 2);
}

/* By a kernel's own segment, of which ring 1 is the best that there is */
static void own_segments(void)
{
    struct trap t;
    ulong cs = 0;

    put(&gdt[GATE], call_gate(3, SEL(SEGMENT), (ulong)gate_entry, 0));
    put(&gdt[SEGMENT], CODE | DPL(0));
    far_pointer(SEL(GATE) | 3, 0);
    check(!call_user(user_call_gate, 0, 0, NULL, &t), "to a DPL 0 segment: "
          "%s(%x)", trap_name(t.vector), t.error_code);
    check_eq(gate_seen.cs, SEL(SEGMENT) | 1, "CS of a segment with DPL 0");
    put(&ldt[GATE], call_gate(3, SEL(SEGMENT), (ulong)gate_entry, 0));
    far_pointer(SEL(GATE) | 7, 0);
    gate_seen.cs = 0;
    check(!call_user(user_call_gate, 0, 0, NULL, &t), "a gate of the LDT: "
          "%s(%x)", trap_name(t.vector), t.error_code);
    check_eq(gate_seen.cs, SEL(SEGMENT) | 1, "CS by a gate of the LDT");

    /* A gate need not lead inwards */
    put(&gdt[SEGMENT], CODE | DPL(3));
    put(&gdt[GATE], call_gate(3, SEL(SEGMENT), user_address(user_target), 0));
    far_pointer(SEL(GATE) | 3, 0);
    check(!call_user(user_get_cs, 0, 0, &cs, &t), "to ring 3: %s(%x)",
          trap_name(t.vector), t.error_code);
    check_eq(cs & 0xffff, SEL(SEGMENT) | 3, "CS in ring 3");
    check(!call_user(user_jump_get_cs, 0, 0, &cs, &t), "a jump to ring 3: "
          "%s(%x)", trap_name(t.vector), t.error_code);
    check_eq(cs & 0xffff, SEL(SEGMENT) | 3, "CS in ring 3 after a jump");
    put(&gdt[SEGMENT], CONFORMING | DPL(0));
    check(!call_user(user_get_cs, 0, 0, &cs, &t), "to conforming code: %s(%x)",
          trap_name(t.vector), t.error_code);
    /* In ring 3; Xen goes to ring 1, and TCG shows that ring's CS */
    check((cs & 0xffff) == (SEL(SEGMENT) | 3) ||
          (cs & 0xffff) == (SEL(SEGMENT) | 1), "CS in conforming code is %lx",
          cs);
}

/*
 * Whatever the gate leaves in CS, code that a conforming segment has taken in is a
 * program's: its privileged instructions are not the kernel's, and its stack is
 * not where the kernel gets a frame, or it could write there.
 */
static void conforming_is_user(void)
{
    static uint32_t victim[1024];
    struct trap t;

    put(&gdt[SEGMENT], CONFORMING | DPL(0));
    put(&gdt[GATE], call_gate(3, SEL(SEGMENT), user_address(user_read_cr0), 0));
    far_pointer(SEL(GATE) | 3, 0);
    check(call_user(user_call_with_edx, 0, 0, NULL, &t) && t.vector == X86_GP,
          "CR0 read in conforming code: %s", trap_name(t.vector));
    put(&gdt[GATE], call_gate(3, SEL(SEGMENT), user_address(user_trap_on_edx),
                              0));
    check(call_user(user_call_with_edx, (ulong)&victim[1000], 0, NULL, &t) &&
          t.vector == X86_UD, "a trap in conforming code: %s",
          trap_name(t.vector));
    for (unsigned i = 0; i < ARRAY_SIZE(victim); i++) {
        if (victim[i]) {
            failure("conforming code has written %x to the kernel's memory",
                    victim[i]);
            break;
        }
    }
}

static void kernels_own(void)
{
    struct trap t;
    ulong count = gate_seen.count;

    put(&gdt[GATE], call_gate(0, FLAT_KERNEL_CS, (ulong)gate_entry, 0));
    far_pointer(SEL(GATE) | 1, 0);
    check(!catch_exception(&t, kernel_lcall, NULL), "by the kernel: %s(%x)",
          trap_name(t.vector), t.error_code);
    check_eq(gate_seen.count, count + 1, "by the kernel: entries");
    check_eq(gate_seen.stack[1] & 0xffff, FLAT_KERNEL_CS,
             "by the kernel: the caller's CS");
    kernel_refused("a kernel's gate with RPL 3", SEL(GATE) | 3, X86_GP,
                   SEL(GATE));
    user_refused("a kernel's gate", SEL(GATE), X86_GP, SEL(GATE));
}

static void failing(void)
{
    struct trap t;
    const uint64_t to_segment = call_gate(3, SEL(SEGMENT), 0x1234, 0);

    put(&gdt[GATE], to_segment & ~P);
    user_refused("a gate that is not present", SEL(GATE) | 3, X86_NP,
                 SEL(GATE));
    put(&gdt[GATE], call_gate(3, 0, 0x1234, 0));
    user_refused("a gate to the null selector", SEL(GATE) | 3, X86_GP, 0);
    put(&gdt[GATE], to_segment);
    put(&gdt[SEGMENT], 0);
    user_refused("a gate to nothing", SEL(GATE) | 3, X86_GP, SEL(SEGMENT));
    put(&gdt[SEGMENT], DATA | DPL(3));
    user_refused("a gate to data", SEL(GATE) | 3, X86_GP, SEL(SEGMENT));
    put(&gdt[SEGMENT], (CODE | DPL(1)) & ~P);
    user_refused("a gate to code that is not present", SEL(GATE) | 3, X86_NP,
                 SEL(SEGMENT));
    put(&gdt[SEGMENT], call_gate(3, FLAT_KERNEL_CS, (ulong)gate_entry, 0));
    user_refused("a gate to a gate", SEL(GATE) | 3, X86_GP, SEL(SEGMENT));
    put(&gdt[SEGMENT], CODE | DPL(3));
    kernel_refused("a gate outwards", SEL(GATE) | 1, X86_GP, SEL(SEGMENT));
    /* A jump changes no ring */
    put(&gdt[SEGMENT], CODE | DPL(1));
    far_pointer(SEL(GATE) | 3, 0);
    refused("a jump inwards", call_user(user_ljmp, 0, 0, NULL, &t), true, &t,
            X86_GP, SEL(SEGMENT));
}
#endif

void test_main(void)
{
    setup();
    forged();
    reserved_selectors();
#ifdef __x86_64__
    no_gates();
#else
    gates();
    own_segments();
    if (!is_initdomain()) {
        conforming_is_user();       /* Xen goes to ring 1 */
    }
    kernels_own();
    failing();
#endif
}
