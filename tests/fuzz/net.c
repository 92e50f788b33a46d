/*
 * Fuzz target: a network card's rings
 *
 * A fault here is a front end that crashes QEMU by its rings' indexes, what it
 * sends, where it wants packets, or by connecting and going away at any time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/xen/xen.h"
#include "hw/xen/interface/grant_table.h"
#include "hw/xen/interface/io/netif.h"
#include "net/eth.h"
#include "net/net.h"
#include "devices.h"

#define DIR     "device/vif/0"
#define QUEUES  2
#define TX(q)   (2 * (q))       /* frames and references: of the rings, */
#define RX(q)   (2 * (q) + 1)
#define DATA    (2 * QUEUES)    /* and of packets */

static struct {
    uint32_t port, tx_prod, rx_prod;
} queues[QUEUES];

static void connect_queue(unsigned q, const char *dir)
{
    static const uint8_t zeros[4096];

    for (unsigned i = TX(q); i <= RX(q); i++) {
        fuzz_write(fuzz_frame(i), zeros, sizeof(zeros));
        fuzz_write32(fuzz_frame(i) + 4, 1);
        fuzz_write32(fuzz_frame(i) + 12, 1);
    }
    queues[q].tx_prod = queues[q].rx_prod = 0;
    queues[q].port = fuzz_alloc_unbound();
    fuzz_xs_write(dir, "tx-ring-ref", "%u", fuzz_ref(TX(q)));
    fuzz_xs_write(dir, "rx-ring-ref", "%u", fuzz_ref(RX(q)));
    fuzz_xs_write(dir, "event-channel", "%u", queues[q].port);
}

static void connect_nic(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);

    if (how & 0x10) {
        fuzz_xs_write(DIR, "multi-queue-num-queues", "%u", QUEUES);
        connect_queue(0, DIR "/queue-0");
        connect_queue(1, DIR "/queue-1");
    } else {
        connect_queue(0, DIR);
    }
    fuzz_xs_write(DIR, "request-rx-copy", "%u", !(how & 1));
    fuzz_xs_write(DIR, "feature-sg", "%u", how >> 1 & 1);
    fuzz_xs_write(DIR, "feature-gso-tcpv4", "%u", how >> 2 & 1);
    fuzz_xs_write(DIR, "feature-no-csum-offload", "%u", how >> 3 & 1);
    fuzz_xs_write(DIR, "feature-gso-tcpv6", "%u", how >> 2 & 1);
    fuzz_xs_write(DIR, "feature-ipv6-csum-offload", "%u", how >> 5 & 1);
    fuzz_xs_write(DIR, "request-multicast-control", "%u", how >> 6 & 1);
    fuzz_xs_write(DIR, "feature-rx-notify", "1");
    fuzz_xs_write(DIR, "state", "4");
}

static uint32_t take_ref(FuzzInput *in)
{
    uint8_t ref = fuzz_take(in, 1);

    return ref < 0xf0 ? fuzz_ref(DATA + ref % 64) : ref;
}

static void put_tx(unsigned q, const void *slot, size_t len)
{
    fuzz_write(fuzz_frame(TX(q)) + 64 + queues[q].tx_prod++ % 256 * 12, slot,
               len);
}

/*
 * What a packet begins with that is to be checked or cut into segments; the rest
 * of it are zeros, or what is there. It is as long as it says, or not quite.
 */
static void put_headers(const netif_tx_request_t *tx, uint8_t how)
{
    uint8_t h[14 + 40 + 20] = { [0] = 0xff };
    unsigned size = MAX(tx->size, sizeof(h)) - 14 + (how >> 4 & 1);
    uint8_t proto = how & 2 ? IP_PROTO_UDP : IP_PROTO_TCP;
    uint8_t *tcp = h + 14;

    if (how & 1) {
        stw_be_p(h + 12, ETH_P_IPV6);
        tcp[0] = 0x60;
        stw_be_p(tcp + 4, size - 40);
        tcp[6] = proto;
        tcp += 40;
    } else {
        stw_be_p(h + 12, ETH_P_IP);
        tcp[0] = 0x45;
        stw_be_p(tcp + 2, size);
        tcp[9] = proto;
        tcp += 20;
    }
    if (how & 2) {
        stw_be_p(tcp + 4, size - (tcp - h) + 14);
    } else {
        tcp[12] = (5 + (how >> 2 & 3)) << 4;
    }
    if (tx->gref >= FUZZ_MFN && tx->gref < FUZZ_MFN + FUZZ_NR_FRAMES &&
        tx->offset < 4096) {
        fuzz_write((uint64_t)tx->gref * 4096 + tx->offset, h,
                   MIN(sizeof(h), 4096 - tx->offset));
    }
}

/* Up to eight packets, or parts of some; or room for as many */
static void request(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned n = 1 + (how >> 1) % 8, q = how >> 4 & 1;

    for (; n; n--) {
        if (how & 1) {
            netif_rx_request_t rx = {
                .id = queues[q].rx_prod, .gref = take_ref(in),
            };

            fuzz_write(fuzz_frame(RX(q)) + 64 + queues[q].rx_prod++ % 256 * 8,
                       &rx, sizeof(rx));
        } else {
            netif_tx_request_t tx = { .id = queues[q].tx_prod };

            /* One after the other: not all compilers keep an initializer's */
            tx.gref = take_ref(in);
            tx.flags = fuzz_take(in, 1);
            tx.offset = fuzz_take(in, 2);
            tx.size = fuzz_take(in, 2);
            if (how & 0x80) {
                put_headers(&tx, fuzz_take(in, 1));
            }
            put_tx(q, &tx, sizeof(tx));
            for (bool more = tx.flags & NETTXF_extra_info; more;) {
                netif_extra_info_t extra = {
                    .type = fuzz_take(in, 1) % 8, .flags = fuzz_take(in, 1) & 1,
                };

                extra.u.gso.size = fuzz_take(in, 2);
                extra.u.gso.type = fuzz_take(in, 1) % 4;
                put_tx(q, &extra, sizeof(extra));
                more = extra.flags & XEN_NETIF_EXTRA_FLAG_MORE && in->len;
            }
        }
    }
    if (how & 1) {
        fuzz_write32(fuzz_frame(RX(q)), queues[q].rx_prod);
    } else {
        fuzz_write32(fuzz_frame(TX(q)), queues[q].tx_prod);
    }
    fuzz_send(queues[q].port);
}

/* A packet from the wire */
static void host(FuzzInput *in)
{
    NetClientState *nc = qemu_find_netdev("n");
    size_t len = fuzz_take(in, 2), filled = fuzz_take(in, 1);
    const uint8_t *p = fuzz_take_bytes(in, &filled);
    g_autofree uint8_t *packet = g_malloc0(MAX(len, filled) + 1);

    memcpy(packet, p, filled);
    qemu_send_packet(nc, packet, len);
}

static const char *const nodes[] = {
    "state", "tx-ring-ref", "rx-ring-ref", "event-channel", "event-channel-tx",
    "event-channel-rx", "request-rx-copy", "feature-sg", "feature-gso-tcpv4",
    "feature-gso-tcpv6", "feature-no-csum-offload", "feature-ipv6-csum-offload",
    "feature-rx-notify", "feature-multicast-control", "request-multicast-control",
    "multi-queue-num-queues", "queue-0/tx-ring-ref", "queue-0/rx-ring-ref",
    "queue-0/event-channel", "ctrl-ring-ref", "event-channel-ctrl", NULL
};

static void begin(void)
{
    memset(queues, 0, sizeof(queues));
}

const FuzzFrontend fuzz_net = {
    .begin = begin, .dir = DIR, .nodes = nodes,
    .connect = connect_nic, .request = request, .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&fuzz_net, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm", "-netdev", "hubport,id=n,hubid=0", "-device",
    "xen-net-device,netdev=n,idx=0,mac=52:54:00:12:34:56", FUZZ_DEVICES_SINK, NULL
};

static const FuzzTarget net_target = {
    .name = "net", .machine = machine, .one = one,
};
FUZZ_TARGET(net_target)
