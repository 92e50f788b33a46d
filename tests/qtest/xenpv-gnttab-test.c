/*
 * Grant tables of the xenpv-kvm machine
 *
 * The table's own operations; copies, which check both sides of a grant as a
 * back end does; and what a domain finds in its table at the start.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/xen/xen.h"
#include "qobject/qdict.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/io/blkif.h"

#define MAX_FRAMES  XENPV_CORE_GRANT_PAGES
#define PER_FRAME   512
#define RAM_MFNS    (32 * 1024 / 4)

static QTestState *start(void)
{
    return qtest_init("-M xenpv-kvm -m 32");
}

static int64_t op(QTestState *qts, uint32_t cmd, void *data, uint32_t size)
{
    return xenpv_call(qts, XENPV_CALL_GNTTAB, cmd, data, size);
}

static uint64_t entry(uint32_t ref)
{
    return xenpv_core(XENPV_CORE_GRANT_TABLE) + ref * sizeof(grant_entry_v1_t);
}

static void grant(QTestState *qts, uint32_t ref, uint16_t flags,
                  uint16_t domid, uint32_t frame)
{
    grant_entry_v1_t e = { .flags = flags, .domid = domid, .frame = frame };

    qtest_memwrite(qts, entry(ref), &e, sizeof(e));
}

static void test_setup(void)
{
    QTestState *qts = start();
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF, .nr_frames = 4 };

    g_assert_cmpint(op(qts, GNTTABOP_query_size, &q, sizeof(q)), ==, 0);
    g_assert_cmpint(q.status, ==, GNTST_okay);
    g_assert_cmpuint(q.nr_frames, ==, 1);
    g_assert_cmpuint(q.max_nr_frames, ==, MAX_FRAMES);

    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_okay);
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex((uint64_t)s.frames[i] << 12, ==,
                        xenpv_core(XENPV_CORE_GRANT_TABLE) + i * 4096);
    }
    g_assert_cmpint(op(qts, GNTTABOP_query_size, &q, sizeof(q)), ==, 0);
    g_assert_cmpuint(q.nr_frames, ==, 4);

    /* It does not shrink; and it has an end */
    s.nr_frames = 1;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(op(qts, GNTTABOP_query_size, &q, sizeof(q)), ==, 0);
    g_assert_cmpuint(q.nr_frames, ==, 4);
    s.nr_frames = MAX_FRAMES + 1;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_general_error);
    s.nr_frames = 0xffffffff;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_general_error);
    s.nr_frames = MAX_FRAMES;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_okay);

    s.dom = 0;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_permission_denied);
    s.dom = DOMID_NOBODY;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_bad_domain);
    q.dom = DOMID_NOBODY;
    g_assert_cmpint(op(qts, GNTTABOP_query_size, &q, sizeof(q)), ==, 0);
    g_assert_cmpint(q.status, ==, GNTST_bad_domain);
    g_assert_cmpint(op(qts, 99, &q, sizeof(q)), ==, -XEN_ENOSYS);
    qtest_quit(qts);
}

static void test_version(void)
{
    QTestState *qts = start();
    struct gnttab_set_version s = { .version = 1 };
    struct gnttab_get_version g = { .dom = DOMID_SELF };

    g_assert_cmpint(op(qts, GNTTABOP_set_version, &s, sizeof(s)), ==, 0);
    s.version = 3;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &s, sizeof(s)), ==,
                    -XEN_EINVAL);
    g_assert_cmpuint(s.version, ==, 1);
    g_assert_cmpint(op(qts, GNTTABOP_get_version, &g, sizeof(g)), ==, 0);
    g_assert_cmpuint(g.version, ==, 1);
    g.dom = 0;
    g_assert_cmpint(op(qts, GNTTABOP_get_version, &g, sizeof(g)), ==,
                    -XEN_EPERM);
    g.dom = DOMID_NOBODY;
    g_assert_cmpint(op(qts, GNTTABOP_get_version, &g, sizeof(g)), ==,
                    -XEN_ESRCH);
    s.version = 2;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &s, sizeof(s)), ==, 0);
    g.dom = DOMID_SELF;
    g_assert_cmpint(op(qts, GNTTABOP_get_version, &g, sizeof(g)), ==, 0);
    g_assert_cmpuint(g.version, ==, 2);
    /* A reset makes a new table */
    qtest_system_reset(qts);
    g_assert_cmpint(op(qts, GNTTABOP_get_version, &g, sizeof(g)), ==, 0);
    g_assert_cmpuint(g.version, ==, 1);
    qtest_quit(qts);
}

static uint64_t entry_v2(uint32_t ref)
{
    return xenpv_core(XENPV_CORE_GRANT_TABLE) + ref * sizeof(grant_entry_v2_t);
}

static uint64_t status(uint32_t ref)
{
    return xenpv_core(XENPV_CORE_GRANT_TABLE) +
           MAX_FRAMES * XENPV_PAGE + ref * sizeof(grant_status_t);
}

static int get_status_frames(QTestState *qts, uint32_t nr_frames)
{
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF, .nr_frames = nr_frames };

    g_assert_cmpint(op(qts, GNTTABOP_get_status_frames, &s, sizeof(s)), ==, 0);
    for (uint32_t i = 0; !s.status && i < nr_frames; i++) {
        g_assert_cmphex((uint64_t)s.frames[i] << 12, ==, status(0) + i * 4096);
    }
    return s.status;
}

/* Status frames come and go with the version, and grow with the table */
static void test_status_frames(void)
{
    QTestState *qts = start();
    struct gnttab_set_version v = { .version = 2 };
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF, .nr_frames = 9 };

    g_assert_cmpint(get_status_frames(qts, 0), ==, GNTST_okay);
    g_assert_cmpint(get_status_frames(qts, 1), ==, GNTST_general_error);
    qtest_memset(qts, status(0), 0xff, XENPV_PAGE);
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    g_assert_cmpint(get_status_frames(qts, 1), ==, GNTST_okay);
    g_assert_cmpint(get_status_frames(qts, 2), ==, GNTST_general_error);
    g_assert_cmphex(qtest_readw(qts, status(8)), ==, 0);
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(get_status_frames(qts, 2), ==, GNTST_okay);
    g_assert_cmpint(get_status_frames(qts, 3), ==, GNTST_general_error);
    g_assert_cmpint(get_status_frames(qts, 0xffffffff), ==,
                    GNTST_general_error);
    s.nr_frames = MAX_FRAMES;
    g_assert_cmpint(op(qts, GNTTABOP_setup_table, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(get_status_frames(qts, 8), ==, GNTST_okay);
    g_assert_cmpint(get_status_frames(qts, 9), ==, GNTST_general_error);
    v.version = 1;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    g_assert_cmpint(get_status_frames(qts, 1), ==, GNTST_general_error);
    qtest_quit(qts);
}

/*
 * A back end keeps a grant: the console's ring, of the reserved reference 0.
 * The version may change all the same, and its mark goes along.
 */
static void test_version_in_use(void)
{
    QTestState *qts = start();
    struct gnttab_set_version v = { .version = 2 };
    uint16_t in_use = qtest_readw(qts, entry(0)) & (GTF_reading | GTF_writing);

    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    g_assert_cmphex(qtest_readw(qts, entry_v2(0)), ==, GTF_permit_access);
    g_assert_cmphex(qtest_readw(qts, status(0)), ==, in_use);
    g_assert_cmphex(qtest_readq(qts, entry_v2(0) + 8), ==,
                    XENPV_QTEST_MFN_CONSOLE);
    g_assert_cmphex(qtest_readq(qts, entry_v2(1) + 8), ==,
                    XENPV_QTEST_MFN_XENSTORE);
    v.version = 1;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    g_assert_cmphex(qtest_readw(qts, entry(0)), ==,
                    GTF_permit_access | in_use);
    qtest_quit(qts);
}

/*
 * A disk's back end with grants of version 2: what it uses is marked and stays
 * what it was, whatever the guest writes to its table
 */
#define RING_REF    20
#define RING_MFN    XENPV_QTEST_MFN_FREE
#define DATA_REF    21              /* and the next, likewise */
#define DATA_MFN    (RING_MFN + 1)

static void grant_v2(QTestState *qts, uint32_t ref, uint16_t flags,
                     uint64_t frame, uint16_t page_off, uint16_t length)
{
    grant_entry_v2_t e = {
        .sub_page.hdr.flags = flags, .sub_page.page_off = page_off,
        .sub_page.length = length, .sub_page.frame = frame,
    };

    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
}

/* Read one sector of zeroes to a sector of the data's frame, by a grant */
static int16_t read_sector(QTestState *qts, uint32_t port, uint32_t ref,
                           uint8_t sector)
{
    uint64_t ring = RING_MFN * XENPV_PAGE;
    uint32_t i = qtest_readl(qts, ring);
    uint64_t at = ring + 64 + i % 32 * 112;
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    qtest_memset(qts, DATA_MFN * XENPV_PAGE, 0xee, XENPV_PAGE);
    qtest_memset(qts, at, 0, 112);
    qtest_writeb(qts, at, BLKIF_OP_READ);
    qtest_writeb(qts, at + 1, 1);
    qtest_writeq(qts, at + 8, i);
    qtest_writel(qts, at + 24, ref);
    qtest_writeb(qts, at + 28, sector);
    qtest_writeb(qts, at + 29, sector);
    qtest_writel(qts, ring, i + 1);
    xenpv_send(qts, port);
    while (qtest_readl(qts, ring + 8) != i + 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
    return qtest_readw(qts, at + 10);
}

static void assert_read(QTestState *qts, int sector)
{
    for (int i = 0; i < 8; i++) {
        g_assert_cmphex(qtest_readb(qts, DATA_MFN * XENPV_PAGE + i * 512), ==,
                        i == sector ? 0 : 0xee);
    }
}

static int64_t nr_in_use(QTestState *qts)
{
    g_autoptr(QDict) answer = qtest_qmp(qts, "{'execute': 'qom-get',"
        " 'arguments': {'path': '/machine/xenpv-gnttab',"
        " 'property': 'in-use'}}");

    return qdict_get_int(answer, "return");
}

static void test_in_use(void)
{
    QTestState *qts = qtest_init("-M xenpv-kvm -m 32"
        " -drive if=none,id=d,driver=null-co,size=1M,read-zeroes=on"
        " -device xen-disk,drive=d,vdev=xvda");
    struct gnttab_set_version v = { .version = 2 };
    struct gnttab_swap_grant_ref swap = { .ref_a = RING_REF, .ref_b = 100 };
    const uint16_t whole = GTF_permit_access, part = whole | GTF_sub_page;
    uint32_t port = xenpv_alloc_unbound(qts);
    int64_t nr_before = nr_in_use(qts);
    Frontend f;

    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    frontend_init(&f, qts, "device/vbd/51712");
    frontend_wait(&f, XenbusStateInitWait);
    qtest_memset(qts, RING_MFN * XENPV_PAGE, 0, XENPV_PAGE);
    qtest_writel(qts, RING_MFN * XENPV_PAGE + 4, 1);
    qtest_writel(qts, RING_MFN * XENPV_PAGE + 12, 1);
    grant_v2(qts, RING_REF, whole, RING_MFN, 0, 0);
    xs_write(qts, f.dir, "ring-ref", "%u", RING_REF);
    xs_write(qts, f.dir, "event-channel", "%u", port);
    xs_write(qts, f.dir, "protocol", "x86_64-abi");
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateConnected);
    frontend_set_state(&f, XenbusStateConnected);
    g_assert_cmpint(nr_in_use(qts), ==, nr_before + 1);
    g_assert_cmphex(qtest_readw(qts, status(RING_REF)), ==,
                    GTF_reading | GTF_writing);
    g_assert_cmphex(qtest_readw(qts, entry_v2(RING_REF)), ==, whole);

    v.version = 1;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==,
                    -XEN_EBUSY);
    g_assert_cmpuint(v.version, ==, 2);
    g_assert_cmpint(op(qts, GNTTABOP_swap_grant_ref, &swap, sizeof(swap)), ==,
                    0);
    g_assert_cmpint(swap.status, ==, GNTST_eagain);
    /* The ring is given to another frame, and taken back: it stays the ring */
    grant_v2(qts, RING_REF, whole, XENPV_CORE_GPA >> 12, 0, 0);
    grant_v2(qts, DATA_REF, whole, DATA_MFN, 0, 0);
    g_assert_cmpint(read_sector(qts, port, DATA_REF, 2), ==, BLKIF_RSP_OKAY);
    assert_read(qts, 2);
    grant_v2(qts, RING_REF, GTF_invalid, 0, 0, 0);
    qtest_writew(qts, status(RING_REF), 0);
    g_assert_cmpint(read_sector(qts, port, DATA_REF, 3), ==, BLKIF_RSP_OKAY);
    assert_read(qts, 3);
    g_assert_cmphex(qtest_readw(qts, status(DATA_REF)), ==, 0);

    /* A sector of a frame is granted, and not its neighbours */
    grant_v2(qts, DATA_REF + 1, part, DATA_MFN, 2 * 512, 512);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 2), ==,
                    BLKIF_RSP_OKAY);
    assert_read(qts, 2);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 1), ==,
                    BLKIF_RSP_ERROR);
    assert_read(qts, -1);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 3), ==,
                    BLKIF_RSP_ERROR);
    assert_read(qts, -1);
    g_assert_cmphex(qtest_readw(qts, status(DATA_REF + 1)), ==, 0);
    grant_v2(qts, DATA_REF + 1, GTF_transitive, DATA_MFN, 0, 0);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 1), ==,
                    BLKIF_RSP_ERROR);
    grant_v2(qts, DATA_REF + 1, whole | GTF_readonly, DATA_MFN, 0, 0);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 1), ==,
                    BLKIF_RSP_ERROR);
    grant_v2(qts, DATA_REF + 1, whole, 1ULL << 40, 0, 0);
    g_assert_cmpint(read_sector(qts, port, DATA_REF + 1, 1), ==,
                    BLKIF_RSP_ERROR);
    g_assert_cmpint(read_sector(qts, port, 256, 1), ==, BLKIF_RSP_ERROR);
    g_assert_cmpint(read_sector(qts, port, 0xffffffff, 1), ==,
                    BLKIF_RSP_ERROR);
    assert_read(qts, -1);
    g_assert_cmpint(read_sector(qts, port, DATA_REF, 7), ==, BLKIF_RSP_OKAY);

    qtest_writew(qts, status(RING_REF), GTF_reading | GTF_writing);
    frontend_set_state(&f, XenbusStateClosing);
    frontend_set_state(&f, XenbusStateClosed);
    frontend_wait(&f, XenbusStateClosed);
    g_assert_cmphex(qtest_readw(qts, status(RING_REF)), ==, 0);
    v.version = 1;
    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    frontend_destroy(&f);
    qtest_quit(qts);
}

/* What the domain's builder has granted */
static void test_seed(void)
{
    QTestState *qts = start();
    const uint32_t mfns[] = {
        XENPV_QTEST_MFN_CONSOLE, XENPV_QTEST_MFN_XENSTORE
    };
    grant_entry_v1_t e;

    for (int round = 0; round < 2; round++) {
        for (int ref = 0; ref < 2; ref++) {
            qtest_memread(qts, entry(ref), &e, sizeof(e));
            g_assert_cmphex(e.flags, ==, GTF_permit_access);
            g_assert_cmpuint(e.domid, ==, 0);
            g_assert_cmpuint(e.frame, ==, mfns[ref]);
        }
        grant(qts, 0, 0, 0, 0);
        grant(qts, 9, GTF_permit_access, 0, 9);
        qtest_system_reset(qts);
        g_assert_cmphex(qtest_readq(qts, entry(9)), ==, 0);
    }
    qtest_quit(qts);
}

/* struct gnttab_copy at the guest's width */
typedef struct Copy {
    uint64_t source;
    uint16_t source_dom, source_offset;
    uint64_t dest;
    uint16_t dest_dom, dest_offset;
    uint16_t len, flags;
} Copy;

static int copy(QTestState *qts, const Copy *c)
{
    bool wide = xenpv_is_64bit();
    int word = wide ? 8 : 4, side = wide ? 16 : 8;
    uint8_t buf[40] = { 0 };

    stn_le_p(buf, word, c->source);
    stw_le_p(buf + word, c->source_dom);
    stw_le_p(buf + word + 2, c->source_offset);
    stn_le_p(buf + side, word, c->dest);
    stw_le_p(buf + side + word, c->dest_dom);
    stw_le_p(buf + side + word + 2, c->dest_offset);
    stw_le_p(buf + 2 * side, c->len);
    stw_le_p(buf + 2 * side + 2, c->flags);
    stw_le_p(buf + 2 * side + 4, 0x5555);
    g_assert_cmpint(op(qts, GNTTABOP_copy, buf, wide ? 40 : 24), ==, 0);
    return (int16_t)lduw_le_p(buf + 2 * side + 4);
}

static void test_copy(void)
{
    QTestState *qts = start();
    const uint32_t a = XENPV_QTEST_MFN_FREE, b = a + 1, ref = 8;
    Copy c = {
        .source = a, .source_dom = DOMID_SELF, .source_offset = 100,
        .dest = b, .dest_dom = DOMID_SELF, .dest_offset = 200, .len = 50,
    };
    Copy bad;

    qtest_memset(qts, a * 4096, 0xaa, 4096);
    qtest_memset(qts, b * 4096, 0, 4096);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_okay);
    g_assert_cmphex(qtest_readb(qts, b * 4096 + 199), ==, 0);
    g_assert_cmphex(qtest_readb(qts, b * 4096 + 200), ==, 0xaa);
    g_assert_cmphex(qtest_readb(qts, b * 4096 + 249), ==, 0xaa);
    g_assert_cmphex(qtest_readb(qts, b * 4096 + 250), ==, 0);

    /* Not RAM, not one page, not the guest's */
    bad = c;
    bad.source = RAM_MFNS;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_page);
    bad.source = XENPV_CORE_GPA >> 12;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_page);
    bad.source = xenpv_is_64bit() ? UINT64_MAX : UINT32_MAX;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_page);
    bad = c;
    bad.dest = 0x100000;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_page);
    bad = c;
    bad.len = 4096 - 199;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_copy_arg);
    bad = c;
    bad.source_offset = 0xffff;
    bad.len = 0xffff;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_copy_arg);
    bad = c;
    bad.dest_dom = 0;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_permission_denied);
    bad.flags = GNTCOPY_dest_gref;
    bad.dest = PER_FRAME - 1;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_general_error);
    bad.dest = PER_FRAME;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_gntref);
    bad.dest_dom = DOMID_NOBODY;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_domain);
    bad.len = 0;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_bad_domain);
    bad = c;
    bad.len = 0;
    g_assert_cmpint(copy(qts, &bad), ==, GNTST_okay);

    /* By a grant to itself */
    c.flags = GNTCOPY_source_gref;
    c.source = ref;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    grant(qts, ref, GTF_permit_access | GTF_readonly, XENPV_DOMID, a);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_okay);
    g_assert_cmphex(qtest_readw(qts, entry(ref)), ==,
                    GTF_permit_access | GTF_readonly);
    grant(qts, ref, GTF_permit_access, 0, a);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    grant(qts, ref, GTF_accept_transfer, XENPV_DOMID, a);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    grant(qts, ref, GTF_permit_access, XENPV_DOMID, RAM_MFNS);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_page);
    /* The marks of use are taken back */
    g_assert_cmphex(qtest_readw(qts, entry(ref)), ==, GTF_permit_access);
    c.source = PER_FRAME;       /* in no frame yet */
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_gntref);
    c.source = 0xffffffff;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_gntref);

    c.source = a;
    c.dest = ref;
    c.flags = GNTCOPY_dest_gref;
    grant(qts, ref, GTF_permit_access | GTF_readonly, XENPV_DOMID, b);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    grant(qts, ref, GTF_permit_access, XENPV_DOMID, b);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_okay);
    g_assert_cmphex(qtest_readw(qts, entry(ref)), ==, GTF_permit_access);
    qtest_quit(qts);
}

/* Version 2, with what a guest must not be able to name */
static void test_copy_v2(void)
{
    QTestState *qts = start();
    struct gnttab_set_version v = { .version = 2 };
    const uint32_t a = XENPV_QTEST_MFN_FREE, b = a + 1, ref = 8;
    Copy c = {
        .source = ref, .source_dom = DOMID_SELF, .source_offset = 100,
        .dest = b, .dest_dom = DOMID_SELF, .dest_offset = 200, .len = 50,
        .flags = GNTCOPY_source_gref,
    };
    grant_entry_v2_t e = {
        .sub_page.hdr.flags = GTF_permit_access | GTF_sub_page,
        .sub_page.hdr.domid = XENPV_DOMID,
        .sub_page.page_off = 100, .sub_page.length = 50, .sub_page.frame = a,
    };
    const uint64_t bad_frames[] = {
        RAM_MFNS, XENPV_CORE_GPA >> 12, 1ULL << 40 | a, 1ULL << 52 | a,
        UINT64_MAX,
    };

    g_assert_cmpint(op(qts, GNTTABOP_set_version, &v, sizeof(v)), ==, 0);
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
    g_assert_cmpint(copy(qts, &c), ==, GNTST_okay);
    g_assert_cmphex(qtest_readw(qts, status(ref)), ==, 0);
    c.source_offset++;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    c.source_offset = 99;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    /* A part that is larger than a frame makes the frame no larger */
    e.sub_page.page_off = 4000;
    e.sub_page.length = 0xffff;
    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
    c.source_offset = 4050;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_copy_arg);
    for (int i = 0; i < ARRAY_SIZE(bad_frames); i++) {
        e.full_page.hdr.flags = GTF_permit_access;
        e.full_page.frame = bad_frames[i];
        qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
        c.source_offset = 100;
        g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_page);
        g_assert_cmphex(qtest_readw(qts, status(ref)), ==, 0);
    }
    /* By what domain 0 may have granted: it grants nothing */
    e.transitive.hdr.flags = GTF_transitive;
    e.transitive.trans_domid = 0;
    e.transitive.gref = PER_FRAME;
    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_gntref);
    e.transitive.gref = PER_FRAME - 1;
    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    e.transitive.trans_domid = XENPV_DOMID;
    qtest_memwrite(qts, entry_v2(ref), &e, sizeof(e));
    g_assert_cmpint(copy(qts, &c), ==, GNTST_general_error);
    g_assert_cmphex(qtest_readw(qts, status(ref)), ==, 0);

    c.source = PER_FRAME / 2;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_gntref);
    c.source = 0xffffffff;
    g_assert_cmpint(copy(qts, &c), ==, GNTST_bad_gntref);
    qtest_quit(qts);
}

static void test_swap(void)
{
    QTestState *qts = start();
    struct gnttab_swap_grant_ref s = { .ref_a = 8, .ref_b = 9 };
    uint64_t a, b;

    grant(qts, 8, GTF_permit_access, 0, 100);
    grant(qts, 9, GTF_permit_access | GTF_readonly, 0, 200);
    a = qtest_readq(qts, entry(8));
    b = qtest_readq(qts, entry(9));
    g_assert_cmpint(op(qts, GNTTABOP_swap_grant_ref, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_okay);
    g_assert_cmphex(qtest_readq(qts, entry(8)), ==, b);
    g_assert_cmphex(qtest_readq(qts, entry(9)), ==, a);
    s.ref_b = PER_FRAME;
    g_assert_cmpint(op(qts, GNTTABOP_swap_grant_ref, &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_bad_gntref);
    qtest_quit(qts);
}

/* Nobody grants the guest anything, and its own grants it cannot map */
static void test_map(void)
{
    const uint64_t a = 100;
    QTestState *qts = start();
    struct gnttab_map_grant_ref m = { .dom = 0, .flags = GNTMAP_host_map };
    struct gnttab_unmap_grant_ref u = { .handle = 8 };

    g_assert_cmpint(op(qts, GNTTABOP_map_grant_ref, &m, sizeof(m)), ==, 0);
    g_assert_cmpint(m.status, ==, GNTST_general_error);
    m.ref = PER_FRAME;
    g_assert_cmpint(op(qts, GNTTABOP_map_grant_ref, &m, sizeof(m)), ==, 0);
    g_assert_cmpint(m.status, ==, GNTST_bad_gntref);
    m.dom = DOMID_NOBODY;
    g_assert_cmpint(op(qts, GNTTABOP_map_grant_ref, &m, sizeof(m)), ==, 0);
    g_assert_cmpint(m.status, ==, GNTST_bad_domain);
    m.flags = 0;            /* a mapping nowhere */
    g_assert_cmpint(op(qts, GNTTABOP_map_grant_ref, &m, sizeof(m)), ==, 0);
    g_assert_cmpint(m.status, ==, GNTST_bad_gntref);
    g_assert_cmpint(op(qts, GNTTABOP_unmap_grant_ref, &u, sizeof(u)), ==, 0);
    g_assert_cmpint(u.status, ==, GNTST_bad_handle);

    grant(qts, 8, GTF_permit_access, XENPV_DOMID, a);
    m.dom = XENPV_DOMID;
    m.ref = 8;
    m.flags = GNTMAP_host_map;
    g_assert_cmpint(op(qts, GNTTABOP_map_grant_ref, &m, sizeof(m)), ==, 0);
    g_assert_cmpint(m.status, ==, GNTST_permission_denied);
    g_assert_cmphex(qtest_readw(qts, entry(8)), ==, GTF_permit_access);
    g_assert_cmpint(op(qts, GNTTABOP_unmap_grant_ref, &u, sizeof(u)), ==, 0);
    g_assert_cmpint(u.status, ==, GNTST_bad_handle);
    u.handle = UINT32_MAX;
    g_assert_cmpint(op(qts, GNTTABOP_unmap_grant_ref, &u, sizeof(u)), ==, 0);
    g_assert_cmpint(u.status, ==, GNTST_bad_handle);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/gnttab/setup", test_setup);
    qtest_add_func("/xenpv/gnttab/version", test_version);
    qtest_add_func("/xenpv/gnttab/seed", test_seed);
    qtest_add_func("/xenpv/gnttab/copy", test_copy);
    qtest_add_func("/xenpv/gnttab/status-frames", test_status_frames);
    qtest_add_func("/xenpv/gnttab/version-in-use", test_version_in_use);
    qtest_add_func("/xenpv/gnttab/in-use", test_in_use);
    qtest_add_func("/xenpv/gnttab/copy-v2", test_copy_v2);
    qtest_add_func("/xenpv/gnttab/swap", test_swap);
    qtest_add_func("/xenpv/gnttab/map", test_map);
    return g_test_run();
}
