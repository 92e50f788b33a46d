/*
 * xen-net-device on the xenpv-kvm machine
 *
 * The test is the front end, and what is at the other end of the wire, too:
 * packets both ways, back pressure, plugging; and what a hostile front end can
 * put into its rings, their grants and xenstore.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
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
    int fd;
    uint32_t port;
    Ring tx, rx;
} Nic;

static uint64_t slot(const Ring *r, uint32_t i)
{
    return r->gpa + SLOTS + (i % RING_SLOTS) * r->slot_size;
}

static uint64_t data(unsigned frame)
{
    return (DATA_MFN + frame) * XENPV_PAGE;
}

static QTestState *start(int *fd, const char *device)
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

static void ring_init(QTestState *qts, Ring *r, uint32_t ref, uint32_t mfn,
                      size_t slot_size)
{
    *r = (Ring) { .gpa = mfn * XENPV_PAGE, .slot_size = slot_size };
    qtest_memset(qts, r->gpa, 0, XENPV_PAGE);
    qtest_writel(qts, r->gpa + REQ_EVENT, 1);
    qtest_writel(qts, r->gpa + RSP_EVENT, 1);
    xenpv_grant(qts, ref, GTF_permit_access, mfn);
}

/* Everything up to telling the back end */
static void prepare(Nic *n, QTestState *qts, int fd)
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
    n->port = xenpv_alloc_unbound(qts);
    xs_write(qts, DIR, "tx-ring-ref", "%u", TX_REF);
    xs_write(qts, DIR, "rx-ring-ref", "%u", RX_REF);
    xs_write(qts, DIR, "event-channel", "%u", n->port);
    xs_write(qts, DIR, "request-rx-copy", "1");
}

static void connect_nic(Nic *n, QTestState *qts, int fd)
{
    prepare(n, qts, fd);
    frontend_set_state(&n->f, XenbusStateConnected);
    frontend_wait(&n->f, XenbusStateConnected);
}

static void put(Nic *n, Ring *r, const void *req, size_t len)
{
    qtest_memwrite(n->f.qts, slot(r, r->prod), req, len);
    r->prod++;
}

static void push(Nic *n, Ring *r)
{
    qtest_writel(n->f.qts, r->gpa + REQ_PROD, r->prod);
    xenpv_send(n->f.qts, n->port);
}

/* The next answer, which begins with the request's number */
static void get(Nic *n, Ring *r, void *rsp, size_t len)
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

static void put_tx(Nic *n, uint32_t ref, uint16_t offset, uint16_t flags,
                   uint16_t size)
{
    netif_tx_request_t req = {
        .gref = ref, .offset = offset, .flags = flags,
        .id = n->tx.prod, .size = size,
    };

    put(n, &n->tx, &req, sizeof(req));
}

static int16_t tx_answer(Nic *n)
{
    netif_tx_response_t rsp;

    get(n, &n->tx, &rsp, sizeof(rsp));
    return rsp.status;
}

/* The wire: each packet has its length before it */
static void wire_get(Nic *n, void *buf, size_t len)
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

static void assert_wire(Nic *n, const uint8_t *packet, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint32_t size;

    wire_get(n, &size, sizeof(size));
    g_assert_cmpuint(be32_to_cpu(size), ==, len);
    wire_get(n, buf, len);
    g_assert_cmpmem(buf, len, packet, len);
}

static void assert_wire_silent(Nic *n)
{
    struct pollfd p = { .fd = n->fd, .events = POLLIN };

    g_assert_cmpint(poll(&p, 1, 30), ==, 0);
}

static void wire_put(Nic *n, const uint8_t *packet, size_t len)
{
    uint32_t size = cpu_to_be32(len);

    g_assert_cmpint(write(n->fd, &size, sizeof(size)), ==, sizeof(size));
    g_assert_cmpint(write(n->fd, packet, len), ==, len);
}

static void make_packet(uint8_t *packet, size_t len, int seed)
{
    for (size_t i = 0; i < len; i++) {
        packet[i] = i * 7 + seed;
    }
    memset(packet, 0xff, 6);
}

/* A buffer for a packet to come */
static void put_rx(Nic *n, uint32_t ref)
{
    netif_rx_request_t req = { .id = n->rx.prod, .gref = ref };

    put(n, &n->rx, &req, sizeof(req));
}

static netif_rx_response_t rx_answer(Nic *n)
{
    netif_rx_response_t rsp;

    get(n, &n->rx, &rsp, sizeof(rsp));
    return rsp;
}

static void assert_works(Nic *n)
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
    g_assert_cmpuint(rsp.offset + rsp.status, <=, XENPV_PAGE);
    qtest_memread(n->f.qts, data(1) + rsp.offset, buf, sizeof(buf));
    g_assert_cmpmem(buf, sizeof(buf), packet, sizeof(packet));
}

static void finish(Nic *n)
{
    frontend_destroy(&n->f);
    qtest_quit(n->f.qts);
    close(n->fd);
}

static void test_nodes(void)
{
    static const char * const features[] = {
        "feature-rx-copy", "feature-sg", "feature-gso-tcpv4",
        "feature-gso-tcpv6", "feature-ipv6-csum-offload",
        "feature-multicast-control", "feature-dynamic-multicast-control",
        "feature-split-event-channels",
    };
    int fd;
    QTestState *qts = start(&fd, ONE_NIC " -device xen-net-device");
    Frontend f;

    frontend_init(&f, qts, DIR);
    frontend_wait(&f, XenbusStateInitWait);
    xs_assert(qts, f.dir, "mac", "52:54:00:12:34:99");
    xs_assert(qts, f.dir, "state", "1");
    xs_assert(qts, f.dir, "backend-id", "0");
    xs_assert(qts, f.back, "frontend", "/local/domain/1/device/vif/0");
    xs_assert(qts, f.back, "frontend-id", "1");
    xs_assert(qts, f.back, "online", "1");
    for (int i = 0; i < ARRAY_SIZE(features); i++) {
        xs_assert(qts, f.back, features[i], "1");
    }
    /* As many as vCPUs */
    xs_assert(qts, f.back, "multi-queue-max-queues", "1");
    xs_assert(qts, f.back, "carrier", "1");
    /* What is not said is not there */
    g_assert_null(xs_read(qts, "%s/feature-ctrl-ring", f.back));
    g_assert_null(xs_read(qts, DIR "/mtu"));
    xs_assert(qts, "device/vif/1", "state", "1");
    frontend_destroy(&f);
    qtest_quit(qts);
    close(fd);
}

static void test_transfer(void)
{
    uint8_t packet[14 + 20 + 8 + 32] = { 0 }, buf[NR_DATA][60];
    uint32_t sum = 0;
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    assert_works(&n);

    /* All around the rings */
    for (int i = 0; i < 2 * RING_SLOTS; i++) {
        make_packet(buf[0], sizeof(buf[0]), i);
        qtest_memwrite(qts, data(i % NR_DATA), buf[0], sizeof(buf[0]));
        put_tx(&n, DATA_REF + i % NR_DATA, 0, 0, sizeof(buf[0]));
        push(&n, &n.tx);
        g_assert_cmpint(tx_answer(&n), ==, NETIF_RSP_OKAY);
        assert_wire(&n, buf[0], sizeof(buf[0]));
    }
    xenpv_wait_event(qts, n.port);

    /* What comes while there is no buffer waits */
    for (int i = 0; i < NR_DATA; i++) {
        make_packet(buf[i], sizeof(buf[i]), i);
        wire_put(&n, buf[i], sizeof(buf[i]));
    }
    g_usleep(20 * 1000);
    g_assert_cmpuint(qtest_readl(qts, n.rx.gpa + RSP_PROD), ==, n.rx.cons);
    for (int i = 0; i < NR_DATA; i++) {
        put_rx(&n, DATA_REF + i);
    }
    push(&n, &n.rx);
    for (int i = 0; i < NR_DATA; i++) {
        netif_rx_response_t rsp = rx_answer(&n);
        uint8_t got[60];

        g_assert_cmpint(rsp.status, ==, sizeof(got));
        qtest_memread(qts, data(i) + rsp.offset, got, sizeof(got));
        g_assert_cmpmem(got, sizeof(got), buf[i], sizeof(got));
    }

    /* The checksum of a UDP packet that has none is made up for */
    memset(packet, 0xff, 6);
    packet[12] = 8;                                 /* IPv4 */
    packet[14] = 0x45;
    packet[17] = sizeof(packet) - 14;
    packet[22] = 64;
    packet[23] = 17;                                /* UDP */
    memcpy(packet + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
    memcpy(packet + 34, "\x10\0\x20\0\0\x28\0\0", 8);
    memset(packet + 42, 0x5a, 32);
    qtest_memwrite(qts, data(0), packet, sizeof(packet));
    put_tx(&n, DATA_REF, 0, NETTXF_csum_blank | NETTXF_data_validated,
           sizeof(packet));
    push(&n, &n.tx);
    g_assert_cmpint(tx_answer(&n), ==, NETIF_RSP_OKAY);
    {
        uint8_t got[sizeof(packet)];
        uint32_t size;

        wire_get(&n, &size, sizeof(size));
        g_assert_cmpuint(be32_to_cpu(size), ==, sizeof(packet));
        wire_get(&n, got, sizeof(got));
        g_assert_cmpmem(got + 42, 32, packet + 42, 32);
        /* Ones' complement over the pseudo header and the rest */
        for (int i = 26; i < sizeof(got); i += 2) {
            sum += lduw_be_p(got + i);
        }
        sum += 17 + 40;
        while (sum >> 16) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        g_assert_cmphex(sum, ==, 0xffff);
    }
    finish(&n);
}

static void test_bad_requests(void)
{
    static const struct {
        uint32_t ref;
        uint16_t offset, flags, size;
    } bad[] = {
        { DATA_REF, 0, 0, 0 }, { DATA_REF, 0, 0, 13 },
        { DATA_REF, 0, 0, 4097 }, { DATA_REF, 4095, 0, 14 },
        { DATA_REF, 0xffff, 0, 0xffff }, { DATA_REF, 0xfff0, 0, 60 },
        { DATA_REF, 0, NETTXF_more_data, 60 },
        { DATA_REF, 0, NETTXF_extra_info, 60 },
        { DATA_REF, 0, 0xffff, 60 },
        { FREE_REF, 0, 0, 60 }, { 511, 0, 0, 60 }, { 512, 0, 0, 60 },
        { 0x7fffffff, 0, 0, 60 }, { 0xffffffff, 0, 0, 60 },
        { NOT_RAM_REF, 0, 0, 60 }, { NOT_RAM_REF, 0, NETTXF_csum_blank, 60 },
    };
    static const uint32_t bad_rx[] = {
        FREE_REF, READONLY_REF, 512, 0x7fffffff, 0xffffffff, NOT_RAM_REF,
    };
    uint8_t packet[60];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_test_message("bad packet %d", i);
        put_tx(&n, bad[i].ref, bad[i].offset, bad[i].flags, bad[i].size);
        push(&n, &n.tx);
        g_assert_cmpint(tx_answer(&n), ==, NETIF_RSP_ERROR);
    }
    assert_wire_silent(&n);
    assert_works(&n);

    qtest_memset(qts, data(0), 0x11, XENPV_PAGE);
    make_packet(packet, sizeof(packet), 1);
    for (int i = 0; i < ARRAY_SIZE(bad_rx); i++) {
        g_test_message("bad buffer %d", i);
        put_rx(&n, bad_rx[i]);
        push(&n, &n.rx);
        wire_put(&n, packet, sizeof(packet));
        g_assert_cmpint(rx_answer(&n).status, ==, NETIF_RSP_ERROR);
    }
    g_assert_cmphex(qtest_readl(qts, data(0)), ==, 0x11111111);
    assert_works(&n);
    g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF), ==, GTF_permit_access);
    g_assert_cmphex(xenpv_grant_flags(qts, NOT_RAM_REF), ==, GTF_permit_access);
    finish(&n);
}

static void test_bad_rings(void)
{
    static const uint32_t jumps[] = { 257, 5000, 0x7fffffff, 0x80000000,
                                      0xffffffff };
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    assert_works(&n);
    for (int i = 0; i < ARRAY_SIZE(jumps); i++) {
        qtest_writel(qts, n.tx.gpa + REQ_PROD, n.tx.prod + jumps[i]);
        xenpv_send(qts, n.port);
        g_usleep(20 * 1000);
        g_assert_cmpuint(qtest_readl(qts, n.tx.gpa + RSP_PROD), ==, n.tx.cons);
        qtest_writel(qts, n.tx.gpa + REQ_PROD, n.tx.prod);
        assert_works(&n);
    }
    assert_wire_silent(&n);
    /* Answers that were not given yet are not taken for given */
    qtest_writel(qts, n.tx.gpa + RSP_PROD, n.tx.cons + 100);
    qtest_writel(qts, n.tx.gpa + RSP_PROD, n.tx.cons);
    qtest_writel(qts, n.rx.gpa + RSP_PROD, n.rx.cons);
    assert_works(&n);

    /* The rings stay where they are while they are in use */
    xenpv_grant(qts, TX_REF, 0, 0);
    xenpv_grant(qts, RX_REF, GTF_permit_access, DATA_MFN + 20);
    qtest_memset(qts, data(20), 0x77, XENPV_PAGE);
    assert_works(&n);
    g_assert_cmphex(qtest_readl(qts, data(20)), ==, 0x77777777);
    g_assert_cmphex(qtest_readl(qts, data(20) + 8), ==, 0x77777777);

    frontend_set_state(&n.f, XenbusStateClosing);
    frontend_set_state(&n.f, XenbusStateClosed);
    frontend_wait(&n.f, XenbusStateClosed);
    /* Nobody is there: packets are dropped */
    {
        uint8_t packet[60];

        make_packet(packet, sizeof(packet), 1);
        wire_put(&n, packet, sizeof(packet));
        g_usleep(20 * 1000);
    }
    frontend_set_state(&n.f, XenbusStateInitialising);
    frontend_destroy(&n.f);
    connect_nic(&n, qts, fd);
    assert_works(&n);
    finish(&n);
}

static void test_bad_connection(void)
{
    static const struct {
        const char *node, *value;
    } bad[] = {
        { "tx-ring-ref", "99999999" }, { "tx-ring-ref", "" },
        { "tx-ring-ref", "133" }, { "tx-ring-ref", "134" },
        { "rx-ring-ref", "4294967295" }, { "rx-ring-ref", "132" },
        { "event-channel", "4097" }, { "event-channel", "0" },
        { "event-channel", "x" }, { "request-rx-copy", "0" },
    };
    Nic n;
    int fd;

    g_assert_cmpint(FREE_REF, ==, 133);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        QTestState *qts = start(&fd, ONE_NIC);

        g_test_message("%s = '%s'", bad[i].node, bad[i].value);
        prepare(&n, qts, fd);
        xs_write(qts, DIR, bad[i].node, "%s", bad[i].value);
        frontend_set_state(&n.f, XenbusStateConnected);
        frontend_wait(&n.f, XenbusStateClosing);
        g_assert_cmphex(xenpv_grant_flags(qts, TX_REF), ==, GTF_permit_access);
        g_assert_cmphex(xenpv_grant_flags(qts, RX_REF), ==, GTF_permit_access);
        frontend_set_state(&n.f, XenbusStateClosed);
        frontend_wait(&n.f, XenbusStateClosed);
        frontend_set_state(&n.f, XenbusStateInitialising);
        frontend_destroy(&n.f);
        connect_nic(&n, qts, fd);
        assert_works(&n);
        finish(&n);
    }
}

static void test_plug(void)
{
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, "");
    for (int i = 0; i < 3; i++) {
        qtest_qmp_device_add(qts, "xen-net-device", "nic",
                             "{'netdev': 'n', 'idx': 0, "
                             "'mac': '52:54:00:12:34:99'}");
        connect_nic(&n, qts, fd);
        assert_works(&n);
        qtest_qmp_device_del_send(qts, "nic");
        frontend_wait(&n.f, XenbusStateClosing);
        frontend_set_state(&n.f, XenbusStateClosing);
        frontend_set_state(&n.f, XenbusStateClosed);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        g_assert_null(xs_read(qts, DIR "/state"));
        g_assert_cmphex(xenpv_grant_flags(qts, TX_REF), ==, GTF_permit_access);
        frontend_destroy(&n.f);
    }
    qtest_quit(qts);
    close(fd);
}

static void test_reset(void)
{
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    for (int i = 0; i < 3; i++) {
        connect_nic(&n, qts, fd);
        assert_works(&n);
        qtest_system_reset(qts);
        frontend_destroy(&n.f);
    }
    qtest_quit(qts);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/net/nodes", test_nodes);
    qtest_add_func("/xenpv/net/transfer", test_transfer);
    qtest_add_func("/xenpv/net/bad-requests", test_bad_requests);
    qtest_add_func("/xenpv/net/bad-rings", test_bad_rings);
    qtest_add_func("/xenpv/net/bad-connection", test_bad_connection);
    qtest_add_func("/xenpv/net/plug", test_plug);
    qtest_add_func("/xenpv/net/reset", test_reset);
    return g_test_run();
}
