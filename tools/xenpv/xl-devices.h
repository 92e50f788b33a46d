/*
 * What the devices in xl's and xm's configuration files mean
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_XL_DEVICES_H
#define TOOLS_XENPV_XL_DEVICES_H

#include "xl-language.h"

/* What the settings mean, all of them: @s->g is then checked, and complete */
bool xl_parse_settings(XlSettings *s, Error **errp);

/* One item each of the lists of that name. False with @errp set. */
bool xl_parse_disk(Guest *g, const XlValue *v, Error **errp);
bool xl_parse_vif(Guest *g, const XlValue *v, Error **errp);
bool xl_parse_vfb(Guest *g, const XlValue *v, Error **errp);
/* A bridge of Open vSwitch's, with what its name says of VLANs */
bool xl_parse_ovs(Guest *g, GuestNic *nic, Error **errp);
/*
 * What Xen's scripts do on the host, if that is more than to join a bridge, and
 * what they make of the guest's address; either may be NULL
 */
void xl_note_script(Guest *g, const GuestNic *nic, const char *script,
                    const char *ip);
/* One word of a framebuffer's, wherever it stands: @value is written to */
bool xl_set_vfb_word(Guest *g, int line, const char *key, char *value,
                     Error **errp);

#endif
