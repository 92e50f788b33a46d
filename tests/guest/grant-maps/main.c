/*
 * Mapping grants, by grants of the domain to itself.
 *
 * A domain that grants memory to itself, as one does whose front and back end
 * are the same, maps it as it would another's: at an address or in a page-table
 * entry, with the rights of the grant and no more, by a handle that is good
 * once. The entry is marked as in use for just as long. A mapping with more
 * rights than were granted gives memory away; a mark that stays, or a handle
 * that does not, leaks it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NOBODY      77
#define REF         20
#define NR_REFS     (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define TABLE_VA    TEST_VA
/* With level-1 tables, and in user mode's tables too */
#define MAP_VA      (USER_DATA + 16 * PAGE_SIZE)
#define OTHER_VA    (MAP_VA + PAGE_SIZE)
#define NO_TABLE_VA (TEST_VA + 0x40000000UL)

static volatile struct grant_entry_v1 *const v1 = (void *)TABLE_VA;
static uint16_t self;
static ulong *page, *other;

static void setup(void)
{
    static xen_pfn_t list[1];
    struct gnttab_setup_table op = {
        .dom = DOMID_SELF, .nr_frames = 1, .frame_list = list,
    };

    check_ret(HYPERCALL(grant_table_op, GNTTABOP_setup_table, &op, 1), 0,
              "setup_table");
    map_page(TABLE_VA, make_pte(list[0], PAGE_KERNEL));
    user_init();
    make_tables(MAP_VA, 1);
}

static void grant(uint32_t ref, uint16_t flags, uint16_t domid, ulong frame)
{
    v1[ref].flags = 0;
    v1[ref].frame = frame;
    v1[ref].domid = domid;
    v1[ref].flags = flags;
}

static struct gnttab_map_grant_ref last;

/* The handle, or minus an error */
static int map(uint64_t host_addr, uint32_t flags)
{
    last = (struct gnttab_map_grant_ref) {
        .host_addr = host_addr, .flags = flags, .ref = REF, .dom = self,
    };
    check_ret(HYPERCALL(grant_table_op, GNTTABOP_map_grant_ref, &last, 1), 0,
              "map_grant_ref");
    return last.status ? last.status : (int)last.handle;
}

static int unmap(int handle, uint64_t host_addr, uint64_t dev_bus_addr)
{
    struct gnttab_unmap_grant_ref op = { host_addr, dev_bus_addr, handle, 99 };

    check_ret(HYPERCALL(grant_table_op, GNTTABOP_unmap_grant_ref, &op, 1), 0,
              "unmap_grant_ref");
    return op.status;
}

static void marks(uint16_t expected, const char *what)
{
    check_eq(v1[REF].flags & (GTF_reading | GTF_writing), expected,
             "marks of use, %s", what);
}

static void write_map(void *val)
{
    *(volatile ulong *)MAP_VA = (ulong)val;
}

static void by_address(void)
{
    struct trap t;
    int rw, ro;

    page[0] = 0x1111;
    grant(REF, GTF_permit_access, self, virt_to_mfn(page));
    rw = map(MAP_VA, GNTMAP_host_map | 5 << 16);
    check(rw >= 0, "mapping a grant: %d", rw);
    check_eq(last.dev_bus_addr, (uint64_t)virt_to_mfn(page) << PAGE_SHIFT,
             "the bus address");
    check_eq(*(volatile ulong *)MAP_VA, 0x1111, "what is mapped");
    check(!catch_exception(&t, write_map, (void *)0x2222), "writing to it: %s",
          trap_name(t.vector));
    check_eq(page[0], 0x2222, "what was written");
    check_eq(*pte_of(MAP_VA, 1) >> 9 & 7, 5, "the guest's bits of the entry");
    marks(GTF_reading | GTF_writing, "mapped to write");

    ro = map(OTHER_VA, GNTMAP_host_map | GNTMAP_readonly);
    check(ro >= 0 && ro != rw, "mapping it again: %d after %d", ro, rw);
    check_eq(*(volatile ulong *)OTHER_VA, 0x2222, "what is mapped again");
    check(!(*pte_of(OTHER_VA, 1) & _PAGE_RW), "it is mapped to write");

    check_eq(unmap(rw, NO_TABLE_VA, 0), GNTST_general_error,
             "unmapping elsewhere");
    check_eq(unmap(rw, OTHER_VA, 0), GNTST_general_error,
             "unmapping what has other rights");
    check_eq(unmap(rw, 0, 0), GNTST_okay, "unmapping nothing");
    check_eq(*(volatile ulong *)MAP_VA, 0x2222, "after these");
    check_eq(unmap(rw, MAP_VA, 0), GNTST_okay, "unmapping");
    check(!(*pte_of(MAP_VA, 1) & _PAGE_PRESENT), "it is still mapped");
    check(catch_exception(&t, write_map, NULL) && t.vector == X86_PF,
          "what is unmapped can be written");
    marks(GTF_reading, "mapped to read");
    check_eq(unmap(rw, MAP_VA, 0), GNTST_bad_handle, "unmapping again");
    check_eq(unmap(ro, OTHER_VA, 0), GNTST_okay, "unmapping the other");
    marks(0, "unmapped");
    check_eq(unmap(1 << 20, MAP_VA, 0), GNTST_bad_handle, "no handle");
}

static void by_entry(void)
{
    uint64_t at = pte_maddr(MAP_VA, 1);
    const uint32_t flags = GNTMAP_host_map | GNTMAP_contains_pte;
    int h;

    h = map(at, flags);
    check(h >= 0, "mapping by an entry: %d", h);
    check_eq(*(volatile ulong *)MAP_VA, 0x2222, "what is mapped");
    check_eq(unmap(h, at + 8, 0), GNTST_general_error, "the next entry");
    check_eq(unmap(h, at, 0), GNTST_okay, "unmapping");
    check_eq(map(at + 4, flags), GNTST_general_error, "not aligned");
    check_eq(map(pte_maddr(MAP_VA, 2), flags), GNTST_general_error,
             "an entry of level 2");
    check_eq(map((uint64_t)virt_to_mfn(other) << PAGE_SHIFT, flags),
             GNTST_general_error, "an entry in no table");
    check_eq(map(1ULL << 50, flags), GNTST_general_error, "no memory");
    marks(0, "refused");
}

static __user ulong user_read(ulong a, ulong b)
{
    return *(volatile ulong *)a;
}

static void for_programs(void)
{
    struct trap t;
    ulong val;
    int h = map(MAP_VA, GNTMAP_host_map | GNTMAP_application_map);

    check(!call_user(user_read, MAP_VA, 0, &val, &t) && val == 0x2222,
          "a program's mapping: %s", trap_name(t.vector));
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping a program's");
    h = map(MAP_VA, GNTMAP_host_map);
    /* Under a 64-bit Xen the kernel itself is in ring 3 */
    check((call_user(user_read, MAP_VA, 0, NULL, &t) && t.vector == X86_PF) ||
          (IS_64BIT && is_initdomain()),
          "a program can read the kernel's mapping");
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping the kernel's");
}

static void for_devices(void)
{
    const uint64_t maddr = (uint64_t)virt_to_mfn(page) << PAGE_SHIFT;
    int h = map(0, GNTMAP_device_map);

    check(h >= 0 && last.dev_bus_addr == maddr, "a device's mapping: %d", h);
    marks(GTF_reading | GTF_writing, "mapped for a device");
    check_eq(unmap(h, 0, maddr + PAGE_SIZE), GNTST_bad_dev_addr,
             "another bus address");
    check_eq(unmap(h, 0, maddr), GNTST_okay, "unmapping a device's");
    marks(0, "unmapped");

    h = map(MAP_VA, GNTMAP_device_map | GNTMAP_host_map);
    check(h >= 0, "mapping for both: %d", h);
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping the CPU's part");
    marks(GTF_reading | GTF_writing, "mapped for a device");
    check_eq(unmap(h, 0, maddr), GNTST_okay, "unmapping the device's part");
    marks(0, "unmapped in both");
    check_eq(unmap(h, 0, maddr), GNTST_bad_handle, "unmapping once more");
}

static void replaced(void)
{
    struct gnttab_unmap_and_replace op = {
        .host_addr = MAP_VA, .new_addr = OTHER_VA,
    };

    other[0] = 0x3333;
    op.handle = map(MAP_VA, GNTMAP_host_map);
    map_page(OTHER_VA, make_pte(virt_to_mfn(other), PAGE_KERNEL));
    check_ret(HYPERCALL(grant_table_op, GNTTABOP_unmap_and_replace, &op, 1), 0,
              "unmap_and_replace");
    check_eq(op.status, GNTST_okay, "unmap_and_replace");
    check_eq(*(volatile ulong *)MAP_VA, 0x3333, "what is there instead");
    check(!(*pte_of(OTHER_VA, 1) & _PAGE_PRESENT), "it is there as well");
    marks(0, "replaced");
    check_ret(update_va_mapping(MAP_VA, 0, UVMF_INVLPG), 0, "unmapping");
}

static void refused(void)
{
    const ulong table = virt_to_mfn((void *)start_info->pt_base);
    struct gnttab_map_grant_ref two[2];
    int h;

    check_eq(map(MAP_VA, 0), GNTST_bad_gntref, "mapping for nobody");
    check_eq(map(NO_TABLE_VA, GNTMAP_host_map), GNTST_general_error,
             "no level-1 table");
    check_eq(map(HV_POINTER, GNTMAP_host_map), GNTST_general_error,
             "the hypervisor's address");
    marks(0, "refused");
    grant(REF, GTF_permit_access | GTF_readonly, self, virt_to_mfn(page));
    check_eq(map(MAP_VA, GNTMAP_host_map), GNTST_general_error,
             "a grant to read, to write");
    marks(0, "refused");
    h = map(MAP_VA, GNTMAP_host_map | GNTMAP_readonly);
    check(h >= 0, "a grant to read: %d", h);
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping it");
    grant(REF, GTF_permit_access, NOBODY, virt_to_mfn(page));
    check_eq(map(MAP_VA, GNTMAP_host_map), GNTST_general_error,
             "granted to another");
    grant(REF, 0, self, virt_to_mfn(page));
    check_eq(map(MAP_VA, GNTMAP_host_map), GNTST_general_error, "not granted");
    grant(REF, GTF_permit_access, self, 0xffffffff);
    check_eq(map(MAP_VA, GNTMAP_host_map), GNTST_bad_page, "no frame");
    marks(0, "of no frame");
    grant(REF, GTF_permit_access, self, table);
    check_eq(map(MAP_VA, GNTMAP_host_map), GNTST_general_error,
             "a page table, to write");
    check_eq(map(0, GNTMAP_device_map), GNTST_general_error,
             "a page table, for a device to write");
    h = map(MAP_VA, GNTMAP_host_map | GNTMAP_readonly);
    check(h >= 0, "a page table, to read: %d", h);
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping it");
    marks(0, "a page table");

    /* Whose it is must be said by number; each has its own status */
    grant(REF, GTF_permit_access, self, virt_to_mfn(page));
    for (unsigned i = 0; i < 2; i++) {
        two[i] = (struct gnttab_map_grant_ref) {
            .host_addr = MAP_VA, .flags = GNTMAP_host_map, .ref = REF,
            .dom = i ? self : DOMID_SELF,
        };
    }
    check_ret(HYPERCALL(grant_table_op, GNTTABOP_map_grant_ref, two, 2), 0,
              "two mappings");
    check_eq(two[0].status, GNTST_bad_domain, "DOMID_SELF's grant");
    check_eq(two[1].status, GNTST_okay, "its own by number");
    check_eq(unmap(two[1].handle, MAP_VA, 0), GNTST_okay, "unmapping it");
}

static void version_stays(void)
{
    struct gnttab_set_version op = { 2 };
    int h = map(MAP_VA, GNTMAP_host_map);

    check_ret(HYPERCALL(grant_table_op, GNTTABOP_set_version, &op, 1), -EBUSY,
              "another version while something is mapped");
    check_eq(unmap(h, MAP_VA, 0), GNTST_okay, "unmapping it");
}

void test_main(void)
{
    self = is_initdomain() ? 0 : 1;
    page = alloc_page();
    other = alloc_page();
    setup();
    by_address();
    by_entry();
    for_programs();
    for_devices();
    replaced();
    refused();
    version_stays();
}
