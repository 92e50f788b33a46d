/*
 * What time it is in a guest, for test_clock.py: for each line of its input
 * the monotonic clock and the wall clock, in nanoseconds. In between a thread
 * for each CPU looks whether the monotonic clock ever goes back, from one CPU to
 * the next, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t last, backwards;

static uint64_t now(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void *watch(void *opaque)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((intptr_t)opaque, &set);
    sched_setaffinity(0, sizeof(set), &set);
    for (;;) {
        uint64_t before = __atomic_load_n(&last, __ATOMIC_SEQ_CST);
        uint64_t t = now(CLOCK_MONOTONIC);

        if (t < before) {
            __atomic_fetch_add(&backwards, 1, __ATOMIC_SEQ_CST);
        }
        while (before < t &&
               !__atomic_compare_exchange_n(&last, &before, t, 0,
                                            __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST)) {
        }
        usleep(1000);
    }
    return NULL;
}

int main(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char line[64];

    for (intptr_t i = 0; i < cpus; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, watch, (void *)i);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t t = now(CLOCK_MONOTONIC);

        printf("clock %llu %llu %llu\n", (unsigned long long)t,
               (unsigned long long)now(CLOCK_REALTIME),
               (unsigned long long)__atomic_load_n(&backwards,
                                                   __ATOMIC_SEQ_CST));
    }
    return 0;
}
