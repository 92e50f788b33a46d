# SPDX-License-Identifier: GPL-2.0-or-later
"""PV GRUB: with mini-os' style of PV kernel, 32 and 64 bits"""

import os
import re
import shutil
import struct
import subprocess

from xenpv.testcase import GuestTest, LinuxTest, guests, only, paths


class Grub(GuestTest):
    label = 'grub'
    parts = ('functional', 'kvm', 'vmx')

    def grub(self, width, arch):
        guest = self.start('-m', '64M', '-kernel',
                           self.place.file(guests.grub(width)), arch=arch)
        guest.expect('grub> ', 60)
        guest.type('help\r')
        guest.expect(r'xen_ls \[DIR\].*zfskey.*grub> ', 20)
        guest.type('echo x${prefix}y\r')
        guest.expect(r'[\r\n]x[^$\r\n]*y', 20)
        guest.type('ls\r')
        guest.expect(r'[\r\n]\(memdisk\)', 20)
        guest.expect('grub> ', 20)
        guest.type('halt\r')
        event = guest.wait_event('SHUTDOWN', 20)
        self.assertEqual((event['guest'], event['reason']),
                         (True, 'guest-shutdown'))
        self.assert_status(guest, 0, 20)

    def test_i386(self):
        """A 32-bit PV kernel which is not Linux no longer runs, or its console
        does not work, on qemu-system-i386"""
        self.grub('i386', 'i386')

    def test_i386_on_x86_64(self):
        """The 32-bit monitor does not run on qemu-system-x86_64, whose
        processors have long mode"""
        self.grub('i386', 'x86_64')

    @only('functional')
    def test_pae_entries(self):
        """TCG sets bits that are reserved in the top level of PAE's tables, on
        which a hypervisor that reads them, as KVM below TCG does, ends"""
        guest = self.start('-m', '64M', '-kernel',
                           self.place.file(guests.grub('i386')), arch='i386')
        guest.expect('grub> ', 60)
        guest.qmp.command('stop')

        def hmp(line):
            return guest.qmp.command('human-monitor-command',
                                     **{'command-line': line})

        cr3 = re.search('CR3=([0-9a-f]+)', hmp('info registers')).group(1)
        entries = re.findall('0x([0-9a-f]{16})', hmp('xp/4gx 0x' + cr3))
        self.assertEqual(len(entries), 4)
        for entry in [int(e, 16) for e in entries]:
            self.assertTrue(entry & 1)
            self.assertEqual(entry & 0x1e6, 0, '%x' % entry)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_x86_64(self):
        """A 64-bit PV kernel which is not Linux no longer runs, or its console
        does not work"""
        self.grub('x86_64', 'x86_64')

    @only('functional', 'kvm')
    def test_reboot(self):
        """A PV kernel's reboot by SHUTDOWN_reboot does not start it again"""
        guest = self.start('-m', '64M', '-kernel',
                           self.place.file(guests.grub('x86_64')))
        guest.expect('grub> ', 60)
        guest.type('reboot\r')
        self.assertTrue(guest.wait_event('RESET', 20)['guest'])
        guest.expect('grub> ', 60)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)


class GrubDisk(LinuxTest):
    """GRUB finds its configuration, a kernel and an initrd on xvda"""
    label = 'grub-disk'
    parts = ('functional',)

    def make_disk(self, kernel, initrd, append):
        """A disk with a partition table and a partition with /boot"""
        root = paths.result(self.log_name('.root'))
        path = paths.result(self.log_name('.img'))
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root + '/boot/grub')
        shutil.copy(kernel, root + '/boot/vmlinuz')
        shutil.copy(initrd, root + '/boot/initrd')
        with open(root + '/boot/grub/grub.cfg', 'w') as f:
            f.write('set timeout=-1\n'
                    'menuentry "First choice" {\n  echo wrong\n  halt\n}\n'
                    'menuentry "Second choice" {\n'
                    '  linux /boot/vmlinuz %s entry=second\n'
                    '  initrd /boot/initrd\n}\n' % append)
        start = 2048
        size = 96 << 20
        with open(path, 'wb') as f:
            # An MBR with one partition, of Linux' type, in sectors
            entry = struct.pack('<B3xB3xII', 0x80, 0x83, start,
                                size // 512 - start)
            f.write(b'\0' * 446 + entry + b'\0' * 48 + b'\x55\xaa')
            f.truncate(size)
        self.addCleanup(os.unlink, path)
        subprocess.run(['mkfs.ext4', '-q', '-F', '-d', root, '-E',
                        'offset=%d' % (start * 512), path,
                        '%dk' % ((size - start * 512) // 1024)], check=True)
        shutil.rmtree(root)
        return path

    def boot_grub(self, width, disk, *options, arch='x86_64'):
        guest = self.start('-m', '512M', '-kernel',
                           self.place.file(guests.grub(width)),
                           '-drive', 'if=xen,format=raw,file=' + disk,
                           *options, arch=arch)
        guest.expect('First choice.*Second choice', 60)
        guest.type('\x1b[B\r')
        return guest

    def test_x86_64(self):
        """PV GRUB does not read from xvda or show its menu, or the Linux which
        it starts in its own place does not come up to Debian's login"""
        disk = self.make_disk(guests.linux('6.1'),
                              guests.device_initramfs('6.1'),
                              'console=hvc0 test=switch_root root=/dev/xvdb')
        guest = self.boot_grub('x86_64', disk, '-snapshot', '-drive',
                               'if=xen,format=raw,file=' + guests.debian())
        self.log_in_debian(guest)
        guest.type('cat /proc/cmdline; systemctl poweroff\n')
        guest.expect('root=/dev/xvdb entry=second', 30)
        self.assertTrue(guest.wait_event('SHUTDOWN', 60)['guest'])
        self.assert_status(guest, 0)


class GrubDisk32(GrubDisk):
    """With a kernel of the user's own, since Debian has no 32-bit PV Linux"""
    label = 'grub-disk-32'
    without = {'test_x86_64': ('functional', 'kvm')}

    def test_i386(self):
        """The same with a 32-bit GRUB and Linux"""
        disk = self.make_disk(guests.linux32(), guests.initrd32(), 'console=hvc0')
        for arch in ('i386', 'x86_64'):
            guest = self.boot_grub('i386', disk, arch=arch)
            # GRUB still reads its disk, and would take what is typed
            guest.expect('Linux version', 60)
            self.wait_for_any_shell(guest)
            status, output = guest.shell('cat /proc/cmdline')
            self.assertIn('entry=second', output)
            guest.type('poweroff -f\n')
            self.assert_status(guest, 0)
