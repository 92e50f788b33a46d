/*
 * Fuzz target: libvirt's XML, and how the form of a configuration is found out
 *
 * A fault here crashes xenpv-convert by a file that somebody else has written,
 * lets it use time or memory without a bound, or writes to its terminal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "config.h"

static void one(FuzzInput *in)
{
    size_t len = in->len;
    /* A byte 0 in it is part of the input here */
    g_autofree char *text = g_malloc(len + 1);
    Error *err = NULL;
    Guest *g;

    memcpy(text, in->data, len);
    text[len] = 0;
    g = guest_parse("f", text, len, &err);
    fuzz_check_guest(g, err);
}

static const FuzzTarget xml_target = { .name = "xml", .one = one };
FUZZ_TARGET(xml_target)
