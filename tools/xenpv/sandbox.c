/*
 * A child that may read what a stranger has made
 *
 * The list of system calls is what reading an open file, memory, threads of
 * the same process (QEMU's block layer decompresses in some) and waiting for
 * them take. All others fail with EPERM, so that a library that tries more
 * than it needs goes on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/capability.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "sandbox.h"

/* The child's exit status where it could not give up its rights */
#define NO_SANDBOX  71
/* Address space that is no memory yet: stacks and arenas of threads */
#define ADDRESSES   (2ULL * 1024 * 1024 * 1024)

/* --- In the child -------------------------------------------------------- */

static void G_GNUC_NORETURN give_up(const char *what, int error)
{
    dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(error));
    _exit(NO_SANDBOX);
}

static void limit(int resource, const char *what, uint64_t value,
                  unsigned more)
{
    struct rlimit r = { .rlim_cur = value, .rlim_max = value + more };

    if (setrlimit(resource, &r) < 0) {
        give_up(what, errno);
    }
}

/* Only what is needed stays open; both @fd and @pipe_fd are above SANDBOX_FD */
static void keep_files(int pipe_fd, int fd)
{
    static const int kept[] = {
        STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, SANDBOX_FD,
    };
    int null = open("/dev/null", O_RDONLY);

    if (dup2(pipe_fd, STDOUT_FILENO) < 0 || dup2(pipe_fd, STDERR_FILENO) < 0 ||
        null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        (fd >= 0 && dup2(fd, SANDBOX_FD) < 0)) {
        give_up("files", errno);
    }
    qemu_close_all_open_fd(kept, ARRAY_SIZE(kept) - (fd < 0));
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (syscall(SYS_capset, &header, none) < 0) {
        give_up("capabilities", errno);
    }
}

static void set_limits(const SandboxLimits *limits)
{
    /* AddressSanitizer has 16 TiB of addresses for its own */
#ifndef QEMU_SANITIZE_ADDRESS
    limit(RLIMIT_DATA, "a limit on memory", limits->memory, 0);
    limit(RLIMIT_AS, "a limit on memory", limits->memory + ADDRESSES, 0);
#endif
    /* SIGXCPU, and a second later SIGKILL */
    limit(RLIMIT_CPU, "a limit on CPU time", limits->cpu_seconds, 1);
    limit(RLIMIT_FSIZE, "a limit on files", 0, 0);
    limit(RLIMIT_CORE, "a limit on core files", 0, 0);
}

static const int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(close),
    SCMP_SYS(fstat), SCMP_SYS(lseek),
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(sysinfo),
    SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static int add_rules(scmp_filter_ctx ctx)
{
    int ret = 0;

    for (int i = 0; i < ARRAY_SIZE(allowed) && !ret; i++) {
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    /* No code but what is there */
    return ret ?:
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ?:
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ?:
        /* Threads, not processes; clone3() has its flags in memory */
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD,
                                 CLONE_THREAD)) ?:
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) ?:
        /* To read limits, not to set them */
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                         SCMP_A2(SCMP_CMP_EQ, 0)) ?:
        /* abort() */
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                         SCMP_A0(SCMP_CMP_EQ, getpid()));
}

static void filter_system_calls(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int ret = ctx ? 0 : -ENOMEM;

    /* Set-user-ID programs are out of reach, and so are 32-bit system calls */
    ret = ret ?: seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1) ?:
          seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) ?:
          seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                           SCMP_ACT_KILL_PROCESS) ?:
          add_rules(ctx) ?: seccomp_load(ctx);
    if (ret < 0) {
        give_up("seccomp", -ret);
    }
    seccomp_release(ctx);
}

void sandbox_enter(const SandboxLimits *limits)
{
    prctl(PR_SET_DUMPABLE, 0);
    set_limits(limits);
    filter_system_calls();
}

/* After fork(), so without memory or locks: up to the new program */
static void G_GNUC_NORETURN start(const SandboxJob *job, int pipe_fd)
{
    /* With the parent nobody is left to watch it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_files(pipe_fd, job->fd);
    /* Else root's would be back with the new program */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        give_up("no_new_privs", errno);
    }
    drop_capabilities();
    execv("/proc/self/exe", (char **)job->args);
    give_up("/proc/self/exe", errno);
}

/* --- In the parent ------------------------------------------------------- */

typedef struct Reader {
    const SandboxJob *job;
    char line[SANDBOX_LINE_MAX + 1];
    size_t used;
    char **last_words;
} Reader;

static void take_line(Reader *r)
{
    r->line[r->used] = 0;
    if (!r->job->line(r->job->opaque, r->line) && r->line[0]) {
        g_free(*r->last_words);
        *r->last_words = g_strdup(r->line);
    }
    r->used = 0;
}

static void take_bytes(Reader *r, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            take_line(r);
        } else if (r->used < SANDBOX_LINE_MAX) {
            r->line[r->used++] = bytes[i];
        }
    }
}

static bool in_time(int64_t end, const SandboxLimits *limits, Error **errp)
{
    if (g_get_monotonic_time() < end) {
        return true;
    }
    error_setg(errp, "it takes longer than %u seconds", limits->seconds);
    return false;
}

bool sandbox_listen(const SandboxJob *job, int fd, int64_t end,
                    char **last_words, Error **errp)
{
    const SandboxLimits *limits = job->limits;
    Reader r = { .job = job, .last_words = last_words };
    size_t total = 0;

    while (in_time(end, limits, errp)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char bytes[4096];
        ssize_t n;

        if (poll(&p, 1, 1000) <= 0) {
            continue;
        }
        n = RETRY_ON_EINTR(read(fd, bytes, sizeof(bytes)));
        if (n <= 0) {
            if (r.used) {
                take_line(&r);
            }
            return true;
        }
        total += n;
        if (total > limits->output) {
            error_setg(errp, "there is too much to say about it");
            return false;
        }
        take_bytes(&r, bytes, n);
    }
    return false;
}

/* It has closed its pipe, so it is at its end, or pretends to be */
static bool wait_for(pid_t pid, int *status, int64_t end,
                     const SandboxLimits *limits, Error **errp)
{
    while (in_time(end, limits, errp)) {
        pid_t ended = waitpid(pid, status, WNOHANG);

        if (ended == pid) {
            return true;
        }
        if (ended < 0 && errno != EINTR) {
            error_setg_errno(errp, errno, "its process is lost");
            return false;
        }
        g_usleep(1000);
    }
    return false;
}

/* Why did the child end? */
static bool child_was_well(const char *last_words, const SandboxLimits *limits,
                           int status, Error **errp)
{
    const char *words = last_words ?: "";
    const char *colon = last_words ? ": " : "";

    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
        return true;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SANDBOX) {
        error_setg(errp, "it is not looked into, as the process that would do "
                   "it cannot give up its rights%s%s", colon, words);
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
        error_setg(errp, "it takes more than %u seconds of CPU time",
                   limits->cpu_seconds);
    } else if (WIFSIGNALED(status)) {
        error_setg(errp, "the process that looked into it ended by signal %d "
                   "(%s), perhaps as it may have no more than %" PRIu64 " MiB "
                   "of memory%s%s", WTERMSIG(status),
                   strsignal(WTERMSIG(status)), limits->memory >> 20, colon,
                   words);
    } else {
        error_setg(errp, "the process that looked into it ended with status "
                   "%d%s%s", WEXITSTATUS(status), colon, words);
    }
    return false;
}

/* A descriptor that is none of those that the child gets; closes @fd */
static int move_up(int fd)
{
    int moved = fd > SANDBOX_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC,
                                             SANDBOX_FD + 1);

    if (moved != fd) {
        close(fd);
    }
    return moved;
}

bool sandbox_run(const SandboxJob *job, Error **errp)
{
    const SandboxLimits *limits = job->limits;
    g_autofree char *last_words = NULL;
    int64_t end = g_get_monotonic_time() +
                  limits->seconds * (int64_t)G_USEC_PER_SEC;
    SandboxJob moved = *job;
    int fds[2], status = 0;
    bool well;
    pid_t pid;

    if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL)) {
        error_setg_errno(errp, errno, "a pipe cannot be made");
        return false;
    }
    fds[1] = move_up(fds[1]);
    if (job->fd >= 0) {
        moved.fd = fcntl(job->fd, F_DUPFD_CLOEXEC, SANDBOX_FD + 1);
    }
    /* No thread of QEMU's for the child, which is a new program at once */
    rcu_disable_atfork();
    pid = fork();
    if (!pid) {
        start(&moved, fds[1]);
    }
    rcu_enable_atfork();
    close(fds[1]);
    if (moved.fd >= 0) {
        close(moved.fd);
    }
    if (pid < 0) {
        error_setg_errno(errp, errno, "a process cannot be made");
        close(fds[0]);
        return false;
    }
    well = sandbox_listen(job, fds[0], end, &last_words, errp) &&
           wait_for(pid, &status, end, limits, errp);
    close(fds[0]);
    if (!well) {
        kill(pid, SIGKILL);
        RETRY_ON_EINTR(waitpid(pid, NULL, 0));
    }
    return well && child_was_well(last_words, limits, status, errp);
}
