/*
 * xen-disk on the xenpv-kvm machine: several rings
 *
 * The test is a front end with more than one queue, as Linux is with more than one
 * vCPU: each ring has its own requests, answers and event channel, and what is a
 * disk's is so over all of them. A hostile one asks for queues that there are not,
 * names what it has not got, or changes its mind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/sockets.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "xenpv-disk.h"

#define IN_IOTHREAD ",iothread=io -object iothread,id=io"
#define QUEUES(n)   ONE_DISK ",num-queues=" #n
/* Of a disk, xenpv-block.c's MAX_IN_FLIGHT */
#define MAX_IN_FLIGHT   512

static void connect_queues(Disk *d, unsigned queues, QTestState *qts,
                           bool narrow, unsigned pages)
{
    prepare_queues(d, queues, qts, "51712", narrow, pages);
    connect_prepared(&d[0]);
}

static void all_work(Disk *d, unsigned queues)
{
    for (unsigned i = 0; i < queues; i++) {
        assert_works(&d[i]);
    }
}

/* The front end goes, and nothing of its rings is in use */
static void close_queues(Disk *d, unsigned queues)
{
    QTestState *qts = d->f.qts;

    disconnect_disk(d);
    for (unsigned i = 0; i < queues * d->pages; i++) {
        g_assert_cmphex(xenpv_grant_flags(qts, RING_REF + i), ==,
                        GTF_permit_access);
    }
    frontend_set_state(&d->f, XenbusStateInitialising);
    frontend_wait(&d->f, XenbusStateInitWait);
}

/*
 * One for each vCPU there can be, or as the user says, within a limit. If they were not
 * smaller the more there are, connecting all of them would keep QEMU busy for too long.
 */
static void test_nodes(void)
{
    static const struct {
        const char *options, *max, *order;
    } cases[] = {
        { ONE_DISK " -drive if=none,driver=null-co,id=other", "1", "4" },
        { ONE_DISK " -smp 2,maxcpus=3", "3", "4" },
        { ONE_DISK " -smp 2 -global xen-disk.num-queues=1", "1", "4" },
        { QUEUES(64), "64", "3" },
        { QUEUES(64) ",max-ring-page-order=2", "64", "2" },
        { QUEUES(2) ",max-ring-page-order=8", "2", "8" },
        { QUEUES(3) ",max-ring-page-order=8", "3", "7" },
    };
    char *path = image();

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QTestState *qts = start(path, cases[i].options);
        Frontend f;

        frontend_init(&f, qts, "device/vbd/51712");
        frontend_wait(&f, XenbusStateInitWait);
        xs_assert(qts, f.back, "multi-queue-max-queues", cases[i].max);
        xs_assert(qts, f.back, "max-ring-page-order", cases[i].order);
        frontend_destroy(&f);
        if (i == 0) {
            QDict *answer = qtest_qmp(qts, "{'execute': 'device_add',"
                " 'arguments': {'driver': 'xen-disk', 'drive': 'other',"
                " 'num-queues': 65}}");

            g_assert_cmpstr(qdict_get_str(qdict_get_qdict(answer, "error"),
                                          "desc"), ==,
                            "num-queues=65 is too many: give at most 64");
            qobject_unref(answer);
        }
        qtest_quit(qts);
    }
    remove_image(path);
}

/*
 * Requests of all rings, at once and by turns: each is answered in its own ring, and
 * by its own event channel
 */
static void transfer(bool narrow, unsigned queues, unsigned pages,
                     const char *options)
{
    char *path = image();
    QTestState *qts = start(path, options);
    Seg seg = { DATA_REF, 0, 7 };
    Disk d[4];
    uint8_t byte;

    connect_queues(d, queues, qts, narrow, pages);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned q = 0; q < queues; q++) {
            for (unsigned i = 0; i < ring_size(&d[q]); i++) {
                seg.ref = DATA_REF + q * 16 + i % 16;
                put_request(&d[q], BLKIF_OP_READ, (q * 16 + i % 16) * 8, 1, &seg,
                            0);
            }
            push(&d[q]);
        }
        for (unsigned q = 0; q < queues; q++) {
            for (unsigned i = 0; i < ring_size(&d[q]); i++) {
                g_assert_cmpint(answer(&d[q], BLKIF_OP_READ), ==, 0);
            }
            xenpv_wait_event(qts, d[q].port);
        }
    }
    for (unsigned i = 0; i < queues * 16; i++) {
        assert_pattern(qts, i, 0, i * XENPV_PAGE, XENPV_PAGE);
    }
    /* A write by one is there for the others */
    fill(qts, 0, 0xa7);
    seg.ref = DATA_REF;
    g_assert_cmpint(request(&d[queues - 1], BLKIF_OP_WRITE, 800, 1, &seg), ==, 0);
    g_assert_cmpint(request(&d[0], BLKIF_OP_FLUSH_DISKCACHE, 0, 0, NULL), ==, 0);
    image_read(path, &byte, 801 * SECTOR, 1);
    g_assert_cmphex(byte, ==, 0xa7);
    fill(qts, 0, 0);
    g_assert_cmpint(request(&d[0], BLKIF_OP_READ, 800, 1, &seg), ==, 0);
    assert_filled(qts, 0, 0, 0xa7, XENPV_PAGE);

    /* Fewer the next time, and all again */
    close_queues(d, queues);
    frontend_destroy(&d->f);
    xs_write(qts, "device/vbd/51712", "multi-queue-num-queues", "1");
    connect_disk(&d[0], qts, "51712", !narrow, pages);
    assert_works(&d[0]);
    close_queues(d, 1);
    frontend_destroy(&d->f);
    connect_queues(d, queues, qts, narrow, pages);
    all_work(d, queues);
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

static void test_transfer(void)
{
    transfer(false, 2, 1, QUEUES(2));
    transfer(true, 4, 4, QUEUES(4) IN_IOTHREAD);
    transfer(false, 3, 1, ONE_DISK IN_IOTHREAD " -smp 4");
}

/* Grants that are kept serve all rings, and there are as many more of them */
static void test_persistent(void)
{
    char *path = image();
    QTestState *qts = start(path, QUEUES(2) ",feature-persistent=on");
    Seg seg = { DATA_REF, 0, 7 };
    Disk d[2];

    prepare_queues(d, 2, qts, "51712", false, 1);
    xs_write(qts, d->f.dir, "feature-persistent", "1");
    connect_prepared(&d[0]);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(request(&d[i], BLKIF_OP_READ, 0, 1, &seg), ==, 0);
        g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF), ==,
                        GTF_permit_access | GTF_reading | GTF_writing);
    }
    /* The frame is that of the first use, whoever uses it */
    xenpv_grant(qts, DATA_REF, GTF_permit_access | GTF_reading | GTF_writing,
                DATA_MFN + 1);
    fill(qts, 0, 0xee);
    fill(qts, 1, 0xee);
    g_assert_cmpint(request(&d[1], BLKIF_OP_READ, 16, 1, &seg), ==, 0);
    assert_pattern(qts, 0, 0, 16 * SECTOR, XENPV_PAGE);
    assert_filled(qts, 1, 0, 0xee, XENPV_PAGE);
    close_queues(d, 2);
    g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF), ==, GTF_permit_access);
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

/*
 * Of a disk with many rings not more grants are kept than are dropped in one pass. If
 * that fails, closing it keeps QEMU busy for as long as a guest wants.
 */
static void test_persistent_limit(void)
{
    enum { FIRST = 1000, NR = 5000, LIMIT = 4096, SEGS = 256 };
    struct xenpv_gnttab_setup setup = {
        .dom = DOMID_SELF, .nr_frames = XENPV_CORE_GRANT_PAGES,
    };
    g_autofree grant_entry_v1_t *table = g_new0(grant_entry_v1_t, NR);
    char *path = image();
    QTestState *qts = start(path, QUEUES(5) ",feature-persistent=on");
    unsigned kept = 0;
    Disk d[5];

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_GNTTAB, GNTTABOP_setup_table,
                               &setup, sizeof(setup)), ==, 0);
    prepare_queues(d, 5, qts, "51712", false, 1);
    xs_write(qts, d->f.dir, "feature-persistent", "1");
    connect_prepared(&d[0]);
    for (unsigned i = 0; i < NR; i++) {
        table[i] = (grant_entry_v1_t) {
            .flags = GTF_permit_access, .frame = DATA_MFN,
        };
    }
    qtest_memwrite(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) +
                   FIRST * sizeof(*table), table, NR * sizeof(*table));
    for (unsigned i = 0; i < NR; i += SEGS) {
        struct blkif_request_segment segs[SEGS];
        unsigned n = MIN(SEGS, NR - i);

        for (unsigned s = 0; s < n; s++) {
            segs[s] = (struct blkif_request_segment) {
                .gref = FIRST + i + s, .last_sect = 0,
            };
        }
        qtest_memwrite(qts, LIST_MFN * XENPV_PAGE, segs, n * sizeof(segs[0]));
        put_indirect(&d[i / SEGS % 5], BLKIF_OP_READ, 0, n, LIST_REF);
        push(&d[i / SEGS % 5]);
        g_assert_cmpint(answer(&d[i / SEGS % 5], BLKIF_OP_READ), ==, 0);
    }
    qtest_memread(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) +
                  FIRST * sizeof(*table), table, NR * sizeof(*table));
    for (unsigned i = 0; i < NR; i++) {
        kept += table[i].flags != GTF_permit_access;
    }
    /* And that of the list */
    g_assert_cmpuint(kept, <=, LIMIT);
    g_assert_cmpuint(kept, >, LIMIT - 100);
    close_queues(d, 5);
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

/* As in Xen's blkback: what was before a barrier in other rings it does not wait for */
static void test_barrier(void)
{
    enum { NR_SLOW = 30 };
    char *path = image();
    QTestState *qts = start(path, ",throttling.bps-total=524288" QUEUES(2));
    Seg segs[11];
    Disk d[2];

    connect_queues(d, 2, qts, false, 1);
    for (int i = 0; i < 11; i++) {
        segs[i] = (Seg) { DATA_REF + i, 0, 7 };
    }
    for (int i = 0; i < NR_SLOW; i++) {
        put_request(&d[1], BLKIF_OP_READ, i * 88, 11, segs, 0);
    }
    push(&d[1]);
    answer(&d[1], BLKIF_OP_READ);
    segs[0] = (Seg) { DATA_REF + 20, 0, 0 };
    put_request(&d[0], BLKIF_OP_WRITE_BARRIER, 300, 1, segs, 0);
    put_request(&d[0], BLKIF_OP_WRITE, 301, 1, segs, 0);
    push(&d[0]);
    g_assert_cmpint(answer(&d[0], BLKIF_OP_WRITE_BARRIER), ==, 0);
    g_assert_cmpint(answer(&d[0], BLKIF_OP_WRITE), ==, 0);
    g_assert_cmpuint(qtest_readl(qts, disk_ring(&d[1], 8)), <, NR_SLOW);
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

/* The index of a queue of the only back end, as the host is told */
static unsigned ring_index(QTestState *qts, unsigned queue, const char *index)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': {"
                              "'path': '/machine', 'property': 'xenpv'}}");
    QDict *info = qdict_get_qdict(answer, "return");
    QDict *back = qobject_to(QDict, qlist_peek(qdict_get_qlist(info,
                                                               "back-ends")));
    g_autofree char *name = g_strdup_printf("queue-%u", queue);
    const QListEntry *entry;
    unsigned value = 0;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(back, "rings"), entry) {
        QDict *ring = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(ring, "name"), name)) {
            value = qdict_get_int(ring, index);
            found = true;
        }
    }
    g_assert_true(found);
    qobject_unref(answer);
    return value;
}

/* The request that was in a place before, once more: so fast that none is empty */
static void refill(Disk *d)
{
    uint8_t first[24] = { BLKIF_OP_READ, 1 };

    stq_le_p(first + 8, 0x1122334400000000 + d->prod);
    stq_le_p(first + 16, d->prod % SECTORS);
    qtest_memwrite(d->f.qts, ring_entry(d, d->prod++), first, sizeof(first));
}

/*
 * However many rings, a disk has so many requests on their way, and each ring gets
 * its turn: one that is full does not keep the others from it
 */
static void test_in_flight(void)
{
    char *path = image();
    QTestState *qts = start(path, ",throttling.iops-total=50" QUEUES(2)
                            IN_IOTHREAD);
    Seg seg = { DATA_REF, 0, 0 };
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    unsigned taken, answered[2];
    Disk d[2];

    connect_queues(d, 2, qts, false, 16);
    g_assert_cmpuint(ring_size(&d[0]), ==, MAX_IN_FLIGHT);
    for (int q = 0; q < 2; q++) {
        for (unsigned i = 0; i < ring_size(&d[q]); i++) {
            put_request(&d[q], BLKIF_OP_READ, i, 1, &seg, 0);
        }
        push(&d[q]);
    }
    /* Answers go on meanwhile: what is taken is read first */
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        taken = ring_index(qts, 0, "req-cons") + ring_index(qts, 1, "req-cons");
    } while (taken < MAX_IN_FLIGHT);
    for (int q = 0; q < 2; q++) {
        answered[q] = qtest_readl(qts, disk_ring(&d[q], 8));
    }
    g_assert_cmpuint(taken, <=, MAX_IN_FLIGHT + answered[0] + answered[1]);
    g_assert_cmpuint(taken, <, 2 * MAX_IN_FLIGHT);

    /* The first is filled all the time */
    qtest_qmp_assert_success(qts, "{'execute': 'block_set_io_throttle',"
        " 'arguments': {'id': 'disk', 'bps': 0, 'bps_rd': 0, 'bps_wr': 0,"
        " 'iops': 1000, 'iops_rd': 0, 'iops_wr': 0}}");
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        for (int q = 0; q < 2; q++) {
            answered[q] = qtest_readl(qts, disk_ring(&d[q], 8));
        }
        while (d[0].prod < answered[0] + ring_size(&d[0])) {
            refill(&d[0]);
        }
        push(&d[0]);
    } while (answered[1] < ring_size(&d[1]));
    g_assert_cmpuint(answered[0], <, 4 * ring_size(&d[0]));
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

/* Domain 0's error of the disk, as an administrator reads it; or NULL */
static char *read_error(const char *socket)
{
    static const char path[] =
        "/local/domain/0/error/backend/qdisk/1/51712/error";
    struct xsd_sockmsg hdr = { .type = XS_READ, .len = sizeof(path) };
    int fd = unix_connect(socket, &error_abort);
    char text[XENSTORE_PAYLOAD_MAX + 1];

    g_assert_cmpint(send(fd, &hdr, sizeof(hdr), 0), ==, sizeof(hdr));
    g_assert_cmpint(send(fd, path, sizeof(path), 0), ==, sizeof(path));
    g_assert_cmpint(recv(fd, &hdr, sizeof(hdr), MSG_WAITALL), ==, sizeof(hdr));
    g_assert_cmpint(recv(fd, text, hdr.len, MSG_WAITALL), ==, hdr.len);
    close(fd);
    text[hdr.len] = 0;
    return hdr.type == XS_ERROR ? NULL : g_strdup(text);
}

/*
 * What cannot be ends as with Xen's blkback: the back end closes, the administrator
 * reads why, nothing is in use, and the next front end finds all well
 */
static void test_bad(void)
{
    static const struct {
        const char *node, *value;           /* NULL: is not there */
        const char *why;
    } bad[] = {
        { "multi-queue-num-queues", "0", "asks for 0 queues of 3" },
        { "multi-queue-num-queues", "4", "asks for 4 queues of 3" },
        { "multi-queue-num-queues", "-1", "asks for 4294967295 queues of 3" },
        { "multi-queue-num-queues", "4294967295", "queues of 3" },
        /* There are nodes of two */
        { "multi-queue-num-queues", "3", "no number in 'queue-2/ring-ref'" },
        { "multi-queue-num-queues", "1", "no number in 'ring-ref'" },
        { "multi-queue-num-queues", "x", "no number in 'ring-ref'" },
        { "multi-queue-num-queues", NULL, "no number in 'ring-ref'" },
        { "queue-0", NULL, "no number in 'queue-0/ring-ref'" },
        { "queue-1/ring-ref", NULL, "no number in 'queue-1/ring-ref'" },
        { "queue-1/ring-ref", "200", "queue-1/ring-ref" },  /* granted to nobody */
        { "queue-1/ring-ref", "4294967295", "queue-1/ring-ref" },
        { "queue-1/event-channel", NULL, "no number in 'queue-1/event-channel'" },
        { "queue-1/event-channel", "4097", "queue-1/event-channel" },
        /* The first one has it already */
        { "queue-1/event-channel", "same", "queue-1/event-channel" },
        { "ring-page-order", "5", "a ring of order 5 of 4" },
    };
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *socket = g_build_filename(dir, "s", NULL);
    g_autofree char *options = g_strdup_printf(
        QUEUES(3) " -device xenpv-xenstore-socket,path=%s", socket);
    char *path = image();
    QTestState *qts = start(path, options);
    Disk d[3];

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *node = g_strconcat("device/vbd/51712/", bad[i].node,
                                            NULL);
        g_autofree char *error = NULL;

        g_test_message("%s = '%s'", bad[i].node, bad[i].value);
        prepare_queues(d, 2, qts, "51712", i & 1, 1);
        if (!bad[i].value) {
            g_free(xs_request(qts, XS_RM, node, strlen(node) + 1));
        } else if (!strcmp(bad[i].value, "same")) {
            xs_write(qts, "device/vbd/51712", bad[i].node, "%u", d[0].port);
        } else {
            xs_write(qts, "device/vbd/51712", bad[i].node, "%s", bad[i].value);
        }
        frontend_set_state(&d->f, XenbusStateInitialised);
        frontend_wait(&d->f, XenbusStateClosing);
        error = read_error(socket);
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error, bad[i].why));
        /* It may say so again */
        frontend_set_state(&d->f, XenbusStateConnected);
        close_queues(d, 2);
        g_free(xs_request(qts, XS_RM, "device/vbd/51712/ring-page-order",
                          sizeof("device/vbd/51712/ring-page-order")));
        frontend_destroy(&d->f);

        connect_queues(d, 2, qts, i & 2, 1);
        g_assert_null(read_error(socket));
        all_work(d, 2);
        close_queues(d, 2);
        frontend_destroy(&d->f);
    }
    qtest_quit(qts);
    unlink(socket);
    g_assert_cmpint(rmdir(dir), ==, 0);
    remove_image(path);
}

/*
 * Two rings in the same frame, and nodes that change when they have been read, harm
 * nobody but the front end
 */
static void test_hostile(void)
{
    char *path = image();
    QTestState *qts = start(path, QUEUES(2) IN_IOTHREAD);
    Seg seg = { DATA_REF, 0, 7 };
    Disk d[2];

    prepare_queues(d, 2, qts, "51712", false, 1);
    xs_write(qts, "device/vbd/51712", "queue-1/ring-ref", "%u", RING_REF);
    connect_prepared(&d[0]);
    for (int round = 0; round < 20; round++) {
        put_request(&d[0], BLKIF_OP_READ, 80, 1, &seg, 0);
        qtest_writel(qts, disk_ring(&d[0], 0), d[0].prod);
        xenpv_send(qts, d[round & 1].port);
        xenpv_send(qts, d[!(round & 1)].port);
    }
    /* Indexes that no ring has, too */
    qtest_writel(qts, disk_ring(&d[0], 0), 0x80000000);
    xenpv_send(qts, d[0].port);
    xenpv_send(qts, d[1].port);
    disconnect_disk(&d[0]);
    g_assert_cmphex(xenpv_grant_flags(qts, RING_REF), ==, GTF_permit_access);
    g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF), ==, GTF_permit_access);
    frontend_set_state(&d->f, XenbusStateInitialising);
    frontend_destroy(&d->f);

    connect_queues(d, 2, qts, false, 1);
    xs_write(qts, d->f.dir, "multi-queue-num-queues", "1");
    xs_write(qts, d->f.dir, "queue-1/ring-ref", "99999");
    xs_write(qts, d->f.dir, "queue-0/event-channel", "%u", d[1].port);
    g_free(xs_request(qts, XS_RM, "device/vbd/51712/queue-0",
                      sizeof("device/vbd/51712/queue-0")));
    all_work(d, 2);
    xs_write(qts, d->f.dir, "state", "4");
    all_work(d, 2);
    close_queues(d, 2);
    frontend_destroy(&d->f);
    qtest_quit(qts);
    remove_image(path);
}

/* They all end with the machine's reset, or with the disk, whatever is on its way */
static void test_ends(void)
{
    static const char *const threads[] = { "", IN_IOTHREAD };
    char *path = image();
    Seg seg = { DATA_REF, 0, 7 };

    for (int i = 0; i < 4; i++) {
        g_autofree char *options = g_strconcat(
            ",throttling.bps-total=1048576" QUEUES(4), threads[i & 1], NULL);
        QTestState *qts = start(path, options);
        Disk d[4];

        connect_queues(d, 4, qts, false, 1);
        for (int q = 0; q < 4; q++) {
            for (int n = 0; n < 20; n++) {
                put_request(&d[q], BLKIF_OP_READ, n * 8, 1, &seg, 0);
            }
            push(&d[q]);
        }
        frontend_destroy(&d->f);
        if (i < 2) {
            qtest_system_reset(qts);
            connect_queues(d, 4, qts, false, 1);
            /* Nothing of before writes what is another's now */
            for (int q = 0; q < 4; q++) {
                g_assert_cmpuint(qtest_readl(qts, disk_ring(&d[q], 8)), ==, 0);
            }
            all_work(d, 4);
            frontend_destroy(&d->f);
        } else {
            qtest_qmp_assert_success(qts, "{'execute': 'device_del',"
                                     " 'arguments': {'id': 'disk'}}");
            xs_write(qts, "device/vbd/51712", "state", "%d",
                     XenbusStateClosed);
            qtest_qmp_eventwait(qts, "DEVICE_DELETED");
            for (int q = 0; q < 4; q++) {
                g_assert_cmphex(xenpv_grant_flags(qts, RING_REF + q), ==,
                                GTF_permit_access);
            }
        }
        qtest_quit(qts);
    }
    remove_image(path);
}

static QTestState *migrator(const char *path, const char *disk,
                            const char *options)
{
    return qtest_initf("-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,"
                       "locking=off,node-name=f -blockdev %s,node-name=d%s",
                       path, disk, options);
}

static void wait_migration(QTestState *qts, const char *status)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    for (;;) {
        QDict *answer = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        const char *is = qdict_get_try_str(qdict_get_qdict(answer, "return"),
                                           "status") ?: "none";
        bool done = !strcmp(is, status);

        g_assert_true(done || !strcmp(status, "failed") ||
                      strcmp(is, "failed"));
        qobject_unref(answer);
        if (done) {
            return;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(5000);
    }
}

/*
 * Rings that move are connected where they come to, each with its requests: those
 * that wait, and those that an error has stopped. Where there is no room for all
 * rings, none come.
 */
static void test_migration(void)
{
    static const char bad[] = "driver=blkdebug,image=f,"
        "inject-error.0.event=none,inject-error.0.iotype=read,"
        "inject-error.0.sector=80,inject-error.0.once=off";
    static const struct {
        const char *options;
        bool fits;
        unsigned stopped;                   /* the queue */
    } targets[] = {
        { QUEUES(1), false, 2 }, { QUEUES(3), true, 0 },
        { QUEUES(3) IN_IOTHREAD, true, 2 },
    };
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *socket = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strconcat("unix:", socket, NULL);
    char *path = image();
    Disk d[3];

    for (int t = 0; t < ARRAY_SIZE(targets); t++) {
        QTestState *from = migrator(path, bad, QUEUES(3) ",rerror=stop");
        g_autofree char *options = g_strconcat(targets[t].options,
                                               " -incoming defer", NULL);
        unsigned stopped = targets[t].stopped;
        Seg seg = { DATA_REF, 0, 7 };
        QTestState *to;

        /* What a stream does not say is not what memory happens to have */
        g_setenv("MALLOC_PERTURB_", "90", true);
        to = migrator(path, "driver=raw,file=f", options);
        g_unsetenv("MALLOC_PERTURB_");
        connect_queues(d, 3, from, t & 1, 1);
        all_work(d, 3);
        for (int q = 2; q >= 0; q--) {
            seg.ref = DATA_REF + q;
            put_request(&d[q], BLKIF_OP_READ, 160 + q * 8, 1, &seg, 0);
        }
        /* The first of this one's is read, and the second is stopped */
        seg.ref = DATA_REF + 3;
        put_request(&d[stopped], BLKIF_OP_READ, 80, 1, &seg, 0);
        push(&d[stopped]);
        qtest_qmp_eventwait(from, "STOP");
        /* The others find the machine stopped, and wait in their rings */
        for (int q = 0; q < 3; q++) {
            if (q != stopped) {
                push(&d[q]);
            }
        }
        qtest_qmp_assert_success(to, "{'execute': 'migrate-incoming',"
            " 'arguments': {'uri': %s, 'exit-on-error': false}}", uri);
        qtest_qmp_assert_success(from, "{'execute': 'migrate',"
            " 'arguments': {'uri': %s}}", uri);
        wait_migration(to, targets[t].fits ? "completed" : "failed");
        if (targets[t].fits) {
            wait_migration(from, "completed");
            for (int q = 0; q < 3; q++) {
                d[q].f.qts = to;
            }
            fill(to, 1, 0xee);
            fill(to, 3, 0xee);
            qtest_qmp_assert_success(to, "{'execute': 'cont'}");
            for (int q = 0; q < 3; q++) {
                g_assert_cmpint(answer(&d[q], BLKIF_OP_READ), ==, 0);
            }
            g_assert_cmpint(answer(&d[stopped], BLKIF_OP_READ), ==, 0);
            assert_pattern(to, 1, 0, 168 * SECTOR, XENPV_PAGE);
            assert_pattern(to, 3, 0, 80 * SECTOR, XENPV_PAGE);
            all_work(d, 3);
            close_queues(d, 3);
        }
        frontend_destroy(&d->f);
        qtest_quit(from);
        qtest_quit(to);
        unlink(socket);
    }
    g_assert_cmpint(rmdir(dir), ==, 0);
    remove_image(path);
}

/*
 * A disk that is to be unplugged, and that its front end still has in use, works
 * where it comes to, and goes as soon as it is let go there. Some front ends tell
 * that they have been asked to.
 */
static void test_migration_in_use(void)
{
    static const enum xenbus_state states[] = {
        XenbusStateConnected, XenbusStateClosing
    };
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *socket = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strconcat("unix:", socket, NULL);
    char *path = image();
    Disk d[2];

    for (int i = 0; i < ARRAY_SIZE(states); i++) {
        QTestState *from = migrator(path, "driver=raw,file=f", QUEUES(2));
        QTestState *to = migrator(path, "driver=raw,file=f",
                                  QUEUES(2) " -incoming defer");

        connect_queues(d, 2, from, false, 1);
        qtest_qmp_device_del_send(from, "disk");
        frontend_wait(&d[0].f, XenbusStateClosing);
        frontend_set_state(&d[0].f, states[i]);
        all_work(d, 2);
        qtest_qmp_assert_success(to, "{'execute': 'migrate-incoming',"
            " 'arguments': {'uri': %s, 'exit-on-error': false}}", uri);
        xenpv_save(from, uri);
        wait_migration(to, "completed");
        for (int q = 0; q < 2; q++) {
            d[q].f.qts = to;
        }
        qtest_qmp_assert_success(to, "{'execute': 'cont'}");
        g_assert_cmpint(frontend_back_state(&d[0].f), ==, XenbusStateClosing);
        all_work(d, 2);
        frontend_set_state(&d[0].f, XenbusStateClosed);
        qtest_qmp_eventwait(to, "DEVICE_DELETED");
        for (int q = 0; q < 2; q++) {
            g_assert_cmphex(xenpv_grant_flags(to, RING_REF + q), ==,
                            GTF_permit_access);
        }
        frontend_destroy(&d->f);
        qtest_quit(from);
        qtest_quit(to);
        unlink(socket);
    }
    g_assert_cmpint(rmdir(dir), ==, 0);
    remove_image(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/block-queues/nodes", test_nodes);
    qtest_add_func("/xenpv/block-queues/transfer", test_transfer);
    qtest_add_func("/xenpv/block-queues/persistent", test_persistent);
    qtest_add_func("/xenpv/block-queues/persistent-limit", test_persistent_limit);
    qtest_add_func("/xenpv/block-queues/barrier", test_barrier);
    qtest_add_func("/xenpv/block-queues/in-flight", test_in_flight);
    qtest_add_func("/xenpv/block-queues/bad", test_bad);
    qtest_add_func("/xenpv/block-queues/hostile", test_hostile);
    qtest_add_func("/xenpv/block-queues/ends", test_ends);
    qtest_add_func("/xenpv/block-queues/migration", test_migration);
    qtest_add_func("/xenpv/block-queues/migration-in-use",
                   test_migration_in_use);
    return g_test_run();
}
