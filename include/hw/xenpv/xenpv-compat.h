/*
 * What has another place or name in another series of QEMU
 *
 * This tree is for QEMU 10.0, 10.2 and 11. In C, only this file knows how they
 * differ: our files include it in place of headers that have moved, and use the
 * names below, which are those of the newest series where it has one.
 * scripts/qemu has the changes to QEMU's own text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_COMPAT_H
#define HW_XENPV_COMPAT_H

#include "chardev/char.h"
#include "chardev/char-fe.h"
#include "exec/tb-flush.h"
#include "net/net.h"
#include "qemu/atomic.h"
#include "system/cpu-timers.h"
#include "system/runstate.h"

#if __has_include("system/memory.h")            /* since 10.1 */
#include "exec/icount.h"
#include "system/address-spaces.h"
#include "system/ioport.h"
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/ioport.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

#if __has_include("hw/core/boards.h")           /* since 11.0 */
#include "hw/core/boards.h"
#include "hw/core/loader.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/qdev-properties-system.h"
#include "hw/core/sysbus.h"
#else
#include "hw/boards.h"
#include "hw/loader.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/sysbus.h"
#endif

#if __has_include("qemu/aio-wait.h")            /* since 11.0 */
#include "qemu/aio-wait.h"
#else
#include "block/aio-wait.h"
#endif

#if __has_include("qemu/stats64.h")             /* until 10.2 */
#include "qemu/stats64.h"
#else

/* There are no 32-bit hosts any more: one access reads or writes 64 bits */
typedef struct Stat64 {
    uint64_t value;
} Stat64;

static inline uint64_t stat64_get(const Stat64 *s)
{
    return qatomic_read(&s->value);
}

static inline void stat64_set(Stat64 *s, uint64_t value)
{
    qatomic_set(&s->value, value);
}

#endif

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 2

/* What TypeInfo's class_data points to */
typedef const void XenPVClassData;

/* EvtchnInfo and its list: can be included by what is built for a target */
#define XENPV_QAPI_EVTCHN "qapi/qapi-types-misc-i386.h"

#define xenpv_add_vm_change_state_handler(dev, cb, opaque) \
    qdev_add_vm_change_state_handler(dev, cb, NULL, opaque)
#define xenpv_set_offload(nc, offloads) qemu_set_offload(nc, offloads)
#define xenpv_add_blocker_mode(reason, mode) \
    migrate_add_blocker_modes(reason, BIT(mode), &error_abort)

#else

typedef void XenPVClassData;

#define XENPV_QAPI_EVTCHN "qapi/qapi-types-misc-target.h"

typedef CharBackend CharFrontend;

#define xenpv_add_vm_change_state_handler(dev, cb, opaque) \
    qdev_add_vm_change_state_handler(dev, cb, opaque)
#define queue_tb_flush(cpu) tb_flush(cpu)
#define xenpv_add_blocker_mode(reason, mode) \
    migrate_add_blocker_modes(reason, &error_abort, mode, -1)

/* The ones that we use */
typedef struct NetOffloads {
    bool csum, tso4, tso6;
} NetOffloads;

static inline void xenpv_set_offload(NetClientState *nc, const NetOffloads *ol)
{
    qemu_set_offload(nc, ol->csum, ol->tso4, ol->tso6, false, false, false,
                     false);
}

#endif

/*
 * Since 11.1, whose development versions are 11.0.50 and later: what a
 * VMStateDescription's post_save() returns, the hint of a field that has to be
 * equal, and a display that is updated after gfx_update() has returned
 */
#if QEMU_VERSION_MAJOR > 11 || \
    (QEMU_VERSION_MAJOR == 11 && \
     (QEMU_VERSION_MINOR > 0 || QEMU_VERSION_MICRO >= 50))

typedef void XenPVPostSave;
typedef bool XenPVGfxUpdate;

#define XENPV_POST_SAVED
#define XENPV_GFX_UPDATE_LATER false
#define XENPV_GFX_UPDATE_ASYNC
#define XENPV_VMSTATE_UINT32_EQUAL(field, state, hint) \
    VMSTATE_UINT32_EQUAL(field, state)

#else

typedef int XenPVPostSave;
typedef void XenPVGfxUpdate;

#define XENPV_POST_SAVED 0
#define XENPV_GFX_UPDATE_LATER
#define XENPV_GFX_UPDATE_ASYNC .gfx_update_async = true,
#define XENPV_VMSTATE_UINT32_EQUAL(field, state, hint) \
    VMSTATE_UINT32_EQUAL(field, state, hint)

#endif

/* The name of the terminal that @chr is, to be freed; NULL if it is not one */
static inline char *xenpv_chr_pty_name(Chardev *chr)
{
#ifdef CHARDEV_IS_PTY                           /* until 10.2 */
    return chr && CHARDEV_IS_PTY(chr) ?
           g_strdup(chr->filename + strlen("pty:")) : NULL;
#else
    return chr ? qemu_chr_get_pty_name(chr) : NULL;
#endif
}

#endif
