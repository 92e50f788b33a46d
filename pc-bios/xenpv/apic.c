/*
 * The local APIC: ends of interrupts, vectors for other vCPUs, the timer
 *
 * init.c enables it on each vCPU; requests.c, traps.c and time.c use it there.
 * It is the monitor's own: no guest has access to it. Where the machine offers
 * x2APIC mode its registers are MSRs, else a page of the vCPU's area.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "msr.h"

#define APIC_BASE_ENABLE    (1 << 11)
#define APIC_BASE_X2APIC    (1 << 10)
/* x2APIC MSR numbers; the xAPIC's register is at (msr & 0xff) * 16 */
#define APIC_ID             0x802
#define APIC_EOI            0x80b
#define APIC_SVR            0x80f
#define APIC_ICR            0x830
#define APIC_ICR_HIGH       0x831   /* xAPIC alone */
#define APIC_ICR_BUSY       (1 << 12)
#define APIC_ICR_ASSERT     (1 << 14)
#define APIC_ICR_SELF       (1 << 18)
#define APIC_LVT_TIMER      0x832
#define APIC_TIMER_COUNT    0x838
#define APIC_TIMER_DIVIDE   0x83e

static bool x2apic;

static void apic_write(u32 msr, u32 val)
{
    if (x2apic) {
        wrmsr(msr, val);
    } else {
        ulong page = area_base() + AREA_APIC * PAGE_SIZE;

        *(volatile u32 *)(page + (msr & 0xff) * 16) = val;
    }
}

static u32 apic_read(u32 msr)
{
    if (x2apic) {
        return rdmsr(msr);
    }
    return *(volatile u32 *)(area_base() + AREA_APIC * PAGE_SIZE +
                             (msr & 0xff) * 16);
}

/*
 * KVM's PV EOI, by vCPU: KVM sets bit 0 when it injects an interrupt whose EOI
 * it need not see at once. To clear the bit is an EOI then, without a VM exit.
 * Each has its own cache line, as KVM writes it at each interrupt.
 */
static struct {
    u32 flag;
} __attribute__((aligned(64))) pv_eoi[XENPV_MAX_VCPUS];

void apic_eoi(void)
{
    bool was;

    asm volatile("btrl $0, %0"
                 : "+m" (pv_eoi[current_vcpu()->id].flag), "=@ccc" (was)
                 : : "memory");
    if (!was) {
        apic_write(APIC_EOI, 0);
    }
}

/* Interrupt another vCPU, which then sees what was written before this */
void apic_send(u32 apic_id, u8 vector)
{
    if (x2apic) {
        /* Not ordered after stores by itself: SDM, x2APIC, 11.12.3 */
        asm volatile("mfence; lfence" : : : "memory");
        wrmsr(APIC_ICR, (u64)apic_id << 32 | vector);
        return;
    }
    while (apic_read(APIC_ICR) & APIC_ICR_BUSY) {
        asm volatile("pause");
    }
    apic_write(APIC_ICR_HIGH, apic_id << 24);
    apic_write(APIC_ICR, APIC_ICR_ASSERT | vector);
}

/*
 * The shorthand takes one write. apic_send() takes two with an xAPIC, and this
 * is called in NMIs, which may come between those.
 */
void apic_send_self(u8 vector)
{
    apic_write(APIC_ICR, APIC_ICR_SELF | APIC_ICR_ASSERT | vector);
}

void init_apic(struct vcpu *v)
{
    u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

    x2apic = boot_info->flags & XENPV_BOOT_X2APIC;
    wrmsr(MSR_APIC_BASE, base);
    if (x2apic) {
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    } else {
        map_area_page(v, AREA_APIC, 0xfee00000 | AREA_DATA | PTE_PCD);
    }
    v->apic_id = x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_TIMER_DIVIDE, 0xb);     /* by 1 */
    apic_write(APIC_LVT_TIMER, XENPV_TIMER_VECTOR);
    if (boot_info->flags & XENPV_BOOT_KVM_PV_EOI) {
        wrmsr(MSR_KVM_PV_EOI_EN, core_gpa(&pv_eoi[v->id].flag) | 1);
    }
}

/* One interrupt, after count ticks at boot_info->apic_timer_mhz */
void apic_start_timer(u32 count)
{
    apic_write(APIC_TIMER_COUNT, count);
}
