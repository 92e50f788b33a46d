/*
 * Fuzz target: the monitor's calls and ports, and its shared memory
 *
 * A fault here is a guest that stops or crashes QEMU by what it writes to a
 * mailbox or a port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "machine.h"

/* A call whose data is a text or numbers of any width; the last vCPU, too */
static void request(FuzzInput *in)
{
    uint32_t op = fuzz_take(in, 1) % (XENPV_NR_CALLS + 1);
    uint32_t cmd = fuzz_take(in, 1) % 24;
    uint32_t size = fuzz_take(in, 2) % (2 * sizeof(struct xenpv_mailbox));
    size_t len = size;
    const uint8_t *p = fuzz_take_bytes(in, &len);
    g_autofree uint8_t *data = g_malloc0(size + 1);

    memcpy(data, p, len);
    fuzz_call(op, cmd, data, size);
}

static const FuzzFrontend frontend = { .request = request };

static void one(FuzzInput *in)
{
    fuzz_machine_run(&frontend, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm", "-smp", "3", "-chardev", "null,id=c",
    "-serial", "chardev:c", NULL
};

static const FuzzTarget call_target = {
    .name = "call", .machine = machine, .one = one,
};
FUZZ_TARGET(call_target)
