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
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_SANDBOX_H
#define TOOLS_XENPV_SANDBOX_H

/* The longest line that a child can say; of a longer one the rest is lost */
#define SANDBOX_LINE_MAX    2000

typedef struct SandboxLimits {
    uint64_t memory;        /* bytes */
    unsigned cpu_seconds;
    unsigned seconds;       /* on the clock */
    size_t output;          /* bytes, of all lines */
} SandboxLimits;

typedef struct SandboxJob {
    /* It stays open in the child; none of the first three. -1: there is none */
    int fd;
    /*
     * In the child: prepare() with all rights, to set up libraries, and run()
     * without, to be done when it returns. Lines are written to @out.
     */
    void (*prepare)(void *opaque);      /* may be NULL */
    void (*run)(void *opaque, FILE *out);
    /*
     * In the parent: a line of the child's, without its end. False if it is
     * none that run() writes; libraries write such lines when they give up.
     */
    bool (*line)(void *opaque, const char *text);
    void *opaque;
} SandboxJob;

/*
 * sandbox_run: do the job in a child, and wait for its end.
 *
 * Returns true if run() returned. Else @errp is set: the child was killed for
 * one of the limits, or a fault, or there was none, since a right could not be
 * given up. Without a sandbox nothing is done.
 */
bool sandbox_run(const SandboxJob *job, const SandboxLimits *limits,
                 Error **errp);

#endif
