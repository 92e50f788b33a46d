/*
 * xenner: starts a PV guest from Xenner's command line
 *
 * Reads the command line by the code that xenpv-convert uses, checks the files,
 * puts taps on the bridges, and then replaces itself by QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include "guest.h"
#include "emulator.h"
#include "say.h"

static const char usage[] =
    "Usage: xenner -kernel FILE [options]\n"
    "       xenner -hda IMAGE [options]\n"
    "\n"
    "Starts a Xen PV guest, without Xen.\n"
    "\n"
    "  -m MIB                memory [128]\n"
    "  -smp N                virtual CPUs [1]\n"
    "  -name NAME            the guest's name\n"
    "  -uuid UUID            its UUID\n"
    "  -kernel FILE          its kernel; without one PV GRUB boots the disk\n"
    "  -initrd FILE          its initial RAM disk\n"
    "  -append TEXT          its kernel's command line\n"
    "  -hda IMAGE            its disk xvda; -hdb and so on are the others\n"
    "  -network MAC,BRIDGE   a network interface; both can be left out\n"
    "  -vnc [HOST]:DISPLAY   a framebuffer, shown by VNC\n"
    "  -nographic            no framebuffer (which is the default)\n"
    "  -boot c               boot from disk, which is all there is\n"
    "  -help                 this text\n"
    "\n"
    "The guest's console is this terminal; Ctrl-A x ends the guest.\n";

static bool check_file(Guest *g, int line, const char *path, Error **errp)
{
    struct stat st;
    /* O_NONBLOCK, as opening a pipe would wait for its writer */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) < 0) {
        guest_error(g, line, errp, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(fd);
    if (S_ISDIR(st.st_mode)) {
        guest_error(g, line, errp, "%s: it is a directory", path);
        return false;
    }
    return true;
}

static bool check_files(Guest *g, char **args, Error **errp)
{
    static const char *const options[] = { "-kernel", "-initrd" };

    for (int i = 0; args[i]; i++) {
        const char *opt = args[i] + (args[i][0] == '-' && args[i][1] == '-');
        bool is_file = g_str_has_prefix(opt, "-hd");

        for (int j = 0; j < ARRAY_SIZE(options); j++) {
            is_file |= !strcmp(opt, options[j]);
        }
        if (strcmp(opt, "-nographic")) {
            i++;
        }
        if (is_file && !check_file(g, i + 1, args[i], errp)) {
            return false;
        }
    }
    return true;
}

/*
 * As root, creates a tap and puts it on the bridge. Other users have no right
 * to do that, so QEMU calls its helper for them (-netdev bridge).
 */
static bool join_bridge(Guest *g, GuestNic *nic, Error **errp)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd, sock;

    if (strlen(nic->bridge) >= IFNAMSIZ || !if_nametoindex(nic->bridge)) {
        guest_error(g, nic->line, errp, "-network: there is no bridge '%s'",
                    nic->bridge);
        return false;
    }
    if (geteuid()) {
        return true;
    }
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0) {
        guest_error(g, nic->line, errp, "-network: /dev/net/tun: %s",
                    strerror(errno));
        return false;
    }
    pstrcpy(ifr.ifr_name, sizeof(ifr.ifr_name), "xenner%d");
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
        goto fail;
    }
    /* ifr now has the tap's name; each call below uses another union member */
    {
        struct ifreq br = { .ifr_ifindex = if_nametoindex(ifr.ifr_name) };

        pstrcpy(br.ifr_name, sizeof(br.ifr_name), nic->bridge);
        if (ioctl(sock, SIOCBRADDIF, &br) < 0) {
            goto fail;
        }
    }
    if (ioctl(sock, SIOCGIFFLAGS, &ifr) < 0) {
        goto fail;
    }
    ifr.ifr_flags |= IFF_UP;
    if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0) {
        goto fail;
    }
    close(sock);
    nic->fd = fd;
    return true;

fail:
    guest_error(g, nic->line, errp, "-network: no tap can be put on the bridge "
                "'%s': %s", nic->bridge, strerror(errno));
    if (sock >= 0) {
        close(sock);
    }
    close(fd);
    return false;
}

int main(int argc, char **argv)
{
    g_autoptr(Guest) g = NULL;
    g_autoptr(GPtrArray) args = NULL;
    g_autofree char *emulator = NULL;
    Error *err = NULL;

    say_init();
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-help") || !strcmp(argv[i], "--help") ||
            !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return 0;
        }
    }
    if (argc < 2) {
        fputs(usage, stderr);
        return 1;
    }
    g = guest_parse_xenner("xenner", argv + 1, NULL, &err);
    if (!g || !check_files(g, argv + 1, &err)) {
        goto fail;
    }
    emulator = emulator_find("x86_64") ?: emulator_find("i386");
    if (!emulator) {
        error_setg(&err, "xenner: there is no qemu-system-x86_64 beside it");
        goto fail;
    }
    for (int i = 0; i < g->nics->len; i++) {
        GuestNic *nic = g->nics->pdata[i];

        if (nic->bridge && !join_bridge(g, nic, &err)) {
            goto fail;
        }
    }
    if (g->nographic) {
        g->display.present = false;
    }
    args = guest_to_qemu(g, emulator);
    for (int i = 0; i < g->notes->len; i++) {
        say(stderr, "%s", (char *)g->notes->pdata[i]);
    }
    execv(emulator, (char **)args->pdata);
    error_setg_errno(&err, errno, "xenner: '%s' cannot be run", emulator);

fail:
    say(stderr, "%s", error_get_pretty(err));
    error_free(err);
    return 1;
}
