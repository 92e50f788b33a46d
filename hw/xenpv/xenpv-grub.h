/*
 * Boot from disk: PV GRUB as the kernel of a machine that was given none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_GRUB_H
#define HW_XENPV_GRUB_H

#include "hw/xenpv/xenpv-domain-builder.h"

/*
 * xenpv_grub_load: find PV GRUB and make it look for all kinds of menus.
 *
 * @find: the path of a file in the data directories, to be freed; NULL: none.
 * @width: 32 or 64, the width that is tried first.
 * @allow_64bit: false on qemu-system-i386.
 *
 * Returns NULL with @errp set if there is no PV GRUB, or it is not a PV kernel.
 */
XenPVKernel *xenpv_grub_load(char *(*find)(const char *name), unsigned width,
                             bool allow_64bit, Error **errp);

/*
 * xenpv_grub_edit: replace the configuration in a GRUB image's memory disk.
 *
 * The commands that xenpv-grub-menu.c replaces by functions get other names:
 * linuX, initrD and so on. Returns false, and changes nothing, if the image has
 * no such disk or if @config does not fit in.
 */
bool xenpv_grub_edit(uint8_t *image, size_t len, const char *config);

/* The configuration that xenpv_grub_load() puts there (xenpv-grub-menu.c) */
extern const char xenpv_grub_config[];

#endif /* HW_XENPV_GRUB_H */
