/*
 * Page tables
 *
 * The guest's own tables are the tables that the CPU walks. The guest kernel
 * runs in ring 1, which is supervisor mode for paging, and every frame number
 * is a guest-physical one, so entries need no translation and no rewriting:
 * what the monitor adds is its own mappings in every top-level table, and the
 * rules of Xen's direct paging that a guest can observe.
 *
 * For these it keeps a word per frame (frame_info_t): whether the frame is a
 * page table, of which level, whether it is pinned, and how often it is used
 * as one. A table of level 2 and up is read when it becomes one, so that the
 * tables below it are known too; level-1 tables are not read, whatever they
 * contain is right. A table's uses end with the last reference, as in Xen.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "frame.h"
#include "hw/xen/interface/memory.h"
#include "hw/xen/interface/grant_table.h"

#define TABLES_2M   (1ULL << 21)

#ifdef __x86_64__
#define TOP_LEVEL   4
frame_info_t *frame_table;
#else
#define TOP_LEVEL   3
#endif

/*
 * The monitor's entries: of each top-level table (64-bit) or of the table
 * below its last entry (32-bit), from HV_SLOT on.
 */
static u64 hv_entries[HV_SLOT_END - HV_SLOT];
#ifdef __x86_64__
#define HV_M2P      0
#define HV_CORE     1
#define HV_DIRECT   2
#define HV_LINEAR   3       /* each table has its own */
static u64 *area_l2;

/*
 * What there is of us in user mode's tables instead of HV_CORE: where the CPU
 * enters and leaves ring 0, and nothing else. A processor that reads ahead of
 * its rights (Meltdown) finds no memory of the guest kernel's there.
 */
static u64 hv_user_core, *user_area_l2;

/*
 * On other processors user mode may run with the kernel's tables, so that CR3
 * need not change at each border: where they are the same for it (see
 * choose_user_cr3()). The upper half of a table that is for the kernel alone
 * has no entry for user mode then: those that the guest made so are remembered
 * in this entry and the 3 behind it, which are not present ones.
 */
#define HV_HIDDEN   8
#define HIDDEN_BITS 60
#define HIDES_USER  (2ULL << HIDDEN_BITS)       /* of the first of them */
static bool sharing;
static u32 top_changes;     /* of any base table, as far as user mode sees it */
#else
#define HV_M2P      0
#define HV_CORE     16
#define HV_AREA     20
#define HV_FRAME_TABLE 52
#define HV_LINEAR   68      /* 4 entries; each table has its own */
#endif

/* Guest RAM, in frames: [0, low_end) and [4 GiB, 4 GiB + high_pages) */
static ulong low_end, high_pages;
#define FOUR_GIB_MFN    0x100000UL

static u64 nx;

static inline bool mfn_is_ram(ulong mfn)
{
    return mfn < low_end || mfn - FOUR_GIB_MFN < high_pages;
}

/* May the guest map this frame: RAM, or what the hypervisor shares with it */
bool guest_mfn_valid(ulong mfn)
{
    return likely(mfn_is_ram(mfn)) ||
           mfn == (XENPV_CORE_GPA + XENPV_CORE_SHARED_INFO) >> 12 ||
           mfn - ((XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE) >> 12) <
               2 * XENPV_CORE_GRANT_PAGES;
}

static inline unsigned table_level(ulong mfn)
{
    return mfn_is_ram(mfn) ? FI_TYPE(frame_table[mfn]) : 0;
}

unsigned mfn_level(ulong mfn)
{
    return table_level(mfn);
}

bool mfn_is_table(ulong mfn)
{
    return table_level(mfn);
}

#ifdef __x86_64__
/* The descriptor tables, the stub, the stacks, struct vcpu, TSS and IDT */
static bool in_user_tables(int page)
{
    return page < AREA_VCPU_INFO || (page >= AREA_STUB && page < AREA_PDPT);
}
#endif

void map_area_page(struct vcpu *v, int page, u64 pte)
{
    v->area_l1[page] = pte;
#ifdef __x86_64__
    if (in_user_tables(page)) {
        v->user_area_l1[page] = pte;
    }
#endif
    invlpg((ulong)v - VCPU_OFFSET + page * PAGE_SIZE);
}

#ifndef __x86_64__
/* Where frame() wants it */
void map_window(ulong mfn)
{
    struct vcpu *v = current_vcpu();
    unsigned i = mfn % AREA_WINDOW_PAGES;

    v->window[i] = mfn;
    map_area_page(v, AREA_WINDOW + i, (u64)mfn << 12 | PTE_P | PTE_RW | PTE_A |
                                      PTE_D);
}
#endif

/* l1: where in an L1 table the vCPU's entries are */
void map_vcpu_area(u32 id, u64 *l1)
{
    u64 entry = (core_gpa(l1) & ~(PAGE_SIZE - 1)) | PTE_P | PTE_RW | PTE_A;
    unsigned i = id / VCPU_AREAS_PER_L1;

#ifdef __x86_64__
    {
        struct vcpu *v = (struct vcpu *)(VCPU_VIRT + (ulong)id * VCPU_AREA_SIZE +
                                         VCPU_OFFSET);
        u64 *user_l1 = alloc_page();

        area_l2[i] = entry;
        for (int page = 0; page < 512; page++) {
            if (in_user_tables(page)) {
                user_l1[page] = l1[page];
            }
        }
        user_area_l2[i] = core_gpa(user_l1) | PTE_P | PTE_RW | PTE_A;
        v->user_area_l1 = user_l1;
    }
#else
    /* The tables in use now are the boot tables of entry-32.S */
    extern u64 boot_hv_l2[];

    hv_entries[HV_AREA + i] = entry;
    boot_hv_l2[HV_SLOT + HV_AREA + i] = entry;
#endif
}

static void init_nx(void)
{
    u32 a = 0x80000001, b, c, d;

    asm("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d));
    if (d & (1 << 20)) {
        nx = PTE_NX;
    }
}

/* The image with W^X; the rest of the core region is data */
static u64 core_pte(ulong virt)
{
    extern char text_end[], rodata_end[];
    u64 pte = core_gpa((void *)virt) | PTE_P | PTE_A | PTE_D;

    if (virt < (ulong)text_end) {
        return pte;
    }
    return virt < (ulong)rodata_end ? pte | nx : pte | nx | PTE_RW;
}

static void map_core(u64 *l2)
{
    u64 *l1 = alloc_page();

    for (int i = 0; i < 512; i++) {
        l1[i] = core_pte(CORE_VIRT + i * PAGE_SIZE);
    }
    l2[0] = core_gpa(l1) | PTE_P | PTE_RW | PTE_A;
    for (ulong i = 1; i < XENPV_CORE_SIZE / TABLES_2M; i++) {
        l2[i] = (XENPV_CORE_GPA + i * TABLES_2M) | nx | PTE_P | PTE_RW |
                PTE_PSE | PTE_A | PTE_D;
    }
}

#ifdef __x86_64__
/* Code and constants alone */
static u64 *map_code(u64 *l1)
{
    extern char rodata_end[];

    for (ulong virt = CORE_VIRT; virt < (ulong)rodata_end; virt += PAGE_SIZE) {
        l1[(virt - CORE_VIRT) / PAGE_SIZE] = core_pte(virt);
    }
    return l1;
}
#endif

void init_page_tables(void)
{
    u64 data = PTE_P | PTE_A | PTE_D | PTE_PSE;
    u64 tables = boot_info->tables_gpa;

    init_nx();
    data |= nx;
    low_end = boot_info->nr_pages;
    if (low_end > XENPV_HOLE_START >> 12) {
        low_end = XENPV_HOLE_START >> 12;
    }
    high_pages = boot_info->nr_pages - low_end;

#ifdef __x86_64__
    {
        extern u64 boot_l4[];
        u64 end = tables + boot_info->m2p_size + boot_info->frame_table_size;
        u64 link = PTE_P | PTE_RW | PTE_A;
        u64 *l3, *l2 = NULL;

        /* The core region and the vCPU areas, a GiB each */
        l3 = alloc_page();
        hv_entries[HV_CORE] = core_gpa(l3) | link;
        l2 = alloc_page();
        map_core(l2);
        l3[0] = core_gpa(l2) | link;
        area_l2 = alloc_page();
        l3[1] = core_gpa(area_l2) | link;

        l3 = alloc_page();
        hv_user_core = core_gpa(l3) | link;
        l2 = alloc_page();
        l3[0] = core_gpa(l2) | link;
        l2[0] = core_gpa(map_code(alloc_page())) | link;
        user_area_l2 = alloc_page();
        l3[1] = core_gpa(user_area_l2) | link;

        l3 = alloc_page();
        hv_entries[HV_M2P] = core_gpa(l3) | link;
        for (u64 off = 0; off < boot_info->m2p_size; off += TABLES_2M) {
            if (!(off & 0x3fffffff)) {
                l2 = alloc_page();
                l3[off >> 30] = core_gpa(l2) | link;
            }
            /* Read-only for the guest; the monitor has its own mapping */
            l2[off >> 21 & 511] = (tables + off) | data;
        }

        l3 = alloc_page();
        hv_entries[HV_DIRECT] = core_gpa(l3) | link;
        for (u64 gpa = 0; gpa < end; gpa += TABLES_2M) {
            if (!(gpa & 0x3fffffff)) {
                l2 = alloc_page();
                l3[gpa >> 30] = core_gpa(l2) | link;
            }
            if (gpa < XENPV_HOLE_START + XENPV_CORE_SIZE ||
                gpa >= XENPV_HOLE_END) {
                l2[gpa >> 21 & 511] = gpa | data | PTE_RW;
            }
        }
        frame_table = (frame_info_t *)(XENPV_DIRECT_VIRT_64 + tables +
                                       boot_info->m2p_size);
        for (unsigned i = 0; i < ARRAY_SIZE(hv_entries); i++) {
            boot_l4[HV_SLOT + i] = hv_entries[i];
        }
        sharing = !(boot_info->flags & XENPV_BOOT_XPTI);
    }
#else
    {
        extern u64 boot_hv_l2[];
        u64 off;

        for (off = 0; off < boot_info->m2p_size; off += TABLES_2M) {
            hv_entries[HV_M2P + (off >> 21)] = (tables + off) | data;
        }
        map_core(&hv_entries[HV_CORE]);
        tables += boot_info->m2p_size;
        for (off = 0; off < boot_info->frame_table_size; off += TABLES_2M) {
            hv_entries[HV_FRAME_TABLE + (off >> 21)] = (tables + off) | data |
                                                       PTE_RW;
        }
        for (unsigned i = 0; i < ARRAY_SIZE(hv_entries); i++) {
            boot_hv_l2[HV_SLOT + i] = hv_entries[i];
        }
    }
#endif
    write_cr3(read_cr3());
}

/* m2p is mapped read-only at M2P_VIRT, this is where the monitor writes it */
static void set_m2p(ulong mfn, ulong pfn)
{
    ulong per_frame = PAGE_SIZE / sizeof(ulong);
    ulong m2p_mfn = (boot_info->tables_gpa >> 12) + mfn / per_frame;

    ((ulong *)frame(m2p_mfn))[mfn % per_frame] = pfn;
}

/*
 * Reference counts of tables. A frame becomes a table, and stops being one,
 * under the lock. References to one that stays a table are counted without it:
 * a change of CR3 does not wait for another vCPU.
 */
struct spinlock tables_lock;

static int get_table_locked(ulong mfn, unsigned level, bool top_gib);
static void put_table_locked(ulong mfn);
static void release_frame(ulong mfn);

static bool get_another(ulong mfn, unsigned level)
{
    frame_info_t *fi = &frame_table[mfn], old = *fi;

    while (FI_TYPE(old) == level && !(old & FI_CHECKING) &&
           (old & FI_COUNT_MASK) && (old & FI_COUNT_MASK) != FI_COUNT_MASK) {
        if (__atomic_compare_exchange_n(fi, &old, old + 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return true;
        }
    }
    return false;
}

static bool put_one_of_many(ulong mfn)
{
    frame_info_t *fi = &frame_table[mfn], old = *fi;

    while ((old & FI_COUNT_MASK) > 1) {
        if (__atomic_compare_exchange_n(fi, &old, old - 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return true;
        }
    }
    return false;
}

static inline void set_info(ulong mfn, frame_info_t bits)
{
    __atomic_fetch_or(&frame_table[mfn], bits, __ATOMIC_SEQ_CST);
}

static inline void clear_info(ulong mfn, frame_info_t bits)
{
    __atomic_fetch_and(&frame_table[mfn], ~bits, __ATOMIC_SEQ_CST);
}

static int get_table(ulong mfn, unsigned level)
{
    int ret;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    if (likely(get_another(mfn, level))) {
        return 0;
    }
    spin_lock(&tables_lock);
    ret = get_table_locked(mfn, level, false);
    spin_unlock(&tables_lock);
    return ret;
}

static void put_table(ulong mfn)
{
    if (unlikely(!put_one_of_many(mfn))) {
        spin_lock(&tables_lock);
        put_table_locked(mfn);
        spin_unlock(&tables_lock);
    }
}

/* Is entry i of a table with this info one of the monitor's? */
static inline bool hv_slot(frame_info_t fi, unsigned i)
{
#ifdef __x86_64__
    return FI_TYPE(fi) == 4 && i - HV_SLOT < HV_SLOT_END - HV_SLOT;
#else
    return (fi & FI_PAE_XEN_L2) && i >= HV_SLOT;
#endif
}

/*
 * 32-bit: a table that will be the top GiB's may be a copy of the one in use,
 * with our entries in it, before anything says what it is for.
 */
static inline bool hv_copy(unsigned level, unsigned i, u64 entry)
{
    ulong mfn = PTE_MFN(entry);

    if (TOP_LEVEL != 3 || level != 2 || i < HV_SLOT) {
        return false;
    }
#ifndef __x86_64__
    if (i >= HV_SLOT + HV_LINEAR && table_level(mfn) == 2) {
        return true;
    }
#endif
    return !mfn_is_ram(mfn);
}

/*
 * What Xen refuses in entries: of level 1, cache attributes; from level 2 on
 * also superpages and global pages; in the top level of PAE, NX. The bits that
 * the CPU ignores in long mode are refused where, without it, it reserves them.
 */
#define L1_DISALLOWED       (PTE_PWT | PTE_PCD | PTE_PAT)
/* 32-bit: of the upper half, what is neither NX nor part of an mfn as a ulong */
#define L1_UNUSABLE_HI      (WORD == 4 ? 0x7ffff000 : 0)

static inline u64 disallowed(unsigned level)
{
    u64 bits = L1_DISALLOWED | PTE_G;

    if (WORD == 4) {
        bits |= level == 3 ? 0xfffULL << 52 : 0x7ffULL << 52;
    }
    return bits;
}

/* A reference from entry i of a table of the given level, which is 2 or up */
static int get_entry(unsigned level, unsigned i, u64 entry)
{
    ulong mfn = PTE_MFN(entry);

    if (!(entry & PTE_P)) {
        return 0;
    }
    if (entry & disallowed(level)) {
        return -EINVAL;
    }
    if (level > 2 && table_level(mfn) == level) {
        /* A linear page table: a table as its own next level, read-only */
        return entry & PTE_RW ? -EINVAL : 0;
    }
    if (level == 2 && table_level(mfn) == 2) {
        return entry & PTE_RW ? -EINVAL : 0;
    }
    return get_table_locked(mfn, level - 1,
                            TOP_LEVEL == 3 && level == 3 && i == 3);
}

static void put_entry(unsigned level, u64 entry)
{
    ulong mfn = PTE_MFN(entry);

    if ((entry & PTE_P) && table_level(mfn) == level - 1) {
        put_table_locked(mfn);
    }
}

static inline unsigned nr_entries(unsigned level)
{
    return TOP_LEVEL == 3 && level == 3 ? 4 : 512;
}

#define entry_of(mfn, i) (((volatile u64 *)frame(mfn))[i])

static void put_entries(ulong mfn, unsigned level, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        u64 entry = entry_of(mfn, i);

        if ((entry & PTE_P) && !hv_slot(frame_table[mfn], i)) {
            put_entry(level, entry);
        }
    }
}

#ifndef __x86_64__
/* Put the monitor's entries in the table for the top GiB */
static void install_hv_entries(ulong mfn)
{
    u64 *l2 = frame(mfn);

    set_info(mfn, FI_PAE_XEN_L2);
    for (unsigned i = 0; i < HV_LINEAR; i++) {
        if (l2[HV_SLOT + i] != hv_entries[i]) {
            write_u64(&l2[HV_SLOT + i], hv_entries[i]);
        }
    }
}
#endif

#ifdef __x86_64__
static inline u64 *hidden_word(u64 *l4, unsigned i)
{
    return &l4[HV_SLOT + HV_HIDDEN + (i - HV_SLOT_END) / HIDDEN_BITS];
}

static inline u64 hidden_bit(unsigned i)
{
    return 2ULL << (i - HV_SLOT_END) % HIDDEN_BITS;
}

static inline bool hides_user_entries(const u64 *l4)
{
    return l4[HV_SLOT + HV_HIDDEN] & HIDES_USER;
}

/* Entry i, which the guest wants to be val, as it is to be */
static u64 hidden_entry(u64 *l4, unsigned i, u64 val)
{
    if (i < HV_SLOT_END || !hides_user_entries(l4)) {
        return val;
    }
    *hidden_word(l4, i) &= ~hidden_bit(i);
    if ((val & (PTE_P | PTE_US)) == (PTE_P | PTE_US)) {
        *hidden_word(l4, i) |= hidden_bit(i);
        val &= ~(u64)PTE_US;
    }
    return val;
}

/* The CPU may be setting A bits meanwhile */
static void hide_user_entries(u64 *l4)
{
    l4[HV_SLOT + HV_HIDDEN] = HIDES_USER;
    for (unsigned i = HV_SLOT_END; i < 512; i++) {
        if (hidden_entry(l4, i, l4[i]) != l4[i]) {
            __atomic_fetch_and(&l4[i], ~(u64)PTE_US, __ATOMIC_SEQ_CST);
        }
    }
}

static void show_user_entries(u64 *l4)
{
    if (!hides_user_entries(l4)) {
        return;
    }
    for (unsigned i = HV_SLOT_END; i < 512; i++) {
        if (*hidden_word(l4, i) & hidden_bit(i)) {
            __atomic_fetch_or(&l4[i], (u64)PTE_US, __ATOMIC_SEQ_CST);
        }
    }
    memset(&l4[HV_SLOT + HV_HIDDEN], 0, 4 * sizeof(u64));
}
#endif

/*
 * A reference to a table of this level. top_gib: to the level-2 table in the
 * last slot of a 32-bit top level, whose own last slots are ours whatever is in
 * them, such as copies of what we once put into another.
 */
static int get_table_locked(ulong mfn, unsigned level, bool top_gib)
{
    frame_info_t *fi, info;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    fi = &frame_table[mfn];
    info = *fi;
    if (FI_TYPE(info)) {
        if (FI_TYPE(info) != level) {
            return -EINVAL;
        }
        if ((info & FI_COUNT_MASK) == FI_COUNT_MASK) {
            return -EBUSY;
        }
        __atomic_fetch_add(fi, 1, __ATOMIC_SEQ_CST);
        return 0;
    }
    info = level << FI_TYPE_SHIFT | 1;
    if (level == 1) {
        *fi = info;
        return 0;
    }
    close_mappings(mfn);
#ifdef __x86_64__
    if (level == 4) {
        /* What is in our slots is the guest's, a copy of another table's maybe */
        memset(&((u64 *)frame(mfn))[HV_SLOT], 0, sizeof(hv_entries));
        __atomic_fetch_add(&top_changes, 1, __ATOMIC_SEQ_CST);
    }
#else
    if (top_gib) {
        info |= FI_PAE_XEN_L2;
    }
#endif
    *fi = info | FI_CHECKING;
    for (unsigned i = 0; i < nr_entries(level); i++) {
        u64 entry = entry_of(mfn, i);
        int ret;

        if (!(entry & PTE_P) || hv_slot(info, i) || hv_copy(level, i, entry)) {
            continue;
        }
        ret = get_entry(level, i, entry);
        if (ret) {
            put_entries(mfn, level, i);
            *fi = 0;
            return ret;
        }
#ifndef __x86_64__
        if (level == 3 && i == 3) {
            install_hv_entries(PTE_MFN(entry));
        }
#endif
    }
    clear_info(mfn, FI_CHECKING);
    return 0;
}

static void put_table_locked(ulong mfn)
{
    frame_info_t *fi = &frame_table[mfn];
    frame_info_t info = __atomic_sub_fetch(fi, 1, __ATOMIC_SEQ_CST);
    unsigned level = FI_TYPE(info);

    if ((info & FI_COUNT_MASK) == 0) {
        if (unlikely(level == 1 && (info & FI_OPENS))) {
            forget_openings(mfn);
        }
        if (level > 1 && level <= TOP_LEVEL) {
            put_entries(mfn, level, nr_entries(level));
#ifdef __x86_64__
            if (level == 4) {
                show_user_entries(frame(mfn));
            }
#endif
        }
        /* No CPU knows it as a table any more, not even one that is idle */
        flush_idle();
        *fi = 0;
        if (info & FI_LEAVING) {
            release_frame(mfn);
        }
    }
}

/* Frames of a GDT, which may not be mapped writable either */
int get_seg_desc(ulong mfn)
{
    frame_info_t *fi;
    int ret = 0;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    fi = &frame_table[mfn];
    spin_lock(&tables_lock);
    if (!*fi) {
        close_mappings(mfn);
        *fi = (u32)FI_SEG_DESC << FI_TYPE_SHIFT | 1;
    } else if (FI_TYPE(*fi) == FI_SEG_DESC) {
        __atomic_fetch_add(fi, 1, __ATOMIC_SEQ_CST);
    } else {
        ret = -EINVAL;
    }
    spin_unlock(&tables_lock);
    return ret;
}

void put_seg_desc(ulong mfn)
{
    if (mfn_level(mfn) == FI_SEG_DESC) {
        put_table(mfn);
    }
}

/* The boot tables count as pinned, as Xen's domain builder leaves them */
void pin_boot_table(ulong mfn)
{
    __atomic_fetch_add(&frame_table[mfn], 1, __ATOMIC_SEQ_CST);
    set_info(mfn, FI_PINNED);
}

/* The tables in use */

#ifndef __x86_64__
/* CR3 points to a copy: the guest's may lie where a 32-bit CR3 cannot point */
static void copy_pdpt(struct vcpu *v)
{
    /* The bits that are reserved in these entries; the frame's stay */
    const u64 reserved = PTE_RW | PTE_US | 0x1e0 | ~0xfffffffffULL;
    u64 *top = frame(v->top_mfn), *linear;
    u64 e[4];

    for (int i = 0; i < 4; i++) {
        e[i] = read_u64(&top[i]) & ~reserved;
        write_u64(&v->pdpt[i], e[i]);
    }
    if (!(e[3] & PTE_P)) {
        return;
    }
    /* Other vCPUs may be using it, too */
    linear = (u64 *)frame(PTE_MFN(e[3])) + HV_SLOT + HV_LINEAR;
    for (int i = 0; i < 4; i++) {
        write_u64(&linear[i], e[i] & PTE_P ? e[i] | PTE_RW | PTE_A | PTE_D : 0);
    }
}
#endif

#ifdef __x86_64__
/* Are the lower halves the same? The CPU's own bits do not count */
static bool same_lower_half(const u64 *a, const u64 *b)
{
    for (unsigned i = 0; i < HV_SLOT; i += 8) {
        u64 diff = 0;

        for (unsigned j = i; j < i + 8; j++) {
            diff |= a[j] ^ b[j];
        }
        if (diff & ~(u64)(PTE_A | PTE_D)) {
            return false;
        }
    }
    return true;
}

/*
 * In user mode this vCPU runs with the kernel's tables, if they let it see what
 * its own would, but for their upper half: that has nothing for it, and a fault
 * there ends it (see leave_kernel_tables()). What was found to be the same is
 * remembered until a base table changes.
 *
 * Who changes one looks afterwards for vCPUs that use it so, and asks them to
 * choose again: so here it is the other way round, and nothing is missed.
 */
static void choose_user_cr3(struct vcpu *v)
{
    ulong top = v->top_mfn, user = v->user_top_mfn;
    struct top_pair *p = &v->top_pairs[top % ARRAY_SIZE(v->top_pairs)];
    u32 changes;

    if (!sharing || top == user) {
        v->user_cr3 = user << 12;
        return;
    }
    __atomic_store_n(&v->user_cr3, v->kernel_cr3, __ATOMIC_SEQ_CST);
    changes = __atomic_load_n(&top_changes, __ATOMIC_SEQ_CST);
    if (likely(p->top == top && p->user == user && p->changes == changes)) {
        return;
    }
    if (hides_user_entries(frame(top)) &&
        same_lower_half(frame(top), frame(user))) {
        *p = (struct top_pair) { top, user, changes };
    } else {
        v->user_cr3 = user << 12;
    }
}

static inline bool user_on_kernel_tables(const struct vcpu *v)
{
    return __atomic_load_n(&v->user_cr3, __ATOMIC_SEQ_CST) == v->kernel_cr3 &&
           v->user_top_mfn && v->user_top_mfn != v->top_mfn;
}

/* A page fault in user mode: is it one with its own tables, too? */
bool leave_kernel_tables(struct vcpu *v, ulong addr)
{
    if (addr < XENPV_HV_VIRT_END_64 || !user_on_kernel_tables(v)) {
        return false;
    }
    v->user_cr3 = v->user_top_mfn << 12;
    return true;
}

/* What user mode sees of a base table has changed; the lock is free again */
static void top_table_changed(ulong mfn)
{
    struct vcpu *self = current_vcpu();
    u64 mask = 0;

    __atomic_fetch_add(&top_changes, 1, __ATOMIC_SEQ_CST);
    for (u32 id = 0; id < boot_info->nr_vcpus; id++) {
        struct vcpu *v = vcpus[id];

        if (v && (v->top_mfn == mfn || v->user_top_mfn == mfn) &&
            user_on_kernel_tables(v)) {
            mask |= 1ULL << id;
        }
    }
    if (mask >> self->id & 1) {
        choose_user_cr3(self);
    }
    flush_others(mask, FLUSH_ALL);
}
#endif

/* A top-level table that is going to be in use: our entries, if not there yet */
static void prepare_top_table(struct vcpu *v, ulong mfn, bool user)
{
#ifdef __x86_64__
    u64 *l4 = frame(mfn);
    bool kernels, shown = false;

    if (likely(user ? l4[HV_SLOT + HV_CORE] == hv_user_core
                    : l4[HV_SLOT + HV_DIRECT] == hv_entries[HV_DIRECT])) {
        return;
    }
    /*
     * Another vCPU may be doing the same, and be using the table already. One
     * that is both for the kernel and for user mode is the kernel's.
     */
    spin_lock(&tables_lock);
    kernels = l4[HV_SLOT + HV_CORE] == hv_entries[HV_CORE];
    if (user) {
        if (!kernels) {
            l4[HV_SLOT + HV_CORE] = hv_user_core;
        } else if (hides_user_entries(l4)) {
            show_user_entries(l4);
            shown = true;
        }
    } else if (!kernels) {
        if (sharing && !l4[HV_SLOT + HV_CORE]) {
            hide_user_entries(l4);
        }
        l4[HV_SLOT + HV_CORE] = hv_entries[HV_CORE];
        l4[HV_SLOT + HV_M2P] = hv_entries[HV_M2P];
        l4[HV_SLOT + HV_LINEAR] = (u64)mfn << 12 | nx | PTE_P | PTE_RW |
                                  PTE_A | PTE_D;
        l4[HV_SLOT + HV_DIRECT] = hv_entries[HV_DIRECT];
    }
    spin_unlock(&tables_lock);
    if (shown) {
        top_table_changed(mfn);
        write_cr3(read_cr3());
        flush_others(~0ULL, FLUSH_ALL);
    }
#else
    /* A vCPU that is not up makes its copy, too, when it is asked to flush */
    if (v == current_vcpu()) {
        copy_pdpt(v);
    } else {
        spin_lock(&tables_lock);
        copy_pdpt(v);
        spin_unlock(&tables_lock);
    }
#endif
}

/* The vCPU's base table, which is loaded when it runs: here, or later */
int set_base_table(struct vcpu *v, ulong mfn, bool user)
{
    ulong *current = user ? &v->user_top_mfn : &v->top_mfn;
    ulong old = *current;

    if (mfn != old) {
        int ret = get_table(mfn, TOP_LEVEL);

        if (ret) {
            return ret;
        }
        /* Before its entries are read: see top_table_changed(), update_copies() */
        __atomic_store_n(current, mfn, __ATOMIC_SEQ_CST);
    }
    prepare_top_table(v, mfn, user);
#ifdef __x86_64__
    if (!user) {
        if (mfn != old) {
            v->kernel_cr3 = mfn << 12;
            v->user_cr3 = v->user_top_mfn << 12;
        }
    } else if (v == current_vcpu()) {
        choose_user_cr3(v);
    } else {
        v->user_cr3 = mfn << 12;
    }
#else
    v->kernel_cr3 = PTE_MFN(v->area_l1[AREA_PDPT]) << 12;
#endif
    if (v == current_vcpu() && !user) {
        write_cr3(v->kernel_cr3);
    }
    /* Only now is the old one not in use any more */
    if (old && old != mfn) {
        put_table(old);
    }
    return 0;
}

static inline void flush_tlb(void)
{
    write_cr3(read_cr3());
}

/* For another vCPU, which has changed tables that this one may be using */
void flush_for_others(struct vcpu *v, ulong what)
{
    if (what == FLUSH_ALL) {
#ifndef __x86_64__
        if (v->top_mfn) {
            copy_pdpt(v);
        }
#else
        if (user_on_kernel_tables(v)) {
            choose_user_cr3(v);
        }
#endif
        flush_tlb();
    } else {
        invlpg(what & ~(PAGE_SIZE - 1));
        /* Its level-1 table may be another one now */
        invlpg((ulong)linear_entry(what) & ~(PAGE_SIZE - 1));
    }
}

/* Walking the current tables */

static inline unsigned slot(ulong addr, unsigned level)
{
    return addr >> (12 + 9 * (level - 1)) & 511;
}

/* The level-1 table for addr, to which all upper entries give these rights */
ulong find_l1_table(struct vcpu *v, ulong addr, u32 rights)
{
    ulong mfn = v->top_mfn;

    for (unsigned level = TOP_LEVEL; level > 1; level--) {
        u64 entry = read_u64(&entry_of(mfn, slot(addr, level)));

        if (WORD == 4 && level == TOP_LEVEL) {
            entry |= PTE_RW | PTE_US;   /* which are not there */
        }
        mfn = PTE_MFN(entry);
        if ((entry & rights) != rights || table_level(mfn) != level - 1) {
            return NO_FRAME;
        }
    }
    return mfn;
}

/*
 * The level-1 entry for addr is in the linear mapping, if the upper tables let
 * it be written there (they need not have the RW bit); else it must be looked
 * for. NULL if there is none.
 */
static noinline u64 *walk(struct vcpu *v, ulong addr)
{
    ulong mfn = find_l1_table(v, addr, PTE_P);

    return mfn == NO_FRAME ? NULL : (u64 *)frame(mfn) + slot(addr, 1);
}

/*
 * The byte at addr for an instruction that is carried out here, with the rights
 * that the program or the kernel would have, and the traces that the CPU's access
 * would leave. NULL: a page fault, with this error code. Good until frame() is
 * called again.
 */
volatile u8 *operand_byte(struct vcpu *v, ulong addr, bool user, bool write,
                          u32 *error)
{
    ulong mfn = user && v->user_top_mfn ? v->user_top_mfn : v->top_mfn;
    u32 rights = PTE_P | (user ? PTE_US : 0) | (write ? PTE_RW : 0);

    *error = (user ? PTE_US : 0) | (write ? PTE_RW : 0);
    if (!access_ok(addr, 1)) {
        return NULL;
    }
    for (unsigned level = TOP_LEVEL; level; level--) {
        volatile u64 *entry = &entry_of(mfn, slot(addr, level));
        bool top_of_pae = WORD == 4 && level == TOP_LEVEL;
        u32 traces = top_of_pae ? 0 : PTE_A | (write && level == 1 ? PTE_D : 0);
        u64 val = read_u64(entry);

        /* The traces are of this value, and of no other that comes meanwhile */
        do {
            if (!(val & PTE_P)) {
                return NULL;
            }
            mfn = PTE_MFN(val);
            if (!top_of_pae && (val & rights) != rights) {
                *error |= PTE_P;
                return NULL;
            }
            if (level > 1 ? table_level(mfn) != level - 1 : !mfn_is_ram(mfn)) {
                return NULL;
            }
        } while ((val & traces) != traces &&
                 !cmpxchg_u64(entry, &val, val | traces));
    }
    return (u8 *)frame(mfn) + (addr & (PAGE_SIZE - 1));
}

/* The value of the level-1 entry for addr, 0 if there is none */
u64 read_l1_entry(ulong addr)
{
    u64 val;

    GET_GUEST_U64(val, (ulong)linear_entry(addr), none);
    return val;
none:
    return 0;
}

/*
 * What the CPU would find if it looked now. Our views of the tables may be in the
 * TLB, too, from before a change; so they are forgotten first.
 */
bool access_allowed(ulong addr, bool write)
{
    ulong at[WORD == 8 ? 4 : 2], entry, need = PTE_P | (write ? PTE_RW : 0);
    int level;

    if (!access_ok(addr, 1) || !canonical(addr)) {
        return false;
    }
    for (level = 0; level < (int)ARRAY_SIZE(at); level++) {
        addr = at[level] = (ulong)linear_entry(addr);
        invlpg(addr);
    }
    while (level-- > 0) {
        GET_GUEST(entry, at[level], none);
        if ((entry & need) != need) {
            return false;
        }
    }
    return true;
none:
    return false;
}

/*
 * May a level-1 entry have this value? 0 or minus Xen's errno. A kernel may have
 * got the RW bit from an entry where allow_table_write() set it: it is taken.
 */
static int check_l1(u64 *entry)
{
    u64 val = *entry;
    ulong mfn = PTE_MFN(val);

    if (!(val & PTE_P)) {
        return 0;
    }
    if (val & L1_DISALLOWED) {
        return -EINVAL;
    }
    if ((val >> 32) & L1_UNUSABLE_HI) {
        return (val >> 52 & 0x7ff) || PTE_MFN(val) == PTE_MFN(~0ULL) ? -EINVAL
                                                                     : -EPERM;
    }
    if (mfn_is_ram(mfn)) {
        if (!FI_TYPE(frame_table[mfn]) || !(val & PTE_RW)) {
            return 0;
        }
        if (FI_TYPE(frame_table[mfn]) != 1 || !is_opened(mfn)) {
            return -EBUSY;
        }
        *entry &= ~PTE_RW;
        return 0;
    }
    if (guest_mfn_valid(mfn)) {
        return 0;
    }
    /* As Xen answers for memory that is nobody's */
    return PTE_MFN(val) == PTE_MFN(~0ULL) ? -EINVAL : -EPERM;
}

/* One that check_l1() has nothing to say about: what all but a few are */
static inline bool usual_l1(ulong lo, ulong hi)
{
    ulong mfn;

    if (!(lo & PTE_P)) {
        return true;
    }
    if (unlikely(lo & L1_DISALLOWED)) {
        return false;
    }
    mfn = mfn_of(lo, hi);
    return likely(!(hi & L1_UNUSABLE_HI) && mfn_is_ram(mfn)) &&
           (likely(!FI_TYPE(frame_table[mfn])) || !(lo & PTE_RW));
}

/* keep: bits that stay as the CPU has set them, or sets them now */
static inline void set_entry(volatile u64 *entry, u64 val, u64 keep)
{
    u64 old;

    if (!keep) {
        write_u64(entry, val);
        return;
    }
    old = read_u64(entry);
    while (!cmpxchg_u64(entry, &old, val | (old & keep))) {
    }
}

static void set_upper_entry(ulong mfn, unsigned level, unsigned i, u64 val,
                            u64 keep)
{
#ifdef __x86_64__
    if (level == 4) {
        val = hidden_entry(frame(mfn), i, val);
    }
#endif
    set_entry(&entry_of(mfn, i), val, keep);
}

/*
 * 32-bit: whoever uses a top-level table has a copy of it, which is made anew
 * before what was in the table is let go: see put_table_locked() for a vCPU that
 * is idle.
 */
static void update_copies(ulong mfn, unsigned level)
{
#ifndef __x86_64__
    struct vcpu *self = current_vcpu();
    u64 mask = 0;

    if (level != 3) {
        return;
    }
    for (u32 id = 0; id < boot_info->nr_vcpus; id++) {
        struct vcpu *v = vcpus[id];

        if (v && __atomic_load_n(&v->top_mfn, __ATOMIC_SEQ_CST) == mfn) {
            mask |= 1ULL << id;
        }
    }
    if (mask >> self->id & 1) {
        copy_pdpt(self);
        flush_tlb();
    }
    flush_others(mask, FLUSH_ALL);
#endif
}

/*
 * An entry of a table of level 2 and up. Its pages are referenced before the
 * old ones are released, and the TLB forgets what it knows of the old ones.
 */
static int write_upper_entry(ulong mfn, unsigned i, u64 val, u64 keep)
{
    unsigned level;
    int ret = -EINVAL;
    u64 old;

    spin_lock(&tables_lock);
    level = FI_TYPE(frame_table[mfn]);
    if (level < 2 || level > TOP_LEVEL || i >= nr_entries(level)) {
        goto out;
    }
    if (hv_slot(frame_table[mfn], i)) {
        ret = level == 2 ? -EPERM : -EINVAL;
        goto out;
    }
    old = entry_of(mfn, i);
    if ((val & PTE_P) && (val & disallowed(level))) {
        goto out;
    }
    if (((old ^ val) & (0x000ffffffffff000ULL | PTE_P)) || !(old & PTE_P)) {
        ret = get_entry(level, i, val);
        if (ret) {
            goto out;
        }
#ifndef __x86_64__
        if (level == 3 && i == 3 && (val & PTE_P)) {
            install_hv_entries(PTE_MFN(val));
        }
#endif
        set_upper_entry(mfn, level, i, val, keep);
        update_copies(mfn, level);
        put_entry(level, old);
    } else {
        set_upper_entry(mfn, level, i, val, keep);
        update_copies(mfn, level);
    }
    ret = 0;
    if (old & PTE_P) {
        flush_tlb();
    }
out:
    spin_unlock(&tables_lock);
#ifdef __x86_64__
    if (!ret && level == 4 && i < HV_SLOT) {
        top_table_changed(mfn);
    }
#endif
    return ret;
}

/* None that usual_l1() accepts, or one of which bits are to be kept */
static int write_unusual_entry(u64 ptr, u64 val, u64 keep)
{
    unsigned i = ((ulong)ptr & (PAGE_SIZE - 1)) / 8;
    ulong mfn = ptr >> 12;
    unsigned type = FI_TYPE(frame_table[mfn]);
    int ret = 0;

    if (type > 1) {
        return write_upper_entry(mfn, i, val, keep);
    }
    if (type == 1) {
        ret = check_l1(&val);
    }
    /* Else it is not a page table, just memory */
    if (!ret) {
        set_entry(&entry_of(mfn, i), val, keep);
    }
    return ret;
}

/* Hypercalls */

/*
 * Reads the request again, and once. device: of frames that are no memory, for
 * which the domain has no right, or nothing.
 */
static noinline __attribute__((cold)) int unusual_update(ulong ureq, bool device)
{
    struct mmu_update req;
    ulong mfn;
    u64 keep = 0;

    if (copy_from_guest(&req, ureq, sizeof(req))) {
        return -EFAULT;
    }
    mfn = req.ptr >> 12;
    if (device && (req.ptr & 7) != MMU_MACHPHYS_UPDATE && (req.val & PTE_P)) {
        return guest_mfn_valid(PTE_MFN(req.val)) ? -EBUSY : -EPERM;
    }
    switch (req.ptr & 7) {
    case MMU_PT_UPDATE_PRESERVE_AD:
        keep = PTE_A | PTE_D;
        break;
    case MMU_NORMAL_PT_UPDATE:
    case 3:                     /* MMU_PT_UPDATE_NO_TRANSLATE */
        break;
    case MMU_MACHPHYS_UPDATE:
        if (!mfn_is_ram(mfn)) {
            return -EINVAL;
        }
        set_m2p(mfn, req.val);
        return 0;
    default:
        return -ENOSYS;
    }
    return mfn_is_ram(mfn) ? write_unusual_entry(req.ptr, req.val, keep)
                           : -EINVAL;
}

/*
 * Without a call for what is usual, and the value first: 32-bit code has few
 * registers
 */
static __always_inline int fetch_and_update(ulong ureq)
{
    ulong ptr, ptr_hi, lo, hi, mfn;

    GET_GUEST_ENTRY(lo, hi, ureq + 8, fault);
    if (unlikely(!usual_l1(lo, hi))) {
        goto unusual;
    }
    GET_GUEST_ENTRY(ptr, ptr_hi, ureq, fault);
    mfn = mfn_of(ptr, ptr_hi);
    if (unlikely((ptr & 7) || !mfn_is_ram(mfn) ||
                 FI_TYPE(frame_table[mfn]) != 1 || !frame_is_mapped(mfn))) {
        goto unusual;
    }
    write_entry((u64 *)((ulong)mapped_frame(mfn) + (ptr & (PAGE_SIZE - 1))), lo,
                hi);
    return 0;
unusual:
    return unusual_update(ureq, false);
fault:
    return -EFAULT;
}

#define MMU_UPDATE_PREEMPTED    0x80000000u

/* Where the rest of a batch goes on, the count done so far is the guest's */
static u32 done_before(u32 count, ulong udone)
{
    u32 done = 0;

    if ((count & MMU_UPDATE_PREEMPTED) && udone &&
        copy_from_guest(&done, udone, sizeof(done))) {
        return 0;
    }
    return done;
}

/* If that fails it is the guest's loss: no error */
static void tell_done(ulong udone, u32 done)
{
    if (udone) {
        (void)copy_to_guest(udone, &done, sizeof(done));
    }
}

/*
 * Whose pages a batch maps, of which it is to do the given number: 0 for the
 * guest's own. Nobody, as Xen sees it, calls itself by its number.
 */
static int check_owner(u16 dom)
{
    return dom == DOMID_SELF ? 0 :
           dom == DOMID_IO || dom == DOMID_XEN || !dom ? -EPERM : -ESRCH;
}

/* Those from *ureq to end; where it stops is in *ureq */
static noinline int fetch_and_update_all(ulong *ureq, ulong end)
{
    ulong at = *ureq;
    int ret = 0;

    while (at != end) {
        ret = fetch_and_update(at);
        if (unlikely(ret)) {
            break;
        }
        at += sizeof(struct mmu_update);
    }
    *ureq = at;
    return ret;
}

/* The same with frames of no memory */
static int device_updates(ulong *ureq, ulong end)
{
    int ret = 0;

    while (*ureq != end && !(ret = unusual_update(*ureq, true))) {
        *ureq += sizeof(struct mmu_update);
    }
    return ret;
}

/* count or domid are not the usual ones, or the count done is wanted */
static noinline long mmu_updates(ulong ureqs, u32 count, ulong udone, u32 dom)
{
    u32 before = done_before(count, udone);
    bool device = (u16)dom == DOMID_IO;
    ulong ureq = ureqs, end, size;
    int ret;

    size = (ulong)(count & ~MMU_UPDATE_PREEMPTED) * sizeof(struct mmu_update);
    if (!access_ok(ureqs, size) || (count & ~MMU_UPDATE_PREEMPTED) > ~0UL >> 4) {
        return -EFAULT;
    }
    if (dom >> 16 && (dom >> 16) - 1 != boot_info->domid) {
        return dom >> 16 == 1 ? -EPERM : -ESRCH;
    }
    ret = likely(!device) ? check_owner(dom) : 0;
    end = ureqs + size;
    while (likely(!ret)) {
        const ulong most = PART_OF_BATCH * sizeof(struct mmu_update);
        ulong part_end = end;

        if (unlikely(end - ureq > most)) {
            part_end = ureq + most;
        }
        ret = likely(!device) ? fetch_and_update_all(&ureq, part_end)
                              : device_updates(&ureq, part_end);
        if (likely(ureq == end)) {
            break;
        }
        let_interrupts_in();
    }
    tell_done(udone, before + (ureq - ureqs) / sizeof(struct mmu_update));
    return ret;
}

HYPERCALL(do_mmu_update)
{
    if (likely(!((a2 ^ 1) | (a4 ^ DOMID_SELF) | a3) &&
               access_ok(a1, sizeof(struct mmu_update)))) {
        return fetch_and_update(a1);
    }
    return mmu_updates(a1, a2, a3, a4);
}

static int flush_vcpus(struct vcpu *v, ulong bitmap, ulong what);
#define ALL_VCPUS   (~0UL)          /* instead of a bitmap's address */

/* UVMF_LOCAL, UVMF_ALL, or the address of a bitmap of vCPUs */
static noinline int flush_after_update(ulong va, ulong flags)
{
    ulong who = flags & ~UVMF_FLUSHTYPE_MASK;
    ulong what;

    switch (flags & UVMF_FLUSHTYPE_MASK) {
    case UVMF_TLB_FLUSH:
        what = FLUSH_ALL;
        break;
    case UVMF_INVLPG:
        what = va;
        break;
    default:
        return 0;
    }
    if (who == UVMF_LOCAL) {
        if (what == FLUSH_ALL) {
            flush_tlb();
        } else {
            invlpg(va);
        }
        return 0;
    }
    return flush_vcpus(current_vcpu(), who == UVMF_ALL ? ALL_VCPUS : who, what);
}

static noinline __attribute__((cold)) long
update_unusual_va(ulong va, ulong lo, ulong hi, ulong flags)
{
    u64 val = entry_value(lo, hi);
    ulong table = access_ok(va, 1) ? find_l1_table(current_vcpu(), va, PTE_P)
                                   : NO_FRAME;
    long ret = table != NO_FRAME ? check_l1(&val) : -EINVAL;

    if (ret) {
        return ret;
    }
    write_u64(&entry_of(table, slot(va, 1)), val);
    return flush_after_update(va, flags);
}

static inline long update_va_mapping(ulong va, ulong lo, ulong hi, ulong flags)
{
    ulong entry = (ulong)linear_entry(va);

    if (unlikely(!access_ok(va, 1) || !usual_l1(lo, hi))) {
        goto unusual;
    }
    PUT_GUEST_ENTRY(entry, lo, hi, unusual);
    if (likely(!flags)) {
        return 0;
    }
    if (likely(flags == UVMF_INVLPG)) {
        invlpg(va);
        return 0;
    }
    return flush_after_update(va, flags);
unusual:
    return update_unusual_va(va, lo, hi, flags);
}

HYPERCALL(do_update_va_mapping)
{
#ifdef __x86_64__
    return update_va_mapping(a1, a2, 0, a3);
#else
    return update_va_mapping(a1, a2, a3, a4);
#endif
}

HYPERCALL(do_update_va_mapping_otherdomain)
{
#ifdef __x86_64__
    int ret = check_owner(a4);

    return ret ? ret : update_va_mapping(a1, a2, 0, a3);
#else
    int ret = check_owner(a5);

    return ret ? ret : update_va_mapping(a1, a2, a3, a4);
#endif
}

static int pin_table(ulong mfn, unsigned level)
{
    int ret;

    if (level > TOP_LEVEL) {
        return 0;               /* as Xen, which has nothing to pin there */
    }
    ret = get_table(mfn, level);
    if (ret) {
        return ret;
    }
    if (__atomic_fetch_or(&frame_table[mfn], FI_PINNED, __ATOMIC_SEQ_CST) &
        FI_PINNED) {
        put_table(mfn);
        return -EINVAL;
    }
    return 0;
}

/*
 * Flush on the vCPUs of a bitmap in guest memory, or ALL_VCPUS. What is not a
 * page's address, or FLUSH_ALL, is not in the lower bits.
 */
static noinline int flush_vcpus(struct vcpu *v, ulong bitmap, ulong what)
{
    u32 nr = boot_info->nr_vcpus;
    u64 mask = 0;

    if (bitmap == ALL_VCPUS) {
        mask = ~0ULL;
    } else {
        for (u32 i = 0; i < (nr + 7) / 8; i++) {
            u8 bits;

            if (copy_from_guest(&bits, bitmap + i, 1)) {
                return -EFAULT;
            }
            mask |= (u64)bits << (8 * i);
        }
    }
    if (what == FLUSH_NONE) {
        return 0;
    }
    if (mask >> v->id & 1) {
        if (what == FLUSH_ALL) {
            flush_tlb();
        } else {
            invlpg(what);
        }
    }
    flush_others(mask, what == FLUSH_ALL ? what : what & ~(PAGE_SIZE - 1));
    return 0;
}

/* Grants */

/* addr: virtual, or of the entry itself */
static volatile u64 *granted_entry(u64 addr, u32 flags)
{
    ulong mfn = addr >> 12;

    if (flags & GNTMAP_contains_pte) {
        return (addr & 7) || mfn != addr >> 12 || table_level(mfn) != 1 ?
               NULL : &entry_of(mfn, ((ulong)addr & (PAGE_SIZE - 1)) / 8);
    }
    return addr == (ulong)addr && access_ok(addr, 1) ?
           walk(current_vcpu(), addr) : NULL;
}

bool map_granted(u64 addr, ulong mfn, u32 flags)
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
bool unmap_granted(u64 addr, ulong mfn, u32 flags, u64 new_addr)
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
    flush_vcpus(current_vcpu(), ALL_VCPUS, FLUSH_ALL);
    return true;
}

static int one_mmuext_op(struct vcpu *v, const struct mmuext_op *op)
{
    ulong mfn = op->arg1.mfn;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin_table(mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        if (!mfn_is_ram(mfn) ||
            !(__atomic_fetch_and(&frame_table[mfn], ~FI_PINNED,
                                 __ATOMIC_SEQ_CST) & FI_PINNED)) {
            return -EINVAL;
        }
        put_table(mfn);
        return 0;
    case MMUEXT_NEW_BASEPTR:
        return set_base_table(v, mfn, false);
    case MMUEXT_NEW_USER_BASEPTR:
#ifdef __x86_64__
        if (!mfn) {
            ulong old = v->user_top_mfn;

            v->user_top_mfn = v->user_cr3 = 0;
            if (old) {
                put_table(old);
            }
            return 0;
        }
        return set_base_table(v, mfn, true);
#else
        return -EINVAL;
#endif
    case MMUEXT_TLB_FLUSH_LOCAL:
        flush_tlb();
        return 0;
    case MMUEXT_INVLPG_LOCAL:
        if (access_ok(op->arg1.linear_addr, 1)) {
            invlpg(op->arg1.linear_addr);
        }
        return 0;
    case MMUEXT_TLB_FLUSH_MULTI:
        return flush_vcpus(v, *(ulong *)&op->arg2.vcpumask, FLUSH_ALL) ?
               -EINVAL : 0;
    case MMUEXT_TLB_FLUSH_ALL:
        return flush_vcpus(v, ALL_VCPUS, FLUSH_ALL);
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_INVLPG_ALL:
        /* The bitmap is looked at even if there is nothing to flush */
        return flush_vcpus(v, op->cmd == MMUEXT_INVLPG_ALL ? ALL_VCPUS :
                              *(ulong *)&op->arg2.vcpumask,
                           access_ok(op->arg1.linear_addr, 1) ?
                           op->arg1.linear_addr : FLUSH_NONE) ? -EINVAL : 0;
    case MMUEXT_FLUSH_CACHE:
        return -EACCES;         /* for domains with devices */
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return -EINVAL;
    case MMUEXT_SET_LDT:
        return set_ldt(v, op->arg2.nr_ents ? op->arg1.linear_addr : 0,
                       op->arg2.nr_ents);
    case MMUEXT_CLEAR_PAGE:
        if (!mfn_is_ram(mfn) || mfn_is_table(mfn)) {
            return -EINVAL;
        }
        memset(frame(mfn), 0, PAGE_SIZE);
        return 0;
    case MMUEXT_COPY_PAGE:
        {
            ulong src = op->arg2.src_mfn;
            u64 buf[64];

            if (!mfn_is_ram(mfn) || mfn_is_table(mfn) || !mfn_is_ram(src)) {
                return -EINVAL;
            }
            for (unsigned off = 0; off < PAGE_SIZE; off += sizeof(buf)) {
                memcpy(buf, (char *)frame(src) + off, sizeof(buf));
                memcpy((char *)frame(mfn) + off, buf, sizeof(buf));
            }
            return 0;
        }
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;
    }
    return -ENOSYS;
}

static noinline long mmuext_ops(ulong uops, u32 count, ulong udone, u32 dom)
{
    struct vcpu *v = current_vcpu();
    u32 before = done_before(count, udone), done;
    int ret = check_owner(dom);
    struct mmuext_op op;

    count &= ~MMU_UPDATE_PREEMPTED;
    if (!access_ok(uops, count * sizeof(op)) || count > ~0UL / sizeof(op)) {
        return -EFAULT;
    }
    if (ret) {
        return ret;
    }
    for (done = 0; done < count; done++) {
        if (done && done % PART_OF_BATCH == 0) {
            let_interrupts_in();
        }
        if (copy_from_guest(&op, uops + done * sizeof(op), sizeof(op))) {
            ret = -EFAULT;
            break;
        }
        ret = one_mmuext_op(v, &op);
        if (ret) {
            break;
        }
    }
    tell_done(udone, before + done);
    return ret;
}

HYPERCALL(do_mmuext_op)
{
    struct vcpu *v;
    ulong arg1;
    u32 cmd;

    /* What has to be fast: one operation of these */
    if (likely(!((a2 ^ 1) | a3 | (a4 ^ DOMID_SELF)) &&
               access_ok(a1, sizeof(struct mmuext_op)))) {
        GET_GUEST32(cmd, a1, slow);
        GET_GUEST(arg1, a1 + offsetof(struct mmuext_op, arg1), slow);
        if (cmd == MMUEXT_INVLPG_LOCAL) {
            if (access_ok(arg1, 1)) {
                invlpg(arg1);
            }
            return 0;
        }
        if (cmd == MMUEXT_TLB_FLUSH_LOCAL) {
            flush_tlb();
            return 0;
        }
        if (cmd == MMUEXT_NEW_BASEPTR) {
            v = current_vcpu();
            if (arg1 == v->top_mfn) {
                flush_tlb();
                return 0;
            }
            return set_base_table(v, arg1, false);
        }
    }
slow:
    return mmuext_ops(a1, a2, a3, a4);
}

/*
 * The domain has all of its memory from the start and keeps it: frames that it
 * gives back are only remembered as released, and can be had again.
 */
static ulong pool_next, nr_released;

/*
 * 2^order frames in a row, aligned as Xen's allocator does, that the guest has
 * given back, all of them below 2^bits if that is not 0
 */
static ulong released_extent(unsigned order, unsigned bits)
{
    ulong end = high_pages ? FOUR_GIB_MFN + high_pages : low_end;
    ulong size = 1UL << order, mfn, n;

    if (bits && bits - 12 < 8 * sizeof(ulong) && end > 1UL << (bits - 12)) {
        end = 1UL << (bits - 12);
    }
    for (ulong tried = 0; nr_released >= size && tried < end; tried += size) {
        mfn = pool_next & ~(size - 1);
        if (mfn + size > end) {
            pool_next = mfn = 0;
        }
        pool_next = mfn + size;
        for (n = 0; n < size && table_level(mfn + n) == FI_RELEASED; n++) {
        }
        if (n == size) {
            return mfn;
        }
    }
    return NO_FRAME;
}

/* The guest has it again, as these pages */
static void take_extent(ulong mfn, unsigned order, ulong pfn)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        frame_table[mfn + n] = 0;
        nr_released--;
        set_m2p(mfn + n, pfn == NO_FRAME ? mfn + n : pfn + n);
        memset(frame(mfn + n), 0, PAGE_SIZE);
    }
}

/* Frames that the guest has, and that are nothing but memory */
static bool plain_extent(ulong mfn, unsigned order)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        if (!mfn_is_ram(mfn + n) || frame_table[mfn + n]) {
            return false;
        }
    }
    return true;
}

static void release_frame(ulong mfn)
{
    set_m2p(mfn, NO_FRAME);
    frame_table[mfn] = (u32)FI_RELEASED << FI_TYPE_SHIFT;
    nr_released++;
}

static void release_extent(ulong mfn, unsigned order)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        release_frame(mfn + n);
    }
}

/* A frame that is in use as a table goes when it is not any more */
static bool give_back(ulong mfn)
{
    if (!mfn_is_ram(mfn) || table_level(mfn) == FI_RELEASED) {
        return false;
    }
    if (frame_table[mfn]) {
        set_info(mfn, FI_LEAVING);
    } else {
        release_frame(mfn);
    }
    return true;
}

bool give_away(ulong mfn)
{
    bool plain;

    spin_lock(&tables_lock);
    plain = plain_extent(mfn, 0);
    if (plain) {
        release_frame(mfn);
    }
    spin_unlock(&tables_lock);
    return plain;
}

/* Both return how many extents were done, counted from the domain's list */
static ulong decrease_reservation(const struct xen_memory_reservation *r,
                                  ulong i)
{
    ulong list = *(ulong *)&r->extent_start;
    ulong mfn;

    for (; i < r->nr_extents; i++) {
        ulong n = 0;

        let_interrupts_in();
        if (copy_from_guest(&mfn, list + i * sizeof(ulong), sizeof(mfn))) {
            break;
        }
        spin_lock(&tables_lock);
        while (n < 1UL << r->extent_order && give_back(mfn + n)) {
            n++;
        }
        spin_unlock(&tables_lock);
        if (n < 1UL << r->extent_order) {
            break;
        }
    }
    return i;
}

/* physmap: the list says as which pages; else it may be missing */
static ulong populate_physmap(const struct xen_memory_reservation *r, ulong i,
                              bool physmap)
{
    ulong list = *(ulong *)&r->extent_start;
    unsigned bits = r->mem_flags & 0xff;
    ulong pfn = NO_FRAME, mfn;

    for (; i < r->nr_extents; i++) {
        let_interrupts_in();
        if (physmap && copy_from_guest(&pfn, list + i * sizeof(ulong),
                                       sizeof(pfn))) {
            break;
        }
        spin_lock(&tables_lock);
        mfn = released_extent(r->extent_order, bits);
        if (mfn != NO_FRAME) {
            take_extent(mfn, r->extent_order, pfn);
        }
        spin_unlock(&tables_lock);
        if (mfn == NO_FRAME) {
            break;
        }
        if ((physmap || list) &&
            copy_to_guest(list + i * sizeof(ulong), &mfn, sizeof(mfn))) {
            spin_lock(&tables_lock);
            release_extent(mfn, r->extent_order);
            spin_unlock(&tables_lock);
            break;
        }
    }
    return i;
}

#define MAX_ORDER   9           /* of what a domU may ask for in one piece */

static ulong change_reservation(unsigned op, ulong start, ulong arg)
{
    struct xen_memory_reservation r;

    if (copy_from_guest(&r, arg, sizeof(r)) || r.nr_extents > ~0u >> 6 ||
        start >= r.nr_extents || !domid_is_own(r.domid) ||
        r.extent_order > MAX_ORDER ||
        !access_ok(*(ulong *)&r.extent_start, r.nr_extents * sizeof(ulong))) {
        return start;
    }
    return op == XENMEM_decrease_reservation ?
           decrease_reservation(&r, start) :
           populate_physmap(&r, start, op == XENMEM_populate_physmap);
}

/*
 * Exchange. Frame numbers are guest-physical ones, so single frames that have
 * no address limit, or are below it, are what the guest wants already: they
 * keep their numbers. For others there has to be memory that it has given back.
 */
static long exchange_chunk(const struct xen_memory_exchange *x, ulong chunk,
                           unsigned in_order, unsigned out_order)
{
    unsigned order = in_order > out_order ? in_order : out_order;
    ulong nr_in = 1UL << (order - in_order);
    ulong nr_out = 1UL << (order - out_order);
    ulong in = *(ulong *)&x->in.extent_start + chunk * nr_in * sizeof(ulong);
    ulong out = *(ulong *)&x->out.extent_start + chunk * nr_out * sizeof(ulong);
    unsigned bits = x->out.mem_flags & 0xff;
    ulong mfn, pfn, i;
    long ret = 0;

    if (nr_in > 512 || nr_out > 512) {
        return -EINVAL;
    }
    if (!in_order && !out_order) {
        if (copy_from_guest(&mfn, in, sizeof(mfn)) ||
            copy_from_guest(&pfn, out, sizeof(pfn))) {
            return -EFAULT;
        }
        if (!plain_extent(mfn, 0)) {
            return -EINVAL;
        }
        if (!bits || bits >= 52 || (u64)mfn < 1ULL << (bits - 12)) {
            memset(frame(mfn), 0, PAGE_SIZE);
            set_m2p(mfn, pfn);
            return copy_to_guest(out, &mfn, sizeof(mfn));
        }
    }
    /* What is given and where it goes, before anything is changed */
    for (i = 0; i < nr_in; i++) {
        if (copy_from_guest(&mfn, in + i * sizeof(ulong), sizeof(mfn))) {
            return -EFAULT;
        }
        if (!plain_extent(mfn, in_order)) {
            return -EINVAL;
        }
    }
    spin_lock(&tables_lock);
    for (i = 0; i < nr_out && !ret; i++) {
        ulong at = out + i * sizeof(ulong);

        mfn = released_extent(out_order, bits);
        if (mfn == NO_FRAME) {
            ret = -ENOMEM;
        } else if (copy_from_guest(&pfn, at, sizeof(pfn))) {
            ret = -EFAULT;
        } else {
            take_extent(mfn, out_order, pfn);
            if (copy_to_guest(at, &mfn, sizeof(mfn))) {
                release_extent(mfn, out_order);
                ret = -EFAULT;
            }
        }
    }
    if (ret) {
        /* Those before it: the guest has their numbers, and may not keep them */
        while (i-- > 1) {
            if (!copy_from_guest(&mfn, out + (i - 1) * sizeof(ulong),
                                 sizeof(mfn)) &&
                plain_extent(mfn, out_order)) {
                release_extent(mfn, out_order);
            }
        }
    } else {
        for (i = 0; i < nr_in; i++) {
            if (!copy_from_guest(&mfn, in + i * sizeof(ulong), sizeof(mfn)) &&
                plain_extent(mfn, in_order)) {
                release_extent(mfn, in_order);
            }
        }
    }
    spin_unlock(&tables_lock);
    return ret;
}

static long memory_exchange(ulong arg)
{
    struct xen_memory_exchange x;
    unsigned in_order, out_order, order;
    ulong chunks, done;
    long ret = 0;

    if (copy_from_guest(&x, arg, sizeof(x))) {
        return -EFAULT;
    }
    in_order = x.in.extent_order;
    out_order = x.out.extent_order;
    order = in_order > out_order ? in_order : out_order;
    if (order > MAX_ORDER) {
        return -EPERM;
    }
    if (x.nr_exchanged > x.in.nr_extents || x.in.domid != x.out.domid ||
        x.in.nr_extents > ~0UL >> in_order ||
        x.out.nr_extents > ~0UL >> out_order ||
        x.in.nr_extents << in_order != x.out.nr_extents << out_order) {
        return -EINVAL;
    }
    if (x.nr_exchanged == x.in.nr_extents) {
        return 0;
    }
    if (!access_ok(*(ulong *)&x.in.extent_start,
                   x.in.nr_extents * sizeof(ulong)) ||
        !access_ok(*(ulong *)&x.out.extent_start,
                   x.out.nr_extents * sizeof(ulong))) {
        return -EFAULT;
    }
    if (!domid_is_own(x.in.domid)) {
        return x.in.domid ? -ESRCH : -EPERM;
    }
    chunks = x.in.nr_extents >> (order - in_order);
    done = x.nr_exchanged >> (order - in_order);
    for (; done < chunks && !ret; done += !ret) {
        let_interrupts_in();
        ret = exchange_chunk(&x, done, in_order, out_order);
    }
    x.nr_exchanged = done << (order - in_order);
    if (copy_to_guest(arg, &x, sizeof(x))) {
        return -EFAULT;
    }
    return ret;
}

/* The domain's memory map: one range, until it sets its own, which we keep */
#define E820_MAX            200     /* entries: as many as a page has room for */
#define XEN_E820_MAX        1024
struct e820 {
    u64 addr, size;
    u32 type;
} __attribute__((packed));
static struct e820 *e820;
static u32 nr_e820 = 1;
_Static_assert(E820_MAX * sizeof(struct e820) <= PAGE_SIZE, "");

void init_memory_map(void)
{
    e820 = alloc_page();
    e820[0] = (struct e820) { 0, (u64)boot_info->nr_pages << 12, 1 };
}

/* Not a lock for who reads it: a domain has no use for two at once */
static long set_memory_map(ulong arg)
{
    struct {
        u16 domid;
        struct xen_memory_map map;
    } fmap;
    ulong size;

    if (copy_from_guest(&fmap, arg, sizeof(fmap))) {
        return -EFAULT;
    }
    if (fmap.map.nr_entries > XEN_E820_MAX) {
        return -EINVAL;
    }
    if (!domid_is_own(fmap.domid)) {
        return fmap.domid ? -ESRCH : -EPERM;
    }
    if (fmap.map.nr_entries > E820_MAX) {
        return -ENOMEM;
    }
    size = fmap.map.nr_entries * sizeof(struct e820);
    if (!guest_readable(*(ulong *)&fmap.map.buffer, size) ||
        copy_from_guest(e820, *(ulong *)&fmap.map.buffer, size)) {
        return -EFAULT;
    }
    nr_e820 = fmap.map.nr_entries;
    return 0;
}

static long get_memory_map(ulong arg)
{
    struct xen_memory_map map;

    if (copy_from_guest(&map, arg, sizeof(map))) {
        return -EFAULT;
    }
    if (!nr_e820) {
        return -ENOSYS;
    }
    if (map.nr_entries > nr_e820) {
        map.nr_entries = nr_e820;
    }
    return copy_to_guest(*(ulong *)&map.buffer, e820,
                         map.nr_entries * sizeof(struct e820)) ||
           copy_to_guest(arg, &map, sizeof(map)) ? -EFAULT : 0;
}

static long machphys_mfn_list(ulong arg)
{
    struct xen_machphys_mfn_list mml;
    ulong i;

    if (copy_from_guest(&mml, arg, sizeof(mml))) {
        return -EFAULT;
    }
    for (i = 0; i < mml.max_extents && i < boot_info->m2p_size >> 21; i++) {
        ulong mfn = (boot_info->tables_gpa >> 12) + i * 512;

        if (copy_to_guest(*(ulong *)&mml.extent_start + i * sizeof(ulong), &mfn,
                          sizeof(mfn))) {
            return -EFAULT;
        }
    }
    mml.nr_extents = i;
    return copy_to_guest(arg, &mml, sizeof(mml));
}

static long reservation(unsigned op, ulong arg)
{
    u16 dom;

    if (copy_from_guest(&dom, arg, sizeof(dom))) {
        return -EFAULT;
    }
    if (!domid_is_own(dom)) {
        return dom ? -ESRCH : -EPERM;
    }
    switch (op) {
    case XENMEM_current_reservation:
        return boot_info->nr_pages - nr_released;
    case XENMEM_maximum_gpfn:
        return shared->arch.max_pfn ? shared->arch.max_pfn - 1 : 0;
    }
    return boot_info->nr_pages;
}

HYPERCALL(do_memory_op)
{
    struct xen_machphys_mapping mm;
    /* Where a call goes on that Xen has done in part */
    ulong start = a1 >> 6;
    unsigned op = a1 & 0x3f;

    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return change_reservation(op, start, a2);
    case XENMEM_exchange:
        return start ? -EINVAL : memory_exchange(a2);
    case XENMEM_maximum_ram_page:
        return start ? -EINVAL : boot_info->max_mfn;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return start ? -EINVAL : reservation(op, a2);
    }
    /* Of Xen's architecture, which does not know calls done in part */
    switch (start ? -1U : op) {
    case XENMEM_machphys_mapping:
        mm.v_start = M2P_VIRT;
        mm.v_end = M2P_VIRT + boot_info->m2p_size;
        mm.max_mfn = boot_info->max_mfn - 1;
        return copy_to_guest(a2, &mm, sizeof(mm));
    case XENMEM_machphys_compat_mfn_list:
        if (WORD == 8) {
            return -EOPNOTSUPP;     /* a Xen without 32-bit guests */
        }
        /* fall through */
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(a2);
    case XENMEM_memory_map:
        return get_memory_map(a2);
    case XENMEM_set_memory_map:
        return set_memory_map(a2);
    case XENMEM_machine_memory_map:
        return -EPERM;
    }
    return other_memory_op(op, start, a2);
}
