/*
 * xenstore of the xenpv-kvm machine
 *
 * The wire protocol as a guest speaks it on its ring: each request, its answer
 * and its errors; watches, of which no event may be lost; transactions and
 * their conflicts; and what a hostile or a broken guest can put on the ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "xenpv-qtest.h"

#define RING(field) (XENPV_QTEST_MFN_XENSTORE * XENPV_PAGE + \
                     offsetof(struct xenstore_domain_interface, field))

#define HOME        "/local/domain/1"

typedef struct Message {
    struct xsd_sockmsg hdr;
    char data[XENSTORE_PAYLOAD_MAX + 1];
} Message;

static QTestState *start(void)
{
    return qtest_init("-M xenpv-kvm,domain-name=tester -m 32 -uuid "
                      "01234567-89ab-cdef-0123-456789abcdef");
}

static void kick(QTestState *qts)
{
    xenpv_send(qts, XENPV_QTEST_PORT_XENSTORE);
}

/* Put bytes on the ring, as room comes up */
static void put(QTestState *qts, const void *buf, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    const uint8_t *p = buf;

    while (len) {
        uint32_t prod = qtest_readl(qts, RING(req_prod));
        uint32_t cons = qtest_readl(qts, RING(req_cons));
        size_t n = MIN(len, XENSTORE_RING_SIZE - (prod - cons));

        n = MIN(n, XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(prod));
        if (n) {
            qtest_memwrite(qts, RING(req) + MASK_XENSTORE_IDX(prod), p, n);
            qtest_writel(qts, RING(req_prod), prod + n);
            kick(qts);
            p += n;
            len -= n;
        } else {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
    }
}

static void get(QTestState *qts, void *buf, size_t len)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint8_t *p = buf;

    while (len) {
        uint32_t prod = qtest_readl(qts, RING(rsp_prod));
        uint32_t cons = qtest_readl(qts, RING(rsp_cons));
        size_t n = MIN(len, prod - cons);

        g_assert_cmpuint(prod - cons, <=, XENSTORE_RING_SIZE);
        n = MIN(n, XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(cons));
        if (n) {
            qtest_memread(qts, RING(rsp) + MASK_XENSTORE_IDX(cons), p, n);
            qtest_writel(qts, RING(rsp_cons), cons + n);
            kick(qts);
            p += n;
            len -= n;
        } else {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
    }
}

static void put_request(QTestState *qts, uint32_t type, uint32_t tx,
                        const void *data, uint32_t len)
{
    struct xsd_sockmsg hdr = {
        .type = type, .req_id = 0x1000 + type, .tx_id = tx, .len = len,
    };

    put(qts, &hdr, sizeof(hdr));
    put(qts, data, len);
}

static void get_message(QTestState *qts, Message *m)
{
    get(qts, &m->hdr, sizeof(m->hdr));
    g_assert_cmpuint(m->hdr.len, <=, XENSTORE_PAYLOAD_MAX);
    get(qts, m->data, m->hdr.len);
    m->data[m->hdr.len] = 0;
}

/* The answer to a request, which no watch event may come before */
static void request(QTestState *qts, uint32_t type, uint32_t tx,
                    const void *data, uint32_t len, Message *m)
{
    put_request(qts, type, tx, data, len);
    get_message(qts, m);
    g_assert_cmpuint(m->hdr.req_id, ==, 0x1000 + type);
    g_assert_cmpuint(m->hdr.tx_id, ==, tx);
}

static void assert_error(QTestState *qts, uint32_t type, uint32_t tx,
                         const void *data, uint32_t len, const char *error)
{
    Message m;

    request(qts, type, tx, data, len, &m);
    g_assert_cmpstr(m.data, ==, error);
    g_assert_cmpuint(m.hdr.type, ==, XS_ERROR);
    g_assert_cmpuint(m.hdr.len, ==, strlen(error) + 1);
}

/*
 * String literals with their final 0 are what requests are made of, and answers
 * and values compared with: their sizeof is the length
 */
#define ERROR(type, tx, str, error) \
    assert_error(qts, type, tx, str, sizeof(str), error)

static void assert_answer(QTestState *qts, uint32_t type, uint32_t tx,
                          const void *data, uint32_t len, const void *answer,
                          uint32_t answer_len)
{
    Message m;

    request(qts, type, tx, data, len, &m);
    if (m.hdr.type == XS_ERROR) {
        g_test_message("request %u '%s' tx %u: %s", type, (char *)data, tx,
                       m.data);
    }
    g_assert_cmpuint(m.hdr.type, ==, type);
    g_assert_cmpmem(m.data, m.hdr.len, answer, answer_len);
}

#define ANSWER(type, tx, str, answer) \
    assert_answer(qts, type, tx, str, sizeof(str), answer, sizeof(answer))
/* A value has no final 0 */
#define READ(tx, path, value) \
    assert_answer(qts, XS_READ, tx, path, sizeof(path), value, \
                  sizeof(value) - 1)
#define WRITE(tx, str) \
    assert_answer(qts, XS_WRITE, tx, str, sizeof(str) - 1, "OK", 3)

static void assert_event(QTestState *qts, const char *path, const char *token)
{
    Message m;

    get_message(qts, &m);
    g_assert_cmpuint(m.hdr.type, ==, XS_WATCH_EVENT);
    g_assert_cmpuint(m.hdr.req_id, ==, 0);
    g_assert_cmpstr(m.data, ==, path);
    g_assert_cmpuint(m.hdr.len, ==, strlen(path) + strlen(token) + 2);
    g_assert_cmpstr(m.data + strlen(path) + 1, ==, token);
}

static void assert_silence(QTestState *qts)
{
    g_usleep(50 * 1000);
    g_assert_cmpuint(qtest_readl(qts, RING(rsp_prod)), ==,
                     qtest_readl(qts, RING(rsp_cons)));
}

static uint32_t transaction(QTestState *qts)
{
    Message m;

    request(qts, XS_TRANSACTION_START, 0, "", 1, &m);
    g_assert_cmpuint(m.hdr.type, ==, XS_TRANSACTION_START);
    g_assert_cmpuint(m.hdr.len, ==, strlen(m.data) + 1);
    return strtoul(m.data, NULL, 10);
}

static void test_tree(void)
{
    QTestState *qts = start();

    READ(0, "domid", "1");
    READ(0, "name", "tester");
    READ(0, "vm", "/vm/01234567-89ab-cdef-0123-456789abcdef");
    READ(0, "/vm/01234567-89ab-cdef-0123-456789abcdef/name", "tester");
    READ(0, HOME "/memory/target", "32768");
    READ(0, "memory/static-max", "32768");
    READ(0, "cpu/0/availability", "online");
    READ(0, "control/shutdown", "");
    READ(0, "control/platform-feature-xs_reset_watches", "1");
    READ(0, "store/port", "1");
    READ(0, "store/ring-ref", "2");
    READ(0, "console/port", "2");
    READ(0, "console/ring-ref", "1");
    READ(0, "console/type", "ioemu");
    /* The guest may only write what is its own */
    WRITE(0, "data/mine\0yes");
    WRITE(0, "control/feature-poweroff\0" "1");
    ERROR(XS_WRITE, 0, "name\0other", "EACCES");
    ERROR(XS_WRITE, 0, "memory/target\0" "1", "EACCES");
    ERROR(XS_WRITE, 0, "device/new\0" "1", "EACCES");
    ERROR(XS_WRITE, 0, "/new\0" "1", "EACCES");
    ERROR(XS_RM, 0, "console/port", "EACCES");
    ERROR(XS_DIRECTORY, 0, "/local/domain/0", "EACCES");
    ERROR(XS_READ, 0, "/local/domain/0/name", "EACCES");
    /* Not even whether it exists */
    ERROR(XS_READ, 0, "/local/domain/2", "EACCES");
    ERROR(XS_READ, 0, "data/none/at/all", "ENOENT");
    ANSWER(XS_GET_PERMS, 0, "data", "n1");
    ANSWER(XS_GET_PERMS, 0, "name", "n0\0r1");
    qtest_quit(qts);
}

static void test_nodes(void)
{
    QTestState *qts = start();
    char big[XENSTORE_PAYLOAD_MAX];

    WRITE(0, "data/a/b/c\0value");
    READ(0, "data/a/b/c", "value");
    READ(0, HOME "/data/a/b/c", "value");
    READ(0, "data/a/b", "");
    /* A value is octets, and may have none */
    WRITE(0, "data/bin\0x\0y\0");
    READ(0, "data/bin", "x\0y\0");
    WRITE(0, "data/a/b/c\0");
    READ(0, "data/a/b/c", "");

    ANSWER(XS_MKDIR, 0, "data/a/b", "OK");
    ANSWER(XS_MKDIR, 0, "data/a/d", "OK");
    ANSWER(XS_DIRECTORY, 0, "data/a", "b\0d");
    assert_answer(qts, XS_DIRECTORY, 0, "data/a/d", 9, "", 0);
    ANSWER(XS_RM, 0, "data/a", "OK");
    ERROR(XS_READ, 0, "data/a/b/c", "ENOENT");
    ERROR(XS_DIRECTORY, 0, "data/a", "ENOENT");
    /* No error if only the node itself is missing */
    ANSWER(XS_RM, 0, "data/a", "OK");
    ERROR(XS_RM, 0, "data/a/b", "ENOENT");
    ERROR(XS_RM, 0, "/", "EINVAL");

    ANSWER(XS_SET_PERMS, 0, "data/bin\0n1\0r0", "OK");
    ANSWER(XS_GET_PERMS, 0, "data/bin", "n1\0r0");
    ERROR(XS_SET_PERMS, 0, "data/bin\0n0", "EPERM");
    ERROR(XS_SET_PERMS, 0, "data/bin\0x1", "EINVAL");
    ERROR(XS_SET_PERMS, 0, "data/bin", "EINVAL");
    ERROR(XS_SET_PERMS, 0, "data/no\0n1", "ENOENT");

    memset(big, 'x', sizeof(big));
    memcpy(big, "data/big", 9);
    assert_error(qts, XS_WRITE, 0, big, sizeof(big), "E2BIG");
    assert_answer(qts, XS_WRITE, 0, big, 9 + 2048, "OK", 3);
    qtest_quit(qts);
}

static void test_malformed(void)
{
    QTestState *qts = start();
    char path[XENSTORE_PAYLOAD_MAX];
    Message m;

    ERROR(XS_READ, 0, "", "EINVAL");
    assert_error(qts, XS_READ, 0, "", 0, "EINVAL");
    assert_error(qts, XS_READ, 0, "name", 4, "EINVAL");     /* no 0 */
    ERROR(XS_READ, 0, "name\0name", "EINVAL");
    ERROR(XS_READ, 0, "name/", "EINVAL");
    ERROR(XS_READ, 0, "data//a", "EINVAL");
    ERROR(XS_READ, 0, "na me", "EINVAL");
    ERROR(XS_READ, 0, "@releaseDomain", "EINVAL");
    assert_error(qts, XS_WRITE, 0, "data/x", 6, "EINVAL");
    assert_error(qts, XS_WRITE, 0, "", 0, "EINVAL");
    ERROR(XS_WATCH, 0, "data", "EINVAL");
    ERROR(XS_WATCH, 0, "data\0token\0more", "EINVAL");
    ERROR(XS_UNWATCH, 0, "data\0token", "ENOENT");
    ERROR(XS_TRANSACTION_END, 0, "X", "EINVAL");
    ERROR(XS_TRANSACTION_END, 0, "T", "ENOENT");
    ERROR(XS_TRANSACTION_END, 4711, "T", "ENOENT");
    ERROR(XS_READ, 4711, "name", "ENOENT");
    ERROR(XS_GET_DOMAIN_PATH, 0, "x", "EINVAL");
    ERROR(XS_DIRECTORY_PART, 0, "data", "EINVAL");
    ERROR(XS_DIRECTORY_PART, 0, "data\0x", "EINVAL");

    /* What is not for a guest, and what does not exist */
    ERROR(XS_CONTROL, 0, "print", "EACCES");
    ERROR(XS_INTRODUCE, 0, "2\0" "1\0" "1", "EACCES");
    ERROR(XS_RELEASE, 0, "1", "EACCES");
    ERROR(XS_RESUME, 0, "1", "EACCES");
    ERROR(XS_SET_TARGET, 0, "1\0" "1", "EACCES");
    ERROR(XS_WATCH_EVENT, 0, "a", "ENOSYS");
    ERROR(XS_ERROR, 0, "a", "ENOSYS");
    ERROR(XS_SET_TARGET + 1, 0, "a", "ENOSYS");
    ERROR(1000, 0, "a", "ENOSYS");
    ERROR(0xffffffff, 0, "a", "ENOSYS");

    /* The longest paths there can be, and longer ones */
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = 0;
    assert_error(qts, XS_READ, 0, path, sizeof(path), "EINVAL");
    path[XENSTORE_REL_PATH_MAX + 1] = 0;
    assert_error(qts, XS_READ, 0, path, strlen(path) + 1, "EINVAL");
    path[XENSTORE_REL_PATH_MAX] = 0;
    assert_error(qts, XS_READ, 0, path, strlen(path) + 1, "ENOENT");

    ANSWER(XS_GET_DOMAIN_PATH, 0, "1", HOME);
    ANSWER(XS_GET_DOMAIN_PATH, 0, "0", "/local/domain/0");
    ANSWER(XS_IS_DOMAIN_INTRODUCED, 0, "1", "T");
    ANSWER(XS_IS_DOMAIN_INTRODUCED, 0, "2", "F");

    /* Still there after all that, one byte at a time */
    for (int i = 0; i < 16 + 5; i++) {
        struct xsd_sockmsg hdr = {
            .type = XS_READ, .req_id = 7, .len = 5
        };

        put(qts, i < 16 ? (char *)&hdr + i : "name" + (i - 16), 1);
    }
    get_message(qts, &m);
    g_assert_cmpuint(m.hdr.req_id, ==, 7);
    g_assert_cmpstr(m.data, ==, "tester");
    qtest_quit(qts);
}

static void test_directory_part(void)
{
    QTestState *qts = start();
    g_autoptr(GString) names = g_string_new(NULL);
    g_autofree char *gen = NULL;
    const int n = 300;
    Message m;

    for (int i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("data/node-number-%03d", i);

        assert_answer(qts, XS_MKDIR, 0, path, strlen(path) + 1, "OK", 3);
    }
    ERROR(XS_DIRECTORY, 0, "data", "E2BIG");
    for (;;) {
        g_autofree char *req = g_strdup_printf("data%c%zu", 'X', names->len);
        size_t len = strlen(req) + 1, pos;

        req[4] = 0;
        request(qts, XS_DIRECTORY_PART, 0, req, len, &m);
        g_assert_cmpuint(m.hdr.type, ==, XS_DIRECTORY_PART);
        if (gen) {
            g_assert_cmpstr(m.data, ==, gen);
        } else {
            gen = g_strdup(m.data);
        }
        pos = strlen(m.data) + 1;
        g_assert_cmpuint(pos, <, m.hdr.len);
        while (pos < m.hdr.len && m.data[pos]) {
            size_t size = strlen(m.data + pos) + 1;

            g_string_append_len(names, m.data + pos, size);
            pos += size;
        }
        if (pos < m.hdr.len) {
            g_assert_cmpuint(pos + 1, ==, m.hdr.len);
            break;
        }
    }
    for (int i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("node-number-%03d", i);

        g_assert_cmpstr(names->str + i * (strlen(name) + 1), ==, name);
    }
    qtest_quit(qts);
}

static void test_watches(void)
{
    QTestState *qts = start();

    /* Fires at once, with the path as it was given */
    ANSWER(XS_WATCH, 0, "data\0tok", "OK");
    assert_event(qts, "data", "tok");
    ERROR(XS_WATCH, 0, "data\0tok", "EEXIST");
    ERROR(XS_WATCH, 0, HOME "/data\0tok", "EEXIST");
    /* The same path, with another token and name */
    ANSWER(XS_WATCH, 0, HOME "/data\0tok2", "OK");
    assert_event(qts, HOME "/data", "tok2");
    ANSWER(XS_WATCH, 0, "data/x/y\0deep", "OK");
    assert_event(qts, "data/x/y", "deep");

    WRITE(0, "data/x\0" "1");
    assert_event(qts, "data/x", "tok");
    assert_event(qts, HOME "/data/x", "tok2");
    assert_silence(qts);
    WRITE(0, "data/x/y\0" "1");
    assert_event(qts, "data/x/y", "tok");
    assert_event(qts, HOME "/data/x/y", "tok2");
    assert_event(qts, "data/x/y", "deep");
    WRITE(0, "feature/other\0" "1");
    assert_silence(qts);

    /* Each can be removed, whichever was first, and by either name */
    ANSWER(XS_UNWATCH, 0, "data\0tok2", "OK");
    ERROR(XS_UNWATCH, 0, "data\0tok2", "ENOENT");
    ANSWER(XS_UNWATCH, 0, "data/x/y\0deep", "OK");
    WRITE(0, "data/x\0" "2");
    assert_event(qts, "data/x", "tok");
    ANSWER(XS_UNWATCH, 0, "data\0tok", "OK");
    WRITE(0, "data/x\0" "3");
    assert_silence(qts);

    /* Special ones */
    ANSWER(XS_WATCH, 0, "@releaseDomain\0t", "OK");
    assert_event(qts, "@releaseDomain", "t");

    /* Removing a tree tells of what is watched in it */
    WRITE(0, "data/x/y\0" "1");
    ANSWER(XS_WATCH, 0, "data/x/y\0deep", "OK");
    assert_event(qts, "data/x/y", "deep");
    ANSWER(XS_RM, 0, "data/x", "OK");
    assert_event(qts, "data/x/y", "deep");

    ANSWER(XS_RESET_WATCHES, 0, "", "OK");
    ERROR(XS_UNWATCH, 0, "@releaseDomain\0t", "ENOENT");
    WRITE(0, "data/x/y\0" "1");
    assert_silence(qts);
    qtest_quit(qts);
}

/* As many as there may be; and events that the guest does not fetch */
static void test_watch_storm(void)
{
    QTestState *qts = start();
    const int nr_watches = 128;
    bool seen[128] = { false };
    Message m;

    for (int i = 0; i < nr_watches; i++) {
        g_autofree char *req = g_strdup_printf("dataX%d", i);
        g_autofree char *token = g_strdup_printf("%d", i);
        size_t len = strlen(req) + 1;

        req[4] = 0;
        assert_answer(qts, XS_WATCH, 0, req, len, "OK", 3);
        assert_event(qts, "data", token);
    }
    ERROR(XS_WATCH, 0, "data\0more", "E2BIG");

    /* One event for each watch, however often the node is written */
    for (int i = 0; i < 20; i++) {
        put_request(qts, XS_WRITE, 0, "data/node\0v", 11);
    }
    for (int i = 0, events = 0; i < 20 || events < nr_watches; ) {
        get_message(qts, &m);
        if (m.hdr.type == XS_WATCH_EVENT) {
            int nr = atoi(m.data + strlen(m.data) + 1);

            g_assert_cmpstr(m.data, ==, "data/node");
            g_assert_cmpint(nr, <, nr_watches);
            seen[nr] = true;
            events++;
        } else {
            g_assert_cmpuint(m.hdr.type, ==, XS_WRITE);
            i++;
        }
    }
    for (int i = 0; i < nr_watches; i++) {
        g_assert_true(seen[i]);
    }
    /* What was written last may have been told of again; then no more */
    put_request(qts, XS_RESET_WATCHES, 0, "", 1);
    do {
        get_message(qts, &m);
    } while (m.hdr.type == XS_WATCH_EVENT);
    g_assert_cmpuint(m.hdr.type, ==, XS_RESET_WATCHES);
    assert_silence(qts);
    qtest_quit(qts);
}

static void test_transactions(void)
{
    QTestState *qts = start();
    uint32_t tx[11], t;

    t = transaction(qts);
    WRITE(t, "data/t\0in");
    READ(t, "data/t", "in");
    ERROR(XS_READ, 0, "data/t", "ENOENT");
    ANSWER(XS_TRANSACTION_END, t, "T", "OK");
    READ(0, "data/t", "in");
    ERROR(XS_TRANSACTION_END, t, "T", "ENOENT");

    /* Given up */
    t = transaction(qts);
    WRITE(t, "data/t\0out");
    ANSWER(XS_TRANSACTION_END, t, "F", "OK");
    READ(0, "data/t", "in");

    /* In conflict */
    t = transaction(qts);
    WRITE(t, "data/t\0mine");
    WRITE(0, "data/t\0theirs");
    ERROR(XS_TRANSACTION_END, t, "T", "EAGAIN");
    READ(0, "data/t", "theirs");

    /* Watches fire when it is done */
    ANSWER(XS_WATCH, 0, "data\0tok", "OK");
    assert_event(qts, "data", "tok");
    t = transaction(qts);
    WRITE(t, "data/t\0late");
    assert_silence(qts);
    ANSWER(XS_TRANSACTION_END, t, "T", "OK");
    assert_event(qts, "data/t", "tok");
    ANSWER(XS_UNWATCH, 0, "data\0tok", "OK");

    /* None within another, and not too many */
    t = transaction(qts);
    assert_error(qts, XS_TRANSACTION_START, t, "", 1, "EBUSY");
    ANSWER(XS_TRANSACTION_END, t, "F", "OK");
    for (int i = 0; i < 10; i++) {
        tx[i] = transaction(qts);
    }
    assert_error(qts, XS_TRANSACTION_START, 0, "", 1, "ENOSPC");
    ANSWER(XS_TRANSACTION_END, tx[3], "F", "OK");
    tx[3] = transaction(qts);
    ANSWER(XS_RESET_WATCHES, 0, "", "OK");
    ERROR(XS_TRANSACTION_END, tx[3], "F", "ENOENT");
    qtest_quit(qts);
}

static uint32_t wait_ring_error(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint32_t error;

    while (!(error = qtest_readl(qts, RING(error)))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return error;
}

/* The guest begins anew */
static void reconnect(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    qtest_writel(qts, RING(connection), XENSTORE_RECONNECT);
    kick(qts);
    while (qtest_readl(qts, RING(connection)) != XENSTORE_CONNECTED) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_assert_cmpuint(qtest_readl(qts, RING(error)), ==, 0);
    g_assert_cmpuint(qtest_readl(qts, RING(req_prod)), ==, 0);
    g_assert_cmpuint(qtest_readl(qts, RING(rsp_prod)), ==, 0);
}

static void test_ring(void)
{
    QTestState *qts = start();
    struct xsd_sockmsg hdr = { .type = XS_READ, .len = 0 };

    g_assert_cmphex(qtest_readl(qts, RING(server_features)), ==,
                    XENSTORE_SERVER_FEATURE_RECONNECTION |
                    XENSTORE_SERVER_FEATURE_ERROR);
    READ(0, "domid", "1");

    /* More on the ring than it can hold */
    qtest_writel(qts, RING(req_prod),
                 qtest_readl(qts, RING(req_cons)) + XENSTORE_RING_SIZE + 1);
    kick(qts);
    g_assert_cmpuint(wait_ring_error(qts), ==, XENSTORE_ERROR_RINGIDX);
    reconnect(qts);
    READ(0, "domid", "1");

    /* A message that is too long, in several sizes */
    for (uint32_t len = XENSTORE_PAYLOAD_MAX + 1; len; len <<= 8) {
        hdr.len = len;
        put(qts, &hdr, sizeof(hdr));
        g_assert_cmpuint(wait_ring_error(qts), ==, XENSTORE_ERROR_PROTO);
        reconnect(qts);
    }
    READ(0, "domid", "1");

    /* Answers: the guest says that it has read what was never written */
    qtest_writel(qts, RING(rsp_cons), qtest_readl(qts, RING(rsp_prod)) + 5);
    hdr.len = 0;
    put(qts, &hdr, sizeof(hdr));
    g_assert_cmpuint(wait_ring_error(qts), ==, XENSTORE_ERROR_RINGIDX);
    reconnect(qts);

    /* A new connection has no watch, no transaction and no half message */
    ANSWER(XS_WATCH, 0, "data\0tok", "OK");
    assert_event(qts, "data", "tok");
    transaction(qts);
    put(qts, &hdr, 7);
    g_usleep(50 * 1000);
    reconnect(qts);
    READ(0, "domid", "1");
    ERROR(XS_UNWATCH, 0, "data\0tok", "ENOENT");

    /* An event tells the guest of an answer */
    xenpv_drop_events(qts);
    READ(0, "domid", "1");
    xenpv_wait_event(qts, XENPV_QTEST_PORT_XENSTORE);
    qtest_quit(qts);
}

/*
 * The guest's store of an index was still on its way when the ring was taken
 * for empty, and it saw no need for an event: it must not wait for ever.
 */
static void test_no_event(void)
{
    QTestState *qts = start();
    static const char path[] = "domid";
    struct xsd_sockmsg hdr = {
        .type = XS_READ, .req_id = 0x1000 + XS_READ, .len = sizeof(path),
    };
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint32_t prod;
    Message m;

    put(qts, &hdr, sizeof(hdr));
    prod = qtest_readl(qts, RING(req_prod));
    while (qtest_readl(qts, RING(req_cons)) != prod) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_assert_cmpuint(MASK_XENSTORE_IDX(prod) + sizeof(path), <=,
                     XENSTORE_RING_SIZE);
    qtest_memwrite(qts, RING(req) + MASK_XENSTORE_IDX(prod), path,
                   sizeof(path));
    qtest_writel(qts, RING(req_prod), prod + sizeof(path));
    qtest_clock_step(qts, 2 * 1000 * 1000);
    get_message(qts, &m);
    g_assert_cmpstr(m.data, ==, "1");
    qtest_quit(qts);
}

static void test_reset(void)
{
    QTestState *qts = start();

    WRITE(0, "data/mine\0yes");
    WRITE(0, "control/shutdown\0hello");
    ANSWER(XS_RM, 0, "error", "OK");
    ANSWER(XS_SET_PERMS, 0, "drivers\0b1", "OK");
    ANSWER(XS_WATCH, 0, "data\0tok", "OK");
    assert_event(qts, "data", "tok");
    transaction(qts);

    qtest_system_reset(qts);
    ERROR(XS_READ, 0, "data/mine", "ENOENT");
    READ(0, "control/shutdown", "");
    READ(0, "error", "");
    READ(0, "name", "tester");
    ANSWER(XS_GET_PERMS, 0, "drivers", "n1");
    ERROR(XS_UNWATCH, 0, "data\0tok", "ENOENT");
    qtest_quit(qts);
}

static void test_powerdown(void)
{
    QTestState *qts = start();

    ANSWER(XS_WATCH, 0, "control/shutdown\0tok", "OK");
    assert_event(qts, "control/shutdown", "tok");
    qtest_qmp_assert_success(qts, "{'execute': 'system_powerdown'}");
    assert_event(qts, "control/shutdown", "tok");
    READ(0, "control/shutdown", "poweroff");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/xenstore/tree", test_tree);
    qtest_add_func("/xenpv/xenstore/nodes", test_nodes);
    qtest_add_func("/xenpv/xenstore/malformed", test_malformed);
    qtest_add_func("/xenpv/xenstore/directory-part", test_directory_part);
    qtest_add_func("/xenpv/xenstore/watches", test_watches);
    qtest_add_func("/xenpv/xenstore/watch-storm", test_watch_storm);
    qtest_add_func("/xenpv/xenstore/transactions", test_transactions);
    qtest_add_func("/xenpv/xenstore/ring", test_ring);
    qtest_add_func("/xenpv/xenstore/no-event", test_no_event);
    qtest_add_func("/xenpv/xenstore/reset", test_reset);
    qtest_add_func("/xenpv/xenstore/powerdown", test_powerdown);
    return g_test_run();
}
