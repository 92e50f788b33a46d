/*
 * The Xen bus of the xenpv-kvm machine: resets, and the numbers of devices
 *
 * A guest writes what it likes into the directories of its front ends, or
 * removes them. Nothing of that may outlive a reset, or what the next kernel
 * boots from is not served; and two devices must never share a number, or each
 * gets the other's requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xen/interface/io/ring.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "xenpv-frontend.h"

#define RING_MFN    XENPV_QTEST_MFN_FREE
#define RING_REF    20

static QTestState *start(void)
{
    static const char *const names[] = { "n0", "n1", "n2", "n3", "n4" };
    QTestState *qts = qtest_init("-M xenpv-kvm -m 32");

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-add',"
            " 'arguments': { 'driver': 'null-co', 'node-name': %s,"
            " 'size': 1048576, 'read-zeroes': true } }", names[i]);
    }
    return qts;
}

static void offer_ring(QTestState *qts, Frontend *f, const char *dir)
{
    qtest_memset(qts, RING_MFN * XENPV_PAGE, 0, XENPV_PAGE);
    qtest_writel(qts, RING_MFN * XENPV_PAGE + 4, 1);     /* req_event */
    qtest_writel(qts, RING_MFN * XENPV_PAGE + 12, 1);    /* rsp_event */
    xenpv_grant(qts, RING_REF, GTF_permit_access, RING_MFN);
    xs_write(qts, dir, "ring-ref", "%d", RING_REF);
    xs_write(qts, dir, "event-channel", "%u", xenpv_alloc_unbound(qts));
    frontend_set_state(f, XenbusStateInitialised);
}

static void connect_disk(QTestState *qts, Frontend *f, const char *dir)
{
    frontend_init(f, qts, dir);
    frontend_wait(f, XenbusStateInitWait);
    offer_ring(qts, f, dir);
    frontend_wait(f, XenbusStateConnected);
}

static void remove_node(QTestState *qts, const char *path)
{
    g_autofree char *answer = xs_request(qts, XS_RM, path, strlen(path) + 1);

    g_assert_cmpstr(answer, ==, "OK");
}

/* Whatever a front end writes before it: the next kernel's disk is served */
static void test_reset(void)
{
    static const char *const last_words[] = {
        "1", "2", "3", "4", "5", "6", "7", "0", "", "x", NULL
    };
    QTestState *qts = start();

    qtest_qmp_device_add(qts, "xen-disk", "disk",
                         "{ 'drive': 'n0', 'vdev': 'xvda' }");
    for (int i = 0; i <= ARRAY_SIZE(last_words); i++) {
        Frontend f;

        connect_disk(qts, &f, "device/vbd/51712");
        if (i == ARRAY_SIZE(last_words)) {
            remove_node(qts, "device/vbd/51712");
        } else if (last_words[i]) {
            xs_write(qts, f.dir, "state", "%s", last_words[i]);
        } else {
            remove_node(qts, "device/vbd/51712/state");
        }
        qtest_system_reset(qts);
        /* Nothing of the old domain is mapped, and its nodes are gone */
        g_assert_cmphex(xenpv_grant_flags(qts, RING_REF) &
                        (GTF_reading | GTF_writing), ==, 0);
        xs_assert(qts, f.dir, "state", "1");
        xs_assert(qts, f.dir, "ring-ref", NULL);
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

/* A front end that was never there is not closed by a reset */
static void test_reset_new(void)
{
    QTestState *qts = start();
    Frontend f;

    qtest_qmp_device_add(qts, "xen-disk", "disk",
                         "{ 'drive': 'n0', 'vdev': 'xvda' }");
    for (int i = 0; i < 3; i++) {
        qtest_system_reset(qts);
        frontend_init(&f, qts, "device/vbd/51712");
        g_assert_cmpint(frontend_back_state(&f), ==, XenbusStateInitWait);
        xs_assert(qts, f.dir, "state", "1");
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

/* Numbers are taken, though the guest has removed what says so */
static void test_numbers(void)
{
    QTestState *qts = start();
    Frontend f;

    qtest_qmp_device_add(qts, "xen-disk", "d0", "{ 'drive': 'n0' }");
    remove_node(qts, "device/vbd/51712");
    qtest_qmp_device_add(qts, "xen-disk", "d1", "{ 'drive': 'n1' }");
    remove_node(qts, "device/vbd/51728");
    qtest_qmp_device_add(qts, "xen-disk", "d2", "{ 'drive': 'n2' }");
    frontend_init(&f, qts, "device/vbd/51744");
    g_assert_true(g_str_has_suffix(f.back, "/51744"));
    frontend_destroy(&f);
    for (int i = 0; i < 2; i++) {
        g_autofree char *value = xs_read(qts, "device/vbd/%d/state",
                                         51712 + i * 16);

        g_assert_null(value);
    }
    /* They are back after a reset, and each has its own */
    qtest_system_reset(qts);
    for (int i = 0; i < 3; i++) {
        g_autofree char *dir = g_strdup_printf("device/vbd/%d", 51712 + i * 16);

        connect_disk(qts, &f, dir);
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

/* Disks that nobody names are xvda, xvdb and so on, each another one */
static void test_names(void)
{
    QTestState *qts = start();

    for (int i = 0; i < 5; i++) {
        g_autofree char *id = g_strdup_printf("d%d", i);
        g_autofree char *node = g_strdup_printf("n%d", i);
        g_autofree char *dir = g_strdup_printf("device/vbd/%d", 51712 + i * 16);
        Frontend f;

        qtest_qmp_device_add(qts, "xen-disk", id, "{ 'drive': %s }", node);
        frontend_init(&f, qts, dir);
        g_assert_cmpint(frontend_back_state(&f), ==, XenbusStateInitWait);
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

/* The same number twice: one error, and the first device is as it was */
static void test_twice(void)
{
    QTestState *qts = start();
    QDict *error;
    Frontend f;

    qtest_qmp_device_add(qts, "xen-disk", "d0",
                         "{ 'drive': 'n0', 'vdev': 'xvda' }");
    connect_disk(qts, &f, "device/vbd/51712");
    error = qtest_qmp_assert_failure_ref(qts, "{ 'execute': 'device_add',"
        " 'arguments': { 'driver': 'xen-disk', 'id': 'd1', 'drive': 'n1',"
        " 'vdev': 'xvda' } }");
    g_test_message("%s", qdict_get_str(error, "desc"));
    qobject_unref(error);
    g_assert_cmpint(frontend_back_state(&f), ==, XenbusStateConnected);
    xs_assert(qts, f.back, "frontend", "/local/domain/1/device/vbd/51712");
    frontend_destroy(&f);
    /* The number is free again when the first one is gone */
    qtest_system_reset(qts);
    frontend_init(&f, qts, "device/vbd/51712");
    frontend_set_state(&f, XenbusStateClosed);
    qtest_qmp_device_del(qts, "d0");
    frontend_destroy(&f);
    qtest_qmp_device_add(qts, "xen-disk", "d1",
                         "{ 'drive': 'n1', 'vdev': 'xvda' }");
    connect_disk(qts, &f, "device/vbd/51712");
    frontend_destroy(&f);
    qtest_quit(qts);
}

/* What info xenpv and the property tell of a disk's ring, and of grants */
static void test_info(void)
{
    QTestState *qts = start();
    g_autofree char *text = NULL;
    QDict *answer, *info, *disk, *ring;
    Frontend f;
    gint64 end;

    qtest_qmp_device_add(qts, "xen-disk", "d0",
                         "{ 'drive': 'n0', 'vdev': 'xvda' }");
    connect_disk(qts, &f, "device/vbd/51712");
    /* Impossible indexes are shown as what they are */
    qtest_writel(qts, RING_MFN * XENPV_PAGE + 8, 0xfffffffe);   /* rsp_prod */
    answer = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': {"
                       " 'path': '/machine', 'property': 'xenpv' } }");
    info = qdict_get_qdict(answer, "return");
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(info, "grants"), "in-use"), ==,
                    1);
    disk = qobject_to(QDict, qlist_peek(qdict_get_qlist(info, "back-ends")));
    g_assert_cmpstr(qdict_get_str(disk, "id"), ==, "d0");
    g_assert_cmpstr(qdict_get_str(disk, "state"), ==, "Connected");
    ring = qobject_to(QDict, qlist_peek(qdict_get_qlist(disk, "rings")));
    g_assert_cmpint(qdict_get_int(ring, "size"), ==, 32);
    g_assert_cmpint(qdict_get_int(ring, "req-prod"), ==, 0);
    g_assert_cmpint(qdict_get_int(ring, "req-cons"), ==, 0);
    g_assert_cmphex(qdict_get_int(ring, "rsp-prod"), ==, 0xfffffffe);
    qobject_unref(answer);

    text = qtest_hmp(qts, "info xenpv");
    g_assert_nonnull(strstr(text, "grants: 1 in use; version 1, 1 of 64 frames"));
    g_assert_nonnull(strstr(text, "/local/domain/0/backend/qdisk/1/51712: xen-disk"
                                  " Connected, front end Initialised\r\n"
                                  "  ring of 32: req-prod 0 req-cons 0"
                                  " rsp-prod 4294967294\r\n"));

    /* Without a front end there is no ring, and no grant in use */
    frontend_set_state(&f, XenbusStateClosed);
    frontend_wait(&f, XenbusStateClosed);
    g_free(text);
    text = qtest_hmp(qts, "info xenpv");
    g_assert_nonnull(strstr(text, "grants: 0 in use"));
    g_assert_null(strstr(text, "ring of 32"));

    /* A state that is none is shown as that, and not what lies behind its name */
    xs_write(qts, f.dir, "state", "99");
    end = g_get_monotonic_time() + TIMEOUT_US;
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_free(text);
        text = qtest_hmp(qts, "info xenpv");
    } while (strstr(text, "front end Closed"));
    g_assert_nonnull(strstr(text, "front end INVALID"));
    frontend_destroy(&f);
    qtest_quit(qts);
}

/*
 * A front end that connects while its device is to go is told so after that,
 * or the device stays for ever, and so does its number
 */
static void test_unplug_connecting(void)
{
    static const char dir[] = "device/vbd/51712";
    QTestState *qts = start();
    Frontend f;

    for (int i = 0; i < 2; i++) {
        qtest_qmp_device_add(qts, "xen-disk", "d0",
                             "{ 'drive': 'n0', 'vdev': 'xvda' }");
        frontend_init(&f, qts, dir);
        frontend_wait(&f, XenbusStateInitWait);
        frontend_set_state(&f, XenbusStateInitWait);
        qtest_qmp_device_del_send(qts, "d0");
        frontend_wait(&f, XenbusStateClosing);
        offer_ring(qts, &f, dir);
        /* By then the back end has seen it */
        for (int j = 0; j < 10; j++) {
            qtest_qmp_assert_success(qts, "{ 'execute': 'query-status' }");
        }
        frontend_wait(&f, XenbusStateClosing);
        frontend_set_state(&f, XenbusStateClosed);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
        frontend_destroy(&f);
    }
    qtest_quit(qts);
}

/* A device for a domain that there is not is made, and can never be removed */
static void test_other_domain(void)
{
    static const char *const drivers[] = {
        "xen-disk", "xen-net-device", "xen-console",
    };
    QTestState *qts = start();

    for (int i = 0; i < ARRAY_SIZE(drivers); i++) {
        QDict *args = qdict_new(), *error;

        qdict_put_str(args, "driver", drivers[i]);
        qdict_put_int(args, "frontend-id", i ? 32751 : 0);
        if (i == 0) {
            qdict_put_str(args, "drive", "n0");
        } else if (i == 2) {
            qdict_put_str(args, "chardev", "c");
            qtest_qmp_assert_success(qts, "{ 'execute': 'chardev-add',"
                " 'arguments': { 'id': 'c', 'backend': { 'type': 'null',"
                " 'data': {} } } }");
        }
        error = qtest_qmp_assert_failure_ref(qts, "{ 'execute': 'device_add',"
                                             " 'arguments': %p }",
                                             qobject_ref(args));
        g_assert_cmpstr(qdict_get_str(error, "desc"), ==, i ?
                        "frontend-id=32751: the only domain here is 1" :
                        "frontend-id=0: the only domain here is 1");
        qobject_unref(error);
        /* Its own number can be said, and nothing is left of the other */
        qdict_put_str(args, "id", "d");
        qdict_put_int(args, "frontend-id", 1);
        qtest_qmp_assert_success(qts, "{ 'execute': 'device_add',"
                                 " 'arguments': %p }", args);
        qtest_qmp_device_del(qts, "d");
    }
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/bus/reset", test_reset);
    qtest_add_func("/xenpv/bus/reset-new", test_reset_new);
    qtest_add_func("/xenpv/bus/numbers", test_numbers);
    qtest_add_func("/xenpv/bus/names", test_names);
    qtest_add_func("/xenpv/bus/twice", test_twice);
    qtest_add_func("/xenpv/bus/info", test_info);
    qtest_add_func("/xenpv/bus/unplug-connecting", test_unplug_connecting);
    qtest_add_func("/xenpv/bus/other-domain", test_other_domain);
    return g_test_run();
}
