/*
 * The memory of the xenpv-kvm machine: where guest RAM and the monitor's two
 * regions are in the guest-physical address space, which is the guest's
 * machine memory. xenpv-monitor.h has the map.
 *
 * The machine lays it out once, and devices ask for a frame's host address.
 * Nothing here calls either of them.
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
    MemoryRegion *ram;          /* the machine's, as large as maxmem= */
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

/* The machine's create_default_memdev: maxmem= of RAM, at @path or anonymous */
bool xenpv_memory_create_backend(MachineState *machine, const char *path,
                                 Error **errp);

/* Can the machine have what -m and RAM's backend say? If not, sets @errp. */
bool xenpv_memory_check(MachineState *machine, Error **errp);

/*
 * Lay out @ram, of which the domain has the first @start_size bytes at first,
 * and make the two regions. There is only one such memory.
 */
void xenpv_memory_init(XenPVMemory *m, Object *owner, MemoryRegion *ram,
                       uint64_t start_size, bool is_64bit);

/*
 * Is RAM still as the host has made it, all zeroes that take no memory? Only
 * the first caller is told so, as it is going to write to RAM.
 */
bool xenpv_memory_take_zero_ram(XenPVMemory *m);

/* Is RAM a file that others share, and that may be kept for a domain? */
bool xenpv_memory_is_kept(XenPVMemory *m);

/*
 * Make the tables as a new domain finds them. In the M2P, a frame of RAM that
 * the domain has at first has its pfn; the rest of RAM, and the hole, have
 * none; what does not exist, between RAM and the hole, has 0. The frame table
 * is zero, but says of the rest of RAM that it is released, and the host gets
 * its memory.
 */
void xenpv_memory_reset_tables(XenPVMemory *m);

/*
 * Give the host the memory of frames that the domain does not have: they read
 * as zeroes from now on. @mfns is little-endian. Does nothing if the host
 * cannot do that, or while something has RAM pinned.
 */
void xenpv_memory_discard(const uint32_t *mfns, unsigned n);

/*
 * Do the same for all frames that the frame table says are released: a load has
 * just touched all of RAM.
 */
void xenpv_memory_discard_released(XenPVMemory *m);

/* An address in the core region; @offset is one of XENPV_CORE_*. */
void *xenpv_memory_core(XenPVMemory *m, uint64_t offset);

/*
 * The host's address of a frame of guest RAM, NULL if @mfn is not one. Called
 * from any thread: the layout never changes.
 */
void *xenpv_frame_to_host(uint64_t mfn);

/*
 * Whoever writes guest memory, or the two regions, by its host address calls
 * xenpv_memory_written() after the write, from any thread: a migration that is
 * going on sends the pages once more. It costs a load and a test otherwise.
 *
 * Not needed for a grant that is mapped for writing, nor when it is released:
 * xenpv-gnttab.c does it.
 */
void xenpv_memory_set_dirty(const void *host, size_t len);

static inline void xenpv_memory_written(const void *host, size_t len)
{
    if (unlikely(global_dirty_tracking)) {
        xenpv_memory_set_dirty(host, len);
    }
}

#endif /* HW_XENPV_MEMORY_H */
