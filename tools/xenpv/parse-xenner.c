/*
 * Reads xenner's command line, as in Fedora 8 to 10
 *
 * xenner and xenpv-convert call this for their arguments, guest-read.c for a
 * file with such a command line. Nothing in the file is executed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "guest.h"

/* -m: in MiB, unless it has a suffix */
static bool set_memory(Guest *g, int line, const char *value, Error **errp)
{
    uint64_t bytes;

    if (qemu_strtosz_MiB(value, NULL, &bytes) < 0) {
        guest_error(g, line, errp, "-m: '%s' is not a size of memory", value);
        return false;
    }
    return guest_set_memory(g, line, bytes / 1024, errp);
}

static bool set_smp(Guest *g, int line, const char *value, Error **errp)
{
    uint64_t n;

    if (qemu_strtou64(value, NULL, 10, &n) < 0 || value[0] == '-') {
        guest_error(g, line, errp, "-smp: '%s' is not a number", value);
        return false;
    }
    return guest_set_vcpus(g, line, n, errp);
}

/* -network: MAC,BRIDGE, or only one of these */
static bool set_network(Guest *g, int line, const char *value, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(value, ",", 3);
    GuestNic *nic = guest_add_nic(g, line);

    if (words[0] && words[1] && words[2]) {
        guest_error(g, line, errp, "-network: '%s' is not of the form "
                    "MAC,BRIDGE", value);
        return false;
    }
    for (char **w = words; *w; w++) {
        if (strchr(*w, ':')) {
            if (!guest_set_mac(g, nic, *w, errp)) {
                return false;
            }
        } else if (!**w || strpbrk(*w, "/= \t") || nic->bridge) {
            guest_error(g, line, errp, "-network: '%s' is not of the form "
                        "MAC,BRIDGE", value);
            return false;
        } else {
            nic->bridge = g_strdup(*w);
        }
    }
    return true;
}

/* -vnc: [HOST]:DISPLAY, or "none" */
static bool set_vnc(Guest *g, int line, const char *value, Error **errp)
{
    GuestDisplay *d = &g->display;
    g_auto(GStrv) words = g_strsplit(value, ",", 0);
    const char *colon = words[0] ? strrchr(words[0], ':') : NULL;
    uint64_t n;

    if (!colon || qemu_strtou64(colon + 1, NULL, 10, &n) < 0 || n > 59635) {
        guest_error(g, line, errp, "-vnc: '%s' is not of the form "
                    "[HOST]:DISPLAY", value);
        return false;
    }
    d->present = true;
    d->line = line;
    d->display = n;
    g_free(d->listen);
    d->listen = g_strndup(words[0], colon - words[0]);
    for (int i = 1; words[i]; i++) {
        guest_note(g, line, "-vnc: '%s' is not carried", words[i]);
    }
    return true;
}

Guest *guest_parse_xenner(const char *file, char **args, const int *lines,
                          Error **errp)
{
    /* Options with a value, except -hda and so on */
    static const char *const valued[] = {
        "-m", "-name", "-uuid", "-boot", "-kernel", "-initrd", "-append",
        "-network", "-vnc", "-smp",
    };
    g_autoptr(Guest) g = guest_new(file);
    const char *boot = NULL;
    int boot_line = 0;

    g->typed = !lines;
    for (int i = 0; args[i]; i++) {
        /* Without lines, messages give the argument's number */
        int line = lines ? lines[i] : i + 1;
        const char *opt = args[i], *value = NULL;
        bool is_disk, known = false, ok = true;

        if (opt[0] == '-' && opt[1] == '-') {
            opt++;
        }
        is_disk = g_str_has_prefix(opt, "-hd") && opt[3] >= 'a' &&
                  opt[3] <= 'p' && !opt[4];
        for (int j = 0; j < ARRAY_SIZE(valued); j++) {
            known |= !strcmp(opt, valued[j]);
        }
        if (known || is_disk) {
            value = args[++i];
            if (!value) {
                guest_error(g, line, errp, "%s: its value is missing", opt);
                return NULL;
            }
            line = lines ? lines[i] : i + 1;
            if (!value[0] && strcmp(opt, "-append")) {
                guest_error(g, line, errp, "%s: its value is empty", opt);
                return NULL;
            }
        }
        if (is_disk) {
            GuestDisk *disk = guest_add_disk(g, line);

            disk->source = g_strdup(value);
            disk->is_block = g_str_has_prefix(value, "/dev/");
            disk->vdev = g_strdup_printf("xvd%c", opt[3]);
            if (g_str_has_suffix(value, ".qcow2")) {
                disk->format = "qcow2";
            }
        } else if (!strcmp(opt, "-m")) {
            ok = set_memory(g, line, value, errp);
        } else if (!strcmp(opt, "-name")) {
            ok = guest_set_name(g, line, value, errp);
        } else if (!strcmp(opt, "-uuid")) {
            ok = guest_set_uuid(g, line, value, errp);
        } else if (!strcmp(opt, "-kernel")) {
            ok = guest_set_kernel(g, line, value, errp);
        } else if (!strcmp(opt, "-initrd")) {
            g_free(g->ramdisk);
            g->ramdisk = g_strdup(value);
        } else if (!strcmp(opt, "-append")) {
            g_free(g->cmdline);
            g->cmdline = value[0] ? g_strdup(value) : NULL;
        } else if (!strcmp(opt, "-network")) {
            ok = set_network(g, line, value, errp);
        } else if (!strcmp(opt, "-vnc")) {
            ok = set_vnc(g, line, value, errp);
        } else if (!strcmp(opt, "-smp")) {
            ok = set_smp(g, line, value, errp);
        } else if (!strcmp(opt, "-nographic")) {
            g->nographic = true;
        } else if (!strcmp(opt, "-boot")) {
            boot = value;
            boot_line = line;
        } else if (opt[0] == '-') {
            guest_error(g, line, errp, "%s: xenner has no such option",
                        args[i]);
            ok = false;
        } else {
            guest_error(g, line, errp, "'%s' is not an option", opt);
            ok = false;
        }
        if (!ok) {
            return NULL;
        }
    }
    /* A -kernel boots whatever -boot says, and the disk is the default */
    if (boot && strcmp(boot, "c")) {
        guest_error(g, boot_line, errp, "-boot: '%s' is not 'c', the disk",
                    boot);
        return NULL;
    }
    if (!g->kernel && g->cmdline) {
        guest_error(g, 1, errp, "-append: there is no -kernel for it");
        return NULL;
    }
    if (!g->memory_mib) {
        g->memory_mib = g->max_memory_mib = 128;    /* xenner's own default */
    }
    return guest_check(g, errp) ? g_steal_pointer(&g) : NULL;
}

/*
 * Reads a file with a xenner command: an optional "#!" line, comments, and one
 * command, in which a backslash continues a line
 */
Guest *guest_parse_xenner_text(const char *file, const char *text,
                               Error **errp)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) lines = g_array_new(false, false, sizeof(int));
    const char *p = text;
    int line = 1, skip = 1;

    for (;;) {
        g_autoptr(GString) word = g_string_new(NULL);
        bool quoted = false;
        int at;

        while (*p && strchr(" \t\r\n\\#", *p)) {
            if (*p == '#') {
                p += strcspn(p, "\n");
            } else if (*p == '\\' && p[1] != '\n') {
                break;
            } else {
                line += *p == '\n';
                /* Without a backslash, the command ends here */
                if (*p == '\n' && p > text && args->len &&
                    (p == text || p[-1] != '\\')) {
                    p += strspn(p, " \t\r\n");
                    if (*p && *p != '#') {
                        guest_file_error(file, line, errp, "there is more than "
                                         "the one xenner command");
                        return NULL;
                    }
                    continue;
                }
                p++;
            }
        }
        if (!*p) {
            break;
        }
        at = line;
        while (*p && !strchr(" \t\r\n", *p)) {
            if (*p == '\'' || *p == '"') {
                char quote = *p++;

                quoted = true;
                while (*p && *p != quote) {
                    if (quote == '"' && *p == '\\' && p[1] &&
                        strchr("\"\\$`", p[1])) {
                        p++;
                    }
                    line += *p == '\n';
                    g_string_append_c(word, *p++);
                }
                if (!*p++) {
                    guest_file_error(file, at, errp, "a quote that is opened "
                                     "here is never closed");
                    return NULL;
                }
            } else if (*p == '\\' && p[1]) {
                g_string_append_c(word, p[1]);
                p += 2;
            } else if (strchr("$`;|&<>", *p)) {
                guest_file_error(file, at, errp, "'%c' would have to be run by "
                                 "a shell; this is read, not run", *p);
                return NULL;
            } else {
                g_string_append_c(word, *p++);
            }
        }
        if (word->len || quoted) {
            g_ptr_array_add(args, g_strdup(word->str));
            g_array_append_val(lines, at);
        }
    }
    if (!args->len) {
        guest_file_error(file, 1, errp, "there is nothing in it");
        return NULL;
    }
    if (!strcmp(args->pdata[0], "exec") && args->len > 1) {
        skip++;
    }
    g_ptr_array_add(args, NULL);
    return guest_parse_xenner(file, (char **)args->pdata + skip,
                              &g_array_index(lines, int, 0) + skip, errp);
}
