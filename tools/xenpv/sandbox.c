/*
 * Child processes that read untrusted data
 *
 * The allowed system calls are those for reading open files, for memory, for
 * threads of the same process (in which QEMU's block layer decompresses), and
 * for waiting. All others fail with EPERM and do not kill the child, as
 * libraries may try calls that they can do without.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "sandbox.h"

/* The child's exit status if it could not give up its rights */
#define NO_SANDBOX  71
/* Reserved address space that is not memory yet: threads' stacks and arenas */
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

/* Closes all files but the child's; @job's are all above SANDBOX_REPLY_FD */
static void keep_files(int pipe_fd, const SandboxJob *job)
{
    int kept[] = {
        STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, SANDBOX_FD, SANDBOX_FD,
    };
    unsigned nr_kept = 3;
    int null = open("/dev/null", O_RDONLY);

    if (dup2(pipe_fd, STDOUT_FILENO) < 0 || dup2(pipe_fd, STDERR_FILENO) < 0 ||
        null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        (job->fd >= 0 && dup2(job->fd, SANDBOX_FD) < 0) ||
        (job->reply_fd > 0 && dup2(job->reply_fd, SANDBOX_REPLY_FD) < 0)) {
        give_up("files", errno);
    }
    if (job->fd >= 0) {
        kept[nr_kept++] = SANDBOX_FD;
    }
    if (job->reply_fd > 0) {
        kept[nr_kept++] = SANDBOX_REPLY_FD;
    }
    qemu_close_all_open_fd(kept, nr_kept);
}

/* Drops all capabilities but those of the bit mask @kept that we have */
static void drop_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (kept && syscall(SYS_capget, &header, caps) < 0) {
        give_up("capabilities", errno);
    }
    caps[0] = (struct __user_cap_data_struct) {
        .effective = caps[0].permitted & kept,
        .permitted = caps[0].permitted & kept,
    };
    caps[1] = (struct __user_cap_data_struct) { 0 };
    if (syscall(SYS_capset, &header, caps) < 0) {
        give_up("capabilities", errno);
    }
}

static void set_limits(const SandboxLimits *limits)
{
    /* AddressSanitizer reserves 16 TiB of address space for itself */
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

/*
 * A program needs these to start and to find its files. A filter cannot look at
 * file names, so Landlock decides which files it can open.
 */
static const int allowed_to_program[] = {
    SCMP_SYS(execve), SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(uname),
};

static int add_list(scmp_filter_ctx ctx, const int *list, unsigned n)
{
    int ret = 0;

    for (unsigned i = 0; i < n && !ret; i++) {
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, list[i], 0);
    }
    return ret;
}

static int add_program_rules(scmp_filter_ctx ctx)
{
    return add_list(ctx, allowed_to_program, ARRAY_SIZE(allowed_to_program)) ?:
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ,
                                 O_ACCMODE | O_CREAT | O_TRUNC, 0)) ?:
        /* To map its libraries' code from files */
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC,
                                 PROT_EXEC),
                         SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)) ?:
        /* The size of a block device */
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                         SCMP_A1(SCMP_CMP_EQ, BLKGETSIZE64));
}

static int add_rules(scmp_filter_ctx ctx)
{
    /* No new executable memory */
    return add_list(ctx, allowed, ARRAY_SIZE(allowed)) ?:
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ?:
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ?:
        /* Threads, no processes; a filter cannot see the flags of clone3() */
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

static void filter_system_calls(bool is_program)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int ret = ctx ? 0 : -ENOMEM;

    /* Disarm set-user-ID programs; kill the child for 32-bit system calls */
    ret = ret ?: seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1) ?:
          seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) ?:
          seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                           SCMP_ACT_KILL_PROCESS) ?:
          add_rules(ctx) ?: (is_program ? add_program_rules(ctx) : 0) ?:
          seccomp_load(ctx);
    if (ret < 0) {
        give_up("seccomp", -ret);
    }
    seccomp_release(ctx);
}

void sandbox_enter(const SandboxLimits *limits)
{
    prctl(PR_SET_DUMPABLE, 0);
    set_limits(limits);
    filter_system_calls(false);
}

/* glibc has no functions for these */
static int landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0,
                   LANDLOCK_CREATE_RULESET_VERSION);
}

static void landlock_allow(int rules, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr attr = {
        .parent_fd = fd, .allowed_access = access,
    };

    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
                &attr, 0) < 0) {
        give_up("Landlock's rules", errno);
    }
}

/*
 * This does not restrict opening directories, because GRUB opens "/". The child
 * still cannot list one: the seccomp filter does not allow the system call for
 * that.
 */
static void allow_files(char **files)
{
    const uint64_t run = LANDLOCK_ACCESS_FS_READ_FILE |
                         LANDLOCK_ACCESS_FS_EXECUTE;
    struct landlock_ruleset_attr attr = {
        .handled_access_fs = run | LANDLOCK_ACCESS_FS_WRITE_FILE |
            LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
            LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
            LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
            LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
            LANDLOCK_ACCESS_FS_MAKE_SYM,
    };
    int rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

    if (rules < 0) {
        give_up("Landlock", errno);
    }
    for (; *files; files++) {
        int fd = open(*files, O_PATH | O_CLOEXEC);

        if (fd < 0) {
            give_up(*files, errno);
        }
        landlock_allow(rules, fd, run);
        close(fd);
    }
    landlock_allow(rules, SANDBOX_FD, LANDLOCK_ACCESS_FS_READ_FILE);
    if (syscall(SYS_landlock_restrict_self, rules, 0) < 0) {
        give_up("Landlock", errno);
    }
    close(rules);
}

bool sandbox_can_run_programs(Error **errp)
{
    if (landlock_version() < 1) {
        error_setg_errno(errp, errno, "the kernel has no Landlock");
        return false;
    }
    return true;
}

void sandbox_run_program(const SandboxLimits *limits, char **files, char **args)
{
    char *environment[] = { (char *)"LC_ALL=C", NULL };

    allow_files(files);
    set_limits(limits);
    filter_system_calls(true);
    execve(args[0], args, environment);
    give_up(args[0], errno);
}

/* Runs between fork() and exec, so it must not allocate memory or take locks */
static void G_GNUC_NORETURN start(const SandboxJob *job, int pipe_fd)
{
    /* Die with the parent: nobody else enforces the limits */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_files(pipe_fd, job);
    /* Otherwise execv() would give root's capabilities back */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        give_up("no_new_privs", errno);
    }
    drop_capabilities(job->reads_all ? 1 << CAP_DAC_READ_SEARCH : 0);
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
        char bytes[16384];
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
        if (!job->bytes) {
            take_bytes(&r, bytes, n);
        } else if (!job->bytes(job->opaque, bytes, n)) {
            error_setg(errp, "no more of it is wanted");
            return false;
        }
    }
    return false;
}

/* The child closed its pipe, so it should exit soon, but need not */
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

/* Whether the child exited with status 0; sets @errp to the reason if not */
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

/* Moves @fd above the descriptors that the child has; closes the old one */
static int move_up(int fd)
{
    int moved = fd > SANDBOX_REPLY_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC,
                                                   SANDBOX_REPLY_FD + 1);

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
        moved.fd = fcntl(job->fd, F_DUPFD_CLOEXEC, SANDBOX_REPLY_FD + 1);
    }
    if (job->reply_fd > 0) {
        moved.reply_fd = fcntl(job->reply_fd, F_DUPFD_CLOEXEC,
                               SANDBOX_REPLY_FD + 1);
    }
    /* The child calls exec at once, so QEMU must not start a thread in it */
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
    if (moved.reply_fd > 0) {
        close(moved.reply_fd);
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
