/*
 * Child processes that read untrusted data
 *
 * Root runs xenpv-convert --check on disks that guests have written, through
 * code for image formats, partition tables, file systems and decompression. So
 * a child process does all of that, and it gives up its rights before it looks
 * at the first byte: it has no capabilities, can open no file and no socket,
 * start no program and send no signal to another process. All it has are the
 * files that are open already, a limited amount of memory and CPU time, and a
 * pipe.
 *
 * A guest that takes over the child can only write lies to that pipe. So the
 * parent treats the child's output as untrusted, too.
 *
 * grub-fstest, which opens its files by name, runs in another sandbox: Landlock
 * makes sure that it can open only files on a list, and only for reading.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_SANDBOX_H
#define TOOLS_XENPV_SANDBOX_H

/* A child's longest line, in bytes; the rest of a longer one is dropped */
#define SANDBOX_LINE_MAX    2000
/* The child's file; its standard output and error are the pipe */
#define SANDBOX_FD          3
/* The child reads answers to its questions here, if it may ask any */
#define SANDBOX_REPLY_FD    4

typedef struct SandboxLimits {
    uint64_t memory;        /* bytes */
    unsigned cpu_seconds;
    unsigned seconds;       /* elapsed time */
    size_t output;          /* bytes, all lines together */
} SandboxLimits;

typedef struct SandboxJob {
    /* The child runs this program again, with these arguments, then NULL */
    const char *const *args;
    int fd;                 /* becomes SANDBOX_FD; -1: none */
    int reply_fd;           /* becomes SANDBOX_REPLY_FD; 0: none */
    /* Keep CAP_DAC_READ_SEARCH, if we have it; only for use with Landlock */
    bool reads_all;
    const SandboxLimits *limits;
    /*
     * Takes a line of the child's, without the newline. Returns false if it is
     * none of the protocol: libraries print such lines when they give up.
     */
    bool (*line)(void *opaque, const char *text);
    /* If set, takes all output instead, as it comes. False: stop the child */
    bool (*bytes)(void *opaque, const char *bytes, size_t len);
    void *opaque;
} SandboxJob;

/*
 * sandbox_run: start the child, and wait for its end.
 *
 * The child calls exec, as a mere copy of us could hang on a lock of another
 * thread. Returns true if the child exited with status 0. Otherwise sets @errp:
 * the child hit a limit or crashed, or it could not give up a right.
 */
bool sandbox_run(const SandboxJob *job, Error **errp);

/*
 * sandbox_listen: take what a child writes to @fd, up to its end.
 *
 * A part of sandbox_run(), declared here for its tests. Sets *@last_words to
 * the last line that @job's line() refused, if any. Returns false with @errp
 * set if it takes until @end (of g_get_monotonic_time()), or if the child
 * writes more than it may.
 */
bool sandbox_listen(const SandboxJob *job, int fd, int64_t end,
                    char **last_words, Error **errp);

/*
 * sandbox_enter: give up all rights, in the child.
 *
 * Call after the libraries are set up, and before reading the first byte from
 * SANDBOX_FD. The capabilities are gone already. Does not return if a right
 * cannot be given up.
 */
void sandbox_enter(const SandboxLimits *limits);

/* Whether this kernel has Landlock; else @errp is set */
bool sandbox_can_run_programs(Error **errp);

/*
 * sandbox_run_program: in the child, give up all rights but those to open
 * SANDBOX_FD's file by name for reading, and to run one program.
 *
 * @files: the program, its loader and its libraries, then NULL. @args: the
 * program's arguments. Its only environment variable is LC_ALL=C. It cannot
 * list directories, write files or create processes. Does not return.
 */
void G_GNUC_NORETURN sandbox_run_program(const SandboxLimits *limits,
                                         char **files, char **args);

#endif
