/*
 * Fuzz target: xenner's command line
 *
 * The arguments are the input's lines. A fault here crashes xenner, or starts
 * QEMU with arguments that nobody gave.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "config.h"

static void one(FuzzInput *in)
{
    g_autofree char *text = fuzz_take_text(in);
    g_auto(GStrv) args = NULL;
    Error *err = NULL;
    Guest *g;

    if (!g_utf8_validate(text, -1, NULL)) {
        return;
    }
    args = g_strsplit(text, "\n", -1);
    g = guest_parse_xenner("xenner", args, NULL, &err);
    fuzz_check_guest(g, err);
}

static const FuzzTarget xenner_target = { .name = "xenner", .one = one };
FUZZ_TARGET(xenner_target)
