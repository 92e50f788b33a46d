# SPDX-License-Identifier: GPL-2.0-or-later
"""PV GRUB: with mini-os' style of PV kernel, 32 and 64 bits"""

from xenpv.testcase import GuestTest, guests


class Grub(GuestTest):
    label = 'grub'

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

    def test_x86_64(self):
        """A 64-bit PV kernel which is not Linux no longer runs, or its console
        does not work"""
        self.grub('x86_64', 'x86_64')

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
