/*
 * Fuzz targets: what they have in common
 *
 * A target is one file here. It takes an input apart, gives it to the code it
 * is about, and asserts what must hold whatever the input was; libFuzzer finds
 * the inputs, led by the coverage of the code that scripts/overlay names.
 *
 *   make fuzz TARGET=name TIME=seconds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/* What is left of an input. Nothing more comes out of it than zeros. */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t len;
} FuzzInput;

static inline uint64_t fuzz_take(FuzzInput *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && in->len; i++, in->len--) {
        value |= (uint64_t)*in->data++ << 8 * i;
    }
    return value;
}

/* At most @len bytes, as they are in the input */
static inline const uint8_t *fuzz_take_bytes(FuzzInput *in, size_t *len)
{
    const uint8_t *p = in->data;

    *len = MIN(*len, in->len);
    in->data += *len;
    in->len -= *len;
    return p;
}

/* All that is left, as a text; to be freed */
static inline char *fuzz_take_text(FuzzInput *in)
{
    size_t len = in->len;

    return g_strndup((const char *)fuzz_take_bytes(in, &len), len);
}

typedef struct FuzzTarget {
    const char *name;
    /*
     * Options of a machine that is made once, and reset for each input (see
     * machine.h). NULL: there is none. Ends with NULL.
     */
    const char *const *machine;
    /* Once, before the machine is made, which may fill in options; may be NULL */
    void (*prepare)(void);
    /* Once, after the machine is there; may be NULL */
    void (*init)(void);
    void (*one)(FuzzInput *in);
} FuzzTarget;

void fuzz_register(const FuzzTarget *target);

#define FUZZ_TARGET(target) \
    static void __attribute__((constructor)) register_##target(void) \
    { \
        fuzz_register(&target); \
    }

#endif
