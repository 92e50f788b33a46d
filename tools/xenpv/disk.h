/*
 * What is on a guest's disk: partitions, LVM, file systems and their files
 *
 * Has no side effects: callbacks read the disk and take the findings. The disk
 * is untrusted, so constants in disk.c, lvm.c and rules.c bound all memory and
 * all reading. They do not bound libext2fs' memory, but the memory limit of
 * the whole child does (see sandbox.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_DISK_H
#define TOOLS_XENPV_DISK_H

#include "grub-reader.h"

typedef struct GuestDiskReader {
    uint64_t size;              /* bytes */
    /* Reads @len bytes, all within the disk; false if they cannot be read */
    bool (*read)(void *opaque, uint64_t offset, void *buf, uint64_t len);
    /*
     * Takes what would keep the guest from booting. @line: of the file that is
     * named in @text, or 0. @text may contain anything that is on the disk.
     */
    void (*finding)(void *opaque, int line, const char *text);
    /* Takes what is worth knowing, but does no harm */
    void (*fact)(void *opaque, const char *text);
    /* grub_reader_ask(), for what only GRUB reads; NULL: @no_grub says why */
    char *(*grub)(void *opaque, GrubOp op, const char *device, const char *path,
                  size_t max, size_t *len, char **why);
    const char *no_grub;
    void *opaque;
} GuestDiskReader;

/* Look into a disk, or a volume with a file system of its own */
void disk_check(const GuestDiskReader *reader);

#endif
