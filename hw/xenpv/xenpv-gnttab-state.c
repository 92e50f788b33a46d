/*
 * Grant tables: what migration moves of them
 *
 * The tables themselves are in the core region, and so move with memory. What
 * the guest has mapped of itself stays mapped; what back ends use they take
 * anew when they connect, so their marks go.
 *
 * Called by migration, with the BQL; a stream is input, and may be anything, and
 * end anywhere: so it is loaded into a copy, of which what is well is taken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "migration/vmstate.h"
#include "xenpv-gnttab.h"

typedef struct SavedPin {
    uint32_t ref;
    Pin pin;
} SavedPin;

static void free_saved(XenPVGnttabState *s)
{
    g_clear_pointer(&s->saved.pins, g_free);
    s->saved.nr_pins = 0;
}

static int gnttab_pre_save(void *opaque)
{
    XenPVGnttabState *s = opaque;
    uint32_t nr = 0;

    QEMU_LOCK_GUARD(&s->lock);
    for (uint32_t ref = 0; ref < xenpv_gnttab_nr_entries(s); ref++) {
        nr += s->pins[ref].readers != 0;
    }
    free_saved(s);
    s->saved.version = s->version;
    s->saved.nr_frames = s->nr_frames;
    s->saved.nr_status_frames = s->nr_status_frames;
    s->saved.pins = g_new0(SavedPin, nr);
    for (uint32_t ref = 0; ref < xenpv_gnttab_nr_entries(s); ref++) {
        if (s->pins[ref].readers) {
            s->saved.pins[s->saved.nr_pins++] = (SavedPin) { ref,
                                                             s->pins[ref] };
        }
    }
    return 0;
}

static int gnttab_post_save(void *opaque)
{
    free_saved(opaque);
    return 0;
}

static int gnttab_pre_load(void *opaque)
{
    free_saved(opaque);
    return 0;
}

static int gnttab_post_load(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;
    int ret = 0;

    QEMU_LOCK_GUARD(&s->lock);
    memset(s->pins, 0, MAX_ENTRIES * sizeof(*s->pins));
    s->version = s->saved.version;
    s->nr_frames = s->saved.nr_frames;
    s->nr_status_frames = MIN(s->saved.nr_status_frames,
                              xenpv_gnttab_nr_status_frames(s));
    for (int32_t i = 0; i < s->saved.nr_pins; i++) {
        Pin *p = &s->saved.pins[i].pin;
        uint32_t ref = s->saved.pins[i].ref;

        if (ref >= xenpv_gnttab_nr_entries(s) ||
            !p->readers || p->writers > p->readers ||
            !xenpv_frame_to_host(p->mfn) ||
            p->start + p->length > XEN_PAGE_SIZE) {
            error_report("grant %u: frame 0x%" PRIx64 ", %u readers, "
                         "%u writers, from %u for %u bytes", ref, p->mfn,
                         p->readers, p->writers, p->start, p->length);
            ret = -EINVAL;
            break;
        }
        if (p->domid == s->domid) {
            s->pins[ref] = *p;
        } else {
            xenpv_gnttab_clear_in_use(s, ref, GTF_reading | GTF_writing);
        }
    }
    free_saved(s);
    return ret;
}

static bool frames_fit(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    return (s->saved.version == 1 || s->saved.version == 2) &&
           s->saved.nr_frames && s->saved.nr_frames <= MAX_FRAMES;
}

static bool saved_fit(void *opaque, int version_id)
{
    XenPVGnttabState *s = opaque;

    return s->saved.nr_pins >= 0 && s->saved.nr_pins <= MAX_ENTRIES;
}

static const VMStateDescription vmstate_pin = {
    .name = "xenpv-gnttab/pin",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(ref, SavedPin),
        VMSTATE_UINT64(pin.mfn, SavedPin),
        VMSTATE_UINT32(pin.readers, SavedPin),
        VMSTATE_UINT32(pin.writers, SavedPin),
        VMSTATE_UINT16(pin.domid, SavedPin),
        VMSTATE_UINT16(pin.start, SavedPin),
        VMSTATE_UINT16(pin.length, SavedPin),
        VMSTATE_BOOL(pin.sub_page, SavedPin),
        VMSTATE_END_OF_LIST()
    }
};

const VMStateDescription xenpv_vmstate_gnttab = {
    .name = TYPE_XENPV_GNTTAB,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = gnttab_pre_save,
    .post_save = gnttab_post_save,
    .pre_load = gnttab_pre_load,
    .post_load = gnttab_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(saved.version, XenPVGnttabState),
        VMSTATE_UINT32(saved.nr_frames, XenPVGnttabState),
        VMSTATE_UINT32(saved.nr_status_frames, XenPVGnttabState),
        VMSTATE_VALIDATE("the table's size", frames_fit),
        VMSTATE_INT32(saved.nr_pins, XenPVGnttabState),
        VMSTATE_VALIDATE("the number of pins", saved_fit),
        VMSTATE_STRUCT_VARRAY_ALLOC(saved.pins, XenPVGnttabState,
                                    saved.nr_pins, 1, vmstate_pin, SavedPin),
        VMSTATE_END_OF_LIST()
    }
};
