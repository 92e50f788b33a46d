/*
 * The ring of a disk, as xenpv-block.c and xenpv-blkif.c share it
 *
 * The first has what is done, and in which thread: its opening says to whom each
 * of these members belongs. The second has what requests in the ring mean, and
 * the guest's memory that they name; all of it is called in the ring's thread.
 * Apart from the ring, xenpv-block-params.c names the file to the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_BLKIF_H
#define HW_XENPV_BLKIF_H

#include "qemu/queue.h"
#include "qemu/stats64.h"
#include "hw/block/dataplane/xen-block.h"
#include "hw/block/xen_blkif.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/xen.h"
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

typedef struct BlkifRequest {
    QTAILQ_ENTRY(BlkifRequest) next;    /* of those that an error stopped */
    XenBlockDataPlane *dp;

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

    XenEventChannel *channel;
    unsigned *ring_refs;
    unsigned nr_ring_refs;
    void *sring;
    unsigned protocol;
    size_t fields;                      /* where "id" is in a request */
    blkif_back_rings_t rings;

    bool persistent;                    /* both ends want it */
    GHashTable *grants;                 /* reference: BlkifGrant */
    QTAILQ_HEAD(, BlkifGrant) idle;     /* the least recently used first */

    bool running;                       /* requests are taken from the ring */
    bool stalled;                       /* the ring waits for a completion */
    bool barrier;                       /* one is in flight */
    unsigned in_flight;
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
const char *xenpv_blkif_get_request(XenBlockDataPlane *dp, BlkifRequest *req,
                                    RING_IDX i);
/* What is wrong with a copy, or NULL. From here on it has its size. */
const char *xenpv_blkif_check_request(XenBlockDataPlane *dp, BlkifRequest *req);
/* Where response i goes */
void *xenpv_blkif_response(XenBlockDataPlane *dp, RING_IDX i);

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
 * Write the back end's node "params": the property, or the path of the file that
 * @blk is in, as QEMU was given it, or nothing. In the main thread.
 */
void xenpv_block_write_params(XenDevice *xendev, BlockBackend *blk);

static inline bool xenpv_blkif_is_read(const BlkifRequest *req)
{
    return req->op == BLKIF_OP_READ;
}

#endif /* HW_XENPV_BLKIF_H */
