# SPDX-License-Identifier: GPL-2.0-or-later
"""Menus that were made for pygrub or for a real machine boot by PV GRUB"""

import os
import shutil
import subprocess

from xenpv import image
from xenpv.testcase import GuestTest, guests, paths

# Fedora's, as kernel-install writes them
BLS = '''title Stand-in Linux (%(version)s) 35 (Thirty Five)
version %(version)s
linux /vmlinuz-%(version)s
initrd /initramfs-%(version)s.img $tuned_initrd
options console=hvc0 entry=%(version)s $kernelopts
id standin-%(version)s
grub_users $grub_users
grub_arg --unrestricted
grub_class kernel
'''


class MenuTest(GuestTest):
    parts = ('functional',)

    def tree(self, prefix='boot/', version='6.1'):
        tree = image.Tree(self.name().replace('/', '-'))
        tree.copy('%svmlinuz-%s' % (prefix, version), guests.linux('6.1'))
        tree.copy('%sinitramfs-%s.img' % (prefix, version),
                  guests.linux_initramfs())
        return tree

    def swap(self):
        """A volume that is no file system, as xen-tools' guests have first"""
        path = paths.result('functional/%s.swap'
                            % self.name().replace('/', '-'))
        with open(path, 'wb') as f:
            f.truncate(1 << 20)
            f.seek(4096 - 10)
            f.write(b'SWAPSPACE2')
        return path

    def start_disks(self, *disks, arch='x86_64', options=()):
        drives = []
        for disk in disks:
            drives += '-drive', 'if=xen,format=raw,file=' + disk
        return self.start('-L', paths.ASSETS, '-m', '256M', *drives, *options,
                          arch=arch)

    def command_line(self, *disks):
        """Boots to the initramfs' shell; returns the kernel's command line"""
        guest = self.start_disks(*disks)
        guest.expect('guest# ', 120)
        status, output = guest.shell('cat /proc/cmdline')
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)
        return output


class BootMenu(MenuTest):
    label = 'boot-menu'

    def test_no_partitions(self):
        """A menu with root (hd0,0) does not boot from a volume without a
        partition table, here behind a swap volume, as xen-tools makes them"""
        tree = self.tree()
        tree.file('boot/grub/menu.lst', 'default 0\ntimeout 1\ntitle Debian\n'
                  'root (hd0,0)\nkernel /boot/vmlinuz-6.1 console=hvc0 ro\n'
                  'initrd /boot/initramfs-6.1.img\n')
        self.assertIn('console=hvc0 ro',
                      self.command_line(self.swap(), tree.file_system(40)))

    def test_set_root(self):
        """A grub.cfg with a set root= that is another disk here, and with RHEL
        7's linux16 and initrd16, does not boot"""
        tree = self.tree()
        tree.file('boot/grub2/grub.cfg', 'set timeout=1\n'
                  'menuentry "CentOS Linux (3.10.0)" {\n  set root=(hd0)\n'
                  '  linux16 /boot/vmlinuz-6.1 console=hvc0 ro\n'
                  '  initrd16 /boot/initramfs-6.1.img\n}\n')
        self.assertIn('console=hvc0 ro',
                      self.command_line(self.swap(), tree.disk(40)))

    def test_extlinux(self):
        """EXTLINUX's menu, which pygrub reads, does not boot, or another entry
        of it, or without what its paths mean"""
        tree = self.tree()
        tree.file('boot/extlinux/extlinux.conf', '# EXTLINUX\nDEFAULT second\n'
                  'TIMEOUT 10\nPROMPT 0\nLABEL first\n  KERNEL /boot/none\n'
                  'LABEL second\n  MENU LABEL Debian\n'
                  '  KERNEL ../vmlinuz-6.1\n'
                  '  APPEND initrd=/boot/initramfs-6.1.img console=hvc0 ro x=1\n')
        tree.file('boot/grub/menu.lst', 'timeout 0\ntitle Not this one\npause\n')
        self.assertIn('console=hvc0 ro x=1',
                      self.command_line(self.swap(), tree.disk(40)))

    def test_bls(self):
        """Fedora's and RHEL 8's entries do not boot, the newest is not the
        first, or the one that is saved in grubenv not the default"""
        tree = self.tree('', '5.14.0-70.13.1.el9')
        tree.copy('vmlinuz-5.14.0-70.9.el9', guests.linux('6.1'))
        tree.copy('initramfs-5.14.0-70.9.el9.img', guests.linux_initramfs())
        for version in ('0-rescue-c0ffee', '5.14.0-70.9.el9',
                        '5.14.0-70.13.1.el9', '5.9.16-200.fc33'):
            tree.file('loader/entries/c0ffee-%s.conf' % version,
                      BLS % dict(version=version))
        tree.file('grub2/grub.cfg', 'set timeout=1\nload_env\n'
                  'set default="${saved_entry}"\ninsmod blscfg\nblscfg\n')
        disk = tree.disk(64)
        guest = self.start_disks(disk)
        # The newest first
        guest.expect(r'\(5.14.0-70.13.1.el9\).*\(5.14.0-70.9.el9\).*'
                     r'\(5.9.16-200.fc33\).*\(0-rescue-c0ffee\)', 60)
        guest.expect('guest# ', 120)
        status, output = guest.shell('cat /proc/cmdline')
        self.assertIn('entry=5.14.0-70.13.1.el9', output)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_bls_saved(self):
        """An entry that is chosen in grubenv, or the options in there, are not
        those that boot, or a file is not where its entry's disk has it"""
        tree = self.tree('boot/', '4.18.0-80.el8')
        for version in '4.18.0-80.el8', '4.18.0-147.el8':
            tree.file('boot/loader/entries/c0ffee-%s.conf' % version,
                      (BLS % dict(version=version)).replace(' /', ' /boot/'))
        env = ('# GRUB Environment Block\nsaved_entry=c0ffee-4.18.0-80.el8\n'
               'kernelopts=root=/dev/xvda1 kept\n')
        tree.file('boot/grub2/grubenv', env.ljust(1024, '#'))
        tree.file('boot/grub2/grub.cfg', 'set timeout=1\nset root=hd5,msdos1\n'
                  'set default="${saved_entry}"\nblscfg\n')
        self.assertIn('console=hvc0 entry=4.18.0-80.el8 root=/dev/xvda1 kept',
                      self.command_line(tree.file_system(40)))


class MenuWords(MenuTest):
    """Without a Linux: the same for both widths of GRUB"""
    label = 'menu-words'
    archs = 'x86_64', 'i386'

    def seen(self, tree, pattern, *before, kind='ext3', size=8):
        disk = tree.disk(size, kind)
        for arch in self.archs:
            guest = self.start_disks(*before, disk, arch=arch)
            guest.expect(pattern, 60)
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    def test_default(self):
        """The second entry of a GRUB legacy's menu does not boot where it is
        the default"""
        tree = image.Tree('menu-default')
        tree.file('boot/grub/menu.lst', 'default=1\ntimeout=0\n'
                  'title=A\nprint it is A\npause\n'
                  'title=B\nprint it is B\npause\n')
        self.seen(tree, 'it is B')

    def test_default_saved(self):
        """"default saved" of GRUB legacy's, which PV GRUB has no file for,
        boots nothing"""
        tree = image.Tree('menu-saved')
        tree.file('boot/grub/menu.lst', 'default saved\ntimeout 0\n'
                  'title A\nprint it is A\npause\n'
                  'title B\nprint it is B\npause\n')
        self.seen(tree, 'it is A')

    def test_extlinux(self):
        """EXTLINUX's menus are not found where pygrub looks"""
        for path in 'boot/extlinux.conf', 'extlinux.conf':
            tree = image.Tree('menu-extlinux')
            tree.file(path, 'TIMEOUT 600\nINCLUDE part.cfg\n')
            part = os.path.join(os.path.dirname(path), 'part.cfg')
            tree.file(part, 'LABEL a\nMENU LABEL it is the menu\n'
                      'KERNEL /boot/none\n')
            self.seen(tree, 'it is the menu')

    def test_extlinux_refused(self):
        """What --check says of EXTLINUX's menus is not what GRUB does: without
        a LABEL in front of APPEND, or a DEFAULT that is none and no TIMEOUT,
        the next menu's turn comes"""
        for menu in ('APPEND ro\nTIMEOUT 1\nLABEL a\nKERNEL /boot/none\n',
                     'DEFAULT vesamenu.c32\nLABEL a\nKERNEL /boot/none\n'):
            tree = image.Tree('menu-refused')
            tree.file('boot/extlinux.conf', menu)
            tree.file('boot/grub/menu.lst', 'timeout 0\ntitle A\n'
                      'print it is the next one\npause\n')
            self.seen(tree, 'it is the next one')

    def test_fallback(self):
        """A menu's fallback does not boot when its default cannot"""
        tree = image.Tree('menu-fallback')
        tree.file('boot/grub/menu.lst', 'default 0\nfallback 1\ntimeout 0\n'
                  'title A\nroot (hd0,0)\nkernel /boot/nothing ro\n'
                  'title B\nprint it is B\npause\n')
        self.seen(tree, 'it is B')

    def test_chain(self):
        """A menu does not lead to another one, or what is beside that is not
        found"""
        tree = image.Tree('menu-chain')
        tree.file('boot/grub/menu.lst', 'timeout 0\ntitle A\n'
                  'configfile (hd0,0)/boot/grub/other.lst\n')
        tree.file('boot/grub/other.lst', 'timeout 0\ntitle B\n'
                  'configfile /boot/grub/third.lst\n')
        tree.file('boot/grub/third.lst', 'timeout 0\ntitle C\n'
                  'print it is C\npause\n')
        self.seen(tree, 'it is C', self.swap())

    def test_chain_2(self):
        """The same with GRUB 2's, by a variable and in a line that goes on"""
        tree = image.Tree('menu-chain-2')
        tree.file('boot/grub/grub.cfg', 'set root=(hd0)\n'
                  "set prefix=($root)'/boot/grub'\n"
                  'configfile \\\n  $prefix/custom.cfg\n')
        tree.file('boot/grub/custom.cfg', 'echo it is custom\nsleep 60\n')
        self.seen(tree, 'it is custom', self.swap())

    def test_source(self):
        """A menu whose parts are in other files, or whose commands in one line,
        is not what boots"""
        tree = image.Tree('menu-source')
        tree.file('boot/grub/grub.cfg', 'set default=B; set timeout=0\n'
                  'source /boot/grub/real.cfg\n')
        tree.file('boot/grub/real.cfg', 'menuentry A { echo it is A; sleep 60; '
                  '}\nmenuentry B { echo it is B; sleep 60; }\n')
        self.seen(tree, 'it is B', self.swap())

    def test_first_disk(self):
        """A menu on another disk comes before that of the first"""
        tree = image.Tree('menu-second-disk')
        tree.file('boot/grub/grub.cfg', 'echo it is the second\nsleep 60\n')
        second = tree.disk(8)
        tree = image.Tree('menu-first-disk')
        tree.file('boot/grub/menu.lst', 'timeout 0\ntitle A\n'
                  'print it is the first\npause\n')
        guest = self.start_disks(tree.disk(8), second)
        guest.expect('it is the first', 60)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)


class MenuFileSystems(MenuTest):
    """The table in docs/system/i386/xenpv-kvm-migration.rst"""
    label = 'menu-file-system'

    def reads(self, kind, make, archs=('x86_64', 'i386')):
        """GRUB finds the menu on what make(path, tree) has made, and reads a
        file that has more than one extent"""
        tree = image.Tree('menu-' + kind)
        tree.file('boot/data', b''.join(b'%015d\n' % n for n in range(65536)))
        crc = subprocess.run(['md5sum', tree.path + '/boot/data'],
                             capture_output=True, check=True).stdout
        tree.file('boot/data.md5', crc[:32] + b'  data\n')
        # $top is our configuration's, for subvolumes
        tree.file('boot/grub/grub.cfg', 'md5sum -p $top/boot -c '
                  '$top/boot/data.md5\nsleep 60\n')
        path = paths.result('functional/menu-%s.fs' % kind)
        if os.path.exists(path):
            os.unlink(path)
        make(path, tree)
        shutil.rmtree(tree.path)
        for arch in archs:
            guest = self.start_disks(path, arch=arch)
            guest.expect('OK', 60)
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    def test_ext4(self):
        """A file system with all that mke2fs makes by default today is not
        read"""
        def make(path, tree):
            image.run_tool('mke2fs', '-q', '-F', '-t', 'ext4', '-O',
                           '64bit,metadata_csum,metadata_csum_seed,flex_bg,'
                           'dir_index,huge_file,extra_isize', '-d', tree.path,
                           path, '64M')
        self.reads('ext4', make)

    def test_xfs(self):
        """XFS, as RHEL 7 and later have it for /boot, is not read"""
        self.reads('xfs', lambda path, tree: image.xfs(tree.path, path))

    def test_btrfs(self):
        """btrfs, with / in a subvolume's directory as openSUSE and Ubuntu have
        it, is not read"""
        self.reads('btrfs', lambda path, tree: image.btrfs(tree.path, path,
                                                           '/@'))
