/*
 * The hypercalls that change page tables and flush TLBs
 *
 * dispatch.S calls them on the vCPU that asks. The usual update, of a level-1
 * entry that maps the guest's own memory, is done here in a few instructions
 * and without a lock: it only needs its frame to be a level-1 table, whose
 * contents nobody relies on. entries.c and base_tables.c decide all else.
 * Batches are read from guest memory element by element, and let interrupts in
 * between their parts; what has been checked is not read again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/* Reads the request anew: the guest may have changed it */
static noinline __attribute__((cold)) int unusual_update(ulong ureq)
{
    struct mmu_update req;
    ulong mfn;
    u64 keep = 0;

    if (copy_from_guest(&req, ureq, sizeof(req))) {
        return -EFAULT;
    }
    mfn = req.ptr >> 12;
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

/* No call in the usual case, and the value first: 32-bit has few registers */
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
    return unusual_update(ureq);
fault:
    return -EFAULT;
}

/* If the guest's memory cannot be written, it is not told: no error */
static void tell_done(ulong udone, u32 done)
{
    if (udone) {
        (void)copy_to_guest(udone, &done, sizeof(done));
    }
}

/*
 * Is a batch about this domain's own pages? Returns 0 or -errno. The domain has
 * to use DOMID_SELF: with its own number it gets -ESRCH, as from Xen.
 */
static int check_owner(u16 dom)
{
    return dom == DOMID_SELF ? 0 :
           dom == DOMID_IO || dom == DOMID_XEN || !dom ? -EPERM : -ESRCH;
}

/* Do the requests from *ureq to end; *ureq becomes where it stops */
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

/* For any count and domain, and a guest that wants to know how many are done */
static noinline long mmu_updates(ulong ureqs, u32 count, ulong udone, u32 dom)
{
    ulong ureq = ureqs, end, size = (ulong)count * sizeof(struct mmu_update);
    int ret;

    if (!access_ok(ureqs, size) || count > ~0UL / sizeof(struct mmu_update)) {
        return -EFAULT;
    }
    if (dom >> 16 && (dom >> 16) - 1 != boot_info->domid) {
        return dom >> 16 == 1 ? -EPERM : -ESRCH;
    }
    ret = check_owner(dom);
    end = ureqs + size;
    while (likely(!ret)) {
        const ulong most = PART_OF_BATCH * sizeof(struct mmu_update);
        ulong part_end = end;

        if (unlikely(end - ureq > most)) {
            part_end = ureq + most;
        }
        ret = fetch_and_update_all(&ureq, part_end);
        if (likely(ureq == end)) {
            break;
        }
        let_interrupts_in();
    }
    tell_done(udone, (ureq - ureqs) / sizeof(struct mmu_update));
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

static void flush_here(ulong what)
{
    if (what == FLUSH_ALL) {
        flush_tlb();
    } else {
        invlpg(what);
    }
}

#define ALL_VCPUS   (~0UL)          /* instead of a bitmap's address */

/*
 * Flush on the vCPUs of a bitmap in guest memory, or on ALL_VCPUS. what is
 * FLUSH_ALL, FLUSH_NONE or an address, which need not be aligned.
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
        flush_here(what);
    }
    flush_others(mask, what == FLUSH_ALL ? what : what & ~(PAGE_SIZE - 1));
    return 0;
}

/* flags: a type, with UVMF_LOCAL, UVMF_ALL or the address of a vCPU bitmap */
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
        flush_here(what);
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
    return WORD == 8 ? update_va_mapping(a1, a2, 0, a3)
                     : update_va_mapping(a1, a2, a3, a4);
}

HYPERCALL(do_update_va_mapping_otherdomain)
{
    int ret = check_owner(WORD == 8 ? a4 : a5);

    return ret ? ret : do_update_va_mapping(a1, a2, a3, a4, a5);
}

static int pin_table(ulong mfn, unsigned level)
{
    int ret;

    if (level > TOP_LEVEL) {
        return 0;               /* no such level: as in Xen, not an error */
    }
    if (WORD == 4 && level == 2 && mfn_is_ram(mfn) &&
        (frame_table[mfn] & FI_PAE_XEN_L2)) {
        return -EINVAL;         /* the top GiB's is of another type */
    }
    ret = get_table(mfn, level);
    if (ret) {
        return ret;
    }
    if (atomic_fetch_or(&frame_table[mfn], FI_PINNED) & FI_PINNED) {
        put_table(mfn);
        return -EINVAL;
    }
    return 0;
}

static int unpin_table(ulong mfn)
{
    if (!mfn_is_ram(mfn) ||
        !(atomic_fetch_and(&frame_table[mfn], ~FI_PINNED) & FI_PINNED)) {
        return -EINVAL;
    }
    put_table(mfn);
    return 0;
}

static void drop_user_table(struct vcpu *v)
{
    ulong old = v->user_top_mfn;

    v->user_top_mfn = v->user_cr3 = 0;
    if (old) {
        put_table(old);
    }
}

static int copy_page(ulong mfn, ulong src)
{
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
        return unpin_table(mfn);
    case MMUEXT_NEW_BASEPTR:
        return set_base_table(v, mfn, false);
    case MMUEXT_NEW_USER_BASEPTR:
        if (WORD == 4) {
            return -EINVAL;
        }
        if (mfn) {
            return set_base_table(v, mfn, true);
        }
        drop_user_table(v);
        return 0;
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
        /* The bitmap is read even if there is nothing to flush */
        return flush_vcpus(v, op->cmd == MMUEXT_INVLPG_ALL ? ALL_VCPUS :
                              *(ulong *)&op->arg2.vcpumask,
                           access_ok(op->arg1.linear_addr, 1) ?
                           op->arg1.linear_addr : FLUSH_NONE) ? -EINVAL : 0;
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
        return copy_page(mfn, op->arg2.src_mfn);
    }
    return refuse(__HYPERVISOR_mmuext_op, op->cmd);
}

static noinline long mmuext_ops(ulong uops, u32 count, ulong udone, u32 dom)
{
    struct vcpu *v = current_vcpu();
    u32 done;
    int ret = check_owner(dom);
    union {
        struct mmuext_op op;
        ulong word[sizeof(struct mmuext_op) / WORD];
    } words;

    if (!access_ok(uops, count * sizeof(words)) ||
        count > ~0UL / sizeof(words)) {
        return -EFAULT;
    }
    if (ret) {
        return ret;
    }
    for (done = 0; done < count; done++) {
        if (done && done % PART_OF_BATCH == 0) {
            let_interrupts_in();
        }
        /* Without a call, because each process switch is two of these */
        for (unsigned i = 0; i < ARRAY_SIZE(words.word); i++) {
            GET_GUEST(words.word[i], uops + done * sizeof(words) + i * WORD,
                      fault);
        }
        ret = one_mmuext_op(v, &words.op);
        if (ret) {
            break;
        }
    }
out:
    tell_done(udone, done);
    return ret;
fault:
    ret = -EFAULT;
    goto out;
}

HYPERCALL(do_mmuext_op)
{
    struct vcpu *v;
    ulong arg1;
    u32 cmd;

    /* One of these operations alone has to be fast */
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
