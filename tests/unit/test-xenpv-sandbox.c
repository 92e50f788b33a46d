/*
 * Unit test of the process in which xenpv-convert --check reads disk images
 *
 * Sources needed beside this file: tools/xenpv/sandbox.c.
 *
 * Whoever takes that process over, by a fault in a file system's library for
 * one, must not get any further. A broken sandbox would let the disk of a guest
 * read the host's files, or run a program as root. So the tests do in it what
 * an intruder would.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <link.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "../../tools/xenpv/sandbox.h"

#define CHILD   "--child"

static const SandboxLimits usual = {
    .memory = 256 * 1024 * 1024,
    .cpu_seconds = 60,
    .seconds = 120,
    .output = 64 * 1024,
};

static bool take_line(void *opaque, const char *text)
{
    GString *lines = opaque;

    g_string_append_printf(lines, "%s\n", text);
    return text[0] == '-';
}

/* What the child writes that runs @name; @errp as of sandbox_run() */
static GString *run_with(const char *name, int fd, const SandboxLimits *limits,
                         Error **errp)
{
    GString *lines = g_string_new(NULL);
    const char *const args[] = { "test-xenpv-sandbox", CHILD, name, NULL };
    SandboxJob job = {
        .args = args, .fd = fd, .limits = limits, .line = take_line,
        .opaque = lines, .reads_all = g_str_has_prefix(name, "program"),
    };
    Error *err = NULL;
    bool well = sandbox_run(&job, &err);

    g_assert_cmpint(well, ==, !err);
    error_propagate(errp, err);
    return lines;
}

static void assert_ends(const char *name, const SandboxLimits *limits,
                        const char *reason)
{
    Error *err = NULL;
    GString *lines = run_with(name, -1, limits, &err);

    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), reason)) {
        g_test_message("expected \"%s\", but the error is \"%s\"", reason,
                       error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
    g_string_free(lines, true);
}

static void run_well(void)
{
    printf("- one\n- two\n-");
}

static void test_well(void)
{
    GString *lines = run_with("well", -1, &usual, &error_abort);

    g_assert_cmpstr(lines->str, ==, "- one\n- two\n-\n");
    g_string_free(lines, true);
}

static void try(const char *what, long result)
{
    if (result != -1) {
        printf("- %s: it can, %ld\n", what, result);
    } else if (errno != EPERM) {
        printf("- %s: %s\n", what, strerror(errno));
    }
}

/* A system call that only some hosts have, and clone() is on the others */
static long fork_by_number(void)
{
#ifdef SYS_fork
    return syscall(SYS_fork);
#else
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

static void run_attempts(void)
{
    struct rlimit more = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 };
    char *const argv[] = { (char *)"true", NULL };
    char byte = 0;
    int parent = syscall(SYS_getpid) - 1;
    void *p;

    /* The one thing that it is for */
    if (pread(SANDBOX_FD, &byte, 1, 0) != 1 || byte != 'x') {
        printf("- the file that it was given cannot be read\n");
    }
    try("write to it", write(SANDBOX_FD, "y", 1) == 1 ? 1 : (errno = EPERM,
                                                                 -1));
    try("open", open("/etc/passwd", O_RDONLY));
    try("openat2", syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0));
    try("create", open("/tmp/xenpv-sandbox", O_CREAT | O_RDWR, 0600));
    try("stat", access("/etc/passwd", F_OK));
    try("unlink", unlink("/tmp/xenpv-sandbox"));
    try("socket", socket(AF_INET, SOCK_STREAM, 0));
    try("socket", socket(AF_UNIX, SOCK_STREAM, 0));
    try("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]) { 0 }));
    try("memfd", memfd_create("x", 0));
    try("dup", dup(SANDBOX_FD));
    try("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    try("fork", fork_by_number());
    try("vfork", syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0));
    try("execve", execve("/bin/true", argv, argv));
    try("kill", kill(parent, 0));
    try("kill all", kill(-1, 0));
    try("pidfd", syscall(SYS_pidfd_open, parent, 0));
    try("ptrace", ptrace(PTRACE_ATTACH, parent, NULL, NULL));
    try("process_vm_readv",
        syscall(SYS_process_vm_readv, parent, NULL, 0, NULL, 0, 0));
    try("setuid", setuid(0));
    try("setrlimit", setrlimit(RLIMIT_AS, &more));
    try("prctl", prctl(PR_SET_DUMPABLE, 1));
    try("mount", syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL));
    try("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
    try("bpf", syscall(SYS_bpf, 0, NULL, 0));
    try("userfaultfd", syscall(SYS_userfaultfd, 0));
    p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    try("code", p == MAP_FAILED ? -1 : 0);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    try("code", mprotect(p, 4096, PROT_READ | PROT_EXEC));
    try("ioctl", ioctl(SANDBOX_FD, 0x1234));
}

/* Each of these has to fail, with EPERM */
static void test_rights(void)
{
    g_autofree char *name = NULL;
    GString *lines;
    int fd = g_file_open_tmp("xenpv-sandbox-XXXXXX", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    close(fd);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    unlink(name);
    lines = run_with("attempts", fd, &usual, &error_abort);
    g_assert_cmpstr(lines->str, ==, "");
    g_string_free(lines, true);
    close(fd);
}

static void run_files(void)
{
    for (int fd = 3; fd < 100; fd++) {
        char byte;

        /* What the libraries of this process have open is no file */
        if (pread(fd, &byte, 1, 0) == 1) {
            printf("- %d is open\n", fd);
        }
    }
}

/* What the caller has open is not there */
static void test_files(void)
{
    int fds[10];
    GString *lines;

    for (int i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = open("/proc/self/maps", O_RDONLY);
    }
    /* Each of these is below SANDBOX_FD, at it, or above it */
    for (int i = 0; i < ARRAY_SIZE(fds); i++) {
        lines = run_with("files", fds[i], &usual, &error_abort);
        g_assert_cmpstr(lines->str, ==, "- 3 is open\n");
        g_string_free(lines, true);
    }
    lines = run_with("files", -1, &usual, &error_abort);
    g_assert_cmpstr(lines->str, ==, "");
    g_string_free(lines, true);
    for (int i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
}

static void *thread(void *opaque)
{
    *(int *)opaque = open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
    return NULL;
}

static void run_thread(void)
{
    int error = 0;

    g_thread_join(g_thread_new("x", thread, &error));
    printf("- %d\n", error);
}

/* Threads, which the block layer decompresses in, have no more rights */
static void test_thread(void)
{
    GString *lines = run_with("thread", -1, &usual, &error_abort);
    g_autofree char *expected = g_strdup_printf("- %d\n", EPERM);

    g_assert_cmpstr(lines->str, ==, expected);
    g_string_free(lines, true);
}

static void run_forever(void)
{
    for (;;) {
        getpid();
    }
}

static void run_sleep(void)
{
    /* As if it were at its end */
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    for (;;) {
        g_usleep(1000);
    }
}

#ifndef QEMU_SANITIZE_ADDRESS
static void run_memory(void)
{
    for (int i = 0; i < 1024; i++) {
        memset(g_malloc(1024 * 1024), 1, 1024 * 1024);
    }
}
#endif

static void run_words(void)
{
    for (;;) {
        printf("- and so on\n");
    }
}

static void run_long_line(void)
{
    for (int i = 0; i < 10000; i++) {
        printf("-");
    }
    printf("\n- next\n");
}

static void run_fault(void)
{
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    abort();
}

static void run_exit(void)
{
    fprintf(stderr, "a library's last words\n");
    _exit(3);
}

/* Time, memory and words have an end */
static void test_limits(void)
{
    SandboxLimits short_limits = usual;

    short_limits.cpu_seconds = 1;
    assert_ends("forever", &short_limits, "more than 1 seconds of CPU time");
    short_limits = usual;
    short_limits.seconds = 1;
    assert_ends("sleep", &short_limits, "longer than 1 seconds");
#ifndef QEMU_SANITIZE_ADDRESS
    assert_ends("memory", &usual, "no more than 256 MiB of memory");
#endif
    assert_ends("words", &usual, "too much to say");
}

static void test_line_length(void)
{
    GString *lines = run_with("long-line", -1, &usual, &error_abort);

    g_assert_cmpuint(lines->len, ==, SANDBOX_LINE_MAX + 1 + strlen("- next\n"));
    g_string_free(lines, true);
}

/* What a child that fails leaves is told, but never as if it were well */
static void test_fault(void)
{
    /* By a signal, or, where a sanitizer takes that, with a status */
    assert_ends("fault", &usual, "the process that looked into it ended ");
    assert_ends("exit", &usual,
                "ended with status 3: a library's last words");
}

static uint64_t capabilities(const char *status, const char *which)
{
    const char *at = strstr(status, which);

    return at ? g_ascii_strtoull(at + strlen(which), NULL, 16) : UINT64_MAX;
}

/* Those of the thread that there is, before it enters the sandbox */
static void check_capabilities(uint64_t expected)
{
    g_autofree char *status = NULL;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL) ||
        capabilities(status, "CapEff:\t") & ~expected ||
        capabilities(status, "CapPrm:\t") & ~expected ||
        !strstr(status, "NoNewPrivs:\t1")) {
        printf("- it has capabilities\n");
        fflush(stdout);
    }
}

/* --- A program of others ------------------------------------------------- */

static void try_file(const char *what, long result)
{
    if (result == -1 && errno == EACCES) {
        errno = EPERM;
    }
    try(what, result);
}

/* What a program would do that its image has taken over */
static void run_program_attempts(void)
{
    char *const argv[] = { (char *)"true", NULL };
    g_autofree char *image = g_strdup_printf("/proc/self/fd/%d", SANDBOX_FD);
    char name[PATH_MAX] = "", byte = 0, names[4096];
    int fd = open(image, O_RDONLY);
    void *p;

    if (fd < 0 || read(fd, &byte, 1) != 1 || byte != 'x') {
        printf("- it cannot read its file by name: %s\n", strerror(errno));
    }
    if (readlink(image, name, sizeof(name) - 1) < 0) {
        printf("- its file has no name\n");
    }
    try_file("another file", open("/etc/passwd", O_RDONLY));
    try_file("a process", open("/proc/self/environ", O_RDONLY));
    try_file("devices", open("/dev/zero", O_RDONLY));
    try("to write", open(image, O_RDWR));
    try("to empty it", open(name, O_RDONLY | O_TRUNC));
    try("to make one", open("/tmp/xenpv-sandbox", O_CREAT | O_RDWR, 0600));
    try("unlink", unlink(name));
    try("truncate", truncate(name, 0));
    try("rename", rename(name, "/tmp/xenpv-sandbox"));
    fd = open("/", O_RDONLY | O_DIRECTORY);
    try("names", syscall(SYS_getdents64, fd, names, sizeof(names)));
    try("a handle", syscall(SYS_open_by_handle_at, fd, names, O_RDONLY));
    try("fork", fork_by_number());
    try("clone", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
    try("socket", socket(AF_UNIX, SOCK_STREAM, 0));
    try("kill", kill(syscall(SYS_getpid) - 1, 0));
    try("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    try("mount", syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL));
    try("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
    try("io_uring", syscall(SYS_io_uring_setup, 1, names));
    p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    try("code", p == MAP_FAILED ? -1 : 0);
    if (environ[0] && (environ[1] || strcmp(environ[0], "LC_ALL=C"))) {
        printf("- it has an environment\n");
    }
    printf("- these were all but one\n");
    fflush(stdout);
    try_file("another program", execve("/bin/true", argv, argv + 1));
    printf("- the end\n");
}

static int add_library(struct dl_phdr_info *info, size_t size, void *opaque)
{
    if (info->dlpi_name[0] == '/') {
        g_ptr_array_add(opaque, g_strdup(info->dlpi_name));
    }
    return 0;
}

/* Becomes this program once more, as one that may not more than grub-fstest */
static void G_GNUC_NORETURN run_program(void)
{
    GPtrArray *files = g_ptr_array_new();
    char *args[] = {
        g_file_read_link("/proc/self/exe", NULL), (char *)CHILD,
        (char *)"program-attempts", NULL,
    };

    g_ptr_array_add(files, args[0]);
    dl_iterate_phdr(add_library, files);
    g_ptr_array_add(files, NULL);
    sandbox_run_program(&usual, (char **)files->pdata, args);
}

/* It can read its file, which it opens by name, and do nothing else */
static void test_program(void)
{
#ifdef QEMU_SANITIZE_ADDRESS
    g_test_skip("AddressSanitizer opens files of its own");
#else
    g_autofree char *name = NULL;
    GString *lines;
    Error *err = NULL;
    int fd;

    if (!sandbox_can_run_programs(&err)) {
        g_test_skip(error_get_pretty(err));
        error_free(err);
        return;
    }
    fd = g_file_open_tmp("xenpv-sandbox-XXXXXX", &name, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    lines = run_with("program", fd, &usual, &error_abort);
    g_assert_cmpstr(lines->str, ==, "- these were all but one\n- the end\n");
    g_string_free(lines, true);
    close(fd);
    unlink(name);
#endif
}

static int child(const char *name)
{
    static const struct {
        const char *name;
        void (*run)(void);
        unsigned cpu_seconds;
    } children[] = {
        { "well", run_well }, { "attempts", run_attempts },
        { "files", run_files }, { "thread", run_thread },
        { "forever", run_forever, 1 }, { "sleep", run_sleep },
#ifndef QEMU_SANITIZE_ADDRESS
        { "memory", run_memory },
#endif
        { "words", run_words }, { "long-line", run_long_line },
        { "fault", run_fault }, { "exit", run_exit },
    };

    if (!strcmp(name, "program")) {
        check_capabilities(1 << CAP_DAC_READ_SEARCH);
        run_program();
    }
    if (!strcmp(name, "program-attempts")) {
        run_program_attempts();
        return EXIT_SUCCESS;
    }
    for (int i = 0; i < ARRAY_SIZE(children); i++) {
        if (!strcmp(name, children[i].name)) {
            SandboxLimits limits = usual;

            limits.cpu_seconds = children[i].cpu_seconds ?: limits.cpu_seconds;
            check_capabilities(0);
            sandbox_enter(&limits);
            children[i].run();
            _exit(fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS);
        }
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], CHILD)) {
        return child(argv[2]);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/sandbox/well", test_well);
    g_test_add_func("/xenpv/sandbox/rights", test_rights);
    g_test_add_func("/xenpv/sandbox/files", test_files);
    g_test_add_func("/xenpv/sandbox/thread", test_thread);
    g_test_add_func("/xenpv/sandbox/limits", test_limits);
    g_test_add_func("/xenpv/sandbox/line-length", test_line_length);
    g_test_add_func("/xenpv/sandbox/fault", test_fault);
    g_test_add_func("/xenpv/sandbox/program", test_program);
    return g_test_run();
}
