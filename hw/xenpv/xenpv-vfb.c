/*
 * The paravirtual framebuffer, vfb
 *
 * This replaces that of hw/display/xenfb.c. It does not trust the guest's
 * memory, and does not show it directly:
 *
 *  - What the front end says about its framebuffer is copied, then checked as a
 *    whole by check_geometry(), and used until the front end says something
 *    else that is valid. The page's directory is copied as well: it lists the
 *    frames, which need not be contiguous, and each is looked up when it is
 *    read.
 *  - QEMU's picture is a copy of its own, with 32 bits for each pixel whatever
 *    the guest has. Displays see neither the guest's memory nor its layout. So
 *    there is one picture of at most MAX_PIXELS, and nothing to give back when
 *    the front end goes.
 *  - When a display asks for an update, the parts are copied that the guest has
 *    reported as changed, PIXELS_PER_PASS at a time: a BH goes on with the
 *    rest.
 *  - Rings are read and written within their bounds, whatever the indexes say,
 *    and events that find no room in them are dropped.
 *
 * Displays and xenpv-page-device.c call this, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/xen/interface/io/fbif.h"
#include "hw/xen/interface/io/protocols.h"
#include "ui/console.h"
#include "xenpv-page-device.h"
#include "trace.h"

/* In pixels: more than displays have, and less than pixman's limit of 32767 */
#define MAX_SIDE            8192
#define MAX_PIXELS          (4096 * 4096)
/* The part of a framebuffer that is used: no picture needs more */
#define MAX_FB_LEN          (64 * MiB)
#define MAX_FB_FRAMES       (MAX_FB_LEN / XEN_PAGE_SIZE)
/* This takes about 1 ms; the largest picture takes 64 passes */
#define PIXELS_PER_PASS     (256 * 1024)

/* Where the directory is in the front end's struct xenfb_page, by its width */
#define DIRECTORY_32        36
#define DIRECTORY_64        40
#define DIRECTORY_ENTRIES   256

typedef struct Geometry {
    int32_t width, height;      /* pixels */
    int32_t depth;              /* bits of a pixel */
    uint32_t stride;            /* bytes of a line */
    uint32_t offset;            /* of the first line in the framebuffer */
} Geometry;

/* From x0, y0 up to, but not including, x1, y1; empty if y0 == y1 */
typedef struct Box {
    int x0, y0, x1, y1;
} Box;

#define TYPE_XENPV_VFB      "xenpv-vfb"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVVfb, XENPV_VFB)

struct XenPVVfb {
    XenPVPageDevice parent_obj;

    /* What the front end has said, checked */
    Geometry geometry;
    uint32_t nr_frames;
    uint64_t *frames;           /* the framebuffer's */
    bool tells;                 /* it sends events about what it changes */
    bool told_twice;            /* see vfb_connected() */

    /* The picture */
    QemuConsole *con;
    bool resized;               /* the surface is not of this geometry yet */
    Box dirty;                  /* what the next update has to copy */
    Box job;                    /* what this update still has to copy */
    QEMUBH *bh;                 /* goes on with the job */
    uint8_t line[MAX_SIDE * 4];
};

/* ------------------------------------------------------------------------- */
/* The framebuffer in the guest's memory                                      */

static size_t bytes_per_pixel(const Geometry *g)
{
    return g->depth / 8;
}

/*
 * Returns NULL if all of the picture lies in the framebuffer and QEMU can show
 * it, or else what is wrong.
 */
static const char *check_geometry(const Geometry *g, uint32_t nr_frames)
{
    uint64_t len = (uint64_t)nr_frames * XEN_PAGE_SIZE;

    if (g->depth != 8 && g->depth != 16 && g->depth != 24 && g->depth != 32) {
        return "depth";
    }
    if (g->width <= 0 || g->width > MAX_SIDE ||
        g->height <= 0 || g->height > MAX_SIDE ||
        g->width * g->height > MAX_PIXELS) {
        return "width or height";
    }
    if (g->stride < g->width * bytes_per_pixel(g) || g->stride > len) {
        return "length of a line";
    }
    if (g->offset > len ||
        (uint64_t)g->stride * (g->height - 1) +
        g->width * bytes_per_pixel(g) > len - g->offset) {
        return "more than there is memory";
    }
    return NULL;
}

/* Is the front end's unsigned long of 8 bytes? False: unknown protocol */
static bool get_protocol(XenPVPageDevice *d, bool *is_64bit)
{
    char *name = xen_device_frontend_read(XEN_DEVICE(d), "protocol");
    bool ok = true;

    if (!name) {
        /*
         * The oldest front ends do not say it. Their directory has one
         * entry: if entries are of 4 bytes, then the second one is 0.
         */
        *is_64bit = ldl_le_p(d->page + DIRECTORY_32 + 4);
    } else if (!strcmp(name, XEN_IO_PROTO_ABI_X86_64)) {
        *is_64bit = true;
    } else if (!strcmp(name, XEN_IO_PROTO_ABI_X86_32)) {
        *is_64bit = false;
    } else {
        ok = false;
    }
    free(name);
    return ok;
}

/* Read a page of frame numbers of 4 or 8 bytes. False: one is not RAM */
static bool get_frames(const uint8_t *numbers, bool is_64bit, uint64_t *frames,
                       uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        uint64_t frame = is_64bit ? ldq_le_p(numbers + 8 * i)
                                  : ldl_le_p(numbers + 4 * i);

        if (!xenpv_frame_to_host(frame)) {
            return false;
        }
        frames[i] = frame;
    }
    return true;
}

static const char *map_framebuffer(XenPVVfb *s, uint32_t len)
{
    XenPVPageDevice *d = XENPV_PAGE_DEVICE(s);
    uint64_t directory[DIRECTORY_ENTRIES];
    uint32_t per_page, nr_pages;
    bool is_64bit;

    if (!get_protocol(d, &is_64bit)) {
        return "protocol";
    }
    per_page = XEN_PAGE_SIZE / (is_64bit ? 8 : 4);
    s->nr_frames = DIV_ROUND_UP(MIN(len, MAX_FB_LEN), XEN_PAGE_SIZE);
    nr_pages = DIV_ROUND_UP(s->nr_frames, per_page);
    QEMU_BUILD_BUG_ON(MAX_FB_FRAMES / (XEN_PAGE_SIZE / 8) > DIRECTORY_ENTRIES);
    if (!get_frames(d->page + (is_64bit ? DIRECTORY_64 : DIRECTORY_32),
                    is_64bit, directory, nr_pages)) {
        return "a frame of the directory";
    }
    s->frames = g_new(uint64_t, s->nr_frames);
    for (uint32_t i = 0; i < nr_pages; i++) {
        uint32_t first = i * per_page;

        if (!get_frames(xenpv_frame_to_host(directory[i]), is_64bit,
                        s->frames + first,
                        MIN(per_page, s->nr_frames - first))) {
            g_clear_pointer(&s->frames, g_free);
            return "a frame of the framebuffer";
        }
    }
    return NULL;
}

/* check_geometry() has made sure that this is within the framebuffer */
static void read_framebuffer(XenPVVfb *s, uint64_t offset, uint8_t *buf,
                             size_t len)
{
    while (len) {
        size_t at = offset % XEN_PAGE_SIZE;
        size_t piece = MIN(len, XEN_PAGE_SIZE - at);
        uint32_t i = offset / XEN_PAGE_SIZE;
        uint8_t *frame;

        assert(i < s->nr_frames);
        frame = xenpv_frame_to_host(s->frames[i]);
        memcpy(buf, frame + at, piece);
        buf += piece;
        offset += piece;
        len -= piece;
    }
}

/* Pixels of 32 bits, red in bits 16 to 23, then green, then blue */
static void convert(uint32_t *to, const uint8_t *from, int n, int depth)
{
    switch (depth) {
    case 8:             /* red 3 bits, green 3, blue 2 */
        for (int i = 0; i < n; i++) {
            uint32_t r = from[i] >> 5, g = from[i] >> 2 & 7, b = from[i] & 3;

            to[i] = (r << 5 | r << 2 | r >> 1) << 16 |
                    (g << 5 | g << 2 | g >> 1) << 8 | b * 0x55;
        }
        break;
    case 16:            /* red 5 bits, green 6, blue 5 */
        for (int i = 0; i < n; i++) {
            uint32_t pixel = lduw_le_p(from + 2 * i);
            uint32_t r = pixel >> 11, g = pixel >> 5 & 63, b = pixel & 31;

            to[i] = (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 |
                    b << 3 | b >> 2;
        }
        break;
    case 24:
        for (int i = 0; i < n; i++) {
            const uint8_t *p = from + 3 * i;

            to[i] = p[2] << 16 | p[1] << 8 | p[0];
        }
        break;
    default:
        memcpy(to, from, n * 4);
        break;
    }
}

/* A part of a line, out of the guest's memory into the picture */
static void copy_line(XenPVVfb *s, int x0, int x1, int y, uint32_t *to)
{
    const Geometry *g = &s->geometry;
    size_t bytes = bytes_per_pixel(g);

    read_framebuffer(s, g->offset + (uint64_t)y * g->stride + x0 * bytes,
                     s->line, (x1 - x0) * bytes);
    convert(to, s->line, x1 - x0, g->depth);
}

/* ------------------------------------------------------------------------- */
/* The picture                                                                */

static bool is_empty(const Box *box)
{
    return box->y0 == box->y1;
}

static void add_box(Box *to, Box add)
{
    if (is_empty(to)) {
        *to = add;
    } else {
        to->x0 = MIN(to->x0, add.x0);
        to->y0 = MIN(to->y0, add.y0);
        to->x1 = MAX(to->x1, add.x1);
        to->y1 = MAX(to->y1, add.y1);
    }
}

static void all_is_dirty(XenPVVfb *s)
{
    s->dirty = (Box) { 0, 0, s->geometry.width, s->geometry.height };
}

/* Goes on with the job, and tells displays of each part and of the end */
static void copy_some(void *opaque)
{
    XenPVVfb *s = opaque;
    DisplaySurface *surface = qemu_console_surface(s->con);
    Box *job = &s->job;
    int width = job->x1 - job->x0, y = job->y0;
    int lines = is_empty(job) ? 0 : MIN(MAX(PIXELS_PER_PASS / width, 1),
                                        job->y1 - y);

    for (int i = 0; i < lines; i++) {
        uint8_t *to = (uint8_t *)surface_data(surface) +
                      (size_t)(y + i) * surface_stride(surface);

        copy_line(s, job->x0, job->x1, y + i, (uint32_t *)to + job->x0);
    }
    job->y0 += lines;
    if (lines) {
        dpy_gfx_update(s->con, job->x0, y, width, lines);
    }
    if (is_empty(job)) {
        graphic_hw_update_done(s->con);
    } else {
        qemu_bh_schedule(s->bh);
    }
}

/* A display asks for an update */
static XenPVGfxUpdate vfb_update(void *opaque)
{
    XenPVVfb *s = opaque;
    bool connected = XENPV_PAGE_DEVICE(s)->page;

    if (!is_empty(&s->job)) {
        return XENPV_GFX_UPDATE_LATER;
    }
    if (s->resized) {
        s->resized = false;
        dpy_gfx_replace_surface(s->con, connected ?
            qemu_create_displaysurface(s->geometry.width, s->geometry.height) :
            NULL);
    }
    if (connected && !s->tells) {
        all_is_dirty(s);
    }
    s->job = s->dirty;
    s->dirty = (Box) { };
    copy_some(s);
    return XENPV_GFX_UPDATE_LATER;
}

static void vfb_invalidate(void *opaque)
{
    XenPVVfb *s = opaque;

    if (XENPV_PAGE_DEVICE(s)->page) {
        all_is_dirty(s);
    }
}

/* A job for the old geometry ends here; the BH still tells displays so */
static void set_geometry(XenPVVfb *s, Geometry g)
{
    trace_xenpv_vfb_geometry(g.width, g.height, g.depth, g.stride, g.offset);
    s->geometry = g;
    s->resized = true;
    s->job = (Box) { };
    all_is_dirty(s);
}

/* Tell the front end how often the display updates: it need not be faster */
static void vfb_ui_info(void *opaque, uint32_t head, QemuUIInfo *info)
{
    XenPVVfb *s = opaque;
    struct xenfb_page *page = XENPV_PAGE_DEVICE(s)->page;
    union xenfb_in_event event = { };
    uint32_t prod, cons;

    if (!page || !s->tells) {
        return;
    }
    prod = qatomic_read(&page->in_prod);
    cons = qatomic_read(&page->in_cons);
    if (prod - cons >= XENFB_IN_RING_LEN) {
        return;
    }
    /* Overwrite only what the guest has read */
    smp_mb();
    event.refresh_period.type = XENFB_TYPE_REFRESH_PERIOD;
    /* From mHz to ms */
    event.refresh_period.period = MAX(1, 1000 * 1000 /
                                      (info->refresh_rate ?: 75000));
    XENFB_IN_RING_REF(page, prod) = event;
    /* Write the event before the index that covers it */
    smp_wmb();
    qatomic_set(&page->in_prod, prod + 1);
    xenpv_page_device_notify(XENPV_PAGE_DEVICE(s));
}

static const GraphicHwOps vfb_ops = {
    .invalidate = vfb_invalidate,
    .gfx_update = vfb_update,
    XENPV_GFX_UPDATE_ASYNC
    .ui_info = vfb_ui_info,
};

/* ------------------------------------------------------------------------- */
/* The front end of the framebuffer                                           */

static void changed(XenPVVfb *s, const struct xenfb_update *update)
{
    int64_t x0 = MAX(update->x, 0), y0 = MAX(update->y, 0);
    int64_t x1 = MIN((int64_t)update->x + update->width, s->geometry.width);
    int64_t y1 = MIN((int64_t)update->y + update->height, s->geometry.height);

    if (x0 < x1 && y0 < y1) {
        add_box(&s->dirty, (Box) { x0, y0, x1, y1 });
    }
}

static void resize(XenPVVfb *s, const struct xenfb_resize *resize)
{
    Geometry g = {
        .width = resize->width,
        .height = resize->height,
        .depth = resize->depth,
        .stride = resize->stride,
        .offset = resize->offset,
    };
    const char *wrong = check_geometry(&g, s->nr_frames);

    if (wrong) {
        trace_xenpv_vfb_refuse_resize(wrong);
    } else {
        set_geometry(s, g);
    }
}

static bool vfb_event(XenPVPageDevice *d)
{
    XenPVVfb *s = XENPV_VFB(d);
    struct xenfb_page *page = d->page;
    uint32_t cons = qatomic_read(&page->out_cons);
    uint32_t prod = qatomic_read(&page->out_prod);

    if (cons == prod || prod - cons > XENFB_OUT_RING_LEN) {
        return false;
    }
    /* Read the events only after the index that covers them */
    smp_rmb();
    for (; cons != prod; cons++) {
        union xenfb_out_event event;

        memcpy(&event, &XENFB_OUT_RING_REF(page, cons), sizeof(event));
        /* Look only at the copy: the guest may change the ring */
        barrier();
        switch (event.type) {
        case XENFB_TYPE_UPDATE:
            changed(s, &event.update);
            break;
        case XENFB_TYPE_RESIZE:
            resize(s, &event.resize);
            break;
        }
    }
    /* Read all events before the guest may overwrite them */
    smp_mb();
    qatomic_set(&page->out_cons, cons);
    xenpv_page_device_notify(d);
    return true;
}

static const char *vfb_connect(XenPVPageDevice *d)
{
    XenPVVfb *s = XENPV_VFB(d);
    struct xenfb_page header;
    const char *wrong;
    uint64_t tells;
    Geometry g;

    memcpy(&header, d->page, offsetof(struct xenfb_page, pd));
    /* Look only at the copy: the guest may change its page */
    barrier();
    g = (Geometry) {
        .width = header.width,
        .height = header.height,
        .depth = header.depth,
        .stride = header.line_length,
    };
    wrong = map_framebuffer(s, header.mem_length);
    if (wrong) {
        return wrong;
    }
    wrong = check_geometry(&g, s->nr_frames);
    if (wrong) {
        g_clear_pointer(&s->frames, g_free);
        return wrong;
    }
    s->tells = xenpv_frontend_number(XEN_DEVICE(s), "feature-update",
                                     UINT32_MAX, &tells) && tells;
    if (s->tells) {
        xen_device_backend_printf(XEN_DEVICE(s), "request-update", "1");
    }
    s->told_twice = false;
    set_geometry(s, g);
    return NULL;
}

/*
 * Linux up to 2.6.2x looks for "request-update" only if it sees the back end
 * become Connected when it is Connected itself. So the state is written once
 * more.
 */
static void vfb_connected(XenPVPageDevice *d)
{
    XenPVVfb *s = XENPV_VFB(d);

    if (!s->told_twice) {
        s->told_twice = true;
        xen_device_backend_printf(XEN_DEVICE(s), "state", "%u",
                                  XenbusStateConnected);
    }
}

/* At exit displays may be gone: so do not tell them before they ask again */
static void vfb_disconnect(XenPVPageDevice *d)
{
    XenPVVfb *s = XENPV_VFB(d);

    s->resized = true;
    s->dirty = s->job = (Box) { };
    s->nr_frames = 0;
    g_clear_pointer(&s->frames, g_free);
}

static void vfb_realize(XenDevice *xendev, Error **errp)
{
    XenPVVfb *s = XENPV_VFB(xendev);

    s->bh = qemu_bh_new_guarded(copy_some, s,
                                &DEVICE(s)->mem_reentrancy_guard);
    s->con = graphic_console_init(DEVICE(s), 0, &vfb_ops, s);
    xen_device_backend_printf(xendev, "feature-resize", "1");
}

/* page_device_class_init() has set the rest */
static void vfb_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    XenDeviceClass *xc = XEN_DEVICE_CLASS(klass);
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_CLASS(klass);

    dc->desc = "Framebuffer of a Xen PV guest";
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    xc->backend = "vfb";
    xc->device = "vfb";
    xc->realize = vfb_realize;
    pc->connect = vfb_connect;
    pc->connected = vfb_connected;
    pc->disconnect = vfb_disconnect;
    pc->event = vfb_event;
}

static const TypeInfo vfb_types[] = {
    {
        .name = TYPE_XENPV_VFB,
        .parent = TYPE_XENPV_PAGE_DEVICE,
        .instance_size = sizeof(XenPVVfb),
        .class_init = vfb_class_init,
    },
};

DEFINE_TYPES(vfb_types)

QemuConsole *xenpv_vfb_create(void)
{
    return XENPV_VFB(xenpv_page_device_create(TYPE_XENPV_VFB))->con;
}
