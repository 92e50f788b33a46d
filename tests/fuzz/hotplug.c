/*
 * Fuzz target: devices that come and go while their rings are in use
 *
 * A fault here is a guest that crashes QEMU when an administrator adds a disk, a
 * card or a console or takes it away, whatever the front end is doing then; or
 * that keeps a device from being added anew.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-core.h"
#include "qapi/qapi-commands-net.h"
#include "qapi/qapi-commands-qdev.h"
#include "qobject/qdict.h"
#include "hw/xenpv/xenpv-compat.h"
#include "monitor/qdev.h"
#include "devices.h"

typedef struct Plug {
    const char *id;
    /* What -device has, as names and values */
    const char *properties[10];
} Plug;

static const Plug plugs[] = {
    { "disk", { "driver", "xen-disk", "vdev", "xvda", "drive", "d" } },
    { "disk", { "driver", "xen-disk", "vdev", "xvda", "drive", "d",
                "iothread", "io", "num-queues", "2" } },
    { "nic", { "driver", "xen-net-device", "idx", "0", "netdev", "n" } },
    { "console", { "driver", "xen-console", "idx", "1", "chardev",
                   "further" } },
    { "other", { "driver", "xen-disk", "vdev", "xvdb", "drive", "e" } },
    /* The number and the node are another's, perhaps */
    { "other", { "driver", "xen-disk", "vdev", "xvda", "drive", "e" } },
    { "other", { "driver", "xen-disk", "vdev", "xvdb", "drive", "d" } },
};

static DeviceState *find(const char *id)
{
    Object *devices = object_resolve_path("/machine/peripheral", NULL);

    return (DeviceState *)object_resolve_path_component(devices, id);
}

static void add(const Plug *plug, Error **errp)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "id", plug->id);
    for (unsigned i = 0; i < ARRAY_SIZE(plug->properties) &&
         plug->properties[i]; i += 2) {
        const char *name = plug->properties[i];
        const char *value = plug->properties[i + 1];

        if (g_ascii_isdigit(value[0])) {
            qdict_put_int(options, name, atoi(value));
        } else {
            qdict_put_str(options, name, value);
        }
    }
    qmp_device_add(options, NULL, errp);
    qobject_unref(options);
}

/* As the input before has left them, they all go; and one can be added */
static void begin(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plugs); i++) {
        DeviceState *dev = find(plugs[i].id);

        if (dev) {
            object_unparent(OBJECT(dev));
        }
    }
    fuzz_pump();
    drain_call_rcu();
    fuzz_devices_begin();
    add(&plugs[0], &error_abort);
}

static void remove_device(const char *id)
{
    Error *err = NULL;

    qmp_device_del(id, &err);
    error_free(err);
}

static void host(FuzzInput *in)
{
    uint8_t what = fuzz_take(in, 1);
    const Plug *plug = &plugs[(what >> 3) % ARRAY_SIZE(plugs)];
    StrOrNull thread = {
        .type = what & 16 ? QTYPE_QSTRING : QTYPE_QNULL, .u.s = (char *)"io",
    };
    Error *err = NULL;

    switch (what % 8) {
    case 0:
    case 1:
        add(plug, &err);
        break;
    case 2:
    case 3:
        remove_device(plug->id);
        break;
    case 4:
        /* Until the front end has had its time to go */
        remove_device(plug->id);
        fuzz_pump();
        add(plug, &err);
        break;
    case 5:
        qmp_x_blockdev_set_iothread(what & 8 ? "e" : "d", &thread, false, false,
                                    &err);
        break;
    case 6:
        qmp_set_link("n", what & 8, &err);
        break;
    case 7:
        fuzz_devices_host(in);
        break;
    }
    error_free(err);
}

static const FuzzFrontend frontend = {
    .begin = begin, .dir = "device", .nodes = fuzz_devices_nodes,
    .connect = fuzz_devices_connect, .request = fuzz_devices_request,
    .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&frontend, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm,vfb=on", "-object", "iothread,id=io",
    FUZZ_DEVICES_BACKENDS, "-blockdev",
    "null-co,node-name=e,size=1048576,read-zeroes=on", FUZZ_DEVICES_SINK, NULL
};

static const FuzzTarget hotplug_target = {
    .name = "hotplug", .machine = machine, .one = one,
};
FUZZ_TARGET(hotplug_target)
