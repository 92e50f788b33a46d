/*
 * What of the hypervisor is mapped in user mode's page tables.
 *
 * A processor of the Meltdown class lets a program read what is mapped there,
 * whatever its rights. So a 64-bit guest's user tables must have no memory of
 * the guest, the hypervisor's view of it or the M2P, and nothing that the
 * kernel shares with the hypervisor: what the CPU needs to get into the
 * hypervisor and out of it is all. Bit 0 of a page fault's error code tells a
 * program what is mapped. A 32-bit guest has one set of tables for both modes,
 * and its kernel's memory in them: there, nothing of the hypervisor can be read.
 *
 * machine: xpti=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static __user ulong read(ulong p, ulong unused)
{
    return *(volatile ulong *)p;
}

#ifdef __x86_64__
#define CORE        0xffff808000000000UL
#define AREAS       (CORE + (1UL << 30))    /* of vCPUs, 2 MiB each */
#define GIB         (1UL << 30)

static bool mapped(ulong va)
{
    struct trap t;

    if (!call_user(read, va, 0, NULL, &t)) {
        failure("%lx can be read", va);
        return true;
    }
    check(t.vector == X86_PF && t.cr2 == va, "%lx: %s, cr2 %lx", va,
          trap_name(t.vector), t.cr2);
    return t.error_code & PFEC_present;
}

static void nothing(const char *what, ulong from, ulong to, ulong step)
{
    for (ulong va = from; va < to; va += step) {
        if (mapped(va)) {
            failure("%s: %lx is mapped", what, va);
            return;
        }
    }
}

static void core(void)
{
    unsigned n = 0;

    /* Code and constants, from the start on, and nothing behind them */
    while (n < 64 && mapped(CORE + n * PAGE_SIZE)) {
        n++;
    }
    printk("%u pages of code and constants\n", n);
    check(n > 4 && n < 40, "%u pages of code and constants", n);
    nothing("data, what is shared with the kernel, and page tables",
            CORE + n * PAGE_SIZE, CORE + (8UL << 20), PAGE_SIZE);
    nothing("beyond the core", CORE + (8UL << 20), AREAS, 8UL << 20);
}

static void area(void)
{
    unsigned n = 0;

    for (unsigned page = 0; page < 512; page++) {
        /* GDT and LDT, the stub, stacks, struct vcpu, TSS, IDT; see layout.h */
        bool may = page < 32 || page == 36 || (page >= 38 && page < 44) ||
                   page == 45 || page == 46 || page == 48 || page == 50 ||
                   page == 52;
        bool is = mapped(AREAS + page * PAGE_SIZE);

        n += is;
        check(may || !is, "page %u of the area is mapped", page);
    }
    printk("%u pages of the vCPU's area\n", n);
    nothing("other vCPUs' areas", AREAS + (2UL << 20), AREAS + GIB, 2UL << 20);
}
#endif

void test_main(void)
{
#ifdef __x86_64__
    struct {
        uint64_t mfn;
        uint32_t offset, rsvd;
    } where = { .offset = 64 };
    static char page[PAGE_SIZE] __attribute__((aligned(4096)));

    if (is_initdomain()) {
        skip("Xen's addresses are others");
        return;
    }
    user_init();
    /* The kernel's page with vcpu_info is the kernel's, too */
    where.mfn = virt_to_mfn(page);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &where), 0,
              "register_vcpu_info");
    the_vcpu_info = (struct vcpu_info *)(page + 64);
    nothing("the M2P", 0xffff800000000000, CORE, GIB / 2);
    core();
    area();
    nothing("guest memory", 0xffff810000000000, 0xffff810000000000 + GIB,
            2UL << 20);
    nothing("the rest", 0xffff810000000000 + GIB, 0xffff880000000000, 32 * GIB);
#else
    struct trap t;

    if (is_initdomain()) {
        skip("Xen's addresses are others");
        return;
    }
    user_init();
    /* From the M2P on */
    for (ulong va = 0xf5800000; va; va += PAGE_SIZE) {
        if (!call_user(read, va, 0, NULL, &t)) {
            failure("%lx can be read", va);
            return;
        }
        check(t.vector == X86_PF && t.cr2 == va, "%lx: %s, cr2 %lx", va,
              trap_name(t.vector), t.cr2);
    }
#endif
}
