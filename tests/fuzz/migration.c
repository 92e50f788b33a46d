/*
 * Fuzz target: a domain that comes in, from whoever sends it
 *
 * An input is what a guest does (the operations of machine.c), then changes of
 * the stream that this machine would send at that moment, which it then gets
 * as its own, and then what the guest does after it. A fault here is a stream
 * that does more than fail: its indexes, sizes, numbers of frames, ports and
 * references, paths and states are all input. Memory is, too: that is what the
 * guest has written before. A stream may end anywhere; and whoever starts the
 * machine again after one that was refused has to find one that works, or at
 * least does no harm.
 *
 * QEMU's own parts of a stream are left as they are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "io/channel-buffer.h"
#include "migration/global_state.h"
#include "migration/qemu-file.h"
#include "migration/savevm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "devices.h"

#define MAX_SECTIONS    16
#define MAX_CHANGES     16
#define MAX_INSERT      4096

/* Of the stream, as savevm.c writes it */
#define STREAM_HEADER   8
#define SECTION_FULL    4
#define SECTION_FOOTER  0x7e

/* What a guest can write of what the machine keeps in memory */
#define CORE_START      (XENPV_CORE_GPA + XENPV_CORE_BOOT_INFO)
#define CORE_LEN        (XENPV_CORE_POOL - XENPV_CORE_BOOT_INFO)
#define LOW_LEN         ((FUZZ_MFN + FUZZ_NR_FRAMES) * 4096)

typedef struct Section {
    size_t start, end;      /* of what a device has in it */
} Section;

static GByteArray *stream;
static Section sections[MAX_SECTIONS];
static unsigned nr_sections;
static size_t cut_off_at;       /* SIZE_MAX: it is whole */

/* Ours have "xenpv" or "xen-" in their names, which no others have */
static void find_sections(void)
{
    const uint8_t *p = stream->data;

    nr_sections = 0;
    for (size_t at = STREAM_HEADER; at + 32 < stream->len; at++) {
        size_t name_len = p[at + 5], start = at + 6 + name_len + 8, end;
        g_autofree char *name = NULL;

        if (p[at] != SECTION_FULL || start >= stream->len) {
            continue;
        }
        name = g_strndup((const char *)p + at + 6, name_len);
        if (strlen(name) != name_len ||
            (!strstr(name, "xenpv") && !strstr(name, "xen-"))) {
            continue;
        }
        for (end = start; end + 5 < stream->len; end++) {
            if (p[end] == SECTION_FOOTER &&
                !memcmp(p + end + 1, p + at + 1, 4)) {
                break;
            }
        }
        sections[nr_sections++] = (Section) { start, end };
        if (nr_sections == MAX_SECTIONS) {
            break;
        }
        at = end;
    }
    /* The machine's, the platform devices', the disk's and that of the end */
    assert(nr_sections >= 6);
}

static void replace_bytes(size_t at, size_t remove, const uint8_t *add,
                          size_t len)
{
    ssize_t more = len - remove;
    g_autofree uint8_t *rest = g_memdup2(stream->data + at + remove,
                                         stream->len - at - remove);
    size_t rest_len = stream->len - at - remove;

    g_byte_array_set_size(stream, at);
    g_byte_array_append(stream, add, len);
    g_byte_array_append(stream, rest, rest_len);
    for (unsigned i = 0; i < nr_sections; i++) {
        if (sections[i].start > at) {
            sections[i].start += more;
        }
        if (sections[i].end > at) {
            sections[i].end += more;
        }
    }
}

/*
 * A number at a place, from the start or the end; or more or less there, and
 * what counts it is mended. Or else it is where the stream ends.
 */
static void change(FuzzInput *in)
{
    static const uint32_t numbers[] = {
        0, 1, 2, 16, 0x7f, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x10000,
        0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
    };
    uint8_t which = fuzz_take(in, 1), how = fuzz_take(in, 1);
    Section *s = &sections[(which & 15) % nr_sections];
    size_t len = s->end - s->start, at, n;
    uint8_t value[8];
    const uint8_t *p;

    if (!len) {
        return;
    }
    at = fuzz_take(in, 2) % len;
    at = how & 0x80 ? s->end - 1 - at : s->start + at;
    n = MIN(s->end - at, 1 << (how >> 4 & 3));
    if (which & 0x40) {
        cut_off_at = MIN(cut_off_at, at);
        return;
    }
    switch (how % 4) {
    case 0:
        stq_be_p(value, fuzz_take(in, n));
        replace_bytes(at, n, value + 8 - n, n);
        break;
    case 1:
        stl_be_p(value, numbers[fuzz_take(in, 1) % ARRAY_SIZE(numbers)]);
        n = MIN(n, 4);
        replace_bytes(at, n, value + 4 - n, n);
        break;
    case 2:
        n = MIN(fuzz_take(in, 2), s->end - at);
        replace_bytes(at, n, NULL, 0);
        break;
    case 3:
        n = MIN(fuzz_take(in, 2), MAX_INSERT);
        p = fuzz_take_bytes(in, &n);
        replace_bytes(at, 0, p, n);
        break;
    }
    /* xenstore's is one block of bytes behind its length */
    if (which & 0x80 && s->end - s->start > 4) {
        stl_be_p(stream->data + s->start, s->end - s->start - 4);
    }
}

static void save(void)
{
    QIOChannelBuffer *channel = qio_channel_buffer_new(65536);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(channel));
    int ret = qemu_save_device_state(f);

    assert(!ret);
    qemu_fflush(f);
    g_clear_pointer(&stream, g_byte_array_unref);
    stream = g_byte_array_new();
    g_byte_array_append(stream, channel->data, channel->usage);
    qemu_fclose(f);
    object_unref(OBJECT(channel));
}

static bool load(void)
{
    QIOChannelBuffer *channel = qio_channel_buffer_new(stream->len);
    QEMUFile *f;
    int ret;

    channel->usage = stream->len - STREAM_HEADER;
    memcpy(channel->data, stream->data + STREAM_HEADER, channel->usage);
    f = qemu_file_new_input(QIO_CHANNEL(channel));
    ret = qemu_load_device_state(f);
    qemu_fclose(f);
    object_unref(OBJECT(channel));
    return ret >= 0;
}

/* As QEMU does it with a snapshot: stop, save; build a domain, load */
static bool migrate(FuzzInput *in)
{
    static uint8_t low[LOW_LEN], core[CORE_LEN];
    unsigned changes = fuzz_take(in, 1) % (MAX_CHANGES + 1);

    vm_stop(RUN_STATE_RESTORE_VM);
    global_state_store_running();
    save();
    fuzz_read(0, low, sizeof(low));
    fuzz_read(CORE_START, core, sizeof(core));
    find_sections();
    cut_off_at = SIZE_MAX;
    for (; changes && in->len; changes--) {
        change(in);
    }
    g_byte_array_set_size(stream, MIN(stream->len, cut_off_at));
    qemu_system_reset(SHUTDOWN_CAUSE_SNAPSHOT_LOAD);
    fuzz_write(0, low, sizeof(low));
    fuzz_write(CORE_START, core, sizeof(core));
    return load();
}

static const FuzzFrontend before = {
    .begin = fuzz_devices_begin, .dir = "device", .nodes = fuzz_devices_nodes,
    .connect = fuzz_devices_connect, .request = fuzz_devices_request,
    .host = fuzz_devices_host,
};

/* The same front ends, which go on */
static const FuzzFrontend after = {
    .dir = "device", .nodes = fuzz_devices_nodes,
    .connect = fuzz_devices_connect, .request = fuzz_devices_request,
    .host = fuzz_devices_host,
};

static void one(FuzzInput *in)
{
    size_t size = in->len, len = fuzz_take(in, 2);
    const uint8_t *p = fuzz_take_bytes(in, &len);
    FuzzInput first = { p, len };

    fuzz_machine_run(&before, &first);
    /* One that nobody has changed is taken, or all of this shows nothing */
    if (!migrate(in)) {
        assert(size);
    }
    vm_start();
    fuzz_machine_run(&after, in);
}

static const char *const machine[] = {
    "-M", "xenpv-kvm,vfb=on", "-smp", "2,maxcpus=4", FUZZ_DEVICES_BACKENDS,
    /* Requests that cannot be done wait; they are in the stream */
    "-blockdev", "blkdebug,node-name=errors,image=d,inject-error.0.event=none,"
    "inject-error.0.iotype=write", "-device",
    "xen-disk,drive=errors,vdev=xvda,werror=stop,num-queues=2",
    "-device", "xen-net-device,netdev=n,idx=0,mac=52:54:00:12:34:56",
    "-device", "xen-console,chardev=further,idx=1", FUZZ_DEVICES_SINK, NULL
};

static const FuzzTarget migration_target = {
    .name = "migration", .machine = machine, .one = one,
};
FUZZ_TARGET(migration_target)
