/*
 * Reads the file systems that GRUB reads and we do not, by GRUB's own
 * grub-fstest
 *
 * A question is a line "G<op> <max> <device> <path>". An answer is the content
 * in pieces, each after its length, then a length of 0, then the outcome:
 * struct Ending and the reason. Neither side trusts the other: the image may
 * have taken over the process that asks, and also grub-fstest, whose output is
 * the answer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "grub-reader.h"
#include "sandbox.h"

#define PROGRAM         "grub-fstest"
/* Bytes of one file: an initrd has at most 256 MiB */
#define MAX_BYTES       (512ULL * 1024 * 1024)
/* Questions about one image: one for each file, or each name tried for it */
#define MAX_QUESTIONS   2000
#define MAX_LIBRARIES   64
/* A question has to fit into a line of SANDBOX_LINE_MAX bytes */
#define MAX_PATH        (SANDBOX_LINE_MAX - 200)
#define MAX_REASON      300

/* Memory for the file that grub-fstest reads, and for its tree caches */
static const SandboxLimits limits = {
    .memory = 1024ULL * 1024 * 1024,
    .cpu_seconds = 120,
};

/* The header of each piece; a piece of 0 bytes is the last */
typedef struct Piece {
    uint32_t len;
} Piece;

/* Follows the last piece; @reason_len bytes come after it */
typedef struct Ending {
    uint32_t failed, reason_len;
} Ending;

/* --- In xenpv-convert ---------------------------------------------------- */

struct GrubReader {
    GPtrArray *files;       /* the program, its loader and libraries; no NULL */
    unsigned nr_questions;
};

/*
 * Asks the loader what it would load, as ldd does. It prints "libc.so.6 =>
 * /lib/... (0x...)" for each library, and a line without "=>" for itself.
 */
static void find_libraries(GrubReader *r, Error **errp)
{
    char *args[] = { r->files->pdata[0], NULL };
    char *environment[] = {
        (char *)"LC_ALL=C", (char *)"LD_TRACE_LOADED_OBJECTS=1", NULL
    };
    g_autofree char *out = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_spawn_sync(NULL, args, environment, G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                      NULL, &out, NULL, NULL, &error)) {
        error_setg(errp, "%s", error->message);
        return;
    }
    lines = g_strsplit(out, "\n", MAX_LIBRARIES);
    for (char **line = lines; *line; line++) {
        char *path = strchr(*line, '/');
        char *end = path ? strstr(path, " (0x") : NULL;

        if (end) {
            *end = 0;
            g_ptr_array_add(r->files, g_strdup(path));
        }
    }
}

GrubReader *grub_reader_new(Error **errp)
{
    ERRP_GUARD();
    static const char cache[] = "/etc/ld.so.cache";
    GrubReader *r;
    char *path = g_find_program_in_path(PROGRAM);

    if (!path) {
        error_setg(errp, "there is no " PROGRAM " (Debian's grub-common has it)");
        return NULL;
    }
    r = g_new0(GrubReader, 1);
    r->files = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(r->files, path);
    if (sandbox_can_run_programs(errp)) {
        find_libraries(r, errp);
    }
    if (!access(cache, R_OK)) {
        g_ptr_array_add(r->files, g_strdup(cache));
    }
    if (*errp) {
        error_prepend(errp, PROGRAM " is not run: ");
        grub_reader_free(r);
        return NULL;
    }
    return r;
}

void grub_reader_free(GrubReader *r)
{
    if (r) {
        g_ptr_array_unref(r->files);
        g_free(r);
    }
}

typedef struct Answer {
    int fd;
    int64_t end;
    uint64_t left;          /* bytes that the child still wants */
    bool gone;              /* the child no longer reads */
} Answer;

static void send_bytes(Answer *a, const void *buf, size_t len)
{
    while (len && !a->gone) {
        ssize_t n = send(a->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd p = { .fd = a->fd, .events = POLLOUT };

        if (n >= 0) {
            buf += n;
            len -= n;
        } else if (errno == EAGAIN) {
            poll(&p, 1, 1000);
            a->gone = g_get_monotonic_time() > a->end;
        } else {
            a->gone = errno != EINTR;
        }
    }
}

static bool send_piece(void *opaque, const char *bytes, size_t len)
{
    Answer *a = opaque;
    Piece piece = { .len = MIN(len, a->left) };

    if (piece.len) {
        send_bytes(a, &piece, sizeof(piece));
        send_bytes(a, bytes, piece.len);
        a->left -= piece.len;
    }
    return a->left && !a->gone;
}

/* The child may have been taken over: only the image's devices, never (host) */
static bool is_device(const char *device)
{
    for (const char *p = device; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-+._,/", *p)) {
            return false;
        }
    }
    return g_str_has_prefix(device, "lvm/") || !strcmp(device, "loop0") ||
           g_str_has_prefix(device, "loop0,");
}

/* Runs grub-fstest, which sends the pieces; @errp is set if it failed */
static void run_program(GrubReader *r, Answer *a, GrubOp op, const char *place,
                        int fd, Error **errp)
{
    const char op_text[] = { op, 0 };
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    int64_t seconds = (a->end - g_get_monotonic_time()) / G_USEC_PER_SEC;
    SandboxLimits job_limits = limits;
    SandboxJob job = {
        .fd = fd, .reads_all = true, .limits = &job_limits,
        .bytes = send_piece, .opaque = a,
    };
    Error *err = NULL;

    job_limits.seconds = MAX(seconds, 1);
    job_limits.output = SIZE_MAX;
    g_ptr_array_add(args, (char *)"xenpv-convert");
    g_ptr_array_add(args, (char *)GRUB_READER_CHILD);
    g_ptr_array_add(args, (char *)op_text);
    g_ptr_array_add(args, (char *)place);
    for (unsigned i = 0; i < r->files->len; i++) {
        g_ptr_array_add(args, r->files->pdata[i]);
    }
    g_ptr_array_add(args, NULL);
    job.args = (const char *const *)args->pdata;
    if (!sandbox_run(&job, &err) && a->left) {
        error_propagate(errp, err);
    } else {
        error_free(err);
    }
}

bool grub_reader_answer(GrubReader *r, const char *line, int fd, int reply_fd,
                        int64_t end)
{
    g_auto(GStrv) words = line[0] == 'G' ? g_strsplit(line + 1, " ", 4) : NULL;
    Answer a = { .fd = reply_fd, .end = end };
    g_autofree char *place = NULL;
    Error *err = NULL;
    Piece last = { };
    Ending ending;
    uint64_t max;

    if (!words || g_strv_length(words) != 4 ||
        strlen(words[0]) != 1 || !strchr("clw", words[0][0]) ||
        qemu_strtou64(words[1], NULL, 10, &max) < 0 || max > MAX_BYTES ||
        !is_device(words[2]) || words[3][0] != '/') {
        return false;
    }
    place = g_strdup_printf("(%s)%s", words[2], words[3]);
    a.left = max + 1;
    if (++r->nr_questions > MAX_QUESTIONS) {
        error_setg(&err, "it takes more than %d files", MAX_QUESTIONS);
    } else {
        run_program(r, &a, words[0][0], place, fd, &err);
    }
    ending = (Ending) {
        .failed = !!err,
        .reason_len = err ? MIN(strlen(error_get_pretty(err)), MAX_REASON) : 0,
    };
    send_bytes(&a, &last, sizeof(last));
    send_bytes(&a, &ending, sizeof(ending));
    if (err) {
        send_bytes(&a, error_get_pretty(err), ending.reason_len);
        error_free(err);
    }
    return true;
}

/* --- In the process that becomes grub-fstest ----------------------------- */

void grub_reader_run(char **args)
{
    char *grub_args[] = {
        args[2], g_strdup_printf("/proc/self/fd/%d", SANDBOX_FD),
        (char *)(args[0][0] == GRUB_LS ? "ls" : "cat"), args[1], NULL,
    };

    /* Its messages must not be mixed into a file's content */
    if (args[0][0] != GRUB_WHY && dup2(STDIN_FILENO, STDERR_FILENO) < 0) {
        _exit(EXIT_FAILURE);
    }
    sandbox_run_program(&limits, args + 2, grub_args);
}

/* --- In the process that looks into the image ---------------------------- */

static bool take(void *buf, size_t len)
{
    while (len) {
        ssize_t n = RETRY_ON_EINTR(read(SANDBOX_REPLY_FD, buf, len));

        if (n <= 0) {
            return false;
        }
        buf += n;
        len -= n;
    }
    return true;
}

/* Reads all pieces; false if the other side violates the protocol */
static bool take_pieces(GByteArray *data, size_t max)
{
    Piece piece;

    while (take(&piece, sizeof(piece))) {
        unsigned had = data->len;

        if (!piece.len) {
            return true;
        }
        if (piece.len > max + 1 - had) {
            return false;
        }
        g_byte_array_set_size(data, had + piece.len);
        if (!take(data->data + had, piece.len)) {
            return false;
        }
    }
    return false;
}

/* The text of "grub-fstest: error: TEXT", or else @reason */
static char *words_of(const GByteArray *data, const char *reason)
{
    g_autofree char *text = g_strndup((char *)data->data,
                                      MIN(data->len, MAX_REASON));
    char *error = strstr(text, "error: ");

    return g_strdup(error ? g_strchomp(error + strlen("error: ")) : reason);
}

char *grub_reader_ask(void *opaque, GrubOp op, const char *device,
                      const char *path, size_t max, size_t *len, char **why)
{
    static unsigned nr_questions;
    g_autoptr(GByteArray) data = g_byte_array_new();
    char reason[MAX_REASON + 1] = "";
    Ending ending;

    if (++nr_questions > MAX_QUESTIONS) {
        /* Going on would report files as missing that were never looked for */
        printf("it takes more than %d files\n", MAX_QUESTIONS);
        fflush(stdout);
        _exit(EXIT_FAILURE);
    }
    *len = 0;
    if (why) {
        *why = NULL;
    }
    if (strchr(path, '\n') || strlen(path) > MAX_PATH || max >= MAX_BYTES) {
        return NULL;
    }
    printf("G%c %zu %s %s\n", op, max, device, path);
    if (fflush(stdout) || !take_pieces(data, max) ||
        !take(&ending, sizeof(ending)) || ending.reason_len > MAX_REASON ||
        !take(reason, ending.reason_len)) {
        /* The parent is gone, or what answers is not the parent */
        _exit(EXIT_FAILURE);
    }
    if (ending.failed) {
        if (why) {
            *why = words_of(data, reason);
        }
        return NULL;
    }
    *len = data->len;
    if (data->len > max) {
        return NULL;
    }
    g_byte_array_append(data, (const uint8_t *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&data), false);
}
