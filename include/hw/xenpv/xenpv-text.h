/*
 * Untrusted text, for people to read
 *
 * What a kernel, a disk image or a configuration says about itself ends up in
 * messages, and these on a terminal, where a string may do more than be read:
 * move the cursor, answer in the user's place, or look like another text. So
 * QEMU's domain builder, xenner and xenpv-convert print whatever comes from a
 * file by the functions below, and by nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_TEXT_H
#define HW_XENPV_TEXT_H

/* The longest line that xenpv_text_line() makes, without its final 0 */
#define XENPV_TEXT_LINE_MAX 1000

/*
 * xenpv_text_copy: copy as much of the @len bytes at @src as fits into the
 * @size bytes at @dst, up to a byte 0 in it, and add a final 0.
 *
 * Each character that must not be shown as it is becomes a "?": whatever is not
 * a letter, digit, mark, punctuation or symbol, nor an ASCII space. That is
 * all control characters (of ASCII and those from U+0080 on), format
 * characters (those that change the direction of a text are among them), line
 * separators, and bytes that are not UTF-8. Beyond ASCII, letters are only kept
 * where the locale has UTF-8: QEMU, which sets none, has ASCII only.
 */
void xenpv_text_copy(char *dst, size_t size, const char *src, size_t len);

/*
 * xenpv_text_line: the same as a string of its own, to be freed by g_free().
 *
 * If the text is longer than XENPV_TEXT_LINE_MAX, "..." replaces its end.
 */
char *xenpv_text_line(const char *text);

/*
 * xenpv_text_is_plain: has @text only characters that xenpv_text_copy() keeps
 * where the locale has UTF-8?
 */
bool xenpv_text_is_plain(const char *text);

#endif /* HW_XENPV_TEXT_H */
