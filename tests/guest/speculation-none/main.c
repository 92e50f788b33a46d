/*
 * The MSRs that bound speculation, of a CPU that has none: each is a #GP.
 *
 * A kernel that took one for there would believe its programs to be protected.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define OFFERED 0
#include "../speculation/main.c"
