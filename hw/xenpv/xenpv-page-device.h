/*
 * Back ends that share one page and one event channel with their front end:
 * called by their classes, with the BQL held; see xenpv-page-device.c
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
    uint64_t ref;               /* the page's grant or frame */
    uint32_t port;              /* the front end's end of the channel */
    XenEventChannel *channel;
};

struct XenPVPageDeviceClass {
    XenDeviceClass parent_class;

    /* Where in its directory the front end names the page and the port */
    const char *page_node;
    const char *port_node;
    /* The number in page_node is a frame's, and not a grant's */
    bool page_is_frame;

    /*
     * Called once there is a page. Returns NULL; or what is wrong with what the
     * front end has written, and then leaves nothing behind. Optional.
     */
    const char *(*connect)(XenPVPageDevice *s);
    /*
     * Called when the back end is connected and the front end's state is
     * Connected, maybe more than once. Optional.
     */
    void (*connected)(XenPVPageDevice *s);
    /* Called while the page is still there, before it goes */
    void (*disconnect)(XenPVPageDevice *s);
    /* The front end has sent an event. Returns whether there was work to do. */
    bool (*event)(XenPVPageDevice *s);
};

/* Makes the machine's only device of this type, which stays */
DeviceState *xenpv_page_device_create(const char *type);
/* To be called by the unrealize() of a class that has its own */
void xenpv_page_device_disconnect(XenPVPageDevice *s);
/* The page has been written to: send the front end an event */
void xenpv_page_device_notify(XenPVPageDevice *s);
/* Is a front end connected whose port is not masked? */
bool xenpv_page_device_heard(XenPVPageDevice *s);

/*
 * Reads a decimal number of at most @max from the front end's directory.
 * Returns false if there is none.
 */
bool xenpv_frontend_number(XenDevice *xendev, const char *node, uint64_t max,
                           uint64_t *number);

#endif /* HW_XENPV_PAGE_DEVICE_H */
