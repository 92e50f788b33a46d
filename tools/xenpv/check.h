/*
 * A look into a guest's disk images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_CHECK_H
#define TOOLS_XENPV_CHECK_H

/*
 * Prints what would keep the guests in the images from booting. Returns the
 * exit status: 0 if nothing would, else 1.
 */
int check_images(char **images, const char *format);

/*
 * The program's first argument where it is the process that check_images() has
 * for an image; the others are those of check_child(), its only job.
 */
#define CHECK_CHILD "--check-child"

/* What the process for the image of this name has answered */
typedef struct CheckAnswers {
    const char *name;
    bool bad;               /* there is something that would keep it from booting */
} CheckAnswers;

/*
 * A line of these, for sandbox.h; @opaque is the CheckAnswers. Prints it, and
 * returns false if it is none of them. For check.c, and who tests it.
 */
bool check_answer(void *opaque, const char *text);

/*
 * @format: "" if it is to be told by the content; @no_grub: why there is no
 * grub-fstest, or "". Returns an exit status.
 */
int check_child(const char *size, const char *format, const char *no_grub);

#endif
