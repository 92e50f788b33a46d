/*
 * A look into a guest's disk images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_CHECK_H
#define TOOLS_XENPV_CHECK_H

/*
 * Prints what would keep the guests in the images from booting. Returns the
 * exit status: 0 if nothing would, else 1.
 */
int check_images(char **images, const char *format);

#endif
