/*
 * Fuzz target: the memory disk in an image of PV GRUB
 *
 * A fault here writes outside the image, or changes one that it gives up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "fuzz.h"
#include "../../hw/xenpv/xenpv-grub.h"

static void one(FuzzInput *in)
{
    size_t config_len = fuzz_take(in, 2) % 2048, len = in->len;
    g_autofree char *config = g_malloc0(config_len + 1);
    g_autofree uint8_t *image = NULL;

    memset(config, 'c', config_len);
    image = g_memdup2(in->data, len);
    if (!xenpv_grub_edit(image, len, config)) {
        assert(!len || !memcmp(image, in->data, len));
    }
}

static const FuzzTarget grub_target = { .name = "grub", .one = one };
FUZZ_TARGET(grub_target)
