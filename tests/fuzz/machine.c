/*
 * Fuzz targets: a machine whose guest is the input
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-misc.h"
#include "hw/qdev-core.h"
#include "qobject/qobject.h"
#include "qom/qom-qobject.h"
#include "system/iothread.h"
#include "system/runstate.h"
#include "system/system.h"
#include "hw/xen/xen.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/event_channel.h"
#include "hw/xen/interface/grant_table.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "machine.h"

/* Of one input. More only makes it slower. */
#define MAX_OPS         256
/* That a request can name */
#define MAX_TRANSACTIONS 12
/* Rounds of the main loop until what is not done is left for later */
#define MAX_ROUNDS      16
#define PAGE            4096
/* Frames that an input writes to: those of the rings, and the target's */
#define NR_FRAMES       (FUZZ_MFN + FUZZ_NR_FRAMES)

unsigned fuzz_first_frame;
static uint32_t xs_req_id;
/* Transactions are numbered as long as there is a machine: the last ones */
static uint32_t transactions[MAX_TRANSACTIONS];
static unsigned nr_transactions;

void fuzz_machine_start(const char *const *options)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    static const char *const common[] = {
        "qemu-fuzz", "-accel", "qtest", "-m", "16", "-nodefaults",
        "-display", "none", "-action", "panic=none",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(common); i++) {
        g_ptr_array_add(args, (char *)common[i]);
    }
    for (; *options; options++) {
        g_ptr_array_add(args, (char *)*options);
    }
    g_ptr_array_add(args, NULL);
    qemu_init(args->len - 1, (char **)args->pdata);
    /* libFuzzer's own are what is wanted */
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void fuzz_write(uint64_t gpa, const void *buf, size_t len)
{
    address_space_write(&address_space_memory, gpa, MEMTXATTRS_UNSPECIFIED,
                        buf, len);
}

void fuzz_read(uint64_t gpa, void *buf, size_t len)
{
    address_space_read(&address_space_memory, gpa, MEMTXATTRS_UNSPECIFIED,
                       buf, len);
}

void fuzz_write32(uint64_t gpa, uint32_t value)
{
    fuzz_write(gpa, &value, sizeof(value));
}

uint32_t fuzz_read32(uint64_t gpa)
{
    uint32_t value = 0;

    fuzz_read(gpa, &value, sizeof(value));
    return value;
}

void fuzz_send(uint32_t port)
{
    cpu_outl(XENPV_IO_BASE + XENPV_IO_SEND, port);
}

static void grant(uint32_t ref, uint16_t flags, uint32_t frame)
{
    grant_entry_v1_t e = { .flags = flags, .domid = 0, .frame = frame };

    fuzz_write(XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE + ref * sizeof(e), &e,
               sizeof(e));
}

static void end_main_loop(void *opaque)
{
    qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
}

/*
 * What guest and host have asked for and QEMU does between two rounds of its main
 * loop: suspend, reset, wake up. There is one round; after that the loop ends.
 */
static void run_main_loop(void)
{
    QEMUBH *bh = qemu_bh_new(end_main_loop, NULL);

    qemu_bh_schedule(bh);
    qemu_main_loop();
    /* The guest may have asked for its end before */
    qemu_bh_delete(bh);
}

static void wake_up(void)
{
    Error *err = NULL;

    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, &err);
    error_free(err);
    run_main_loop();
}

void fuzz_machine_start_again(void)
{
    if (!runstate_is_live(runstate_get())) {
        vm_start();
    }
    if (runstate_check(RUN_STATE_SUSPENDED)) {
        wake_up();
    }
}

void fuzz_machine_reset(void)
{
    static const uint8_t zeros[NR_FRAMES * PAGE];

    /* What is still asked for is the last input's */
    run_main_loop();
    fuzz_machine_start_again();
    fuzz_pump();
    qemu_system_reset(SHUTDOWN_CAUSE_GUEST_RESET);
    fuzz_write(FUZZ_MFN * PAGE, zeros, FUZZ_NR_FRAMES * PAGE);
    for (unsigned i = 0; i < FUZZ_NR_FRAMES; i++) {
        grant(FUZZ_REF(i), GTF_permit_access, FUZZ_MFN + i);
    }
    grant(FUZZ_REF_READONLY, GTF_permit_access | GTF_readonly, FUZZ_MFN);
    grant(FUZZ_REF_NOT_RAM, GTF_permit_access, XENPV_CORE_GPA / PAGE);
    xs_req_id = 0;
    memset(transactions, 0, sizeof(transactions));
    nr_transactions = 0;
    fuzz_pump();
}

static void nothing(void *opaque)
{
}

static int wait_iothread(Object *obj, void *opaque)
{
    IOThread *t = (IOThread *)object_dynamic_cast(obj, TYPE_IOTHREAD);

    if (t) {
        aio_wait_bh_oneshot(iothread_get_aio_context(t), nothing, NULL);
    }
    return 0;
}

void fuzz_pump(void)
{
    for (unsigned i = 0; i < MAX_ROUNDS; i++) {
        /* What an IOThread was told it has done when it gets to this */
        object_child_foreach(object_get_objects_root(), wait_iothread, NULL);
        if (!g_main_context_pending(NULL)) {
            break;
        }
        main_loop_wait(true);
    }
}

int64_t fuzz_call(uint32_t op, uint32_t cmd, void *data, uint32_t size)
{
    uint64_t box = XENPV_CORE_GPA + XENPV_CORE_MAILBOX;
    struct xenpv_mailbox m = { .op = op, .cmd = cmd, .size = size };

    fuzz_write(box, &m, offsetof(struct xenpv_mailbox, data));
    size = MIN(size, sizeof(m.data));
    if (size) {
        fuzz_write(box + offsetof(struct xenpv_mailbox, data), data, size);
    }
    cpu_outl(XENPV_IO_BASE + XENPV_IO_CALL, 0);
    fuzz_read(box, &m, sizeof(m));
    if (size) {
        memcpy(data, m.data, size);
    }
    return m.ret;
}

uint32_t fuzz_alloc_unbound(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF };

    fuzz_call(XENPV_CALL_EVTCHN, EVTCHNOP_alloc_unbound, &a, sizeof(a));
    return a.port;
}

/* --- xenstore -------------------------------------------------------------- */

#define XS(field) (FUZZ_MFN_XENSTORE * PAGE + \
                   offsetof(struct xenstore_domain_interface, field))

void fuzz_xs_heard(const uint8_t *p, size_t len)
{
    struct xsd_sockmsg hdr;

    /* Wherever in it an answer begins */
    for (; len > sizeof(hdr); p++, len--) {
        memcpy(&hdr, p, sizeof(hdr));
        if (hdr.type == XS_TRANSACTION_START && hdr.len <= 12 &&
            g_ascii_isdigit(p[sizeof(hdr)])) {
            char number[12] = "";

            memcpy(number, p + sizeof(hdr), MIN(11, len - sizeof(hdr)));
            transactions[nr_transactions++ % MAX_TRANSACTIONS] =
                strtoul(number, NULL, 10);
            return;
        }
    }
}

/* 0: none; the input's first one is 1, whatever its number is */
uint32_t fuzz_xs_transaction(unsigned i)
{
    return i && i <= MAX_TRANSACTIONS && transactions[i - 1]
           ? transactions[i - 1] : i;
}

/* What is answered takes room */
static void xs_drain(void)
{
    uint32_t cons = fuzz_read32(XS(rsp_cons)), prod = fuzz_read32(XS(rsp_prod));
    uint8_t ring[XENSTORE_RING_SIZE], answer[64];

    if (prod - cons <= XENSTORE_RING_SIZE) {
        fuzz_read(XS(rsp), ring, sizeof(ring));
        for (unsigned i = 0; i < MIN(prod - cons, sizeof(answer)); i++) {
            answer[i] = ring[MASK_XENSTORE_IDX(cons + i)];
        }
        fuzz_xs_heard(answer, MIN(prod - cons, sizeof(answer)));
    }
    fuzz_write32(XS(rsp_cons), fuzz_read32(XS(rsp_prod)));
    fuzz_send(FUZZ_PORT_XENSTORE);
    fuzz_pump();
}

/* As much as the other side takes */
static void xs_put(const void *buf, uint32_t len)
{
    const uint8_t *p = buf;

    for (unsigned tries = 0; len && tries < 8; tries++) {
        uint32_t prod = fuzz_read32(XS(req_prod));
        uint32_t room = XENSTORE_RING_SIZE - (prod - fuzz_read32(XS(req_cons)));
        uint32_t at = MASK_XENSTORE_IDX(prod);
        uint32_t n = MIN(len, MIN(room, XENSTORE_RING_SIZE - at));

        if (room <= XENSTORE_RING_SIZE && n) {
            fuzz_write(XS(req) + at, p, n);
            fuzz_write32(XS(req_prod), prod + n);
            p += n;
            len -= n;
        }
        fuzz_send(FUZZ_PORT_XENSTORE);
        fuzz_pump();
        xs_drain();
    }
}

void fuzz_xs_send(struct xsd_sockmsg *hdr, const void *data, uint32_t len)
{
    hdr->req_id = ++xs_req_id;
    hdr->len = len;
    xs_put(hdr, sizeof(*hdr));
    xs_put(data, len);
}

void fuzz_xs_write(const char *dir, const char *node, const char *fmt, ...)
{
    struct xsd_sockmsg hdr = { .type = XS_WRITE };
    g_autoptr(GString) data = g_string_new(dir);
    va_list ap;

    g_string_append_c(data, '/');
    g_string_append(data, node);
    g_string_append_c(data, 0);
    va_start(ap, fmt);
    g_string_append_vprintf(data, fmt, ap);
    va_end(ap);
    fuzz_xs_send(&hdr, data->str, data->len);
}

/* --- Operations ------------------------------------------------------------ */

static uint64_t take_number(FuzzInput *in)
{
    static const uint8_t bytes[] = { 1, 1, 2, 4, 8 };

    return fuzz_take(in, bytes[fuzz_take(in, 1) % ARRAY_SIZE(bytes)]);
}

static void op_write(const FuzzFrontend *f, FuzzInput *in)
{
    uint64_t frame = fuzz_take(in, 1) % NR_FRAMES;
    uint64_t at = fuzz_take(in, 2) % PAGE;
    size_t len = fuzz_take(in, 1);
    const uint8_t *p = fuzz_take_bytes(in, &len);

    fuzz_write(frame * PAGE + at, p, MIN(len, PAGE - at));
}

static void op_write32(const FuzzFrontend *f, FuzzInput *in)
{
    uint64_t frame = fuzz_take(in, 1) % NR_FRAMES;
    uint64_t at = fuzz_take(in, 2) % PAGE & ~3;

    fuzz_write32(frame * PAGE + at, take_number(in));
}

/* What the monitor and the machine share; a guest can write it */
static void op_write_core(const FuzzFrontend *f, FuzzInput *in)
{
    static const uint32_t places[] = {
        XENPV_CORE_BOOT_INFO, XENPV_CORE_SHARED_INFO, XENPV_CORE_GRANT_TABLE,
        XENPV_CORE_EVTCHN, XENPV_CORE_FIFO, XENPV_CORE_INCOMING,
        XENPV_CORE_MAILBOX,
    };
    uint64_t place = places[fuzz_take(in, 1) % ARRAY_SIZE(places)];
    uint64_t at = fuzz_take(in, 2) * 4;

    fuzz_write32(XENPV_CORE_GPA + place + at, take_number(in));
}

static void op_grant(const FuzzFrontend *f, FuzzInput *in)
{
    uint32_t ref = fuzz_take(in, 1);
    uint16_t flags = fuzz_take(in, 2);

    grant(ref, flags, take_number(in));
}

static void op_send(const FuzzFrontend *f, FuzzInput *in)
{
    fuzz_send(fuzz_take(in, 1));
}

static void op_call(const FuzzFrontend *f, FuzzInput *in)
{
    uint32_t op = fuzz_take(in, 1) % (XENPV_NR_CALLS + 1);
    uint32_t cmd = fuzz_take(in, 1);
    size_t len = fuzz_take(in, 1);
    g_autofree void *data = g_memdup2(fuzz_take_bytes(in, &len), len);

    fuzz_call(op, cmd, data, len);
}

static void op_port(const FuzzFrontend *f, FuzzInput *in)
{
    uint32_t port = XENPV_IO_BASE + fuzz_take(in, 1) % XENPV_IO_SIZE;

    switch (fuzz_take(in, 1) % 4) {
    case 0:
        cpu_outb(port, fuzz_take(in, 1));
        break;
    case 1:
        cpu_outw(port, fuzz_take(in, 2));
        break;
    case 2:
        cpu_outl(port, fuzz_take(in, 4));
        break;
    case 3:
        cpu_inl(port);
        break;
    }
}

static void op_pump(const FuzzFrontend *f, FuzzInput *in)
{
    fuzz_pump();
}

/* A node of the front end's, or of anywhere, gets any value */
static void op_node(const FuzzFrontend *f, FuzzInput *in)
{
    static const char *const texts[] = {
        "", "-1", "18446744073709551616", "x86_32-abi", "x86_64-abi", "/", "1 ",
    };
    uint8_t node = fuzz_take(in, 1), how = fuzz_take(in, 1);
    const char *name = "state";
    unsigned n = 0;

    if (!f->dir) {
        return;
    }
    while (f->nodes && f->nodes[n]) {
        n++;
    }
    if (n) {
        name = f->nodes[node % n];
    }
    /* "/": not of this device, but of another one */
    if (how < ARRAY_SIZE(texts)) {
        fuzz_xs_write(name[0] == '/' ? "device" : f->dir,
                      name + (name[0] == '/'), "%s", texts[how]);
    } else {
        fuzz_xs_write(name[0] == '/' ? "device" : f->dir,
                      name + (name[0] == '/'), "%" PRIu64, take_number(in));
    }
}

static void op_state(const FuzzFrontend *f, FuzzInput *in)
{
    if (f->dir) {
        fuzz_xs_write(f->dir, "state", "%u", (unsigned)fuzz_take(in, 1) % 10);
    }
}

/* A whole request of xenstore's, with any content */
static void op_xenstore(const FuzzFrontend *f, FuzzInput *in)
{
    struct xsd_sockmsg hdr = {
        .type = fuzz_take(in, 1) % (XS_DIRECTORY_PART + 2),
        .tx_id = fuzz_xs_transaction(fuzz_take(in, 1)),
    };
    size_t len = fuzz_take(in, 2) % 4200;
    const uint8_t *p = fuzz_take_bytes(in, &len);

    fuzz_xs_send(&hdr, p, len);
}

static void op_connect(const FuzzFrontend *f, FuzzInput *in)
{
    if (f->connect) {
        f->connect(in);
        fuzz_pump();
    }
}

static void op_request(const FuzzFrontend *f, FuzzInput *in)
{
    if (f->request) {
        f->request(in);
    }
}

static void op_host(const FuzzFrontend *f, FuzzInput *in)
{
    if (f->host) {
        f->host(in);
    }
}

static void op_stop(const FuzzFrontend *f, FuzzInput *in)
{
    if (runstate_is_live(runstate_get())) {
        vm_stop(RUN_STATE_PAUSED);
    } else {
        vm_start();
    }
}

static void op_reset(const FuzzFrontend *f, FuzzInput *in)
{
    qemu_system_reset(SHUTDOWN_CAUSE_GUEST_RESET);
}

/* Up to a quarter of a second, for what waits for a time */
static void op_time(const FuzzFrontend *f, FuzzInput *in)
{
    if (runstate_is_running()) {
        qemu_clock_advance_virtual_time(
            qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
            fuzz_take(in, 1) * SCALE_MS);
    }
}

static void op_main_loop(const FuzzFrontend *f, FuzzInput *in)
{
    run_main_loop();
}

/* A table of one place behind the header, or a number of the header's */
static void write_patch(FuzzInput *in)
{
    uint64_t image = XENPV_CORE_GPA + XENPV_CORE_IMAGE;
    uint32_t table = sizeof(struct xenpv_image_header);
    struct xenpv_patch patch = { .site = take_number(in) };

    fuzz_write(image + table, &patch, sizeof(patch));
    if (fuzz_take(in, 1) & 1) {
        table = take_number(in);
    }
    fuzz_write32(image + offsetof(struct xenpv_image_header, patches), table);
}

/* What an administrator looks at, and may set */
static void op_administrate(const FuzzFrontend *f, FuzzInput *in)
{
    Object *machine = qdev_get_machine();
    uint8_t what = fuzz_take(in, 1);
    Error *err = NULL;

    switch (what % 8) {
    case 0:
        wake_up();
        break;
    case 1:
        object_property_set_bool(machine, "counters", what & 0x80,
                                 &error_abort);
        break;
    case 2:
        qobject_unref(object_property_get_qobject(machine, "counts",
                                                  &error_abort));
        break;
    case 3:
        qobject_unref(object_property_get_qobject(machine, "xenpv",
                                                  &error_abort));
        break;
    case 4:
        g_free(qmp_human_monitor_command("info xenpv", false, 0,
                                         &error_abort));
        break;
    case 5:
        /* The table by which counting begins is the guest's to write, too */
        write_patch(in);
        break;
    case 6:
        qmp_balloon(fuzz_take(in, 4) * 1024, &err);
        error_free(err);
        break;
    case 7:
        qapi_free_BalloonInfo(qmp_query_balloon(&error_abort));
        break;
    }
}

void fuzz_machine_run(const FuzzFrontend *f, FuzzInput *in)
{
    /* The order is the corpora's: add at the end */
    static void (*const ops[])(const FuzzFrontend *f, FuzzInput *in) = {
        op_write, op_write32, op_write_core, op_grant, op_send, op_call,
        op_port, op_pump, op_node, op_state, op_xenstore, op_connect,
        op_request, op_host, op_stop, op_reset, op_time, op_main_loop,
        op_administrate,
    };

    fuzz_first_frame = 0;
    if (f->begin) {
        f->begin();
    }
    for (unsigned i = 0; in->len && i < MAX_OPS; i++) {
        ops[fuzz_take(in, 1) % ARRAY_SIZE(ops)](f, in);
    }
    fuzz_pump();
}
