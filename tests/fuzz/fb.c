/*
 * Fuzz target: the framebuffer, keyboard and pointer
 *
 * A fault here is a front end that crashes QEMU by its page, its directory of
 * frames, the events in its rings, or by what it writes about itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xen/interface/io/fbif.h"
#include "hw/xen/interface/io/kbdif.h"
#include "ui/console.h"
#include "ui/input.h"
#include "devices.h"

#define FB_PAGE     0
#define KBD_PAGE    1
#define DIRECTORY   2
#define PIXELS      4

static uint32_t fb_port, kbd_port;

static void connect_fb(FuzzInput *in)
{
    static const uint8_t depths[] = { 8, 16, 24, 32 };
    struct xenfb_page page = {
        .width = fuzz_take(in, 2), .height = fuzz_take(in, 1),
        .line_length = fuzz_take(in, 2), .mem_length = fuzz_take(in, 3),
        .depth = depths[fuzz_take(in, 1) % 4],
    };
    uint8_t how = fuzz_take(in, 1);
    bool narrow = how & 1;
    uint64_t mfns[8];

    for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++) {
        mfns[i] = fuzz_mfn(PIXELS + i);
    }
    if (narrow) {
        for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++) {
            fuzz_write32(fuzz_frame(DIRECTORY) + 4 * i, mfns[i]);
        }
    } else {
        fuzz_write(fuzz_frame(DIRECTORY), mfns, sizeof(mfns));
    }
    fuzz_write(fuzz_frame(FB_PAGE), &page, offsetof(struct xenfb_page, pd));
    fuzz_write32(fuzz_frame(FB_PAGE) + (narrow ? 36 : 40),
                 fuzz_mfn(DIRECTORY));
    fb_port = fuzz_alloc_unbound();
    kbd_port = fuzz_alloc_unbound();
    fuzz_xs_write("device/vfb/0", "page-ref", "%u", fuzz_mfn(FB_PAGE));
    fuzz_xs_write("device/vfb/0", "event-channel", "%u", fb_port);
    fuzz_xs_write("device/vfb/0", "protocol", "x86_%u-abi", narrow ? 32 : 64);
    fuzz_xs_write("device/vfb/0", "feature-update", "%u", how >> 1 & 1);
    fuzz_xs_write("device/vkbd/0", "page-ref", "%u", fuzz_mfn(KBD_PAGE));
    fuzz_xs_write("device/vkbd/0", "event-channel", "%u", kbd_port);
    fuzz_xs_write("device/vkbd/0", "request-abs-pointer", "%u", how >> 2 & 1);
    fuzz_xs_write("device/vfb/0", "state", "3");
    fuzz_xs_write("device/vkbd/0", "state", "3");
    fuzz_pump();
    fuzz_xs_write("device/vfb/0", "state", "4");
    fuzz_xs_write("device/vkbd/0", "state", "4");
}

/* An update or a resize; or one of the two is told, or its keyboard is wrong */
static void request(FuzzInput *in)
{
    uint64_t prod_at = fuzz_frame(FB_PAGE) + offsetof(struct xenfb_page,
                                                      out_prod);
    uint32_t prod = fuzz_read32(prod_at);
    uint8_t event[XENFB_OUT_EVENT_SIZE];
    uint8_t type = fuzz_take(in, 1);

    if (type == 0xff) {
        fuzz_send(kbd_port);
        return;
    }
    memset(event, 0, sizeof(event));
    event[0] = type & 3;
    for (unsigned i = 4; i + 4 <= 24; i += 4) {
        uint32_t value = fuzz_take(in, 2);

        memcpy(event + i, &value, sizeof(value));
    }
    fuzz_write(fuzz_frame(FB_PAGE) + XENFB_OUT_RING_OFFS +
               prod % XENFB_OUT_RING_LEN * XENFB_OUT_EVENT_SIZE, event,
               sizeof(event));
    fuzz_write32(prod_at, prod + 1);
    fuzz_send(fb_port);
}

/* Somebody looks at it, types and points */
static void host(FuzzInput *in)
{
    QemuConsole *con = qemu_console_lookup_by_index(0);
    uint8_t what = fuzz_take(in, 1);

    switch (what % 4) {
    case 0:
        if (what & 4) {
            graphic_hw_invalidate(con);
        }
        graphic_hw_update(con);
        break;
    case 1:
        qemu_input_event_send_key_qcode(con, fuzz_take(in, 1) % Q_KEY_CODE__MAX,
                                        what & 4);
        break;
    case 2:
        qemu_input_queue_rel(con, what & 4 ? INPUT_AXIS_X : INPUT_AXIS_Y,
                             (int8_t)fuzz_take(in, 1));
        qemu_input_event_sync();
        break;
    case 3:
        qemu_input_queue_abs(con, what & 4 ? INPUT_AXIS_X : INPUT_AXIS_Y,
                             fuzz_take(in, 1), 0, 256);
        qemu_input_queue_btn(con, fuzz_take(in, 1) % INPUT_BUTTON__MAX,
                             what & 8);
        qemu_input_event_sync();
        break;
    }
}

static const char *const nodes[] = {
    "state", "page-ref", "event-channel", "protocol", "feature-update",
    "videoram", "width", "height", "/vkbd/0/state", "/vkbd/0/page-ref",
    "/vkbd/0/event-channel", "/vkbd/0/request-abs-pointer", NULL
};

static void begin(void)
{
    fb_port = kbd_port = 0;
}

const FuzzFrontend fuzz_fb = {
    .begin = begin, .dir = "device/vfb/0", .nodes = nodes,
    .connect = connect_fb, .request = request, .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&fuzz_fb, in);
}

static const char *const machine[] = { "-M", "xenpv-kvm,vfb=on", NULL };

static const FuzzTarget fb_target = {
    .name = "fb", .machine = machine, .one = one,
};
FUZZ_TARGET(fb_target)
