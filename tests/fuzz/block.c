/*
 * Fuzz targets: a disk's ring, in the main loop and in an IOThread
 *
 * A fault here is a front end that crashes QEMU by its ring's indexes, a
 * request, a grant that it changes, or by connecting and going away at any
 * time. In the IOThread's disk grants are persistent.
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
#define MAX_PAGES   4
#define RING        0               /* frames and references: of the ring, */
#define LISTS       4               /* of indirect descriptors, */
#define DATA        8               /* and of data */

static uint32_t port, prod;
static unsigned pages;
static bool narrow;

static void connect_disk(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned order = how % 3;

    narrow = how & 4;
    pages = 1 << order;
    prod = 0;
    for (unsigned i = 0; i < pages; i++) {
        static const uint8_t zeros[4096];

        fuzz_write(fuzz_frame(RING + i), zeros, sizeof(zeros));
    }
    fuzz_write32(fuzz_frame(RING) + 4, 1);
    fuzz_write32(fuzz_frame(RING) + 12, 1);
    port = fuzz_alloc_unbound();
    if (order) {
        fuzz_xs_write(DIR, "ring-page-order", "%u", order);
        for (unsigned i = 0; i < pages; i++) {
            g_autofree char *node = g_strdup_printf("ring-ref%u", i);

            fuzz_xs_write(DIR, node, "%u", fuzz_ref(RING + i));
        }
    } else {
        fuzz_xs_write(DIR, "ring-ref", "%u", fuzz_ref(RING));
    }
    fuzz_xs_write(DIR, "event-channel", "%u", port);
    fuzz_xs_write(DIR, "protocol", "x86_%u-abi", narrow ? 32 : 64);
    fuzz_xs_write(DIR, "feature-persistent", "%u", how >> 3 & 1);
    fuzz_xs_write(DIR, "state", "3");
    fuzz_pump();
    fuzz_xs_write(DIR, "state", "4");
}

static uint64_t slot(uint32_t i)
{
    unsigned size = narrow ? 108 : 112, n = 1;

    while (2 * n * size <= pages * 4096 - 64) {
        n *= 2;
    }
    return fuzz_frame(RING) + 64 + i % n * size;
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
    unsigned n = 1 + fuzz_take(in, 1) % 4;

    if (!pages) {
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
        fuzz_write(slot(prod), req, narrow ? 108 : 112);
    }
    fuzz_write32(fuzz_frame(RING), prod);
    fuzz_send(port);
}

static const char *const nodes[] = {
    "state", "ring-ref", "ring-ref0", "ring-ref1", "ring-page-order",
    "event-channel", "protocol", "feature-persistent", NULL
};

static void begin(void)
{
    port = prod = pages = 0;
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
    "-device", "xen-disk,drive=d,vdev=xvda", NULL
};

static const FuzzTarget block_target = {
    .name = "block", .machine = machine, .one = one,
};
FUZZ_TARGET(block_target)

/* Requests take a while here, so that much can happen meanwhile */
static const char *const iothread_machine[] = {
    "-M", "xenpv-kvm", "-object", "iothread,id=io", "-blockdev",
    "null-aio,node-name=d,size=16777216,read-zeroes=on,latency-ns=20000", "-device",
    "xen-disk,drive=d,vdev=xvda,iothread=io,feature-persistent=on", NULL
};

static const FuzzTarget iothread_target = {
    .name = "block-iothread", .machine = iothread_machine, .one = one,
};
FUZZ_TARGET(iothread_target)
