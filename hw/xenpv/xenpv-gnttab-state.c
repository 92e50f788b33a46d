/*
 * Grant tables: what migration moves of them
 *
 * The tables are in the core region and move with memory. Only back ends use a
 * grant for longer than a call, and the target's take their grants anew when
 * they connect: so the marks of grants that the source had in use are cleared.
 *
 * Migration calls this, with the BQL held. A stream may have any content and
 * end anywhere: so it is loaded into .saved, which becomes the state once it is
 * checked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "migration/vmstate.h"
#include "xenpv-gnttab.h"

static int gnttab_pre_save(void *opaque)
{
    XenPVGnttabState *s = opaque;

    QEMU_LOCK_GUARD(&s->lock);
    s->saved.version = s->version;
    s->saved.nr_frames = s->nr_frames;
    s->saved.nr_status_frames = s->nr_status_frames;
    return 0;
}

static int gnttab_post_load(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    QEMU_LOCK_GUARD(&s->lock);
    memset(s->pins, 0, MAX_ENTRIES * sizeof(*s->pins));
    s->version = s->saved.version;
    s->nr_frames = s->saved.nr_frames;
    s->nr_status_frames = MIN(s->saved.nr_status_frames,
                              xenpv_gnttab_nr_status_frames(s));
    for (uint32_t ref = 0; ref < xenpv_gnttab_nr_entries(s); ref++) {
        xenpv_gnttab_clear_in_use(s, ref, GTF_reading | GTF_writing);
    }
    return 0;
}

static bool frames_fit(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    return (s->saved.version == 1 || s->saved.version == 2) &&
           s->saved.nr_frames && s->saved.nr_frames <= MAX_FRAMES;
}

const VMStateDescription xenpv_vmstate_gnttab = {
    .name = TYPE_XENPV_GNTTAB,
    .version_id = 2,
    .minimum_version_id = 2,
    .pre_save = gnttab_pre_save,
    .post_load = gnttab_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(saved.version, XenPVGnttabState),
        VMSTATE_UINT32(saved.nr_frames, XenPVGnttabState),
        VMSTATE_UINT32(saved.nr_status_frames, XenPVGnttabState),
        VMSTATE_VALIDATE("the table's size", frames_fit),
        VMSTATE_END_OF_LIST()
    }
};
