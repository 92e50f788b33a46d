/*
 * xenstore for the host's programs: xenstored's protocol on a UNIX socket
 *
 * Whoever connects is domain 0, as at xenstored's own socket: xenstore-ls,
 * -read, -write, -watch and -chmod with XENSTORED_PATH set to it. What they
 * change below the guest's home is remembered: a reset goes back to that.
 *
 * Only the socket's permissions protect it, as with QMP's. A misbehaving client
 * is bounded as the guest is: one request and one answer are under way, each of
 * them one message; a request is looked at only when the answer to the one
 * before it is out; and its watches, transactions and queued changes have
 * limits, in xenpv-xenstore.h. A message that is too long, or the socket's end,
 * ends the connection and frees all that it had.
 *
 * All of it runs in the main loop, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "system/system.h"
#include "xenpv-xenstore.h"
#include "trace.h"

#define TYPE_XENPV_XENSTORE_SOCKET  "xenpv-xenstore-socket"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVXenstoreSocket, XENPV_XENSTORE_SOCKET)

/* Programs that may be connected at a time; later ones are turned away */
#define CLIENTS_MAX     32

struct XenPVXenstoreSocket {
    DeviceState parent_obj;

    char *path;
    XenPVXenstoreState *store;
    QIONetListener *listener;
    unsigned nr_clients;
    Notifier exit;
};

typedef struct Client {
    XenPVConnection conn;
    XenPVXenstoreSocket *socket;
    QIOChannelSocket *channel;
    uint8_t in[HEADER_SIZE + XENSTORE_PAYLOAD_MAX + 1];
    uint32_t in_len;
    GByteArray *out;        /* the message that is going out, or empty */
    size_t sent;
} Client;

static void run_client(void *opaque);

static void close_client(Client *c)
{
    XenPVXenstoreState *s = c->socket->store;

    trace_xenpv_xenstore_client(c->channel->fd, false);
    qemu_set_fd_handler(c->channel->fd, NULL, NULL, NULL);
    xenpv_xenstore_end_transactions(s, &c->conn.watches);
    QTAILQ_REMOVE(&s->connections, &c->conn, next);
    xenpv_watches_destroy(&c->conn.watches);
    qemu_bh_delete(c->conn.bh);
    object_unref(OBJECT(c->channel));
    g_byte_array_unref(c->out);
    c->socket->nr_clients--;
    g_free(c);
}

/* Returns false at the connection's end */
static bool send_some(Client *c)
{
    while (c->sent < c->out->len) {
        ssize_t n = RETRY_ON_EINTR(send(c->channel->fd, c->out->data + c->sent,
                                        c->out->len - c->sent, MSG_NOSIGNAL));

        if (n < 0) {
            return errno == EAGAIN;
        }
        c->sent += n;
    }
    g_byte_array_set_size(c->out, 0);
    c->sent = 0;
    return true;
}

/* Receive what is there of one message; false: the connection has ended */
static bool receive_some(Client *c)
{
    uint32_t want;

    while ((want = xenpv_xenstore_wanted(c->in, c->in_len))) {
        ssize_t n;

        if (want > HEADER_SIZE + XENSTORE_PAYLOAD_MAX - c->in_len) {
            return false;
        }
        n = RETRY_ON_EINTR(recv(c->channel->fd, c->in + c->in_len, want, 0));
        if (n <= 0) {
            return n && errno == EAGAIN;
        }
        c->in_len += n;
    }
    return true;
}

static void run_client(void *opaque)
{
    Client *c = opaque;
    XenPVXenstoreState *s = c->socket->store;
    int64_t until = xenpv_xenstore_run_until();
    bool listens = false, more = true;

    while (more) {
        if (!send_some(c)) {
            close_client(c);
            return;
        }
        if (c->out->len) {
            break;
        }
        if (xenpv_xenstore_is_late(until)) {
            qemu_bh_schedule(c->conn.bh);
            break;
        }
        if (xenpv_xenstore_note_committed(s)) {
            continue;
        }
        listens = xenpv_xenstore_back_ends_know(s);
        if (listens) {
            if (!receive_some(c)) {
                close_client(c);
                return;
            }
            if (!xenpv_xenstore_wanted(c->in, c->in_len)) {
                c->in_len = 0;
                xenpv_xenstore_handle(s, XENPV_BACKEND_DOMID, &c->conn.watches,
                                      c->in, c->out);
                continue;
            }
        }
        more = xenpv_xenstore_event(&c->conn.watches, c->out);
    }
    qemu_set_fd_handler(c->channel->fd,
                        listens && !c->out->len ? run_client : NULL,
                        c->out->len ? run_client : NULL, c);
}

static void new_client(QIONetListener *listener, QIOChannelSocket *channel,
                       void *opaque)
{
    XenPVXenstoreSocket *socket = opaque;
    Client *c;

    /* The listener drops its reference after this, which closes the socket */
    if (socket->nr_clients >= CLIENTS_MAX) {
        trace_xenpv_xenstore_client_refused(channel->fd);
        return;
    }
    socket->nr_clients++;
    trace_xenpv_xenstore_client(channel->fd, true);
    c = g_new0(Client, 1);
    c->socket = socket;
    c->channel = channel;
    object_ref(OBJECT(channel));
    qio_channel_set_blocking(QIO_CHANNEL(channel), false, &error_abort);
    c->out = g_byte_array_new();
    xenpv_watches_init(&c->conn.watches, GUEST_CHANGES_MAX);
    /* In the same context as the ring's, for the same reason */
    c->conn.bh = aio_bh_new(iohandler_get_aio_context(), run_client, c);
    QTAILQ_INSERT_TAIL(&socket->store->connections, &c->conn, next);
    qemu_bh_schedule(c->conn.bh);
}

/* Stop listening, which also removes the socket's file */
static void at_exit(Notifier *n, void *opaque)
{
    XenPVXenstoreSocket *s = container_of(n, XenPVXenstoreSocket, exit);

    qio_net_listener_disconnect(s->listener);
    object_unref(OBJECT(s->listener));
    s->listener = NULL;
}

static void socket_realize(DeviceState *dev, Error **errp)
{
    XenPVXenstoreSocket *s = XENPV_XENSTORE_SOCKET(dev);
    Object *store = object_resolve_path_type("", TYPE_XENPV_XENSTORE, NULL);
    SocketAddress address = { .type = SOCKET_ADDRESS_TYPE_UNIX };

    if (!store) {
        error_setg(errp, TYPE_XENPV_XENSTORE_SOCKET ": only -M xenpv-kvm has a "
                   "xenstore");
        return;
    }
    if (!s->path || !*s->path) {
        error_setg(errp, TYPE_XENPV_XENSTORE_SOCKET ": path=, where the socket "
                   "is to be, is missing");
        return;
    }
    s->store = XENPV_XENSTORE(store);
    s->listener = qio_net_listener_new();
    qio_net_listener_set_name(s->listener, TYPE_XENPV_XENSTORE_SOCKET);
    address.u.q_unix.path = s->path;
    if (qio_net_listener_open_sync(s->listener, &address, CLIENTS_MAX,
                                   errp) < 0) {
        error_prepend(errp, TYPE_XENPV_XENSTORE_SOCKET ": path=: ");
        object_unref(OBJECT(s->listener));
        return;
    }
    qio_net_listener_set_client_func(s->listener, new_client, s, NULL);
    s->exit.notify = at_exit;
    qemu_add_exit_notifier(&s->exit);
}

static const Property socket_properties[] = {
    DEFINE_PROP_STRING("path", XenPVXenstoreSocket, path),
};

static void socket_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "xenstore for the host's programs, on a UNIX socket";
    dc->realize = socket_realize;
    dc->hotpluggable = false;
    dc->user_creatable = true;
    device_class_set_props(dc, socket_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo socket_types[] = {
    {
        .name = TYPE_XENPV_XENSTORE_SOCKET,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(XenPVXenstoreSocket),
        .class_init = socket_class_init,
    },
};

DEFINE_TYPES(socket_types)
