# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot from disk: nothing but -hda, PV GRUB does the rest"""

import os

from xenpv import image
from xenpv.testcase import GuestTest, guests, paths


class DiskTest(GuestTest):
    parts = ('functional',)

    def boot(self, disk, *options, arch='x86_64'):
        # Where an administrator may put GRUB; else it is Debian's grub-xen-host
        return self.start('-L', paths.ASSETS, '-m', '256M', '-hda', disk,
                          *options, arch=arch)


class BootDisk(DiskTest):
    label = 'boot-disk'

    def linux(self, tree, disk):
        guest = self.boot(disk)
        image.log_in(guest)
        status, output = guest.shell('cat /proc/cmdline; cat /proc/mounts')
        self.assertIn('root=/dev/xvda', output)
        self.assertRegex(output, r'/dev/xvda1? / ext[34] rw')
        guest.type('poweroff\n')
        self.assert_status(guest, 0)

    def test_grub_legacy(self):
        """An image with GRUB legacy's menu.lst, as RHEL 5 and SLES 11 have it,
        does not boot by itself"""
        tree = image.linux_tree('menu-lst')
        image.add_boot(tree)
        tree.file('boot/grub/menu.lst', image.menu_lst())
        self.linux(tree, tree.disk(80))

    def test_grub_2(self):
        """An image with GRUB 2's grub.cfg does not boot by itself, here one
        that is a file system without a partition table"""
        tree = image.linux_tree('grub-cfg')
        image.add_boot(tree)
        tree.file('boot/grub/grub.cfg',
                  image.grub_cfg(append='root=/dev/xvda ro console=hvc0'))
        self.linux(tree, tree.file_system(80, 'ext4'))

    def test_grub_2_i386(self):
        """A 32-bit image's grub.cfg is not read on qemu-system-i386"""
        tree = image.Tree('cfg-i386')
        tree.file('boot/grub/grub.cfg', 'echo it is $grub_cpu\nhalt\n')
        guest = self.boot(tree.disk(8), arch='i386')
        guest.expect('it is i386', 60)
        self.assert_status(guest, 0)

    def test_grub_legacy_i386(self):
        """A 32-bit image's menu.lst is not read, or GRUB of the width that
        boot-width asks for is not taken"""
        tree = image.Tree('lst-i386')
        tree.file('grub/menu.lst',
                  'timeout 0\ntitle Stand-in\nroot (hd0,0)\n'
                  'pause it is a menu of GRUB legacy\n')
        guest = self.boot(tree.disk(8), '-machine', 'boot-width=32')
        guest.expect('pvboot-i386.elf.*it is a menu of GRUB legacy', 60)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_lvm(self):
        """An image whose /boot is on an LVM volume does not boot by itself"""
        tree = image.Tree('lvm')
        tree.copy('boot/vmlinuz-6.1', guests.linux('6.1'))
        tree.copy('boot/initrd.img-6.1', guests.linux_initramfs())
        # As grub-mkconfig of Debian's writes it
        tree.file('boot/grub/grub.cfg', "insmod lvm\nset root='lvm/vg0-root'\n"
                  + image.grub_cfg(append='console=hvc0 on=$root'))
        guest = self.boot(image.lvm(tree.file_system(32), first=image.FIRST))
        guest.expect('guest# ', 90)
        status, output = guest.shell('cat /proc/cmdline')
        self.assertIn('on=lvm/vg0-root', output)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_lvm_i386(self):
        """The same with a 32-bit GRUB, here on a disk that has no partitions"""
        tree = image.Tree('lvm-i386')
        tree.file('boot/grub/grub.cfg', 'echo it is on $root\nhalt\n')
        guest = self.boot(image.lvm(tree.file_system(8)), arch='i386')
        guest.expect('it is on lvm(id)?/', 60)
        self.assert_status(guest, 0)

    def test_nothing_to_boot(self):
        """A disk with nothing to boot leaves one in front of a prompt without
        a word"""
        tree = image.Tree('nothing')
        tree.file('etc/motd', 'no kernel here\n')
        for arch in ('i386', 'x86_64'):
            guest = self.boot(tree.disk(8) if arch == 'i386' else
                              paths.result('functional/nothing.img'),
                              arch=arch)
            guest.expect('Nothing to boot: no disk has a boot/grub/grub.cfg or '
                         r'boot/grub/menu.lst.*boot-width.*grub> ', 60)
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    def test_no_grub(self):
        """Without a PV GRUB there is no hint what to install"""
        if os.path.exists('/usr/lib/grub-xen'):
            self.skipTest('grub-xen-host is installed')
        tree = image.Tree('no-grub')
        tree.file('etc/motd', '')
        status, output = self.run_qemu('-m', '64M', '-drive',
                                       'format=raw,file=' + tree.disk(8))
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r'^qemu-system-x86_64: [^\n]*grub-xen-host'
                         r'[^\n]*-kernel[^\n]*\n\Z')

    def test_boot_width(self):
        """A width that does not exist, or that the emulator does not have, is
        accepted"""
        for arch, width in (('x86_64', '16'), ('i386', '64')):
            status, output = self.run_qemu('-machine', 'boot-width=' + width,
                                           arch=arch)
            self.assertEqual(status, 1, output)
            self.assertIn("boot-width: '%s' is not one of" % width, output)


class BootDisk32(DiskTest):
    """A kernel of the user's own, since Debian has no 32-bit PV Linux"""
    label = 'boot-disk-32'

    def test_linux(self):
        """A 32-bit Linux does not boot from a disk by GRUB legacy's menu"""
        tree = image.Tree('linux-32')
        tree.copy('boot/vmlinuz', guests.linux32())
        tree.copy('boot/initrd', guests.initrd32())
        tree.file('boot/grub/menu.lst', 'timeout 0\ntitle 32\nroot (hd0,0)\n'
                  'kernel /boot/vmlinuz console=hvc0\ninitrd /boot/initrd\n')
        guest = self.boot(tree.disk(64), arch='i386')
        self.wait_for_any_shell(guest)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)
