/*
 * The text files of a guest, for xenpv-convert --check
 *
 * rules.c and menu.c read a guest's files by these functions. The files are
 * untrusted: they may be of any size, with lines of any length.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest-files.h"

#define TEXT_MAX        (1024 * 1024)
/* Words of a line; the rest of the line is ignored */
#define MAX_WORDS       512

void guest_files_too_large(GuestFiles *f, const char *path, size_t max)
{
    g_autofree char *text = g_strdup_printf("it is larger than %zu MiB, and so "
                                            "is not looked into", max >> 20);

    f->finding(f, path, 0, text);
}

char *guest_files_read_text(GuestFiles *f, const char *path)
{
    size_t len;
    char *text = f->read(f, path, TEXT_MAX, &len);

    if (!text && len) {
        guest_files_too_large(f, path, TEXT_MAX);
    }
    return text;
}

void guest_files_each_line(GuestFiles *f, const char *path, char *text,
                           GuestLineFn *fn, void *opaque)
{
    static const char blanks[] = " \t\r\f\v";
    char *words[MAX_WORDS + 1];

    for (int line = 1; *text; line++) {
        char *p = text, *eol = text + strcspn(text, "\n");
        unsigned n = 0;

        text = *eol ? eol + 1 : eol;
        *eol = 0;
        while (*(p += strspn(p, blanks)) && n < MAX_WORDS) {
            words[n++] = p;
            p += strcspn(p, blanks);
            if (*p) {
                *p++ = 0;
            }
        }
        words[n] = NULL;
        if (n && words[0][0] != '#' &&
            !fn(f, path, line, words, n, opaque)) {
            break;
        }
    }
}
