/*
 * Grant tables: what the guest calls
 *
 * These are the GNTTABOP_* of Xen's public/grant_table.h. Each gets its own
 * copy of the guest's structure, and returns GNTST_* or, where Xen does,
 * -errno; all of them are called with the BQL and the lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "xenpv-gnttab.h"
#include "trace.h"

/* GNTST_okay if @dom is the guest, which may only ask about its own table */
static int check_domain(XenPVGnttabState *s, uint16_t dom)
{
    if (dom == DOMID_SELF || dom == s->domid) {
        return GNTST_okay;
    }
    return dom == XENPV_BACKEND_DOMID ? GNTST_permission_denied
                                      : GNTST_bad_domain;
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
        s->nr_status_frames = xenpv_gnttab_nr_status_frames(s);
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

/* Save the reserved entries, which stay, as version 1. Returns 0 or -errno. */
static int save_reserved(XenPVGnttabState *s, grant_entry_v1_t *saved)
{
    if (s->version == 1) {
        memcpy(saved, s->table.v1, GNTTAB_NR_RESERVED_ENTRIES * sizeof(*saved));
        return 0;
    }
    memset(saved, 0, GNTTAB_NR_RESERVED_ENTRIES * sizeof(*saved));
    for (uint32_t ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
        uint32_t word = le32_to_cpu(qatomic_read(xenpv_gnttab_entry_word(s,
                                                                         ref)));
        uint16_t type = word & GTF_type_mask;

        if (s->pins[ref].readers && s->pins[ref].sub_page) {
            return -XEN_EAGAIN;
        }
        if (type == GTF_transitive ||
            (type == GTF_permit_access &&
             xenpv_gnttab_entry_frame(s, ref) >> 32)) {
            return -XEN_ERANGE;
        }
        if (type == GTF_permit_access) {
            saved[ref].flags = cpu_to_le16(word) | s->status[ref];
            saved[ref].domid = cpu_to_le16(word >> 16);
            saved[ref].frame = cpu_to_le32(xenpv_gnttab_entry_frame(s, ref));
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
    for (uint32_t i = GNTTAB_NR_RESERVED_ENTRIES;
         i < xenpv_gnttab_nr_entries(s); i++) {
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
    s->nr_status_frames = version == 1 ? 0 : xenpv_gnttab_nr_status_frames(s);
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

    if (a >= xenpv_gnttab_nr_entries(s) || b >= xenpv_gnttab_nr_entries(s)) {
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
            xenpv_gnttab_marks_written(s, a);
            xenpv_gnttab_marks_written(s, b);
        }
    }
    return GNTST_okay;
}

/* Always fails: nobody grants it anything, and it cannot map its own grants */
static int op_map_grant_ref(XenPVGnttabState *s,
                            const struct gnttab_map_grant_ref *op)
{
    uint32_t flags = le32_to_cpu(op->flags);
    uint16_t dom = le16_to_cpu(op->dom);

    if (!(flags & (GNTMAP_device_map | GNTMAP_host_map))) {
        return GNTST_bad_gntref;
    }
    if (dom == XENPV_BACKEND_DOMID) {
        return xenpv_gnttab_of_backend(le32_to_cpu(op->ref));
    }
    if (dom != s->domid) {
        return GNTST_bad_domain;        /* DOMID_SELF, too */
    }
    return le32_to_cpu(op->ref) < xenpv_gnttab_nr_entries(s) ?
           GNTST_permission_denied : GNTST_bad_gntref;
}

/* One end of a struct gnttab_copy, whose layout has the guest's width */
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
    if (end->domid == XENPV_BACKEND_DOMID) {
        return xenpv_gnttab_of_backend(end->frame);
    }
    ret = xenpv_gnttab_pin(s, s->domid, end->frame, write, PIN_COPY,
                           &end->what);
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
    if (!ret && (!xenpv_gnttab_in_grant(&source->what, source->offset, len) ||
                 !xenpv_gnttab_in_grant(&dest->what, dest->offset, len))) {
        ret = GNTST_general_error;
    }
    if (!ret && len) {
        uint8_t buf[XEN_PAGE_SIZE];

        xenpv_gnttab_copy_frame(source->what.mfn, source->offset, buf, len,
                                false);
        xenpv_gnttab_copy_frame(dest->what.mfn, dest->offset, buf, len, true);
    }
    if (source->pinned) {
        xenpv_gnttab_unpin(s, source->frame, false);
    }
    if (dest->pinned) {
        xenpv_gnttab_unpin(s, dest->frame, true);
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

int64_t xenpv_gnttab_call(void *opaque, unsigned vcpu, uint32_t cmd, void *data,
                          uint32_t *size)
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
        case GNTTABOP_unmap_grant_ref:
            status = GNTST_bad_handle;
            ((struct gnttab_unmap_grant_ref *)data)->status =
                cpu_to_le16(status);
            break;
        case GNTTABOP_unmap_and_replace:
            status = GNTST_bad_handle;
            ((struct gnttab_unmap_and_replace *)data)->status =
                cpu_to_le16(status);
            break;
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
