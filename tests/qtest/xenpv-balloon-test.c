/*
 * Memory of the xenpv-kvm machine: what domain 0 asks for, and what it is told
 *
 * QMP's balloon must reach the guest's xenstore and the monitor's limit, and
 * query-balloon tell what the monitor says. Frames that are given back lose what
 * is in them, and no others do; and whatever a guest says in the monitor's name
 * changes nothing that it does not have.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "hw/xenpv/xenpv-messages.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "xenpv-frontend.h"

#define START   (32 * MiB)
#define MOST    (96 * MiB)
#define PATTERN 0x6b6b6b6b6b6b6b6bULL

static QTestState *start(const char *more)
{
    g_autofree char *args = g_strdup_printf("-M xenpv-kvm -m 32,maxmem=96M %s",
                                            more);

    return qtest_init(args);
}

static uint64_t actual(QTestState *qts)
{
    g_autoptr(QDict) answer = qtest_qmp(qts, "{'execute': 'query-balloon'}");

    return qdict_get_int(qdict_get_qdict(answer, "return"), "actual");
}

static void balloon(QTestState *qts, uint64_t bytes)
{
    qtest_qmp_assert_success(qts, "{'execute': 'balloon',"
                             " 'arguments': {'value': %" PRIu64 "}}", bytes);
}

static uint64_t limit(QTestState *qts)
{
    return qtest_readq(qts, xenpv_core(XENPV_CORE_BOOT_INFO) +
                       offsetof(struct xenpv_boot_info, max_pages));
}

/* What the monitor says: @nr frames from @list on are given back */
static int64_t tell(QTestState *qts, uint64_t pages, const uint32_t *list,
                    uint32_t nr)
{
    struct xenpv_reservation r = { .nr_pages = pages, .nr_frames = nr };
    uint32_t known = MIN(nr, XENPV_RESERVATION_FRAMES);

    if (known) {
        memcpy(r.frames, list, known * sizeof(*list));
    }
    return xenpv_call(qts, XENPV_CALL_MEMORY, 0, &r,
                      offsetof(struct xenpv_reservation, frames[known]));
}

static void test_target(void)
{
    QTestState *qts = start("");

    xs_assert(qts, "memory", "static-max", "98304");
    xs_assert(qts, "memory", "target", "32768");
    g_assert_cmpuint(limit(qts), ==, START / XENPV_PAGE);
    g_assert_cmpuint(actual(qts), ==, START);

    balloon(qts, 64 * MiB);
    xs_assert(qts, "memory", "target", "65536");
    g_assert_cmpuint(limit(qts), ==, 64 * MiB / XENPV_PAGE);
    g_assert_cmpuint(actual(qts), ==, START);
    /* Whole pages, and no more than there is */
    balloon(qts, 16 * MiB + 5000);
    xs_assert(qts, "memory", "target", "16388");
    balloon(qts, 1ULL << 50);
    xs_assert(qts, "memory", "target", "98304");
    g_assert_cmpuint(limit(qts), ==, MOST / XENPV_PAGE);

    g_assert_cmpint(tell(qts, MOST / XENPV_PAGE, NULL, 0), ==, 0);
    qtest_qmp_eventwait(qts, "BALLOON_CHANGE");
    g_assert_cmpuint(actual(qts), ==, MOST);

    /* A reset: it has what it starts with, and is asked for the same still */
    qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(qts, "RESET");
    g_assert_cmpuint(actual(qts), ==, START);
    g_assert_cmpuint(limit(qts), ==, MOST / XENPV_PAGE);
    xs_assert(qts, "memory", "target", "98304");
    qtest_quit(qts);
}

static void fill(QTestState *qts, uint64_t mfn, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        qtest_writeq(qts, (mfn + i) * XENPV_PAGE + 64, PATTERN);
    }
}

static uint64_t word(QTestState *qts, uint64_t mfn)
{
    return qtest_readq(qts, mfn * XENPV_PAGE + 64);
}

static void test_discard(void)
{
    /* Apart, in a row, at both ends, more than once, and what is not RAM */
    static const uint32_t list[] = {
        100, 101, 102, 104, 103, 300, 100, MOST / XENPV_PAGE - 1,
        MOST / XENPV_PAGE, XENPV_CORE_GPA / XENPV_PAGE, 0xffffffff, 200,
    };
    QTestState *qts = start("");

    fill(qts, 90, 220);
    fill(qts, MOST / XENPV_PAGE - 2, 2);
    g_assert_cmpint(tell(qts, 4096, list, ARRAY_SIZE(list)), ==, 0);
    for (uint32_t mfn = 90; mfn < 310; mfn++) {
        bool gone = (mfn >= 100 && mfn <= 104) || mfn == 200 || mfn == 300;

        g_assert_cmphex(word(qts, mfn), ==, gone ? 0 : PATTERN);
    }
    g_assert_cmphex(word(qts, MOST / XENPV_PAGE - 1), ==, 0);
    g_assert_cmphex(word(qts, MOST / XENPV_PAGE - 2), ==, PATTERN);
    g_assert_cmpuint(actual(qts), ==, 4096 * XENPV_PAGE);
    qtest_quit(qts);
}

static void test_impossible(void)
{
    QTestState *qts = start("");
    uint32_t list[XENPV_RESERVATION_FRAMES];
    struct xenpv_reservation r = { .nr_pages = 1, .nr_frames = 2 };

    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        list[i] = 100 + 2 * i;
    }
    fill(qts, 100, 1000);
    /* Longer than it can be, or than it is */
    g_assert_cmpint(tell(qts, 1, list, XENPV_RESERVATION_FRAMES + 1), ==,
                    -XEN_EINVAL);
    g_assert_cmpint(tell(qts, 1, list, UINT32_MAX), ==, -XEN_EINVAL);
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_MEMORY, 0, &r,
                               offsetof(struct xenpv_reservation, frames[1])),
                    ==, -XEN_EINVAL);
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_MEMORY, 0, &r, 4), ==,
                    -XEN_EINVAL);
    /* More than there is, and what there is no such call for */
    g_assert_cmpint(tell(qts, MOST / XENPV_PAGE + 1, list, 1), ==, -XEN_EINVAL);
    g_assert_cmpint(tell(qts, UINT64_MAX, list, 1), ==, -XEN_EINVAL);
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_MEMORY, 1, &r, sizeof(r)), ==,
                    -XEN_EINVAL);
    g_assert_cmphex(word(qts, 100), ==, PATTERN);
    g_assert_cmpuint(actual(qts), ==, START);
    /* As many as fit, none of them beside another */
    g_assert_cmpint(tell(qts, 4096, list, ARRAY_SIZE(list)), ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        g_assert_cmphex(word(qts, list[i]), ==, 0);
        g_assert_cmphex(word(qts, list[i] + 1), ==, PATTERN);
    }
    qtest_quit(qts);
}

static uint64_t guest_stat(QTestState *qts, const char *name)
{
    g_autoptr(QDict) answer = qtest_qmp(qts, "{'execute': 'qom-get',"
        " 'arguments': {'path': '/machine/xenpv-balloon',"
        " 'property': 'guest-stats'}}");
    QDict *stats = qdict_get_qdict(answer, "return");
    uint64_t value;

    if (!strcmp(name, "last-update")) {
        return qdict_get_int(stats, name);
    }
    stats = qdict_get_qdict(stats, "stats");
    g_assert_true(qnum_get_try_uint(qobject_to(QNum, qdict_get(stats, name)),
                                    &value));
    return value;
}

static void test_stats(void)
{
    QTestState *qts = start("");
    g_autofree char *longest = g_strnfill(2000, '\n');

    g_assert_cmpuint(guest_stat(qts, "last-update"), ==, 0);
    g_assert_cmpuint(guest_stat(qts, "stat-total-memory"), ==, UINT64_MAX);
    xs_write(qts, "memory", "meminfo", "MemTotal:    1000 kB\n"
             "MemFree: 12 kB\nBuffers: 5 kB\nCached:  7 kB");
    g_assert_cmpuint(guest_stat(qts, "stat-total-memory"), ==, 1000 * KiB);
    g_assert_cmpuint(guest_stat(qts, "stat-free-memory"), ==, 12 * KiB);
    g_assert_cmpuint(guest_stat(qts, "stat-disk-caches"), ==, 7 * KiB);
    g_assert_cmpuint(guest_stat(qts, "stat-available-memory"), ==, UINT64_MAX);
    g_assert_cmpuint(guest_stat(qts, "last-update"), !=, 0);
    /* Of what is no number nothing is told */
    xs_write(qts, "memory", "meminfo", "MemTotal: x kB\nMemFree: -1 kB\n"
             "MemAvailable: 99999999999999999999 kB\nCached: 7 MB");
    g_assert_cmpuint(guest_stat(qts, "stat-total-memory"), ==, UINT64_MAX);
    g_assert_cmpuint(guest_stat(qts, "stat-free-memory"), ==, UINT64_MAX);
    g_assert_cmpuint(guest_stat(qts, "stat-available-memory"), ==, UINT64_MAX);
    g_assert_cmpuint(guest_stat(qts, "stat-disk-caches"), ==, UINT64_MAX);
    xs_write(qts, "memory", "meminfo", "%s", longest);
    g_assert_cmpuint(guest_stat(qts, "stat-total-memory"), ==, UINT64_MAX);
    xs_write(qts, "memory", "meminfo", "%s", "");
    g_assert_cmpuint(guest_stat(qts, "last-update"), ==, 0);
    qtest_quit(qts);
}

/* A request by domain 0's socket: is it refused? */
static bool is_refused(int fd, uint32_t type, const char *path)
{
    struct xsd_sockmsg hdr = { .type = type, .len = strlen(path) + 1 };
    char answer[XENSTORE_PAYLOAD_MAX];

    g_assert_cmpint(send(fd, &hdr, sizeof(hdr), 0), ==, sizeof(hdr));
    g_assert_cmpint(send(fd, path, hdr.len, 0), ==, hdr.len);
    g_assert_cmpint(recv(fd, &hdr, sizeof(hdr), MSG_WAITALL), ==, sizeof(hdr));
    g_assert_cmpint(recv(fd, answer, hdr.len, MSG_WAITALL), ==, hdr.len);
    return hdr.type == XS_ERROR;
}

/* All nodes that domain 0 may have, by paths as deep as there is room for */
static void use_up_store(int fd)
{
    unsigned depth = 1400, n = 0;

    while (depth) {
        g_autoptr(GString) path = g_string_new(NULL);

        g_string_printf(path, "/full/%u", n++);
        for (unsigned i = 0; i < depth; i++) {
            g_string_append(path, "/d");
        }
        if (is_refused(fd, XS_WRITE, path->str)) {
            depth /= 2;
        }
    }
}

/*
 * A program of domain 0's that has filled xenstore keeps the guest from being
 * told, and no more; the user reads of it, and no line for each command
 */
static void test_full_store(void)
{
    static const char memory[] = "/local/domain/1/memory";
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *err = g_build_filename(dir, "err", NULL);
    g_autofree char *options = g_strdup_printf("-device xenpv-xenstore-socket,"
                                               "path=%s 2>%s", path, err);
    QTestState *qts = start(options);
    int fd = unix_connect(path, &error_abort);

    use_up_store(fd);
    g_assert_false(is_refused(fd, XS_RM, memory));
    use_up_store(fd);
    balloon(qts, 64 * MiB);
    g_assert_cmpuint(limit(qts), ==, 64 * MiB / XENPV_PAGE);
    g_assert_true(is_refused(fd, XS_READ, memory));
    for (int i = 0; i < 2 * XENPV_MESSAGES_MAX; i++) {
        balloon(qts, 64 * MiB);
    }
    g_assert_cmpuint(lines(err, "/memory/target cannot be written"), <=,
                     XENPV_MESSAGES_MAX);
    g_assert_cmpuint(lines(err, "/memory/target cannot be written"), >, 0);
    qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(qts, "RESET");

    /* When there is room again, it hears of it */
    g_assert_false(is_refused(fd, XS_RM, "/full"));
    balloon(qts, 48 * MiB);
    xs_assert(qts, "memory", "target", "49152");
    close(fd);
    qtest_quit(qts);
    unlink(err);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/balloon/target", test_target);
    qtest_add_func("/xenpv/balloon/discard", test_discard);
    qtest_add_func("/xenpv/balloon/impossible", test_impossible);
    qtest_add_func("/xenpv/balloon/stats", test_stats);
    qtest_add_func("/xenpv/balloon/full-store", test_full_store);
    return g_test_run();
}
