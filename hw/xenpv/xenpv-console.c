/*
 * The consoles: the primary one, and xen-console, any number of further ones
 *
 * The domain builder makes the primary console's ring and port, so that the
 * guest can use them from its first instruction on, without xenstore. The
 * primary console is not a device of the Xen bus; further ones are. Both kinds
 * use one engine, Console, between a ring and a character device:
 *
 *  - Output stays in the guest's ring until the character device takes it: the
 *    guest waits, and nothing is lost. QEMU never waits. Output that a
 *    character device will never take, because nobody is connected to it or
 *    because it is broken, is dropped.
 *  - Input stays with the character device until there is room in the ring.
 *  - Text that cannot wait in a ring waits in a queue of QUEUE_SIZE bytes, and
 *    is sent before the ring's. This is what the guest prints by console_io
 *    (the emergency console, which the primary one has), and what a guest that
 *    is gone has left in its ring. If the queue is full, text is lost, and in
 *    its place the output says how much.
 *
 * Nothing about the ring is kept here: its indexes are read and checked each
 * time that they are used. So migration only saves a console's queue, and how
 * much text is lost.
 *
 * While the machine is stopped, nothing here touches the ring: wherever the
 * domain goes on, only the ring in memory says what has been written and read.
 *
 * All of it runs with the BQL held, in the main loop or in a vCPU's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/fifo8.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-events-char.h"
#include "chardev/char.h"
#include "chardev/char-fe.h"
#include "hw/xen/interface/io/ring.h"
#include "hw/xen/interface/io/console.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/xen-backend.h"
#include "hw/xen/xen-bus-helper.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-messages.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "xenpv-page-device.h"
#include "xenpv-platform.h"
#include "trace.h"

#define OUT_SIZE    sizeof_field(struct xencons_interface, out)
#define IN_SIZE     sizeof_field(struct xencons_interface, in)
/* Four times what Xen has for its own console */
#define QUEUE_SIZE  (64 * KiB)
/*
 * How long a pass may give output to a character device before other work has
 * its turn. The device may take its time: QEMU's own vc draws all text at once,
 * and scrolls a large picture for each line. So the first piece of a pass has
 * PIECE_SIZE bytes, and each one after it twice as many as the last.
 */
#define PASS_NS     (1 * SCALE_MS)
#define PIECE_SIZE  8
/* Consoles that a domain may have, numbered from 0 as in xenstore */
#define NR_CONSOLES 100

/* One turn's work on output */
typedef struct Pass {
    int64_t deadline;
    uint32_t piece;         /* the largest size of the next piece */
} Pass;

typedef struct Console {
    CharFrontend *chr;
    struct xencons_interface *ring;     /* NULL: no guest is connected */
    void (*notify)(void *opaque);       /* send the guest an event */
    void *opaque;

    Fifo8 queue;
    uint64_t lost;          /* bytes that found no room after the queue */
    Fifo8 saved;            /* .queue, for migration; it shares the text */

    QEMUBH *bh;
    VMChangeStateEntry *vm_change;
    guint watch;            /* until the character device takes more */
    bool deaf;              /* nobody in the guest would read input */
    bool was_full;          /* the character device waits to give us input */
} Console;

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

static void pump(Console *c);

/* Tell the guest, and migration, that the ring has changed */
static void tell_guest(Console *c)
{
    xenpv_memory_written(c->ring, sizeof(*c->ring));
    c->notify(c->opaque);
}

static gboolean can_take_more(void *unused, GIOCondition cond, void *opaque)
{
    Console *c = opaque;

    c->watch = 0;
    pump(c);
    return G_SOURCE_REMOVE;
}

static void stop_watching(Console *c)
{
    if (c->watch) {
        g_source_remove(c->watch);
        c->watch = 0;
    }
}

/*
 * Returns how many bytes the character device has taken, or will never take. If
 * 0, can_take_more() is called when it takes more.
 */
static uint32_t write_some(Console *c, const uint8_t *buf, uint32_t len)
{
    int sent;

    errno = 0;
    sent = qemu_chr_fe_write(c->chr, buf, len);
    if (sent > 0) {
        return sent;
    }
    if (sent == 0 || errno == EAGAIN) {
        /* A pipe that is full and has no reader only reports G_IO_ERR */
        c->watch = qemu_chr_fe_add_watch(c->chr,
                                         G_IO_OUT | G_IO_HUP | G_IO_ERR,
                                         can_take_more, c);
        if (c->watch) {
            return 0;
        }
    }
    return len;
}

/* Called after each piece. If it is over, the BH makes a pass for the rest. */
static bool pass_is_over(Console *c, Pass *pass)
{
    if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) < pass->deadline) {
        pass->piece = MIN(2 * pass->piece, OUT_SIZE);
        return false;
    }
    qemu_bh_schedule(c->bh);
    return true;
}

/* Returns whether the queue is empty then, and there is time for more */
static bool send_queue(Console *c, Pass *pass)
{
    while (!fifo8_is_empty(&c->queue)) {
        uint32_t max = MIN(fifo8_num_used(&c->queue), pass->piece), len, sent;
        const uint8_t *buf = fifo8_peek_bufptr(&c->queue, max, &len);

        sent = write_some(c, buf, len);
        if (!sent) {
            return false;
        }
        fifo8_drop(&c->queue, sent);
        if (pass_is_over(c, pass)) {
            return false;
        }
    }
    return true;
}

/*
 * Once text is lost, the queue takes no more until it is empty and the output
 * has said so: so there is one such message each time that the queue was full.
 */
static void queue_text(Console *c, const uint8_t *text, uint32_t len)
{
    uint32_t room = c->lost ? 0 : fifo8_num_free(&c->queue);
    uint32_t fits = MIN(len, room);

    fifo8_push_all(&c->queue, text, fits);
    c->lost += len - fits;
}

static void queue_lost(Console *c)
{
    g_autofree char *text = g_strdup_printf("\r\n[%" PRIu64 " characters are "
                                            "lost here]\r\n", c->lost);

    trace_xenpv_console_lost(c->lost);
    c->lost = 0;
    queue_text(c, (uint8_t *)text, strlen(text));
}

/* Bytes of output in the ring; if the guest adds more, it sends an event */
static uint32_t output_len(Console *c, uint32_t *cons)
{
    uint32_t prod;

    *cons = le32_to_cpu(qatomic_read(&c->ring->out_cons));
    prod = le32_to_cpu(qatomic_read(&c->ring->out_prod));
    /* Read the text only after the index that covers it */
    smp_rmb();
    return prod - *cons > OUT_SIZE ? 0 : prod - *cons;
}

/* Copy as much of it as is contiguous in the ring */
static uint32_t copy_piece(Console *c, uint32_t cons, uint32_t len,
                           uint8_t *buf)
{
    uint32_t at = MASK_XENCONS_IDX(cons, c->ring->out);

    len = MIN(len, OUT_SIZE - at);
    memcpy(buf, c->ring->out + at, len);
    return len;
}

static void send_ring(Console *c, Pass *pass)
{
    uint8_t buf[OUT_SIZE];
    uint32_t cons, len = output_len(c, &cons);
    bool any = false;

    while (len) {
        uint32_t piece = copy_piece(c, cons, MIN(len, pass->piece), buf);
        uint32_t sent = write_some(c, buf, piece);

        if (!sent) {
            break;
        }
        trace_xenpv_console_output(sent);
        cons += sent;
        len -= sent;
        /* Read the text before the guest may overwrite it */
        smp_mb();
        qatomic_set(&c->ring->out_cons, cpu_to_le32(cons));
        any = true;
        if (len && pass_is_over(c, pass)) {
            break;
        }
    }
    if (any) {
        tell_guest(c);
    }
}

/* Send as much output as the character device takes and there is time for */
static void pump(Console *c)
{
    Pass pass = {
        .deadline = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + PASS_NS,
        .piece = PIECE_SIZE,
    };

    if (c->watch || !send_queue(c, &pass)) {
        return;
    }
    if (c->lost) {
        queue_lost(c);
        if (!send_queue(c, &pass)) {
            return;
        }
    }
    if (c->ring && runstate_is_running()) {
        send_ring(c, &pass);
    }
}

static void pump_bh(void *opaque)
{
    pump(opaque);
}

/* ------------------------------------------------------------------------- */
/* Input                                                                      */

static uint32_t input_room(Console *c, uint32_t *prod)
{
    uint32_t cons;

    if (!c->ring || c->deaf || !runstate_is_running()) {
        return 0;
    }
    cons = le32_to_cpu(qatomic_read(&c->ring->in_cons));
    *prod = le32_to_cpu(qatomic_read(&c->ring->in_prod));
    /* Overwrite only what the guest has read */
    smp_mb();
    if (*prod - cons > IN_SIZE) {
        return 0;
    }
    return IN_SIZE - (*prod - cons);
}

static int console_can_receive(void *opaque)
{
    Console *c = opaque;
    uint32_t prod, room = input_room(c, &prod);

    c->was_full = !room;
    return room;
}

static void console_receive(void *opaque, const uint8_t *buf, int size)
{
    Console *c = opaque;
    uint32_t prod, room = input_room(c, &prod);
    uint32_t len = MIN(size, room);

    if (!len) {
        return;
    }
    for (uint32_t i = 0; i < len; i++) {
        c->ring->in[MASK_XENCONS_IDX(prod + i, c->ring->in)] = buf[i];
    }
    /* Write the text before the index that covers it */
    smp_wmb();
    qatomic_set(&c->ring->in_prod, cpu_to_le32(prod + len));
    trace_xenpv_console_input(len);
    tell_guest(c);
}

/* ------------------------------------------------------------------------- */
/* The engine                                                                 */

/*
 * A client has come or gone: a watch may be for a connection that is gone. The
 * BH does the rest, as the character device may call this within our own write.
 */
static void console_chr_event(void *opaque, QEMUChrEvent event)
{
    Console *c = opaque;

    if (event == CHR_EVENT_OPENED || event == CHR_EVENT_CLOSED) {
        stop_watching(c);
        qemu_bh_schedule(c->bh);
    }
}

static void console_set_handlers(Console *c)
{
    qemu_chr_fe_set_handlers(c->chr, console_can_receive, console_receive,
                             console_chr_event, NULL, c, NULL, true);
}

static void console_vm_changed(void *opaque, bool running, RunState state)
{
    Console *c = opaque;

    if (running) {
        qemu_bh_schedule(c->bh);
        qemu_chr_fe_accept_input(c->chr);
    }
}

static int console_pre_save(void *opaque)
{
    Console *c = opaque;

    c->saved = c->queue;
    return 0;
}

/*
 * VMSTATE_FIFO8 loads any position and length, and they stay if the stream ends
 * after them: so it loads into .saved, which is not in use.
 */
static int console_pre_load(void *opaque)
{
    Console *c = opaque;

    fifo8_reset(&c->queue);
    c->saved = c->queue;
    return 0;
}

static int console_post_load(void *opaque, int version_id)
{
    Console *c = opaque;

    if (c->saved.head >= c->saved.capacity ||
        c->saved.num > c->saved.capacity) {
        error_report("the console's queue has %u bytes from %u, of %u",
                     c->saved.num, c->saved.head, c->saved.capacity);
        return -EINVAL;
    }
    c->queue = c->saved;
    return 0;
}

static const VMStateDescription vmstate_console = {
    .name = "xenpv-console/engine",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = console_pre_save,
    .pre_load = console_pre_load,
    .post_load = console_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_FIFO8(saved, Console),
        VMSTATE_UINT64(lost, Console),
        VMSTATE_END_OF_LIST()
    }
};

static void console_init(Console *c, DeviceState *dev, CharFrontend *chr,
                         void (*notify)(void *opaque))
{
    c->chr = chr;
    c->notify = notify;
    c->opaque = dev;
    c->bh = qemu_bh_new_guarded(pump_bh, c, &dev->mem_reentrancy_guard);
    fifo8_create(&c->queue, QUEUE_SIZE);
    c->vm_change = xenpv_add_vm_change_state_handler(dev, console_vm_changed,
                                                     c);
    console_set_handlers(c);
}

static void console_cleanup(Console *c)
{
    stop_watching(c);
    qemu_del_vm_change_state_handler(c->vm_change);
    qemu_chr_fe_deinit(c->chr, false);
    qemu_bh_delete(c->bh);
    fifo8_destroy(&c->queue);
}

static void console_start(Console *c, struct xencons_interface *ring)
{
    c->ring = ring;
    qemu_chr_fe_accept_input(c->chr);
    qemu_bh_schedule(c->bh);
}

/* The guest goes: keep the text that it has left in its ring */
static void console_stop(Console *c)
{
    uint8_t buf[OUT_SIZE];
    uint32_t cons, len, piece;

    if (!c->ring) {
        return;
    }
    pump(c);
    for (len = output_len(c, &cons); len; len -= piece, cons += piece) {
        piece = copy_piece(c, cons, len, buf);
        queue_text(c, buf, piece);
    }
    c->ring = NULL;
    pump(c);
}

/* The guest has sent an event. Returns whether there was anything to do. */
static bool console_event(Console *c)
{
    bool any = !c->watch && output_len(c, &(uint32_t) { 0 });

    pump(c);
    if (c->was_full) {
        any = true;
        c->was_full = false;
        qemu_chr_fe_accept_input(c->chr);
    }
    return any;
}

/* ------------------------------------------------------------------------- */
/* The primary console                                                        */

struct XenPVConsoleState {
    SysBusDevice parent_obj;

    XenPVCallState *call;
    uint16_t domid;
    CharFrontend chr;

    Console console;
    struct xenevtchn_handle *eh;
    int port;

    /* Where the domain builder has put the ring, and the guest's port */
    uint64_t ring_mfn;
    uint32_t guest_port;
};

static void primary_notify(void *opaque)
{
    XenPVConsoleState *s = opaque;

    if (s->port) {
        qemu_xen_evtchn_notify(s->eh, s->port);
    }
}

static void primary_event(void *opaque)
{
    XenPVConsoleState *s = opaque;

    if (qemu_xen_evtchn_pending(s->eh) != s->port || !s->port) {
        return;
    }
    qemu_xen_evtchn_unmask(s->eh, s->port);
    console_event(&s->console);
}

/* The emergency console: a domU may only write to it */
static int64_t call_console(void *opaque, unsigned vcpu, uint32_t cmd,
                            void *data, uint32_t *size)
{
    XenPVConsoleState *s = opaque;
    uint32_t len = *size;

    *size = 0;
    if (cmd != CONSOLEIO_write) {
        return -XEN_EPERM;
    }
    queue_text(&s->console, data, len);
    pump(&s->console);
    return 0;
}

void xenpv_console_reset(XenPVConsoleState *s)
{
    console_stop(&s->console);
    if (s->port) {
        qemu_xen_evtchn_unbind(s->eh, s->port);
        s->port = 0;
    }
}

static bool primary_bind(XenPVConsoleState *s)
{
    struct xencons_interface *ring = xenpv_frame_to_host(s->ring_mfn);

    /* First look for the ring, so that no event comes without one */
    if (!ring) {
        return false;
    }
    s->port = qemu_xen_evtchn_bind_interdomain(s->eh, s->domid, s->guest_port);
    if (s->port < 0) {
        s->port = 0;
        return false;
    }
    console_start(&s->console, ring);
    return true;
}

void xenpv_console_start(XenPVConsoleState *s, uint64_t mfn, uint32_t port)
{
    s->ring_mfn = mfn;
    s->guest_port = port;
    if (!primary_bind(s)) {
        xenpv_guest_warning("the console cannot be bound to the guest's frame "
                            "0x%" PRIx64 " and port %u", mfn, port);
    }
}

uint64_t xenpv_console_ring_mfn(XenPVConsoleState *s)
{
    return s->ring_mfn;
}

static int primary_pre_load(void *opaque)
{
    XenPVConsoleState *s = opaque;

    /* Disconnect from the domain that was built here: another one comes in */
    xenpv_console_reset(s);
    return 0;
}

static int primary_post_load(void *opaque, int version_id)
{
    XenPVConsoleState *s = opaque;

    if (!primary_bind(s)) {
        error_report("the console cannot be bound to the guest's frame 0x%"
                     PRIx64 " and port %u", s->ring_mfn, s->guest_port);
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_primary = {
    .name = TYPE_XENPV_CONSOLE,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = primary_pre_load,
    .post_load = primary_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(ring_mfn, XenPVConsoleState),
        VMSTATE_UINT32(guest_port, XenPVConsoleState),
        VMSTATE_STRUCT(console, XenPVConsoleState, 1, vmstate_console, Console),
        VMSTATE_END_OF_LIST()
    }
};

bool xenpv_console_attach(XenPVConsoleState *s, Chardev *chr, Error **errp)
{
    if (qemu_chr_fe_backend_connected(&s->chr)) {
        return false;
    }
    if (chr && !qemu_chr_fe_init(&s->chr, chr, errp)) {
        return false;
    }
    console_set_handlers(&s->console);
    return true;
}

static void xenpv_console_realize(DeviceState *dev, Error **errp)
{
    XenPVConsoleState *s = XENPV_CONSOLE(dev);

    if (!s->call) {
        error_setg(errp, "property 'call' is not set");
        return;
    }
    s->eh = qemu_xen_evtchn_open();
    if (!s->eh) {
        error_setg(errp, "no event channel for the console");
        return;
    }
    qemu_set_fd_handler(qemu_xen_evtchn_fd(s->eh), primary_event, NULL, s);
    /* Without a character device, output is dropped and the guest goes on */
    console_init(&s->console, dev, &s->chr, primary_notify);
    xenpv_call_register(s->call, XENPV_CALL_CONSOLE, call_console, s);
}

static const Property xenpv_console_properties[] = {
    DEFINE_PROP_LINK("call", XenPVConsoleState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_CHR("chardev", XenPVConsoleState, chr),
    DEFINE_PROP_UINT16("domid", XenPVConsoleState, domid, 1),
};

static void xenpv_console_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Primary console of the xenpv-kvm machine";
    dc->realize = xenpv_console_realize;
    dc->vmsd = &vmstate_primary;
    device_class_set_props(dc, xenpv_console_properties);
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);
}

/* ------------------------------------------------------------------------- */
/* Further consoles, in the place of hw/char/xen_console.c                    */

#define TYPE_XEN_CONSOLE    "xen-console"
OBJECT_DECLARE_SIMPLE_TYPE(XenConsole, XEN_CONSOLE)

struct XenConsole {
    XenPVPageDevice parent_obj;

    int32_t idx;
    CharFrontend chr;
    Console console;
    bool tell_open;
    bool is_open;           /* as management software knows it */
    bool was_heard;         /* the port was unmasked at the last look */
    QEMUTimer *look;
};

/*
 * Before management software talks to a guest's agent, it has to know that
 * somebody is there. With tell-open, it learns this as from a virtserialport. A
 * front end is connected from its driver's start on, and does not say whether
 * somebody has opened the console; but Linux unmasks its port while somebody has.
 * That counts if it is seen twice in a row: a port is also masked while its
 * event is handled, and a console that was just opened echoes its input until
 * it is told not to. Until then input waits in the character device.
 */
#define LOOK_MS     500

static void tell_open(XenConsole *s, bool open)
{
    const char *id = DEVICE(s)->id;

    if (s->is_open == open) {
        return;
    }
    s->is_open = open;
    s->console.deaf = !open;
    qemu_chr_fe_set_open(&s->chr, open);
    if (id) {
        qapi_event_send_vserport_change(id, open);
    }
    if (open) {
        qemu_chr_fe_accept_input(&s->chr);
    }
}

static void look(void *opaque)
{
    XenConsole *s = opaque;
    bool heard = xenpv_page_device_heard(XENPV_PAGE_DEVICE(s));

    if (heard == s->was_heard) {
        tell_open(s, heard);
    }
    s->was_heard = heard;
    timer_mod(s->look, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + LOOK_MS);
}

static void further_notify(void *opaque)
{
    xenpv_page_device_notify(opaque);
}

static const char *further_connect(XenPVPageDevice *d)
{
    XenConsole *s = XEN_CONSOLE(d);

    console_start(&s->console, d->page);
    if (s->tell_open) {
        /* An incoming domain has open what it had open at the source */
        s->was_heard = !runstate_is_running() && xenpv_page_device_heard(d);
        tell_open(s, s->was_heard);
        timer_mod(s->look, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + LOOK_MS);
    }
    return NULL;
}

static void further_disconnect(XenPVPageDevice *d)
{
    XenConsole *s = XEN_CONSOLE(d);

    console_stop(&s->console);
    if (s->tell_open) {
        timer_del(s->look);
        tell_open(s, false);
    }
}

static bool further_event(XenPVPageDevice *d)
{
    return console_event(&XEN_CONSOLE(d)->console);
}

/* Look into domain 0's directory, as front ends can remove theirs */
static bool is_taken(XenDevice *xendev, int idx)
{
    XenBus *xenbus = XEN_BUS(qdev_get_parent_bus(DEVICE(xendev)));
    char *value = xs_node_read(xenbus->xsh, XBT_NULL, NULL, NULL,
                               "/local/domain/%u/backend/console/%u/%d",
                               xenbus->backend_id, xendev->frontend_id, idx);
    bool taken = value;

    free(value);
    return taken;
}

static char *further_get_name(XenDevice *xendev, Error **errp)
{
    XenConsole *s = XEN_CONSOLE(xendev);

    if (!qemu_chr_fe_backend_connected(&s->chr)) {
        error_setg(errp, "chardev= is missing");
        return NULL;
    }
    if (s->idx == -1) {
        for (s->idx = 1; is_taken(xendev, s->idx); s->idx++) {
            if (s->idx == NR_CONSOLES - 1) {
                error_setg(errp, "there are %d consoles, and "
                           "there can be no more", NR_CONSOLES);
                return NULL;
            }
        }
    }
    if (!s->idx) {
        error_setg(errp, "idx=0 is the primary console, which "
                   "the first -serial is");
        return NULL;
    }
    if (s->idx < 0 || s->idx >= NR_CONSOLES) {
        error_setg(errp, "idx=%d is not from 1 to %d", s->idx,
                   NR_CONSOLES - 1);
        return NULL;
    }
    if (is_taken(xendev, s->idx)) {
        error_setg(errp, "there is a console with idx=%d already",
                   s->idx);
        return NULL;
    }
    return g_strdup_printf("%d", s->idx);
}

static void further_realize(XenDevice *xendev, Error **errp)
{
    XenConsole *s = XEN_CONSOLE(xendev);
    g_autofree char *tty =
        xenpv_chr_pty_name(qemu_chr_fe_get_driver(&s->chr));

    if (tty) {
        xen_device_frontend_printf(xendev, "tty", "%s", tty);
    }
    console_init(&s->console, DEVICE(xendev), &s->chr, further_notify);
    if (s->tell_open) {
        s->console.deaf = true;
        s->look = timer_new_ms(QEMU_CLOCK_VIRTUAL, look, s);
        qemu_chr_fe_set_open(&s->chr, false);
    }
}

static void further_unrealize(XenDevice *xendev)
{
    XenConsole *s = XEN_CONSOLE(xendev);

    xenpv_page_device_disconnect(XENPV_PAGE_DEVICE(xendev));
    /* Only if it was realized */
    if (s->console.bh) {
        console_cleanup(&s->console);
        s->console.bh = NULL;
        timer_free(s->look);
    }
}

static const VMStateDescription vmstate_further = {
    .name = TYPE_XEN_CONSOLE,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(console, XenConsole, 1, vmstate_console, Console),
        VMSTATE_END_OF_LIST()
    }
};

static const Property further_properties[] = {
    DEFINE_PROP_CHR("chardev", XenConsole, chr),
    DEFINE_PROP_INT32("idx", XenConsole, idx, -1),
    /* Send VSERPORT_CHANGE when somebody in the guest opens or closes it */
    DEFINE_PROP_BOOL("tell-open", XenConsole, tell_open, false),
};

static void further_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    XenDeviceClass *xc = XEN_DEVICE_CLASS(klass);
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_CLASS(klass);

    dc->desc = "Further console of a Xen guest";
    dc->vmsd = &vmstate_further;
    dc->user_creatable = true;
    dc->hotpluggable = true;
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);
    xc->backend = "console";
    xc->device = "console";
    xc->get_name = further_get_name;
    xc->realize = further_realize;
    xc->unrealize = further_unrealize;
    /* "limit", how much output a back end may keep, is not for this one */
    pc->page_node = "ring-ref";
    pc->page_is_frame = false;
    pc->port_node = "port";
    pc->connect = further_connect;
    pc->disconnect = further_disconnect;
    pc->event = further_event;
    device_class_set_props(dc, further_properties);
}

/* Only QEMU writes back ends' directories, for devices that are made already */
static void no_toolstack(XenBackendInstance *backend, QDict *opts, Error **errp)
{
    error_setg(errp, "consoles are made by -device xen-console");
}

/* Registered types are watched by the bus, which so notices unplugging */
static void console_register_backend(void)
{
    static const XenBackendInfo info = {
        .type = "console",
        .create = no_toolstack,
    };

    xen_backend_register(&info);
}

xen_backend_init(console_register_backend);

static const TypeInfo console_types[] = {
    {
        .name = TYPE_XENPV_CONSOLE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVConsoleState),
        .class_init = xenpv_console_class_init,
    }, {
        .name = TYPE_XEN_CONSOLE,
        .parent = TYPE_XENPV_PAGE_DEVICE,
        .instance_size = sizeof(XenConsole),
        .class_init = further_class_init,
    },
};

DEFINE_TYPES(console_types)
