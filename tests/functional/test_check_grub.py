# SPDX-License-Identifier: GPL-2.0-or-later
"""xenpv-convert --check on file systems that GRUB's own readers read"""

import ctypes
import os
import platform
import re
import shutil
import subprocess

from xenpv import image
from xenpv.place import busy
from xenpv.program import tool
from xenpv.testcase import GuestTest, guests, paths

LIBC = ctypes.CDLL(None, use_errno=True)
LANDLOCK_CREATE_RULESET = 444


def has_landlock():
    return platform.machine() == 'x86_64' and \
        LIBC.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) >= 1


def no_new_rights():
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0


class CheckGrub(GuestTest):
    label = 'check-grub'
    parts = ('functional',)

    def setUp(self):
        super().setUp()
        self.program = shutil.which('grub-fstest')
        self.assertTrue(self.program, 'grub-fstest is missing: make deps')
        if not has_landlock():
            self.fail('this kernel has no Landlock')

    def path(self, name):
        return paths.result('functional/check-grub-%s' % name)

    def check(self, disk, *findings, grub=True, **how):
        """--check finds just that, in this order"""
        done = subprocess.run([tool('xenpv-convert'), '--check', disk],
                              capture_output=True, timeout=300 * busy(),
                              encoding='utf-8', errors='replace', **how)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), len(findings), done.stderr)
        for line, finding in zip(lines, findings):
            self.assertTrue(line.startswith(disk + ':'), line)
            self.assertRegex(line, finding)
        self.assertEqual(done.returncode, 1 if findings else 0)
        self.assertEqual('is read by grub-fstest' in done.stdout, grub)
        return done.stdout

    def tree(self, name, menu='boot/grub2/grub.cfg', **how):
        tree = image.linux_tree('check-grub-' + name, **how)
        image.add_boot(tree)
        tree.file(menu, image.grub_cfg())
        return tree

    def test_xfs(self):
        """What is on XFS is not looked into, or a mistake there is not found:
        a volume, a partition of each kind, and a volume of LVM's"""
        path = self.path('xfs.fs')
        image.xfs(self.tree('xfs').path, path)
        for disk, device in ((path, 'loop0'),
                             (image.partitioned(path), 'loop0,msdos2'),
                             (image.partitioned(path, 'gpt'), 'loop0,gpt2'),
                             (image.lvm(path, 'a-b'), 'lvm/vg0-a--b')):
            out = self.check(disk)
            self.assertIn('(%s) is read' % device, out)
            self.assertIn('64-bit PV kernel', out)
            self.assertIn('nothing found that would keep it', out)
            os.unlink(disk)
        tree = self.tree('xfs', fstab='/dev/vda1 / xfs defaults 0 1\n')
        os.unlink(tree.path + '/boot/initrd.img-6.1')
        image.xfs(tree.path, path)
        self.check(path, 'initrd, /boot/initrd.img-6.1, is not there',
                   '/etc/fstab: .*/dev/vda1, which is not a Xen disk')

    def test_stripes(self):
        """A volume of LVM's in stripes, which GRUB alone puts together, is not
        looked into"""
        disk = image.lvm(self.tree('stripes').file_system(80), striped=True)
        out = self.check(disk)
        self.assertIn('(lvm/vg0-root) is read', out)
        self.assertIn('64-bit PV kernel', out)

    def test_btrfs(self):
        """The same with btrfs, where / is in a directory, or in a snapshot as
        openSUSE has it"""
        path = self.path('btrfs.fs')
        tree = self.tree('btrfs', tty='tty1')
        for top in '', '/@', '/@rootfs', '/@/.snapshots/1/snapshot':
            image.btrfs(tree.path, path, top)
            out = self.check(path, '/etc/inittab: there is no login on hvc0')
            self.assertIn('64-bit PV kernel', out)
            self.assertEqual(top, ''.join(
                re.findall("the guest's / in ([^\n]*)", out)))

    def test_ext4(self):
        """A feature of ext4's with which GRUB does not read it passes, or one
        with which it does is told of"""
        path = self.path('ext4.fs')
        tree = image.Tree('check-grub-ext4')
        tree.file('etc/hostname', 'h')
        tree.file('boot/grub2/grub.cfg', 'linux /none\n')
        told = []
        for feature in ('metadata_csum_seed', 'large_dir', 'encrypt', 'mmp',
                        'meta_bg,^resize_inode', 'ea_inode', 'inline_data',
                        'casefold', 'bigalloc'):
            image.run_tool('mke2fs', '-q', '-F', '-t', 'ext4', '-O', feature,
                           '-d', tree.path, path, '8M')
            names = subprocess.run([self.program, path, 'ls',
                                    '(loop0)/boot/grub2/'], timeout=60,
                                   capture_output=True, text=True).stdout
            if 'grub.cfg' not in names:
                told.append(feature)
            self.check(path, *['its file system has %s,' % f for f in told
                               if f == feature], "kernel, /none, is not there",
                       grub=False)
        self.assertIn('casefold', told)
        self.assertNotIn('large_dir', told)

    def test_bls(self):
        """The entries of RHEL 8's boot partition, on XFS, are not found"""
        tree = image.Tree('check-grub-bls')
        tree.copy('vmlinuz-4.18.0-80.el8', guests.linux('6.1'))
        tree.copy('initramfs-4.18.0-80.el8.img', image.initramfs())
        tree.file('grub2/grub.cfg', 'set timeout=1\nblscfg\n')
        for version in '4.18.0-80.el8', '4.17':
            tree.file('loader/entries/c0ffee-%s.conf' % version,
                      'title x\nlinux /vmlinuz-%s\n'
                      'initrd /initramfs-%s.img\noptions console=hvc0 '
                      'root=/dev/xvda2\n' % (version, version))
        path = self.path('bls.fs')
        image.xfs(tree.path, path)
        out = self.check(path)
        self.assertIn('64-bit PV kernel', out)
        self.assertRegex(out, 'c0ffee-4.17.conf.*/vmlinuz-4.17')

    def test_damaged(self):
        """What GRUB cannot read passes, or its words are lost"""
        path = self.path('damaged.fs')
        image.xfs(self.tree('damaged').path, path)
        with open(path, 'r+b') as f:
            # The super block's version, and its block size's logarithm
            f.seek(100)
            f.write(bytes(2))
            f.seek(120)
            f.write(b'\xff')
        self.check(path, 'is XFS, but not one that PV GRUB reads: .*unknown '
                   'filesystem', grub=False)

    def test_without(self):
        """Where grub-fstest is missing, or the image is not raw, that is not
        what is told"""
        path = self.path('without.fs')
        image.xfs(self.tree('without').path, path)
        self.check(path, 'is XFS, .*not looked into here: there is no '
                   'grub-fstest', grub=False,
                   env=dict(os.environ, PATH='/nonexistent'))
        subprocess.run([tool('qemu-img'), 'convert', '-O', 'qcow2', path,
                        path + '.qcow2'], check=True)
        self.check(path + '.qcow2', 'is XFS, .*not looked into here: '
                   'grub-fstest reads only raw images', grub=False)

    def test_owner(self):
        """Root cannot look into another user's image"""
        if os.geteuid():
            self.skipTest('this is a user, who cannot give files away')
        path = self.path('owner.fs')
        image.xfs(self.tree('owner').path, path)
        os.chmod(path, 0o400)
        os.chown(path, 65534, 65534)
        self.check(path)

    def test_other_files(self):
        """A grub-fstest that an image has taken over, or a name that its menu
        has, gets at the host's files: GRUB's device (host) is all of them"""
        path = self.path('other.fs')
        image.xfs(self.tree('other').path, path)
        files = [self.program] + re.findall(
            r'(/\S+) \(0x', subprocess.run(['ldd', self.program], check=True,
                                           capture_output=True,
                                           text=True).stdout)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)

        def start():
            os.dup2(fd, 3)
            no_new_rights()

        def ask(op, place):
            done = subprocess.run([tool('xenpv-convert'), '--check-grub', op,
                                   place] + files, preexec_fn=start,
                                  stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, timeout=60 * busy(),
                                  close_fds=False)
            return done.returncode, done.stdout

        self.assertEqual(ask('c', '(loop0)/etc/group'), (0, 'root:x:0:\n'))
        for place in '(host)/etc/passwd', '(host)%s' % os.path.abspath(
                __file__), '(host)/proc/self/environ':
            status, out = ask('c', place)
            self.assertNotEqual(status, 0)
            self.assertEqual(out, '')
        self.assertNotIn('passwd', ask('l', '(host)/etc/')[1])
