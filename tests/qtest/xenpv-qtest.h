/*
 * What the qtests of the xenpv-kvm machine's devices have in common
 *
 * Without -kernel, which only qtest allows, the machine has its devices and no
 * guest: the tests are the guest. The rings are where the machine puts them
 * then, and the ports are the first two.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_QTEST_H
#define XENPV_QTEST_H

#include "libqtest.h"
#include "qobject/qdict.h"
#include "hw/xenpv/xenpv-monitor.h"

#define XENPV_QTEST_MFN_CONSOLE     1
#define XENPV_QTEST_MFN_XENSTORE    2
#define XENPV_QTEST_PORT_XENSTORE   1
#define XENPV_QTEST_PORT_CONSOLE    2
/* The first frame and port that are free for tests */
#define XENPV_QTEST_MFN_FREE        16
#define XENPV_QTEST_PORT_FREE       3

#define XENPV_DOMID                 1
#define DOMID_SELF                  0x7ff0
#define DOMID_NOBODY                77

#define XENPV_PAGE                  4096
#define TIMEOUT_US                  (120 * G_USEC_PER_SEC)

/* Xen's */
#define XEN_EPERM       1
#define XEN_ENOENT      2
#define XEN_ESRCH       3
#define XEN_E2BIG       7
#define XEN_EACCES      13
#define XEN_EBUSY       16
#define XEN_EEXIST      17
#define XEN_EINVAL      22
#define XEN_ENOSPC      28
#define XEN_ENOSYS      38
#define XEN_EOPNOTSUPP  95

/* Is the guest's width 64 bits, as it is without a kernel to say so? */
static inline bool xenpv_is_64bit(void)
{
    return !strcmp(qtest_get_arch(), "x86_64");
}

static inline uint64_t xenpv_core(uint64_t offset)
{
    return XENPV_CORE_GPA + offset;
}

static inline uint64_t xenpv_mailbox(unsigned vcpu)
{
    return xenpv_core(XENPV_CORE_MAILBOX) + vcpu * sizeof(struct xenpv_mailbox);
}

/* A call by vCPU 0, as the monitor makes it */
static inline void xenpv_call_only(QTestState *qts, uint32_t op, uint32_t cmd,
                                   const void *data, uint32_t size)
{
    uint64_t box = xenpv_mailbox(0);

    qtest_writel(qts, box + offsetof(struct xenpv_mailbox, op), op);
    qtest_writel(qts, box + offsetof(struct xenpv_mailbox, cmd), cmd);
    qtest_writel(qts, box + offsetof(struct xenpv_mailbox, size), size);
    qtest_writeq(qts, box + offsetof(struct xenpv_mailbox, ret), 0x5555);
    if (size) {
        qtest_memwrite(qts, box + offsetof(struct xenpv_mailbox, data), data,
                       size);
    }
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0);
}

/* The same, and look at the answer: not of a call that QEMU ends for */
static inline int64_t xenpv_call(QTestState *qts, uint32_t op, uint32_t cmd,
                                 void *data, uint32_t size)
{
    uint64_t box = xenpv_mailbox(0);

    xenpv_call_only(qts, op, cmd, data, size);
    if (size) {
        qtest_memread(qts, box + offsetof(struct xenpv_mailbox, data), data,
                      size);
    }
    return qtest_readq(qts, box + offsetof(struct xenpv_mailbox, ret));
}

static inline void xenpv_send(QTestState *qts, uint32_t port)
{
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_SEND, port);
}

/* Take the event of a port, as the monitor of a vCPU does: was it there? */
static inline bool xenpv_take_vcpu_event(QTestState *qts, unsigned vcpu,
                                         uint32_t port)
{
    uint64_t in = xenpv_core(XENPV_CORE_INCOMING);
    uint64_t vcpu_in = in + offsetof(struct xenpv_incoming, vcpu[vcpu]);
    uint64_t bits_at = in + offsetof(struct xenpv_incoming, ports[port / 64]);
    uint64_t words_at = in + offsetof(struct xenpv_incoming,
                                      vcpu[vcpu].words[port / 4096]);
    uint64_t bits = qtest_readq(qts, bits_at);
    uint64_t words = qtest_readq(qts, words_at);
    uint32_t summary = qtest_readl(qts, vcpu_in);
    uint64_t bit = 1ULL << port % 64, word = 1ULL << port / 64 % 64;

    if (!(bits & bit) || !(words & word)) {
        return false;
    }
    g_assert_cmphex(summary & 1U << port / 4096, !=, 0);
    qtest_writeq(qts, bits_at, bits & ~bit);
    if (!(bits & ~bit)) {
        qtest_writeq(qts, words_at, words & ~word);
        if (!(words & ~word)) {
            qtest_writel(qts, vcpu_in, summary & ~(1U << port / 4096));
        }
    }
    return true;
}

static inline bool xenpv_take_event(QTestState *qts, uint32_t port)
{
    return xenpv_take_vcpu_event(qts, 0, port);
}

static inline void xenpv_wait_event(QTestState *qts, uint32_t port)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (!xenpv_take_event(qts, port)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static inline void xenpv_drop_events(QTestState *qts)
{
    qtest_memset(qts, xenpv_core(XENPV_CORE_INCOMING), 0,
                 sizeof(struct xenpv_incoming));
}

/* Whether a migration that has begun ends well, here or at the other end */
static inline bool xenpv_migrated(QTestState *qts)
{
    for (;;) {
        QDict *answer = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        const char *status = qdict_get_try_str(qdict_get_qdict(answer, "return"),
                                               "status");
        bool done = !g_strcmp0(status, "completed");
        bool failed = !g_strcmp0(status, "failed");

        qobject_unref(answer);
        if (done || failed) {
            return done;
        }
        g_usleep(1000);
    }
}

static inline void xenpv_save(QTestState *qts, const char *uri)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate',"
                             " 'arguments': {'uri': %s}}", uri);
    g_assert_true(xenpv_migrated(qts));
}

#endif /* XENPV_QTEST_H */
