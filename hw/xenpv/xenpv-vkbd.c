/*
 * The paravirtual keyboard and pointer, vkbd
 *
 * This replaces that of hw/display/xenfb.c. Events only go to the front end,
 * into the ring in its page, and stay within that whatever its indexes say.
 * Events that find no room are dropped: if they waited elsewhere, they would
 * come too late.
 *
 * QEMU's input layer and xenpv-page-device.c call this, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qapi/error.h"
#include "hw/xen/interface/io/kbdif.h"
#include "standard-headers/linux/input.h"
#include "ui/console.h"
#include "ui/input.h"
#include "xenpv-page-device.h"
#include "trace.h"

#define TYPE_XENPV_VKBD     "xenpv-vkbd"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVVkbd, XENPV_VKBD)

struct XenPVVkbd {
    XenPVPageDevice parent_obj;

    QemuConsole *con;           /* the vfb's, for absolute positions */
    QemuInputHandlerState *keyboard, *pointer;  /* NULL: not connected */
    bool absolute;
    bool raw;                   /* do not scale positions to the picture */
    int position[INPUT_AXIS__MAX];      /* or motion, if not absolute */
    int wheel;
};

static void send_event(XenPVVkbd *s, const union xenkbd_in_event *event)
{
    XenPVPageDevice *d = XENPV_PAGE_DEVICE(s);
    struct xenkbd_page *page = d->page;
    uint32_t prod = qatomic_read(&page->in_prod);
    uint32_t cons = qatomic_read(&page->in_cons);

    if (prod - cons >= XENKBD_IN_RING_LEN) {
        trace_xenpv_vkbd_full();
        return;
    }
    /* Overwrite only what the guest has read */
    smp_mb();
    XENKBD_IN_RING_REF(page, prod) = *event;
    /* Write the event before the index that covers it */
    smp_wmb();
    qatomic_set(&page->in_prod, prod + 1);
    xenpv_page_device_notify(d);
}

static void send_key(XenPVVkbd *s, uint32_t code, bool down)
{
    union xenkbd_in_event event = { };

    event.key.type = XENKBD_TYPE_KEY;
    event.key.pressed = down;
    event.key.keycode = code;
    send_event(s, &event);
}

static void keyboard_event(DeviceState *dev, QemuConsole *src,
                           InputEvent *evt)
{
    InputKeyEvent *key = evt->u.key.data;
    unsigned qcode = qemu_input_key_value_to_qcode(key->key);
    uint32_t code = qcode < qemu_input_map_qcode_to_linux_len ?
                    qemu_input_map_qcode_to_linux[qcode] : 0;

    if (code) {
        send_key(XENPV_VKBD(dev), code, key->down);
    }
}

static void button_event(XenPVVkbd *s, InputBtnEvent *button)
{
    static const uint16_t codes[INPUT_BUTTON__MAX] = {
        [INPUT_BUTTON_LEFT] = BTN_LEFT,
        [INPUT_BUTTON_RIGHT] = BTN_RIGHT,
        [INPUT_BUTTON_MIDDLE] = BTN_MIDDLE,
        [INPUT_BUTTON_SIDE] = BTN_SIDE,
        [INPUT_BUTTON_EXTRA] = BTN_EXTRA,
    };

    if (codes[button->button]) {
        send_key(s, codes[button->button], button->down);
    } else if (button->down && button->button == INPUT_BUTTON_WHEEL_UP) {
        s->wheel--;
    } else if (button->down && button->button == INPUT_BUTTON_WHEEL_DOWN) {
        s->wheel++;
    }
}

/* Scale a position to the picture's pixels, unless it is raw */
static int scale(XenPVVkbd *s, InputAxis axis, int value)
{
    DisplaySurface *surface = qemu_console_surface(s->con);
    int size;

    if (s->raw || !surface) {
        return value;
    }
    size = axis == INPUT_AXIS_X ? surface_width(surface)
                                : surface_height(surface);
    return (int64_t)value * (size - 1) / INPUT_EVENT_ABS_MAX;
}

static void pointer_event(DeviceState *dev, QemuConsole *src, InputEvent *evt)
{
    XenPVVkbd *s = XENPV_VKBD(dev);
    InputMoveEvent *move;

    switch (evt->type) {
    case INPUT_EVENT_KIND_BTN:
        button_event(s, evt->u.btn.data);
        break;
    case INPUT_EVENT_KIND_ABS:
        move = evt->u.abs.data;
        s->position[move->axis] = scale(s, move->axis, move->value);
        break;
    case INPUT_EVENT_KIND_REL:
        move = evt->u.rel.data;
        s->position[move->axis] += (int16_t)move->value;
        break;
    default:
        break;
    }
}

/* All events that belong together have come: send them as one */
static void pointer_sync(DeviceState *dev)
{
    XenPVVkbd *s = XENPV_VKBD(dev);
    union xenkbd_in_event event = { };

    if (s->absolute) {
        event.pos.type = XENKBD_TYPE_POS;
        event.pos.abs_x = s->position[INPUT_AXIS_X];
        event.pos.abs_y = s->position[INPUT_AXIS_Y];
        event.pos.rel_z = s->wheel;
    } else {
        event.motion.type = XENKBD_TYPE_MOTION;
        event.motion.rel_x = s->position[INPUT_AXIS_X];
        event.motion.rel_y = s->position[INPUT_AXIS_Y];
        event.motion.rel_z = s->wheel;
        memset(s->position, 0, sizeof(s->position));
    }
    s->wheel = 0;
    send_event(s, &event);
}

static const QemuInputHandler keyboard_handler = {
    .name = "Xen PV Keyboard",
    .mask = INPUT_EVENT_MASK_KEY,
    .event = keyboard_event,
};

static const QemuInputHandler absolute_handler = {
    .name = "Xen PV Pointer",
    .mask = INPUT_EVENT_MASK_BTN | INPUT_EVENT_MASK_ABS,
    .event = pointer_event,
    .sync = pointer_sync,
};

static const QemuInputHandler relative_handler = {
    .name = "Xen PV Pointer",
    .mask = INPUT_EVENT_MASK_BTN | INPUT_EVENT_MASK_REL,
    .event = pointer_event,
    .sync = pointer_sync,
};

static void unregister(QemuInputHandlerState **handler)
{
    if (*handler) {
        qemu_input_handler_unregister(*handler);
        *handler = NULL;
    }
}

static bool is_requested(XenPVPageDevice *d, const char *node)
{
    uint64_t value;

    return xenpv_frontend_number(XEN_DEVICE(d), node, UINT32_MAX, &value) &&
           value;
}

static void vkbd_disconnect(XenPVPageDevice *d)
{
    XenPVVkbd *s = XENPV_VKBD(d);

    unregister(&s->keyboard);
    unregister(&s->pointer);
}

/* Read the requests here, as Linux may write them as late as its state */
static void vkbd_connected(XenPVPageDevice *d)
{
    XenPVVkbd *s = XENPV_VKBD(d);

    vkbd_disconnect(d);
    memset(s->position, 0, sizeof(s->position));
    s->wheel = 0;
    s->absolute = is_requested(d, "request-abs-pointer");
    s->raw = is_requested(d, "request-raw-pointer");
    trace_xenpv_vkbd_connected(s->absolute, s->raw);
    s->keyboard = qemu_input_handler_register(DEVICE(s), &keyboard_handler);
    s->pointer = qemu_input_handler_register(DEVICE(s), s->absolute ?
                                             &absolute_handler :
                                             &relative_handler);
}

/* The ABI has no events from a front end, so drop all that there are */
static bool vkbd_event(XenPVPageDevice *d)
{
    struct xenkbd_page *page = d->page;
    uint32_t prod = qatomic_read(&page->out_prod);

    if (prod == qatomic_read(&page->out_cons)) {
        return false;
    }
    qatomic_set(&page->out_cons, prod);
    xenpv_page_device_notify(d);
    return true;
}

static void vkbd_realize(XenDevice *xendev, Error **errp)
{
    xen_device_backend_printf(xendev, "feature-abs-pointer", "1");
    xen_device_backend_printf(xendev, "feature-raw-pointer", "1");
}

/* page_device_class_init() has set the rest */
static void vkbd_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    XenDeviceClass *xc = XEN_DEVICE_CLASS(klass);
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_CLASS(klass);

    dc->desc = "Keyboard and pointer of a Xen PV guest";
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);
    xc->backend = "vkbd";
    xc->device = "vkbd";
    xc->realize = vkbd_realize;
    pc->connected = vkbd_connected;
    pc->disconnect = vkbd_disconnect;
    pc->event = vkbd_event;
}

static const TypeInfo vkbd_types[] = {
    {
        .name = TYPE_XENPV_VKBD,
        .parent = TYPE_XENPV_PAGE_DEVICE,
        .instance_size = sizeof(XenPVVkbd),
        .class_init = vkbd_class_init,
    },
};

DEFINE_TYPES(vkbd_types)

void xenpv_vkbd_create(QemuConsole *con)
{
    XENPV_VKBD(xenpv_page_device_create(TYPE_XENPV_VKBD))->con = con;
}
