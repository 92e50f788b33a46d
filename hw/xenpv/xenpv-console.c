/*
 * The primary console of Xen guests
 *
 * Its ring and its port are made by the domain's builder, so that the guest
 * can use it from its first instruction on, without xenstore: this is not a
 * device of the Xen bus. (Further consoles are: -device xen-console.)
 *
 * No byte is lost either way. Output stays in the guest's ring until the
 * character device takes it, which makes the guest wait; input stays with the
 * character device until there is room in the ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "chardev/char-fe.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/interface/io/console.h"
#include "trace.h"

struct XenPVConsoleState {
    SysBusDevice parent_obj;

    uint16_t domid;
    CharBackend chr;

    struct xencons_interface *ring;     /* NULL: the guest is not there yet */
    struct xenevtchn_handle *eh;
    int port;
    guint watch;            /* for the character device to take more */
    bool was_full;          /* it waits to give us more */
};

#define OUT_SIZE    sizeof_field(struct xencons_interface, out)
#define IN_SIZE     sizeof_field(struct xencons_interface, in)

static void send_output(XenPVConsoleState *s);

static void notify_guest(XenPVConsoleState *s)
{
    if (s->port) {
        qemu_xen_evtchn_notify(s->eh, s->port);
    }
}

static gboolean can_take_more(void *unused, GIOCondition cond, void *opaque)
{
    XenPVConsoleState *s = opaque;

    s->watch = 0;
    send_output(s);
    return G_SOURCE_REMOVE;
}

static void send_output(XenPVConsoleState *s)
{
    uint32_t cons, prod;
    bool notify = false;

    if (!s->ring || s->watch) {
        return;
    }
    /* For what the guest adds meanwhile there will be another event */
    cons = le32_to_cpu(qatomic_read(&s->ring->out_cons));
    prod = le32_to_cpu(qatomic_read(&s->ring->out_prod));
    /* The text was there before the index said so */
    smp_rmb();
    if (prod - cons > OUT_SIZE) {
        return;
    }
    while (cons != prod) {
        uint8_t buf[OUT_SIZE];
        uint32_t at, len;
        int sent;

        at = MASK_XENCONS_IDX(cons, s->ring->out);
        len = MIN(prod - cons, OUT_SIZE - at);
        memcpy(buf, s->ring->out + at, len);
        sent = qemu_chr_fe_write(&s->chr, buf, len);
        if (sent <= 0) {
            s->watch = qemu_chr_fe_add_watch(&s->chr, G_IO_OUT | G_IO_HUP,
                                             can_take_more, s);
            if (s->watch) {
                break;
            }
            sent = len;         /* nobody is ever going to take it */
        }
        trace_xenpv_console_output(sent);
        cons += sent;
        /* We have read what the guest may overwrite now */
        smp_mb();
        qatomic_set(&s->ring->out_cons, cpu_to_le32(cons));
        notify = true;
    }
    if (notify) {
        notify_guest(s);
    }
}

static uint32_t input_room(XenPVConsoleState *s, uint32_t *prod)
{
    uint32_t cons;

    if (!s->ring) {
        return 0;
    }
    cons = le32_to_cpu(qatomic_read(&s->ring->in_cons));
    *prod = le32_to_cpu(qatomic_read(&s->ring->in_prod));
    /* The guest has read what is going to be overwritten */
    smp_mb();
    if (*prod - cons > IN_SIZE) {
        return 0;
    }
    return IN_SIZE - (*prod - cons);
}

static int console_can_receive(void *opaque)
{
    XenPVConsoleState *s = opaque;
    uint32_t prod, room = input_room(s, &prod);

    s->was_full = !room;
    return room;
}

static void console_receive(void *opaque, const uint8_t *buf, int size)
{
    XenPVConsoleState *s = opaque;
    uint32_t prod, room = input_room(s, &prod);
    uint32_t len = MIN(size, room);

    if (!len) {
        return;
    }
    for (uint32_t i = 0; i < len; i++) {
        s->ring->in[MASK_XENCONS_IDX(prod + i, s->ring->in)] = buf[i];
    }
    /* The text before its index */
    smp_wmb();
    qatomic_set(&s->ring->in_prod, cpu_to_le32(prod + len));
    trace_xenpv_console_input(len);
    notify_guest(s);
}

static void console_event(void *opaque)
{
    XenPVConsoleState *s = opaque;

    if (qemu_xen_evtchn_pending(s->eh) != s->port || !s->port) {
        return;
    }
    qemu_xen_evtchn_unmask(s->eh, s->port);
    send_output(s);
    if (s->was_full) {
        s->was_full = false;
        qemu_chr_fe_accept_input(&s->chr);
    }
}

void xenpv_console_reset(XenPVConsoleState *s)
{
    /* The last words of the guest that was */
    send_output(s);
    s->ring = NULL;
    if (s->watch) {
        g_source_remove(s->watch);
        s->watch = 0;
    }
    if (s->port) {
        qemu_xen_evtchn_unbind(s->eh, s->port);
        s->port = 0;
    }
}

void xenpv_console_start(XenPVConsoleState *s, uint64_t mfn, uint32_t port)
{
    s->ring = xenpv_frame_to_host(mfn);
    s->port = qemu_xen_evtchn_bind_interdomain(s->eh, s->domid, port);
    if (!s->ring || s->port < 0) {
        warn_report("the console cannot be bound to the guest's frame 0x%"
                    PRIx64 " and port %u", mfn, port);
        s->ring = NULL;
        s->port = 0;
        return;
    }
    qemu_chr_fe_accept_input(&s->chr);
}

bool xenpv_console_attach(XenPVConsoleState *s, Chardev *chr, Error **errp)
{
    if (qemu_chr_fe_backend_connected(&s->chr)) {
        return false;
    }
    if (chr && !qemu_chr_fe_init(&s->chr, chr, errp)) {
        return false;
    }
    qemu_chr_fe_set_handlers(&s->chr, console_can_receive, console_receive,
                             NULL, NULL, s, NULL, true);
    return true;
}

static void xenpv_console_realize(DeviceState *dev, Error **errp)
{
    XenPVConsoleState *s = XENPV_CONSOLE(dev);

    s->eh = qemu_xen_evtchn_open();
    if (!s->eh) {
        error_setg(errp, "no event channel for the console");
        return;
    }
    qemu_set_fd_handler(qemu_xen_evtchn_fd(s->eh), console_event, NULL, s);
    /* Without a character device output goes nowhere, but does go */
    qemu_chr_fe_set_handlers(&s->chr, console_can_receive, console_receive,
                             NULL, NULL, s, NULL, true);
}

static const Property xenpv_console_properties[] = {
    DEFINE_PROP_CHR("chardev", XenPVConsoleState, chr),
    DEFINE_PROP_UINT16("domid", XenPVConsoleState, domid, 1),
};

static void xenpv_console_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Primary console of the xenpv-kvm machine";
    dc->realize = xenpv_console_realize;
    device_class_set_props(dc, xenpv_console_properties);
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);
}

static const TypeInfo xenpv_console_info = {
    .name = TYPE_XENPV_CONSOLE,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(XenPVConsoleState),
    .class_init = xenpv_console_class_init,
};

static void xenpv_console_register_types(void)
{
    type_register_static(&xenpv_console_info);
}

type_init(xenpv_console_register_types)
