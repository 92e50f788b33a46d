/*
 * Start of day, the console, and the result
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdarg.h>
#include "harness.h"

struct entry_state entry_state;
struct start_info *start_info;
struct shared_info *shared_info;
struct vcpu_info *the_vcpu_info;

/* A page of its own, whose mapping is moved to the shared_info frame */
static char shared_info_page[PAGE_SIZE] __attribute__((aligned(4096)));

static enum { SUCCESS, SKIP, FAILURE, ERROR } result;
static char skip_reason[200];

/* --- Strings --- */

void *memset(void *to, int c, size_t n)
{
    char *p = to;

    while (n--) {
        *p++ = c;
        barrier();              /* else this becomes a call of memset */
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    char *p = to;
    const char *q = from;

    while (n--) {
        *p++ = *q++;
        barrier();
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;

    for (; n; n--, p++, q++) {
        if (*p != *q) {
            return *p - *q;
        }
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++, b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n]) {
        n++;
    }
    return n;
}

uint64_t divide(uint64_t a, uint32_t b)
{
    uint32_t hi = a >> 32, lo = a, rem = hi % b, quot;

    asm("divl %4" : "=a" (quot), "=d" (rem) : "0" (lo), "1" (rem), "r" (b));
    return (uint64_t)(hi / b) << 32 | quot;
}

/* --- Console --- */

#define RING_WAIT_NS    10000000000ULL

bool ring_write(const char *text, size_t n)
{
    struct xencons_interface *ring;
    struct evtchn_port send = { start_info->console.domU.evtchn };

    if (is_initdomain() || !start_info->console.domU.mfn) {
        return false;
    }
    ring = mfn_to_virt(start_info->console.domU.mfn);
    for (size_t i = 0; i < n; i++) {
        volatile uint32_t *cons = &ring->out_cons;
        uint64_t end = 0;

        while (ring->out_prod - *cons >= sizeof(ring->out)) {
            /* By the clock: a busy host may be in no hurry to take it */
            end = end ?: system_time() + RING_WAIT_NS;
            if (system_time() > end) {
                return false;
            }
            HYPERCALL(sched_op, SCHEDOP_yield, 0);
        }
        ring->out[ring->out_prod % sizeof(ring->out)] = text[i];
        barrier();
        ring->out_prod++;
    }
    return HYPERCALL(event_channel_op, EVTCHNOP_send, &send) == 0;
}

static void console_write(const char *text, size_t n)
{
    if (HYPERCALL(console_io, CONSOLEIO_write, n, text) < 0) {
        ring_write(text, n);
    }
}

struct buffer {
    char text[512];
    size_t n;
};

static void put(struct buffer *b, char c)
{
    if (b->n < sizeof(b->text) - 1) {
        b->text[b->n++] = c;
    }
}

static void put_number(struct buffer *b, unsigned long long val, unsigned base,
                       bool minus, unsigned width, char pad)
{
    char digits[32];
    unsigned n = 0;

    do {
        unsigned long long rest = base == 16 ? val >> 4 : divide(val, 10);

        digits[n++] = "0123456789abcdef"[val - rest * base];
        val = rest;
    } while (val);
    if (minus) {
        digits[n++] = '-';
    }
    for (unsigned i = n; i < width; i++) {
        put(b, pad);
    }
    while (n) {
        put(b, digits[--n]);
    }
}

/* %c %s %d %u %x %p with width, 0, -, l, ll */
static void format(struct buffer *b, const char *fmt, va_list args)
{
    for (; *fmt; fmt++) {
        unsigned width = 0, longs = 0;
        char pad = ' ';
        bool left = false;
        unsigned long long val;

        if (*fmt != '%') {
            put(b, *fmt);
            continue;
        }
        fmt++;
        if (*fmt == '-') {
            left = true;
            fmt++;
        }
        if (*fmt == '0') {
            pad = '0';
        }
        for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
            width = width * 10 + *fmt - '0';
        }
        for (; *fmt == 'l'; fmt++) {
            longs++;
        }
        switch (*fmt) {
        case 'c':
            put(b, va_arg(args, int));
            break;
        case 's': {
            const char *s = va_arg(args, const char *);
            unsigned n = s ? strlen(s) : 0;

            for (unsigned i = n; !left && i < width; i++) {
                put(b, ' ');
            }
            for (unsigned i = 0; i < n; i++) {
                put(b, s[i]);
            }
            for (unsigned i = n; left && i < width; i++) {
                put(b, ' ');
            }
            break;
        }
        case 'd': {
            long long s = longs == 2 ? va_arg(args, long long) :
                          longs ? va_arg(args, long) : va_arg(args, int);

            put_number(b, s < 0 ? -s : s, 10, s < 0, width, pad);
            break;
        }
        case 'p':
            longs = 1;
            /* fall through */
        case 'u':
        case 'x':
            val = longs == 2 ? va_arg(args, unsigned long long) :
                  longs ? va_arg(args, ulong) : va_arg(args, unsigned);
            put_number(b, val, *fmt == 'u' ? 10 : 16, false, width, pad);
            break;
        default:
            put(b, *fmt);
        }
    }
    b->text[b->n] = 0;
}

void printk(const char *fmt, ...)
{
    struct buffer b = { .n = 0 };
    va_list args;

    va_start(args, fmt);
    format(&b, fmt, args);
    va_end(args);
    console_write(b.text, b.n);
}

/* --- Results --- */

void failure(const char *fmt, ...)
{
    struct buffer b = { .n = 0 };
    va_list args;

    va_start(args, fmt);
    format(&b, fmt, args);
    va_end(args);
    printk("  fails: %s\n", b.text);
    if (result < FAILURE) {
        result = FAILURE;
    }
}

void check_equal(unsigned long long seen, unsigned long long expected,
                 const char *what, ...)
{
    if (seen != expected) {
        struct buffer b = { .n = 0 };
        va_list args;

        va_start(args, what);
        format(&b, what, args);
        va_end(args);
        failure("%s: 0x%llx, expected 0x%llx", b.text, seen, expected);
    }
}

void check_ret(long seen, long expected, const char *what, ...)
{
    if (seen != expected) {
        struct buffer b = { .n = 0 };
        va_list args;

        va_start(args, what);
        format(&b, what, args);
        va_end(args);
        failure("%s: returned %ld, expected %ld", b.text, seen, expected);
    }
}

void check_nr_calls(const struct call *calls, unsigned n)
{
    for (const struct call *c = calls; c < calls + n; c++) {
        long expected = c->dom0 && is_initdomain() ? c->dom0 : c->expected;

        check_ret(hypercall(c->nr, c->args[0], c->args[1], c->args[2],
                            c->args[3], c->args[4]), expected, "%s", c->name);
    }
}

void skip(const char *fmt, ...)
{
    struct buffer b = { .n = 0 };
    va_list args;

    va_start(args, fmt);
    format(&b, fmt, args);
    va_end(args);
    memcpy(skip_reason, b.text, sizeof(skip_reason) - 1);
    if (result < SKIP) {
        result = SKIP;
    }
}

bool failed(void)
{
    return result >= FAILURE;
}

void finish(void)
{
    static const char *const names[] = {
        "Success", "Skip", "Failure", "Error"
    };
    /* Xen answers its domain 0's poweroff by halting, reboot by a reset */
    int reason = is_initdomain() ? SHUTDOWN_reboot : SHUTDOWN_poweroff;

    if (result == SKIP) {
        printk("Result: Skip - %s\n", skip_reason);
    } else {
        printk("Result: %s\n", names[result]);
    }
    for (;;) {
        HYPERCALL(sched_op, SCHEDOP_shutdown, &reason);
    }
}

void error(const char *fmt, ...)
{
    struct buffer b = { .n = 0 };
    va_list args;

    va_start(args, fmt);
    format(&b, fmt, args);
    va_end(args);
    printk("  error: %s\n", b.text);
    result = ERROR;
    finish();
}

/* --- Options --- */

const char *option(const char *name)
{
    static char value[128];
    size_t n = strlen(name), i;

    for (const char *s = start_info->cmd_line; *s; s++) {
        if ((s == start_info->cmd_line || s[-1] == ' ') &&
            memcmp(s, name, n) == 0 && s[n] == '=') {
            s += n + 1;
            for (i = 0; i < sizeof(value) - 1 && s[i] && s[i] != ' '; i++) {
                value[i] = s[i];
            }
            value[i] = 0;
            return value;
        }
    }
    return NULL;
}

ulong option_number(const char *name, ulong otherwise)
{
    const char *s = option(name);
    ulong n = 0;

    if (!s) {
        return otherwise;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        n = n * 10 + *s - '0';
    }
    return n;
}

/* --- Start of day --- */

void harness_main(struct start_info *si)
{
    long ret;

    start_info = si;
    memory_init();
    ret = update_va_mapping((ulong)shared_info_page,
                            si->shared_info | PAGE_KERNEL, UVMF_INVLPG);
    if (ret) {
        error("mapping shared_info returned %ld", ret);
    }
    shared_info = (struct shared_info *)shared_info_page;
    the_vcpu_info = &shared_info->vcpu_info[0];
    traps_init();
    events_init();
    test_main();
    finish();
}
