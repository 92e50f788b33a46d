/*
 * Fuzz targets: the front ends, for targets with several in a machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_DEVICES_H
#define TESTS_FUZZ_DEVICES_H

#include "machine.h"

/* Those of the targets with these names */
extern const FuzzFrontend fuzz_block, fuzz_console, fuzz_fb, fuzz_net;

/*
 * All of them: a byte says of which device an operation is. They are those of
 * FUZZ_DISK and so on below, in a machine with vfb=on.
 */
void fuzz_devices_begin(void);
void fuzz_devices_connect(FuzzInput *in);
void fuzz_devices_request(FuzzInput *in);
void fuzz_devices_host(FuzzInput *in);
extern const char *const fuzz_devices_nodes[];

/* The back ends of these, for a machine's options. Ring buffers do read. */
#define FUZZ_DEVICES_BACKENDS \
    "-blockdev", \
    "null-aio,node-name=d,size=16777216,read-zeroes=on,latency-ns=20000", \
    "-netdev", "hubport,id=n,hubid=0", "-chardev", "ringbuf,id=primary", \
    "-serial", "chardev:primary", "-chardev", "ringbuf,id=further"

/*
 * Where what the card sends goes: one that nobody uses, which takes any number. A
 * hub with one port takes nothing, and the card would wait for ever after a frame.
 */
#define FUZZ_DEVICES_SINK \
    "-netdev", "hubport,id=sink,hubid=0", "-device", \
    "xen-net-device,netdev=sink,idx=1,mac=52:54:00:12:34:57"

#endif
