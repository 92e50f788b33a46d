/*
 * The paravirtual framebuffer, keyboard and pointer: vfb and vkbd
 *
 * The back ends are QEMU's own, hw/display/xenfb.c, which wait for what a
 * toolstack writes to xenstore. This file writes it, and gives the
 * framebuffer a QemuConsole that is there before the guest's front end is, and
 * that forgets the guest's memory as soon as the front end is gone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xen/xen-legacy-backend.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "ui/console.h"
#include "xenpv-platform.h"
#include "trace.h"

/* Of xenfb.c. It has no header, as there it registers this itself. */
extern const struct XenDevOps xen_framebuffer_ops;

static struct XenDevOps fb_ops;
static QemuConsole *console;

static const GraphicHwOps no_guest_ops = { };

/*
 * xenfb.c makes a console whenever a front end connects, and never closes it.
 * It takes an unused one if there is any: this one, which is closed here.
 */
static void fb_disconnect(struct XenLegacyDevice *xendev)
{
    trace_xenpv_fb_disconnect(xendev->dev);
    graphic_console_close(console);
    xen_framebuffer_ops.disconnect(xendev);
}

static void put(const char *dir, const char *node, const char *value)
{
    g_autofree char *path = g_strdup_printf("%s/%s", dir, node);
    bool ok = qemu_xen_xs_write(xenstore, XBT_NULL, path, value,
                                strlen(value));

    assert(ok);
}

/* What libxl writes for a device that QEMU is the back end of */
static void make_device(const char *type, uint16_t domid)
{
    g_autofree char *front = g_strdup_printf("/local/domain/%u/device/%s/0",
                                             domid, type);
    g_autofree char *back = g_strdup_printf("/local/domain/%u/backend/%s/%u/0",
                                            XENPV_BACKEND_DOMID, type, domid);
    g_autofree char *id = g_strdup_printf("%u", domid);
    bool ok;

    ok = qemu_xen_xs_create(xenstore, XBT_NULL, XENPV_BACKEND_DOMID, domid,
                            XS_PERM_READ, back) &&
         qemu_xen_xs_create(xenstore, XBT_NULL, domid, XENPV_BACKEND_DOMID,
                            XS_PERM_READ, front);
    assert(ok);
    put(back, "frontend", front);
    put(back, "frontend-id", id);
    put(back, "online", "1");
    put(back, "state", "1");            /* XenbusStateInitialising */
    put(front, "backend", back);
    put(front, "backend-id", "0");
    put(front, "state", "1");
}

void xenpv_fb_create(uint16_t domid)
{
    console = graphic_console_init(NULL, 0, &no_guest_ops, NULL);
    graphic_console_close(console);

    fb_ops = xen_framebuffer_ops;
    fb_ops.disconnect = fb_disconnect;
    xen_be_register("vfb", &fb_ops);    /* vkbd is already */
    make_device("vfb", domid);
    make_device("vkbd", domid);
}
