/*
 * xen-net-device on the xenpv-kvm machine: frames of several slots, checksums
 * and segmentation that one end leaves to the other
 *
 * With a socket at the other end QEMU segments by itself; with a tap device,
 * which tests have a network namespace for, if they may, the host's kernel is
 * told to. There the test is at the tap device's other end, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "qemu/atomic.h"
#include "xenpv-netif.h"
#include "xenpv-qmp-time.h"
#include "standard-headers/linux/virtio_net.h"

/* After <net/if.h> */
#define IFF_TAP         0x0002
#define IFF_NO_PI       0x1000
#define IFF_VNET_HDR    0x4000
#define TUNSETIFF       _IOW('T', 202, int)

#define ETH_LEN         14
#define IP4_LEN         20
#define IP6_LEN         40
#define TCP_LEN         20
#define UDP_LEN         8
#define TCP_FIN         0x01
#define TCP_PSH         0x08
#define TCP_ACK         0x10
#define MAX_FRAME       65535

/* ------------------------------------------------------------------------- */
/* Frames                                                                     */

static uint32_t sum(const uint8_t *p, size_t len)
{
    uint32_t s = 0;

    for (size_t i = 0; i < len; i++) {
        s += i % 2 ? p[i] : p[i] << 8;
    }
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16) {
        s = (s & 0xffff) + (s >> 16);
    }
    return s;
}

/* Of a TCP or UDP frame without options */
static size_t l4_at(const uint8_t *f)
{
    return ETH_LEN + (lduw_be_p(f + 12) == 0x800 ? IP4_LEN : IP6_LEN);
}

static uint16_t pseudo_sum(const uint8_t *f, size_t len)
{
    bool v4 = lduw_be_p(f + 12) == 0x800;

    return fold((v4 ? sum(f + 26, 8) : sum(f + 22, 32)) +
                (v4 ? f[23] : f[20]) + len - l4_at(f));
}

/* A frame to 10.0.0.2 or fd00::2 with TCP (6) or UDP (17) and its checksum */
static size_t make_ip_frame(uint8_t *f, bool v4, uint8_t proto, size_t data_len,
                            bool blank)
{
    size_t l4_len = (proto == 6 ? TCP_LEN : UDP_LEN) + data_len;
    size_t len = ETH_LEN + (v4 ? IP4_LEN : IP6_LEN) + l4_len;
    size_t at, csum;

    memset(f, 0, len - data_len);
    memcpy(f, "\x52\x54\0\x12\x34\x99\x52\x54\0\0\0\1", 12);
    if (v4) {
        stw_be_p(f + 12, 0x800);
        f[14] = 0x45;
        stw_be_p(f + 16, IP4_LEN + l4_len);
        stw_be_p(f + 18, 0x1000);                   /* identification */
        f[22] = 64;
        f[23] = proto;
        memcpy(f + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
        stw_be_p(f + 24, ~fold(sum(f + 14, IP4_LEN)));
    } else {
        stw_be_p(f + 12, 0x86dd);
        f[14] = 0x60;
        stw_be_p(f + 18, l4_len);
        f[20] = proto;
        f[21] = 64;
        f[22] = f[38] = 0xfd;
        f[37] = 1;
        f[53] = 2;
    }
    at = l4_at(f);
    stw_be_p(f + at, 1000);
    stw_be_p(f + at + 2, 2000);
    if (proto == 6) {
        stl_be_p(f + at + 4, 0x12345678);
        f[at + 12] = 0x50;
        f[at + 13] = TCP_ACK | TCP_PSH;
        csum = at + 16;
    } else {
        stw_be_p(f + at + 4, l4_len);
        csum = at + 6;
    }
    for (size_t i = 0; i < data_len; i++) {
        f[len - data_len + i] = i * 13 + i / 256;
    }
    if (!blank) {
        stw_be_p(f + csum, ~fold(pseudo_sum(f, len) +
                                 sum(f + at, len - at)));
    }
    return len;
}

static void assert_checksums(const uint8_t *f, size_t len)
{
    size_t at = l4_at(f);

    if (lduw_be_p(f + 12) == 0x800) {
        g_assert_cmphex(fold(sum(f + 14, IP4_LEN)), ==, 0xffff);
        g_assert_cmpuint(lduw_be_p(f + 16), ==, len - ETH_LEN);
    } else {
        g_assert_cmpuint(lduw_be_p(f + 18), ==, len - ETH_LEN - IP6_LEN);
    }
    g_assert_cmphex(fold(pseudo_sum(f, len) + sum(f + at, len - at)), ==,
                    0xffff);
}

/* One segment, of data from done on, of a frame that make_ip_frame() made */
static void assert_segment(const uint8_t *f, size_t len, const uint8_t *whole,
                           size_t whole_len, size_t done)
{
    size_t headers = l4_at(whole) + TCP_LEN;
    bool last = len - headers + done == whole_len - headers;

    assert_checksums(f, len);
    g_assert_cmpmem(f, 14, whole, 14);
    g_assert_cmphex(ldl_be_p(f + headers - 16), ==, 0x12345678 + done);
    g_assert_cmpmem(f + headers, len - headers, whole + headers + done,
                    len - headers);
    /* Only the last one pushes: QEMU leaves it out of the last, too */
    g_assert_true(last || !(f[headers - 7] & TCP_PSH));
}

static void connect_with(Nic *n, QTestState *qts, int fd,
                         const char *const *nodes)
{
    prepare(n, qts, fd);
    for (; *nodes; nodes++) {
        xs_write(qts, DIR, *nodes, "1");
    }
    frontend_set_state(&n->f, XenbusStateConnected);
    frontend_wait(&n->f, XenbusStateConnected);
}

static const char *const all_features[] = {
    "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6",
    "feature-ipv6-csum-offload", "feature-rx-notify", NULL
};

static netif_extra_info_t gso_extra(bool v4, uint16_t size)
{
    return (netif_extra_info_t) {
        .type = XEN_NETIF_EXTRA_TYPE_GSO,
        .u.gso.size = size,
        .u.gso.type = v4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6,
    };
}

/* ------------------------------------------------------------------------- */
/* With a socket                                                              */

/*
 * A frame in several slots does not arrive as one, though the front end has not
 * asked for it; or one in too many is not refused
 */
static void test_parts_out(void)
{
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (unsigned parts = 1; parts <= 20; parts++) {
        size_t len = parts * 1500;

        make_packet(frame, len, parts);
        put_tx_frame(&n, frame, len, parts, 0, NULL, 0);
        if (parts <= XEN_NETIF_NR_SLOTS_MIN) {
            assert_tx_answers(&n, parts, 0, NETIF_RSP_OKAY);
            assert_wire(&n, frame, len);
        } else {
            assert_tx_answers(&n, parts, 0, NETIF_RSP_ERROR);
        }
    }
    make_packet(frame, MAX_FRAME, 1);
    put_tx_frame(&n, frame, MAX_FRAME, 17, 0, NULL, 0);
    assert_tx_answers(&n, 17, 0, NETIF_RSP_OKAY);
    assert_wire(&n, frame, MAX_FRAME);
    assert_wire_silent(&n);
    g_assert_cmpuint(nic_counter(&n, "tx-frames"), ==,
                     XEN_NETIF_NR_SLOTS_MIN + 1);
    g_assert_cmpuint(nic_counter(&n, "tx-errors"), ==, 2);
    assert_works(&n);
    finish(&n);
}

/*
 * A frame of several pages arrives in part, or in another order; or a front end
 * that has not asked for such gets one
 */
static void test_parts_in(void)
{
    static const size_t sizes[] = { 4096, 4097, 8192, 9014, 65550 };
    g_autofree uint8_t *frame = g_malloc(65550);
    g_autofree uint8_t *got = g_malloc(65550 + XENPV_PAGE);
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_with(&n, qts, fd, all_features);
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned slots = DIV_ROUND_UP(sizes[i], XENPV_PAGE);

        make_packet(frame, sizes[i], i);
        wire_put(&n, frame, sizes[i]);
        /* With one buffer too few it waits */
        for (unsigned j = 0; j < slots; j++) {
            if (j == slots - 1) {
                push(&n, &n.rx);
                g_usleep(20 * 1000);
                g_assert_cmpuint(qtest_readl(qts, n.rx.gpa + RSP_PROD), ==,
                                 n.rx.cons);
            }
            put_rx(&n, DATA_REF + j);
        }
        push(&n, &n.rx);
        for (unsigned j = 0; j < slots; j++) {
            netif_rx_response_t rsp = rx_answer(&n);

            g_assert_cmpint(rsp.status, ==,
                            MIN(sizes[i] - j * XENPV_PAGE, XENPV_PAGE));
            g_assert_cmpuint(rsp.offset, ==, 0);
            g_assert_cmphex(rsp.flags, ==,
                            j < slots - 1 ? NETRXF_more_data : 0);
            qtest_memread(qts, data(j), got + j * XENPV_PAGE, XENPV_PAGE);
        }
        g_assert_cmpmem(got, sizes[i], frame, sizes[i]);
    }
    frontend_set_state(&n.f, XenbusStateClosed);
    frontend_wait(&n.f, XenbusStateClosed);
    xs_write(qts, DIR, "feature-sg", "0");
    frontend_set_state(&n.f, XenbusStateInitialising);
    frontend_destroy(&n.f);
    connect_nic(&n, qts, fd);
    for (unsigned j = 0; j < 8; j++) {
        put_rx(&n, DATA_REF + j);
    }
    push(&n, &n.rx);
    wire_put(&n, frame, 4097);
    wire_put(&n, frame, 4096);
    g_assert_cmpint(rx_answer(&n).status, ==, 4096);
    g_assert_cmpuint(nic_counter(&n, "rx-dropped"), ==, 1);
    finish(&n);
}

/* A checksum that the guest has left blank is not filled in, or wrongly */
static void test_checksum_out(void)
{
    uint8_t frame[1600], got[1600];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (int i = 0; i < 16; i++) {
        size_t len = make_ip_frame(frame, i & 1, i & 2 ? 6 : 17,
                                   i & 4 ? 1400 : 33, true);

        put_tx_frame(&n, frame, len, i & 8 ? 2 : 1,
                     NETTXF_csum_blank | NETTXF_data_validated, NULL, 0);
        assert_tx_answers(&n, i & 8 ? 2 : 1, 0, NETIF_RSP_OKAY);
        g_assert_cmpuint(wire_get_frame(&n, got, sizeof(got)), ==, len);
        assert_checksums(got, len);
        g_assert_cmpmem(got + l4_at(got) + TCP_LEN, len - l4_at(got) - TCP_LEN,
                        frame + l4_at(got) + TCP_LEN,
                        len - l4_at(got) - TCP_LEN);
    }
    /* What has none is sent as it is */
    make_packet(frame, 60, 9);
    put_tx_frame(&n, frame, 60, 1, NETTXF_csum_blank, NULL, 0);
    assert_tx_answers(&n, 1, 0, NETIF_RSP_OKAY);
    assert_wire(&n, frame, 60);
    finish(&n);
}

/* A large frame is not cut into segments, or these are not what they must be */
static void test_segments_out(void)
{
    static const size_t sizes[] = { 10, 1000, 1001, 5000, 16000, 65000 };
    static const uint16_t segments[] = { 1000, 1448, 9000, 64 };
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    g_autofree uint8_t *got = g_malloc(MAX_FRAME);
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (int i = 0; i < 2 * ARRAY_SIZE(sizes) * ARRAY_SIZE(segments); i++) {
        size_t size = sizes[i / 2 % ARRAY_SIZE(sizes)];
        uint16_t segment = segments[i / 2 / ARRAY_SIZE(sizes)];
        size_t len = make_ip_frame(frame, i & 1, 6, size, true);
        size_t headers = l4_at(frame) + TCP_LEN;
        netif_extra_info_t extra = gso_extra(i & 1, segment);
        unsigned parts = DIV_ROUND_UP(len, 4000);

        if (size / segment > 500) {
            continue;               /* more than the wire's buffer has room */
        }
        put_tx_frame(&n, frame, len, parts, NETTXF_csum_blank, &extra, 1);
        for (size_t done = 0; done < size; ) {
            size_t len_got = wire_get_frame(&n, got, MAX_FRAME);

            g_assert_cmpuint(len_got - headers, ==, MIN(segment, size - done));
            assert_segment(got, len_got, frame, len, done);
            done += segment;
        }
        assert_tx_answers(&n, parts, 1, NETIF_RSP_OKAY);
    }
    assert_wire_silent(&n);
    assert_works(&n);
    finish(&n);
}

/*
 * What a front end says of segmentation is believed when it cannot be, or one
 * frame keeps QEMU busy for as long as the front end likes
 */
static void test_bad_segments(void)
{
    static const struct {
        uint8_t type;           /* of the extra slot */
        uint8_t gso;
        uint16_t size;
        bool v4;
        uint8_t proto;
        size_t len;
    } bad[] = {
        { 1, 1, 0, true, 6, 3000 }, { 1, 1, 1, true, 6, 3000 },
        { 1, 1, 2, true, 6, 3000 }, { 1, 0, 1000, true, 6, 3000 },
        { 1, 3, 1000, true, 6, 3000 }, { 1, 255, 1000, true, 6, 3000 },
        { 1, 2, 1000, true, 6, 3000 }, { 1, 1, 1000, false, 6, 3000 },
        { 1, 1, 1000, true, 17, 3000 }, { 1, 2, 1000, false, 17, 3000 },
        { 0, 1, 1000, true, 6, 3000 }, { 5, 1, 1000, true, 6, 3000 },
        { 255, 1, 1000, true, 6, 3000 },
    };
    uint8_t frame[4000];
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t len = make_ip_frame(frame, bad[i].v4, bad[i].proto, bad[i].len,
                                   true);
        netif_extra_info_t extra = {
            .type = bad[i].type,
            .u.gso = { .type = bad[i].gso, .size = bad[i].size },
        };

        g_test_message("bad segments %d", i);
        put_tx_frame(&n, frame, len, 2, NETTXF_csum_blank, &extra, 1);
        assert_tx_answers(&n, 2, 1, NETIF_RSP_ERROR);
    }
    /* Headers that end within the frame, or say so */
    for (size_t len = 14; len < 54; len += 3) {
        netif_extra_info_t extra = gso_extra(true, 1000);

        make_ip_frame(frame, true, 6, 3000, true);
        put_tx_frame(&n, frame, len, 1, NETTXF_csum_blank, &extra, 1);
        assert_tx_answers(&n, 1, 1, NETIF_RSP_ERROR);
    }
    for (int i = 0; i < 16; i++) {
        netif_extra_info_t extra = gso_extra(true, 1000);
        size_t len = make_ip_frame(frame, true, 6, 3000, true);

        if (i < 5) {
            frame[14] = 0x40 | i;                   /* IP's length */
        } else {
            frame[l4_at(frame) + 12] = (i - 5) % 5 << 4;        /* TCP's */
        }
        put_tx_frame(&n, frame, len, 1, NETTXF_csum_blank, &extra, 1);
        assert_tx_answers(&n, 1, 1, NETIF_RSP_ERROR);
    }
    assert_wire_silent(&n);
    assert_works(&n);
    finish(&n);
}

/*
 * A frame over IPv6 that is as large as one can be, with so many bytes of
 * headers between IP's and TCP's, whose length is told to be tcp_len
 */
static void make_long_frame(uint8_t *f, size_t between, unsigned tcp_len)
{
    size_t at = ETH_LEN + IP6_LEN;

    make_ip_frame(f, false, 6, MAX_FRAME - ETH_LEN - IP6_LEN - TCP_LEN, true);
    if (between) {
        f[20] = 60;                             /* destination options */
    }
    while (between) {
        size_t len = MIN(between, 256 * 8);

        between -= len;
        f[at] = between ? 60 : 6;
        f[at + 1] = len / 8 - 1;
        at += len;
    }
    memset(f + at, 0, MIN(TCP_LEN, MAX_FRAME - at));
    if (at + 12 < MAX_FRAME) {
        f[at + 12] = tcp_len / 4 << 4;
    }
}

/*
 * Headers as long as a frame: lengths wrap, and QEMU ends; or each of hundreds
 * of segments gets a copy of them
 */
static void test_long_headers(void)
{
    static const struct {
        size_t between;
        unsigned tcp_len;
        uint16_t segment;
    } bad[] = {
        { 65456, 60, 64 }, { 65456, 60, 1000 }, { 65448, 60, 64 },
        { 65456, 20, 64 }, { 32768, 20, 64 }, { 2048, 20, 1448 },
    };
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    QTestState *qts;
    Nic n;
    int fd;

    qts = start(&fd, ONE_NIC);
    connect_nic(&n, qts, fd);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        netif_extra_info_t extra = gso_extra(false, bad[i].segment);

        g_test_message("long headers %d", i);
        make_long_frame(frame, bad[i].between, bad[i].tcp_len);
        put_tx_frame(&n, frame, MAX_FRAME, 17, NETTXF_csum_blank, &extra, 1);
        assert_tx_answers(&n, 17, 1, NETIF_RSP_ERROR);
        put_tx_frame(&n, frame, MAX_FRAME, 17, NETTXF_csum_blank, NULL, 0);
        assert_tx_answers(&n, 17, 0, NETIF_RSP_ERROR);
    }
    assert_wire_silent(&n);
    assert_works(&n);
    finish(&n);
}

/* CPU time of QEMU's main thread, in ns */
static int64_t ran(QTestState *qts)
{
    int pid = qtest_pid(qts);
    g_autofree char *file = g_strdup_printf("/proc/%d/task/%d/schedstat", pid,
                                            pid);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    return g_ascii_strtoll(text, NULL, 10);
}

/*
 * A frame that becomes a thousand segments keeps QEMU from everything else for
 * as long as it takes to get rid of all of them. The peer is one that takes
 * longer for each: QEMU's user network looks through all that it could not
 * deliver yet. What is measured is what QEMU does until it answers.
 */
static void test_slow_peer(void)
{
    netif_extra_info_t extra = gso_extra(false, 64);
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    int64_t worst = 0;
    QTestState *qts;
    size_t len;
    Nic n;
    int fd;

    qts = start(&fd, "-netdev user,id=u,restrict=on "
                     "-device xen-net-device,netdev=u,id=nic");
    connect_nic(&n, qts, fd);
    len = make_ip_frame(frame, false, 6, 65000, true);
    for (int i = 0; i < 3; i++) {
        put_tx_frame(&n, frame, len, 17, NETTXF_csum_blank, &extra, 1);
        for (int j = 0; j < 100; j++) {
            int64_t before = ran(qts);

            qtest_qmp_assert_success(qts, "{'execute': 'query-status'}");
            worst = MAX(worst, ran(qts) - before);
        }
        assert_tx_answers(&n, 17, 1, NETIF_RSP_OKAY);
    }
    g_test_message("at worst %.1f ms", worst / 1e6);
    g_assert_cmpint(worst, <, 100 * 1000 * 1000);
    finish(&n);
}

/* 15 parts of one frame, and how it is to be segmented */
#define REFILL_FRAME    16
#define REFILL_SIZE     ((REFILL_FRAME - 1) * XENPV_PAGE)

typedef struct Refill {
    uint8_t *ring;              /* the page that it is in */
    uint32_t words[RING_SLOTS]; /* what each slot begins with */
    uint32_t prod;
    bool stop;
    bool notify;                /* the back end has slept, and wants to be told */
} Refill;

/*
 * The guest's other CPU: as soon as a slot has an answer, whether that is told
 * or not, there is a new request. All frames but the one that is being sent.
 */
static gpointer refill(gpointer opaque)
{
    Refill *r = opaque;

    while (!qatomic_read(&r->stop)) {
        uint32_t i = r->prod % RING_SLOTS;
        uint32_t cons = qatomic_read((uint32_t *)(r->ring + RSP_PROD));
        uint32_t event;

        if (r->prod - cons <= RING_SLOTS - REFILL_FRAME) {
            for (int j = 0; j < REFILL_FRAME; j++, i++) {
                qatomic_set((uint32_t *)(r->ring + SLOTS + i *
                                         sizeof(union netif_tx_sring_entry)),
                            r->words[i]);
            }
            r->prod += REFILL_FRAME;
            qatomic_set((uint32_t *)(r->ring + REQ_PROD), r->prod);
            /* Both have written one index, and now look at the other's */
            smp_mb();
            event = qatomic_read((uint32_t *)(r->ring + REQ_EVENT));
            if (r->prod - event < REFILL_FRAME) {
                qatomic_set(&r->notify, true);
            }
        }
    }
    return NULL;
}

/*
 * A ring that another CPU refills keeps QEMU from everything else. The frames
 * are such as cost much, so that the ring is hardly ever empty; and who gets them, a
 * card that nobody uses, takes any number.
 */
static void test_endless(void)
{
    netif_extra_info_t extra = gso_extra(true, 64);
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    g_autofree char *path = NULL;
    int mem = g_file_open_tmp("xenpv-net-XXXXXX", &path, NULL);
    g_autofree char *options = NULL;
    int64_t worst = 0, end, frames;
    GThread *other;
    Refill r = { 0 };
    QTestState *qts;
    Nic n;
    int fd;

    g_assert_cmpint(mem, >=, 0);
    options = g_strdup_printf("-machine memory-backend=ram -object "
                              "memory-backend-file,id=ram,size=32M,share=on,"
                              "mem-path=%s "
                              "-netdev hubport,id=h,hubid=0 "
                              "-netdev hubport,id=o,hubid=0 "
                              "-device xen-net-device,netdev=h,idx=0,id=nic "
                              "-device xen-net-device,netdev=o,idx=1", path);
    qts = start(&fd, options);
    unlink(path);
    connect_nic(&n, qts, fd);
    r.ring = mmap(NULL, XENPV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mem,
                  n.tx.gpa);
    g_assert_true(r.ring != MAP_FAILED);
    make_ip_frame(frame, true, 6, REFILL_SIZE - ETH_LEN - IP4_LEN - TCP_LEN,
                  true);
    qtest_memwrite(qts, data(0), frame, REFILL_SIZE);
    for (int i = 0; i < RING_SLOTS; i += REFILL_FRAME) {
        for (int j = 0; j < REFILL_FRAME - 1; j++) {
            put_tx(&n, DATA_REF + j, 0,
                   (j < REFILL_FRAME - 2 ? NETTXF_more_data : 0) |
                   (j ? 0 : NETTXF_csum_blank | NETTXF_extra_info),
                   j ? XENPV_PAGE : REFILL_SIZE);
            if (!j) {
                put(&n, &n.tx, &extra, sizeof(extra));
            }
        }
    }
    for (int i = 0; i < RING_SLOTS; i++) {
        r.words[i] = qtest_readl(qts, slot(&n.tx, i));
    }
    other = g_thread_new("refill", refill, &r);
    while (qtest_readl(qts, n.tx.gpa + REQ_PROD) < RING_SLOTS) {
        g_usleep(500);
    }
    for (int i = 0; i < 30; i++) {
        xenpv_send(qts, n.port);
        worst = MAX(worst, qmp_time(qts, "query-status"));
    }
    g_test_message("QMP at worst %.1f ms", worst / 1e6);
    g_assert_cmpint(worst / NS_PER_MS, <, qmp_limit_ms());
    /* It goes on by itself, unless that CPU was away so long that it was empty */
    end = g_get_monotonic_time() + TIMEOUT_US;
    frames = nic_counter(&n, "tx-frames") + 4 * RING_SLOTS / REFILL_FRAME;
    while (nic_counter(&n, "tx-frames") < frames) {
        if (qatomic_xchg(&r.notify, false)) {
            xenpv_send(qts, n.port);
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
    qatomic_set(&r.stop, true);
    g_thread_join(other);
    g_assert_cmpuint(nic_counter(&n, "tx-errors"), ==, 0);
    munmap(r.ring, XENPV_PAGE);
    close(mem);
    finish(&n);
}

/* ------------------------------------------------------------------------- */
/* With a tap device                                                          */

typedef struct Tap {
    int fd;                     /* QEMU's end */
    int sock;                   /* ours: a packet socket with vnet headers */
} Tap;

static bool tap_open(Tap *tap)
{
    static bool inside;
    struct ifreq ifr = {
        .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
    };
    struct sockaddr_ll addr = {
        .sll_family = AF_PACKET, .sll_protocol = cpu_to_be16(3 /* all */),
    };
    int one = 1;

    if (!inside) {
        inside = !unshare(CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0));
    }
    tap->fd = inside ? open("/dev/net/tun", O_RDWR) : -1;
    if (tap->fd < 0 || ioctl(tap->fd, TUNSETIFF, &ifr)) {
        g_test_skip("no tap device can be had here");
        return false;
    }
    /* Nobody but the test sends anything */
    {
        g_autofree char *path = g_strdup_printf(
            "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifr.ifr_name);
        int fd = open(path, O_WRONLY);

        if (fd >= 0) {
            g_assert_cmpint(write(fd, "1", 1), ==, 1);
            close(fd);
        }
    }
    tap->sock = socket(AF_PACKET, SOCK_RAW, addr.sll_protocol);
    g_assert_cmpint(tap->sock, >=, 0);
    g_assert_cmpint(setsockopt(tap->sock, SOL_PACKET, 15 /* PACKET_VNET_HDR */,
                               &one, sizeof(one)), ==, 0);
    ifr.ifr_flags = IFF_UP;
    g_assert_cmpint(ioctl(tap->sock, SIOCSIFFLAGS, &ifr), ==, 0);
    addr.sll_ifindex = if_nametoindex(ifr.ifr_name);
    g_assert_cmpint(bind(tap->sock, (struct sockaddr *)&addr, sizeof(addr)),
                    ==, 0);
    fcntl(tap->sock, F_SETFD, FD_CLOEXEC);
    return true;
}

static QTestState *tap_start(Tap *tap)
{
    QTestState *qts = qtest_initf("-M xenpv-kvm -m 32 -nodefaults "
                                  "-netdev tap,id=n,fd=%d" ONE_NIC, tap->fd);

    close(tap->fd);
    return qts;
}

static size_t tap_get(Tap *tap, struct virtio_net_hdr *hdr, uint8_t *frame)
{
    struct iovec iov[2] = {
        { .iov_base = hdr, .iov_len = sizeof(*hdr) },
        { .iov_base = frame, .iov_len = MAX_FRAME + 1 },
    };
    struct pollfd p = { .fd = tap->sock, .events = POLLIN };
    ssize_t len;

    g_assert_cmpint(poll(&p, 1, TIMEOUT_US / 1000), ==, 1);
    len = readv(tap->sock, iov, 2);
    g_assert_cmpint(len, >, sizeof(*hdr));
    return len - sizeof(*hdr);
}

static void tap_put(Tap *tap, struct virtio_net_hdr hdr, uint8_t *frame,
                    size_t len)
{
    struct iovec iov[2] = {
        { .iov_base = &hdr, .iov_len = sizeof(hdr) },
        { .iov_base = frame, .iov_len = len },
    };

    g_assert_cmpint(writev(tap->sock, iov, 2), ==, len + sizeof(hdr));
}

/*
 * A large frame of the guest's is cut by QEMU, though the host's kernel takes
 * it; or a checksum is computed, though the kernel would
 */
static void test_tap_out(void)
{
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    g_autofree uint8_t *got = g_malloc(MAX_FRAME + 1);
    struct virtio_net_hdr hdr;
    QTestState *qts;
    Tap tap;
    Nic n;

    if (!tap_open(&tap)) {
        return;
    }
    qts = tap_start(&tap);
    connect_nic(&n, qts, -1);
    for (int i = 0; i < 8; i++) {
        bool v4 = i & 1, gso = i & 2;
        size_t len = make_ip_frame(frame, v4, i & 2 || i & 4 ? 6 : 17,
                                   gso ? 20000 * (1 + !!(i & 4)) : 1000, true);
        netif_extra_info_t extra = gso_extra(v4, 1400);
        unsigned parts = DIV_ROUND_UP(len, 4000);
        size_t csum = l4_at(frame) + (i & 2 || i & 4 ? 16 : 6);

        put_tx_frame(&n, frame, len, parts, NETTXF_csum_blank, &extra,
                     gso ? 1 : 0);
        assert_tx_answers(&n, parts, gso ? 1 : 0, NETIF_RSP_OKAY);
        g_assert_cmpuint(tap_get(&tap, &hdr, got), ==, len);
        g_assert_cmpuint(hdr.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
        g_assert_cmpuint(hdr.csum_start, ==, l4_at(frame));
        g_assert_cmpuint(hdr.csum_start + hdr.csum_offset, ==, csum);
        g_assert_cmpuint(hdr.gso_type, ==,
                         !gso ? VIRTIO_NET_HDR_GSO_NONE :
                         v4 ? VIRTIO_NET_HDR_GSO_TCPV4
                            : VIRTIO_NET_HDR_GSO_TCPV6);
        g_assert_cmpuint(hdr.gso_size, ==, gso ? 1400 : 0);
        g_assert_cmphex(lduw_be_p(got + csum), ==, pseudo_sum(got, len));
        stw_be_p(frame + csum, pseudo_sum(frame, len));
        g_assert_cmpmem(got, len, frame, len);
    }
    /* And without any of that */
    make_packet(frame, 9000, 4);
    put_tx_frame(&n, frame, 9000, 3, 0, NULL, 0);
    assert_tx_answers(&n, 3, 0, NETIF_RSP_OKAY);
    g_assert_cmpuint(tap_get(&tap, &hdr, got), ==, 9000);
    g_assert_cmpuint(hdr.flags, ==, 0);
    g_assert_cmpmem(got, 9000, frame, 9000);

    /*
     * Headers longer than what is copied: 30 options of IPv6, of 8 bytes each.
     * They would have to be written to where the guest has them.
     */
    {
        size_t len = make_ip_frame(frame, false, 6, 1000, true);
        netif_extra_info_t extra = gso_extra(false, 100);

        frame[20] = 60;
        memmove(frame + 54 + 240, frame + 54, len - 54);
        memset(frame + 54, 0, 240);
        for (int i = 0; i < 30; i++) {
            frame[54 + i * 8] = i < 29 ? 60 : 6;
        }
        qtest_memset(qts, data(0), 0x33, 8);
        put_tx_frame(&n, frame, len + 240, 1, NETTXF_csum_blank, &extra, 1);
        assert_tx_answers(&n, 1, 1, NETIF_RSP_ERROR);
        put_tx_frame(&n, frame, len + 240, 1, NETTXF_csum_blank, NULL, 0);
        assert_tx_answers(&n, 1, 0, NETIF_RSP_ERROR);
        qtest_memread(qts, data(0), got, len + 240);
        g_assert_cmpmem(got, len + 240, frame, len + 240);
    }
    finish(&n);
    close(tap.sock);
}

/* All slots of a frame that the guest gets; the second one if it is extra */
static size_t get_rx_frame(Nic *n, uint8_t *frame, uint16_t *flags,
                           netif_extra_info_t *extra)
{
    netif_rx_response_t rsp = rx_answer(n);
    size_t len = 0;

    *flags = rsp.flags;
    for (;;) {
        bool more = rsp.flags & NETRXF_more_data;
        unsigned at = (n->rx.cons - 1) % NR_DATA;

        g_assert_cmpint(rsp.status, >, 0);
        g_assert_cmpuint(rsp.offset, ==, 0);
        qtest_memread(n->f.qts, data(at), frame + len, rsp.status);
        len += rsp.status;
        if (rsp.flags & NETRXF_extra_info) {
            qtest_memread(n->f.qts, slot(&n->rx, n->rx.cons++), extra,
                          sizeof(*extra));
        }
        if (!more) {
            return len;
        }
        rsp = rx_answer(n);
        g_assert_false(rsp.flags & NETRXF_extra_info);
    }
}

static void fill_rx(Nic *n)
{
    while (n->rx.prod - n->rx.cons < NR_DATA) {
        put_rx(n, DATA_REF + n->rx.prod % NR_DATA);
    }
    push(n, &n->rx);
}

static struct virtio_net_hdr offload_hdr(const uint8_t *f, bool gso)
{
    bool v4 = lduw_be_p(f + 12) == 0x800;
    bool tcp = (v4 ? f[23] : f[20]) == 6;

    return (struct virtio_net_hdr) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = l4_at(f),
        .csum_offset = tcp ? 16 : 6,
        .gso_type = !gso ? VIRTIO_NET_HDR_GSO_NONE :
                    v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .gso_size = gso ? 1400 : 0,
        .hdr_len = gso ? l4_at(f) + TCP_LEN : 0,
    };
}

/*
 * A front end that takes large frames gets them cut, or without what they need;
 * or one that does not, or computes no checksums, gets what it cannot take
 */
static void test_tap_in(void)
{
    static const char *const none[] = { "feature-no-csum-offload", NULL };
    static const char *const only_v4[] = {
        "feature-sg", "feature-gso-tcpv4", NULL
    };
    static const struct {
        const char *const *nodes;
        bool gso4, gso6, csum4, csum6;
    } cases[] = {
        { all_features, true, true, true, true },
        { only_v4, true, false, true, false },
        { none, false, false, false, false },
    };
    g_autofree uint8_t *frame = g_malloc(MAX_FRAME);
    g_autofree uint8_t *got = g_malloc(MAX_FRAME + XENPV_PAGE);

    for (int i = 0; i < 6 * ARRAY_SIZE(cases); i++) {
        int c = i / 6;
        bool v4 = i & 1, gso = i % 6 >= 4;
        uint8_t proto = i % 6 >= 2 ? 6 : 17;
        bool csum = v4 ? cases[c].csum4 : cases[c].csum6;
        netif_extra_info_t extra;
        uint16_t flags;
        QTestState *qts;
        size_t len, whole;
        Tap tap;
        Nic n;

        if (!tap_open(&tap)) {
            return;
        }
        qts = tap_start(&tap);
        connect_with(&n, qts, -1, cases[c].nodes);
        fill_rx(&n);
        g_test_message("case %d: IPv%d, protocol %u, gso %d", c, v4 ? 4 : 6,
                       proto, gso);
        whole = make_ip_frame(frame, v4, proto, gso ? 12000 : 900, true);
        /* What is blank has the checksum of the pseudo header */
        stw_be_p(frame + l4_at(frame) + (proto == 6 ? 16 : 6),
                 pseudo_sum(frame, whole));
        tap_put(&tap, offload_hdr(frame, gso), frame, whole);
        len = get_rx_frame(&n, got, &flags, &extra);
        if (gso && (v4 ? cases[c].gso4 : cases[c].gso6)) {
            g_assert_cmpuint(len, ==, whole);
            g_assert_cmpmem(got, len, frame, len);
            g_assert_cmphex(flags, ==, NETRXF_csum_blank | NETRXF_more_data |
                            NETRXF_data_validated | NETRXF_extra_info);
            g_assert_cmpuint(extra.type, ==, XEN_NETIF_EXTRA_TYPE_GSO);
            g_assert_cmpuint(extra.flags, ==, 0);
            g_assert_cmpuint(extra.u.gso.size, ==, 1400);
            g_assert_cmpuint(extra.u.gso.type, ==,
                             v4 ? XEN_NETIF_GSO_TYPE_TCPV4
                                : XEN_NETIF_GSO_TYPE_TCPV6);
        } else if (gso) {
            /* The kernel has cut it */
            g_assert_cmpuint(len, ==, l4_at(frame) + TCP_LEN + 1400);
            g_assert_false(flags & NETRXF_extra_info);
            if (!(flags & NETRXF_csum_blank)) {
                assert_segment(got, len, frame, whole, 0);
            }
        } else {
            g_assert_cmpuint(len, ==, whole);
            g_assert_cmphex(flags, ==, csum ? NETRXF_csum_blank |
                                              NETRXF_data_validated : 0);
            if (!csum) {
                assert_checksums(got, len);
            }
        }
        finish(&n);
        close(tap.sock);
    }
}

/*
 * QEMU cleans up a tap device twice as it ends, and crashes: where there are
 * more queues than it has looked through
 */
static void test_tap_queues(void)
{
    enum { NR_NICS = 5, QUEUES = 256 /* Linux's limit */ };
    g_autoptr(GString) options = g_string_new("-M xenpv-kvm -m 32 -nodefaults");
    struct rlimit limit;
    Tap tap;

    if (!tap_open(&tap)) {
        return;
    }
    close(tap.fd);
    close(tap.sock);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < 2 * NR_NICS * QUEUES ||
        setrlimit(RLIMIT_NOFILE, &limit)) {
        g_test_skip("so many files cannot be open here");
        return;
    }
    for (int i = 0; i < NR_NICS; i++) {
        g_string_append_printf(options, " -netdev tap,id=n%d,queues=%d,"
                               "script=no,downscript=no"
                               " -device xen-net-device,netdev=n%d", i, QUEUES,
                               i);
    }
    /* That it ends as it should is looked at there */
    qtest_quit(qtest_init(options->str));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/net-offload/parts-out", test_parts_out);
    qtest_add_func("/xenpv/net-offload/parts-in", test_parts_in);
    qtest_add_func("/xenpv/net-offload/checksum-out", test_checksum_out);
    qtest_add_func("/xenpv/net-offload/segments-out", test_segments_out);
    qtest_add_func("/xenpv/net-offload/bad-segments", test_bad_segments);
    qtest_add_func("/xenpv/net-offload/long-headers", test_long_headers);
    qtest_add_func("/xenpv/net-offload/slow-peer", test_slow_peer);
    qtest_add_func("/xenpv/net-offload/endless", test_endless);
    qtest_add_func("/xenpv/net-offload/tap-out", test_tap_out);
    qtest_add_func("/xenpv/net-offload/tap-in", test_tap_in);
    qtest_add_func("/xenpv/net-offload/tap-queues", test_tap_queues);
    return g_test_run();
}
