/*
 * Calls from the monitor: the machine's I/O ports
 *
 * The monitor does all it can by itself. For what only the machine can do or
 * decide, it fills in its vCPU's mailbox and writes to XENPV_IO_CALL. The other
 * devices register here the calls that they answer; this file knows none of
 * them by name. It answers itself for what is QEMU's: shutdown, and a crash of
 * the monitor. vCPUs enter by these ports, with the BQL held.
 *
 * The guest can write to a mailbox at any time, so the mailbox is copied once,
 * and only the copy is checked and used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/config-file.h"
#include "qemu/option.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-types-run-state.h"
#include "migration/vmstate.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-messages.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/sched.h"
#include "system/runstate.h"
#include "system/runstate-action.h"
#include "system/watchdog.h"
#include "trace.h"

/* The longest line of the monitor's log; longer ones are broken */
#define LOG_LINE_MAX    256
/* SHUTDOWN_watchdog has an effect at most once in this time */
#define WATCHDOG_MS     1000

typedef struct Call {
    XenPVCallFn *fn;
    void *opaque;
} Call;

struct XenPVCallState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    uint32_t nr_vcpus;

    MemoryRegion io;
    Call calls[XENPV_NR_CALLS];
    Call suspend;           /* XENPV_CALL_SHUTDOWN with SHUTDOWN_suspend */

    GString *log;
    bool crashed;
    int64_t next_watchdog;  /* ms */
};

void xenpv_call_register(XenPVCallState *s, uint32_t op, XenPVCallFn *fn,
                         void *opaque)
{
    assert(op < XENPV_NR_CALLS && !s->calls[op].fn);
    s->calls[op].fn = fn;
    s->calls[op].opaque = opaque;
}

void xenpv_call_register_suspend(XenPVCallState *s, XenPVCallFn *fn,
                                 void *opaque)
{
    s->suspend = (Call) { fn, opaque };
}

MemoryRegion *xenpv_call_io(XenPVCallState *s)
{
    return &s->io;
}

/* Did the user say what is to happen when a guest crashes? */
static bool panic_action_given(void)
{
    QemuOpts *opts = qemu_opts_find(qemu_find_opts("action"), NULL);

    return opts && qemu_opt_get(opts, "panic");
}

/*
 * A domain crashes once: what it reports after that is ignored. If this ends
 * QEMU, and the user did not choose that, its exit status says so, too.
 */
static void crashed(XenPVCallState *s, const char *why)
{
    if (!s->crashed) {
        s->crashed = true;
        xenpv_guest_error("xenpv: the guest has crashed: %s", why);
        if (panic_action == PANIC_ACTION_SHUTDOWN &&
            shutdown_action != SHUTDOWN_ACTION_PAUSE && !panic_action_given()) {
            panic_action = PANIC_ACTION_EXIT_FAILURE;
        }
        qemu_system_guest_panicked(NULL);
    }
}

static void watchdog(XenPVCallState *s)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (now >= s->next_watchdog) {
        s->next_watchdog = now + WATCHDOG_MS;
        watchdog_perform_action();
    }
}

static int64_t call_shutdown(void *opaque, unsigned vcpu, uint32_t cmd,
                             void *data, uint32_t *size)
{
    XenPVCallState *s = opaque;

    trace_xenpv_shutdown(cmd);
    if (cmd == SHUTDOWN_suspend) {
        return s->suspend.fn(s->suspend.opaque, vcpu, cmd, data, size);
    }
    *size = 0;
    switch (cmd) {
    case SHUTDOWN_poweroff:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    case SHUTDOWN_reboot:
    case SHUTDOWN_soft_reset:
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        break;
    case SHUTDOWN_watchdog:
        watchdog(s);
        break;
    case SHUTDOWN_crash:
        crashed(s, "its kernel says so");
        break;
    default:
        crashed(s, "its kernel shut it down for a reason that Xen does not know");
        break;
    }
    return 0;
}

static void log_line(const char *text, bool is_error)
{
    if (is_error) {
        xenpv_guest_error("xenpv monitor: %s", text);
    } else {
        xenpv_guest_warning("xenpv monitor: %s", text);
    }
}

static void log_flush(XenPVCallState *s)
{
    if (s->log->len) {
        log_line(s->log->str, false);
        g_string_truncate(s->log, 0);
    }
}

/* Unprintable characters must not reach the user's terminal */
static void log_append(GString *line, uint8_t c)
{
    g_string_append_c(line, c == '\t' || (c >= ' ' && c < 0x7f) ? c : '?');
}

static void log_putc(XenPVCallState *s, uint8_t c)
{
    if (c == '\n' || s->log->len >= LOG_LINE_MAX) {
        log_flush(s);
    }
    if (c != '\n' && c != '\r' && c != '\0') {
        log_append(s->log, c);
    }
}

static int64_t call_crash(void *opaque, unsigned vcpu, uint32_t cmd,
                          void *data, uint32_t *size)
{
    XenPVCallState *s = opaque;
    g_autoptr(GString) line = g_string_new(NULL);
    const uint8_t *text = data;

    log_flush(s);
    for (uint32_t i = 0; i <= *size; i++) {
        uint8_t c = i < *size ? text[i] : '\0';

        if (c == '\n' || c == '\0') {
            if (line->len) {
                log_line(line->str, true);
                g_string_truncate(line, 0);
            }
            if (c == '\0') {
                break;
            }
        } else if (c != '\r') {
            log_append(line, c);
        }
    }
    trace_xenpv_crash(vcpu);
    crashed(s, "see above");
    *size = 0;
    return 0;
}

static void do_call(XenPVCallState *s, uint32_t vcpu)
{
    struct xenpv_mailbox *box = xenpv_core_ptr(s->core, XENPV_CORE_MAILBOX);
    struct xenpv_mailbox copy;
    uint32_t op, cmd, size, limit;
    int64_t ret = -XEN_ENOSYS;

    if (vcpu >= s->nr_vcpus) {
        xenpv_guest_log("xenpv: call from vCPU %u", vcpu);
        return;
    }
    box += vcpu;
    memcpy(&copy, box, offsetof(struct xenpv_mailbox, data));
    op = le32_to_cpu(copy.op);
    cmd = le32_to_cpu(copy.cmd);
    size = le32_to_cpu(copy.size);
    limit = size;
    if (size > sizeof(copy.data)) {
        size = 0;
        ret = -XEN_E2BIG;
    } else if (op < XENPV_NR_CALLS && s->calls[op].fn) {
        memcpy(copy.data, box->data, size);
        memset(copy.data + size, 0, sizeof(copy.data) - size);
        ret = s->calls[op].fn(s->calls[op].opaque, vcpu, cmd, copy.data,
                              &size);
        size = MIN(size, limit);
    } else {
        size = 0;
        xenpv_guest_log("xenpv: unknown call %u", op);
    }
    trace_xenpv_call(vcpu, op, cmd, ret);
    memcpy(box->data, copy.data, size);
    box->ret = cpu_to_le64(ret);
    xenpv_memory_written(box, offsetof(struct xenpv_mailbox, data) + size);
}

static uint64_t xenpv_io_read(void *opaque, hwaddr addr, unsigned size)
{
    return ~0ULL;
}

static void xenpv_io_write(void *opaque, hwaddr addr, uint64_t val,
                           unsigned size)
{
    XenPVCallState *s = opaque;

    switch (addr) {
    case XENPV_IO_SEND:
        /* Back ends' ports have an ioeventfd; only others arrive here */
        trace_xenpv_evtchn_send_ignored(val);
        break;
    case XENPV_IO_CALL:
        if (size == 4) {
            do_call(s, val);
        }
        break;
    case XENPV_IO_LOG:
        if (size == 1) {
            log_putc(s, val);
        }
        break;
    }
}

static const MemoryRegionOps xenpv_io_ops = {
    .read = xenpv_io_read,
    .write = xenpv_io_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 4,
    .impl.min_access_size = 1,
    .impl.max_access_size = 4,
};

static void xenpv_call_realize(DeviceState *dev, Error **errp)
{
    XenPVCallState *s = XENPV_CALL(dev);

    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_mailbox) != 4096);
    if (!s->core) {
        error_setg(errp, "property 'core' is not set");
        return;
    }
    s->log = g_string_new(NULL);
    memory_region_init_io(&s->io, OBJECT(dev), &xenpv_io_ops, s, "xenpv-io",
                          XENPV_IO_SIZE);
    memory_region_add_subregion(get_system_io(), XENPV_IO_BASE, &s->io);
    xenpv_call_register(s, XENPV_CALL_SHUTDOWN, call_shutdown, s);
    xenpv_call_register(s, XENPV_CALL_CRASH, call_crash, s);
}

static void xenpv_call_reset_hold(Object *obj, ResetType type)
{
    XenPVCallState *s = XENPV_CALL(obj);

    log_flush(s);
    s->crashed = false;
}

/* An incomplete line of the log is not saved: it stays where it began */
static const VMStateDescription vmstate_call = {
    .name = TYPE_XENPV_CALL,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(crashed, XenPVCallState),
        VMSTATE_END_OF_LIST()
    }
};

static const Property xenpv_call_properties[] = {
    DEFINE_PROP_LINK("core", XenPVCallState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVCallState, nr_vcpus, 1),
};

static void xenpv_call_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "Calls from the monitor of the xenpv-kvm machine";
    dc->realize = xenpv_call_realize;
    dc->vmsd = &vmstate_call;
    rc->phases.hold = xenpv_call_reset_hold;
    device_class_set_props(dc, xenpv_call_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_call_types[] = {
    {
        .name = TYPE_XENPV_CALL,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVCallState),
        .class_init = xenpv_call_class_init,
    },
};

DEFINE_TYPES(xenpv_call_types)
