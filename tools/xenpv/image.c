/*
 * The disk in an image file, through QEMU's block layer
 *
 * check.c's child calls this after it gave up its rights. So format drivers use
 * our own driver for the one open file, not "file", which opens names, needs
 * ioctls and starts threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "block/block_int.h"
#include "crypto/init.h"
#include "system/block-backend.h"
#include "image.h"

#define DRIVER  "xenpv-image"
#define HEAD    512             /* bytes of a file that tell its format */

static int image_fd = -1;
static uint64_t image_size;
static BlockBackend *image_blk;

/* Reads zeros beyond the file's end */
static bool read_file(uint64_t offset, uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = RETRY_ON_EINTR(pread(image_fd, buf, len, offset));

        if (n < 0) {
            return false;
        }
        if (!n) {
            memset(buf, 0, len);
            return true;
        }
        offset += n;
        buf += n;
        len -= n;
    }
    return true;
}

static int driver_open(BlockDriverState *bs, QDict *options, int flags,
                       Error **errp)
{
    return 0;
}

static int64_t coroutine_fn driver_getlength(BlockDriverState *bs)
{
    return image_size;
}

static int coroutine_fn driver_preadv(BlockDriverState *bs, int64_t offset,
                                      int64_t bytes, QEMUIOVector *qiov,
                                      BdrvRequestFlags flags)
{
    for (int i = 0; i < qiov->niov; i++) {
        if (!read_file(offset, qiov->iov[i].iov_base, qiov->iov[i].iov_len)) {
            return -EIO;
        }
        offset += qiov->iov[i].iov_len;
    }
    return 0;
}

static BlockDriver image_driver = {
    .format_name = DRIVER,
    .protocol_name = DRIVER,
    .bdrv_open = driver_open,
    .bdrv_co_getlength = driver_getlength,
    .bdrv_co_preadv = driver_preadv,
};

static void register_driver(void)
{
    bdrv_register(&image_driver);
}
block_init(register_driver);

/* Recognizes the formats that Xen's tools know; the user has to name others */
static const char *format_of(const uint8_t *head)
{
    static const struct {
        const char *format, *magic;
    } formats[] = {
        { "qed", "QED" }, { "vmdk", "KDMV" }, { "vmdk", "COWD" },
        { "vmdk", "# Disk DescriptorFile" }, { "vpc", "conectix" },
        { "vhdx", "vhdxfile" },
    };

    if (!memcmp(head, "QFI\xfb", 4)) {
        return ldl_be_p(head + 4) == 1 ? "qcow" : "qcow2";
    }
    for (int i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!memcmp(head, formats[i].magic, strlen(formats[i].magic) +
                    !strcmp(formats[i].format, "qed"))) {
            return formats[i].format;
        }
    }
    return "raw";
}

/* Refuses an image in several files before the block layer opens the others */
static const char *is_one_of_several(const char *format, const uint8_t *head)
{
    if (!strcmp(format, "qcow2") && ldl_be_p(head + 4) >= 3 &&
        (ldq_be_p(head + 72) & (1 << 2))) {
        return "its data is in another file";
    }
    if (g_str_has_prefix(format, "qcow") && ldq_be_p(head + 8)) {
        return "it is based on another file";
    }
    if (!strcmp(format, "vmdk") && head[0] == '#') {
        return "its data is in other files";
    }
    return NULL;
}

void image_init(void)
{
    qcrypto_init(&error_fatal);
    module_call_init(MODULE_INIT_QOM);
    bdrv_init();
    qemu_init_main_loop(&error_fatal);
}

int64_t image_open(int fd, uint64_t size, const char *format, Error **errp)
{
    ERRP_GUARD();
    static const char advice[] = "no file is opened but the one that was named "
        "(for a disk that is raw, and only looks like this, see --format; else "
        "make one image of it by qemu-img convert)";
    QDict *options = qdict_new();
    uint8_t head[HEAD];
    const char *reason;
    int64_t length;

    image_fd = fd;
    image_size = size;
    if (!read_file(0, head, sizeof(head))) {
        error_setg(errp, "it cannot be read");
        qobject_unref(options);
        return -1;
    }
    format = format ?: format_of(head);
    reason = is_one_of_several(format, head);
    if (reason) {
        error_setg(errp, "it cannot be opened: as %s %s, and %s", format,
                   reason, advice);
        qobject_unref(options);
        return -1;
    }
    qdict_put_str(options, "driver", format);
    qdict_put_str(options, "file.driver", DRIVER);
    qdict_put_null(options, "backing");
    image_blk = blk_new_open(NULL, NULL, options, 0, errp);
    if (!image_blk) {
        error_prepend(errp, "it cannot be opened: ");
        return -1;
    }
    if (blk_bs(image_blk)->auto_backing_file[0]) {
        error_setg(errp, "it cannot be opened: as %s it is based on another "
                   "file, and %s", format, advice);
        return -1;
    }
    length = blk_getlength(image_blk);
    if (length < 0) {
        error_setg_errno(errp, -length, "it cannot be opened");
        return -1;
    }
    return length;
}

bool image_is_raw(void)
{
    return !strcmp(blk_bs(image_blk)->drv->format_name, "raw");
}

bool image_read(uint64_t offset, void *buf, uint64_t len)
{
    return blk_pread(image_blk, offset, len, buf, 0) >= 0;
}

void image_close(void)
{
    g_clear_pointer(&image_blk, blk_unref);
    image_fd = -1;
}
