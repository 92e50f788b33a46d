/*
 * What is on a guest's disk: partitions, LVM, file systems and their files
 *
 * Pure: it gets the disk by a callback and gives its findings by others. What
 * it reads is a stranger's; all memory, and all reading, is bounded by numbers
 * in disk.c, lvm.c and rules.c. libext2fs' memory is not: xenpv-convert has a
 * limit on all of it (see sandbox.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_DISK_H
#define TOOLS_XENPV_DISK_H

#include "grub-reader.h"

typedef struct GuestDiskReader {
    uint64_t size;              /* bytes */
    /* All of it, which is within the disk; false if it cannot be read */
    bool (*read)(void *opaque, uint64_t offset, void *buf, uint64_t len);
    /*
     * What would keep the guest from booting: at @line of a file of its, or 0.
     * @text may have anything in it that is on the disk.
     */
    void (*finding)(void *opaque, int line, const char *text);
    /* What is well and worth knowing */
    void (*fact)(void *opaque, const char *text);
    /* For what only GRUB reads, as grub_reader_ask(); NULL: @no_grub says why */
    char *(*grub)(void *opaque, GrubOp op, const char *device, const char *path,
                  size_t max, size_t *len, char **why);
    const char *no_grub;
    void *opaque;
} GuestDiskReader;

/* Look into a disk, or a volume with a file system of its own */
void disk_check(const GuestDiskReader *reader);

#endif
