/*
 * The files of a guest, which come by a callback
 *
 * So what looks into them (rules.h, menu.h) is pure, and its unit test needs no
 * disk image.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_GUEST_FILES_H
#define TOOLS_XENPV_GUEST_FILES_H

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

/* A file of lines, to be freed, or NULL */
char *guest_files_read_text(GuestFiles *f, const char *path);
/* The finding that a file is larger than @max bytes */
void guest_files_too_large(GuestFiles *f, const char *path, size_t max);

/*
 * Call @fn with the words of each line that is not a comment, until it returns
 * false. The words are made where they are, in @text.
 */
typedef bool GuestLineFn(GuestFiles *f, const char *path, int line,
                         char **words, unsigned n, void *opaque);
void guest_files_each_line(GuestFiles *f, const char *path, char *text,
                           GuestLineFn *fn, void *opaque);

#endif
