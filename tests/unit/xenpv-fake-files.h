/*
 * The files of a guest's disk, made up: for tests of what --check reads
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_FAKE_FILES_H
#define XENPV_FAKE_FILES_H

typedef struct Fake {
    GuestFiles f;
    const char *const *files;   /* path, text, ..., NULL */
    GString *out;
} Fake;

static inline char *fake_read(GuestFiles *f, const char *path, size_t max,
                              size_t *len)
{
    Fake *fake = container_of(f, Fake, f);

    for (int i = 0; fake->files[i]; i += 2) {
        if (!strcmp(fake->files[i], path)) {
            *len = strlen(fake->files[i + 1]);
            return *len > max ? NULL : g_strdup(fake->files[i + 1]);
        }
    }
    *len = 0;
    return NULL;
}

static inline void fake_list(GuestFiles *f, const char *path,
                             void (*fn)(void *opaque, const char *name),
                             void *opaque)
{
    Fake *fake = container_of(f, Fake, f);

    for (int i = 0; fake->files[i]; i += 2) {
        g_autofree char *dir = g_path_get_dirname(fake->files[i]);
        g_autofree char *base = g_path_get_basename(fake->files[i]);

        if (!strcmp(dir, path)) {
            fn(opaque, base);
        }
    }
}

#endif
