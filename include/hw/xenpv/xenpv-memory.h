/*
 * The memory of the xenpv-kvm machine: where guest RAM and the monitor's two
 * regions are in the guest-physical address space, which is the guest's
 * machine memory. xenpv-monitor.h has the map.
 *
 * The machine lays it out once, and the devices ask for the host's address of
 * a frame. This file calls neither of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_MEMORY_H
#define HW_XENPV_MEMORY_H

#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-monitor.h"

/* The least RAM that a guest may have */
#define XENPV_MIN_RAM   (16 * MiB)

typedef struct XenPVMemory {
    MemoryRegion *ram;          /* the machine's: -m's maxmem */
    MemoryRegion ram_low, ram_high;     /* aliases of it */
    MemoryRegion core;
    MemoryRegion tables;
    bool is_64bit;              /* the guest: how wide an M2P entry is */
    bool ram_is_zero;           /* see xenpv_memory_take_zero_ram() */
    uint64_t nr_pages;          /* of RAM; these are the guest's pfns */
    uint64_t start_pages;       /* the first of them, which it has at first */
    uint64_t low_pages;         /* how many of them are below the hole */
    uint64_t max_mfn;           /* the first frame that has no M2P entry */
    uint64_t tables_gpa;
    uint64_t m2p_size, frame_table_size;        /* bytes */
} XenPVMemory;

/* The machine's create_default_memdev: RAM of maxmem's size, at @path or anonymous */
bool xenpv_memory_create_backend(MachineState *machine, const char *path,
                                 Error **errp);

/* Whether what -m and the RAM's backend say can be had; else see @errp */
bool xenpv_memory_check(MachineState *machine, Error **errp);

/*
 * Lays out @ram, of which the domain begins with @start_size bytes, and makes the
 * two regions; there is only one such memory.
 */
void xenpv_memory_init(XenPVMemory *m, Object *owner, MemoryRegion *ram,
                       uint64_t start_size, bool is_64bit);

/*
 * Is RAM as the host has made it, all zeroes that take no memory? The first who
 * asks is going to write it: to others the answer is no.
 */
bool xenpv_memory_take_zero_ram(XenPVMemory *m);

/* Is RAM a file that others share, and that may be kept for a domain? */
bool xenpv_memory_is_kept(XenPVMemory *m);

/*
 * The tables as a new domain finds them: each frame of RAM that it has at first
 * has its pfn in the M2P and the rest of it, and the hole, have none; what is not
 * there at all, between RAM and the hole, has 0. The frame table is zero, or
 * says of the rest of RAM that it is released. The host gets the latter's memory.
 */
void xenpv_memory_reset_tables(XenPVMemory *m);

/*
 * The host takes back the memory of frames that the domain does not have: they
 * read as zeroes from now on. @mfns is little-endian. It is not done, and what is
 * in them stays, where the host cannot, or while something has RAM pinned.
 */
void xenpv_memory_discard(const uint32_t *mfns, unsigned n);

/*
 * The same for all that the frame table says to be released: a load has just
 * touched all of RAM.
 */
void xenpv_memory_discard_released(XenPVMemory *m);

/* An address in the core region; @offset is one of XENPV_CORE_*. */
void *xenpv_memory_core(XenPVMemory *m, uint64_t offset);

/*
 * The host's address of a frame of guest RAM, NULL if @mfn is not one. From
 * any thread: the layout never changes.
 */
void *xenpv_frame_to_host(uint64_t mfn);

/*
 * Whoever writes guest memory, or the two regions, by its host address says so
 * after the write: a migration that is going on sends the pages once more. A
 * load and a test while there is none. From any thread.
 *
 * There is no need to for a grant that is mapped for writing, or released after
 * it: xenpv-gnttab.c does.
 */
void xenpv_memory_set_dirty(const void *host, size_t len);

static inline void xenpv_memory_written(const void *host, size_t len)
{
    if (unlikely(global_dirty_tracking)) {
        xenpv_memory_set_dirty(host, len);
    }
}

#endif /* HW_XENPV_MEMORY_H */
