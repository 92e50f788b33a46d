/*
 * Disks that QEMU itself reaches over a network: Ceph's RBD, and NBD
 *
 * xl passes "rbd:POOL/IMAGE:id=...", "nbd:HOST:PORT" and NBD's URIs on to QEMU
 * unchanged. libvirt's XML has elements and attributes for their parts.
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
    char *socket;               /* nbd: a UNIX socket instead of hosts */
    char *hosts[NET_DISK_MAX_HOSTS], *ports[NET_DISK_MAX_HOSTS];
    unsigned nr_hosts;          /* a port may be NULL */
} NetDisk;

/* Whether @source looks like such a disk */
bool net_disk_is(const char *source);
/* Returns NULL and sets *why if @source is not understood */
NetDisk *net_disk_parse(const char *source, const char **why);
/* Returns the source in the form of xl and of QEMU's -drive file= */
char *net_disk_format(const NetDisk *d);
void net_disk_free(NetDisk *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetDisk, net_disk_free)

#endif
