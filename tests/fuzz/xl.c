/*
 * Fuzz target: the language of xl's and xm's configuration files
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
    g_autofree char *text = fuzz_take_text(in);
    Error *err = NULL;

    /* Which is what guest_parse() sees to */
    if (g_utf8_validate(text, -1, NULL)) {
        Guest *g = guest_parse_xl("f", text, &err);

        fuzz_check_guest(g, err);
    }
}

static const FuzzTarget xl_target = { .name = "xl", .one = one };
FUZZ_TARGET(xl_target)
