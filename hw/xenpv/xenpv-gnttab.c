/*
 * Grant tables, and the guest's memory as back ends see it
 *
 * A back end may touch a frame of the guest only through a grant, and "pins"
 * the grant for as long. Pinning checks the grant once, marks it as in use in
 * the guest's table, and remembers it here. Whatever the guest writes to its
 * table after that, the back end uses the frame that was pinned; and only guest
 * RAM can be pinned.
 *
 * The guest chooses one of two versions of the table. In version 2, entries are
 * larger, can grant a part of a frame, and are marked as in use in another
 * place, the status frames.
 *
 * Threads. Back ends call this from their IOThreads, without the BQL, so .lock
 * guards the pins, the version and size of the table, and the maps of all back
 * ends. The guest's operations take it as well, on any vCPU. The guest writes
 * the entries at any time, without a lock. So each is read once, atomically,
 * and marked as in use by another atomic operation, which fails if the entry
 * has changed (version 1) or is followed by a second check (version 2). Back
 * ends copy data without the lock while its grant is pinned. A grant that is
 * mapped or in use stays so until its back end ends that, whatever the guest
 * does.
 *
 * The files: this one has the entries and the pins, and calls none of the
 * others. xenpv-gnttab-backend.c has what back ends map, copy and use,
 * xenpv-gnttab-guest.c what the guest calls, xenpv-gnttab-state.c what
 * migration moves, and xenpv-gnttab-device.c the device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-gnttab.h"
#include "trace.h"

XenPVGnttabState *xenpv_gnttab;

/* How often a guest may change an entry while it is being pinned */
#define PIN_RETRIES         5

/* ------------------------------------------------------------------------- */
/* Entries, and pins of them                                                  */

uint32_t xenpv_gnttab_nr_entries(XenPVGnttabState *s)
{
    return s->nr_frames * (s->version == 1 ? PER_FRAME_V1 : PER_FRAME_V2);
}

uint32_t *xenpv_gnttab_entry_word(XenPVGnttabState *s, uint32_t ref)
{
    QEMU_BUILD_BUG_ON(offsetof(grant_entry_v1_t, flags) != 0 ||
                      offsetof(grant_entry_v1_t, domid) != 2 ||
                      offsetof(grant_entry_header_t, flags) != 0 ||
                      offsetof(grant_entry_header_t, domid) != 2);
    return (uint32_t *)(s->table.bytes + ref * (s->version == 1 ?
                                                sizeof(grant_entry_v1_t) :
                                                sizeof(grant_entry_v2_t)));
}

uint64_t xenpv_gnttab_entry_frame(XenPVGnttabState *s, uint32_t ref)
{
    if (s->version == 1) {
        return le32_to_cpu(qatomic_read(&s->table.v1[ref].frame));
    } else {
        uint32_t *frame = (uint32_t *)&s->table.v2[ref].full_page.frame;

        /* In halves, for 32-bit hosts: a guest that changes it hurts itself */
        return le32_to_cpu(qatomic_read(&frame[0])) |
               (uint64_t)le32_to_cpu(qatomic_read(&frame[1])) << 32;
    }
}

void xenpv_gnttab_marks_written(XenPVGnttabState *s, uint32_t ref)
{
    if (s->version == 1) {
        xenpv_memory_written(xenpv_gnttab_entry_word(s, ref), sizeof(uint32_t));
    } else {
        xenpv_memory_written(&s->status[ref], sizeof(s->status[ref]));
    }
}

void xenpv_gnttab_clear_in_use(XenPVGnttabState *s, uint32_t ref,
                               uint16_t flags)
{
    if (s->version == 1) {
        qatomic_and(xenpv_gnttab_entry_word(s, ref), ~cpu_to_le32(flags));
    } else {
        qatomic_and(&s->status[ref], (uint16_t)~cpu_to_le16(flags));
    }
    xenpv_gnttab_marks_written(s, ref);
}

/* Returns NULL if an entry allows this use, or else why not */
static const char *check_entry(const Pin *p, uint32_t word, uint16_t domid,
                               bool write, PinUse use, uint32_t version)
{
    uint16_t flags = word & 0xffff, type = flags & GTF_type_mask;

    /* While the grant is in use, it keeps the type that it was pinned with */
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

/* Version 1: the marks are in the word that is checked. NULL, or why not */
static const char *mark_v1(XenPVGnttabState *s, uint32_t ref, uint16_t domid,
                           bool write, PinUse use, uint32_t *flags)
{
    uint32_t old = qatomic_read(xenpv_gnttab_entry_word(s, ref));

    for (int i = 0; i < PIN_RETRIES; i++) {
        const char *why = check_entry(&s->pins[ref], le32_to_cpu(old), domid,
                                      write, use, 1);
        uint32_t new = old | cpu_to_le32(GTF_reading |
                                         (write ? GTF_writing : 0));
        uint32_t seen;

        if (why) {
            return why;
        }
        seen = qatomic_cmpxchg(xenpv_gnttab_entry_word(s, ref), old, new);
        if (seen == old) {
            xenpv_gnttab_marks_written(s, ref);
            *flags = le32_to_cpu(old) & 0xffff;
            return NULL;
        }
        old = seen;
    }
    return "changes too often";
}

/* Version 2: the marks are elsewhere, so check the word again after marking */
static const char *mark_v2(XenPVGnttabState *s, uint32_t ref, uint16_t domid,
                           bool write, PinUse use, uint32_t *flags)
{
    Pin *p = &s->pins[ref];
    uint16_t marks = GTF_reading | (write ? GTF_writing : 0);
    uint32_t word = le32_to_cpu(qatomic_read(xenpv_gnttab_entry_word(s, ref)));
    const char *why = check_entry(p, word, domid, write, use, 2);

    if (why) {
        return why;
    }
    qatomic_or(&s->status[ref], cpu_to_le16(marks));
    xenpv_gnttab_marks_written(s, ref);
    /* A guest that ends the grant changes the word, then looks at the marks */
    smp_mb();
    word = le32_to_cpu(qatomic_read(xenpv_gnttab_entry_word(s, ref)));
    why = check_entry(p, word, domid, write, use, 2);
    if (why) {
        xenpv_gnttab_clear_in_use(s, ref,
                                  GTF_writing | (p->readers ? 0 : GTF_reading));
        return why;
    }
    *flags = word & 0xffff;
    return NULL;
}

int xenpv_gnttab_pin(XenPVGnttabState *s, uint16_t domid, uint32_t ref,
                     bool write, PinUse use, Pin *result)
{
    const char *why = "no such entry";
    uint16_t start = 0, length = XEN_PAGE_SIZE, in_use;
    int ret = GNTST_bad_gntref;
    uint32_t flags;
    bool sub_page;
    uint64_t mfn;
    Pin *p;

    if (ref >= xenpv_gnttab_nr_entries(s)) {
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
        /* It is in use already, and writable if it has to be */
        goto pinned;
    }
    why = s->version == 1 ? mark_v1(s, ref, domid, write, use, &flags)
                          : mark_v2(s, ref, domid, write, use, &flags);
    if (why) {
        goto refuse;
    }
    if (p->readers && use == PIN_MAP) {
        goto pinned;        /* the same frame, now writable */
    }
    in_use = GTF_writing | (p->readers ? 0 : GTF_reading);
    if ((flags & GTF_type_mask) == GTF_transitive) {
        /*
         * It passes on what another domain has granted to the guest. There is
         * none but the guest itself, which is not allowed, and domain 0, which
         * grants nothing.
         */
        uint16_t trans_domid = le16_to_cpu(
            qatomic_read(&s->table.v2[ref].transitive.trans_domid));
        uint32_t gref = le32_to_cpu(
            qatomic_read(&s->table.v2[ref].transitive.gref));

        xenpv_gnttab_clear_in_use(s, ref, in_use);
        ret = trans_domid == XENPV_BACKEND_DOMID ? xenpv_gnttab_of_backend(gref)
                                                 : GNTST_general_error;
        why = "transitive, and nothing is granted to the guest";
        goto refuse;
    }
    mfn = xenpv_gnttab_entry_frame(s, ref);
    sub_page = s->version == 2 && (flags & GTF_sub_page);
    if (sub_page) {
        start = le16_to_cpu(qatomic_read(&s->table.v2[ref].sub_page.page_off));
        length = le16_to_cpu(qatomic_read(&s->table.v2[ref].sub_page.length));
    }
    if (!xenpv_frame_to_host(mfn)) {
        xenpv_gnttab_clear_in_use(s, ref, in_use);
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
        xenpv_gnttab_clear_in_use(s, ref, in_use);
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

void xenpv_gnttab_unpin(XenPVGnttabState *s, uint32_t ref, bool write)
{
    Pin *p = &s->pins[ref];
    uint16_t done = 0;

    trace_xenpv_gnttab_unpin(ref, write);
    if (!p->readers) {
        return;             /* a reset has cleared all pins meanwhile */
    }
    if (write && p->writers && --p->writers == 0) {
        done |= GTF_writing;
    }
    if (--p->readers == 0) {
        done |= GTF_reading;
    }
    if (done) {
        xenpv_gnttab_clear_in_use(s, ref, done);
    }
}

bool xenpv_gnttab_in_grant(const Pin *p, uint32_t offset, uint32_t len)
{
    return offset >= p->start && offset + len <= p->start + p->length;
}

uint32_t xenpv_gnttab_nr_status_frames(XenPVGnttabState *s)
{
    return DIV_ROUND_UP(s->nr_frames * PER_FRAME_V2, STATUS_PER_FRAME);
}

/* ------------------------------------------------------------------------- */
/* A new domain's table                                                       */

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
        /* The flags make an entry valid, so they come last */
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
