/*
 * Fuzz target: the primary console and a further one
 *
 * A fault here is a front end that crashes QEMU by its ring, or by what it
 * writes about itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "chardev/char.h"
#include "hw/xen/interface/io/console.h"
#include "devices.h"

#define DIR "device/console/1"

static uint32_t port;

/* Bytes into one of the two rings, whatever its indexes are */
static void request(FuzzInput *in)
{
    bool further = fuzz_take(in, 1) & 1;
    uint64_t ring = further ? fuzz_frame(0) : FUZZ_MFN_CONSOLE * 4096;
    uint64_t prod_at = ring + offsetof(struct xencons_interface, out_prod);
    uint32_t prod = fuzz_read32(prod_at);
    size_t len = fuzz_take(in, 2) % 2048;

    fuzz_write32(prod_at, prod + len);
    fuzz_write32(ring + offsetof(struct xencons_interface, in_cons),
                 fuzz_read32(ring + offsetof(struct xencons_interface,
                                             in_prod)));
    fuzz_send(further ? port : FUZZ_PORT_CONSOLE);
}

static void connect_console(FuzzInput *in)
{
    port = fuzz_alloc_unbound();
    fuzz_xs_write(DIR, "ring-ref", "%u", fuzz_ref(0));
    fuzz_xs_write(DIR, "port", "%u", port);
    fuzz_xs_write(DIR, "state", "%u", 3 + (unsigned)fuzz_take(in, 1) % 2);
}

/* What is typed; or who does comes, or goes */
static void host(FuzzInput *in)
{
    uint8_t what = fuzz_take(in, 1);
    Chardev *chr = qemu_chr_find(what & 1 ? "further" : "primary");
    size_t len = MIN(fuzz_take(in, 1), qemu_chr_be_can_write(chr));
    const uint8_t *p = fuzz_take_bytes(in, &len);

    if (what & 2) {
        qemu_chr_be_event(chr, what & 4 ? CHR_EVENT_OPENED : CHR_EVENT_CLOSED);
    }
    if (len) {
        qemu_chr_be_write(chr, p, len);
    }
}

static const char *const nodes[] = {
    "state", "ring-ref", "port", "limit", "type", "output", "protocol", "tty",
    "name", NULL
};

static void begin(void)
{
    port = 0;
}

const FuzzFrontend fuzz_console = {
    .begin = begin, .dir = DIR, .nodes = nodes,
    .connect = connect_console, .request = request, .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&fuzz_console, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm", "-chardev", "null,id=primary", "-chardev",
    "null,id=further", "-serial", "chardev:primary",
    "-device", "xen-console,chardev=further,idx=1", NULL
};

static const FuzzTarget console_target = {
    .name = "console", .machine = machine, .one = one,
};
FUZZ_TARGET(console_target)
