/*
 * A look into a guest's disk images
 *
 * Guests wrote the images, so they are untrusted: the parent opens each, and a
 * child without rights (see sandbox.h) looks into it. The child's output is as
 * untrusted. Each line is "F<line> <text>", a finding, "I <text>", a fact worth
 * knowing, or a question for grub-fstest (see grub-reader.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-text.h"
#include "check.h"
#include "disk.h"
#include "grub-reader.h"
#include "image.h"
#include "sandbox.h"
#include "say.h"

/*
 * Memory for an initrd of 256 MiB, the 512 MiB it unpacks to, the decoder's
 * window and the file systems. An xz initrd of 100 MiB takes ten seconds.
 */
static const SandboxLimits limits = {
    .memory = 1280ULL * 1024 * 1024,
    .cpu_seconds = 120,
    .seconds = 600,
    .output = 256 * 1024,
};

typedef struct Check {
    CheckAnswers answers;
    const char *format;
    int fd;
    uint64_t size;
    GrubReader *grub;           /* NULL: see @no_grub for the reason */
    const char *no_grub;
    int reply_fd;               /* answers go to the child through this */
    int64_t end;
} Check;

/* --- In the child -------------------------------------------------------- */

static void write_finding(void *opaque, int line, const char *text)
{
    g_autofree char *plain = xenpv_text_line(text);

    printf("F%d %s\n", line, plain);
}

static void write_fact(void *opaque, const char *text)
{
    g_autofree char *plain = xenpv_text_line(text);

    printf("I %s\n", plain);
}

static bool read_image(void *opaque, uint64_t offset, void *buf, uint64_t len)
{
    return image_read(offset, buf, len);
}

int check_child(const char *size, const char *format, const char *no_grub)
{
    GuestDiskReader reader = {
        .read = read_image, .finding = write_finding, .fact = write_fact,
        .no_grub = no_grub,
    };
    Error *err = NULL;
    uint64_t bytes;
    int64_t length;

    if (qemu_strtou64(size, NULL, 10, &bytes) < 0) {
        return EXIT_FAILURE;
    }
    image_init();
    sandbox_enter(&limits);
    length = image_open(SANDBOX_FD, bytes, format[0] ? format : NULL, &err);
    if (length < 0) {
        write_finding(NULL, 0, error_get_pretty(err));
    } else {
        if (!image_is_raw()) {
            reader.no_grub = "grub-fstest reads only raw images (qemu-img "
                             "convert makes one)";
        } else if (!no_grub[0]) {
            reader.grub = grub_reader_ask;
        }
        reader.size = length;
        disk_check(&reader);
    }
    /* exit() would run libraries' handlers, which may do forbidden things */
    _exit(fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* --- In the parent ------------------------------------------------------- */

static void finding(CheckAnswers *a, unsigned line, const char *text)
{
    a->bad = true;
    say(stderr, "%s:%u: %s", a->name, line, text);
}

bool check_answer(void *opaque, const char *text)
{
    CheckAnswers *a = opaque;
    unsigned line;

    if (text[0] == 'I' && text[1] == ' ') {
        say(stdout, "%s: %s", a->name, text + 2);
        return true;
    }
    if (text[0] == 'F' && g_ascii_isdigit(text[1]) &&
        !qemu_strtoui(text + 1, &text, 10, &line) && *text == ' ') {
        finding(a, line, text + 1);
        return true;
    }
    return false;
}

static bool check_line(void *opaque, const char *text)
{
    Check *c = opaque;

    return (c->grub && grub_reader_answer(c->grub, text, c->fd, c->reply_fd,
                                          c->end)) ||
           check_answer(&c->answers, text);
}

/* Only files and block devices: opening anything else may have side effects */
static bool open_image(Check *c)
{
    g_autofree char *text = NULL;
    const char *name = c->answers.name;
    struct stat st;
    off_t size;

    if (stat(name, &st) == 0) {
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
            finding(&c->answers, 0, "it cannot be opened: it is neither a file "
                    "nor a block device");
            return false;
        }
        c->fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    size = c->fd < 0 ? -1 : lseek(c->fd, 0, SEEK_END);
    if (size < 0 || fstat(c->fd, &st) < 0) {
        text = g_strdup_printf("it cannot be opened: %s", strerror(errno));
        finding(&c->answers, 0, text);
        return false;
    }
    /* Xen's block devices are raw */
    if (S_ISBLK(st.st_mode) && !c->format) {
        c->format = "raw";
    }
    c->size = size;
    return true;
}

static void run_child(Check *c)
{
    g_autofree char *size = g_strdup_printf("%" PRIu64, c->size);
    const char *const args[] = {
        "xenpv-convert", CHECK_CHILD, size, c->format ?: "", c->no_grub, NULL,
    };
    int fds[2];
    SandboxJob job = {
        .args = args, .fd = c->fd, .limits = &limits, .line = check_line,
        .opaque = c,
    };
    Error *err = NULL;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        finding(&c->answers, 0, "it is not looked into: no socket can be made");
        return;
    }
    c->reply_fd = fds[0];
    c->end = g_get_monotonic_time() + limits.seconds * (int64_t)G_USEC_PER_SEC;
    job.reply_fd = fds[1];
    if (!sandbox_run(&job, &err)) {
        finding(&c->answers, 0, error_get_pretty(err));
        error_free(err);
    }
    close(fds[0]);
    close(fds[1]);
}

static bool check_image(const char *name, const char *format)
{
    Check c = { .answers = { .name = name }, .format = format, .fd = -1 };
    Error *err = NULL;

    if (open_image(&c)) {
        c.grub = grub_reader_new(&err);
        c.no_grub = err ? error_get_pretty(err) : "";
        run_child(&c);
        grub_reader_free(c.grub);
        error_free(err);
    }
    if (c.fd >= 0) {
        close(c.fd);
    }
    return !c.answers.bad;
}

int check_images(char **images, const char *format)
{
    bool good = true;

    for (; *images; images++) {
        if (check_image(*images, format)) {
            say(stdout, "%s: nothing found that would keep it from booting",
                *images);
        } else {
            good = false;
        }
    }
    return good ? 0 : 1;
}
