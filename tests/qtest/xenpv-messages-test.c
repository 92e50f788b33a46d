/*
 * What is said about a guest's doings, of the xenpv-kvm machine
 *
 * A guest that does the wrong thing without end gets a bounded number of lines
 * onto QEMU's stderr and into its log, with a count of those left out, and one
 * event each time that it crashes. Without that it fills the host's disk, and
 * the memory of a QMP client that is slow to read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xenpv/xenpv-messages.h"
#include "qobject/qdict.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/sched.h"

/* Of each kind, and some from other kinds */
#define LINES_MAX   (XENPV_MESSAGES_MAX + 16)

typedef struct Machine {
    QTestState *qts;
    char *err;      /* QEMU's stderr */
    char *log;      /* and its log of guest errors */
} Machine;

static char *temp_file(void)
{
    char *name;
    int fd = g_file_open_tmp("xenpv-messages-XXXXXX", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return name;
}

static void start(Machine *m, const char *machine, const char *args)
{
    m->err = temp_file();
    m->log = temp_file();
    m->qts = qtest_initf("-M %s -m 32 -action panic=none -d guest_errors "
                         "-D %s %s 2>%s", machine, m->log, args, m->err);
}

static void quit(Machine *m)
{
    qtest_quit(m->qts);
    unlink(m->err);
    unlink(m->log);
    g_free(m->err);
    g_free(m->log);
}

/* The monitor's log, a byte at a time: not more lines than allowed */
static void test_log(void)
{
    Machine m;

    start(&m, "xenpv-kvm", "");
    for (int i = 0; i < 1000; i++) {
        qtest_outb(m.qts, XENPV_IO_BASE + XENPV_IO_LOG, 0x1b);
        qtest_outb(m.qts, XENPV_IO_BASE + XENPV_IO_LOG, '\n');
    }
    g_assert_cmpuint(lines(m.err, "xenpv monitor: ?"), ==, XENPV_MESSAGES_MAX);
    g_assert_cmpuint(lines(m.err, "\x1b"), ==, 0);
    quit(&m);
}

/* Crashes: bounded in lines, and one event until the machine is reset */
static void test_crash(void)
{
    g_autofree char *text = g_malloc(4064);
    QDict *rsp;
    Machine m;

    start(&m, "xenpv-kvm", "");
    for (int i = 0; i < 4064; i++) {
        text[i] = i & 1 ? '\n' : 'x';
    }
    for (int round = 1; round <= 2; round++) {
        unsigned events = 0;
        bool stop = false;

        for (int i = 0; i < 20; i++) {
            g_autofree char *copy = g_memdup2(text, 4064);

            xenpv_call(m.qts, XENPV_CALL_CRASH, 0, copy, 4064);
            xenpv_call(m.qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_crash, NULL, 0);
        }
        /* A reset comes after all events of before */
        qtest_qmp_send(m.qts, "{ 'execute': 'system_reset' }");
        while (!stop) {
            rsp = qtest_qmp_receive_dict(m.qts);
            if (qdict_haskey(rsp, "event")) {
                const char *name = qdict_get_str(rsp, "event");

                events += !strcmp(name, "GUEST_PANICKED");
                stop = !strcmp(name, "RESET");
            }
            qobject_unref(rsp);
        }
        g_assert_cmpuint(events, ==, 1);
    }
    g_assert_cmpuint(lines(m.err, "xenpv monitor: x"), ==, XENPV_MESSAGES_MAX);
    g_assert_cmpuint(lines(m.err, ""), <=, LINES_MAX);
    quit(&m);
}

/* A guest that crashes: how QEMU ends, unless the user has a say in it */
static void test_exit(void)
{
    static const struct {
        const char *action;
        int status;
    } cases[] = {
        { "", 1 }, { "-no-reboot", 1 }, { "-action panic=shutdown", 0 },
        { "-action panic=exit-failure", 1 },
        { "-action reboot=shutdown -action watchdog=none", 1 },
    };
    static const char why[] = "for this reason";

    for (unsigned i = 0; i < G_N_ELEMENTS(cases) * 2; i++) {
        g_autofree char *err = temp_file();
        QTestState *qts = qtest_initf("-M xenpv-kvm -m 32 %s 2>%s",
                                      cases[i / 2].action, err);

        qtest_set_expected_status(qts, cases[i / 2].status);
        if (i & 1) {
            xenpv_call_only(qts, XENPV_CALL_SHUTDOWN, SHUTDOWN_crash, NULL, 0);
        } else {
            xenpv_call_only(qts, XENPV_CALL_CRASH, 0, why, sizeof(why));
        }
        qtest_wait_qemu(qts);
        g_assert_cmpuint(lines(err, why), ==, !(i & 1));
        qtest_quit(qts);
        g_assert_cmpuint(lines(err, "the guest has crashed"), ==, 1);
        unlink(err);
    }
}

/* The log of guest errors */
static void test_guest_errors(void)
{
    Machine m;

    start(&m, "xenpv-kvm", "");
    for (int i = 0; i < 1000; i++) {
        qtest_outl(m.qts, XENPV_IO_BASE + XENPV_IO_CALL, 0x10000 + i);
        xenpv_call(m.qts, 0x55 + i, 0, NULL, 0);
    }
    g_assert_cmpuint(lines(m.log, "call from vCPU"), ==, XENPV_MESSAGES_MAX);
    g_assert_cmpuint(lines(m.log, "unknown call"), ==, XENPV_MESSAGES_MAX);
    quit(&m);
}

/* Back ends of the Xen bus, and of the old kind: each write is an error */
static void test_back_ends(void)
{
    Frontend disk, fb;
    Machine m;

    start(&m, "xenpv-kvm,vfb=on",
          "-blockdev driver=null-co,node-name=n,size=1048576,read-zeroes=on "
          "-device xen-disk,drive=n,vdev=xvda");
    frontend_init(&disk, m.qts, "device/vbd/51712");
    frontend_init(&fb, m.qts, "device/vfb/0");
    for (int i = 0; i < 200; i++) {
        frontend_set_state(&disk, XenbusStateInitialised);
        frontend_set_state(&disk, XenbusStateClosed);
        frontend_set_state(&disk, XenbusStateInitialising);
        frontend_set_state(&fb, XenbusStateInitialised);
        frontend_set_state(&fb, XenbusStateInitialising);
    }
    g_assert_cmpuint(lines(m.err, "frontend change error"), >, 0);
    g_assert_cmpuint(lines(m.err, "frontend change error"), <=,
                     XENPV_MESSAGES_MAX);
    g_assert_cmpuint(lines(m.err, ""), <=, 2 * LINES_MAX);
    frontend_destroy(&disk);
    frontend_destroy(&fb);
    quit(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/xenpv/messages/log", test_log);
    qtest_add_func("/xenpv/messages/crash", test_crash);
    qtest_add_func("/xenpv/messages/exit", test_exit);
    qtest_add_func("/xenpv/messages/guest-errors", test_guest_errors);
    qtest_add_func("/xenpv/messages/back-ends", test_back_ends);
    return g_test_run();
}
