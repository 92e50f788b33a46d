/*
 * How a guest's boot menu is read: what menu.c and menu-extlinux.c share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_MENU_READER_H
#define TOOLS_XENPV_MENU_READER_H

#include "menu.h"

/* Entries of a menu; those behind them are not looked at */
#define MENU_MAX_ENTRIES 64
/*
 * Bytes of words that are kept of all entries together. "$kernelopts" may stand
 * anywhere, as often as a file has room for it, for as much as another file has.
 */
#define MENU_MAX_KEPT    (1024 * 1024)
/* Menus that lead to each other, and parts of EXTLINUX's: perhaps in a circle */
#define MENU_MAX_CHAIN   8
typedef struct MenuReader {
    GuestFiles *f;
    Menu *m;
    MenuEntry *at;          /* the entry that lines belong to, or NULL */
    unsigned depth;         /* of braces */
    unsigned submenu;       /* that of the submenu's inside; 0: in none */
    unsigned next, next_inner;
    size_t kept;
    bool blscfg, is_grub2, is_syslinux;
    unsigned included;
    char *wanted;           /* the default, as it is written */
    char *fallback;         /* its words: what boots if that cannot */
    char *chain;            /* another menu, outside of all entries */
    GHashTable *variables;  /* that were set outside of entries */
    char *saved;            /* grubenv's saved_entry and kernelopts */
    char *kernelopts;
    /* EXTLINUX's */
    bool in_help, waits;    /* between TEXT HELP and ENDTEXT; has a TIMEOUT */
    char *refused;          /* the menu that GRUB does not take, and why */
    int refused_line;
} MenuReader;

/* NULL if there are too many; takes @label */
MenuEntry *menu_add_entry(MenuReader *r, const char *file, int line,
                          char *label);
/* The title, which may be in quotes and have blanks, and what --id says */
void menu_set_title(MenuEntry *e, char **words, unsigned n, bool is_grub2);
/* The kernel and its arguments, if the entry has none yet */
void menu_set_kernel(MenuReader *r, MenuEntry *e, int line, char **words,
                     unsigned n);
void menu_add_initrds(MenuReader *r, MenuEntry *e, char **words, unsigned n);
/* What an entry leads to, or a menu by itself */
void menu_set_chain(MenuReader *r, const char *word);
/* Takes @word. From one that does not fit on there are no more. */
void menu_keep(MenuReader *r, GPtrArray *words, char *word);
bool menu_one_of(const char *word, const char *const *list);

/* A line of EXTLINUX's menus, for guest_files_each_line(); a MenuReader */
bool menu_extlinux_line(GuestFiles *f, const char *path, int line,
                        char **words, unsigned n, void *opaque);
/* At its end: which entry boots, where EXTLINUX's menus are not like others */
void menu_extlinux_choose(MenuReader *r);

#endif
