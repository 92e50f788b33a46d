/*
 * Fuzz targets: a disk's rings, in the main loop and in an IOThread
 *
 * A fault here is a front end that crashes QEMU by its rings' indexes, a
 * request, a grant that it changes, or by connecting and going away at any
 * time. It has one ring or two. In the IOThread's disk grants are persistent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/xen/xen.h"
#include "hw/xen/interface/grant_table.h"
#include "hw/xen/interface/io/blkif.h"
#include "devices.h"

#define DIR         "device/vbd/51712"
#define MAX_QUEUES  2
#define RING        0               /* frames and references: of the rings, */
#define LISTS       4               /* of indirect descriptors, */
#define DATA        8               /* and of data */

static struct {
    uint32_t port, prod;
    unsigned first;                 /* frame of the ring */
} queues[MAX_QUEUES];
static unsigned pages;              /* of each ring */
static bool narrow;

static void make_ring(unsigned q, const char *dir)
{
    static const uint8_t zeros[4096];
    unsigned first = RING + q * pages;

    for (unsigned i = first; i < first + pages; i++) {
        fuzz_write(fuzz_frame(i), zeros, sizeof(zeros));
    }
    fuzz_write32(fuzz_frame(first) + 4, 1);
    fuzz_write32(fuzz_frame(first) + 12, 1);
    queues[q].first = first;
    queues[q].prod = 0;
    queues[q].port = fuzz_alloc_unbound();
    for (unsigned i = 0; i < pages; i++) {
        g_autofree char *node = pages == 1 ? g_strdup("ring-ref")
                                           : g_strdup_printf("ring-ref%u", i);

        fuzz_xs_write(dir, node, "%u", fuzz_ref(first + i));
    }
    fuzz_xs_write(dir, "event-channel", "%u", queues[q].port);
}

static void connect_disk(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned nr = how & 0x10 ? 2 : 1;
    unsigned order = nr == 2 ? how & 1 : how % 3;

    narrow = how & 4;
    pages = 1 << order;
    if (order) {
        fuzz_xs_write(DIR, "ring-page-order", "%u", order);
    }
    if (nr > 1) {
        fuzz_xs_write(DIR, "multi-queue-num-queues", "%u", nr);
    }
    for (unsigned q = 0; q < nr; q++) {
        g_autofree char *dir = nr == 1 ? g_strdup(DIR)
                                       : g_strdup_printf(DIR "/queue-%u", q);

        make_ring(q, dir);
    }
    fuzz_xs_write(DIR, "protocol", "x86_%u-abi", narrow ? 32 : 64);
    fuzz_xs_write(DIR, "feature-persistent", "%u", how >> 3 & 1);
    fuzz_xs_write(DIR, "state", "3");
    fuzz_pump();
    fuzz_xs_write(DIR, "state", "4");
}

static uint64_t slot(unsigned q, uint32_t i)
{
    unsigned size = narrow ? 108 : 112, n = 1;

    while (2 * n * size <= pages * 4096 - 64) {
        n *= 2;
    }
    return fuzz_frame(queues[q].first) + 64 + i % n * size;
}

static void put_segment(FuzzInput *in, uint8_t *at)
{
    uint8_t ref = fuzz_take(in, 1), sectors = fuzz_take(in, 1);

    stl_le_p(at, ref < 0xf0 ? fuzz_ref(DATA + ref % 60) : ref);
    at[4] = sectors & 7;
    at[5] = sectors >> 4;
}

/* One to four requests, told of at once */
static void request(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned n = 1 + how % 4, q = how / 4 % MAX_QUEUES;
    uint32_t prod = queues[q].prod;

    if (!queues[q].port) {
        return;
    }
    for (; n; n--, prod++) {
        uint8_t req[112] = { 0 }, *p = req + (narrow ? 4 : 8);
        uint8_t op = fuzz_take(in, 1) % 8, nr = fuzz_take(in, 1);
        uint16_t sector = fuzz_take(in, 2);

        req[0] = op;
        req[1] = nr;
        stq_le_p(p, prod);
        stq_le_p(p + 8, sector);
        if (op == BLKIF_OP_INDIRECT) {
            req[1] = nr & 1;
            stw_le_p(req + 2, nr);
            for (unsigned i = 0; i < 4; i++) {
                stl_le_p(p + 20 + 4 * i, fuzz_ref(LISTS + i));
            }
            for (unsigned i = 0; i < nr && in->len; i++) {
                uint8_t seg[8] = { 0 };

                put_segment(in, seg);
                fuzz_write(fuzz_frame(LISTS) + 8 * i, seg, sizeof(seg));
            }
        } else if (op == BLKIF_OP_DISCARD) {
            stq_le_p(p + 16, fuzz_take(in, 2));
        } else {
            for (unsigned i = 0; i < MIN(nr, 11) && in->len; i++) {
                put_segment(in, p + 16 + 8 * i);
            }
        }
        fuzz_write(slot(q, prod), req, narrow ? 108 : 112);
    }
    queues[q].prod = prod;
    fuzz_write32(fuzz_frame(queues[q].first), prod);
    fuzz_send(queues[q].port);
}

static const char *const nodes[] = {
    "state", "ring-ref", "ring-ref0", "ring-ref1", "ring-page-order",
    "event-channel", "protocol", "feature-persistent", "multi-queue-num-queues",
    "queue-0/ring-ref", "queue-1/ring-ref", "queue-1/event-channel", NULL
};

static void begin(void)
{
    memset(queues, 0, sizeof(queues));
    pages = 0;
}

const FuzzFrontend fuzz_block = {
    .begin = begin, .dir = DIR, .nodes = nodes,
    .connect = connect_disk, .request = request,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&fuzz_block, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm",
    "-blockdev", "null-co,node-name=d,size=16777216,read-zeroes=on",
    "-device", "xen-disk,drive=d,vdev=xvda,num-queues=2", NULL
};

static const FuzzTarget block_target = {
    .name = "block", .machine = machine, .one = one,
};
FUZZ_TARGET(block_target)

/* Requests take a while here, so that much can happen meanwhile */
static const char *const iothread_machine[] = {
    "-M", "xenpv-kvm", "-object", "iothread,id=io", "-blockdev",
    "null-aio,node-name=d,size=16777216,read-zeroes=on,latency-ns=20000", "-device",
    "xen-disk,drive=d,vdev=xvda,iothread=io,feature-persistent=on,num-queues=2",
    NULL
};

static const FuzzTarget iothread_target = {
    .name = "block-iothread", .machine = iothread_machine, .one = one,
};
FUZZ_TARGET(iothread_target)
