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
 * check_images() runs the program itself as the child for an image, with this
 * as the first argument. The other arguments are those of check_child().
 */
#define CHECK_CHILD "--check-child"

/* What the child has answered about the image @name */
typedef struct CheckAnswers {
    const char *name;
    bool bad;               /* something would keep the guest from booting */
} CheckAnswers;

/*
 * Handles one line of the child's output, as SandboxJob.line; @opaque is the
 * CheckAnswers. Prints the finding or fact, or returns false if it is neither.
 */
bool check_answer(void *opaque, const char *text);

/*
 * @format: "" to detect it from the content; @no_grub: why grub-fstest is not
 * used, or "" if it is. Returns an exit status.
 */
int check_child(const char *size, const char *format, const char *no_grub);

#endif
