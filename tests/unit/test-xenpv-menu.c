/*
 * Unit test of how xenpv-convert --check reads a guest's menu
 *
 * Sources needed beside this file: tools/xenpv/guest-files.c,
 * tools/xenpv/rules.c, tools/xenpv/menu.c,
 * tools/xenpv/menu-extlinux.c,
 * hw/xenpv/xenpv-text.c, hw/xenpv/xenpv-kernel.c, hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-elf-notes.c and hw/xenpv/xenpv-unpack.c.
 *
 * It has to come to the entry that PV GRUB boots, and to all that this needs. A
 * broken one says that a guest boots which then stops in front of GRUB, or
 * finds fault with one that boots.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../../tools/xenpv/menu.h"
#include "../../tools/xenpv/rules.h"
#include "xenpv-fake-files.h"

static void fake_finding(GuestFiles *f, const char *path, int line,
                         const char *reason)
{
    Fake *fake = container_of(f, Fake, f);

    g_string_append_printf(fake->out, "F %s:%d: %s\n", path ?: "", line,
                           reason);
}

static void fake_fact(GuestFiles *f, const char *text)
{
    Fake *fake = container_of(f, Fake, f);

    g_string_append_printf(fake->out, "I %s\n", text);
}

/* What is said about it has @expected in it, and not @not */
static void check(const char *const *files, const char *expected,
                  const char *not)
{
    Fake fake = {
        .f = { fake_read, fake_list, fake_finding, fake_fact },
        .files = files, .out = g_string_new(NULL),
    };

    rules_check(&fake.f, true);
    if (!strstr(fake.out->str, expected) || (not && strstr(fake.out->str,
                                                           not))) {
        g_test_message("expected '%s' in: %s", expected, fake.out->str);
        g_test_fail();
    }
    g_string_free(fake.out, true);
}

#define LST "/boot/grub/menu.lst"
#define CFG "/boot/grub/grub.cfg"
#define CFG2 "/boot/grub2/grub.cfg"
#define CHECK(expected, not, ...) do { \
        static const char *const files[] = { __VA_ARGS__, NULL }; \
        check(files, expected, not); \
    } while (0)

/* The entry that boots by default, whatever the menu calls it */
static void test_default(void)
{
    static const char grub2[] =
        "if [ \"${next_entry}\" ] ; then\n  set default=\"${next_entry}\"\n"
        "else\n  set default=\"@\"\nfi\n"
        "menuentry 'A b' --class x --id=0 $menuentry_id_option 'id-a' {\n"
        "\tlinux /a ro\n}\n"
        "submenu 'More' {\n  menuentry 'C' {\n    linux /c ro\n  }\n"
        "  menuentry 'D' --id id-d {\n    linux /d ro\n  }\n}\n"
        "menuentry \"E\" {\n linux16 /e ro\n}\n";
    static const struct {
        const char *value, *kernel;
    } cases[] = {
        { "0", "/a" }, { "1>0", "/c" }, { "1>1", "/d" }, { "2", "/e" },
        { "More>D", "/d" }, { "1>id-d", "/d" }, { "id-a", "/a" },
        { "A b", "/a" }, { "E", "/e" }, { "nonsense", "/a" },
        { "saved", "/d" }, { "${saved_entry}", "/d" },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_auto(GStrv) parts = g_strsplit(grub2, "@", 2);
        g_autofree char *text = g_strjoin(cases[i].value, parts[0], parts[1],
                                          NULL);
        g_autofree char *boots = g_strdup_printf("I " CFG2 " boots %s\n",
                                                 cases[i].kernel);
        const char *const files[] = {
            CFG2, text, "/boot/grub2/grubenv", "# GRUB\nsaved_entry=id-d\n",
            NULL,
        };

        check(files, boots, NULL);
    }
    CHECK("boots /b\n", NULL, LST, "default=1\ntitle A\nkernel /a\n"
          "title B\nkernel (hd0,0)/b ro\n");
    CHECK("F " LST ":5: its default entry, 'B c', has a kernel, /b, that is "
          "not there", NULL, LST, "default 1\ntitle A\nkernel /a\ntitle B c\n"
          "kernel /b\n", "/a", "");
    /* As pygrub; GRUB legacy's own file is not read */
    CHECK("boots /a\n", NULL, LST, "default saved\ntitle A\nkernel /a\n"
          "title B\nkernel /b\n", "/boot/grub/default", "1\n");
    CHECK("F " LST ":0: no entry of it names a kernel", NULL, LST,
          "title A\nchainloader +1\n");
}

/* systemd's login is on the kernel's console, which is hvc0 if none is named */
static void test_console(void)
{
    CHECK("boots /k\n", "no login", LST, "title A\nkernel /k root=/dev/xvda1\n",
          "/k", "", "/lib/systemd/systemd", "");
    CHECK("has no console=hvc0: there would be no login", NULL, LST,
          "title A\nkernel /k console=tty0\n", "/k", "",
          "/lib/systemd/systemd", "");
    CHECK("boots /k\n", "no login", LST,
          "title A\nkernel /k console=tty0 console=hvc0\n", "/k", "",
          "/lib/systemd/systemd", "");
}

/* EXTLINUX's menus, in pygrub's places: paths are relative to them */
static void test_extlinux(void)
{
    CHECK("I /boot/extlinux/extlinux.conf boots /boot/extlinux/../b\n",
          "is not there", "/boot/extlinux/extlinux.conf",
          "DEFAULT l2\nLABEL l1\nKERNEL /a\nLABEL l2\n MENU LABEL x\n"
          " KERNEL ../b\n APPEND ro\n INITRD /i,j\n", "/boot/extlinux/../b", "",
          "/a", "", "/i", "", "/boot/extlinux/j", "", LST,
          "title A\nkernel /l\n");
    CHECK("its first entry's initrd, /boot/i, is not there", NULL,
          "/boot/extlinux.conf", "label a\nlinux k\ninitrd i\n",
          "/boot/k", "k");
    CHECK("boots /x\n", NULL, "/extlinux.conf", "label x\nkernel /x\n"
          "label y\nmenu default\nkernel /y\n", "/x", "", "/y", "");
    CHECK("I " CFG " boots /g\n", NULL, CFG, "linux /g\n", "/extlinux.conf",
          "label x\nkernel /x\n", "/g", "");
}

#define EXT "/boot/extlinux.conf"

/* What GRUB makes of EXTLINUX's words, which is not always what EXTLINUX does */
static void test_extlinux_words(void)
{
    static const char *const first[] = {
        "APPEND ro", "append -", "KERNEL /k", "linux /k", "Initrd /i",
        "CONFIG x", "LOCALBOOT 0", "MENU LABEL x", "menu default x", "COM32 x",
    };

    /* In front of the first LABEL they end it all, and the next menu's turn is */
    for (int i = 0; i < ARRAY_SIZE(first); i++) {
        g_autofree char *menu = g_strdup_printf("# x\nTIMEOUT 10\n%s\n"
                                                "LABEL a\nKERNEL /a\n",
                                                first[i]);
        const char *const files[] = {
            EXT, menu, LST, "title L\nkernel /l\n", "/a", "", "/l", "", NULL,
        };
        g_auto(GStrv) words = g_strsplit(first[i], " ", 2);
        g_autofree char *says = g_strdup_printf("F " EXT ":3: %s is in front of "
                                                "the first LABEL", words[0]);

        check(files, says, "boots /a");
        check(files, "boots /l\n", NULL);
    }
    CHECK("boots /a\n", "front of", EXT, "SAY x\nPROMPT 1\nMENU TITLE x\n"
          "UI vesamenu.c32\nONTIMEOUT b\nTOTALTIMEOUT 9\nSERIAL 0\n"
          "LABEL a\nKERNEL /a\nLABEL b\nKERNEL /b\n", "/a", "", "/b", "");
    /* DEFAULT may be the name of a menu's program, and stand anywhere */
    CHECK("DEFAULT vesamenu.c32 is no LABEL of it", "boots /a", EXT,
          "DEFAULT vesamenu.c32\nLABEL a\nKERNEL /a\n", "/a", "");
    CHECK("boots /a\n", "no LABEL", EXT, "DEFAULT vesamenu.c32\nTIMEOUT 50\n"
          "LABEL a\nKERNEL /a\n", "/a", "");
    CHECK("boots /b\n", NULL, EXT, "LABEL a\nKERNEL /a\nLABEL b\n"
          "KERNEL /b\nDEFAULT B\n", "/a", "", "/b", "");
    CHECK("boots /a\n", NULL, EXT, "TIMEOUT 9\nLABEL a\nKERNEL /a\nLABEL b\n"
          "KERNEL /b\nDEFAULT B\n", "/a", "", "/b", "");
    CHECK("boots /b\n", NULL, EXT, "DEFAULT my linux\nLABEL a\nKERNEL /a\n"
          "LABEL my linux\nKERNEL /b\n", "/a", "", "/b", "");
    /* The last of each word counts; what is for a BIOS is no kernel */
    CHECK("boots /b\n", "/dev/vda1", EXT, "LABEL a\nKERNEL /a\nKERNEL /b\n"
          "APPEND root=/dev/vda1\nAPPEND root=/dev/xvda1\n", "/b", "");
    CHECK("boots /b\n", "memdisk", EXT, "TIMEOUT 1\nLABEL a\nKERNEL memdisk.bin\n"
          "LABEL c\nCOM32 chain.c32\nLABEL d\nLOCALBOOT 0x80\n"
          "LABEL b\nKERNEL /b\n", "/b", "");
    CHECK("boots /b.img\n", NULL, EXT, "LABEL a\nLINUX /b.img\n", "/b.img", "");
    CHECK("initrd, /i,/j, is not there", NULL, EXT, "LABEL a\nKERNEL /a\n"
          "APPEND initrd=/i,/j ro\n", "/a", "", "/i", "", "/j", "");
    /* Another menu, and text that has words in it */
    CHECK("boots /b\n", NULL, EXT, "LABEL a\nCONFIG other.cfg\n",
          "/boot/other.cfg", "LABEL b\nKERNEL /b\n", "/b", "");
    CHECK("boots /a\n", NULL, EXT, "LABEL a\nKERNEL /a\nTEXT HELP\n"
          "Kernel /c\nLabel c\nENDTEXT\nLABEL b\nKERNEL /b\n", "/a", "",
          "/b", "");
}

/* All that an entry needs, by whichever word; the other entries are told of */
static void test_files(void)
{
    CHECK("its first entry's initrd, /two, is not there", NULL, CFG,
          "menuentry x {\n linux /k ro\n initrd /one /two\n}\n", "/k", "k",
          "/one", "");
    CHECK("its first entry's initrd, /i, is not there", NULL, CFG,
          "menuentry x {\n linux16 /k ro\n initrd16 /i\n}\n", "/k", "k");
    CHECK("its first entry's initrd, /i, is not there", NULL, CFG,
          "menuentry x {\n linuxefi ($root)/k ro\n initrdefi ($root)/i\n}\n",
          "/k", "k");
    CHECK("I " LST ": line 5: entry 1, 'B', would not boot: its kernel, /b, is "
          "not there\nI " LST ": line 8: entry 2, 'C', would not boot: its "
          "initrd, /ci, is not there\n", "'A', would", LST,
          "default 0\ntitle A\nkernel /a\ntitle B\nkernel /b\n\ntitle C\n"
          "kernel /a\ninitrd /ci\n", "/boot/a", "k");
    CHECK("its first entry boots Xen itself, /xen.gz-2.6.18-8.el5", NULL, LST,
          "title x\nkernel /xen.gz-2.6.18-8.el5\nmodule /vmlinuz\n",
          "/xen.gz-2.6.18-8.el5", "x");
    CHECK("entry 1, 'X', would not boot: /xen-4.4-amd64.gz is Xen itself",
          "Xen itself, /", CFG,
          "menuentry 'A' {\n linux /xenial/vmlinuz ro\n}\nmenuentry 'X' {\n"
          "multiboot /xen-4.4-amd64.gz\n}\n", "/xenial/vmlinuz", "x");
    CHECK("boots /alone\n", NULL, CFG, "linux /alone ro\ninitrd /i\nboot\n");
}

/* A menu that leads to another, and a default that cannot boot */
static void test_chain(void)
{
    CHECK("I " LST " leads to /boot/grub/other.lst\n"
          "I /boot/grub/other.lst leads to /boot/grub/third.lst\n"
          "I /boot/grub/third.lst boots /c\n", "boots /a", LST,
          "title A\nconfigfile (hd0,0)/boot/grub/other.lst\ntitle X\n"
          "kernel /a\n", "/boot/grub/other.lst", "default 1\ntitle A\n"
          "kernel /a\ntitle B\nconfigfile /grub/third.lst\n",
          "/boot/grub/third.lst", "title C\nkernel /c\n", "/c", "k", "/a", "k");
    CHECK("I " CFG " leads to " CFG2 "\nI " CFG2 " boots /c\n", NULL, CFG,
          "search --set=root x\nconfigfile ($root)/boot/grub2/grub.cfg\n", CFG2,
          "menuentry 'A' {\n linux /c\n}\n", "/c", "k");
    /* Behind an entry it is the menu's, but not the entry's */
    CHECK("I " CFG " leads to " CFG2 "\n", "boots /a", CFG,
          "menuentry 'A' {\n linux /a\n}\nconfigfile /boot/grub2/grub.cfg\n",
          CFG2, "menuentry 'A' {\n linux /c\n}\n", "/c", "k");
    CHECK("boots /a\n", "leads", CFG, "if x; then\nconfigfile $prefix/c.cfg\n"
          "configfile /none.cfg\nfi\nmenuentry 'A' {\n linux /a\n}\n", "/a",
          "k");
    CHECK("F " LST ":0: it leads to another menu, /none, which is not there",
          NULL, LST, "title A\nconfigfile /none\n");
    CHECK("I /boot/grub/linux.cfg boots /c\n", NULL, CFG,
          "configfile /boot/grub/linux.cfg\n", "/boot/grub/linux.cfg",
          "menuentry 'A' {\n linux /c\n}\n", "/c", "k");
    /* In a circle */
    CHECK("leads to " LST, NULL, LST, "title A\nconfigfile " LST "\n");

    CHECK("I " LST ": line 4: the default entry, 'A', would not boot: its "
          "kernel, /a, is not there; the fallback, 'C', does\nI " LST " boots "
          "/c\n", "F " LST ":4", LST, "default 0\nfallback 1 2\ntitle A\n"
          "kernel /a\ntitle B\nkernel /b\ntitle C\nkernel /c\n", "/c", "k");
    CHECK("boots /c\n", "F " CFG, CFG, "set fallback=\"C d\"\n"
          "menuentry 'A' {\n linux /a\n}\nmenuentry 'C' {\n linux /c\n}\n",
          "/c", "k");
    CHECK("F " LST ":3: its first entry's kernel, /a, is not there", NULL, LST,
          "fallback 1\ntitle A\nkernel /a\ntitle B\nkernel /b\n");
    /* Another system's loader, which PV GRUB has no command for */
    CHECK("F " LST ":3: the default entry, 'W', has no kernel: PV GRUB stops at "
          "its menu\n", NULL, LST, "default 0\ntimeout 1\ntitle W\n"
          "chainloader +1\ntitle B\nkernel /b\n", "/b", "k");
    CHECK("I " LST ": line 3: the default entry, 'W', would not boot: it has no "
          "kernel; the fallback, 'B', does\n", "F " LST ":3", LST, "default 0\n"
          "fallback 1\ntitle W\nchainloader +1\ntitle B\nkernel /b\n", "/b",
          "k");
}

/* Words of old and of other menus */
static void test_words(void)
{
    CHECK("boots /k\n", "--", LST, "title A\nkernel --no-mem-option "
          "--type=linux /k ro\n", "/k", "k");
    CHECK("I " CFG ": line 2: the kernel is named by a variable, /boot/$k: it "
          "is not looked into", "F " CFG ":2", CFG,
          "menuentry A {\n linux /boot/$k ro\n initrd /boot/$i\n}\n");
    CHECK("boots /boot/k-2\n", "variable", CFG, "set ver=\"2\"\n"
          "set k=/boot/k-${ver}\nmenuentry A {\n set k=/other\n"
          " linux (hd0)$k ro\n initrd $none\n}\n", "/boot/k-2", "k");
    /* An entry's arguments; those that a loop or a function makes are told of */
    CHECK("I " CFG " boots /b c\n", "variable", CFG,
          "menuentry 'A b' --class x '/a' --unrestricted --id=y \"/b c\" {\n"
          " linux $3 root=/dev/xvda1\n initrd ${2}\n}\n", "/b c", "", "/a", "");
    CHECK("line 5: the kernel is named by a variable, $k: it is not looked "
          "into\n", "boots /b", CFG, "menuentry A /a /b { linux $2; }\n"
          "set default=1\nfor k in /boot/vmlinuz-*; do\n"
          "menuentry \"$k\" \"$k\" {\n linux $2\n}\ndone\n", "/b", "");
    CHECK("line 4: the kernel is named by a variable, $2: it is not looked "
          "into\n", NULL, CFG, "set default=1\nmenuentry A /a { linux $2; }\n"
          "function add { menuentry \"$1\" \"$2\" {\n linux $2\n} }\n"
          "add B /b\n", "/a", "");
    CHECK("I " CFG " leads to " CFG2 "\n", NULL, CFG,
          "search.fs_uuid c0ffee root hd0,gpt2\n"
          "set prefix=($root)'/boot/grub2'\nconfigfile $prefix/grub.cfg\n",
          CFG2, "menuentry A {\n linux /k\n}\n", "/k", "k");
    CHECK("F " CFG ":2: root= is /dev/vda1", NULL, CFG, "menuentry A {\n"
          " linux /k \\\n ro\\\n root=/dev/vda1\n initrd /i\n}\n", "/k", "k");
    CHECK(CFG ": line 7: entry 1", NULL, CFG, "menuentry A {\n"
          " linux /k \\\n ro\\\n root=/dev/vda1\n}\nmenuentry B {\n"
          "linux /b\n}\n\\\n\\", "/k", "k");
    CHECK("I " LST " boots /b\n", NULL, LST, "default=1\ntitle=Gentoo\n"
          "kernel=/a root=/dev/xvda1\ntitle= Other\nkernel = /b ro\n", "/b",
          "k");
    /* Files that are parts of it: one that is not there, and a circle */
    CHECK(CFG " boots /b\n", "/none", CFG, "set prefix=/boot/grub\n"
          "source ${config_directory}/custom.cfg\nsource /none\n"
          ". $prefix/real.cfg\nset default=B\n", "/boot/grub/real.cfg",
          "menuentry A {\n linux /a\n}\nsource /grub/more.cfg\n",
          "/boot/grub/more.cfg", "menuentry B {\n linux /b \\\n ro\n}\n"
          "source /boot/grub/real.cfg\nsource " CFG "\n", "/a", "", "/b", "");
    /* Several commands in a line of GRUB 2's */
    CHECK("I " CFG " boots /b\n", NULL, CFG, "set default=1; set timeout=1;\n"
          "menuentry 'A' { linux /a ; initrd /i; }\n"
          "menuentry \"B; { c }\" --class x { linux /b root=/dev/xvda1 ro;\n"
          " initrd /i\n}\n", "/a", "", "/b", "", "/i", "");
    CHECK("entry's initrd, /none, is not there", NULL, CFG,
          "menuentry A { linux /a; initrd /none; }", "/a", "");
    CHECK("I " CFG " boots /b\n", NULL, CFG, "set default=B\nsubmenu 'More' { "
          "menuentry A { linux /a; }\n menuentry B { linux /b; } }\n"
          "menuentry C { linux /c; }\n", "/a", "", "/b", "", "/c", "");
    CHECK("I " CFG " boots /b\n", NULL, CFG, "if [ -s $prefix/grubenv ]; then "
          "load_env; else set default=A; fi; set default=B\n"
          "menuentry A {\nlinux /a\n}\nmenuentry B {\nif [ x ]; then linux /b; "
          "fi\n}\n", "/a", "", "/b", "");
    CHECK("I " CFG " boots /b\n", NULL, CFG, "if true; then set default=B; fi\n"
          "menuentry A { linux /a; }\nmenuentry B { linux /b; }\n", "/a", "",
          "/b", "");
    /* Debian's package extlinux */
    CHECK("I /boot/extlinux/extlinux.conf boots /vmlinuz-2\n", "is not there",
          "/boot/extlinux/extlinux.conf", "default l1\ninclude linux.cfg\n"
          "menu include extlinux.conf\n", "/boot/extlinux/linux.cfg",
          "label l0\n kernel /vmlinuz-1\nlabel l1\n kernel /vmlinuz-2\n",
          "/vmlinuz-1", "k", "/vmlinuz-2", "k");
}

/* Fedora's and RHEL 8's */
static void test_bls(void)
{
#define ENTRY(version, more) "/boot/loader/entries/id-" version ".conf", \
        "title T (" version ")\nlinux /vmlinuz-" version "\n" \
        "initrd /i-" version " $tuned_initrd\noptions " more "\n"
#define BLS ENTRY("5.9.1-2.fc31", "a"), ENTRY("5.14.0-70.el9", "a"), \
        ENTRY("5.14.0-70.13.1.el9", "$kernelopts"), ENTRY("0-rescue", "a")
    CHECK("I " CFG2 " boots /vmlinuz-5.14.0-70.13.1.el9\n", NULL,
          CFG2, "blscfg\n", BLS);
    CHECK("id-5.14.0-70.13.1.el9.conf:2: root= is /dev/vda1, which is not a "
          "Xen disk", NULL, CFG2, "blscfg\n", BLS,
          "/boot/grub2/grubenv", "kernelopts=root=/dev/vda1 ro\n");
    CHECK("boots /vmlinuz-5.9.1-2.fc31\n", NULL, CFG2,
          "set default=\"${saved_entry}\"\nblscfg\n", BLS,
          "/boot/grub2/grubenv", "saved_entry=id-5.9.1-2.fc31\n");
    CHECK("its first entry's initrd, /i-5.14.0-70.13.1.el9, is not there", NULL,
          CFG2, "blscfg\n", BLS, "/boot/vmlinuz-5.14.0-70.13.1.el9", "k");
    CHECK("entry 3, 'T (0-rescue)', would not boot", NULL, CFG2, "blscfg\n",
          BLS);
}

/* A disk that is handed over as sda has three names, by the kernel's version */
static void test_disk_names(void)
{
#define NAMES(kernel) CFG, \
        "menuentry x {\n linux " kernel " root=/dev/sda1 ro\n}\n", kernel, "k"
#define XVDA "since 2.6.23, which has xvda1 for vdev=sda1"
#define XVDE "since 2.6.23, which has xvde1 for vdev=sda1"
#define SDA  "root= is /dev/sda1: that is right with Xen's own Linux"
    CHECK(XVDA, NULL, NAMES("/boot/vmlinuz-6.1.0-13-amd64"));
    CHECK(XVDA, NULL, NAMES("/boot/vmlinuz-2.6.32-5-amd64"));
    CHECK(XVDA, NULL, NAMES("/boot/vmlinuz-3.2.0-4-amd64"));
    CHECK(XVDE, NULL, NAMES("/boot/vmlinuz-2.6.32-754.el6.x86_64"));
    CHECK(XVDE, NULL, NAMES("/boot/vmlinuz-2.6.38-8-server"));
    CHECK(XVDE, NULL, NAMES("/boot/vmlinuz-3.0.0-12-virtual"));
    CHECK(SDA, "since 2.6.23", NAMES("/boot/vmlinuz-2.6.18-8.el5xen"));
    CHECK(SDA, "since 2.6.23", NAMES("/boot/vmlinuz-2.6.32.59-0.7-xen"));
    CHECK("/etc/fstab:1: what is mounted on / is /dev/sdb2: that is no name of "
          "a Xen disk of Linux since 2.6.23, which has xvdf2 for vdev=sdb2",
          NULL, CFG, "menuentry x {\n linux /vmlinuz-3.0.0-12 ro\n}\n",
          "/vmlinuz-3.0.0-12", "k", "/etc/fstab", "/dev/sdb2 / ext3\n");
}

/* Whatever is in it, it comes to an end, and reads nothing beyond the text */
static void test_random(void)
{
    static const char seed[] =
        "set default=\"1>0\"\nsubmenu 'x' {\nmenuentry 'a b' --id q {\n"
        "linux (hd0)/k root=/dev/sda1\ninitrd /i\n}\n}\nblscfg\ntitle x\n"
        "set a=$b${a}\nconfigfile $a/boot/grub/grub.cfg\nfallback 1 2\n";
    static const char odd[] = "{}'\"()>=$\n /\xc3";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20081125);

    for (int i = 0; i < 5000; i++) {
        g_autofree char *text = g_strdup(seed);
        const char *files[] = {
            CFG, text, "/boot/loader/entries/a.conf", text,
            "/boot/loader/entries/a.1.conf", text, NULL,
        };

        for (int j = g_rand_int_range(rand, 1, 8); j; j--) {
            text[g_rand_int_range(rand, 0, sizeof(seed) - 1)] =
                odd[g_rand_int_range(rand, 0, sizeof(odd) - 1)];
        }
        check(files, "", NULL);
    }
}

/*
 * A guest's files name each other, so that a few lines mean far more words than
 * there are bytes in them: what is kept of them has a bound
 */
static void test_much(void)
{
    g_autofree char *opts = g_strnfill(64 * 1024, 'x');
    g_autofree char *env = g_strconcat("kernelopts=", opts, "\n", NULL);
    g_autoptr(GString) entry = g_string_new("linux /k\n");
    const char *files[] = {
        CFG2, "blscfg\n", "/boot/grub2/grubenv", env,
        "/boot/loader/entries/a.conf", NULL, NULL,
    };
    Fake fake = {
        .f = { fake_read, fake_list, fake_finding, fake_fact },
        .files = files, .out = g_string_new(NULL),
    };
    g_autoptr(Menu) m = NULL;
    size_t len = 0;

    for (int i = 0; i < 1000; i++) {
        g_string_append(entry, "options $kernelopts $kernelopts\n");
    }
    files[5] = entry->str;
    m = menu_read(&fake.f);
    g_assert_nonnull(m->chosen);
    for (unsigned i = 0; i < m->chosen->args->len; i++) {
        len += strlen(m->chosen->args->pdata[i]);
    }
    g_assert_cmpuint(len, >, 64 * 1024);
    g_assert_cmpuint(len, <=, 1024 * 1024);
    g_string_free(fake.out, true);
}

/* Variables of each other's values: a few bytes a line, each adding much */
static void test_growth(void)
{
    g_autoptr(GString) text = g_string_new("set b=");
    const char *files[] = { CFG, NULL, NULL };
    Fake fake = {
        .f = { fake_read, fake_list, fake_finding, fake_fact },
        .files = files, .out = g_string_new(NULL),
    };
    g_autoptr(Menu) m = NULL;

    for (int i = 0; i < 4095; i++) {
        g_string_append_c(text, 'x');
    }
    g_string_append_c(text, '\n');
    for (int i = 0; i < 20000; i++) {
        g_string_append(text, "set a=$b$a$a\n");
    }
    g_string_append(text, "menuentry A {\n linux $a\n}\n");
    files[1] = text->str;
    m = menu_read(&fake.f);
    g_assert_cmpuint(strlen(m->chosen->kernel), ==, 4096);
    g_string_free(fake.out, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/menu/default", test_default);
    g_test_add_func("/xenpv/menu/files", test_files);
    g_test_add_func("/xenpv/menu/extlinux", test_extlinux);
    g_test_add_func("/xenpv/menu/extlinux-words", test_extlinux_words);
    g_test_add_func("/xenpv/menu/console", test_console);
    g_test_add_func("/xenpv/menu/chain", test_chain);
    g_test_add_func("/xenpv/menu/words", test_words);
    g_test_add_func("/xenpv/menu/bls", test_bls);
    g_test_add_func("/xenpv/menu/disk-names", test_disk_names);
    g_test_add_func("/xenpv/menu/much", test_much);
    g_test_add_func("/xenpv/menu/growth", test_growth);
    g_test_add_func("/xenpv/menu/random", test_random);
    return g_test_run();
}
