/*
 * Fuzz target: xenstore's ring, and the store behind it
 *
 * A fault here is a guest that crashes QEMU by a message, or by any sequence of
 * them: transactions, watches, permissions, removals. What a message is made of
 * is chosen out of names that mean something; op_xenstore and op_write of
 * machine.c do the rest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "machine.h"

#define MAX_DEPTH   6

static const char *const names[] = {
    "data", "device", "vbd", "51712", "state", "backend", "control", "shutdown",
    "memory", "target", "a", "b", "c", "..", "", "local", "domain", "1", "0",
    "attr", "vm", "console", "error", "feature",
};

static void append_path(GString *s, FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned depth = how % MAX_DEPTH;

    if (how & 0x80) {
        g_string_append(s, how & 0x40 ? "/local/domain/1" : "/");
    } else if (how == 0x7f) {
        g_string_append(s, "@releaseDomain");
    }
    for (unsigned i = 0; i < depth; i++) {
        if (s->len && s->str[s->len - 1] != '/') {
            g_string_append_c(s, '/');
        }
        g_string_append(s, names[fuzz_take(in, 1) % ARRAY_SIZE(names)]);
    }
    g_string_append_c(s, 0);
}

static void request(FuzzInput *in)
{
    static const uint8_t types[] = {
        XS_DIRECTORY, XS_READ, XS_GET_PERMS, XS_WATCH, XS_UNWATCH,
        XS_TRANSACTION_START, XS_TRANSACTION_END, XS_GET_DOMAIN_PATH, XS_WRITE,
        XS_MKDIR, XS_RM, XS_SET_PERMS, XS_RESET_WATCHES, XS_DIRECTORY_PART,
        XS_IS_DOMAIN_INTRODUCED, XS_CONTROL,
    };
    struct xsd_sockmsg hdr = {
        .type = types[fuzz_take(in, 1) % ARRAY_SIZE(types)],
        .tx_id = fuzz_take(in, 1) % 12,
    };
    g_autoptr(GString) s = g_string_new(NULL);
    size_t len;

    switch (hdr.type) {
    case XS_TRANSACTION_END:
        g_string_append(s, fuzz_take(in, 1) & 1 ? "T" : "F");
        g_string_append_c(s, 0);
        break;
    case XS_TRANSACTION_START:
    case XS_RESET_WATCHES:
        g_string_append_c(s, 0);
        break;
    case XS_GET_DOMAIN_PATH:
    case XS_IS_DOMAIN_INTRODUCED:
        g_string_append_printf(s, "%u", (unsigned)fuzz_take(in, 1) % 3);
        g_string_append_c(s, 0);
        break;
    case XS_SET_PERMS:
        append_path(s, in);
        for (unsigned n = fuzz_take(in, 1) % 4; n; n--) {
            g_string_append_printf(s, "%c%u", "nrwb"[fuzz_take(in, 1) % 4],
                                   (unsigned)fuzz_take(in, 1) % 3);
            g_string_append_c(s, 0);
        }
        break;
    case XS_WATCH:
    case XS_UNWATCH:
        append_path(s, in);
        g_string_append_printf(s, "token%u", (unsigned)fuzz_take(in, 1) % 8);
        g_string_append_c(s, 0);
        break;
    case XS_DIRECTORY_PART:
        append_path(s, in);
        g_string_append_printf(s, "%u", (unsigned)fuzz_take(in, 2));
        g_string_append_c(s, 0);
        break;
    case XS_WRITE:
        append_path(s, in);
        len = fuzz_take(in, 1);
        g_string_append_len(s, (const char *)fuzz_take_bytes(in, &len), len);
        break;
    default:
        append_path(s, in);
    }
    fuzz_xs_send(&hdr, s->str, s->len);
}

static const char *const nodes[] = { "a", "b", "a/b", "a/b/c", NULL };

static const FuzzFrontend frontend = {
    .dir = "data", .nodes = nodes, .request = request,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&frontend, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm", "-chardev", "null,id=c", "-device",
    "xen-console,chardev=c", "-blockdev",
    "null-co,node-name=d,size=1048576,read-zeroes=on",
    "-device", "xen-disk,drive=d,vdev=xvda", NULL
};

static const FuzzTarget xenstore_target = {
    .name = "xenstore", .machine = machine, .one = one,
};
FUZZ_TARGET(xenstore_target)
