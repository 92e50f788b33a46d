/*
 * PV GRUB's configuration in a machine without -kernel, in GRUB's own language
 *
 * A menu that was made for pygrub, or for the boot loader of a real machine,
 * names devices as they were there, and still has to boot. pygrub ignores the
 * devices, and takes files from where the menu is. So here each command that
 * takes a file looks for it: first where the menu says, if it is GRUB 2's, or
 * beside the menu, if it is GRUB legacy's; then beside the menu, and then on
 * all disks.
 *
 * For that, linux, initrd and so on are functions. GRUB would prefer its own
 * commands of the same names, so xenpv_grub_edit() gives those other names,
 * with the last letter a capital. Where it could not change GRUB, the functions
 * are never called, and paths are what the menu says.
 *
 * All variables are global to a menu. A menu within a menu has its own ones,
 * which begin as copies of those that are exported.
 *
 *   order  all disks in the guest's order, each before its partitions; in
 *          brackets each
 *   own    the disk or partition with the menu, without brackets
 *   top    the directory there that is the guest's /: "" or a btrfs subvolume
 *   first  where to look first, in brackets: "" or own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "xenpv-grub.h"

/*
 * locate FILE: sets root and file to where FILE is. If it is nowhere, it
 * returns false and sets file to FILE. A device may come first,
 * "(hd0,1)/boot/vmlinuz".
 */
#define LOCATE \
    "function locate {\n" \
    "  set path=\"$1\"\n" \
    "  set here=\"$root\"\n" \
    "  if regexp --set=1:here --set=2:path '^\\(([^)]*)\\)(/.*)$' \"$1\"\n" \
    "  then true; fi\n" \
    "  for dev in $first ($here) ($own) $order; do\n" \
    "    for up in \"\" $top; do\n" \
    "      if [ -f \"$dev$up$path\" ]; then\n" \
    "        regexp --set=1:root '^.(.*).$' \"$dev\"\n" \
    "        set file=\"$up$path\"\n" \
    "        return 0\n" \
    "      fi\n" \
    "    done\n" \
    "  done\n" \
    "  set file=\"$1\"\n" \
    "  return 1\n" \
    "}\n"

/* While a BLS entry is read, linux and initrd are its words, not commands */
#define LOADERS \
    "function linux {\n" \
    "  if [ \"$reading\" ]; then set bls_linux=\"$*\"; return 0; fi\n" \
    "  locate \"$1\"; shift; linuX \"$file\" \"$@\"\n" \
    "}\n" \
    "function initrd {\n" \
    "  if [ \"$reading\" ]; then\n" \
    "    set bls_initrd=\"$bls_initrd $*\"\n" \
    "    return 0\n" \
    "  fi\n" \
    "  set files=\n" \
    "  for f in \"$@\"; do\n" \
    "    if locate \"$f\"; then set files=\"$files ($root)$file\"\n" \
    "    else set files=\"$files $f\"; fi\n" \
    "  done\n" \
    "  initrD $files\n" \
    "}\n" \
    /* RHEL 7's names, for a BIOS and for EFI */ \
    "function linux16 { linux \"$@\"; }\n" \
    "function linuxefi { linux \"$@\"; }\n" \
    "function initrd16 { initrd \"$@\"; }\n" \
    "function initrdefi { initrd \"$@\"; }\n" \
    /* What GRUB makes of GRUB legacy's kernel and initrd */ \
    "function legacy_kernel {\n" \
    "  set options=\n" \
    "  while regexp '^x--' \"x$1\"; do\n" \
    "    set options=\"$options $1\"\n" \
    "    shift\n" \
    "  done\n" \
    "  locate \"$1\"; shift; legacy_kerneL $options \"$file\" \"$@\"\n" \
    "}\n" \
    "function legacy_initrd {\n" \
    "  locate \"$1\"; shift; legacy_initrD \"$file\" \"$@\"\n" \
    "}\n" \
    "function legacy_initrd_nounzip {\n" \
    "  locate \"$1\"; shift; legacy_initrd_nounziP \"$file\" \"$@\"\n" \
    "}\n" \
    /* A menu that leads to another one */ \
    "function configfile {\n" \
    "  if locate \"$1\"; then set own=\"$root\"; fi\n" \
    "  set first=\n" \
    "  configfilE \"$file\"\n" \
    "}\n" \
    "function legacy_configfile {\n" \
    "  if locate \"$1\"; then set own=\"$root\"; fi\n" \
    "  set first=\"($own)\"\n" \
    "  legacy_configfilE \"$file\"\n" \
    "}\n"

/*
 * Fedora's and RHEL 8's menus have no entries, but a command, blscfg, which
 * makes them from the files in a directory, those of the Boot Loader
 * Specification. PV GRUB has no such command. The words of such a file are
 * functions here, so that the file can be read like a script.
 *
 * newer A B: is A the name of a later version than B, by RPM's rules? It makes
 * the latest entry the first, and a rescue one the last.
 */
#define BLS \
    "function title { set bls_title=\"$*\"; }\n" \
    "function version { set bls_version=\"$*\"; }\n" \
    "function options { set bls_options=\"$bls_options $*\"; }\n" \
    "function id { true; }\n" \
    "function grub_users { true; }\n" \
    "function grub_arg { true; }\n" \
    "function grub_class { true; }\n" \
    "function newer {\n" \
    "  set a=\"$1\"\n" \
    "  set b=\"$2\"\n" \
    "  while [ \"$a\" != \"$b\" ]; do\n" \
    "    regexp --set=1:a1 --set=2:a2 --set=3:a -- " SEGMENTS " \"$a\"\n" \
    "    regexp --set=1:b1 --set=2:b2 --set=3:b -- " SEGMENTS " \"$b\"\n" \
    "    if [ \"$a1\" != \"$b1\" ]; then\n" \
    "      if [ -z \"$a1\" ]; then test \"$a2\"; return $?; fi\n" \
    "      if [ -z \"$b1\" ]; then test -z \"$b2\"; return $?; fi\n" \
    "      test \"$a1\" '>' \"$b1\"; return $?\n" \
    "    fi\n" \
    "    if [ \"$a2\" != \"$b2\" ]; then\n" \
    "      if [ -z \"$a2\" ]; then return 1; fi\n" \
    "      if [ -z \"$b2\" ]; then return 0; fi\n" \
    "      test \"$a2\" -gt \"$b2\"; return $?\n" \
    "    fi\n" \
    "  done\n" \
    "  return 1\n" \
    "}\n" \
    "function bls_entry {\n" \
    "  set bls_title=; set bls_version=\n" \
    "  set bls_linux=; set bls_initrd=; set bls_options=\n" \
    "  set reading=y\n" \
    "  source \"$1\"\n" \
    "  set reading=\n" \
    "  if [ -z \"$bls_linux\" ]; then return 0; fi\n" \
    "  if [ -z \"$bls_title\" ]; then\n" \
    "    set bls_title=\"Linux $bls_version\"\n" \
    "  fi\n" \
    "  menuentry \"$bls_title\" --id \"$2\" \"$3\" \"$bls_linux\" " \
    "\"$bls_initrd\" \"$bls_options\" {\n" \
    "    set root=\"$2\"\n" \
    "    linux $3 $5\n" \
    "    if [ \"$4\" ]; then initrd $4; fi\n" \
    "  }\n" \
    "}\n" \
    "function blscfg {\n" \
    "  for bdev in ($root) ($own) $order; do\n" \
    "    for bdir in $blsdir /loader/entries /boot/loader/entries " \
    "$top/boot/loader/entries; do\n" \
    "      set ids=\n" \
    "      for f in $bdev$bdir/" "*.conf; do\n" \
    "        if [ -f \"$f\" ]; then\n" \
    "          regexp --set=1:id '([^/]*).conf$' \"$f\"\n" \
    "          set ids=\"$ids $id\"\n" \
    "        fi\n" \
    "      done\n" \
    "      if [ \"$ids\" ]; then bls_entries; return 0; fi\n" \
    "    done\n" \
    "  done\n" \
    "}\n" \
    /* Makes the entries of ids, the latest first */ \
    "function bls_entries {\n" \
    "  regexp --set=1:bls_root '^.(.*).$' \"$bdev\"\n" \
    "  while [ \"$ids\" ]; do\n" \
    "    set best=\n" \
    "    for id in $ids; do\n" \
    "      if [ -z \"$best\" ]; then set best=\"$id\"\n" \
    "      elif newer \"$id\" \"$best\"; then set best=\"$id\"; fi\n" \
    "    done\n" \
    "    set rest=\n" \
    "    for id in $ids; do\n" \
    "      if [ \"$id\" != \"$best\" ]; then set rest=\"$rest $id\"; fi\n" \
    "    done\n" \
    "    set ids=\"$rest\"\n" \
    "    bls_entry \"$bdev$bdir/$best.conf\" \"$best\" \"$bls_root\"\n" \
    "  done\n" \
    "}\n"
#define SEGMENTS "'^[^0-9A-Za-z]*([A-Za-z]*)([0-9]*)(.*)$'"

/* GRUB lists a disk before its partitions, and these from the last one on */
#define ORDER \
    "set order=\n" \
    "set parts=\n" \
    "for dev in (*); do\n" \
    "  if regexp '^.(memdisk|proc)' \"$dev\"; then true\n" \
    "  elif regexp ',' \"$dev\"; then set parts=\"$dev $parts\"\n" \
    "  else set order=\"$order $parts $dev\"; set parts=; fi\n" \
    "done\n" \
    "set order=\"$order $parts\"\n" \
    "export order own top first\n"

/*
 * First look for another GRUB, which a guest may have installed for just that
 * purpose; then for menus, disk by disk, in pygrub's order: GRUB 2's,
 * EXTLINUX's, and GRUB legacy's. What "grub2-set-default" and RHEL 8 keep for
 * the menu is read from beside it. "next_entry" is not: it is for one boot
 * only, and could not be removed.
 *
 * If nothing boots, it ends at GRUB's prompt, as Debian's own does.
 */
const char xenpv_grub_config[] =
    LOCATE LOADERS BLS ORDER
    "for f in /boot/xen/pvboot-$grub_cpu.elf /xen/pvboot-$grub_cpu.elf; do\n"
    "  if search -s -f $f; then multiboot $f; boot; fi\n"
    "done\n"
    "function menu {\n"
    "  if [ -f \"$1/$2\" ]; then true; else return 1; fi\n"
    "  set root=\"$own\"\n"
    "  set first=\n"
    "  if [ -f \"$1/grubenv\" ]; then\n"
    "    load_env -f \"$1/grubenv\" saved_entry kernelopts tuned_params "
    "tuned_initrd\n"
    "    export saved_entry kernelopts tuned_params tuned_initrd\n"
    "  fi\n"
    "  if [ $2 = grub.cfg ]; then configfile \"$1/$2\"\n"
    "  else legacy_configfile \"$1/$2\"; fi\n"
    "}\n"
    "for d in $order; do\n"
    "  regexp --set=1:own '^.(.*).$' \"$d\"\n"
    "  for t in \"\" /@ /@rootfs /root $d/@/.snapshots/" "*/snapshot; do\n"
    "    set top=\"$t\"\n"
    "    if regexp --set=1:top '^\\([^)]*\\)(/.*)$' \"$t\"; then true; fi\n"
    "    for dir in /boot/grub /grub /boot/grub2 /grub2; do\n"
    "      menu \"$d$top$dir\" grub.cfg\n"
    "    done\n"
    "    for f in /boot/isolinux/isolinux.cfg /boot/extlinux/extlinux.conf "
    "/boot/extlinux.conf /extlinux/extlinux.conf /extlinux.conf; do\n"
    "      if [ -f \"$d$top$f\" ]; then\n"
    "        set root=\"$own\"\n"
    "        syslinux_configfile -r \"$d$top/\" \"$d$top$f\"\n"
    "      fi\n"
    "    done\n"
    "    for dir in /boot/grub /grub; do\n"
    "      menu \"$d$top$dir\" menu.lst\n"
    "      menu \"$d$top$dir\" grub.conf\n"
    "    done\n"
    "  done\n"
    "done\n"
    "echo \"Nothing to boot: no disk has a boot/grub/grub.cfg or "
    "boot/grub/menu.lst that works\"\n"
    "echo \"with this GRUB ($grub_cpu). For a guest of the other width, see "
    "the machine's boot-width.\"\n";
