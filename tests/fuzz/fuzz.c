/*
 * Fuzz targets: libFuzzer's entry points
 *
 * qemu-fuzz-x86_64 --target=NAME [libFuzzer's options] [CORPUS...]
 *
 * Without --target it prints the names of the targets, and which have a machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "fuzz.h"
#include "machine.h"

#define MAX_TARGETS 32

/* libFuzzer's names; it has no header for them */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* LeakSanitizer's, neither */
const char *__lsan_default_suppressions(void);

/*
 * The stack that an IOThread is on while a coroutine runs is not one that
 * LeakSanitizer knows as a thread's, so it does not find what is only there: the
 * coroutine itself, which goes back to QEMU's pool afterwards.
 */
const char *__lsan_default_suppressions(void)
{
    return "leak:qemu_coroutine_create\n";
}

static const FuzzTarget *targets[MAX_TARGETS];
static unsigned nr_targets;
static const FuzzTarget *target;

void fuzz_register(const FuzzTarget *t)
{
    assert(nr_targets < MAX_TARGETS);
    targets[nr_targets++] = t;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = NULL;

    for (int i = 1; i < *argc; i++) {
        if (g_str_has_prefix((*argv)[i], "--target=")) {
            name = (*argv)[i] + strlen("--target=");
        }
    }
    for (unsigned i = 0; i < nr_targets; i++) {
        if (!name) {
            printf("%s%s\n", targets[i]->name,
                   targets[i]->machine ? " machine" : "");
        } else if (!strcmp(name, targets[i]->name)) {
            target = targets[i];
        }
    }
    if (!target) {
        if (name) {
            fprintf(stderr, "there is no target '%s'\n", name);
        }
        fflush(NULL);
        _exit(name != NULL);
    }
    if (target->prepare) {
        target->prepare();
    }
    if (target->machine) {
        fuzz_machine_start(target->machine);
    }
    if (target->init) {
        target->init();
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    if (target->machine) {
        fuzz_machine_reset();
    }
    target->one(&in);
    return 0;
}
