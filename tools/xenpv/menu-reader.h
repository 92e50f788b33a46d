/*
 * How a guest's boot menu is read: what menu.c and menu-extlinux.c share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_MENU_READER_H
#define TOOLS_XENPV_MENU_READER_H

#include "menu.h"

/* Entries of a menu; any further ones are ignored */
#define MENU_MAX_ENTRIES 64
/*
 * Bytes of words that are kept for all entries together. A file full of
 * "$kernelopts" could otherwise multiply the content of another file.
 */
#define MENU_MAX_KEPT    (1024 * 1024)
/* Menus that lead to each other, files that they include: maybe in a loop */
#define MENU_MAX_CHAIN   8
typedef struct MenuReader {
    GuestFiles *f;
    Menu *m;
    MenuEntry *at;          /* the entry that lines belong to, or NULL */
    unsigned depth;         /* open braces */
    unsigned submenu;       /* @depth inside the current submenu; 0: none */
    unsigned next, next_inner;
    size_t kept;
    bool blscfg, is_grub2, is_syslinux;
    unsigned included;
    char *wanted;           /* the default, as written */
    char *fallback;         /* entries to try if the default cannot boot */
    char *chain;            /* another menu, named outside of all entries */
    GHashTable *variables;  /* those set outside of entries, and $1 to $9 */
    char *saved;            /* grubenv's saved_entry and kernelopts */
    char *kernelopts;
    /* For EXTLINUX's menus only */
    bool in_help, waits;    /* between TEXT HELP and ENDTEXT; has a TIMEOUT */
    char *refused;          /* why GRUB refuses the menu, or NULL */
    int refused_line;
} MenuReader;

/* Returns NULL if there are too many; takes ownership of @label */
MenuEntry *menu_add_entry(MenuReader *r, const char *file, int line,
                          char *label);
/* Sets the title, which may be quoted and have blanks, and the id from --id */
void menu_set_title(MenuEntry *e, char **words, unsigned n, bool is_grub2);
/* Sets the kernel and its arguments, unless the entry has a kernel already */
void menu_set_kernel(MenuReader *r, MenuEntry *e, int line, char **words,
                     unsigned n);
void menu_add_initrds(MenuReader *r, MenuEntry *e, char **words, unsigned n);
/* Sets the other menu that the current entry, or the menu itself, leads to */
void menu_set_chain(MenuReader *r, const char *word);
/* Takes ownership of @word. Once a word does not fit, no more are kept. */
void menu_keep(MenuReader *r, GPtrArray *words, char *word);
bool menu_one_of(const char *word, const char *const *list);

/* For guest_files_each_line(): one line of a menu; @opaque is a MenuReader */
bool menu_extlinux_line(GuestFiles *f, const char *path, int line,
                        char **words, unsigned n, void *opaque);
/* Call at a menu's end: chooses what boots, by rules for EXTLINUX's menus */
void menu_extlinux_choose(MenuReader *r);

#endif
