/*
 * Grant tables
 *
 * The table and what is pinned of it are the machine's, and so most operations
 * are calls to it. What is here are the mappings of grants: the page-table
 * entry, and the handle that the guest gets for it. The only grants that a
 * guest can map are those to itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"
#include "hw/xen/interface/grant_table.h"

/* addr: virtual, or of the entry itself */
static volatile u64 *granted_entry(u64 addr, u32 flags)
{
    ulong mfn = addr >> 12;

    if (flags & GNTMAP_contains_pte) {
        return (addr & 7) || mfn != addr >> 12 || table_level(mfn) != 1 ?
               NULL : &entry_of(mfn, ((ulong)addr & (PAGE_SIZE - 1)) / 8);
    }
    if (addr != (ulong)addr || !access_ok(addr, 1)) {
        return NULL;
    }
    mfn = find_l1_table(current_vcpu(), addr, PTE_P);
    return mfn == NO_FRAME ? NULL : &entry_of(mfn, slot(addr, 1));
}

/* A grant's entry, with GNTMAP_* flags. False: it cannot be, or is not, there */
static bool map_granted(u64 addr, ulong mfn, u32 flags)
{
    volatile u64 *entry = granted_entry(addr, flags);

    if (!entry) {
        return false;
    }
    write_u64(entry, (u64)mfn << 12 | nx | PTE_P | PTE_A | PTE_D |
                     (flags & GNTMAP_application_map ? PTE_US : 0) |
                     (flags & GNTMAP_readonly ? 0 : PTE_RW) |
                     (flags >> _GNTMAP_guest_avail0 & 7) << 9);
    return true;
}

/* new_addr: where the mapping is that it is replaced by, which is no more then */
static bool unmap_granted(u64 addr, ulong mfn, u32 flags, u64 new_addr)
{
    bool read_only = flags & GNTMAP_readonly;
    bool opened = read_only && is_opened(mfn);
    volatile u64 *entry;
    u64 old, new = 0;

    if (new_addr) {
        entry = flags & GNTMAP_contains_pte ? NULL : granted_entry(new_addr, 0);
        if (!entry) {
            return false;
        }
        new = read_u64(entry);
        while (!cmpxchg_u64(entry, &new, 0)) {
        }
    }
    entry = granted_entry(addr, flags);
    if (!entry) {
        return false;
    }
    old = read_u64(entry);
    do {
        if (!(old & PTE_P) || PTE_MFN(old) != mfn ||
            (!(old & PTE_RW) != read_only && !opened)) {
            return false;
        }
    } while (!cmpxchg_u64(entry, &old, new));
    flush_tlb();
    flush_others(~0ULL, FLUSH_ALL);
    return true;
}

/*
 * What is mapped, by handle. Taken and put back by its state, without a lock:
 * MAPPING_* below a count of the lives that this handle has had.
 */
static struct mapping {
    ulong mfn;
    u32 ref;
    u32 state;
#define MAPPING_FLAGS   0xffffU         /* GNTMAP_*; 0 if it is free, ... */
#define MAPPING_BUSY    (1U << 16)      /* and this is not set */
#define MAPPING_LIFE    (1U << 17)
} mappings[1024];

static struct mapping *new_mapping(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(mappings); i++) {
        struct mapping *m = &mappings[i];
        u32 old = __atomic_load_n(&m->state, __ATOMIC_SEQ_CST);

        if (!(old & (MAPPING_FLAGS | MAPPING_BUSY)) &&
            __atomic_compare_exchange_n(&m->state, &old,
                                        (old + MAPPING_LIFE) | MAPPING_BUSY,
                                        false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
            return m;
        }
    }
    return NULL;
}

/*
 * For whoever asks first; NULL: there is none of this handle. Who has it may put
 * it back as it was, because all that was asked of it was wrong: so others wait,
 * but not longer than for the end of its life. If the same CPU has to run who
 * takes it again and again, it might else be seen as busy for ever.
 */
static struct mapping *take_mapping(u32 handle, u32 *flags)
{
    struct mapping *m = &mappings[handle];
    u32 state, life;

    if (handle >= ARRAY_SIZE(mappings)) {
        return NULL;
    }
    state = __atomic_load_n(&m->state, __ATOMIC_SEQ_CST);
    life = state / MAPPING_LIFE;
    while (state / MAPPING_LIFE == life &&
           (state & (MAPPING_FLAGS | MAPPING_BUSY))) {
        if (state & MAPPING_BUSY) {
            spin_wait();
            state = __atomic_load_n(&m->state, __ATOMIC_SEQ_CST);
        } else if (__atomic_compare_exchange_n(&m->state, &state,
                                               (state & ~MAPPING_FLAGS) |
                                               MAPPING_BUSY, false,
                                               __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST)) {
            *flags = state & MAPPING_FLAGS;
            return m;
        }
    }
    return NULL;
}

/* By who has it. Flags of 0: it is free */
static void put_mapping(struct mapping *m, u32 flags)
{
    __atomic_store_n(&m->state, (m->state & -MAPPING_LIFE) | flags,
                     __ATOMIC_SEQ_CST);
}

static void unpin(u32 ref, u32 flags)
{
    struct gnttab_unmap_grant_ref op = { .host_addr = flags, .handle = ref };

    machine_call(XENPV_CALL_GNTTAB, GNTTABOP_unmap_grant_ref, &op, sizeof(op));
}

static void map_grant_ref(struct gnttab_map_grant_ref *op)
{
    struct gnttab_map_grant_ref call = *op;
    struct mapping *m;
    ulong mfn;

    machine_call(XENPV_CALL_GNTTAB, GNTTABOP_map_grant_ref, &call,
                 sizeof(call));
    op->status = call.status;
    if (op->status) {
        return;
    }
    mfn = call.dev_bus_addr >> 12;
    m = new_mapping();
    if (!m) {
        op->status = GNTST_no_space;
    } else if (mfn_level(mfn) == FI_RELEASED) {
        op->status = GNTST_bad_page;
    } else if ((mfn_is_table(mfn) && !(op->flags & GNTMAP_readonly)) ||
               ((op->flags & GNTMAP_host_map) &&
                !map_granted(op->host_addr, mfn, op->flags))) {
        op->status = GNTST_general_error;
    } else {
        m->mfn = mfn;
        m->ref = op->ref;
        op->dev_bus_addr = call.dev_bus_addr;
        op->handle = m - mappings;
        put_mapping(m, op->flags & MAPPING_FLAGS);
        return;
    }
    unpin(op->ref, op->flags);
    if (m) {
        put_mapping(m, 0);
    }
}

/* An address of 0: that part of the mapping remains */
static int16_t unmap(u32 handle, u64 host_addr, u64 dev_bus_addr, u64 new_addr)
{
    u32 flags, rest;
    struct mapping *m = take_mapping(handle, &flags);
    int16_t status = GNTST_okay;

    if (!m) {
        return GNTST_bad_handle;
    }
    rest = flags;
    if (dev_bus_addr && (flags & GNTMAP_device_map) &&
        dev_bus_addr != (u64)m->mfn << 12) {
        status = GNTST_bad_dev_addr;
    } else if (host_addr && (flags & GNTMAP_host_map) &&
               !unmap_granted(host_addr, m->mfn, flags, new_addr)) {
        status = GNTST_general_error;
    } else {
        rest &= ~((host_addr ? GNTMAP_host_map : 0) |
                  (dev_bus_addr ? GNTMAP_device_map : 0));
    }
    if (!(rest & (GNTMAP_host_map | GNTMAP_device_map))) {
        unpin(m->ref, flags);
        rest = 0;
    }
    put_mapping(m, rest);
    return status;
}

static long setup_frames(ulong cmd, ulong uop)
{
    /* gnttab_setup_table and gnttab_get_status_frames differ in their order */
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup;
    struct gnttab_get_status_frames status;
    /* The one list is of longs, the other of 64-bit numbers */
    const u32 size = cmd == GNTTABOP_setup_table ? sizeof(ulong) : 8;
    ulong list;
    u32 n;
    long ret;

    if (cmd == GNTTABOP_setup_table) {
        if (copy_from_guest(&setup, uop, sizeof(setup))) {
            return -EFAULT;
        }
        s.dom = setup.dom;
        s.nr_frames = setup.nr_frames;
        list = *(ulong *)&setup.frame_list;
    } else {
        if (copy_from_guest(&status, uop, sizeof(status))) {
            return -EFAULT;
        }
        s.dom = status.dom;
        s.nr_frames = status.nr_frames;
        list = *(ulong *)&status.frame_list;
    }
    n = s.nr_frames;
    if ((u64)n * size > ~0UL || !access_ok(list, (ulong)n * size)) {
        return -EFAULT;
    }
    ret = machine_call(XENPV_CALL_GNTTAB, cmd, &s, sizeof(s));
    if (ret) {
        return ret;
    }
    if (s.status == GNTST_okay) {
        for (u32 i = 0; i < n && i < XENPV_CORE_GRANT_PAGES; i++) {
            u64 mfn = s.frames[i];

            if (copy_to_guest(list + i * size, &mfn, size)) {
                s.status = GNTST_bad_virt_addr;
            }
        }
    }
    if (cmd == GNTTABOP_setup_table) {
        setup.status = s.status;
        return copy_to_guest(uop, &setup, sizeof(setup));
    }
    status.status = s.status;
    return copy_to_guest(uop, &status, sizeof(status));
}

/* Of memory of its own: there is no device that would not see the caches */
static long cache_flush(const struct gnttab_cache_flush *op)
{
    u64 mfn = op->a.dev_bus_addr >> 12;

    if (op->offset >= PAGE_SIZE || op->offset + op->length > PAGE_SIZE ||
        (op->op & ~(GNTTAB_CACHE_INVAL | GNTTAB_CACHE_CLEAN))) {
        return -EINVAL;
    }
    if (!op->length || !op->op) {
        return 0;
    }
    if (mfn != (ulong)mfn || mfn >= boot_info->max_mfn) {
        return -EINVAL;
    }
    if (!guest_mfn_valid(mfn)) {
        return -EPERM;
    }
    return op->op == GNTTAB_CACHE_INVAL ? -EOPNOTSUPP : 0;
}

/*
 * A page for another domain's transfer grant, of which there is none. As with
 * Xen the page is gone nevertheless.
 */
static void transfer(struct gnttab_transfer *op)
{
    if (!give_away(op->mfn)) {
        op->status = GNTST_bad_page;
    } else if (op->domid && op->domid != boot_info->domid) {
        op->status = GNTST_bad_domain;
    } else {
        op->status = GNTST_general_error;
    }
}

#define GNTTABOP_CMD_MASK   0xfff

HYPERCALL(do_grant_table_op)
{
    static const u8 size[] = {
        [GNTTABOP_map_grant_ref] = sizeof(struct gnttab_map_grant_ref),
        [GNTTABOP_unmap_grant_ref] = sizeof(struct gnttab_unmap_grant_ref),
        [GNTTABOP_setup_table] = sizeof(struct gnttab_setup_table),
        [GNTTABOP_transfer] = sizeof(struct gnttab_transfer),
        [GNTTABOP_copy] = sizeof(struct gnttab_copy),
        [GNTTABOP_query_size] = sizeof(struct gnttab_query_size),
        [GNTTABOP_unmap_and_replace] = sizeof(struct gnttab_unmap_and_replace),
        [GNTTABOP_set_version] = sizeof(struct gnttab_set_version),
        [GNTTABOP_get_status_frames] = sizeof(struct gnttab_get_status_frames),
        [GNTTABOP_get_version] = sizeof(struct gnttab_get_version),
        [GNTTABOP_swap_grant_ref] = sizeof(struct gnttab_swap_grant_ref),
        [GNTTABOP_cache_flush] = sizeof(struct gnttab_cache_flush),
    };
    ulong count = (u32)a3;
    union {
        struct gnttab_map_grant_ref map;
        struct gnttab_unmap_grant_ref unmap;
        struct gnttab_unmap_and_replace replace;
        struct gnttab_transfer transfer;
        struct gnttab_cache_flush cache_flush;
        u64 words[16];
    } u;
    long ret = 0;

    if (count > 0x7fffffff || ((u32)a1 & ~GNTTABOP_CMD_MASK &&
                               (a1 & GNTTABOP_CMD_MASK) !=
                               GNTTABOP_cache_flush)) {
        return -EINVAL;
    }
    a1 &= GNTTABOP_CMD_MASK;
    if (a1 >= ARRAY_SIZE(size) || !size[a1]) {
        return -ENOSYS;
    }
    if (!access_ok(a2, count * size[a1])) {
        return -EFAULT;
    }
    switch (a1) {
    case GNTTABOP_setup_table:
    case GNTTABOP_get_status_frames:
        return count != 1 ? -EINVAL : setup_frames(a1, a2);
    case GNTTABOP_get_version:
        count = 1;
        break;
    case GNTTABOP_query_size:
    case GNTTABOP_set_version:
        if (count != 1) {
            return -EINVAL;
        }
    }
    for (ulong i = 0; i < count && !ret; i++, a2 += size[a1]) {
        if (i && i % PART_OF_BATCH == 0) {
            let_interrupts_in();
        }
        if (copy_from_guest(&u, a2, size[a1])) {
            return -EFAULT;
        }
        switch (a1) {
        case GNTTABOP_cache_flush:
            ret = cache_flush(&u.cache_flush);
            continue;
        case GNTTABOP_transfer:
            transfer(&u.transfer);
            break;
        case GNTTABOP_map_grant_ref:
            map_grant_ref(&u.map);
            break;
        case GNTTABOP_unmap_grant_ref:
            u.unmap.status = unmap(u.unmap.handle, u.unmap.host_addr,
                                   u.unmap.dev_bus_addr, 0);
            break;
        case GNTTABOP_unmap_and_replace:
            u.replace.status = unmap(u.replace.handle, u.replace.host_addr, 0,
                                     u.replace.new_addr);
            break;
        default:
            ret = machine_call(XENPV_CALL_GNTTAB, a1, &u, size[a1]);
        }
        if (copy_to_guest(a2, &u, size[a1])) {
            return -EFAULT;
        }
    }
    return ret;
}
