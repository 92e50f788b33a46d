/*
 * xenpv-convert: converts a Xen guest's configuration for QEMU or libvirt
 *
 * main() reads the options and calls the code that does the work. Nothing in a
 * configuration is executed. With --check, check.c looks into the guest's
 * disks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest.h"
#include "emulator.h"
#include "check.h"
#include "grub-reader.h"
#include "say.h"

static const char description[] =
    "FILE is a guest's configuration of xl's or xm's, the XML of libvirt's\n"
    "Xen driver (virsh -c xen:/// dumpxml), or a file with a xenner command; - is\n"
    "standard input. Instead of a FILE there may be a xenner command itself.\n"
    "Each setting that cannot be carried over is named on standard error.\n"
    "\n"
    "With --check, FILEs are disk images. They are looked into, without being\n"
    "changed, and what would keep them from booting is told.";

static int fail(Error *err)
{
    say(stderr, "%s", error_get_pretty(err));
    error_free(err);
    return 1;
}

/*
 * An existing file is replaced only when all is written, so that it is never
 * left half written. Anything but a regular file is written to and not
 * replaced: a symbolic link, a pipe, or /dev/null, which root could replace.
 */
static int write_out(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    struct stat st;
    FILE *f;

    if (!path || !strcmp(path, "-")) {
        path = "stdout";
        f = stdout;
    } else if (!lstat(path, &st) && !S_ISREG(st.st_mode)) {
        f = fopen(path, "w");
    } else if (g_file_set_contents(path, text, -1, &error)) {
        return 0;
    } else {
        say(stderr, "%s:0: it cannot be written: %s", path, error->message);
        return 1;
    }
    if (!f || fputs(text, f) < 0 || fflush(f)) {
        say(stderr, "%s:0: it cannot be written: %s", path, strerror(errno));
        return 1;
    }
    return 0;
}

static int convert(char **args, const char *to, const char *emulator,
                   const char *virt_type, const char *output)
{
    g_autofree char *base = g_path_get_basename(args[0]);
    g_autoptr(Guest) g = NULL;
    g_autofree char *text = NULL;
    Error *err = NULL;

    if (!strcmp(base, "xenner") && args[1]) {
        g = guest_parse_xenner("xenner", args + 1, NULL, &err);
    } else if (args[1]) {
        say(stderr, "%s:0: one configuration at a time", args[1]);
        return 1;
    } else {
        g = guest_parse_file(args[0], &err);
    }
    if (!g) {
        return fail(err);
    }
    text = !strcmp(to, "qemu") ? guest_to_qemu_line(g, emulator)
                               : guest_to_libvirt(g, emulator, virt_type);
    for (int i = 0; i < g->notes->len; i++) {
        say(stderr, "%s", (char *)g->notes->pdata[i]);
    }
    return write_out(output, text);
}

int main(int argc, char **argv)
{
    g_autofree char *to = NULL, *emulator = NULL, *virt_type = NULL;
    g_autofree char *output = NULL, *format = NULL;
    g_auto(GStrv) args = NULL;
    gboolean check = false;
    const GOptionEntry entries[] = {
        { "to", 't', 0, G_OPTION_ARG_STRING, &to,
          "what to print: libvirt (the default) or qemu", "FORM" },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
          "write that to a file", "FILE" },
        { "emulator", 'e', 0, G_OPTION_ARG_FILENAME, &emulator,
          "the emulator to name", "PATH" },
        { "virt-type", 0, 0, G_OPTION_ARG_STRING, &virt_type,
          "libvirt's type of domain: kvm (the default) or qemu", "TYPE" },
        { "check", 'c', 0, G_OPTION_ARG_NONE, &check,
          "look into disk images", NULL },
        { "format", 'f', 0, G_OPTION_ARG_STRING, &format,
          "--check: the images' format, if it is not to be guessed", "FORMAT" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &args, NULL,
          "FILE" },
        { }
    };
    g_autoptr(GOptionContext) ctx = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    if (argc == 5 && !strcmp(argv[1], CHECK_CHILD)) {
        return check_child(argv[2], argv[3], argv[4]);
    }
    if (argc > 4 && !strcmp(argv[1], GRUB_READER_CHILD)) {
        grub_reader_run(argv + 2);
    }
    say_init();
    g_option_context_set_strict_posix(ctx, true);
    g_option_context_set_description(ctx, description);
    g_option_context_add_main_entries(ctx, entries, NULL);
    if (!g_option_context_parse(ctx, &argc, &argv, &error)) {
        say(stderr, "xenpv-convert: %s", error->message);
        return 1;
    }
    if (!args || !args[0]) {
        say(stderr, "xenpv-convert: no file is named; see --help");
        return 1;
    }
    if (check) {
        return check_images(args, format);
    }
    if (to && strcmp(to, "libvirt") && strcmp(to, "qemu")) {
        say(stderr, "xenpv-convert: --to is libvirt or qemu, not '%s'",
                to);
        return 1;
    }
    if (virt_type && strcmp(virt_type, "kvm") && strcmp(virt_type, "qemu")) {
        say(stderr, "xenpv-convert: --virt-type is kvm or qemu, not "
                "'%s'", virt_type);
        return 1;
    }
    if (!emulator) {
        emulator = emulator_find("x86_64") ?: g_strdup(EMULATOR_DEFAULT);
    }
    return convert(args, to ?: "libvirt", emulator, virt_type ?: "kvm", output);
}
