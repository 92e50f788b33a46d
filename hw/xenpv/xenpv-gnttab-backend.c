/*
 * Grant tables: what QEMU's back ends map, copy and use
 *
 * These are the operations of hw/xen/xen_backend_ops.h, and xenpv_gnttab_use()
 * and the like of xenpv-platform.h. Back ends call them from any thread,
 * IOThreads included, with or without the BQL: each takes the lock itself.
 *
 * QEMU can address all guest RAM, so mapping one frame costs nothing. Several
 * frames that are to be one range have to be contiguous, or else are mapped a
 * second time, for which RAM has to be shared and to have a file descriptor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-gnttab.h"
#include "system/tcg.h"

/*
 * Frames that are mapped a second time. Each may take a memory mapping; Linux
 * gives a process at most 65530, and the stacks of coroutines need some, too.
 */
#define MAX_REMAPPED    16384

/* ------------------------------------------------------------------------- */
/* Guest frames as host memory                                                */

/*
 * Does it matter that QEMU has written to a frame by its host address? It does
 * to migration, and under TCG, which may have translated code of that frame.
 */
static bool writes_matter(void)
{
    return tcg_enabled() || global_dirty_tracking;
}

static void frame_written(uint64_t mfn)
{
    hwaddr len = XEN_PAGE_SIZE;
    void *p;

    if (!writes_matter()) {
        return;
    }
    p = address_space_map(&address_space_memory, mfn << XEN_PAGE_SHIFT, &len,
                          true, MEMTXATTRS_UNSPECIFIED);
    if (p) {
        address_space_unmap(&address_space_memory, p, len, true, len);
    }
}

static bool can_remap(MemoryRegion *ram)
{
    return qemu_real_host_page_size() == XEN_PAGE_SIZE && ram &&
           memory_region_get_fd(ram) >= 0 && qemu_ram_is_shared(ram->ram_block);
}

/* Called with s->lock held */
static void *remap(XenPVGnttabState *s, void **frames, uint32_t count, int prot)
{
    MemoryRegion *ram = MACHINE(qdev_get_machine())->ram;
    uint8_t *base;
    uint8_t *start;

    if (!can_remap(ram)) {
        errno = ENOTSUP;
        return NULL;
    }
    if (count > MAX_REMAPPED - s->nr_remapped) {
        errno = ENOSPC;
        return NULL;
    }
    base = memory_region_get_ram_ptr(ram);
    start = mmap(NULL, count * XEN_PAGE_SIZE, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        off_t offset = (uint8_t *)frames[i] - base + ram->ram_block->fd_offset;

        if (mmap(start + i * XEN_PAGE_SIZE, XEN_PAGE_SIZE, prot,
                 MAP_SHARED | MAP_FIXED, memory_region_get_fd(ram), offset) ==
            MAP_FAILED) {
            int saved_errno = errno;

            munmap(start, count * XEN_PAGE_SIZE);
            errno = saved_errno;
            return NULL;
        }
    }
    return start;
}

/* Map frames as one range. Called with s->lock held. NULL: see errno */
static void *map_frames(XenPVGnttabState *s, const uint64_t *mfns,
                        uint32_t count, int prot)
{
    g_autofree void **frames = g_new(void *, count);
    bool contiguous = true;
    void *start;

    if (!count) {
        errno = EINVAL;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        frames[i] = xenpv_frame_to_host(mfns[i]);
        if (!frames[i]) {
            errno = EFAULT;
            return NULL;
        }
        if (i && (uint8_t *)frames[i] !=
                 (uint8_t *)frames[i - 1] + XEN_PAGE_SIZE) {
            contiguous = false;
        }
    }
    if (contiguous) {
        return frames[0];
    }
    start = remap(s, frames, count, prot);
    if (start) {
        s->nr_remapped += count;
        g_hash_table_insert(s->remapped, start, GUINT_TO_POINTER(count));
    }
    return start;
}

static void unmap_frames(XenPVGnttabState *s, void *start)
{
    uint32_t count = GPOINTER_TO_UINT(g_hash_table_lookup(s->remapped, start));

    if (count) {
        g_hash_table_remove(s->remapped, start);
        s->nr_remapped -= count;
        munmap(start, count * XEN_PAGE_SIZE);
    }
}

void xenpv_gnttab_copy_frame(uint64_t mfn, uint32_t offset, void *host,
                             size_t len, bool to_frame)
{
    if (to_frame) {
        address_space_write(&address_space_memory,
                            (mfn << XEN_PAGE_SHIFT) + offset,
                            MEMTXATTRS_UNSPECIFIED, host, len);
    } else {
        memcpy(host, (uint8_t *)xenpv_frame_to_host(mfn) + offset, len);
    }
}

/* ------------------------------------------------------------------------- */
/* Operations                                                                 */

static xengnttab_handle *be_open(void)
{
    xengnttab_handle *xgt = g_new0(xengnttab_handle, 1);

    QLIST_INIT(&xgt->maps);
    QEMU_LOCK_GUARD(&xenpv_gnttab->lock);
    QLIST_INSERT_HEAD(&xenpv_gnttab->handles, xgt, next);
    return xgt;
}

/* Called with s->lock held */
static void drop_map(XenPVGnttabState *s, GrantMap *map)
{
    QLIST_REMOVE(map, next);
    unmap_frames(s, map->start);
    for (uint32_t i = 0; i < map->count; i++) {
        uint32_t ref = map->refs[i];

        if (map->write && s->pins[ref].writers) {
            frame_written(s->pins[ref].mfn);
        }
        xenpv_gnttab_unpin(s, ref, map->write);
    }
    g_free(map);
}

static int be_close(xengnttab_handle *xgt)
{
    GrantMap *map, *next;

    QEMU_LOCK_GUARD(&xenpv_gnttab->lock);
    QLIST_FOREACH_SAFE(map, &xgt->maps, next, next) {
        drop_map(xenpv_gnttab, map);
    }
    QLIST_REMOVE(xgt, next);
    g_free(xgt);
    return 0;
}

/*
 * A ring stays mapped, and back ends write to it all the time: so it counts as
 * written whenever migration asks which pages are dirty.
 */
static void maps_written(MemoryListener *listener, bool last_stage)
{
    XenPVGnttabState *s = container_of(listener, XenPVGnttabState, listener);
    xengnttab_handle *xgt;
    GrantMap *map;

    QEMU_LOCK_GUARD(&s->lock);
    QLIST_FOREACH(xgt, &s->handles, next) {
        QLIST_FOREACH(map, &xgt->maps, next) {
            for (uint32_t i = 0; map->write && i < map->count; i++) {
                /* A reset may have cleared all pins */
                if (s->pins[map->refs[i]].writers) {
                    xenpv_memory_written(
                        xenpv_frame_to_host(s->pins[map->refs[i]].mfn),
                        XEN_PAGE_SIZE);
                }
            }
        }
    }
}

static int be_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    return 0;
}

static void *be_map_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
                         uint32_t *refs, int prot)
{
    XenPVGnttabState *s = xenpv_gnttab;
    g_autofree uint64_t *mfns = NULL;
    bool write = prot & PROT_WRITE;
    GrantMap *map;
    uint32_t pinned;

    if (domid != s->domid) {
        errno = ESRCH;
        return NULL;
    }
    if (!count || count > MAX_ENTRIES) {
        errno = EINVAL;
        return NULL;
    }
    mfns = g_new(uint64_t, count);
    map = g_malloc0(sizeof(*map) + count * sizeof(map->refs[0]));
    map->count = count;
    map->write = write;

    QEMU_LOCK_GUARD(&s->lock);
    for (pinned = 0; pinned < count; pinned++) {
        Pin p;

        if (xenpv_gnttab_pin(s, XENPV_BACKEND_DOMID, refs[pinned], write,
                             PIN_MAP, &p)) {
            errno = EINVAL;
            goto fail;
        }
        map->refs[pinned] = refs[pinned];
        mfns[pinned] = p.mfn;
    }
    map->start = map_frames(s, mfns, count, prot);
    if (!map->start) {
        goto fail;
    }
    QLIST_INSERT_HEAD(&xgt->maps, map, next);
    return map->start;

fail:
    while (pinned--) {
        xenpv_gnttab_unpin(s, map->refs[pinned], write);
    }
    g_free(map);
    return NULL;
}

static int be_unmap(xengnttab_handle *xgt, void *start, uint32_t *refs,
                    uint32_t count)
{
    GrantMap *map;

    QEMU_LOCK_GUARD(&xenpv_gnttab->lock);
    QLIST_FOREACH(map, &xgt->maps, next) {
        if (map->start == start && map->count == count &&
            !memcmp(map->refs, refs, count * sizeof(*refs))) {
            drop_map(xenpv_gnttab, map);
            return 0;
        }
    }
    errno = EINVAL;
    return -1;
}

static int be_copy(xengnttab_handle *xgt, bool to_domain, uint32_t domid,
                   XenGrantCopySegment *segs, uint32_t nr_segs, Error **errp)
{
    XenPVGnttabState *s = xenpv_gnttab;

    if (domid != s->domid) {
        error_setg(errp, "no domain %u", domid);
        return -ESRCH;
    }
    for (uint32_t i = 0; i < nr_segs; i++) {
        XenGrantCopySegment *seg = &segs[i];
        uint32_t ref = to_domain ? seg->dest.foreign.ref
                                 : seg->source.foreign.ref;
        off_t offset = to_domain ? seg->dest.foreign.offset
                                 : seg->source.foreign.offset;
        Pin p;
        int ret;

        if (offset < 0 || offset > XEN_PAGE_SIZE ||
            seg->len > XEN_PAGE_SIZE - offset) {
            error_setg(errp, "grant %u: the copy is beyond the frame's end",
                       ref);
            return -EINVAL;
        }
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            ret = xenpv_gnttab_pin(s, XENPV_BACKEND_DOMID, ref, to_domain,
                                   PIN_COPY, &p);
        }
        if (ret) {
            error_setg(errp, "grant %u cannot be %s", ref,
                       to_domain ? "written" : "read");
            return -EINVAL;
        }
        if (xenpv_gnttab_in_grant(&p, offset, seg->len)) {
            xenpv_gnttab_copy_frame(p.mfn, offset,
                                    to_domain ? seg->source.virt
                                              : seg->dest.virt,
                                    seg->len, to_domain);
        } else {
            ret = -EINVAL;
            error_setg(errp, "grant %u: the copy is beyond what is granted",
                       ref);
        }
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            xenpv_gnttab_unpin(s, ref, to_domain);
        }
        if (ret) {
            return ret;
        }
    }
    return 0;
}

void *xenpv_gnttab_use(uint32_t ref, uint32_t offset, uint32_t len, bool write)
{
    XenPVGnttabState *s = xenpv_gnttab;
    Pin p;

    QEMU_LOCK_GUARD(&s->lock);
    if (xenpv_gnttab_pin(s, XENPV_BACKEND_DOMID, ref, write, PIN_COPY, &p)) {
        return NULL;
    }
    if (!xenpv_gnttab_in_grant(&p, offset, len)) {
        xenpv_gnttab_unpin(s, ref, write);
        return NULL;
    }
    return (uint8_t *)xenpv_frame_to_host(p.mfn) + offset;
}

void xenpv_gnttab_release(uint32_t ref, bool write)
{
    XenPVGnttabState *s = xenpv_gnttab;

    QEMU_LOCK_GUARD(&s->lock);
    if (write && s->pins[ref].writers) {
        frame_written(s->pins[ref].mfn);
    }
    xenpv_gnttab_unpin(s, ref, write);
}

void xenpv_gnttab_written(uint32_t ref)
{
    XenPVGnttabState *s = xenpv_gnttab;

    if (!writes_matter()) {
        return;
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (s->pins[ref].writers) {
        frame_written(s->pins[ref].mfn);
    }
}

static struct gnttab_backend_ops gnttab_ops = {
    .open = be_open,
    .close = be_close,
    .grant_copy = be_copy,
    .set_max_grants = be_set_max_grants,
    .map_refs = be_map_refs,
    .unmap = be_unmap,
};

void xenpv_gnttab_serve_backends(XenPVGnttabState *s)
{
    s->remapped = g_hash_table_new(NULL, NULL);
    QLIST_INIT(&s->handles);
    s->listener = (MemoryListener) {
        .name = "xenpv-gnttab",
        .log_sync_global = maps_written,
    };
    memory_listener_register(&s->listener, &address_space_memory);
    if (can_remap(MACHINE(qdev_get_machine())->ram)) {
        gnttab_ops.features |= XEN_GNTTAB_OP_FEATURE_MAP_MULTIPLE;
    }
    xen_gnttab_ops = &gnttab_ops;
}
