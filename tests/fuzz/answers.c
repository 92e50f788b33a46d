/*
 * Fuzz target: what the process says that looks into a disk
 *
 * An input is all that it writes to its pipe, as if a disk had taken it over. A
 * fault here is one by which it gets at its parent, who has all rights, or at
 * the terminal of who has called that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/xenpv/xenpv-text.h"
#include "qapi/error.h"
#include "fuzz.h"
#include "../../tools/xenpv/check.h"
#include "../../tools/xenpv/sandbox.h"

#define NAME    "image"
/* Less than an input can have, and than a pipe holds */
#define OUTPUT  8192

static char *said;
static size_t said_len;
static FILE *stream;
static int pipe_fds[2];

static void init(void)
{
    stream = open_memstream(&said, &said_len);
    assert(stream);
}

/* Lines of text, each of which says about what it is */
static void check_said(void)
{
    const char *end, *p = said;

    assert(strlen(said) == said_len);
    assert(g_utf8_validate(said, -1, NULL));
    for (; *p; p = end + 1) {
        g_autofree char *line = NULL;

        end = strchr(p, '\n');
        assert(end && end - p <= XENPV_TEXT_LINE_MAX);
        assert(g_str_has_prefix(p, NAME ":"));
        line = g_strndup(p, end - p);
        for (const char *c = line; *c; c = g_utf8_next_char(c)) {
            assert(!g_unichar_iscntrl(g_utf8_get_char(c)));
        }
    }
}

static void one(FuzzInput *in)
{
    static const SandboxLimits limits = { .seconds = 60, .output = OUTPUT };
    FILE *usual_stdout = stdout, *usual_stderr = stderr;
    CheckAnswers answers = { .name = NAME };
    SandboxJob job = {
        .limits = &limits, .line = check_answer, .opaque = &answers,
    };
    g_autofree char *last_words = NULL;
    Error *err = NULL;
    size_t len = in->len;
    bool well;

    assert(g_unix_open_pipe(pipe_fds, FD_CLOEXEC, NULL));
    len = MIN(len, 2 * OUTPUT);
    assert(write(pipe_fds[1], in->data, len) == len);
    close(pipe_fds[1]);
    rewind(stream);
    stdout = stderr = stream;
    well = sandbox_listen(&job, pipe_fds[0], INT64_MAX, &last_words, &err);
    stdout = usual_stdout;
    stderr = usual_stderr;
    close(pipe_fds[0]);
    assert(well == !err);
    assert(well == (len <= OUTPUT));
    error_free(err);
    fflush(stream);
    /* Behind what has been written now is what was written before */
    said_len = ftell(stream);
    said[said_len] = 0;
    check_said();
    if (last_words) {
        assert(strlen(last_words) <= SANDBOX_LINE_MAX);
    }
}

static const FuzzTarget answers_target = {
    .name = "answers", .init = init, .one = one,
};
FUZZ_TARGET(answers_target)
