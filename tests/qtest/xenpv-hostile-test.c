/*
 * QMP answers while a hostile guest does its worst, on the xenpv-kvm machine
 *
 * What a guest asks for is done under the big lock, which the monitor needs,
 * too. So for each kind of work that a guest can make much of there is a case
 * here: it makes as much of it as it can, while a thread asks QMP for the state
 * of the machine, again and again, and each time takes how long that was. If
 * one of them fails, a guest can keep its host from managing it.
 *
 * A new kind is a function, and a line in the table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "xenpv-disk.h"
#include "xenpv-qmp-time.h"
#include "qobject/qjson.h"
#include "hw/xen/interface/sched.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/interface/io/console.h"
#include "hw/xen/interface/io/fbif.h"

/* CPU time of a request, on average: five times what one pass may take */
#define REQUEST_MS      (QMP_LIMIT_MS / 4)

#define HOME            "/local/domain/1"
#define NR_WATCHES      128
/* Nodes that fit into the store beside the machine's own */
#define NR_NODES        800

typedef struct Kind {
    const char *name;
    /* Of QEMU, besides the machine */
    const char *args;
    /* Before QMP is asked, and the machine goes on if this has stopped it */
    void (*prepare)(QTestState *qts);
    /* Returns how many requests it has made */
    unsigned (*attack)(QTestState *qts);
    /* What QMP is asked besides, each time; returns how long that took, in ns */
    int64_t (*ask)(QTestState *qts);
} Kind;

/* ------------------------------------------------------------------------- */
/* Measuring                                                                  */

typedef struct Monitor {
    QTestState *qts;
    const Kind *kind;
    bool stop;
    int64_t worst;      /* ns */
    unsigned asked;
} Monitor;

static void *ask(void *opaque)
{
    const char *command = "cont";
    Monitor *m = opaque;

    do {
        int64_t took = qmp_time(m->qts, command);

        m->worst = MAX(m->worst, took);
        if (m->kind->ask) {
            took = m->kind->ask(m->qts);
            m->worst = MAX(m->worst, took);
        }
        command = "query-status";
        m->asked++;
        g_usleep(500);
    } while (!qatomic_read(&m->stop));
    return NULL;
}

static void test_kind(const void *data)
{
    const Kind *kind = data;
    Monitor m = {
        .kind = kind,
        .qts = qtest_initf("-M xenpv-kvm,vfb=on -m 32 -action panic=none %s "
                           "2>/dev/null", kind->args),
    };
    int64_t ran_before, ran;
    unsigned requests;
    GThread *thread;

    if (kind->prepare) {
        kind->prepare(m.qts);
    }
    ran_before = qemu_ran(m.qts);
    thread = g_thread_new("monitor", ask, &m);
    requests = kind->attack(m.qts);
    qatomic_set(&m.stop, true);
    g_thread_join(thread);
    ran = qemu_ran(m.qts);

    g_test_message("%s: QMP asked %u times, at worst %.1f ms; %.2f ms of CPU "
                   "time for each of %u requests", kind->name, m.asked,
                   m.worst / 1e6, (ran - ran_before) / 1e6 / requests,
                   requests);
    g_assert_cmpint(m.worst / NS_PER_MS, <, qmp_limit_ms());
    g_assert_cmpint((ran - ran_before) / requests / NS_PER_MS, <, REQUEST_MS);
    qtest_quit(m.qts);
}

/* ------------------------------------------------------------------------- */
/* Kinds                                                                      */

/* Lines of log without end, by both ways, and crashes */
static unsigned attack_log(QTestState *qts)
{
    g_autofree char *text = g_malloc(4064);
    unsigned n = 0;

    for (int i = 0; i < 4064; i++) {
        text[i] = i & 1 ? '\n' : 'x';
    }
    for (int i = 0; i < 200; i++, n += 4) {
        g_autofree char *copy = g_memdup2(text, 4064);

        xenpv_call(qts, XENPV_CALL_CRASH, 0, copy, 4064);
        xenpv_call(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_crash, NULL, 0);
        qtest_outb(qts, XENPV_IO_BASE + XENPV_IO_LOG, 'x');
        qtest_outb(qts, XENPV_IO_BASE + XENPV_IO_LOG, '\n');
    }
    return n;
}

static void must(char *answer)
{
    g_assert_nonnull(answer);
    g_free(answer);
}

static void xs_path(QTestState *qts, uint32_t type, uint32_t tx,
                    const char *path)
{
    /* XS_WRITE: with no value */
    g_free(xs_request_in(qts, type, tx, path, strlen(path) + 1));
}

static uint32_t xs_begin(QTestState *qts)
{
    g_autofree char *id = xs_request(qts, XS_TRANSACTION_START, "", 1);

    g_assert_nonnull(id);
    return strtoul(id, NULL, 10);
}

static void xs_end(QTestState *qts, uint32_t tx, bool commit)
{
    must(xs_request_in(qts, XS_TRANSACTION_END, tx, commit ? "T" : "F", 2));
}

static void watch_all(QTestState *qts)
{
    for (int i = 0; i < NR_WATCHES; i++) {
        g_autoptr(GString) req = g_string_new("data");

        g_string_append_c(req, 0);
        g_string_append_printf(req, "%d", i);
        must(xs_request(qts, XS_WATCH, req->str, req->len + 1));
    }
}

static char *long_name(size_t len, char c)
{
    char *name = g_malloc(len + 1);

    memset(name, c, len);
    name[len] = 0;
    return name;
}

/* A large transaction, of which many watches are to be told; all given up */
static unsigned attack_queue(QTestState *qts)
{
    unsigned n = 0;

    for (int round = 0; round < 3; round++) {
        uint32_t tx = xs_begin(qts);

        for (int i = 0; i < NR_NODES; i++, n++) {
            g_autofree char *path = g_strdup_printf("data/x/%d", i);

            xs_path(qts, XS_WRITE, tx, path);
        }
        watch_all(qts);
        xs_end(qts, tx, true);
        must(xs_request(qts, XS_RESET_WATCHES, "", 1));
        xs_path(qts, XS_RM, 0, "data/x");
        n += NR_WATCHES + 4;
    }
    return n;
}

/* Ever new names, which are watched */
static unsigned attack_names(QTestState *qts)
{
    g_autofree char *name = long_name(900, 'd');
    unsigned n = 0;

    watch_all(qts);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NR_NODES; i++, n++) {
            g_autofree char *path = g_strdup_printf("data/%s/%d-%d", name,
                                                    round, i);

            xs_path(qts, XS_WRITE, 0, path);
        }
        xs_path(qts, XS_RM, 0, "data");
    }
    return n;
}

/* The deepest path there can be, of which a part is there */
static unsigned attack_missing(QTestState *qts)
{
    g_autoptr(GString) path = g_string_new(HOME "/data");
    unsigned n = 0;

    while (path->len + 2 <= XENSTORE_ABS_PATH_MAX) {
        g_string_append(path, "/d");
        if (n++ == NR_NODES) {
            xs_path(qts, XS_WRITE, 0, path->str);
        }
    }
    for (n = 0; n < 50; n++) {
        xs_path(qts, XS_READ, 0, path->str);
    }
    return n;
}

/* The deepest path that can be there */
static unsigned attack_depth(QTestState *qts)
{
    g_autoptr(GString) path = g_string_new("data");
    unsigned n = 0;

    for (int i = 0; i < NR_NODES; i++) {
        g_string_append(path, "/d");
    }
    xs_path(qts, XS_WRITE, 0, path->str);
    must(xs_request(qts, XS_READ, path->str, path->len + 1));
    for (int i = 0; i < 50; i++, n += 8) {
        uint32_t tx = xs_begin(qts);

        xs_path(qts, XS_WRITE, tx, path->str);
        xs_path(qts, XS_RM, tx, "data/d");
        xs_end(qts, tx, i & 1);
        xs_path(qts, XS_MKDIR, 0, path->str);
        xs_path(qts, XS_READ, 0, path->str);
        g_string_append(path, "/none/none/none");
        xs_path(qts, XS_READ, 0, path->str);
        xs_path(qts, XS_DIRECTORY, 0, path->str);
        g_string_truncate(path, strlen("data") + NR_NODES * 2);
    }
    return n;
}

/* The largest directory, of the longest names */
static void make_width(QTestState *qts)
{
    g_autofree char *name = long_name(2900, 'w');

    for (int i = 0; i < NR_NODES; i++) {
        g_autofree char *path = g_strdup_printf(HOME "/data/w/%s%d", name, i);

        xs_path(qts, XS_WRITE, 0, path);
    }
}

static unsigned attack_directory(QTestState *qts)
{
    g_autoptr(GString) part = g_string_new(HOME "/data/w");
    unsigned n = 0;

    g_string_append_c(part, 0);
    g_string_append_c(part, '0');
    make_width(qts);
    for (int i = 0; i < 200; i++, n += 2) {
        xs_path(qts, XS_DIRECTORY, 0, HOME "/data/w");
        g_free(xs_request(qts, XS_DIRECTORY_PART, part->str, part->len + 1));
    }
    return n;
}

static unsigned attack_copies(QTestState *qts)
{
    unsigned n = 0;

    make_width(qts);
    for (int i = 0; i < 50; i++, n += 5) {
        uint32_t tx = xs_begin(qts);

        xs_path(qts, XS_WRITE, tx, "data/w");
        xs_path(qts, XS_WRITE, tx, "data/w/x");
        xs_path(qts, XS_RM, tx, "data/w");
        xs_end(qts, tx, false);
    }
    return n;
}

/* Back ends that watch a directory of the guest's, and one node */
static unsigned attack_back_ends(QTestState *qts)
{
    static const char *const dirs[] = {
        "device/vfb/0", "device/vkbd/0", "device/vbd/51712/state",
    };
    unsigned n = 0;

    for (int i = 0; i < ARRAY_SIZE(dirs); i++) {
        for (int round = 0; round < 2; round++) {
            uint32_t tx = xs_begin(qts);

            for (int j = 0; j < NR_NODES; j++, n++) {
                g_autofree char *path = g_strdup_printf("%s/x/%d", dirs[i], j);

                xs_path(qts, XS_WRITE, tx, path);
            }
            xs_end(qts, tx, true);
            g_free(xs_request(qts, XS_DIRECTORY, dirs[i], strlen(dirs[i]) + 1));
            xs_path(qts, XS_RM, 0, dirs[i]);
            n += 4;
        }
    }
    return n;
}

static bool is_open(QTestState *qts, uint32_t port)
{
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_EVTCHN, EVTCHNOP_status, &s,
                               sizeof(s)), ==, 0);
    return s.status != EVTCHNSTAT_closed;
}

/* All that a guest can have of xenstore: nodes, watches, a transaction */
static unsigned fill_store(QTestState *qts)
{
    unsigned n;

    for (n = 0; n < NR_NODES; n++) {
        g_autofree char *path = g_strdup_printf("data/x/%u", n);

        xs_path(qts, XS_WRITE, 0, path);
    }
    watch_all(qts);
    xs_begin(qts);
    xs_path(qts, XS_RM, 0, "device/vbd/51712");
    return n;
}

/* By then the domain is another one, or awake. The ring has to be left alone. */
static void wait_until_closed(QTestState *qts, uint32_t port)
{
    while (is_open(qts, port)) {
        g_usleep(1000);
    }
}

/* A full store, then a reset; as a request that is, as it is the guest's */
static unsigned attack_reset(QTestState *qts)
{
    unsigned n = 0;

    for (int round = 0; round < 3; round++) {
        uint32_t port;

        n += fill_store(qts);
        port = xenpv_alloc_unbound(qts);
        xenpv_call(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_reboot, NULL, 0);
        wait_until_closed(qts, port);
    }
    return n;
}

/*
 * A reset while a disk that may do little in a second has all that its ring can
 * hold: none of it may be left, and it would take a minute by itself
 */
static unsigned attack_slow_disk(QTestState *qts)
{
    unsigned n = 0;

    for (int round = 0; round < 3; round++) {
        Disk d;
        Seg segs[11];
        uint32_t port;

        for (int i = 0; i < ARRAY_SIZE(segs); i++) {
            segs[i] = (Seg) { DATA_REF + i, 0, 7 };
        }
        connect_disk(&d, qts, "51712", false, 1);
        for (int i = 0; i < 32; i++, n++) {
            put_request(&d, i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i,
                        ARRAY_SIZE(segs), segs, 0);
        }
        push(&d);
        g_usleep(20 * 1000);
        /* They wait, indeed */
        g_assert_cmpuint(qtest_readl(qts, ring(8)), <, 16);
        port = xenpv_alloc_unbound(qts);
        xenpv_call(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_reboot, NULL, 0);
        wait_until_closed(qts, port);
        frontend_destroy(&d.f);
    }
    return n;
}

/*
 * Lines without end, by both ways, to a console that draws them: what a line
 * costs is up to the character device
 */
static unsigned attack_console(QTestState *qts)
{
    uint64_t page = XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE;
    g_autofree char *text = g_malloc(4064);
    uint32_t prod = 0;
    unsigned n = 0;

    memset(text, '\n', 4064);
    qtest_memset(qts, page + offsetof(struct xencons_interface, out), '\n',
                 sizeof_field(struct xencons_interface, out));
    for (int i = 0; i < 3; i++, n += 4064 + 2048) {
        g_autofree char *copy = g_memdup2(text, 4064);

        xenpv_call(qts, XENPV_CALL_CONSOLE, CONSOLEIO_write, copy, 4064);
        prod = qtest_readl(qts, page + offsetof(struct xencons_interface,
                                                out_cons));
        prod += sizeof_field(struct xencons_interface, out);
        qtest_writel(qts, page + offsetof(struct xencons_interface, out_prod),
                     prod);
        xenpv_send(qts, XENPV_QTEST_PORT_CONSOLE);
    }
    return n;
}

/* All ports, and all of them closed at once */
static unsigned attack_events(QTestState *qts)
{
    struct evtchn_reset reset = { .dom = DOMID_SELF };
    unsigned n = 0;

    for (int round = 0; round < 3; round++, n++) {
        struct evtchn_alloc_unbound a;

        do {
            a = (struct evtchn_alloc_unbound) {
                .dom = DOMID_SELF, .remote_dom = DOMID_SELF,
            };
            n++;
        } while (n % 5000 &&
                 !xenpv_call(qts, XENPV_CALL_EVTCHN, EVTCHNOP_alloc_unbound, &a,
                             sizeof(a)));
        xenpv_call(qts, XENPV_CALL_EVTCHN, EVTCHNOP_reset, &reset,
                   sizeof(reset));
    }
    return n;
}

/* Memory, of frames that are as far from each other as can be */
static unsigned attack_memory(QTestState *qts)
{
    struct xenpv_reservation r = { .nr_frames = XENPV_RESERVATION_FRAMES };
    unsigned n = 0;

    for (uint32_t first = 16; first < 24; first++, n++) {
        for (unsigned i = 0; i < XENPV_RESERVATION_FRAMES; i++) {
            r.frames[i] = first + 8 * i;
            qtest_writeb(qts, r.frames[i] * XENPV_PAGE, 1);
        }
        r.nr_pages = 8192 - n;
        xenpv_call(qts, XENPV_CALL_MEMORY, 0, &r, sizeof(r));
    }
    return n;
}

/* The largest picture, of frames in any order, which comes and goes */
static unsigned attack_picture(QTestState *qts)
{
    uint64_t page = XENPV_QTEST_MFN_FREE * XENPV_PAGE;
    unsigned n = 0;
    Frontend f;

    qtest_writel(qts, page + offsetof(struct xenfb_page, width), 4096);
    qtest_writel(qts, page + offsetof(struct xenfb_page, height), 4096);
    qtest_writel(qts, page + offsetof(struct xenfb_page, line_length), 4096);
    qtest_writel(qts, page + offsetof(struct xenfb_page, mem_length),
                 4096 * 4096);
    qtest_writeb(qts, page + offsetof(struct xenfb_page, depth), 8);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t list = page + (1 + i) * XENPV_PAGE;

        qtest_writeq(qts, page + 40 + 8 * i, list / XENPV_PAGE);
        for (unsigned j = 0; j < 512; j++) {
            qtest_writeq(qts, list + 8 * j, 8191 - (i * 512 + j) * 37 % 4096);
        }
    }
    frontend_init(&f, qts, "device/vfb/0");
    xs_write(qts, f.dir, "page-ref", "%" PRIu64, page / XENPV_PAGE);
    xs_write(qts, f.dir, "protocol", "x86_64-abi");
    for (int i = 0; i < 10; i++, n += 2) {
        frontend_wait(&f, XenbusStateInitWait);
        xs_write(qts, f.dir, "event-channel", "%u", xenpv_alloc_unbound(qts));
        frontend_set_state(&f, XenbusStateInitialised);
        frontend_wait(&f, XenbusStateConnected);
        frontend_set_state(&f, XenbusStateClosed);
        frontend_wait(&f, XenbusStateClosed);
        frontend_set_state(&f, XenbusStateInitialising);
    }
    frontend_destroy(&f);
    return n;
}

/*
 * Disks with the largest rings that there can be, each full of requests; all of
 * them are begun in one turn of the main loop. Nodes of xenstore are too few for
 * all these rings, but have done their work when a disk is connected.
 */
#define NR_RINGS        8
#define RING_PAGES      256
#define RING_REQUESTS   8192

static uint64_t nth_ring(unsigned i)
{
    return ring(0) + (uint64_t)i * RING_PAGES * XENPV_PAGE;
}

static void connect_ring(QTestState *qts, unsigned i)
{
    g_autofree char *dir = g_strdup_printf("device/vbd/%u", 51712 + 16 * i);
    Frontend f;

    frontend_init(&f, qts, dir);
    frontend_wait(&f, XenbusStateInitWait);
    xs_write(qts, dir, "ring-page-order", "%d", ctz32(RING_PAGES));
    for (unsigned page = 0; page < RING_PAGES; page++) {
        g_autofree char *node = g_strdup_printf("ring-ref%u", page);
        unsigned ref = RING_REF + i * RING_PAGES + page;

        xenpv_grant(qts, ref, GTF_permit_access,
                    nth_ring(i) / XENPV_PAGE + page);
        xs_write(qts, dir, node, "%u", ref);
    }
    xs_write(qts, dir, "event-channel", "%u", xenpv_alloc_unbound(qts));
    xs_write(qts, dir, "protocol", "x86_64-abi");
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateConnected);
    for (unsigned page = 0; page < RING_PAGES; page++) {
        g_autofree char *path = g_strdup_printf("%s/ring-ref%u", dir, page);

        must(xs_request(qts, XS_RM, path, strlen(path) + 1));
    }
    frontend_destroy(&f);
}

static void fill_rings(QTestState *qts, uint8_t op)
{
    struct xenpv_gnttab_setup setup = {
        .dom = DOMID_SELF, .nr_frames = XENPV_CORE_GRANT_PAGES,
    };
    g_autofree uint8_t *pages = g_malloc0(RING_PAGES * XENPV_PAGE);

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_GNTTAB, GNTTABOP_setup_table,
                               &setup, sizeof(setup)), ==, 0);
    for (unsigned i = 0; i < RING_REQUESTS; i++) {
        pages[RING_ENTRIES + i * 112] = op;
    }
    for (unsigned i = 0; i < NR_RINGS; i++) {
        qtest_memset(qts, nth_ring(i), 0, RING_PAGES * XENPV_PAGE);
        connect_ring(qts, i);
    }
    qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
    stl_le_p(pages, RING_REQUESTS);
    for (unsigned i = 0; i < NR_RINGS; i++) {
        qtest_memwrite(qts, nth_ring(i), pages, RING_PAGES * XENPV_PAGE);
    }
}

/* Of no segments, which are refused at once */
static void prepare_empty(QTestState *qts)
{
    fill_rings(qts, BLKIF_OP_READ);
}

/* Each of which takes a while, so that all of them would be on their way */
static void prepare_in_flight(QTestState *qts)
{
    fill_rings(qts, BLKIF_OP_FLUSH_DISKCACHE);
}

static unsigned attack_rings(QTestState *qts)
{
    for (unsigned i = 0; i < NR_RINGS; i++) {
        while (qtest_readl(qts, nth_ring(i) + 8) != RING_REQUESTS) {
            g_usleep(1000);
        }
    }
    return NR_RINGS * RING_REQUESTS;
}

/*
 * A guest that sleeps as often as it is woken up, with all that it can have for
 * that to make anew: nodes, watches, a transaction, ports
 */
static unsigned attack_suspend(QTestState *qts)
{
    uint64_t start_info = cpu_to_le64(XENPV_QTEST_MFN_FREE);
    unsigned n = 0;

    for (int round = 0; round < 5; round++) {
        uint32_t port = xenpv_alloc_unbound(qts);

        n += fill_store(qts);
        for (int i = 0; i < 1000; i++, n++) {
            xenpv_alloc_unbound(qts);
        }
        g_assert_cmpint(xenpv_call(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_suspend,
                                   &start_info, sizeof(start_info)), ==, 0);
        wait_until_closed(qts, port);
        qtest_memset(qts, XENPV_QTEST_MFN_XENSTORE * XENPV_PAGE, 0, XENPV_PAGE);
    }
    return n;
}

static int64_t ask_to_wake_up(QTestState *qts)
{
    g_autoptr(QDict) rsp = qtest_qmp(qts, "{ 'execute': 'query-status' }");

    return strcmp(qdict_get_str(qdict_get_qdict(rsp, "return"), "status"),
                  "suspended") ? 0 : qmp_time(qts, "system_wakeup");
}

/* Many devices, most of which the guest leaves alone */
static unsigned attack_info(QTestState *qts)
{
    unsigned n;
    Disk d;

    connect_disk(&d, qts, "51712", false, 1);
    for (n = 0; n < 500; n++) {
        xs_path(qts, XS_READ, 0, "device/vbd/51712/state");
    }
    frontend_destroy(&d.f);
    return n;
}

/* All that is told about the machine; and counting begins and ends */
static int64_t ask_for_info(QTestState *qts)
{
    static bool counting;
    int64_t took[3];

    counting = !counting;
    took[0] = qmp_time_with(qts, "human-monitor-command", qobject_to(QDict,
        qobject_from_jsonf_nofail("{ 'command-line': 'info xenpv' }")));
    took[1] = qmp_time_with(qts, "qom-get", qobject_to(QDict,
        qobject_from_jsonf_nofail("{ 'path': '/machine', 'property': "
                                  "'xenpv' }")));
    took[2] = qmp_time_with(qts, "qom-set", qobject_to(QDict,
        qobject_from_jsonf_nofail("{ 'path': '/machine', 'property': "
                                  "'counters', 'value': %i }", counting)));
    return MAX(MAX(took[0], took[1]), took[2]);
}

/* vdev=xvda to xvdh; their nodes */
#define A_RING(x)       "-blockdev driver=null-co,node-name=" x ",size=1048576," \
                        "read-zeroes=on,latency-ns=50000000 " \
                        "-device xen-disk,drive=" x ",vdev=xvd" x \
                        ",max-ring-page-order=8 "
#define RINGS           A_RING("a") A_RING("b") A_RING("c") A_RING("d") \
                        A_RING("e") A_RING("f") A_RING("g") A_RING("h")

/* Disks that nobody uses */
#define A_DISK(n)       "-blockdev driver=null-co,node-name=n" n ",size=1048576," \
                        "read-zeroes=on -device xen-disk,drive=n" n ",vdev=d" n " "
#define TEN_DISKS(n)    A_DISK(n "0") A_DISK(n "1") A_DISK(n "2") A_DISK(n "3") \
                        A_DISK(n "4") A_DISK(n "5") A_DISK(n "6") A_DISK(n "7") \
                        A_DISK(n "8") A_DISK(n "9")

static const Kind kinds[] = {
    { "log", "", NULL, attack_log },
    { "queue", "", NULL, attack_queue },
    { "names", "", NULL, attack_names },
    { "missing", "", NULL, attack_missing },
    { "depth", "", NULL, attack_depth },
    { "directory", "", NULL, attack_directory },
    { "copies", "", NULL, attack_copies },
    { "back-ends", "-blockdev driver=null-co,node-name=n,size=1048576,"
                   "read-zeroes=on -device xen-disk,drive=n,vdev=xvda",
      NULL, attack_back_ends },
    { "reset", "-blockdev driver=null-co,node-name=n,size=1048576,"
               "read-zeroes=on -device xen-disk,drive=n,vdev=xvda",
      NULL, attack_reset },
    { "slow-disk", "-object throttle-group,id=t,x-bps-total=45056 -blockdev "
                   "driver=null-co,node-name=n,size=1048576,read-zeroes=on "
                   "-blockdev driver=throttle,node-name=slow,throttle-group=t,"
                   "file=n -device xen-disk,drive=slow,vdev=xvda",
      NULL, attack_slow_disk },
    { "console", "-machine vfb=off -serial vc:1920x1080 -vnc none", NULL,
      attack_console },
    { "events", "", NULL, attack_events },
    { "memory", "", NULL, attack_memory },
    { "picture", "", NULL, attack_picture },
    { "empty", RINGS, prepare_empty, attack_rings },
    { "in-flight", RINGS, prepare_in_flight, attack_rings },
    { "large-reset", "-m 4G -blockdev driver=null-co,node-name=n,size=1048576,"
                     "read-zeroes=on -device xen-disk,drive=n,vdev=xvda",
      NULL, attack_reset },
    { "suspend", "-m 4G -blockdev driver=null-co,node-name=n,size=1048576,"
                 "read-zeroes=on -device xen-disk,drive=n,vdev=xvda",
      NULL, attack_suspend, ask_to_wake_up },
    { "info", "-blockdev driver=null-co,node-name=n,size=1048576,read-zeroes=on "
              "-device xen-disk,drive=n,vdev=xvda " TEN_DISKS("1") TEN_DISKS("2")
              TEN_DISKS("3"),
      NULL, attack_info, ask_for_info },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/xenpv/hostile/%s",
                                                kinds[i].name);

        qtest_add_data_func(path, &kinds[i], test_kind);
    }
    return g_test_run();
}
