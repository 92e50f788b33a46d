/*
 * xen-disk on the xenpv-kvm machine: beginnings, ends, and threads
 *
 * What a front end does to a disk while requests are on their way, in the main
 * loop and in an IOThread: it closes, changes its mind, or the machine is reset or
 * woken up, the disk unplugged, resized or drained. QEMU does not wait for a front
 * end's requests when it closes; nothing of them is left when the next one comes; and
 * nothing is used that is not there any more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qemu/atomic.h"
#include "qobject/qdict.h"
#include "xenpv-disk.h"
#include "xenpv-qmp-time.h"
#include "hw/xen/interface/sched.h"

#define IN_IOTHREAD " -object iothread,id=io -global xen-disk.iothread=io"
#define PERSISTENT  " -global xen-disk.feature-persistent=on"
/* Requests that are on their way for some seconds, of which QEMU knows no end */
#define SLOW        ",throttling.bps-total=524288"
#define NR_SLOW     30

static const char *const threads[] = { "", IN_IOTHREAD };

static QTestState *start_slow(const char *path, const char *options)
{
    g_autofree char *all = g_strdup_printf(SLOW ONE_DISK "%s", options);

    return start(path, all);
}

/* More than the disk does at once: how many were done in the first moment */
static void push_slow(Disk *d)
{
    for (int i = 0; i < NR_SLOW; i++) {
        Seg segs[11];

        for (int j = 0; j < 11; j++) {
            segs[j] = (Seg) { DATA_REF + j, 0, 7 };
        }
        put_request(d, BLKIF_OP_READ, i * 88, 11, segs, 0);
    }
    push(d);
    /* All are taken from the ring when the first is done */
    answer(d, BLKIF_OP_READ);
}

static unsigned nr_answers(Disk *d)
{
    return qtest_readl(d->f.qts, ring(8));
}

static void assert_released(QTestState *qts)
{
    g_assert_cmphex(xenpv_grant_flags(qts, RING_REF), ==, GTF_permit_access);
    for (int i = 0; i < 11; i++) {
        g_assert_cmphex(xenpv_grant_flags(qts, DATA_REF + i), ==,
                        GTF_permit_access);
    }
}

/*
 * A front end closes, and may change its mind, with requests on their way: QEMU
 * goes on at once. The back end is closed when they are done, and not before,
 * and serves the next front end.
 */
static void test_close(void)
{
    static const struct {
        enum xenbus_state then;
        bool in_iothread;
    } cases[] = {
        { XenbusStateClosed, false }, { XenbusStateClosed, true },
        { XenbusStateInitialising, true }, { XenbusStateInitialised, false },
        { XenbusStateConnected, true },
    };
    char *path = image();

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *options = threads[cases[i].in_iothread];
        QTestState *qts = start_slow(path, options);
        enum xenbus_state last = cases[i].then;
        Disk d;

        g_test_message("closed, then %d%s", last, options);
        connect_disk(&d, qts, "51712", false, 1);
        push_slow(&d);
        frontend_set_state(&d.f, XenbusStateClosed);
        if (last != XenbusStateClosed) {
            frontend_set_state(&d.f, last);
        }
        g_assert_cmpint(qmp_time(qts, "query-status") / NS_PER_MS, <,
                        qmp_limit_ms());
        /* Neither xenstore nor QMP has waited for all of them */
        g_assert_cmpint(frontend_back_state(&d.f), ==, XenbusStateConnected);
        g_assert_cmpuint(nr_answers(&d), <, NR_SLOW);
        g_assert_cmphex(xenpv_grant_flags(qts, RING_REF), !=,
                        GTF_permit_access);
        switch (last) {
        case XenbusStateClosed:
            frontend_wait(&d.f, XenbusStateClosed);
            break;
        case XenbusStateInitialising:
            frontend_wait(&d.f, XenbusStateInitWait);
            break;
        default:
            /* The same ring; its indexes in our memory are as they were */
            while (nr_answers(&d) < NR_SLOW) {
                g_usleep(1000);
            }
            frontend_wait(&d.f, XenbusStateConnected);
            frontend_set_state(&d.f, XenbusStateClosed);
            frontend_wait(&d.f, XenbusStateClosed);
            break;
        }
        g_assert_cmpuint(nr_answers(&d), ==, NR_SLOW);
        assert_released(qts);
        if (last != XenbusStateInitialising) {
            frontend_set_state(&d.f, XenbusStateInitialising);
        }
        frontend_destroy(&d.f);
        connect_disk(&d, qts, "51712", true, 1);
        assert_works(&d);
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

static void wake_up(QTestState *qts)
{
    xenpv_call_only(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_suspend, NULL, 0);
    qtest_qmp_eventwait(qts, "SUSPEND");
    qtest_qmp_assert_success(qts, "{'execute': 'system_wakeup'}");
    qtest_qmp_eventwait(qts, "WAKEUP");
}

/*
 * The machine is reset, or its domain is woken up as one that was restored, whatever
 * the front end has said last: reads of before do not write into memory that is used
 * otherwise now, and the next front end is served.
 */
static void check_anew(void (*renew)(QTestState *qts), int rounds)
{
    static const enum xenbus_state last[] = {
        XenbusStateConnected, XenbusStateInitialising, XenbusStateClosing,
        XenbusStateClosed, XenbusStateUnknown,
    };
    char *path = image();

    for (int i = 0; i < rounds; i++) {
        g_autofree char *options = g_strdup_printf("%s%s", threads[i & 1],
                                                   i & 2 ? PERSISTENT : "");
        QTestState *qts = start_slow(path, options);
        Disk d;

        g_test_message("state %d%s", last[i / 2], options);
        prepare(&d, qts, "51712", i & 1, 1);
        xs_write(qts, d.f.dir, "feature-persistent", "1");
        connect_prepared(&d);
        push_slow(&d);
        if (last[i / 2] != XenbusStateConnected) {
            frontend_set_state(&d.f, last[i / 2]);
        }
        g_assert_cmpuint(nr_answers(&d), <, NR_SLOW);
        renew(qts);
        for (int j = 0; j < 11; j++) {
            fill(qts, j, 0xaa);
        }
        qtest_memset(qts, ring(0), 0xbb, XENPV_PAGE);
        g_usleep(500 * 1000);
        for (int j = 0; j < 11; j++) {
            assert_filled(qts, j, 0, 0xaa, XENPV_PAGE);
        }
        g_assert_cmphex(qtest_readl(qts, ring(8)), ==, 0xbbbbbbbb);
        frontend_destroy(&d.f);
        connect_disk(&d, qts, "51712", true, 1);
        assert_works(&d);
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

static void test_reset(void)
{
    check_anew(qtest_system_reset, 10);
}

static void test_wakeup(void)
{
    check_anew(wake_up, 2);
}

/* The disk goes away with requests on their way, asked for or not */
static void test_unplug(void)
{
    char *path = image();

    for (int i = 0; i < 4; i++) {
        QTestState *qts = start_slow(path, threads[i & 1]);
        Disk d;

        connect_disk(&d, qts, "51712", false, 1);
        push_slow(&d);
        if (i & 2) {
            /* As if there were nobody whom the back end could ask */
            frontend_set_state(&d.f, XenbusStateInitialising);
            qtest_qmp_device_del_send(qts, "disk");
        } else {
            qtest_qmp_device_del_send(qts, "disk");
            frontend_wait(&d.f, XenbusStateClosing);
            frontend_set_state(&d.f, XenbusStateClosed);
        }
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        assert_released(qts);
        g_assert_null(xs_read(qts, "%s/state", d.f.back));
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

/*
 * Another vCPU, which sends to the disk's port all the time: as an ioeventfd
 * does it, that is a write to an eventfd of QEMU's, without QEMU's locks. Ours
 * is the one that QEMU has had since the front end has connected.
 *
 * A thief takes the event away again, and the eventfd blocks here. So the
 * IOThread, which has seen that there is something, mostly waits in its handler
 * for the next event: it can be there at any time, and for long.
 */
typedef struct Kicker {
    GThread *sender, *thief;
    int fd;
    bool stop, stopped;
} Kicker;

static bool is_eventfd(pid_t pid, int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", pid, fd);
    g_autofree char *target = g_file_read_link(path, NULL);

    return target && !strcmp(target, "anon_inode:[eventfd]");
}

/* A duplicate of the one that is not in known; -errno */
static int steal_eventfd(pid_t pid, const bool *known, int nr_fds)
{
    int pidfd = syscall(SYS_pidfd_open, pid, 0), fd = -ENOENT;

    if (pidfd < 0) {
        return -errno;
    }
    for (int i = 0; i < nr_fds; i++) {
        if (!known[i] && is_eventfd(pid, i)) {
            fd = syscall(SYS_pidfd_getfd, pidfd, i, 0);
            fd = fd < 0 ? -errno : fd;
            break;
        }
    }
    close(pidfd);
    return fd;
}

static void *send_events(void *opaque)
{
    Kicker *k = opaque;
    uint64_t one = 1;

    for (unsigned i = 0; !qatomic_read(&k->stopped); i++) {
        g_assert_cmpint(write(k->fd, &one, sizeof(one)), ==, sizeof(one));
        g_usleep(20 + i * 37 % 100);
    }
    return NULL;
}

static void *steal_events(void *opaque)
{
    Kicker *k = opaque;
    gint64 now, end;
    uint64_t nr;

    for (unsigned i = 0; !qatomic_read(&k->stop); i++) {
        GPollFD there = { .fd = k->fd, .events = G_IO_IN };

        /* After the IOThread has seen it, and before it has taken it */
        g_poll(&there, 1, -1);
        end = g_get_monotonic_time() + i * 7 % 50;
        do {
            now = g_get_monotonic_time();
        } while (now < end);
        g_assert_cmpint(read(k->fd, &nr, sizeof(nr)), ==, sizeof(nr));
    }
    qatomic_set(&k->stopped, true);
    return NULL;
}

static void start_kicker(Kicker *k)
{
    g_assert_cmpint(fcntl(k->fd, F_SETFL, 0), ==, 0);
    k->stop = k->stopped = false;
    k->sender = g_thread_new("sender", send_events, k);
    k->thief = g_thread_new("thief", steal_events, k);
}

static void stop_kicker(Kicker *k)
{
    qatomic_set(&k->stop, true);
    g_thread_join(k->thief);
    g_thread_join(k->sender);
    close(k->fd);
}

/* Many persistent grants, which take their time to be dropped */
static void grant_many(QTestState *qts)
{
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF, .nr_frames = 4 };

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_GNTTAB, GNTTABOP_setup_table,
                               &s, sizeof(s)), ==, 0);
    for (int i = 0; i < 4 * 256; i++) {
        uint64_t at = (LIST_MFN + i / 256) * XENPV_PAGE + i % 256 * 8;

        xenpv_grant(qts, 1000 + i, GTF_permit_access, DATA_MFN + i % NR_DATA);
        qtest_writel(qts, at, 1000 + i);
        qtest_writew(qts, at + 4, 7 << 8);
    }
    for (int i = 0; i < 4; i++) {
        xenpv_grant(qts, 900 + i, GTF_permit_access, LIST_MFN + i);
    }
}

/*
 * Front ends that tell the back end of requests at the very moment in which
 * they close. The IOThread that is told so must not find what the main thread
 * has freed, which is filled with other bytes here: of such a kind that they
 * are taken for an event, and its handler is called.
 */
static void test_close_race(void)
{
    enum { NR_FDS = 256, ROUNDS = 100 };
    char *path = image();
    bool known[NR_FDS];
    QTestState *qts;
    Disk d;

    g_setenv("MALLOC_PERTURB_", "90", true);
    g_setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", true);
    qts = start(path, ONE_DISK ",iothread=io -object iothread,id=io" PERSISTENT);
    g_unsetenv("MALLOC_PERTURB_");
    g_unsetenv("GLIBC_TUNABLES");
    grant_many(qts);
    for (int i = 0; i < NR_FDS; i++) {
        known[i] = is_eventfd(qtest_pid(qts), i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        Kicker k;

        prepare(&d, qts, "51712", round & 1, 1);
        xs_write(qts, d.f.dir, "feature-persistent", "1");
        connect_prepared(&d);
        for (int i = 0; i < 4; i++) {
            put_indirect(&d, BLKIF_OP_READ, 0, 256, 900 + i);
        }
        push(&d);
        for (int i = 0; i < 4; i++) {
            g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
        }
        k.fd = steal_eventfd(qtest_pid(qts), known, NR_FDS);
        if (k.fd < 0) {
            g_test_skip("file descriptors cannot be had from another process");
            disconnect_disk(&d);
        } else {
            start_kicker(&k);
            frontend_set_state(&d.f, XenbusStateClosed);
            frontend_wait(&d.f, XenbusStateClosed);
            stop_kicker(&k);
        }
        frontend_set_state(&d.f, XenbusStateInitialising);
        frontend_destroy(&d.f);
        if (k.fd < 0) {
            break;
        }
    }
    connect_disk(&d, qts, "51712", false, 1);
    assert_works(&d);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);
}

/*
 * What an error has stopped is retried in the disk's own thread, even where
 * others keep the node in another; and ends with its front end.
 */
static void test_retry(void)
{
    Seg seg = { DATA_REF, 0, 7 };
    char *path = image();
    QTestState *qts = qtest_initf(
        "-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,node-name=f "
        "-blockdev driver=blkdebug,node-name=d,image=f,"
        "inject-error.0.event=none,inject-error.0.iotype=read,"
        "inject-error.0.sector=80,inject-error.0.once=off"
        ONE_DISK ",rerror=stop" IN_IOTHREAD, path);
    Disk d;

    for (int round = 0; round < 60; round++) {
        connect_disk(&d, qts, "51712", false, 1);
        for (int i = 0; i < 8; i++) {
            put_request(&d, BLKIF_OP_READ, i & 1 ? 80 : 16, 1, &seg, 0);
        }
        push(&d);
        qtest_qmp_eventwait(qts, "STOP");
        qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
        if (round & 1) {
            qtest_qmp_eventwait(qts, "STOP");
            qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
        }
        frontend_set_state(&d.f, XenbusStateClosed);
        frontend_wait(&d.f, XenbusStateClosed);
        assert_released(qts);
        /* Whether the last error has stopped it depends on the time */
        qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
        frontend_set_state(&d.f, XenbusStateInitialising);
        frontend_destroy(&d.f);
    }
    qtest_quit(qts);
    remove_image(path);
}

/*
 * What an error has stopped is tried again as long as the machine goes on, which
 * the first that fails again ends: of a machine that is stopped a disk begins
 * nothing, or its state changes while that is being saved
 */
static void test_stopped_again(void)
{
    g_autofree char *log = NULL, *text = NULL;
    g_auto(GStrv) lines = NULL;
    Seg seg = { DATA_REF, 0, 7 };
    char *path = image();
    unsigned retries = 0;
    bool running = true;
    QTestState *qts;
    Disk d;

    close(g_file_open_tmp("xenpv-block-test-XXXXXX", &log, NULL));
    qts = qtest_initf(
        "-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,node-name=f "
        "-blockdev driver=blkdebug,node-name=d,image=f,"
        "inject-error.0.event=none,inject-error.0.iotype=read,"
        "inject-error.0.once=off -trace xenpv_block_retry "
        "-trace vm_state_notify -D %s" ONE_DISK ",rerror=stop", path, log);
    /* More than are tried in a pass */
    connect_disk(&d, qts, "51712", false, 16);
    for (unsigned i = 0; i < ring_size(&d); i++) {
        put_request(&d, BLKIF_OP_READ, 80, 1, &seg, 0);
    }
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    for (int i = 0; i < 3; i++) {
        qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
        qtest_qmp_eventwait(qts, "STOP");
    }
    qtest_qmp_assert_success(qts, "{'execute': 'query-status'}");
    frontend_destroy(&d.f);
    qtest_quit(qts);

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (strstr(*l, "vm_state_notify")) {
            running = strstr(*l, "running 1");
        } else if (strstr(*l, "xenpv_block_retry")) {
            g_assert_true(running);
            retries++;
        }
    }
    g_assert_cmpuint(retries, >=, 3);
    unlink(log);
    remove_image(path);
}

/*
 * block_resize drains the disk, and calls back in its thread: no request is
 * lost meanwhile, and xenstore, which is the main thread's, has the new size.
 */
static void test_resize(void)
{
    char *path = image();

    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        g_autofree char *options = g_strdup_printf(ONE_DISK "%s", threads[i]);
        QTestState *qts = start(path, options);
        Seg seg = { DATA_REF, 0, 7 };
        Disk d;

        connect_disk(&d, qts, "51712", false, 1);
        for (int round = 0; round < 200; round++) {
            int sectors = SECTORS + 8 * (round & 7);
            g_autofree char *size = g_strdup_printf("%d", sectors);
            QDict *rsp;

            qtest_qmp_send(qts, "{'execute': 'block_resize', 'arguments': "
                           "{'device': 'd', 'size': %d}}", sectors * SECTOR);
            for (int j = 0; j < 4; j++) {
                put_request(&d, BLKIF_OP_READ, j * 8, 1, &seg, 0);
                push(&d);
                xs_write(qts, d.f.dir, "x", "%d", j);
            }
            for (int j = 0; j < 4; j++) {
                g_assert_cmpint(answer(&d, BLKIF_OP_READ), ==, 0);
            }
            rsp = qtest_qmp_receive(qts);
            g_assert_true(qdict_haskey(rsp, "return"));
            qobject_unref(rsp);
            xs_assert(qts, d.f.back, "sectors", size);
            g_assert_cmpint(request(&d, BLKIF_OP_READ, sectors - 8, 1, &seg),
                            ==, 0);
            g_assert_cmpint(request(&d, BLKIF_OP_READ, sectors - 7, 1, &seg),
                            ==, BLKIF_RSP_ERROR);
        }
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

static void start_nbd(QTestState *qts, const char *dir)
{
    g_autofree char *socket = g_strdup_printf("%s/nbd", dir);

    qtest_qmp_assert_success(qts, "{'execute': 'nbd-server-start', "
        "'arguments': {'addr': {'type': 'unix', 'data': {'path': %s}}}}",
        socket);
}

/*
 * An export may forbid its node to leave a thread. The disk works then as it
 * does otherwise, from its own thread; or, where QEMU cannot have both, the
 * second one is refused.
 */
static void test_fixed_iothread(void)
{
    static const struct {
        const char *disk;           /* its IOThread */
        const char *export;         /* the export's; NULL: wherever it is */
        bool works;
    } cases[] = {
        { "io", "io", true }, { "io", NULL, true }, { NULL, NULL, true },
        { "io", "other", false }, { NULL, "other", false },
    };
    g_autofree char *dir = g_dir_make_tmp("xenpv-block-XXXXXX", NULL);
    g_autofree char *socket = g_strdup_printf("%s/nbd", dir);
    char *path = image();

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QTestState *qts = qtest_initf(
            "-M xenpv-kvm -m 32 -object iothread,id=io "
            "-object iothread,id=other -blockdev driver=file,filename=%s,"
            "node-name=d -device xen-disk,drive=d,vdev=xvda,id=disk%s%s", path,
            cases[i].disk ? ",iothread=" : "", cases[i].disk ?: "");
        QDict *args = qdict_new(), *rsp;
        Disk d;

        start_nbd(qts, dir);
        qdict_put_str(args, "type", "nbd");
        qdict_put_str(args, "id", "e");
        qdict_put_str(args, "node-name", "d");
        qdict_put_bool(args, "fixed-iothread", true);
        if (cases[i].export) {
            qdict_put_str(args, "iothread", cases[i].export);
        }
        connect_disk(&d, qts, "51712", false, 1);
        rsp = qtest_qmp(qts, "{'execute': 'block-export-add', "
                        "'arguments': %p}", args);
        g_assert_cmpint(qdict_haskey(rsp, "return"), ==, cases[i].works);
        qobject_unref(rsp);
        for (int j = 0; j < 3; j++) {
            assert_works(&d);
            disconnect_disk(&d);
            frontend_set_state(&d.f, XenbusStateInitialising);
            frontend_destroy(&d.f);
            connect_disk(&d, qts, "51712", false, 1);
        }
        assert_works(&d);
        qtest_system_reset(qts);
        frontend_destroy(&d.f);
        connect_disk(&d, qts, "51712", false, 1);
        qtest_qmp_device_del_send(qts, "disk");
        frontend_wait(&d.f, XenbusStateClosing);
        frontend_set_state(&d.f, XenbusStateClosed);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        frontend_destroy(&d.f);
        qtest_quit(qts);
        unlink(socket);
    }

    /* A node that may not leave another thread does not become a disk */
    {
        QTestState *qts = qtest_initf(
            "-M xenpv-kvm -m 32 -object iothread,id=io "
            "-blockdev driver=file,filename=%s,node-name=d", path);
        QDict *rsp;

        start_nbd(qts, dir);
        qtest_qmp_assert_success(qts, "{'execute': 'block-export-add', "
            "'arguments': {'type': 'nbd', 'id': 'e', 'node-name': 'd', "
            "'iothread': 'io', 'fixed-iothread': true}}");
        rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {'driver':"
                        " 'xen-disk', 'drive': 'd', 'vdev': 'xvda', "
                        "'id': 'disk'}}");
        g_assert_true(qdict_haskey(rsp, "error"));
        qobject_unref(rsp);
        qtest_quit(qts);
        unlink(socket);
    }
    rmdir(dir);
    remove_image(path);
}

/*
 * A machine that is stopped does nothing to its disk, though requests are in the
 * ring and something drains the disk: they are served when it goes on.
 */
static void test_stopped_machine(void)
{
    char *path = image();

    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        g_autofree char *options = g_strdup_printf(ONE_DISK "%s", threads[i]);
        QTestState *qts = start(path, options);
        Seg seg = { DATA_REF, 0, 7 };
        uint8_t byte;
        Disk d;

        connect_disk(&d, qts, "51712", false, 1);
        assert_works(&d);
        qtest_qmp_assert_success(qts, "{'execute': 'stop'}");
        fill(qts, 0, 0xd0 + i);
        put_request(&d, BLKIF_OP_WRITE, 80, 1, &seg, 0);
        push(&d);
        qtest_qmp_assert_success(qts, "{'execute': 'block_resize', "
                                 "'arguments': {'device': 'd', 'size': %d}}",
                                 SECTORS * SECTOR);
        g_usleep(50 * 1000);
        g_assert_cmpuint(nr_answers(&d), ==, d.cons);
        image_read(path, &byte, 80 * SECTOR, 1);
        g_assert_cmphex(byte, !=, 0xd0 + i);
        qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
        g_assert_cmpint(answer(&d, BLKIF_OP_WRITE), ==, 0);
        image_read(path, &byte, 80 * SECTOR, 1);
        g_assert_cmphex(byte, ==, 0xd0 + i);
        frontend_destroy(&d.f);
        qtest_quit(qts);
    }
    remove_image(path);
}

/* A ring's order that QEMU could not allocate is not offered at all */
static void test_ring_order(void)
{
    char *path = image();
    QTestState *qts = qtest_initf("-M xenpv-kvm -m 32 -blockdev driver=file,"
                                  "filename=%s,node-name=d", path);
    QDict *rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': "
                           "{'driver': 'xen-disk', 'drive': 'd', "
                           "'vdev': 'xvda', 'max-ring-page-order': 31}}");

    g_assert_true(qdict_haskey(rsp, "error"));
    qobject_unref(rsp);
    qtest_qmp_device_add(qts, "xen-disk", "disk", "{'drive': 'd', "
                         "'vdev': 'xvda', 'max-ring-page-order': 8}");
    qtest_quit(qts);
    remove_image(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/block-threads/close", test_close);
    qtest_add_func("/xenpv/block-threads/reset", test_reset);
    qtest_add_func("/xenpv/block-threads/wakeup", test_wakeup);
    qtest_add_func("/xenpv/block-threads/unplug", test_unplug);
    qtest_add_func("/xenpv/block-threads/close-race", test_close_race);
    qtest_add_func("/xenpv/block-threads/retry", test_retry);
    qtest_add_func("/xenpv/block-threads/stopped-again", test_stopped_again);
    qtest_add_func("/xenpv/block-threads/resize", test_resize);
    qtest_add_func("/xenpv/block-threads/fixed-iothread", test_fixed_iothread);
    qtest_add_func("/xenpv/block-threads/stopped-machine",
                   test_stopped_machine);
    qtest_add_func("/xenpv/block-threads/ring-order", test_ring_order);
    return g_test_run();
}
