/*
 * The framebuffer, keyboard and pointer of the xenpv-kvm machine
 *
 * The test is the front end: its picture is what QEMU shows, whatever the
 * layout; keys and the pointer come to it; and what a hostile front end can
 * claim about its framebuffer does no harm.
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

        if (depth == 16) {
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

static void test_hostile(void)
{
    static const struct {
        int32_t width, height;
        uint32_t stride, len;
        uint8_t depth;
    } claims[] = {
        { WIDTH, HEIGHT, WIDTH * 4, 0xffffffff, 32 },
        { WIDTH, HEIGHT, WIDTH * 4, 0x7fffffff, 32 },
        { WIDTH, HEIGHT, WIDTH * 4, 0x80000000, 32 },
        { WIDTH, HEIGHT, WIDTH * 4, 0, 32 },
        { WIDTH, HEIGHT, 0, WIDTH * HEIGHT * 4, 32 },
        { WIDTH, HEIGHT, 0xffffffff, WIDTH * HEIGHT * 4, 32 },
        { -1, -1, WIDTH * 4, WIDTH * HEIGHT * 4, 32 },
        { INT32_MAX, INT32_MAX, 4, WIDTH * HEIGHT * 4, 32 },
        { INT32_MIN, INT32_MIN, 4, WIDTH * HEIGHT * 4, 32 },
        { 1, INT32_MAX, 1, NR_PIXELS_MFNS * XENPV_PAGE, 8 },
        { INT32_MAX, 1, NR_PIXELS_MFNS * XENPV_PAGE,
          NR_PIXELS_MFNS * XENPV_PAGE, 8 },
        /* A pixel of 24 bits at the very end */
        { 1024, 64, 3072, 48 * XENPV_PAGE, 24 },
        { 64, 64, 192, 3 * XENPV_PAGE, 24 },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 0 },
        { WIDTH, HEIGHT, WIDTH * 4, WIDTH * HEIGHT * 4, 255 },
    };

    for (int i = 0; i < ARRAY_SIZE(claims); i++) {
        QTestState *qts = start();
        Frontend f;
        Picture p;

        g_test_message("claim %d", i);
        set_page(qts, false, claims[i].width, claims[i].height,
                 claims[i].stride, claims[i].len, claims[i].depth);
        prepare(&f, qts, "device/vfb/0", FB_PAGE_MFN, false);
        frontend_set_state(&f, XenbusStateInitialised);
        for (int j = 0; j < 2; j++) {
            p = screendump(qts);
            g_free(p.file);
        }
        /* And a directory of frames that are not RAM */
        qtest_memset(qts, DIRECTORY_MFN * XENPV_PAGE, 0xff, XENPV_PAGE);
        frontend_set_state(&f, XenbusStateClosed);
        frontend_set_state(&f, XenbusStateInitialising);
        frontend_set_state(&f, XenbusStateInitialised);
        p = screendump(qts);
        g_free(p.file);
        frontend_destroy(&f);
        qtest_quit(qts);
    }
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

    qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
        "'arguments': {'events': [{'type': 'key', 'data': {'down': true, "
        "'key': {'type': 'qcode', 'data': 'a'}}}]}}");
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
    qtest_qmp_assert_success(qts, "{'execute': 'input-send-event', "
        "'arguments': {'events': [{'type': 'key', 'data': {'down': true, "
        "'key': {'type': 'qcode', 'data': 'c'}}}]}}");
    disconnect(&f);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/fb/picture", test_picture);
    qtest_add_func("/xenpv/fb/reconnect", test_reconnect);
    qtest_add_func("/xenpv/fb/hostile", test_hostile);
    qtest_add_func("/xenpv/fb/keyboard", test_keyboard);
    return g_test_run();
}
