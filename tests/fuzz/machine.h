/*
 * Fuzz targets: a machine whose guest is the input
 *
 * The machine is made once, without a kernel and under the qtest accelerator,
 * and reset for each input; what a guest could do is done here, in the main
 * loop's thread. An input is a sequence of operations, a byte that says which
 * and what it takes: any bytes are one, so that nothing is lost on syntax.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_MACHINE_H
#define TESTS_FUZZ_MACHINE_H

#include "fuzz.h"

/* Where the machine puts the rings when there is no kernel, and their ports */
#define FUZZ_MFN_CONSOLE    1
#define FUZZ_MFN_XENSTORE   2
#define FUZZ_PORT_XENSTORE  1
#define FUZZ_PORT_CONSOLE   2

/*
 * Frames that are free for a target, and what each input finds granted to
 * domain 0: of these frames by the reference of the same number, and one to
 * read only, and one of a frame that is not RAM.
 */
#define FUZZ_MFN            16
#define FUZZ_NR_FRAMES      64
#define FUZZ_REF(i)         (FUZZ_MFN + (i))
#define FUZZ_REF_READONLY   FUZZ_REF(FUZZ_NR_FRAMES)
#define FUZZ_REF_NOT_RAM    FUZZ_REF(FUZZ_NR_FRAMES + 1)

/* The front end that a target is about; all members may be NULL */
typedef struct FuzzFrontend {
    /* What it knows of the input before is forgotten */
    void (*begin)(void);
    const char *dir;            /* device/vbd/51712 */
    /* Names below it, or with "/" in front below device/; the end is NULL */
    const char *const *nodes;
    /* All that a good front end does until it is connected */
    void (*connect)(FuzzInput *in);
    /* What goes into its ring, and telling the back end */
    void (*request)(FuzzInput *in);
    /* What the host's side may do at any time */
    void (*host)(FuzzInput *in);
} FuzzFrontend;

void fuzz_machine_start(const char *const *options);
void fuzz_machine_reset(void);
/* One that is stopped or suspended goes on */
void fuzz_machine_start_again(void);

/* All operations of an input, as far as there is time for so many */
void fuzz_machine_run(const FuzzFrontend *f, FuzzInput *in);

/* What operations are made of */
void fuzz_write(uint64_t gpa, const void *buf, size_t len);
void fuzz_read(uint64_t gpa, void *buf, size_t len);
void fuzz_write32(uint64_t gpa, uint32_t value);
uint32_t fuzz_read32(uint64_t gpa);
void fuzz_send(uint32_t port);
/* Of vCPU 0; the answer is in @data, too */
int64_t fuzz_call(uint32_t op, uint32_t cmd, void *data, uint32_t size);
/* A port for a back end to bind to */
uint32_t fuzz_alloc_unbound(void);
/* Until nothing happens by itself, or not soon */
void fuzz_pump(void);
/* A request; its number and length are filled in */
struct xsd_sockmsg;
void fuzz_xs_send(struct xsd_sockmsg *hdr, const void *data, uint32_t len);
/* The number of the transaction that the input began as its @i-th, from 1 */
uint32_t fuzz_xs_transaction(unsigned i);
/* What a client heard, which is where these come from */
void fuzz_xs_heard(const uint8_t *p, size_t len);
void G_GNUC_PRINTF(3, 4) fuzz_xs_write(const char *dir, const char *node,
                                       const char *fmt, ...);

/*
 * Where a target's frame 0 is among those that are free; others than 0 where
 * several front ends share a machine (devices.c)
 */
extern unsigned fuzz_first_frame;

static inline uint32_t fuzz_mfn(unsigned i)
{
    return FUZZ_MFN + (fuzz_first_frame + i) % FUZZ_NR_FRAMES;
}

static inline uint64_t fuzz_frame(unsigned i)
{
    return fuzz_mfn(i) * 4096ULL;
}

/* The reference of that frame; those above are of no such frame */
static inline uint32_t fuzz_ref(unsigned i)
{
    return i < FUZZ_NR_FRAMES ? fuzz_mfn(i) : FUZZ_REF(i);
}

#endif
