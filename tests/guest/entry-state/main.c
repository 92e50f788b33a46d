/*
 * The domain at its entry point is as Xen's public xen.h describes it.
 *
 * Registers, segments and start_info; the order of the regions from the
 * kernel's image to the bootstrap stack; the padding of at least 512 KiB up to
 * a 4 MiB boundary; page tables that map exactly this, each frame of theirs
 * read-only and counted by nr_pt_frames; and the two lists of frames. Kernels
 * walk, count and extend all of it before they have a console, so a builder
 * that gets one of these wrong stops them without a word.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

extern char kernel_end[];

static void registers(void)
{
    const ulong *gpr = &entry_state.ax;

    for (unsigned i = 0; &gpr[i] < &entry_state.flags; i++) {
        if (&gpr[i] != &entry_state.si && &gpr[i] != &entry_state.sp) {
            check_eq(gpr[i], 0, "general register %u", i);
        }
    }
    check_eq(entry_state.si, (ulong)start_info, "(R|E)SI");
    check_eq(entry_state.flags & (X86_EFLAGS_CF | X86_EFLAGS_TF |
                                  X86_EFLAGS_IF | X86_EFLAGS_DF |
                                  X86_EFLAGS_AC | 0x4000), X86_EFLAGS_IF,
             "flags");
    if (!IS_64BIT) {
        /* A 64-bit kernel's own ring is not part of the ABI */
        check_eq(entry_state.cs, FLAT_KERNEL_CS, "CS");
        check_eq(entry_state.ss, FLAT_KERNEL_SS, "SS");
    }
    check_eq(entry_state.ds, FLAT_KERNEL_DS, "DS");
    check_eq(entry_state.es, FLAT_KERNEL_DS, "ES");
    check_eq(entry_state.fs, FLAT_KERNEL_DS, "FS");
    check_eq(entry_state.gs, FLAT_KERNEL_DS, "GS");
}

static ulong round_up(ulong a, ulong to)
{
    return (a + to - 1) / to * to;
}

static void regions(void)
{
    struct start_info *si = start_info;
    ulong end;

    /* Xen's builder of domain 0 adds a "p" to the 64-bit one, too */
    check(strcmp(si->magic, !IS_64BIT ? "xen-3.0-x86_32p" :
                            is_initdomain() ? "xen-3.0-x86_64p" :
                                              "xen-3.0-x86_64") == 0,
          "magic is \"%s\"", si->magic);
    check_eq(si->nr_pages, option_number("pages", 32768), "nr_pages");
    check(option("test") && strcmp(option("test"), "entry-state") == 0,
          "the command line is \"%s\"", si->cmd_line);
    check_eq(si->mod_start, 0, "mod_start without an initrd");
    check_eq(si->mod_len, 0, "mod_len without an initrd");
    if (!is_initdomain()) {
        check_eq(si->flags & ~(SIF_MULTIBOOT_MOD | SIF_MOD_START_PFN |
                               SIF_VIRT_P2M_4TOOLS), 0, "flags");
    }

    check_eq(si->mfn_list, round_up((ulong)kernel_end, PAGE_SIZE),
             "mfn_list follows the kernel");
    end = round_up(si->mfn_list + si->nr_pages * sizeof(ulong), PAGE_SIZE);
    check_eq((ulong)si, end, "start_info follows mfn_list");
    end += PAGE_SIZE;
    if (!is_initdomain()) {
        check_eq(si->store_mfn, virt_to_mfn((void *)end),
                 "xenstore's frame follows start_info");
        check_eq(si->console.domU.mfn, virt_to_mfn((void *)end + PAGE_SIZE),
                 "the console's frame follows xenstore's");
        end += 2 * PAGE_SIZE;
    }
    check_eq(si->pt_base, end, "the page tables are next");
    end += si->nr_pt_frames * PAGE_SIZE;
    check_eq(entry_state.sp, end + PAGE_SIZE, "the stack is next");
}

static unsigned nr_tables;

static void count_table(ulong mfn, unsigned level)
{
    ulong va = (ulong)mfn_to_virt(mfn);

    nr_tables++;
    check(va >= start_info->pt_base &&
          va < start_info->pt_base + start_info->nr_pt_frames * PAGE_SIZE,
          "a level %u table at %lx is not between pt_base and its end", level,
          va);
}

/* The hypervisor's part of the address space */
static bool is_hypervisors(ulong va)
{
#ifdef __x86_64__
    return va >= 0xffff800000000000 && va < 0xffff880000000000;
#else
    return va >= (ulong)machine_to_phys;
#endif
}

static void tables(ulong *mapped_end)
{
    uint64_t *top = (uint64_t *)start_info->pt_base;
    ulong base;

    *mapped_end = 0;
    count_table(virt_to_mfn(top), PAGE_LEVELS);
#ifdef __x86_64__
    for (unsigned i = 0; i < 512; i++) {
        ulong va = (long)((ulong)i << 55) >> 16;

        if (!is_hypervisors(va) && i != (VIRT_BASE >> 39 & 511)) {
            check_eq(top[i] & _PAGE_PRESENT, 0, "L4 entry %u", i);
        }
    }
    base = VIRT_BASE & ~((1UL << 39) - 1);
    count_table(PTE_MFN(*pte_of(VIRT_BASE, 4)), 3);
#else
    /* Xen's builders differ in how many L2 tables there are */
    for (unsigned i = 0; i < 3; i++) {
        if (top[i] & _PAGE_PRESENT) {
            count_table(PTE_MFN(top[i]), 2);
        }
    }
    base = VIRT_BASE;
#endif

    /* All of the last 512 GiB, or the last GiB: by L2 tables, then by L1 */
    for (ulong va = base; va >= base && !is_hypervisors(va);
         va += 1UL << 30) {
        if (IS_64BIT && !(*pte_of(va, 3) & _PAGE_PRESENT)) {
            continue;
        }
        count_table(PTE_MFN(*pte_of(va, 3)), 2);
        for (unsigned i = 0; i < 512; i++) {
            ulong va2 = va + ((ulong)i << 21);
            volatile uint64_t *e;

            if (is_hypervisors(va2) || !(*pte_of(va2, 2) & _PAGE_PRESENT)) {
                continue;
            }
            count_table(PTE_MFN(*pte_of(va2, 2)), 1);
            e = pte_of(va2, 1);
            for (unsigned j = 0; j < 512; j++) {
                ulong va1 = va2 + ((ulong)j << 12);

                if (!(e[j] & _PAGE_PRESENT)) {
                    continue;
                }
                if (va1 < VIRT_BASE) {
                    failure("%lx is mapped", va1);
                } else if (*mapped_end && va1 != *mapped_end) {
                    failure("there is a hole from %lx to %lx", *mapped_end,
                            va1);
                }
                *mapped_end = va1 + PAGE_SIZE;
            }
        }
    }
    check_eq(nr_tables, start_info->nr_pt_frames, "nr_pt_frames");
}

static void mappings(ulong end)
{
    ulong pt_end = start_info->pt_base + start_info->nr_pt_frames * PAGE_SIZE;
    unsigned bad = 0;

    check(end >= entry_state.sp + 512 * 1024,
          "only %lu bytes are mapped after the stack", end - entry_state.sp);
    check_eq(end % (4 << 20), 0, "the mapping's end, modulo 4 MiB");
    check(end < entry_state.sp + 512 * 1024 + (4 << 20),
          "more is mapped than has to be: up to %lx", end);

    for (ulong va = VIRT_BASE; va < end && bad < 4; va += PAGE_SIZE) {
        uint64_t e = *pte_of(va, 1);
        ulong pfn = (va - VIRT_BASE) >> PAGE_SHIFT;
        bool is_table = va >= start_info->pt_base && va < pt_end;

        /* This one the harness has moved */
        if (va == (ulong)shared_info) {
            continue;
        }
        if (PTE_MFN(e) != pfn_to_mfn(pfn)) {
            failure("%lx maps frame %lx, not %lx", va, PTE_MFN(e),
                    pfn_to_mfn(pfn));
            bad++;
        }
        if (!(e & _PAGE_RW) != is_table) {
            failure("the entry for %lx is %llx", va, (unsigned long long)e);
            bad++;
        }
    }
}

static void frame_lists(void)
{
    unsigned bad = 0;

    for (ulong pfn = 0; pfn < start_info->nr_pages && bad < 4; pfn++) {
        ulong mfn = pfn_to_mfn(pfn);

        if (machine_to_phys[mfn] != pfn) {
            failure("pfn %lx is mfn %lx, but that is pfn %lx", pfn, mfn,
                    machine_to_phys[mfn]);
            bad++;
        }
    }
}

static void shared(void)
{
    struct evtchn_status s = { .dom = DOMID_SELF };

    check_eq(vcpu_info()->evtchn_upcall_mask, 1, "evtchn_upcall_mask");
    for (unsigned i = 0; i < sizeof(ulong) * 8; i++) {
        check_eq(shared_info->evtchn_pending[i], 0, "evtchn_pending[%u]", i);
    }
    if (is_initdomain()) {
        return;
    }
    s.port = start_info->console.domU.evtchn;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &s), 0,
              "EVTCHNOP_status of the console's port");
    check(s.status == EVTCHNSTAT_interdomain || s.status == EVTCHNSTAT_unbound,
          "the console's port %u has status %u", s.port, s.status);
    s.port = start_info->store_evtchn;
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &s), 0,
              "EVTCHNOP_status of xenstore's port");
    check(s.status == EVTCHNSTAT_interdomain || s.status == EVTCHNSTAT_unbound,
          "xenstore's port %u has status %u", s.port, s.status);
    check(start_info->store_evtchn != start_info->console.domU.evtchn,
          "console and xenstore have the same port");
}

void test_main(void)
{
    ulong end;

    registers();
    regions();
    tables(&end);
    mappings(end);
    frame_lists();
    shared();
}
