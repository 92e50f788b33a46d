/*
 * Fuzz target: image files, as xenpv-convert --check opens them
 *
 * An input says of which format the file is (by its content, if it says
 * none), its size, and pieces of it with zeros between, as in disk.c; then
 * the disk in it is read here and there. A fault here is an image by which a
 * stranger takes over, in spite of what image.c leaves out, the process that
 * looks into it, or keeps it busy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "machine.h"
#include "../../tools/xenpv/image.h"

#define SECTOR      512
#define MAX_SIZE    (32 * 1024 * 1024)
#define MAX_READS   8
#define READ_SIZE   (64 * 1024)

static int fd;

/* For the block layer only */
static void init(void)
{
    static const char *const options[] = { "-M", "none", NULL };

    fuzz_machine_start(options);
    fd = memfd_create("image", 0);
    assert(fd >= 0);
}

static void fill(FuzzInput *in, uint64_t size)
{
    int ret = ftruncate(fd, 0);

    assert(!ret);
    while (in->len) {
        uint64_t at = fuzz_take(in, 4) % MAX_SIZE;
        size_t len = fuzz_take(in, 2);
        const uint8_t *data = fuzz_take_bytes(in, &len);

        if (at < size) {
            len = MIN(len, size - at);
            assert(pwrite(fd, data, len, at) == len);
        }
    }
}

static void one(FuzzInput *in)
{
    /* Others are not built; some have to be named to be told from raw */
    static const char *const formats[] = { NULL, "raw", "qcow2", "luks" };
    static uint8_t buf[READ_SIZE];
    const char *format = formats[fuzz_take(in, 1) % ARRAY_SIZE(formats)];
    uint64_t size = fuzz_take(in, 2) * SECTOR, places[MAX_READS];
    Error *err = NULL;
    int64_t length;

    for (unsigned i = 0; i < MAX_READS; i++) {
        places[i] = fuzz_take(in, 2);
    }
    fill(in, size);
    length = image_open(fd, size, format, &err);
    assert((length < 0) == !!err);
    error_free(err);
    for (unsigned i = 0; i < MAX_READS && length > 0; i++) {
        /* So many parts in 65536 of it */
        uint64_t at = (length >> 16) * places[i] +
                      ((length & 0xffff) * places[i] >> 16);

        image_read(at, buf, MIN(READ_SIZE, length - at));
    }
    image_close();
}

static const FuzzTarget image_target = {
    .name = "image", .init = init, .one = one,
};
FUZZ_TARGET(image_target)
