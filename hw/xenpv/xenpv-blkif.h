/*
 * The rings of a disk, as xenpv-block.c, xenpv-block-connect.c and xenpv-blkif.c
 * share them
 *
 * The first has what is done, and in which thread: its opening says to whom each
 * of these members belongs. The second has what is in xenstore, and makes the rings
 * that a front end asks for there. The third has what requests in a ring mean, and
 * the guest's memory that they name; all of it is called in the rings' thread.
 * Apart from the rings, xenpv-block-params.c names the file to the guest.
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

/* Of a dataplane, see the top of xenpv-block.c */
typedef enum BlkifPhase {
    PHASE_IDLE,
    PHASE_RUNNING,
    PHASE_STOPPING,
} BlkifPhase;

/* A persistent grant: of a whole frame, in use as long as this is there */
typedef struct BlkifGrant {
    QTAILQ_ENTRY(BlkifGrant) next;      /* of those without users */
    uint8_t *data;
    uint32_t ref;
    unsigned users;                     /* segments of requests on their way */
    bool writable;
} BlkifGrant;

/* A queue of a disk's: the front end has one, or one for each of its vCPUs */
typedef struct BlkifRing {
    XenBlockDataPlane *dp;
    unsigned nr;                        /* which of dp->rings */
    XenEventChannel *channel;
    unsigned *refs;                     /* dp->nr_ring_refs of them */
    void *sring;
    blkif_back_rings_t back;
    bool stalled;                       /* it waits for a completion */
    bool barrier;                       /* one is in flight */
    unsigned in_flight;                 /* of this ring */
} BlkifRing;

typedef struct BlkifRequest {
    QTAILQ_ENTRY(BlkifRequest) next;    /* of those that an error stopped */
    BlkifRing *ring;
    uint32_t ring_nr;                   /* its number, in a stream */

    /* As in the ring */
    uint64_t id;
    uint8_t ring_op;
    uint8_t op;                         /* of an indirect one: what it does */
    uint64_t sector;
    uint64_t nr_sectors;                /* to discard */
    unsigned nr_segs;
    struct blkif_request_segment segs[XENPV_BLKIF_MAX_SEGS];

    BlkifStage stage;
    int64_t offset;                     /* on the disk */
    uint64_t size;
    unsigned nr_mapped;                 /* of the segments */
    BlkifGrant **kept;                  /* theirs; NULL if not persistent */
    QEMUIOVector qiov;
    BlockAcctCookie acct;
} BlkifRequest;

struct XenBlockDataPlane {
    XenDevice *xendev;
    BlockBackend *blk;
    unsigned block_size;                /* sectors are of 512 bytes, always */
    IOThread *iothread;
    AioContext *ctx;
    QEMUBH *ring_bh, *retry_bh, *stop_bh;   /* in ctx */
    QEMUBH *quiet_bh, *resize_bh;           /* in the main loop */
    VMChangeStateEntry *vm_change;

    BlkifRing *rings;                   /* nr_rings of them; NULL while IDLE */
    unsigned nr_rings;
    unsigned first_ring;                /* modulo nr_rings: whose turn it is */
    unsigned nr_ring_refs;              /* of each ring */
    unsigned protocol;
    size_t fields;                      /* where "id" is in a request */

    bool persistent;                    /* both ends want it */
    GHashTable *grants;                 /* reference: BlkifGrant */
    QTAILQ_HEAD(, BlkifGrant) idle;     /* the least recently used first */

    bool running;                       /* requests are taken from the rings */
    unsigned nr_stalled;                /* rings that wait for a completion */
    unsigned in_flight;                 /* of all rings; and stop_bh()'s one */
    QTAILQ_HEAD(, BlkifRequest) stopped; /* to go on when the machine does */

    /* The main thread's */
    BlkifPhase phase;
    bool front_end_waits;               /* with a change of its state */
    bool front_end_closed;              /* or was, at one time since */
    unsigned waiting;                   /* stop()s that do */
    bool dying;
    unsigned refs;
    BlkifRequest *loaded;               /* stopped ones, saved or to be loaded */
    int32_t nr_loaded;
    bool all_loaded;                    /* the stream did not end before them */

    /* Of both */
    bool drained, paused;               /* the main thread sets them */
    bool quiet;                         /* quiet_bh() will come, or has */
    Stat64 sectors;                     /* likewise, of 512 bytes */
};

/* What is wrong with the operation; to be compared by its address */
extern const char xenpv_blkif_bad_op[];

/*
 * Copy request i out of the ring: what is wrong with it, or NULL. It has its
 * .id and .ring_op in any case.
 */
const char *xenpv_blkif_get_request(BlkifRequest *req, RING_IDX i);
/* What is wrong with a copy, or NULL. From here on it has its size. */
const char *xenpv_blkif_check_request(BlkifRequest *req);
/* Where response i goes */
void *xenpv_blkif_response(BlkifRing *ring, RING_IDX i);

/*
 * .qiov is the data where the guest has it, in use until it is released: by
 * xenpv_blkif_release_data(), if this fails, too
 */
bool xenpv_blkif_map_data(BlkifRequest *req);
void xenpv_blkif_release_data(BlkifRequest *req);
/* What the ring had of a request; it is to be checked again where it is loaded */
extern const VMStateDescription vmstate_xenpv_blkif_request;
/* Persistent grants; no request may be on its way */
void xenpv_blkif_drop_all_grants(XenBlockDataPlane *dp);

/*
 * At a reset, or when a domain goes on as one that was restored: what the guest has
 * told of its memory holds no more, so wait until nothing is on its way to it. @opaque
 * is the XenBlockDataPlane. In the main thread.
 */
void xenpv_block_reset(void *opaque);

/*
 * Connect the rings that the front end asks for in xenstore, with @handler and each
 * ring for its event channel, and all that is the same for all of them. If that
 * fails, the front end is told. In the main thread, as the following.
 */
bool xenpv_block_connect(XenBlockDataPlane *dp, XenEventHandler handler,
                         Error **errp);
void xenpv_block_disconnect(XenBlockDataPlane *dp);
/* There is no front end any more that the administrator is to be told of */
void xenpv_block_forget_error(XenBlockDataPlane *dp);
/* What the back end offers by its nodes, but for what xen-block.c writes */
void xenpv_block_write_nodes(XenDevice *xendev, BlockBackend *blk);
/*
 * Write the back end's node "params": the property, or the path of the file that
 * @blk is in, as QEMU was given it, or nothing.
 */
void xenpv_block_write_params(XenDevice *xendev, BlockBackend *blk);

static inline bool xenpv_blkif_is_read(const BlkifRequest *req)
{
    return req->op == BLKIF_OP_READ;
}

#endif /* HW_XENPV_BLKIF_H */
