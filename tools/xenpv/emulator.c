/*
 * Where the emulators are
 *
 * xenner calls this to run one, xenpv-convert to print its path.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "emulator.h"

char *emulator_find(const char *arch)
{
    static const char *const places[] = {
        ".", "../lib/xenpv-kvm/bin",
    };
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *name = g_strdup_printf("qemu-system-%s", arch);

    for (int i = 0; dir && i < ARRAY_SIZE(places); i++) {
        g_autofree char *path = g_build_filename(dir, places[i], name, NULL);
        char *real;

        if (access(path, X_OK)) {
            continue;
        }
        real = realpath(path, NULL);
        if (real) {
            char *copy = g_strdup(real);

            free(real);
            return copy;
        }
    }
    return NULL;
}
