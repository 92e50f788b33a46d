/*
 * Fuzz target: LVM's metadata, as its text and on a physical volume
 *
 * A fault here looks for a guest's files outside its volume, or crashes
 * xenpv-convert, which an administrator runs on a stranger's disk.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <zlib.h>
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "fuzz.h"
#include "../../tools/xenpv/lvm.h"

#define PV_UUID "abcdefghijklmnopqrstuvwxyzABCDEF"

static bool read_input(void *opaque, uint64_t offset, void *buf, size_t len)
{
    FuzzInput *in = opaque;

    if (offset > in->len || len > in->len - offset) {
        return false;
    }
    memcpy(buf, in->data + offset, len);
    return true;
}

static uint32_t lvm_crc(const uint8_t *p, size_t len)
{
    return ~crc32(~0xf597a6cfU, p, len);
}

/*
 * Make the sums right, which no fuzzer would guess: of the label, of the header
 * of the area that it names, and of the text there
 */
static void mend_area(uint8_t *disk, size_t len, uint64_t start, uint64_t size)
{
    uint8_t *header = disk + start;
    uint64_t offset, bytes, first;
    uint32_t crc;

    if (start > len || len - start < 512) {
        return;
    }
    size = MIN(size, len - start);
    offset = ldq_le_p(header + 40);
    bytes = ldq_le_p(header + 48);
    if (size > 512 && offset < size && bytes < size - 512) {
        first = MIN(bytes, size - offset);
        crc = crc32(~0xf597a6cfU, header + offset, first);
        crc = ~crc32(crc, header + 512, bytes - first);
        stl_le_p(header + 56, crc);
    }
    stl_le_p(header, lvm_crc(header + 4, 508));
}

static void mend(uint8_t *disk, size_t len)
{
    for (unsigned i = 0; i < 4 && (i + 1) * 512 <= len; i++) {
        uint8_t *sector = disk + i * 512;
        uint32_t at = ldl_le_p(sector + 20);

        if (memcmp(sector, "LABELONE", 8)) {
            continue;
        }
        stl_le_p(sector + 16, lvm_crc(sector + 20, 492));
        for (at += 40; at < 480 && ldq_le_p(sector + at); at += 16) {
        }
        if (at < 480) {
            mend_area(disk, len, ldq_le_p(sector + at + 16),
                      ldq_le_p(sector + at + 24));
        }
    }
}

static void check_group(const LvmGroup *g, uint64_t size)
{
    assert(g->name);
    for (unsigned i = 0; i < g->volumes->len; i++) {
        const LvmVolume *v = g->volumes->pdata[i];
        uint64_t at = 0, place, len;

        assert(v->name);
        for (unsigned j = 0; j < v->nr_runs; j++) {
            const LvmRun *r = &v->runs[j];

            assert(r->start == at);
            assert(r->place <= size && r->size <= size - r->place);
            assert(lvm_place(v, at, &place, &len));
            assert(place == r->place && len == r->size);
            at += r->size;
        }
        assert(v->why_not || at == v->size);
        assert(!lvm_place(v, v->size, &place, &len));
    }
}

static void one(FuzzInput *in)
{
    uint8_t how = fuzz_take(in, 1);
    bool text = how & 1;
    uint64_t size = text ? fuzz_take(in, 5) : in->len;
    Error *err = NULL;
    g_autoptr(LvmGroup) g = NULL;

    if (text) {
        g_autofree char *copy = g_strndup((const char *)in->data, in->len);

        g = lvm_parse(copy, in->len, PV_UUID, size, &err);
        assert(!g == !!err);
    } else {
        g_autofree uint8_t *disk = g_memdup2(in->data, in->len);
        FuzzInput mended = { disk, in->len };

        if (how & 2) {
            mend(disk, in->len);
        }
        g = lvm_read(read_input, &mended, size, &err);
        assert(!g || !err);
    }
    error_free(err);
    if (g) {
        check_group(g, size);
    }
}

static const FuzzTarget lvm_target = { .name = "lvm", .one = one };
FUZZ_TARGET(lvm_target)
