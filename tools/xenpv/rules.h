/*
 * What in a guest's files keeps it from booting here
 *
 * disk.c calls it, with the files of the disk that xenpv-convert --check looks at.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_RULES_H
#define TOOLS_XENPV_RULES_H

#include "guest-files.h"

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
