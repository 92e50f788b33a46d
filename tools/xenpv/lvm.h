/*
 * LVM2's metadata on a physical volume
 *
 * Pure: it gets the disk by a callback. What it reads may be anything, so every
 * length and place is checked against the physical volume's size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_LVM_H
#define TOOLS_XENPV_LVM_H

/* A run of a logical volume; all in bytes, @place is one of the PV */
typedef struct LvmRun {
    uint64_t start, size, place;
} LvmRun;

typedef struct LvmVolume {
    char *name;
    uint64_t size;
    LvmRun *runs;               /* one after the other, without gaps */
    unsigned nr_runs;
    char *why_not;              /* not NULL: it cannot be read, and why */
} LvmVolume;

typedef struct LvmGroup {
    char *name;
    GPtrArray *volumes;         /* of LvmVolume */
} LvmGroup;

/* Reads from the physical volume; false if it cannot be */
typedef bool LvmRead(void *opaque, uint64_t offset, void *buf, size_t len);

/*
 * The group that this physical volume of @size bytes belongs to. NULL with no
 * error: it is none of LVM2's, or none in a group.
 */
LvmGroup *lvm_read(LvmRead *read, void *opaque, uint64_t size, Error **errp);

/* The same from the metadata's text; @pv is its UUID, 32 characters */
LvmGroup *lvm_parse(const char *text, size_t len, const char *pv,
                    uint64_t size, Error **errp);

void lvm_group_free(LvmGroup *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_free)

/* Where in the PV a place in the volume is, and how many bytes from there on */
bool lvm_place(const LvmVolume *v, uint64_t offset, uint64_t *place,
               uint64_t *len);

#endif
