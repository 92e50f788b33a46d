/*
 * A front end of xen-disk, for qtests
 *
 * Its ring, in both layouts, requests and their answers, and an image whose
 * bytes tell where they are from.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_DISK_H
#define XENPV_DISK_H

#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "hw/xen/xen.h"
#include "xenpv-frontend.h"
#include "hw/xen/interface/io/blkif.h"

#define SECTOR      512
#define SECTORS     4096
#define PER_PAGE    (XENPV_PAGE / SECTOR)

/* Our own numbers */
#define RING_MFN    XENPV_QTEST_MFN_FREE
#define RING_FRAMES 32              /* of all rings */
#define DATA_MFN    (RING_MFN + RING_FRAMES)
#define RING_REF    8               /* + i: frame RING_MFN + i */
#define DATA_REF    100             /* + i: frame DATA_MFN + i, writable */
#define NR_DATA     80
#define LIST_MFN    (DATA_MFN + NR_DATA)
#define LIST_REF    (DATA_REF + NR_DATA)
#define READONLY_REF (LIST_REF + 1) /* DATA_MFN, to read */
#define FREE_REF    (READONLY_REF + 1)
#define NOT_RAM_REF (FREE_REF + 1)

/* In both layouts but for where a request's fields begin */
#define RING_ENTRIES 64

/* With one of its rings. Those of a disk with several share the front end. */
typedef struct Disk {
    Frontend f;
    bool narrow;                    /* the 32-bit layout */
    unsigned first;                 /* frame of the ring */
    unsigned pages;                 /* of the ring */
    uint32_t port;
    uint32_t prod, cons;
} Disk;

static inline char *image(void)
{
    g_autofree uint8_t *data = g_malloc(SECTORS * SECTOR);
    g_autoptr(GError) err = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("xenpv-block-test-XXXXXX", &path, &err);

    g_assert_no_error(err);
    close(fd);
    for (int i = 0; i < SECTORS * SECTOR; i++) {
        data[i] = i / SECTOR + i;
    }
    g_file_set_contents(path, (char *)data, SECTORS * SECTOR, &err);
    g_assert_no_error(err);
    return path;
}

static inline void remove_image(char *path)
{
    unlink(path);
    g_free(path);
}

static inline uint8_t pattern(uint64_t offset)
{
    return offset / SECTOR + offset;
}

static inline void image_read(const char *path, void *buf, off_t offset,
                              size_t len)
{
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, buf, len, offset), ==, len);
    close(fd);
}

/* Of a disk with one ring */
static inline uint64_t ring(size_t offset)
{
    return RING_MFN * XENPV_PAGE + offset;
}

static inline uint64_t disk_ring(Disk *d, size_t offset)
{
    return ring(d->first * XENPV_PAGE + offset);
}

static inline unsigned ring_size(Disk *d)
{
    unsigned entry = d->narrow ? 108 : 112;

    return 1 << (31 - clz32((d->pages * XENPV_PAGE - RING_ENTRIES) / entry));
}

static inline uint64_t ring_entry(Disk *d, uint32_t i)
{
    return disk_ring(d, RING_ENTRIES +
                     (i & (ring_size(d) - 1)) * (d->narrow ? 108 : 112));
}

static inline void prepare_ring(Disk *d, const char *dir)
{
    QTestState *qts = d->f.qts;

    d->prod = d->cons = 0;
    qtest_memset(qts, disk_ring(d, 0), 0, d->pages * XENPV_PAGE);
    qtest_writel(qts, disk_ring(d, 4), 1);
    qtest_writel(qts, disk_ring(d, 12), 1);
    for (unsigned i = d->first; i < d->first + d->pages; i++) {
        xenpv_grant(qts, RING_REF + i, GTF_permit_access, RING_MFN + i);
    }
    d->port = xenpv_alloc_unbound(qts);
    if (d->pages == 1) {
        xs_write(qts, dir, "ring-ref", "%u", RING_REF + d->first);
    }
    for (unsigned i = 0; d->pages > 1 && i < d->pages; i++) {
        g_autofree char *node = g_strdup_printf("ring-ref%u", i);

        xs_write(qts, dir, node, "%u", RING_REF + d->first + i);
    }
    xs_write(qts, dir, "event-channel", "%u", d->port);
}

/* Everything up to telling the back end: d has an element for each ring */
static inline void prepare_queues(Disk *d, unsigned queues, QTestState *qts,
                                  const char *name, bool narrow, unsigned pages)
{
    g_autofree char *dir = g_strdup_printf("device/vbd/%s", name);

    g_assert_cmpuint(queues * pages, <=, RING_FRAMES);
    frontend_init(&d->f, qts, dir);
    frontend_wait(&d->f, XenbusStateInitWait);
    for (unsigned i = 0; i < NR_DATA; i++) {
        xenpv_grant(qts, DATA_REF + i, GTF_permit_access, DATA_MFN + i);
    }
    xenpv_grant(qts, LIST_REF, GTF_permit_access | GTF_readonly, LIST_MFN);
    xenpv_grant(qts, READONLY_REF, GTF_permit_access | GTF_readonly, DATA_MFN);
    xenpv_grant(qts, NOT_RAM_REF, GTF_permit_access,
                XENPV_CORE_GPA / XENPV_PAGE);

    if (queues > 1) {
        xs_write(qts, dir, "multi-queue-num-queues", "%u", queues);
    }
    if (pages > 1) {
        xs_write(qts, dir, "ring-page-order", "%u", 31 - clz32(pages));
    }
    xs_write(qts, dir, "protocol", "%s", narrow ? "x86_32-abi" : "x86_64-abi");
    for (unsigned i = 0; i < queues; i++) {
        g_autofree char *queue = queues == 1
            ? g_strdup(dir) : g_strdup_printf("%s/queue-%u", dir, i);

        d[i].f = d->f;
        d[i].narrow = narrow;
        d[i].first = i * pages;
        d[i].pages = pages;
        prepare_ring(&d[i], queue);
    }
}

static inline void prepare(Disk *d, QTestState *qts, const char *name,
                           bool narrow, unsigned pages)
{
    prepare_queues(d, 1, qts, name, narrow, pages);
}

static inline void connect_prepared(Disk *d)
{
    frontend_set_state(&d->f, XenbusStateInitialised);
    frontend_wait(&d->f, XenbusStateConnected);
    frontend_set_state(&d->f, XenbusStateConnected);
}

static inline void connect_disk(Disk *d, QTestState *qts, const char *name,
                                bool narrow, unsigned pages)
{
    prepare(d, qts, name, narrow, pages);
    connect_prepared(d);
}

static inline void disconnect_disk(Disk *d)
{
    frontend_set_state(&d->f, XenbusStateClosing);
    frontend_wait(&d->f, XenbusStateClosing);
    frontend_set_state(&d->f, XenbusStateClosed);
    frontend_wait(&d->f, XenbusStateClosed);
}

typedef struct Seg {
    uint32_t ref;
    uint8_t first, last;
} Seg;

/* A request's bytes as they are in the ring; segs may have too many */
static inline void put_request(Disk *d, uint8_t op, uint64_t sector, uint8_t nr,
                               const Seg *segs, uint64_t extra)
{
    uint64_t entry = ring_entry(d, d->prod);
    uint64_t at = entry + (d->narrow ? 4 : 8);
    QTestState *qts = d->f.qts;

    qtest_memset(qts, entry, 0, 108);
    qtest_writeb(qts, entry, op);
    qtest_writeb(qts, entry + 1, nr);
    qtest_writeq(qts, at, 0x1122334400000000 + d->prod);
    qtest_writeq(qts, at + 8, sector);
    if (op == BLKIF_OP_DISCARD) {
        qtest_writeq(qts, at + 16, extra);
    }
    for (int i = 0; segs && i < MIN(nr, 11); i++) {
        qtest_writel(qts, at + 16 + 8 * i, segs[i].ref);
        qtest_writeb(qts, at + 20 + 8 * i, segs[i].first);
        qtest_writeb(qts, at + 21 + 8 * i, segs[i].last);
    }
    d->prod++;
}

static inline void put_indirect(Disk *d, uint8_t op, uint64_t sector,
                                uint16_t nr, uint32_t list_ref)
{
    uint64_t entry = ring_entry(d, d->prod);
    uint64_t at = entry + (d->narrow ? 4 : 8);
    QTestState *qts = d->f.qts;

    qtest_memset(qts, entry, 0, 108);
    qtest_writeb(qts, entry, BLKIF_OP_INDIRECT);
    qtest_writeb(qts, entry + 1, op);
    qtest_writew(qts, entry + 2, nr);
    qtest_writeq(qts, at, 0x1122334400000000 + d->prod);
    qtest_writeq(qts, at + 8, sector);
    qtest_writel(qts, at + 20, list_ref);
    d->prod++;
}

static inline void push(Disk *d)
{
    qtest_writel(d->f.qts, disk_ring(d, 0), d->prod);
    xenpv_send(d->f.qts, d->port);
}

/* The next answer's status; answers may come in any order */
static inline int16_t answer(Disk *d, uint8_t op)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint64_t entry = ring_entry(d, d->cons);
    QTestState *qts = d->f.qts;
    uint64_t id;

    while (qtest_readl(qts, disk_ring(d, 8)) == d->cons) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
    id = qtest_readq(qts, entry);
    g_assert_cmphex(id >> 32, ==, 0x11223344);
    g_assert_cmpuint((uint32_t)id, <, d->prod);
    g_assert_cmpuint(qtest_readb(qts, entry + 8), ==, op);
    d->cons++;
    qtest_writel(qts, disk_ring(d, 12), d->cons + 1);
    return qtest_readw(qts, entry + 10);
}

static inline int16_t request(Disk *d, uint8_t op, uint64_t sector, uint8_t nr,
                              const Seg *segs)
{
    put_request(d, op, sector, nr, segs, 0);
    push(d);
    return answer(d, op);
}

static inline void fill(QTestState *qts, unsigned frame, uint8_t value)
{
    qtest_memset(qts, (DATA_MFN + frame) * XENPV_PAGE, value, XENPV_PAGE);
}

/* Does a frame hold what the image had at offset from the start? */
static inline void assert_pattern(QTestState *qts, unsigned frame, unsigned at,
                                  uint64_t offset, unsigned len)
{
    g_autofree uint8_t *buf = g_malloc(len);

    qtest_memread(qts, (DATA_MFN + frame) * XENPV_PAGE + at, buf, len);
    for (unsigned i = 0; i < len; i++) {
        g_assert_cmphex(buf[i], ==, pattern(offset + i));
    }
}

static inline void assert_filled(QTestState *qts, unsigned frame, unsigned at,
                                 uint8_t value, unsigned len)
{
    g_autofree uint8_t *buf = g_malloc(len);

    qtest_memread(qts, (DATA_MFN + frame) * XENPV_PAGE + at, buf, len);
    for (unsigned i = 0; i < len; i++) {
        g_assert_cmphex(buf[i], ==, value);
    }
}

/* The disk is as it ever was */
static inline void assert_works(Disk *d)
{
    Seg seg = { DATA_REF + 3, 0, 7 };

    fill(d->f.qts, 3, 0xee);
    g_assert_cmpint(request(d, BLKIF_OP_READ, 16, 1, &seg), ==, BLKIF_RSP_OKAY);
    assert_pattern(d->f.qts, 3, 0, 16 * SECTOR, XENPV_PAGE);
}

static inline QTestState *start(const char *path, const char *options)
{
    return qtest_initf("-M xenpv-kvm -m 32 -drive if=none,id=d,format=raw,"
                       "file=%s,discard=unmap,detect-zeroes=unmap%s", path,
                       options);
}

#define ONE_DISK    " -device xen-disk,drive=d,vdev=xvda,id=disk"

#endif /* XENPV_DISK_H */
