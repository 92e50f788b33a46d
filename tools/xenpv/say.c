/*
 * Messages to the user
 *
 * xenner and xenpv-convert print all of theirs by this.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <locale.h>
#include "hw/xenpv/xenpv-text.h"
#include "say.h"

void say_init(void)
{
    setlocale(LC_CTYPE, "");
}

void say(FILE *to, const char *fmt, ...)
{
    g_autofree char *text = NULL, *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = xenpv_text_line(text);
    fprintf(to, "%s\n", line);
}
