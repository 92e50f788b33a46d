/*
 * The disk in an image file, through QEMU's block layer
 *
 * Reads only the file that is already open: no backing file, no second file
 * with data, no server. An image that names one of these is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_IMAGE_H
#define TOOLS_XENPV_IMAGE_H

/* Call once, and while the process may still open files */
void image_init(void);

/*
 * Opens the image in the @size bytes of @fd; only one can be open at a time.
 * @format: the block layer's name for the format; NULL: detect it from the
 * content, else raw. Returns the disk's size, or -1 with @errp set.
 */
int64_t image_open(int fd, uint64_t size, const char *format, Error **errp);

/* Whether the open image is raw: its disk's bytes are the file's */
bool image_is_raw(void);

bool image_read(uint64_t offset, void *buf, uint64_t len);

/* Call before opening another image, even if image_open() failed */
void image_close(void);

#endif
