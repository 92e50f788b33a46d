/*
 * xen-net-device on the xenpv-kvm machine: a front end with as many queues as there
 * can be, all of them full, does not keep QEMU busy for longer than a pass
 *
 * If one of these fails, a guest can keep its host from managing it, by the number of
 * its queues or by what it writes into one frame.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "xenpv-netif.h"
#include "xenpv-qmp-time.h"

#define QUEUES          64
#define MAX_FRAME       65535
#define FRAMES          15          /* of this size that fit into a ring */
#define PARTS           16
#define HEADERS         250         /* 14, 40, 136 and 60 */
/* Of each queue, one page for each of its rings */
#define TX_RINGS        512
#define RX_RINGS        (TX_RINGS + QUEUES)
#define RINGS_REF       200
/* Frames that wait in the net layer, which would keep 10000 */
#define NR_WAITING      3000
/* Of these, what QEMU takes in a pass: XENPV_NET_PASS_SLOTS */
#define MAX_AT_ONCE     1024

/* CPU time of a single frame, however it is made: what one pass may take */
#define FRAME_MS        (QMP_LIMIT_MS / 20)

/* A network in which nothing answers but what the test asks for */
#define NETWORK         "-M xenpv-kvm -m 32 -nodefaults " \
                        "-netdev user,id=n,restrict=on,ipv6=off " \
                        "-device xen-net-device,netdev=n,idx=0,id=nic," \
                        "multi-queue-max-queues=64"

static uint64_t tx_ring(unsigned queue)
{
    return (TX_RINGS + queue) * XENPV_PAGE;
}

static uint64_t rx_ring(unsigned queue)
{
    return (RX_RINGS + queue) * XENPV_PAGE;
}

/* Everything but the rings' contents, and telling the back end; returns a port */
static uint32_t prepare_all(Frontend *f, QTestState *qts, unsigned queues)
{
    uint32_t port = 0;

    frontend_init(f, qts, DIR);
    frontend_wait(f, XenbusStateInitWait);
    for (int i = 0; i < NR_DATA; i++) {
        xenpv_grant(qts, DATA_REF + i, GTF_permit_access, DATA_MFN + i);
    }
    for (unsigned q = 0; q < queues; q++) {
        g_autofree char *dir = queues == 1
            ? g_strdup(DIR) : g_strdup_printf(DIR "/queue-%u", q);
        unsigned ref = RINGS_REF + 2 * q;

        port = xenpv_alloc_unbound(qts);
        xenpv_grant(qts, ref, GTF_permit_access, TX_RINGS + q);
        xenpv_grant(qts, ref + 1, GTF_permit_access, RX_RINGS + q);
        xs_write(qts, dir, "tx-ring-ref", "%u", ref);
        xs_write(qts, dir, "rx-ring-ref", "%u", ref + 1);
        xs_write(qts, dir, "event-channel", "%u", port);
    }
    xs_write(qts, DIR, "multi-queue-num-queues", "%u", queues);
    xs_write(qts, DIR, "request-rx-copy", "1");
    xs_write(qts, DIR, "feature-rx-notify", "1");
    return port;
}

typedef struct Asker {
    QTestState *qts;
    bool stop;
    int64_t worst;                      /* ns */
} Asker;

/* QMP, again and again */
static void *ask(void *opaque)
{
    Asker *a = opaque;

    do {
        int64_t took = qmp_time(a->qts, "query-status");

        a->worst = MAX(a->worst, took);
        g_usleep(500);
    } while (!qatomic_read(&a->stop));
    return NULL;
}

/* ------------------------------------------------------------------------- */

/*
 * What costs most of a frame: the largest one, with the longest headers that are
 * taken, which is to be cut into the smallest segments by QEMU
 */
static void put_largest_frame(QTestState *qts)
{
    g_autofree uint8_t *frame = g_malloc0(MAX_FRAME);

    stw_be_p(frame + 12, 0x86dd);
    frame[14] = 0x60;
    stw_be_p(frame + 18, MAX_FRAME - 54);
    frame[20] = 60;                     /* destination options, then TCP */
    frame[21] = 64;
    frame[22] = frame[38] = 0xfd;
    frame[54] = 6;
    frame[55] = 16;
    frame[HEADERS - 48] = 0xf0;
    qtest_memwrite(qts, data(0), frame, MAX_FRAME);
}

static void fill_tx(QTestState *qts, unsigned queue)
{
    const netif_extra_info_t gso = {
        .type = XEN_NETIF_EXTRA_TYPE_GSO,
        .u.gso.size = 64,
        .u.gso.type = XEN_NETIF_GSO_TYPE_TCPV6,
    };
    uint8_t page[XENPV_PAGE] = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < FRAMES * PARTS; i++) {
        unsigned part = i % PARTS;
        netif_tx_request_t req = {
            .gref = DATA_REF + part,
            .flags = (part ? 0 : NETTXF_extra_info | NETTXF_csum_blank) |
                     (part < PARTS - 1 ? NETTXF_more_data : 0),
            .id = n,
            .size = part == 0 ? MAX_FRAME :
                    part < PARTS - 1 ? XENPV_PAGE : XENPV_PAGE - 1,
        };

        memcpy(page + SLOTS + n++ * sizeof(union netif_tx_sring_entry), &req,
               sizeof(req));
        if (!part) {
            memcpy(page + SLOTS + n++ * sizeof(union netif_tx_sring_entry),
                   &gso, sizeof(gso));
        }
    }
    stl_le_p(page + REQ_PROD, n);
    stl_le_p(page + REQ_EVENT, 1);
    stl_le_p(page + RSP_EVENT, 1);
    qtest_memwrite(qts, tx_ring(queue), page, sizeof(page));
}

static void wait_until_sent(QTestState *qts, unsigned queues)
{
    const unsigned all = FRAMES * (PARTS + 1);
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    for (unsigned q = 0; q < queues; q++) {
        while (qtest_readl(qts, tx_ring(q) + RSP_PROD) != all) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
    }
}

/*
 * When a front end connects, each of its queues is looked at, all of them at once.
 * Returns how long QMP took at worst in the best of three rounds, for what others make
 * it wait is not in each; and the CPU time of a frame, on average
 */
static int64_t send_all(unsigned queues, double *frame_ms)
{
    QTestState *qts = qtest_init(NETWORK);
    int64_t before, least = INT64_MAX;
    GThread *thread;
    Nic n = { 0 };

    prepare_all(&n.f, qts, queues);
    put_largest_frame(qts);
    for (unsigned round = 0; round < 3; round++) {
        Asker asker = { .qts = qts };

        for (unsigned q = 0; q < queues; q++) {
            fill_tx(qts, q);
            qtest_memset(qts, rx_ring(q), 0, XENPV_PAGE);
        }
        thread = g_thread_new("asker", ask, &asker);
        before = qemu_ran(qts);
        frontend_set_state(&n.f, XenbusStateConnected);
        wait_until_sent(qts, queues);
        qatomic_set(&asker.stop, true);
        g_thread_join(thread);
        least = MIN(least, asker.worst);
        *frame_ms = (qemu_ran(qts) - before) / 1e6 / (queues * FRAMES);
        frontend_set_state(&n.f, XenbusStateClosed);
        frontend_wait(&n.f, XenbusStateClosed);
        frontend_set_state(&n.f, XenbusStateInitialising);
        frontend_wait(&n.f, XenbusStateInitWait);
    }
    g_assert_cmpuint(nic_counter(&n, "tx-frames"), ==, 3 * FRAMES * queues);
    g_assert_cmpuint(nic_counter(&n, "tx-errors"), ==, 0);
    frontend_destroy(&n.f);
    qtest_quit(qts);
    return least;
}

/*
 * All queues have frames, and an event each, which has a pass of its own: QEMU looks
 * after nothing else for as many passes as there are queues.
 */
static void test_send(void)
{
    double frame_ms;
    int64_t took = send_all(QUEUES, &frame_ms);

    g_test_message("QMP took %.1f ms", took / 1e6);
    g_assert_cmpint(took / NS_PER_MS, <, QMP_LIMIT_MS / 4);
}

/* One frame is what a pass cannot be ended in: it takes longer than a pass may */
static void test_frame(void)
{
    double frame_ms;

    send_all(1, &frame_ms);
    g_test_message("%.2f ms a frame", frame_ms);
    g_assert_cmpfloat(frame_ms, <, FRAME_MS);
}

/* ------------------------------------------------------------------------- */

static void ip_checksum(uint8_t *ip)
{
    uint32_t sum = 0;

    for (int i = 0; i < 20; i += 2) {
        sum += lduw_be_p(ip + i);
    }
    stw_be_p(ip + 10, ~(sum + (sum >> 16)));
}

/* So that the answers know where to go */
static void put_arp(uint8_t *f)
{
    static const uint8_t arp[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x99,
        8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
        0x52, 0x54, 0, 0x12, 0x34, 0x99, 10, 0, 2, 15,
        0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
    };

    memcpy(f, arp, sizeof(arp));
}

/* TFTP, which is not there: each of these has an answer, to the port it came from */
static size_t put_question(uint8_t *f, uint16_t port)
{
    static const uint8_t question[] = "\0\1x\0octet";
    size_t len = 8 + sizeof(question);

    memset(f, 0, 42);
    memcpy(f, "\x52\x55\x0a\0\2\2\x52\x54\0\x12\x34\x99\x08", 13);
    f[14] = 0x45;
    stw_be_p(f + 16, 20 + len);
    f[22] = 64;
    f[23] = 17;
    memcpy(f + 26, "\x0a\0\2\x0f\x0a\0\2\2", 8);
    ip_checksum(f + 14);
    stw_be_p(f + 34, port);
    stw_be_p(f + 36, 69);
    stw_be_p(f + 38, len);
    memcpy(f + 42, question, sizeof(question));
    return 34 + len;
}

static void ask_for_answers(QTestState *qts, Nic *n, unsigned count)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    enum { AT_ONCE = 64 };
    uint8_t f[AT_ONCE][128] = { 0 };

    for (unsigned sent = 0; sent < count; ) {
        for (unsigned i = 0; i < AT_ONCE; i++, sent++) {
            size_t len = 60;

            if (sent) {
                len = put_question(f[i], 1024 + sent);
            } else {
                put_arp(f[i]);
            }
            put_tx(n, DATA_REF + i / 32, i % 32 * sizeof(f[0]), 0, len);
        }
        qtest_memwrite(qts, data(0), f, sizeof(f));
        push(n, &n->tx);
        while (qtest_readl(qts, n->tx.gpa + RSP_PROD) != n->tx.prod) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(200);
        }
    }
}

/* Frames that were received without the front end being told of any, at most */
static unsigned most_at_once(const char *log)
{
    g_autofree char *text = NULL;
    unsigned now = 0, most = 0;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (strstr(*line, "xenpv_net_rx_push ")) {
            now = 0;
        } else if (strstr(*line, "xenpv_net_rx ")) {
            most = MAX(most, ++now);
        }
    }
    return most;
}

/*
 * Frames that wait, for all queues: the first event that says that there
 * is room for them, in all of the rings, makes QEMU take all of them at once
 */
static void test_receive(void)
{
    uint8_t page[XENPV_PAGE] = { 0 };
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    char *log = NULL;
    QTestState *qts;
    unsigned most;
    Nic n = { 0 };

    close(g_file_open_tmp("xenpv-net-passes-XXXXXX", &log, NULL));
    qts = qtest_initf(NETWORK " -trace xenpv_net_rx -trace xenpv_net_rx_push "
                      "-D %s", log);
    n.port = prepare_all(&n.f, qts, QUEUES);
    n.tx = (Ring) {
        .gpa = tx_ring(QUEUES - 1),
        .slot_size = sizeof(union netif_tx_sring_entry),
    };
    for (unsigned q = 0; q < QUEUES; q++) {
        qtest_memset(qts, tx_ring(q), 0, XENPV_PAGE);
        qtest_memset(qts, rx_ring(q), 0, XENPV_PAGE);
        qtest_writel(qts, tx_ring(q) + REQ_EVENT, 1);
        qtest_writel(qts, tx_ring(q) + RSP_EVENT, 1);
    }
    frontend_set_state(&n.f, XenbusStateConnected);
    frontend_wait(&n.f, XenbusStateConnected);
    ask_for_answers(qts, &n, NR_WAITING);

    for (unsigned i = 0; i < RING_SLOTS; i++) {
        netif_rx_request_t req = { .id = i, .gref = DATA_REF + i % NR_DATA };

        memcpy(page + SLOTS + i * sizeof(union netif_rx_sring_entry), &req,
               sizeof(req));
    }
    stl_le_p(page + REQ_PROD, RING_SLOTS);
    for (unsigned q = 0; q < QUEUES; q++) {
        qtest_memwrite(qts, rx_ring(q), page, sizeof(page));
    }
    xenpv_send(qts, n.port);
    while (nic_counter(&n, "rx-frames") < NR_WAITING) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    frontend_destroy(&n.f);
    qtest_quit(qts);
    most = most_at_once(log);
    g_test_message("at most %u frames at once", most);
    g_assert_cmpuint(most, >, RING_SLOTS);
    g_assert_cmpuint(most, <=, MAX_AT_ONCE);
    unlink(log);
    g_free(log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/net-passes/send", test_send);
    qtest_add_func("/xenpv/net-passes/frame", test_frame);
    qtest_add_func("/xenpv/net-passes/receive", test_receive);
    return g_test_run();
}
