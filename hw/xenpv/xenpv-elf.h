/*
 * Understand a paravirtualised kernel's ELF file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_ELF_H
#define HW_XENPV_ELF_H

#include "hw/xenpv/xenpv-domain-builder.h"

/*
 * xenpv_elf_parse: fill in @k from the ELF file in the @len bytes at @data.
 *
 * Segments point into @data, which is to stay where it is.
 * @allow_64bit: false makes a 64-bit kernel an error.
 * @source: set to where the kernel says what it is, for people.
 *
 * Returns false with @errp set if it is none that can be started here.
 */
bool xenpv_elf_parse(const uint8_t *data, size_t len, bool allow_64bit,
                     XenPVKernel *k, const char **source, Error **errp);

#endif /* HW_XENPV_ELF_H */
