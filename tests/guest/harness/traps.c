/*
 * Exceptions and callbacks: what arrived, whom it goes to, and how a test
 * catches it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

extern char trap_stubs[];
extern bool catch_call(void (*fn)(void *), void *arg);
extern void __attribute__((noreturn)) catch_throw(void);

ulong catch_sp;                 /* start.S: the innermost catch_call() */
static struct trap *catch_trap;

static trap_handler *handlers[NR_STUBS];
static struct trap_info trap_table[34];
static unsigned nr_traps;

static const uint32_t has_error_code = 1 << 8 | 1 << X86_TS | 1 << X86_NP |
                                       1 << X86_SS | 1 << X86_GP |
                                       1 << X86_PF | 1 << X86_AC;

const char *trap_name(unsigned vector)
{
    static const char *const names[] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",
        "#TS", "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM"
    };

    return vector < ARRAY_SIZE(names) ? names[vector] :
           vector == VECTOR_EVENT ? "event callback" :
           vector == VECTOR_FAILSAFE ? "failsafe callback" :
           vector == VECTOR_SYSCALL ? "syscall callback" : "interrupt";
}

ulong trap_stub(unsigned vector)
{
    return (ulong)trap_stubs + vector * 16;
}

long set_trap_entry(unsigned vector, unsigned flags, ulong address)
{
    struct trap_info *t = NULL;

    for (unsigned i = 0; i < nr_traps; i++) {
        if (trap_table[i].vector == vector) {
            t = &trap_table[i];
        }
    }
    if (!t) {
        t = &trap_table[nr_traps++];
    }
    t->vector = vector;
    t->flags = flags;
    t->cs = FLAT_KERNEL_CS;
    t->address = address;
    return HYPERCALL(set_trap_table, trap_table);
}

void set_trap_flags(unsigned vector, unsigned flags)
{
    long ret = set_trap_entry(vector, flags, trap_stub(vector));

    if (ret) {
        error("set_trap_table returned %ld", ret);
    }
}

void set_handler(unsigned vector, trap_handler *handler)
{
    handlers[vector] = handler;
}

bool catch_exception(struct trap *trap, void (*fn)(void *arg), void *arg)
{
    struct trap *outer = catch_trap;
    uint8_t mask = vcpu_info()->evtchn_upcall_mask;
    bool caught;

    catch_trap = trap;
    caught = catch_call(fn, arg);
    catch_trap = outer;
    if (caught) {
        *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_mask = mask;
    }
    return caught;
}

static void understand(struct trap *t, struct trap_state *s)
{
    ulong *p = s->raw;

    memset(t, 0, sizeof(*t));
    t->vector = s->vector;
    t->regs = s;
    t->frame_address = (ulong)p;
    t->cr2 = vcpu_info()->arch.cr2;
    t->upcall_mask = vcpu_info()->evtchn_upcall_mask;
    for (unsigned i = 0; i < ARRAY_SIZE(t->raw); i++) {
        t->raw[i] = p[i];
    }
#ifdef __x86_64__
    t->rcx_slot = s->cx = *p++;
    t->r11_slot = s->r11 = *p++;
#endif
    if (t->vector == VECTOR_FAILSAFE) {
        t->ds = *p++;
        t->es = *p++;
        t->fs = *p++;
        t->gs = *p++;
    } else if (t->vector < 32 && has_error_code & 1u << t->vector) {
        t->has_error_code = true;
        t->error_code = *p++;
    }
    t->frame = (struct iret_frame *)p;
    t->ip = t->frame->ip;
    t->cs = t->frame->cs;
    t->saved_upcall_mask = t->frame->cs >> (IS_64BIT ? 32 : 16);
    t->flags = t->frame->flags;
    t->from_user = (t->cs & 3) == 3;
    if (IS_64BIT || t->from_user) {
        t->sp = t->frame->sp;
        t->ss = t->frame->ss;
    } else {
        t->sp = (ulong)&t->frame->sp;
        t->ss = FLAT_KERNEL_SS;
    }
}

static void dump(struct trap *t)
{
    printk("  %s (%u) from %s mode, error code %x, cr2 %lx\n",
           trap_name(t->vector), t->vector, t->from_user ? "user" : "kernel",
           t->error_code, t->cr2);
    printk("  ip %lx cs %lx flags %lx sp %lx ss %lx\n", t->ip, t->frame->cs,
           t->flags, t->sp, t->ss);
}

void do_trap(struct trap_state *s)
{
    struct trap t;

    understand(&t, s);
    if (t.vector >= NR_STUBS) {
        error("a trap with vector %u", t.vector);
    }
    if (handlers[t.vector] && handlers[t.vector](&t)) {
        s->vector = (ulong)t.frame;
        return;
    }
    if (catch_trap) {
        *catch_trap = t;
        catch_throw();
    }
    dump(&t);
    error("unexpected trap");
}

void traps_init(void)
{
    long ret;

    for (unsigned i = 0; i < 20; i++) {
        unsigned dpl = i == X86_BP || i == X86_OF ? 3 : 0;

        trap_table[nr_traps++] = (struct trap_info) {
            i, dpl, FLAT_KERNEL_CS, trap_stub(i)
        };
    }
    trap_table[nr_traps++] = (struct trap_info) {
        0x80, 3, FLAT_KERNEL_CS, trap_stub(0x80)
    };
    trap_table[nr_traps++] = (struct trap_info) {
        0x81, 3, FLAT_KERNEL_CS, trap_stub(0x81)
    };
    ret = HYPERCALL(set_trap_table, trap_table);
    if (ret) {
        error("set_trap_table returned %ld", ret);
    }
}

void kernel_context(struct vcpu_guest_context *c, ulong ip, ulong sp)
{
    ulong top = virt_to_mfn((void *)start_info->pt_base);

    memset(c, 0, sizeof(*c));
    c->flags = VGCF_IN_KERNEL;
    c->user_regs.ip = ip;
    c->user_regs.sp = c->kernel_sp = sp;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = c->kernel_ss = FLAT_KERNEL_SS;
    c->user_regs.ds = c->user_regs.es = FLAT_KERNEL_DS;
    c->event_callback_eip = trap_stub(VECTOR_EVENT);
    c->failsafe_callback_eip = trap_stub(VECTOR_FAILSAFE);
#ifdef __x86_64__
    c->ctrlreg[3] = top << PAGE_SHIFT;
#else
    c->event_callback_cs = c->failsafe_callback_cs = FLAT_KERNEL_CS;
    c->ctrlreg[3] = top << PAGE_SHIFT | top >> (32 - PAGE_SHIFT);
#endif
}
