/*
 * Back ends that share one page and one event channel with their front end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_PAGE_DEVICE_H
#define HW_XENPV_PAGE_DEVICE_H

#include "hw/xen/xen-bus.h"
#include "xenpv-platform.h"

#define TYPE_XENPV_PAGE_DEVICE  "xenpv-page-device"
OBJECT_DECLARE_TYPE(XenPVPageDevice, XenPVPageDeviceClass, XENPV_PAGE_DEVICE)

struct XenPVPageDevice {
    XenDevice parent_obj;

    void *page;                 /* NULL: no front end is connected */
    uint64_t ref;               /* its grant, or its frame */
    uint32_t port;              /* the front end's, of the channel */
    XenEventChannel *channel;
};

struct XenPVPageDeviceClass {
    XenDeviceClass parent_class;

    /* Where in its directory the front end names the page and the port */
    const char *page_node;
    const char *port_node;
    /* The page's number is a frame's, else a grant's */
    bool page_is_frame;

    /*
     * There is a page: connect, and return NULL; or say what is wrong with what
     * the front end says, and leave nothing behind. Optional.
     */
    const char *(*connect)(XenPVPageDevice *s);
    /*
     * It is connected, and the front end's state is Connected. May come more
     * than once. Optional.
     */
    void (*connected)(XenPVPageDevice *s);
    /* The page is still there, and goes after this */
    void (*disconnect)(XenPVPageDevice *s);
    /* The front end has sent an event: was there anything to do? */
    bool (*event)(XenPVPageDevice *s);
};

/* The machine's own one, for good */
DeviceState *xenpv_page_device_create(const char *type);
/* For unrealize() of a class that has one of its own */
void xenpv_page_device_disconnect(XenPVPageDevice *s);
/* The page has been written to: send the front end an event */
void xenpv_page_device_notify(XenPVPageDevice *s);
/* Whether the front end would hear of that, or has masked its port */
bool xenpv_page_device_heard(XenPVPageDevice *s);

/*
 * A decimal number, not above max, that the front end has written: false if
 * there is none.
 */
bool xenpv_frontend_number(XenDevice *xendev, const char *node, uint64_t max,
                           uint64_t *number);

#endif /* HW_XENPV_PAGE_DEVICE_H */
