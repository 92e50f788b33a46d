/*
 * xen-disk's and xen-cdrom's rings: blkif requests to the block layer
 *
 * This takes the place of hw/block/dataplane/xen-block.c, whose interface it
 * has, for what that lacks: indirect descriptors, by which one request carries
 * more than 44 KiB; write barriers, which old front ends want; rerror and
 * werror; several rings; and guest errors that are traced and not printed. What
 * requests mean is in xenpv-blkif.c, and how rings come to be in
 * xenpv-block-connect.c.
 *
 * Threads. A dataplane has an AioContext, dp->ctx: its IOThread's, or else the
 * main loop's. What comes from xen-block.c runs in the main thread with the BQL.
 *
 *  - .phase says whose the rings are, and only the main thread looks at it. While
 *    IDLE there is nothing in dp->ctx that knows of dp, and everything is the
 *    main thread's. While RUNNING and STOPPING the rings, the requests, their
 *    grants and the event channels are dp->ctx's, and the main thread does not
 *    touch them; it sets .drained, .paused and .sectors, schedules BHs, and that
 *    is all.
 *  - start() makes all of it, for all rings, and the last thing that it does is to
 *    install the event channels' handlers: while it does, nothing of what the first
 *    of them uses is the main thread's any more but the channels that have none.
 *    Nothing but stop_bh(), in dp->ctx, takes them out again, all at once: so none
 *    is running then, nor does run any more. (In a drained section they stay, and
 *    do nothing.) The array of rings is there, at one place, until IDLE.
 *  - All rings of a disk are in the one context. So what they have in common, the
 *    requests on their way and the grants, needs no lock; and it is not the thread
 *    behind the rings that bounds a disk, but the guest's lock in front of one.
 *  - stop_bh() also ends the taking of requests; of those on their way the last
 *    one to complete, or stop_bh() if there is none, schedules quiet_bh() as the
 *    last thing that is done in dp->ctx. That takes the rings down, in the main
 *    thread, and the dataplane is IDLE.
 *  - A front end that closes waits for that; QEMU does not. It does only where
 *    the disk or the guest is to go away: unplugging, reset, waking up and exit.
 *  - Nothing that runs in dp->ctx for a ring may poll: stop_bh() would be run
 *    within it. That is why the disk's size is here in .sectors.
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
 * For so long requests of a disk are taken, or begun anew, before others have
 * their turn. When all rings have an event at once, each has its part of it.
 */
#define PASS_NS             (1 * SCALE_MS)
/*
 * Of a disk, on their way at a time; those that an error has stopped count, too.
 * Its rings may hold many times as many. Each is a coroutine, whose stack takes two
 * mappings of the process; of these Linux gives it 65530, and without one more
 * QEMU ends.
 */
#define MAX_IN_FLIGHT       512
/* Sectors of a piece of a discard: whole blocks, of whatever size they are */
#define MAX_DISCARD         (1 * GiB / XEN_BLKIF_SECTOR_SIZE)
/* From so many in flight on, what is submitted at once goes as a batch */
#define BATCH_FROM          2

/* ------------------------------------------------------------------------- */
/* Requests on their way                                                      */

static BlkifRequest *new_request(BlkifRing *ring)
{
    BlkifRequest *req = g_new0(BlkifRequest, 1);

    req->ring = ring;
    ring->in_flight++;
    ring->dp->in_flight++;
    return req;
}

/* One of those that stop waits for is gone: the last use of dp in its thread */
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

/* Answer, and forget the request */
static void complete(BlkifRequest *req, int16_t status)
{
    BlkifRing *ring = req->ring;
    XenBlockDataPlane *dp = ring->dp;
    blkif_x86_32_response_t *rsp =
        (void *)xenpv_blkif_response(ring, ring->back.common.rsp_prod_pvt);
    Error *err = NULL;
    int notify;

    /*
     * All layouts have these members at the same offsets; that of 32 bits has
     * them at multiples of four bytes only
     */
    QEMU_BUILD_BUG_ON(offsetof(blkif_x86_32_response_t, status) !=
                      offsetof(blkif_response_t, status));
    trace_xenpv_block_complete(ring->nr, req->id, req->op, status);
    /* Before the guest may use it otherwise */
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

/* rerror and werror: false if the request goes on as if all were well */
static bool handle_error(BlkifRequest *req, int error)
{
    XenBlockDataPlane *dp = req->ring->dp;
    BlockBackend *blk = dp->blk;
    bool read = xenpv_blkif_is_read(req);
    BlockErrorAction action = blk_get_error_action(blk, read, error);

    if (action == BLOCK_ERROR_ACTION_STOP && !dp->running) {
        /* Nobody will be there to see how it went on */
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

/* A discard goes in pieces, as long as the block layer takes them at once */
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
        /* What complete() takes back */
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

/* Take what is there from a ring: was there anything? */
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
    /* The requests were there before the index said so */
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
            /* It comes again when all before it in this ring are done */
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
        /* From here on the front end tells when there is more */
        RING_FINAL_CHECK_FOR_REQUESTS(&ring->back.common, more);
    }
    if (more) {
        qemu_bh_schedule(dp->ring_bh);
    }
    return any;
}

/*
 * All rings, as far as they get before the deadline. Each has at least one request
 * taken, so none begins when it is over. Another one is the first each time, or one
 * that is always full would keep the others from what MAX_IN_FLIGHT leaves.
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

    /* stop_bh() takes out the handler together with this */
    assert(ring->dp->running);
    return run_ring(ring, now + PASS_NS / ring->dp->nr_rings);
}

/* What an error has stopped is tried once more */
static void retry_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    int64_t deadline = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + PASS_NS;
    BlkifRequest *req;

    /*
     * One that fails again comes back later, not at once; and if the machine
     * has stopped in the meantime, then with the machine
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

/* The end of it in dp->ctx, but for what is on its way */
static void stop_bh(void *opaque)
{
    XenBlockDataPlane *dp = opaque;
    BlkifRequest *req;

    trace_xenpv_block_stop(dp->in_flight);
    dp->in_flight++;
    dp->nr_stalled = 0;         /* or complete() would schedule ring_bh() */
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

/* Nothing of the rings is on its way any more, or a stop() has waited for that */
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
     * From here on nothing is taken from the rings, and then QEMU drains what
     * was: the disk of a machine that is stopped is at rest.
     */
    qatomic_set(&dp->paused, !running);
    if (!running && dp->iothread) {
        /* Who had not seen it yet is done after this */
        aio_wait_bh_oneshot(dp->ctx, nothing, NULL);
    }
    if (running && dp->phase == PHASE_RUNNING) {
        qemu_bh_schedule(dp->retry_bh);
        qemu_bh_schedule(dp->ring_bh);
    }
}

/* ------------------------------------------------------------------------- */
/*
 * Migration. A disk of a machine that is stopped is at rest, and the rings in
 * memory say all, but for the requests that an error has stopped: they have
 * been taken from a ring, have no answer yet, and go on with the machine.
 */

static void drop_loaded(XenBlockDataPlane *dp)
{
    g_clear_pointer(&dp->loaded, g_free);
    dp->nr_loaded = 0;
    dp->all_loaded = false;
}

/* The machine is stopped, so that nobody is in the list */
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
            /* What is left of it */
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

/* The requests that were stopped where the domain comes from are stopped here */
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

/* As blkback does it: the state, written once more, makes the front end look */
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
        /* A node that others keep elsewhere can be used from here, too */
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
    /* query-block tells what rerror and werror have stopped */
    blk_iostatus_enable(blk);
    dp->vm_change = xenpv_add_vm_change_state_handler(DEVICE(xendev),
                                                      vm_state_changed, dp);
    vmstate_register(VMSTATE_IF(xendev), 0, &vmstate_block, dp);
    xenpv_block_write_nodes(xendev, blk);
    /* A front end may have been faster than this */
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

void xen_block_dataplane_start(XenBlockDataPlane *dp, Error **errp)
{
    if (!dp) {
        /* create() waits for others, and will look at the front end after it */
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
     * It is dp->ctx's when the handlers are there, which has to look once by
     * itself: what binding to the channels has sent may be lost on the way.
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
