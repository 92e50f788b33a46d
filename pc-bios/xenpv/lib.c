/*
 * What a C program has from its library, the log, and the ways to crash
 *
 * All files call this one, and it calls none of them. Copies to and from the
 * guest have the guest kernel's rights, and return -EFAULT if they fault.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdarg.h>
#include "monitor.h"

void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    size_t words = n / sizeof(ulong);

    n %= sizeof(ulong);
    asm volatile(MOVE_WORDS : "+D" (d), "+S" (from), "+c" (words) : : "memory");
    asm volatile("rep movsb" : "+D" (d), "+S" (from), "+c" (n) : : "memory");
    return to;
}

void *memset(void *to, int c, size_t n)
{
    void *d = to;

    asm volatile("rep stosb" : "+D" (d), "+c" (n) : "a" (c) : "memory");
    return to;
}

/* Guest virtual memory */

static inline int copy(ulong to, ulong from, ulong size, ulong guest)
{
    ulong val;

    if (!access_ok(guest, size)) {
        return -EFAULT;
    }
    /* Most copies are of a few longs, too short for a string instruction */
    for (; size >= sizeof(ulong) && size <= 16 * sizeof(ulong);
         size -= sizeof(ulong), to += sizeof(ulong), from += sizeof(ulong)) {
        GET_GUEST(val, from, fault);
        PUT_GUEST(to, val, fault);
    }
    if (size) {
        asm volatile goto("1: rep movsb\n\t" EX_TABLE(1b, %l[fault])
                          : "+D" (to), "+S" (from), "+c" (size)
                          : : "memory" : fault);
    }
    return 0;
fault:
    return -EFAULT;
}

int copy_from_guest(void *to, ulong from, ulong size)
{
    return copy((ulong)to, from, size, from);
}

int copy_to_guest(ulong to, const void *from, ulong size)
{
    return copy(to, (ulong)from, size, to);
}

ulong find_fixup(ulong ip)
{
    const struct ex_entry *e;

    for (e = ex_table_start; e < ex_table_end; e++) {
        if (e->fault == ip) {
            return e->fixup;
        }
    }
    return 0;
}

/* 32-bit code has no instruction for this, and there is no libgcc */
u64 div64(u64 n, u32 d)
{
    u32 hi = n >> 32, lo = n, q_hi = hi / d, q_lo, rem = hi % d;

    asm("divl %4" : "=a" (q_lo), "=d" (rem) : "a" (lo), "d" (rem), "r" (d));
    return (u64)q_hi << 32 | q_lo;
}

/* The log */

static void put(char c)
{
    outb(XENPV_IO_BASE + XENPV_IO_LOG, c);
}

static void put_number(ulong val, unsigned base, int width)
{
    char buf[24];
    int n = 0;

    do {
        buf[n++] = "0123456789abcdef"[val % base];
        val /= base;
    } while (val);
    while (width-- > n) {
        put('0');
    }
    while (n) {
        put(buf[--n]);
    }
}

/* See monitor.h for the conversions that it knows */
void printk(const char *fmt, ...)
{
    static bool busy;
    va_list ap;

    /* Not spin_lock(), which calls another file; the holder waits for nobody */
    while (atomic_exchange(&busy, true)) {
        asm volatile("pause");
    }
    va_start(ap, fmt);
    for (; *fmt; fmt++) {
        bool is_long = fmt[0] == '%' && fmt[1] == 'l';

        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        fmt += 1 + is_long;
        if (*fmt == 's') {
            for (const char *s = va_arg(ap, const char *); *s; s++) {
                put(*s);
            }
        } else {
            put_number(is_long || *fmt == 'p' ? va_arg(ap, ulong)
                                              : va_arg(ap, unsigned),
                       *fmt == 'u' ? 10 : 16,
                       *fmt == 'p' ? (int)sizeof(ulong) * 2 : 0);
        }
    }
    va_end(ap);
    atomic_store_explicit(&busy, false, memory_order_release);
}

static void print_regs(const struct regs *regs)
{
    bool ring0 = !(regs->cs & 3);
    ulong sp = ring0 ? (ulong)&regs->sp : regs->sp;

    printk("ip %x:%p sp %x:%p flags %lx vector %u error %x\n",
           (u16)regs->cs, regs->ip, ring0 ? MON_DS : (u16)regs->ss, sp,
           regs->flags, regs->vector, regs->error_code);
    printk("ax %p bx %p cx %p dx %p\n", regs->ax, regs->bx, regs->cx, regs->dx);
    printk("si %p di %p bp %p cr2 %p\n", regs->si, regs->di, regs->bp,
           read_cr2());
#ifdef __x86_64__
    printk("r8 %p r9 %p r10 %p r11 %p\n", regs->r8, regs->r9, regs->r10,
           regs->r11);
    printk("r12 %p r13 %p r14 %p r15 %p\n", regs->r12, regs->r13, regs->r14,
           regs->r15);
#else
    printk("ds %x es %x\n", (u16)regs->ds, (u16)regs->es);
#endif
    printk("cr0 %p cr3 %p cr4 %p\n", read_cr0(), read_cr3(), read_cr4());
    for (int i = 0; i < 8; i++) {
        ulong val;

        GET_GUEST(val, sp + i * sizeof(ulong), end);
        printk("%s%p", i ? " " : "stack ", val);
    }
end:
    printk("\n");
}

static void __attribute__((noreturn)) die(const struct regs *regs,
                                          const char *what, const char *why)
{
    size_t n = 0;

    asm volatile("cli");
    printk("%s: %s\n", what, why);
    if (regs) {
        print_regs(regs);
    }
    while (why[n]) {
        n++;
    }
    machine_call(XENPV_CALL_CRASH, 0, (void *)why, n);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

void domain_crash(const struct regs *regs, const char *why)
{
    die(regs, "domain crashed", why);
}

void monitor_crash(const struct regs *regs, const char *why)
{
    struct vcpu *v = current_vcpu();

    /* At the border to user mode its tables are in use, which map too little */
    if (WORD == 8 && v->kernel_cr3) {
        write_cr3(v->kernel_cr3);
    }
    die(regs, "monitor crashed", why);
}

long machine_call(u32 op, u32 cmd, void *data, u32 size)
{
    /* The boot stack is in no vCPU's area: there is no vCPU yet */
    u32 id = area_base() >= VCPU_VIRT ? current_vcpu()->id : 0;
    volatile struct xenpv_mailbox *box =
        (volatile struct xenpv_mailbox *)(CORE_VIRT + XENPV_CORE_MAILBOX) + id;

    if (size > sizeof(box->data)) {
        size = sizeof(box->data);
    }
    box->op = op;
    box->cmd = cmd;
    box->size = size;
    memcpy((void *)box->data, data, size);
    outl(XENPV_IO_BASE + XENPV_IO_CALL, id);
    memcpy(data, (void *)box->data, size);
    return box->ret;
}

void *alloc_page(void)
{
    static ulong next = CORE_VIRT + XENPV_CORE_POOL;
    void *page = (void *)next;

    BUG_ON(next >= CORE_VIRT + XENPV_CORE_SIZE);
    next += PAGE_SIZE;
    memset(page, 0, PAGE_SIZE);
    return page;
}
