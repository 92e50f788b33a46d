/*
 * The xenpv-kvm machine's event channels: what QMP's xen-event-list and
 * xen-event-inject call when this machine runs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_EVENTS_H
#define HW_XENPV_EVENTS_H

typedef struct EvtchnInfoList EvtchnInfoList;

/* Does this machine run? If not, none of the others may be called. */
bool xenpv_events(void);
EvtchnInfoList *xenpv_event_list(void);
void xenpv_event_inject(uint32_t port, Error **errp);

#endif /* HW_XENPV_EVENTS_H */
