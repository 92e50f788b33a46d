/*
 * Fuzz target: a look into a disk: its partitions, file systems and files
 *
 * An input is a disk that is mostly zeros: its size in sectors, and then pieces,
 * each with its place, its length and its bytes. A fault here is a disk by which
 * a stranger crashes what an administrator looks into it with, or keeps it busy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "fuzz.h"
#include "hw/xenpv/xenpv-text.h"
#include "../../tools/xenpv/disk.h"

#define SECTOR      512
#define MAX_SIZE    (4 * 1024 * 1024)

static bool read_disk(void *opaque, uint64_t offset, void *buf, uint64_t len)
{
    memcpy(buf, (const uint8_t *)opaque + offset, len);
    return true;
}

static void finding(void *opaque, int line, const char *text)
{
    g_autofree char *plain = xenpv_text_line(text);

    assert(line >= 0 && *plain);
}

static void fact(void *opaque, const char *text)
{
    finding(opaque, 0, text);
}

/* The disk as long as it is asked about */
static size_t grub_size;

/* GRUB's readers say what is somewhere on the disk, which is anything */
static char *ask_grub(void *opaque, GrubOp op, const char *device,
                      const char *path, size_t max, size_t *len, char **why)
{
    size_t at = (g_str_hash(path) ^ g_str_hash(device)) % grub_size;
    size_t there = MIN(grub_size - at, op == GRUB_LS ? 64 : 512);
    char *text = NULL;

    assert(path[0] == '/' && device[0]);
    if (why) {
        *why = g_strndup((char *)opaque + at, there);
    }
    *len = there;
    if (there <= max && op != GRUB_WHY) {
        text = g_malloc0(there + 1);
        memcpy(text, (char *)opaque + at, there);
    }
    return text;
}

static void one(FuzzInput *in)
{
    size_t size = fuzz_take(in, 2) * SECTOR % MAX_SIZE;
    g_autofree uint8_t *disk = g_malloc0(size + 1);
    GuestDiskReader reader = {
        .size = size, .read = read_disk, .finding = finding, .fact = fact,
        .opaque = disk,
    };

    while (in->len) {
        uint64_t at = fuzz_take(in, 3);
        size_t len = fuzz_take(in, 2);
        const uint8_t *data = fuzz_take_bytes(in, &len);

        if (at < size) {
            memcpy(disk + at, data, MIN(len, size - at));
        }
    }
    if (disk[0] == 'G') {
        grub_size = size;
        reader.grub = ask_grub;
    }
    disk_check(&reader);
}

static const FuzzTarget disk_target = { .name = "disk", .one = one };
FUZZ_TARGET(disk_target)
