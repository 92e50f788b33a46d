/*
 * vCPUs of the xenpv-kvm machine that are plugged and unplugged
 *
 * QMP must show those that are plugged and no others, tell the guest of each by
 * availability, and take one back when the guest has put it down, and not before:
 * else management software waits for ever, or believes what is not so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "hw/xen/interface/xen-compat.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/vcpu.h"

#define NS_PER_S    1000000000LL

static QTestState *start(void)
{
    return qtest_init("-M xenpv-kvm -m 32 "
                      "-smp 2,maxcpus=4,sockets=1,cores=4,threads=1");
}

static int64_t tell(QTestState *qts, uint32_t vcpu, uint32_t cmd)
{
    return xenpv_call(qts, XENPV_CALL_VCPU, cmd, &vcpu, sizeof(vcpu));
}

static void assert_available(QTestState *qts, const char *values)
{
    for (int i = 0; values[i]; i++) {
        g_autofree char *is = xs_read(qts, "cpu/%d/availability", i);

        g_assert_cmpstr(is, ==, values[i] == '1' ? "online" : "offline");
    }
}

/* Both lists, and that they say the same */
static void assert_shown(QTestState *qts, const char *shown)
{
    g_autoptr(QDict) fast = qtest_qmp(qts, "{'execute': 'query-cpus-fast'}");
    g_autoptr(QDict) plug =
        qtest_qmp(qts, "{'execute': 'query-hotpluggable-cpus'}");
    QList *list = qdict_get_qlist(fast, "return");
    const char *paths[4] = { NULL };
    const QListEntry *e;
    int n = 0;

    QLIST_FOREACH_ENTRY(list, e) {
        QDict *cpu = qobject_to(QDict, e->value);
        int64_t index = qdict_get_int(cpu, "cpu-index");

        g_assert_cmpint(index, <, 4);
        paths[index] = qdict_get_str(cpu, "qom-path");
        n++;
    }
    QLIST_FOREACH_ENTRY(qdict_get_qlist(plug, "return"), e) {
        QDict *cpu = qobject_to(QDict, e->value);
        int64_t index = qdict_get_int(qdict_get_qdict(cpu, "props"), "core-id");

        g_assert_cmpstr(qdict_get_try_str(cpu, "qom-path"), ==, paths[index]);
        if (index >= 2) {
            g_assert_cmpstr(qdict_get_str(cpu, "type"), ==, "xenpv-vcpu");
        }
    }
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(!!paths[i], ==, shown[i] == '1');
        n -= shown[i] == '1';
    }
    g_assert_cmpint(n, ==, 0);
}

static QDict *add(QTestState *qts, int core, const char *id)
{
    return qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                     " 'driver': 'xenpv-vcpu', 'id': %s, 'socket-id': 0,"
                     " 'core-id': %d, 'thread-id': 0}}", id, core);
}

static void add_ok(QTestState *qts, int core, const char *id)
{
    g_autoptr(QDict) answer = add(qts, core, id);

    g_assert_true(qdict_haskey(answer, "return"));
}

static void add_refused(QTestState *qts, int core, const char *says)
{
    g_autoptr(QDict) answer = add(qts, core, "x");

    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(answer, "error"),
                                          "desc"), says));
}

static void del(QTestState *qts, const char *id)
{
    qtest_qmp_assert_success(qts, "{'execute': 'device_del',"
                             " 'arguments': {'id': %s}}", id);
}

static void wait_deleted(QTestState *qts, const char *id)
{
    g_autoptr(QDict) event = qtest_qmp_eventwait_ref(qts, "DEVICE_DELETED");

    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(event, "data"), "device"), ==,
                    id);
}

static void test_plug(void)
{
    QTestState *qts = start();

    assert_available(qts, "1100");
    assert_shown(qts, "1100");
    add_ok(qts, 2, "two");
    assert_available(qts, "1110");
    assert_shown(qts, "1110");
    add_refused(qts, 2, "CPU 2 is there already");
    add_refused(qts, 1, "CPU 1 is there already");
    add_refused(qts, 4, "query-hotpluggable-cpus");
    add_refused(qts, -1, "query-hotpluggable-cpus");
    assert_available(qts, "1110");
    add_ok(qts, 3, "three");
    assert_shown(qts, "1111");
    /* A guest that has not brought it up has nothing to let go of */
    del(qts, "two");
    wait_deleted(qts, "two");
    assert_available(qts, "1101");
    assert_shown(qts, "1101");
    add_ok(qts, 2, "again");
    assert_available(qts, "1111");
    qtest_quit(qts);
}

static void test_unplug(void)
{
    QTestState *qts = start();
    g_autoptr(QDict) event = NULL;
    g_autoptr(QDict) twice = NULL;

    add_ok(qts, 3, "three");
    g_assert_cmpint(tell(qts, 3, VCPUOP_up), ==, 0);
    del(qts, "three");
    assert_available(qts, "1100");
    assert_shown(qts, "1101");
    twice = qtest_qmp(qts, "{'execute': 'device_del',"
                      " 'arguments': {'id': 'three'}}");
    g_assert_true(qdict_haskey(twice, "error"));
    /* Another's has nothing to do with it */
    g_assert_cmpint(tell(qts, 1, VCPUOP_down), ==, 0);
    assert_shown(qts, "1101");
    g_assert_cmpint(tell(qts, 3, VCPUOP_down), ==, 0);
    wait_deleted(qts, "three");
    assert_available(qts, "1100");
    assert_shown(qts, "1100");

    /* It keeps it: after a time it is as if it had not been asked */
    add_ok(qts, 3, "three");
    g_assert_cmpint(tell(qts, 3, VCPUOP_up), ==, 0);
    del(qts, "three");
    qtest_clock_step(qts, 19 * NS_PER_S);
    assert_available(qts, "1100");
    qtest_clock_step(qts, 2 * NS_PER_S);
    event = qtest_qmp_eventwait_ref(qts, "DEVICE_UNPLUG_GUEST_ERROR");
    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(event, "data"), "device"), ==,
                    "three");
    assert_available(qts, "1101");
    assert_shown(qts, "1101");
    /* Whatever it does of itself unplugs nothing */
    g_assert_cmpint(tell(qts, 3, VCPUOP_down), ==, 0);
    assert_shown(qts, "1101");
    g_assert_cmpint(tell(qts, 3, VCPUOP_up), ==, 0);
    /* And it can be asked once more; a reset answers */
    del(qts, "three");
    assert_shown(qts, "1101");
    qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    wait_deleted(qts, "three");
    assert_shown(qts, "1100");
    assert_available(qts, "1100");
    qtest_quit(qts);
}

/* To a machine of as many vCPUs, of which others are there from the start */
static void test_moved(void)
{
    static const struct {
        const char *from, *to;
        bool fits;
    } cases[] = {
        { "4", "4", true }, { "2,maxcpus=4", "2,maxcpus=4", true },
        { "4", "2,maxcpus=4", false }, { "2,maxcpus=4", "4", false },
    };
    g_autofree char *dir = g_dir_make_tmp("xenpv-vcpu-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "state", NULL);
    g_autofree char *uri = g_strconcat("file:", path, NULL);

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QTestState *qts = qtest_initf("-M xenpv-kvm -m 32 -smp %s",
                                      cases[i].from);

        xenpv_save(qts, uri);
        qtest_quit(qts);
        qts = qtest_initf("-M xenpv-kvm -m 32 -smp %s -incoming defer",
                          cases[i].to);
        qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming',"
                                 " 'arguments': {'uri': %s,"
                                 " 'exit-on-error': false}}", uri);
        g_assert_cmpint(xenpv_migrated(qts), ==, cases[i].fits);
        qtest_quit(qts);
    }
    unlink(path);
    rmdir(dir);
}

static void test_impossible(void)
{
    QTestState *qts = start();

    add_ok(qts, 2, "two");
    del(qts, "two");
    wait_deleted(qts, "two");
    g_assert_cmpint(tell(qts, 4, VCPUOP_down), ==, -XEN_EINVAL);
    g_assert_cmpint(tell(qts, UINT32_MAX, VCPUOP_up), ==, -XEN_EINVAL);
    g_assert_cmpint(tell(qts, 1, VCPUOP_initialise), ==, -XEN_EINVAL);
    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_VCPU, VCPUOP_up, NULL, 0), ==,
                    -XEN_EINVAL);
    /* Those that are not plugged, and those that are for good */
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(tell(qts, i, VCPUOP_up), ==, 0);
        g_assert_cmpint(tell(qts, i, VCPUOP_down), ==, 0);
    }
    assert_shown(qts, "1100");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/vcpu/plug", test_plug);
    qtest_add_func("/xenpv/vcpu/unplug", test_unplug);
    qtest_add_func("/xenpv/vcpu/moved", test_moved);
    qtest_add_func("/xenpv/vcpu/impossible", test_impossible);
    return g_test_run();
}
