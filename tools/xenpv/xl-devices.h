/*
 * Interprets the devices in xl's and xm's configuration files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_XL_DEVICES_H
#define TOOLS_XENPV_XL_DEVICES_H

#include "xl-language.h"

/* Interprets all settings: fills in @s->g and calls guest_check() */
bool xl_parse_settings(XlSettings *s, Error **errp);

/* Each parses one item of the list of that name; false with @errp set */
bool xl_parse_disk(Guest *g, const XlValue *v, Error **errp);
bool xl_parse_vif(Guest *g, const XlValue *v, Error **errp);
bool xl_parse_vfb(Guest *g, const XlValue *v, Error **errp);
/* Parses the VLANs in the name of one of Open vSwitch's bridges */
bool xl_parse_ovs(Guest *g, GuestNic *nic, Error **errp);
/*
 * Notes what a script does on the host, unless it just joins a bridge, and what
 * it does with the guest's address @ip. @script and @ip may be NULL.
 */
void xl_note_script(Guest *g, const GuestNic *nic, const char *script,
                    const char *ip);
/* Handles one key of a framebuffer, of "vfb" or not. May overwrite @value. */
bool xl_set_vfb_word(Guest *g, int line, const char *key, char *value,
                     Error **errp);

#endif
