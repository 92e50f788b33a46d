/*
 * The rings of a disk: what its files share
 *
 * xenpv-block.c runs the rings; its opening says which thread owns which of
 * these members. xenpv-block-connect.c has the xenstore nodes, and makes the
 * rings that a front end asks for there. xenpv-blkif.c has what requests in a
 * ring mean, and the guest memory that they name; all of it is called in the
 * rings' thread. Apart from the rings, xenpv-block-params.c tells the guest the
 * file's name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_BLKIF_H
#define HW_XENPV_BLKIF_H

#include "qemu/queue.h"
#include "hw/block/dataplane/xen-block.h"
#include "hw/block/xen_blkif.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/xen.h"
#include "hw/xenpv/xenpv-compat.h"
#include "system/block-backend.h"
#include "system/iothread.h"

/* 1 MiB, as virtio-blk's default */
#define XENPV_BLKIF_MAX_SEGS    256

typedef enum BlkifStage {
    STAGE_FLUSH_BEFORE,
    STAGE_DATA,
    STAGE_FLUSH_AFTER,
    STAGE_DONE,
} BlkifStage;

/* The phases of a dataplane: see the top of xenpv-block.c */
typedef enum BlkifPhase {
    PHASE_IDLE,
    PHASE_RUNNING,
    PHASE_STOPPING,
} BlkifPhase;

/* A persistent grant of a whole frame, which stays in use while this exists */
typedef struct BlkifGrant {
    QTAILQ_ENTRY(BlkifGrant) next;      /* in .idle, while it has no users */
    uint8_t *data;
    uint32_t ref;
    unsigned users;                     /* segments of requests in flight */
    bool writable;
} BlkifGrant;

/* A queue of a disk: the front end has one, or one for each of its vCPUs */
typedef struct BlkifRing {
    XenBlockDataPlane *dp;
    unsigned nr;                        /* its index in dp->rings */
    XenEventChannel *channel;
    unsigned *refs;                     /* dp->nr_ring_refs of them */
    void *sring;
    blkif_back_rings_t back;
    bool stalled;                       /* it waits for a completion */
    bool barrier;                       /* a write barrier is in flight */
    unsigned in_flight;                 /* requests of this ring */
} BlkifRing;

typedef struct BlkifRequest {
    QTAILQ_ENTRY(BlkifRequest) next;    /* in .stopped, after an error */
    BlkifRing *ring;
    uint32_t ring_nr;                   /* the ring's index, for migration */

    /* As in the ring */
    uint64_t id;
    uint8_t ring_op;
    uint8_t op;                         /* if indirect, the operation inside */
    uint64_t sector;
    uint64_t nr_sectors;                /* to discard */
    unsigned nr_segs;
    struct blkif_request_segment segs[XENPV_BLKIF_MAX_SEGS];

    BlkifStage stage;
    int64_t offset;                     /* on the disk */
    uint64_t size;
    unsigned nr_mapped;                 /* segments that are in .qiov */
    BlkifGrant **kept;                  /* by segment; NULL: not persistent */
    QEMUIOVector qiov;
    BlockAcctCookie acct;
} BlkifRequest;

struct XenBlockDataPlane {
    XenDevice *xendev;
    BlockBackend *blk;
    unsigned block_size;                /* bytes; a sector always has 512 */
    IOThread *iothread;
    AioContext *ctx;
    QEMUBH *ring_bh, *retry_bh, *stop_bh;   /* in ctx */
    QEMUBH *quiet_bh, *resize_bh;           /* in the main loop */
    VMChangeStateEntry *vm_change;

    BlkifRing *rings;                   /* nr_rings of them; NULL while IDLE */
    unsigned nr_rings;
    unsigned first_ring;                /* modulo nr_rings: the next to begin */
    unsigned nr_ring_refs;              /* pages of each ring */
    unsigned protocol;
    size_t fields;                      /* the offset of "id" in a request */

    bool persistent;                    /* both ends want it */
    GHashTable *grants;                 /* from references to BlkifGrants */
    QTAILQ_HEAD(, BlkifGrant) idle;     /* the least recently used one first */

    bool running;                       /* requests are taken from the rings */
    unsigned nr_stalled;                /* rings that wait for a completion */
    unsigned in_flight;                 /* of all rings; stop_bh() adds one */
    QTAILQ_HEAD(, BlkifRequest) stopped; /* by an error, until a retry */

    /* Only the main thread uses these */
    BlkifPhase phase;
    bool front_end_waits;               /* its state is still to be looked at */
    bool front_end_closed;              /* it was Closed at some time since */
    unsigned waiting;                   /* calls of stop() that wait */
    bool dying;
    unsigned refs;
    BlkifRequest *loaded;               /* for migration: a copy of .stopped */
    int32_t nr_loaded;
    bool all_loaded;                    /* the stream had all of them */

    /* Both threads use these */
    bool drained, paused;               /* set by the main thread */
    bool quiet;                         /* set by dp->ctx with quiet_bh() */
    Stat64 sectors;                     /* set by the main thread; 512 bytes */
};

/* "What is wrong" for an unknown operation; compare its address */
extern const char xenpv_blkif_bad_op[];

/*
 * Copy request i out of the ring. Returns NULL, or what is wrong with it; .id
 * and .ring_op are set in either case.
 */
const char *xenpv_blkif_get_request(BlkifRequest *req, RING_IDX i);
/* Check the copy and set its size. Returns NULL, or what is wrong with it. */
const char *xenpv_blkif_check_request(BlkifRequest *req);
/* The place for response i in the ring */
void *xenpv_blkif_response(BlkifRing *ring, RING_IDX i);

/*
 * Make .qiov of the data in guest memory. Its grants are in use until the
 * caller calls xenpv_blkif_release_data(), which it must also do if this
 * returns false.
 */
bool xenpv_blkif_map_data(BlkifRequest *req);
void xenpv_blkif_release_data(BlkifRequest *req);
/* The request as it was in the ring; whoever loads it has to check it again */
extern const VMStateDescription vmstate_xenpv_blkif_request;
/* Drop all persistent grants; no request may be in flight */
void xenpv_blkif_drop_all_grants(XenBlockDataPlane *dp);

/*
 * Called in the main thread at a reset, and when a suspended domain is woken
 * up: the guest's grants are void then, so this waits until no request that
 * uses them is in flight. @opaque is the XenBlockDataPlane.
 */
void xenpv_block_reset(void *opaque);

/*
 * Connect the rings that the front end asks for in xenstore. @handler gets the
 * events of each ring's channel, and the ring. On failure this sets the back
 * end to Closing, and writes why to xenstore. Called in the main thread, as are
 * the functions below.
 */
bool xenpv_block_connect(XenBlockDataPlane *dp, XenEventHandler handler,
                         Error **errp);
void xenpv_block_disconnect(XenBlockDataPlane *dp);
/* Remove from xenstore why xenpv_block_connect() has failed */
void xenpv_block_forget_error(XenBlockDataPlane *dp);
/* Write the nodes that say what the back end offers, beyond xen-block.c's */
void xenpv_block_write_nodes(XenDevice *xendev, BlockBackend *blk);
/*
 * Write the back end's node "params": the property, or else the path of the
 * file that @blk is in, as QEMU was given it, or else nothing.
 */
void xenpv_block_write_params(XenDevice *xendev, BlockBackend *blk);

static inline bool xenpv_blkif_is_read(const BlkifRequest *req)
{
    return req->op == BLKIF_OP_READ;
}

#endif /* HW_XENPV_BLKIF_H */
