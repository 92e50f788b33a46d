/*
 * Grant tables: what their files share; xenpv-gnttab.c lists these
 *
 * Each function is called with .lock held, unless its comment says otherwise;
 * the BQL is not needed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_GNTTAB_H
#define HW_XENPV_GNTTAB_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/grant_table.h"

#define MAX_FRAMES          XENPV_CORE_GRANT_PAGES
#define PER_FRAME_V1        (XEN_PAGE_SIZE / sizeof(grant_entry_v1_t))
#define PER_FRAME_V2        (XEN_PAGE_SIZE / sizeof(grant_entry_v2_t))
#define STATUS_PER_FRAME    (XEN_PAGE_SIZE / sizeof(grant_status_t))
#define MAX_ENTRIES         (MAX_FRAMES * PER_FRAME_V1)

/* A grant in use, as it was when its use began */
typedef struct Pin {
    uint64_t mfn;
    uint32_t readers, writers;  /* a writer counts as a reader, too */
    uint16_t domid;             /* the domain that uses it */
    uint16_t start, length;     /* the part of the frame that is granted */
    bool sub_page;
} Pin;

/* What a pin is for: a grant of a part of a frame cannot be mapped */
typedef enum PinUse { PIN_MAP, PIN_COPY } PinUse;

typedef struct GrantMap {
    QLIST_ENTRY(GrantMap) next;
    void *start;
    uint32_t count;
    bool write;
    uint32_t refs[];
} GrantMap;

struct xengntdev_handle {
    QLIST_ENTRY(xengntdev_handle) next;
    QLIST_HEAD(, GrantMap) maps;
};

struct XenPVGnttabState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    XenPVCallState *call;
    uint16_t domid;
    bool is_64bit;

    QemuMutex lock;
    /* The guest's memory, which it can write at any time */
    union {
        grant_entry_v1_t *v1;
        grant_entry_v2_t *v2;
        uint8_t *bytes;
    } table;
    grant_status_t *status;     /* of version 2 */
    uint32_t version;
    uint32_t nr_frames;
    uint32_t nr_status_frames;
    Pin *pins;
    GHashTable *remapped;       /* from host addresses to numbers of pages */
    uint32_t nr_remapped;       /* the sum of these numbers */
    QLIST_HEAD(, xengntdev_handle) handles;
    MemoryListener listener;

    /* Used only while state is saved or loaded: see xenpv-gnttab-state.c */
    struct {
        uint32_t version, nr_frames, nr_status_frames;
    } saved;
};

/* The only instance, as the back ends' operations have no argument for one */
extern XenPVGnttabState *xenpv_gnttab;
extern const VMStateDescription xenpv_vmstate_gnttab;

/* --- xenpv-gnttab.c: entries, and pins of them; it calls none of the others */

/* Domain 0 has a table of one frame, in which nothing is granted to anybody */
static inline int xenpv_gnttab_of_backend(uint32_t ref)
{
    return ref < PER_FRAME_V1 ? GNTST_general_error : GNTST_bad_gntref;
}

uint32_t xenpv_gnttab_nr_entries(XenPVGnttabState *s);
uint32_t xenpv_gnttab_nr_status_frames(XenPVGnttabState *s);
/* The word with an entry's flags and domid, which have to be read as one */
uint32_t *xenpv_gnttab_entry_word(XenPVGnttabState *s, uint32_t ref);
/* An entry's frame: read it after the flags, which say that it is valid */
uint64_t xenpv_gnttab_entry_frame(XenPVGnttabState *s, uint32_t ref);
/* For migration: an entry's marks (GTF_reading, GTF_writing) have changed */
void xenpv_gnttab_marks_written(XenPVGnttabState *s, uint32_t ref);
void xenpv_gnttab_clear_in_use(XenPVGnttabState *s, uint32_t ref,
                               uint16_t flags);

/*
 * Begin to use a grant that is for domain @domid; returns GNTST_*. The caller
 * may use what is in *result, without the lock, until it ends that with
 * unpin().
 */
int xenpv_gnttab_pin(XenPVGnttabState *s, uint16_t domid, uint32_t ref,
                     bool write, PinUse use, Pin *result);
void xenpv_gnttab_unpin(XenPVGnttabState *s, uint32_t ref, bool write);
/* Is this part of a frame within the grant? Needs no lock. */
bool xenpv_gnttab_in_grant(const Pin *p, uint32_t offset, uint32_t len);

/* --- xenpv-gnttab-backend.c */

/*
 * Copy between a frame of RAM and host memory, at most to the frame's end.
 * Needs no lock.
 */
void xenpv_gnttab_copy_frame(uint64_t mfn, uint32_t offset, void *host,
                             size_t len, bool to_frame);
/* Called once, by realize, with the BQL and not the lock held */
void xenpv_gnttab_serve_backends(XenPVGnttabState *s);

/* --- xenpv-gnttab-guest.c */

/* Handler of XENPV_CALL_GNTTAB. Called with the BQL and not the lock held. */
XenPVCallFn xenpv_gnttab_call;

#endif /* HW_XENPV_GNTTAB_H */
