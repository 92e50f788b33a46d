/*
 * Untrusted text, for people to read
 *
 * Called by whatever prints what a file says about itself; xenpv-text.h says
 * why.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xenpv/xenpv-text.h"

/* Any other character may tell a terminal to do something */
static bool is_plain(gunichar c)
{
    if (c < 0x80) {
        return g_ascii_isprint(c);
    }
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SPACE_SEPARATOR:
        return false;
    default:
        return true;
    }
}

/* The character at @p, or 0 if it is not plain; @n is set to its length */
static gunichar next_char(const char *p, size_t len, size_t *n)
{
    gunichar c = g_utf8_get_char_validated(p, len);

    if (c == (gunichar)-1 || c == (gunichar)-2) {
        *n = 1;
        return 0;
    }
    *n = g_utf8_skip[(uint8_t)*p];
    return is_plain(c) ? c : 0;
}

/* Messages of libraries have typographic quotes and dashes */
static char in_ascii(gunichar c)
{
    switch (c) {
    case 0x2013: case 0x2014:
        return '-';
    case 0x2018: case 0x2019: case 0x201c: case 0x201d:
        return '\'';
    default:
        return c && c < 0x80 ? c : '?';
    }
}

void xenpv_text_copy(char *dst, size_t size, const char *src, size_t len)
{
    bool utf8 = g_get_charset(NULL);
    size_t used = 0;

    while (len && *src) {
        size_t n;
        gunichar c = next_char(src, len, &n);
        size_t room = c && utf8 ? n : 1;

        if (room >= size - used) {
            break;
        }
        if (c && utf8) {
            memcpy(dst + used, src, n);
        } else {
            dst[used] = in_ascii(c);
        }
        used += room;
        src += n;
        len -= n;
    }
    dst[used] = 0;
}

char *xenpv_text_line(const char *text)
{
    static const char more[] = "...";
    size_t len = strlen(text);
    bool whole = len <= XENPV_TEXT_LINE_MAX;
    char *line = g_malloc(XENPV_TEXT_LINE_MAX + 1);

    xenpv_text_copy(line, XENPV_TEXT_LINE_MAX + 1 - (whole ? 0 : strlen(more)),
                    text, len);
    if (!whole) {
        strcat(line, more);
    }
    return line;
}

bool xenpv_text_is_plain(const char *text)
{
    size_t len = strlen(text);

    while (len) {
        size_t n;

        if (!next_char(text, len, &n)) {
            return false;
        }
        text += n;
        len -= n;
    }
    return true;
}
