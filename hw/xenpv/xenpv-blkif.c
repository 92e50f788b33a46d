/*
 * blkif: what requests in a disk's rings mean
 *
 * Each request is copied out of the ring once, and the copy is checked, as the
 * front end can write to the ring at any time. Data is not copied: QEMU can
 * address all guest RAM, so a grant is checked and in use while its request is
 * in flight, but needs no mapping. So persistent grants, which stay in use
 * between requests, gain nothing here, while front ends copy all data to and
 * from them: they are only offered if the device's feature-persistent says so.
 *
 * xenpv-block.c calls this in the rings' thread, which may be an IOThread
 * without the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "migration/vmstate.h"
#include "xenpv-blkif.h"
#include "xenpv-platform.h"
#include "trace.h"

#define SEGS_PER_PAGE       (XEN_PAGE_SIZE / sizeof(struct blkif_request_segment))
/*
 * For each ring, as in Xen's blkback: enough for 32 requests with 32 segments
 * and the page that lists them. Here the disk's rings share them.
 */
#define MAX_PERSISTENT_GRANTS   1056
/* For a disk, whatever its rings: they are all dropped without a break */
#define MAX_DISK_GRANTS         4096

/* ------------------------------------------------------------------------- */
/* Persistent grants                                                          */

static void drop_grant(XenBlockDataPlane *dp, BlkifGrant *grant)
{
    QTAILQ_REMOVE(&dp->idle, grant, next);
    g_hash_table_remove(dp->grants, GUINT_TO_POINTER(grant->ref));
    trace_xenpv_block_grant_dropped(grant->ref,
                                    g_hash_table_size(dp->grants));
    xenpv_gnttab_release(grant->ref, grant->writable);
    g_free(grant);
}

/*
 * Keep a grant that is used for the first time. If it is granted for writing,
 * it is kept so even if it is only read now, as the front end may use it for
 * any request.
 */
static BlkifGrant *keep_grant(XenBlockDataPlane *dp, uint32_t ref, bool write)
{
    bool full = g_hash_table_size(dp->grants) >=
                MIN(MAX_PERSISTENT_GRANTS * dp->nr_rings, MAX_DISK_GRANTS);
    bool writable = true;
    uint8_t *data;
    BlkifGrant *grant;

    if (full && QTAILQ_EMPTY(&dp->idle)) {
        return NULL;
    }
    data = xenpv_gnttab_use(ref, 0, XEN_PAGE_SIZE, true);
    if (!data && !write) {
        writable = false;
        data = xenpv_gnttab_use(ref, 0, XEN_PAGE_SIZE, false);
    }
    if (!data) {
        return NULL;
    }
    if (full) {
        drop_grant(dp, QTAILQ_FIRST(&dp->idle));
    }
    grant = g_new0(BlkifGrant, 1);
    grant->data = data;
    grant->ref = ref;
    grant->writable = writable;
    QTAILQ_INSERT_TAIL(&dp->idle, grant, next);
    g_hash_table_insert(dp->grants, GUINT_TO_POINTER(ref), grant);
    trace_xenpv_block_grant_kept(ref, writable, g_hash_table_size(dp->grants));
    return grant;
}

/*
 * Add a user to a persistent grant. Returns NULL if there is none that can be
 * used so; the caller then uses the grant for this request only.
 */
static BlkifGrant *get_grant(XenBlockDataPlane *dp, uint32_t ref, bool write)
{
    BlkifGrant *grant;

    if (!dp->persistent) {
        return NULL;
    }
    grant = g_hash_table_lookup(dp->grants, GUINT_TO_POINTER(ref)) ?:
            keep_grant(dp, ref, write);
    if (!grant) {
        return NULL;
    }
    if (write && !grant->writable) {
        if (!xenpv_gnttab_use(ref, 0, XEN_PAGE_SIZE, true)) {
            return NULL;
        }
        xenpv_gnttab_release(ref, false);
        grant->writable = true;
    }
    if (!grant->users++) {
        QTAILQ_REMOVE(&dp->idle, grant, next);
    }
    return grant;
}

static void put_grant(XenBlockDataPlane *dp, BlkifGrant *grant, bool written)
{
    if (written) {
        xenpv_gnttab_written(grant->ref);
    }
    if (!--grant->users) {
        QTAILQ_INSERT_TAIL(&dp->idle, grant, next);
    }
}

void xenpv_blkif_drop_all_grants(XenBlockDataPlane *dp)
{
    BlkifGrant *grant;

    while ((grant = QTAILQ_FIRST(&dp->idle))) {
        drop_grant(dp, grant);
    }
    assert(!g_hash_table_size(dp->grants));
}

/* ------------------------------------------------------------------------- */
/* Requests in the ring                                                       */

static const void *ring_request(BlkifRing *ring, RING_IDX i, size_t *size)
{
    switch (ring->dp->protocol) {
    case BLKIF_PROTOCOL_X86_32:
        *size = sizeof(blkif_x86_32_request_t);
        return RING_GET_REQUEST(&ring->back.x86_32_part, i);
    case BLKIF_PROTOCOL_X86_64:
        *size = sizeof(blkif_x86_64_request_t);
        return RING_GET_REQUEST(&ring->back.x86_64_part, i);
    default:
        *size = sizeof(blkif_request_t);
        return RING_GET_REQUEST(&ring->back.native, i);
    }
}

void *xenpv_blkif_response(BlkifRing *ring, RING_IDX i)
{
    switch (ring->dp->protocol) {
    case BLKIF_PROTOCOL_X86_32:
        return RING_GET_RESPONSE(&ring->back.x86_32_part, i);
    case BLKIF_PROTOCOL_X86_64:
        return RING_GET_RESPONSE(&ring->back.x86_64_part, i);
    default:
        return RING_GET_RESPONSE(&ring->back.native, i);
    }
}

/* Copy the segments of an indirect request out of the pages that list them */
static bool get_indirect_segs(XenBlockDataPlane *dp, BlkifRequest *req,
                              const uint8_t *grefs)
{
    XenDeviceGrantCopySegment copies[DIV_ROUND_UP(XENPV_BLKIF_MAX_SEGS,
                                                  SEGS_PER_PAGE)];
    Error *err = NULL;
    unsigned n = 0;

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(copies) > BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
    for (unsigned done = 0; done < req->nr_segs; grefs += 4) {
        unsigned here = MIN(req->nr_segs - done, SEGS_PER_PAGE);
        size_t len = here * sizeof(req->segs[0]);
        uint32_t ref = ldl_le_p(grefs);
        BlkifGrant *grant = get_grant(dp, ref, false);

        if (grant) {
            memcpy(&req->segs[done], grant->data, len);
            put_grant(dp, grant, false);
        } else {
            copies[n].source.foreign.ref = ref;
            copies[n].source.foreign.offset = 0;
            copies[n].dest.virt = &req->segs[done];
            copies[n].len = len;
            n++;
        }
        done += here;
    }
    /* Look only at the copy: the front end may change its pages */
    barrier();
    if (!n) {
        return true;
    }
    xen_device_copy_grant_refs(dp->xendev, false, copies, n, &err);
    if (err) {
        error_free(err);
        return false;
    }
    return true;
}

/*
 * In all layouts of a ring, the first bytes are followed by the id and the
 * sector, and then, depending on the operation, by segments, by a number of
 * sectors, or by a handle and the references of pages that list segments.
 */
const char *xenpv_blkif_get_request(BlkifRequest *req, RING_IDX i)
{
    XenBlockDataPlane *dp = req->ring->dp;
    uint8_t raw[sizeof(blkif_x86_64_request_t)];
    const uint8_t *p = raw + dp->fields;
    const void *shared;
    size_t size;

    QEMU_BUILD_BUG_ON(sizeof(raw) < sizeof(blkif_request_t));
    QEMU_BUILD_BUG_ON(sizeof(raw) < sizeof(blkif_x86_32_request_t));
    shared = ring_request(req->ring, i, &size);
    memcpy(raw, shared, size);
    /* Look only at the copy: the front end may change the ring */
    barrier();

    req->ring_op = raw[0];
    req->op = raw[0];
    req->nr_segs = raw[1];
    req->id = ldq_le_p(p);
    req->sector = ldq_le_p(p + 8);
    switch (req->ring_op) {
    case BLKIF_OP_INDIRECT:
        req->op = raw[1];
        req->nr_segs = lduw_le_p(raw + 2);
        if (req->op != BLKIF_OP_READ && req->op != BLKIF_OP_WRITE) {
            return "indirect, but neither read nor write";
        }
        if (!req->nr_segs || req->nr_segs > XENPV_BLKIF_MAX_SEGS) {
            return "number of segments";
        }
        if (!get_indirect_segs(dp, req, p + 20)) {
            return "grant of segments";
        }
        break;
    case BLKIF_OP_DISCARD:
        req->nr_segs = 0;
        req->nr_sectors = ldq_le_p(p + 16);
        break;
    default:
        if (req->nr_segs > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
            return "number of segments";
        }
        memcpy(req->segs, p + 16, req->nr_segs * sizeof(req->segs[0]));
        break;
    }
    return NULL;
}

const char xenpv_blkif_bad_op[] = "operation";

const char *xenpv_blkif_check_request(BlkifRequest *req)
{
    XenBlockDataPlane *dp = req->ring->dp;
    uint64_t sectors = stat64_get(&dp->sectors);

    switch (req->op) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
        req->stage = STAGE_DATA;
        if (!req->nr_segs) {
            return "no segments";
        }
        break;
    case BLKIF_OP_FLUSH_DISKCACHE:
    case BLKIF_OP_WRITE_BARRIER:
        req->stage = STAGE_FLUSH_BEFORE;
        break;
    case BLKIF_OP_DISCARD:
        req->stage = STAGE_DATA;
        break;
    default:
        return xenpv_blkif_bad_op;
    }
    if (req->op != BLKIF_OP_READ && !blk_is_writable(dp->blk)) {
        return "read-only";
    }
    for (unsigned i = 0; i < req->nr_segs; i++) {
        struct blkif_request_segment *seg = &req->segs[i];

        if (seg->first_sect > seg->last_sect ||
            seg->last_sect >= XEN_PAGE_SIZE / XEN_BLKIF_SECTOR_SIZE) {
            return "segment";
        }
        req->size += (seg->last_sect - seg->first_sect + 1) *
                     XEN_BLKIF_SECTOR_SIZE;
    }
    if (req->op != BLKIF_OP_DISCARD) {
        req->nr_sectors = req->size / XEN_BLKIF_SECTOR_SIZE;
    }
    if (req->nr_sectors &&
        (req->sector > sectors || req->nr_sectors > sectors - req->sector)) {
        return "beyond the end";
    }
    if (req->nr_sectors && ((req->sector | req->nr_sectors) *
                            XEN_BLKIF_SECTOR_SIZE) % dp->block_size) {
        return "part of a block";
    }
    req->offset = req->nr_sectors ? req->sector * XEN_BLKIF_SECTOR_SIZE : 0;
    return NULL;
}

void xenpv_blkif_release_data(BlkifRequest *req)
{
    for (unsigned i = 0; i < req->nr_mapped; i++) {
        if (req->kept && req->kept[i]) {
            put_grant(req->ring->dp, req->kept[i], xenpv_blkif_is_read(req));
        } else {
            xenpv_gnttab_release(req->segs[i].gref, xenpv_blkif_is_read(req));
        }
    }
    g_free(req->kept);
    qemu_iovec_destroy(&req->qiov);
}

bool xenpv_blkif_map_data(BlkifRequest *req)
{
    XenBlockDataPlane *dp = req->ring->dp;

    qemu_iovec_init(&req->qiov, req->nr_segs);
    if (dp->persistent) {
        req->kept = g_new(BlkifGrant *, req->nr_segs);
    }
    for (unsigned i = 0; i < req->nr_segs; i++) {
        struct blkif_request_segment *seg = &req->segs[i];
        uint32_t len = (seg->last_sect - seg->first_sect + 1) *
                       XEN_BLKIF_SECTOR_SIZE;
        uint32_t start = seg->first_sect * XEN_BLKIF_SECTOR_SIZE;
        BlkifGrant *grant = get_grant(dp, seg->gref, xenpv_blkif_is_read(req));
        void *data = grant ? grant->data + start
                           : xenpv_gnttab_use(seg->gref, start, len,
                                              xenpv_blkif_is_read(req));

        if (!data) {
            trace_xenpv_block_bad_request(req->ring->nr, req->id, req->op,
                                          "grant of data");
            return false;
        }
        if (req->kept) {
            req->kept[i] = grant;
        }
        req->nr_mapped++;
        qemu_iovec_add(&req->qiov, data, len);
    }
    return true;
}

/* ------------------------------------------------------------------------- */
/* Migration of requests that an error has stopped, as they were in the ring  */

static bool segs_fit(void *opaque, int version_id)
{
    BlkifRequest *req = opaque;

    /* As in a ring, where a discard has other fields in place of segments */
    return req->nr_segs <= (req->op == BLKIF_OP_DISCARD ? 0
                                                        : XENPV_BLKIF_MAX_SEGS);
}

static const VMStateDescription vmstate_seg = {
    .name = "xenpv-block/segment",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(gref, struct blkif_request_segment),
        VMSTATE_UINT8(first_sect, struct blkif_request_segment),
        VMSTATE_UINT8(last_sect, struct blkif_request_segment),
        VMSTATE_END_OF_LIST()
    }
};

static bool is_of_other_ring(void *opaque)
{
    BlkifRequest *req = opaque;

    return req->ring_nr;
}

/* Not sent for ring 0, so that a disk with one ring has no subsection */
static const VMStateDescription vmstate_ring = {
    .name = "xenpv-block/request/ring",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = is_of_other_ring,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(ring_nr, BlkifRequest),
        VMSTATE_END_OF_LIST()
    }
};

/* The memory that an array is loaded into is not cleared */
static int request_pre_load(void *opaque)
{
    BlkifRequest *req = opaque;

    req->ring_nr = 0;
    return 0;
}

const VMStateDescription vmstate_xenpv_blkif_request = {
    .name = "xenpv-block/request",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = request_pre_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(id, BlkifRequest),
        VMSTATE_UINT8(ring_op, BlkifRequest),
        VMSTATE_UINT8(op, BlkifRequest),
        VMSTATE_UINT64(sector, BlkifRequest),
        VMSTATE_UINT64(nr_sectors, BlkifRequest),
        VMSTATE_UINT32(nr_segs, BlkifRequest),
        VMSTATE_VALIDATE("the number of segments", segs_fit),
        VMSTATE_STRUCT_VARRAY_UINT32(segs, BlkifRequest, nr_segs, 1,
                                     vmstate_seg, struct blkif_request_segment),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_ring,
        NULL
    }
};
