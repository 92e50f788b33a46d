/*
 * A domain that has suspended itself: what else may happen to it before it is woken
 * up, and what it then finds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qobject/qdict.h"
#include "hw/xen/interface/sched.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "xenpv-disk.h"

/* Where start_info is, as it is told */
#define START_INFO_MFN  (NOT_RAM_REF + RING_MFN)

static void suspend(QTestState *qts)
{
    uint64_t mfn = cpu_to_le64(START_INFO_MFN);

    xenpv_call_only(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_suspend, &mfn,
                    sizeof(mfn));
    qtest_qmp_eventwait(qts, "SUSPEND");
}

static void assert_status(QTestState *qts, const char *status)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'query-status'}");

    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(answer, "return"), "status"),
                    ==, status);
    qobject_unref(answer);
}

/* start_info tells of xenstore's frame and port, which it does not from the start */
static bool was_restored(QTestState *qts)
{
    uint64_t at = START_INFO_MFN * XENPV_PAGE;

    return xenpv_is_64bit()
           ? qtest_readl(qts, at + offsetof(struct start_info_x86_64,
                                            store_evtchn)) ==
             XENPV_QTEST_PORT_XENSTORE
           : qtest_readl(qts, at + offsetof(struct start_info_x86_32,
                                            store_evtchn)) ==
             XENPV_QTEST_PORT_XENSTORE;
}

static void wake_up(QTestState *qts)
{
    g_assert_false(was_restored(qts));
    qtest_qmp_assert_success(qts, "{'execute': 'system_wakeup'}");
    qtest_qmp_eventwait(qts, "WAKEUP");
    assert_status(qts, "running");
    g_assert_true(was_restored(qts));
}

/*
 * A domain that sleeps is stopped by a disk's error, for Linux suspends with requests
 * on their way, or by what another vCPU did in the same moment: QEMU ended by abort().
 * It is stopped, and when it goes on it sleeps still.
 */
static void test_stops(void)
{
    Seg seg = { DATA_REF, 0, 7 };
    char *path = image();
    QTestState *qts;
    Disk d;

    qts = qtest_initf("-M xenpv-kvm -m 32 -blockdev driver=file,filename=%s,"
                      "node-name=f -blockdev driver=blkdebug,node-name=d,"
                      "image=f,inject-error.0.event=none,"
                      "inject-error.0.iotype=read,inject-error.0.sector=80,"
                      "inject-error.0.once=on" ONE_DISK ",rerror=stop", path);
    connect_disk(&d, qts, "51712", false, 1);
    suspend(qts);
    put_request(&d, BLKIF_OP_READ, 80, 1, &seg, 0);
    push(&d);
    qtest_qmp_eventwait(qts, "STOP");
    assert_status(qts, "io-error");
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    assert_status(qts, "suspended");
    wake_up(qts);
    frontend_destroy(&d.f);
    qtest_quit(qts);
    remove_image(path);

    qts = qtest_init("-M xenpv-kvm -m 32 -action watchdog=pause,panic=pause");
    suspend(qts);
    xenpv_call_only(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_watchdog, NULL, 0);
    qtest_qmp_eventwait(qts, "STOP");
    assert_status(qts, "watchdog");
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    assert_status(qts, "suspended");
    wake_up(qts);

    qtest_writel(qts, START_INFO_MFN * XENPV_PAGE, 0);
    suspend(qts);
    xenpv_call_only(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_crash, NULL, 0);
    qtest_qmp_eventwait(qts, "STOP");
    assert_status(qts, "guest-panicked");
    qtest_system_reset(qts);
    qtest_quit(qts);
}

/* The state of a machine that the stream in @path is of */
static void set_saved_state(const char *path, const char *from, const char *to)
{
    char old[34] = { }, new[34] = { };
    g_autofree char *data = NULL;
    gsize len;
    char *at;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    pstrcpy(old, 32, from);
    pstrcpy(new, 32, to);
    /* Then, whether it is told that it was suspended, and whether it was */
    new[32] = 1;
    at = memmem(data, len, old, 32);
    g_assert_nonnull(at);
    memcpy(at, new, sizeof(new));
    g_assert_true(g_file_set_contents(path, data, len, NULL));
}

/*
 * A domain that moves in the moment in which it suspends itself: where it comes to
 * nobody knows of that but its vCPU, for which the hypercall is done. What it finds
 * has to be what it finds after it.
 */
static void test_moved(void)
{
    static const char *const states[] = { "suspended", "running" };
    g_autofree char *dir = g_dir_make_tmp("xenpv-suspend-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "state", NULL);
    g_autofree char *uri = g_strconcat("file:", path, NULL);

    for (int i = 0; i < ARRAY_SIZE(states); i++) {
        QTestState *qts = qtest_init("-M xenpv-kvm -m 32");

        suspend(qts);
        xenpv_save(qts, uri);
        qtest_quit(qts);

        set_saved_state(path, "suspended", states[i]);
        /* Not at once: it could resume before anybody hears of it */
        qts = qtest_init("-M xenpv-kvm -m 32 -incoming defer");
        qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming',"
                                 "'arguments': {'uri': %s}}", uri);
        qtest_qmp_eventwait(qts, "RESUME");
        assert_status(qts, states[i]);
        if (i) {
            g_assert_true(was_restored(qts));
        } else {
            wake_up(qts);
        }
        qtest_quit(qts);
    }
    unlink(path);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/suspend/stops", test_stops);
    qtest_add_func("/xenpv/suspend/moved", test_moved);
    return g_test_run();
}
