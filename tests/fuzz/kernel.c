/*
 * Fuzz target: kernel images, and the domain that is built from them
 *
 * The first bytes of an input are the domain's configuration, the rest is the
 * file. A fault here is a file that crashes QEMU, takes more memory than the
 * limits say, or makes the builder write to a frame that is not the domain's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "fuzz.h"

#define HOLE_PAGES  16

typedef struct Frames {
    const XenPVDomainConfig *cfg;
    GHashTable *frames;
} Frames;

static void *frame(void *opaque, uint64_t mfn)
{
    Frames *f = opaque;
    const XenPVDomainConfig *cfg = f->cfg;
    void *page = g_hash_table_lookup(f->frames, &mfn);

    assert(mfn < cfg->hole_pfn || mfn >= cfg->hole_pfn + cfg->hole_pages);
    assert(mfn < xenpv_pfn_to_mfn(cfg, cfg->nr_pages - 1) + 1);
    if (!page) {
        page = g_malloc0(XENPV_PAGE_SIZE);
        g_hash_table_insert(f->frames, g_memdup2(&mfn, sizeof(mfn)), page);
    }
    return page;
}

/* What the caller of a builder relies upon */
static void check_domain(const XenPVDomainConfig *cfg, const XenPVDomain *d)
{
    assert(d->nr_used_pages <= cfg->nr_pages);
    assert(d->pt_pfn + d->nr_pt_frames <= d->nr_used_pages);
    assert(d->p2m_pfn + d->nr_p2m_frames <= d->nr_used_pages);
    assert(d->initrd_pfn + d->nr_initrd_frames <= d->nr_used_pages);
    assert(xenpv_virt_range_ok(cfg->kernel->is_64bit, d->virt_base,
                               d->virt_end));
    assert(d->start_info >= d->virt_base && d->start_info < d->virt_end);
}

static void one(FuzzInput *in)
{
    XenPVDomainConfig cfg = {
        .nr_pages = 64 + fuzz_take(in, 2),
        .hole_pages = HOLE_PAGES,
        .flags = 0,
        .shared_info_mfn = 1 << 20,
        .xencons_evtchn = 2,
        .xenstore_evtchn = 1,
    };
    uint64_t hole_pfn = fuzz_take(in, 2);
    size_t initrd_len = fuzz_take(in, 2);
    bool allow_64bit = fuzz_take(in, 1) & 1;
    g_autofree uint8_t *initrd = g_malloc0(initrd_len ?: 1);
    g_autoptr(XenPVKernel) kernel = NULL;
    Error *err = NULL;
    Frames frames = { .cfg = &cfg };
    XenPVDomain domain;

    cfg.hole_pfn = 32 + hole_pfn % cfg.nr_pages;
    kernel = xenpv_kernel_parse(in->data, in->len, allow_64bit, &err);
    assert(!kernel == !!err);
    if (!kernel) {
        error_free(err);
        return;
    }
    frames.frames = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                          g_free);
    cfg.kernel = kernel;
    cfg.initrd = initrd_len ? initrd : NULL;
    cfg.initrd_len = initrd_len;
    cfg.cmdline = "console=hvc0";
    cfg.frame = frame;
    cfg.opaque = &frames;
    if (xenpv_domain_build(&cfg, &domain, &err)) {
        check_domain(&cfg, &domain);
    } else {
        assert(err);
        error_free(err);
    }
    g_hash_table_unref(frames.frames);
}

static const FuzzTarget kernel_target = { .name = "kernel", .one = one };
FUZZ_TARGET(kernel_target)
