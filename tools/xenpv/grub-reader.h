/*
 * The file systems that GRUB reads, and we do not, by GRUB's own grub-fstest
 *
 * grub-fstest has the readers that PV GRUB has. It takes names of images, and
 * knows a device (host) which is all of the host's files; so it is run for one
 * file at a time in a sandbox of its own, where it can open the image and nothing
 * else, see sandbox_run_program().
 *
 * Three processes have a part in it. The one that looks into the image (check.c,
 * disk.c) has no rights, so it asks: a line of its output names the device and the
 * path. xenpv-convert itself starts grub-fstest for that, and hands over what that
 * writes, without a look at it. All three sides of it are here.
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

/* NULL with @errp set: it is not there, or there is no sandbox for it */
GrubReader *grub_reader_new(Error **errp);
void grub_reader_free(GrubReader *r);

/*
 * If @line is a question: start grub-fstest on the image @fd, and send the answer
 * to @reply_fd, a socket. Up to @end of g_get_monotonic_time(). Returns false if
 * it is none.
 */
bool grub_reader_answer(GrubReader *r, const char *line, int fd, int reply_fd,
                        int64_t end);

/* --- In the process that becomes grub-fstest ----------------------------- */

/* xenpv-convert's first argument there; the others are grub_reader_run()'s */
#define GRUB_READER_CHILD   "--check-grub"

void G_GNUC_NORETURN grub_reader_run(char **args);

/* --- In the process that looks into the image ---------------------------- */

/*
 * At most @max bytes, to be freed; one byte 0, not in *len, follows. NULL: there
 * is none, and *len is 0, or it is larger than @max, and *len is more than @max.
 * @why, if not NULL, is set to GRUB's words about it, or NULL.
 */
char *grub_reader_ask(void *opaque, GrubOp op, const char *device,
                      const char *path, size_t max, size_t *len, char **why);

#endif
