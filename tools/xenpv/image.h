/*
 * The disk in an image file, through QEMU's block layer
 *
 * Nothing but the file that is open already is read: no backing file, no second
 * file with data, no server. An image that names one is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_IMAGE_H
#define TOOLS_XENPV_IMAGE_H

/* To be called once, and with the right to open files */
void image_init(void);

/*
 * Opens the image in the @size bytes of @fd, of which there can be one at
 * a time. @format: the block layer's name of its format; NULL: as the file's
 * content says, else raw. Returns the disk's size, or -1 with @errp set.
 */
int64_t image_open(int fd, uint64_t size, const char *format, Error **errp);

/* Of the one that is open: whether a disk's bytes are the file's */
bool image_is_raw(void);

bool image_read(uint64_t offset, void *buf, uint64_t len);

/* For who opens one after the other; image_open() may have failed */
void image_close(void);

#endif
