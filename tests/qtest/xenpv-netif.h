/*
 * A network front end, for the qtests of xen-net-device
 *
 * It has one pair of rings, or several, whose numbers come after each other; and
 * it has what is at the other end of the wire, too: a socket, on which each
 * frame has its length before it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_NETIF_H
#define XENPV_NETIF_H

#include <poll.h>
#include "qemu/bswap.h"
#include "qemu/sockets.h"
#include "qobject/qdict.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/io/netif.h"

#define RING_SLOTS      256

/* Our own numbers */
#define TX_MFN          XENPV_QTEST_MFN_FREE
#define RX_MFN          (TX_MFN + 1)
#define DATA_MFN        (RX_MFN + 1)
#define NR_DATA         32
#define TX_REF          8
#define RX_REF          9
#define DATA_REF        100
#define READONLY_REF    (DATA_REF + NR_DATA)
#define FREE_REF        (READONLY_REF + 1)
#define NOT_RAM_REF     (FREE_REF + 1)

#define DIR             "device/vif/0"

/* In the ring's page: indexes, and the slots of requests and answers */
enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12, SLOTS = 64 };

typedef struct Ring {
    uint64_t gpa;
    size_t slot_size;
    uint32_t prod, cons;
} Ring;

typedef struct Nic {
    Frontend f;
    int fd;                 /* the wire */
    uint32_t port;
    uint32_t rx_port;       /* the same, if event channels are not split */
    Ring tx, rx;
} Nic;

static inline uint64_t slot(const Ring *r, uint32_t i)
{
    return r->gpa + SLOTS + (i % RING_SLOTS) * r->slot_size;
}

static inline uint64_t data(unsigned frame)
{
    return (DATA_MFN + frame) * XENPV_PAGE;
}

static inline QTestState *start(int *fd, const char *device)
{
    QTestState *qts;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    qts = qtest_initf("-M xenpv-kvm -m 32 -nodefaults "
                      "-netdev socket,id=n,fd=%d %s", fds[1], device);
    close(fds[1]);
    *fd = fds[0];
    return qts;
}

#define ONE_NIC " -device xen-net-device,netdev=n,idx=0,id=nic," \
                "mac=52:54:00:12:34:99"

static inline void ring_init(QTestState *qts, Ring *r, uint32_t ref,
                             uint32_t mfn, size_t slot_size)
{
    *r = (Ring) { .gpa = mfn * XENPV_PAGE, .slot_size = slot_size };
    qtest_memset(qts, r->gpa, 0, XENPV_PAGE);
    qtest_writel(qts, r->gpa + REQ_EVENT, 1);
    qtest_writel(qts, r->gpa + RSP_EVENT, 1);
    xenpv_grant(qts, ref, GTF_permit_access, mfn);
}

/* Everything up to telling the back end */
static inline void prepare(Nic *n, QTestState *qts, int fd)
{
    frontend_init(&n->f, qts, DIR);
    frontend_wait(&n->f, XenbusStateInitWait);
    n->fd = fd;
    ring_init(qts, &n->tx, TX_REF, TX_MFN, sizeof(union netif_tx_sring_entry));
    ring_init(qts, &n->rx, RX_REF, RX_MFN, sizeof(union netif_rx_sring_entry));
    for (int i = 0; i < NR_DATA; i++) {
        xenpv_grant(qts, DATA_REF + i, GTF_permit_access, DATA_MFN + i);
    }
    xenpv_grant(qts, READONLY_REF, GTF_permit_access | GTF_readonly, DATA_MFN);
    xenpv_grant(qts, NOT_RAM_REF, GTF_permit_access,
                XENPV_CORE_GPA / XENPV_PAGE);
    n->port = n->rx_port = xenpv_alloc_unbound(qts);
    xs_write(qts, DIR, "tx-ring-ref", "%u", TX_REF);
    xs_write(qts, DIR, "rx-ring-ref", "%u", RX_REF);
    xs_write(qts, DIR, "event-channel", "%u", n->port);
    xs_write(qts, DIR, "request-rx-copy", "1");
}

static inline void connect_nic(Nic *n, QTestState *qts, int fd)
{
    prepare(n, qts, fd);
    frontend_set_state(&n->f, XenbusStateConnected);
    frontend_wait(&n->f, XenbusStateConnected);
}

static inline void put(Nic *n, Ring *r, const void *req, size_t len)
{
    qtest_memwrite(n->f.qts, slot(r, r->prod), req, len);
    r->prod++;
}

static inline void push(Nic *n, Ring *r)
{
    qtest_writel(n->f.qts, r->gpa + REQ_PROD, r->prod);
    xenpv_send(n->f.qts, r == &n->tx ? n->port : n->rx_port);
}

/* The next answer, which begins with the request's number */
static inline void get(Nic *n, Ring *r, void *rsp, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (qtest_readl(n->f.qts, r->gpa + RSP_PROD) == r->cons) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
    qtest_memread(n->f.qts, slot(r, r->cons), rsp, len);
    g_assert_cmpuint(*(uint16_t *)rsp, ==, r->cons & 0xffff);
    r->cons++;
    qtest_writel(n->f.qts, r->gpa + RSP_EVENT, r->cons + 1);
}

static inline void put_tx(Nic *n, uint32_t ref, uint16_t offset, uint16_t flags,
                   uint16_t size)
{
    netif_tx_request_t req = {
        .gref = ref, .offset = offset, .flags = flags,
        .id = n->tx.prod, .size = size,
    };

    put(n, &n->tx, &req, sizeof(req));
}

static inline int16_t tx_answer(Nic *n)
{
    netif_tx_response_t rsp;

    get(n, &n->tx, &rsp, sizeof(rsp));
    return rsp.status;
}

/*
 * A frame in so many slots, its bytes in as many pages, and extra slots after
 * the first, which are told to be more than one
 */
static inline void put_tx_frame(Nic *n, const uint8_t *frame, size_t len,
                                unsigned nr_parts, uint16_t flags,
                                netif_extra_info_t *extras, unsigned nr_extras)
{
    size_t part = DIV_ROUND_UP(len, nr_parts);
    size_t done = 0;

    g_assert_cmpuint(nr_parts, <=, NR_DATA);
    if (nr_extras) {
        flags |= NETTXF_extra_info;
    }
    for (unsigned i = 0; i < nr_parts; i++) {
        size_t here = MIN(part, len - done);
        uint16_t more = i < nr_parts - 1 ? NETTXF_more_data : 0;

        qtest_memwrite(n->f.qts, data(i) + i, frame + done, here);
        put_tx(n, DATA_REF + i, i, more | (i ? 0 : flags), i ? here : len);
        done += here;
        for (unsigned e = 0; !i && e < nr_extras; e++) {
            extras[e].flags = e < nr_extras - 1 ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
            put(n, &n->tx, &extras[e], sizeof(extras[e]));
        }
    }
    push(n, &n->tx);
}

/* The answers to one, which are the same in all slots but the extra ones */
static inline void assert_tx_answers(Nic *n, unsigned nr_parts,
                                     unsigned nr_extras, int16_t status)
{
    for (unsigned i = 0; i < nr_parts; i++) {
        g_assert_cmpint(tx_answer(n), ==, status);
        for (unsigned e = 0; !i && e < nr_extras; e++) {
            netif_tx_response_t rsp;

            qtest_memread(n->f.qts, slot(&n->tx, n->tx.cons++), &rsp,
                          sizeof(rsp));
            g_assert_cmpint(rsp.status, ==, NETIF_RSP_NULL);
        }
    }
}

/* The wire: each packet has its length before it */
static inline void wire_get(Nic *n, void *buf, size_t len)
{
    struct pollfd p = { .fd = n->fd, .events = POLLIN };

    for (size_t got = 0; got < len; ) {
        ssize_t r;

        g_assert_cmpint(poll(&p, 1, TIMEOUT_US / 1000), ==, 1);
        r = read(n->fd, (uint8_t *)buf + got, len - got);
        g_assert_cmpint(r, >, 0);
        got += r;
    }
}

/* The next frame, whatever it is */
static inline size_t wire_get_frame(Nic *n, uint8_t *buf, size_t size)
{
    uint32_t len;

    wire_get(n, &len, sizeof(len));
    len = be32_to_cpu(len);
    g_assert_cmpuint(len, <=, size);
    wire_get(n, buf, len);
    return len;
}

static inline void assert_wire(Nic *n, const uint8_t *packet, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint32_t size;

    wire_get(n, &size, sizeof(size));
    g_assert_cmpuint(be32_to_cpu(size), ==, len);
    wire_get(n, buf, len);
    g_assert_cmpmem(buf, len, packet, len);
}

static inline void assert_wire_silent(Nic *n)
{
    struct pollfd p = { .fd = n->fd, .events = POLLIN };

    g_assert_cmpint(poll(&p, 1, 30), ==, 0);
}

static inline void wire_put(Nic *n, const uint8_t *packet, size_t len)
{
    uint32_t size = cpu_to_be32(len);

    g_assert_cmpint(write(n->fd, &size, sizeof(size)), ==, sizeof(size));
    g_assert_cmpint(write(n->fd, packet, len), ==, len);
}

static inline void make_packet(uint8_t *packet, size_t len, int seed)
{
    for (size_t i = 0; i < len; i++) {
        packet[i] = i * 7 + seed;
    }
    memset(packet, 0xff, 6);
}

/* A buffer for a packet to come */
static inline void put_rx(Nic *n, uint32_t ref)
{
    netif_rx_request_t req = { .id = n->rx.prod, .gref = ref };

    put(n, &n->rx, &req, sizeof(req));
}

static inline netif_rx_response_t rx_answer(Nic *n)
{
    netif_rx_response_t rsp;

    get(n, &n->rx, &rsp, sizeof(rsp));
    return rsp;
}

static inline uint64_t nic_counter(Nic *n, const char *name)
{
    QDict *rsp = qtest_qmp(n->f.qts, "{'execute': 'qom-get', 'arguments': "
                           "{'path': '/machine/peripheral/nic', "
                           "'property': %s}}", name);
    uint64_t value = qdict_get_int(rsp, "return");

    qobject_unref(rsp);
    return value;
}

static inline void assert_works(Nic *n)
{
    uint8_t packet[1514], buf[1514];
    netif_rx_response_t rsp;

    make_packet(packet, sizeof(packet), 3);
    qtest_memwrite(n->f.qts, data(0) + 100, packet, sizeof(packet));
    put_tx(n, DATA_REF, 100, 0, sizeof(packet));
    push(n, &n->tx);
    g_assert_cmpint(tx_answer(n), ==, NETIF_RSP_OKAY);
    assert_wire(n, packet, sizeof(packet));

    make_packet(packet, sizeof(packet), 5);
    put_rx(n, DATA_REF + 1);
    push(n, &n->rx);
    wire_put(n, packet, sizeof(packet));
    rsp = rx_answer(n);
    g_assert_cmpint(rsp.status, ==, sizeof(packet));
    /* Front ends of unikernels do not look at it */
    g_assert_cmpuint(rsp.offset, ==, 0);
    qtest_memread(n->f.qts, data(1), buf, sizeof(buf));
    g_assert_cmpmem(buf, sizeof(buf), packet, sizeof(packet));
}

static inline void finish(Nic *n)
{
    frontend_destroy(&n->f);
    qtest_quit(n->f.qts);
    close(n->fd);
}

#endif /* XENPV_NETIF_H */
