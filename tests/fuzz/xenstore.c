/*
 * Fuzz target: xenstore's ring and the host's socket, and the store behind them
 *
 * A fault here is a guest that crashes QEMU by a message, or by any sequence of
 * them: transactions, watches, permissions, removals; or a program of the host's
 * that does, or comes and goes, while the guest and others use the same nodes.
 * What a message is made of is chosen out of names that mean something;
 * op_xenstore and op_write of machine.c do the rest.
 *
 * A domain's reset leaves what the host has written. So that an input is the same
 * whichever was before it, programs write where each input begins with nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qemu/sockets.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "machine.h"

#define MAX_DEPTH   6
/* Of the host's, who may write only here */
#define NR_CLIENTS  4
#define HOST_DIR    "/tool"

static char *socket_dir, *socket_path;
static int clients[NR_CLIENTS] = { -1, -1, -1, -1 };

static const char *const names[] = {
    "data", "device", "vbd", "51712", "state", "backend", "control", "shutdown",
    "memory", "target", "a", "b", "c", "..", "", "local", "domain", "1", "0",
    "attr", "vm", "console", "error", "feature",
};

static void append_path(GString *s, FuzzInput *in, const char *below)
{
    uint8_t how = fuzz_take(in, 1);
    unsigned depth = how % MAX_DEPTH;

    if (below) {
        g_string_append(s, below);
    } else if (how & 0x80) {
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

/* What is sent, but for its length and number */
static GString *make_request(FuzzInput *in, bool host, struct xsd_sockmsg *hdr)
{
    static const uint8_t types[] = {
        XS_DIRECTORY, XS_READ, XS_GET_PERMS, XS_WATCH, XS_UNWATCH,
        XS_TRANSACTION_START, XS_TRANSACTION_END, XS_GET_DOMAIN_PATH, XS_WRITE,
        XS_MKDIR, XS_RM, XS_SET_PERMS, XS_RESET_WATCHES, XS_DIRECTORY_PART,
        XS_IS_DOMAIN_INTRODUCED, XS_CONTROL,
    };
    GString *s = g_string_new(NULL);
    const char *below = NULL;
    size_t len;

    *hdr = (struct xsd_sockmsg) {
        .type = types[fuzz_take(in, 1) % ARRAY_SIZE(types)],
        .tx_id = fuzz_xs_transaction(fuzz_take(in, 1) % 12),
    };
    if (host && (hdr->type == XS_WRITE || hdr->type == XS_MKDIR ||
                 hdr->type == XS_RM || hdr->type == XS_SET_PERMS)) {
        below = HOST_DIR;
    }
    switch (hdr->type) {
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
        append_path(s, in, below);
        for (unsigned n = fuzz_take(in, 1) % 4; n; n--) {
            g_string_append_printf(s, "%c%u", "nrwb"[fuzz_take(in, 1) % 4],
                                   (unsigned)fuzz_take(in, 1) % 3);
            g_string_append_c(s, 0);
        }
        break;
    case XS_WATCH:
    case XS_UNWATCH:
        append_path(s, in, below);
        g_string_append_printf(s, "token%u", (unsigned)fuzz_take(in, 1) % 8);
        g_string_append_c(s, 0);
        break;
    case XS_DIRECTORY_PART:
        append_path(s, in, below);
        g_string_append_printf(s, "%u", (unsigned)fuzz_take(in, 2));
        g_string_append_c(s, 0);
        break;
    case XS_WRITE:
        append_path(s, in, below);
        len = fuzz_take(in, 1);
        g_string_append_len(s, (const char *)fuzz_take_bytes(in, &len), len);
        break;
    default:
        append_path(s, in, below);
    }
    return s;
}

static void request(FuzzInput *in)
{
    struct xsd_sockmsg hdr;
    g_autoptr(GString) s = make_request(in, false, &hdr);

    fuzz_xs_send(&hdr, s->str, s->len);
}

/* --- The host's programs --------------------------------------------------- */

static void disconnect(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
        fuzz_pump();
    }
}

static void connect_client(int *fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    disconnect(fd);
    g_strlcpy(address.sun_path, socket_path, sizeof(address.sun_path));
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert(*fd >= 0);
    assert(!connect(*fd, (struct sockaddr *)&address, sizeof(address)));
    fuzz_pump();
}

/* Take all that is told, until nothing more is, or the connection has ended */
static void listen_to(int *fd)
{
    uint8_t buf[4096];
    ssize_t n;

    while (*fd >= 0 && (n = recv(*fd, buf, sizeof(buf), 0)) >= 0) {
        if (!n) {
            disconnect(fd);
        }
        fuzz_xs_heard(buf, n);
        fuzz_pump();
    }
}

/* Who does not take it all has to wait, and may not */
static void send_from(int *fd, const void *data, size_t len)
{
    if (*fd < 0) {
        connect_client(fd);
    }
    send(*fd, data, len, MSG_NOSIGNAL);
    fuzz_pump();
}

static void host(FuzzInput *in)
{
    uint8_t what = fuzz_take(in, 1);
    int *fd = &clients[what >> 3 & (NR_CLIENTS - 1)];
    struct xsd_sockmsg hdr;
    g_autoptr(GString) s = NULL;

    switch (what % 8) {
    case 0:
        connect_client(fd);
        break;
    case 1:
        disconnect(fd);
        break;
    case 2:
    case 3:
        listen_to(fd);
        break;
    case 4:
        /* A length that is wrong, of a request that changes nothing */
        hdr = (struct xsd_sockmsg) {
            .type = XS_READ, .len = fuzz_take(in, 2),
        };
        send_from(fd, &hdr, sizeof(hdr));
        break;
    default:
        s = make_request(in, true, &hdr);
        hdr.req_id = what;
        hdr.len = s->len;
        g_string_prepend_len(s, (const char *)&hdr, sizeof(hdr));
        /* In two parts, perhaps, of which the second may not come */
        if (what & 0x80) {
            size_t part = fuzz_take(in, 1) % s->len;

            send_from(fd, s->str, part);
            g_string_erase(s, 0, part);
        }
        if (!(what & 0x40)) {
            send_from(fd, s->str, s->len);
        }
        break;
    }
}

/* As the input before has left them; and what they have written goes */
static void begin(void)
{
    struct xsd_sockmsg hdr = { .type = XS_RM, .len = sizeof(HOST_DIR) };
    int fd = -1;

    for (int i = 0; i < NR_CLIENTS; i++) {
        disconnect(&clients[i]);
    }
    send_from(&fd, &hdr, sizeof(hdr));
    send_from(&fd, HOST_DIR, sizeof(HOST_DIR));
    listen_to(&fd);
    disconnect(&fd);
}

/* QEMU's own comes later, and finds nothing to do */
static void remove_socket(void)
{
    unlink(socket_path);
    rmdir(socket_dir);
}

static void init(void)
{
    atexit(remove_socket);
}


static const char *const nodes[] = { "a", "b", "a/b", "a/b/c", NULL };

static const FuzzFrontend frontend = {
    .begin = begin, .dir = "data", .nodes = nodes, .request = request,
    .host = host,
};

static void one(FuzzInput *in)
{
    fuzz_machine_run(&frontend, in);
}

static const char *machine[] = {
    "-M", "xenpv-kvm", "-chardev", "null,id=c", "-device",
    "xen-console,chardev=c", "-blockdev",
    "null-co,node-name=d,size=1048576,read-zeroes=on",
    "-device", "xen-disk,drive=d,vdev=xvda", "-device", NULL, NULL
};

/* A socket needs a place, which has a name of its own in each process */
static void prepare(void)
{
    g_autoptr(GError) err = NULL;

    socket_dir = g_dir_make_tmp("fuzz-xenstore-XXXXXX", &err);
    if (!socket_dir) {
        g_error("%s", err->message);
    }
    socket_path = g_build_filename(socket_dir, "socket", NULL);
    machine[ARRAY_SIZE(machine) - 2] =
        g_strdup_printf("xenpv-xenstore-socket,path=%s", socket_path);
}

static const FuzzTarget xenstore_target = {
    .name = "xenstore", .machine = machine, .prepare = prepare, .init = init,
    .one = one,
};
FUZZ_TARGET(xenstore_target)
