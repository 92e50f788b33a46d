/*
 * Fuzz target: a guest's boot menu, and the other files that --check reads
 *
 * An input is a few files, each of one of the places where they are looked for: a
 * byte says which, two its length. A fault here is a guest's disk by which a
 * stranger crashes what an administrator looks into it with, or has it keep more
 * than there is on the disk.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "fuzz.h"
#include "hw/xenpv/xenpv-text.h"
#include "../../tools/xenpv/menu.h"
#include "../../tools/xenpv/rules.h"

#define MAX_FILES   16
/* What is kept of a menu: see menu.c */
#define MAX_WORDS   (1 * MiB)

/* The order is the corpus's: add at the end */
static const char *const places[] = {
    "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/menu.lst",
    "/boot/extlinux/extlinux.conf", "/extlinux.conf", "/boot/grub2/grubenv",
    "/boot/grub/grubenv", "/boot/loader/entries/a.conf",
    "/boot/loader/entries/b-5.14.0-70.el9.conf", "/boot/vmlinuz-2.6.32-5",
    "/boot/k", "/i", "/boot/config-2.6.32-5",
    "/lib/modules/2.6.32-5/modules.builtin", "/etc/fstab", "/etc/inittab",
    "/etc/init/a.conf", "/lib/systemd/systemd",
    "/etc/systemd/system/getty.target.wants/a@hvc0.service",
};

typedef struct Files {
    GuestFiles f;
    struct {
        const char *path;
        const uint8_t *data;
        size_t len;
    } files[MAX_FILES];
    unsigned n;
} Files;

static char *read_file(GuestFiles *f, const char *path, size_t max, size_t *len)
{
    Files *files = container_of(f, Files, f);

    *len = 0;
    for (unsigned i = 0; i < files->n; i++) {
        if (!strcmp(files->files[i].path, path)) {
            char *text;

            *len = files->files[i].len;
            if (*len > max) {
                return NULL;
            }
            text = g_malloc(*len + 1);
            memcpy(text, files->files[i].data, *len);
            text[*len] = 0;
            return text;
        }
    }
    return NULL;
}

static void list_files(GuestFiles *f, const char *path,
                       void (*fn)(void *opaque, const char *name), void *opaque)
{
    Files *files = container_of(f, Files, f);
    size_t len = strlen(path);

    for (unsigned i = 0; i < files->n; i++) {
        const char *p = files->files[i].path;

        if (g_str_has_prefix(p, path) && p[len] == '/' &&
            !strchr(p + len + 1, '/')) {
            fn(opaque, p + len + 1);
        }
    }
}

static void finding(GuestFiles *f, const char *path, int line,
                    const char *reason)
{
    g_autofree char *plain = xenpv_text_line(reason);

    assert(line >= 0 && *plain);
}

static void fact(GuestFiles *f, const char *text)
{
    finding(f, NULL, 0, text);
}

static void check_menu(GuestFiles *f)
{
    g_autoptr(Menu) m = menu_read(f);
    size_t words = 0;

    for (unsigned i = 0; m && i < m->entries->len; i++) {
        const MenuEntry *e = m->entries->pdata[i];

        assert(e->label && e->title && e->file && e->line >= 0);
        for (unsigned j = 0; j < e->args->len; j++) {
            words += strlen(e->args->pdata[j]);
        }
        for (unsigned j = 0; j < e->initrds->len; j++) {
            words += strlen(e->initrds->pdata[j]);
        }
    }
    assert(words <= MAX_WORDS);
    assert(!m || !m->chosen || m->chosen->kernel);
}

static void one(FuzzInput *in)
{
    bool has_root = fuzz_take(in, 1) & 1;
    Files files = { .f = { read_file, list_files, finding, fact } };

    while (in->len && files.n < MAX_FILES) {
        unsigned place = fuzz_take(in, 1) % ARRAY_SIZE(places);
        size_t len = fuzz_take(in, 2);
        const uint8_t *data = fuzz_take_bytes(in, &len);

        files.files[files.n].path = places[place];
        files.files[files.n].data = data;
        files.files[files.n++].len = len;
    }
    check_menu(&files.f);
    rules_check(&files.f, has_root);
}

static const FuzzTarget menu_target = { .name = "menu", .one = one };
FUZZ_TARGET(menu_target)
