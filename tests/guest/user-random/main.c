/*
 * Whatever user mode executes, the guest kernel gets control back, unharmed.
 *
 * User mode runs code made of random bytes and of instructions that matter
 * here, with random operands: selectors, far returns, iret, flags, system
 * calls, privileged instructions, the forced-emulation prefix, and addresses
 * of the hypervisor. Each run has to end in the kernel, by an exception, a
 * system call or the timer, with the kernel's state as it was. What an attacker
 * would look for by hand, this looks for by chance; "seed=N" and "rounds=N" on
 * the command line look elsewhere and longer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define CODE_VA     (USER_DATA + PAGE_SIZE)
static uint8_t code[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t *out;

static uint32_t state;

static uint32_t random(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void emit(unsigned n, const char *bytes)
{
    memcpy(out, bytes, n);
    out += n;
}
#define EMIT(bytes) emit(sizeof(bytes) - 1, bytes)

static void emit_number(unsigned n, uint64_t val)
{
    memcpy(out, &val, n);
    out += n;
}

static ulong random_address(void)
{
#ifdef __x86_64__
    static const ulong bases[] = {
        0xffff800000000000, 0xffff808000000000, 0xffff808040000000,
        0xffff810000000000, 0xffff82d080000000, VIRT_BASE, CODE_VA, USER_DATA,
        0x7ffffffff000, 0x800000000000
    };
#else
    static const ulong bases[] = {
        0xf5800000, 0xf7800000, 0xf8000000, 0xfc000000, 0xffc00000, VIRT_BASE,
        CODE_VA, USER_DATA, 0
    };
#endif
    return bases[random() % ARRAY_SIZE(bases)] + (random() & 0x7ffff);
}

static unsigned random_selector(void)
{
    switch (random() % 4) {
    case 0: return random() & 0xffff;
    case 1: return random() & 7;
    default: return 0xe000 | (random() & 0x7f);
    }
}

/* mov $imm, %reg, of the full width */
static void emit_load(unsigned reg, ulong val)
{
    if (IS_64BIT) {
        EMIT("\x48");
    }
    *out++ = 0xb8 + reg;
    emit_number(sizeof(ulong), val);
}

static void emit_push(ulong val)
{
    emit_load(0, val);
    EMIT("\x50");
}

static void emit_one(void)
{
    static const struct {
        uint8_t n;
        char bytes[8];
    } fixed[] = {
        { 2, "\x0f\x05" }, { 2, "\x0f\x34" }, { 2, "\x0f\x35" },
        { 2, "\x0f\x07" }, { 3, "\x48\x0f\x07" }, { 3, "\x48\x0f\x35" },
        { 3, "\x0f\x01\xf8" },          /* swapgs */
        { 3, "\x0f\x01\xd0" },          /* xgetbv */
        { 3, "\x0f\x01\xd1" },          /* xsetbv */
        { 3, "\x0f\x01\xc1" },          /* vmcall */
        { 3, "\x0f\x01\xd9" },          /* vmmcall */
        { 2, "\x0f\x06" }, { 2, "\x0f\x08" }, { 2, "\x0f\x30" },
        { 2, "\x0f\x32" }, { 3, "\x0f\x22\xd8" }, { 3, "\x0f\x20\xd8" },
        { 3, "\x0f\x22\xe0" }, { 3, "\x0f\x23\xf8" }, { 3, "\x0f\x22\xc0" },
        { 1, "\xf4" }, { 1, "\xfa" }, { 1, "\xfb" }, { 1, "\xcc" },
        { 1, "\xf1" }, { 1, "\xec" }, { 1, "\xef" }, { 1, "\x6d" },
        { 1, "\xce" }, { 1, "\xcf" }, { 2, "\x48\xcf" },
        { 7, "\x0f\x0b\x78\x65\x6e\x0f\xa2" },
        { 5, "\x0f\x0b\x78\x65\x6e" }, { 2, "\x0f\x0b" },
        { 3, "\x0f\x01\x10" }, { 3, "\x0f\x01\x18" }, { 3, "\x0f\x00\xd0" },
        { 3, "\x0f\x00\xd8" }, { 3, "\x0f\x01\x38" }, { 3, "\x0f\x01\xf0" },
        { 5, "\xf3\x48\x0f\xae\xd8" },  /* wrgsbase */
        { 5, "\xf3\x48\x0f\xae\xd0" },  /* wrfsbase */
        { 2, "\xcd\x80" }, { 2, "\xcd\x82" }, { 2, "\xcd\x02" },
        { 2, "\xcd\x08" }, { 2, "\xcd\x12" }, { 2, "\xcd\xf2" },
        { 2, "\xcd\xf3" }, { 2, "\xcd\xf4" }, { 2, "\xeb\xfe" },
    };
    unsigned i;

    switch (random() % 14) {
    case 0:
    case 1:
    case 2:
        i = random() % ARRAY_SIZE(fixed);
        emit(fixed[i].n, fixed[i].bytes);
        break;
    case 3:                             /* int $n */
        EMIT("\xcd");
        emit_number(1, random());
        break;
    case 4:                             /* random flags */
        emit_push(random() & 0x3fffff);
        EMIT("\x9d");
        break;
    case 5:                             /* a segment register */
        emit_load(0, random_selector());
        EMIT("\x8e");
        *out++ = 0xc0 | (random() & 7) << 3;
        break;
    case 6:                             /* a far return */
        emit_push(random_selector());
        emit_push(random() & 1 ? CODE_VA + (random() & 0xfff) :
                                 random_address());
        if (IS_64BIT) {
            EMIT("\x48");
        }
        EMIT("\xcb");
        break;
    case 7:                             /* iret */
        emit_push(random_selector());
        emit_push(random() & 1 ? USER_STACK - 128 : random_address());
        emit_push(random() & 0x3fffff);
        emit_push(random() & 1 ? FLAT_USER_CS : random_selector());
        emit_push(random() & 1 ? CODE_VA + (random() & 0xfff) :
                                 random_address());
        if (IS_64BIT) {
            EMIT("\x48");
        }
        EMIT("\xcf");
        break;
    case 8:                             /* a bad stack, then a trap */
        emit_load(4, random() & 3 ? random_address() : random());
        break;
    case 9:                             /* memory, read or written */
        emit_load(1, random_address());
        *out++ = random() & 1 ? 0x8a : 0x88;
        *out++ = 0x01;
        break;
    case 10:                            /* a jump there */
        emit_load(1, random_address());
        EMIT("\xff\xe1");
        break;
    case 11:
        emit_load(random() & 3, random());
        break;
    case 12:
        emit_load(random() & 7, random_address());
        break;
    default:
        for (i = random() % 8; i; i--) {
            *out++ = random();
        }
    }
}

static void set_timer(void)
{
    set_timer_op(system_time() + 3000000);
}

static bool event(struct trap *t)
{
    *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_pending = 0;
    *(volatile ulong *)&vcpu_info()->evtchn_pending_sel = 0;
    for (unsigned i = 0; i < 8 * sizeof(ulong); i++) {
        ((volatile ulong *)shared_info->evtchn_pending)[i] = 0;
    }
    if (!t->from_user) {
        set_timer();                    /* too early: user mode may not end */
        return true;
    }
    return false;                       /* end this round */
}

static __user ulong jump(ulong to, ulong unused)
{
    ((void (*)(void))to)();
    return 0;
}

static void kernel_is_unharmed(unsigned round, struct trap *t)
{
    ulong flags, frame = t->frame_address;

    asm volatile("pushf; pop %0" : "=r" (flags));
    /* AC stays in a 32-bit kernel, on which it has no effect */
    check((flags & (X86_EFLAGS_TF | X86_EFLAGS_DF | 0x7000 | X86_EFLAGS_IF |
                    (IS_64BIT ? X86_EFLAGS_AC : 0))) == X86_EFLAGS_IF,
          "round %u: the kernel runs with flags %lx", round, flags);
    check(t->from_user, "round %u: %s(%x) from the kernel, at %lx", round,
          trap_name(t->vector), t->error_code, t->ip);
    check(frame >= VIRT_BASE && frame < entry_state.sp,
          "round %u: the frame is at %lx", round, frame);
    check((t->cs & 3) == 3 && (t->ss & 3) == 3,
          "round %u: CS is %x, SS is %lx", round, t->cs, t->ss);
    check(HYPERCALL(xen_version, XENVER_pagesize, 0) == PAGE_SIZE,
          "round %u: hypercalls do not work", round);
}

void test_main(void)
{
    unsigned rounds = option_number("rounds", 3000);
    evtchn_port_t timer = bind_virq(VIRQ_TIMER, NULL);
    unsigned counts[NR_STUBS] = { 0 };

    state = option_number("seed", 20070529);
    HYPERCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    user_init();
    map_page(CODE_VA, make_pte(virt_to_mfn(code), PAGE_USER));
    unmask_port(timer);
    set_handler(VECTOR_EVENT, event);
    unmask_upcalls();

    for (unsigned round = 0; round < rounds && !failed(); round++) {
        struct trap t;

        out = code;
        while (out < code + 200) {
            emit_one();
        }
        while (out < code + PAGE_SIZE) {
            *out++ = 0xcc;
        }
        if (option("verbose")) {
            printk("round %u\n", round);
        }
        set_timer();
        if (!call_user(jump, CODE_VA + (random() & 3), 0, NULL, &t)) {
            t.vector = 0x81;
        }
        mask_upcalls();
        set_timer_op(0);
        counts[t.vector]++;
        kernel_is_unharmed(round, &t);
        unmask_upcalls();
    }
    for (unsigned i = 0; i < NR_STUBS; i++) {
        if (counts[i]) {
            printk("%s (%x): %u\n", trap_name(i), i, counts[i]);
        }
    }
    check(counts[X86_GP] > 10 && counts[X86_PF] > 10,
          "this is not as random as it should be");
}
