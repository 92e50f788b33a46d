/*
 * Read files, and unpack what is compressed
 *
 * For the domain builder (see xenpv-domain-builder.h), and for xenpv-convert
 * --check, which looks into initrds of unknown origin: nothing in the input is
 * trusted. Each format is unpacked by its library. The caller limits the size
 * of a file and of its output; the limits below are for time, and for the
 * memory that a decoder takes for itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <bzlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <zlib.h>
#include <zstd.h>

#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/xenpv/xenpv-domain-builder.h"

/* The memory that a decompressor may take for itself */
#define MAX_DECODER_MEMORY  (256 * MiB)
/* Compressed streams in a row: 512 MiB in blocks of 64 KiB have 8192 */
#define MAX_STREAMS         65536
/*
 * Compressed data may be larger than its output, but only by about a percent,
 * if that cannot be compressed. Input that is further ahead consists of empty
 * streams or blocks, of which a file can have a hundred million.
 */
#define MAX_INPUT_AHEAD     (16 * MiB)

/* ------------------------------------------------------------------------ */
/* Reading files                                                            */

uint8_t *xenpv_file_load(const char *filename, uint64_t max, size_t *len,
                         Error **errp)
{
    g_autofree uint8_t *buf = NULL;
    struct stat st;
    size_t size = 1 * MiB;
    size_t used = 0;
    int fd;

    fd = qemu_open(filename, O_RDONLY | O_BINARY, errp);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            error_setg(errp, "Could not read '%s': it is a directory",
                       filename);
            goto fail;
        }
        if (S_ISREG(st.st_mode) && st.st_size >= 0) {
            if ((uint64_t)st.st_size > max) {
                goto too_large;
            }
            /* One more byte, so that the end is seen without growing */
            size = (size_t)st.st_size + 1;
        }
    }
    buf = g_try_malloc(size);
    while (buf) {
        ssize_t n = read(fd, buf + used, size - used);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            error_setg_errno(errp, errno, "Could not read '%s'", filename);
            goto fail;
        }
        if (n == 0) {
            close(fd);
            *len = used;
            return g_steal_pointer(&buf);
        }
        used += n;
        if (used > max) {
            goto too_large;
        }
        if (used == size) {
            uint8_t *bigger;

            size += MIN(size, max - used + 1);
            bigger = g_try_realloc(buf, size);
            if (!bigger) {
                break;
            }
            buf = bigger;
        }
    }
    error_setg(errp, "Could not read '%s': not enough memory", filename);
    goto fail;

too_large:
    error_setg(errp, "Could not read '%s': it is larger than %" PRIu64 " bytes",
               filename, max);
fail:
    close(fd);
    return NULL;
}

/* ------------------------------------------------------------------------ */
/* Decompression                                                            */

/* What a decompressor writes to; it grows up to .max + 1 bytes */
typedef struct Output {
    uint8_t *buf;
    size_t len;         /* filled */
    size_t size;        /* allocated */
    uint64_t max;
    size_t taken;       /* input bytes of the streams before this one */
} Output;

/*
 * Make room for @want more bytes, or for as many as are allowed (at least 1),
 * when @pos bytes of the stream's input have been used.
 * One byte beyond .max may be filled: this shows whether a decompressor that
 * has reached .max was at its end.
 */
static bool output_reserve(Output *out, size_t pos, size_t want, Error **errp)
{
    uint64_t limit = out->max + 1;
    uint64_t size;
    uint8_t *bigger;

    if (out->len > out->max) {
        error_setg(errp, "unpacks to more than %" PRIu64 " bytes", out->max);
        return false;
    }
    if (out->taken + pos > out->len + MAX_INPUT_AHEAD) {
        error_setg(errp, "it is mostly empty: %zu bytes of it unpack to %zu",
                   out->taken + pos, out->len);
        return false;
    }
    if (out->size - out->len >= want) {
        return true;
    }
    size = MAX((uint64_t)out->size * 2, (uint64_t)out->len + want);
    size = MIN(size, limit);
    if (size > out->size) {
        bigger = g_try_realloc(out->buf, size);
        if (!bigger) {
            error_setg(errp, "not enough memory to unpack it");
            return false;
        }
        out->buf = bigger;
        out->size = size;
    }
    return true;
}

/* The most that one call of a library gets: limits are checked in between */
#define OUTPUT_STEP (1 * MiB)
#define INPUT_STEP  (1 * MiB)

static bool unpack_gzip(const uint8_t *in, size_t len, size_t *used,
                        bool trailer, Output *out, Error **errp)
{
    z_stream s = { 0 };
    size_t pos = 0;
    bool ok = false;
    int ret;

    if (inflateInit2(&s, MAX_WBITS + 16) != Z_OK) {
        error_setg(errp, "zlib does not start");
        return false;
    }
    do {
        size_t n = MIN(len - pos, INPUT_STEP);

        if (!output_reserve(out, pos, OUTPUT_STEP, errp)) {
            goto out;
        }
        s.next_in = (uint8_t *)in + pos;
        s.avail_in = n;
        s.next_out = out->buf + out->len;
        s.avail_out = out->size - out->len;
        ret = inflate(&s, Z_NO_FLUSH);
        out->len = out->size - s.avail_out;
        pos += n - s.avail_in;
    } while (ret == Z_OK && (pos < len || s.avail_out == 0));

    if (ret == Z_STREAM_END) {
        *used = pos;
        ok = true;
    } else if (ret == Z_OK || ret == Z_BUF_ERROR) {
        error_setg(errp, "gzip: it is truncated");
    } else {
        error_setg(errp, "gzip: %s", s.msg ?: "it is damaged");
    }
out:
    inflateEnd(&s);
    return ok;
}

static bool unpack_bzip2(const uint8_t *in, size_t len, size_t *used,
                         bool trailer, Output *out, Error **errp)
{
    bz_stream s = { 0 };
    size_t pos = 0;
    bool ok = false;
    int ret;

    if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK) {
        error_setg(errp, "libbz2 does not start");
        return false;
    }
    do {
        size_t n = MIN(len - pos, INPUT_STEP);

        if (!output_reserve(out, pos, OUTPUT_STEP, errp)) {
            goto out;
        }
        s.next_in = (char *)in + pos;
        s.avail_in = n;
        s.next_out = (char *)out->buf + out->len;
        s.avail_out = out->size - out->len;
        ret = BZ2_bzDecompress(&s);
        out->len = out->size - s.avail_out;
        pos += n - s.avail_in;
    } while (ret == BZ_OK && (pos < len || s.avail_out == 0));

    if (ret == BZ_STREAM_END) {
        *used = pos;
        ok = true;
    } else {
        error_setg(errp, "bzip2: it is %s",
                   ret == BZ_OK ? "truncated" : "damaged");
    }
out:
    BZ2_bzDecompressEnd(&s);
    return ok;
}

static bool unpack_liblzma(lzma_stream *s, const char *name, const uint8_t *in,
                           size_t len, size_t *used, Output *out, Error **errp)
{
    size_t pos = 0;
    bool ok = false;
    lzma_ret ret;

    do {
        size_t n = MIN(len - pos, INPUT_STEP);

        if (!output_reserve(out, pos, OUTPUT_STEP, errp)) {
            goto out;
        }
        s->next_in = in + pos;
        s->avail_in = n;
        s->next_out = out->buf + out->len;
        s->avail_out = out->size - out->len;
        ret = lzma_code(s, LZMA_RUN);
        out->len = out->size - s->avail_out;
        pos += n - s->avail_in;
    } while (ret == LZMA_OK);

    switch (ret) {
    case LZMA_STREAM_END:
        *used = pos;
        ok = true;
        break;
    case LZMA_BUF_ERROR:
        error_setg(errp, "%s: it is truncated", name);
        break;
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR:
        error_setg(errp, "%s: it takes too much memory to unpack", name);
        break;
    case LZMA_OPTIONS_ERROR:
        error_setg(errp, "%s: it uses features that liblzma lacks", name);
        break;
    default:
        error_setg(errp, "%s: it is damaged", name);
        break;
    }
out:
    lzma_end(s);
    return ok;
}

static bool unpack_xz(const uint8_t *in, size_t len, size_t *used,
                      bool trailer, Output *out, Error **errp)
{
    lzma_stream s = LZMA_STREAM_INIT;

    if (lzma_stream_decoder(&s, MAX_DECODER_MEMORY, 0) != LZMA_OK) {
        error_setg(errp, "liblzma does not start");
        return false;
    }
    return unpack_liblzma(&s, "xz", in, len, used, out, errp);
}

static bool unpack_lzma(const uint8_t *in, size_t len, size_t *used,
                        bool trailer, Output *out, Error **errp)
{
    lzma_stream s = LZMA_STREAM_INIT;

    if (lzma_alone_decoder(&s, MAX_DECODER_MEMORY) != LZMA_OK) {
        error_setg(errp, "liblzma does not start");
        return false;
    }
    return unpack_liblzma(&s, "lzma", in, len, used, out, errp);
}

static bool unpack_zstd(const uint8_t *in, size_t len, size_t *used,
                        bool trailer, Output *out, Error **errp)
{
    ZSTD_DStream *s = ZSTD_createDStream();
    ZSTD_inBuffer ib = { .src = in };
    bool ok = false;
    size_t ret;

    if (!s) {
        error_setg(errp, "libzstd does not start");
        return false;
    }
    do {
        ZSTD_outBuffer ob;

        if (!output_reserve(out, ib.pos, OUTPUT_STEP, errp)) {
            goto out;
        }
        ib.size = MIN(len, ib.pos + INPUT_STEP);
        ob.dst = out->buf;
        ob.size = out->size;
        ob.pos = out->len;
        ret = ZSTD_decompressStream(s, &ob, &ib);
        out->len = ob.pos;
    } while (!ZSTD_isError(ret) && ret != 0 &&
             (ib.pos < len || out->len == out->size));

    if (ret == 0) {
        *used = ib.pos;
        ok = true;
    } else if (ZSTD_isError(ret)) {
        error_setg(errp, "zstd: %s", ZSTD_getErrorName(ret));
    } else {
        error_setg(errp, "zstd: it is truncated");
    }
out:
    ZSTD_freeDStream(s);
    return ok;
}

/* The format of lz4 -l, which Linux's build uses: blocks with their sizes */
#define LZ4_LEGACY_MAGIC    0x184c2102
#define LZ4_LEGACY_BLOCK    (8 * MiB)

static bool unpack_lz4_legacy(const uint8_t *in, size_t len, size_t *used,
                              bool trailer, Output *out, Error **errp)
{
    /* Only the size tells a block from the trailer after the last one */
    size_t end = trailer ? len - 4 : len;
    size_t pos = 4;

    while (pos < end) {
        uint32_t block;
        int n;

        if (end - pos < 4) {
            error_setg(errp, "lz4: it is truncated");
            return false;
        }
        block = ldl_le_p(in + pos);
        pos += 4;
        if (block == LZ4_LEGACY_MAGIC) {
            continue;
        }
        if (block > end - pos) {
            error_setg(errp, "lz4: it is truncated");
            return false;
        }
        if (block > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK)) {
            error_setg(errp, "lz4: it is damaged");
            return false;
        }
        if (!output_reserve(out, pos, LZ4_LEGACY_BLOCK, errp)) {
            return false;
        }
        n = LZ4_decompress_safe((const char *)in + pos,
                                (char *)out->buf + out->len, block,
                                MIN(out->size - out->len, LZ4_LEGACY_BLOCK));
        if (n < 0) {
            if (out->size - out->len < LZ4_LEGACY_BLOCK) {
                error_setg(errp, "lz4: it is damaged, or unpacks to more than "
                           "%" PRIu64 " bytes", out->max);
            } else {
                error_setg(errp, "lz4: it is damaged");
            }
            return false;
        }
        out->len += n;
        pos += block;
    }
    *used = pos;
    return true;
}

static bool unpack_lz4_frame(const uint8_t *in, size_t len, size_t *used,
                             bool trailer, Output *out, Error **errp)
{
    LZ4F_dctx *s;
    size_t pos = 0;
    bool ok = false;
    size_t ret;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&s, LZ4F_VERSION))) {
        error_setg(errp, "liblz4 does not start");
        return false;
    }
    do {
        size_t n_in = MIN(len - pos, INPUT_STEP);
        size_t n_out;

        if (!output_reserve(out, pos, OUTPUT_STEP, errp)) {
            goto out;
        }
        n_out = out->size - out->len;
        ret = LZ4F_decompress(s, out->buf + out->len, &n_out, in + pos, &n_in,
                              NULL);
        if (LZ4F_isError(ret)) {
            error_setg(errp, "lz4: %s", LZ4F_getErrorName(ret));
            goto out;
        }
        out->len += n_out;
        pos += n_in;
    } while (ret != 0 && (pos < len || out->len == out->size));

    if (ret == 0) {
        *used = pos;
        ok = true;
    } else {
        error_setg(errp, "lz4: it is truncated");
    }
out:
    LZ4F_freeDecompressionContext(s);
    return ok;
}

/* The file format of lzop: a header, then blocks, all in big-endian */
#define LZOP_ADLER32_D      0x00000001
#define LZOP_ADLER32_C      0x00000002
#define LZOP_EXTRA_FIELD    0x00000040
#define LZOP_CRC32_D        0x00000100
#define LZOP_CRC32_C        0x00000200
#define LZOP_FILTER         0x00000800
#define LZOP_VERSION_LEVEL  0x0940
#define LZOP_MAX_BLOCK      (64 * MiB)

typedef struct LzopReader {
    const uint8_t *in;
    size_t left;
    bool truncated;
} LzopReader;

static const uint8_t *lzop_skip(LzopReader *r, size_t n)
{
    const uint8_t *p = r->in;

    if (r->truncated || r->left < n) {
        r->truncated = true;
        return NULL;
    }
    r->in += n;
    r->left -= n;
    return p;
}

/* A big-endian number; 0 once the data is at its end */
static uint32_t lzop_get(LzopReader *r, size_t n)
{
    const uint8_t *p = lzop_skip(r, n);

    return p ? ldn_be_p(p, n) : 0;
}

static uint32_t lzop_header(LzopReader *r, Error **errp)
{
    uint32_t version, flags, method;

    lzop_skip(r, 9);                        /* magic */
    version = lzop_get(r, 2);
    lzop_skip(r, 2);                        /* the library's version */
    if (version >= LZOP_VERSION_LEVEL) {
        lzop_skip(r, 2);                    /* needed to extract */
    }
    method = lzop_get(r, 1);
    if (version >= LZOP_VERSION_LEVEL) {
        lzop_skip(r, 1);                    /* level */
    }
    flags = lzop_get(r, 4);
    if (flags & LZOP_FILTER) {
        lzop_skip(r, 4);
    }
    lzop_skip(r, 8);                        /* mode, mtime */
    if (version >= LZOP_VERSION_LEVEL) {
        lzop_skip(r, 4);                    /* mtime, high half */
    }
    lzop_skip(r, lzop_get(r, 1));           /* name */
    lzop_skip(r, 4);                        /* checksum */
    if (flags & LZOP_EXTRA_FIELD) {
        lzop_skip(r, lzop_get(r, 4));
        lzop_skip(r, 4);
    }
    if (r->truncated) {
        error_setg(errp, "lzo: it is truncated");
    } else if (method < 1 || method > 3 || (flags & LZOP_FILTER)) {
        error_setg(errp, "lzo: it uses features that liblzo2 lacks");
        r->truncated = true;
    }
    return flags;
}

static bool unpack_lzop(const uint8_t *in, size_t len, size_t *used,
                        bool trailer, Output *out, Error **errp)
{
    LzopReader r = { .in = in, .left = len };
    uint32_t flags = lzop_header(&r, errp);

    if (r.truncated) {
        return false;
    }
    while (true) {
        uint32_t out_len = lzop_get(&r, 4);
        uint32_t in_len, adler = 0, crc = 0;
        const uint8_t *data;
        lzo_uint n = out_len;

        if (r.truncated) {
            break;
        }
        if (out_len == 0) {
            *used = r.in - in;
            return true;
        }
        in_len = lzop_get(&r, 4);
        if (out_len > LZOP_MAX_BLOCK || in_len > out_len) {
            error_setg(errp, "lzo: it is damaged");
            return false;
        }
        if (flags & LZOP_ADLER32_D) {
            adler = lzop_get(&r, 4);
        }
        if (flags & LZOP_CRC32_D) {
            crc = lzop_get(&r, 4);
        }
        if (in_len < out_len) {
            lzop_skip(&r, (flags & LZOP_ADLER32_C) ? 4 : 0);
            lzop_skip(&r, (flags & LZOP_CRC32_C) ? 4 : 0);
        }
        data = lzop_skip(&r, in_len);
        if (!data) {
            break;
        }
        if (!output_reserve(out, r.in - in, out_len, errp)) {
            return false;
        }
        if (out->size - out->len < out_len) {
            error_setg(errp, "unpacks to more than %" PRIu64 " bytes",
                       out->max);
            return false;
        }
        if (in_len == out_len) {
            memcpy(out->buf + out->len, data, out_len);
        } else if (lzo1x_decompress_safe(data, in_len, out->buf + out->len,
                                         &n, NULL) != LZO_E_OK ||
                   n != out_len) {
            error_setg(errp, "lzo: it is damaged");
            return false;
        }
        data = out->buf + out->len;
        if (((flags & LZOP_ADLER32_D) &&
             adler != adler32(adler32(0, NULL, 0), data, out_len)) ||
            ((flags & LZOP_CRC32_D) &&
             crc != crc32(crc32(0, NULL, 0), data, out_len))) {
            error_setg(errp, "lzo: it is damaged");
            return false;
        }
        out->len += out_len;
    }
    error_setg(errp, "lzo: it is truncated");
    return false;
}

static const struct Compression {
    const char *name;
    const char magic[9];
    size_t magic_len;
    bool concatenated;      /* several streams in a row are one output */
    bool (*unpack)(const uint8_t *in, size_t len, size_t *used, bool trailer,
                   Output *out, Error **errp);
} compressions[] = {
    { "gzip", "\x1f\x8b", 2, true, unpack_gzip },
    { "bzip2", "BZh", 3, true, unpack_bzip2 },
    { "xz", "\xfd" "7zXZ", 6, true, unpack_xz },
    { "zstd", "\x28\xb5\x2f\xfd", 4, true, unpack_zstd },
    { "lzo", { '\x89', 'L', 'Z', 'O', 0, '\r', '\n', '\x1a', '\n' }, 9, false,
      unpack_lzop },
    { "lz4", "\x02\x21\x4c\x18", 4, false, unpack_lz4_legacy },
    { "lz4", "\x04\x22\x4d\x18", 4, true, unpack_lz4_frame },
    { "lzma", "\x5d\0", 3, false, unpack_lzma },
};

uint8_t *xenpv_decompress(const uint8_t *in, size_t in_len, uint64_t max,
                          bool trailer, size_t *out_len, const char **format,
                          Error **errp)
{
    const struct Compression *c = NULL;
    Output out = { .max = max };
    unsigned streams = 0;
    size_t used;

    *format = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(compressions); i++) {
        const struct Compression *p = &compressions[i];

        if (in_len >= p->magic_len + 4 &&
            memcmp(in, p->magic, p->magic_len) == 0) {
            c = p;
            break;
        }
    }
    if (!c) {
        return NULL;
    }
    *format = c->name;
    if (in_len > XENPV_KERNEL_MAX_SIZE || max >= UINT32_MAX) {
        /* Some libraries count in 32 bits */
        error_setg(errp, "%s: it is too large", c->name);
        return NULL;
    }

    do {
        if (++streams > MAX_STREAMS) {
            error_setg(errp, "%s: it has more than %d streams", c->name,
                       MAX_STREAMS);
            g_free(out.buf);
            return NULL;
        }
        if (!c->unpack(in, in_len, &used, trailer, &out, errp)) {
            g_free(out.buf);
            return NULL;
        }
        in += used;
        in_len -= used;
        out.taken += used;
    } while (c->concatenated && in_len > c->magic_len + 4 &&
             memcmp(in, c->magic, c->magic_len) == 0);

    if (out.len > max) {
        error_setg(errp, "unpacks to more than %" PRIu64 " bytes", max);
        g_free(out.buf);
        return NULL;
    }
    *out_len = out.len;
    /* Never NULL on success, even if there was no output */
    return g_realloc(out.buf, MAX(out.len, 1));
}
