/*
 * A look into a guest's disk images
 *
 * The image is opened by QEMU's block layer, read-only and shared, in whatever
 * format it is; partition tables are read here, LVM's metadata in lvm.c, file
 * systems by libext2fs on top of the block layer. What the files mean is in
 * rules.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "block/block.h"
#include "crypto/init.h"
#include "system/block-backend.h"
#include <ext2fs/ext2fs.h>
#include "check.h"
#include "lvm.h"
#include "rules.h"

#define SECTOR          512
#define MAX_PARTS       128
#define MAX_FILE        (256 * 1024 * 1024)

typedef struct Part {
    uint64_t start, size;       /* bytes */
    unsigned number;            /* 0: the whole disk */
    const LvmVolume *volume;    /* not NULL: one on the physical volume there */
    ext2_filsys fs;
    bool has_root, has_boot;
} Part;

typedef struct Image {
    GuestFiles files;
    const char *name;
    BlockBackend *blk;
    uint64_t size;
    Part parts[MAX_PARTS];
    unsigned nr_parts;
    Part *root, *boot;          /* boot: if /boot is a file system of its own */
    GPtrArray *groups;          /* of LvmGroup */
    bool bad, unknown_fs;
} Image;

static bool read_at(Image *im, uint64_t offset, void *buf, uint64_t len)
{
    return offset <= im->size && len <= im->size - offset &&
           blk_pread(im->blk, offset, len, buf, 0) >= 0;
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

/* --- libext2fs on a BlockBackend ----------------------------------------- */

/* Its open() gets a name only, so this says which disk and which part of it */
static Image *io_image;
static Part *io_part;

typedef struct Io {
    Image *image;
    Part *part;
} Io;

static errcode_t io_open(const char *name, int flags, io_channel *channel)
{
    io_channel io = g_new0(struct struct_io_channel, 1);
    Io *data = g_new0(Io, 1);

    data->image = io_image;
    data->part = io_part;
    io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    io->manager = NULL;
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
    /* A negative count is one of bytes */
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
    .name = "QEMU's block layer",
    .open = io_open,
    .close = io_close,
    .set_blksize = io_set_blksize,
    .read_blk = io_read,
    .read_blk64 = io_read64,
    .write_blk = io_write,
    .flush = io_flush,
};

static errcode_t io_open_managed(const char *name, int flags,
                                 io_channel *channel)
{
    errcode_t err = io_open(name, flags, channel);

    if (!err) {
        (*channel)->manager = &block_io_manager;
    }
    return err;
}

/* --- Files --------------------------------------------------------------- */

static char *read_from(Part *part, const char *path, size_t *len)
{
    ext2_ino_t ino;
    ext2_file_t file;
    struct ext2_inode inode;
    g_autofree char *data = NULL;
    unsigned got = 0;
    uint64_t size;

    if (!part || !part->fs ||
        ext2fs_namei_follow(part->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path,
                            &ino) ||
        ext2fs_read_inode(part->fs, ino, &inode) ||
        !LINUX_S_ISREG(inode.i_mode) ||
        ext2fs_file_open(part->fs, ino, 0, &file)) {
        return NULL;
    }
    size = EXT2_I_SIZE(&inode);
    if (size <= MAX_FILE) {
        data = g_malloc(size + 1);
        if (ext2fs_file_read(file, data, size, &got)) {
            g_clear_pointer(&data, g_free);
        }
    }
    ext2fs_file_close(file);
    if (data) {
        data[got] = 0;
        *len = got;
    }
    return g_steal_pointer(&data);
}

static char *image_read(GuestFiles *f, const char *path, size_t *len)
{
    Image *im = container_of(f, Image, files);
    char *data = NULL;

    if (im->boot && g_str_has_prefix(path, "/boot/")) {
        data = read_from(im->boot, path + strlen("/boot"), len);
    }
    return data ?: read_from(im->root, path, len);
}

typedef struct Listing {
    void (*fn)(void *opaque, const char *name);
    void *opaque;
} Listing;

static int list_entry(struct ext2_dir_entry *entry, int offset, int blocksize,
                      char *buf, void *opaque)
{
    Listing *l = opaque;
    g_autofree char *name = g_strndup(entry->name,
                                      ext2fs_dirent_name_len(entry));

    l->fn(l->opaque, name);
    return 0;
}

static void image_list(GuestFiles *f, const char *path,
                       void (*fn)(void *opaque, const char *name), void *opaque)
{
    Image *im = container_of(f, Image, files);
    Listing l = { fn, opaque };
    ext2_ino_t ino;

    if (im->root &&
        !ext2fs_namei_follow(im->root->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path,
                             &ino)) {
        ext2fs_dir_iterate(im->root->fs, ino, 0, NULL, list_entry, &l);
    }
}

/* One line each, whatever a file of the guest's is called */
static void tell(FILE *to, const char *prefix, const char *text)
{
    g_autofree char *line = g_strescape(text, NULL);

    fprintf(to, "%s%s\n", prefix, g_utf8_validate(text, -1, NULL) &&
            !strpbrk(text, "\n\r\033") ? text : line);
}

static void image_finding(GuestFiles *f, const char *path, int line,
                          const char *reason)
{
    Image *im = container_of(f, Image, files);
    g_autofree char *prefix = g_strdup_printf("%s:%d: ", im->name, line);
    g_autofree char *text = g_strdup_printf("%s%s%s", path ?: "",
                                            path ? ": " : "", reason);

    im->bad = true;
    tell(stderr, prefix, text);
}

static void image_fact(GuestFiles *f, const char *text)
{
    Image *im = container_of(f, Image, files);
    g_autofree char *prefix = g_strdup_printf("%s: ", im->name);

    tell(stdout, prefix, text);
}

/* --- Partitions ---------------------------------------------------------- */

static void add_part(Image *im, uint64_t first, uint64_t count, unsigned number)
{
    uint64_t start = first * SECTOR;

    if (im->nr_parts < MAX_PARTS && count && first < im->size / SECTOR) {
        im->parts[im->nr_parts++] = (Part) {
            .start = start, .number = number,
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
    count = MIN(ldl_le_p(header + 80), MAX_PARTS);
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
            add_part(im, first, last - first + 1, i + 1);
        }
    }
}

static void read_logical(Image *im, uint64_t extended)
{
    uint64_t at = extended;
    uint8_t sector[SECTOR];

    /* A chain that never ends is cut off */
    for (unsigned number = 5; number < 64; number++) {
        const uint8_t *e = sector + 446;

        if (!read_at(im, at * SECTOR, sector, SECTOR) ||
            lduw_le_p(sector + 510) != 0xaa55) {
            return;
        }
        add_part(im, at + ldl_le_p(e + 8), ldl_le_p(e + 12), number);
        if (!ldl_le_p(e + 16 + 8)) {
            return;
        }
        at = extended + ldl_le_p(e + 16 + 8);
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
        uint32_t first = ldl_le_p(e + 8);

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
            add_part(im, first, ldl_le_p(e + 12), i + 1);
        }
    }
}

/* --- File systems -------------------------------------------------------- */

static bool has(Part *part, const char *path)
{
    ext2_ino_t ino;

    return !ext2fs_namei(part->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino);
}

static bool open_fs(Image *im, Part *part)
{
    uint8_t magic[4];

    io_image = im;
    io_part = part;
    if (part->size >= 4096 &&
        !ext2fs_open("part", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES,
                     0, 0, &block_io_manager, &part->fs)) {
        part->has_root = has(part, "/etc");
        part->has_boot = !part->has_root &&
                         (has(part, "/grub") || has(part, "/grub2"));
        return true;
    }
    part->fs = NULL;
    if (read_part(im, part, 0, magic, sizeof(magic)) && !memcmp(magic, "XFSB", 4)) {
        im->unknown_fs = true;
    }
    return false;
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

/* The logical volumes on a part that is a physical one; false if it is none */
static bool read_lvm(Image *im, const Part *part)
{
    PhysicalVolume pv = { im, part };
    g_autoptr(GString) names = g_string_new(NULL);
    g_autofree char *text = NULL;
    Error *err = NULL;
    LvmGroup *g = lvm_read(read_pv, &pv, part->size, &err);
    uint64_t start = part->start;

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
            g_string_append_printf(names, " (%s: not looked into)", v->why_not);
        } else if (im->nr_parts < MAX_PARTS) {
            im->parts[im->nr_parts++] = (Part) {
                .start = start, .size = v->size, .volume = v,
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

static void look_into(Image *im)
{
    bool any = false, lvm = false;
    unsigned disk_parts;

    im->groups = g_ptr_array_new_with_free_func(free_group);
    /* A volume that is handed over as a partition has no table */
    add_part(im, 0, im->size / SECTOR, 0);
    if (im->nr_parts && open_fs(im, &im->parts[0])) {
        any = true;
    } else if (im->nr_parts && read_lvm(im, &im->parts[0])) {
        lvm = true;
    } else {
        im->nr_parts = 0;
        read_partitions(im);
        disk_parts = im->nr_parts;
        for (unsigned i = 0; i < disk_parts; i++) {
            if (open_fs(im, &im->parts[i])) {
                any = true;
            } else if (read_lvm(im, &im->parts[i])) {
                lvm = true;
            }
        }
    }
    for (unsigned i = 0; i < im->nr_parts; i++) {
        Part *p = &im->parts[i];

        if (p->volume && open_fs(im, p)) {
            any = true;
        }
        if (p->fs && p->has_root && !im->root) {
            im->root = p;
        } else if (p->fs && p->has_boot && !im->boot) {
            im->boot = p;
        }
    }
    if (im->root || im->boot) {
        rules_check(&im->files, im->root);
    } else if (!im->bad) {
        image_finding(&im->files, NULL, 0, any ?
                      "its file systems have neither an /etc nor a /grub" :
                      im->unknown_fs ?
                      "its file system is not one that can be looked into" :
                      lvm ?
                      "none of its logical volumes has a file system of ext2, "
                      "ext3 or ext4 that can be looked into" :
                      "it has neither a file system of ext2, ext3 or ext4, nor "
                      "a partition with one");
    }
    for (unsigned i = 0; i < im->nr_parts; i++) {
        if (im->parts[i].fs) {
            ext2fs_close_free(&im->parts[i].fs);
        }
    }
    g_ptr_array_unref(im->groups);
}

/* --- Images -------------------------------------------------------------- */

static bool check_image(const char *name, const char *format)
{
    g_autofree Image *im = g_new0(Image, 1);
    QDict *options = qdict_new();
    Error *err = NULL;
    struct stat st;
    int64_t size;

    im->name = name;
    im->files = (GuestFiles) {
        .read = image_read, .list = image_list,
        .finding = image_finding, .fact = image_fact,
    };
    if (stat(name, &st) < 0) {
        g_autofree char *text = g_strdup_printf("it cannot be opened: %s",
                                                strerror(errno));

        image_finding(&im->files, NULL, 0, text);
        qobject_unref(options);
        return false;
    }
    /* A name is a file's, never a URL or one of QEMU's own protocols */
    qdict_put_str(options, "file.driver",
                  S_ISBLK(st.st_mode) ? "host_device" : "file");
    qdict_put_str(options, "file.filename", name);
    qdict_put_str(options, BDRV_OPT_FORCE_SHARE, "on");
    if (format) {
        qdict_put_str(options, "driver", format);
    }
    im->blk = blk_new_open(NULL, NULL, options, 0, &err);
    if (!im->blk) {
        g_autofree char *text = g_strdup_printf("it cannot be opened: %s",
                                                error_get_pretty(err));

        error_free(err);
        image_finding(&im->files, NULL, 0, text);
        return false;
    }
    size = blk_getlength(im->blk);
    if (size < SECTOR) {
        image_finding(&im->files, NULL, 0, "it is too small for a disk");
    } else {
        im->size = size;
        look_into(im);
    }
    blk_unref(im->blk);
    return !im->bad;
}

int check_images(char **images, const char *format)
{
    bool good = true;

    qcrypto_init(&error_fatal);
    module_call_init(MODULE_INIT_QOM);
    bdrv_init();
    qemu_init_main_loop(&error_fatal);
    block_io_manager.open = io_open_managed;
    for (; *images; images++) {
        if (check_image(*images, format)) {
            printf("%s: nothing found that would keep it from booting\n",
                   *images);
        } else {
            good = false;
        }
    }
    bdrv_close_all();
    return good ? 0 : 1;
}
