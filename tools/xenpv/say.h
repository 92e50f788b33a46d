/*
 * What the tools tell
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_SAY_H
#define TOOLS_XENPV_SAY_H

/* To be called first: what the terminal can show is told by the locale */
void say_init(void);

/*
 * One line for people. Whatever it is put together of, a configuration, a disk
 * image, a name on the command line: only text reaches the terminal, by
 * xenpv_text_line().
 */
void G_GNUC_PRINTF(2, 3) say(FILE *to, const char *fmt, ...);

#endif
