/*
 * Messages about what a guest does, at a bounded rate
 *
 * Whatever a guest can bring about as often as it likes is reported by these,
 * and by nothing else: never by error_report(), warn_report() or
 * qemu_log_mask() themselves. Each place in the code is a kind of message. Of
 * each kind XENPV_MESSAGES_MAX are let through in XENPV_MESSAGES_PERIOD_MS; the
 * others are counted, and the count is reported when the period ends. A message
 * is one line of at most XENPV_MESSAGE_SIZE bytes. What is not printable ASCII
 * becomes '?', as it may come from the guest.
 *
 * All of these may be called from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_MESSAGES_H
#define HW_XENPV_MESSAGES_H

#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/queue.h"

#define XENPV_MESSAGES_MAX          64
#define XENPV_MESSAGES_PERIOD_MS    (60 * 1000)
#define XENPV_MESSAGE_SIZE          512
/* How much of a message is shown with the count of those like it */
#define XENPV_MESSAGE_SAMPLE_SIZE   64

/* Where a message goes */
typedef enum XenPVMessageTo {
    XENPV_MESSAGE_ERROR,        /* as error_report() */
    XENPV_MESSAGE_WARNING,      /* as warn_report() */
    XENPV_MESSAGE_LOG,          /* the log of "-d guest_errors" */
} XenPVMessageTo;

/* One kind of message. Static, and zero to begin with. */
typedef struct XenPVMessages {
    int64_t end;                /* of the period, in ms */
    unsigned let_through;       /* in this period */
    uint64_t left_out;
    XenPVMessageTo to;
    char sample[XENPV_MESSAGE_SAMPLE_SIZE];     /* the last one let through */
    bool listed;
    QSLIST_ENTRY(XenPVMessages) next;
} XenPVMessages;

/**
 * xenpv_message: write a message, unless there were too many of its kind
 * @m: its kind
 * @to: where it goes
 * @fmt: needs no newline at its end
 */
void G_GNUC_PRINTF(3, 4) xenpv_message(XenPVMessages *m, XenPVMessageTo to,
                                       const char *fmt, ...);
void G_GNUC_PRINTF(3, 0) xenpv_vmessage(XenPVMessages *m, XenPVMessageTo to,
                                        const char *fmt, va_list ap);

/* Each use of these is a kind of message of its own */
#define xenpv_message_here(to, ...)                         \
    do {                                                    \
        static XenPVMessages messages_here;                 \
                                                            \
        xenpv_message(&messages_here, to, __VA_ARGS__);     \
    } while (0)

/* Something went wrong, and the user has to know */
#define xenpv_guest_error(...) \
    xenpv_message_here(XENPV_MESSAGE_ERROR, __VA_ARGS__)
#define xenpv_guest_warning(...) \
    xenpv_message_here(XENPV_MESSAGE_WARNING, __VA_ARGS__)
/* The guest did something wrong: qemu_log_mask(LOG_GUEST_ERROR, ...) */
#define xenpv_guest_log(...)                                    \
    do {                                                        \
        if (qemu_loglevel_mask(LOG_GUEST_ERROR)) {              \
            xenpv_message_here(XENPV_MESSAGE_LOG, __VA_ARGS__); \
        }                                                       \
    } while (0)
/* error_report_err(): frees err */
#define xenpv_guest_error_err(err)                              \
    do {                                                        \
        Error *err_here = (err);                                \
                                                                \
        xenpv_guest_error("%s", error_get_pretty(err_here));    \
        error_free(err_here);                                   \
    } while (0)

#endif /* HW_XENPV_MESSAGES_H */
