/*
 * A disk that QEMU itself gets over a network: Ceph's RBD, and NBD
 *
 * xl hands "rbd:POOL/IMAGE:id=...", "nbd:HOST:PORT" and NBD's URIs to QEMU as they
 * are.
 * libvirt has elements for what is in them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_NET_DISK_H
#define TOOLS_XENPV_NET_DISK_H

#define NET_DISK_MAX_HOSTS  16

typedef struct NetDisk {
    char *protocol;             /* rbd, nbd */
    char *name;                 /* rbd: POOL/IMAGE; nbd: the export, or NULL */
    char *user, *conf;          /* rbd, or NULL */
    char *socket;               /* nbd, a UNIX socket, instead of hosts */
    char *hosts[NET_DISK_MAX_HOSTS], *ports[NET_DISK_MAX_HOSTS];
    unsigned nr_hosts;          /* a port may be NULL */
} NetDisk;

/* Whether a source begins like one */
bool net_disk_is(const char *source);
/* NULL: it is none that is understood, and *why says why */
NetDisk *net_disk_parse(const char *source, const char **why);
/* As xl and QEMU's -drive file= have it */
char *net_disk_format(const NetDisk *d);
void net_disk_free(NetDisk *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetDisk, net_disk_free)

#endif
