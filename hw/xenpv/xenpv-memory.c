/*
 * The memory of the xenpv-kvm machine, see include/hw/xenpv/xenpv-memory.h
 *
 * The machine calls it at its init and at each reset, with the BQL held;
 * devices call it to find a frame, from any thread. A guest may name any frame:
 * what is not RAM has the address NULL, and nothing else is checked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"
#include "migration/misc.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "hw/xenpv/xenpv-memory.h"

#define XENPV_TABLES_ALIGN      (2 * MiB)
#define FOUR_GIB_MFN            (4 * GiB >> XENPV_PAGE_SHIFT)

/* For callers without a machine at hand; set once, before there are devices */
static struct {
    uint8_t *host;
    uint64_t low_pages, high_pages;
    MemoryRegion *regions[3];
} guest_ram;

/*
 * Make guest RAM that is shared and has a file descriptor, so that back ends
 * can map frames of it side by side: rings of several pages, the framebuffer.
 * Not an ordinary memory-backend-ram with share=on, which the size of /dev/shm
 * would limit. It is as large as the guest may ever get: frames that the guest
 * does not have take no memory of the host's.
 */
bool xenpv_memory_create_backend(MachineState *machine, const char *path,
                                 Error **errp)
{
    MachineClass *parent = MACHINE_CLASS(object_class_by_name(TYPE_MACHINE));
    const char *id = MACHINE_GET_CLASS(machine)->default_ram_id;
    Object *obj;
    bool ok;

    if (path || !object_class_by_name(TYPE_MEMORY_BACKEND_MEMFD)) {
        ram_addr_t size = machine->ram_size;

        /* QEMU's own function takes the size only from here */
        machine->ram_size = machine->maxram_size;
        ok = parent->create_default_memdev(machine, path, errp);
        machine->ram_size = size;
        return ok;
    }
    obj = object_new(TYPE_MEMORY_BACKEND_MEMFD);
    object_property_add_child(object_get_objects_root(), id, obj);
    ok = object_property_set_int(obj, "size", machine->maxram_size, errp) &&
         object_property_set_bool(obj, "x-use-canonical-path-for-ramblock-id",
                                  false, errp) &&
         user_creatable_complete(USER_CREATABLE(obj), errp) &&
         object_property_set_link(OBJECT(machine), "memory-backend", obj,
                                  errp);
    object_unref(obj);
    return ok;
}

bool xenpv_memory_check(MachineState *machine, Error **errp)
{
    if (machine->ram_size < XENPV_MIN_RAM) {
        error_setg(errp, "-m: a guest needs at least %" PRIu64 " MiB",
                   XENPV_MIN_RAM / MiB);
        return false;
    }
    if (machine->ram_size % XENPV_PAGE_SIZE ||
        machine->maxram_size % XENPV_PAGE_SIZE) {
        error_setg(errp, "-m: the size must be a multiple of 4 KiB");
        return false;
    }
    if (machine->ram_slots) {
        error_setg(errp, "-m: slots= are for memory devices, which a PV guest "
                   "cannot have; maxmem= needs none");
        return false;
    }
    if (memory_region_size(machine->ram) != machine->maxram_size) {
        error_setg(errp, "-m: with memory-backend= or -numa memory there is no "
                   "more memory than that, so that maxmem= cannot be had");
        return false;
    }
    return true;
}

void *xenpv_frame_to_host(uint64_t mfn)
{
    if (mfn < guest_ram.low_pages) {
        return guest_ram.host + (mfn << XENPV_PAGE_SHIFT);
    }
    if (mfn >= FOUR_GIB_MFN && mfn - FOUR_GIB_MFN < guest_ram.high_pages) {
        return guest_ram.host +
               ((guest_ram.low_pages + mfn - FOUR_GIB_MFN) << XENPV_PAGE_SHIFT);
    }
    return NULL;
}

void xenpv_memory_set_dirty(const void *host, size_t len)
{
    for (int i = 0; i < ARRAY_SIZE(guest_ram.regions); i++) {
        MemoryRegion *mr = guest_ram.regions[i];
        uint64_t offset = (const uint8_t *)host -
                          (uint8_t *)memory_region_get_ram_ptr(mr);

        if (offset < memory_region_size(mr)) {
            memory_region_set_dirty(mr, offset, len);
            return;
        }
    }
    g_assert_not_reached();
}

void *xenpv_memory_core(XenPVMemory *m, uint64_t offset)
{
    return (uint8_t *)memory_region_get_ram_ptr(&m->core) + offset;
}

void xenpv_memory_init(XenPVMemory *m, Object *owner, MemoryRegion *ram,
                       uint64_t start_size, bool is_64bit)
{
    MemoryRegion *sysmem = get_system_memory();
    uint64_t size = memory_region_size(ram), end = size, low;
    unsigned entry = is_64bit ? 8 : 4;

    m->ram = ram;
    m->is_64bit = is_64bit;
    m->nr_pages = size >> XENPV_PAGE_SHIFT;
    m->start_pages = start_size >> XENPV_PAGE_SHIFT;
    m->low_pages = MIN(m->nr_pages, XENPV_HOLE_START >> XENPV_PAGE_SHIFT);
    low = m->low_pages << XENPV_PAGE_SHIFT;
    /* A file may have been there before, with content */
    m->ram_is_zero = !qemu_ram_is_named_file(ram->ram_block);
    guest_ram.host = memory_region_get_ram_ptr(ram);
    guest_ram.low_pages = m->low_pages;
    guest_ram.high_pages = m->nr_pages - m->low_pages;

    memory_region_init_alias(&m->ram_low, owner, "xenpv.ram-low", ram, 0, low);
    memory_region_add_subregion(sysmem, 0, &m->ram_low);
    if (size > low) {
        memory_region_init_alias(&m->ram_high, owner, "xenpv.ram-high", ram,
                                 low, size - low);
        memory_region_add_subregion(sysmem, 4 * GiB, &m->ram_high);
        end = 4 * GiB + size - low;
    }
    memory_region_init_ram(&m->core, NULL, "xenpv.core", XENPV_CORE_SIZE,
                           &error_fatal);
    memory_region_add_subregion(sysmem, XENPV_CORE_GPA, &m->core);

    /*
     * The hole has entries, too: a kernel may look up frames there that it can
     * map, shared_info first of all.
     */
    m->max_mfn = MAX(end, 4 * GiB) >> XENPV_PAGE_SHIFT;
    m->tables_gpa = ROUND_UP(MAX(end, 4 * GiB), XENPV_TABLES_ALIGN);
    m->m2p_size = ROUND_UP(m->max_mfn * entry, XENPV_TABLES_ALIGN);
    m->frame_table_size = ROUND_UP(m->max_mfn * 4, XENPV_TABLES_ALIGN);
    memory_region_init_ram(&m->tables, NULL, "xenpv.tables",
                           m->m2p_size + m->frame_table_size, &error_fatal);
    memory_region_add_subregion(sysmem, m->tables_gpa, &m->tables);

    guest_ram.regions[0] = ram;
    guest_ram.regions[1] = &m->core;
    guest_ram.regions[2] = &m->tables;
}

bool xenpv_memory_take_zero_ram(XenPVMemory *m)
{
    bool ret = m->ram_is_zero;

    m->ram_is_zero = false;
    return ret;
}

bool xenpv_memory_is_kept(XenPVMemory *m)
{
    /* The same test as migration's for memory that it leaves where it is */
    return qemu_ram_is_shared(m->ram->ram_block) &&
           qemu_ram_is_named_file(m->ram->ram_block);
}

static uint64_t pfn_to_mfn(XenPVMemory *m, uint64_t pfn)
{
    return pfn < m->low_pages ? pfn : pfn + XENPV_HOLE_PAGES;
}

/*
 * Give the host back pages of RAM, numbered as they lie in its memory. Does
 * nothing if the host's pages are larger than the guest's.
 */
static void discard(uint64_t page, uint64_t n)
{
    MemoryRegion *ram = guest_ram.regions[0];
    RAMBlock *rb = ram->ram_block;
    static bool failed;

    if (!n || failed || ram_block_discard_is_disabled() ||
        migration_in_incoming_postcopy() ||
        qemu_ram_pagesize(rb) != XENPV_PAGE_SIZE) {
        return;
    }
    /* The function has reported a failure; once is enough */
    failed = ram_block_discard_range(rb, page << XENPV_PAGE_SHIFT,
                                     n << XENPV_PAGE_SHIFT);
    xenpv_memory_written((uint8_t *)guest_ram.host + (page << XENPV_PAGE_SHIFT),
                         n << XENPV_PAGE_SHIFT);
}

void xenpv_memory_discard(const uint32_t *mfns, unsigned n)
{
    uint64_t from = 0, to = 0;

    for (unsigned i = 0; i < n; i++) {
        uint8_t *host = xenpv_frame_to_host(le32_to_cpu(mfns[i]));
        uint64_t page;

        if (!host) {
            continue;
        }
        page = (host - guest_ram.host) >> XENPV_PAGE_SHIFT;
        if (page != to) {
            discard(from, to - from);
            from = page;
        }
        to = page + 1;
    }
    discard(from, to - from);
}

void xenpv_memory_discard_released(XenPVMemory *m)
{
    uint8_t *frame_table = (uint8_t *)memory_region_get_ram_ptr(&m->tables) +
                           m->m2p_size;
    uint64_t from = 0, pfn;

    for (pfn = 0; pfn < m->nr_pages; pfn++) {
        if (ldl_le_p(frame_table + pfn_to_mfn(m, pfn) * 4) !=
            XENPV_FRAME_RELEASED) {
            discard(from, pfn - from);
            from = pfn + 1;
        }
    }
    discard(from, pfn - from);
}

/* Does not write to pages that are zero: untouched ones take no memory */
static void clear(uint8_t *p, uint64_t len)
{
    for (uint64_t i = 0; i < len; i += XENPV_PAGE_SIZE) {
        if (!buffer_is_zero(p + i, XENPV_PAGE_SIZE)) {
            memset(p + i, 0, XENPV_PAGE_SIZE);
        }
    }
}

void xenpv_memory_reset_tables(XenPVMemory *m)
{
    uint8_t *m2p = memory_region_get_ram_ptr(&m->tables);
    uint8_t *frame_table = m2p + m->m2p_size;
    unsigned entry = m->is_64bit ? 8 : 4;
    uint64_t hole = (XENPV_HOLE_START >> XENPV_PAGE_SHIFT) * entry;

    /* Entries between RAM and the hole stay 0, so that they take no memory */
    memset(m2p, 0xff, m->low_pages * entry);
    memset(m2p + hole, 0xff, m->m2p_size - hole);
    for (uint64_t pfn = 0; pfn < m->start_pages; pfn++) {
        uint64_t mfn = pfn_to_mfn(m, pfn);

        stn_le_p(m2p + mfn * entry, entry, pfn);
    }
    clear(frame_table, m->frame_table_size);
    for (uint64_t pfn = m->start_pages; pfn < m->nr_pages; pfn++) {
        stl_le_p(frame_table + pfn_to_mfn(m, pfn) * 4, XENPV_FRAME_RELEASED);
    }
    discard(m->start_pages, m->nr_pages - m->start_pages);
    memory_region_set_dirty(&m->tables, 0, m->m2p_size + m->frame_table_size);
}
