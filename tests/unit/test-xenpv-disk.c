/*
 * Unit test of what xenpv-convert --check reads of a disk
 *
 * Sources needed beside this file: tools/xenpv/disk.c, tools/xenpv/lvm.c,
 * tools/xenpv/guest-files.c, tools/xenpv/rules.c, tools/xenpv/menu.c,
 * tools/xenpv/menu-extlinux.c,
 * hw/xenpv/xenpv-text.c,
 * hw/xenpv/xenpv-kernel.c, hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-elf-notes.c and hw/xenpv/xenpv-unpack.c.
 *
 * The disk is a stranger's. A broken reader would never come to an end, take
 * all memory, or look for a partition where it is not. The disks here are made
 * of a few pieces with zeros between; what is read of them is counted.
 * (File systems are in tests/functional/test_tools.py, made by their own
 * tools.)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "../../tools/xenpv/disk.h"

#define SECTOR      512
#define MAX_PIECES  160

typedef struct Piece {
    uint64_t at;
    size_t len;
    const void *data;
} Piece;

typedef struct Disk {
    uint64_t size;
    Piece pieces[MAX_PIECES];
    unsigned nr_pieces;
    unsigned reads, facts;
    uint64_t read_bytes;
    uint64_t watched;       /* reading this place sets ... */
    bool seen;
    GString *findings;
    char *(*grub)(void *opaque, GrubOp op, const char *device, const char *path,
                  size_t max, size_t *len, char **why);
} Disk;

static bool read_disk(void *opaque, uint64_t offset, void *buf, uint64_t len)
{
    Disk *d = opaque;

    g_assert_cmpuint(offset, <=, d->size);
    g_assert_cmpuint(len, <=, d->size - offset);
    d->reads++;
    d->read_bytes += len;
    d->seen |= offset <= d->watched && d->watched < offset + len;
    memset(buf, 0, len);
    for (unsigned i = 0; i < d->nr_pieces; i++) {
        const Piece *p = &d->pieces[i];
        uint64_t from = MAX(p->at, offset);
        uint64_t to = MIN(p->at + p->len, offset + len);

        if (from < to) {
            memcpy((char *)buf + (from - offset),
                   (const char *)p->data + (from - p->at), to - from);
        }
    }
    return true;
}

static void finding(void *opaque, int line, const char *text)
{
    Disk *d = opaque;

    g_string_append_printf(d->findings, "%d: %s\n", line, text);
}

static void fact(void *opaque, const char *text)
{
    Disk *d = opaque;

    d->facts++;
}

static void add(Disk *d, uint64_t at, const void *data, size_t len)
{
    g_assert_cmpuint(d->nr_pieces, <, MAX_PIECES);
    d->pieces[d->nr_pieces++] = (Piece) { at, len, data };
}

/* Looks into it: there must be something to find fault with, and little read */
static void check(Disk *d, const char *expected)
{
    GuestDiskReader reader = {
        .size = d->size, .read = read_disk, .finding = finding, .fact = fact,
        .grub = d->grub, .opaque = d,
    };

    d->reads = 0;
    d->read_bytes = 0;
    d->seen = false;
    d->findings = g_string_new(NULL);
    disk_check(&reader);
    if (!strstr(d->findings->str, expected)) {
        g_test_message("expected \"%s\" in:\n%s", expected, d->findings->str);
        g_test_fail();
    }
    g_assert_cmpuint(d->reads, <, 4000);
    g_assert_cmpuint(d->read_bytes, <, 64 * 1024 * 1024);
    g_string_free(d->findings, true);
}

static void set_partition(uint8_t *sector, unsigned i, uint8_t type,
                          uint32_t first, uint32_t count)
{
    uint8_t *e = sector + 446 + 16 * i;

    e[4] = type;
    stl_le_p(e + 8, first);
    stl_le_p(e + 12, count);
    stw_le_p(sector + 510, 0xaa55);
}

/* A table of 2^32 entries, all of it on the disk */
static void test_gpt(void)
{
    static const uint32_t counts[] = { UINT32_MAX, 1U << 31, 1U << 20 };
    uint8_t mbr[SECTOR] = { 0 }, header[SECTOR] = "EFI PART";
    Disk d = { .size = 1ULL << 50 };

    set_partition(mbr, 0, 0xee, 1, UINT32_MAX);
    stq_le_p(header + 72, 2);
    stl_le_p(header + 84, 128);
    add(&d, 0, mbr, sizeof(mbr));
    add(&d, SECTOR, header, sizeof(header));
    for (int i = 0; i < ARRAY_SIZE(counts); i++) {
        stl_le_p(header + 80, counts[i]);
        check(&d, "0: it has neither a file system");
    }
    /* And one that is not on it */
    stq_le_p(header + 72, UINT64_MAX / SECTOR);
    check(&d, "0: it has neither a file system");
    stq_le_p(header + 72, d.size / SECTOR);
    check(&d, "0: it has neither a file system");
}

/* Beyond 1 TiB the numbers of sectors have their upper bit set */
static void test_large_mbr(void)
{
    const uint32_t far_away = 0x90000000;
    uint8_t mbr[SECTOR] = { 0 }, logical[SECTOR] = { 0 };
    Disk d = { .size = 1ULL << 42 };

    set_partition(mbr, 0, 0x83, far_away, 4096);
    add(&d, 0, mbr, sizeof(mbr));
    d.watched = far_away * (uint64_t)SECTOR + 1024;
    check(&d, "0: it has neither a file system");
    g_assert_true(d.seen);

    set_partition(mbr, 0, 0x05, 0x88000000, 0x10000000);
    set_partition(logical, 0, 0x83, 0x8000000, 4096);
    add(&d, 0x88000000 * (uint64_t)SECTOR, logical, sizeof(logical));
    check(&d, "0: it has neither a file system");
    g_assert_true(d.seen);

    /* The next link of the list */
    set_partition(logical, 0, 0, 0, 0);
    set_partition(logical, 1, 0x05, 0x80000000, 4096);
    d.watched = 0x108000000 * (uint64_t)SECTOR;
    check(&d, "0: it has neither a file system");
    g_assert_true(d.seen);
}

/* A list of logical partitions that leads into itself, with 60 of them */
static void test_endless_logical(void)
{
    uint8_t mbr[SECTOR] = { 0 }, logical[SECTOR] = { 0 };
    Disk d = { .size = 1 << 30 };

    for (int i = 0; i < 4; i++) {
        set_partition(mbr, i, 0x0f, 2048, 1 << 20);
    }
    set_partition(logical, 0, 0x83, 1, 1 << 20);
    set_partition(logical, 1, 0x05, 1 << 12, 1 << 20);
    add(&d, 0, mbr, sizeof(mbr));
    add(&d, 2048 * SECTOR, logical, sizeof(logical));
    add(&d, (2048 + (1 << 12)) * SECTOR, logical, sizeof(logical));
    check(&d, "0: it has neither a file system");
}

/* 128 partitions that are one physical volume, with damaged metadata each */
static void test_many_findings(void)
{
    uint8_t mbr[SECTOR] = { 0 }, header[SECTOR] = "EFI PART";
    uint8_t table[128 * 128] = { 0 }, label[SECTOR] = { 0 };
    Disk d = { .size = 1 << 30 };

    set_partition(mbr, 0, 0xee, 1, UINT32_MAX);
    stq_le_p(header + 72, 2);
    stl_le_p(header + 80, 128);
    stl_le_p(header + 84, 128);
    for (int i = 0; i < 128; i++) {
        stq_le_p(table + 128 * i + 32, 2048);
        stq_le_p(table + 128 * i + 40, 4096);
    }
    memcpy(label, "LABELONE", 8);
    memcpy(label + 24, "LVM2 001", 8);
    add(&d, 0, mbr, sizeof(mbr));
    add(&d, SECTOR, header, sizeof(header));
    add(&d, 2 * SECTOR, table, sizeof(table));
    add(&d, 2049 * SECTOR, label, sizeof(label));
    check(&d, "0: it is a volume of LVM's, but its label is damaged\n"
          "0: there is more to say about it than this\n");
}

/* Sizes at which something does not fit */
static void test_small(void)
{
    static const uint64_t sizes[] = { 0, 1, 511, 512, 513, 1024, 4095, 4096 };
    uint8_t mbr[SECTOR] = { 0 };

    set_partition(mbr, 0, 0xee, 1, UINT32_MAX);
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        Disk d = { .size = sizes[i] };

        add(&d, 0, mbr, sizeof(mbr));
        check(&d, sizes[i] < SECTOR ? "too small" : "neither");
    }
}

/* What GRUB's readers would say of a disk with a GPT, and how often */
static unsigned nr_asked;

static char *ask_grub(void *opaque, GrubOp op, const char *device,
                      const char *path, size_t max, size_t *len, char **why)
{
    const char *text = NULL;

    nr_asked++;
    if (!strcmp(device, "loop0,gpt128")) {
        if (op == GRUB_LS && !strcmp(path, "/@rootfs/")) {
            text = "x etc/ boot/ ";
        } else if (op == GRUB_LS) {
            text = "a b/ ";
        } else if (!strcmp(path, "/@rootfs/etc/fstab")) {
            text = "/dev/vda1 / btrfs\n";
        }
    }
    *len = text ? strlen(text) : 0;
    return g_strdup(text);
}

/*
 * GRUB's readers are asked about each partition that is not known here, by GRUB's
 * name of it, and about the files of the one that has the guest's /
 */
static void test_grub(void)
{
    uint8_t mbr[SECTOR] = { 0 }, header[SECTOR] = "EFI PART";
    static uint8_t table[128 * 128];
    Disk d = { .size = 1ULL << 40, .grub = ask_grub };

    set_partition(mbr, 0, 0xee, 1, UINT32_MAX);
    stq_le_p(header + 72, 2);
    stl_le_p(header + 80, 128);
    stl_le_p(header + 84, 128);
    for (unsigned i = 0; i < 128; i++) {
        stq_le_p(table + 128 * i + 32, 2048 * (i + 1));
        stq_le_p(table + 128 * i + 40, 2048 * (i + 2) - 1);
    }
    add(&d, 0, mbr, sizeof(mbr));
    add(&d, SECTOR, header, sizeof(header));
    add(&d, 2 * SECTOR, table, sizeof(table));
    check(&d, "1: /etc/fstab: what is mounted on / is /dev/vda1");
    g_assert_cmpuint(nr_asked, >, 128);
    g_assert_cmpuint(nr_asked, <, 300);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/disk/gpt", test_gpt);
    g_test_add_func("/xenpv/disk/large-mbr", test_large_mbr);
    g_test_add_func("/xenpv/disk/endless-logical", test_endless_logical);
    g_test_add_func("/xenpv/disk/many-findings", test_many_findings);
    g_test_add_func("/xenpv/disk/small", test_small);
    g_test_add_func("/xenpv/disk/grub", test_grub);
    return g_test_run();
}
