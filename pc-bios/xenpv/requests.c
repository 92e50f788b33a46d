/*
 * Requests between vCPUs: flushes of their TLBs, NMIs, and more
 *
 * A vCPU leaves its request in the other's struct vcpu and sends
 * XENPV_IPI_VECTOR, except for a flush of an idle one, which looks when it
 * wakes up. The monitor runs with interrupts off: a vCPU answers when it
 * returns to the guest, is idle, or waits for a lock or a flush. So a vCPU that
 * holds a lock may wait for a flush. The page tables' files call this for
 * flushes and locks, and it calls them to answer a flush, as a base table may
 * have changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

struct vcpu *vcpus[XENPV_MAX_VCPUS];

void kick_vcpu(struct vcpu *v)
{
    apic_send(v->apic_id, XENPV_IPI_VECTOR);
}

void request(struct vcpu *v, u32 bits)
{
    atomic_fetch_or(&v->requests, bits);
    kick_vcpu(v);
}

/*
 * Read the number of requests first, so that all of these are in .flush when
 * that is read.
 */
static void do_flush(struct vcpu *v)
{
    u32 asked = atomic_load(&v->flush_asked);
    ulong what = atomic_exchange(&v->flush, FLUSH_NONE);

    if (what != FLUSH_NONE) {
        flush_for_others(v, what);
    }
    atomic_store(&v->flush_done, asked);
}

static inline bool is_flushed(struct vcpu *v, u32 asked)
{
    return (int)(atomic_load(&v->flush_done) - asked) >= 0;
}

static inline bool flush_is_asked(struct vcpu *v)
{
    return atomic_load(&v->flush_asked) != v->flush_done;
}

void answer_flush(struct vcpu *v)
{
    if (unlikely(flush_is_asked(v))) {
        do_flush(v);
    }
}

/* Not called on the boot stack: there is no vCPU yet, and nobody to wait for */
void spin_wait(void)
{
    asm volatile("pause");
    answer_flush(current_vcpu());
}

/* Returns the request's number */
static u32 ask_flush(struct vcpu *v, ulong what)
{
    ulong old = atomic_load(&v->flush), both;

    do {
        both = old == FLUSH_NONE || old == what ? what : FLUSH_ALL;
    } while (!atomic_compare_exchange_strong(&v->flush, &old, both));
    return atomic_fetch_add(&v->flush_asked, 1) + 1;
}

/*
 * Flush "what" (FLUSH_ALL or a page's address) from the TLBs of the vCPUs in
 * mask, except this one, and wait until they have. An idle vCPU is not waited
 * for: it flushes when it wakes up, or when flush_idle() makes it.
 */
void flush_others(u64 mask, ulong what)
{
    struct vcpu *self = current_vcpu();
    u32 nr = boot_info->nr_vcpus;
    u32 asked[XENPV_MAX_VCPUS];

    mask &= ~(1ULL << self->id);
    if (nr < 64) {
        mask &= (1ULL << nr) - 1;
    }
    for (u32 i = 0; i < nr; i++) {
        if (mask >> i & 1) {
            asked[i] = ask_flush(vcpus[i], what);
            if (counting()) {
                my_counters()->flushes++;
            }
            if (atomic_load(&vcpus[i]->idle)) {
                mask &= ~(1ULL << i);
            } else {
                kick_vcpu(vcpus[i]);
            }
        }
    }
    for (u32 i = 0; i < nr; i++) {
        if (mask >> i & 1) {
            while (!is_flushed(vcpus[i], asked[i]) &&
                   !atomic_load(&vcpus[i]->idle)) {
                spin_wait();
            }
        }
    }
}

/*
 * Make idle vCPUs do the flushes asked of them, and wait. Called before a page
 * table becomes something else: an idle CPU may still be walking it.
 */
void flush_idle(void)
{
    struct vcpu *self = current_vcpu();

    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        struct vcpu *v = vcpus[i];
        u32 asked;

        if (!v || v == self || likely(!flush_is_asked(v))) {
            continue;
        }
        asked = atomic_load(&v->flush_asked);
        kick_vcpu(v);
        while (!is_flushed(v, asked)) {
            spin_wait();
        }
    }
}

/*
 * An interrupt has come in halt(). Its handler looks at the guest's memory, so
 * whoever asks for a flush from now on has to wait for it.
 */
void wake_up(struct vcpu *v)
{
    atomic_store(&v->idle, false);
    answer_flush(v);
}

/* Called on the vCPU itself. Clear a request; returns whether it was there */
bool take_request(struct vcpu *v, u32 bit)
{
    return (atomic_load(&v->requests) & bit) &&
           (atomic_fetch_and(&v->requests, ~bit) & bit);
}

void request_nmi(struct vcpu *v)
{
    atomic_fetch_or(&v->requests, REQUEST_NMI);
}

/* An iret has ended an NMI's handler: an NMI that came meanwhile is due now */
void end_nmi(void)
{
    struct vcpu *v = current_vcpu();

    v->in_nmi = false;
    if (v->requests & REQUEST_NMI) {
        kick_vcpu(v);
    }
}

/*
 * An IPI that was taken in the monitor may have been for an NMI, which only
 * do_trap() delivers, for an IPI taken in the guest: so send another one. An
 * NMI for a vCPU that is not up waits until it is.
 */
void ask_again(struct vcpu *v)
{
    if (unlikely(v->requests & REQUEST_NMI) && !v->in_nmi && v->up) {
        kick_vcpu(v);
    }
}

void let_interrupts_in(void)
{
    struct vcpu *v = current_vcpu();

    asm volatile("sti; nop; cli" : : : "memory");
    ask_again(v);
    if (unlikely(!v->up)) {
        kick_vcpu(v);       /* it goes down when this hypercall is done */
    }
}
