/*
 * Unit test of what xenpv-convert --check asks grub-fstest
 *
 * Sources needed beside this file: tools/xenpv/grub-reader.c and
 * tools/xenpv/sandbox.c.
 *
 * The process that asks has looked into a stranger's disk, and may have been taken
 * over by it. A broken answer would be about a device that is none of the disk's,
 * have no end, or wait for ever for one that does not listen. What it asks without an
 * end would take that long.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qapi/error.h"
#include "../../tools/xenpv/grub-reader.h"
#include "../../tools/xenpv/sandbox.h"

/* GRUB's readers, and a disk of zeros for them */
typedef struct Zeros {
    GrubReader *reader;
    char *name;
    int fd;
    int reply[2];
} Zeros;

/* They are a package of Debian's, and a sandbox takes no hardware: nothing to skip */
static void begin(Zeros *z)
{
    z->reader = grub_reader_new(&error_fatal);
    z->fd = g_file_open_tmp("xenpv-grub-XXXXXX", &z->name, NULL);
    g_assert_cmpint(z->fd, >=, 0);
    g_assert_cmpint(ftruncate(z->fd, 1 << 20), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                               z->reply), ==, 0);
}

static void end(Zeros *z)
{
    grub_reader_free(z->reader);
    unlink(z->name);
    g_free(z->name);
    close(z->fd);
    close(z->reply[0]);
    if (z->reply[1] >= 0) {
        close(z->reply[1]);
    }
}

static bool ask(Zeros *z, const char *line)
{
    return grub_reader_answer(z->reader, line, z->fd, z->reply[0],
                              g_get_monotonic_time() + 60 * G_USEC_PER_SEC);
}

/* A question about anything but a device of the disk's is none */
static void test_questions(void)
{
    static const char *const none[] = {
        "", "G", "Gc", "Gc 1 loop0", "Gc 1 (host) /etc/passwd",
        "Gc 1 host /etc/passwd", "Gc 1 loop0)/x/(host) /etc/passwd",
        "Gc 1 hd0 /", "Gc 1 loop1 /", "Gc 1 loop0x /", "Gc 1 proc /",
        "Gc 1 cryptouuid/0 /", "Gc 1 loop0 x", "Gc x loop0 /x",
        "Gc -1 loop0 /x", "Gc 99999999999999999999 loop0 /x",
        "Gc 1000000000 loop0 /x", "Gx 1 loop0 /x", "Gcc 1 loop0 /x",
        "G 1 loop0 /x", "I G", "F0 x", " Gc 1 loop0 /x",
    };
    char byte;
    Zeros z;

    begin(&z);
    for (int i = 0; i < ARRAY_SIZE(none); i++) {
        if (ask(&z, none[i])) {
            g_test_message("'%s' is answered", none[i]);
            g_test_fail();
        }
    }
    /* Nothing came for any of them */
    g_assert_cmpint(recv(z.reply[1], &byte, 1, MSG_DONTWAIT), ==, -1);
    end(&z);
}

static uint32_t take_word(Zeros *z)
{
    uint32_t word;

    g_assert_cmpint(recv(z->reply[1], &word, sizeof(word), MSG_DONTWAIT), ==,
                    sizeof(word));
    return word;
}

static void take_text(Zeros *z, GString *text, uint32_t len)
{
    char bytes[1024];

    g_assert_cmpuint(len, <=, sizeof(bytes));
    g_assert_cmpint(recv(z->reply[1], bytes, len, MSG_DONTWAIT), ==, len);
    g_string_append_len(text, bytes, len);
}

/* One answer and no more: its text, whether it failed, and why */
static GString *answer(Zeros *z, bool *failed, GString *why)
{
    GString *text = g_string_new(NULL);
    uint32_t len;
    char byte;

    while ((len = take_word(z))) {
        take_text(z, text, len);
    }
    *failed = take_word(z);
    len = take_word(z);
    if (len) {
        take_text(z, why, len);
    }
    g_assert_cmpint(recv(z->reply[1], &byte, 1, MSG_DONTWAIT), ==, -1);
    return text;
}

/* There is an answer, which says that there is no such file, and why */
static void test_answer(void)
{
    GString *text, *why = g_string_new(NULL);
    bool failed;
    Zeros z;

    begin(&z);
    g_assert_true(ask(&z, "Gc 100 loop0 /x"));
    text = answer(&z, &failed, why);
    g_assert_true(failed);
    g_assert_cmpuint(text->len, ==, 0);
    g_assert_nonnull(strstr(why->str, "ended with status 1"));
    g_string_free(text, true);
    /* And with it GRUB's own words, where they are wanted */
    g_assert_true(ask(&z, "Gw 1000 loop0 /x"));
    text = answer(&z, &failed, why);
    g_assert_true(failed);
    g_assert_nonnull(strstr(text->str, "unknown filesystem"));
    g_string_free(text, true);
    /* No more than was asked for, which is what one byte more tells */
    g_assert_true(ask(&z, "Gw 3 loop0 /x"));
    text = answer(&z, &failed, why);
    g_assert_false(failed);
    g_assert_cmpuint(text->len, ==, 4);
    g_string_free(text, true);
    g_string_free(why, true);
    end(&z);
}

/* One that asks without an end, and does not listen, or is gone */
static void test_deaf(void)
{
    int64_t until;
    Zeros z;

    begin(&z);
    while (send(z.reply[0], "x", 1, MSG_DONTWAIT) == 1) {
        /* Until there is no room for an answer */
    }
    until = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    g_assert_true(grub_reader_answer(z.reader, "Gc 1 loop0 /x", z.fd,
                                     z.reply[0], until));
    g_assert_cmpint(g_get_monotonic_time(), >=, until);
    close(z.reply[1]);
    z.reply[1] = -1;
    /* Its pipe is gone, which ends neither this process nor the question */
    g_assert_true(ask(&z, "Gc 1 loop0 /x"));
    end(&z);
}

/* The process that asks, and an answer to each: there is no such file */
static void ask_without_end(void)
{
    static const uint32_t answer[3] = { 0, 1, 0 };
    int fds[2];
    size_t len;

    g_assert_cmpint(pipe(fds), ==, 0);
    fds[1] = fcntl(fds[1], F_DUPFD, SANDBOX_REPLY_FD + 1);
    g_assert_cmpint(dup2(fds[0], SANDBOX_REPLY_FD), ==, SANDBOX_REPLY_FD);
    for (int i = 0; i < 100000; i++) {
        g_assert_cmpint(write(fds[1], answer, sizeof(answer)), ==,
                        sizeof(answer));
        g_assert_null(grub_reader_ask(NULL, GRUB_CAT, "loop0", "/x", 10, &len,
                                      NULL));
    }
}

/*
 * An image that has a hundred thousand names in its menu ends the check, with the
 * reason. If it went on, there would be a process for each of thousands of them, and
 * then findings about files that nobody has looked for.
 */
static void test_many(void)
{
    if (g_test_subprocess()) {
        ask_without_end();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stdout("*\nit takes more than 2000 files\n*");
}

int main(int argc, char **argv)
{
    if (argc > 4 && !strcmp(argv[1], GRUB_READER_CHILD)) {
        grub_reader_run(argv + 2);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/grub-reader/questions", test_questions);
    g_test_add_func("/xenpv/grub-reader/answer", test_answer);
    g_test_add_func("/xenpv/grub-reader/deaf", test_deaf);
    g_test_add_func("/xenpv/grub-reader/many", test_many);
    return g_test_run();
}
