/*
 * Where the emulators are
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_EMULATOR_H
#define TOOLS_XENPV_EMULATOR_H

/*
 * Finds this tree's qemu-system-@arch: next to the running program (in a build
 * directory), or where "make install" puts it. Returns NULL if there is none.
 */
char *emulator_find(const char *arch);

/* The path to print if none is found */
#define EMULATOR_DEFAULT    "/usr/lib/xenpv-kvm/bin/qemu-system-x86_64"

#endif
