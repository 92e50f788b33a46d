/*
 * xen-disk on the xenpv-kvm machine
 *
 * The test is the front end: what the back end offers, each kind of request in
 * both layouts of the ring, errors of the disk, plugging; and all that a
 * hostile front end can put into a ring, a request or xenstore, after which
 * the disk must still work and nothing else have been touched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "xenpv-disk.h"

/* Our own numbers */
#define MANY_REF    512             /* + i: frame DATA_MFN + i % NR_DATA */
#define LISTS_REF   300             /* + i: frame LIST_MFN + i */
#define MAX_KEPT    1056            /* persistent grants of a ring */
#define IN_USE      (GTF_reading | GTF_writing)

static void test_nodes(void)
{
    char *path = image();
    QTestState *qts = start(path, " -device xen-disk,drive=d,vdev=sda2"
        " -drive if=xen,driver=null-co,size=1M,read-zeroes=on"
        " -drive if=xen,driver=null-co,size=1M,read-zeroes=on"
        " -drive if=xen,driver=null-co,size=1M,read-zeroes=on"
        " -drive if=xen,driver=null-co,size=1M,read-zeroes=on"
        " -drive if=none,driver=null-co,size=64k,id=c,read-zeroes=on"
        " -device xen-cdrom,drive=c,vdev=hdc");
    Frontend f;

    /* sda2 takes the first disk's place and hdc the third's: b, d, e, f */
    for (int i = 0; i < 4; i++) {
        g_autofree char *dir = g_strdup_printf("device/vbd/%u", 202 << 8 |
                                               (i ? i + 2 : 1) << 4);

        xs_assert(qts, dir, "state", "1");
    }
    frontend_init(&f, qts, "device/vbd/2050");
    frontend_wait(&f, XenbusStateInitWait);
    xs_assert(qts, f.dir, "state", "1");
    xs_assert(qts, f.dir, "virtual-device", "2050");
    xs_assert(qts, f.dir, "device-type", "disk");
    xs_assert(qts, f.dir, "backend-id", "0");
    xs_assert(qts, f.back, "frontend", "/local/domain/1/device/vbd/2050");
    xs_assert(qts, f.back, "frontend-id", "1");
    xs_assert(qts, f.back, "sectors", "4096");
    xs_assert(qts, f.back, "sector-size", "512");
    xs_assert(qts, f.back, "physical-sector-size", "512");
    xs_assert(qts, f.back, "params", path);
    xs_assert(qts, f.back, "info", "0");
    xs_assert(qts, f.back, "mode", "w");
    xs_assert(qts, f.back, "feature-flush-cache", "1");
    xs_assert(qts, f.back, "feature-barrier", "1");
    xs_assert(qts, f.back, "feature-discard", "1");
    xs_assert(qts, f.back, "feature-max-indirect-segments", "256");
    xs_assert(qts, f.back, "max-ring-page-order", "4");
    frontend_destroy(&f);

    frontend_init(&f, qts, "device/vbd/5632");
    frontend_wait(&f, XenbusStateInitWait);
    xs_assert(qts, f.dir, "device-type", "cdrom");
    xs_assert(qts, f.back, "info", "5");        /* a CD-ROM, read-only */
    xs_assert(qts, f.back, "mode", "r");
    frontend_destroy(&f);
    qtest_quit(qts);
    remove_image(path);
}

static void transfer(bool narrow, unsigned pages)
{
    char *path = image();
    QTestState *qts = start(path, ONE_DISK);
    uint8_t buf[2 * XENPV_PAGE];
    Seg segs[11];
    Disk d;

    connect_disk(&d, qts, "51712", narrow, pages);
    for (int i = 0; i < 11; i++) {
        segs[i] = (Seg) { DATA_REF + i, 0, 7 };
        fill(qts, i, 0xee);
    }
    /* A full request, and one with parts of frames */
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 11, segs), ==, 0);
    for (int i = 0; i < 11; i++) {
        assert_pattern(qts, i, 0, (8 + i * PER_PAGE) * SECTOR, XENPV_PAGE);
    }
    fill(qts, 0, 0xee);
    fill(qts, 1, 0xee);
    segs[0] = (Seg) { DATA_REF, 6, 6 };
    segs[1] = (Seg) { DATA_REF + 1, 1, 2 };
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 100, 2, segs), ==, 0);
    assert_filled(qts, 0, 0, 0xee, 6 * SECTOR);
    assert_pattern(qts, 0, 6 * SECTOR, 100 * SECTOR, SECTOR);
    assert_filled(qts, 0, 7 * SECTOR, 0xee, SECTOR);
    assert_filled(qts, 1, 0, 0xee, SECTOR);
    assert_pattern(qts, 1, SECTOR, 101 * SECTOR, 2 * SECTOR);
    assert_filled(qts, 1, 3 * SECTOR, 0xee, 5 * SECTOR);

    /* Writes; from a frame that is granted to read, too */
    fill(qts, 0, 0xa1);
    fill(qts, 1, 0xa2);
    segs[0] = (Seg) { READONLY_REF, 0, 7 };
    segs[1] = (Seg) { DATA_REF + 1, 0, 7 };
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 200, 2, segs), ==, 0);
    g_assert_cmpint(request(&d, BLKIF_OP_FLUSH_DISKCACHE, 0, 0, NULL), ==, 0);
    image_read(path, buf, 200 * SECTOR, sizeof(buf));
    g_assert_cmphex(buf[0], ==, 0xa1);
    g_assert_cmphex(buf[XENPV_PAGE - 1], ==, 0xa1);
    g_assert_cmphex(buf[XENPV_PAGE], ==, 0xa2);
    image_read(path, buf, 199 * SECTOR, SECTOR);
    g_assert_cmphex(buf[SECTOR - 1], ==, pattern(200 * SECTOR - 1));
    image_read(path, buf, 216 * SECTOR, SECTOR);
    g_assert_cmphex(buf[0], ==, pattern(216 * SECTOR));

    /* A barrier, with data and between others */
    fill(qts, 4, 0xb4);
    segs[0] = (Seg) { DATA_REF + 4, 0, 0 };
    put_request(&d, BLKIF_OP_READ, 8, 1, segs + 5, 0);
    put_request(&d, BLKIF_OP_WRITE_BARRIER, 300, 1, segs, 0);
    put_request(&d, BLKIF_OP_READ, 16, 1, segs + 6, 0);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    g_assert_cmpint(answer(&d, BLKIF_OP_WRITE_BARRIER), ==, 0);
    g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    image_read(path, buf, 300 * SECTOR, SECTOR);
    g_assert_cmphex(buf[0], ==, 0xb4);
    assert_pattern(qts, 6, 0, 16 * SECTOR, XENPV_PAGE);

    /* What is discarded reads as zeroes, of a raw file */
    put_request(&d, BLKIF_OP_DISCARD, 1024, 0, NULL, 1024);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_DISCARD), ==, 0);
    segs[0] = (Seg) { DATA_REF, 0, 7 };
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 1024 + 512, 1, segs), ==, 0);
    assert_filled(qts, 0, 0, 0, XENPV_PAGE);

    /* Around the ring several times, as full as it can be */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ring_size(&d); i++) {
            segs[0] = (Seg) { DATA_REF + i % NR_DATA, 0, 7 };
            put_request(&d, BLKIF_OP_READ, (i % NR_DATA) * 8, 1, segs, 0);
        }
        push(&d);
        for (int i = 0; i < ring_size(&d); i++) {
            g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
        }
    }
    assert_pattern(qts, 9, 0, 9 * XENPV_PAGE, XENPV_PAGE);
    xenpv_wait_event(qts, d.port);
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_transfer_64(void)
{
    transfer(false, 1);
}

static void test_transfer_32(void)
{
    transfer(true, 1);
}

static void test_multi_page(void)
{
    transfer(false, 4);
    transfer(true, 16);
}

static void put_list(QTestState *qts, unsigned i, Seg seg)
{
    uint64_t at = LIST_MFN * XENPV_PAGE + 8 * i;

    qtest_writel(qts, at, seg.ref);
    qtest_writeb(qts, at + 4, seg.first);
    qtest_writeb(qts, at + 5, seg.last);
}

static void indirect(bool narrow)
{
    char *path = image();
    QTestState *qts = start(path, ONE_DISK);
    uint8_t byte;
    Disk d;

    connect_disk(&d, qts, "51712", narrow, 1);
    for (int i = 0; i < NR_DATA; i++) {
        fill(qts, i, 0xee);
        put_list(qts, i, (Seg) { DATA_REF + i, 0, 7 });
    }
    put_indirect(&d, BLKIF_OP_READ, 64, NR_DATA, LIST_REF);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    for (int i = 0; i < NR_DATA; i++) {
        assert_pattern(qts, i, 0, 64 * SECTOR + i * XENPV_PAGE, XENPV_PAGE);
    }
    for (int i = 0; i < 20; i++) {
        fill(qts, i, 0x40 + i);
    }
    put_indirect(&d, BLKIF_OP_WRITE, 2048, 20, LIST_REF);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_WRITE), ==, 0);
    for (int i = 0; i < 20; i++) {
        image_read(path, &byte, 2048 * SECTOR + i * XENPV_PAGE + 77, 1);
        g_assert_cmphex(byte, ==, 0x40 + i);
    }

    /* None, too many, of another kind, and lists that cannot be read */
    put_indirect(&d, BLKIF_OP_READ, 0, 0, LIST_REF);
    put_indirect(&d, BLKIF_OP_READ, 0, 257, LIST_REF);
    put_indirect(&d, BLKIF_OP_READ, 0, 0xffff, LIST_REF);
    put_indirect(&d, BLKIF_OP_READ, 0, 8, FREE_REF);
    put_indirect(&d, BLKIF_OP_READ, 0, 8, 0xfffffff0);
    put_indirect(&d, BLKIF_OP_READ, 0, 8, NOT_RAM_REF);
    /* This needs a second list, and its reference is that of the console */
    put_indirect(&d, BLKIF_OP_READ, SECTORS - 8, 256, LIST_REF);
    push(&d);
    for (int i = 0; i < 7; i++) {
        g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, BLKIF_RSP_ERROR);
    }
    put_indirect(&d, BLKIF_OP_DISCARD, 0, 8, LIST_REF);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_DISCARD), ==, BLKIF_RSP_ERROR);
    put_indirect(&d, BLKIF_OP_INDIRECT, 0, 8, LIST_REF);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_INDIRECT), ==, BLKIF_RSP_ERROR);
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_indirect(void)
{
    indirect(false);
    indirect(true);
}

static void test_bad_requests(void)
{
    static const struct {
        uint8_t op;
        uint64_t sector;
        uint8_t nr;
        Seg seg;                    /* the last one; others are good */
    } bad[] = {
        { BLKIF_OP_READ, 0, 0 },
        { BLKIF_OP_WRITE, 0, 0 },
        { BLKIF_OP_READ, 0, 12, { DATA_REF, 0, 7 } },
        { BLKIF_OP_READ, 0, 255, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE, 0, 12, { DATA_REF, 0, 7 } },
        { BLKIF_OP_FLUSH_DISKCACHE, 0, 255, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE_BARRIER, 0, 255, { DATA_REF, 0, 7 } },
        { BLKIF_OP_READ, 0, 1, { DATA_REF, 3, 2 } },
        { BLKIF_OP_READ, 0, 1, { DATA_REF, 0, 8 } },
        { BLKIF_OP_READ, 0, 11, { DATA_REF, 255, 255 } },
        { BLKIF_OP_WRITE, 0, 1, { DATA_REF, 0, 255 } },
        { BLKIF_OP_READ, SECTORS, 1, { DATA_REF, 0, 0 } },
        { BLKIF_OP_READ, SECTORS - 7, 1, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE, UINT64_MAX, 1, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE, UINT64_MAX / SECTOR, 1, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE, INT64_MAX / SECTOR + 1, 1, { DATA_REF, 0, 7 } },
        { BLKIF_OP_WRITE_BARRIER, UINT64_MAX, 1, { DATA_REF, 0, 7 } },
        { BLKIF_OP_READ, 0, 1, { FREE_REF, 0, 7 } },
        { BLKIF_OP_READ, 0, 2, { 511, 0, 7 } },
        { BLKIF_OP_READ, 0, 2, { 512, 0, 7 } },
        { BLKIF_OP_READ, 0, 2, { 0x7fffffff, 0, 7 } },
        { BLKIF_OP_WRITE, 0, 2, { 0xffffffff, 0, 7 } },
        { BLKIF_OP_READ, 0, 1, { READONLY_REF, 0, 7 } },
        { BLKIF_OP_READ, 0, 1, { NOT_RAM_REF, 0, 7 } },
        { BLKIF_OP_WRITE, 0, 1, { NOT_RAM_REF, 0, 7 } },
    };
    char *path = image();
    QTestState *qts = start(path, ONE_DISK);
    g_autofree char *before = NULL, *after = NULL;
    size_t len;
    Disk d;

    connect_disk(&d, qts, "51712", false, 1);
    g_assert_true(g_file_get_contents(path, &before, &len, NULL));
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        Seg segs[11];
        int n = MIN(bad[i].nr, 11);

        for (int j = 0; j < n; j++) {
            segs[j] = (Seg) { DATA_REF + j, 0, 7 };
        }
        if (n) {
            segs[n - 1] = bad[i].seg;
        }
        g_test_message("bad request %d", i);
        g_assert_cmpint(request(&d, bad[i].op, bad[i].sector, bad[i].nr, segs),
                        ==, BLKIF_RSP_ERROR);
    }
    /* Operations that there are not */
    for (int op = 4; op < 256; op += 3) {
        if (op != BLKIF_OP_DISCARD && op != BLKIF_OP_INDIRECT) {
            g_assert_cmpint(request(&d, op, 0, 0, NULL), ==,
                            BLKIF_RSP_EOPNOTSUPP);
        }
    }
    /* Discards beyond the end, of which some wrap around */
    for (int i = 0; i < 4; i++) {
        static const uint64_t range[][2] = {
            { 0, SECTORS + 1 }, { SECTORS, 1 }, { 8, UINT64_MAX - 4 },
            { UINT64_MAX / SECTOR, 2 },
        };

        put_request(&d, BLKIF_OP_DISCARD, range[i][0], 0, NULL, range[i][1]);
        push(&d);
        g_assert_cmpint(answer(&d, BLKIF_OP_DISCARD), ==, BLKIF_RSP_ERROR);
    }
    g_assert_true(g_file_get_contents(path, &after, &len, NULL));
    g_assert_cmpmem(before, len, after, len);
    assert_works(&d);
    /* No grant is left in use */
    g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF), ==, GTF_permit_access);
    g_assert_cmphex(xenpv_grant_flags(qts, READONLY_REF), ==,
                    GTF_permit_access | GTF_readonly);
    g_assert_cmphex(xenpv_grant_flags(qts, NOT_RAM_REF), ==, GTF_permit_access);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_bad_ring(void)
{
    char *path = image();
    QTestState *qts = start(path, ONE_DISK);
    static const uint32_t jumps[] = { 33, 1000, 0x7fffffff, 0x80000000,
                                      0xffffffff };
    Disk d;

    connect_disk(&d, qts, "51712", false, 1);
    assert_works(&d);
    for (int i = 0; i < ARRAY_SIZE(jumps); i++) {
        /* More requests than there is room for: nothing is done */
        qtest_writel(qts, ring(0), d.prod + jumps[i]);
        xenpv_send(qts, d.port);
        g_usleep(20 * 1000);
        g_assert_cmpuint(qtest_readl(qts, ring(8)), ==, d.cons);
        qtest_writel(qts, ring(0), d.prod);
        assert_works(&d);
    }
    /* The back end's own indexes are not read back from the ring */
    qtest_writel(qts, ring(8), d.cons + 500);
    {
        Seg seg = { DATA_REF, 0, 7 };

        put_request(&d, BLKIF_OP_READ, 8, 1, &seg, 0);
        push(&d);
        g_usleep(20 * 1000);
        g_assert_cmpuint(qtest_readl(qts, ring(8)), ==, d.cons + 1);
        g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    }
    /*
     * The ring's grant is revoked, and given for another frame, while it is in
     * use: the back end goes on with the frame that it has
     */
    g_assert_cmphex(xenpv_grant_flags(qts, RING_REF) &
                    (GTF_reading | GTF_writing), ==, GTF_reading | GTF_writing);
    xenpv_grant(qts, RING_REF, 0, 0);
    assert_works(&d);
    xenpv_grant(qts, RING_REF, GTF_permit_access, DATA_MFN + 40);
    fill(qts, 40, 0x77);
    assert_works(&d);
    assert_filled(qts, 40, 0, 0x77, XENPV_PAGE);

    /* And says when it is done with it */
    disconnect_disk(&d);
    g_assert_cmphex(xenpv_grant_flags(qts, RING_REF) &
                    (GTF_reading | GTF_writing), ==, 0);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_bad_connection(void)
{
    static const struct {
        const char *node, *value;
    } bad[] = {
        { "ring-ref", "99999999" }, { "ring-ref", "4294967295" },
        { "ring-ref", "-1" }, { "ring-ref", "" }, { "ring-ref", "x" },
        { "ring-ref", "200" },                  /* granted to nobody */
        { "ring-ref", "183" },                  /* not RAM */
        { "ring-ref", "181" },                  /* granted to read */
        { "event-channel", "4097" }, { "event-channel", "0" },
        { "event-channel", "4294967295" }, { "event-channel", "" },
        { "ring-page-order", "5" }, { "ring-page-order", "31" },
        { "ring-page-order", "4294967295" },
    };
    char *path = image();
    Disk d;

    g_assert_cmpint(NOT_RAM_REF, ==, 183);
    g_assert_cmpint(READONLY_REF, ==, 181);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        QTestState *qts = start(path, ONE_DISK);

        g_test_message("%s = '%s'", bad[i].node, bad[i].value);
        prepare(&d, qts, "51712", false, 1);
        xs_write(qts, d.f.dir, bad[i].node, "%s", bad[i].value);
        frontend_set_state(&d.f, XenbusStateInitialised);
        /* Which a front end that waits for an answer sees */
        frontend_wait(&d.f, XenbusStateClosing);
        /* Nothing of the ring is in use, and a good front end can come */
        g_assert_cmphex(xenpv_grant_flags(qts, RING_REF), ==,
                        GTF_permit_access);
        frontend_set_state(&d.f, XenbusStateClosing);
        frontend_set_state(&d.f, XenbusStateClosed);
        frontend_wait(&d.f, XenbusStateClosed);
        g_free(xs_request(qts, XS_RM, "device/vbd/51712/ring-page-order",
                          sizeof("device/vbd/51712/ring-page-order")));
        frontend_set_state(&d.f, XenbusStateInitialising);
        frontend_destroy(&d.f);
        connect_disk(&d, qts, "51712", true, 1);
        assert_works(&d);
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

/*
 * A guest that finds its disks by "params", as MirageOS does, takes another one
 * or none; or it is told a path that the user has kept from it
 */
static void test_params(void)
{
    char *path = image();
    char *medium = image();
    QTestState *qts = qtest_initf(
        "-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,node-name=f "
        "-blockdev driver=raw,file=f,node-name=r "
        "-blockdev driver=null-co,read-zeroes=on,node-name=n "
        "-device xen-disk,drive=r,vdev=xvda,share-rw=on "
        "-device xen-disk,drive=r,vdev=xvdb,share-rw=on,params=fat1.img "
        "-device xen-disk,drive=r,vdev=xvdc,share-rw=on,params= "
        "-device xen-disk,drive=n,vdev=xvdd -device xen-cdrom,id=cd,vdev=xvde",
        path);
    const char *expected[] = { path, "fat1.img", "", "", "" };
    Frontend f;

    for (int i = 0; i < ARRAY_SIZE(expected); i++) {
        g_autofree char *dir = g_strdup_printf("device/vbd/%u",
                                               202 << 8 | i << 4);

        frontend_init(&f, qts, dir);
        frontend_wait(&f, XenbusStateInitWait);
        xs_assert(qts, f.back, "params", expected[i]);
        if (i == ARRAY_SIZE(expected) - 1) {
            qtest_qmp_assert_success(qts,
                "{ 'execute': 'blockdev-add', 'arguments': { 'driver': 'file',"
                "  'filename': %s, 'node-name': 'm', 'read-only': true } }",
                medium);
            qtest_qmp_assert_success(qts,
                "{ 'execute': 'blockdev-insert-medium',"
                "  'arguments': { 'id': 'cd', 'node-name': 'm' } }");
            xs_assert(qts, f.back, "params", medium);
        }
        frontend_destroy(&f);
    }
    qtest_quit(qts);
    remove_image(path);
    remove_image(medium);
}

/*
 * A disk with blocks of 4 KiB: whole blocks only, but everything is counted in
 * sectors of 512 bytes, or Linux finds a disk an eighth as large, and other data
 */
static void test_4k(void)
{
    char *path = image();
    QTestState *qts = start(path, ONE_DISK
                            ",logical_block_size=4096,physical_block_size=8192");
    Seg segs[2] = { { DATA_REF, 0, 7 }, { DATA_REF + 1, 0, 7 } };
    uint8_t buf[XENPV_PAGE];
    Disk d;

    connect_disk(&d, qts, "51712", false, 1);
    xs_assert(qts, d.f.back, "sectors", "4096");
    xs_assert(qts, d.f.back, "sector-size", "4096");
    xs_assert(qts, d.f.back, "physical-sector-size", "8192");
    g_assert_cmpint(request(&d, BLKIF_OP_READ, SECTORS - 16, 2, segs), ==, 0);
    assert_pattern(qts, 1, 0, (SECTORS - 8) * SECTOR, XENPV_PAGE);
    fill(qts, 0, 0xa1);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 24, 1, segs), ==, 0);
    image_read(path, buf, 24 * SECTOR, sizeof(buf));
    g_assert_cmphex(buf[0], ==, 0xa1);
    g_assert_cmphex(buf[XENPV_PAGE - 1], ==, 0xa1);

    g_assert_cmpint(request(&d, BLKIF_OP_FLUSH_DISKCACHE, 1, 0, NULL), ==, 0);

    /* A block that spans two frames is whole; others begin or end within one */
    segs[0] = (Seg) { DATA_REF, 4, 7 };
    segs[1] = (Seg) { DATA_REF + 1, 0, 3 };
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 32, 2, segs), ==, 0);
    assert_pattern(qts, 1, 0, 36 * SECTOR, 4 * SECTOR);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 32, 1, segs), ==,
                    BLKIF_RSP_ERROR);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 36, 2, segs), ==,
                    BLKIF_RSP_ERROR);
    image_read(path, buf, 32 * SECTOR, sizeof(buf));
    for (int i = 0; i < XENPV_PAGE; i++) {
        g_assert_cmphex(buf[i], ==, pattern(32 * SECTOR + i));
    }
    put_request(&d, BLKIF_OP_DISCARD, 1024, 0, NULL, 8);
    put_request(&d, BLKIF_OP_DISCARD, 1040, 0, NULL, 4);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_DISCARD) + answer(&d, BLKIF_OP_DISCARD),
                    ==, BLKIF_RSP_ERROR);
    image_read(path, buf, 1040 * SECTOR, sizeof(buf));
    g_assert_cmphex(buf[0], ==, pattern(1040 * SECTOR));
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_readonly(void)
{
    char *path = image();
    QTestState *qts = qtest_initf(
        "-M xenpv-kvm -m 32 -drive if=none,id=d,format=raw,file=%s,readonly=on"
        ONE_DISK, path);
    Seg seg = { DATA_REF, 0, 7 };
    uint8_t byte;
    Disk d;

    connect_disk(&d, qts, "51712", false, 1);
    xs_assert(qts, d.f.back, "mode", "r");
    xs_assert(qts, d.f.back, "info", "4");
    fill(qts, 0, 0x99);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 8, 1, &seg), ==,
                    BLKIF_RSP_ERROR);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE_BARRIER, 8, 1, &seg), ==,
                    BLKIF_RSP_ERROR);
    put_request(&d, BLKIF_OP_DISCARD, 8, 0, NULL, 8);
    push(&d);
    g_assert_cmpint(answer(&d, BLKIF_OP_DISCARD), ==, BLKIF_RSP_ERROR);
    image_read(path, &byte, 8 * SECTOR, 1);
    g_assert_cmphex(byte, ==, pattern(8 * SECTOR));
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static QTestState *start_with_errors(const char *path, const char *once,
                                     const char *actions)
{
    return qtest_initf(
        "-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,node-name=f "
        "-blockdev driver=blkdebug,node-name=d,image=f,"
        "inject-error.0.event=none,inject-error.0.iotype=read,"
        "inject-error.0.sector=80,"
        "inject-error.0.once=%s,inject-error.1.event=none,inject-error.1.iotype=write,"
        "inject-error.1.sector=160,inject-error.1.once=%s"
        ONE_DISK "%s", path, once, once, actions);
}

static void test_errors(void)
{
    Seg seg = { DATA_REF, 0, 7 };
    char *path = image();
    QTestState *qts;
    uint8_t byte;
    Disk d;

    /* The guest is told, each time */
    qts = start_with_errors(path, "off", ",rerror=report,werror=report");
    connect_disk(&d, qts, "51712", false, 1);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(request(&d, BLKIF_OP_READ, 80, 1, &seg), ==,
                        BLKIF_RSP_ERROR);
        g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 160, 1, &seg), ==,
                        BLKIF_RSP_ERROR);
    }
    qtest_qmp_eventwait(qts, "BLOCK_IO_ERROR");
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);

    /* Or the machine stops, and what failed is tried again when it goes on */
    qts = start_with_errors(path, "on", ",rerror=stop,werror=stop");
    connect_disk(&d, qts, "51712", false, 1);
    fill(qts, 0, 0xee);
    put_request(&d, BLKIF_OP_READ, 80, 1, &seg, 0);
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    g_assert_cmpuint(qtest_readl(qts, ring(8)), ==, d.cons);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    assert_pattern(qts, 0, 0, 80 * SECTOR, XENPV_PAGE);
    fill(qts, 0, 0xcc);
    put_request(&d, BLKIF_OP_WRITE, 160, 1, &seg, 0);
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    g_assert_cmpint(answer(&d, BLKIF_OP_WRITE), ==, 0);
    image_read(path, &byte, 160 * SECTOR, 1);
    g_assert_cmphex(byte, ==, 0xcc);
    frontend_destroy(&d.f);
    qtest_quit(qts);

    /* What waits for that does not survive the front end */
    qts = start_with_errors(path, "on", ",rerror=stop,werror=stop");
    connect_disk(&d, qts, "51712", false, 1);
    put_request(&d, BLKIF_OP_READ, 80, 1, &seg, 0);
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    frontend_destroy(&d.f);
    qtest_system_reset(qts);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    connect_disk(&d, qts, "51712", false, 1);
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);

    /* werror=ignore: the guest does not hear of it */
    qts = start_with_errors(path, "off", ",rerror=report,werror=ignore");
    connect_disk(&d, qts, "51712", false, 1);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 160, 1, &seg), ==, 0);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_plug(void)
{
    char *path = image();
    QTestState *qts = qtest_initf("-M xenpv-kvm -m 32 -object iothread,id=io "
                                  "-blockdev driver=file,filename=%s,"
                                  "node-name=d", path);
    Disk d;

    for (int i = 0; i < 3; i++) {
        qtest_qmp_device_add(qts, "xen-disk", "disk",
                             "{'drive': 'd', 'vdev': 'xvda', "
                             "'iothread': 'io'}");
        connect_disk(&d, qts, "51712", i & 1, 1 << i);
        assert_works(&d);
        /* The guest is asked, and answers */
        qtest_qmp_device_del_send(qts, "disk");
        frontend_wait(&d.f, XenbusStateClosing);
        xs_assert(qts, d.f.back, "online", "0");
        frontend_set_state(&d.f, XenbusStateClosing);
        frontend_set_state(&d.f, XenbusStateClosed);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        g_assert_null(xs_read(qts, "%s/state", d.f.dir));
        g_assert_null(xs_read(qts, "%s/state", d.f.back));
        g_assert_cmphex(xenpv_grant_flags(qts, RING_REF), ==,
                        GTF_permit_access);
        frontend_destroy(&d.f);
    }
    qtest_quit(qts);
    remove_image(path);
}

static void test_reset(void)
{
    char *path = image();
    QTestState *qts = start(path, ONE_DISK ",iothread=io"
                            " -object iothread,id=io");
    Disk d;

    for (int i = 0; i < 4; i++) {
        connect_disk(&d, qts, "51712", i & 1, 1);
        assert_works(&d);
        /* With requests that nobody waits for */
        for (int j = 0; j < 20; j++) {
            Seg seg = { DATA_REF + j, 0, 7 };

            put_request(&d, BLKIF_OP_READ, j * 8, 1, &seg, 0);
        }
        push(&d);
        qtest_system_reset(qts);
        frontend_destroy(&d.f);
    }
    qtest_quit(qts);
    remove_image(path);
}

#define PERSISTENT  " -global xen-disk.feature-persistent=on"

static void assert_flags(QTestState *qts, uint32_t ref, uint16_t flags)
{
    g_assert_cmphex(xenpv_grant_flags(qts, ref), ==, flags);
}

static void connect_persistent(Disk *d, QTestState *qts, bool narrow,
                               unsigned pages)
{
    prepare(d, qts, "51712", narrow, pages);
    xs_write(qts, d->f.dir, "feature-persistent", "1");
    connect_prepared(d);
}

/* A page of data both ways, by one grant and then by another */
static void assert_moves(Disk *d, const char *path, uint64_t sector,
                         unsigned frame)
{
    Seg seg = { DATA_REF + frame, 0, 7 };
    QTestState *qts = d->f.qts;
    uint8_t buf[XENPV_PAGE];

    fill(qts, frame, 0x10 + frame);
    g_assert_cmpint(request(d, BLKIF_OP_WRITE, sector, 1, &seg), ==, 0);
    image_read(path, buf, sector * SECTOR, sizeof(buf));
    for (int i = 0; i < sizeof(buf); i++) {
        g_assert_cmphex(buf[i], ==, 0x10 + frame);
    }
    fill(qts, frame + 1, 0xee);
    seg.ref++;
    g_assert_cmpint(request(d, BLKIF_OP_READ, sector, 1, &seg), ==, 0);
    assert_filled(qts, frame + 1, 0, 0x10 + frame, XENPV_PAGE);
}

/* Grants are in use between requests where both ends want that, and only there */
static void test_persistent(void)
{
    static const struct {
        bool back;
        const char *front;
    } ends[] = {
        { true, "1" }, { true, "0" }, { true, NULL }, { true, "" },
        { false, "1" },
    };
    const uint16_t free_flags = GTF_permit_access;
    char *path = image();

    for (int i = 0; i < 2 * ARRAY_SIZE(ends); i++) {
        bool back = ends[i / 2].back, kept;
        const char *front = ends[i / 2].front;
        QTestState *qts = start(path, back ? PERSISTENT ONE_DISK
                                " -object iothread,id=io"
                                " -global xen-disk.iothread=io" : ONE_DISK);
        uint16_t flags;
        Disk d;

        prepare(&d, qts, "51712", i & 1, i & 1 ? 4 : 1);
        xs_assert(qts, d.f.back, "feature-persistent", back ? "1" : NULL);
        if (front) {
            xs_write(qts, d.f.dir, "feature-persistent", "%s", front);
        }
        connect_prepared(&d);
        kept = back && !g_strcmp0(front, "1");
        flags = free_flags | (kept ? IN_USE : 0);
        g_test_message("back end %d, front end '%s': kept %d", back,
                       front ?: "", kept);

        /* Again and again, and each by others, too */
        for (int j = 0; j < 6; j++) {
            assert_moves(&d, path, 8 + j * 8, 4 + j % 3);
        }
        for (int j = 0; j < NR_DATA; j++) {
            assert_flags(qts, DATA_REF + j,
                         j >= 4 && j <= 7 ? flags : free_flags);
        }
        /* A list of segments is kept as well; it is granted to read */
        for (int j = 0; j < NR_DATA; j++) {
            put_list(qts, j, (Seg) { DATA_REF + j, 0, 7 });
        }
        put_indirect(&d, BLKIF_OP_READ, 1024, NR_DATA, LIST_REF);
        push(&d);
        g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
        /* It is read anew for each request */
        put_list(qts, 0, (Seg) { DATA_REF + 1, 0, 7 });
        put_list(qts, 1, (Seg) { DATA_REF, 0, 7 });
        put_indirect(&d, BLKIF_OP_READ, 1024, NR_DATA, LIST_REF);
        push(&d);
        g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
        for (int j = 0; j < NR_DATA; j++) {
            assert_pattern(qts, j, 0, 1024 * SECTOR +
                           (j < 2 ? 1 - j : j) * XENPV_PAGE, XENPV_PAGE);
            assert_flags(qts, DATA_REF + j, flags);
        }
        assert_flags(qts, LIST_REF, free_flags | GTF_readonly |
                                    (kept ? GTF_reading : 0));

        disconnect_disk(&d);
        for (int j = 0; j < NR_DATA; j++) {
            assert_flags(qts, DATA_REF + j, free_flags);
        }
        assert_flags(qts, LIST_REF, free_flags | GTF_readonly);
        assert_flags(qts, RING_REF, free_flags);
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

/* Grant more, all of the same frames */
static void grant_many(QTestState *qts, unsigned nr)
{
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF, .nr_frames = 4 };

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_GNTTAB, GNTTABOP_setup_table,
                               &s, sizeof(s)), ==, 0);
    g_assert_cmpint(s.status, ==, GNTST_okay);
    for (unsigned i = 0; i < nr; i++) {
        xenpv_grant(qts, MANY_REF + i, GTF_permit_access,
                    DATA_MFN + i % NR_DATA);
    }
}

static unsigned nr_in_use(QTestState *qts, unsigned nr)
{
    g_autofree grant_entry_v1_t *e = g_new(grant_entry_v1_t, nr);
    unsigned n = 0;

    qtest_memread(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) +
                  MANY_REF * sizeof(*e), e, nr * sizeof(*e));
    for (unsigned i = 0; i < nr; i++) {
        n += (e[i].flags & IN_USE) == IN_USE;
    }
    return n;
}

/* A ring keeps so many and no more, those that were used last */
static void test_persistent_limit(void)
{
    enum { BY = 11, ROUNDS = MAX_KEPT / BY };
    char *path = image();
    QTestState *qts = start(path, PERSISTENT ONE_DISK);
    Seg segs[BY];
    Disk d;

    QEMU_BUILD_BUG_ON(MAX_KEPT % BY);
    connect_persistent(&d, qts, false, 1);
    grant_many(qts, MAX_KEPT + 2 * BY);
    for (int round = 0; round < ROUNDS + 2; round++) {
        for (int i = 0; i < BY; i++) {
            segs[i] = (Seg) { MANY_REF + round * BY + i, 0, 7 };
        }
        g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, BY, segs), ==, 0);
        if (round == ROUNDS - 1) {
            g_assert_cmpuint(nr_in_use(qts, MAX_KEPT), ==, MAX_KEPT);
            /* The first is used once more: the second is now the oldest */
            segs[0] = (Seg) { MANY_REF, 0, 7 };
            g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, segs), ==, 0);
        }
    }
    g_assert_cmpuint(nr_in_use(qts, MAX_KEPT + 2 * BY), ==, MAX_KEPT);
    for (int i = 0; i <= 2 * BY + 1; i++) {
        assert_flags(qts, MANY_REF + i, GTF_permit_access |
                     (i == 0 || i == 2 * BY + 1 ? IN_USE : 0));
    }
    /* One that was dropped is as good as any */
    segs[0] = (Seg) { MANY_REF + 1, 0, 7 };
    fill(qts, 1, 0xee);
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 64, 1, segs), ==, 0);
    assert_pattern(qts, 1, 0, 64 * SECTOR, XENPV_PAGE);
    g_assert_cmpuint(nr_in_use(qts, MAX_KEPT + 2 * BY), ==, MAX_KEPT);
    disconnect_disk(&d);
    g_assert_cmpuint(nr_in_use(qts, MAX_KEPT + 2 * BY), ==, 0);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

/*
 * Requests on their way at once may need more: all of that is in use then, but
 * what is beyond the limit no longer than its request. An error that stops the
 * machine keeps them on their way.
 */
static void test_persistent_at_once(void)
{
    enum { EACH = 256, REQUESTS = 5, ALL = EACH * REQUESTS };
    const int sector_of_all = 1500;
    g_autoptr(GString) errors = g_string_new(NULL);
    char *path = image();
    QTestState *qts;
    Disk d;

    QEMU_BUILD_BUG_ON(ALL <= MAX_KEPT);
    for (int i = 0; i < REQUESTS; i++) {
        g_string_append_printf(errors, ",inject-error.%d.event=none,"
                               "inject-error.%d.iotype=read,"
                               "inject-error.%d.once=on,"
                               "inject-error.%d.sector=%d", i, i, i, i,
                               sector_of_all);
    }
    qts = qtest_initf("-M xenpv-kvm -m 32 -blockdev driver=file,node-name=f,"
                      "filename=%s -blockdev driver=blkdebug,node-name=d,"
                      "image=f%s" PERSISTENT ONE_DISK ",rerror=stop", path,
                      errors->str);
    connect_persistent(&d, qts, false, 1);
    grant_many(qts, ALL);
    for (int i = 0; i < REQUESTS; i++) {
        xenpv_grant(qts, LISTS_REF + i, GTF_permit_access, LIST_MFN + i);
        for (int j = 0; j < EACH; j++) {
            uint64_t at = (LIST_MFN + i) * XENPV_PAGE + 8 * j;

            qtest_writel(qts, at, MANY_REF + i * EACH + j);
            qtest_writew(qts, at + 4, 7 << 8);
        }
        put_indirect(&d, BLKIF_OP_READ, i * 256, EACH, LISTS_REF + i);
    }
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    g_assert_cmpuint(nr_in_use(qts, ALL), ==, ALL);
    g_assert_cmpuint(qtest_readl(qts, ring(8)), ==, d.cons);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    for (int i = 0; i < REQUESTS; i++) {
        g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
    }
    /* The lists, which nobody used any more, have made room */
    g_assert_cmpuint(nr_in_use(qts, ALL), ==, MAX_KEPT);
    assert_works(&d);
    disconnect_disk(&d);
    g_assert_cmpuint(nr_in_use(qts, ALL), ==, 0);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

/* What a front end makes of a grant that is kept reaches nothing else */
static void test_persistent_hostile(void)
{
    char *path = image();
    QTestState *qts = start(path, PERSISTENT ONE_DISK);
    Seg seg = { DATA_REF + 4, 0, 7 }, readonly = { READONLY_REF, 0, 7 };
    uint8_t byte;
    Disk d;

    connect_persistent(&d, qts, false, 1);
    assert_moves(&d, path, 8, 4);

    /* Revoked, or given for other frames: the one that was granted is used */
    fill(qts, 50, 0x77);
    for (int i = 0; i < 4; i++) {
        static const struct {
            uint16_t flags;
            uint32_t frame;
        } entries[] = {
            { 0, 0 },
            { GTF_permit_access, DATA_MFN + 50 },
            { GTF_permit_access, XENPV_CORE_GPA / XENPV_PAGE },
            { GTF_permit_access | GTF_readonly, 0xffffffff },
        };

        xenpv_grant(qts, seg.ref, entries[i].flags, entries[i].frame);
        fill(qts, 4, 0xee);
        g_assert_cmpint(request(&d, BLKIF_OP_READ, 200 + i * 8, 1, &seg), ==,
                        0);
        assert_pattern(qts, 4, 0, (200 + i * 8) * SECTOR, XENPV_PAGE);
        fill(qts, 4, 0x30 + i);
        g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 400, 1, &seg), ==, 0);
        image_read(path, &byte, 400 * SECTOR, 1);
        g_assert_cmphex(byte, ==, 0x30 + i);
        assert_filled(qts, 50, 0, 0x77, XENPV_PAGE);
        assert_works(&d);
    }

    /* What is granted to read is kept so, and written only if it may be */
    fill(qts, 0, 0x55);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 408, 1, &readonly), ==, 0);
    assert_flags(qts, READONLY_REF,
                 GTF_permit_access | GTF_readonly | GTF_reading);
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, &readonly), ==,
                    BLKIF_RSP_ERROR);
    assert_filled(qts, 0, 0, 0x55, XENPV_PAGE);
    assert_flags(qts, READONLY_REF,
                 GTF_permit_access | GTF_readonly | GTF_reading);
    xenpv_grant(qts, READONLY_REF, GTF_permit_access | GTF_reading,
                DATA_MFN + 50);
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, &readonly), ==,
                    BLKIF_RSP_ERROR);
    assert_filled(qts, 50, 0, 0x77, XENPV_PAGE);
    xenpv_grant(qts, READONLY_REF, GTF_permit_access | GTF_reading, DATA_MFN);
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 80, 1, &readonly), ==, 0);
    assert_pattern(qts, 0, 0, 80 * SECTOR, XENPV_PAGE);
    assert_flags(qts, READONLY_REF, GTF_permit_access | IN_USE);
    g_assert_cmpint(request(&d, BLKIF_OP_WRITE, 408, 1, &readonly), ==, 0);

    /* Nothing is kept of what is not granted, or not RAM */
    seg.ref = FREE_REF;
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, &seg), ==,
                    BLKIF_RSP_ERROR);
    assert_flags(qts, FREE_REF, 0);
    seg.ref = NOT_RAM_REF;
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, &seg), ==,
                    BLKIF_RSP_ERROR);
    assert_flags(qts, NOT_RAM_REF, GTF_permit_access);
    seg.ref = 0xffffffff;
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, &seg), ==,
                    BLKIF_RSP_ERROR);

    /* In one request, too, in which others are kept: those are not held */
    {
        Seg segs[2] = { { DATA_REF + 60, 0, 7 }, { FREE_REF, 0, 7 } };

        g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 2, segs), ==,
                        BLKIF_RSP_ERROR);
        g_assert_cmpint(request(&d, BLKIF_OP_READ, 8, 1, segs), ==, 0);
    }
    disconnect_disk(&d);
    assert_flags(qts, DATA_REF + 4, GTF_permit_access | GTF_readonly);
    assert_flags(qts, DATA_REF + 60, GTF_permit_access);
    assert_flags(qts, READONLY_REF, GTF_permit_access);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

/* Part of a frame (version 2) cannot be kept, but serves its own requests */
static void grant_v2(QTestState *qts, uint32_t ref, uint16_t flags,
                     uint64_t frame, uint16_t start, uint16_t length)
{
    grant_entry_v2_t e = {
        .sub_page = { .hdr = { .flags = flags }, .frame = frame },
    };

    if (flags & GTF_sub_page) {
        e.sub_page.page_off = start;
        e.sub_page.length = length;
    }
    qtest_memwrite(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) + ref * sizeof(e),
                   &e, sizeof(e));
}

static uint16_t flags_v2(QTestState *qts, uint32_t ref)
{
    return qtest_readw(qts, xenpv_core(XENPV_CORE_GRANT_TABLE +
                                       XENPV_CORE_GRANT_PAGES * XENPV_PAGE) +
                       ref * sizeof(grant_status_t));
}

static void test_persistent_v2(void)
{
    struct gnttab_set_version v = { .version = 2 };
    char *path = image();
    QTestState *qts = start(path, PERSISTENT ONE_DISK);
    Seg seg = { 9, 0, 7 };
    Disk d;

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_GNTTAB, GNTTABOP_set_version,
                               &v, sizeof(v)), ==, 0);
    prepare(&d, qts, "51712", false, 1);
    qtest_memset(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) + RING_REF * 16, 0,
                 XENPV_PAGE - RING_REF * 16);
    grant_v2(qts, RING_REF, GTF_permit_access, RING_MFN, 0, 0);
    grant_v2(qts, 9, GTF_permit_access, DATA_MFN, 0, 0);
    grant_v2(qts, 10, GTF_permit_access | GTF_sub_page, DATA_MFN + 1,
             2 * SECTOR, 3 * SECTOR);
    xs_write(qts, d.f.dir, "feature-persistent", "1");
    connect_prepared(&d);

    g_assert_cmpint(request(&d, BLKIF_OP_READ, 80, 1, &seg), ==, 0);
    assert_pattern(qts, 0, 0, 80 * SECTOR, XENPV_PAGE);
    g_assert_cmphex(flags_v2(qts, 9), ==, IN_USE);
    fill(qts, 1, 0xee);
    seg = (Seg) { 10, 3, 4 };
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 80, 1, &seg), ==, 0);
    assert_filled(qts, 1, 0, 0xee, 3 * SECTOR);
    assert_pattern(qts, 1, 3 * SECTOR, 80 * SECTOR, 2 * SECTOR);
    assert_filled(qts, 1, 5 * SECTOR, 0xee, 3 * SECTOR);
    g_assert_cmphex(flags_v2(qts, 10), ==, 0);
    seg = (Seg) { 10, 4, 5 };
    g_assert_cmpint(request(&d, BLKIF_OP_READ, 80, 1, &seg), ==,
                    BLKIF_RSP_ERROR);
    assert_filled(qts, 1, 5 * SECTOR, 0xee, 3 * SECTOR);
    g_assert_cmphex(flags_v2(qts, 10), ==, 0);
    disconnect_disk(&d);
    g_assert_cmphex(flags_v2(qts, 9), ==, 0);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

/* However it ends, nothing stays in use; and it can begin again */
static void test_persistent_end(void)
{
    Seg seg = { DATA_REF, 0, 7 };
    char *path = image();
    QTestState *qts;
    Disk d;

    /* Front ends come and go; one without persistent grants gets none */
    qts = start(path, PERSISTENT ONE_DISK);
    for (int i = 0; i < 4; i++) {
        prepare(&d, qts, "51712", i & 1, 1);
        xs_write(qts, d.f.dir, "feature-persistent", "%d", i != 2);
        connect_prepared(&d);
        assert_works(&d);
        assert_flags(qts, DATA_REF + 3,
                     GTF_permit_access | (i == 2 ? 0 : IN_USE));
        disconnect_disk(&d);
        assert_flags(qts, DATA_REF + 3, GTF_permit_access);
        frontend_set_state(&d.f, XenbusStateInitialising);
        frontend_destroy(&d.f);
    }
    /* The machine is reset */
    for (int i = 0; i < 3; i++) {
        connect_persistent(&d, qts, i & 1, 1);
        assert_works(&d);
        for (int j = 0; j < 20; j++) {
            seg.ref = DATA_REF + j;
            put_request(&d, BLKIF_OP_READ, j * 8, 1, &seg, 0);
        }
        push(&d);
        frontend_destroy(&d.f);
        qtest_system_reset(qts);
    }
    qtest_quit(qts);

    /* The disk is taken away */
    qts = qtest_initf("-M xenpv-kvm -m 32 -object iothread,id=io -blockdev "
                      "driver=file,filename=%s,node-name=d", path);
    for (int i = 0; i < 3; i++) {
        qtest_qmp_device_add(qts, "xen-disk", "disk",
                             "{'drive': 'd', 'vdev': 'xvda', "
                             "'iothread': 'io', 'feature-persistent': true}");
        connect_persistent(&d, qts, false, 1 << i);
        assert_works(&d);
        assert_flags(qts, DATA_REF + 3, GTF_permit_access | IN_USE);
        qtest_qmp_device_del_send(qts, "disk");
        frontend_wait(&d.f, XenbusStateClosing);
        frontend_set_state(&d.f, XenbusStateClosing);
        frontend_set_state(&d.f, XenbusStateClosed);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        assert_flags(qts, DATA_REF + 3, GTF_permit_access);
        frontend_destroy(&d.f);
    }
    qtest_quit(qts);

    /* With a request that an error has stopped */
    qts = start_with_errors(path, "off", ",rerror=stop" PERSISTENT);
    connect_persistent(&d, qts, false, 1);
    assert_works(&d);
    seg.ref = DATA_REF;
    put_request(&d, BLKIF_OP_READ, 80, 1, &seg, 0);
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    assert_flags(qts, DATA_REF, GTF_permit_access | IN_USE);
    disconnect_disk(&d);
    assert_flags(qts, DATA_REF, GTF_permit_access);
    assert_flags(qts, DATA_REF + 3, GTF_permit_access);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/block/nodes", test_nodes);
    qtest_add_func("/xenpv/block/transfer-64", test_transfer_64);
    qtest_add_func("/xenpv/block/transfer-32", test_transfer_32);
    qtest_add_func("/xenpv/block/multi-page", test_multi_page);
    qtest_add_func("/xenpv/block/indirect", test_indirect);
    qtest_add_func("/xenpv/block/bad-requests", test_bad_requests);
    qtest_add_func("/xenpv/block/bad-ring", test_bad_ring);
    qtest_add_func("/xenpv/block/bad-connection", test_bad_connection);
    qtest_add_func("/xenpv/block/params", test_params);
    qtest_add_func("/xenpv/block/4k", test_4k);
    qtest_add_func("/xenpv/block/readonly", test_readonly);
    qtest_add_func("/xenpv/block/errors", test_errors);
    qtest_add_func("/xenpv/block/plug", test_plug);
    qtest_add_func("/xenpv/block/reset", test_reset);
    qtest_add_func("/xenpv/block/persistent", test_persistent);
    qtest_add_func("/xenpv/block/persistent-limit", test_persistent_limit);
    qtest_add_func("/xenpv/block/persistent-at-once", test_persistent_at_once);
    qtest_add_func("/xenpv/block/persistent-hostile", test_persistent_hostile);
    qtest_add_func("/xenpv/block/persistent-v2", test_persistent_v2);
    qtest_add_func("/xenpv/block/persistent-end", test_persistent_end);
    return g_test_run();
}
