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
#include "qobject/qjson.h"
#include "xenpv-netif.h"

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

/*
 * A card that is to go while the guest is moved works where it comes to, as long as
 * its front end has it, and goes then
 */
static void test_unplug_moved(void)
{
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    QTestState *qts, *to;
    int fd, to_fd;
    Nic n;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    qtest_qmp_device_del_send(qts, "nic");
    frontend_wait(&n.f, XenbusStateClosing);
    assert_works(&n);
    xenpv_save(qts, uri);
    to = start(&to_fd, ONE_NIC " -incoming defer");
    /* Else QEMU has frames of its own for the wire */
    qtest_qmp_assert_success(to, "{'execute': 'migrate-set-parameters',"
                             " 'arguments': {'announce-rounds': 0}}");
    qtest_qmp_assert_success(to, "{'execute': 'migrate-incoming',"
                             " 'arguments': {'uri': %s}}", uri);
    g_assert_true(xenpv_migrated(to));
    n.f.qts = to;
    n.fd = to_fd;
    g_assert_cmpint(frontend_back_state(&n.f), ==, XenbusStateClosing);
    assert_works(&n);
    frontend_set_state(&n.f, XenbusStateClosed);
    qtest_qmp_eventwait(to, "DEVICE_DELETED");
    frontend_destroy(&n.f);
    qtest_quit(qts);
    qtest_quit(to);
    close(fd);
    close(to_fd);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(rmdir(dir), ==, 0);
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

/*
 * Extra slots that do not end, come twice or do not exist are taken for
 * something; or the answers are not as many as the slots
 */
static void test_bad_extras(void)
{
    uint8_t packet[60];
    netif_extra_info_t extra[2];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    make_packet(packet, sizeof(packet), 1);
    for (int i = 0; i < 4; i++) {
        static const uint8_t types[4][2] = {
            { 1, 1 }, { 2, 2 }, { 4, 0 }, { 77, 1 },
        };

        memset(extra, 0, sizeof(extra));
        extra[0].type = types[i][0];
        extra[1].type = types[i][1];
        put_tx_frame(&n, packet, sizeof(packet), 1, 0, extra, 2);
        assert_tx_answers(&n, 1, 2, NETIF_RSP_ERROR);
    }
    /* A hash is nothing to us, and no harm */
    memset(extra, 0, sizeof(extra));
    extra[0].type = XEN_NETIF_EXTRA_TYPE_HASH;
    put_tx_frame(&n, packet, sizeof(packet), 1, 0, extra, 1);
    assert_tx_answers(&n, 1, 1, NETIF_RSP_OKAY);
    assert_wire(&n, packet, sizeof(packet));

    /* All of the ring: extra slots, and then parts, each with one more */
    for (int i = 0; i < 2; i++) {
        unsigned begin = n.tx.cons;

        put_tx(&n, DATA_REF, 0, i ? NETTXF_more_data : NETTXF_extra_info, 60);
        for (int j = 1; j < RING_SLOTS; j++) {
            if (i) {
                put_tx(&n, DATA_REF, 0, NETTXF_more_data, 60);
            } else {
                extra[0].flags = XEN_NETIF_EXTRA_FLAG_MORE;
                put(&n, &n.tx, extra, sizeof(extra[0]));
            }
        }
        push(&n, &n.tx);
        for (int j = 0; j < RING_SLOTS; j++) {
            netif_tx_response_t rsp;

            if (!j || i) {
                g_assert_cmpint(tx_answer(&n), ==, NETIF_RSP_ERROR);
                continue;
            }
            qtest_memread(qts, slot(&n.tx, n.tx.cons++), &rsp, sizeof(rsp));
            g_assert_cmpint(rsp.status, ==, NETIF_RSP_NULL);
        }
        g_assert_cmpuint(qtest_readl(qts, n.tx.gpa + RSP_PROD), ==,
                         begin + RING_SLOTS);
    }
    assert_wire_silent(&n);
    assert_works(&n);
    finish(&n);
}

static void mcast_frame(uint8_t *frame, unsigned nr)
{
    make_packet(frame, 60, nr);
    memcpy(frame, "\x01\0\x5e\0\0", 5);
    frame[5] = nr;
}

static int16_t mcast_request(Nic *n, uint8_t type, unsigned nr)
{
    uint8_t addr[60];
    netif_extra_info_t extra = { .type = type };
    int16_t status;

    mcast_frame(addr, nr);
    memcpy(extra.u.mcast.addr, addr, 6);
    put_tx(n, 0, 0, NETTXF_extra_info, 0);
    put(n, &n->tx, &extra, sizeof(extra));
    push(n, &n->tx);
    status = tx_answer(n);
    n->tx.cons++;
    return status;
}

static void assert_rx(Nic *n, const uint8_t *frame, size_t len)
{
    netif_rx_response_t rsp = rx_answer(n);
    g_autofree uint8_t *got = g_malloc(len);

    g_assert_cmpint(rsp.status, ==, len);
    qtest_memread(n->f.qts, data((n->rx.cons - 1) % NR_DATA), got, len);
    g_assert_cmpmem(got, len, frame, len);
}

static void fill_rx(Nic *n)
{
    while (n->rx.prod - n->rx.cons < NR_DATA) {
        put_rx(n, DATA_REF + n->rx.prod % NR_DATA);
    }
    push(n, &n->rx);
}

/*
 * Multicast that the guest has not asked for comes through, or what it has
 * asked for does not; or it asks for more and more
 */
static void test_multicast(void)
{
    uint8_t frame[60], other[60];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    prepare(&n, qts, fd);
    xs_write(qts, DIR, "request-multicast-control", "1");
    frontend_set_state(&n.f, XenbusStateConnected);
    frontend_wait(&n.f, XenbusStateConnected);
    fill_rx(&n);

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++) {
            g_assert_cmpint(mcast_request(&n, XEN_NETIF_EXTRA_TYPE_MCAST_ADD,
                                          i), ==, NETIF_RSP_OKAY);
        }
        /* Once more is no more; another one is one too many */
        g_assert_cmpint(mcast_request(&n, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 5),
                        ==, NETIF_RSP_OKAY);
        g_assert_cmpint(mcast_request(&n, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 64),
                        ==, NETIF_RSP_ERROR);
        for (int i = 0; i < 66; i++) {
            mcast_frame(frame, i);
            wire_put(&n, frame, sizeof(frame));
            if (i < 64) {
                assert_rx(&n, frame, sizeof(frame));
                fill_rx(&n);
            }
        }
        /* Broadcast and unicast are not multicast */
        make_packet(frame, sizeof(frame), 1);
        wire_put(&n, frame, sizeof(frame));
        assert_rx(&n, frame, sizeof(frame));
        frame[0] = 2;
        wire_put(&n, frame, sizeof(frame));
        assert_rx(&n, frame, sizeof(frame));
        for (int i = 0; i < 64; i++) {
            g_assert_cmpint(mcast_request(&n, XEN_NETIF_EXTRA_TYPE_MCAST_DEL,
                                          i), ==, NETIF_RSP_OKAY);
        }
        mcast_frame(other, 3);
        wire_put(&n, other, sizeof(other));
        wire_put(&n, frame, sizeof(frame));
        assert_rx(&n, frame, sizeof(frame));
        fill_rx(&n);
    }
    /* At any time */
    xs_write(qts, DIR, "request-multicast-control", "0");
    g_assert_cmpint(mcast_request(&n, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 1), ==,
                    NETIF_RSP_OKAY);
    wire_put(&n, other, sizeof(other));
    assert_rx(&n, other, sizeof(other));
    finish(&n);
}

/* Events of one way are told by the other's channel, or not at all */
static void test_split_channels(void)
{
    uint8_t packet[60];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    prepare(&n, qts, fd);
    n.rx_port = xenpv_alloc_unbound(qts);
    xs_write(qts, DIR, "event-channel", "x");
    xs_write(qts, DIR, "event-channel-tx", "%u", n.port);
    xs_write(qts, DIR, "event-channel-rx", "%u", n.rx_port);
    frontend_set_state(&n.f, XenbusStateConnected);
    frontend_wait(&n.f, XenbusStateConnected);
    assert_works(&n);
    xenpv_wait_event(qts, n.port);
    xenpv_wait_event(qts, n.rx_port);

    make_packet(packet, sizeof(packet), 1);
    put_tx_frame(&n, packet, sizeof(packet), 1, 0, NULL, 0);
    assert_tx_answers(&n, 1, 0, NETIF_RSP_OKAY);
    xenpv_wait_event(qts, n.port);
    g_assert_false(xenpv_take_event(qts, n.rx_port));
    assert_wire(&n, packet, sizeof(packet));
    fill_rx(&n);
    wire_put(&n, packet, sizeof(packet));
    assert_rx(&n, packet, sizeof(packet));
    xenpv_wait_event(qts, n.rx_port);
    g_assert_false(xenpv_take_event(qts, n.port));
    finish(&n);
}

#define NR_QUEUES       4
#define QUEUE_MFN(q)    (DATA_MFN + NR_DATA + 2 * (q))
#define QUEUE_REF(q)    (NOT_RAM_REF + 1 + 2 * (q))

/* The nodes and rings of a front end with several queues */
static void prepare_queues(Nic *queues, QTestState *qts, int fd)
{
    prepare(&queues[0], qts, fd);
    for (int i = 0; i < NR_QUEUES; i++) {
        Nic *q = &queues[i];
        g_autofree char *dir = g_strdup_printf("%s/queue-%d", DIR, i);

        *q = queues[0];
        ring_init(qts, &q->tx, QUEUE_REF(i), QUEUE_MFN(i),
                  sizeof(union netif_tx_sring_entry));
        ring_init(qts, &q->rx, QUEUE_REF(i) + 1, QUEUE_MFN(i) + 1,
                  sizeof(union netif_rx_sring_entry));
        if (i) {
            q->port = q->rx_port = xenpv_alloc_unbound(qts);
        }
        xs_write(qts, dir, "tx-ring-ref", "%u", QUEUE_REF(i));
        xs_write(qts, dir, "rx-ring-ref", "%u", QUEUE_REF(i) + 1);
        xs_write(qts, dir, "event-channel", "%u", q->port);
    }
    xs_write(qts, DIR, "multi-queue-num-queues", "%d", NR_QUEUES);
}

/*
 * A queue does not work; or frames of one connection come by several, or all by
 * one; or a front end gets queues that are not there
 */
static void test_queues(void)
{
    static const struct {
        const char *node, *value;
    } bad[] = {
        { "multi-queue-num-queues", "0" }, { "multi-queue-num-queues", "5" },
        { "multi-queue-num-queues", "4294967295" },
        { "queue-3/tx-ring-ref", "132" }, { "queue-2/rx-ring-ref", "x" },
        { "queue-3/event-channel", "4097" },
    };
    unsigned got[NR_QUEUES] = { 0 }, used = 0;
    uint8_t packet[60] = { 0 };
    Nic queues[NR_QUEUES];
    QTestState *qts;
    int fd;

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        qts = start(&fd, "-smp 4" ONE_NIC);
        prepare_queues(queues, qts, fd);
        xs_assert(qts, queues[0].f.back, "multi-queue-max-queues", "4");
        xs_write(qts, DIR, bad[i].node, "%s", bad[i].value);
        frontend_set_state(&queues[0].f, XenbusStateConnected);
        frontend_wait(&queues[0].f, XenbusStateClosing);
        for (int q = 0; q < NR_QUEUES; q++) {
            g_assert_cmphex(xenpv_grant_flags(qts, QUEUE_REF(q)), ==,
                            GTF_permit_access);
            g_assert_cmphex(xenpv_grant_flags(qts, QUEUE_REF(q) + 1), ==,
                            GTF_permit_access);
        }
        finish(&queues[0]);
    }

    qts = start(&fd, "-smp 4" ONE_NIC);
    prepare_queues(queues, qts, fd);
    frontend_set_state(&queues[0].f, XenbusStateConnected);
    frontend_wait(&queues[0].f, XenbusStateConnected);
    for (int i = 0; i < NR_QUEUES; i++) {
        make_packet(packet, sizeof(packet), i);
        put_tx_frame(&queues[i], packet, sizeof(packet), 1, 0, NULL, 0);
        assert_tx_answers(&queues[i], 1, 0, NETIF_RSP_OKAY);
        assert_wire(&queues[0], packet, sizeof(packet));
        /* All pages are for one: nobody looks what is in them */
        fill_rx(&queues[i]);
    }
    /* 16 connections, of 8 frames each */
    memset(packet, 0, sizeof(packet));
    memset(packet, 0xff, 6);
    packet[12] = 8;
    packet[14] = 0x45;
    packet[23] = 17;
    for (int i = 0; i < 16; i++) {
        unsigned to = NR_QUEUES;

        packet[35] = i;
        for (int j = 0; j < 8; j++) {
            unsigned now = 0;
            gint64 end = g_get_monotonic_time() + TIMEOUT_US;

            packet[50] = j;
            wire_put(&queues[0], packet, sizeof(packet));
            while (qtest_readl(qts, queues[now].rx.gpa + RSP_PROD) ==
                   queues[now].rx.cons) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                now = (now + 1) % NR_QUEUES;
            }
            rx_answer(&queues[now]);
            fill_rx(&queues[now]);
            g_assert_true(to == NR_QUEUES || to == now);
            to = now;
        }
        used += !got[to]++;
    }
    g_assert_cmpuint(used, >, 1);
    finish(&queues[0]);
}

/* Frames go out of a machine that is stopped, or are lost when it goes on */
static void test_stopped(void)
{
    uint8_t packet[60], in[60];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    assert_works(&n);
    fill_rx(&n);
    qtest_qmp_assert_success(qts, "{'execute': 'stop'}");
    make_packet(packet, sizeof(packet), 1);
    put_tx_frame(&n, packet, sizeof(packet), 1, 0, NULL, 0);
    make_packet(in, sizeof(in), 2);
    wire_put(&n, in, sizeof(in));
    assert_wire_silent(&n);
    g_assert_cmpuint(qtest_readl(qts, n.tx.gpa + RSP_PROD), ==, n.tx.cons);
    g_assert_cmpuint(qtest_readl(qts, n.rx.gpa + RSP_PROD), ==, n.rx.cons);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    assert_tx_answers(&n, 1, 0, NETIF_RSP_OKAY);
    assert_wire(&n, packet, sizeof(packet));
    assert_rx(&n, in, sizeof(in));
    finish(&n);
}

/* The link is down, and nothing passes; then it comes up, and all does */
static void assert_down_then_up(Nic *n)
{
    QTestState *qts = n->f.qts;
    uint8_t packet[60];

    xs_assert(qts, n->f.back, "carrier", "0");
    make_packet(packet, sizeof(packet), 1);
    put_tx_frame(n, packet, sizeof(packet), 1, 0, NULL, 0);
    assert_tx_answers(n, 1, 0, NETIF_RSP_OKAY);
    wire_put(n, packet, sizeof(packet));
    assert_wire_silent(n);
    g_assert_cmpuint(qtest_readl(qts, n->rx.gpa + RSP_PROD), ==, n->rx.cons);
    qtest_qmp_assert_success(qts, "{'execute': 'set_link', 'arguments': "
                             "{'name': 'nic', 'up': true}}");
    xs_assert(qts, n->f.back, "carrier", "1");
    wire_put(n, packet, sizeof(packet));
    assert_rx(n, packet, sizeof(packet));
    put_tx_frame(n, packet, sizeof(packet), 1, 0, NULL, 0);
    assert_tx_answers(n, 1, 0, NETIF_RSP_OKAY);
    assert_wire(n, packet, sizeof(packet));
}

/* Frames go through a link that is down, or none when it is up again */
static void test_link(void)
{
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    fill_rx(&n);
    qtest_qmp_assert_success(qts, "{'execute': 'set_link', 'arguments': "
                             "{'name': 'nic', 'up': false}}");
    assert_down_then_up(&n);
    finish(&n);
}

/*
 * A link that is down is up where the guest is moved to, or again after a
 * snapshot, though the node says that it is down
 */
static void test_link_moved(void)
{
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    QTestState *qts, *to;
    int fd, to_fd;
    Nic n;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    qtest_qmp_assert_success(qts, "{'execute': 'set_link', 'arguments': "
                             "{'name': 'nic', 'up': false}}");
    fill_rx(&n);
    xenpv_save(qts, uri);
    to = start(&to_fd, ONE_NIC " -incoming defer");
    qtest_qmp_assert_success(to, "{'execute': 'migrate-set-parameters',"
                             " 'arguments': {'announce-rounds': 0}}");
    qtest_qmp_assert_success(to, "{'execute': 'migrate-incoming',"
                             " 'arguments': {'uri': %s}}", uri);
    g_assert_true(xenpv_migrated(to));
    n.f.qts = to;
    n.fd = to_fd;
    assert_down_then_up(&n);
    frontend_destroy(&n.f);
    qtest_quit(qts);
    qtest_quit(to);
    close(fd);
    close(to_fd);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

/*
 * A kernel that starts anew (kexec, a crash) without a word of the old one's end
 * is not served, or on the old one's rings
 */
static void test_new_front_end(void)
{
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    for (int i = 0; i < 3; i++) {
        connect_nic(&n, qts, fd);
        assert_works(&n);
        frontend_set_state(&n.f, XenbusStateInitialising);
        frontend_wait(&n.f, XenbusStateInitWait);
        g_assert_cmphex(xenpv_grant_flags(qts, TX_REF), ==, GTF_permit_access);
        g_assert_cmphex(xenpv_grant_flags(qts, RX_REF), ==, GTF_permit_access);
        frontend_destroy(&n.f);
    }
    qtest_quit(qts);
    close(fd);
}

static void assert_refused(QTestState *qts, const char *properties,
                           const char *why)
{
    g_autofree char *text = g_strdup_printf("{'driver': 'xen-net-device', %s}",
                                            properties);
    QDict *args = qdict_from_jsonf_nofail("%p", qobject_from_json(text, NULL));
    QDict *rsp;

    rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': %p}", args);
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), why));
    qobject_unref(rsp);
}

/* Two cards share a number, or a property that cannot be is taken */
static void test_properties(void)
{
    QTestState *qts;
    Frontend f;
    int fd;

    qts = start(&fd, ONE_NIC ",mtu=9000,multi-queue-max-queues=7");
    frontend_init(&f, qts, DIR);
    xs_assert(qts, f.dir, "mtu", "9000");
    xs_assert(qts, f.back, "multi-queue-max-queues", "7");
    assert_refused(qts, "'idx': 0", "idx=0 is in use");
    assert_refused(qts, "'idx': -2", "idx=-2 is no number");
    assert_refused(qts, "'mtu': 67", "mtu=67 is not possible");
    assert_refused(qts, "'multi-queue-max-queues': 65", "too many");
    /* A guest that removes its side makes no room for a second one */
    g_free(xs_request(qts, XS_RM, DIR, sizeof(DIR)));
    assert_refused(qts, "'idx': 0", "idx=0 is in use");
    frontend_destroy(&f);
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
    qtest_add_func("/xenpv/net/unplug-moved", test_unplug_moved);
    qtest_add_func("/xenpv/net/reset", test_reset);
    qtest_add_func("/xenpv/net/bad-extras", test_bad_extras);
    qtest_add_func("/xenpv/net/multicast", test_multicast);
    qtest_add_func("/xenpv/net/split-channels", test_split_channels);
    qtest_add_func("/xenpv/net/queues", test_queues);
    qtest_add_func("/xenpv/net/stopped", test_stopped);
    qtest_add_func("/xenpv/net/link", test_link);
    qtest_add_func("/xenpv/net/link-moved", test_link_moved);
    qtest_add_func("/xenpv/net/new-front-end", test_new_front_end);
    qtest_add_func("/xenpv/net/properties", test_properties);
    return g_test_run();
}
