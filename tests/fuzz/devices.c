/*
 * Fuzz targets: the front ends of all devices, for targets with several
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "devices.h"

static const struct {
    const FuzzFrontend *frontend;
    unsigned first_frame;       /* so that their rings are apart */
} devices[] = {
    { &fuzz_block, 0 }, { &fuzz_net, 24 }, { &fuzz_fb, 40 },
    { &fuzz_console, 56 },
};

const char *const fuzz_devices_nodes[] = {
    "vbd/51712/state", "vif/0/state", "vfb/0/state", "vkbd/0/state",
    "console/1/state", "vbd/51712/ring-ref", "vif/0/tx-ring-ref",
    "vif/0/rx-ring-ref", "vfb/0/page-ref", "vkbd/0/page-ref",
    "console/1/ring-ref", "vbd/51712/event-channel", "vif/0/event-channel",
    "vfb/0/event-channel", "console/1/port", NULL
};

static const FuzzFrontend *pick(FuzzInput *in)
{
    unsigned i = fuzz_take(in, 1) % ARRAY_SIZE(devices);

    fuzz_first_frame = devices[i].first_frame;
    return devices[i].frontend;
}

void fuzz_devices_begin(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
        devices[i].frontend->begin();
    }
}

void fuzz_devices_connect(FuzzInput *in)
{
    pick(in)->connect(in);
    fuzz_first_frame = 0;
}

void fuzz_devices_request(FuzzInput *in)
{
    pick(in)->request(in);
    fuzz_first_frame = 0;
}

void fuzz_devices_host(FuzzInput *in)
{
    const FuzzFrontend *f = pick(in);

    if (f->host) {
        f->host(in);
    }
    fuzz_first_frame = 0;
}
