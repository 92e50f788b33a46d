/*
 * Messages about what a guest does, at a bounded rate
 *
 * A guest that does something wrong a million times a second must not fill the
 * host's disk with messages, nor keep the thread that holds the BQL writing
 * them. The lock here only protects the counters: no message is written under
 * it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/xenpv/xenpv-messages.h"

static QemuSpin lock;
/* Kinds of which the current period, which has not ended, left something out */
static QSLIST_HEAD(, XenPVMessages) suppressed;
static QEMUTimer timer;

static void say(XenPVMessageTo to, const char *line)
{
    switch (to) {
    case XENPV_MESSAGE_ERROR:
        error_report("%s", line);
        break;
    case XENPV_MESSAGE_WARNING:
        warn_report("%s", line);
        break;
    case XENPV_MESSAGE_LOG:
        qemu_log_mask(LOG_GUEST_ERROR, "%s\n", line);
        break;
    }
}

static void say_left_out(const XenPVMessages *m)
{
    g_autofree char *line = NULL;

    if (m->left_out) {
        line = g_strdup_printf("%" PRIu64 " more messages like '%s' left out",
                               m->left_out, m->sample);
        say(m->to, line);
    }
}

/* Report on the periods that have ended, and set the timer for the others */
static void report_left_out(void *opaque)
{
    for (;;) {
        int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
        int64_t next = INT64_MAX;
        XenPVMessages *m, *ended = NULL;
        XenPVMessages copy;

        qemu_spin_lock(&lock);
        QSLIST_FOREACH(m, &suppressed, next) {
            if (m->end <= now) {
                ended = m;
                break;
            }
            next = MIN(next, m->end);
        }
        if (ended) {
            copy = *ended;
            ended->left_out = 0;
            ended->listed = false;
            QSLIST_REMOVE(&suppressed, ended, XenPVMessages, next);
        }
        qemu_spin_unlock(&lock);
        if (!ended) {
            if (next != INT64_MAX) {
                timer_mod_anticipate(&timer, next);
            }
            return;
        }
        say_left_out(&copy);
    }
}

/*
 * May the message be written? If it begins a new period, @before gets what was
 * left out of the last one.
 */
static bool count(XenPVMessages *m, XenPVMessageTo to, XenPVMessages *before)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    int64_t end = 0;
    bool allowed;

    before->left_out = 0;
    qemu_spin_lock(&lock);
    if (now >= m->end) {
        *before = *m;
        m->end = now + XENPV_MESSAGES_PERIOD_MS;
        m->let_through = 0;
        m->left_out = 0;
        m->to = to;
    }
    allowed = m->let_through < XENPV_MESSAGES_MAX;
    if (allowed) {
        m->let_through++;
    } else {
        m->left_out++;
        if (!m->listed) {
            m->listed = true;
            QSLIST_INSERT_HEAD(&suppressed, m, next);
            if (!timer.timer_list) {
                timer_init_ms(&timer, QEMU_CLOCK_REALTIME, report_left_out,
                              NULL);
            }
            end = m->end;
        }
    }
    qemu_spin_unlock(&lock);
    if (end) {
        timer_mod_anticipate(&timer, end);
    }
    return allowed;
}

void xenpv_vmessage(XenPVMessages *m, XenPVMessageTo to, const char *fmt,
                    va_list ap)
{
    char line[XENPV_MESSAGE_SIZE];
    XenPVMessages before;
    size_t len;

    if (!count(m, to, &before)) {
        return;
    }
    say_left_out(&before);
    vsnprintf(line, sizeof(line), fmt, ap);
    len = strlen(line);
    if (len && line[len - 1] == '\n') {
        line[--len] = '\0';
    }
    for (size_t i = 0; i < len; i++) {
        if (line[i] != '\t' && (line[i] < ' ' || line[i] > '~')) {
            line[i] = '?';
        }
    }
    say(to, line);

    qemu_spin_lock(&lock);
    pstrcpy(m->sample, sizeof(m->sample), line);
    qemu_spin_unlock(&lock);
}

void xenpv_message(XenPVMessages *m, XenPVMessageTo to, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xenpv_vmessage(m, to, fmt, ap);
    va_end(ap);
}
