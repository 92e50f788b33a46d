/*
 * What the monitor counts, when it is told to
 *
 * The machine's property "counters" patches jumps into the monitor's image
 * (struct xenpv_patch), and takes them out again, while no vCPU runs: so
 * nothing is slower as long as nobody asks. The property "counts" is what the
 * monitor has counted since then, or since the last reset.
 *
 * The counts and the image with its jumps are in the monitor's memory. So they
 * move with the domain and go on at the target, where "counters" is then what
 * it was at the source. While that memory comes in, page by page, "counters"
 * cannot be set. The image's table of patches is not trusted: a guest that
 * writes there can only hurt itself.
 *
 * All of it runs with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "hw/xenpv/xenpv-compat.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "xenpv-platform.h"

/* The table is read no further: no image has more */
#define MAX_PATCHES     64

static struct {
    MemoryRegion *core;         /* NULL: the machine is not there yet */
    unsigned nr_vcpus;
    bool wanted;                /* "counters", for the next domain, too */
} state;

static uint32_t *counting(void)
{
    struct xenpv_boot_info *info = xenpv_core_ptr(state.core,
                                                  XENPV_CORE_BOOT_INFO);

    return &info->counting;
}

static bool is_counting(void)
{
    return qatomic_read(counting());
}

/* Exchange the bytes of each site with those of the table; no vCPU runs */
static void exchange(void)
{
    struct xenpv_image_header *header = xenpv_core_ptr(state.core,
                                                       XENPV_CORE_IMAGE);
    uint32_t table = le32_to_cpu(header->patches);

    for (unsigned i = 0; table && i < MAX_PATCHES; i++) {
        uint32_t at = table + i * sizeof(struct xenpv_patch);
        struct xenpv_patch patch;
        uint8_t there[XENPV_PATCH_BYTES];

        if (at > XENPV_CORE_IMAGE_MAX - sizeof(patch)) {
            return;
        }
        memcpy(&patch, xenpv_core_ptr(state.core, at), sizeof(patch));
        patch.site = le32_to_cpu(patch.site);
        if (!patch.site ||
            patch.site > XENPV_CORE_IMAGE_MAX - sizeof(there)) {
            return;
        }
        memcpy(there, xenpv_core_ptr(state.core, patch.site), sizeof(there));
        /* Not by the host's address: TCG has to drop what it has translated */
        address_space_write(&address_space_memory,
                            XENPV_CORE_GPA + patch.site,
                            MEMTXATTRS_UNSPECIFIED, patch.bytes, sizeof(there));
        address_space_write(&address_space_memory, XENPV_CORE_GPA + at +
                            offsetof(struct xenpv_patch, bytes),
                            MEMTXATTRS_UNSPECIFIED, there, sizeof(there));
    }
}

static void set_counting(bool on)
{
    struct xenpv_counters *c = xenpv_core_ptr(state.core, XENPV_CORE_COUNTERS);
    size_t size = XENPV_MAX_VCPUS * sizeof(*c);

    exchange();
    if (on) {
        memset(c, 0, size);
        xenpv_memory_written(c, size);
    }
    *counting() = cpu_to_le32(on);
    xenpv_memory_written(counting(), sizeof(uint32_t));
}

static bool get_counters(Object *obj, Error **errp)
{
    return state.wanted;
}

static void set_counters(Object *obj, bool on, Error **errp)
{
    if (state.core && runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "counters: the domain that comes in is not here yet, and "
                   "brings its own");
        return;
    }
    state.wanted = on;
    if (state.core && on != is_counting()) {
        pause_all_vcpus();
        set_counting(on);
        resume_all_vcpus();
    }
}

static void put(QDict *dict, const char *name, const uint64_t *count)
{
    qdict_put_int(dict, name, le64_to_cpu(qatomic_read__nocheck(count)));
}

/* The counts that are not 0, by their numbers */
static QDict *by_number(const uint64_t *counts, unsigned n)
{
    QDict *dict = qdict_new();

    for (unsigned i = 0; i < n; i++) {
        if (counts[i]) {
            g_autofree char *name = g_strdup_printf("%u", i);

            put(dict, name, &counts[i]);
        }
    }
    return dict;
}

static void get_counts(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    QList *list = qlist_new();
    QObject *result = QOBJECT(list);

    for (unsigned i = 0; i < state.nr_vcpus; i++) {
        struct xenpv_counters *c = xenpv_core_ptr(state.core,
                                                  XENPV_CORE_COUNTERS);
        QDict *dict = qdict_new();

        c += i;
        qdict_put_int(dict, "vcpu", i);
        qdict_put(dict, "hypercalls", by_number(c->hypercalls,
                                                XENPV_COUNTED_HYPERCALLS));
        qdict_put(dict, "exceptions", by_number(c->exceptions,
                                                XENPV_COUNTED_EXCEPTIONS));
        put(dict, "interrupts", &c->interrupts);
        put(dict, "system-calls", &c->syscalls);
        put(dict, "upcalls", &c->upcalls);
        put(dict, "doorbells", &c->doorbells);
        put(dict, "tlb-flushes", &c->flushes);
        put(dict, "monitor-ticks", &c->ticks);
        qlist_append(list, dict);
    }
    visit_type_any(v, name, &result, errp);
    qobject_unref(result);
}

void xenpv_counters_reset(void)
{
    if (state.wanted) {
        set_counting(true);
    }
}

void xenpv_counters_resume(void)
{
    state.wanted = is_counting();
}

void xenpv_counters_init(const XenPVDevicesConfig *cfg)
{
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_counters) * XENPV_MAX_VCPUS >
                      XENPV_CORE_BOOT_INFO - XENPV_CORE_COUNTERS);
    state.core = cfg->core;
    state.nr_vcpus = cfg->nr_vcpus;
}

void xenpv_counters_add_properties(ObjectClass *machine)
{
    object_class_property_add_bool(machine, "counters", get_counters,
                                   set_counters);
    object_class_property_set_description(machine, "counters",
        "The monitor counts hypercalls, exceptions and the like; can be changed "
        "at any time (default: off)");
    object_class_property_add(machine, "counts", "list", get_counts, NULL, NULL,
                              NULL);
    object_class_property_set_description(machine, "counts",
        "What the monitor has counted, by vCPU");
}
