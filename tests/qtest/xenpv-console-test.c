/*
 * The consoles of the xenpv-kvm machine: the primary one, and xen-console
 *
 * Bytes both ways through the ring, wrapped around its end; a guest that lies
 * about its indexes or writes nonsense to xenstore; console_io; a client that
 * does not read, and clients that come and go: QEMU goes on, and what can wait
 * is not lost; and that all of it is there again after a reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "xenpv-frontend.h"
#include "xenpv-qmp-time.h"
#include "hw/xen/interface/io/console.h"
#include "hw/xen/interface/io/ring.h"

#define RING(c, field) \
    ((c)->ring + offsetof(struct xencons_interface, field))
#define OUT_SIZE    sizeof_field(struct xencons_interface, out)
#define IN_SIZE     sizeof_field(struct xencons_interface, in)

/* Our own numbers, for a further console */
#define FURTHER_MFN XENPV_QTEST_MFN_FREE
#define FURTHER_REF 200

typedef struct Console {
    QTestState *qts;
    int fd;
    uint64_t ring;
    uint32_t port;
    Frontend front;         /* of a further one */
} Console;

static void start_with(Console *c, int fd, const char *options)
{
    c->qts = qtest_initf("-M xenpv-kvm -m 32 -nic none "
                         "-chardev socket,id=con,fd=%d %s", fd, options);
    close(fd);
    c->ring = XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE;
    c->port = XENPV_QTEST_PORT_CONSOLE;
    c->front.dir = NULL;
}

static void start(Console *c)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    start_with(c, fds[1], "-serial chardev:con");
    c->fd = fds[0];
}

/* The guest's part in connecting a further console, but for its state */
static void prepare_further(Console *c)
{
    c->ring = FURTHER_MFN * XENPV_PAGE;
    qtest_memset(c->qts, c->ring, 0, XENPV_PAGE);
    c->port = xenpv_alloc_unbound(c->qts);
    xenpv_grant(c->qts, FURTHER_REF, GTF_permit_access, FURTHER_MFN);
    xs_write(c->qts, c->front.dir, "ring-ref", "%u", FURTHER_REF);
    xs_write(c->qts, c->front.dir, "port", "%u", c->port);
}

static void connect_further(Console *c)
{
    prepare_further(c);
    frontend_set_state(&c->front, XenbusStateInitialised);
    frontend_wait(&c->front, XenbusStateConnected);
    frontend_set_state(&c->front, XenbusStateConnected);
}

static void start_further(Console *c)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    start_with(c, fds[1], "-serial none -device xen-console,chardev=con");
    c->fd = fds[0];
    frontend_init(&c->front, c->qts, "device/console/1");
    connect_further(c);
}

static void stop(Console *c)
{
    if (c->front.dir) {
        frontend_destroy(&c->front);
    }
    qtest_quit(c->qts);
    if (c->fd != -1) {
        close(c->fd);
    }
}

static void kick(Console *c)
{
    xenpv_send(c->qts, c->port);
}

/* What the guest writes to its ring, all at once */
static void put(Console *c, const char *text, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (len) {
        uint32_t prod = qtest_readl(c->qts, RING(c, out_prod));
        uint32_t cons = qtest_readl(c->qts, RING(c, out_cons));
        uint32_t at = prod % OUT_SIZE;
        size_t n = MIN(len, OUT_SIZE - (prod - cons));

        n = MIN(n, OUT_SIZE - at);
        if (n) {
            qtest_memwrite(c->qts, RING(c, out) + at, text, n);
            qtest_writel(c->qts, RING(c, out_prod), prod + n);
            kick(c);
            text += n;
            len -= n;
        } else {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
    }
}

static void host_reads(Console *c, const char *text, size_t len)
{
    while (len) {
        g_autofree char *buf = g_malloc(len);
        ssize_t n;
        fd_set fds;
        struct timeval tv = { .tv_sec = 10 };

        FD_ZERO(&fds);
        FD_SET(c->fd, &fds);
        g_assert_cmpint(select(c->fd + 1, &fds, NULL, NULL, &tv), ==, 1);
        n = read(c->fd, buf, len);
        g_assert_cmpint(n, >, 0);
        g_assert_cmpmem(buf, n, text, n);
        text += n;
        len -= n;
    }
}

/* What the guest finds on its ring */
static void guest_reads(Console *c, const char *text, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (len) {
        uint32_t prod = qtest_readl(c->qts, RING(c, in_prod));
        uint32_t cons = qtest_readl(c->qts, RING(c, in_cons));

        g_assert_cmpuint(prod - cons, <=, IN_SIZE);
        if (prod == cons) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
            continue;
        }
        g_assert_cmphex(qtest_readb(c->qts, RING(c, in) + cons % IN_SIZE), ==,
                        *text);
        qtest_writel(c->qts, RING(c, in_cons), cons + 1);
        kick(c);
        text++;
        len--;
    }
}

static char *pattern(size_t len)
{
    char *text = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        text[i] = ' ' + i % 95;
    }
    return text;
}

static void output(void (*start_it)(Console *))
{
    const size_t len = 3 * OUT_SIZE + 17;
    g_autofree char *text = pattern(len);
    Console c;

    start_it(&c);
    put(&c, "hello", 5);
    host_reads(&c, "hello", 5);
    /* The guest hears that there is room again */
    xenpv_wait_event(c.qts, c.port);
    put(&c, text, len);
    host_reads(&c, text, len);
    stop(&c);
}

static void test_output(void)
{
    output(start);
    output(start_further);
}

#define FILL_MAX    (4 * 1024 * 1024)

/*
 * Write until nothing is taken for half a second, and the ring is full: how
 * much of the text, which has FILL_MAX bytes, is there then?
 */
static size_t fill(Console *c, const char *text)
{
    uint32_t prod = qtest_readl(c->qts, RING(c, out_prod));
    size_t done = 0;

    for (int idle = 0; idle < 500; ) {
        uint32_t cons = qtest_readl(c->qts, RING(c, out_cons));
        uint32_t room = OUT_SIZE - (prod - cons);

        if (!room) {
            idle++;
            g_usleep(1000);
            continue;
        }
        idle = 0;
        g_assert_cmpuint(done + room, <=, FILL_MAX);
        for (uint32_t i = 0; i < room; ) {
            uint32_t at = (prod + i) % OUT_SIZE;
            uint32_t n = MIN(room - i, OUT_SIZE - at);

            qtest_memwrite(c->qts, RING(c, out) + at, text + done + i, n);
            i += n;
        }
        done += room;
        prod += room;
        qtest_writel(c->qts, RING(c, out_prod), prod);
        kick(c);
    }
    g_assert_cmpuint(done, >, OUT_SIZE);
    return done;
}

static void host_reads_slowly(Console *c, const char *text, size_t len)
{
    while (len) {
        size_t n = MIN(len, 1000);

        host_reads(c, text, n);
        text += n;
        len -= n;
    }
}

static void wait_for_out_cons(Console *c, uint32_t cons)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (qtest_readl(c->qts, RING(c, out_cons)) != cons) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void assert_qmp_answers(QTestState *qts)
{
    for (int i = 0; i < 20; i++) {
        g_assert_cmpint(qmp_time(qts, "query-status") / NS_PER_MS, <,
                        qmp_limit_ms());
    }
}

/*
 * The host does not read for a while: the guest waits, QEMU does not, and
 * nothing is lost
 */
static void back_pressure(void (*start_it)(Console *))
{
    g_autofree char *text = pattern(FILL_MAX);
    size_t done;
    Console c;

    start_it(&c);
    done = fill(&c, text);
    assert_qmp_answers(c.qts);
    xenpv_drop_events(c.qts);
    /* Now it reads; what was stuck comes without the guest doing anything */
    host_reads_slowly(&c, text, done);
    xenpv_wait_event(c.qts, c.port);
    wait_for_out_cons(&c, qtest_readl(c.qts, RING(&c, out_prod)));
    stop(&c);
}

static void test_back_pressure(void)
{
    back_pressure(start);
    back_pressure(start_further);
}

/* Without a character device the guest must not wait for ever */
static void test_none(void)
{
    char text[] = "nor this\n";
    Console c = {
        .qts = qtest_init("-M xenpv-kvm -m 32 -nodefaults"),
        .fd = -1,
        .ring = XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE,
        .port = XENPV_QTEST_PORT_CONSOLE,
    };

    put(&c, "nobody hears", 12);
    wait_for_out_cons(&c, 12);
    g_assert_cmpint(xenpv_call(c.qts, XENPV_CALL_CONSOLE, 0, text,
                               sizeof(text) - 1), ==, 0);
    stop(&c);
}

static void input(void (*start_it)(Console *))
{
    const size_t len = 3 * IN_SIZE + 5;
    g_autofree char *text = pattern(len);
    Console c;

    start_it(&c);
    xenpv_drop_events(c.qts);
    g_assert_cmpint(write(c.fd, "ls\n", 3), ==, 3);
    guest_reads(&c, "ls\n", 3);
    xenpv_wait_event(c.qts, c.port);
    /* More than there is room for waits */
    g_assert_cmpint(write(c.fd, text, len), ==, len);
    guest_reads(&c, text, len);
    stop(&c);
}

static void test_input(void)
{
    input(start);
    input(start_further);
}

static void bad_indexes(void (*start_it)(Console *))
{
    Console c;

    start_it(&c);
    /* More than the ring can hold, either way: nothing of it is used */
    qtest_writel(c.qts, RING(&c, out_prod), OUT_SIZE + 1);
    kick(&c);
    qtest_writel(c.qts, RING(&c, out_prod), 0x80000000);
    kick(&c);
    qtest_writel(c.qts, RING(&c, in_cons), 5);
    g_assert_cmpint(write(c.fd, "x", 1), ==, 1);
    g_usleep(50 * 1000);
    g_assert_cmpuint(qtest_readl(c.qts, RING(&c, in_prod)), ==, 0);
    g_assert_cmpuint(qtest_readl(c.qts, RING(&c, out_cons)), ==, 0);

    qtest_writel(c.qts, RING(&c, out_prod), 0);
    qtest_writel(c.qts, RING(&c, in_cons), 0);
    put(&c, "still here", 10);
    host_reads(&c, "still here", 10);
    stop(&c);
}

static void test_bad_indexes(void)
{
    bad_indexes(start);
    bad_indexes(start_further);
}

static void test_console_io(void)
{
    char text[] = "early words\n";
    Console c;

    start(&c);
    g_assert_cmpint(xenpv_call(c.qts, XENPV_CALL_CONSOLE, 0, text,
                               sizeof(text) - 1), ==, 0);
    host_reads(&c, text, sizeof(text) - 1);
    stop(&c);
}

static void console_io(Console *c, char *text, size_t len)
{
    while (len) {
        g_autofree char *copy = NULL;
        size_t n = MIN(len, 4000);

        copy = g_memdup2(text, n);
        g_assert_cmpint(xenpv_call(c->qts, XENPV_CALL_CONSOLE, 0, copy, n), ==,
                        0);
        text += n;
        len -= n;
    }
}

/*
 * A guest prints by console_io as fast as it can, and the host does not read:
 * QEMU goes on, and what it has had to drop is counted, there where it is
 * missing
 */
static void test_console_io_flood(void)
{
    const size_t len = FILL_MAX;
    const char end[] = " characters are lost here]\r\n";
    g_autofree char *text = pattern(len);
    g_autoptr(GString) got = g_string_new(NULL);
    unsigned long lost;
    const char *note, *rest;
    Console c;

    start(&c);
    console_io(&c, text, len);
    assert_qmp_answers(c.qts);
    /* The ring comes after it, and waits */
    put(&c, "the ring", 8);
    g_usleep(50 * 1000);
    g_assert_cmpuint(qtest_readl(c.qts, RING(&c, out_cons)), ==, 0);
    while (!g_str_has_suffix(got->str, "the ring")) {
        char buf[4096];
        ssize_t n;
        struct timeval tv = { .tv_sec = 10 };
        fd_set fds;

        FD_ZERO(&fds);
        FD_SET(c.fd, &fds);
        g_assert_cmpint(select(c.fd + 1, &fds, NULL, NULL, &tv), ==, 1);
        n = read(c.fd, buf, sizeof(buf));
        g_assert_cmpint(n, >, 0);
        g_string_append_len(got, buf, n);
    }
    note = strstr(got->str, "\r\n[");
    g_assert_nonnull(note);
    g_assert_cmpint(qemu_strtoul(note + 3, &rest, 10, &lost), ==, 0);
    g_assert_true(g_str_has_prefix(rest, end));
    g_assert_cmpmem(got->str, (note - got->str), text, (note - got->str));
    g_assert_cmpuint(note - got->str + lost, ==, len);
    g_assert_cmpstr(rest + strlen(end), ==, "the ring");
    /* And then all is as before */
    console_io(&c, text, 5000);
    host_reads(&c, text, 5000);
    stop(&c);
}

/* A reset comes while the host does not read: the last words are not lost */
static void last_words(void (*start_it)(Console *))
{
    g_autofree char *text = pattern(FILL_MAX);
    size_t done;
    Console c;

    start_it(&c);
    done = fill(&c, text);
    qtest_system_reset(c.qts);
    host_reads_slowly(&c, text, done);
    if (c.front.dir) {
        connect_further(&c);
    }
    put(&c, "after", 5);
    host_reads(&c, "after", 5);
    stop(&c);
}

static void test_last_words(void)
{
    last_words(start);
    last_words(start_further);
}

static int client(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    return fd;
}

/* Until QEMU knows of the client */
static void wait_for_client(Console *c, bool there)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    bool found;

    do {
        QDict *rsp = qtest_qmp(c->qts, "{'execute': 'query-chardev'}");
        g_autofree char *text = NULL;
        QListEntry *e;

        found = false;
        QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), e) {
            QDict *chr = qobject_to(QDict, qlist_entry_obj(e));

            found |= !strcmp(qdict_get_str(chr, "label"), "con") &&
                     !strstr(qdict_get_str(chr, "filename"), "disconnected");
        }
        qobject_unref(rsp);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    } while (found != there);
}

/*
 * Clients come and go while output waits: it goes on with the next one, even if
 * the one before has only said that it writes no more, and has not read yet
 */
static void test_clients(void)
{
    g_autofree char *dir = g_dir_make_tmp("xenpv-console-XXXXXX", NULL);
    g_autofree char *path = g_strdup_printf("%s/s", dir);
    g_autofree char *text = pattern(FILL_MAX);
    int old[2];
    Console c = {
        .qts = qtest_initf("-M xenpv-kvm -m 32 -nic none -chardev socket,id=con"
                           ",server=on,wait=off,path=%s -serial chardev:con",
                           path),
        .ring = XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE,
        .port = XENPV_QTEST_PORT_CONSOLE,
    };

    /* While there is none, the guest does not wait */
    put(&c, "nobody", 6);
    wait_for_out_cons(&c, 6);
    for (int i = 0; i < ARRAY_SIZE(old); i++) {
        c.fd = client(path);
        wait_for_client(&c, true);
        fill(&c, text);
        old[i] = c.fd;
        if (i) {
            close(old[i]);
        } else {
            g_assert_cmpint(shutdown(old[i], SHUT_WR), ==, 0);
        }
        wait_for_client(&c, false);
        wait_for_out_cons(&c, qtest_readl(c.qts, RING(&c, out_prod)));
    }
    c.fd = client(path);
    wait_for_client(&c, true);
    put(&c, "hello", 5);
    host_reads(&c, "hello", 5);
    g_assert_cmpint(write(c.fd, "ls\n", 3), ==, 3);
    guest_reads(&c, "ls\n", 3);
    stop(&c);
    close(old[0]);
    unlink(path);
    rmdir(dir);
}

/*
 * A pipe whose reader is gone for ever, full: the guest is not held up by it,
 * and QEMU's main loop does not spin
 */
static void test_broken_pipe(void)
{
    g_autofree char *text = pattern(FILL_MAX);
    int fds[2];
    uint64_t used[2];
    Console c = {
        .fd = -1,
        .ring = XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE,
        .port = XENPV_QTEST_PORT_CONSOLE,
    };

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(fcntl(fds[0], F_SETFD, FD_CLOEXEC), ==, 0);
    c.qts = qtest_initf("-M xenpv-kvm -m 32 -nic none -chardev file,id=con"
                        ",path=/dev/fd/%d -serial chardev:con", fds[1]);
    close(fds[1]);
    fill(&c, text);
    close(fds[0]);
    wait_for_out_cons(&c, qtest_readl(c.qts, RING(&c, out_prod)));
    put(&c, text, 3 * OUT_SIZE);
    for (int i = 0; i < ARRAY_SIZE(used); i++) {
        g_autofree char *stat = NULL, *file = NULL;
        unsigned long user, kernel;

        file = g_strdup_printf("/proc/%d/stat", (int)qtest_pid(c.qts));
        g_usleep(i * 500 * 1000);
        g_assert_true(g_file_get_contents(file, &stat, NULL, NULL));
        g_assert_cmpint(sscanf(strrchr(stat, ')') + 1, " %*c %*d %*d %*d %*d "
                               "%*d %*u %*u %*u %*u %*u %lu %lu", &user,
                               &kernel), ==, 2);
        used[i] = user + kernel;
    }
    /* In ticks of 10 ms */
    g_assert_cmpuint(used[1] - used[0], <, 25);
    stop(&c);
}

/*
 * What a guest can write into the directory of its console: a number that is
 * none, or what is not there, is refused, and "limit" is nothing to us
 */
static void test_hostile_nodes(void)
{
    static const struct {
        const char *node, *value;
    } bad[] = {
        { "ring-ref", "" }, { "ring-ref", "-1" }, { "ring-ref", " 200" },
        { "ring-ref", "200 " }, { "ring-ref", "0x10" }, { "ring-ref", "200,0" },
        { "ring-ref", "4294967496" }, { "ring-ref", "4294967295" },
        { "ring-ref", "99999999999999999999999" }, { "ring-ref", "201" },
        { "port", "" }, { "port", "-1" }, { "port", "4294967295" },
        { "port", "77777777777777777777" }, { "port", "0" }, { "port", "1" },
        { "port", "4000" },
    };
    static const char *limits[] = { "0", "1", "-1", "4294967295", "text" };
    g_autofree char *text = pattern(FILL_MAX);
    Console c;

    start_further(&c);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        frontend_set_state(&c.front, XenbusStateClosed);
        frontend_wait(&c.front, XenbusStateClosed);
        frontend_set_state(&c.front, XenbusStateInitialising);
        frontend_wait(&c.front, XenbusStateInitWait);
        prepare_further(&c);
        g_test_message("%s = '%s'", bad[i].node, bad[i].value);
        xs_write(c.qts, c.front.dir, bad[i].node, "%s", bad[i].value);
        frontend_set_state(&c.front, XenbusStateInitialised);
        frontend_wait(&c.front, XenbusStateClosing);
        /* Nothing is kept of the page, and nothing is done for the port */
        g_assert_cmphex(xenpv_grant_flags(c.qts, FURTHER_REF), ==,
                        GTF_permit_access);
        kick(&c);
    }
    for (int i = 0; i < ARRAY_SIZE(limits); i++) {
        size_t done;

        frontend_set_state(&c.front, XenbusStateInitialising);
        frontend_wait(&c.front, XenbusStateInitWait);
        xs_write(c.qts, c.front.dir, "limit", "%s", limits[i]);
        connect_further(&c);
        done = fill(&c, text);
        host_reads_slowly(&c, text, done);
    }
    stop(&c);
}

/* A front end that begins anew has no more to do with the old ring */
static void test_begin_anew(void)
{
    Console c;

    start_further(&c);
    for (int i = 0; i < 3; i++) {
        put(&c, "before", 6);
        host_reads(&c, "before", 6);
        frontend_set_state(&c.front, XenbusStateInitialising);
        frontend_wait(&c.front, XenbusStateInitWait);
        g_assert_cmphex(xenpv_grant_flags(c.qts, FURTHER_REF), ==,
                        GTF_permit_access);
        if (i) {
            qtest_system_reset(c.qts);
            xs_assert(c.qts, c.front.back, "state", "2");
        }
        connect_further(&c);
        put(&c, "after", 5);
        host_reads(&c, "after", 5);
        if (i == 2) {
            /* Without any word of the front end's */
            qtest_system_reset(c.qts);
            xs_assert(c.qts, c.front.back, "state", "2");
            connect_further(&c);
            put(&c, "again", 5);
            host_reads(&c, "again", 5);
        }
    }
    stop(&c);
}

static void add(QTestState *qts, const char *id, int idx, const char *error)
{
    g_autofree char *chardev = g_strdup_printf("chr-%s", id);
    QDict *args = qdict_new(), *rsp;

    qtest_qmp_assert_success(qts, "{'execute': 'chardev-add', 'arguments': "
                             "{'id': %s, 'backend': {'type': 'null', "
                             "'data': {}}}}", chardev);
    qdict_put_str(args, "driver", "xen-console");
    qdict_put_str(args, "id", id);
    qdict_put_str(args, "chardev", chardev);
    if (idx != -1) {
        qdict_put_int(args, "idx", idx);
    }
    rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': %p}", args);
    if (error) {
        const char *desc = qdict_get_str(qdict_get_qdict(rsp, "error"), "desc");

        g_test_message("%s", desc);
        g_assert_true(g_str_has_suffix(desc, error));
        qtest_qmp_assert_success(qts, "{'execute': 'chardev-remove', "
                                 "'arguments': {'id': %s}}", chardev);
    } else {
        g_assert_true(qdict_haskey(rsp, "return"));
    }
    qobject_unref(rsp);
}

static void del(QTestState *qts, const char *id)
{
    qtest_qmp_assert_success(qts, "{'execute': 'device_del', 'arguments': "
                             "{'id': %s}}", id);
}

/* Plugged and unplugged while the guest runs, and numbered by domain 0 alone */
static void test_hotplug(void)
{
    g_autofree char *answer = NULL, *state = NULL;
    Console c;

    start_further(&c);
    add(c.qts, "a", -1, NULL);
    xs_assert(c.qts, "device/console/2", "state", "1");
    add(c.qts, "b", 7, NULL);
    xs_assert(c.qts, "device/console/7", "state", "1");
    add(c.qts, "c", 7, "there is a console with idx=7 already");
    add(c.qts, "c", 0, "idx=0 is the primary console, which the "
        "first -serial is");
    add(c.qts, "c", 100, "idx=100 is not from 1 to 99");
    add(c.qts, "c", -2, "idx=-2 is not from 1 to 99");

    /* The guest removes a directory, whose number is not free for that */
    answer = xs_request(c.qts, XS_RM, "device/console/2",
                        sizeof("device/console/2"));
    g_assert_cmpstr(answer, ==, "OK");
    add(c.qts, "c", -1, NULL);
    xs_assert(c.qts, "device/console/3", "state", "1");

    /* Without a front end it goes at once, with one when that has agreed */
    del(c.qts, "b");
    qtest_qmp_eventwait(c.qts, "DEVICE_DELETED");
    state = xs_read(c.qts, "device/console/7/state");
    g_assert_null(state);
    /* And nothing uses its character device any more */
    qtest_qmp_assert_success(c.qts, "{'execute': 'chardev-remove', "
                             "'arguments': {'id': 'chr-b'}}");
    add(c.qts, "b", 7, NULL);
    frontend_destroy(&c.front);
    frontend_init(&c.front, c.qts, "device/console/7");
    connect_further(&c);
    del(c.qts, "b");
    frontend_wait(&c.front, XenbusStateClosing);
    /* It cannot be made to stay by connecting once more */
    frontend_set_state(&c.front, XenbusStateClosing);
    frontend_set_state(&c.front, XenbusStateInitialised);
    frontend_set_state(&c.front, XenbusStateConnected);
    frontend_wait(&c.front, XenbusStateClosing);
    frontend_set_state(&c.front, XenbusStateClosed);
    qtest_qmp_eventwait(c.qts, "DEVICE_DELETED");
    stop(&c);
}

/* The guest masks its port, as Linux does while nobody has the console open */
static void set_mask(Console *c, bool masked)
{
    uint64_t bits = xenpv_core(XENPV_CORE_SHARED_INFO) + 32 * 64 +
                    (xenpv_is_64bit() ? 512 : 128);
    uint8_t mask = qtest_readb(c->qts, bits + c->port / 8);

    mask = deposit32(mask, c->port % 8, 1, masked);
    qtest_writeb(c->qts, bits + c->port / 8, mask);
}

static bool is_open(Console *c)
{
    QDict *answer = qtest_qmp(c->qts, "{ 'execute': 'query-chardev' }");
    int open = -1;
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), e) {
        QDict *info = qobject_to(QDict, qlist_entry_obj(e));

        if (!strcmp(qdict_get_str(info, "label"), "con")) {
            open = qdict_get_bool(info, "frontend-open");
        }
    }
    g_assert_cmpint(open, !=, -1);
    qobject_unref(answer);
    return open;
}

/* And nothing is told and nothing comes, as far as can be seen */
static void pass_silently(Console *c, int ms, bool open)
{
    qtest_clock_step(c->qts, ms * 1000000LL);
    g_assert_cmpint(is_open(c), ==, open);
    g_assert_cmpuint(qtest_readl(c->qts, RING(c, in_prod)), ==,
                     qtest_readl(c->qts, RING(c, in_cons)));
}

static void expect_change(Console *c, int ms, bool open)
{
    QDict *event, *data;

    qtest_clock_step(c->qts, ms * 1000000LL);
    event = qtest_qmp_eventwait_ref(c->qts, "VSERPORT_CHANGE");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "agent");
    g_assert_cmpint(qdict_get_bool(data, "open"), ==, open);
    qobject_unref(event);
    g_assert_cmpint(is_open(c), ==, open);
}

/*
 * With tell-open=on the host hears of who opens and closes the console in the
 * guest, and not of its driver; and what it says to nobody waits
 */
static void test_tell_open(void)
{
    int fds[2];
    Console c;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    start_with(&c, fds[1], "-serial none -device xen-console,chardev=con,"
               "id=agent,tell-open=on");
    c.fd = fds[0];
    frontend_init(&c.front, c.qts, "device/console/1");
    g_assert_false(is_open(&c));

    /* Its driver is there, and nobody else */
    prepare_further(&c);
    set_mask(&c, true);
    frontend_set_state(&c.front, XenbusStateConnected);
    frontend_wait(&c.front, XenbusStateConnected);
    g_assert_cmpint(write(c.fd, "early", 5), ==, 5);
    pass_silently(&c, 5000, false);

    for (int i = 0; i < 3; i++) {
        set_mask(&c, false);
        /* It may still send back what it gets */
        pass_silently(&c, 500, false);
        expect_change(&c, 500, true);
        guest_reads(&c, "early", 5);

        /* A port is masked for a short time while its event is handled */
        set_mask(&c, true);
        pass_silently(&c, 500, true);
        set_mask(&c, false);
        pass_silently(&c, 1000, true);
        g_assert_cmpint(write(c.fd, "now", 3), ==, 3);
        guest_reads(&c, "now", 3);

        set_mask(&c, true);
        expect_change(&c, 1000, false);
        g_assert_cmpint(write(c.fd, "early", 5), ==, 5);
        pass_silently(&c, 1000, false);
    }

    /* Who has it open when its driver goes has it open no more */
    set_mask(&c, false);
    expect_change(&c, 1000, true);
    frontend_set_state(&c.front, XenbusStateClosed);
    frontend_wait(&c.front, XenbusStateClosed);
    /* QEMU tells such a thing once a second */
    expect_change(&c, 1000, false);
    stop(&c);
}

static void test_reset(void)
{
    Console c;

    start(&c);
    for (int i = 0; i < 3; i++) {
        put(&c, "before", 6);
        host_reads(&c, "before", 6);
        qtest_system_reset(c.qts);
        g_assert_cmpuint(qtest_readl(c.qts, RING(&c, out_prod)), ==, 0);
        put(&c, "after", 5);
        host_reads(&c, "after", 5);
        g_assert_cmpint(write(c.fd, "in", 2), ==, 2);
        guest_reads(&c, "in", 2);
    }
    stop(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/console/output", test_output);
    qtest_add_func("/xenpv/console/back-pressure", test_back_pressure);
    qtest_add_func("/xenpv/console/none", test_none);
    qtest_add_func("/xenpv/console/input", test_input);
    qtest_add_func("/xenpv/console/bad-indexes", test_bad_indexes);
    qtest_add_func("/xenpv/console/console-io", test_console_io);
    qtest_add_func("/xenpv/console/console-io-flood", test_console_io_flood);
    qtest_add_func("/xenpv/console/reset", test_reset);
    qtest_add_func("/xenpv/console/last-words", test_last_words);
    qtest_add_func("/xenpv/console/clients", test_clients);
    qtest_add_func("/xenpv/console/broken-pipe", test_broken_pipe);
    qtest_add_func("/xenpv/console/hostile-nodes", test_hostile_nodes);
    qtest_add_func("/xenpv/console/begin-anew", test_begin_anew);
    qtest_add_func("/xenpv/console/hotplug", test_hotplug);
    qtest_add_func("/xenpv/console/tell-open", test_tell_open);
    return g_test_run();
}
