/*
 * What is on a guest's disk: partitions, LVM, file systems and their files
 *
 * This file reads partition tables, lvm.c reads LVM's metadata, and libext2fs
 * reads file systems through our I/O manager. rules.c judges what the files
 * say.
 *
 * The disk is untrusted, so check.c calls this in its child without rights (see
 * sandbox.h). disk.h says which limits apply.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include <ext2fs/ext2fs.h>
#include "disk.h"
#include "lvm.h"
#include "rules.h"

#define SECTOR          512
#define MAX_PARTS       128
/* Entries of a GPT: the usual number; any further ones are ignored */
#define MAX_GPT_ENTRIES 128
/* Logical partitions: their list may be endless */
#define MAX_LOGICAL     60
/* LVM's physical volumes: each has its own copy of the metadata to parse */
#define MAX_GROUPS      16
/*
 * All reads together. An initrd in blocks of 1 KiB takes the most, plus as many
 * reads for the file system's tables. A damaged file system may read forever.
 */
#define MAX_READS       (1024 * 1024)
#define MAX_READ_BYTES  (4ULL * 1024 * 1024 * 1024)
/* Entries of a directory */
#define MAX_NAMES       65536
/* Bytes of a directory's names, where grub-fstest lists it */
#define MAX_GRUB_NAMES  (256 * 1024)
/* Snapshots that are searched for the guest's / */
#define MAX_SNAPSHOTS   8
/* Findings and facts; one more then says that there are others */
#define MAX_MESSAGES    100

typedef struct Part {
    uint64_t start, size;       /* bytes */
    unsigned number;            /* 0: the whole disk */
    bool is_gpt;
    const LvmVolume *volume;    /* if not NULL: the one; @start is its PV's */
    const LvmGroup *group;      /* the volume's group */
    ext2_filsys fs;
    char *grub;                 /* GRUB's device name if grub-fstest reads it */
    char *top;                  /* then: the directory that is the guest's / */
    bool has_root, has_boot;
} Part;

typedef struct Image {
    GuestFiles files;
    const GuestDiskReader *reader;
    uint64_t size;
    unsigned nr_reads, nr_messages;
    uint64_t nr_read_bytes;
    Part parts[MAX_PARTS];
    unsigned nr_parts;
    Part *root, *boot;          /* boot: if /boot is a file system of its own */
    GPtrArray *groups;          /* of LvmGroup */
    const char *other_fs;       /* a file system we cannot read, or NULL */
    char *why_other;            /* why grub-fstest cannot read it either */
    bool bad, exhausted;
} Image;

static void image_finding(GuestFiles *f, const char *path, int line,
                          const char *reason);

static bool read_at(Image *im, uint64_t offset, void *buf, uint64_t len)
{
    const GuestDiskReader *r = im->reader;

    if (offset > im->size || len > im->size - offset) {
        return false;
    }
    if (++im->nr_reads > MAX_READS ||
        len > MAX_READ_BYTES - im->nr_read_bytes) {
        if (!im->exhausted) {
            im->exhausted = true;
            image_finding(&im->files, NULL, 0, "looking into it takes too much "
                          "reading: it is damaged, or made for that");
        }
        return false;
    }
    im->nr_read_bytes += len;
    return r->read(r->opaque, offset, buf, len);
}

static bool read_part(Image *im, const Part *part, uint64_t offset, void *buf,
                      uint64_t len)
{
    if (offset > part->size || len > part->size - offset) {
        return false;
    }
    while (part->volume && len) {
        uint64_t place, run;

        if (!lvm_place(part->volume, offset, &place, &run)) {
            return false;
        }
        run = MIN(run, len);
        if (!read_at(im, part->start + place, buf, run)) {
            return false;
        }
        offset += run;
        buf += run;
        len -= run;
    }
    return read_at(im, part->start + offset, buf, len);
}

/* --- libext2fs on the reader --------------------------------------------- */

/* io_open() gets a name only, so these tell it which disk and part to open */
static Image *io_image;
static Part *io_part;

typedef struct Io {
    Image *image;
    Part *part;
} Io;

static struct struct_io_manager block_io_manager;

static errcode_t io_open(const char *name, int flags, io_channel *channel)
{
    io_channel io = g_new0(struct struct_io_channel, 1);
    Io *data = g_new0(Io, 1);

    data->image = io_image;
    data->part = io_part;
    io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    io->manager = &block_io_manager;
    io->name = strdup(name);
    io->block_size = 1024;
    io->refcount = 1;
    io->private_data = data;
    *channel = io;
    return 0;
}

static errcode_t io_close(io_channel io)
{
    if (--io->refcount > 0) {
        return 0;
    }
    g_free(io->private_data);
    free(io->name);
    g_free(io);
    return 0;
}

static errcode_t io_set_blksize(io_channel io, int size)
{
    io->block_size = size;
    return 0;
}

static errcode_t io_read64(io_channel io, unsigned long long block, int count,
                           void *buf)
{
    Io *data = io->private_data;
    /* A negative count is in bytes */
    uint64_t bytes = count < 0 ? -(int64_t)count
                               : (uint64_t)count * io->block_size;
    uint64_t offset;

    if (__builtin_mul_overflow(block, (uint64_t)io->block_size, &offset) ||
        !read_part(data->image, data->part, offset, buf, bytes)) {
        memset(buf, 0, bytes);
        return EXT2_ET_SHORT_READ;
    }
    return 0;
}

static errcode_t io_read(io_channel io, unsigned long block, int count,
                         void *buf)
{
    return io_read64(io, block, count, buf);
}

static errcode_t io_write(io_channel io, unsigned long block, int count,
                          const void *buf)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t io_flush(io_channel io)
{
    return 0;
}

static struct struct_io_manager block_io_manager = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "a guest's disk",
    .open = io_open,
    .close = io_close,
    .set_blksize = io_set_blksize,
    .read_blk = io_read,
    .read_blk64 = io_read64,
    .write_blk = io_write,
    .flush = io_flush,
};

/* --- Files --------------------------------------------------------------- */

static char *ask_grub(Image *im, GrubOp op, const Part *part, const char *top,
                      const char *path, size_t max, size_t *len)
{
    g_autofree char *full = g_strconcat(top, path, NULL);

    return im->reader->grub(im->reader->opaque, op, part->grub, full, max, len,
                            NULL);
}

/* Tries what the machine's GRUB tries: @path below the guest's /, then as is */
static char *read_by_grub(Image *im, const Part *part, const char *path,
                          size_t max, size_t *len)
{
    char *data = ask_grub(im, GRUB_CAT, part, part->top, path, max, len);

    return data || *len || !part->top[0] ? data :
           ask_grub(im, GRUB_CAT, part, "", path, max, len);
}

/* Returns NULL with *len 0 if there is none, with *len > @max if too large */
static char *read_from(Image *im, Part *part, const char *path, size_t max,
                       size_t *len)
{
    ext2_ino_t ino;
    ext2_file_t file;
    struct ext2_inode inode;
    g_autofree char *data = NULL;
    unsigned got = 0;
    uint64_t size;

    *len = 0;
    if (part && part->grub) {
        return read_by_grub(im, part, path, max, len);
    }
    if (!part || !part->fs ||
        ext2fs_namei_follow(part->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path,
                            &ino) ||
        ext2fs_read_inode(part->fs, ino, &inode) ||
        !LINUX_S_ISREG(inode.i_mode) ||
        ext2fs_file_open(part->fs, ino, 0, &file)) {
        return NULL;
    }
    size = EXT2_I_SIZE(&inode);
    if (size > max) {
        *len = MIN(size, SIZE_MAX);
    } else {
        data = g_malloc(size + 1);
        if (ext2fs_file_read(file, data, size, &got)) {
            g_clear_pointer(&data, g_free);
        } else {
            data[got] = 0;
            *len = got;
        }
    }
    ext2fs_file_close(file);
    return g_steal_pointer(&data);
}

static char *image_read(GuestFiles *f, const char *path, size_t max,
                        size_t *len)
{
    Image *im = container_of(f, Image, files);
    char *data = NULL;

    *len = 0;
    if (im->boot && g_str_has_prefix(path, "/boot/")) {
        data = read_from(im, im->boot, path + strlen("/boot"), max, len);
    }
    return data || *len ? data : read_from(im, im->root, path, max, len);
}

typedef struct Listing {
    void (*fn)(void *opaque, const char *name);
    void *opaque;
    unsigned nr_names;
} Listing;

static int list_entry(struct ext2_dir_entry *entry, int offset, int blocksize,
                      char *buf, void *opaque)
{
    Listing *l = opaque;
    g_autofree char *name = g_strndup(entry->name,
                                      ext2fs_dirent_name_len(entry));

    l->fn(l->opaque, name);
    return ++l->nr_names == MAX_NAMES ? DIRENT_ABORT : 0;
}

/* GRUB separates the names by blanks, and appends a / to directories */
static void list_by_grub(Image *im, Part *part, const char *top,
                         const char *path, Listing *l)
{
    size_t len;
    g_autofree char *text = ask_grub(im, GRUB_LS, part, top, path,
                                     MAX_GRUB_NAMES, &len);
    char *next = text;

    while (next && *next && l->nr_names < MAX_NAMES) {
        char *name = next;

        next += strcspn(next, "\n ");
        if (*next) {
            *next++ = 0;
        }
        if (name[0]) {
            l->nr_names++;
            l->fn(l->opaque, name);
        }
    }
}

static void list_plain(void *opaque, const char *name)
{
    Listing *l = opaque;
    g_autofree char *plain = g_strndup(name, strcspn(name, "/"));

    l->fn(l->opaque, plain);
}

static void list_from(Image *im, Part *part, const char *path, Listing *l)
{
    ext2_ino_t ino;

    if (part->grub) {
        Listing plain = { .fn = list_plain, .opaque = l };

        list_by_grub(im, part, part->top, path, &plain);
    } else if (!ext2fs_namei_follow(part->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path,
                             &ino)) {
        ext2fs_dir_iterate(part->fs, ino, 0, NULL, list_entry, l);
    }
}

static void image_list(GuestFiles *f, const char *path,
                       void (*fn)(void *opaque, const char *name), void *opaque)
{
    Image *im = container_of(f, Image, files);
    Listing l = { .fn = fn, .opaque = opaque };

    if (im->boot && g_str_has_prefix(path, "/boot/")) {
        list_from(im, im->boot, path + strlen("/boot"), &l);
    }
    if (im->root) {
        list_from(im, im->root, path, &l);
    }
}

/* Whether one more message may be sent; counts it */
static bool count_message(Image *im)
{
    if (im->nr_messages == MAX_MESSAGES) {
        im->nr_messages++;
        im->reader->finding(im->reader->opaque, 0, "there is more to say about "
                            "it than this");
    }
    return im->nr_messages < MAX_MESSAGES && ++im->nr_messages;
}

static void image_finding(GuestFiles *f, const char *path, int line,
                          const char *reason)
{
    Image *im = container_of(f, Image, files);
    g_autofree char *text = g_strdup_printf("%s%s%s", path ?: "",
                                            path ? ": " : "", reason);

    im->bad = true;
    if (count_message(im)) {
        im->reader->finding(im->reader->opaque, line, text);
    }
}

static void image_fact(GuestFiles *f, const char *text)
{
    Image *im = container_of(f, Image, files);

    if (count_message(im)) {
        im->reader->fact(im->reader->opaque, text);
    }
}

/* --- Partitions ---------------------------------------------------------- */

static void add_part(Image *im, uint64_t first, uint64_t count, unsigned number,
                     bool is_gpt)
{
    uint64_t start = first * SECTOR;

    if (im->nr_parts < MAX_PARTS && count && first < im->size / SECTOR) {
        im->parts[im->nr_parts++] = (Part) {
            .start = start, .number = number, .is_gpt = is_gpt,
            .size = MIN(count, (im->size - start) / SECTOR) * SECTOR,
        };
    }
}

static void read_gpt(Image *im)
{
    uint8_t header[SECTOR], entry[128];
    uint64_t table;
    uint32_t count, size;

    if (!read_at(im, SECTOR, header, SECTOR) ||
        memcmp(header, "EFI PART", 8)) {
        return;
    }
    table = ldq_le_p(header + 72);
    /* ldl_le_p() is signed */
    count = ldl_le_p(header + 80);
    count = MIN(count, MAX_GPT_ENTRIES);
    size = ldl_le_p(header + 84);
    if (size < sizeof(entry) || size > 4096 || table > im->size / SECTOR) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t first, last;

        if (!read_at(im, table * SECTOR + (uint64_t)i * size, entry,
                     sizeof(entry))) {
            return;
        }
        first = ldq_le_p(entry + 32);
        last = ldq_le_p(entry + 40);
        if (first && last >= first) {
            add_part(im, first, last - first + 1, i + 1, true);
        }
    }
}

static void read_logical(Image *im, uint32_t extended)
{
    uint64_t at = extended;
    uint8_t sector[SECTOR];

    /* The chain may be a loop, so stop after MAX_LOGICAL */
    for (unsigned number = 5; number < 5 + MAX_LOGICAL; number++) {
        const uint8_t *e = sector + 446;
        uint32_t first, count, next;

        if (!read_at(im, at * SECTOR, sector, SECTOR) ||
            lduw_le_p(sector + 510) != 0xaa55) {
            return;
        }
        first = ldl_le_p(e + 8);
        count = ldl_le_p(e + 12);
        next = ldl_le_p(e + 16 + 8);
        add_part(im, at + first, count, number, false);
        if (!next) {
            return;
        }
        at = (uint64_t)extended + next;
    }
}

static void read_partitions(Image *im)
{
    uint8_t mbr[SECTOR];

    if (!read_at(im, 0, mbr, SECTOR) || lduw_le_p(mbr + 510) != 0xaa55) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        const uint8_t *e = mbr + 446 + 16 * i;
        uint32_t first = ldl_le_p(e + 8), count = ldl_le_p(e + 12);

        switch (e[4]) {
        case 0:
            break;
        case 0xee:
            read_gpt(im);
            return;
        case 0x05: case 0x0f: case 0x85:
            read_logical(im, first);
            break;
        default:
            add_part(im, first, count, i + 1, false);
        }
    }
}

/* --- File systems -------------------------------------------------------- */

static bool has(Part *part, const char *path)
{
    ext2_ino_t ino;

    return !ext2fs_namei(part->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino);
}

static void append_doubled(GString *out, const char *name)
{
    for (; *name; name++) {
        g_string_append_c(out, *name);
        if (*name == '-') {
            g_string_append_c(out, '-');
        }
    }
}

/* GRUB calls a logical volume VG-LV, and doubles each - within VG and LV */
static char *grub_device(const Part *part)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (part->volume) {
        g_string_append(out, "lvm/");
        append_doubled(out, part->group->name);
        g_string_append_c(out, '-');
        append_doubled(out, part->volume->name);
    } else if (part->number) {
        g_string_append_printf(out, "loop0,%s%u",
                               part->is_gpt ? "gpt" : "msdos", part->number);
    } else {
        g_string_append(out, "loop0");
    }
    return g_string_free(g_steal_pointer(&out), false);
}

typedef struct Top {
    bool has_etc, has_boot;
    GPtrArray *snapshots;
} Top;

static void top_name(void *opaque, const char *name)
{
    Top *top = opaque;

    top->has_etc |= !strcmp(name, "etc/");
    top->has_boot |= !strcmp(name, "grub/") || !strcmp(name, "grub2/") ||
                     !strcmp(name, "loader/");
    if (top->snapshots && top->snapshots->len < MAX_SNAPSHOTS &&
        g_ascii_isdigit(name[0])) {
        g_autofree char *plain = g_strndup(name, strcspn(name, "/"));

        g_ptr_array_add(top->snapshots,
                        g_strdup_printf("/@/.snapshots/%s/snapshot", plain));
    }
}

static bool try_top(Image *im, Part *part, const char *path)
{
    Top top = { };
    Listing l = { .fn = top_name, .opaque = &top };

    list_by_grub(im, part, path, "/", &l);
    part->has_root = top.has_etc;
    part->has_boot = !top.has_etc && top.has_boot;
    if (part->has_root || part->has_boot) {
        g_free(part->top);
        part->top = g_strdup(path);
    }
    return part->has_root || part->has_boot;
}

/* The machine's GRUB searches these for menus: hw/xenpv/xenpv-grub-menu.c */
static void find_top(Image *im, Part *part)
{
    static const char *const tops[] = { "", "/@", "/@rootfs", "/root" };
    g_autoptr(GPtrArray) snapshots = g_ptr_array_new_with_free_func(g_free);
    Top top = { .snapshots = snapshots };
    Listing l = { .fn = top_name, .opaque = &top };

    for (int i = 0; i < ARRAY_SIZE(tops); i++) {
        if (try_top(im, part, tops[i])) {
            return;
        }
    }
    list_by_grub(im, part, "", "/@/.snapshots", &l);
    for (unsigned i = 0; i < snapshots->len; i++) {
        if (try_top(im, part, snapshots->pdata[i])) {
            return;
        }
    }
}

/* For file systems that are not ext2 to ext4, and LVs that lvm.c cannot read */
static bool open_by_grub(Image *im, Part *part)
{
    const GuestDiskReader *r = im->reader;
    g_autofree char *device = grub_device(part), *names = NULL, *text = NULL;
    size_t len;

    if (!r->grub) {
        return false;
    }
    names = r->grub(r->opaque, GRUB_LS, device, "/", MAX_GRUB_NAMES, &len, NULL);
    /* grub-fstest lists a file system that it does not know as empty */
    if (!names || !names[0]) {
        if (im->other_fs && !im->why_other) {
            g_free(r->grub(r->opaque, GRUB_WHY, device, "/", MAX_GRUB_NAMES,
                           &len, &im->why_other));
        }
        return false;
    }
    part->grub = g_steal_pointer(&device);
    part->top = g_strdup("");
    find_top(im, part);
    text = g_strdup_printf("(%s) is read by grub-fstest%s%s", part->grub,
                           part->top[0] ? ", with the guest's / in " : "",
                           part->top);
    image_fact(&im->files, text);
    return true;
}

static void close_fs(Part *part)
{
    if (part->fs) {
        ext2fs_close_free(&part->fs);
    }
    g_clear_pointer(&part->grub, g_free);
    g_clear_pointer(&part->top, g_free);
}

static bool open_ext2(Image *im, Part *part)
{
    io_image = im;
    io_part = part;
    if (part->size >= 4096 &&
        !ext2fs_open("part", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES,
                     0, 0, &block_io_manager, &part->fs)) {
        part->has_root = has(part, "/etc");
        part->has_boot = !part->has_root &&
                         (has(part, "/grub") || has(part, "/grub2") ||
                          has(part, "/loader"));
        return true;
    }
    part->fs = NULL;
    return false;
}

/* Recognizes a few well-known file systems, for the message */
static void name_other_fs(Image *im, const Part *part)
{
    static const struct {
        const char *name, *magic;
        uint64_t offset;
    } others[] = {
        { "XFS", "XFSB", 0 }, { "btrfs", "_BHRfS_M", 0x10040 },
    };

    for (int i = 0; i < ARRAY_SIZE(others); i++) {
        char magic[8];
        size_t len = strlen(others[i].magic);

        if (read_part(im, part, others[i].offset, magic, len) &&
            !memcmp(magic, others[i].magic, len)) {
            im->other_fs = others[i].name;
        }
    }
}

/* --- LVM ----------------------------------------------------------------- */

typedef struct PhysicalVolume {
    Image *image;
    const Part *part;
} PhysicalVolume;

static bool read_pv(void *opaque, uint64_t offset, void *buf, size_t len)
{
    PhysicalVolume *pv = opaque;

    return read_part(pv->image, pv->part, offset, buf, len);
}

/* Adds a physical volume's logical volumes; false if @part is none of LVM's */
static bool read_lvm(Image *im, const Part *part)
{
    PhysicalVolume pv = { im, part };
    g_autoptr(GString) names = g_string_new(NULL);
    g_autofree char *text = NULL;
    Error *err = NULL;
    LvmGroup *g = NULL;
    uint64_t start = part->start;

    if (im->groups->len < MAX_GROUPS) {
        g = lvm_read(read_pv, &pv, part->size, &err);
    }
    if (err) {
        text = g_strdup_printf("it is a volume of LVM's, but %s",
                               error_get_pretty(err));
        error_free(err);
        image_finding(&im->files, NULL, 0, text);
        return true;
    }
    if (!g) {
        return false;
    }
    g_ptr_array_add(im->groups, g);
    for (unsigned i = 0; i < g->volumes->len; i++) {
        LvmVolume *v = g->volumes->pdata[i];

        g_string_append_printf(names, "%s %s", i ? "," : "", v->name);
        if (v->why_not) {
            g_string_append_printf(names, " (%s: %s)", v->why_not,
                                   im->reader->grub ? "left to grub-fstest"
                                                    : "not looked into");
        }
        if ((!v->why_not || im->reader->grub) && im->nr_parts < MAX_PARTS) {
            im->parts[im->nr_parts++] = (Part) {
                .start = start, .size = v->size, .volume = v, .group = g,
            };
        }
    }
    text = g_strdup_printf("the volume group %s has%s", g->name,
                           g->volumes->len ? names->str : " no volumes");
    image_fact(&im->files, text);
    return true;
}

static void free_group(void *opaque)
{
    lvm_group_free(opaque);
}

/* Opens each file system, and keeps the ones of / and of /boot open */
static bool open_parts(Image *im, unsigned from, unsigned to, bool *lvm)
{
    bool any = false;

    for (unsigned i = from; i < to; i++) {
        Part *p = &im->parts[i];

        if ((!p->volume || !p->volume->why_not) && open_ext2(im, p)) {
            any = true;
        } else if (!p->volume && read_lvm(im, p)) {
            *lvm = true;
            continue;
        } else {
            name_other_fs(im, p);
            if (!open_by_grub(im, p)) {
                continue;
            }
            any = true;
        }
        if (p->has_root && !im->root) {
            im->root = p;
        } else if (p->has_boot && !im->boot) {
            im->boot = p;
        } else {
            close_fs(p);
        }
    }
    return any;
}

/*
 * Returns a feature of ext4 that makes PV GRUB 2.06 reject the file system,
 * though libext2fs reads it; or NULL.
 */
static const char *unread_feature(const struct ext2_super_block *sb)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        { EXT4_FEATURE_INCOMPAT_EA_INODE, "ea_inode" },
        { EXT4_FEATURE_INCOMPAT_INLINE_DATA, "inline_data" },
        { EXT4_FEATURE_INCOMPAT_CASEFOLD, "casefold" },
    };
    uint32_t unread = sb->s_feature_incompat & ~(uint32_t)(
        EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_RECOVER |
        EXT2_FEATURE_INCOMPAT_META_BG | EXT3_FEATURE_INCOMPAT_EXTENTS |
        EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_MMP |
        EXT4_FEATURE_INCOMPAT_FLEX_BG | EXT4_FEATURE_INCOMPAT_CSUM_SEED |
        EXT4_FEATURE_INCOMPAT_LARGEDIR | EXT4_FEATURE_INCOMPAT_ENCRYPT);

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        if (unread & names[i].bit) {
            return names[i].name;
        }
    }
    return unread ? "a feature that is not known here" :
           sb->s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC
           ? "bigalloc" : NULL;
}

/* Reports a menu on a file system that PV GRUB cannot read */
static void check_features(Image *im)
{
    const Part *part = im->boot ?: im->root;
    const char *feature = part->fs ? unread_feature(part->fs->super) : NULL;
    g_autofree char *text = NULL;

    if (feature) {
        text = g_strdup_printf("its file system has %s, with which PV GRUB does "
                               "not read it: it cannot boot by itself, but may "
                               "with a kernel on the host (-kernel)", feature);
        image_finding(&im->files, NULL, 0, text);
    }
}

/* Reports why nothing was found that boots */
static void tell_nothing(Image *im, bool any, bool lvm)
{
    g_autofree char *text = NULL;

    if (im->other_fs && im->reader->grub) {
        text = g_strdup_printf("its file system is %s, but not one that PV GRUB "
                               "reads: %s", im->other_fs,
                               im->why_other ?: "there is nothing in it");
    } else if (im->other_fs) {
        text = g_strdup_printf("its file system is %s, which PV GRUB reads, but "
                               "which is not looked into here: %s", im->other_fs,
                               im->reader->no_grub ?: "there is no grub-fstest");
    }
    image_finding(&im->files, NULL, 0, any ?
                  "its file systems have neither an /etc nor a /grub" :
                  text ?:
                  lvm ?
                  "none of its logical volumes has a file system of ext2, "
                  "ext3 or ext4 that can be looked into" :
                  "it has neither a file system of ext2, ext3 or ext4, nor "
                  "a partition with one");
}

static void look_into(Image *im)
{
    bool any, lvm = false;
    unsigned disk_parts;

    /* The image may be a single partition (xvda1), without a partition table */
    add_part(im, 0, im->size / SECTOR, 0, false);
    any = open_parts(im, 0, im->nr_parts, &lvm);
    disk_parts = 1;
    if (!any && !lvm) {
        im->nr_parts = 0;
        read_partitions(im);
        disk_parts = im->nr_parts;
        any = open_parts(im, 0, disk_parts, &lvm);
    }
    any |= open_parts(im, disk_parts, im->nr_parts, &lvm);
    if (im->root || im->boot) {
        check_features(im);
        rules_check(&im->files, im->root);
    } else if (!im->bad) {
        tell_nothing(im, any, lvm);
    }
    for (unsigned i = 0; i < im->nr_parts; i++) {
        close_fs(&im->parts[i]);
    }
    g_free(im->why_other);
}

void disk_check(const GuestDiskReader *reader)
{
    g_autofree Image *im = g_new0(Image, 1);

    im->reader = reader;
    im->size = reader->size;
    im->files = (GuestFiles) {
        .read = image_read, .list = image_list,
        .finding = image_finding, .fact = image_fact,
    };
    if (im->size < SECTOR) {
        image_finding(&im->files, NULL, 0, "it is too small for a disk");
        return;
    }
    im->groups = g_ptr_array_new_with_free_func(free_group);
    look_into(im);
    g_ptr_array_unref(im->groups);
}
