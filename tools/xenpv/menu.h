/*
 * A guest's boot menu, as PV GRUB understands it here
 *
 * rules.c calls it; the files come by a callback. Three kinds are read: GRUB
 * legacy's, GRUB 2's, and the entries of the Boot Loader Specification that
 * Fedora's blscfg makes a menu of. Scripts are not run: entries are found by
 * their words, wherever in the file they stand.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_MENU_H
#define TOOLS_XENPV_MENU_H

#include "guest-files.h"

typedef struct MenuEntry {
    char *label;            /* its number: "0", or "1>0" in a submenu */
    char *title, *id;       /* the latter may be NULL */
    char *file;             /* that names the kernel, and in which line */
    int line;
    char *kernel;           /* NULL: it boots none */
    char *chain;            /* or leads to this other menu, if not NULL */
    GPtrArray *args;        /* the kernel's, char * */
    GPtrArray *initrds;     /* char * */
    bool is_xen;            /* the kernel is Xen itself */
} MenuEntry;

typedef struct Menu {
    char *file;
    GPtrArray *entries;     /* MenuEntry * */
    MenuEntry *chosen;      /* what boots by default; NULL: none has a kernel */
    bool is_first;          /* that is the first one */
} Menu;

/* The menu that PV GRUB takes; NULL: there is none */
Menu *menu_read(GuestFiles *f);
void menu_free(Menu *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Menu, menu_free)

#endif
