/*
 * Grant tables
 *
 * The machine has the table, and knows what is in use of it. So an operation is
 * read from guest memory once, and passed on in a call to the machine. Nobody
 * grants anything to the guest, and it cannot map its own grants: so page
 * tables only matter here where they map the table's own frames.
 *
 * dispatch.S calls it on the vCPU that asks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"
#include "hw/xen/interface/grant_table.h"

/* The machine returns frame numbers, which this copies to the guest's list */
static long setup_frames(ulong cmd, ulong uop)
{
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup;
    struct gnttab_get_status_frames status;
    /* GNTTABOP_setup_table's list is of longs, the other of 64-bit numbers */
    const u32 size = cmd == GNTTABOP_setup_table ? sizeof(ulong) : 8;
    ulong list, status_at;
    u32 n;
    long ret;

    if (cmd == GNTTABOP_setup_table) {
        if (copy_from_guest(&setup, uop, sizeof(setup))) {
            return -EFAULT;
        }
        s.dom = setup.dom;
        n = setup.nr_frames;
        list = *(ulong *)&setup.frame_list;
        status_at = uop + offsetof(struct gnttab_setup_table, status);
    } else {
        if (copy_from_guest(&status, uop, sizeof(status))) {
            return -EFAULT;
        }
        s.dom = status.dom;
        n = status.nr_frames;
        list = *(ulong *)&status.frame_list;
        status_at = uop + offsetof(struct gnttab_get_status_frames, status);
    }
    if ((u64)n * size > ~0UL || !access_ok(list, (ulong)n * size)) {
        return -EFAULT;
    }
    s.nr_frames = n;
    ret = machine_call(XENPV_CALL_GNTTAB, cmd, &s, sizeof(s));
    if (ret) {
        return ret;
    }
    for (u32 i = 0; s.status == GNTST_okay && i < n &&
                    i < XENPV_CORE_GRANT_PAGES; i++) {
        u64 mfn = s.frames[i];

        if (copy_to_guest(list + i * size, &mfn, size)) {
            s.status = GNTST_bad_virt_addr;
        }
    }
    return copy_to_guest(status_at, &s.status, sizeof(s.status));
}

/*
 * Is a status frame mapped, which only version 2 has? Xen counts the mappings.
 * This looks for them, as hardly any guest goes back to version 1.
 */
static bool status_is_mapped(void)
{
    const ulong first = (XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE) / PAGE_SIZE +
                        XENPV_CORE_GRANT_PAGES;
    struct gnttab_get_version now = { .dom = DOMID_SELF };

    if (machine_call(XENPV_CALL_GNTTAB, GNTTABOP_get_version, &now, sizeof(now)) ||
        now.version != 2) {
        return false;
    }
    for (ulong mfn = 0; mfn < FOUR_GIB_MFN + high_pages; mfn++) {
        if (mfn % 1024 == 0) {
            let_interrupts_in();
        }
        for (unsigned i = 0; i < 512 && mfn_level(mfn) == 1; i++) {
            u64 entry = entry_of(mfn, i);

            if ((entry & PTE_P) &&
                PTE_MFN(entry) - first < XENPV_CORE_GRANT_PAGES) {
                return true;
            }
        }
    }
    return false;
}

HYPERCALL(do_grant_table_op)
{
    static const u8 size[] = {
        [GNTTABOP_map_grant_ref] = sizeof(struct gnttab_map_grant_ref),
        [GNTTABOP_unmap_grant_ref] = sizeof(struct gnttab_unmap_grant_ref),
        [GNTTABOP_setup_table] = sizeof(struct gnttab_setup_table),
        [GNTTABOP_copy] = sizeof(struct gnttab_copy),
        [GNTTABOP_query_size] = sizeof(struct gnttab_query_size),
        [GNTTABOP_unmap_and_replace] = sizeof(struct gnttab_unmap_and_replace),
        [GNTTABOP_set_version] = sizeof(struct gnttab_set_version),
        [GNTTABOP_get_status_frames] = sizeof(struct gnttab_get_status_frames),
        [GNTTABOP_get_version] = sizeof(struct gnttab_get_version),
        [GNTTABOP_swap_grant_ref] = sizeof(struct gnttab_swap_grant_ref),
    };
    u32 cmd = a1, count = a3;
    u64 op[16];
    long ret = 0;

    /* In the upper bits Xen has its continuations, of other commands */
    if (count > 0x7fffffff || cmd >> 12) {
        return -EINVAL;
    }
    if (cmd >= ARRAY_SIZE(size) || !size[cmd]) {
        return -ENOSYS;
    }
    if ((u64)count * size[cmd] > ~0UL || !access_ok(a2, (ulong)count * size[cmd])) {
        return -EFAULT;
    }
    switch (cmd) {
    case GNTTABOP_setup_table:
    case GNTTABOP_get_status_frames:
        return count != 1 ? -EINVAL : setup_frames(cmd, a2);
    case GNTTABOP_get_version:
        count = 1;
        break;
    case GNTTABOP_query_size:
    case GNTTABOP_set_version:
        if (count != 1) {
            return -EINVAL;
        }
    }
    for (u32 i = 0; i < count && !ret; i++, a2 += size[cmd]) {
        if (i && i % PART_OF_BATCH == 0) {
            let_interrupts_in();
        }
        if (copy_from_guest(op, a2, size[cmd])) {
            return -EFAULT;
        }
        if (cmd == GNTTABOP_set_version && (u32)op[0] == 1 && status_is_mapped()) {
            op[0] = 2;          /* the version stays 2 */
            ret = -EBUSY;
        } else {
            ret = machine_call(XENPV_CALL_GNTTAB, cmd, op, size[cmd]);
        }
        if (copy_to_guest(a2, op, size[cmd])) {
            return -EFAULT;
        }
    }
    return ret;
}
