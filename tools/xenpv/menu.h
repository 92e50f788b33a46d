/*
 * A guest's boot menu, as PV GRUB understands it
 *
 * rules.c calls this; a callback reads the files. It knows the menus of GRUB
 * legacy, GRUB 2 and EXTLINUX, and the entries of the Boot Loader Specification
 * that Fedora's blscfg makes a menu of. It does not run scripts, but finds
 * entries by their keywords, wherever in the file these are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_MENU_H
#define TOOLS_XENPV_MENU_H

#include "guest-files.h"

typedef struct MenuEntry {
    char *label;            /* its number: "0", or "1>0" in a submenu */
    char *title, *id;       /* @id may be NULL */
    char *file;             /* which names the kernel, in @line */
    int line;
    char *kernel;           /* NULL: the entry boots no kernel */
    char *chain;            /* the menu that it leads to instead, or NULL */
    GPtrArray *args;        /* the kernel's, char * */
    GPtrArray *initrds;     /* char * */
    bool is_xen;            /* the kernel is Xen itself */
} MenuEntry;

typedef struct Menu {
    char *file;
    GPtrArray *entries;     /* MenuEntry * */
    MenuEntry *chosen;      /* boots by default; NULL: no entry has a kernel */
    bool is_first;          /* @chosen is the first entry */
} Menu;

/* Reads the menu that PV GRUB uses; returns NULL if there is none */
Menu *menu_read(GuestFiles *f);
void menu_free(Menu *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Menu, menu_free)

#endif
