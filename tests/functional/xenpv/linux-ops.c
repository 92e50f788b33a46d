/*
 * What a program pays inside a real Linux; run by linuxbench.py as /init.
 *
 * Each operation runs in a few batches between two readings of the TSC, which
 * counts instructions under "-icount shift=0"; the shortest batch counts, which
 * is one without a timer tick. Printed as "bench NAME NUMBER". With "op=NAME"
 * and "count=N" on the kernel's command line (which gives such words to init's
 * environment) that one operation runs N times and nothing is measured. With
 * "smp=1" it is the operations on another CPU that are measured: what both CPUs
 * execute for one, as long as whoever waits for the other one says so by PAUSE,
 * at which QEMU goes on with the other one.
 *
 * There is no C library here, so that all that runs on a guest of either width
 * is in this file, and gcc alone can build it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stddef.h>
#include <stdint.h>

#define BATCHES 9

#ifdef __x86_64__
enum { READ = 0, WRITE = 1, MMAP = 9, MUNMAP = 11, SIGACTION = 13, PIPE = 22,
       FORK = 57, EXECVE = 59, EXIT = 60, WAIT4 = 61, KILL = 62, GETPPID = 110,
       GETPID = 39, ARCH_PRCTL = 158, REBOOT = 169, MADVISE = 28,
       SCHED_SETAFFINITY = 203, MEMBARRIER = 324 };

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;

    asm volatile("syscall" : "+a" (nr)
                 : "D" (a), "S" (b), "d" (c), "r" (r10), "r" (r8), "r" (r9)
                 : "rcx", "r11", "memory");
    return nr;
}

asm(".globl _start\n_start: mov %rsp, %rdi; and $-16, %rsp; call start; hlt\n"
    "restorer: mov $15, %eax; syscall\n"
    "clone: mov $56, %eax; syscall; test %eax, %eax; jnz 1f; call spin\n"
    "1: ret\n");
#else
enum { READ = 3, WRITE = 4, MMAP = 90, MUNMAP = 91, SIGACTION = 174, PIPE = 42,
       FORK = 2, EXECVE = 11, EXIT = 1, WAIT4 = 114, KILL = 37, GETPPID = 64,
       GETPID = 20, SET_THREAD_AREA = 243, REBOOT = 88, MADVISE = 219,
       SCHED_SETAFFINITY = 241, MEMBARRIER = 375 };

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
    asm volatile("int $0x80" : "+a" (nr)
                 : "b" (a), "c" (b), "d" (c), "S" (d), "D" (e) : "memory");
    return nr;
}

asm(".globl _start\n_start: mov %esp, %eax; and $-16, %esp; push $0; push $0\n"
    "push $0; push %eax; call start; hlt\n"
    "restorer: mov $173, %eax; int $0x80\n"
    "clone: push %ebx; mov 8(%esp), %ebx; mov 12(%esp), %ecx; mov $120, %eax\n"
    "int $0x80; test %eax, %eax; jnz 1f; call spin\n"
    "1: pop %ebx; ret\n");
#endif
void restorer(void);
void start(long *stack);
void spin(void);
/* A thread with that STACK, which calls spin() */
long clone(long flags, char *stack);

#define call4(nr, a, b, c, d)   call(nr, (long)(a), (long)(b), (long)(c), \
                                     (long)(d), 0, 0)
#define call3(nr, a, b, c)      call4(nr, a, b, c, 0)
#define call1(nr, a)            call4(nr, a, 0, 0, 0)

/* --- What a C library would have --- */

static char **environment;

static size_t length(const char *s)
{
    size_t n = 0;

    while (s[n]) {
        n++;
    }
    return n;
}

static int equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++, b++;
    }
    return *a == *b;
}

static void print(const char *s)
{
    call3(WRITE, 1, s, length(s));
}

static char *decimal(uint32_t n, char *end)
{
    *--end = 0;
    do {
        *--end = '0' + n % 10;
        n /= 10;
    } while (n);
    return end;
}

static long number(const char *s)
{
    long n = 0;

    while (*s >= '0' && *s <= '9') {
        n = n * 10 + *s++ - '0';
    }
    return n;
}

/* The value of NAME=VALUE in the environment */
static const char *variable(const char *name)
{
    size_t n = length(name);

    for (char **e = environment; *e; e++) {
        size_t i = 0;

        while (i < n && (*e)[i] == name[i]) {
            i++;
        }
        if (i == n && (*e)[n] == '=') {
            return *e + n + 1;
        }
    }
    return NULL;
}

static void end(void)
{
    /* A restart, which -no-reboot makes the end on machines of all kinds */
    call4(REBOOT, 0xfee1dead, 0x28121969, 0x01234567, 0);
    for (;;) {
    }
}

static void check(int right, const char *what)
{
    if (!right) {
        print("linux-ops: failed: ");
        print(what);
        print("\n");
        end();
    }
}

static uint64_t tsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a" (low), "=d" (high) : : "memory");
    return low | (uint64_t)high << 32;
}

static char *map(size_t size)
{
    /* The program's, private, nobody's: PROT_READ|WRITE, MAP_PRIVATE|ANON */
#ifdef __x86_64__
    long p = call(MMAP, 0, size, 3, 0x22, -1, 0);
#else
    long arguments[] = { 0, size, 3, 0x22, -1, 0 };
    long p = call1(MMAP, arguments);
#endif

    check((unsigned long)p < -4096UL, "mmap");
    return (char *)p;
}

/* --- Operations --- */

#define PAGES   64

static int there[2], back[2];       /* pipes to the other process and back */
static int self[2];
static volatile int signals;
static volatile char *neighbour;    /* what is mapped next has its table */

static void on_signal(int signal)
{
    signals++;
}

static void op_getppid(void)
{
    call1(GETPPID, 0);
}

static void op_segment_base(void)
{
#ifdef __x86_64__
    call3(ARCH_PRCTL, 0x1001, &signals, 0);     /* ARCH_SET_GS */
#else
    /* A flat segment, by the first free entry */
    static struct { int entry; unsigned base, limit, flags; } user_desc = {
        -1, 0x1000, 0xfffff, 0x51
    };

    call1(SET_THREAD_AREA, &user_desc);
#endif
}

static void op_signal(void)
{
    static long pid;

    if (!pid) {
        pid = call1(GETPID, 0);
    }
    call3(KILL, pid, 10, 0);
}

static void op_fault(void)
{
    char *p = map(PAGES * 4096);

    for (int i = 0; i < PAGES; i++) {
        ((volatile char *)p)[i * 4096] = 1;
    }
    call3(MUNMAP, p, PAGES * 4096, 0);
}

static void op_map_unmap(void)
{
    volatile char *p = map(4096);

    *p = 1;
    call3(MUNMAP, p, 4096, 0);
}

static void op_pipe(void)
{
    char c = 0;

    call3(WRITE, self[1], &c, 1);
    check(call3(READ, self[0], &c, 1) == 1, "read");
}

/* Two of them: to the other process, and back */
static void op_switch(void)
{
    char c = 0;

    call3(WRITE, there[1], &c, 1);
    check(call3(READ, back[0], &c, 1) == 1, "read");
}

static void wait_for(long pid)
{
    int status = -1;

    check(pid > 0, "fork");
    check(call4(WAIT4, pid, &status, 0, 0) == pid && status == 0, "child");
}

static void op_fork(void)
{
    long pid = call1(FORK, 0);

    if (!pid) {
        call1(EXIT, 0);
    }
    wait_for(pid);
}

static void op_exec(void)
{
    long pid = call1(FORK, 0);

    if (!pid) {
        static char *const argv[] = { "/init", "exit", NULL };

        call3(EXECVE, argv[0], argv, argv + 2);
        call1(EXIT, 1);
    }
    wait_for(pid);
}

static void pin(int cpu)
{
    unsigned long mask = 1UL << cpu;

    check(!call3(SCHED_SETAFFINITY, 0, sizeof(mask), &mask), "two CPUs");
}

static volatile int spinning;

void spin(void)
{
    pin(1);
    spinning = 1;
    for (;;) {
        asm volatile("pause");
    }
}

/* On the other CPU is another thread of this program */
static void need_thread(void)
{
    static char stack[4096] __attribute__((aligned(16)));

    if (spinning) {
        return;
    }
    check(!call3(MEMBARRIER, 16 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0),
          "membarrier");
    /* CLONE_VM, FS, FILES, SIGHAND, THREAD */
    check(clone(0x10f00, stack + sizeof(stack)) > 0, "clone");
    while (!spinning) {
        asm volatile("pause");
    }
}

static void op_membarrier(void)
{
    need_thread();
    check(!call3(MEMBARRIER, 8 /* PRIVATE_EXPEDITED */, 0, 0), "membarrier");
}

static void op_flush(void)
{
    need_thread();
    *neighbour = 1;
    check(!call3(MADVISE, neighbour, 4096, 4 /* DONTNEED */), "madvise");
}

static const struct {
    const char *name;
    void (*run)(void);
    int loops;          /* in a batch: too short for many timer ticks */
    int each;           /* operations in one run */
    int smp;
} ops[] = {
    { "getppid", op_getppid, 100, 1 },
    { "segment-base", op_segment_base, 100, 1 },
    { "signal", op_signal, 50, 1 },
    { "first-touch", op_fault, 2, PAGES },
    { "map-touch-unmap", op_map_unmap, 20, 1 },
    { "pipe", op_pipe, 50, 1 },
    { "context-switch", op_switch, 20, 2 },
    { "fork-exit", op_fork, 2, 1 },
    { "fork-exec-exit", op_exec, 2, 1 },
    /* In this order, since a CPU that has a thread does not sleep any more */
    { "wake-other", op_switch, 20, 2, 1 },
    { "ipi-other", op_membarrier, 20, 1, 1 },
    { "flush-other", op_flush, 20, 1, 1 },
};

static void set_up(int smp)
{
    static struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask[8 / sizeof(long)];
    } action = { on_signal, 0x04000004 /* RESTORER, SIGINFO */, restorer };

    neighbour = map(4096);
    *neighbour = 1;
    check(call4(SIGACTION, 10, &action, NULL, 8) == 0, "sigaction");
    check(!call1(PIPE, there) && !call1(PIPE, back) && !call1(PIPE, self),
          "pipe");
    if (!call1(FORK, 0)) {
        char c;

        if (smp) {
            pin(1);
        }
        while (call3(READ, there[0], &c, 1) == 1) {
            call3(WRITE, back[1], &c, 1);
        }
        call1(EXIT, 0);
    }
    if (smp) {
        pin(0);
    }
}

static void measure(int n)
{
    char buffer[24];
    uint64_t best = -1;

    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t begin = tsc(), t;

        for (int i = 0; i < ops[n].loops; i++) {
            ops[n].run();
        }
        t = tsc() - begin;
        if (t < best) {
            best = t;
        }
    }
    print("bench ");
    print(ops[n].name);
    print(" ");
    /* 32 bits are enough for a batch, and divide without libgcc */
    print(decimal((uint32_t)best / (ops[n].loops * ops[n].each),
                  buffer + sizeof(buffer)));
    print("\n");
}

void start(long *stack)
{
    char **argv = (char **)stack + 1;
    const char *op;
    int smp;

    if (stack[0] == 2 && equal(argv[1], "exit")) {
        call1(EXIT, 0);
    }
    environment = argv + stack[0] + 1;
    op = variable("op");
    smp = variable("smp") != NULL;
    print("\nxenpv-test: this is init\n");
    set_up(smp);
    for (int n = 0; n < sizeof(ops) / sizeof(ops[0]); n++) {
        if (!op && ops[n].smp == smp) {
            measure(n);
        } else if (!op) {
            continue;
        } else if (equal(op, ops[n].name)) {
            const char *count = variable("count");

            for (long i = count ? number(count) : 1; i > 0; i--) {
                ops[n].run();
            }
        }
    }
    /* Each signal that was sent has come */
    check(op || smp || signals == BATCHES * 50, "signals");
    print("linux-ops: done\n");
    end();
}
