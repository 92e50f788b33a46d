/*
 * What in a guest's files keeps it from booting here
 *
 * Pure: it gets the files by a callback and gives its findings by another, so
 * that its unit test needs no disk image.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_RULES_H
#define TOOLS_XENPV_RULES_H

typedef struct GuestFiles GuestFiles;
struct GuestFiles {
    /*
     * The whole of the file at @path of the guest's root file system (its
     * /boot may be a file system of its own), to be freed. One byte 0, not in
     * *len, follows. NULL: there is none, and *len is 0, or it is larger than
     * @max bytes, and *len is its size.
     */
    char *(*read)(GuestFiles *f, const char *path, size_t max, size_t *len);
    /* Call @fn for each name in the directory @path */
    void (*list)(GuestFiles *f, const char *path,
                 void (*fn)(void *opaque, const char *name), void *opaque);
    /* @path may be NULL, @line 0 */
    void (*finding)(GuestFiles *f, const char *path, int line,
                    const char *reason);
    /* What is well and worth knowing */
    void (*fact)(GuestFiles *f, const char *text);
};

/*
 * What rules.c and menu.c share: a file of lines, or NULL; and a call of @fn
 * with the words of each line that is not a comment, until it returns false.
 * The words are made where they are, in @text.
 */
typedef bool RulesLineFn(GuestFiles *f, const char *path, int line,
                         char **words, unsigned n, void *opaque);
char *rules_read_text(GuestFiles *f, const char *path);
void rules_each_line(GuestFiles *f, const char *path, char *text,
                     RulesLineFn *fn, void *opaque);

/* All rules. @has_root: a root file system was found, not only a /boot. */
void rules_check(GuestFiles *f, bool has_root);

/*
 * Is one of @names, a list that ends with NULL, the beginning of a file's base
 * name in this initramfs? It may be several archives, compressed or not.
 * Returns false with @readable false if nothing of it can be read.
 */
bool rules_initrd_has(const void *data, size_t len, const char *const *names,
                      bool *readable);

#endif
