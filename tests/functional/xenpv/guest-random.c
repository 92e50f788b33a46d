/*
 * Tells Linux that it has random numbers: before 5.6 it waits for minutes until
 * it believes that, and sshd waits with it. They are none: this is for tests.
 *
 * 32-bit, and without a C library, which the host need not have for that width.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define NR_EXIT         1
#define NR_OPEN         5
#define NR_IOCTL        54
#define O_WRONLY        1
#define RNDADDENTROPY   0x40085203

static long call(long nr, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

void _start(void)
{
    static struct {
        int bits, bytes;
        int data[16];
    } random = { 512, 64, { 1 } };
    long fd = call(NR_OPEN, (long)"/dev/random", O_WRONLY, 0);

    call(NR_EXIT, call(NR_IOCTL, fd, RNDADDENTROPY, (long)&random) != 0, 0, 0);
}
