/*
 * Fuzz target: event channels and grants
 *
 * A fault here is a guest that crashes QEMU by a hypercall that the monitor
 * passes on, in any order, while back ends have ports and grants in use; or one
 * that gets at memory which is not its RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-misc-target.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/event_channel.h"
#include "hw/xen/interface/grant_table.h"
#include "hw/xenpv/xenpv-events.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "machine.h"

#define DIR "device/console/1"

/* A structure of the hypercalls', out of numbers that mean something in one */
static void request(FuzzInput *in)
{
    static const uint16_t numbers[] = {
        0, 1, 2, 3, 4, 5, 16, 17, 63, 64, FUZZ_REF_READONLY, FUZZ_REF_NOT_RAM,
        1023, 1024, 4096, 0x7ff0, 0x7fff, 0xffff,
    };
    uint8_t op = fuzz_take(in, 1), how = fuzz_take(in, 1);
    uint8_t data[64] = { 0 };
    unsigned at = 0;

    /* Fields of 2, 4 and 8 bytes, each where it would be */
    for (unsigned n = how & 15; n; n--) {
        uint8_t field = fuzz_take(in, 1);
        unsigned size = 2 << field % 3;
        uint64_t value = field & 0x80 ? fuzz_take(in, size) :
                         numbers[(field >> 2) % ARRAY_SIZE(numbers)];

        at = ROUND_UP(at, size);
        if (at + size > sizeof(data)) {
            break;
        }
        memcpy(data + at, &value, size);
        at += size;
    }
    fuzz_call(op & 0x80 ? XENPV_CALL_EVTCHN : XENPV_CALL_GNTTAB, op % 16, data,
              how & 0x80 ? sizeof(data) : at);
}

/* A back end that has a port and a frame in use */
static void connect_console(FuzzInput *in)
{
    fuzz_xs_write(DIR, "ring-ref", "%u", (unsigned)FUZZ_REF(0));
    fuzz_xs_write(DIR, "port", "%u", fuzz_alloc_unbound());
    fuzz_xs_write(DIR, "state", "3");
}

/* An event by QMP */
static void host(FuzzInput *in)
{
    Error *err = NULL;

    xenpv_event_inject(fuzz_take(in, 2), &err);
    error_free(err);
    qapi_free_EvtchnInfoList(xenpv_event_list());
}

static const char *const nodes[] = { "state", "ring-ref", "port", NULL };

static const FuzzFrontend frontend = {
    .dir = DIR, .nodes = nodes, .connect = connect_console, .request = request,
    .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&frontend, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm", "-smp", "2", "-chardev", "null,id=c", "-serial", "null",
    "-device", "xen-console,chardev=c,idx=1", NULL
};

static const FuzzTarget evtchn_target = {
    .name = "evtchn", .machine = machine, .one = one,
};
FUZZ_TARGET(evtchn_target)
