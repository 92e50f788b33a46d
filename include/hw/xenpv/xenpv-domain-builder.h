/*
 * The domain builder of the xenpv-kvm machine
 *
 * Turns the files and strings of -kernel, -initrd and -append into the memory
 * image that a paravirtualised kernel expects when Xen starts it: what Xen's
 * libelf and libxenguest do for a domU. It is a pure engine. It knows no
 * device, no vCPU and no address space: it reads buffers and writes guest
 * frames through the callback in its configuration, which is why its unit test
 * needs no virtual machine.
 *
 *   xenpv_kernel_load()    once: find, unpack and check the kernel
 *                          (hw/xenpv/xenpv-kernel.c, by xenpv-unpack.c and
 *                          xenpv-elf.c)
 *   xenpv_domain_build()   at each reset: lay out and write the domain
 *                          (hw/xenpv/xenpv-domain-builder.c)
 *
 * Every byte of the files is untrusted. Whatever they contain, these functions
 * either succeed or set one error; they never write to a frame beyond the
 * domain's nr_pages and never allocate more than the limits below.
 *
 * Names that Xen's public headers have are used as they are there. "vaddr" is
 * a guest virtual address, "pfn" a guest pseudo-physical frame number and
 * "mfn" a machine frame number, here a guest-physical frame of the VM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_DOMAIN_BUILDER_H
#define HW_XENPV_DOMAIN_BUILDER_H

#include "qemu/compiler.h"

/* The most that a kernel may take, as a file and once it is unpacked */
#define XENPV_KERNEL_MAX_SIZE   (512 * 1024 * 1024ULL)
/* The size of start_info.cmd_line, with its final 0 (MAX_GUEST_CMDLINE) */
#define XENPV_CMDLINE_SIZE      1024
/* An address or a frame that the kernel or the domain does not have */
#define XENPV_UNSET             UINT64_MAX

#define XENPV_PAGE_SHIFT        12
#define XENPV_PAGE_SIZE         (1ULL << XENPV_PAGE_SHIFT)

/* Note types of Xen's public elfnote.h */
#define XEN_ELFNOTE_INFO                0
#define XEN_ELFNOTE_ENTRY               1
#define XEN_ELFNOTE_HYPERCALL_PAGE      2
#define XEN_ELFNOTE_VIRT_BASE           3
#define XEN_ELFNOTE_PADDR_OFFSET        4
#define XEN_ELFNOTE_XEN_VERSION         5
#define XEN_ELFNOTE_GUEST_OS            6
#define XEN_ELFNOTE_GUEST_VERSION       7
#define XEN_ELFNOTE_LOADER              8
#define XEN_ELFNOTE_PAE_MODE            9
#define XEN_ELFNOTE_FEATURES            10
#define XEN_ELFNOTE_BSD_SYMTAB          11
#define XEN_ELFNOTE_HV_START_LOW        12
#define XEN_ELFNOTE_L1_MFN_VALID        13
#define XEN_ELFNOTE_SUSPEND_CANCEL      14
#define XEN_ELFNOTE_INIT_P2M            15
#define XEN_ELFNOTE_MOD_START_PFN       16
#define XEN_ELFNOTE_SUPPORTED_FEATURES  17
#define XEN_ELFNOTE_PHYS32_ENTRY        18
#define XEN_ELFNOTE_PHYS32_RELOC        19

/*
 * struct start_info of Xen's public xen.h, for both widths whatever the host's
 * is. All members are little-endian.
 */
struct start_info_x86_32 {
    char magic[32];
    uint32_t nr_pages;
    uint32_t shared_info;
    uint32_t flags;
    uint32_t store_mfn;
    uint32_t store_evtchn;
    struct {
        struct {
            uint32_t mfn;
            uint32_t evtchn;
        } domU;
    } console;
    uint32_t pt_base;
    uint32_t nr_pt_frames;
    uint32_t mfn_list;
    uint32_t mod_start;
    uint32_t mod_len;
    char cmd_line[XENPV_CMDLINE_SIZE];
    uint32_t first_p2m_pfn;
    uint32_t nr_p2m_frames;
};

struct start_info_x86_64 {
    char magic[32];
    uint64_t nr_pages;
    uint64_t shared_info;
    uint32_t flags;
    uint32_t pad0;
    uint64_t store_mfn;
    uint32_t store_evtchn;
    uint32_t pad1;
    struct {
        struct {
            uint64_t mfn;
            uint32_t evtchn;
            uint32_t pad2;
        } domU;
    } console;
    uint64_t pt_base;
    uint64_t nr_pt_frames;
    uint64_t mfn_list;
    uint64_t mod_start;
    uint64_t mod_len;
    char cmd_line[XENPV_CMDLINE_SIZE];
    uint64_t first_p2m_pfn;
    uint64_t nr_p2m_frames;
};

QEMU_BUILD_BUG_ON(sizeof(struct start_info_x86_32) != 1112);
QEMU_BUILD_BUG_ON(sizeof(struct start_info_x86_64) != 1168);

/* start_info.flags */
#define XENPV_SIF_MOD_START_PFN     (1 << 3)
#define XENPV_SIF_VIRT_P2M_4TOOLS   (1 << 4)

/* What a 32-bit kernel says about PAE; 64-bit kernels have XENPV_PAE_NO */
typedef enum XenPVPAE {
    XENPV_PAE_NO,
    XENPV_PAE_YES,          /* top-level table below 4 GiB */
    XENPV_PAE_EXTCR3,       /* yes[extended-cr3]: anywhere */
    XENPV_PAE_BIMODAL,      /* as XENPV_PAE_EXTCR3, or without PAE */
} XenPVPAE;

/* A range of the kernel's image, in bytes from the domain's pfn 0 */
typedef struct XenPVSegment {
    uint64_t paddr;
    uint64_t memsz;         /* what .data does not fill is zeroed */
    const uint8_t *data;
    uint64_t filesz;        /* at most memsz */
} XenPVSegment;

/*
 * A kernel that has been found, unpacked and parsed. Read-only. Addresses are
 * XENPV_UNSET where the kernel has no such note and there is no default for it.
 */
typedef struct XenPVKernel {
    bool is_64bit;
    XenPVPAE pae;

    uint64_t virt_base;         /* the vaddr of pfn 0; page aligned */
    uint64_t paddr_offset;
    uint64_t virt_entry;        /* in [virt_kstart, virt_kend) */
    uint64_t virt_kstart;       /* the image with its bss and symbols: */
    uint64_t virt_kend;         /* virt_base <= virt_kstart < virt_kend */
    uint64_t virt_hypercall;    /* or XENPV_UNSET; not checked yet */
    uint64_t init_p2m;          /* or XENPV_UNSET, also if Xen ignores it */
    uint64_t hv_start_low;      /* or XENPV_UNSET */
    bool unmapped_initrd;       /* MOD_START_PFN */
    bool bsd_symtab;            /* the symbols are among the segments */
    bool suspend_cancel;
    bool has_phys32_entry;      /* it could be started as a PVH guest, too */
    bool has_l1_mfn_valid;
    uint64_t l1_mfn_mask, l1_mfn_value;
    uint32_t features_supported, features_required; /* bits XENFEAT_* */

    /* "" where the kernel does not say */
    char guest_os[32];
    char guest_version[32];
    char loader[32];
    char xen_version[32];
    /* What was found, for people: "bzImage, zstd, ELF notes" and so on */
    char format[96];

    XenPVSegment *segments;
    unsigned nr_segments;

    /* private: what the segments point into */
    uint8_t *image;
    uint8_t *symtab;
} XenPVKernel;

/*
 * xenpv_kernel_load: read and parse the kernel in the file @filename.
 *
 * It may be a bzImage or an ELF file, either of them compressed or not.
 * @allow_64bit: false makes a 64-bit kernel an error (qemu-system-i386).
 *
 * Returns the kernel, to be freed by xenpv_kernel_free(), or NULL with @errp
 * set to one sentence that begins with "-kernel" and the file's name.
 */
XenPVKernel *xenpv_kernel_load(const char *filename, bool allow_64bit,
                               Error **errp);

/* The same from memory, and errors without the file's name; @data is copied */
XenPVKernel *xenpv_kernel_parse(const void *data, size_t len, bool allow_64bit,
                                Error **errp);

void xenpv_kernel_free(XenPVKernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XenPVKernel, xenpv_kernel_free)

/*
 * xenpv_file_load: read a file (or pipe) of at most @max bytes.
 *
 * For -initrd. @errp gets "file name: reason", without naming an option.
 * Returns what was read, to be freed by g_free(), and its length in @len.
 */
uint8_t *xenpv_file_load(const char *filename, uint64_t max, size_t *len,
                         Error **errp);

/*
 * xenpv_decompress: unpack data of any format that kernels come in.
 *
 * @max: an output larger than this is an error.
 * @trailer: @in may end with what Linux's build appends to the payload of a
 * bzImage: 4 bytes with the size of the output.
 * @format: set to the format's name; NULL if @in has none of the formats, and
 * then NULL is returned without setting @errp.
 *
 * Returns the output, to be freed by g_free(), and its length in @out_len.
 */
uint8_t *xenpv_decompress(const uint8_t *in, size_t in_len, uint64_t max,
                          bool trailer, size_t *out_len, const char **format,
                          Error **errp);

/*
 * xenpv_virt_range_ok: may a guest of this width have [@start, @end) mapped?
 *
 * Not if it is empty, or has addresses of the hypervisor or, in 64-bit mode,
 * non-canonical ones.
 */
bool xenpv_virt_range_ok(bool is_64bit, uint64_t start, uint64_t end);

typedef struct XenPVDomainConfig {
    const XenPVKernel *kernel;

    /*
     * RAM: @nr_pages frames. Those below @hole_pfn have mfn == pfn, the others
     * mfn == pfn + @hole_pages.
     */
    uint64_t nr_pages;
    uint64_t hole_pfn;
    uint64_t hole_pages;

    const void *initrd;         /* NULL: none */
    uint64_t initrd_len;
    const char *cmdline;        /* NULL: "" */

    uint64_t shared_info_mfn;
    /* Not console_*: Xen's headers have macros of that name */
    uint32_t xencons_evtchn;
    uint32_t xenstore_evtchn;
    uint32_t flags;             /* SIF_*; MOD_START_PFN is the builder's own */

    /*
     * The host's address of the XENPV_PAGE_SIZE bytes of a RAM frame. Called
     * only for the mfns of pfns below nr_pages. NULL makes the build fail.
     */
    void *(*frame)(void *opaque, uint64_t mfn);
    void *opaque;

    bool ram_is_zero;           /* all of it, because nobody has touched it */
} XenPVDomainConfig;

static inline uint64_t xenpv_pfn_to_mfn(const XenPVDomainConfig *cfg,
                                        uint64_t pfn)
{
    return pfn < cfg->hole_pfn ? pfn : pfn + cfg->hole_pages;
}

/* What has been built. Ranges of pfns are contiguous as pfns. */
typedef struct XenPVDomain {
    /* The first vCPU: RIP, RSP, RSI, CR3; interrupts (upcalls) are masked */
    uint64_t entry;
    uint64_t stack;             /* the end of the boot stack */
    uint64_t start_info;        /* vaddr */
    uint64_t top_table_mfn;     /* L4, or PAE's L3 with its 4 entries */

    /*
     * Where the hypervisor's mappings have to be entered: in the L4, or in the
     * L2 below the L3's last entry, which maps 0xc0000000 and up. The builder
     * leaves the hypervisor's slots empty.
     */
    uint64_t hv_table_mfn;

    /* All page tables: start_info.nr_pt_frames, and those of INIT_P2M */
    uint64_t pt_pfn, nr_pt_frames;
    uint64_t p2m_pt_pfn, nr_p2m_pt_frames;  /* the latter may be 0 */

    uint64_t virt_base;         /* pfn 0 and up is mapped here ... */
    uint64_t virt_end;          /* ... until here */

    uint64_t start_info_mfn;
    uint64_t xenstore_mfn;
    uint64_t xencons_mfn;
    uint64_t hypercall_page_mfn;    /* or XENPV_UNSET; the caller fills it */

    uint64_t mfn_list;          /* vaddr */
    uint64_t p2m_pfn, nr_p2m_frames;        /* the list without its tables */
    uint64_t initrd_pfn, nr_initrd_frames;  /* the latter may be 0 */
    uint64_t nr_used_pages;     /* the pfns from here on were not touched */
} XenPVDomain;

/*
 * xenpv_domain_build: write the domain's memory and describe it in @out.
 *
 * All bytes of the pfns below out->nr_used_pages that hold no content are
 * zeroed; the rest of RAM is not touched. Nothing was written if it fails,
 * unless it fails because of cfg->frame.
 *
 * Returns false with @errp set to one sentence that names the option (-kernel,
 * -initrd, -append, -m) and the reason.
 */
bool xenpv_domain_build(const XenPVDomainConfig *cfg, XenPVDomain *out,
                        Error **errp);

/*
 * Do the same without writing anything: would the build fail for another reason
 * than cfg->frame? Members that cannot make it fail, like event channels, may
 * be unset.
 */
bool xenpv_domain_check(const XenPVDomainConfig *cfg, Error **errp);

/*
 * A domain's connections, as its start_info has them. They are new in a domain
 * that has been built, and in one that wakes up from SHUTDOWN_suspend.
 */
typedef struct XenPVConnections {
    uint64_t shared_info_mfn;
    uint32_t flags;                         /* SIF_* */
    uint64_t xenstore_mfn, xencons_mfn;     /* of the rings */
    uint32_t xenstore_evtchn, xencons_evtchn;
} XenPVConnections;

/* Write them to a struct start_info of the guest's width, and nothing else */
void xenpv_start_info_connect(void *start_info, bool is_64bit,
                              const XenPVConnections *c);

/* Write the 128 stubs of a hypercall page to the 4096 bytes at @page */
void xenpv_fill_hypercall_page(void *page, bool is_64bit);

#endif /* HW_XENPV_DOMAIN_BUILDER_H */
