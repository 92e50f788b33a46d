/*
 * Unit test of how the xenpv-kvm machine reads and unpacks files
 *
 * Sources needed beside this file: hw/xenpv/xenpv-unpack.c,
 * hw/xenpv/xenpv-kernel.c, hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-elf-notes.c and hw/xenpv/xenpv-text.c, with
 * zlib, bzip2, liblzma, lzo2, lz4 and zstd.
 *
 * A broken one would show as a kernel that is damaged, or as a file that
 * crashes the machine, fills its memory or takes it hours. So content is packed
 * by each library here and must come out again, and files that are truncated,
 * mutated at random, or made of nothing, must get an error.
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

#include "qemu/units.h"
#include "xenpv-kernels.h"

/* ------------------------------------------------------------------------ */
/* Compression                                                              */

typedef GByteArray *Compress(const uint8_t *in, size_t len);

static GByteArray *compress_gzip(const uint8_t *in, size_t len)
{
    z_stream s = { .next_in = (uint8_t *)in, .avail_in = len };
    GByteArray *a = buffer(len + 64 * KiB);

    g_assert_cmpint(deflateInit2(&s, 6, Z_DEFLATED, MAX_WBITS + 16, 8,
                                 Z_DEFAULT_STRATEGY), ==, Z_OK);
    s.next_out = a->data;
    s.avail_out = a->len;
    g_assert_cmpint(deflate(&s, Z_FINISH), ==, Z_STREAM_END);
    g_byte_array_set_size(a, s.total_out);
    deflateEnd(&s);
    return a;
}

static GByteArray *compress_bzip2(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(len + 64 * KiB);
    unsigned n = a->len;

    g_assert_cmpint(BZ2_bzBuffToBuffCompress((char *)a->data, &n, (char *)in,
                                             len, 9, 0, 0), ==, BZ_OK);
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_xz(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(len + 64 * KiB);
    size_t n = 0;

    g_assert_cmpint(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, in, len,
                                            a->data, &n, a->len), ==, LZMA_OK);
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_lzma(const uint8_t *in, size_t len)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    GByteArray *a = buffer(len + 64 * KiB);

    g_assert_false(lzma_lzma_preset(&options, 6));
    g_assert_cmpint(lzma_alone_encoder(&s, &options), ==, LZMA_OK);
    s.next_in = in;
    s.avail_in = len;
    s.next_out = a->data;
    s.avail_out = a->len;
    g_assert_cmpint(lzma_code(&s, LZMA_FINISH), ==, LZMA_STREAM_END);
    g_byte_array_set_size(a, s.total_out);
    lzma_end(&s);
    return a;
}

static void append_be(GByteArray *a, unsigned size, uint64_t number)
{
    uint8_t bytes[8];

    stn_be_p(bytes, size, number);
    g_byte_array_append(a, bytes, size);
}

/* The file format of lzop has no library, only its blocks */
static GByteArray *compress_lzop_as(const uint8_t *in, size_t len,
                                    uint32_t flags, unsigned version)
{
    const size_t block = 256 * KiB;
    g_autofree void *work = g_malloc(LZO1X_1_MEM_COMPRESS);
    g_autofree uint8_t *out = g_malloc(block + block / 16 + 67);
    GByteArray *a = g_byte_array_new();

    g_assert_cmpint(lzo_init(), ==, LZO_E_OK);
    g_byte_array_append(a, (const uint8_t *)"\x89LZO\0\r\n\x1a\n", 9);
    append_be(a, 2, version);
    append_be(a, 2, 0x20a0);
    if (version >= 0x940) {
        append_be(a, 2, 0x940);
    }
    append_be(a, 1, 1);                     /* method */
    if (version >= 0x940) {
        append_be(a, 1, 5);
    }
    append_be(a, 4, flags);
    append_be(a, 4, 0100644);
    append_be(a, version >= 0x940 ? 8 : 4, 0);
    append_be(a, 1, 7);
    g_byte_array_append(a, (const uint8_t *)"vmlinux", 7);
    append_be(a, 4, 0);
    if (flags & 0x40) {
        append_be(a, 4, 5);
        g_byte_array_append(a, (const uint8_t *)"extra", 5);
        append_be(a, 4, 0);
    }
    for (size_t at = 0; at < len; at += block) {
        size_t n = MIN(block, len - at);
        lzo_uint out_len = 0;

        g_assert_cmpint(lzo1x_1_compress(in + at, n, out, &out_len, work), ==,
                        LZO_E_OK);
        append_be(a, 4, n);
        append_be(a, 4, MIN(out_len, n));
        if (flags & 0x1) {
            append_be(a, 4, adler32(1, in + at, n));
        }
        if (flags & 0x100) {
            append_be(a, 4, crc32(0, in + at, n));
        }
        if (out_len < n) {
            if (flags & 0x2) {
                append_be(a, 4, adler32(1, out, out_len));
            }
            g_byte_array_append(a, out, out_len);
        } else {
            g_byte_array_append(a, in + at, n);
        }
    }
    append_be(a, 4, 0);
    return a;
}

static GByteArray *compress_lzop(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0x03000001, 0x1040);
}

static GByteArray *compress_lzop_crc(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0x03000100 | 0x40 | 0x2, 0x1040);
}

static GByteArray *compress_lzop_old(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0, 0x0900);
}

static GByteArray *compress_lz4_legacy(const uint8_t *in, size_t len)
{
    const size_t block = 8 * MiB;
    GByteArray *a = g_byte_array_new();
    g_autofree char *out = g_malloc(LZ4_COMPRESSBOUND(block));
    uint32_t word = cpu_to_le32(0x184c2102);

    g_byte_array_append(a, (uint8_t *)&word, 4);
    for (size_t at = 0; at < len; at += block) {
        int n = LZ4_compress_default((const char *)in + at, out,
                                     MIN(block, len - at),
                                     LZ4_COMPRESSBOUND(block));

        g_assert_cmpint(n, >, 0);
        word = cpu_to_le32(n);
        g_byte_array_append(a, (uint8_t *)&word, 4);
        g_byte_array_append(a, (uint8_t *)out, n);
    }
    return a;
}

static GByteArray *compress_lz4_frame(const uint8_t *in, size_t len)
{
    LZ4F_preferences_t prefs = {
        .frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled,
    };
    GByteArray *a = buffer(LZ4F_compressFrameBound(len, &prefs));
    size_t n = LZ4F_compressFrame(a->data, a->len, in, len, &prefs);

    g_assert_false(LZ4F_isError(n));
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_zstd(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(ZSTD_compressBound(len));
    size_t n = ZSTD_compress(a->data, a->len, in, len, 6);

    g_assert_false(ZSTD_isError(n));
    return g_byte_array_set_size(a, n);
}

static const struct TestFormat {
    const char *test, *name;
    Compress *compress;
    bool in_bzimage;        /* Linux's build can make it */
    bool concatenated;
    bool checked;           /* a changed byte is noticed */
} formats[] = {
    { "gzip", "gzip", compress_gzip, true, true, true },
    { "bzip2", "bzip2", compress_bzip2, true, true, true },
    { "xz", "xz", compress_xz, true, true, true },
    { "lzma", "lzma", compress_lzma, true, false, false },
    { "lzo", "lzo", compress_lzop, true, false, true },
    { "lzo-crc", "lzo", compress_lzop_crc, true, false, true },
    { "lzo-old", "lzo", compress_lzop_old, true, false, false },
    { "lz4-legacy", "lz4", compress_lz4_legacy, true, false, false },
    { "lz4-frame", "lz4", compress_lz4_frame, false, true, true },
    { "zstd", "zstd", compress_zstd, true, true, false },
};

static GByteArray *make_bzimage(const uint8_t *payload, size_t len,
                                size_t out_len, bool trailer)
{
    GByteArray *a = g_byte_array_new();
    uint32_t size = cpu_to_le32(out_len);
    const unsigned setup_sects = 5;

    pad_to(a, (setup_sects + 1) * 512 + 0x77);
    g_byte_array_append(a, payload, len);
    if (trailer) {
        g_byte_array_append(a, (uint8_t *)&size, 4);
    }
    a->data[0x1f1] = setup_sects;
    stw_le_p(a->data + 0x1fe, 0xaa55);
    memcpy(a->data + 0x202, "HdrS", 4);
    stw_le_p(a->data + 0x206, 0x20f);
    stl_le_p(a->data + 0x248, 0x77);
    stl_le_p(a->data + 0x24c, len + (trailer ? 4 : 0));
    pad_to(a, a->len + 1000);
    return a;
}

static void assert_unpack_error(const uint8_t *in, size_t len, uint64_t max,
                                bool trailer, const char *text)
{
    const char *format;
    Error *err = NULL;
    size_t out_len;
    uint8_t *out = xenpv_decompress(in, len, max, trailer, &out_len, &format,
                                    &err);

    g_assert_null(out);
    g_assert_nonnull(format);
    assert_error(err, text);
}

static void test_compression(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) content = make_content(3 * MiB / 2 + 77);
    g_autoptr(GByteArray) packed = f->compress(content->data, content->len);
    static const size_t cuts[] = { 1, 2, 3, 5, 30, 1000, 100000, 300000 };
    static const uint8_t junk[] = "some bytes that are not the format's";
    const char *format = NULL;
    Error *err = NULL;
    size_t len = 0;
    uint8_t *out;

    /* As it is, at exactly the limit */
    out = xenpv_decompress(packed->data, packed->len, content->len, false,
                           &len, &format, &error_abort);
    g_assert_cmpmem(out, len, content->data, content->len);
    g_assert_cmpstr(format, ==, f->name);
    g_free(out);

    /* One byte above the limit, and far above it */
    assert_unpack_error(packed->data, packed->len, content->len - 1, false,
                        "more than");
    assert_unpack_error(packed->data, packed->len, 10, false, "more than");

    /* Truncated; lz4's old format is at its end at any block's end */
    for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
        assert_unpack_error(packed->data, packed->len - cuts[i], 64 * MiB,
                            false, f->name);
    }
    assert_unpack_error(packed->data, 14, 64 * MiB, false, f->name);

    /* Damaged */
    packed->data[packed->len / 2] ^= 0x10;
    out = xenpv_decompress(packed->data, packed->len, 64 * MiB, false, &len,
                           &format, &err);
    if (f->checked) {
        g_assert_null(out);
    }
    if (!out) {
        assert_error(err, f->name);
    }
    g_free(out);
    packed->data[packed->len / 2] ^= 0x10;

    /* Twice in a row, as parallel compressors do */
    if (f->concatenated) {
        g_autoptr(GByteArray) twice = g_byte_array_new();

        g_byte_array_append(twice, packed->data, packed->len);
        g_byte_array_append(twice, packed->data, packed->len);
        out = xenpv_decompress(twice->data, twice->len, 2 * content->len,
                               false, &len, &format, &error_abort);
        g_assert_cmpuint(len, ==, 2 * content->len);
        g_assert_cmpmem(out + content->len, content->len, content->data,
                        content->len);
        g_free(out);
        assert_unpack_error(twice->data, twice->len, 2 * content->len - 1,
                            false, "more than");
    }

    /* With what a bzImage has behind it */
    if (f->in_bzimage) {
        uint32_t size = cpu_to_le32(content->len);

        g_byte_array_append(packed, (uint8_t *)&size, 4);
        out = xenpv_decompress(packed->data, packed->len, content->len, true,
                               &len, &format, &error_abort);
        g_assert_cmpmem(out, len, content->data, content->len);
        g_free(out);
    }
    /* Junk behind it is nothing to most */
    if (f->compress != compress_lz4_legacy) {
        g_byte_array_append(packed, junk, sizeof(junk));
        out = xenpv_decompress(packed->data, packed->len, content->len, false,
                               &len, &format, &error_abort);
        g_assert_cmpmem(out, len, content->data, content->len);
        g_free(out);
    }
}

/* A few bytes that unpack to very many must not take much memory or time */
static void test_compression_bomb(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autofree uint8_t *zeros = g_malloc0(16 * MiB);
    g_autoptr(GByteArray) packed = f->compress(zeros, 16 * MiB);

    assert_unpack_error(packed->data, packed->len, 1 * MiB, false, "more than");
    assert_unpack_error(packed->data, packed->len, 16 * MiB - 1, false,
                        "more than");
}

/* Streams with nothing in them: a large file has many millions */
static void test_empty_streams(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) one = f->compress((const uint8_t *)"", 0);
    g_autoptr(GByteArray) many = g_byte_array_new();

    if (f->compress == compress_bzip2) {
        /*
         * Blocks of 100 kB, not 900: each stream has its decoder take memory
         * for one, which a sanitizer marks as in use and as free, byte by byte
         */
        one->data[3] = '1';
    }
    for (unsigned i = 0; i < 65537; i++) {
        g_byte_array_append(many, one->data, one->len);
    }
    assert_unpack_error(many->data, many->len, 1 * MiB, false,
                        "more than 65536 streams");
}

/* A stream of blocks with nothing, or next to nothing, in them */
static void test_empty_blocks(void)
{
    static const struct {
        uint8_t header[16], block[9];
        unsigned header_len, block_len;
    } streams[] = {
        /* gzip: stored, of no bytes */
        { { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 }, { 0, 0, 0, 0xff, 0xff },
          10, 5 },
        /* zstd: raw, of no bytes, not the last one */
        { { 0x28, 0xb5, 0x2f, 0xfd, 0, 0x58 }, { 0, 0, 0 }, 6, 3 },
        /* lz4 -l: one token for no bytes */
        { { 0x02, 0x21, 0x4c, 0x18 }, { 1, 0, 0, 0, 0 }, 4, 5 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(streams); i++) {
        g_autoptr(GByteArray) a = g_byte_array_sized_new(20 * MiB);

        g_byte_array_append(a, streams[i].header, streams[i].header_len);
        while (a->len < 18 * MiB) {
            g_byte_array_append(a, streams[i].block, streams[i].block_len);
        }
        assert_unpack_error(a->data, a->len, 1 * MiB, false, "mostly empty");
    }
}

/* Kernels: compressed, as a bzImage, and as a compressed bzImage */
static void test_compressed_kernel(const void *opaque)
{
    const struct TestFormat *f = opaque;
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(GByteArray) packed = f->compress(elf->data, elf->len);
    g_autoptr(GByteArray) bzimage = NULL;
    g_autoptr(GByteArray) again = NULL;
    g_autofree char *format = NULL;
    XenPVKernel *k;

    k = xenpv_kernel_parse(packed->data, packed->len, true, &error_abort);
    format = g_strdup_printf("%s, 64-bit ELF, ELF notes", f->name);
    g_assert_cmpstr(k->format, ==, format);
    g_assert_cmphex(k->segments[1].data[5], ==, content_of(1, 5));
    xenpv_kernel_free(k);

    if (f->in_bzimage) {
        /* gzip has the size in its own trailer */
        bzimage = make_bzimage(packed->data, packed->len, elf->len,
                               f->compress != compress_gzip);
        k = xenpv_kernel_parse(bzimage->data, bzimage->len, true,
                               &error_abort);
        g_free(format);
        format = g_strdup_printf("bzImage, %s, 64-bit ELF, ELF notes",
                                 f->name);
        g_assert_cmpstr(k->format, ==, format);
        xenpv_kernel_free(k);

        again = f->compress(bzimage->data, bzimage->len);
        k = xenpv_kernel_parse(again->data, again->len, true, &error_abort);
        g_assert_cmphex(k->segments[1].data[5], ==, content_of(1, 5));
        xenpv_kernel_free(k);

        assert_bad_file(bzimage->data, bzimage->len / 2, true, "bzImage");
    }
    free_elf(&t);
}

static void test_bzimage(void)
{
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(GByteArray) file = make_bzimage(elf->data, elf->len, 0, false);
    size_t payload = 6 * 512 + 0x77;
    XenPVKernel *k;

    /* CONFIG_KERNEL_UNCOMPRESSED */
    k = xenpv_kernel_parse(file->data, file->len, true, &error_abort);
    g_assert_cmpstr(k->format, ==, "bzImage, 64-bit ELF, ELF notes");
    xenpv_kernel_free(k);

    stw_le_p(file->data + 0x206, 0x207);
    assert_bad_file(file->data, file->len, true, "2.6.26");
    stw_le_p(file->data + 0x206, 0x208);

    stl_le_p(file->data + 0x24c, file->len - payload + 1);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 0);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 0xffffffff);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 100);
    stl_le_p(file->data + 0x248, 0xffffffff);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    /* Something that is not a kernel */
    stl_le_p(file->data + 0x248, 0x0);
    assert_bad_file(file->data, file->len, true, "payload of the bzImage is ");

    /* The header is cut off */
    for (size_t len = 0; len < 0x250; len += 16) {
        assert_bad_file(file->data, len, true, "neither an ELF file");
    }
    free_elf(&t);
}

static void test_wrapped_too_often(void)
{
    TestElf t = base_elf(true);
    GByteArray *a = make_elf(&t);

    for (unsigned i = 0; i < 10; i++) {
        GByteArray *b = compress_gzip(a->data, a->len);

        g_byte_array_unref(a);
        a = b;
    }
    assert_bad_file(a->data, a->len, true, "too often");
    g_byte_array_unref(a);
    free_elf(&t);
}

/* ------------------------------------------------------------------------ */
/* Files                                                                    */

static void test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *name = g_build_filename(dir, "kernel", NULL);
    g_autofree uint8_t *data = NULL;
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(XenPVKernel) k = NULL;
    Error *err = NULL;
    size_t len = 0;

    g_assert_null(xenpv_kernel_load(name, true, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "-kernel: "));
    assert_error(err, name);
    err = NULL;
    g_assert_null(xenpv_kernel_load(dir, true, &err));
    assert_error(err, "directory");
    err = NULL;

    g_assert_true(g_file_set_contents(name, (char *)elf->data, elf->len, NULL));
    k = xenpv_kernel_load(name, true, &error_abort);
    g_assert_cmphex(k->virt_base, ==, BASE_64);
    g_assert_null(xenpv_kernel_load(name, false, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "-kernel '"));
    assert_error(err, "64-bit");
    err = NULL;

    data = xenpv_file_load(name, elf->len, &len, &error_abort);
    g_assert_cmpmem(data, len, elf->data, elf->len);
    g_assert_null(xenpv_file_load(name, elf->len - 1, &len, &err));
    assert_error(err, "larger than");
    err = NULL;

    /* Neither its size nor its end is known */
    g_assert_null(xenpv_file_load("/dev/zero", 10 * MiB + 17, &len, &err));
    assert_error(err, "larger than");
    g_free(data);
    data = xenpv_file_load("/dev/null", 10, &len, &error_abort);
    g_assert_cmpuint(len, ==, 0);

    unlink(name);
    rmdir(dir);
    free_elf(&t);
}

/* The same for what decompressors get */
static void test_mutated_compressed(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) elf = rich_elf(1);
    g_autoptr(GByteArray) packed = f->compress(elf->data, elf->len);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20081);
    unsigned rounds = g_test_slow() ? 3000 : 300;

    for (unsigned i = 0; i < rounds; i++) {
        g_autofree uint8_t *data = g_memdup2(packed->data, packed->len);
        size_t len = packed->len;
        const char *format;
        Error *err = NULL;
        size_t out_len = 0;
        uint8_t *out;

        for (unsigned n = g_rand_int_range(rand, 1, 4); n; n--) {
            data[g_rand_int_range(rand, 0, len)] = g_rand_int(rand);
        }
        if (g_rand_boolean(rand)) {
            len = g_rand_int_range(rand, 0, len);
        }
        out = xenpv_decompress(data, len, 8 * MiB, g_rand_boolean(rand),
                               &out_len, &format, &err);
        g_assert_true(out || err || !format);
        g_assert_false(out && err);
        g_assert_cmpuint(out_len, <=, 8 * MiB);
        g_free(out);
        error_free(err);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct TestFormat *f = &formats[i];
        g_autofree char *name = g_strdup_printf("/xenpv/%s/data", f->test);
        g_autofree char *bomb = g_strdup_printf("/xenpv/%s/bomb", f->test);
        g_autofree char *kernel = g_strdup_printf("/xenpv/%s/kernel", f->test);
        g_autofree char *mutated = g_strdup_printf("/xenpv/%s/mutated",
                                                   f->test);

        g_test_add_data_func(name, f, test_compression);
        g_test_add_data_func(bomb, f, test_compression_bomb);
        g_test_add_data_func(kernel, f, test_compressed_kernel);
        g_test_add_data_func(mutated, f, test_mutated_compressed);
        if (f->concatenated) {
            g_autofree char *empty = g_strdup_printf("/xenpv/%s/empty-streams",
                                                     f->test);

            g_test_add_data_func(empty, f, test_empty_streams);
        }
    }
    g_test_add_func("/xenpv/empty-blocks", test_empty_blocks);
    g_test_add_func("/xenpv/bzimage", test_bzimage);
    g_test_add_func("/xenpv/wrapped-too-often", test_wrapped_too_often);
    g_test_add_func("/xenpv/files", test_files);
    return g_test_run();
}
