/*
 * Unit test of what xenpv-convert makes of each setting
 *
 * Sources needed beside this file: tools/xenpv/guest.c,
 * tools/xenpv/guest-read.c, tools/xenpv/net-disk.c,
 * tools/xenpv/xl-language.c, tools/xenpv/xl-devices.c, tools/xenpv/parse-xl.c,
 * tools/xenpv/parse-xml.c, tools/xenpv/xml-tree.c,
 * tools/xenpv/parse-listing.c,
 * tools/xenpv/parse-xenner.c,
 * tools/xenpv/emit-qemu.c, tools/xenpv/emit-libvirt.c and
 * hw/xenpv/xenpv-text.c.
 *
 * The rule is that each documented word is carried, or named with its line and
 * with what to do instead. If one of these fails, a guest that moves off Xen
 * boots another kernel, has its disk shared without protection, is in another
 * network, shows its password to all users of the host, or has lost a setting
 * without a word.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../../tools/xenpv/guest.h"

#define K "name = 'n'\nkernel = '/k'\nmemory = 64\n"
#define D "name = 'n'\nmemory = 64\ndisk = ['/d,raw,xvda,rw']\n"
#define X(os, devices) \
    "<domain type='xen'><name>n</name><memory>65536</memory>" os \
    "<devices><disk type='file'><source file='/d'/><target dev='xvda'/>" \
    "</disk>" devices "</devices></domain>"

/* A configuration, and what must be in the outputs and notes, or must not be */
typedef struct Case {
    const char *text;
    const char *qemu, *libvirt, *note;
    const char *not;        /* in neither of the outputs */
} Case;

static void assert_has(const char *text, const char *part)
{
    if (part && !strstr(text, part)) {
        g_test_message("'%s' is not in: %s", part, text);
        g_test_fail();
    }
}

static void run(const Case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        const Case *c = &cases[i];
        Error *err = NULL;
        g_autoptr(Guest) g = guest_parse("f", c->text, strlen(c->text), &err);
        g_autofree char *qemu = NULL, *libvirt = NULL, *notes = NULL;

        g_test_message("%s", c->text);
        if (!g) {
            g_test_message("%s", error_get_pretty(err));
            error_free(err);
            g_test_fail();
            continue;
        }
        qemu = guest_to_qemu_line(g, "qemu");
        libvirt = guest_to_libvirt(g, "qemu", "kvm");
        g_ptr_array_add(g->notes, NULL);
        notes = g_strjoinv("\n", (char **)g->notes->pdata);
        g_ptr_array_remove_index(g->notes, g->notes->len - 1);
        assert_has(qemu, c->qemu);
        assert_has(libvirt, c->libvirt);
        assert_has(notes, c->note);
        if (c->note && !c->note[0]) {
            g_assert_cmpstr(notes, ==, "");
        }
        if (c->not) {
            g_assert_null(strstr(qemu, c->not));
            g_assert_null(strstr(libvirt, c->not));
        }
    }
}

static void refused(const char *text, const char *error)
{
    Error *err = NULL;
    Guest *g = guest_parse("f", text, strlen(text), &err);

    g_assert_null(g);
    g_assert_cmpstr(error_get_pretty(err), ==, error);
    error_free(err);
}

/*
 * Xen's boot loaders chose a kernel of the guest's: here PV GRUB does, and the
 * settings that told them which one are named
 */
static void test_boot(void)
{
    static const Case cases[] = {
        /* virsh dumpxml of a guest that runs */
        { X("<bootloader>/usr/bin/pygrub</bootloader><os><type>linux</type>"
            "<kernel>/var/lib/xen/boot_kernel.a1b2</kernel>"
            "<initrd>/var/lib/xen/boot_ramdisk.c3d4</initrd>"
            "<cmdline>ro quiet</cmdline></os>", ""),
          .note = "f:1: note: <kernel>, '/var/lib/xen/boot_kernel.a1b2', is a "
          "copy", .not = "/var/lib/xen" },
        { X("<bootloader/><os><type>linux</type></os>", ""),
          .qemu = "-machine xenpv-kvm \\\n    -nodefaults" },
        { X("<os><type>linux</type>"
            "<kernel>/var/run/xend/boot/boot_kernel.x</kernel></os>", ""),
          .note = "PV GRUB boots that kernel from the disk", .not = "-kernel" },
        { X("<bootloader>pygrub</bootloader><os><type arch='i686'>linux</type>"
            "</os>", ""), .qemu = "boot-width=32" },
        { X("<bootloader>pygrub</bootloader><os><type arch='x86_64'>linux"
            "</type></os>", ""), .not = "boot-width" },
        { D "bootloader = '/usr/lib/xen/boot/domUloader.py'\n"
          "bootargs = '--entry=xvda2:/boot/vmlinuz-xen,/boot/initrd-xen'\n",
          .note = "f:5: note: domUloader took /boot/vmlinuz-xen and "
          "/boot/initrd-xen from xvda2: PV GRUB boots" },
        { D "bootloader = 'domUloader.py'\nbootentry = 'hda1:/vmlinuz'\n",
          .note = "f:5: note: domUloader took /vmlinuz from hda1" },
        { D "bootloader = 'pygrub'\nkernel = '/boot/v'\nramdisk = '/boot/i'\n"
          "extra = 'single'\n",
          .note = "f:5: note: 'kernel' does not count beside 'bootloader': PV "
          "GRUB boots the default entry of the guest's menu; make that boot "
          "'/boot/v'\nf:6: note: 'ramdisk' does not count",
          .not = "/boot/v" },
        { D "bootloader = 'pygrub'\nextra = 'single'\n",
          .note = "f:5: note: the command line 'single' is not carried: add "
          "what is missing there to the entry in the guest's menu" },
        { D "bootloader = 'pygrub'\n"
          "bootloader_args = [ '-q',\n '--entry=2' ]\n",
          .note = "f:6: note: entry '2' of the guest's menu is not chosen" },
        { D "firmware = 'pvgrub32'\n", .qemu = "boot-width=32", .note = "" },
        { D "firmware = 'pvgrub64'\n", .qemu = "boot-width=64", .note = "" },
        { D "bootloader = 'pygrub'\nfirmware = 'pvgrub64'\n",
          .note = "f:5: note: 'firmware' does not count beside 'bootloader'",
          .not = "boot-width" },
        { D "bootloader = 'pygrub'\nextra = ' '\n", .note = "" },
        { K "firmware = 'bios'\n", .qemu = "-kernel /k",
          .note = "f:4: note: 'firmware=bios'" },
        { D "kernel = '/usr/lib/xen/boot/pv-grub-x86_64.gz'\n"
          "extra = '(hd1,0)/boot/grub/menu.lst'\n", .qemu = "boot-width=64",
          .note = "f:5: note: '(hd1,0)/boot/grub/menu.lst' is pv-grub's menu",
          .not = "menu.lst" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(X("<os><type arch='armv7l'>linux</type></os>", ""),
            "f:1: arch: a guest for 'armv7l' cannot be had here, only those "
            "for i686 and x86_64");
}

/* libvirt refuses a relative path, and QEMU takes it from where it is run */
static void test_relative(void)
{
    g_autofree char *kernel = g_canonicalize_filename("mini-os.gz", NULL);
    g_autofree char *disk = g_canonicalize_filename("../d.img", NULL);
    g_autofree char *xml = g_strdup_printf("<kernel>%s</kernel>", kernel);
    g_autofree char *opt = g_strdup_printf("file=%s,", disk);
    g_autofree char *note = g_strdup_printf(
        "f:2: note: kernel: 'mini-os.gz' is taken from the directory that "
        "this is run in, as xl does: it is '%s'\n"
        "f:2: note: ramdisk: 'i' is taken", kernel);
    const Case cases[] = {
        { "name = 'n'\nkernel = 'mini-os.gz'\nramdisk = 'i'\nmemory = 64\n"
          "disk = [ 'file:../d.img,xvda,w' ]\n", .qemu = opt, .libvirt = xml,
          .note = note },
        /* The guest may look for its disk by that word */
        { "name = 'n'\nkernel = '/k'\nmemory = 64\ndisk = [ 'format=raw, "
          "vdev=xvdb, access=rw, target=fat1.img' ]\n",
          .qemu = ",vdev=xvdb,params=fat1.img",
          .libvirt = "<serial>fat1.img</serial>" },
        { "name = 'n'\nkernel = '/k'\nmemory = 64\ndisk = [ 'format=raw, "
          "vdev=xvdb, access=rw, target=a/b,c.img' ]\n",
          .qemu = ",vdev=xvdb,params=a/b,,c.img", .not = "<serial>" },
        { X("<os><type>linux</type><kernel>mini-os.gz</kernel></os>", ""),
          .qemu = kernel, .libvirt = xml, .note = "it is '" },
        { "xenner -name n -m 64 -kernel mini-os.gz\n", .libvirt = xml },
        { "#!/bin/sh\nexec /usr/bin/xenner -name n -m 64 \\\n"
          "  -kernel mini-os.gz\n", .libvirt = xml },
    };

    run(cases, ARRAY_SIZE(cases));
}

/* What xl makes a framebuffer of, and no password where "ps" shows it */
static void test_display(void)
{
    static const Case cases[] = {
        { K "vnc = 1\n", .qemu = "vfb=on", .libvirt = "<graphics type='vnc' "
          "port='-1' autoport='yes'/>", .note = "" },
        { K "vnc = '1'\nvnclisten = '0.0.0.0'\nvncdisplay = 7\nkeymap = 'de'\n",
          .qemu = "-vnc 0.0.0.0:7 \\\n    -k de", .libvirt = "port='5907'" },
        { K "vnc = 1\nvncdisplay = 7\nvncunused = 0\n", .qemu = ":7" },
        { K "vnc = 1\nvncpasswd = 'hush'\n", .libvirt = "passwd='hush'",
          .qemu = "-object secret,id=vnc-password,file=n.vncpasswd \\\n"
          "    -vnc 127.0.0.1:0,to=99,password-secret=vnc-password",
          .note = "f:4: note: the password is not printed: write it" },
        { K "sdl = 1\n", .qemu = "-display sdl" },
        /* There is one that nobody is to see */
        { K "vfb = ['vnc=0']\n", .qemu = "vfb=on", .not = "vnc" },
        { K "vfb = ['vnc=0,sdl=1']\n", .qemu = "-display sdl" },
        { K "vfb = ['vnclisten=[::]:3']\n", .qemu = "-vnc '[::]:3' ",
          .libvirt = "port='5903' autoport='no'>\n"
          "      <listen type='address' address='::'/>" },
        { K "vfb = ['vnclisten=::1,vncdisplay=2']\n",
          .qemu = "-vnc '[::1]:2' ", .libvirt = "address='::1'/>" },
        { K "vnc = 0\nvncunused = 1\nvncpasswd = ''\n",
          .qemu = "-display none",
          .note = "f:5: note: 'vncunused' is of no effect without vnc=1" },
        { K "vnc = 1\nvfb = ['vncdisplay=3']\nvncpasswd = 'hush'\n",
          .qemu = "127.0.0.1:3", .not = "hush",
          .note = "f:4: note: 'vnc' does not count beside 'vfb'\n"
          "f:6: note: 'vncpasswd' does not count beside 'vfb'" },
    };
    g_autoptr(Guest) g = NULL;
    g_autofree char *line = NULL;
    static const char text[] = K "vfb = ['vncpasswd=hush']\n";

    run(cases, ARRAY_SIZE(cases));
    g = guest_parse("f", text, strlen(text), &error_abort);
    line = guest_to_qemu_line(g, "qemu");
    g_assert_null(strstr(line, "hush"));
    /* To QEMU that is a socket's name, and to libvirt a host */
    refused(K "vnc = 1\nvnclisten = 'unix'\n", "f:4: address to listen on: "
            "'unix' is none");
}

/* Other guests write to a disk at the same time: only where that is said */
static void test_shared(void)
{
    static const Case cases[] = {
        { K "disk = ['phy:vg/a,xvda,w!']\n", .qemu = "vdev=xvda,share-rw=on",
          .libvirt = "<shareable/>", .note = "" },
        { K "disk = ['phy:vg/a,xvda,w']\n", .not = "share" },
        { "<domain type='xen'><name>n</name><memory>65536</memory><os>"
          "<kernel>/k</kernel></os><devices><disk type='block'>"
          "<source dev='/d'/><target dev='xvda'/><shareable/></disk></devices>"
          "</domain>", .qemu = "share-rw=on", .libvirt = "<shareable/>",
          .note = "" },
    };

    run(cases, ARRAY_SIZE(cases));
}

static void test_disk_words(void)
{
    static const Case cases[] = {
        { K "disk = ['/dev/vg/r,,xvda,,']\n",
          .qemu = "file=/dev/vg/r,format=raw \\\n", .note = "" },
        { K "disk = ['/a=b,qcow2,xvda,,no-discard,direct-io-safe,"
          "backendtype=tap']\n", .qemu = "file=/a=b,format=qcow2 \\\n",
          .note = "" },
        { K "disk = ['backendtype=phy,vdev=xvdb,target=/dev/a']\n",
          .qemu = "vdev=xvdb", .note = "" },
        /* A drive without a medium, in each of xl's ways */
        { K "disk = [',empty,hdc,r,cdrom']\n",
          .qemu = "-device xen-cdrom,vdev=hdc", .not = "<disk" },
        { K "disk = ['format=empty,vdev=hdc,devtype=cdrom']\n",
          .qemu = "-device xen-cdrom,vdev=hdc", .not = "<disk" },
        { K "disk = ['phy:vg/a,/dev/xvda,w']\n", .qemu = "vdev=xvda \\" },
        { K "disk = ['/d,raw,xvda,rw,backend=Domain-0']\nvif = ['bridge=b,"
          "backend=0']\n", .qemu = "file=/d", .note = "" },
        { K "disk = ['/d,raw,xvda,rw,script=block-x,backend=dom2,odd=1']\n",
          .qemu = "file=/d",
          .note = "f:4: note: disk: 'backend=dom2' is not carried: there are "
          "no driver domains; the disk must be the host's\n"
          "f:4: note: disk: 'odd=1' is not carried: Xen's documents do not "
          "have that word\n"
          "f:4: note: disk: the script 'block-x' is not run" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(K "disk = ['script=block-iscsi,vdev=xvda,target=iqn=x']\n",
            "f:4: disk: the script 'block-iscsi' connects 'iqn=x' under Xen: "
            "do so on the host, and name the block device that it gives");
    refused(K "disk = ['script=block-iscsi,vdev=xvda,target=iqn=x:y,portal=p']"
            "\n", "f:4: disk: the script 'block-iscsi' connects 'iqn=x:y,"
            "portal=p' under Xen: do so on the host, and name the block device "
            "that it gives");
    refused(K "disk = ['/d,zip,xvda,rw']\n",
            "f:4: disk: 'zip' is not a known image format");
    refused(K "disk = ['/d,xvdx9x,w']\n", "f:4: disk: 'xvdx9x' is not a name "
            "for a guest's disk (xvda, xvda1, hda, sda1, ...), nor Xen's "
            "number of one");
    refused(K "disk = ['/d,empty,hdc,r,cdrom']\n",
            "f:4: disk: its format is 'empty', but it has a target");
}

/* A guest in another network than before, or with others' VLANs */
static void test_vif_words(void)
{
    static const Case cases[] = {
        { K "vif = ['bridge=ovsbr0:42:43,vifname=t']\n",
          .qemu = "tap,id=net0,ifname=t,script=no,downscript=no",
          .libvirt = "      <virtualport type='openvswitch'/>\n"
          "      <vlan trunk='yes'>\n        <tag id='42'/>\n"
          "        <tag id='43'/>\n      </vlan>\n",
          .note = "'ovs-vsctl add-port ovsbr0 t trunks=42,43'" },
        { K "vif = ['bridge=ovsbr0.42,script=vif-openvswitch']\n",
          .libvirt = "<vlan>\n        <tag id='42'/>",
          .note = "'ovs-vsctl add-port ovsbr0 tap0 tag=42'" },
        { K "vif = ['bridge=br0.42']\n", .qemu = "br=br0.42", .note = "" },
        { K "vif = ['bridge=b,script=vif-bridge']\n", .qemu = "br=b",
          .note = "" },
        { K "vif = ['ip=10.0.0.5,script=/etc/xen/scripts/vif-route']\n",
          .note = "'ip route add 10.0.0.5 dev TAP'" },
        { K "vif = ['ip=1;id,script=vif-route']\n",
          .note = "'ip route add ADDRESS dev TAP'" },
        { K "vif = ['bridge=b,script=vif-nat']\n", .note = "user networking" },
        { K "vif = ['ip=10.0.0.5 10.0.0.6,script=vif-route,vifname=t']\n",
          .note = "f:4: note: vif: 'ip=10.0.0.5 10.0.0.6' is not carried: the "
          "script 'vif-route' routed what it names to the guest\n" },
        { K "vif = ['vifname=t']\n", .note = "f:4: note: no bridge is named: "
          "user networking takes its place\n"
          "f:4: note: the name 't' of the host's end is not carried\n"
          "f:4: note: no bridge" },
        { K "vif = ['bridge=b,mtu=9000,devid=1,odd=1,type=vif']\n",
          .note = "f:4: note: vif: 'mtu=9000' is not carried: set it in the "
          "guest and on the host's end\n"
          "f:4: note: vif: 'devid=1' is not carried: interfaces are in the "
          "order of the list\n"
          "f:4: note: vif: 'odd=1' is not carried: Xen's documents do not have "
          "that word" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(K "vif = ['bridge=ovsbr0:4095']\n",
            "f:4: vif: '4095' is not the number of a VLAN");
    refused(K "vif = ['bridge=.5:7']\n",
            "f:4: vif: '.5:7' is not the name of a bridge");
    /* Commands that are told to be run have nothing of a stranger's in them */
    refused(K "vif = ['bridge=b:1,vifname=a$(id)']\n",
            "f:4: vif: 'a$(id)' is not a name for Open vSwitch");
}

/* The kernel's command line, as xm put it together */
static void test_network_boot(void)
{
    static const Case cases[] = {
        { K "ip = '10.0.0.5'\nnetmask = '255.0.0.0'\ngateway = '10.0.0.1'\n"
          "hostname = 'h'\nroot = '/dev/xvda1'\nextra = 'ro'\n",
          .qemu = "'ip=10.0.0.5:127.0.255.255:10.0.0.1:255.0.0.0:h:eth0:off "
          "root=/dev/xvda1 ro'", .note = "" },
        { K "dhcp = 'dhcp'\nnfs_server = '10.0.0.2'\nnfs_root = '/srv/n'\n"
          "root = '/dev/nfs'\nextra = 'ro'\n",
          .qemu = "'ip=:10.0.0.2::::eth0:dhcp root=/dev/nfs "
          "nfsroot=10.0.0.2:/srv/n ro'", .note = "" },
        { K "ip = ':::::eth0:dhcp'\n", .qemu = "-append ip=:::::eth0:dhcp" },
        { K "hostname = 'h'\n",
          .note = "f:4: note: 'hostname' is of no effect without ip= or "
          "dhcp=" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(K "nfs_root = '/r'\n", "f:4: nfs_root: there is no nfs_server");
}

/* Lists that grow by a method, and comments of old editors */
static void test_language(void)
{
    static const Case cases[] = {
        { K "disk = []\ndisk.append('file:/a,xvda,w')\n"
          "disk.extend([ 'file:/b,xvdb,w' ])\n", .qemu = "file=/b",
          .libvirt = "file='/a'", .note = "" },
        { "# B\xfcro's\nname = 'a#b' # \xe4\n" "kernel = '/k'\nmemory = 64\n",
          .qemu = "-name 'a#b'", .note = "" },
        { "name = 'process=a'\nkernel = '/k'\nmemory = 64\n",
          .qemu = "-name guest=process=a", .note = "" },
        { "name = u'n'\nkernel = r'/k\\n'\nmemory = 64\n"
          "extra = 'a' + u\"b\" + R'c\\'d'\n", .qemu = "-name n ",
          .libvirt = "<kernel>/k\\n</kernel>\n"
          "    <cmdline>abc\\&apos;d</cmdline>", .note = "" },
        /* To xl a number is text, and CPU 0 one as good as others */
        { "name = 10\nkernel = '/k'\nmemory = 64\nextra = 03\n",
          .qemu = "-name 10 ", .libvirt = "<cmdline>03</cmdline>", .note = "" },
        { K "cpu = 0\ncpus = 0\n", .note = "f:4: note: 'cpu' is not carried: "
          "bind QEMU's threads, by taskset or libvirt's <cputune>\n"
          "f:5: note: 'cpus' is not carried" },
        { K "maxvcpus = 2\nvcpus = 4\n", .qemu = "-smp 4 ",
          .note = "f:4: note: maxvcpus: it is less than the 4 that the guest "
          "has, which are kept" },
        { "import os; base = '/srv/'\nname = 'n'\nkernel = base + 'k'\n"
          "memory = 64\nspare = 1\n", .qemu = "-kernel /srv/k",
          .note = "f:5: note: 'spare' is not carried" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(K "disk = []\ndisk.sort()\n", "f:5: Python's 'disk.sort' is not "
            "run: write down what comes out of it");
    refused("name = '#\xfc'\n", "f:1: this is no text in UTF-8");
    refused(K "assert memory > 3\n", "f:4: Python's 'assert' is not run: "
            "write down what comes out of it");
    refused("execfile('/etc/xen/all')\n" K, "f:1: Python's 'execfile' is not "
            "run: write down what comes out of it");
}

/* QEMU gets these over a network by itself, as under Xen */
static void test_network_disks(void)
{
    static const Case cases[] = {
        { K "disk = ['vdev=xvda,target=rbd:pool/img:id=adm:"
          "mon_host=10.0.0.1\\\\:6789\\\\;h2']\n",
          .qemu = "'if=none,id=disk0,file=rbd:pool/img:id=adm:"
          "mon_host=10.0.0.1\\:6789\\;h2,format=raw'",
          .libvirt = "<source protocol='rbd' name='pool/img'>\n"
          "        <host name='10.0.0.1' port='6789'/>\n"
          "        <host name='h2'/>\n      </source>",
          .note = "f:4: note: Ceph's user 'adm' of xvda has a key" },
        { K "disk = ['nbd:h:10809:exportname=e,raw,xvda,r']\n",
          .qemu = "file=nbd:h:10809:exportname=e,format=raw,readonly=on",
          .libvirt = "    <disk type='network' device='disk'>\n"
          "      <driver name='qemu' type='raw'/>\n"
          "      <source protocol='nbd' name='e'>\n"
          "        <host name='h' port='10809'/>\n", .note = "" },
        { K "disk = ['vdev=xvda,target=nbd:[::1]:10809']\n",
          .libvirt = "<host name='::1' port='10809'/>", .note = "" },
        { K "disk = ['vdev=xvda,target=nbd://h/a%20b','nbd+unix:///e?"
          "socket=/run/s,raw,xvdb,r']\n",
          .qemu = "'if=none,id=disk0,file=nbd:h:10809:exportname=a b,format",
          .libvirt = "<host transport='unix' socket='/run/s'/>", .note = "" },
        { K "disk = ['vdev=xvda,target=nbd://[::1]:5']\n",
          .libvirt = "<host name='::1' port='5'/>" },
        { K "disk = ['vdev=xvda,target=nbd:unix:/run/s']\n",
          .libvirt = "<host transport='unix' socket='/run/s'/>" },
        { X("<os><kernel>/k</kernel></os>", "<disk type='network'>"
            "<source protocol='rbd' name='p/i'><host name='::1' port='6789'/>"
            "<host name='h2'/></source><auth username='u'/>"
            "<target dev='xvdb'/></disk>"),
          .qemu = "file=rbd:p/i:id=u:mon_host=[\\:\\:1]\\:6789\\;h2,",
          .libvirt = "<host name='::1' port='6789'/>" },
        { X("<os><kernel>/k</kernel></os>", "<disk type='network'>"
            "<source protocol='nbd'><host name='h' port='1'/></source>"
            "<target dev='xvdb'/></disk>"), .qemu = "file=nbd:h:1,format=raw" },
    };
    g_autoptr(GString) hosts = g_string_new(NULL);
    g_autofree char *xml = NULL;

    run(cases, ARRAY_SIZE(cases));
    refused(K "disk = ['nbd:h,raw,xvda,r']\n", "f:4: disk: 'nbd:h': it is not "
            "of the form nbd:HOST:PORT or nbd:unix:/SOCKET, with "
            ":exportname=NAME behind it or not");
    refused(K "disk = ['nbd://u@h/e,raw,xvda,r']\n", "f:4: disk: "
            "'nbd://u@h/e': it is not of the form nbd://HOST:PORT/EXPORT or "
            "nbd+unix:///EXPORT?socket=/PATH");
    refused(K "disk = ['rbd:p/i:key=x,raw,xvda,r']\n", "f:4: disk: "
            "'rbd:p/i:key=x': of what may follow the image only id, mon_host, "
            "conf and auth_supported are known");
    refused(X("<os><kernel>/k</kernel></os>", "<disk type='network'><source "
              "protocol='iscsi'/><target dev='xvdb'/></disk>"),
            "f:1: <disk>: 'iscsi' is not a protocol that is known here (rbd, "
            "nbd): connect it on the host, and name the block device that it "
            "gives");
    for (int i = 0; i < 17; i++) {
        g_string_append(hosts, "<host name='h'/>\n");
    }
    xml = g_strdup_printf(X("<os><kernel>/k</kernel></os>", "<disk "
                            "type='network'><source protocol='rbd' "
                            "name='p/i'>\n%s</source><target dev='xvdb'/>"
                            "</disk>"), hosts->str);
    refused(xml, "f:18: <source>: it has more than 16 hosts");
}

/* Python that can be read without being run, and what cannot */
static void test_format(void)
{
    static const Case cases[] = {
        { "n = 3\nname = 'vm%d' % n\nkernel = '/k'\nmemory = 64\n"
          "disk = ['phy:%s/%s-%02d,xvda,w' % ('vg', name, n + 4)]\n"
          "extra = '100%%' % () + ' a%s' % 'b'\n",
          .qemu = "file=/dev/vg/vm3-07,", .libvirt = "100% ab" },
        /* As xm's own examples number their guests */
        { "vmid = 10\nname = 'g'\nkernel = '/k'\nmemory = 64\n"
          "vif = ['mac=00:16:3e:00:00:%02x, bridge=br0' % vmid]\n",
          .qemu = "mac=00:16:3e:00:00:0a", .libvirt = "00:16:3e:00:00:0a" },
        { K "extra = '<%x %X %o %u %i %3d %03d %4x %04X>' % "
          "(255, 171, 8, 7, 6, 5, 4, 10, 11)\n",
          .qemu = "'<ff AB 10 7 6   5 004    a 000B>'" },
        { K "n = -12\nextra = '<%d %5d %05d %x %s>' % (n, n, n, n, n)\n",
          .qemu = "'<-12   -12 -0012 -c -12>'" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(K "extra = '%s %s' % 'a'\n",
            "f:4: extra: ''%s %s' % 'a'' is Python "
            "that would have to be run: write down what comes out of it");
    refused(K "extra = '%x' % 'a'\n", "f:4: extra: ''%x' % 'a'' is Python "
            "that would have to be run: write down what comes out of it");
    refused(K "extra = '%f' % 1\n", "f:4: extra: ''%f' % 1' is Python "
            "that would have to be run: write down what comes out of it");
    refused(K "extra = '%(x)s' % vars\n", "f:4: extra: ''%(x)s' % vars' is "
            "Python that would have to be run: write down what comes out of it");
    refused(K "extra = '%s' % ['a']\n", "f:4: extra: ''%s' % ['a']' is Python "
            "that would have to be run: write down what comes out of it");
}

/* Each element has a note that says what to do instead */
static void test_xml_words(void)
{
#define E(element) "<domain type='xen'><name>n</name><memory>65536</memory>" \
    "<os><kernel>/k</kernel></os>\n" element "</domain>"
    static const Case cases[] = {
        { E("<vcpu current='2'>4</vcpu>"), .qemu = "-smp 2,maxcpus=4",
          .libvirt = "<vcpu current='2'>4</vcpu>", .note = "" },
        { E("<vcpu cpuset='0-1'>2</vcpu>"), .note = "f:2: note: the cpuset of "
          "<vcpu> is not carried: bind QEMU's threads" },
        { E("<clock offset='utc'/>"), .note = "" },
        { E("<clock offset='localtime'><timer name='tsc'/></clock>"),
          .note = "f:2: note: <clock offset='localtime'> is not carried: Xen's "
          "clock is UTC; set the time zone in the guest\n"
          "f:2: note: <timer name='tsc'> of <clock> is not carried" },
        { E("<clock offset='variable' adjustment='3600'/>"),
          .note = "f:2: note: <clock offset='variable'>" },
        { E("<features><pae/><xen><e820_host state='on'/></xen></features>"),
          .note = "f:2: note: <e820_host> of <features> is not carried: it is "
          "for PCI devices" },
        { E("<cputune><shares>512</shares></cputune>"),
          .note = "f:2: note: <cputune> is not carried: copy it into the new "
          "XML, where it means the same" },
        { E("<seclabel type='none'/><cpu/>"), .note = "f:2: note: <cpu> is not "
          "carried: a PV guest sees the CPU that QEMU's -cpu has" },
        { E("<maxMemory slots='1'>9</maxMemory>"), .note = "f:2: note: "
          "<maxMemory> is not carried: <memory> is what the guest may grow "
          "to" },
        { X("<os><type>linux</type><loader>/l</loader>\n<boot dev='hd'/>"
            "<kernel>/k</kernel></os>", ""),
          .note = "f:1: note: <loader> of <os> is not carried: a PV guest has "
          "no firmware\nf:2: note: <boot> of <os> is not carried: PV GRUB" },
    };

    run(cases, ARRAY_SIZE(cases));
    refused(E("<vcpu current='5'>4</vcpu>"), "f:2: <vcpu>: current='5' is more "
            "than all 4");
    refused(E("<vcpu current='x'>4</vcpu>"), "f:2: <vcpu>: 'x' is not a "
            "number");
}

/* And each of a device's; where xl's words mean the same, they become the same */
static void test_xml_devices(void)
{
#define N(attrs, words) X("<os><kernel>/k</kernel></os>", \
                          "\n<interface " attrs ">" words "</interface>")
    static const Case cases[] = {
        { X("<os><kernel>/k</kernel></os>", "\n<disk type='block'><source "
            "dev='/e'/><target dev='xvdb'/><script path='block-x'/></disk>"),
          .note = "f:2: note: <script> of xvdb is not carried: what it does is "
          "to be done on the host before" },
        { X("<os><kernel>/k</kernel></os>", "\n<disk type='file' snapshot='no'>"
            "<source file='/e' startupPolicy='optional'/><target dev='xvdb'/>"
            "</disk><controller type='usb' model='qusb2'/><graphics type='vnc'>"
            "<listen type='network' network='n'/></graphics>"),
          .note = "f:2: note: snapshot='no' of xvdb is not carried: copy it into "
          "the new XML, where it means the same\n"
          "f:2: note: startupPolicy='optional' of xvdb is not carried: copy it "
          "into the new XML, where it means the same\n"
          "f:2: note: <controller>: a PV guest has no USB here\n"
          "f:2: note: network='n' of <listen> is not carried" },
        { X("<os><kernel>/k</kernel></os>", "<controller type='usb' "
            "model='none'/>"), .note = "" },
        { N("type='bridge'", ""), .qemu = "-netdev user,id=net0",
          .libvirt = "<interface type='user'>",
          .note = "f:2: note: no bridge is named: user networking takes" },
        { N("type='bridge'", "<source/><virtualport type='openvswitch'/>"
            "<vlan><tag id='4'/></vlan>"), .qemu = "-netdev user" },
        { N("type='bridge'", "<source bridge='b'/><script path='vif-bridge'/>"),
          .qemu = "br=b", .note = "" },
        { N("type='ethernet'", "<script path='/etc/xen/scripts/vif-route'/>"
            "<ip address='10.0.0.5'/>"),
          .note = "'ip route add 10.0.0.5 dev TAP'" },
        { N("type='bridge'", "<source bridge='b'/><ip address='10.0.0.5'/>"),
          .note = "f:2: note: vif: 'ip=10.0.0.5' is not carried" },
        { N("type='bridge'", "<source bridge='b'/><ip address='10.0.0.5'/>"
            "<ip family='ipv6' address='fd00::5' prefix='64'/>"),
          .note = "f:2: note: vif: 'ip=10.0.0.5 fd00::5' is not carried" },
        { N("type='bridge'", "<source bridge='ovsbr0.42'/>"
            "<script path='vif-openvswitch'/>"),
          .libvirt = "<vlan>\n        <tag id='42'/>",
          .note = "'ovs-vsctl add-port ovsbr0 tap0 tag=42'" },
        { N("type='bridge'", "<source bridge='b'/>"
            "<script path='vif-openvswitch'/><bandwidth/>"),
          .note = "f:2: note: <bandwidth> of an interface is not carried" },
        { N("type='bridge'", "<source bridge='b'/><script path='vif-mine'/>"
            "<bandwidth/><backenddomain name='d'/>"),
          .note = "f:2: note: vif: the script 'vif-mine' is not run: what it "
          "does on the host is to be done there\n"
          "f:2: note: <bandwidth> of an interface is not carried: copy it into "
          "the new XML, where it means the same\n"
          "f:2: note: <backenddomain> of an interface is not carried: there "
          "are no driver domains" },
        { X("<os><kernel>/k</kernel></os>", "\n<controller type='xenbus' "
            "maxGrantFrames='64' maxEventChannels='7'/>"),
          .note = "f:2: note: maxGrantFrames='64' of <controller> is not "
          "carried: the machine's own limit holds\n"
          "f:2: note: maxEventChannels='7' of" },
        { X("<os><kernel>/k</kernel></os>", "<console type='pty'/>"),
          .note = "" },
        { X("<os><kernel>/k</kernel></os>", "<input type='mouse' bus='xen'/>\n"
            "<input type='tablet' bus='usb'/>"),
          .note = "f:2: note: <input>: a PV guest has no USB here" },
        { X("<os><kernel>/k</kernel></os>", "<console type='pty'/>\n"
            "<console type='pty'><target type='xen' port='1'/></console>"),
          .note = "f:2: note: the console number 2 is not carried: add "
          "'-chardev pty,id=c -device xen-console" },
        { X("<os><kernel>/k</kernel></os>", "<disk type='network'>\n<driver "
            "name='qemu' cache='none'/><source protocol='nbd' tls='yes'>"
            "<host name='h' port='1'/></source><target dev='xvdb'/></disk>"),
          .note = "f:1: note: tls='yes' of <source> is not carried: QEMU needs "
          "a tls-creds-x509 object for it (libvirt: nbd_tls in qemu.conf); "
          "until then a server that wants TLS refuses\n"
          "f:2: note: cache='none' of xvdb is not carried: copy it" },
        { X("<os><kernel>/k</kernel></os>", "<console type='file'/>"),
          .note = "f:1: note: a console of type 'file' becomes libvirt's pty "
          "or QEMU's terminal" },
        { X("<os><kernel>/k</kernel></os>", "<graphics type='vnc' "
            "socket='/run/s'/>"),
          .note = "f:1: note: socket='/run/s' of <graphics> is not carried: "
          "copy it into the new XML" },
        { N("type='network'", "<source network='w' portgroup='p'/>"),
          .note = "f:2: note: portgroup='p' of <source> is not carried: copy" },
        { X("<os><kernel>/k</kernel></os>", "<disk type='network'><source "
            "protocol='rbd' name='p/i'><host name='h'/><snapshot name='s'/>"
            "</source><target dev='xvdb'/></disk>"),
          .qemu = "file=rbd:p/i@s:mon_host=h" },
        { "<?xml version='1.0' encoding='ISO-8859-1'?>" E("<title>\xfc</title>"),
          .note = "f:2: note: <title> is not carried" },
    };
#undef N

    run(cases, ARRAY_SIZE(cases));
}

/* What begins otherwise, or has @magic somewhere else, and bytes 0 */
static void refused_binary(const char *magic, size_t at, const char *error)
{
    char data[600] = { };
    Error *err = NULL;

    memcpy(data + at, magic, strlen(magic));
    g_assert_null(guest_parse("f", data, sizeof(data), &err));
    g_assert_cmpstr(error_get_pretty(err), ==, error);
    error_free(err);
}

/* What is no configuration of these forms is named for what it is */
static void test_other_forms(void)
{
    static const Case cases[] = {
        { "kernel = '/k'\nmemory = 64\n", .qemu = "-name f \\\n",
          .note = "f:1: note: it does not say what the guest's name is: 'f' is "
          "taken" },
    };

    run(cases, 1);
    refused("<value><struct/></value>", "f:1: <value>: this is an appliance's "
            "description (ova.xml, OVF): take its disks out, and write a "
            "configuration for xl");
    refused("<VM><ID>5</ID></VM>", "f:1: <VM>: this is OpenNebula's: take the "
            "file 'deployment.N' that it has made of it on its server");
    refused("NAME = x\nMEMORY = 64\nDISK = [\n  IMAGE_ID = 5 ]\n",
            "f:1: this is "
            "OpenNebula's template: take the file 'deployment.N' that it has "
            "made of it on its server");
    refused_binary("ova.xml", 0, "f:1: this is XenServer's export of a guest "
                   "(XVA): write a configuration for xl, and export its disks "
                   "by 'xe vdi-export format=raw'");
    refused_binary("ustar", 257, "f:1: this is an archive: take the guest's "
                   "configuration out of it");
    refused_binary("QFI\xfb", 0,
                   "f:1: this is a disk image: --check looks into "
                   "it");
    refused_binary("\x55\xaa", 510, "f:1: this is a disk: --check looks into "
                   "it");
    refused_binary("x", 0, "f:1: this is no text: it has a byte 0");
}

/* The beginning of the message will do */
static void refused_so(const char *text, const char *error)
{
    Error *err = NULL;
    Guest *g = guest_parse("f", text, strlen(text), &err);

    g_assert_null(g);
    g_test_message("%s", error_get_pretty(err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), error));
    error_free(err);
}

/* A disk and a kernel, as xend and libxl tell them of a running guest */
#define SXP_DISK "(device (vbd (uuid 1-2) (bootable 1) (dev xvda:disk) " \
    "(uname phy:/dev/vg/a) (mode w) (backend 0) (VDI )))\n"
#define SXP(words, image) "(domain\n (domid 3)\n (name n)\n (memory 64)\n" \
    words "\n (image (linux " image "(notes (HV_START_LOW 1)))))\n"
#define JSON_DISK "{\"pdev_path\": \"/dev/vg/a\", \"vdev\": \"xvda\", " \
    "\"backend\": \"phy\", \"format\": \"raw\", \"removable\": 1, " \
    "\"readwrite\": 1}"
#define JSON(c_info, b_info, devices) "{\"c_info\": {\"type\": \"pv\",\n" \
    "\"name\": \"n\"" c_info "},\n\"b_info\": {\"max_memkb\": 65536,\n" \
    "\"target_memkb\": 65536" b_info "},\n\"disks\": [" JSON_DISK "]\n" \
    devices "}\n"

/*
 * What xm and xl print of a guest means what its configuration file did; what
 * only that start was told is no setting, and all else is named with its line
 */
static void test_listings(void)
{
    static const Case cases[] = {
        { SXP("(uuid 00000000-1111-2222-3333-444444444444)(vcpus 2)"
              "(vcpu_avail 3)(on_crash destroy)(cpus (()))(features )"
              "(on_xend_start ignore)(start_time 17.5)(state -b----)"
              SXP_DISK "(device (vif (bridge br0)(mac 00:16:3e:00:00:01)"
              "(script /etc/xen/scripts/vif-bridge)(uuid 5)(backend 0)))"
              "(device (vkbd (backend 0)))(device (console (location 3)))",
              "(kernel /k)(ramdisk /r)(args 'root=/dev/xvda1 ro x=\\'y\\'')"),
          .libvirt = "<cmdline>root=/dev/xvda1 ro x=&apos;y&apos;</cmdline>",
          .qemu = "-smp 2 ", .note = "" },
        { SXP("(uuid 00000000-1111-2222-3333-444444444444)" SXP_DISK,
              "(kernel /k)"), .libvirt = "<source dev='/dev/vg/a'/>",
          .qemu = "xvda", .note = "" },
        { SXP(SXP_DISK, "(kernel /k)(root '/dev/sda1 ro')(args 3)"),
          .libvirt = "<cmdline>root=/dev/sda1 ro 3</cmdline>" },
        { SXP(SXP_DISK, "(kernel /var/run/xend/boot/boot_kernel.x)(args x)"),
          .not = "boot_kernel", .libvirt = "<source dev='/dev/vg/a'/>",
          .note = "f:7: note: the command line 'x' is not carried" },
        { SXP(SXP_DISK "(device (vfb (vnc 1)(vncunused 0)(vncdisplay 0)"
              "(vncpasswd p)(location 0.0.0.0:5900)))", "(kernel /k)"),
          .libvirt = "type='vnc' port='5900'" },
        { SXP(SXP_DISK "\n(cpu_weight 512)\n(frob 7)", "(kernel /k)"),
          .note = "f:8: note: 'frob' is not carried" },
        { SXP("(device (tap (dev hdc:cdrom)(uname tap:aio:/a,b.iso)(mode r)))",
              "(kernel /k)"), .libvirt = "<readonly/>",
          .qemu = "/a,,b.iso" },
        { "(domain (domid 0)(name Domain-0))" SXP(SXP_DISK, "(kernel /k)"),
          .libvirt = "<kernel>/k</kernel>" },

        { JSON(", \"uuid\": \"00000000-1111-2222-3333-444444444444\", "
               "\"run_hotplug_scripts\": \"True\"",
               ", \"max_vcpus\": 4, \"avail_vcpus\": [0, 1], "
               "\"shadow_memkb\": 99, \"tsc_mode\": \"default\", "
               "\"sched_params\": {}, \"kernel\": \"/k\", "
               "\"ramdisk\": \"/r\", \"cmdline\": \"a \\u00e4 \\\"b\\\"\"",
               ", \"nics\": [{\"devid\": 0, \"mac\": \"00:16:3e:00:00:01\", "
               "\"bridge\": \"br0\", \"nictype\": \"vif\"}], "
               "\"vkbs\": [{\"devid\": 0}], \"on_reboot\": \"restart\""),
          .qemu = "-smp 2,maxcpus=4 ",
          .libvirt = "<cmdline>a \303\244 &quot;b&quot;</cmdline>",
          .note = "" },
        { "[ { \"domid\": 0, \"config\": {\"c_info\": {}} },\n{\"domid\": 7, "
          "\"config\":" JSON("", ", \"type.pv\": {\"bootloader\": \"pygrub\", "
          "\"bootloader_args\": [\"-q\", \"--entry=2\"]}", "") "}]",
          .libvirt = "<source dev='/dev/vg/a'/>",
          .note = "f:5: note: entry '2' of the guest's menu" },
        { JSON("", ", \"kernel\": \"/k\",\n\"sched_params\": {\"weight\": 512},"
               "\n\"frob\": 1", ""),
          .note = "f:6: note: 'frob' is not carried" },
        { JSON("", ", \"kernel\": \"/k\"", ", \"pcidevs\": [{\"dev\": 1}]"),
          .note = "'pci' is not carried" },
        { JSON("", ", \"kernel\": \"/k\"", ", \"on_crash\": "
               "\"coredump_destroy\", \"vfbs\": [{\"vnc\": {\"enable\": "
               "\"True\", \"display\": 0, \"passwd\": \"p\"}}]"),
          .libvirt = "type='vnc' port='5900'" },
        { JSON("", ", \"kernel\": \"/k\"", ", \"vfbs\": [{\"vnc\": {\"enable\": "
               "\"False\"}, \"sdl\": {\"enable\": \"False\"}}]"),
          .qemu = "vfb=on", .not = "vnc" },
    };

    run(cases, ARRAY_SIZE(cases));
}

/* One that is broken, or of no guest that runs here, is refused with its line */
static void test_bad_listings(void)
{
    refused_so("# c\n(domain (name x)",
               "f:2: the '(' that is opened here is not "
            "closed");
    refused_so("(domain (name 'x\n))",
               "f:1: a quote that is opened here is never "
            "closed");
    refused_so("(x y)",
               "f:1: there is no guest of Xen's in it: take its file in "
            "/etc/xen, or the output of 'xm list --long NAME'");
    refused_so("(domain (name a))(domain (name b))",
               "f:1: there is more than one "
            "guest in it: take the output of 'xm list --long NAME'");
    refused_so("(domain (name a)(image (hvm (kernel /k))))",
               "f:1: type: 'hvm' is "
            "not a PV guest");
    refused_so("(domain (device (vif\n(bridge 'a,script=/x'))))",
               "f:2: bridge: "
            "'a,script=/x' has a comma in it");
    refused_so("[\n {}\n]\n",
               "f:1: there is no guest of Xen's in it: take its file "
            "in /etc/xen, or the output of 'xl list -l NAME'");
    refused_so("{\"cluster\": {}, \"instances\": {}}", "f:1: this is Ganeti's "
            "configuration: take the guest's file in /etc/xen on its node");
    refused_so("{\"c_info\": {\"name\":\n\"a\\u0000\"}}",
               "f:2: a \\u that is no "
            "character");
    refused_so("{\"c_info\" {}}", "f:1: a name and a ':' are missing");
    refused_so("{\"c_info\": {}\n \"b_info\": {}}",
               "f:2: a ',' or '}' is missing "
            "for what begins in line 1");
    refused_so("{\"c_info\": {\"name\": }}", "f:1: a value is missing");
    refused_so("{\"c_info\": {}} x", "f:1: there is more behind the end");
    refused_so("[ [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
               "f:1: there are too many items, "
            "or they are nested too deeply");
    refused_so("((((((((((((((((((((((((((((((((((((((",
               "f:1: there are too many "
            "items, or they are nested too deeply");
    /* JSON has values that are none */
    refused_so("{\"c_info\": {\"name\": \"n\"},\n\"b_info\": {\"target_memkb\": "
               "null}, \"disks\": [" JSON_DISK "]}", "f:1: it does not say how "
               "much memory");
    refused_so("{\"c_info\": {\"name\": \"n\"},\n\"b_info\": {\"target_memkb\": "
               "[1]}, \"disks\": [" JSON_DISK "]}", "f:2: memory: 'a list' is "
               "not a number");
}

/* What a configuration becomes: both outputs, or the error; then the notes */
static char *outcome(const char *text, char **notes)
{
    Error *err = NULL;
    g_autoptr(Guest) g = guest_parse("f", text, strlen(text), &err);
    g_autofree char *qemu = NULL, *libvirt = NULL;

    if (!g) {
        *notes = g_strdup(error_get_pretty(err));
        error_free(err);
        return g_strdup("");
    }
    qemu = guest_to_qemu_line(g, "qemu");
    libvirt = guest_to_libvirt(g, "qemu", "kvm");
    g_ptr_array_add(g->notes, NULL);
    *notes = g_strjoinv("\n", (char **)g->notes->pdata);
    return g_strconcat(qemu, libvirt, NULL);
}

/*
 * @word makes a difference, or is named with more than that it is not carried:
 * by "'WORD' ...", "'WORD=..." or "WORD: ..."
 */
static void assert_not_lost(const char *without, const char *with,
                            const char *word, bool advice)
{
    g_autofree char *note1 = NULL, *note2 = NULL;
    g_autofree char *out1 = outcome(without, &note1);
    g_autofree char *out2 = outcome(with, &note2);
    g_autofree char *quoted = g_strdup_printf("'%s' ", word);
    g_autofree char *valued = g_strdup_printf("'%s=", word);
    g_autofree char *leading = g_strdup_printf("%s: ", word);
    g_autofree char *script = g_strdup_printf("the %s '", word);
    g_autofree char *element = g_strdup_printf("<%s>", word);
    bool named = strstr(note2, quoted) || strstr(note2, valued) ||
                 strstr(note2, leading) || strstr(note2, script) ||
                 strstr(note2, element);

    if (strcmp(out1, out2) && out2[0]) {
        return;
    }
    if (!named || (advice && g_str_has_suffix(note2, "is not carried"))) {
        g_test_message("'%s' is lost in: %s: '%s'", word, with, note2);
        g_test_fail();
    }
}

/* The settings of xl.cfg(5) in Xen 4.17, and of xm's that it does not have */
static void test_all_settings(void)
{
    static const char *const words[] = {
        "name", "type", "builder", "pool", "vcpus", "maxvcpus", "cpus",
        "cpus_soft", "cpu_weight", "cap", "memory", "maxmem", "vnuma",
        "on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset",
        "kernel", "ramdisk", "cmdline", "root", "extra", "firmware", "pvshim",
        "pvshim_path", "pvshim_cmdline", "pvshim_extra", "uuid", "seclabel",
        "init_seclabel", "max_grant_frames", "max_maptrack_frames",
        "max_grant_version", "nomigrate", "driver_domain", "device_tree",
        "passthrough", "xend_suspend_evtchn_compat", "vmtrace_buf_kb", "vpmu",
        "disk", "vif", "vtpm", "p9", "pvcalls", "vfb", "channel", "rdm",
        "usbctrl", "usbdev", "pci", "pci_permissive", "pci_msitranslate",
        "pci_seize", "pci_power_mgmt", "gfx_passthru", "rdm_mem_boundary",
        "dtdev", "ioports", "iomem", "irqs", "max_event_channels", "vdispl",
        "dm_restrict", "device_model_user", "vsnd", "vkb", "tee", "bootloader",
        "bootloader_args", "e820_host", "boot", "hdtype", "hap", "oos",
        "shadow_memory", "bios", "bios_path_override", "pae", "acpi",
        "acpi_s3", "acpi_s4", "acpi_laptop_slate", "apic", "nx", "hpet",
        "altp2m", "altp2mhvm", "nestedhvm", "cpuid", "acpi_firmware",
        "smbios_firmware", "ms_vm_genid", "tsc_mode", "localtime",
        "rtc_timeoffset", "vpt_align", "timer_mode", "mmio_hole",
        "xen_platform_pci", "viridian", "videoram", "stdvga", "vga", "vnc",
        "vnclisten", "vncdisplay", "vncunused", "vncpasswd", "keymap", "sdl",
        "opengl", "nographic", "spice", "spicehost", "spiceport",
        "spicetls_port", "spicedisable_ticketing", "spicepasswd",
        "spiceagent_mouse", "spicevdagent", "spice_clipboard_sharing",
        "spiceusbredirection", "spice_image_compression",
        "spice_streaming_video", "serial", "soundhw", "vkb_device", "usb",
        "usbversion", "usbdevice", "vendor_device", "device_model_version",
        "device_model_override", "stubdomain_kernel", "stubdomain_cmdline",
        "stubdomain_ramdisk", "stubdomain_memory",
        "device_model_stubdomain_override", "device_model_stubdomain_seclabel",
        "device_model_args", "device_model_args_pv", "device_model_args_hvm",
        "gic_version", "vuart", "mca_caps", "msr_relaxed",
        "bootargs", "bootentry", "cpu", "cpu_cap", "restart", "vcpu_avail",
        "features", "loader", "blkif", "netif", "tpmif", "vscsi", "vusb", "irq",
        "access_control", "nics", "ip", "gateway", "netmask", "hostname",
        "interface", "dhcp", "nfs_server", "nfs_root", "device_model",
        "fda", "fdb", "monitor", "description", "guest_os_type", "isa",
        "display", "xauthority", "vncviewer", "vncconsole", "on_xend_start",
        "on_xend_stop", "target", "cpuid_check", "machine_address_size",
        "suppress_spurious_page_faults", "s3_integrity", "superpages",
        "memory_sharing", "xen_extended_power_mgmt", "virtio", "claim_mode",
    };
    /* Where 1 would be what is there already, or nothing at all */
    static const struct {
        const char *word, *value;
    } values[] = {
        { "memory", "96" }, { "maxmem", "96" }, { "vcpus", "2" },
        { "maxvcpus", "2" }, { "disk", "/d,raw,xvda,rw" },
        { "vif", "bridge=b" }, { "vfb", "type=vnc" }, { "builder", "hvm" },
        { "kernel", "/z" }, { "ramdisk", "/z" }, { "bootloader", "pygrub" },
    };

    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        g_autofree char *with = NULL;
        const char *value = "1";

        for (int j = 0; j < ARRAY_SIZE(values); j++) {
            if (!strcmp(words[i], values[j].word)) {
                value = values[j].value;
            }
        }
        with = g_strdup_printf("%sdisk = ['/x,raw,xvdz,rw']\n%s = '%s'\n", K,
                               words[i], value);
        assert_not_lost(K "disk = ['/x,raw,xvdz,rw']\n", with, words[i], true);
    }
}

/* The words of a disk's, an interface's and a framebuffer's specification */
static void test_all_device_words(void)
{
    static const struct {
        const char *what, *before;
        const char *words[26];
    } kinds[] = {
        { "disk", "/d,raw,xvda,rw", {
            "devtype=cdrom", "cdrom", "backend=d", "backendtype=standalone",
            "script=s", "discard", "trusted", "untrusted",
            "specification=virtio", "colo", "colo-host=h", "colo-port=1",
            "colo-export=e", "active-disk=a", "hidden-disk=h", "access=r",
            "format=qcow2", "vdev=xvdb" } },
        { "vif", "bridge=b", {
            "mac=00:16:3e:00:00:01", "bridge=c", "gatewaydev=e", "netdev=e",
            "type=ioemu", "model=e1000", "vifname=v", "script=s", "ip=1.2.3.4",
            "backend=d", "rate=1Mb/s", "devid=1", "mtu=9000", "trusted=1",
            "trusted", "untrusted", "vlan=4", "gw=1.2.3.4", "accel=1",
            "forwarddev=e" } },
        { "vfb", "type=vnc", {
            "sdl=1", "type=sdl", "vnclisten=0.0.0.0", "vncdisplay=4",
            "vncpasswd=p", "keymap=de", "display=:0", "xauthority=x",
            "opengl=1" } },
    };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_autofree char *without = g_strdup_printf(K "%s = ['%s']\n",
                                                   kinds[i].what,
                                                   kinds[i].before);

        for (int j = 0; kinds[i].words[j]; j++) {
            const char *word = kinds[i].words[j];
            /* What a place before has said already has to be said by name */
            bool named = !strcmp(word, "access=r") ||
                         !strcmp(word, "format=qcow2");
            g_autofree char *with = NULL, *name = NULL;

            with = named || !strcmp(word, "vdev=xvdb") ?
                   g_strdup_printf(K "disk = ['%s%s,target=/d']\n",
                                   named ? "vdev=xvda," : "", word) :
                   g_strdup_printf(K "%s = ['%s,%s']\n", kinds[i].what,
                                   kinds[i].before, word);
            name = g_strndup(word, strcspn(word, "="));
            assert_not_lost(without, with, name,
                            !g_str_has_prefix(word, "colo") && i);
        }
    }
}

/* libvirt's elements of a Xen domain, and of its interfaces */
static void test_all_elements(void)
{
    static const char *const elements[] = {
        "title", "description", "metadata", "memoryBacking", "cputune",
        "numatune", "blkiotune", "memtune", "resource", "cpu", "pm", "seclabel",
        "on_lockfailure", "sysinfo", "iothreads", "perf", "idmap", "keywrap",
        "launchSecurity", "maxMemory", "genid", "bootloader_args",
    };
    static const char *const devices[] = {
        "hostdev", "sound", "serial", "parallel", "channel", "redirdev", "tpm",
        "rng", "panic", "watchdog", "filesystem", "shmem", "smartcard", "hub",
        "vsock", "crypto", "lease", "nvram", "iommu", "memory",
    };
    static const char *const interface[] = {
        "bandwidth", "vlan", "filterref", "mtu", "link",
        "virtualport", "backenddomain", "boot", "rom", "driver", "guest",
        "route", "coalesce", "tune", "backend", "port", "teaming",
    };
    static const char *const disk[] = {
        "iotune", "blockio", "geometry", "boot", "serial", "wwn", "vendor",
        "product", "encryption", "mirror", "transient", "backenddomain",
        "auth",
    };
    static const struct {
        const char *os, *devices;   /* around it, with %s where it stands */
        const char *const *names;
        int n;
    } places[] = {
        { "%s", "", elements, ARRAY_SIZE(elements) },
        { "", "%s", devices, ARRAY_SIZE(devices) },
        { "", "<interface type='bridge'><source bridge='b'/>%s</interface>",
          interface, ARRAY_SIZE(interface) },
        { "", "<disk type='file'><source file='/e'/><target dev='xvdb'/>%s"
          "</disk>", disk, ARRAY_SIZE(disk) },
    };

    for (int i = 0; i < ARRAY_SIZE(places); i++) {
        g_auto(GStrv) parts = g_strsplit(X("<os><kernel>/k</kernel></os>@",
                                           "@"), "@", 3);
        g_autofree char *format = g_strconcat(parts[0], places[i].os, parts[1],
                                              places[i].devices, parts[2],
                                              NULL);
        g_auto(GStrv) around = g_strsplit(format, "%s", 2);
        g_autofree char *without = g_strjoinv("", around);

        for (int j = 0; j < places[i].n; j++) {
            g_autofree char *with = g_strdup_printf(
                "%s<%s/>%s", around[0], places[i].names[j], around[1]);

            assert_not_lost(without, with, places[i].names[j], false);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/config/boot", test_boot);
    g_test_add_func("/xenpv/config/relative", test_relative);
    g_test_add_func("/xenpv/config/display", test_display);
    g_test_add_func("/xenpv/config/shared", test_shared);
    g_test_add_func("/xenpv/config/disk-words", test_disk_words);
    g_test_add_func("/xenpv/config/vif-words", test_vif_words);
    g_test_add_func("/xenpv/config/network-boot", test_network_boot);
    g_test_add_func("/xenpv/config/other-forms", test_other_forms);
    g_test_add_func("/xenpv/config/listings", test_listings);
    g_test_add_func("/xenpv/config/bad-listings", test_bad_listings);
    g_test_add_func("/xenpv/config/all-settings", test_all_settings);
    g_test_add_func("/xenpv/config/all-device-words", test_all_device_words);
    g_test_add_func("/xenpv/config/all-elements", test_all_elements);
    g_test_add_func("/xenpv/config/language", test_language);
    g_test_add_func("/xenpv/config/network-disks", test_network_disks);
    g_test_add_func("/xenpv/config/format", test_format);
    g_test_add_func("/xenpv/config/xml-words", test_xml_words);
    g_test_add_func("/xenpv/config/xml-devices", test_xml_devices);
    return g_test_run();
}
