/*
 * The data plane of xen-disk and xen-cdrom: from the rings to the block layer
 *
 * This replaces hw/block/dataplane/xen-block.c and has its interface. It adds
 * what that one lacks: indirect descriptors, so that one request carries more
 * than 44 KiB; write barriers, which old front ends want; rerror and werror;
 * several rings; and guest errors that are traced and not printed. What
 * requests mean is in xenpv-blkif.c, and how rings are connected in
 * xenpv-block-connect.c.
 *
 * Threads. A dataplane has an AioContext, dp->ctx: its IOThread's, or else the
 * main loop's. xen-block.c calls this file in the main thread with the BQL
 * held.
 *
 *  - .phase says which thread owns the rings; only the main thread looks at it.
 *    While IDLE, nothing in dp->ctx knows dp, and the main thread owns it all.
 *    While RUNNING and STOPPING, dp->ctx owns the rings, the requests, their
 *    grants and the event channels. The main thread does not touch them then;
 *    it only sets .drained, .paused and .sectors, and schedules BHs.
 *  - start() makes all rings and then, as its last step, installs the event
 *    channels' handlers. From the first one on, dp->ctx owns all that a handler
 *    uses; the main thread still has the channels without a handler.
 *  - Only stop_bh() removes the handlers, all at once, in dp->ctx: so none is
 *    running at that time, and none runs later. (In a drained section they stay
 *    and do nothing.) The array of rings is not moved or freed until IDLE.
 *  - All rings of a disk are served in dp->ctx. So what they share, such as the
 *    persistent grants, needs no lock. One thread is enough: a disk's speed is
 *    limited by the guest's lock for each ring, and not by this thread.
 *  - stop_bh() also stops the taking of requests. The last request in flight to
 *    complete, or stop_bh() if there is none, schedules quiet_bh(); that is the
 *    last use of dp in dp->ctx. quiet_bh() disconnects the rings, in the main
 *    thread, and the dataplane is IDLE.
 *  - A front end that closes waits until the dataplane is IDLE, but QEMU does
 *    not. QEMU waits for it only when the disk or the guest goes away: at
 *    unplug, reset, wake-up and exit.
 *  - Nothing that runs in dp->ctx for a ring may poll, as stop_bh() could run
 *    within it. That is why .sectors has a copy of the disk's size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/defer-call.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/xen/xen-block.h"
#include "migration/vmstate.h"
#include "hw/xenpv/xenpv-messages.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "xenpv-blkif.h"
#include "xenpv-platform.h"
#include "trace.h"

/*
 * How long a disk's requests are taken, or retried, before other work has its
 * turn. The event handler of each ring takes at most that ring's share of it.
 */
#define PASS_NS             (1 * SCALE_MS)
/*
 * Requests of a disk that are in flight at a time, with those that an error has
 * stopped. Its rings may hold many times as many. Each is a coroutine, whose
 * stack takes two memory mappings. Linux gives a process at most 65530, and
 * QEMU aborts when it does not get one.
 */
#define MAX_IN_FLIGHT       512
/* Sectors in one piece of a discard: a multiple of any block size */
#define MAX_DISCARD         (1 * GiB / XEN_BLKIF_SECTOR_SIZE)
/* With so many requests or more, they are submitted in batches */
#define BATCH_FROM          2

/* ------------------------------------------------------------------------- */
/* Requests in flight                                                         */

static BlkifRequest *new_request(BlkifRing *ring)
{
    BlkifRequest *req = g_new0(BlkifRequest, 1);

    req->ring = ring;
    ring->in_flight++;
    ring->dp->in_flight++;
    return req;
}

/* When dp is being stopped, this may be the last use of dp in dp->ctx */
static void put_in_flight(XenBlockDataPlane *dp)
{
    if (!--dp->in_flight && !dp->running) {
        qatomic_set(&dp->quiet, true);
        qemu_bh_schedule(dp->quiet_bh);
    }
}

static void free_request(BlkifRequest *req)
{
    XenBlockDataPlane *dp = req->ring->dp;

    req->ring->in_flight--;
    g_free(req);
    put_in_flight(dp);
}

/* Answer the request, and free it */
static void complete(BlkifRequest *req, int16_t status)
{
    BlkifRing *ring = req->ring;
    XenBlockDataPlane *dp = ring->dp;
    blkif_x86_32_response_t *rsp =
        (void *)xenpv_blkif_response(ring, ring->back.common.rsp_prod_pvt);
    Error *err = NULL;
    int notify;

    /*
     * All layouts have these members at the same offsets. The 32-bit one is
     * right for all, as it needs an alignment of only four bytes.
     */
    QEMU_BUILD_BUG_ON(offsetof(blkif_x86_32_response_t, status) !=
                      offsetof(blkif_response_t, status));
    trace_xenpv_block_complete(ring->nr, req->id, req->op, status);
    /* Before the guest gets the answer and may reuse the memory */
    xenpv_blkif_release_data(req);
    rsp->id = req->id;
    rsp->operation = req->op;
    rsp->status = status;
    ring->back.common.rsp_prod_pvt++;
    if (req->op == BLKIF_OP_WRITE_BARRIER) {
        ring->barrier = false;
    }
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring->back.common, notify);
    if (notify) {
        xen_device_notify_event_channel(dp->xendev, ring->channel, &err);
        if (err) {
            /* The front end has closed its end */
            trace_xenpv_block_not_notified(error_get_pretty(err));
            error_free(err);
        }
    }
    if (dp->nr_stalled) {
        qemu_bh_schedule(dp->ring_bh);
    }
    free_request(req);
}

static void next_stage(BlkifRequest *req);

static enum BlockAcctType acct_type(BlkifRequest *req)
{
    switch (req->op) {
    case BLKIF_OP_READ:
        return BLOCK_ACCT_READ;
    case BLKIF_OP_DISCARD:
        return BLOCK_ACCT_UNMAP;
    }
    return req->stage == STAGE_DATA ? BLOCK_ACCT_WRITE : BLOCK_ACCT_FLUSH;
}

/* Apply rerror or werror. False: the error is ignored, the request goes on. */
static bool handle_error(BlkifRequest *req, int error)
{
    XenBlockDataPlane *dp = req->ring->dp;
    BlockBackend *blk = dp->blk;
    bool read = xenpv_blkif_is_read(req);
    BlockErrorAction action = blk_get_error_action(blk, read, error);

    if (action == BLOCK_ERROR_ACTION_STOP && !dp->running) {
        /* The rings are being stopped: nobody would retry it */
        action = BLOCK_ERROR_ACTION_REPORT;
    }
    blk_error_action(blk, action, read, error);
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
    BlkifRequest *req = opaque;

    if (ret < 0 && handle_error(req, -ret)) {
        return;
    }
    block_acct_done(blk_get_stats(req->ring->dp->blk), &req->acct);
    req->stage++;
    next_stage(req);
}

/* Discard the next piece. The block layer calls this when one is done. */
static void discard_more(void *opaque, int ret)
{
    BlkifRequest *req = opaque;
    XenBlockDataPlane *dp = req->ring->dp;
    int64_t bytes = MIN(req->nr_sectors, MAX_DISCARD) * XEN_BLKIF_SECTOR_SIZE;

    if (ret < 0 || !bytes || !dp->running) {
        stage_done(req, ret);
        return;
    }
    blk_aio_pdiscard(dp->blk, req->offset, bytes, discard_more, req);
    req->offset += bytes;
    req->nr_sectors -= bytes / XEN_BLKIF_SECTOR_SIZE;
}

/* Begin the stage that the request is in */
static void next_stage(BlkifRequest *req)
{
    XenBlockDataPlane *dp = req->ring->dp;
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
        /* The rings are being stopped: begin no further stage */
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

/* Begin the first stage of a new request */
static void submit(BlkifRequest *req)
{
    if (req->size && !xenpv_blkif_map_data(req)) {
        complete(req, BLKIF_RSP_ERROR);
        return;
    }
    next_stage(req);
}

static bool is_late(int64_t deadline)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= deadline;
}

static void reject(BlkifRequest *req, const char *why)
{
    trace_xenpv_block_bad_request(req->ring->nr, req->id, req->op, why);
    if (req->ring_op != BLKIF_OP_DISCARD) {
        block_acct_invalid(blk_get_stats(req->ring->dp->blk),
                           req->op == BLKIF_OP_READ ? BLOCK_ACCT_READ
                                                    : BLOCK_ACCT_WRITE);
    }
    if (req->op == BLKIF_OP_WRITE_BARRIER) {
        /* complete() clears it */
        req->ring->barrier = true;
    }
    complete(req, why == xenpv_blkif_bad_op ? BLKIF_RSP_EOPNOTSUPP
                                            : BLKIF_RSP_ERROR);
}

static void set_stalled(BlkifRing *ring, bool stalled)
{
    ring->dp->nr_stalled += stalled - ring->stalled;
    ring->stalled = stalled;
}

/* Take requests from a ring until the deadline. Returns whether it took any. */
static bool run_ring(BlkifRing *ring, int64_t deadline)
{
    XenBlockDataPlane *dp = ring->dp;
    RING_IDX cons, prod;
    bool batch, any = false, late = false;
    int more;

    if (!dp->running || qatomic_read(&dp->drained) ||
        qatomic_read(&dp->paused)) {
        return false;
    }
    cons = ring->back.common.req_cons;
    prod = qatomic_read(&ring->back.common.sring->req_prod);
    batch = dp->in_flight >= BATCH_FROM || prod - cons >= BATCH_FROM;
    /* Read the requests only after the index that covers them */
    xen_rmb();
    if (RING_REQUEST_PROD_OVERFLOW(&ring->back.common, prod)) {
        trace_xenpv_block_ring_overflow(ring->nr, prod);
        return false;
    }
    if (batch) {
        defer_call_begin();
    }
    while (cons != prod && !ring->barrier && !late &&
           dp->in_flight < MAX_IN_FLIGHT &&
           !RING_REQUEST_CONS_OVERFLOW(&ring->back.common, cons)) {
        BlkifRequest *req = new_request(ring);
        const char *why;

        why = xenpv_blkif_get_request(req, cons);
        if (req->ring_op == BLKIF_OP_WRITE_BARRIER && ring->in_flight > 1) {
            /* It is taken later, when all before it in this ring are done */
            free_request(req);
            break;
        }
        ring->back.common.req_cons = ++cons;
        any = true;
        why = why ?: xenpv_blkif_check_request(req);
        trace_xenpv_block_request(ring->nr, req->id, req->op, req->sector,
                                  req->size, req->nr_segs);
        if (why) {
            reject(req, why);
        } else {
            ring->barrier = req->op == BLKIF_OP_WRITE_BARRIER;
            submit(req);
        }
        late = is_late(deadline);
    }
    if (batch) {
        defer_call_end();
    }
    set_stalled(ring, cons != prod);
    more = late;
    if (!ring->stalled) {
        /* Ask the front end for an event when there is more */
        RING_FINAL_CHECK_FOR_REQUESTS(&ring->back.common, more);
    }
    if (more) {
        qemu_bh_schedule(dp->ring_bh);
    }
    return any;
}

/*
 * Serve all rings in turn until the deadline. Each turn takes at least one
 * request if it can, so no turn begins after the deadline. Each time another
 * ring is the first: else one that is always full would use up MAX_IN_FLIGHT
 * for itself.
 */
static void ring_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    int64_t deadline = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + PASS_NS;
    unsigned first = dp->first_ring++;

    for (unsigned i = 0; i < dp->nr_rings; i++) {
        run_ring(&dp->rings[(first + i) % dp->nr_rings], deadline);
        if (is_late(deadline)) {
            dp->first_ring = first + i + 1;
            qemu_bh_schedule(dp->ring_bh);
            break;
        }
    }
}

static bool ring_event(void *opaque)
{
    BlkifRing *ring = opaque;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);

    /* stop_bh() clears this and removes the handler in one go */
    assert(ring->dp->running);
    return run_ring(ring, now + PASS_NS / ring->dp->nr_rings);
}

/* Try the requests again that an error has stopped */
static void retry_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    int64_t deadline = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + PASS_NS;
    BlkifRequest *req;

    /*
     * A request that fails again comes back to the list later, not while this
     * loop runs. If the machine stops meanwhile, the rest wait for it to go on.
     */
    while (!qatomic_read(&dp->paused) &&
           (req = QTAILQ_FIRST(&dp->stopped))) {
        if (is_late(deadline)) {
            qemu_bh_schedule(dp->retry_bh);
            break;
        }
        QTAILQ_REMOVE(&dp->stopped, req, next);
        trace_xenpv_block_retry(req->ring->nr, req->id, req->op);
        next_stage(req);
    }
}

/* Ends all that dp does in dp->ctx, except for the requests in flight */
static void stop_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    BlkifRequest *req;

    trace_xenpv_block_stop(dp->in_flight);
    dp->in_flight++;
    dp->nr_stalled = 0;         /* else complete() would schedule ring_bh() */
    qatomic_set(&dp->running, false);
    for (unsigned i = 0; i < dp->nr_rings; i++) {
        xen_device_set_event_channel_context(dp->xendev, dp->rings[i].channel,
                                             NULL, &error_abort);
    }
    qemu_bh_cancel(dp->ring_bh);
    qemu_bh_cancel(dp->retry_bh);
    while ((req = QTAILQ_FIRST(&dp->stopped))) {
        QTAILQ_REMOVE(&dp->stopped, req, next);
        xenpv_blkif_release_data(req);
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
    xenpv_blkif_drop_all_grants(dp);
    xenpv_block_disconnect(dp);
}

static void front_end_changed(XenBlockDataPlane *dp, enum xenbus_state state)
{
    XenDevice *xendev = dp->xendev;
    Error *err = NULL;

    XEN_DEVICE_GET_CLASS(xendev)->frontend_changed(xendev, state, &err);
    if (err) {
        error_prepend(&err, "frontend change error: ");
        xenpv_guest_error_err(err);
    }
}

/* Act on the state changes that came while the last requests were in flight */
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
        /* As xen-bus.c does if the back end is closed already */
        if (dp->xendev->backend_online &&
            xen_device_backend_get_state(dp->xendev) == XenbusStateClosed) {
            xen_device_backend_set_state(dp->xendev, XenbusStateInitWait);
        }
    } else if (state != XenbusStateClosed && state != XenbusStateUnknown) {
        front_end_changed(dp, state);
    }
}

/* Runs when nothing is in flight any more, and at the end of a stop() */
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

static void nothing(void *opaque)
{
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    XenBlockDataPlane *dp = opaque;

    /*
     * From here on no request is taken from the rings. QEMU then drains those
     * in flight, so that the disk of a stopped machine is at rest.
     */
    qatomic_set(&dp->paused, !running);
    if (!running && dp->iothread) {
        /* After this, whatever ran in dp->ctx without seeing it is done */
        aio_wait_bh_oneshot(dp->ctx, nothing, NULL);
    }
    if (running && dp->phase == PHASE_RUNNING) {
        qemu_bh_schedule(dp->retry_bh);
        qemu_bh_schedule(dp->ring_bh);
    }
}

/* ------------------------------------------------------------------------- */
/*
 * Migration. The disk of a stopped machine is at rest, and the rings in guest
 * memory have all its state, except for the requests that an error has stopped:
 * they have left their ring, have no answer yet, and go on with the machine.
 */

static void drop_loaded(XenBlockDataPlane *dp)
{
    g_clear_pointer(&dp->loaded, g_free);
    dp->nr_loaded = 0;
    dp->all_loaded = false;
}

/* The machine is stopped, so nobody changes the list */
static int block_pre_save(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    BlkifRequest *req;

    drop_loaded(dp);
    QTAILQ_FOREACH(req, &dp->stopped, next) {
        dp->nr_loaded++;
    }
    dp->loaded = g_new0(BlkifRequest, dp->nr_loaded);
    dp->nr_loaded = 0;
    QTAILQ_FOREACH(req, &dp->stopped, next) {
        BlkifRequest *copy = &dp->loaded[dp->nr_loaded++];

        *copy = *req;
        copy->ring_nr = req->ring->nr;
        if (req->op == BLKIF_OP_DISCARD) {
            /* The part that is not discarded yet */
            copy->sector = req->offset / XEN_BLKIF_SECTOR_SIZE;
        }
    }
    return 0;
}

static XenPVPostSave block_post_save(void *opaque)
{
    drop_loaded(opaque);
    return XENPV_POST_SAVED;
}

static int block_pre_load(void *opaque)
{
    drop_loaded(opaque);
    return 0;
}

static int block_post_load(void *opaque, int version_id)
{
    XenBlockDataPlane *dp = opaque;

    dp->all_loaded = true;
    return 0;
}

static bool loaded_fit(void *opaque, int version_id)
{
    XenBlockDataPlane *dp = opaque;

    return dp->nr_loaded >= 0 && dp->nr_loaded <= MAX_IN_FLIGHT;
}

static const VMStateDescription vmstate_block = {
    .name = "xenpv-block",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = block_pre_save,
    .post_save = block_post_save,
    .pre_load = block_pre_load,
    .post_load = block_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(nr_loaded, XenBlockDataPlane),
        VMSTATE_VALIDATE("the number of requests", loaded_fit),
        VMSTATE_STRUCT_VARRAY_ALLOC(loaded, XenBlockDataPlane, nr_loaded, 1,
                                    vmstate_xenpv_blkif_request, BlkifRequest),
        VMSTATE_END_OF_LIST()
    }
};

/* Put the requests that came in the stream into .stopped, as at the source */
static void take_loaded(XenBlockDataPlane *dp)
{
    for (int32_t i = 0; dp->all_loaded && i < dp->nr_loaded; i++) {
        BlkifRequest *from = &dp->loaded[i];
        BlkifRing *ring = &dp->rings[from->ring_nr];
        BlkifRequest *req = new_request(ring);
        const char *why;

        req->id = from->id;
        req->ring_op = from->ring_op;
        req->op = from->op;
        req->sector = from->sector;
        req->nr_sectors = from->nr_sectors;
        req->nr_segs = from->nr_segs;
        memcpy(req->segs, from->segs, sizeof(req->segs));
        ring->back.common.req_cons++;
        why = xenpv_blkif_check_request(req);
        if (why) {
            reject(req, why);
            continue;
        }
        if (req->op == BLKIF_OP_WRITE_BARRIER) {
            ring->barrier = true;
        }
        if (req->size && !xenpv_blkif_map_data(req)) {
            complete(req, BLKIF_RSP_ERROR);
            continue;
        }
        QTAILQ_INSERT_TAIL(&dp->stopped, req, next);
    }
    drop_loaded(dp);
}

/* ------------------------------------------------------------------------- */

static void set_sectors(XenBlockDataPlane *dp)
{
    int64_t length = blk_getlength(dp->blk);

    stat64_set(&dp->sectors,
               length < 0 ? 0 : length / XEN_BLKIF_SECTOR_SIZE);
}

/* As in blkback: writing the state again makes the front end read the size */
static void resize_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;

    set_sectors(dp);
    xenpv_block_write_params(dp->xendev, dp->blk);
    xen_device_backend_printf(dp->xendev, "sectors", "%" PRIu64,
                              stat64_get(&dp->sectors));
    xen_device_backend_printf(dp->xendev, "state", "%u",
                              xen_device_backend_get_state(dp->xendev));
}

void xenpv_block_reset(void *opaque)
{
    XenBlockDataPlane *dp = opaque;

    xen_block_dataplane_stop(dp);
    drop_loaded(dp);
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
    dp->block_size = sector_size;
    dp->grants = g_hash_table_new(NULL, NULL);
    QTAILQ_INIT(&dp->idle);
    QTAILQ_INIT(&dp->stopped);
    if (iothread) {
        dp->iothread = iothread;
        object_ref(OBJECT(iothread));
        dp->ctx = iothread_get_aio_context(iothread);
        /* If others keep the node in another context, it can still be used */
        blk_set_aio_context(blk, dp->ctx, NULL);
    } else {
        dp->ctx = qemu_get_aio_context();
    }
    set_sectors(dp);
    dp->paused = !runstate_is_running();
    dp->ring_bh = aio_bh_new_guarded(dp->ctx, ring_bh, dp,
                                     &DEVICE(xendev)->mem_reentrancy_guard);
    dp->retry_bh = aio_bh_new(dp->ctx, retry_bh, dp);
    dp->stop_bh = aio_bh_new(dp->ctx, stop_bh, dp);
    dp->quiet_bh = qemu_bh_new(quiet_bh, dp);
    dp->resize_bh = qemu_bh_new(resize_bh, dp);
    qemu_register_reset(xenpv_block_reset, dp);
    /* So that query-block shows that rerror or werror has stopped something */
    blk_iostatus_enable(blk);
    dp->vm_change = xenpv_add_vm_change_state_handler(DEVICE(xendev),
                                                      vm_state_changed, dp);
    vmstate_register(VMSTATE_IF(xendev), 0, &vmstate_block, dp);
    xenpv_block_write_nodes(xendev, blk);
    /* A front end may have become ready before this: look at its state */
    dp->front_end_waits = true;
    qemu_bh_schedule(dp->quiet_bh);
    return dp;
}

void xen_block_dataplane_destroy(XenBlockDataPlane *dp)
{
    if (!dp) {
        return;
    }
    dp->dying = true;
    xen_block_dataplane_stop(dp);
    xenpv_block_forget_error(dp);
    vmstate_unregister(VMSTATE_IF(dp->xendev), &vmstate_block, dp);
    drop_loaded(dp);
    qemu_unregister_reset(xenpv_block_reset, dp);
    qemu_del_vm_change_state_handler(dp->vm_change);
    /* A call of these in another thread is over when blk_drain() returns */
    blk_set_dev_ops(dp->blk, NULL, NULL);
    blk_drain(dp->blk);
    /* The IOThread may go while the node stays, which others may keep there */
    blk_set_aio_context(dp->blk, qemu_get_aio_context(), NULL);
    qemu_bh_delete(dp->ring_bh);
    qemu_bh_delete(dp->retry_bh);
    qemu_bh_delete(dp->stop_bh);
    qemu_bh_delete(dp->quiet_bh);
    qemu_bh_delete(dp->resize_bh);
    unref(dp);
}

/* A drained section begins. The handlers stay, and do nothing. */
void xen_block_dataplane_detach(XenBlockDataPlane *dp)
{
    if (dp) {
        qatomic_set(&dp->drained, true);
    }
}

/* The drained section ends: look for requests that came meanwhile */
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
    /* Code that runs while this waits may unplug the disk, but not start it */
    dp->refs++;
    dp->waiting++;
    begin_stop(dp);
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&dp->running));
    while (dp->phase != PHASE_IDLE) {
        /* This does not wait for throttling: draining turns that off */
        blk_drain(dp->blk);
        /* Wait for quiet_bh(), or for the end of others' drained sections */
        AIO_WAIT_WHILE_UNLOCKED(NULL, dp->phase != PHASE_IDLE &&
                                      (qatomic_read(&dp->quiet) ||
                                       blk_in_drain(dp->blk)));
    }
    if (!--dp->waiting && dp->front_end_waits && !dp->dying) {
        qemu_bh_schedule(dp->quiet_bh);
    }
    unref(dp);
}

void xen_block_dataplane_start(XenBlockDataPlane *dp, Error **errp)
{
    if (!dp) {
        /* create() is still waiting for others, and then looks at the state */
        error_setg(errp, "the disk is not ready yet");
        return;
    }
    if (dp->phase != PHASE_IDLE || dp->dying) {
        error_setg(errp, dp->dying ? "the disk is being unplugged"
                                   : "the rings are connected already");
        return;
    }
    if (!xenpv_block_connect(dp, ring_event, errp)) {
        return;
    }
    /*
     * dp->ctx owns the rings once the handlers are there. It has to look at
     * them once without an event: those from binding the channels may get lost.
     */
    dp->phase = PHASE_RUNNING;
    dp->quiet = false;
    dp->nr_stalled = 0;
    dp->running = true;
    take_loaded(dp);
    for (unsigned i = 0; i < dp->nr_rings; i++) {
        xen_device_set_event_channel_context(dp->xendev, dp->rings[i].channel,
                                             dp->ctx, &error_abort);
    }
    qemu_bh_schedule(dp->ring_bh);
}
