/*
 * The framebuffer, keyboard and pointer of the xenpv-kvm machine
 *
 * The test is the front end: its picture is what QEMU shows, whatever the
 * layout, and after each change that it tells; keys and the pointer come to it;
 * and what a hostile front end can claim about its framebuffer, in its rings or
 * in xenstore does no harm and takes no more than a bounded amount of memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/io/fbif.h"
#include "hw/xen/interface/io/kbdif.h"

/* Our own numbers */
#define FB_PAGE_MFN     XENPV_QTEST_MFN_FREE
#define KBD_PAGE_MFN    (FB_PAGE_MFN + 1)
#define DIRECTORY_MFN   (FB_PAGE_MFN + 2)
#define PIXELS_MFN      (FB_PAGE_MFN + 8)
#define NR_PIXELS_MFNS  64

/* What a picture may take: 64 MiB, and as much again for who shows it */
#ifdef QEMU_SANITIZE_ADDRESS
/* which keeps so much of what is freed for a while, and bytes about bytes */
#define KEPT_MIB        16
#define MAX_PICTURE_KIB ((160 + KEPT_MIB) * 1024 * 9 / 8)
#else
#define MAX_PICTURE_KIB (160 * 1024)
#endif

#define WIDTH           200
#define HEIGHT          150

typedef struct Picture {
    char *file;
    int width, height;
    uint8_t *rgb;
} Picture;

static QTestState *start(void)
{
    return qtest_init("-M xenpv-kvm,vfb=on -m 32");
}

/* Frame i of the framebuffer: not side by side, and not in order */
static uint64_t pixel_frame(unsigned i)
{
    return PIXELS_MFN + (i * 37) % NR_PIXELS_MFNS;
}

static void set_page(QTestState *qts, bool narrow, int32_t width,
                     int32_t height, uint32_t stride, uint32_t len,
                     uint8_t depth)
{
    uint64_t page = FB_PAGE_MFN * XENPV_PAGE;

    qtest_memset(qts, page, 0, XENPV_PAGE);
    qtest_writel(qts, page + offsetof(struct xenfb_page, width), width);
    qtest_writel(qts, page + offsetof(struct xenfb_page, height), height);
    qtest_writel(qts, page + offsetof(struct xenfb_page, line_length), stride);
    qtest_writel(qts, page + offsetof(struct xenfb_page, mem_length), len);
    qtest_writeb(qts, page + offsetof(struct xenfb_page, depth), depth);
    for (int i = 0; i < NR_PIXELS_MFNS; i++) {
        uint64_t entry = DIRECTORY_MFN * XENPV_PAGE;

        if (narrow) {
            qtest_writel(qts, entry + 4 * i, pixel_frame(i));
        } else {
            qtest_writeq(qts, entry + 8 * i, pixel_frame(i));
        }
    }
    if (narrow) {
        qtest_writel(qts, page + 36, DIRECTORY_MFN);
    } else {
        qtest_writeq(qts, page + 40, DIRECTORY_MFN);
    }
}

static uint32_t prepare(Frontend *f, QTestState *qts, const char *dir,
                        uint64_t mfn, bool narrow)
{
    uint32_t port = xenpv_alloc_unbound(qts);

    frontend_init(f, qts, dir);
    frontend_wait(f, XenbusStateInitWait);
    xs_write(qts, dir, "page-ref", "%" PRIu64, mfn);
    xs_write(qts, dir, "event-channel", "%u", port);
    xs_write(qts, dir, "protocol", "%s", narrow ? "x86_32-abi" : "x86_64-abi");
    return port;
}

static void disconnect(Frontend *f)
{
    frontend_set_state(f, XenbusStateClosing);
    frontend_set_state(f, XenbusStateClosed);
    frontend_wait(f, XenbusStateClosed);
    frontend_set_state(f, XenbusStateInitialising);
    frontend_destroy(f);
}

static Picture screendump(QTestState *qts)
{
    char *path = g_strdup_printf("%s/xenpv-fb-test-%d.ppm", g_get_tmp_dir(),
                                 getpid());
    Picture p;
    char *at;
    gsize len;

    qtest_qmp_assert_success(qts, "{'execute': 'screendump', 'arguments': "
                             "{'filename': %s}}", path);
    g_assert_true(g_file_get_contents(path, &p.file, &len, NULL));
    unlink(path);
    g_free(path);
    g_assert_cmpint(sscanf(p.file, "P6\n%d %d\n255\n", &p.width, &p.height),
                    ==, 2);
    at = strstr(p.file, "\n255\n");
    p.rgb = (uint8_t *)at + 5;
    /* QEMU fills lines up to a multiple of four bytes */
    g_assert_cmpuint(p.file + len - (char *)p.rgb, ==,
                     ROUND_UP(p.width * 3, 4) * p.height);
    return p;
}

static void set_byte(QTestState *qts, uint32_t offset, uint8_t value)
{
    qtest_writeb(qts, pixel_frame(offset / XENPV_PAGE) * XENPV_PAGE +
                 offset % XENPV_PAGE, value);
}

static void picture(bool narrow, uint8_t depth)
{
    QTestState *qts = start();
    unsigned bytes = depth / 8, stride = WIDTH * bytes + 64;
    Frontend f;
    Picture p;

    /* There is a picture before there is a guest, and after it */
    p = screendump(qts);
    g_free(p.file);
    for (int i = 0; i < NR_PIXELS_MFNS; i++) {
        qtest_memset(qts, (PIXELS_MFN + i) * XENPV_PAGE, 0, XENPV_PAGE);
    }
    set_page(qts, narrow, WIDTH, HEIGHT, stride, stride * HEIGHT, depth);
    /* One pixel in each line: blue, and then green, along a slope */
    for (unsigned y = 0; y < HEIGHT; y++) {
        uint32_t at = y * stride + y * bytes;

        if (depth == 8) {
            set_byte(qts, at, y % 2 ? 0x1c : 0x03);
        } else if (depth == 16) {
            set_byte(qts, at, y % 2 ? 0xe0 : 0x1f);
            set_byte(qts, at + 1, y % 2 ? 0x07 : 0);
        } else {
            set_byte(qts, at + y % 2, 0xff);
        }
    }
    prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, narrow);
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateConnected);
    frontend_set_state(&f, XenbusStateConnected);
    /* The first one makes the display as large as the guest's picture */
    p = screendump(qts);
    g_free(p.file);
    p = screendump(qts);
    g_assert_cmpint(p.width, ==, WIDTH);
    g_assert_cmpint(p.height, ==, HEIGHT);
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            const uint8_t *rgb = p.rgb + (y * WIDTH + x) * 3;

            g_assert_cmphex(rgb[0], ==, 0);
            g_assert_cmphex(rgb[1] > 0xf0, ==, x == y && y % 2);
            g_assert_cmphex(rgb[2] > 0xf0, ==, x == y && !(y % 2));
        }
    }
    g_free(p.file);
    disconnect(&f);
    /* What was the guest's memory is not looked at any more */
    p = screendump(qts);
    g_free(p.file);
    qtest_quit(qts);
}

static void test_picture(void)
{
    picture(false, 32);
    picture(true, 32);
    picture(false, 24);
    picture(false, 16);
    picture(true, 8);
}

static void test_reconnect(void)
{
    QTestState *qts = start();
    Frontend f;

    for (int i = 0; i < 4; i++) {
        Picture p;

        set_page(qts, false, WIDTH + 4 * i, HEIGHT, 1024, 1024 * HEIGHT, 32);
        prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, false);
        frontend_set_state(&f, XenbusStateInitialised);
        frontend_wait(&f, XenbusStateConnected);
        /* Always on the same console, the first one */
        p = screendump(qts);
        g_free(p.file);
        p = screendump(qts);
        g_assert_cmpint(p.width, ==, WIDTH + 4 * i);
        g_free(p.file);
        if (i & 1) {
            qtest_system_reset(qts);
            frontend_destroy(&f);
        } else {
            disconnect(&f);
        }
    }
    qtest_quit(qts);
}

static int picture_width(QTestState *qts, int *height)
{
    Picture p = screendump(qts);

    g_free(p.file);
    if (height) {
        *height = p.height;
    }
    return p.width;
}

static long rss_kib(QTestState *qts)
{
    g_autofree char *file = g_strdup_printf("/proc/%d/status",
                                            (int)qtest_pid(qts));
    g_autofree char *text = NULL;
    long rss;

    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_cmpint(sscanf(strstr(text, "VmRSS:"), "VmRSS: %ld", &rss), ==, 1);
    return rss;
}

/* Frames without end: the same ones again and again */
static void set_endless_page(QTestState *qts, int32_t width, int32_t height,
                             uint32_t stride, uint32_t len, uint8_t depth)
{
    set_page(qts, false, width, height, stride, len, depth);
    for (int i = 0; i < 512; i++) {
        qtest_writeq(qts, DIRECTORY_MFN * XENPV_PAGE + 8 * i, pixel_frame(i));
    }
    for (int i = 0; i < 256; i++) {
        qtest_writeq(qts, FB_PAGE_MFN * XENPV_PAGE + 40 + 8 * i,
                     DIRECTORY_MFN);
    }
}

/*
 * What a front end says of its framebuffer is right as a whole, or it is not
 * connected. More than a picture of 64 MiB it cannot make QEMU keep.
 */
static void test_geometry(void)
{
    static const struct {
        int32_t width, height;
        uint32_t stride, len;
        uint8_t depth;
        bool ok;
    } claims[] = {
        { WIDTH, HEIGHT, WIDTH * 4, 0xffffffff, 32, true },
        { WIDTH, HEIGHT, WIDTH * 4, 0x80000000, 32, true },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 32, true },
        { WIDTH, HEIGHT, WIDTH * 4, 0, 32, false },
        { WIDTH, HEIGHT, 0, WIDTH * HEIGHT * 4, 32, false },
        { WIDTH, HEIGHT, 0xffffffff, WIDTH * HEIGHT * 4, 32, false },
        { WIDTH, HEIGHT, WIDTH * 4 - 1, WIDTH * HEIGHT * 4, 32, false },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 0, false },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 4, false },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 255, false },
        { 0, 0, WIDTH * 4, WIDTH * HEIGHT * 4, 32, false },
        { WIDTH, 0, WIDTH * 4, WIDTH * HEIGHT * 4, 32, false },
        { -1, -1, WIDTH * 4, WIDTH * HEIGHT * 4, 32, false },
        { INT32_MAX, INT32_MAX, 4, WIDTH * HEIGHT * 4, 32, false },
        { INT32_MIN, INT32_MIN, 4, WIDTH * HEIGHT * 4, 32, false },
        { 0x10000, 0x10000, 0x40000, 0xffffffff, 32, false },
        /* Lines that begin anywhere */
        { 1, 1, 5, 4096, 32, true },
        { 100, 7, 401, 4096, 32, true },
        { 101, 7, 307, 4096, 24, true },
        /* The last pixel ends where the framebuffer does, or just behind */
        { 1024, 4, 3072, 3 * 4096, 24, true },
        { 1024, 2, 4096, 2 * 4096, 32, true },
        { 1023, 2, 4097, 2 * 4096, 32, true },
        { 1024, 2, 4097, 2 * 4096, 32, false },
        { 1024, 3, 4096, 2 * 4096, 32, false },
        /* Much of one side, or in all */
        { 1, INT32_MAX, 1, 0xffffffff, 8, false },
        { 1, 512 * 1024 * 1024, 1, 512 * 1024 * 1024, 8, false },
        { INT32_MAX, 1, 0x7fffffff, 0xffffffff, 8, false },
        { 8193, 1, 8193, 0xffffffff, 8, false },
        { 1, 8193, 1, 0xffffffff, 8, false },
        { 8192, 2048, 8192, 0xffffffff, 8, true },
        { 2048, 8192, 2048, 0xffffffff, 8, true },
        { 4096, 4096, 4096, 0xffffffff, 8, true },
        { 4096, 4096, 16384, 0xffffffff, 32, true },
        { 4096, 4096, 16385, 0xffffffff, 32, false },
        { 8192, 8192, 8192, 0xffffffff, 8, false },
    };
    QTestState *qts = start();
    long rss = rss_kib(qts);
    Frontend f;

    for (int i = 0; i < ARRAY_SIZE(claims); i++) {
        g_test_message("claim %d", i);
        set_endless_page(qts, claims[i].width, claims[i].height,
                         claims[i].stride, claims[i].len, claims[i].depth);
        prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, false);
        frontend_set_state(&f, XenbusStateInitialised);
        if (claims[i].ok) {
            int width, height;

            frontend_wait(&f, XenbusStateConnected);
            width = picture_width(qts, &height);
            g_assert_cmpint(width, ==, claims[i].width);
            g_assert_cmpint(height, ==, claims[i].height);
        } else {
            frontend_wait(&f, XenbusStateClosing);
            picture_width(qts, NULL);
        }
        g_assert_cmpint(rss_kib(qts) - rss, <, MAX_PICTURE_KIB);
        disconnect(&f);
    }
    qtest_quit(qts);
}

/* A directory, or a framebuffer, of frames that are not the guest's RAM */
static void test_frames(void)
{
    QTestState *qts = start();
    Frontend f;

    for (int i = 0; i < 4; i++) {
        set_page(qts, i & 1, WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 32);
        qtest_memset(qts, i & 2 ? DIRECTORY_MFN * XENPV_PAGE + 8
                                : FB_PAGE_MFN * XENPV_PAGE + 36, 0xff, 8);
        prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, i & 1);
        frontend_set_state(&f, XenbusStateInitialised);
        frontend_wait(&f, XenbusStateClosing);
        picture_width(qts, NULL);
        disconnect(&f);
    }
    qtest_quit(qts);
}

/*
 * What a guest can write into its directories. Whatever is refused, nothing is
 * in use after that: neither the page nor the port, which may be rung.
 */
static void test_nodes(void)
{
    static const struct {
        const char *node, *value;
    } bad[] = {
        { "page-ref", "" }, { "page-ref", "-1" }, { "page-ref", " 16" },
        { "page-ref", "16 " }, { "page-ref", "0x10" },
        { "page-ref", "4294967280" }, { "page-ref", "18446744073709551615" },
        { "page-ref", "18446744073709551632" },
        { "event-channel", "" }, { "event-channel", "-1" },
        { "event-channel", "0" }, { "event-channel", "4294967295" },
        { "event-channel", "1" }, { "event-channel", "4000" },
        { "protocol", "" }, { "protocol", "x86_64-abi " },
        { "protocol", "ia64-abi" },
    };
    static const char *dirs[] = { "device/vfb/0", "device/vkbd/0" };
    QTestState *qts = start();
    uint64_t page = FB_PAGE_MFN * XENPV_PAGE;

    for (int i = 0; i < ARRAY_SIZE(bad) * ARRAY_SIZE(dirs); i++) {
        const char *dir = dirs[i % ARRAY_SIZE(dirs)];
        const char *node = bad[i / ARRAY_SIZE(dirs)].node;
        const char *value = bad[i / ARRAY_SIZE(dirs)].value;
        uint32_t port;
        Frontend f;

        if (!strcmp(node, "protocol") && i % ARRAY_SIZE(dirs)) {
            continue;           /* a keyboard has none */
        }
        g_test_message("%s: %s = '%s'", dir, node, value);
        set_page(qts, false, WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 32);
        port = prepare(&f, qts, dir, FB_PAGE_MFN, false);
        xs_write(qts, dir, node, "%s", value);
        frontend_set_state(&f, XenbusStateInitialised);
        frontend_wait(&f, XenbusStateClosing);
        qtest_writel(qts, page + offsetof(struct xenfb_page, out_prod), 1);
        xenpv_send(qts, port);
        xenpv_send(qts, XENPV_QTEST_PORT_FREE);
        picture_width(qts, NULL);
        g_assert_cmpuint(qtest_readl(qts, page + offsetof(struct xenfb_page,
                                                          out_cons)), ==, 0);
        disconnect(&f);
    }
    qtest_quit(qts);
}

/* A good page once it was refused, and one that is lost after that */
static void test_refused_then_kicked(void)
{
    QTestState *qts = start();
    uint32_t port;
    Frontend f;

    set_page(qts, false, WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 77);
    port = prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, false);
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateClosing);
    xs_write(qts, f.dir, "page-ref", "%u", 0xfffffff0);
    xenpv_send(qts, port);
    picture_width(qts, NULL);
    set_page(qts, false, WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 32);
    xs_write(qts, f.dir, "page-ref", "%u", FB_PAGE_MFN);
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateConnected);
    xs_write(qts, f.dir, "page-ref", "%u", 0xfffffff0);
    frontend_set_state(&f, XenbusStateConnected);
    xenpv_send(qts, port);
    g_assert_cmpint(picture_width(qts, NULL), ==, WIDTH);
    disconnect(&f);
    qtest_quit(qts);
}

/* Put an event into the front end's ring, and wait until it is taken */
static void send_event(QTestState *qts, uint32_t port,
                       const union xenfb_out_event *event)
{
    uint64_t page = FB_PAGE_MFN * XENPV_PAGE;
    uint64_t prod_at = page + offsetof(struct xenfb_page, out_prod);
    uint64_t cons_at = page + offsetof(struct xenfb_page, out_cons);
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint32_t prod = qtest_readl(qts, prod_at);

    qtest_memwrite(qts, page + XENFB_OUT_RING_OFFS +
                   prod % XENFB_OUT_RING_LEN * XENFB_OUT_EVENT_SIZE, event,
                   sizeof(*event));
    qtest_writel(qts, prod_at, prod + 1);
    xenpv_send(qts, port);
    while (qtest_readl(qts, cons_at) != prod + 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void send_update(QTestState *qts, uint32_t port, int32_t x, int32_t y,
                        int32_t width, int32_t height)
{
    union xenfb_out_event e = {
        .update = { XENFB_TYPE_UPDATE, x, y, width, height },
    };

    send_event(qts, port, &e);
}

static uint32_t connect_with_updates(Frontend *f, QTestState *qts)
{
    uint32_t port;

    for (int i = 0; i < NR_PIXELS_MFNS; i++) {
        qtest_memset(qts, (PIXELS_MFN + i) * XENPV_PAGE, 0, XENPV_PAGE);
    }
    set_page(qts, false, WIDTH, HEIGHT, WIDTH * 4,
             NR_PIXELS_MFNS * XENPV_PAGE, 32);
    port = prepare(f, qts, "device/vfb/0", FB_PAGE_MFN, false);
    xs_write(qts, f->dir, "feature-update", "1");
    frontend_set_state(f, XenbusStateInitialised);
    frontend_wait(f, XenbusStateConnected);
    xs_assert(qts, f->back, "request-update", "1");
    frontend_set_state(f, XenbusStateConnected);
    return port;
}

static bool is_blue(QTestState *qts, int x, int y)
{
    Picture p = screendump(qts);
    const uint8_t *rgb = p.rgb + (y * p.width + x) * 3;
    bool blue = rgb[2];

    g_free(p.file);
    return blue;
}

/* What a front end says to have changed is shown, and it may say anything */
static void test_updates(void)
{
    static const int32_t odd[][4] = {
        { -1, -1, 1, 1 }, { WIDTH, 0, 1, 1 }, { 0, HEIGHT, 1, 1 },
        { INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX },
        { INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN },
        { INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX },
        { 5, 5, 0, 0 }, { 5, 5, -5, -5 }, { 0, 0, -1, INT32_MAX },
    };
    QTestState *qts = start();
    uint64_t page = FB_PAGE_MFN * XENPV_PAGE;
    union xenfb_out_event unknown = { .type = 1 };
    uint32_t port;
    Frontend f;

    port = connect_with_updates(&f, qts);
    g_assert_false(is_blue(qts, 100, 100));
    set_byte(qts, (100 * WIDTH + 100) * 4, 0xff);
    /* It is not looked for, as it is not said */
    g_assert_false(is_blue(qts, 100, 100));
    for (int i = 0; i < ARRAY_SIZE(odd); i++) {
        send_update(qts, port, odd[i][0], odd[i][1], odd[i][2], odd[i][3]);
    }
    unknown.update.x = unknown.update.y = 0;
    unknown.update.width = WIDTH;
    unknown.update.height = HEIGHT;
    send_event(qts, port, &unknown);
    g_assert_false(is_blue(qts, 100, 100));
    send_update(qts, port, 100, 100, 1, 1);
    g_assert_true(is_blue(qts, 100, 100));
    /* Of which a part is within the picture */
    set_byte(qts, (HEIGHT * WIDTH - 1) * 4, 0xff);
    set_byte(qts, 0, 0xff);
    send_update(qts, port, WIDTH - 1, HEIGHT - 1, INT32_MAX, INT32_MAX);
    g_assert_true(is_blue(qts, WIDTH - 1, HEIGHT - 1));
    g_assert_false(is_blue(qts, 0, 0));
    send_update(qts, port, -5, -5, 6, 6);
    g_assert_true(is_blue(qts, 0, 0));

    /* More than a ring has: nothing of it is used, and it is not looked for */
    qtest_writel(qts, page + offsetof(struct xenfb_page, out_prod),
                 0x80000000);
    xenpv_send(qts, port);
    g_assert_true(is_blue(qts, 0, 0));
    g_assert_cmpuint(qtest_readl(qts, page + offsetof(struct xenfb_page,
                                                      out_cons)), <, 100);
    /* Around the end of the numbers */
    qtest_writel(qts, page + offsetof(struct xenfb_page, out_cons),
                 0xffffffff);
    qtest_writel(qts, page + offsetof(struct xenfb_page, out_prod),
                 0xffffffff);
    send_update(qts, port, 0, 0, 1, 1);
    disconnect(&f);
    qtest_quit(qts);
}

/* A picture of another size, by an event: as at the start, or as it was */
static void test_resize(void)
{
    static const struct {
        int32_t width, height, stride, depth, offset;
        bool ok;
    } claims[] = {
        { 100, 50, 400, 32, 0, true },
        { 100, 50, 200, 16, 0, true },
        { 100, 50, 100, 8, 8192, true },
        { 1, 1, 5, 32, 3, true },
        { WIDTH, HEIGHT, WIDTH * 3 + 1, 24, 1, true },
        { 64, 64, 4096, 32, 256, true },
        { 64, 64, 4096, 32, 4096 - 256, true },
        { 64, 64, 4096, 32, 4096 - 255, false },
        { 64, 64, 4096, 32, NR_PIXELS_MFNS * XENPV_PAGE, false },
        { 64, 64, 4096, 32, -1, false },
        { 64, 64, 4096, 32, INT32_MIN, false },
        { 64, 64, -1, 32, 0, false },
        { 64, 64, 0, 32, 0, false },
        { 64, 64, 255, 32, 0, false },
        { 64, 64, 4096, 31, 0, false },
        { 64, 64, 4096, 0, 0, false },
        { 64, 64, 4096, INT32_MIN, 0, false },
        { 64, 65, 4096, 32, 0, false },
        { 0, 64, 4096, 32, 0, false },
        { -64, -64, 4096, 32, 0, false },
        { INT32_MAX, INT32_MAX, INT32_MAX, 32, INT32_MAX, false },
        { 1, NR_PIXELS_MFNS * XENPV_PAGE, 1, 8, 0, false },
        { 20, 10, 80, 32, 0, true },
    };
    QTestState *qts = start();
    int width = WIDTH, height = HEIGHT;
    uint32_t port;
    Frontend f;

    port = connect_with_updates(&f, qts);
    xs_assert(qts, f.back, "feature-resize", "1");
    for (int i = 0; i < ARRAY_SIZE(claims); i++) {
        union xenfb_out_event e = {
            .resize = { XENFB_TYPE_RESIZE, claims[i].width, claims[i].height,
                        claims[i].stride, claims[i].depth, claims[i].offset },
        };
        int is_width, is_height;

        g_test_message("claim %d", i);
        send_event(qts, port, &e);
        /* With something of the old size to copy */
        send_update(qts, port, 0, 0, WIDTH, HEIGHT);
        if (claims[i].ok) {
            width = claims[i].width;
            height = claims[i].height;
        }
        is_width = picture_width(qts, &is_height);
        g_assert_cmpint(is_width, ==, width);
        g_assert_cmpint(is_height, ==, height);
    }
    /* The line at its offset is the first one */
    set_byte(qts, 4096 + 7, 0xff);
    {
        union xenfb_out_event e = {
            .resize = { XENFB_TYPE_RESIZE, 10, 10, 41, 32, 4096 + 7 },
        };

        send_event(qts, port, &e);
    }
    g_assert_true(is_blue(qts, 0, 0));
    g_assert_false(is_blue(qts, 1, 0));
    g_assert_false(is_blue(qts, 0, 1));
    disconnect(&f);
    qtest_quit(qts);
}

/* A front end that begins anew: nothing of the old page is in use any more */
static void test_begin_anew(void)
{
    QTestState *qts = start();
    uint64_t page = FB_PAGE_MFN * XENPV_PAGE;
    uint32_t port;
    Frontend f;

    for (int i = 0; i < 4; i++) {
        port = connect_with_updates(&f, qts);
        for (int y = 0; y < HEIGHT; y++) {
            set_byte(qts, y * WIDTH * 4, 0xff);
        }
        send_update(qts, port, 0, 0, WIDTH, HEIGHT);
        g_assert_true(is_blue(qts, 0, 0));
        if (i & 1) {
            frontend_set_state(&f, XenbusStateInitialising);
            frontend_wait(&f, XenbusStateInitWait);
        }
        if (i & 2) {
            qtest_system_reset(qts);
            xs_assert(qts, f.back, "state", "2");
        }
        if (!i) {
            disconnect(&f);
            continue;
        }
        qtest_writel(qts, page + offsetof(struct xenfb_page, out_cons), 0);
        qtest_writel(qts, page + offsetof(struct xenfb_page, out_prod), 5);
        xenpv_send(qts, port);
        g_assert_false(is_blue(qts, 0, 0));
        g_assert_cmpuint(qtest_readl(qts, page + offsetof(struct xenfb_page,
                                                          out_cons)), ==, 0);
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

static void press(QTestState *qts, const char *key)
{
    qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
        "'arguments': {'events': [{'type': 'key', 'data': {'down': true, "
        "'key': {'type': 'qcode', 'data': %s}}}]}}", key);
}

static void test_keyboard(void)
{
    QTestState *qts = start();
    uint64_t page = KBD_PAGE_MFN * XENPV_PAGE;
    uint64_t in = page + XENKBD_IN_RING_OFFS;
    union xenkbd_in_event e;
    uint32_t port;
    Frontend f;

    qtest_memset(qts, page, 0, XENPV_PAGE);
    port = prepare(&f, qts, "device/vkbd/0", KBD_PAGE_MFN, false);
    xs_assert(qts, f.back, "feature-abs-pointer", "1");
    xs_write(qts, f.dir, "request-abs-pointer", "1");
    frontend_set_state(&f, XenbusStateInitialised);
    frontend_wait(&f, XenbusStateConnected);
    frontend_set_state(&f, XenbusStateConnected);
    xenpv_drop_events(qts);

    press(qts, "a");
    xenpv_wait_event(qts, port);
    g_assert_cmpuint(qtest_readl(qts, page + 4), ==, 1);
    qtest_memread(qts, in, &e, sizeof(e));
    g_assert_cmpuint(e.type, ==, XENKBD_TYPE_KEY);
    g_assert_cmpuint(e.key.pressed, ==, 1);
    g_assert_cmpuint(e.key.keycode, ==, 30);        /* Linux' KEY_A */

    qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
        "'arguments': {'events': ["
        "{'type': 'abs', 'data': {'axis': 'x', 'value': 16384}}, "
        "{'type': 'abs', 'data': {'axis': 'y', 'value': 0}}]}}");
    xenpv_wait_event(qts, port);
    g_assert_cmpuint(qtest_readl(qts, page + 4), ==, 2);
    qtest_memread(qts, in + XENKBD_IN_EVENT_SIZE, &e, sizeof(e));
    g_assert_cmpuint(e.type, ==, XENKBD_TYPE_POS);
    g_assert_cmpint(e.pos.abs_x, >, 300);
    g_assert_cmpint(e.pos.abs_y, ==, 0);

    /* The guest does not read: QEMU does not overwrite, and goes on */
    for (int i = 0; i < XENKBD_IN_RING_LEN; i++) {
        qtest_qmp_assert_success(qts, "{'execute': 'send-key', "
            "'arguments': {'hold-time': 1, 'keys': ["
            "{'type': 'qcode', 'data': 'b'}]}}");
    }
    g_assert_cmpuint(qtest_readl(qts, page + 4), <=, XENKBD_IN_RING_LEN);
    qtest_memread(qts, in, &e, sizeof(e));
    g_assert_cmpuint(e.key.keycode, ==, 30);

    /* Indexes that make no sense */
    qtest_writel(qts, page + 4, 0x12345678);
    qtest_writel(qts, page, 0x87654321);
    qtest_writel(qts, page + 12, 0xffffffff);
    xenpv_send(qts, port);
    press(qts, "c");
    g_assert_cmphex(qtest_readl(qts, page + 4), ==, 0x12345678);
    disconnect(&f);
    qtest_quit(qts);
}

/*
 * A front end that has not requested absolute positions, or that comes back and
 * does; the pointer is where it is in the vfb's picture; and when the front end
 * is gone, its page is left alone
 */
static void test_pointer(void)
{
    QTestState *qts = start();
    uint64_t page = KBD_PAGE_MFN * XENPV_PAGE;
    uint64_t in = page + XENKBD_IN_RING_OFFS;
    static const char *requests[] = { NULL, "0", "1", "-1", "text" };
    union xenkbd_in_event e;
    Frontend f, fb;

    connect_with_updates(&fb, qts);
    g_assert_cmpint(picture_width(qts, NULL), ==, WIDTH);
    for (int i = 0; i < ARRAY_SIZE(requests); i++) {
        bool absolute = i == 2;
        uint32_t port;

        qtest_memset(qts, page, 0, XENPV_PAGE);
        port = prepare(&f, qts, "device/vkbd/0", KBD_PAGE_MFN, false);
        if (requests[i]) {
            xs_write(qts, f.dir, "request-abs-pointer", "%s", requests[i]);
        }
        frontend_set_state(&f, XenbusStateConnected);
        frontend_wait(&f, XenbusStateConnected);
        xenpv_drop_events(qts);
        if (absolute) {
            qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
                "'arguments': {'events': ["
                "{'type': 'abs', 'data': {'axis': 'x', 'value': 32767}}, "
                "{'type': 'abs', 'data': {'axis': 'y', 'value': 16384}}]}}");
        } else {
            qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
                "'arguments': {'events': ["
                "{'type': 'rel', 'data': {'axis': 'x', 'value': -3}}, "
                "{'type': 'rel', 'data': {'axis': 'y', 'value': 4}}]}}");
        }
        xenpv_wait_event(qts, port);
        g_assert_cmpuint(qtest_readl(qts, page + 4), ==, 1);
        qtest_memread(qts, in, &e, sizeof(e));
        if (absolute) {
            g_assert_cmpuint(e.type, ==, XENKBD_TYPE_POS);
            g_assert_cmpint(e.pos.abs_x, ==, WIDTH - 1);
            g_assert_cmpint(e.pos.abs_y, ==, HEIGHT / 2 - 1);
        } else {
            g_assert_cmpuint(e.type, ==, XENKBD_TYPE_MOTION);
            g_assert_cmpint(e.motion.rel_x, ==, -3);
            g_assert_cmpint(e.motion.rel_y, ==, 4);
        }
        if (i & 1) {
            frontend_set_state(&f, XenbusStateInitialising);
            frontend_wait(&f, XenbusStateInitWait);
            frontend_destroy(&f);
        } else {
            disconnect(&f);
        }
        /* Nobody is there who would take it, which QMP may say */
        qobject_unref(qtest_qmp(qts, "{'execute': 'input-send-event', "
            "'arguments': {'events': [{'type': 'key', 'data': {'down': true, "
            "'key': {'type': 'qcode', 'data': 'a'}}}]}}"));
        g_assert_cmpuint(qtest_readl(qts, page + 4), ==, 1);
    }
    disconnect(&fb);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
#ifdef QEMU_SANITIZE_ADDRESS
    g_autofree char *options = g_strdup_printf("%s:quarantine_size_mb=%d",
                                               getenv("ASAN_OPTIONS") ?: "",
                                               KEPT_MIB);

    g_setenv("ASAN_OPTIONS", options, true);
#endif
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/fb/picture", test_picture);
    qtest_add_func("/xenpv/fb/reconnect", test_reconnect);
    qtest_add_func("/xenpv/fb/geometry", test_geometry);
    qtest_add_func("/xenpv/fb/frames", test_frames);
    qtest_add_func("/xenpv/fb/nodes", test_nodes);
    qtest_add_func("/xenpv/fb/refused-then-kicked", test_refused_then_kicked);
    qtest_add_func("/xenpv/fb/updates", test_updates);
    qtest_add_func("/xenpv/fb/resize", test_resize);
    qtest_add_func("/xenpv/fb/begin-anew", test_begin_anew);
    qtest_add_func("/xenpv/fb/keyboard", test_keyboard);
    qtest_add_func("/xenpv/fb/pointer", test_pointer);
    return g_test_run();
}
