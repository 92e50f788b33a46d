/*
 * Where the emulators are
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_EMULATOR_H
#define TOOLS_XENPV_EMULATOR_H

/*
 * The path of qemu-system-@arch of this tree: next to the running program
 * (a build directory), or where "make install" puts it. NULL if there is none.
 */
char *emulator_find(const char *arch);

/* The name to print where none is installed */
#define EMULATOR_DEFAULT    "/usr/lib/xenpv-kvm/bin/qemu-system-x86_64"

#endif
