/*
 * The primary console of the xenpv-kvm machine
 *
 * Bytes both ways through the ring, wrapped around its end; a guest that lies
 * about its indexes; console_io; and that all of it is there again after a
 * reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/sockets.h"
#include "hw/xen/interface/io/console.h"
#include "xenpv-qtest.h"

#define RING(field) (XENPV_QTEST_MFN_CONSOLE * XENPV_PAGE + \
                     offsetof(struct xencons_interface, field))
#define OUT_SIZE    sizeof_field(struct xencons_interface, out)
#define IN_SIZE     sizeof_field(struct xencons_interface, in)

typedef struct Console {
    QTestState *qts;
    int fd;
} Console;

static void start(Console *c)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    c->qts = qtest_initf("-M xenpv-kvm -m 32 -nic none "
                         "-chardev socket,id=con,fd=%d -serial chardev:con",
                         fds[1]);
    close(fds[1]);
    c->fd = fds[0];
}

static void stop(Console *c)
{
    qtest_quit(c->qts);
    close(c->fd);
}

static void kick(Console *c)
{
    xenpv_send(c->qts, XENPV_QTEST_PORT_CONSOLE);
}

/* What the guest writes to its ring, all at once */
static void put(Console *c, const char *text, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (len) {
        uint32_t prod = qtest_readl(c->qts, RING(out_prod));
        uint32_t cons = qtest_readl(c->qts, RING(out_cons));
        uint32_t at = prod % OUT_SIZE;
        size_t n = MIN(len, OUT_SIZE - (prod - cons));

        n = MIN(n, OUT_SIZE - at);
        if (n) {
            qtest_memwrite(c->qts, RING(out) + at, text, n);
            qtest_writel(c->qts, RING(out_prod), prod + n);
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
        uint32_t prod = qtest_readl(c->qts, RING(in_prod));
        uint32_t cons = qtest_readl(c->qts, RING(in_cons));

        g_assert_cmpuint(prod - cons, <=, IN_SIZE);
        if (prod == cons) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
            continue;
        }
        g_assert_cmphex(qtest_readb(c->qts, RING(in) + cons % IN_SIZE), ==,
                        *text);
        qtest_writel(c->qts, RING(in_cons), cons + 1);
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

static void test_output(void)
{
    const size_t len = 3 * OUT_SIZE + 17;
    g_autofree char *text = pattern(len);
    Console c;

    start(&c);
    put(&c, "hello", 5);
    host_reads(&c, "hello", 5);
    /* The guest hears that there is room again */
    xenpv_wait_event(c.qts, XENPV_QTEST_PORT_CONSOLE);
    put(&c, text, len);
    host_reads(&c, text, len);
    stop(&c);
}

/* The host does not read for a while: the guest waits, and nothing is lost */
static void test_back_pressure(void)
{
    const size_t len = 4 * 1024 * 1024;
    g_autofree char *text = pattern(len);
    uint32_t prod = 0, cons = 0;
    size_t put = 0, got = 0;
    Console c;

    start(&c);
    /* Until no more is taken for half a second */
    for (int idle = 0; idle < 500; ) {
        uint32_t room;

        cons = qtest_readl(c.qts, RING(out_cons));
        room = OUT_SIZE - (prod - cons);
        if (!room) {
            idle++;
            g_usleep(1000);
            continue;
        }
        idle = 0;
        g_assert_cmpuint(put + room, <=, len);
        for (uint32_t i = 0; i < room; ) {
            uint32_t at = (prod + i) % OUT_SIZE;
            uint32_t n = MIN(room - i, OUT_SIZE - at);

            qtest_memwrite(c.qts, RING(out) + at, text + put + i, n);
            i += n;
        }
        put += room;
        prod += room;
        qtest_writel(c.qts, RING(out_prod), prod);
        kick(&c);
    }
    g_assert_cmpuint(put, >, OUT_SIZE);
    /* Now it reads; what was stuck comes without the guest doing anything */
    for (got = 0; got < put; ) {
        size_t n = MIN(put - got, 1000);

        host_reads(&c, text + got, n);
        got += n;
    }
    xenpv_wait_event(c.qts, XENPV_QTEST_PORT_CONSOLE);
    g_assert_cmpuint(qtest_readl(c.qts, RING(out_cons)), ==, prod);
    stop(&c);
}

/* Without a character device the guest must not wait for ever */
static void test_none(void)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    Console c = {
        .qts = qtest_init("-M xenpv-kvm -m 32 -nodefaults"), .fd = -1
    };

    put(&c, "nobody hears", 12);
    while (qtest_readl(c.qts, RING(out_cons)) != 12) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    qtest_quit(c.qts);
}

static void test_input(void)
{
    const size_t len = 3 * IN_SIZE + 5;
    g_autofree char *text = pattern(len);
    Console c;

    start(&c);
    xenpv_drop_events(c.qts);
    g_assert_cmpint(write(c.fd, "ls\n", 3), ==, 3);
    guest_reads(&c, "ls\n", 3);
    xenpv_wait_event(c.qts, XENPV_QTEST_PORT_CONSOLE);
    /* More than there is room for waits */
    g_assert_cmpint(write(c.fd, text, len), ==, len);
    guest_reads(&c, text, len);
    stop(&c);
}

static void test_bad_indexes(void)
{
    Console c;

    start(&c);
    /* More than the ring can hold, either way: nothing of it is used */
    qtest_writel(c.qts, RING(out_prod), OUT_SIZE + 1);
    kick(&c);
    qtest_writel(c.qts, RING(out_prod), 0x80000000);
    kick(&c);
    qtest_writel(c.qts, RING(in_cons), 5);
    g_assert_cmpint(write(c.fd, "x", 1), ==, 1);
    g_usleep(50 * 1000);
    g_assert_cmpuint(qtest_readl(c.qts, RING(in_prod)), ==, 0);
    g_assert_cmpuint(qtest_readl(c.qts, RING(out_cons)), ==, 0);

    qtest_writel(c.qts, RING(out_prod), 0);
    qtest_writel(c.qts, RING(in_cons), 0);
    put(&c, "still here", 10);
    host_reads(&c, "still here", 10);
    stop(&c);
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

static void test_reset(void)
{
    Console c;

    start(&c);
    for (int i = 0; i < 3; i++) {
        put(&c, "before", 6);
        host_reads(&c, "before", 6);
        qtest_system_reset(c.qts);
        g_assert_cmpuint(qtest_readl(c.qts, RING(out_prod)), ==, 0);
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
    qtest_add_func("/xenpv/console/reset", test_reset);
    return g_test_run();
}
