/*
 * File systems that only GRUB reads, by way of GRUB's own grub-fstest
 *
 * grub-fstest has PV GRUB's file system drivers. It opens images by name, and
 * its device (host) reaches all files of the host. So each file is read by a
 * new grub-fstest in a sandbox, which can read the image and its own program
 * and libraries, but no other file: see sandbox_run_program().
 *
 * Three processes take part. The child that looks into the image (check.c,
 * disk.c) has no rights, so it asks its parent, by a line of output that names
 * the device and the path. The parent starts a second child, which becomes
 * grub-fstest, and passes its output on without looking at it. The code for all
 * three is here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_GRUB_READER_H
#define TOOLS_XENPV_GRUB_READER_H

typedef enum GrubOp {
    GRUB_CAT = 'c',         /* a file's content */
    GRUB_LS = 'l',          /* a directory's names, with a / behind directories */
    GRUB_WHY = 'w',         /* why a file cannot be read */
} GrubOp;

/* --- In xenpv-convert ---------------------------------------------------- */

typedef struct GrubReader GrubReader;

/* Returns NULL with @errp set if grub-fstest or the sandbox is missing */
GrubReader *grub_reader_new(Error **errp);
void grub_reader_free(GrubReader *r);

/*
 * If @line is a question, runs grub-fstest on the image @fd and sends the
 * answer to the socket @reply_fd. Gives up at @end, a time of
 * g_get_monotonic_time(). Returns false if @line is no question.
 */
bool grub_reader_answer(GrubReader *r, const char *line, int fd, int reply_fd,
                        int64_t end);

/* --- In the process that becomes grub-fstest ----------------------------- */

/* The program's first argument there; grub_reader_run() gets the rest */
#define GRUB_READER_CHILD   "--check-grub"

void G_GNUC_NORETURN grub_reader_run(char **args);

/* --- In the process that looks into the image ---------------------------- */

/*
 * Returns *len bytes and a final 0, which *len does not count; the caller frees
 * them. Returns NULL with *len 0 if there is no such file, or with *len > @max
 * if it is larger. Sets *@why, unless @why is NULL, to GRUB's error or to NULL.
 */
char *grub_reader_ask(void *opaque, GrubOp op, const char *device,
                      const char *path, size_t max, size_t *len, char **why);

#endif
