/*
 * Disks: the node "params", by which a Xen host names a disk's file
 *
 * Xen's public/io/blkif.h has it for whoever attaches the file, but guests read
 * it, too: MirageOS, for one, finds by it the disk that its program calls
 * "fat1.img". xenpv-block.c calls this in the main loop, when a disk has been
 * made and when its medium has changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "block/block_int-common.h"
#include "block/block_int-io.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "hw/xen/xen-block.h"
#include "system/block-backend.h"
#include "xenpv-blkif.h"

/*
 * Returns the name, as QEMU was given it, of the file or device on this host
 * that holds @bs; NULL if there is none, as for a server's disk or a file
 * descriptor.
 */
static const char *file_name(BlockDriverState *bs)
{
    GRAPH_RDLOCK_GUARD_MAINLOOP();

    while (bs && bs->drv && !bs->drv->protocol_name) {
        bs = bdrv_primary_bs(bs);
    }
    if (!bs || !bs->drv ||
        (strcmp(bs->drv->format_name, "file") &&
         strcmp(bs->drv->format_name, "host_device") &&
         strcmp(bs->drv->format_name, "host_cdrom")) ||
        !bs->exact_filename[0] ||
        strstart(bs->exact_filename, "/dev/fdset/", NULL)) {
        return NULL;
    }
    return bs->exact_filename;
}

void xenpv_block_write_params(XenDevice *xendev, BlockBackend *blk)
{
    const char *params = XEN_BLOCK_DEVICE(xendev)->props.params;

    if (!params) {
        params = file_name(blk_bs(blk)) ?: "";
    }
    if (strlen(params) > XENSTORE_PAYLOAD_MAX) {
        params = "";
    }
    xen_device_backend_printf(xendev, "params", "%s", params);
}
