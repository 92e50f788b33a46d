/*
 * Memory that a domain gives back and gets again
 *
 * Domain 0 says by memory/target in xenstore how much the domain should have,
 * and by a word of the core region how much it may have, as Xen's tools do by
 * XEN_DOMCTL_max_mem. The guest's own driver does the rest; the monitor keeps
 * the books, and reports changes here. So this file is only QMP's balloon and
 * query-balloon, and gives the host back the frames' memory.
 *
 * Unless it is asked for less or more, up to maxmem=, a guest has all of -m.
 * The target stays when the machine is reset: the domain starts with -m again,
 * and goes on to the target by itself.
 *
 * All of it runs with the BQL held. A call has at most 256 frames; should each
 * be a range of its own for the host, that takes about a millisecond.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-events-machine.h"
#include "qapi/visitor.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-messages.h"
#include "migration/vmstate.h"
#include "system/balloon.h"
#include "xenpv-platform.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "trace.h"

struct XenPVBalloonState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    XenPVCallState *call;
    XenPVXenstoreState *xenstore;
    uint64_t ram_size, max_ram_size;

    uint64_t target;        /* bytes, as domain 0 wants it */
    uint64_t actual;        /* bytes, as the monitor says */
    /* The same, as a stream has them */
    struct {
        uint64_t target, actual;
    } saved;

    /* The last memory/meminfo that was seen, and when it was first seen */
    GByteArray *meminfo;
    int64_t meminfo_seconds;
};

/* Only the lower half, in one access even of 32-bit hosts: the upper stays 0 */
static void set_limit(XenPVBalloonState *s)
{
    uint32_t *max = xenpv_core_ptr(s->core, XENPV_CORE_BOOT_INFO +
                                   offsetof(struct xenpv_boot_info, max_pages));

    qatomic_set(max, cpu_to_le32(s->target >> XENPV_PAGE_SHIFT));
    xenpv_memory_written(max, sizeof(*max));
}

static void balloon_to_target(void *opaque, ram_addr_t target)
{
    XenPVBalloonState *s = opaque;

    s->target = QEMU_ALIGN_DOWN(MIN(target, s->max_ram_size), XENPV_PAGE_SIZE);
    trace_xenpv_balloon_target(s->target);
    /* The guest must be allowed to grow before it is asked to */
    set_limit(s);
    xenpv_xenstore_printf(s->xenstore, "memory/target", "%" PRIu64,
                          s->target / KiB);
}

static void balloon_stat(void *opaque, BalloonInfo *info)
{
    XenPVBalloonState *s = opaque;

    info->actual = s->actual;
}

static int64_t call_memory(void *opaque, unsigned vcpu, uint32_t cmd,
                           void *data, uint32_t *size)
{
    XenPVBalloonState *s = opaque;
    struct xenpv_reservation *r = data;
    uint64_t pages = le64_to_cpu(r->nr_pages);
    uint32_t nr = le32_to_cpu(r->nr_frames);
    uint32_t given = *size;

    *size = 0;
    if (cmd || nr > XENPV_RESERVATION_FRAMES ||
        given < offsetof(struct xenpv_reservation, frames[nr]) ||
        pages > s->max_ram_size >> XENPV_PAGE_SHIFT) {
        xenpv_guest_log("xenpv: a reservation that cannot be");
        return -XEN_EINVAL;
    }
    trace_xenpv_balloon_reservation(pages, nr);
    xenpv_memory_discard(r->frames, nr);
    if (s->actual != pages << XENPV_PAGE_SHIFT) {
        s->actual = pages << XENPV_PAGE_SHIFT;
        qapi_event_send_balloon_change(s->actual);
    }
    return 0;
}

void xenpv_balloon_start(XenPVBalloonState *s)
{
    s->actual = s->ram_size;
    set_limit(s);
}

/*
 * guest-stats, as in virtio-balloon. A guest that wants to report them writes
 * lines of its /proc/meminfo to xenstore, as some distributions' agents do.
 */

static const char *const stat_names[] = {
    "stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults",
    "stat-free-memory", "stat-total-memory", "stat-available-memory",
    "stat-disk-caches", "stat-htlb-pgalloc", "stat-htlb-pgfail",
};

static const struct {
    const char *line, *stat;
} known_lines[] = {
    { "MemFree:", "stat-free-memory" },
    { "MemTotal:", "stat-total-memory" },
    { "MemAvailable:", "stat-available-memory" },
    { "Cached:", "stat-disk-caches" },
};

/* In bytes, from a line "MemFree:   1234 kB"; UINT64_MAX: there is none */
static uint64_t stat_of(char **lines, const char *stat)
{
    for (int i = 0; i < ARRAY_SIZE(known_lines); i++) {
        if (strcmp(known_lines[i].stat, stat)) {
            continue;
        }
        for (char **line = lines; *line; line++) {
            const char *p, *end;
            uint64_t n;

            if (strstart(*line, known_lines[i].line, &p) &&
                !qemu_strtou64(p, &end, 10, &n) && n <= UINT64_MAX / KiB / 2 &&
                (!*end || !strcmp(end, " kB"))) {
                return n * KiB;
            }
        }
    }
    return UINT64_MAX;
}

static void look_at_meminfo(XenPVBalloonState *s)
{
    GByteArray *now = xenpv_xenstore_get(s->xenstore, XENPV_MEMINFO);

    if (!now || !now->len) {
        g_clear_pointer(&s->meminfo, g_byte_array_unref);
        s->meminfo_seconds = 0;
    } else if (!s->meminfo || s->meminfo->len != now->len ||
               memcmp(s->meminfo->data, now->data, now->len)) {
        g_clear_pointer(&s->meminfo, g_byte_array_unref);
        s->meminfo = g_byte_array_ref(now);
        s->meminfo_seconds = g_get_real_time() / G_USEC_PER_SEC;
    }
    if (now) {
        g_byte_array_unref(now);
    }
}

static void get_guest_stats(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    XenPVBalloonState *s = XENPV_BALLOON(obj);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    bool ok = false;

    look_at_meminfo(s);
    text = s->meminfo ? g_strndup((char *)s->meminfo->data, s->meminfo->len)
                      : g_strdup("");
    lines = g_strsplit(text, "\n", -1);
    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return;
    }
    if (visit_type_int64(v, "last-update", &s->meminfo_seconds, errp) &&
        visit_start_struct(v, "stats", NULL, 0, errp)) {
        ok = true;
        for (int i = 0; ok && i < ARRAY_SIZE(stat_names); i++) {
            uint64_t value = stat_of(lines, stat_names[i]);

            ok = visit_type_uint64(v, stat_names[i], &value, errp);
        }
        ok = ok && visit_check_struct(v, errp);
        visit_end_struct(v, NULL);
    }
    if (ok) {
        visit_check_struct(v, errp);
    }
    visit_end_struct(v, NULL);
}

static void xenpv_balloon_realize(DeviceState *dev, Error **errp)
{
    XenPVBalloonState *s = XENPV_BALLOON(dev);

    if (!s->core || !s->call || !s->xenstore) {
        error_setg(errp, "properties 'core', 'call' and 'xenstore' are not set");
        return;
    }
    if (qemu_add_balloon_handler(balloon_to_target, balloon_stat, s)) {
        error_setg(errp, "there is a balloon already");
        return;
    }
    s->target = s->actual = s->ram_size;
    xenpv_call_register(s->call, XENPV_CALL_MEMORY, call_memory, s);
}

/* A stream without this section says that the domain has what it began with */
static bool is_changed(void *opaque)
{
    XenPVBalloonState *s = opaque;

    return s->target != s->ram_size || s->actual != s->ram_size;
}

static int balloon_pre_save(void *opaque)
{
    XenPVBalloonState *s = opaque;

    s->saved.target = s->target;
    s->saved.actual = s->actual;
    return 0;
}

static int balloon_pre_load(void *opaque)
{
    XenPVBalloonState *s = opaque;

    s->target = s->actual = s->ram_size;
    return 0;
}

/* The limit itself comes with the core region */
static int balloon_post_load(void *opaque, int version_id)
{
    XenPVBalloonState *s = opaque;

    if (s->saved.target > s->max_ram_size ||
        s->saved.actual > s->max_ram_size ||
        (s->saved.target | s->saved.actual) % XENPV_PAGE_SIZE) {
        return -EINVAL;
    }
    s->target = s->saved.target;
    s->actual = s->saved.actual;
    return 0;
}

static const VMStateDescription vmstate_balloon = {
    .name = TYPE_XENPV_BALLOON,
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = is_changed,
    .pre_save = balloon_pre_save,
    .pre_load = balloon_pre_load,
    .post_load = balloon_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(saved.target, XenPVBalloonState),
        VMSTATE_UINT64(saved.actual, XenPVBalloonState),
        VMSTATE_END_OF_LIST()
    }
};

static const Property xenpv_balloon_properties[] = {
    DEFINE_PROP_LINK("core", XenPVBalloonState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_LINK("call", XenPVBalloonState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_LINK("xenstore", XenPVBalloonState, xenstore,
                     TYPE_XENPV_XENSTORE, XenPVXenstoreState *),
    DEFINE_PROP_UINT64("ram-size", XenPVBalloonState, ram_size, 0),
    DEFINE_PROP_UINT64("max-ram-size", XenPVBalloonState, max_ram_size, 0),
};

static void xenpv_balloon_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Memory balloon of the xenpv-kvm machine";
    dc->realize = xenpv_balloon_realize;
    dc->vmsd = &vmstate_balloon;
    device_class_set_props(dc, xenpv_balloon_properties);
    object_class_property_add(klass, "guest-stats", "guest statistics",
                              get_guest_stats, NULL, NULL, NULL);
    object_class_property_set_description(klass, "guest-stats",
        "What the guest tells of its memory, in bytes");
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_balloon_types[] = {
    {
        .name = TYPE_XENPV_BALLOON,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVBalloonState),
        .class_init = xenpv_balloon_class_init,
    },
};

DEFINE_TYPES(xenpv_balloon_types)
