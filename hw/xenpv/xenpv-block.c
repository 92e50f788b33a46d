/*
 * xen-disk's and xen-cdrom's ring: blkif requests to the block layer
 *
 * This takes the place of hw/block/dataplane/xen-block.c, whose interface it
 * has, for what that lacks: indirect descriptors, by which one request carries
 * more than 44 KiB; write barriers, which old front ends want; rerror and
 * werror; and guest errors that are traced and not printed.
 *
 * Of what the front end can write each request is copied once, and the copy is
 * checked. Data is not copied: QEMU can address all guest RAM, so that a grant is
 * checked, in use while the request is, and costs no mapping. So persistent
 * grants, which stay in use between requests, gain nothing here; and as front
 * ends copy all data to and from them, they are only offered if the device's
 * feature-persistent says so.
 *
 * Threads. A dataplane has an AioContext, dp->ctx: its IOThread's, or else the
 * main loop's. What comes from xen-block.c runs in the main thread with the BQL.
 *
 *  - .phase says whose the ring is, and only the main thread looks at it. While
 *    IDLE there is nothing in dp->ctx that knows of dp, and everything is the
 *    main thread's. While RUNNING and STOPPING the ring, the requests, their
 *    grants and the event channel are dp->ctx's, and the main thread does not
 *    touch them; it sets .drained and .sectors, schedules BHs, and that is all.
 *  - start() makes all of it, and the last thing that it does is to install the
 *    event channel's handler. Nothing but stop_bh(), in dp->ctx, takes that out
 *    again: so it is not running then, and does not run any more. (In a drained
 *    section it stays, and does nothing.)
 *  - stop_bh() also ends the taking of requests; of those on their way the last
 *    one to complete, or stop_bh() if there is none, schedules quiet_bh() as the
 *    last thing that is done in dp->ctx. That takes the ring down, in the main
 *    thread, and the dataplane is IDLE.
 *  - A front end that closes waits for that; QEMU does not. It does only where
 *    the disk or the guest is to go away: unplugging, reset and exit.
 *  - Nothing that runs in dp->ctx for the ring may poll: stop_bh() would be run
 *    within it. That is why the disk's size is here in .sectors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/defer-call.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "qemu/stats64.h"
#include "qapi/error.h"
#include "hw/block/dataplane/xen-block.h"
#include "hw/block/xen_blkif.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/xen.h"
#include "hw/xen/xen-block.h"
#include "system/block-backend.h"
#include "system/iothread.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "xenpv-platform.h"
#include "trace.h"

#define SEGS_PER_PAGE       (XEN_PAGE_SIZE / sizeof(struct blkif_request_segment))
/* 1 MiB, as virtio-blk's default */
#define MAX_INDIRECT_SEGS   256
/* Of a ring, as Xen's blkback has it: 32 requests of 32 segments and their list */
#define MAX_PERSISTENT_GRANTS   1056
/* Of so many segments requests are taken before others have their turn */
#define MAX_SEGS_AT_ONCE    8192
/* From so many in flight on, what is submitted at once goes as a batch */
#define BATCH_FROM          2

typedef enum Stage {
    STAGE_FLUSH_BEFORE,
    STAGE_DATA,
    STAGE_FLUSH_AFTER,
    STAGE_DONE,
} Stage;

/* Of a dataplane, see the top of this file */
typedef enum Phase {
    PHASE_IDLE,
    PHASE_RUNNING,
    PHASE_STOPPING,
} Phase;

/* A persistent grant: of a whole frame, in use as long as this is there */
typedef struct Grant {
    QTAILQ_ENTRY(Grant) next;           /* of those without users */
    uint8_t *data;
    uint32_t ref;
    unsigned users;                     /* segments of requests on their way */
    bool writable;
} Grant;

typedef struct Request {
    QTAILQ_ENTRY(Request) next;         /* of those that an error stopped */
    XenBlockDataPlane *dp;

    /* As in the ring */
    uint64_t id;
    uint8_t ring_op;
    uint8_t op;                         /* of an indirect one: what it does */
    uint64_t sector;
    uint64_t nr_sectors;                /* to discard */
    unsigned nr_segs;
    struct blkif_request_segment segs[MAX_INDIRECT_SEGS];

    Stage stage;
    int64_t offset;                     /* on the disk */
    uint64_t size;
    unsigned nr_mapped;                 /* of the segments */
    Grant **kept;                       /* theirs; NULL if not persistent */
    QEMUIOVector qiov;
    BlockAcctCookie acct;
} Request;

struct XenBlockDataPlane {
    XenDevice *xendev;
    BlockBackend *blk;
    unsigned sector_size;
    IOThread *iothread;
    AioContext *ctx;
    QEMUBH *ring_bh, *retry_bh, *stop_bh;   /* in ctx */
    QEMUBH *quiet_bh, *resize_bh;           /* in the main loop */
    VMChangeStateEntry *vm_change;

    XenEventChannel *channel;
    unsigned *ring_refs;
    unsigned nr_ring_refs;
    void *sring;
    unsigned protocol;
    size_t fields;                      /* where "id" is in a request */
    blkif_back_rings_t rings;

    bool persistent;                    /* both ends want it */
    GHashTable *grants;                 /* reference: Grant */
    QTAILQ_HEAD(, Grant) idle;          /* the least recently used first */

    bool running;                       /* requests are taken from the ring */
    bool stalled;                       /* the ring waits for a completion */
    bool barrier;                       /* one is in flight */
    unsigned in_flight;
    QTAILQ_HEAD(, Request) stopped;     /* to go on when the machine does */

    /* The main thread's: see the top */
    Phase phase;
    bool front_end_waits;               /* with a change of its state */
    bool front_end_closed;              /* or was, at one time since */
    unsigned waiting;                   /* stop()s that do */
    bool dying;
    unsigned refs;

    /* Of both */
    bool drained;                       /* the main thread sets it */
    bool quiet;                         /* quiet_bh() will come, or has */
    Stat64 sectors;                     /* likewise, of sector_size */
};

/* ------------------------------------------------------------------------- */
/* Persistent grants                                                          */

static void drop_grant(XenBlockDataPlane *dp, Grant *grant)
{
    QTAILQ_REMOVE(&dp->idle, grant, next);
    g_hash_table_remove(dp->grants, GUINT_TO_POINTER(grant->ref));
    trace_xenpv_block_grant_dropped(grant->ref,
                                    g_hash_table_size(dp->grants));
    xenpv_gnttab_release(grant->ref, grant->writable);
    g_free(grant);
}

/*
 * The first use of a grant in a ring. It is kept writable, if it is granted so,
 * even if it is only read now: the front end will use it for anything.
 */
static Grant *keep_grant(XenBlockDataPlane *dp, uint32_t ref, bool write)
{
    bool full = g_hash_table_size(dp->grants) == MAX_PERSISTENT_GRANTS;
    bool writable = true;
    uint8_t *data;
    Grant *grant;

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
    grant = g_new0(Grant, 1);
    grant->data = data;
    grant->ref = ref;
    grant->writable = writable;
    QTAILQ_INSERT_TAIL(&dp->idle, grant, next);
    g_hash_table_insert(dp->grants, GUINT_TO_POINTER(ref), grant);
    trace_xenpv_block_grant_kept(ref, writable, g_hash_table_size(dp->grants));
    return grant;
}

/* A grant that is kept, for one more user; NULL: it is not, or not for this */
static Grant *get_grant(XenBlockDataPlane *dp, uint32_t ref, bool write)
{
    Grant *grant;

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

static void put_grant(XenBlockDataPlane *dp, Grant *grant, bool written)
{
    if (written) {
        xenpv_gnttab_written(grant->ref);
    }
    if (!--grant->users) {
        QTAILQ_INSERT_TAIL(&dp->idle, grant, next);
    }
}

static void drop_all_grants(XenBlockDataPlane *dp)
{
    Grant *grant;

    while ((grant = QTAILQ_FIRST(&dp->idle))) {
        drop_grant(dp, grant);
    }
    assert(!g_hash_table_size(dp->grants));
}

/* ------------------------------------------------------------------------- */
/* Requests in the ring                                                       */

static const void *ring_request(XenBlockDataPlane *dp, RING_IDX i, size_t *size)
{
    switch (dp->protocol) {
    case BLKIF_PROTOCOL_X86_32:
        *size = sizeof(blkif_x86_32_request_t);
        return RING_GET_REQUEST(&dp->rings.x86_32_part, i);
    case BLKIF_PROTOCOL_X86_64:
        *size = sizeof(blkif_x86_64_request_t);
        return RING_GET_REQUEST(&dp->rings.x86_64_part, i);
    default:
        *size = sizeof(blkif_request_t);
        return RING_GET_REQUEST(&dp->rings.native, i);
    }
}

static void *ring_response(XenBlockDataPlane *dp, RING_IDX i)
{
    switch (dp->protocol) {
    case BLKIF_PROTOCOL_X86_32:
        return RING_GET_RESPONSE(&dp->rings.x86_32_part, i);
    case BLKIF_PROTOCOL_X86_64:
        return RING_GET_RESPONSE(&dp->rings.x86_64_part, i);
    default:
        return RING_GET_RESPONSE(&dp->rings.native, i);
    }
}

/* The descriptors of an indirect request, out of the pages that have them */
static bool get_indirect_segs(XenBlockDataPlane *dp, Request *req,
                              const uint8_t *grefs)
{
    XenDeviceGrantCopySegment copies[DIV_ROUND_UP(MAX_INDIRECT_SEGS,
                                                  SEGS_PER_PAGE)];
    Error *err = NULL;
    unsigned n = 0;

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(copies) > BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
    for (unsigned done = 0; done < req->nr_segs; grefs += 4) {
        unsigned here = MIN(req->nr_segs - done, SEGS_PER_PAGE);
        size_t len = here * sizeof(req->segs[0]);
        uint32_t ref = ldl_le_p(grefs);
        Grant *grant = get_grant(dp, ref, false);

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
    /* The front end may change what is in its pages, but not the copy */
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
 * What the ring's layouts have in common: after the first bytes come id,
 * sector and then, by the operation, segments, a number of sectors, or a
 * handle and the references of pages with segments.
 */
static const char *get_request(XenBlockDataPlane *dp, Request *req, RING_IDX i)
{
    uint8_t raw[sizeof(blkif_x86_64_request_t)];
    const uint8_t *p = raw + dp->fields;
    const void *shared;
    size_t size;

    QEMU_BUILD_BUG_ON(sizeof(raw) < sizeof(blkif_request_t));
    QEMU_BUILD_BUG_ON(sizeof(raw) < sizeof(blkif_x86_32_request_t));
    shared = ring_request(dp, i, &size);
    memcpy(raw, shared, size);
    /* The front end may change what is in the ring, but not this */
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
        if (!req->nr_segs || req->nr_segs > MAX_INDIRECT_SEGS) {
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

static const char bad_op[] = "operation";

/* What is wrong with a request, or NULL. From here on it has its size. */
static const char *check_request(XenBlockDataPlane *dp, Request *req)
{
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
        return bad_op;
    }
    if (req->op != BLKIF_OP_READ && !blk_is_writable(dp->blk)) {
        return "read-only";
    }
    for (unsigned i = 0; i < req->nr_segs; i++) {
        struct blkif_request_segment *seg = &req->segs[i];

        if (seg->first_sect > seg->last_sect ||
            seg->last_sect >= XEN_PAGE_SIZE / dp->sector_size) {
            return "segment";
        }
        req->size += (seg->last_sect - seg->first_sect + 1) * dp->sector_size;
    }
    if (req->op != BLKIF_OP_DISCARD) {
        req->nr_sectors = req->size / dp->sector_size;
    }
    if (req->nr_sectors &&
        (req->sector > sectors || req->nr_sectors > sectors - req->sector)) {
        return "beyond the end";
    }
    req->offset = req->nr_sectors ? req->sector * dp->sector_size : 0;
    return NULL;
}

static bool is_read(const Request *req)
{
    return req->op == BLKIF_OP_READ;
}

static void release_data(Request *req)
{
    for (unsigned i = 0; i < req->nr_mapped; i++) {
        if (req->kept && req->kept[i]) {
            put_grant(req->dp, req->kept[i], is_read(req));
        } else {
            xenpv_gnttab_release(req->segs[i].gref, is_read(req));
        }
    }
    g_free(req->kept);
    qemu_iovec_destroy(&req->qiov);
}

/* The data is where the guest has it, which the grants must allow */
static bool map_data(Request *req)
{
    XenBlockDataPlane *dp = req->dp;
    unsigned sector_size = dp->sector_size;

    qemu_iovec_init(&req->qiov, req->nr_segs);
    if (dp->persistent) {
        req->kept = g_new(Grant *, req->nr_segs);
    }
    for (unsigned i = 0; i < req->nr_segs; i++) {
        struct blkif_request_segment *seg = &req->segs[i];
        uint32_t len = (seg->last_sect - seg->first_sect + 1) * sector_size;
        uint32_t start = seg->first_sect * sector_size;
        Grant *grant = get_grant(dp, seg->gref, is_read(req));
        void *data = grant ? grant->data + start
                           : xenpv_gnttab_use(seg->gref, start, len,
                                              is_read(req));

        if (!data) {
            trace_xenpv_block_bad_request(req->id, req->op, "grant of data");
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
/* Requests on their way                                                      */

static Request *new_request(XenBlockDataPlane *dp)
{
    Request *req = g_new0(Request, 1);

    req->dp = dp;
    dp->in_flight++;
    return req;
}

/* One of those that stop waits for is gone: the last use of dp in its context */
static void put_in_flight(XenBlockDataPlane *dp)
{
    if (!--dp->in_flight && !dp->running) {
        qatomic_set(&dp->quiet, true);
        qemu_bh_schedule(dp->quiet_bh);
    }
}

static void free_request(Request *req)
{
    XenBlockDataPlane *dp = req->dp;

    g_free(req);
    put_in_flight(dp);
}

/* Answer, and forget the request */
static void complete(Request *req, int16_t status)
{
    XenBlockDataPlane *dp = req->dp;
    blkif_response_t *rsp = ring_response(dp, dp->rings.common.rsp_prod_pvt);
    Error *err = NULL;
    int notify;

    /* All layouts have these members at the same offsets */
    QEMU_BUILD_BUG_ON(offsetof(blkif_x86_32_response_t, status) !=
                      offsetof(blkif_response_t, status));
    trace_xenpv_block_complete(req->id, req->op, status);
    /* Before the guest may use it otherwise */
    release_data(req);
    rsp->id = req->id;
    rsp->operation = req->op;
    rsp->status = status;
    dp->rings.common.rsp_prod_pvt++;
    if (req->op == BLKIF_OP_WRITE_BARRIER) {
        dp->barrier = false;
    }
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&dp->rings.common, notify);
    if (notify) {
        xen_device_notify_event_channel(dp->xendev, dp->channel, &err);
        if (err) {
            /* The front end has closed its end */
            trace_xenpv_block_not_notified(error_get_pretty(err));
            error_free(err);
        }
    }
    if (dp->stalled) {
        qemu_bh_schedule(dp->ring_bh);
    }
    free_request(req);
}

static void next_stage(Request *req);

static enum BlockAcctType acct_type(Request *req)
{
    switch (req->op) {
    case BLKIF_OP_READ:
        return BLOCK_ACCT_READ;
    case BLKIF_OP_DISCARD:
        return BLOCK_ACCT_UNMAP;
    }
    return req->stage == STAGE_DATA ? BLOCK_ACCT_WRITE : BLOCK_ACCT_FLUSH;
}

/* rerror and werror: false if the request goes on as if all were well */
static bool handle_error(Request *req, int error)
{
    XenBlockDataPlane *dp = req->dp;
    BlockBackend *blk = dp->blk;
    BlockErrorAction action = blk_get_error_action(blk, is_read(req), error);

    if (action == BLOCK_ERROR_ACTION_STOP && !dp->running) {
        /* Nobody will be there to see how it went on */
        action = BLOCK_ERROR_ACTION_REPORT;
    }
    blk_error_action(blk, action, is_read(req), error);
    switch (action) {
    case BLOCK_ERROR_ACTION_STOP:
        block_acct_failed(blk_get_stats(blk), &req->acct);
        QTAILQ_INSERT_TAIL(&dp->stopped, req, next);
        break;
    case BLOCK_ERROR_ACTION_REPORT:
        block_acct_failed(blk_get_stats(blk), &req->acct);
        complete(req, BLKIF_RSP_ERROR);
        break;
    default:
        break;
    }
    return action != BLOCK_ERROR_ACTION_IGNORE;
}

static void stage_done(void *opaque, int ret)
{
    Request *req = opaque;

    if (ret < 0 && handle_error(req, -ret)) {
        return;
    }
    block_acct_done(blk_get_stats(req->dp->blk), &req->acct);
    req->stage++;
    next_stage(req);
}

/* A discard goes in pieces, as long as the block layer takes them at once */
static void discard_more(void *opaque, int ret)
{
    Request *req = opaque;
    XenBlockDataPlane *dp = req->dp;
    int64_t bytes = MIN(req->nr_sectors,
                        BDRV_REQUEST_MAX_BYTES / dp->sector_size) *
                    dp->sector_size;

    if (ret < 0 || !bytes || !dp->running) {
        stage_done(req, ret);
        return;
    }
    blk_aio_pdiscard(dp->blk, req->offset, bytes, discard_more, req);
    req->offset += bytes;
    req->nr_sectors -= bytes / dp->sector_size;
}

/* Begin the stage that the request is in */
static void next_stage(Request *req)
{
    XenBlockDataPlane *dp = req->dp;
    BlockBackend *blk = dp->blk;

    if (req->stage == STAGE_DATA &&
        !req->size && req->op != BLKIF_OP_DISCARD) {
        req->stage++;       /* nothing but a flush */
    }
    if (req->stage == STAGE_FLUSH_AFTER && req->op != BLKIF_OP_WRITE_BARRIER) {
        req->stage++;
    }
    if (req->stage == STAGE_DONE) {
        complete(req, BLKIF_RSP_OKAY);
        return;
    }
    if (!dp->running) {
        /* What has not begun does not begin any more */
        complete(req, BLKIF_RSP_ERROR);
        return;
    }
    block_acct_start(blk_get_stats(blk), &req->acct,
                     req->stage == STAGE_DATA ? req->size : 0, acct_type(req));
    if (req->stage != STAGE_DATA) {
        blk_aio_flush(blk, stage_done, req);
    } else if (req->op == BLKIF_OP_DISCARD) {
        discard_more(req, 0);
    } else if (req->op == BLKIF_OP_READ) {
        blk_aio_preadv(blk, req->offset, &req->qiov, 0, stage_done, req);
    } else {
        blk_aio_pwritev(blk, req->offset, &req->qiov, 0, stage_done, req);
    }
}

/* Its first stage */
static void submit(Request *req)
{
    if (req->size && !map_data(req)) {
        complete(req, BLKIF_RSP_ERROR);
        return;
    }
    next_stage(req);
}

static void reject(Request *req, const char *why)
{
    trace_xenpv_block_bad_request(req->id, req->op, why);
    if (req->ring_op != BLKIF_OP_DISCARD) {
        block_acct_invalid(blk_get_stats(req->dp->blk),
                           req->op == BLKIF_OP_READ ? BLOCK_ACCT_READ
                                                    : BLOCK_ACCT_WRITE);
    }
    if (req->op == BLKIF_OP_WRITE_BARRIER) {
        /* What complete() takes back */
        req->dp->barrier = true;
    }
    complete(req, why == bad_op ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
}

/* Take what is there from the ring: was there anything? */
static bool run_ring(XenBlockDataPlane *dp)
{
    unsigned segs = 0;
    RING_IDX cons, prod;
    bool batch, any = false;
    int more;

    if (!dp->running || qatomic_read(&dp->drained)) {
        return false;
    }
    cons = dp->rings.common.req_cons;
    prod = qatomic_read(&dp->rings.common.sring->req_prod);
    batch = dp->in_flight >= BATCH_FROM || prod - cons >= BATCH_FROM;
    /* The requests were there before the index said so */
    xen_rmb();
    if (RING_REQUEST_PROD_OVERFLOW(&dp->rings.common, prod)) {
        trace_xenpv_block_ring_overflow(prod);
        return false;
    }
    if (batch) {
        defer_call_begin();
    }
    while (cons != prod && !dp->barrier && segs < MAX_SEGS_AT_ONCE &&
           !RING_REQUEST_CONS_OVERFLOW(&dp->rings.common, cons)) {
        Request *req = new_request(dp);
        const char *why;

        why = get_request(dp, req, cons);
        if (req->ring_op == BLKIF_OP_WRITE_BARRIER && dp->in_flight > 1) {
            /* It comes again when all before it are done */
            free_request(req);
            break;
        }
        dp->rings.common.req_cons = ++cons;
        any = true;
        segs += 1 + req->nr_segs;
        why = why ?: check_request(dp, req);
        trace_xenpv_block_request(req->id, req->op, req->sector, req->size,
                                  req->nr_segs);
        if (why) {
            reject(req, why);
            continue;
        }
        if (req->op == BLKIF_OP_WRITE_BARRIER) {
            dp->barrier = true;
        }
        submit(req);
    }
    if (batch) {
        defer_call_end();
    }
    dp->stalled = cons != prod;
    more = segs >= MAX_SEGS_AT_ONCE;
    if (!dp->stalled) {
        /* From here on the front end tells when there is more */
        RING_FINAL_CHECK_FOR_REQUESTS(&dp->rings.common, more);
    }
    if (more) {
        qemu_bh_schedule(dp->ring_bh);
    }
    return any;
}

static void ring_bh(void *opaque)
{
    run_ring(opaque);
}

static bool ring_event(void *opaque)
{
    return run_ring(opaque);
}

/* What an error has stopped is tried once more */
static void retry_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    Request *req;

    /* One that fails again comes back later, not at once */
    while ((req = QTAILQ_FIRST(&dp->stopped))) {
        QTAILQ_REMOVE(&dp->stopped, req, next);
        trace_xenpv_block_retry(req->id, req->op);
        next_stage(req);
    }
}

/* The end of it in dp->ctx, but for what is on its way */
static void stop_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    Request *req;

    trace_xenpv_block_stop(dp->in_flight);
    dp->in_flight++;
    dp->stalled = false;        /* or complete() would schedule ring_bh() */
    qatomic_set(&dp->running, false);
    xen_device_set_event_channel_context(dp->xendev, dp->channel, NULL,
                                         &error_abort);
    qemu_bh_cancel(dp->ring_bh);
    qemu_bh_cancel(dp->retry_bh);
    while ((req = QTAILQ_FIRST(&dp->stopped))) {
        QTAILQ_REMOVE(&dp->stopped, req, next);
        release_data(req);
        free_request(req);
    }
    aio_wait_kick();
    put_in_flight(dp);
}

/* ------------------------------------------------------------------------- */
/* Start and stop                                                             */

static void take_down(XenBlockDataPlane *dp)
{
    dp->phase = PHASE_IDLE;
    dp->barrier = false;
    drop_all_grants(dp);
    if (dp->channel) {
        xen_device_unbind_event_channel(dp->xendev, dp->channel, NULL);
        dp->channel = NULL;
    }
    if (dp->sring) {
        xen_device_unmap_grant_refs(dp->xendev, dp->sring, dp->ring_refs,
                                    dp->nr_ring_refs, NULL);
        dp->sring = NULL;
    }
    g_free(dp->ring_refs);
    dp->ring_refs = NULL;
}

static void front_end_changed(XenBlockDataPlane *dp, enum xenbus_state state)
{
    XenDevice *xendev = dp->xendev;
    Error *err = NULL;

    XEN_DEVICE_GET_CLASS(xendev)->frontend_changed(xendev, state, &err);
    if (err) {
        error_reportf_err(err, "frontend change error: ");
    }
}

/* What the front end asked for while its last requests were on their way */
static void serve_front_end(XenBlockDataPlane *dp)
{
    enum xenbus_state state = dp->xendev->frontend_state;
    bool closed = dp->front_end_closed;

    dp->front_end_waits = false;
    dp->front_end_closed = false;
    if (closed) {
        front_end_changed(dp, XenbusStateClosed);
    }
    if (state == XenbusStateInitialising) {
        /* As xen-bus.c does, if the back end is closed by then */
        if (dp->xendev->backend_online &&
            xen_device_backend_get_state(dp->xendev) == XenbusStateClosed) {
            xen_device_backend_set_state(dp->xendev, XenbusStateInitWait);
        }
    } else if (state != XenbusStateClosed && state != XenbusStateUnknown) {
        front_end_changed(dp, state);
    }
}

/* Nothing of the ring is on its way any more, or somebody has waited for that */
static void quiet_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;

    if (dp->phase == PHASE_STOPPING && dp->quiet) {
        trace_xenpv_block_quiet();
        take_down(dp);
    }
    if (dp->phase == PHASE_IDLE && dp->front_end_waits && !dp->waiting &&
        !dp->dying) {
        serve_front_end(dp);
    }
}

static void begin_stop(XenBlockDataPlane *dp)
{
    if (dp->phase == PHASE_RUNNING) {
        dp->phase = PHASE_STOPPING;
        qemu_bh_schedule(dp->stop_bh);
    }
}

static void unref(XenBlockDataPlane *dp)
{
    if (--dp->refs) {
        return;
    }
    if (dp->iothread) {
        object_unref(OBJECT(dp->iothread));
    }
    blk_unref(dp->blk);
    g_hash_table_destroy(dp->grants);
    g_free(dp);
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    XenBlockDataPlane *dp = opaque;

    if (running && dp->phase == PHASE_RUNNING) {
        qemu_bh_schedule(dp->retry_bh);
    }
}

static void set_sectors(XenBlockDataPlane *dp)
{
    int64_t length = blk_getlength(dp->blk);

    stat64_set(&dp->sectors, length < 0 ? 0 : length / dp->sector_size);
}

/* As blkback does it: the state, written once more, makes the front end look */
static void resize_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;

    set_sectors(dp);
    xen_device_backend_printf(dp->xendev, "sectors", "%" PRIu64,
                              stat64_get(&dp->sectors));
    xen_device_backend_printf(dp->xendev, "state", "%u",
                              xen_device_backend_get_state(dp->xendev));
}

/* The guest's memory will be another's, so nothing may be on its way to it */
static void reset(void *opaque)
{
    XenBlockDataPlane *dp = opaque;

    xen_block_dataplane_stop(dp);
    dp->front_end_waits = false;
    dp->front_end_closed = false;
}

/* ------------------------------------------------------------------------- */
/* For xen-block.c                                                            */

XenBlockDataPlane *xen_block_dataplane_create(XenDevice *xendev,
                                              BlockBackend *blk,
                                              unsigned int sector_size,
                                              IOThread *iothread)
{
    XenBlockDataPlane *dp = g_new0(XenBlockDataPlane, 1);

    dp->xendev = xendev;
    dp->refs = 1;
    dp->blk = blk;
    blk_ref(blk);
    dp->sector_size = sector_size;
    dp->grants = g_hash_table_new(NULL, NULL);
    QTAILQ_INIT(&dp->idle);
    QTAILQ_INIT(&dp->stopped);
    if (iothread) {
        dp->iothread = iothread;
        object_ref(OBJECT(iothread));
        dp->ctx = iothread_get_aio_context(iothread);
        /* A node that others keep elsewhere can be used from here, too */
        blk_set_aio_context(blk, dp->ctx, NULL);
    } else {
        dp->ctx = qemu_get_aio_context();
    }
    set_sectors(dp);
    dp->ring_bh = aio_bh_new_guarded(dp->ctx, ring_bh, dp,
                                     &DEVICE(xendev)->mem_reentrancy_guard);
    dp->retry_bh = aio_bh_new(dp->ctx, retry_bh, dp);
    dp->stop_bh = aio_bh_new(dp->ctx, stop_bh, dp);
    dp->quiet_bh = qemu_bh_new(quiet_bh, dp);
    dp->resize_bh = qemu_bh_new(resize_bh, dp);
    qemu_register_reset(reset, dp);
    /* query-block tells what rerror and werror have stopped */
    blk_iostatus_enable(blk);
    dp->vm_change = qdev_add_vm_change_state_handler(DEVICE(xendev),
                                                     vm_state_changed, dp);
    xen_device_backend_printf(xendev, "feature-max-indirect-segments", "%u",
                              MAX_INDIRECT_SEGS);
    xen_device_backend_printf(xendev, "feature-barrier", "%u", 1);
    if (XEN_BLOCK_DEVICE(xendev)->props.feature_persistent) {
        xen_device_backend_printf(xendev, "feature-persistent", "%u", 1);
    }
    return dp;
}

void xen_block_dataplane_destroy(XenBlockDataPlane *dp)
{
    if (!dp) {
        return;
    }
    dp->dying = true;
    xen_block_dataplane_stop(dp);
    qemu_unregister_reset(reset, dp);
    qemu_del_vm_change_state_handler(dp->vm_change);
    /* Who calls these from another thread is done when that has drained it */
    blk_set_dev_ops(dp->blk, NULL, NULL);
    blk_drain(dp->blk);
    /* The IOThread may go, and the node stay; unless others keep it there */
    blk_set_aio_context(dp->blk, qemu_get_aio_context(), NULL);
    qemu_bh_delete(dp->ring_bh);
    qemu_bh_delete(dp->retry_bh);
    qemu_bh_delete(dp->stop_bh);
    qemu_bh_delete(dp->quiet_bh);
    qemu_bh_delete(dp->resize_bh);
    unref(dp);
}

/* The beginning of a drained section. The handler stays where it is. */
void xen_block_dataplane_detach(XenBlockDataPlane *dp)
{
    if (dp) {
        qatomic_set(&dp->drained, true);
    }
}

/* The end: what the front end has told in the meantime is looked at now */
void xen_block_dataplane_attach(XenBlockDataPlane *dp)
{
    if (dp) {
        qatomic_set(&dp->drained, false);
        if (dp->phase == PHASE_RUNNING) {
            qemu_bh_schedule(dp->ring_bh);
        }
    }
}

void xen_block_dataplane_resized(XenBlockDataPlane *dp)
{
    if (dp) {
        qemu_bh_schedule(dp->resize_bh);
    }
}

bool xen_block_dataplane_try_stop(XenBlockDataPlane *dp)
{
    enum xenbus_state state;

    if (!dp || (dp->phase == PHASE_IDLE && !dp->waiting)) {
        return true;
    }
    begin_stop(dp);
    state = dp->xendev->frontend_state;
    dp->front_end_waits = true;
    dp->front_end_closed |= state == XenbusStateClosed ||
                            state == XenbusStateUnknown;
    return false;
}

void xen_block_dataplane_stop(XenBlockDataPlane *dp)
{
    if (!dp || dp->phase == PHASE_IDLE) {
        return;
    }
    /* What runs while this waits may unplug the disk, but not start it again */
    dp->refs++;
    dp->waiting++;
    begin_stop(dp);
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&dp->running));
    while (dp->phase != PHASE_IDLE) {
        /* This does not wait for throttling, which is off in such a section */
        blk_drain(dp->blk);
        /* Then there is quiet_bh(), or somebody else's section has to end */
        AIO_WAIT_WHILE_UNLOCKED(NULL, dp->phase != PHASE_IDLE &&
                                      (qatomic_read(&dp->quiet) ||
                                       blk_in_drain(dp->blk)));
    }
    if (!--dp->waiting && dp->front_end_waits && !dp->dying) {
        qemu_bh_schedule(dp->quiet_bh);
    }
    unref(dp);
}

void xen_block_dataplane_start(XenBlockDataPlane *dp,
                               const unsigned int ring_ref[],
                               unsigned int nr_ring_ref,
                               unsigned int event_channel,
                               unsigned int protocol,
                               Error **errp)
{
    size_t size = (size_t)nr_ring_ref * XEN_PAGE_SIZE;
    unsigned persistent;
    ERRP_GUARD();

    if (dp->phase != PHASE_IDLE || dp->dying) {
        error_setg(errp, dp->dying ? "the disk is being unplugged"
                                   : "the ring is connected already");
        return;
    }
    dp->ring_refs = g_memdup2(ring_ref, nr_ring_ref * sizeof(*ring_ref));
    dp->nr_ring_refs = nr_ring_ref;
    dp->protocol = protocol;
    dp->persistent = XEN_BLOCK_DEVICE(dp->xendev)->props.feature_persistent &&
        xen_device_frontend_scanf(dp->xendev, "feature-persistent", "%u",
                                  &persistent) == 1 && persistent;

    xen_device_set_max_grant_refs(dp->xendev, nr_ring_ref, errp);
    if (*errp) {
        goto fail;
    }
    dp->sring = xen_device_map_grant_refs(dp->xendev, dp->ring_refs,
                                          nr_ring_ref, PROT_READ | PROT_WRITE,
                                          errp);
    if (*errp) {
        goto fail;
    }
    switch (protocol) {
    case BLKIF_PROTOCOL_X86_32:
        BACK_RING_INIT(&dp->rings.x86_32_part,
                       (blkif_x86_32_sring_t *)dp->sring, size);
        dp->fields = offsetof(blkif_x86_32_request_t, id);
        break;
    case BLKIF_PROTOCOL_X86_64:
        BACK_RING_INIT(&dp->rings.x86_64_part,
                       (blkif_x86_64_sring_t *)dp->sring, size);
        dp->fields = offsetof(blkif_x86_64_request_t, id);
        break;
    default:
        BACK_RING_INIT(&dp->rings.native, (blkif_sring_t *)dp->sring, size);
        dp->fields = offsetof(blkif_request_t, id);
        break;
    }
    dp->channel = xen_device_bind_event_channel(dp->xendev, event_channel,
                                                ring_event, dp, errp);
    if (*errp) {
        goto fail;
    }
    /*
     * It is dp->ctx's when the handler is there, which has to look once by
     * itself: what binding to the channel has sent may be lost on the way.
     */
    dp->phase = PHASE_RUNNING;
    dp->quiet = false;
    dp->stalled = false;
    dp->running = true;
    xen_device_set_event_channel_context(dp->xendev, dp->channel, dp->ctx,
                                         &error_abort);
    qemu_bh_schedule(dp->ring_bh);
    return;

fail:
    take_down(dp);
}
