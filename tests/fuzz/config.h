/*
 * Fuzz targets: a guest's configuration, whatever it is written in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_CONFIG_H
#define TESTS_FUZZ_CONFIG_H

#include "hw/xenpv/xenpv-text.h"
#include "fuzz.h"
#include "../../tools/xenpv/guest.h"

/* What is told of it, as it is told: fit for a terminal, and one line */
static inline void fuzz_check_message(const char *text)
{
    g_autofree char *line = xenpv_text_line(text);

    assert(g_utf8_validate(line, -1, NULL));
    assert(strlen(line) <= XENPV_TEXT_LINE_MAX);
    for (const char *p = line; *p; p = g_utf8_next_char(p)) {
        assert(!g_unichar_iscntrl(g_utf8_get_char(p)));
    }
}

/* What a front end has made: NULL with an error, or what back ends can print */
static inline void fuzz_check_guest(Guest *g, Error *err)
{
    g_autofree char *line = NULL, *xml = NULL;

    assert(!g == !!err);
    if (!g) {
        fuzz_check_message(error_get_pretty(err));
        error_free(err);
        return;
    }
    line = guest_to_qemu_line(g, "qemu");
    xml = guest_to_libvirt(g, "/usr/bin/qemu", "kvm");
    assert(line && xml);
    assert(g_utf8_validate(xml, -1, NULL));
    for (unsigned i = 0; i < g->notes->len; i++) {
        fuzz_check_message(g->notes->pdata[i]);
    }
    guest_free(g);
}

#endif
