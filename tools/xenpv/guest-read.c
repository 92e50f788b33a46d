/*
 * Reads a Xen guest's configuration, in any of its forms
 *
 * xenpv-convert and xenner call this. It recognizes the form by the content,
 * and calls the reader for that form. The file is untrusted: anything that is
 * not text is refused here, so the readers never see it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest.h"

/*
 * Old editors left comments that are not in UTF-8; nothing depends on those.
 * Returns a copy of @text with a '?' for each byte in comments that is not
 * ASCII. A '#' in quotes begins no comment, and quotes end with their line.
 */
static char *plain_comments(const char *text, size_t len)
{
    char *copy = g_malloc(len + 1);
    bool comment = false;
    char quote = 0;

    memcpy(copy, text, len);
    copy[len] = 0;
    for (char *p = copy; *p; p++) {
        if (*p == '\n') {
            comment = false;
            quote = 0;
        } else if (comment) {
            *p = (unsigned char)*p < 0x80 ? *p : '?';
        } else if (quote) {
            if (*p == '\\' && p[1] && p[1] != '\n') {
                p++;
            } else if (*p == quote) {
                quote = 0;
            }
        } else if (*p == '\'' || *p == '"') {
            quote = *p;
        } else {
            comment = *p == '#';
        }
    }
    return copy;
}

/* Says what a binary file is and what to do with it; NULL: not known */
static const char *what_binary(const char *data, size_t len)
{
    static const struct {
        size_t at;
        const char *magic, *what;
    } kinds[] = {
        { 0, "ova.xml", "XenServer's export of a guest (XVA): write a "
          "configuration for xl, and export its disks by 'xe vdi-export "
          "format=raw'" },
        { 257, "ustar", "an archive: take the guest's configuration out of "
          "it" },
        { 0, "\x1f\x8b", "compressed by gzip: unpack it first" },
        { 0, "QFI\xfb", "a disk image: --check looks into it" },
        { 510, "\x55\xaa", "a disk: --check looks into it" },
    };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t n = strlen(kinds[i].magic);

        if (len >= kinds[i].at + n &&
            !memcmp(data + kinds[i].at, kinds[i].magic, n)) {
            return kinds[i].what;
        }
    }
    return NULL;
}

/*
 * Recognizes OpenNebula's template of a guest, which has xl's settings in
 * capitals. A Python variable may be called MEMORY, too, so xl's "memory" must
 * be missing.
 */
static bool is_opennebula(const char *text)
{
    static const char *const names[] = { "MEMORY", "memory" };
    bool found[ARRAY_SIZE(names)] = { };

    while (*text) {
        for (int i = 0; i < ARRAY_SIZE(names); i++) {
            const char *end = text + strlen(names[i]);

            found[i] |= g_str_has_prefix(text, names[i]) &&
                        end[strspn(end, " \t")] == '=';
        }
        text += strcspn(text, "\n");
        text += strspn(text, " \t\r\n");
    }
    return found[0] && !found[1];
}

Guest *guest_parse(const char *file, const char *text, size_t len,
                   Error **errp)
{
    g_autofree char *plain = NULL;
    const char *p, *end;
    int line = 1;

    /* Some editors write a byte order mark */
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        len -= 3;
    }
    p = text;
    for (size_t i = 0; i < len; i++) {
        if (!text[i]) {
            const char *what = what_binary(text, len);

            guest_file_error(file, line, errp, what ? "this is %s" :
                             "this is no text: it has a byte 0", what);
            return NULL;
        }
        line += text[i] == '\n';
    }
    if (!g_utf8_validate(text, len, NULL)) {
        plain = text[strspn(text, " \t\r\n")] == '<' ?
                guest_xml_in_utf8(text, &len) : plain_comments(text, len);
        if (plain) {
            p = text = plain;
        }
    }
    if (!g_utf8_validate(text, len, &end)) {
        line = 1;
        while (p < end) {
            line += *p++ == '\n';
        }
        guest_file_error(file, line, errp, "this is no text in UTF-8");
        return NULL;
    }
    /* Find the first word outside comments */
    for (;;) {
        p += strspn(p, " \t\r\n");
        if (*p != '#') {
            break;
        }
        p += strcspn(p, "\n");
    }
    if (!*p) {
        guest_file_error(file, 1, errp, "there is nothing in it");
        return NULL;
    }
    if (*p == '(' || *p == '{' || *p == '[') {
        for (line = 1; text < p; text++) {
            line += *text == '\n';
        }
        if (*p != '[' || strchr("{ \t\r\n", p[1])) {
            return guest_parse_listing(file, p, line, errp);
        }
        guest_file_error(file, line, errp, "this is a file of another "
                         "program's, with sections: take the guest's "
                         "configuration for xl, or the output of 'virsh -c "
                         "xen:/// dumpxml'");
        return NULL;
    }
    if (*p == '<') {
        return guest_parse_xml(file, text, len, errp);
    }
    if (g_str_has_prefix(p, "exec ")) {
        p += strlen("exec ");       /* often the last line of a shell script */
    }
    end = p + strcspn(p, " \t\r\n=");
    if (end - p >= strlen("xenner") &&
        !strncmp(end - strlen("xenner"), "xenner", strlen("xenner")) &&
        (end - p == strlen("xenner") || end[-7] == '/') &&
        *(end + strspn(end, " \t")) != '=') {
        return guest_parse_xenner_text(file, text, errp);
    }
    if (is_opennebula(p)) {
        guest_file_error(file, 1, errp, "this is OpenNebula's template: take "
                         "the file 'deployment.N' that it has made of it on "
                         "its server");
        return NULL;
    }
    return guest_parse_xl(file, text, errp);
}

Guest *guest_parse_file(const char *file, Error **errp)
{
    g_autofree char *text = g_malloc(GUEST_TEXT_MAX + 2);
    const char *name = !strcmp(file, "-") ? "stdin" : file;
    FILE *f = !strcmp(file, "-") ? stdin : fopen(file, "rb");
    size_t len;

    if (!f) {
        guest_file_error(file, 0, errp, "it cannot be opened: %s",
                         strerror(errno));
        return NULL;
    }
    len = fread(text, 1, GUEST_TEXT_MAX + 1, f);
    if (ferror(f)) {
        guest_file_error(name, 0, errp, "it cannot be read: %s",
                         strerror(errno));
        len = 0;
    } else if (len > GUEST_TEXT_MAX && !memchr(text, 0, len)) {
        guest_file_error(name, 0, errp, "it is too large for a configuration");
        len = 0;
    } else {
        text[len] = 0;
        if (f != stdin) {
            fclose(f);
        }
        return guest_parse(name, text, len, errp);
    }
    if (f != stdin) {
        fclose(f);
    }
    return NULL;
}
