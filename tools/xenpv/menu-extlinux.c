/*
 * A guest's EXTLINUX menu, as PV GRUB understands it
 *
 * menu.c calls this. PV GRUB translates such a file into a menu of its own, by
 * rules that differ from EXTLINUX's here and there. PV GRUB is what boots the
 * guest, so this follows GRUB's rules. Paths are relative to the menu's
 * directory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "menu-reader.h"

/* Resolves @word relative to the menu's directory */
static char *syslinux_file(const char *menu, const char *word)
{
    g_autofree char *dir = g_path_get_dirname(menu);

    return word[0] == '/' ? g_strdup(word) : g_build_filename(dir, word, NULL);
}

static void syslinux_initrds(MenuReader *r, const char *menu, const char *list)
{
    g_auto(GStrv) files = g_strsplit(list, ",", 16);

    for (char **file = files; *file; file++) {
        g_autofree char *path = syslinux_file(menu, *file);

        menu_add_initrds(r, r->at, &path, 1);
    }
}

/* Reads a part of the menu from another file */
static void syslinux_include(MenuReader *r, const char *menu, const char *word)
{
    g_autofree char *path = syslinux_file(menu, word);
    g_autofree char *text = r->included < MENU_MAX_CHAIN ?
                            guest_files_read_text(r->f, path) : NULL;

    if (text) {
        r->included++;
        guest_files_each_line(r->f, path, text, menu_extlinux_line, r);
    }
}

/* GRUB's test for programs that need a BIOS, and so do not boot here */
static bool is_bios_program(const char *path)
{
    static const char *const ends[] = {
        ".0", ".bin", ".bs", ".bss", ".c32", ".cbt", ".com", ".img",
    };

    for (int i = 0; i < ARRAY_SIZE(ends); i++) {
        size_t len = strlen(ends[i]);

        if (strlen(path) >= len &&
            !g_ascii_strcasecmp(path + strlen(path) - len, ends[i])) {
            return true;
        }
    }
    return false;
}

/* The last APPEND counts. GRUB uses its first initrd= only, as a single name */
static void syslinux_append(MenuReader *r, const char *menu, char **words,
                            unsigned n)
{
    bool initrd = false;

    g_ptr_array_set_size(r->at->args, 0);
    for (unsigned i = 1; i < n && r->kept < MENU_MAX_KEPT; i++) {
        if (!initrd && !g_ascii_strncasecmp(words[i], "initrd=", 7)) {
            g_autofree char *path = syslinux_file(menu, words[i] + 7);

            initrd = true;
            menu_add_initrds(r, r->at, &path, 1);
        } else {
            menu_keep(r, r->at->args, g_strdup(words[i]));
        }
    }
}

/* A line of an entry. GRUB refuses a menu with one before the first LABEL. */
static void syslinux_entry(MenuReader *r, const char *menu, int line,
                           const char *key, char **words, unsigned n)
{
    static const char *const known[] = {
        "kernel", "linux", "initrd", "append", "config", "localboot", "boot",
        "bss", "pxe", "fdimage", "comboot", "com32", NULL,
    };
    static const char *const linuxes[] = { "kernel", "linux", NULL };
    bool is_title = !strcmp(key, "menu") &&
                    (!g_ascii_strcasecmp(words[1], "label") ||
                     !g_ascii_strcasecmp(words[1], "default"));
    g_autofree char *path = syslinux_file(menu, words[1]);

    if (!is_title && !menu_one_of(key, known)) {
        return;
    }
    if (!r->at && !r->m->entries->len && !r->refused) {
        r->refused = g_strdup_printf("%s is in front of the first LABEL: PV GRUB "
                                     "takes no menu with that", words[0]);
        r->refused_line = line;
    }
    /* GRUB ignores MENU DEFAULT */
    if (!r->at || is_title) {
        return;
    }
    if (!strcmp(key, "initrd")) {
        syslinux_initrds(r, menu, words[1]);
    } else if (!strcmp(key, "append")) {
        syslinux_append(r, menu, words, n);
    } else {
        g_clear_pointer(&r->at->kernel, g_free);
        if (!strcmp(key, "config")) {
            menu_set_chain(r, path);
        } else if (menu_one_of(key, linuxes) &&
                   (!strcmp(key, "linux") || !is_bios_program(path))) {
            words[1] = path;
            menu_set_kernel(r, r->at, line, words + 1, 1);
        }
    }
}

bool menu_extlinux_line(GuestFiles *f, const char *path, int line,
                        char **words, unsigned n, void *opaque)
{
    MenuReader *r = opaque;
    g_autofree char *key = g_ascii_strdown(words[0], -1);
    g_autofree char *second = n > 1 ? g_ascii_strdown(words[1], -1) : NULL;

    if (r->in_help || n < 2) {
        r->in_help &= strcmp(key, "endtext") != 0;
    } else if (!strcmp(key, "text") && !strcmp(second, "help")) {
        r->in_help = true;
    } else if (!strcmp(key, "menu") && !strcmp(second, "include") && n >= 3) {
        syslinux_include(r, path, words[2]);
    } else if (!strcmp(key, "include")) {
        syslinux_include(r, path, words[1]);
    } else if (!strcmp(key, "label")) {
        r->at = menu_add_entry(r, path, line, g_strdup_printf("%u", r->next++));
        if (r->at) {
            menu_set_title(r->at, words + 1, n - 1, false);
        }
    } else if (!strcmp(key, "default")) {
        g_free(r->wanted);
        r->wanted = g_strjoinv(" ", words + 1);
    } else if (!strcmp(key, "timeout")) {
        r->waits = g_ascii_strtoull(words[1], NULL, 0) > 0;
    } else {
        syslinux_entry(r, path, line, key, words, n);
    }
    return true;
}

/*
 * Without a TIMEOUT, GRUB boots the entry that DEFAULT names, ignoring case. It
 * boots nothing if there is no such entry: DEFAULT often names a menu program
 * instead.
 */
void menu_extlinux_choose(MenuReader *r)
{
    for (unsigned i = 0; r->wanted && !r->waits && i < r->m->entries->len; i++) {
        MenuEntry *e = r->m->entries->pdata[i];

        if (!g_ascii_strcasecmp(e->title, r->wanted)) {
            r->m->chosen = e;
            r->m->is_first = !i;
            return;
        }
    }
    if (r->wanted && !r->waits && !r->refused) {
        r->refused = g_strdup_printf("DEFAULT %s is no LABEL of it, and without "
                                     "a TIMEOUT PV GRUB boots no other",
                                     r->wanted);
        r->refused_line = 0;
    }
}
