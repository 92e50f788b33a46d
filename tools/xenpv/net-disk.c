/*
 * Disks that QEMU itself reaches over a network: Ceph's RBD, and NBD
 *
 * The readers of xl's files and of libvirt's XML call this. It checks the parts
 * of a source before any of them gets into an option of QEMU's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest.h"
#include "net-disk.h"

void net_disk_free(NetDisk *d)
{
    if (!d) {
        return;
    }
    g_free(d->protocol);
    g_free(d->name);
    g_free(d->user);
    g_free(d->conf);
    g_free(d->socket);
    for (unsigned i = 0; i < d->nr_hosts; i++) {
        g_free(d->hosts[i]);
        g_free(d->ports[i]);
    }
    g_free(d);
}

bool net_disk_is(const char *source)
{
    return g_str_has_prefix(source, "rbd:") ||
           g_str_has_prefix(source, "nbd:") ||
           g_str_has_prefix(source, "nbd+unix:");
}

/* Reads up to the next unescaped @end, and removes the backslashes */
static char *take(const char **p, char end)
{
    g_autoptr(GString) out = g_string_new(NULL);

    while (**p && **p != end) {
        if (**p == '\\' && (*p)[1]) {
            (*p)++;
        }
        g_string_append_c(out, *(*p)++);
    }
    if (**p) {
        (*p)++;
    }
    return g_string_free(g_steal_pointer(&out), false);
}

/* HOST, HOST:PORT or [IPv6]:PORT */
static bool add_host(NetDisk *d, const char *text)
{
    const char *close = text[0] == '[' ? strchr(text, ']') : NULL;
    const char *colon = strrchr(close ?: text, ':');

    if (d->nr_hosts == NET_DISK_MAX_HOSTS || !text[0]) {
        return false;
    }
    if (colon && !close && strchr(text, ':') != colon) {
        colon = NULL;               /* an IPv6 address by itself */
    }
    d->hosts[d->nr_hosts] =
        close ? g_strndup(text + 1, close - text - 1) :
        colon ? g_strndup(text, colon - text) : g_strdup(text);
    d->ports[d->nr_hosts++] = colon ? g_strdup(colon + 1) : NULL;
    return true;
}

static bool parse_rbd(NetDisk *d, const char *p, const char **why)
{
    d->name = take(&p, ':');
    if (!strchr(d->name, '/')) {
        *why = "it is not of the form rbd:POOL/IMAGE";
        return false;
    }
    while (*p) {
        g_autofree char *word = take(&p, ':');
        char *value = strchr(word, '=');

        if (!value) {
            *why = "behind the image there is more than KEY=VALUE";
            return false;
        }
        *value++ = 0;
        if (!strcmp(word, "id")) {
            g_free(d->user);
            d->user = g_strdup(value);
        } else if (!strcmp(word, "conf")) {
            g_free(d->conf);
            d->conf = g_strdup(value);
        } else if (!strcmp(word, "mon_host")) {
            g_auto(GStrv) hosts = g_strsplit(value, ";", 0);

            for (char **h = hosts; *h; h++) {
                if (!add_host(d, *h)) {
                    *why = "its mon_host has an empty name, or too many";
                    return false;
                }
            }
        } else if (strcmp(word, "auth_supported")) {
            *why = "of what may follow the image only id, mon_host, conf and "
                   "auth_supported are known";
            return false;
        }
    }
    return true;
}

/* Parses QEMU's nbd://HOST:PORT/EXPORT and nbd+unix:///EXPORT?socket=PATH */
static bool parse_nbd_uri(NetDisk *d, const char *source)
{
    g_autoptr(GUri) uri = g_uri_parse(source, G_URI_FLAGS_NONE, NULL);
    const char *path = uri ? g_uri_get_path(uri) : "";
    const char *query = uri ? g_uri_get_query(uri) : NULL;
    const char *host = uri ? g_uri_get_host(uri) : NULL;

    if (!uri || g_uri_get_userinfo(uri)) {
        return false;
    }
    if (path[0] == '/' && path[1]) {
        d->name = g_strdup(path + 1);
    }
    if (!strcmp(g_uri_get_scheme(uri), "nbd+unix")) {
        if (!query || !g_str_has_prefix(query, "socket=/")) {
            return false;
        }
        d->socket = g_strdup(query + strlen("socket="));
        return !strpbrk(d->socket, "&:");
    }
    if (!host || !host[0] || query) {
        return false;
    }
    d->hosts[0] = g_strdup(host);
    d->ports[0] = g_strdup_printf("%d", g_uri_get_port(uri) < 0 ? 10809 :
                                  g_uri_get_port(uri));
    d->nr_hosts = 1;
    return true;
}

static bool parse_nbd(NetDisk *d, const char *p, const char **why)
{
    const char *export = strstr(p, ":exportname=");
    g_autofree char *place = export ? g_strndup(p, export - p) : g_strdup(p);

    if (export) {
        d->name = g_strdup(export + strlen(":exportname="));
    }
    if (g_str_has_prefix(place, "unix:")) {
        d->socket = g_strdup(place + strlen("unix:"));
        if (d->socket[0] == '/') {
            return true;
        }
    } else if (add_host(d, place) && d->hosts[0][0] && d->ports[0] &&
               d->ports[0][0] && !d->ports[0][strspn(d->ports[0],
                                                     "0123456789")]) {
        return true;
    }
    *why = "it is not of the form nbd:HOST:PORT or nbd:unix:/SOCKET, with "
           ":exportname=NAME behind it or not";
    return false;
}

static bool is_uri(const char *source)
{
    return strstr(source, "://") && source[0] == 'n';
}

NetDisk *net_disk_parse(const char *source, const char **why)
{
    g_autoptr(NetDisk) d = g_new0(NetDisk, 1);
    bool is_rbd = g_str_has_prefix(source, "rbd:");

    if (is_uri(source)) {
        d->protocol = g_strdup("nbd");
        *why = "it is not of the form nbd://HOST:PORT/EXPORT or "
               "nbd+unix:///EXPORT?socket=/PATH";
        return parse_nbd_uri(d, source) ? g_steal_pointer(&d) : NULL;
    }

    d->protocol = g_strndup(source, 3);
    if (is_rbd ? !parse_rbd(d, source + 4, why)
               : !parse_nbd(d, source + 4, why)) {
        return NULL;
    }
    return g_steal_pointer(&d);
}

/* Puts a backslash before characters that would end a word of an rbd: source */
static void append_escaped(GString *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\:;=@", *text)) {
            g_string_append_c(out, '\\');
        }
        g_string_append_c(out, *text);
    }
}

char *net_disk_format(const NetDisk *d)
{
    GString *out = g_string_new(d->protocol);

    if (!strcmp(d->protocol, "nbd")) {
        if (d->socket) {
            g_string_append_printf(out, ":unix:%s", d->socket);
        } else {
            const char *host = d->nr_hosts ? d->hosts[0] : "localhost";

            g_string_append_printf(out, strchr(host, ':') ? ":[%s]:%s" :
                                   ":%s:%s", host,
                                   d->nr_hosts && d->ports[0] ? d->ports[0]
                                                              : "10809");
        }
        if (d->name) {
            g_string_append_printf(out, ":exportname=%s", d->name);
        }
        return g_string_free(out, false);
    }
    g_string_append_printf(out, ":%s", d->name ?: "");
    if (d->user) {
        g_string_append(out, ":id=");
        append_escaped(out, d->user);
    }
    for (unsigned i = 0; i < d->nr_hosts; i++) {
        g_string_append(out, i ? "\\;" : ":mon_host=");
        append_escaped(out, strchr(d->hosts[i], ':') ? "[" : "");
        append_escaped(out, d->hosts[i]);
        append_escaped(out, strchr(d->hosts[i], ':') ? "]" : "");
        if (d->ports[i]) {
            g_string_append_printf(out, "\\:%s", d->ports[i]);
        }
    }
    if (d->conf) {
        g_string_append(out, ":conf=");
        append_escaped(out, d->conf);
    }
    return g_string_free(out, false);
}

bool guest_set_net_disk(Guest *g, GuestDisk *disk, const char *value,
                        Error **errp)
{
    const char *why = NULL;
    g_autoptr(NetDisk) d = net_disk_parse(value, &why);

    if (!d) {
        guest_error(g, disk->line, errp, "disk: '%s': %s", value, why);
        return false;
    }
    g_free(disk->source);
    disk->source = is_uri(value) ? net_disk_format(d) : g_strdup(value);
    disk->is_network = true;
    return true;
}
