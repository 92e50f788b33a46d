/*
 * Callbacks that read a guest's files
 *
 * With these, rules.c and menu.c need no disk image, and neither does their
 * unit test. disk.c provides the callbacks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_GUEST_FILES_H
#define TOOLS_XENPV_GUEST_FILES_H

typedef struct GuestFiles GuestFiles;
struct GuestFiles {
    /*
     * Returns all *len bytes of the file @path, and a final 0 that *len does
     * not count; the caller frees them. @path is absolute within the guest,
     * whose /boot may be another file system. Returns NULL with *len 0 if there
     * is no such file, or with *len above @max if it has more than @max bytes.
     */
    char *(*read)(GuestFiles *f, const char *path, size_t max, size_t *len);
    /* Call @fn for each name in the directory @path */
    void (*list)(GuestFiles *f, const char *path,
                 void (*fn)(void *opaque, const char *name), void *opaque);
    /* Takes what keeps the guest from booting. @path may be NULL, @line 0. */
    void (*finding)(GuestFiles *f, const char *path, int line,
                    const char *reason);
    /* Takes what is worth knowing, but does no harm */
    void (*fact)(GuestFiles *f, const char *text);
};

/* Returns a text file, which the caller frees, or NULL */
char *guest_files_read_text(GuestFiles *f, const char *path);
/* Reports that a file is larger than @max bytes */
void guest_files_too_large(GuestFiles *f, const char *path, size_t max);

/*
 * Calls @fn with the words of each line that is not a comment, until @fn
 * returns false. Overwrites @text: the words point into it.
 */
typedef bool GuestLineFn(GuestFiles *f, const char *path, int line,
                         char **words, unsigned n, void *opaque);
void guest_files_each_line(GuestFiles *f, const char *path, char *text,
                           GuestLineFn *fn, void *opaque);

#endif
