/*
 * Unit test of the engine below xenpv-convert and xenner
 *
 * Sources needed beside this file: tools/xenpv/guest.c,
 * tools/xenpv/guest-read.c, tools/xenpv/net-disk.c,
 * tools/xenpv/xl-language.c, tools/xenpv/xl-devices.c, tools/xenpv/parse-xl.c,
 * tools/xenpv/parse-xml.c, tools/xenpv/xml-tree.c,
 * tools/xenpv/parse-listing.c,
 * tools/xenpv/parse-xenner.c,
 * tools/xenpv/emit-qemu.c, tools/xenpv/emit-libvirt.c,
 * tools/xenpv/guest-files.c, tools/xenpv/rules.c, tools/xenpv/menu.c,
 * tools/xenpv/menu-extlinux.c,
 * hw/xenpv/xenpv-text.c, hw/xenpv/xenpv-kernel.c, hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-elf-notes.c and hw/xenpv/xenpv-unpack.c.
 *
 * A broken one would start a guest with other disks or less memory than its
 * owner wrote down, drop a setting without a word, or run what is in a
 * configuration. So there are tests of what each form becomes, of what is told
 * about the rest, and of input with mistakes: one line with the right number,
 * and nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <locale.h>
#include <lz4.h>
#include "hw/xenpv/xenpv-text.h"
#include "../../tools/xenpv/guest.h"
#include "../../tools/xenpv/rules.h"
#include "xenpv-fake-files.h"

#define K "kernel = '/k'\nmemory = 64\n"

static Guest *parse(const char *text)
{
    Error *err = NULL;
    Guest *g = guest_parse("f", text, strlen(text), &err);

    if (err) {
        g_test_message("%s", error_get_pretty(err));
        error_free(err);
    }
    g_assert_nonnull(g);
    return g;
}

static void assert_line(Guest *g, const char *expected)
{
    g_autofree char *line = guest_to_qemu_line(g, "qemu");
    g_auto(GStrv) parts = g_strsplit(line, " \\\n    ", 0);
    g_autofree char *flat = g_strchomp(g_strjoinv(" ", parts));

    g_assert_cmpstr(flat, ==, expected);
}

static void assert_notes(Guest *g, const char *expected)
{
    g_autofree char *all = NULL;

    g_ptr_array_add(g->notes, NULL);
    all = g_strjoinv("\n", (char **)g->notes->pdata);
    g_ptr_array_remove_index(g->notes, g->notes->len - 1);
    g_assert_cmpstr(all, ==, expected);
}

static void assert_refused(const char *text, const char *reason)
{
    Error *err = NULL;
    Guest *g = guest_parse("f", text, strlen(text), &err);

    g_assert_null(g);
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), reason)) {
        g_test_message("expected \"%s\", but the error is \"%s\"", reason,
                       error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

/* A few lines that double: by variables, by +, by +=, and into each other */
static void test_xl_doubling(void)
{
    static const struct {
        const char *first, *line, *reason;
    } cases[] = {
        { "a = ['xxxxxxxxxxxxxxxx']", "a = a + a", "too many values" },
        { "a = ['xxxxxxxxxxxxxxxx']", "a += a", "too many values" },
        { "a = ['x']\nb = [a, a]", "a = b + b\nb = a + a", "too many values" },
        { "a = 'xxxxxxxxxxxxxxxx'", "a = a + a", "too long" },
        { "a = 'xxxxxxxxxxxxxxxx'", "a += a", "too long" },
        { "a = 1", "a = [a, a]", "nested too deeply" },
        { "a = 1", "a = [a]", "nested too deeply" },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(GString) text = g_string_new(cases[i].first);

        for (int j = 0; j < 40; j++) {
            g_string_append_printf(text, "\n%s", cases[i].line);
        }
        assert_refused(text->str, cases[i].reason);
    }
    /* A long text, in many variables */
    {
        g_autofree char *x = g_strnfill(100000, 'x');
        g_autoptr(GString) text = g_string_new(NULL);

        g_string_printf(text, "a = '%s'\n", x);
        for (int j = 0; j < 1000; j++) {
            g_string_append_printf(text, "v%d = a\n", j);
        }
        assert_refused(text->str, "too long");
    }
}

/* What would be done, not shown, by a terminal: as it is in UTF-8 */
static const char *const unseen[] = {
    "\x01", "\b", "\x0e", "\x1b", "\x7f",
    "\xc2\x80", "\xc2\x9b", "\xc2\x9d",     /* C1: CSI, OSC */
    "\xd8\x9c",                             /* Arabic letter mark */
    "\xe2\x80\x8b", "\xe2\x80\x8e",         /* zero width; left-to-right */
    "\xe2\x80\xa8", "\xe2\x80\xa9",         /* line and paragraph */
    "\xe2\x80\xae", "\xe2\x81\xa6",         /* right-to-left override, ... */
    "\xef\xbb\xbf", "\xf3\xa0\x81\x81",     /* byte order mark; a tag */
    "\xee\x80\x80", "\xcd\xb8",             /* private; not assigned */
};

static void assert_shown(const char *text, const char *expected)
{
    g_autofree char *line = xenpv_text_line(text);

    g_assert_cmpstr(line, ==, expected);
}

static void test_text(void)
{
    g_autofree char *x = g_strnfill(XENPV_TEXT_LINE_MAX, 'x');
    g_autofree char *long_text = g_strconcat(x, "yz", NULL);
    g_autofree char *line = NULL;
    char small[6];

    for (int utf8 = 0; utf8 < 2; utf8++) {
        if (utf8 && !setlocale(LC_CTYPE, "C.UTF-8")) {
            g_test_message("there is no locale with UTF-8");
            break;
        }
        for (int i = 0; i < ARRAY_SIZE(unseen); i++) {
            g_autofree char *text = g_strconcat("a", unseen[i], "b", NULL);

            assert_shown(text, "a?b");
            g_assert_false(xenpv_text_is_plain(text));
        }
        assert_shown("a\nb\tc", "a?b?c");
        assert_shown("a\x9b" "b\xff\xc3", "a?b??");
        assert_shown("B\xc3\xbcro", utf8 ? "B\xc3\xbcro" : "B?ro");
        g_assert_true(xenpv_text_is_plain("B\xc3\xbcro"));
        xenpv_text_copy(small, sizeof(small), "1234\xc3\xbc", 6);
        g_assert_cmpstr(small, ==, utf8 ? "1234" : "1234?");
        xenpv_text_copy(small, sizeof(small), "12\0" "4", 4);
        g_assert_cmpstr(small, ==, "12");
        setlocale(LC_CTYPE, "C");
    }
    assert_shown(x, x);
    line = xenpv_text_line(long_text);
    g_assert_cmpuint(strlen(line), ==, XENPV_TEXT_LINE_MAX);
    g_assert_true(g_str_has_suffix(line, "x..."));
}

/*
 * Messages have none of it, and what would be printed for a shell or for
 * libvirt is refused
 */
static void test_terminal(void)
{
    static const char *const templates[] = {
        "memory = 64\nkernel = '/k%s'\n",
        K "ramdisk = '/i%s'\n",
        K "extra = 'x%sy'\n",
        K "disk = ['file:/a%s,xvda,w']\n",
        K "vif = ['bridge=br%s0']\n",
        K "vfb = ['vncpasswd=a%s']\n",
        K "vfb = ['keymap=a%s']\n",
        K "vfb = ['vnclisten=a%s']\n",
        K "on_reboot = 'a%s'\n",
        "xenner -kernel '/k%s'\n",
        "<domain type='xen'><memory>65536</memory><os><kernel>/k%s</kernel>"
        "</os></domain>",
        "<domain type='x%s'/>",
    };

    for (int i = 0; i < ARRAY_SIZE(templates); i++) {
        for (int j = 0; j < ARRAY_SIZE(unseen); j++) {
            g_auto(GStrv) parts = g_strsplit(templates[i], "%s", 2);
            g_autofree char *text = g_strconcat(parts[0], unseen[j], parts[1],
                                                NULL);
            Error *err = NULL;
            Guest *g = guest_parse("f", text, strlen(text), &err);

            g_assert_null(g);
            g_assert_nonnull(err);
            for (const char *p = error_get_pretty(err); *p; p++) {
                g_assert_true(g_ascii_isprint(*p));
            }
            error_free(err);
        }
    }
}

/* Nothing of a configuration becomes an option or a protocol of QEMU's */
static void test_injection(void)
{
    g_autoptr(Guest) g = NULL;
    g_autofree char *source = NULL, *line = NULL, *file = NULL;
    static const char xml[] =
        "<domain type='xen'><memory>65536</memory><os><kernel>/k</kernel></os>"
        "<devices><disk type='file'><source file='nbd:unix:/s'/>"
        "<target dev='xvda'/></disk></devices></domain>";

    assert_refused("<domain type='xen'><memory>65536</memory><os><kernel>/k"
                   "</kernel></os><devices><graphics type='vnc' "
                   "listen='::1,password=off'/></devices></domain>",
                   "address to listen on: '::1,password=off' is none");
    assert_refused(K "vfb = ['keymap=/etc/shadow']\n",
                   "keymap: '/etc/shadow' is none");
    g = parse(xml);
    source = g_canonicalize_filename("nbd:unix:/s", NULL);
    g_assert_cmpstr(((GuestDisk *)g->disks->pdata[0])->source, ==, source);
    line = guest_to_qemu_line(g, "qemu");
    file = g_strconcat("file=", source, ",format=raw", NULL);
    g_assert_nonnull(strstr(line, file));
}

/* A configuration of nothing but what is not carried */
static void test_many_notes(void)
{
    g_autoptr(GString) text = g_string_new(K);
    g_autoptr(Guest) g = NULL;

    for (int i = 0; i < 5000; i++) {
        g_string_append_printf(text, "v%d = 1\n", i);
    }
    g = parse(text->str);
    g_assert_cmpuint(g->notes->len, ==, GUEST_MAX_NOTES + 1);
    g_assert_cmpstr(g->notes->pdata[GUEST_MAX_NOTES], ==,
                    "f:203: note: there are more notes than these");
}

/* As some editors write files */
static void test_byte_order_mark(void)
{
    g_autoptr(Guest) g = parse("\xef\xbb\xbf" "name = 'bom'\n" K);

    g_assert_cmpstr(g->name, ==, "bom");
}

/* The configuration of a Fedora 10 guest of 2008, as an xm user had it */
static void test_xm_fedora10(void)
{
    g_autoptr(Guest) g = parse(
        "kernel = \"/images/vmlinuz-2.6.27.5-117.fc10.i686.PAE\"\n"
        "ramdisk = \"/images/initrd-2.6.27.5-117.fc10.i686.PAE.img\"\n"
        "memory = 512\n"
        "name = \"pvfc10\"\n"
        "vif = [ 'mac=54:52:00:4d:1b:ec, bridge=xenbr0' ]\n"
        "disk = [ 'tap:aio:/images/pvfc10.img,xvda,w' ]\n"
        "root = \"/dev/xvda1 ro\"\n"
        "extra = \"3 xencons=tty\"\n");

    assert_line(g, "qemu -machine xenpv-kvm -nodefaults -name pvfc10 -m 512 "
                "-kernel /images/vmlinuz-2.6.27.5-117.fc10.i686.PAE "
                "-initrd /images/initrd-2.6.27.5-117.fc10.i686.PAE.img "
                "-append 'root=/dev/xvda1 ro 3 xencons=tty' "
                "-drive if=none,id=disk0,file=/images/pvfc10.img,format=raw "
                "-device xen-disk,drive=disk0,vdev=xvda "
                "-netdev bridge,id=net0,br=xenbr0 "
                "-device xen-net-device,netdev=net0,mac=54:52:00:4d:1b:ec "
                "-display none -serial mon:stdio");
    assert_notes(g, "");
}

static void test_libvirt_xml(void)
{
    g_autoptr(Guest) g = parse(
        "name='a&b'\nuuid='0123456789abcdef0123456789ABCDEF'\n"
        "kernel='/k'\nramdisk='/i'\nextra='console=hvc0 <x>'\n"
        "memory=64\nvcpus=2\n"
        "disk=['phy:vg/a,xvda,w', 'file:/b,sda1,r', '/c,qcow2,xvdb,rw']\n"
        "vif=['bridge=br0,mac=00:16:3e:00:00:01', '']\n"
        "on_poweroff='destroy'\non_reboot='restart'\non_crash='preserve'\n");
    g_autofree char *xml = guest_to_libvirt(g, "/q", "kvm");

    g_assert_cmpstr(xml, ==,
        "<domain type='kvm'>\n"
        "  <name>a&amp;b</name>\n"
        "  <uuid>01234567-89ab-cdef-0123-456789abcdef</uuid>\n"
        "  <memory unit='MiB'>64</memory>\n"
        "  <vcpu>2</vcpu>\n"
        "  <os>\n"
        "    <type arch='x86_64' machine='xenpv-kvm'>hvm</type>\n"
        "    <kernel>/k</kernel>\n"
        "    <initrd>/i</initrd>\n"
        "    <cmdline>console=hvc0 &lt;x&gt;</cmdline>\n"
        "  </os>\n"
        "  <features>\n"
        "    <acpi/>\n"
        "  </features>\n"
        "  <on_poweroff>destroy</on_poweroff>\n"
        "  <on_reboot>restart</on_reboot>\n"
        "  <on_crash>preserve</on_crash>\n"
        "  <devices>\n"
        "    <emulator>/q</emulator>\n"
        "    <disk type='block' device='disk'>\n"
        "      <driver name='qemu' type='raw'/>\n"
        "      <source dev='/dev/vg/a'/>\n"
        "      <target dev='xvda' bus='virtio'/>\n"
        "    </disk>\n"
        "    <disk type='file' device='disk'>\n"
        "      <driver name='qemu' type='raw'/>\n"
        "      <source file='/b'/>\n"
        "      <target dev='xvdc' bus='virtio'/>\n"
        "      <readonly/>\n"
        "      <alias name='ua-sda1'/>\n"
        "    </disk>\n"
        "    <disk type='file' device='disk'>\n"
        "      <driver name='qemu' type='qcow2'/>\n"
        "      <source file='/c'/>\n"
        "      <target dev='xvdb' bus='virtio'/>\n"
        "    </disk>\n"
        "    <interface type='bridge'>\n"
        "      <source bridge='br0'/>\n"
        "      <mac address='00:16:3e:00:00:01'/>\n"
        "      <model type='virtio'/>\n"
        "    </interface>\n"
        "    <interface type='user'>\n"
        "      <model type='virtio'/>\n"
        "    </interface>\n"
        "    <console type='pty'/>\n"
        "    <controller type='pci' index='0' model='pci-root'/>\n"
        "    <controller type='pci' index='1' model='pci-bridge'/>\n"
        "    <controller type='usb' model='none'/>\n"
        "  </devices>\n"
        "</domain>\n");
    assert_notes(g, "f:9: note: no bridge is named: user networking takes its "
                 "place");
}

static void test_disk_syntaxes(void)
{
    static const struct {
        const char *text, *source, *format, *vdev;
        bool readonly, cdrom, block, discard;
    } disks[] = {
        { "phy:/dev/vg/lv,xvda,w", "/dev/vg/lv", "raw", "xvda", .block = 1 },
        { "phy:vg/lv,sda2,w!", "/dev/vg/lv", "raw", "sda2", .block = 1 },
        { "file:/a b.img,hda,r", "/a b.img", "raw", "hda", .readonly = 1 },
        { "tap:aio:/x,xvda1,rw", "/x", "raw", "xvda1" },
        { "tap:qcow:/x,xvda,w", "/x", "qcow", "xvda" },
        { "tap2:aio:/x,xvda,ro", "/x", "raw", "xvda", .readonly = 1 },
        { "tap2:qcow2:/x,xvda,w", "/x", "qcow2", "xvda" },
        { "tap2:tapdisk:aio:/x,xvda,w", "/x", "raw", "xvda" },
        { "tap:vhd:/x,xvda,w", "/x", "vpc", "xvda" },
        { "file:/x,ioemu:hda,w", "/x", "raw", "hda" },
        { "file:/x.iso,xvdc:cdrom,r", "/x.iso", "raw", "xvdc", 1, 1 },
        { ",hdc:cdrom,r", NULL, "raw", "hdc", 1, 1 },
        { "/x,raw,xvda,rw", "/x", "raw", "xvda" },
        { "/x,,xvda,ro", "/x", "raw", "xvda", .readonly = 1 },
        { "/x,xvda,w", "/x", "raw", "xvda" },
        { "/dev/vg/x, raw, xvdb, rw", "/dev/vg/x", "raw", "xvdb", .block = 1 },
        { "format=qcow2, vdev=xvda, access=rw, target=/with,comma.qcow2",
          "/with,comma.qcow2", "qcow2", "xvda" },
        { "vdev=xvda,format=vhd,target=/x=y", "/x=y", "vpc", "xvda" },
        { "/x,vdev=hdc,access=ro,devtype=cdrom", "/x", "raw", "hdc", 1, 1 },
        { "/x,raw,xvda,rw,discard", "/x", "raw", "xvda", .discard = 1 },
        { "/x,raw,xvda,rw,backendtype=qdisk", "/x", "raw", "xvda" },
        { "format=raw,vdev=xvdaz,target=/x", "/x", "raw", "xvdaz" },
        /* Xen's numbers of disks, and xl's count of them */
        { "phy:/x,51712,w", "/x", "raw", "xvda", .block = 1 },
        { "phy:/x,0xca11,w", "/x", "raw", "xvdb1", .block = 1 },
        { "phy:/x,2049,w", "/x", "raw", "sda1", .block = 1 },
        { "phy:/x,768,w", "/x", "raw", "hda", .block = 1 },
        { "phy:/x,5696,r", "/x", "raw", "hdd", 1, .block = 1 },
        { "phy:/x,268439553,w", "/x", "raw", "xvdq1", .block = 1 },
        { "/x,raw,d0p1,rw", "/x", "raw", "xvda1" },
        { "/x,raw,d26,rw", "/x", "raw", "xvdaa" },
    };

    for (int i = 0; i < ARRAY_SIZE(disks); i++) {
        g_autofree char *text = g_strdup_printf(K "disk = ['%s']\n",
                                                disks[i].text);
        g_autoptr(Guest) g = parse(text);
        GuestDisk *d = g->disks->pdata[0];

        g_test_message("%s", disks[i].text);
        g_assert_cmpstr(d->source, ==, disks[i].source);
        g_assert_cmpstr(d->format, ==, disks[i].format);
        g_assert_cmpstr(d->vdev, ==, disks[i].vdev);
        g_assert_cmpint(d->readonly, ==, disks[i].readonly);
        g_assert_cmpint(d->is_cdrom, ==, disks[i].cdrom);
        g_assert_cmpint(d->is_block, ==, disks[i].block);
        g_assert_cmpint(d->discard, ==, disks[i].discard);
        g_assert_cmpint(d->line, ==, 3);
    }
}

/* xm's files were Python: as much of it as is data */
static void test_python(void)
{
    g_autoptr(Guest) g = parse(
        "#!/usr/bin/env python\n"
        "'''a comment\nof Python's'''\n"
        "import os, re\n"
        "base = \"/srv/\" # where all is\n"
        "guest = 'old' ; size = 0x80\n"
        "kernel = base + 'vmlinuz' \"-2.6\"\n"
        "memory = size + 128\n"
        "name = guest + \"\\x41\"\n"
        "arch = os.uname()[4]\n"
        "other = \"%s\" % arch\n"
        "disk = [ 'file:' + base + guest + '.img,xvda,w',\n"
        "         ( 'phy:vg/swap,xvdb,w' ),  # swap\n"
        "       ]\n"
        "disk += ['file:/c,xvdc,r',]\n"
        "vif = ['']\n"
        "cpus = None\n"
        "extra = 'a' \\\n  'b'\n"
        "root = \"\"\n");

    g_assert_cmpstr(g->kernel, ==, "/srv/vmlinuz-2.6");
    g_assert_cmpint(g->memory_mib, ==, 256);
    g_assert_cmpstr(g->name, ==, "oldA");
    g_assert_cmpint(g->disks->len, ==, 3);
    g_assert_cmpstr(((GuestDisk *)g->disks->pdata[0])->source, ==,
                    "/srv/old.img");
    g_assert_cmpint(((GuestDisk *)g->disks->pdata[1])->line, ==, 13);
    g_assert_cmpstr(g->cmdline, ==, "ab");
    /* What has become a part of others is not lost */
    assert_notes(g, "");
}

static void test_notes(void)
{
    g_autoptr(Guest) g = parse(
        K
        "maxmem = 128\n"
        "maxvcpus = 4\n"
        "vif = ['script=vif-route,bridge=b,rate=1Mb/s']\n"
        "pci = ['01:00.0']\n"
        "cpu_weight = 256\n"
        "vfb = ['type=vnc,vncdisplay=3,vncpasswd=secret,keymap=de']\n"
        "on_crash = 'rename-restart'\n"
        "cmdline = 'c'\n"
        "extra = 'e'\n"
        "serial = 'pty'\n");

    assert_line(g, "qemu -machine xenpv-kvm,vfb=on -nodefaults -name f "
                "-m 64,maxmem=128M -smp 1,maxcpus=4 "
                "-kernel /k -append c -netdev bridge,id=net0,br=b "
                "-device xen-net-device,netdev=net0 "
                "-object secret,id=vnc-password,file=f.vncpasswd "
                "-vnc 127.0.0.1:3,password-secret=vnc-password -k de "
                "-serial mon:stdio");
    assert_notes(g,
                 "f:5: note: vif: 'rate=1Mb/s' is not carried: limit it on "
                 "the host, by tc or libvirt's <bandwidth>\n"
                 "f:5: note: vif: the script 'vif-route' routes to the guest: "
                 "on the host, 'ip tuntap add TAP mode tap', 'ip route add "
                 "ADDRESS dev TAP' and 'sysctl net.ipv4.conf.TAP.proxy_arp=1'; "
                 "then name that TAP (-netdev tap,script=no,ifname=TAP)\n"
                 "f:6: note: 'pci' is not carried: a PV guest has no PCI "
                 "devices here: use the device on the host, or keep the guest "
                 "on Xen\n"
                 "f:7: note: 'cpu_weight' is not carried: libvirt's <cputune> "
                 "has <shares>\n"
                 "f:12: note: 'serial' is not carried: the guest has "
                 "Xen's console: console=hvc0\n"
                 "f:11: note: 'extra' does not count beside 'cmdline'\n"
                 "f:1: note: it does not say what the guest's name is: 'f' is "
                 "taken\n"
                 "f:8: note: the password is not printed: write it, without a "
                 "newline, into a file 'f.vncpasswd' in the directory that "
                 "QEMU is run in, which only its user can read\n"
                 "f:9: note: on_crash: QEMU by itself has no 'rename-restart'; "
                 "it ends");
}

static void test_bootloader(void)
{
    static const struct {
        const char *text;
        unsigned width;
    } loaders[] = {
        { "bootloader = '/usr/bin/pygrub'", 0 },
        { "bootloader = 'pvgrub'", 0 },
        { "kernel = '/usr/lib/xen/boot/pv-grub-x86_32.gz'", 32 },
        { "kernel = '/usr/lib/grub-xen/grub-x86_64-xen.bin'", 64 },
    };

    for (int i = 0; i < ARRAY_SIZE(loaders); i++) {
        g_autofree char *text =
            g_strdup_printf("%s\nmemory = '64'\ndisk = ['file:/d,xvda,w']\n",
                            loaders[i].text);
        g_autoptr(Guest) g = parse(text);

        g_assert_null(g->kernel);
        g_assert_cmpint(g->boot_width, ==, loaders[i].width);
    }
}

static void test_xml(void)
{
    g_autoptr(Guest) g = parse(
        "<?xml version='1.0'?>\n"
        "<domain type='xen' id='3'>\n"
        "  <name>rhel5</name>\n"
        "  <uuid>01234567-89ab-cdef-0123-456789abcdef</uuid>\n"
        "  <memory>1048576</memory>\n"
        "  <currentMemory unit='MiB'>512</currentMemory>\n"
        "  <vcpu cpuset='0-1'>2</vcpu>\n"
        "  <os>\n"
        "    <type arch='x86_64' machine='xenpv'>linux</type>\n"
        "    <kernel>/k</kernel>\n"
        "    <initrd>/i</initrd>\n"
        "    <cmdline>console=hvc0 &amp; ro</cmdline>\n"
        "  </os>\n"
        "  <on_crash>destroy</on_crash>\n"
        "  <devices>\n"
        "    <emulator>/usr/lib/xen/bin/qemu-dm</emulator>\n"
        "    <disk type='block' device='disk'>\n"
        "      <driver name='phy'/>\n"
        "      <source dev='/dev/vg/rhel5'/>\n"
        "      <target dev='xvda' bus='xen'/>\n"
        "    </disk>\n"
        "    <disk type='file' device='cdrom'>\n"
        "      <driver name='tap' type='aio'/>\n"
        "      <source file='/x.iso'/>\n"
        "      <target dev='xvdc'/>\n"
        "      <shareable/>\n"
        "    </disk>\n"
        "    <interface type='bridge'>\n"
        "      <mac address='00:16:3E:00:00:01'/>\n"
        "      <source bridge='xenbr0'/>\n"
        "      <script path='vif-bridge'/>\n"
        "      <target dev='vif3.0'/>\n"
        "    </interface>\n"
        "    <input type='mouse' bus='xen'/>\n"
        "    <graphics type='vnc' port='5901'/>\n"
        "    <hostdev mode='subsystem' type='pci'/>\n"
        "    <console type='pty'><target type='xen' port='0'/></console>\n"
        "  </devices>\n"
        "</domain>\n");

    assert_line(g, "qemu -machine xenpv-kvm,vfb=on -nodefaults -name rhel5 "
                "-uuid 01234567-89ab-cdef-0123-456789abcdef "
                "-m 512,maxmem=1024M -smp 2 "
                "-kernel /k -initrd /i -append 'console=hvc0 & ro' "
                "-drive if=none,id=disk0,file=/dev/vg/rhel5,format=raw "
                "-device xen-disk,drive=disk0,vdev=xvda "
                "-drive if=none,id=disk1,file=/x.iso,format=raw,readonly=on "
                "-device xen-cdrom,drive=disk1,vdev=xvdc,share-rw=on "
                "-netdev bridge,id=net0,br=xenbr0 "
                "-device xen-net-device,netdev=net0,mac=00:16:3e:00:00:01 "
                "-vnc 127.0.0.1:1 -serial mon:stdio");
    assert_notes(g,
                 "f:7: note: the cpuset of <vcpu> is not carried: bind "
                 "QEMU's threads, by taskset or libvirt's <cputune>\n"
                 "f:36: note: <hostdev> is not carried: a PV guest has "
                 "no devices of the host's here: use the device on the "
                 "host, or keep the guest on Xen");
}

static void test_xenner(void)
{
    g_autoptr(Guest) g = parse(
        "#!/bin/sh\n"
        "/usr/bin/xenner -m 512 -name 'pv fc10' -boot c \\\n"
        "   -kernel /k,1 -initrd /i -append \"root=/dev/xvda1 ro\" \\\n"
        "   -hda /a,b.img -hdb /dev/vg/b -network 54:52:00:4d:1b:ec,xenbr0 \\\n"
        "   -smp 2 -vnc :1\n");

    assert_line(g, "qemu -machine xenpv-kvm,vfb=on -nodefaults "
                "-name 'pv fc10' -m 512 -smp 2 -kernel /k,1 -initrd /i "
                "-append 'root=/dev/xvda1 ro' "
                "-drive if=none,id=disk0,file=/a,,b.img,format=raw "
                "-device xen-disk,drive=disk0,vdev=xvda "
                "-drive if=none,id=disk1,file=/dev/vg/b,format=raw "
                "-device xen-disk,drive=disk1,vdev=xvdb "
                "-netdev bridge,id=net0,br=xenbr0 "
                "-device xen-net-device,netdev=net0,mac=54:52:00:4d:1b:ec "
                "-vnc :1 -serial mon:stdio");
}

/* Mistakes: the one line that each gets */
static const struct {
    const char *name, *text, *error;
} bad[] = {
    { "empty", "", "f:1: there is nothing in it" },
    { "comments-only", "# a\n\n# b", "f:1: there is nothing in it" },
    { "not-utf8", "name = '\xff'\n", "f:1: this is no text in UTF-8" },
    { "open-string", "memory = 64\nname = 'x\nkernel = '/k'\n",
      "f:2: the string that begins here is not closed" },
    { "open-list", K "disk = [ 'file:/a,xvda,w',\n",
      "f:3: the '[' that is opened here is not closed" },
    { "no-comma", K "disk = [ 'file:/a,xvda,w'\n 7 ]\n",
      "f:4: a comma is missing in the list that begins in line 3" },
    { "no-equals", "kernel '/k'\n", "f:1: after 'kernel' there is no '='" },
    { "no-value", "memory =\n", "f:1: a value is missing" },
    { "garbage", "= 3\n", "f:1: '' is not the beginning of a setting" },
    { "deep", K "x = [[[[[[[[[[1]]]]]]]]]]\n",
      "f:3: brackets are nested too deeply" },
    { "python-if", K "if True:\n  memory = 3\n",
      "f:3: Python's 'if' is not run: write down what comes out of it" },
    { "python-call", "memory = 64\nkernel = os.popen('touch /tmp/x').read()\n",
      "f:2: kernel: 'os.popen('touch /tmp/x').read()' is Python that would "
      "have to be run: write down what comes out of it" },
    { "python-format", K "name = 'vm%f' % 7\n",
      "f:3: name: ''vm%f' % 7' is Python that would have to be run: write down "
      "what comes out of it" },
    { "no-memory", "kernel = '/k'\n",
      "f:1: it does not say how much memory the guest has" },
    { "memory-text", "kernel = '/k'\nmemory = 'lots'\n",
      "f:2: memory: 'lots' is not a number" },
    { "memory-list", "kernel = '/k'\nmemory = [64]\n",
      "f:2: memory: a number is needed here, not a list" },
    { "memory-negative", "kernel = '/k'\nmemory = -5\n",
      "f:2: memory: -5 is less than nothing" },
    { "memory-tiny", "kernel = '/k'\nmemory = 1\n",
      "f:2: memory: a guest can have from 16 MiB to 512 GiB, not 1 MiB" },
    { "memory-huge", "kernel = '/k'\nmemory = 99999999999999999999\n",
      "f:2: '99999999999999999999' is not a number that can be read" },
    { "maxvcpus-more", K "maxvcpus = 65\n",
      "f:3: maxvcpus: a guest can have at most 64, not 65" },
    { "maxmem-more", K "maxmem = 1000000000\n",
      "f:3: maxmem: a guest can have at most 512 GiB, not 1000000000 MiB" },
    { "maxmem-less", K "maxmem = 32\n",
      "f:3: maxmem: it is less than memory, 64 MiB" },
    { "vcpus", K "vcpus = 0\n",
      "f:3: vcpus: a guest can have from 1 to 64, not 0" },
    { "vcpus-many", K "vcpus = 65\n",
      "f:3: vcpus: a guest can have from 1 to 64, not 65" },
    { "nothing-to-boot", "memory = 64\n",
      "f:1: there is neither a kernel nor a disk to boot from" },
    { "hvm", K "builder = 'hvm'\n",
      "f:3: builder: 'hvm' is not a PV guest; an HVM or PVH guest needs no "
      "Xen: run it on QEMU's usual machines" },
    { "name", K "name = 'a/b'\n", "f:3: name: 'a/b' is not a name for a "
      "domain" },
    { "uuid", K "uuid = '12-34'\n", "f:3: uuid: '12-34' is not a UUID" },
    { "action", K "on_reboot = 'explode'\n",
      "f:3: on_reboot: 'explode' is not an action (destroy, restart, preserve, "
      "rename-restart, coredump-destroy, coredump-restart)" },
    { "bootloader", "memory = 64\nbootloader = 'lilo'\n",
      "f:2: bootloader: 'lilo' is not known here (pygrub, pvgrub and "
      "domUloader are): name a kernel on the host by kernel= and ramdisk= "
      "instead" },
    { "disk-kind", K "disk = ['iscsi:host,xvda,w']\n",
      "f:3: disk: 'iscsi:' is not a known kind of source: connect it on the "
      "host, and name the block device that it gives" },
    { "disk-target-twice", K "disk = ['/a, vdev=xvda, target=/b']\n",
      "f:3: disk: its target is named twice" },
    { "disk-vdev", K "disk = ['file:/a,vda,w']\n",
      "f:3: disk: 'vda' is not a name for a guest's disk (xvda, xvda1, hda, "
      "sda1, ...), nor Xen's number of one" },
    { "disk-vdev-number", K "disk = ['file:/a,1025,w']\n",
      "f:3: disk: '1025' is not a name for a guest's disk (xvda, xvda1, hda, "
      "sda1, ...), nor Xen's number of one" },
    { "disk-access", K "disk = ['file:/a,xvda,x']\n",
      "f:3: disk: 'x' is not a way of access (r, ro, w, rw, w!)" },
    { "disk-format", K "disk = ['format=zip,vdev=xvda,target=/a']\n",
      "f:3: disk: 'zip' is not a known image format" },
    { "disk-no-vdev", K "disk = [\n'file:/a']\n",
      "f:4: disk: it does not say what the guest calls this disk" },
    { "disk-twice", K "disk = ['file:/a,xvda,w',\n 'file:/b,xvda,w']\n",
      "f:4: disk: there are two disks xvda" },
    { "disk-no-source", K "disk = ['file:,xvda,w']\n",
      "f:3: disk: xvda has no source" },
    { "disk-number", K "disk = [7]\n",
      "f:3: disk: it does not say what the guest calls this disk" },
    { "vif-mac", K "vif = ['mac=54:52:00:4d:1b']\n",
      "f:3: mac: '54:52:00:4d:1b' is not an address of the form "
      "00:16:3e:xx:xx:xx" },
    { "vif-multicast", K "vif = ['mac=01:00:00:00:00:01']\n",
      "f:3: mac: '01:00:00:00:00:01' is a multicast address" },
    { "vif-word", K "vif = ['bridge']\n",
      "f:3: vif: 'bridge' is not of the form NAME=VALUE" },
    { "vfb-type", K "vfb = ['type=cga']\n",
      "f:3: vfb: 'cga' is not a type of display (vnc, sdl)" },
    { "newline", K "extra = 'a\\nb'\n", "f:3: extra: it has a newline in it" },
    { "xml-cut", "<domain type='xen'>\n<name>x</name>\n",
      "f:3: Document ended unexpectedly with elements still open - 'domain' "
      "was the last element opened" },
    { "xml-crossed", "<domain type='xen'>\n<a></b>\n</domain>\n",
      "f:2: Element 'b' was closed, but the currently open element is 'a'" },
    { "xml-other", "<network>\n</network>\n",
      "f:1: <network> is not a domain of libvirt's" },
    { "xml-nothing", "<?xml version='1.0'?>\n<!-- a guest -->\n",
      "f:1: there is no element in it" },
    { "xml-two", "<domain type='xen'>\n<name>x</name>\n</domain>\n"
      "<domain type='xen'/>\n", "f:4: <domain> comes after the end of <domain>" },
    { "xml-kvm", "\n<domain type='kvm'/>\n",
      "f:2: <domain>: its type is 'kvm', not 'xen'" },
    { "xml-hvm", "<domain type='xen'>\n<os>\n<type>hvm</type></os></domain>",
      "f:3: <type>: 'hvm' is not a PV guest; an HVM or PVH guest needs no Xen: "
      "run it on QEMU's usual machines" },
    { "xml-memory", "<domain type='xen'>\n<memory unit='X'>5</memory></domain>",
      "f:2: <memory>: 'X' is not a unit" },
    { "xml-memory-text", "<domain type='xen'>\n<memory>x</memory></domain>",
      "f:2: <memory>: 'x' is not a number" },
    { "xml-no-target", "<domain type='xen'><memory>65536</memory>\n<devices>\n"
      "<disk type='file'><source file='/a'/></disk></devices></domain>",
      "f:3: <disk>: it has no <target dev=...>" },
    { "xml-port", "<domain type='xen'><memory>65536</memory>\n<devices>\n"
      "<graphics type='vnc' port='80'/></devices></domain>",
      "f:3: <graphics>: '80' is not a port for VNC (5900 and up, or -1)" },
    { "xenner-option", "xenner -m 64 \\\n -frob\n",
      "f:2: -frob: xenner has no such option" },
    { "xenner-value", "xenner -kernel /k -m\n",
      "f:1: -m: its value is missing" },
    { "xenner-memory", "xenner -kernel /k \\\n -m much\n",
      "f:2: -m: 'much' is not a size of memory" },
    { "xenner-network", "xenner -kernel /k -network a,b,c\n",
      "f:1: -network: 'a,b,c' is not of the form MAC,BRIDGE" },
    { "xenner-vnc", "xenner -kernel /k -vnc 1\n",
      "f:1: -vnc: '1' is not of the form [HOST]:DISPLAY" },
    { "xenner-boot", "xenner -kernel /k \\\n -boot n\n",
      "f:2: -boot: 'n' is not 'c', the disk" },
    { "xenner-shell", "xenner -kernel `uname -r`\n",
      "f:1: '`' would have to be run by a shell; this is read, not run" },
    { "xenner-quote", "xenner -m 64 \\\n -append 'x\n",
      "f:2: a quote that is opened here is never closed" },
    { "xenner-two", "xenner -m 64 -kernel /k\nxenner -m 64\n",
      "f:2: there is more than the one xenner command" },
};

/* GLib's typographic punctuation is its own business */
static char *plain_quotes(const char *text)
{
    GString *out = g_string_new(NULL);

    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        g_string_append_unichar(out, c == 0x2014 ? '-' :
                                c >= 0x2018 && c <= 0x201d ? '\'' : c);
    }
    return g_string_free(out, false);
}

static void test_bad(gconstpointer opaque)
{
    int i = GPOINTER_TO_INT(opaque);
    Error *err = NULL;
    Guest *g = guest_parse("f", bad[i].text, strlen(bad[i].text), &err);

    g_assert_null(g);
    g_assert_nonnull(err);
    g_autofree char *plain = plain_quotes(error_get_pretty(err));

    g_assert_null(strchr(plain, '\n'));
    g_assert_cmpstr(plain, ==, bad[i].error);
    error_free(err);
}

static void test_byte_0(void)
{
    static const char text[] = "kernel = '/k'\nmem\0ory = 3\n";
    Error *err = NULL;

    g_assert_null(guest_parse("f", text, sizeof(text) - 1, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "f:2: this is no text: it has a byte 0");
    error_free(err);
}

/* Anything at all gets an error of one line, or a guest */
static void test_random(void)
{
    static const char *const seeds[] = {
        K "disk = [ 'tap:aio:/a,xvda,w' ]\nvif=['mac=00:16:3e:00:00:01']\n"
        "vfb = ['type=vnc,vncdisplay=1']\nextra = 'a' + \"b\"\n",
        "<domain type='xen'><memory>65536</memory><os><kernel>/k</kernel></os>"
        "<devices><disk type='file'><source file='/a'/><target dev='xvda'/>"
        "</disk></devices></domain>\n",
        "xenner -m 64 -kernel '/k' -append \"a b\" -hda /a \\\n -vnc :1\n",
    };
    static const char odd[] = "[]()'\"=+,#\\<>/&;%-0\n \xc3";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20081125);

    for (int i = 0; i < 20000; i++) {
        const char *seed = seeds[i % ARRAY_SIZE(seeds)];
        size_t len = strlen(seed);
        g_autofree char *text = g_strdup(seed);
        Error *err = NULL;
        Guest *g;

        for (int j = g_rand_int_range(rand, 1, 6); j; j--) {
            text[g_rand_int_range(rand, 0, len)] =
                odd[g_rand_int_range(rand, 0, sizeof(odd) - 1)];
        }
        g = guest_parse("f", text, len, &err);
        g_assert_cmpint(!g, ==, !!err);
        if (g) {
            g_autofree char *line = guest_to_qemu_line(g, "q");
            g_autofree char *xml = guest_to_libvirt(g, "q", "kvm");

            guest_free(g);
        } else {
            g_assert_true(g_str_has_prefix(error_get_pretty(err), "f:"));
            g_assert_null(strchr(error_get_pretty(err), '\n'));
            error_free(err);
        }
    }
}

/* --- What --check finds ---------------------------------------------------- */

static void fake_finding(GuestFiles *f, const char *path, int line,
                         const char *reason)
{
    Fake *fake = container_of(f, Fake, f);

    /* The first words tell which one it is */
    g_string_append_printf(fake->out, "%s:%d: %.24s\n", path ?: "", line,
                           reason);
}

static void fake_fact(GuestFiles *f, const char *text)
{
}

static char *check(const char *const *files)
{
    Fake fake = {
        .f = { fake_read, fake_list, fake_finding, fake_fact },
        .files = files, .out = g_string_new(NULL),
    };

    rules_check(&fake.f, true);
    return g_string_free(fake.out, false);
}

static void test_rules_fstab(void)
{
    static const char *const files[] = {
        "/etc/fstab",
        "# <device> <where>\n"
        "/dev/vda1 / ext4 defaults 0 1\n"
        "/dev/xvda2 /home ext4 defaults 0 1\n"
        "UUID=1-2 /srv ext4 defaults 0 1\n"
        "  /dev/sda3 none swap sw 0 0\n"
        "/dev/hdc /cdrom iso9660 ro 0 0\n"
        "/dev/mapper/vg-x /x ext4 defaults 0 0\n"
        "proc /proc proc defaults 0 0\n",
        NULL,
    };
    g_autofree char *out = check(files);

    g_assert_cmpstr(out, ==,
                    ":0: there is no boot/grub/gr\n"
                    "/etc/fstab:2: what is mounted on / is \n"
                    "/etc/fstab:5: the swap space is /dev/s\n"
                    "/etc/fstab:6: what is mounted on /cdro\n");
}

static void test_rules_getty(void)
{
    static const char *const wrong[] = {
        "/boot/grub/menu.lst", "default 0\n",
        "/etc/inittab",
        "id:3:initdefault:\n1:2345:respawn:/sbin/mingetty tty1\n"
        "#co:2345:respawn:/sbin/agetty hvc0\n", NULL,
    };
    static const char *const right[] = {
        "/boot/grub/menu.lst", "default 0\n",
        "/etc/inittab",
        "1:2345:respawn:/sbin/mingetty tty1\n"
        "co:2345:respawn:/sbin/agetty xvc0 9600 vt100-nav\n", NULL,
    };
    static const char *const systemd[] = {
        "/boot/grub/grub.cfg",
        "menuentry 'Debian' {\n linux /vmlinuz-6.1 root=/dev/vda1 ro console=tty0\n}\n"
        "menuentry 'old' {\n linux /vmlinuz-5 root=/dev/vda1\n}\n",
        "/lib/systemd/systemd", "", NULL,
    };
    static const char *const upstart[] = {
        "/boot/grub/menu.lst", "default 0\n",
        "/etc/init/hvc0.conf", "exec getty hvc0\n",
        "/etc/inittab", "1:2345:respawn:/sbin/mingetty tty1\n", NULL,
    };
    g_autofree char *a = check(wrong), *b = check(right), *c = check(systemd);
    g_autofree char *d = check(upstart);

    g_assert_cmpstr(a, ==, "/boot/grub/menu.lst:0: no entry of it names a k\n"
                    "/etc/inittab:2: there is no login on hvc\n");
    g_assert_cmpstr(b, ==, "/boot/grub/menu.lst:0: no entry of it names a k\n");
    g_assert_cmpstr(c, ==, "/boot/grub/grub.cfg:2: root= is /dev/vda1, whic\n"
                    "/boot/grub/grub.cfg:2: its first entry's kernel\n"
                    "/boot/grub/grub.cfg:2: its first entry has no c\n");
    g_assert_cmpstr(d, ==, "/boot/grub/menu.lst:0: no entry of it names a k\n");
}

/* An archive with one empty file of that name */
static GString *cpio(const char *name)
{
    GString *s = g_string_new(NULL);

    for (int i = 0; i < 2; i++) {
        const char *n = i ? "TRAILER!!!" : name;

        g_string_append_printf(s, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x"
                               "%08x%08x%08x%08x%s", i + 1, 0100644, 0, 0, 1, 0,
                               0, 0, 0, 0, 0, (int)strlen(n) + 1, 0, n);
        g_string_append_c(s, 0);
        while (s->len % 4) {
            g_string_append_c(s, 0);
        }
    }
    return s;
}

/* As "lz4 -l" packs it: a magic, and blocks with their lengths */
static GString *lz4_legacy(const GString *plain)
{
    g_autofree char *packed = g_malloc(LZ4_compressBound(plain->len));
    uint32_t len = LZ4_compress_default(plain->str, packed, plain->len,
                                        LZ4_compressBound(plain->len));
    uint32_t head[] = { cpu_to_le32(0x184c2102), cpu_to_le32(len) };
    GString *s = g_string_new_len((char *)head, sizeof(head));

    return g_string_append_len(s, packed, len);
}

static void test_rules_initrd(void)
{
    static const char *const names[] = { "xen-blkfront.ko", NULL };
    g_autoptr(GString) with = cpio("lib/modules/6/xen-blkfront.ko.xz");
    g_autoptr(GString) without = cpio("lib/modules/6/virtio_blk.ko");
    g_autoptr(GString) joined = g_string_new_len(without->str, without->len);
    g_autoptr(GString) lz4 = NULL;
    bool readable;

    g_assert_true(rules_initrd_has(with->str, with->len, names, &readable));
    g_assert_true(readable);
    g_assert_false(rules_initrd_has(without->str, without->len, names,
                                    &readable));
    g_assert_true(readable);
    /* Microcode first, with padding, the rest then */
    g_string_append_len(joined, "\0\0\0\0\0\0\0\0", 8);
    g_string_append_len(joined, with->str, with->len);
    g_assert_true(rules_initrd_has(joined->str, joined->len, names, &readable));
    lz4 = lz4_legacy(with);
    for (int padding = 0; padding < 16; padding += 5) {
        g_assert_true(rules_initrd_has(lz4->str, lz4->len, names, &readable));
        g_assert_true(readable);
        g_string_append_len(lz4, "\0\0\0\0\0", 5);
    }
    g_assert_false(rules_initrd_has("junk that is none", 17, names, &readable));
    g_assert_false(readable);
    /* Cut anywhere: no reads beyond the end */
    for (size_t len = 0; len < joined->len; len++) {
        g_autofree char *cut = g_memdup2(joined->str, len);

        rules_initrd_has(cut, len, names, &readable);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/guest/xm-fedora10", test_xm_fedora10);
    g_test_add_func("/xenpv/guest/byte-order-mark", test_byte_order_mark);
    g_test_add_func("/xenpv/guest/libvirt-xml", test_libvirt_xml);
    g_test_add_func("/xenpv/guest/disk-syntaxes", test_disk_syntaxes);
    g_test_add_func("/xenpv/guest/python", test_python);
    g_test_add_func("/xenpv/guest/notes", test_notes);
    g_test_add_func("/xenpv/guest/bootloader", test_bootloader);
    g_test_add_func("/xenpv/guest/xml", test_xml);
    g_test_add_func("/xenpv/guest/xenner", test_xenner);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *path = g_strdup_printf("/xenpv/guest/bad/%s",
                                                bad[i].name);

        g_test_add_data_func(path, GINT_TO_POINTER(i), test_bad);
    }
    g_test_add_func("/xenpv/guest/bad/byte-0", test_byte_0);
    g_test_add_func("/xenpv/guest/random", test_random);
    g_test_add_func("/xenpv/guest/xl-doubling", test_xl_doubling);
    g_test_add_func("/xenpv/guest/text", test_text);
    g_test_add_func("/xenpv/guest/terminal", test_terminal);
    g_test_add_func("/xenpv/guest/injection", test_injection);
    g_test_add_func("/xenpv/guest/many-notes", test_many_notes);
    g_test_add_func("/xenpv/rules/fstab", test_rules_fstab);
    g_test_add_func("/xenpv/rules/getty", test_rules_getty);
    g_test_add_func("/xenpv/rules/initrd", test_rules_initrd);
    return g_test_run();
}
