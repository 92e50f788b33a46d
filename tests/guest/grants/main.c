/*
 * Grant tables of both versions, by grants of the domain to itself.
 *
 * A copy by a grant is what a back end does: it must check the entry as it is
 * at that moment (type, domain, rights, frame, and with version 2 the part of
 * the frame), leave no mark of use behind, and touch nothing when it refuses.
 * The version can be changed, which keeps the reserved entries and forgets
 * all others. If a check is missing, memory that was never granted is read or
 * written; if a mark stays, a front end waits forever to take its page back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NR_FRAMES   4
#define NOBODY      77
#define RESERVED    8
#define REF         20          /* of most tests */
#define TABLE_VA    TEST_VA
#define STATUS_VA   (TEST_VA + 16 * PAGE_SIZE)

static volatile struct grant_entry_v1 *const v1 = (void *)TABLE_VA;
static volatile union grant_entry_v2 *const v2 = (void *)TABLE_VA;
static volatile uint16_t *const status = (void *)STATUS_VA;
static uint16_t self;
static unsigned version;
static uint8_t *from, *to;

static long gnttab_op(unsigned cmd, void *arg, unsigned count)
{
    return HYPERCALL(grant_table_op, cmd, arg, count);
}

/* --- The table --- */

static int setup_table(uint16_t dom, uint32_t nr_frames, xen_pfn_t *list)
{
    struct gnttab_setup_table op = {
        .dom = dom, .nr_frames = nr_frames, .frame_list = list,
    };

    check_ret(gnttab_op(GNTTABOP_setup_table, &op, 1), 0, "setup_table");
    return op.status;
}

static int get_status_frames(uint16_t dom, uint32_t nr_frames, uint64_t *list)
{
    struct gnttab_get_status_frames op = {
        .dom = dom, .nr_frames = nr_frames, .frame_list = list,
    };

    check_ret(gnttab_op(GNTTABOP_get_status_frames, &op, 1), 0,
              "get_status_frames");
    return op.status;
}

static long set_version(uint32_t wanted, uint32_t result)
{
    struct gnttab_set_version op = { wanted };
    long ret = gnttab_op(GNTTABOP_set_version, &op, 1);

    check_eq(op.version, result, "the version after set_version(%u)", wanted);
    return ret;
}

static void check_version(uint32_t expected)
{
    struct gnttab_get_version op = { .dom = DOMID_SELF };

    check_ret(gnttab_op(GNTTABOP_get_version, &op, 1), 0, "get_version");
    check_eq(op.version, expected, "the version");
    version = expected;
}

static void setup(void)
{
    static xen_pfn_t list[NR_FRAMES], again[NR_FRAMES];
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_setup_table bad = {
        .dom = DOMID_SELF, .nr_frames = 1, .frame_list = (void *)0x10,
    };

    check_version(1);
    check_eq(setup_table(DOMID_SELF, NR_FRAMES, list), GNTST_okay, "status");
    check_eq(setup_table(self, NR_FRAMES, again), GNTST_okay, "by its number");
    for (unsigned i = 0; i < NR_FRAMES; i++) {
        check_eq(again[i], list[i], "frame %u, asked again", i);
        map_page(TABLE_VA + i * PAGE_SIZE, make_pte(list[i], PAGE_KERNEL));
    }
    check_ret(gnttab_op(GNTTABOP_query_size, &q, 1), 0, "query_size");
    check_eq(q.status, GNTST_okay, "query_size");
    check_eq(q.nr_frames, NR_FRAMES, "nr_frames");
    check(q.max_nr_frames >= NR_FRAMES, "max_nr_frames is too few");
    check_eq(setup_table(DOMID_SELF, q.max_nr_frames + 1, list),
             GNTST_general_error, "more than there can be");
    check_eq(setup_table(NOBODY, 1, list), GNTST_bad_domain, "nobody");
    check_ret(gnttab_op(GNTTABOP_setup_table, &bad, 1), 0, "setup_table");
    /* The 64-bit Xen does not say it to 32-bit guests */
    check(bad.status == GNTST_bad_virt_addr || (!IS_64BIT && !bad.status),
          "a list that is nowhere: %d", bad.status);
    check_ret(gnttab_op(GNTTABOP_setup_table, &bad, 2), -EINVAL, "two tables");
    check_ret(gnttab_op(GNTTABOP_setup_table, (void *)0x10, 1), -EFAULT,
              "setup_table of a bad pointer");
    check_ret(gnttab_op(77, &q, 1), -ENOSYS, "operation 77");
    check_ret(gnttab_op(GNTTABOP_copy, &q, 0xffffffff), -EINVAL, "count of -1");
    check_ret(gnttab_op(GNTTABOP_copy, (void *)0x10, 0), 0, "count of 0");
    check_ret(gnttab_op(GNTTABOP_copy, (void *)0x10, 1), -EFAULT,
              "copy of a bad pointer");
    check_eq(get_status_frames(DOMID_SELF, 1, (uint64_t *)again),
             GNTST_general_error, "status frames of version 1");
}

/* --- Entries --- */

static void grant(uint32_t ref, uint16_t flags, uint16_t domid, uint64_t frame)
{
    if (version == 1) {
        v1[ref].flags = 0;
        v1[ref].frame = frame;
        v1[ref].domid = domid;
        v1[ref].flags = flags;
    } else {
        v2[ref].page.flags = 0;
        v2[ref].page.frame = frame;
        v2[ref].page.domid = domid;
        v2[ref].page.flags = flags;
    }
}

static void check_flags(uint32_t ref, uint16_t flags, const char *what)
{
    if (version == 1) {
        check_eq(v1[ref].flags, flags, "flags, %s", what);
    } else {
        check_eq(v2[ref].page.flags, flags, "flags, %s", what);
        check_eq(status[ref], 0, "status, %s", what);
    }
}

/* --- Copies: 16 bytes of from at 0x100 to to at 0x200 --- */

#define LEN 16

static int copy(struct gnttab_copy *op)
{
    bool same;

    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        from[i] = i * 7 + (i >> 8);
        to[i] = 0xee;
    }
    op->status = 99;
    check_ret(gnttab_op(GNTTABOP_copy, op, 1), 0, "copy");
    same = memcmp(to + op->dest.offset, from + op->source.offset, LEN) == 0;
    if (op->len == LEN && op->dest.offset <= PAGE_SIZE - LEN &&
        op->source.offset <= PAGE_SIZE - LEN) {
        check_eq(same, op->status == GNTST_okay, "has it copied");
    }
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        if ((i < op->dest.offset || i >= op->dest.offset + op->len ||
             op->status) && to[i] != 0xee) {
            failure("byte %x was written, status %d", i, op->status);
            break;
        }
    }
    return op->status;
}

static struct gnttab_copy by_frames(void)
{
    return (struct gnttab_copy) {
        .source = { { .gmfn = virt_to_mfn(from) }, DOMID_SELF, 0x100 },
        .dest = { { .gmfn = virt_to_mfn(to) }, DOMID_SELF, 0x200 },
        .len = LEN,
    };
}

static int copy_from_ref(uint32_t ref)
{
    struct gnttab_copy op = by_frames();

    op.source.u.gmfn = 0;
    op.source.u.ref = ref;
    op.flags = GNTCOPY_source_gref;
    return copy(&op);
}

static int copy_to_ref(uint32_t ref)
{
    struct gnttab_copy op = by_frames();

    op.dest.u.gmfn = 0;
    op.dest.u.ref = ref;
    op.flags = GNTCOPY_dest_gref;
    return copy(&op);
}

static void copies_by_frame(void)
{
    struct gnttab_copy op = by_frames();
    int ret;

    check_eq(copy(&op), GNTST_okay, "copy");
    op.len = 0;
    check_eq(copy(&op), GNTST_okay, "copy of nothing");
    op.len = PAGE_SIZE - 0x200;
    check_eq(copy(&op), GNTST_okay, "copy to the frame's end");
    op.len++;
    check_eq(copy(&op), GNTST_bad_copy_arg, "copy over the frame's end");
    op = by_frames();
    op.source.offset = PAGE_SIZE - LEN + 1;
    check_eq(copy(&op), GNTST_bad_copy_arg, "copy from over the frame's end");
    op = by_frames();
    op.source.u.gmfn = (xen_pfn_t)-1;
    check_eq(copy(&op), GNTST_bad_page, "copy from no frame");
    op = by_frames();
    op.dest.u.gmfn = (xen_pfn_t)-1;
    check_eq(copy(&op), GNTST_bad_page, "copy to no frame");
    op = by_frames();
    op.source.domid = NOBODY;
    ret = copy(&op);
    check(ret == GNTST_bad_domain || ret == GNTST_permission_denied,
          "nobody's frame: %d", ret);
    op.flags = GNTCOPY_source_gref;
    check_eq(copy(&op), GNTST_bad_domain, "nobody's grant");
    op.len = 0;
    check_eq(copy(&op), GNTST_bad_domain, "nothing of nobody's grant");
    op = by_frames();
    op.dest.domid = self;
    check_eq(copy(&op), GNTST_permission_denied, "a frame by domain number");
}

static void copies_by_grant(void)
{
    const ulong a = virt_to_mfn(from), b = virt_to_mfn(to);
    const uint32_t nr = NR_FRAMES * PAGE_SIZE /
                        (version == 1 ? sizeof(*v1) : sizeof(*v2));

    grant(REF, GTF_permit_access, self, a);
    check_eq(copy_from_ref(REF), GNTST_okay, "copy from a grant");
    check_flags(REF, GTF_permit_access, "after a copy from it");
    grant(REF, GTF_permit_access | GTF_readonly, self, a);
    check_eq(copy_from_ref(REF), GNTST_okay, "copy from a readonly grant");
    grant(nr - 1, GTF_permit_access, self, b);
    check_eq(copy_to_ref(nr - 1), GNTST_okay, "copy to the last grant");
    check_flags(nr - 1, GTF_permit_access, "after a copy to it");
    grant(REF, GTF_permit_access | GTF_readonly, self, b);
    check_eq(copy_to_ref(REF), GNTST_general_error, "copy to a readonly one");
    check_flags(REF, GTF_permit_access | GTF_readonly, "after it is refused");

    check_eq(copy_from_ref(nr), GNTST_bad_gntref, "the reference after it");
    check_eq(copy_to_ref(~0U), GNTST_bad_gntref, "reference -1");
    grant(REF, 0, self, a);
    check_eq(copy_from_ref(REF), GNTST_general_error, "an invalid entry");
    grant(REF, GTF_accept_transfer, self, a);
    check_eq(copy_from_ref(REF), GNTST_general_error, "a transfer");
    grant(REF, GTF_permit_access, NOBODY, a);
    check_eq(copy_from_ref(REF), GNTST_general_error, "granted to another");
    check_flags(REF, GTF_permit_access, "granted to another");
    grant(REF, GTF_permit_access, self, 0xffffffff);
    check_eq(copy_from_ref(REF), GNTST_bad_page, "a grant of no frame");
    check_flags(REF, GTF_permit_access, "of no frame");
}

static void several(void)
{
    static struct gnttab_copy ops[3];

    for (unsigned i = 0; i < 3; i++) {
        ops[i] = by_frames();
        ops[i].dest.offset = 0x200 + i * LEN;
        ops[i].status = 99;
    }
    ops[1].source.u.gmfn = (xen_pfn_t)-1;
    memset(to, 0xee, PAGE_SIZE);
    check_ret(gnttab_op(GNTTABOP_copy, ops, 3), 0, "three copies");
    check_eq(ops[0].status, GNTST_okay, "the first of three");
    check_eq(ops[1].status, GNTST_bad_page, "the second of three");
    check_eq(ops[2].status, GNTST_okay, "the third of three");
    check(memcmp(to + 0x200 + 2 * LEN, from + 0x100, LEN) == 0,
          "the third is not done");
}

static void swap(void)
{
    struct gnttab_swap_grant_ref op = { REF, REF + 1 };
    const ulong a = virt_to_mfn(from), b = virt_to_mfn(to);

    grant(REF, GTF_permit_access, self, a);
    grant(REF + 1, GTF_permit_access | GTF_readonly, NOBODY, b);
    check_ret(gnttab_op(GNTTABOP_swap_grant_ref, &op, 1), 0, "swap");
    check_eq(op.status, GNTST_okay, "swap");
    check_flags(REF, GTF_permit_access | GTF_readonly, "swapped");
    check_flags(REF + 1, GTF_permit_access, "swapped");
    check_eq(copy_from_ref(REF + 1), GNTST_okay, "copy from a swapped one");
    op.ref_b = 1 << 20;
    check_ret(gnttab_op(GNTTABOP_swap_grant_ref, &op, 1), 0, "swap");
    check_eq(op.status, GNTST_bad_gntref, "swap with none");
    op.ref_b = op.ref_a;
    check_ret(gnttab_op(GNTTABOP_swap_grant_ref, &op, 1), 0, "swap");
    check_eq(op.status, GNTST_okay, "swap with itself");
}

/* --- Version 2 --- */

static void parts_of_frames(void)
{
    const ulong a = virt_to_mfn(from), b = virt_to_mfn(to);

    v2[REF].page.page_off = 0x100;
    v2[REF].page.length = LEN;
    grant(REF, GTF_permit_access | GTF_sub_page, self, a);
    check_eq(copy_from_ref(REF), GNTST_okay, "copy of just what is granted");
    check_flags(REF, GTF_permit_access | GTF_sub_page, "a part of a frame");
    v2[REF].page.length = LEN - 1;
    check_eq(copy_from_ref(REF), GNTST_general_error, "beyond the part's end");
    v2[REF].page.page_off = 0x101;
    v2[REF].page.length = LEN;
    check_eq(copy_from_ref(REF), GNTST_general_error, "before the part");
    check_flags(REF, GTF_permit_access | GTF_sub_page, "refused");
    v2[REF].page.page_off = 0xffff;
    v2[REF].page.length = 0xffff;
    check_eq(copy_from_ref(REF), GNTST_general_error, "a part beyond the end");
    grant(REF, GTF_permit_access | GTF_sub_page, self, b);
    v2[REF].page.page_off = 0x200;
    v2[REF].page.length = LEN + 1;
    check_eq(copy_to_ref(REF), GNTST_okay, "copy to a part");
    grant(REF, GTF_permit_access | GTF_sub_page | GTF_readonly, self, b);
    check_eq(copy_to_ref(REF), GNTST_general_error, "copy to a readonly part");

    grant(REF, GTF_permit_access, self, a | 1ULL << 40);
    check_eq(copy_from_ref(REF), GNTST_bad_page, "a frame beyond all memory");
}

static void transitive(void)
{
    grant(REF, GTF_permit_access, self, virt_to_mfn(from));
    v2[REF + 1].transitive.flags = 0;
    v2[REF + 1].transitive.domid = self;
    v2[REF + 1].transitive.trans_domid = self;
    v2[REF + 1].transitive.gref = REF;
    v2[REF + 1].transitive.flags = GTF_transitive;
    check_eq(copy_from_ref(REF + 1), GNTST_general_error, "by its own grant");
    check_flags(REF + 1, GTF_transitive, "by its own grant");
    v2[REF + 1].transitive.trans_domid = NOBODY;
    check_eq(copy_from_ref(REF + 1), GNTST_general_error, "by nobody's grant");
    v2[REF + 1].transitive.domid = NOBODY;
    check_eq(copy_from_ref(REF + 1), GNTST_general_error, "to nobody");
    check_flags(REF + 1, GTF_transitive, "refused");
}

static void to_version_2(void)
{
    static uint64_t list[2];

    check_ret(set_version(3, 1), -EINVAL, "version 3");
    check_ret(set_version(0, 1), -EINVAL, "version 0");
    check_ret(set_version(1, 1), 0, "version 1, which it is");
    grant(5, GTF_permit_access | GTF_readonly, NOBODY, 0x1234);
    grant(REF, GTF_permit_access, NOBODY, 0x4321);
    check_ret(set_version(2, 2), 0, "version 2");
    check_version(2);
    check_eq(get_status_frames(DOMID_SELF, 2, list), GNTST_general_error,
             "more status frames than there are");
    check_eq(get_status_frames(NOBODY, 1, list), GNTST_bad_domain, "nobody's");
    check_eq(get_status_frames(DOMID_SELF, 1, list), GNTST_okay, "its own");
    map_page(STATUS_VA, make_pte(list[0], PAGE_KERNEL));

    check_flags(5, GTF_permit_access | GTF_readonly, "a reserved entry");
    check_eq(v2[5].page.domid, NOBODY, "a reserved entry's domain");
    check_eq(v2[5].page.frame, 0x1234, "a reserved entry's frame");
    for (unsigned i = RESERVED; i < NR_FRAMES * PAGE_SIZE / sizeof(*v2); i++) {
        if (v2[i].page.flags || v2[i].page.domid || v2[i].page.frame) {
            failure("entry %u is not clear", i);
            break;
        }
    }
}

static void back_to_version_1(void)
{
    check_ret(set_version(1, 2), -EBUSY, "with a status frame that is mapped");
    check_ret(update_va_mapping(STATUS_VA, 0, UVMF_INVLPG), 0, "unmap");
    version = 2;
    grant(6, GTF_permit_access, NOBODY, 1ULL << 32);
    check_ret(set_version(1, 2), -ERANGE, "with a frame that has no place");
    grant(6, GTF_transitive, NOBODY, 0);
    check_ret(set_version(1, 2), -ERANGE, "with a transitive grant");
    grant(6, GTF_permit_access | GTF_readonly, NOBODY, 0x7777);
    grant(7, GTF_accept_transfer, NOBODY, 0x8888);
    grant(REF, GTF_permit_access, NOBODY, 0x4321);
    check_ret(set_version(1, 1), 0, "version 1");
    check_version(1);
    check_flags(5, GTF_permit_access | GTF_readonly, "a reserved entry");
    check_flags(6, GTF_permit_access | GTF_readonly, "a reserved entry");
    check_eq(v1[6].frame, 0x7777, "a reserved entry's frame");
    check_eq(v1[6].domid, NOBODY, "a reserved entry's domain");
    check_flags(7, 0, "a reserved entry that was no grant");
    check_flags(REF, 0, "another entry");
}

/* --- Every operation with a bad pointer, or too many of them --- */

static void bad_calls(void)
{
    struct gnttab_query_size q = { .dom = DOMID_SELF };

    for (unsigned op = 0; op < GNTTABOP_cache_flush; op++) {
        if (op == 3) {
            continue;                   /* dump_table, of debug builds */
        }
        if (op == GNTTABOP_transfer && !is_initdomain()) {
            continue;                   /* not there, see others() */
        }
        check_ret(gnttab_op(op, (void *)BAD_POINTER, 1), -EFAULT,
                  "operation %u, bad pointer", op);
        check_ret(gnttab_op(op, (void *)BAD_POINTER, 0x80000000), -EINVAL,
                  "operation %u, too often", op);
        /* Bits that are for the continuations of others */
        check_ret(gnttab_op(op | 0x1000, &q, 1), -EINVAL,
                  "operation %u with an argument", op);
    }
    check_ret(gnttab_op(GNTTABOP_query_size, &q, 2), -EINVAL, "two sizes");
    check_ret(gnttab_op(GNTTABOP_get_version, &q, 2), 0, "two versions");
    check_ret(gnttab_op(GNTTABOP_set_version, &q, 2), -EINVAL,
              "setting two versions");
    q.dom = NOBODY;
    check_ret(gnttab_op(GNTTABOP_query_size, &q, 1), 0, "nobody's size");
    check_eq(q.status, GNTST_bad_domain, "nobody's size");
}

/* --- Mapping what there is not, or what the domain has granted itself --- */

static void maps(void)
{
    struct gnttab_map_grant_ref map = {
        .host_addr = pte_maddr(TEST_VA, 1), .flags = GNTMAP_host_map,
        .ref = 1, .dom = NOBODY,
    };
    struct gnttab_unmap_grant_ref unmap = { .handle = 0x7fffffff };
    struct gnttab_unmap_and_replace replace = { .handle = 0x7fffffff };

    check_ret(gnttab_op(GNTTABOP_map_grant_ref, &map, 1), 0, "map");
    check_eq(map.status, GNTST_bad_domain, "mapping nobody's grant");
    map.flags = 0;
    check_ret(gnttab_op(GNTTABOP_map_grant_ref, &map, 1), 0, "map");
    check_eq(map.status, GNTST_bad_gntref, "mapping without a place");
    map.flags = GNTMAP_host_map;
    map.dom = self;
    map.ref = ~0U;
    check_ret(gnttab_op(GNTTABOP_map_grant_ref, &map, 1), 0, "map");
    check_eq(map.status, GNTST_bad_gntref, "mapping a grant beyond the table");
    if (!is_initdomain()) {
        map.dom = 0;
        map.ref = 8;
        check_ret(gnttab_op(GNTTABOP_map_grant_ref, &map, 1), 0, "map");
        check_eq(map.status, GNTST_general_error, "what domain 0 has not granted");
        map.dom = self;
        grant(REF, GTF_permit_access, self, virt_to_mfn(from));
        map.ref = REF;
        check_ret(gnttab_op(GNTTABOP_map_grant_ref, &map, 1), 0, "map");
        check_eq(map.status, GNTST_permission_denied, "mapping its own grant");
        check_flags(REF, GTF_permit_access, "its own grant");
    }
    check_ret(gnttab_op(GNTTABOP_unmap_grant_ref, &unmap, 1), 0, "unmap");
    check_eq(unmap.status, GNTST_bad_handle, "unmapping what is not mapped");
    check_ret(gnttab_op(GNTTABOP_unmap_and_replace, &replace, 1), 0, "replace");
    check_eq(replace.status, GNTST_bad_handle, "replacing what is not mapped");
}

/* What Xen has for domains of other kinds: it is not there */
static void others(void)
{
    if (is_initdomain()) {
        return;
    }
    check_ret(gnttab_op(GNTTABOP_transfer, (void *)BAD_POINTER, 1), -ENOSYS,
              "transfer");
    check_ret(gnttab_op(GNTTABOP_cache_flush, (void *)BAD_POINTER, 1), -ENOSYS,
              "cache_flush");
}

void test_main(void)
{
    self = is_initdomain() ? 0 : 1;
    from = alloc_page();
    to = alloc_page();
    setup();
    copies_by_frame();
    copies_by_grant();
    several();
    swap();
    to_version_2();
    copies_by_frame();
    copies_by_grant();
    several();
    swap();
    parts_of_frames();
    transitive();
    back_to_version_1();
    copies_by_grant();
    bad_calls();
    maps();
    others();
}
