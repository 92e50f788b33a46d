/*
 * Grant tables among their own files, which xenpv-gnttab.c lists
 *
 * Of what follows, the caller holds .lock for each function that is not said to
 * be otherwise; the BQL is not needed.
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

/* A grant in use: what it was when it began to be used */
typedef struct Pin {
    uint64_t mfn;
    uint32_t readers, writers;  /* who writes is a reader, too */
    uint16_t domid;             /* whose they are */
    uint16_t start, length;     /* of what is granted */
    bool sub_page;
} Pin;

/* What for: a part of a frame cannot be mapped */
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
    /* The guest's, as it can write them */
    union {
        grant_entry_v1_t *v1;
        grant_entry_v2_t *v2;
        uint8_t *bytes;
    } table;
    grant_status_t *status;     /* version 2 */
    uint32_t version;
    uint32_t nr_frames;
    uint32_t nr_status_frames;
    Pin *pins;
    GHashTable *remapped;       /* host address: number of pages */
    uint32_t nr_remapped;       /* of these, all in all */
    QLIST_HEAD(, xengntdev_handle) handles;
    MemoryListener listener;

    /* Only while state is saved or loaded: see xenpv-gnttab-state.c */
    struct {
        uint32_t version, nr_frames, nr_status_frames;
    } saved;
};

/* The one there is: the back ends' operations have no argument for it */
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
/* An entry's flags and domid, which only make sense when read as one */
uint32_t *xenpv_gnttab_entry_word(XenPVGnttabState *s, uint32_t ref);
/* To be read after the flags that say that it is valid */
uint64_t xenpv_gnttab_entry_frame(XenPVGnttabState *s, uint32_t ref);
/* The marks of an entry (GTF_reading, GTF_writing) have been changed */
void xenpv_gnttab_marks_written(XenPVGnttabState *s, uint32_t ref);
void xenpv_gnttab_clear_in_use(XenPVGnttabState *s, uint32_t ref,
                               uint16_t flags);

/*
 * Begin to use a grant that is for domain domid, and end it: GNTST_*. What is
 * in *result may be used without the lock until it is unpinned.
 */
int xenpv_gnttab_pin(XenPVGnttabState *s, uint16_t domid, uint32_t ref,
                     bool write, PinUse use, Pin *result);
void xenpv_gnttab_unpin(XenPVGnttabState *s, uint32_t ref, bool write);
/* Is this part of a frame what is granted? Without the lock, too */
bool xenpv_gnttab_in_grant(const Pin *p, uint32_t offset, uint32_t len);

/* --- xenpv-gnttab-backend.c */

/*
 * Between a frame of RAM and the host's memory; len is not beyond the frame's
 * end. Without the lock, too.
 */
void xenpv_gnttab_copy_frame(uint64_t mfn, uint32_t offset, void *host,
                             size_t len, bool to_frame);
/* Once, for realize: without the lock, with the BQL */
void xenpv_gnttab_serve_backends(XenPVGnttabState *s);

/* --- xenpv-gnttab-guest.c */

/* XENPV_CALL_GNTTAB: without the lock, with the BQL */
XenPVCallFn xenpv_gnttab_call;

#endif /* HW_XENPV_GNTTAB_H */
