/*
 * A child that may read what a stranger has made
 *
 * xenpv-convert --check is run by root, on disks that their guests have
 * written, through image formats, partition tables, file systems and
 * decompressors. So all of that is done by a child process which gave up its
 * rights before it looked at the first byte: it has no capabilities, can open
 * no file and no socket, start no program and send no signal to another
 * process. It has what is open for it already, memory and CPU time up to a
 * limit, and a pipe.
 *
 * Whoever takes over the child can write lies to that pipe, no more: what comes
 * out of it is a stranger's text, too.
 *
 * A program of others that opens its files by name, like grub-fstest, has another
 * sandbox: of files it can open those for reading that were named before, which
 * the kernel holds it to by Landlock, whatever names it makes up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_SANDBOX_H
#define TOOLS_XENPV_SANDBOX_H

/* The longest line that a child can say; of a longer one the rest is lost */
#define SANDBOX_LINE_MAX    2000
/* The file of the child; standard output and error are its pipe */
#define SANDBOX_FD          3
/* Where it reads what it has asked for, if it may ask */
#define SANDBOX_REPLY_FD    4

typedef struct SandboxLimits {
    uint64_t memory;        /* bytes */
    unsigned cpu_seconds;
    unsigned seconds;       /* on the clock */
    size_t output;          /* bytes, of all lines */
} SandboxLimits;

typedef struct SandboxJob {
    /* The child is this program, with these arguments, and NULL */
    const char *const *args;
    int fd;                 /* to be SANDBOX_FD; -1: nothing */
    int reply_fd;           /* to be SANDBOX_REPLY_FD; 0: nothing */
    /* It may read files whoever owns them; for who has that right, and Landlock */
    bool reads_all;
    const SandboxLimits *limits;
    /*
     * A line of the child's, without its end. False if it is none that a child
     * writes; libraries write such lines when they give up.
     */
    bool (*line)(void *opaque, const char *text);
    /* Or all that it writes, as it comes. False: no more of it is wanted */
    bool (*bytes)(void *opaque, const char *bytes, size_t len);
    void *opaque;
} SandboxJob;

/*
 * sandbox_run: start the child, and wait for its end.
 *
 * It is a new program, and no copy of this one, whose threads may hold a lock.
 * Returns true if it exited with status 0. Else @errp is set: it was killed for
 * one of the limits, or a fault, or it could not give up a right.
 */
bool sandbox_run(const SandboxJob *job, Error **errp);

/*
 * sandbox_listen: take what a child writes to @fd, up to its end.
 *
 * A part of sandbox_run(), by itself for who tests it. @last_words is set to the
 * last line that is none of a child's own, if there is one. Returns false with
 * @errp set if @end (of g_get_monotonic_time()) has come, or the child says more
 * than it may.
 */
bool sandbox_listen(const SandboxJob *job, int fd, int64_t end,
                    char **last_words, Error **errp);

/*
 * sandbox_enter: give up all rights, in the child.
 *
 * To be called once libraries are set up, and before the first byte is read
 * from SANDBOX_FD. Capabilities are gone already. If something cannot be given
 * up, it does not return.
 */
void sandbox_enter(const SandboxLimits *limits);

/* Whether this kernel has Landlock; else @errp is set */
bool sandbox_can_run_programs(Error **errp);

/*
 * sandbox_run_program: give up all rights, in the child, but those to read the
 * SANDBOX_FD's file by its name, and to run one program.
 *
 * @files: that program, its loader and its libraries, and NULL. @args are the
 * program's, and it has no environment. It can list no directory, write no file,
 * and make no process. Does not return.
 */
void G_GNUC_NORETURN sandbox_run_program(const SandboxLimits *limits,
                                         char **files, char **args);

#endif
