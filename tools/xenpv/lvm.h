/*
 * LVM2's metadata on a physical volume
 *
 * Has no side effects: a callback reads the disk. The disk is untrusted, so
 * each length and offset is checked against the physical volume's size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_LVM_H
#define TOOLS_XENPV_LVM_H

/* A contiguous run of a logical volume, in bytes; @place: offset in the PV */
typedef struct LvmRun {
    uint64_t start, size, place;
} LvmRun;

typedef struct LvmVolume {
    char *name;
    uint64_t size;
    LvmRun *runs;               /* one after the other, without gaps */
    unsigned nr_runs;
    char *why_not;              /* why it cannot be read here, or NULL */
} LvmVolume;

typedef struct LvmGroup {
    char *name;
    GPtrArray *volumes;         /* of LvmVolume */
} LvmGroup;

/* Reads from the physical volume; false if that fails */
typedef bool LvmRead(void *opaque, uint64_t offset, void *buf, size_t len);

/*
 * Returns the group that this physical volume of @size bytes belongs to.
 * Returns NULL without an error if it is no physical volume of LVM2, or is in
 * no group.
 */
LvmGroup *lvm_read(LvmRead *read, void *opaque, uint64_t size, Error **errp);

/* The same from the metadata's text; @pv is its UUID, 32 characters */
LvmGroup *lvm_parse(const char *text, size_t len, const char *pv,
                    uint64_t size, Error **errp);

void lvm_group_free(LvmGroup *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_free)

/* Maps @offset in the volume to *place in the PV, with *len contiguous bytes */
bool lvm_place(const LvmVolume *v, uint64_t offset, uint64_t *place,
               uint64_t *len);

#endif
