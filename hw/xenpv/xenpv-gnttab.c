/*
 * Grant tables, and the guest's memory as back ends see it
 *
 * A back end may touch a frame of the guest only through a grant, which is
 * "pinned" for as long: checked once, marked as in use in the guest's table,
 * and then remembered here. Whatever the guest writes to its table from then
 * on, the frame that was pinned is the one that is used; and only guest RAM
 * can be pinned at all.
 *
 * A table has one of two versions, as the guest wants. In version 2 entries
 * are larger, can grant a part of a frame, and are marked as in use elsewhere:
 * in the status frames.
 *
 * QEMU can address all guest RAM, so mapping one frame costs nothing. Several
 * frames as one range need RAM that is shared and has a file descriptor, to
 * be mapped a second time, unless they happen to be contiguous.
 *
 * Threads. Back ends call from their IOThreads, without the BQL: .lock is what
 * guards the pins, the version and size of the table, and the maps of all back
 * ends. The guest's operations take it, too, on any vCPU. The entries themselves
 * are the guest's, which writes them at any time: each is read once, by one
 * atomic operation, and marked as in use by another that fails if it has changed
 * (version 1), or is followed by a second look (version 2). Data is copied
 * without the lock, for as long as it is pinned; what is mapped or in use stays
 * so until its back end says otherwise, whatever the guest does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "hw/boards.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/grant_table.h"
#include "system/tcg.h"
#include "trace.h"

#define MAX_FRAMES          XENPV_CORE_GRANT_PAGES
#define PER_FRAME_V1        (XEN_PAGE_SIZE / sizeof(grant_entry_v1_t))
#define PER_FRAME_V2        (XEN_PAGE_SIZE / sizeof(grant_entry_v2_t))
#define STATUS_PER_FRAME    (XEN_PAGE_SIZE / sizeof(grant_status_t))
#define MAX_ENTRIES         (MAX_FRAMES * PER_FRAME_V1)

/* How often a guest may change an entry while it is being pinned */
#define PIN_RETRIES         5

/* A grant in use: what it was when it began to be used */
typedef struct Pin {
    uint64_t mfn;
    uint32_t readers, writers;  /* who writes is a reader, too */
    uint16_t domid;             /* whose they are */
    uint16_t start, length;     /* of what is granted */
    bool sub_page;
} Pin;

/* What for: a part of a frame cannot be mapped */
typedef enum PinUse { PIN_MAP, PIN_COPY } PinUse;

typedef struct GrantMap {
    QLIST_ENTRY(GrantMap) next;
    void *start;
    uint32_t count;
    bool write;
    uint32_t refs[];
} GrantMap;

struct xengntdev_handle {
    QLIST_ENTRY(xengntdev_handle) next;
    QLIST_HEAD(, GrantMap) maps;
};

struct XenPVGnttabState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    XenPVCallState *call;
    uint16_t domid;
    bool is_64bit;

    QemuMutex lock;
    /* The guest's, as it can write them */
    union {
        grant_entry_v1_t *v1;
        grant_entry_v2_t *v2;
        uint8_t *bytes;
    } table;
    grant_status_t *status;     /* version 2 */
    uint32_t version;
    uint32_t nr_frames;
    uint32_t nr_status_frames;
    Pin *pins;
    GHashTable *remapped;       /* host address: number of pages */
    QLIST_HEAD(, xengntdev_handle) handles;
    MemoryListener listener;

    /* Only while state is saved or loaded: the pins that are in use */
    struct SavedPin *saved;
    int32_t nr_saved;
};

/* As the back ends' operations have no argument for it */
static XenPVGnttabState *gnttab;

/* ------------------------------------------------------------------------- */
/* Grants                                                                     */

static uint32_t nr_entries(XenPVGnttabState *s)
{
    return s->nr_frames * (s->version == 1 ? PER_FRAME_V1 : PER_FRAME_V2);
}

/* An entry's flags and domid, which only make sense when read as one */
static uint32_t *entry_word(XenPVGnttabState *s, uint32_t ref)
{
    QEMU_BUILD_BUG_ON(offsetof(grant_entry_v1_t, flags) != 0 ||
                      offsetof(grant_entry_v1_t, domid) != 2 ||
                      offsetof(grant_entry_header_t, flags) != 0 ||
                      offsetof(grant_entry_header_t, domid) != 2);
    return (uint32_t *)(s->table.bytes + ref * (s->version == 1 ?
                                                sizeof(grant_entry_v1_t) :
                                                sizeof(grant_entry_v2_t)));
}

/* To be read after the flags that say that it is valid */
static uint64_t entry_frame(XenPVGnttabState *s, uint32_t ref)
{
    if (s->version == 1) {
        return le32_to_cpu(qatomic_read(&s->table.v1[ref].frame));
    } else {
        uint32_t *frame = (uint32_t *)&s->table.v2[ref].full_page.frame;

        /* In halves, for 32-bit hosts: a guest that changes it in use loses */
        return le32_to_cpu(qatomic_read(&frame[0])) |
               (uint64_t)le32_to_cpu(qatomic_read(&frame[1])) << 32;
    }
}

/* The marks of an entry have been changed */
static void marks_written(XenPVGnttabState *s, uint32_t ref)
{
    if (s->version == 1) {
        xenpv_memory_written(entry_word(s, ref), sizeof(uint32_t));
    } else {
        xenpv_memory_written(&s->status[ref], sizeof(s->status[ref]));
    }
}

static void clear_in_use(XenPVGnttabState *s, uint32_t ref, uint16_t flags)
{
    if (s->version == 1) {
        qatomic_and(entry_word(s, ref), ~cpu_to_le32(flags));
    } else {
        qatomic_and(&s->status[ref], (uint16_t)~cpu_to_le16(flags));
    }
    marks_written(s, ref);
}

/* Does an entry allow this use? NULL, or why not */
static const char *check_entry(const Pin *p, uint32_t word, uint16_t domid,
                               bool write, PinUse use, uint32_t version)
{
    uint16_t flags = word & 0xffff, type = flags & GTF_type_mask;

    /* While it is in use, the type is what it was then */
    if (!p->readers) {
        if (word >> 16 != domid) {
            return "not granted to this domain";
        }
        if (type != GTF_permit_access &&
            !(type == GTF_transitive && version == 2 && use == PIN_COPY)) {
            return "not granted";
        }
        if (use == PIN_MAP && (flags & GTF_sub_page)) {
            return "a part of a frame cannot be mapped";
        }
    }
    if (write && (flags & GTF_readonly)) {
        return "granted to read";
    }
    return NULL;
}

/* Version 1: the marks are in the word that was checked. NULL, or why not */
static const char *mark_v1(XenPVGnttabState *s, uint32_t ref, uint16_t domid,
                           bool write, PinUse use, uint32_t *flags)
{
    uint32_t old = qatomic_read(entry_word(s, ref));

    for (int i = 0; i < PIN_RETRIES; i++) {
        const char *why = check_entry(&s->pins[ref], le32_to_cpu(old), domid,
                                      write, use, 1);
        uint32_t new = old | cpu_to_le32(GTF_reading |
                                         (write ? GTF_writing : 0));
        uint32_t seen;

        if (why) {
            return why;
        }
        seen = qatomic_cmpxchg(entry_word(s, ref), old, new);
        if (seen == old) {
            marks_written(s, ref);
            *flags = le32_to_cpu(old) & 0xffff;
            return NULL;
        }
        old = seen;
    }
    return "changes too often";
}

/* Version 2: marked elsewhere, so the word is checked once more after that */
static const char *mark_v2(XenPVGnttabState *s, uint32_t ref, uint16_t domid,
                           bool write, PinUse use, uint32_t *flags)
{
    Pin *p = &s->pins[ref];
    uint16_t marks = GTF_reading | (write ? GTF_writing : 0);
    uint32_t word = le32_to_cpu(qatomic_read(entry_word(s, ref)));
    const char *why = check_entry(p, word, domid, write, use, 2);

    if (why) {
        return why;
    }
    qatomic_or(&s->status[ref], cpu_to_le16(marks));
    marks_written(s, ref);
    /* A guest that takes the grant back changes the word, then looks here */
    smp_mb();
    word = le32_to_cpu(qatomic_read(entry_word(s, ref)));
    why = check_entry(p, word, domid, write, use, 2);
    if (why) {
        clear_in_use(s, ref, GTF_writing | (p->readers ? 0 : GTF_reading));
        return why;
    }
    *flags = word & 0xffff;
    return NULL;
}

/*
 * Begin to use a grant that is for domain domid: GNTST_*. s->lock is held.
 */
static int pin(XenPVGnttabState *s, uint16_t domid, uint32_t ref, bool write,
               PinUse use, Pin *result)
{
    const char *why = "no such entry";
    uint16_t start = 0, length = XEN_PAGE_SIZE, in_use;
    int ret = GNTST_bad_gntref;
    uint32_t flags;
    bool sub_page;
    uint64_t mfn;
    Pin *p;

    if (ref >= nr_entries(s)) {
        goto refuse;
    }
    p = &s->pins[ref];
    ret = GNTST_general_error;
    if (p->readers && (p->domid != domid || (use == PIN_MAP && p->sub_page))) {
        why = "in use otherwise";
        goto refuse;
    }
    if (p->readers == UINT32_MAX) {
        why = "in use too often";
        ret = GNTST_no_space;
        goto refuse;
    }
    if (p->writers || (p->readers && !write)) {
        /* In use already, in the way that is wanted */
        goto pinned;
    }
    why = s->version == 1 ? mark_v1(s, ref, domid, write, use, &flags)
                          : mark_v2(s, ref, domid, write, use, &flags);
    if (why) {
        goto refuse;
    }
    if (p->readers && use == PIN_MAP) {
        goto pinned;        /* it stays what it is; now writable */
    }
    in_use = GTF_writing | (p->readers ? 0 : GTF_reading);
    if ((flags & GTF_type_mask) == GTF_transitive) {
        /*
         * By what another domain has granted to the guest: only itself, which
         * is not allowed, or domain 0, which grants nothing, could be that
         */
        uint16_t trans_domid = le16_to_cpu(
            qatomic_read(&s->table.v2[ref].transitive.trans_domid));

        clear_in_use(s, ref, in_use);
        ret = trans_domid == XENPV_BACKEND_DOMID ? GNTST_bad_gntref
                                                 : GNTST_general_error;
        why = "transitive, and nothing is granted to the guest";
        goto refuse;
    }
    mfn = entry_frame(s, ref);
    sub_page = s->version == 2 && (flags & GTF_sub_page);
    if (sub_page) {
        start = le16_to_cpu(qatomic_read(&s->table.v2[ref].sub_page.page_off));
        length = le16_to_cpu(qatomic_read(&s->table.v2[ref].sub_page.length));
    }
    if (!xenpv_frame_to_host(mfn)) {
        clear_in_use(s, ref, in_use);
        why = "not a frame of RAM";
        ret = GNTST_bad_page;
        goto refuse;
    }
    if (!p->readers) {
        *p = (Pin) {
            .mfn = mfn, .domid = domid, .start = start, .length = length,
            .sub_page = sub_page,
        };
    } else if (p->mfn != mfn || (p->sub_page &&
                                 (!sub_page || p->start != start ||
                                  p->length != length))) {
        clear_in_use(s, ref, in_use);
        why = "rewritten while in use";
        goto refuse;
    }
pinned:
    p->readers++;
    if (write) {
        p->writers++;
    }
    *result = *p;
    trace_xenpv_gnttab_pin(ref, p->mfn, write);
    return GNTST_okay;

refuse:
    trace_xenpv_gnttab_refuse(ref, write, why);
    return ret;
}

static void unpin(XenPVGnttabState *s, uint32_t ref, bool write)
{
    Pin *p = &s->pins[ref];
    uint16_t done = 0;

    trace_xenpv_gnttab_unpin(ref, write);
    if (!p->readers) {
        return;             /* a reset came in between */
    }
    if (write && p->writers && --p->writers == 0) {
        done |= GTF_writing;
    }
    if (--p->readers == 0) {
        done |= GTF_reading;
    }
    if (done) {
        clear_in_use(s, ref, done);
    }
}

/* ------------------------------------------------------------------------- */
/* Guest frames as host memory                                                */

/*
 * Does it matter that QEMU has written to a frame by its host address? To
 * migration, and under TCG the frame may hold code that has been translated.
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

static void *remap(void **frames, uint32_t count, int prot)
{
    MemoryRegion *ram = MACHINE(qdev_get_machine())->ram;
    uint8_t *base;
    uint8_t *start;

    if (!can_remap(ram)) {
        errno = ENOTSUP;
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

/* count frames as one range; s->lock is held */
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
    start = remap(frames, count, prot);
    if (start) {
        g_hash_table_insert(s->remapped, start, GUINT_TO_POINTER(count));
    }
    return start;
}

static void unmap_frames(XenPVGnttabState *s, void *start)
{
    uint32_t count = GPOINTER_TO_UINT(g_hash_table_lookup(s->remapped, start));

    if (count) {
        g_hash_table_remove(s->remapped, start);
        munmap(start, count * XEN_PAGE_SIZE);
    }
}

/* ------------------------------------------------------------------------- */
/* For the back ends                                                          */

static xengnttab_handle *be_open(void)
{
    xengnttab_handle *xgt = g_new0(xengnttab_handle, 1);

    QLIST_INIT(&xgt->maps);
    QEMU_LOCK_GUARD(&gnttab->lock);
    QLIST_INSERT_HEAD(&gnttab->handles, xgt, next);
    return xgt;
}

/* s->lock is held */
static void drop_map(XenPVGnttabState *s, GrantMap *map)
{
    QLIST_REMOVE(map, next);
    unmap_frames(s, map->start);
    for (uint32_t i = 0; i < map->count; i++) {
        uint32_t ref = map->refs[i];

        if (map->write && s->pins[ref].writers) {
            frame_written(s->pins[ref].mfn);
        }
        unpin(s, ref, map->write);
    }
    g_free(map);
}

static int be_close(xengnttab_handle *xgt)
{
    GrantMap *map, *next;

    QEMU_LOCK_GUARD(&gnttab->lock);
    QLIST_FOREACH_SAFE(map, &xgt->maps, next, next) {
        drop_map(gnttab, map);
    }
    QLIST_REMOVE(xgt, next);
    g_free(xgt);
    return 0;
}

/*
 * A ring stays mapped, and is written to all the time: it counts as written
 * whenever a migration asks which pages have been.
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
                /* A reset may have come in between */
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
    XenPVGnttabState *s = gnttab;
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

        if (pin(s, XENPV_BACKEND_DOMID, refs[pinned], write, PIN_MAP, &p)) {
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
        unpin(s, map->refs[pinned], write);
    }
    g_free(map);
    return NULL;
}

static int be_unmap(xengnttab_handle *xgt, void *start, uint32_t *refs,
                    uint32_t count)
{
    GrantMap *map;

    QEMU_LOCK_GUARD(&gnttab->lock);
    QLIST_FOREACH(map, &xgt->maps, next) {
        if (map->start == start && map->count == count &&
            !memcmp(map->refs, refs, count * sizeof(*refs))) {
            drop_map(gnttab, map);
            return 0;
        }
    }
    errno = EINVAL;
    return -1;
}

/* Between a frame and the host's memory; len is not beyond the frame's end */
static void copy_frame(uint64_t mfn, uint32_t offset, void *host, size_t len,
                       bool to_frame)
{
    if (to_frame) {
        address_space_write(&address_space_memory,
                            (mfn << XEN_PAGE_SHIFT) + offset,
                            MEMTXATTRS_UNSPECIFIED, host, len);
    } else {
        memcpy(host, (uint8_t *)xenpv_frame_to_host(mfn) + offset, len);
    }
}

static bool in_grant(const Pin *p, uint32_t offset, uint32_t len)
{
    return offset >= p->start && offset + len <= p->start + p->length;
}

static int be_copy(xengnttab_handle *xgt, bool to_domain, uint32_t domid,
                   XenGrantCopySegment *segs, uint32_t nr_segs, Error **errp)
{
    XenPVGnttabState *s = gnttab;

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
            ret = pin(s, XENPV_BACKEND_DOMID, ref, to_domain, PIN_COPY, &p);
        }
        if (ret) {
            error_setg(errp, "grant %u cannot be %s", ref,
                       to_domain ? "written" : "read");
            return -EINVAL;
        }
        if (in_grant(&p, offset, seg->len)) {
            copy_frame(p.mfn, offset, to_domain ? seg->source.virt
                                                : seg->dest.virt,
                       seg->len, to_domain);
        } else {
            ret = -EINVAL;
            error_setg(errp, "grant %u: the copy is beyond what is granted",
                       ref);
        }
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            unpin(s, ref, to_domain);
        }
        if (ret) {
            return ret;
        }
    }
    return 0;
}

void *xenpv_gnttab_use(uint32_t ref, uint32_t offset, uint32_t len, bool write)
{
    XenPVGnttabState *s = gnttab;
    Pin p;

    QEMU_LOCK_GUARD(&s->lock);
    if (pin(s, XENPV_BACKEND_DOMID, ref, write, PIN_COPY, &p)) {
        return NULL;
    }
    if (!in_grant(&p, offset, len)) {
        unpin(s, ref, write);
        return NULL;
    }
    return (uint8_t *)xenpv_frame_to_host(p.mfn) + offset;
}

void xenpv_gnttab_release(uint32_t ref, bool write)
{
    XenPVGnttabState *s = gnttab;

    QEMU_LOCK_GUARD(&s->lock);
    if (write && s->pins[ref].writers) {
        frame_written(s->pins[ref].mfn);
    }
    unpin(s, ref, write);
}

void xenpv_gnttab_written(uint32_t ref)
{
    XenPVGnttabState *s = gnttab;

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

/* ------------------------------------------------------------------------- */
/* For the guest                                                              */

/* GNTST_okay if the guest may ask about this domain's table: only its own */
static int check_domain(XenPVGnttabState *s, uint16_t dom)
{
    if (dom == DOMID_SELF || dom == s->domid) {
        return GNTST_okay;
    }
    return dom == XENPV_BACKEND_DOMID ? GNTST_permission_denied
                                      : GNTST_bad_domain;
}

static uint32_t nr_status_frames(XenPVGnttabState *s)
{
    return DIV_ROUND_UP(s->nr_frames * PER_FRAME_V2, STATUS_PER_FRAME);
}

static void op_setup_table(XenPVGnttabState *s, struct xenpv_gnttab_setup *op)
{
    uint32_t nr_frames = le32_to_cpu(op->nr_frames);
    int status = check_domain(s, le16_to_cpu(op->dom));

    if (!status && nr_frames > MAX_FRAMES) {
        status = GNTST_general_error;
    }
    op->status = cpu_to_le16(status);
    if (status) {
        return;
    }
    s->nr_frames = MAX(s->nr_frames, nr_frames);
    if (s->version == 2) {
        s->nr_status_frames = nr_status_frames(s);
    }
    for (uint32_t i = 0; i < nr_frames; i++) {
        op->frames[i] = cpu_to_le32(
            ((XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE) >> XEN_PAGE_SHIFT) + i);
    }
}

static void op_query_size(XenPVGnttabState *s, struct gnttab_query_size *op)
{
    int status = check_domain(s, le16_to_cpu(op->dom));

    op->status = cpu_to_le16(status);
    if (!status) {
        op->nr_frames = cpu_to_le32(s->nr_frames);
        op->max_nr_frames = cpu_to_le32(MAX_FRAMES);
    }
}

static void op_get_status_frames(XenPVGnttabState *s,
                                 struct xenpv_gnttab_setup *op)
{
    uint32_t nr_frames = le32_to_cpu(op->nr_frames);
    int status = check_domain(s, le16_to_cpu(op->dom));

    if (!status && nr_frames > s->nr_status_frames) {
        status = GNTST_general_error;
    }
    op->status = cpu_to_le16(status);
    if (status) {
        return;
    }
    for (uint32_t i = 0; i < nr_frames; i++) {
        op->frames[i] = cpu_to_le32(
            ((XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE) >> XEN_PAGE_SHIFT) +
            MAX_FRAMES + i);
    }
}

/* The first entries, which stay, in the form of version 1; -errno */
static int save_reserved(XenPVGnttabState *s, grant_entry_v1_t *saved)
{
    if (s->version == 1) {
        memcpy(saved, s->table.v1, GNTTAB_NR_RESERVED_ENTRIES * sizeof(*saved));
        return 0;
    }
    memset(saved, 0, GNTTAB_NR_RESERVED_ENTRIES * sizeof(*saved));
    for (uint32_t ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
        uint32_t word = le32_to_cpu(qatomic_read(entry_word(s, ref)));
        uint16_t type = word & GTF_type_mask;

        if (s->pins[ref].readers && s->pins[ref].sub_page) {
            return -XEN_EAGAIN;
        }
        if (type == GTF_transitive ||
            (type == GTF_permit_access && entry_frame(s, ref) >> 32)) {
            return -XEN_ERANGE;
        }
        if (type == GTF_permit_access) {
            saved[ref].flags = cpu_to_le16(word) | s->status[ref];
            saved[ref].domid = cpu_to_le16(word >> 16);
            saved[ref].frame = cpu_to_le32(entry_frame(s, ref));
        }
    }
    return 0;
}

static int op_set_version(XenPVGnttabState *s, struct gnttab_set_version *op)
{
    grant_entry_v1_t saved[GNTTAB_NR_RESERVED_ENTRIES];
    const uint16_t marks = GTF_reading | GTF_writing;
    uint32_t version = le32_to_cpu(op->version);
    int ret;

    op->version = cpu_to_le32(s->version);
    if (version != 1 && version != 2) {
        return -XEN_EINVAL;
    }
    if (version == s->version) {
        return 0;
    }
    for (uint32_t i = GNTTAB_NR_RESERVED_ENTRIES; i < nr_entries(s); i++) {
        if (s->pins[i].readers) {
            return -XEN_EBUSY;
        }
    }
    ret = save_reserved(s, saved);
    if (ret) {
        return ret;
    }
    memset(s->table.bytes, 0, s->nr_frames * XEN_PAGE_SIZE);
    memset(s->status, 0, MAX_FRAMES * XEN_PAGE_SIZE);
    s->version = version;
    s->nr_status_frames = version == 1 ? 0 : nr_status_frames(s);
    for (uint32_t i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        uint16_t flags = le16_to_cpu(saved[i].flags);

        if (version == 1) {
            s->table.v1[i] = saved[i];
        } else {
            s->status[i] = cpu_to_le16(flags & marks);
            s->table.v2[i].full_page.frame =
                cpu_to_le64(le32_to_cpu(saved[i].frame));
            s->table.v2[i].hdr.domid = saved[i].domid;
            s->table.v2[i].hdr.flags = cpu_to_le16(flags & ~marks);
        }
    }
    xenpv_memory_written(s->table.bytes, MAX_FRAMES * XEN_PAGE_SIZE);
    xenpv_memory_written(s->status, MAX_FRAMES * XEN_PAGE_SIZE);
    op->version = cpu_to_le32(version);
    trace_xenpv_gnttab_version(version);
    return 0;
}

static int op_get_version(XenPVGnttabState *s, struct gnttab_get_version *op)
{
    switch (check_domain(s, le16_to_cpu(op->dom))) {
    case GNTST_okay:
        op->version = cpu_to_le32(s->version);
        return 0;
    case GNTST_permission_denied:
        return -XEN_EPERM;
    }
    return -XEN_ESRCH;
}

static int op_swap_grant_ref(XenPVGnttabState *s,
                             struct gnttab_swap_grant_ref *op)
{
    uint32_t a = le32_to_cpu(op->ref_a), b = le32_to_cpu(op->ref_b);

    if (a >= nr_entries(s) || b >= nr_entries(s)) {
        return GNTST_bad_gntref;
    }
    if (a != b) {
        if (s->pins[a].readers || s->pins[b].readers) {
            return GNTST_eagain;
        }
        if (s->version == 1) {
            grant_entry_v1_t tmp = s->table.v1[a];

            s->table.v1[a] = s->table.v1[b];
            s->table.v1[b] = tmp;
            xenpv_memory_written(&s->table.v1[a], sizeof(tmp));
            xenpv_memory_written(&s->table.v1[b], sizeof(tmp));
        } else {
            grant_entry_v2_t tmp = s->table.v2[a];
            grant_status_t status = s->status[a];

            s->table.v2[a] = s->table.v2[b];
            s->status[a] = s->status[b];
            s->table.v2[b] = tmp;
            s->status[b] = status;
            xenpv_memory_written(&s->table.v2[a], sizeof(tmp));
            xenpv_memory_written(&s->table.v2[b], sizeof(tmp));
            marks_written(s, a);
            marks_written(s, b);
        }
    }
    return GNTST_okay;
}

/*
 * Grants of the guest to itself: nobody else has granted it anything. Here they
 * are only pinned, the guest's page tables are the monitor's affair.
 */
static int op_map_grant_ref(XenPVGnttabState *s,
                            struct gnttab_map_grant_ref *op)
{
    uint32_t flags = le32_to_cpu(op->flags);
    uint16_t dom = le16_to_cpu(op->dom);
    Pin what;
    int ret;

    if (!(flags & (GNTMAP_device_map | GNTMAP_host_map)) ||
        dom == XENPV_BACKEND_DOMID) {
        return GNTST_bad_gntref;
    }
    if (dom != s->domid) {
        return GNTST_bad_domain;        /* DOMID_SELF, too */
    }
    ret = pin(s, dom, le32_to_cpu(op->ref), !(flags & GNTMAP_readonly),
              PIN_MAP, &what);
    if (!ret) {
        op->dev_bus_addr = cpu_to_le64(what.mfn << XEN_PAGE_SHIFT);
    }
    return ret;
}

/* .handle is the reference, .host_addr has the flags: see xenpv-monitor.h */
static int op_unmap_grant_ref(XenPVGnttabState *s,
                              struct gnttab_unmap_grant_ref *op)
{
    uint32_t ref = le32_to_cpu(op->handle);

    /* A back end's pin is its own to take out */
    if (ref >= nr_entries(s) || !s->pins[ref].readers ||
        s->pins[ref].domid != s->domid) {
        return GNTST_bad_handle;
    }
    unpin(s, ref, !(le64_to_cpu(op->host_addr) & GNTMAP_readonly));
    return GNTST_okay;
}

/* struct gnttab_copy has the guest's width */
typedef struct CopyEnd {
    uint64_t frame;         /* or grant reference */
    uint16_t domid;
    uint16_t offset;
    bool is_ref;
    bool pinned;
    Pin what;
} CopyEnd;

static int copy_begin(XenPVGnttabState *s, CopyEnd *end, bool write)
{
    int ret;

    if (!end->is_ref) {
        if (!xenpv_frame_to_host(end->frame)) {
            return GNTST_bad_page;
        }
        end->what.mfn = end->frame;
        end->what.length = XEN_PAGE_SIZE;
        return GNTST_okay;
    }
    /* No other domain has ever granted anything to the guest */
    if (end->domid == XENPV_BACKEND_DOMID) {
        return GNTST_bad_gntref;
    }
    ret = pin(s, s->domid, end->frame, write, PIN_COPY, &end->what);
    end->pinned = !ret;
    return ret;
}

static int copy_check_domain(XenPVGnttabState *s, const CopyEnd *end)
{
    if (check_domain(s, end->domid) == GNTST_bad_domain) {
        return GNTST_bad_domain;
    }
    return end->domid != DOMID_SELF && !end->is_ref ? GNTST_permission_denied
                                                    : GNTST_okay;
}

static int do_copy(XenPVGnttabState *s, CopyEnd *source, CopyEnd *dest,
                   uint16_t len)
{
    int ret;

    ret = copy_check_domain(s, source) ?: copy_check_domain(s, dest);
    ret = ret ?: copy_begin(s, source, false);
    ret = ret ?: copy_begin(s, dest, true);
    if (!ret && (source->offset + len > XEN_PAGE_SIZE ||
                 dest->offset + len > XEN_PAGE_SIZE)) {
        ret = GNTST_bad_copy_arg;
    }
    if (!ret && (!in_grant(&source->what, source->offset, len) ||
                 !in_grant(&dest->what, dest->offset, len))) {
        ret = GNTST_general_error;
    }
    if (!ret && len) {
        uint8_t buf[XEN_PAGE_SIZE];

        copy_frame(source->what.mfn, source->offset, buf, len, false);
        copy_frame(dest->what.mfn, dest->offset, buf, len, true);
    }
    if (source->pinned) {
        unpin(s, source->frame, false);
    }
    if (dest->pinned) {
        unpin(s, dest->frame, true);
    }
    return ret;
}

static int op_copy(XenPVGnttabState *s, uint8_t *op)
{
    unsigned width = s->is_64bit ? 8 : 4;
    unsigned ptr_size = s->is_64bit ? 16 : 8;
    uint8_t *tail = op + 2 * ptr_size;
    CopyEnd ends[2] = { 0 };
    uint16_t len = lduw_le_p(tail), flags = lduw_le_p(tail + 2);
    int status;

    for (int i = 0; i < 2; i++) {
        uint8_t *ptr = op + i * ptr_size;

        ends[i].is_ref = flags & (i ? GNTCOPY_dest_gref : GNTCOPY_source_gref);
        ends[i].frame = ldn_le_p(ptr, ends[i].is_ref ? 4 : width);
        ends[i].domid = lduw_le_p(ptr + width);
        ends[i].offset = lduw_le_p(ptr + width + 2);
    }
    status = do_copy(s, &ends[0], &ends[1], len);
    stw_le_p(tail + 4, status);
    return status;
}

static int64_t gnttab_call(void *opaque, unsigned vcpu, uint32_t cmd,
                           void *data, uint32_t *size)
{
    XenPVGnttabState *s = opaque;
    int64_t ret = 0;
    int status = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        switch (cmd) {
        case GNTTABOP_setup_table:
            op_setup_table(s, data);
            break;
        case GNTTABOP_query_size:
            op_query_size(s, data);
            break;
        case GNTTABOP_set_version:
            ret = op_set_version(s, data);
            break;
        case GNTTABOP_get_version:
            ret = op_get_version(s, data);
            break;
        case GNTTABOP_copy:
            status = op_copy(s, data);
            break;
        case GNTTABOP_swap_grant_ref: {
            struct gnttab_swap_grant_ref *op = data;

            status = op_swap_grant_ref(s, op);
            op->status = cpu_to_le16(status);
            break;
        }
        case GNTTABOP_map_grant_ref: {
            struct gnttab_map_grant_ref *op = data;

            status = op_map_grant_ref(s, op);
            op->status = cpu_to_le16(status);
            break;
        }
        case GNTTABOP_unmap_grant_ref: {
            struct gnttab_unmap_grant_ref *op = data;

            status = op_unmap_grant_ref(s, op);
            op->status = cpu_to_le16(status);
            break;
        }
        case GNTTABOP_get_status_frames:
            op_get_status_frames(s, data);
            break;
        default:
            ret = -XEN_ENOSYS;
            break;
        }
    }
    trace_xenpv_gnttab_op(cmd, ret, status);
    return ret;
}

void xenpv_gnttab_seed(XenPVGnttabState *s, uint64_t xencons_mfn,
                       uint64_t xenstore_mfn)
{
    const struct {
        uint32_t ref;
        uint64_t mfn;
    } seeds[] = {
        { GNTTAB_RESERVED_CONSOLE, xencons_mfn },
        { GNTTAB_RESERVED_XENSTORE, xenstore_mfn },
    };

    for (int i = 0; i < ARRAY_SIZE(seeds); i++) {
        grant_entry_v1_t *entry = &s->table.v1[seeds[i].ref];

        entry->frame = cpu_to_le32(seeds[i].mfn);
        entry->domid = cpu_to_le16(XENPV_BACKEND_DOMID);
        /* Flags make an entry valid */
        smp_wmb();
        entry->flags = cpu_to_le16(GTF_permit_access);
    }
}

void xenpv_gnttab_reset(XenPVGnttabState *s)
{
    trace_xenpv_gnttab_reset();
    QEMU_LOCK_GUARD(&s->lock);
    s->version = 1;
    s->nr_frames = 1;
    s->nr_status_frames = 0;
    memset(s->pins, 0, MAX_ENTRIES * sizeof(*s->pins));
    memset(s->table.bytes, 0, MAX_FRAMES * XEN_PAGE_SIZE);
    memset(s->status, 0, MAX_FRAMES * XEN_PAGE_SIZE);
}

/* ------------------------------------------------------------------------- */
/*
 * Migration. The tables themselves are in the core region, and so move with
 * memory. What the guest has mapped of itself stays mapped; what back ends use
 * they take anew when they connect, so their marks go.
 */

typedef struct SavedPin {
    uint32_t ref;
    Pin pin;
} SavedPin;

static void free_saved(XenPVGnttabState *s)
{
    g_clear_pointer(&s->saved, g_free);
    s->nr_saved = 0;
}

static int gnttab_pre_save(void *opaque)
{
    XenPVGnttabState *s = opaque;
    uint32_t nr = 0;

    QEMU_LOCK_GUARD(&s->lock);
    for (uint32_t ref = 0; ref < nr_entries(s); ref++) {
        nr += s->pins[ref].readers != 0;
    }
    free_saved(s);
    s->saved = g_new0(SavedPin, nr);
    for (uint32_t ref = 0; ref < nr_entries(s); ref++) {
        if (s->pins[ref].readers) {
            s->saved[s->nr_saved++] = (SavedPin) { ref, s->pins[ref] };
        }
    }
    return 0;
}

static int gnttab_post_save(void *opaque)
{
    free_saved(opaque);
    return 0;
}

static int gnttab_pre_load(void *opaque)
{
    free_saved(opaque);
    return 0;
}

static int gnttab_post_load(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;
    int ret = 0;

    QEMU_LOCK_GUARD(&s->lock);
    memset(s->pins, 0, MAX_ENTRIES * sizeof(*s->pins));
    for (int32_t i = 0; i < s->nr_saved; i++) {
        Pin *p = &s->saved[i].pin;
        uint32_t ref = s->saved[i].ref;

        if (ref >= nr_entries(s) || !p->readers || p->writers > p->readers ||
            !xenpv_frame_to_host(p->mfn) ||
            p->start + p->length > XEN_PAGE_SIZE) {
            error_report("grant %u: frame 0x%" PRIx64 ", %u readers, "
                         "%u writers, from %u for %u bytes", ref, p->mfn,
                         p->readers, p->writers, p->start, p->length);
            ret = -EINVAL;
            break;
        }
        if (p->domid == s->domid) {
            s->pins[ref] = *p;
        } else {
            clear_in_use(s, ref, GTF_reading | GTF_writing);
        }
    }
    free_saved(s);
    return ret;
}

static bool frames_fit(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    return (s->version == 1 || s->version == 2) && s->nr_frames &&
           s->nr_frames <= MAX_FRAMES &&
           s->nr_status_frames <= nr_status_frames(s);
}

static bool saved_fit(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    return s->nr_saved >= 0 && s->nr_saved <= nr_entries(s);
}

static const VMStateDescription vmstate_pin = {
    .name = "xenpv-gnttab/pin",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(ref, SavedPin),
        VMSTATE_UINT64(pin.mfn, SavedPin),
        VMSTATE_UINT32(pin.readers, SavedPin),
        VMSTATE_UINT32(pin.writers, SavedPin),
        VMSTATE_UINT16(pin.domid, SavedPin),
        VMSTATE_UINT16(pin.start, SavedPin),
        VMSTATE_UINT16(pin.length, SavedPin),
        VMSTATE_BOOL(pin.sub_page, SavedPin),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_gnttab = {
    .name = TYPE_XENPV_GNTTAB,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = gnttab_pre_save,
    .post_save = gnttab_post_save,
    .pre_load = gnttab_pre_load,
    .post_load = gnttab_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(version, XenPVGnttabState),
        VMSTATE_UINT32(nr_frames, XenPVGnttabState),
        VMSTATE_UINT32(nr_status_frames, XenPVGnttabState),
        VMSTATE_VALIDATE("the table's size", frames_fit),
        VMSTATE_INT32(nr_saved, XenPVGnttabState),
        VMSTATE_VALIDATE("the number of pins", saved_fit),
        VMSTATE_STRUCT_VARRAY_ALLOC(saved, XenPVGnttabState, nr_saved, 1,
                                    vmstate_pin, SavedPin),
        VMSTATE_END_OF_LIST()
    }
};

/* ------------------------------------------------------------------------- */

static void xenpv_gnttab_realize(DeviceState *dev, Error **errp)
{
    XenPVGnttabState *s = XENPV_GNTTAB(dev);

    QEMU_BUILD_BUG_ON(2 * MAX_FRAMES * XEN_PAGE_SIZE >
                      XENPV_CORE_EVTCHN - XENPV_CORE_GRANT_TABLE);
    if (!s->core || !s->call) {
        error_setg(errp, "properties 'core' and 'call' are not set");
        return;
    }
    if (gnttab) {
        error_setg(errp, "there can be only one " TYPE_XENPV_GNTTAB);
        return;
    }
    qemu_mutex_init(&s->lock);
    s->table.bytes = xenpv_core_ptr(s->core, XENPV_CORE_GRANT_TABLE);
    s->status = xenpv_core_ptr(s->core, XENPV_CORE_GRANT_TABLE +
                                        MAX_FRAMES * XEN_PAGE_SIZE);
    s->pins = g_new0(Pin, MAX_ENTRIES);
    s->remapped = g_hash_table_new(NULL, NULL);
    QLIST_INIT(&s->handles);
    s->listener = (MemoryListener) {
        .name = "xenpv-gnttab",
        .log_sync_global = maps_written,
    };
    memory_listener_register(&s->listener, &address_space_memory);
    gnttab = s;
    xenpv_gnttab_reset(s);
    xenpv_call_register(s->call, XENPV_CALL_GNTTAB, gnttab_call, s);
    if (can_remap(MACHINE(qdev_get_machine())->ram)) {
        gnttab_ops.features |= XEN_GNTTAB_OP_FEATURE_MAP_MULTIPLE;
    }
    xen_gnttab_ops = &gnttab_ops;
}

static const Property xenpv_gnttab_properties[] = {
    DEFINE_PROP_LINK("core", XenPVGnttabState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_LINK("call", XenPVGnttabState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_UINT16("domid", XenPVGnttabState, domid, 1),
    DEFINE_PROP_BOOL("guest-64bit", XenPVGnttabState, is_64bit, true),
};

static void xenpv_gnttab_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Grant tables of the xenpv-kvm machine";
    dc->realize = xenpv_gnttab_realize;
    dc->vmsd = &vmstate_gnttab;
    device_class_set_props(dc, xenpv_gnttab_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_gnttab_info = {
    .name = TYPE_XENPV_GNTTAB,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(XenPVGnttabState),
    .class_init = xenpv_gnttab_class_init,
};

static void xenpv_gnttab_register_types(void)
{
    type_register_static(&xenpv_gnttab_info);
}

type_init(xenpv_gnttab_register_types)
