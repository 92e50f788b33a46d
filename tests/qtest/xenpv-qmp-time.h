/*
 * How long QMP takes to answer, for qtests of what a guest can keep QEMU busy with
 *
 * Time in which the host was busy with others is not QEMU's: what the kernel
 * says that QEMU's main thread, and the one that asks, were ready to run and
 * did not (/proc/.../schedstat) is taken off. So a limit holds on a busy
 * machine, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_QMP_TIME_H
#define XENPV_QMP_TIME_H

#include "qobject/qdict.h"
#include "xenpv-qtest.h"

/* 20 times what one pass may take, which sanitizers make longer */
#ifdef QEMU_SANITIZE_ADDRESS
#define QMP_LIMIT_MS    500
#else
#define QMP_LIMIT_MS    100
#endif
#define NS_PER_MS       1000000

/*
 * What the limit is now. That a thread waited is told, but not all of what
 * others take: who holds a lock waits, too, and caches are theirs. So it grows
 * with the number of those who want each CPU.
 */
static inline int64_t qmp_limit_ms(void)
{
    double load;

    return getloadavg(&load, 1) == 1 ?
           QMP_LIMIT_MS * MAX(1, load / g_get_num_processors()) : QMP_LIMIT_MS;
}

/* What a thread has run, and has waited to, in ns; 0 where that is not told */
static inline void read_schedstat(const char *file, int64_t *ran,
                                  int64_t *waited)
{
    g_autofree char *text = NULL;

    *ran = *waited = 0;
    if (g_file_get_contents(file, &text, NULL, NULL)) {
        sscanf(text, "%" SCNd64 " %" SCNd64, ran, waited);
    }
}

/* QEMU's main thread */
static inline void read_qemu_schedstat(QTestState *qts, int64_t *ran,
                                       int64_t *waited)
{
    int pid = qtest_pid(qts);
    g_autofree char *file = g_strdup_printf("/proc/%d/task/%d/schedstat", pid,
                                            pid);

    read_schedstat(file, ran, waited);
}

static inline int64_t qemu_ran(QTestState *qts)
{
    int64_t ran, waited;

    read_qemu_schedstat(qts, &ran, &waited);
    return ran;
}

/* All of QEMU's threads, for a command goes by the monitor's; and this one */
static inline int64_t qmp_waited(QTestState *qts)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", qtest_pid(qts));
    g_autoptr(GDir) dir = g_dir_open(tasks, 0, NULL);
    int64_t ran, waited, all;
    const char *name;

    read_schedstat("/proc/thread-self/schedstat", &ran, &all);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(tasks, name, "schedstat", NULL);

        read_schedstat(file, &ran, &waited);
        all += waited;
    }
    return all;
}

/* How long a command takes, which must succeed, in ns; @arguments goes with it */
static inline int64_t qmp_time_with(QTestState *qts, const char *command,
                                    QDict *arguments)
{
    int64_t waited = qmp_waited(qts);
    int64_t start = g_get_monotonic_time() * 1000, took;

    qtest_qmp_assert_success(qts, "{ 'execute': %s, 'arguments': %p }", command,
                             arguments);
    took = g_get_monotonic_time() * 1000 - start;
    return took - (qmp_waited(qts) - waited);
}

/* The same, of one without arguments */
static inline int64_t qmp_time(QTestState *qts, const char *command)
{
    return qmp_time_with(qts, command, qdict_new());
}

#endif /* XENPV_QMP_TIME_H */
