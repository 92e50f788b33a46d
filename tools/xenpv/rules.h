/*
 * Rules that tell what in a guest's files keeps it from booting here
 *
 * disk.c calls this for each disk that xenpv-convert --check looks into.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_RULES_H
#define TOOLS_XENPV_RULES_H

#include "guest-files.h"

/* Applies all rules. @has_root: there is a root file system, not just /boot */
void rules_check(GuestFiles *f, bool has_root);

/*
 * Whether this initramfs has a file whose base name begins with one of @names,
 * a list that ends with NULL. It may be several archives, compressed or not.
 * Returns false with *readable false if it cannot be read.
 */
bool rules_initrd_has(const void *data, size_t len, const char *const *names,
                      bool *readable);

#endif
