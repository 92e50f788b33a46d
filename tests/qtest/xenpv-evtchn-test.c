/*
 * Event channels of the xenpv-kvm machine
 *
 * Every operation's result, error number and effect on the port table, as Xen
 * has them for a domU; and that calls themselves survive any mailbox.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "hw/xen/interface/xen-compat.h"
#include "hw/xen/xen.h"
#define __XEN_TOOLS__ 1
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/event_channel.h"
#undef DOMID_SELF
#include "xenpv-qtest.h"

#define MAX_PORTS   (xenpv_is_64bit() ? 4096 : 1024)
#define CONTROL_MFN XENPV_QTEST_MFN_FREE
#define ARRAY_MFN   (CONTROL_MFN + 1)
#define RAM_MFNS    (32 * 1024 / 4)
#define BUCKET      64

static QTestState *start(void)
{
    return qtest_init("-M xenpv-kvm -m 32");
}

static int64_t op(QTestState *qts, uint32_t cmd, void *data, uint32_t size)
{
    return xenpv_call(qts, XENPV_CALL_EVTCHN, cmd, data, size);
}

static int64_t alloc_unbound(QTestState *qts, uint16_t dom, uint16_t remote)
{
    struct evtchn_alloc_unbound a = { .dom = dom, .remote_dom = remote };
    int64_t ret = op(qts, EVTCHNOP_alloc_unbound, &a, sizeof(a));

    return ret ?: a.port;
}

static int64_t bind_interdomain(QTestState *qts, uint16_t dom, uint32_t port)
{
    struct evtchn_bind_interdomain b = {
        .remote_dom = dom, .remote_port = port
    };
    int64_t ret = op(qts, EVTCHNOP_bind_interdomain, &b, sizeof(b));

    return ret ?: b.local_port;
}

static int64_t bind_virq(QTestState *qts, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq b = { .virq = virq, .vcpu = vcpu };
    int64_t ret = op(qts, EVTCHNOP_bind_virq, &b, sizeof(b));

    return ret ?: b.port;
}

static int64_t bind_ipi(QTestState *qts, uint32_t vcpu)
{
    struct evtchn_bind_ipi b = { .vcpu = vcpu };
    int64_t ret = op(qts, EVTCHNOP_bind_ipi, &b, sizeof(b));

    return ret ?: b.port;
}

static int64_t bind_vcpu(QTestState *qts, uint32_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu b = { .port = port, .vcpu = vcpu };

    return op(qts, EVTCHNOP_bind_vcpu, &b, sizeof(b));
}

static int64_t close_port(QTestState *qts, uint32_t port)
{
    struct evtchn_close c = { .port = port };

    return op(qts, EVTCHNOP_close, &c, sizeof(c));
}

static int64_t send_port(QTestState *qts, uint32_t port)
{
    struct evtchn_send s = { .port = port };

    return op(qts, EVTCHNOP_send, &s, sizeof(s));
}

static int64_t get_status(QTestState *qts, uint16_t dom, uint32_t port,
                          struct evtchn_status *s)
{
    *s = (struct evtchn_status) { .dom = dom, .port = port };
    return op(qts, EVTCHNOP_status, s, sizeof(*s));
}

static void assert_status(QTestState *qts, uint32_t port, uint32_t status)
{
    struct evtchn_status s;

    g_assert_cmpint(get_status(qts, DOMID_SELF, port, &s), ==, 0);
    g_assert_cmpuint(s.status, ==, status);
}

/* What the monitor sees of a port */
static struct xenpv_evtchn shared_port(QTestState *qts, uint32_t port)
{
    struct xenpv_evtchn e;

    qtest_memread(qts, xenpv_core(XENPV_CORE_EVTCHN) + port * sizeof(e), &e,
                  sizeof(e));
    return e;
}

static void test_mailbox(void)
{
    QTestState *qts = start();
    uint64_t box = xenpv_mailbox(0);
    uint8_t data[16] = { 0 };

    g_assert_cmpint(xenpv_call(qts, 0, 0, data, 16), ==, -XEN_ENOSYS);
    g_assert_cmpint(xenpv_call(qts, 99, 0, data, 16), ==, -XEN_ENOSYS);
    g_assert_cmpint(op(qts, 99, data, 16), ==, -XEN_ENOSYS);

    /* More data than a mailbox has */
    qtest_writel(qts, box, XENPV_CALL_EVTCHN);
    qtest_writel(qts, box + offsetof(struct xenpv_mailbox, size), 4096);
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0);
    g_assert_cmpint((int64_t)qtest_readq(qts, box + 8), ==, -XEN_E2BIG);
    qtest_writel(qts, box + offsetof(struct xenpv_mailbox, size), 0xffffffff);
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0);
    g_assert_cmpint((int64_t)qtest_readq(qts, box + 8), ==, -XEN_E2BIG);

    /* No such vCPU; wrong sizes; reads */
    qtest_writeq(qts, box + 8, 1234);
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_CALL, 1);
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0xffffffff);
    qtest_outb(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0);
    qtest_outw(qts, XENPV_IO_BASE + XENPV_IO_CALL, 0);
    qtest_outl(qts, XENPV_IO_BASE + XENPV_IO_LOG, 'x');
    g_assert_cmpint(qtest_readq(qts, box + 8), ==, 1234);
    g_assert_cmphex(qtest_inl(qts, XENPV_IO_BASE + XENPV_IO_CALL), ==,
                    0xffffffff);
    /* A send to what has no back end */
    xenpv_send(qts, 0);
    xenpv_send(qts, 4095);
    xenpv_send(qts, 0xffffffff);

    /* console_io: a domU may only write */
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_CONSOLE, 1, data, 16), ==,
                    -XEN_EPERM);
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_CONSOLE, 7, data, 16), ==,
                    -XEN_EPERM);
    qtest_quit(qts);
}

static void test_unbound(void)
{
    QTestState *qts = start();
    struct evtchn_status s;
    int64_t port;

    g_assert_cmpuint(shared_port(qts, 0).state, ==, XENPV_EVTCHN_RESERVED);
    /* Lowest first */
    port = alloc_unbound(qts, DOMID_SELF, 0);
    g_assert_cmpint(port, ==, XENPV_QTEST_PORT_FREE);
    g_assert_cmpint(alloc_unbound(qts, XENPV_DOMID, 0), ==, port + 1);
    g_assert_cmpint(alloc_unbound(qts, DOMID_SELF, DOMID_NOBODY), ==, port + 2);
    g_assert_cmpint(close_port(qts, port), ==, 0);
    g_assert_cmpint(alloc_unbound(qts, DOMID_SELF, DOMID_SELF), ==, port);

    g_assert_cmpint(alloc_unbound(qts, 0, 0), ==, -XEN_EPERM);
    g_assert_cmpint(alloc_unbound(qts, DOMID_NOBODY, 0), ==, -XEN_ESRCH);

    g_assert_cmpint(get_status(qts, DOMID_SELF, port, &s), ==, 0);
    g_assert_cmpuint(s.status, ==, EVTCHNSTAT_unbound);
    g_assert_cmpuint(s.u.unbound.dom, ==, XENPV_DOMID);
    g_assert_cmpuint(s.vcpu, ==, 0);
    g_assert_cmpuint(shared_port(qts, port).state, ==, XENPV_EVTCHN_UNBOUND);
    /* Sending is fine, and nobody hears it */
    g_assert_cmpint(send_port(qts, port), ==, 0);

    /* Nobody can bind to what is not offered to the guest itself */
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, port + 1), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, port + 2), ==,
                    -XEN_EINVAL);
    qtest_quit(qts);
}

static void test_status(void)
{
    QTestState *qts = start();
    struct evtchn_status s;

    assert_status(qts, 0, EVTCHNSTAT_closed);
    assert_status(qts, BUCKET - 1, EVTCHNSTAT_closed);
    /* Not in a bucket yet */
    g_assert_cmpint(get_status(qts, DOMID_SELF, BUCKET, &s), ==, -XEN_EINVAL);
    g_assert_cmpint(get_status(qts, DOMID_SELF, 0xffffffff, &s), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(get_status(qts, 0, 1, &s), ==, -XEN_EPERM);
    g_assert_cmpint(get_status(qts, DOMID_NOBODY, 1, &s), ==, -XEN_ESRCH);

    /* xenstore has bound the port that it was offered */
    g_assert_cmpint(get_status(qts, DOMID_SELF, XENPV_QTEST_PORT_XENSTORE, &s),
                    ==, 0);
    g_assert_cmpuint(s.status, ==, EVTCHNSTAT_interdomain);
    g_assert_cmpuint(s.u.interdomain.dom, ==, 0);
    g_assert_cmpuint(s.u.interdomain.port, !=, 0);
    qtest_quit(qts);
}

static void test_virq(void)
{
    QTestState *qts = start();
    struct evtchn_status s;
    int64_t port = bind_virq(qts, VIRQ_TIMER, 0);

    g_assert_cmpint(port, ==, XENPV_QTEST_PORT_FREE);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, -XEN_EEXIST);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 1), ==, -XEN_ENOENT);
    g_assert_cmpint(bind_virq(qts, VIRQ_DEBUG, 64), ==, -XEN_ENOENT);
    g_assert_cmpint(bind_virq(qts, VIRQ_CONSOLE, 1), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_virq(qts, NR_VIRQS, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_virq(qts, 0xffffffff, 0), ==, -XEN_EINVAL);

    g_assert_cmpint(get_status(qts, DOMID_SELF, port, &s), ==, 0);
    g_assert_cmpuint(s.status, ==, EVTCHNSTAT_virq);
    g_assert_cmpuint(s.u.virq, ==, VIRQ_TIMER);
    g_assert_cmpuint(shared_port(qts, port).state, ==, XENPV_EVTCHN_VIRQ);
    g_assert_cmpuint(shared_port(qts, port).arg, ==, VIRQ_TIMER);
    /* Those of a vCPU stay there; nobody sends a VIRQ by hand */
    g_assert_cmpint(bind_vcpu(qts, port, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(send_port(qts, port), ==, -XEN_EINVAL);

    g_assert_cmpint(close_port(qts, port), ==, 0);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, port);
    port = bind_virq(qts, VIRQ_ARGO, 0);
    g_assert_cmpint(port, >, 0);
    g_assert_cmpint(bind_vcpu(qts, port, 0), ==, 0);
    qtest_quit(qts);
}

static void test_ipi(void)
{
    QTestState *qts = start();
    int64_t port = bind_ipi(qts, 0);

    g_assert_cmpint(port, ==, XENPV_QTEST_PORT_FREE);
    g_assert_cmpint(bind_ipi(qts, 1), ==, -XEN_ENOENT);
    g_assert_cmpint(bind_ipi(qts, 0xffffffff), ==, -XEN_ENOENT);
    assert_status(qts, port, EVTCHNSTAT_ipi);
    g_assert_cmpint(bind_vcpu(qts, port, 0), ==, -XEN_EINVAL);
    xenpv_drop_events(qts);
    g_assert_cmpint(send_port(qts, port), ==, 0);
    g_assert_true(xenpv_take_event(qts, port));
    g_assert_false(xenpv_take_event(qts, port));
    /* Closed: what was pending is gone */
    g_assert_cmpint(send_port(qts, port), ==, 0);
    g_assert_cmpint(close_port(qts, port), ==, 0);
    g_assert_false(xenpv_take_event(qts, port));
    g_assert_cmpint(send_port(qts, port), ==, -XEN_EINVAL);
    qtest_quit(qts);
}

static void test_loopback(void)
{
    QTestState *qts = start();
    struct evtchn_status s;
    int64_t a, b;

    xenpv_drop_events(qts);
    a = alloc_unbound(qts, DOMID_SELF, DOMID_SELF);
    b = bind_interdomain(qts, DOMID_SELF, a);
    g_assert_cmpint(b, ==, a + 1);
    /* Who binds gets an event, as it may have missed one */
    g_assert_true(xenpv_take_event(qts, b));
    g_assert_false(xenpv_take_event(qts, a));

    g_assert_cmpint(get_status(qts, DOMID_SELF, a, &s), ==, 0);
    g_assert_cmpuint(s.status, ==, EVTCHNSTAT_interdomain);
    g_assert_cmpuint(s.u.interdomain.dom, ==, XENPV_DOMID);
    g_assert_cmpuint(s.u.interdomain.port, ==, b);
    g_assert_cmpuint(shared_port(qts, a).state, ==, XENPV_EVTCHN_LOOPBACK);
    g_assert_cmpuint(shared_port(qts, a).arg, ==, b);
    g_assert_cmpuint(shared_port(qts, b).arg, ==, a);

    g_assert_cmpint(send_port(qts, a), ==, 0);
    g_assert_true(xenpv_take_event(qts, b));
    g_assert_cmpint(send_port(qts, b), ==, 0);
    g_assert_true(xenpv_take_event(qts, a));

    /* Bound already; to itself; nobody there */
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, a), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, b + 1), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, 0xffffffff), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, DOMID_NOBODY, a), ==, -XEN_ESRCH);
    g_assert_cmpint(bind_interdomain(qts, 0, 4000), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_interdomain(qts, 0, 0xffffffff), ==, -XEN_EINVAL);

    /* The other end waits again */
    g_assert_cmpint(close_port(qts, b), ==, 0);
    assert_status(qts, a, EVTCHNSTAT_unbound);
    assert_status(qts, b, EVTCHNSTAT_closed);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, a), ==, b);
    qtest_quit(qts);
}

/* The guest's end of a back end's channel is closed and bound again */
static void test_backend(void)
{
    QTestState *qts = start();
    uint32_t port = XENPV_QTEST_PORT_XENSTORE, remote;
    struct evtchn_status s;
    int64_t again;

    g_assert_cmpint(get_status(qts, DOMID_SELF, port, &s), ==, 0);
    remote = s.u.interdomain.port;
    g_assert_cmpuint(shared_port(qts, port).state, ==,
                     XENPV_EVTCHN_INTERDOMAIN);
    g_assert_cmpint(send_port(qts, port), ==, 0);
    g_assert_cmpint(bind_vcpu(qts, port, 0), ==, 0);
    g_assert_cmpint(bind_vcpu(qts, port, 1), ==, -XEN_ENOENT);
    /* Taken */
    g_assert_cmpint(bind_interdomain(qts, 0, remote), ==, -XEN_EINVAL);

    g_assert_cmpint(close_port(qts, port), ==, 0);
    g_assert_cmpint(close_port(qts, port), ==, -XEN_EINVAL);
    xenpv_send(qts, port);
    xenpv_drop_events(qts);
    again = bind_interdomain(qts, 0, remote);
    g_assert_cmpint(again, ==, port);
    g_assert_true(xenpv_take_event(qts, again));
    g_assert_cmpint(get_status(qts, DOMID_SELF, again, &s), ==, 0);
    g_assert_cmpuint(s.u.interdomain.port, ==, remote);
    qtest_quit(qts);
}

static void test_close(void)
{
    QTestState *qts = start();

    g_assert_cmpint(close_port(qts, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(close_port(qts, XENPV_QTEST_PORT_FREE), ==, -XEN_EINVAL);
    g_assert_cmpint(close_port(qts, BUCKET), ==, -XEN_EINVAL);
    g_assert_cmpint(close_port(qts, 0xffffffff), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_vcpu(qts, 0, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(bind_vcpu(qts, XENPV_QTEST_PORT_FREE, 0), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(bind_vcpu(qts, 0xffffffff, 0), ==, -XEN_EINVAL);
    qtest_quit(qts);
}

static void test_unmask(void)
{
    QTestState *qts = start();
    uint64_t pending = xenpv_core(XENPV_CORE_SHARED_INFO) + 2048;
    uint64_t mask = pending + (xenpv_is_64bit() ? 512 : 128);
    struct evtchn_unmask u = { .port = bind_ipi(qts, 0) };

    xenpv_drop_events(qts);
    qtest_writeb(qts, mask, 1 << u.port);
    g_assert_cmpint(op(qts, EVTCHNOP_unmask, &u, sizeof(u)), ==, 0);
    g_assert_cmphex(qtest_readb(qts, mask), ==, 0);
    g_assert_false(xenpv_take_event(qts, u.port));

    qtest_writeb(qts, mask, 1 << u.port);
    qtest_writeb(qts, pending, 1 << u.port);
    g_assert_cmpint(op(qts, EVTCHNOP_unmask, &u, sizeof(u)), ==, 0);
    g_assert_true(xenpv_take_event(qts, u.port));

    u.port = 0xffffffff;
    g_assert_cmpint(op(qts, EVTCHNOP_unmask, &u, sizeof(u)), ==, -XEN_EINVAL);
    qtest_quit(qts);
}

/* All ports there are, and then not one more */
static void test_full(void)
{
    QTestState *qts = start();
    int64_t port;

    for (port = XENPV_QTEST_PORT_FREE; port < MAX_PORTS; port++) {
        g_assert_cmpint(alloc_unbound(qts, DOMID_SELF, DOMID_SELF), ==, port);
    }
    g_assert_cmpint(alloc_unbound(qts, DOMID_SELF, 0), ==, -XEN_ENOSPC);
    g_assert_cmpint(bind_ipi(qts, 0), ==, -XEN_ENOSPC);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, -XEN_ENOSPC);
    g_assert_cmpint(bind_interdomain(qts, DOMID_SELF, 5), ==, -XEN_ENOSPC);
    /* Nothing of that has left a trace */
    g_assert_cmpint(close_port(qts, MAX_PORTS - 1), ==, 0);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, MAX_PORTS - 1);
    qtest_quit(qts);
}

static void test_reset(void)
{
    QTestState *qts = start();
    struct evtchn_reset r = { .dom = DOMID_NOBODY };
    int64_t port;

    g_assert_cmpint(op(qts, EVTCHNOP_reset, &r, sizeof(r)), ==, -XEN_ESRCH);
    r.dom = 0;
    g_assert_cmpint(op(qts, EVTCHNOP_reset, &r, sizeof(r)), ==, -XEN_EPERM);
    port = bind_virq(qts, VIRQ_TIMER, 0);
    r.dom = DOMID_SELF;
    g_assert_cmpint(op(qts, EVTCHNOP_reset, &r, sizeof(r)), ==, 0);
    for (uint32_t i = 1; i <= port; i++) {
        assert_status(qts, i, EVTCHNSTAT_closed);
    }
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, 1);

    /* The machine's reset goes back to what a new domain has */
    qtest_system_reset(qts);
    assert_status(qts, XENPV_QTEST_PORT_XENSTORE, EVTCHNSTAT_interdomain);
    assert_status(qts, XENPV_QTEST_PORT_FREE, EVTCHNSTAT_closed);
    g_assert_cmpint(bind_virq(qts, VIRQ_TIMER, 0), ==, XENPV_QTEST_PORT_FREE);
    qtest_quit(qts);
}

/* The FIFO ABI, as far as it is the machine's: who has registered what */

static int64_t init_control(QTestState *qts, uint64_t mfn, uint32_t offset,
                            uint32_t vcpu)
{
    struct evtchn_init_control c = {
        .control_gfn = mfn, .offset = offset, .vcpu = vcpu
    };
    int64_t ret = op(qts, EVTCHNOP_init_control, &c, sizeof(c));

    if (!ret) {
        g_assert_cmpuint(c.link_bits, ==, EVTCHN_FIFO_LINK_BITS);
    }
    return ret;
}

static int64_t expand_array(QTestState *qts, uint64_t mfn)
{
    struct evtchn_expand_array e = { .array_gfn = mfn };

    return op(qts, EVTCHNOP_expand_array, &e, sizeof(e));
}

static int64_t set_priority(QTestState *qts, uint32_t port, uint32_t priority)
{
    struct evtchn_set_priority p = { .port = port, .priority = priority };

    return op(qts, EVTCHNOP_set_priority, &p, sizeof(p));
}

static struct xenpv_fifo shared_fifo(QTestState *qts)
{
    struct xenpv_fifo f;

    qtest_memread(qts, xenpv_core(XENPV_CORE_FIFO), &f, sizeof(f));
    return f;
}

static uint64_t word(uint32_t port)
{
    return ARRAY_MFN * XENPV_PAGE + port * 4;
}

static void test_fifo(void)
{
    QTestState *qts = qtest_init("-M xenpv-kvm -m 32 -smp 2");
    struct evtchn_unmask u = { .port = bind_ipi(qts, 0) };
    struct xenpv_fifo f;

    /* Nothing of this changes anything */
    g_assert_cmpint(expand_array(qts, ARRAY_MFN), ==, -XEN_EOPNOTSUPP);
    g_assert_cmpint(set_priority(qts, u.port, 3), ==, -XEN_ENOSYS);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 2), ==, -XEN_ENOENT);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 4096 - 64, 0), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0xfffffff8, 0), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 4, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, RAM_MFNS, 0, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, UINT64_MAX, 0, 0), ==, -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, XENPV_CORE_GPA >> 12, 0, 0), ==,
                    -XEN_EINVAL);
    g_assert_cmpuint(shared_fifo(qts).active, ==, 0);

    g_assert_cmpint(init_control(qts, CONTROL_MFN, 4096 - 72, 1), ==, 0);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 1), ==, -XEN_EINVAL);
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 0), ==, 0);
    f = shared_fifo(qts);
    g_assert_cmpuint(f.active, ==, 1);
    g_assert_cmpuint(f.nr_ports, ==, 0);
    g_assert_cmphex(f.control[0], ==, CONTROL_MFN << 12 | XENPV_FIFO_CONTROL);
    g_assert_cmphex(f.control[1], ==,
                    (CONTROL_MFN << 12) + 4096 - 72 + XENPV_FIFO_CONTROL);

    g_assert_cmpint(expand_array(qts, RAM_MFNS), ==, -XEN_EINVAL);
    g_assert_cmpint(expand_array(qts, XENPV_CORE_GPA >> 12), ==, -XEN_EINVAL);
    g_assert_cmpint(expand_array(qts, UINT64_MAX), ==, -XEN_EINVAL);
    g_assert_cmpint(expand_array(qts, ARRAY_MFN), ==, 0);
    f = shared_fifo(qts);
    g_assert_cmpuint(f.nr_ports, ==, XENPV_FIFO_WORDS);
    g_assert_cmphex(f.array[0], ==, ARRAY_MFN);

    g_assert_cmpint(set_priority(qts, u.port, 16), ==, -XEN_EINVAL);
    g_assert_cmpint(set_priority(qts, BUCKET, 1), ==, -XEN_EINVAL);
    g_assert_cmpint(set_priority(qts, u.port + 1, 1), ==, -XEN_EACCES);
    g_assert_cmpint(set_priority(qts, u.port, 15), ==, 0);
    g_assert_cmpuint(shared_port(qts, u.port).priority, ==, 15);
    g_assert_cmpint(close_port(qts, u.port), ==, 0);
    g_assert_cmpint(bind_ipi(qts, 1), ==, u.port);
    g_assert_cmpuint(shared_port(qts, u.port).priority, ==,
                     EVTCHN_FIFO_PRIORITY_DEFAULT);

    xenpv_drop_events(qts);
    qtest_writel(qts, word(u.port), 1U << EVTCHN_FIFO_PENDING |
                                    1U << EVTCHN_FIFO_MASKED);
    g_assert_cmpint(op(qts, EVTCHNOP_unmask, &u, sizeof(u)), ==, 0);
    g_assert_cmphex(qtest_readl(qts, word(u.port)), ==,
                    1U << EVTCHN_FIFO_PENDING);
    g_assert_false(xenpv_take_event(qts, u.port));
    g_assert_true(xenpv_take_vcpu_event(qts, 1, u.port));

    /* Closed while on a list of the guest's: nobody gets it until it is off */
    qtest_writel(qts, word(u.port), 1U << EVTCHN_FIFO_PENDING |
                                    1U << EVTCHN_FIFO_LINKED | 77);
    g_assert_cmpint(close_port(qts, u.port), ==, 0);
    g_assert_cmphex(qtest_readl(qts, word(u.port)), ==,
                    1U << EVTCHN_FIFO_LINKED | 77);
    g_assert_cmpint(bind_ipi(qts, 0), ==, u.port + 1);
    qtest_writel(qts, word(u.port), 0);
    g_assert_cmpint(bind_ipi(qts, 0), ==, u.port);
    qtest_quit(qts);
}

/* All ports of the FIFO ABI, some words of which are anywhere; and a reset */
static void test_fifo_full(void)
{
    QTestState *qts = qtest_init("-M xenpv-kvm -m 32");
    struct evtchn_reset r = { .dom = DOMID_SELF };
    const int64_t last = XENPV_NR_PORTS - 1;
    int64_t port;

    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 0), ==, 0);
    for (uint32_t i = 0; i < XENPV_FIFO_FRAMES; i++) {
        g_assert_cmpint(expand_array(qts, ARRAY_MFN + i), ==, 0);
    }
    g_assert_cmpint(expand_array(qts, ARRAY_MFN), ==, -XEN_ENOSPC);
    /* Every other word says that its port is on a list */
    for (uint32_t p = XENPV_QTEST_PORT_FREE; p < 40000; p++) {
        qtest_writel(qts, word(p), 1U << EVTCHN_FIFO_LINKED);
    }
    g_assert_cmpint(bind_ipi(qts, 0), ==, 40000);
    for (port = 40001; port < 46000; port++) {
        g_assert_cmpint(bind_ipi(qts, 0), ==, port);
    }
    xenpv_drop_events(qts);
    g_assert_cmpint(send_port(qts, port - 1), ==, 0);
    g_assert_true(xenpv_take_event(qts, port - 1));
    g_assert_cmpint(send_port(qts, port - 1), ==, 0);
    g_assert_cmpint(close_port(qts, port - 1), ==, 0);
    g_assert_false(xenpv_take_event(qts, port - 1));
    /* The others are all taken, as far as words tell */
    for (; port <= last; port++) {
        qtest_writel(qts, word(port), 1U << EVTCHN_FIFO_LINKED);
    }
    g_assert_cmpint(bind_ipi(qts, 0), ==, 45999);
    g_assert_cmpint(bind_ipi(qts, 0), ==, -XEN_ENOSPC);
    qtest_writel(qts, word(last), 0);
    g_assert_cmpint(bind_ipi(qts, 0), ==, last);
    g_assert_cmpint(send_port(qts, last), ==, 0);
    g_assert_true(xenpv_take_event(qts, last));

    g_assert_cmpint(op(qts, EVTCHNOP_reset, &r, sizeof(r)), ==, 0);
    g_assert_cmpuint(shared_fifo(qts).active, ==, 0);
    g_assert_cmpint(expand_array(qts, ARRAY_MFN), ==, -XEN_EOPNOTSUPP);
    /* Words do not count any more */
    for (port = 1; port < MAX_PORTS; port++) {
        g_assert_cmpint(bind_ipi(qts, 0), ==, port);
    }
    g_assert_cmpint(bind_ipi(qts, 0), ==, -XEN_ENOSPC);
    /* The machine's reset forgets it, too */
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 0), ==, 0);
    qtest_system_reset(qts);
    g_assert_cmpuint(shared_fifo(qts).active, ==, 0);
    g_assert_cmpint(set_priority(qts, XENPV_QTEST_PORT_XENSTORE, 1), ==,
                    -XEN_ENOSYS);
    qtest_quit(qts);
}

/* QMP's view: xen-event-list and xen-event-inject */

static QDict *list_port(QTestState *qts, uint32_t port)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'xen-event-list'}");
    QList *list = qdict_get_qlist(rsp, "return");
    QDict *found = NULL;
    QListEntry *e;

    QLIST_FOREACH_ENTRY(list, e) {
        QDict *info = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(info, "port") == port) {
            g_assert_null(found);
            found = info;
        }
    }
    qobject_ref(found);
    qobject_unref(rsp);
    return found;
}

static void assert_listed(QTestState *qts, uint32_t port, const char *type,
                          const char *remote, bool pending, bool masked)
{
    QDict *info = list_port(qts, port);

    g_assert_nonnull(info);
    g_assert_cmpstr(qdict_get_str(info, "type"), ==, type);
    g_assert_cmpstr(qdict_get_str(info, "remote-domain"), ==, remote);
    g_assert_cmpint(qdict_get_bool(info, "pending"), ==, pending);
    g_assert_cmpint(qdict_get_bool(info, "masked"), ==, masked);
    qobject_unref(info);
}

static void assert_injected(QTestState *qts, uint32_t port, bool works)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'xen-event-inject',"
                           " 'arguments': {'port': %u}}", port);

    g_assert_cmpint(qdict_haskey(rsp, "return"), ==, works);
    qobject_unref(rsp);
}

/* HMP has the commands where QEMU has KVM's Xen emulation */
static bool has_hmp_commands(QTestState *qts)
{
    char *text = qtest_hmp(qts, "help xen-event-list");
    bool has = strstr(text, "list event channel");

    g_free(text);
    return has;
}

static void test_qmp(void)
{
    QTestState *qts = start();
    uint64_t pending = xenpv_core(XENPV_CORE_SHARED_INFO) + 2048;
    uint64_t mask = pending + (xenpv_is_64bit() ? 512 : 128);
    int64_t virq = bind_virq(qts, VIRQ_TIMER, 0), ipi = bind_ipi(qts, 0);
    int64_t unbound = alloc_unbound(qts, DOMID_SELF, DOMID_SELF), bound;
    QDict *info;
    char *text;

    assert_listed(qts, XENPV_QTEST_PORT_XENSTORE, "interdomain", "qemu", false,
                  false);
    assert_listed(qts, virq, "virq", "", false, false);
    assert_listed(qts, ipi, "ipi", "", false, false);
    assert_listed(qts, unbound, "unbound", "", false, false);
    g_assert_null(list_port(qts, 0));
    g_assert_null(list_port(qts, unbound + 1));
    bound = bind_interdomain(qts, DOMID_SELF, unbound);
    assert_listed(qts, unbound, "interdomain", "loopback", false, false);
    info = list_port(qts, unbound);
    g_assert_cmpint(qdict_get_int(info, "target"), ==, bound);
    qobject_unref(info);
    qtest_writeb(qts, pending, 1 << ipi);
    qtest_writeb(qts, mask, 1 << virq);
    assert_listed(qts, ipi, "ipi", "", true, false);
    assert_listed(qts, virq, "virq", "", false, true);

    xenpv_drop_events(qts);
    assert_injected(qts, ipi, true);
    g_assert_true(xenpv_take_event(qts, ipi));
    assert_injected(qts, virq, true);
    g_assert_true(xenpv_take_event(qts, virq));
    assert_injected(qts, 0, false);
    assert_injected(qts, bound + 1, false);
    assert_injected(qts, 0xffffffff, false);

    /* The FIFO ABI has the bits in the port's word */
    g_assert_cmpint(init_control(qts, CONTROL_MFN, 0, 0), ==, 0);
    assert_listed(qts, ipi, "ipi", "", false, false);
    g_assert_cmpint(expand_array(qts, ARRAY_MFN), ==, 0);
    qtest_writel(qts, word(ipi), 1U << EVTCHN_FIFO_MASKED);
    assert_listed(qts, ipi, "ipi", "", false, true);
    qtest_writel(qts, word(ipi), 1U << EVTCHN_FIFO_PENDING);
    assert_listed(qts, ipi, "ipi", "", true, false);
    g_assert_cmpint(close_port(qts, ipi), ==, 0);
    g_assert_null(list_port(qts, ipi));

    if (has_hmp_commands(qts)) {
        text = qtest_hmp(qts, "xen-event-list");
        g_assert_nonnull(strstr(text, "virq(0)"));
        g_free(text);
        xenpv_drop_events(qts);
        g_free(qtest_hmp(qts, "xen-event-inject %u", (unsigned)virq));
        g_assert_true(xenpv_take_event(qts, virq));
    }
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/call/mailbox", test_mailbox);
    qtest_add_func("/xenpv/evtchn/unbound", test_unbound);
    qtest_add_func("/xenpv/evtchn/status", test_status);
    qtest_add_func("/xenpv/evtchn/virq", test_virq);
    qtest_add_func("/xenpv/evtchn/ipi", test_ipi);
    qtest_add_func("/xenpv/evtchn/loopback", test_loopback);
    qtest_add_func("/xenpv/evtchn/backend", test_backend);
    qtest_add_func("/xenpv/evtchn/close", test_close);
    qtest_add_func("/xenpv/evtchn/unmask", test_unmask);
    qtest_add_func("/xenpv/evtchn/full", test_full);
    qtest_add_func("/xenpv/evtchn/reset", test_reset);
    qtest_add_func("/xenpv/evtchn/qmp", test_qmp);
    qtest_add_func("/xenpv/evtchn/fifo", test_fifo);
    qtest_add_func("/xenpv/evtchn/fifo-full", test_fifo_full);
    return g_test_run();
}
