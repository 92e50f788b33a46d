/*
 * Messages to the user
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_SAY_H
#define TOOLS_XENPV_SAY_H

/* Call first: sets the locale, which tells what the terminal can show */
void say_init(void);

/*
 * Prints one line. Its parts may come from a configuration, a disk image or the
 * command line; xenpv_text_line() makes sure that nothing but text reaches the
 * terminal.
 */
void G_GNUC_PRINTF(2, 3) say(FILE *to, const char *fmt, ...);

#endif
