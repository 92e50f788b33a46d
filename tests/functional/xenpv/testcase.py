# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the tests derive from.

A test is a method test_* whose docstring says in a sentence what breaks if it
fails. Its class names the parts in which it runs: "functional" is this
machine under TCG, "sanitized-functional" too, with another build, "kvm" a
place with a real KVM, and "vmx" one with Intel's. @only() narrows that down for
one method, and "without" for one that a class inherits.
"""

import os
import time
import unittest

from . import guests, paths
from .channel import Gone, Timeout


def only(*parts):
    def mark(method):
        method.parts = parts
        return method
    return mark


class GuestTest(unittest.TestCase):
    parts = ('functional', 'kvm')
    without = {}            # name of a method: parts in which not to run it
    label = None            # the first half of the tests' names; None: a base
    arch = 'x86_64'

    # Set by run.py
    part = None
    place = None

    @classmethod
    def runs_in(cls, method, part):
        return (cls.label and part not in cls.without.get(method, ()) and
                part in getattr(getattr(cls, method), 'parts', cls.parts))

    def name(self):
        method = self._testMethodName[len('test_'):].replace('_', '-')
        return '%s/%s' % (self.label, method)

    def sentence(self):
        return ' '.join(self._testMethodDoc.split())

    def log_name(self, suffix=''):
        return '%s/%s%s' % (self.part, self.name().replace('/', '.'), suffix)

    def setUp(self):
        self.processes = []

    def state_file(self):
        """For a guest that is saved; it is removed at the end"""
        path = self.place.scratch(self.log_name('.state'))
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        return path

    def start(self, *options, arch=None, machine='xenpv-kvm',
              ports=('console', 'qmp')):
        """Start QEMU, which is killed at the end of the test at the latest"""
        process = self.place.start(self.log_name(), arch or self.arch,
                                   *options, machine=machine, ports=ports)
        self.processes.append(process)
        self.addCleanup(process.release)
        return process

    def run_qemu(self, *options, arch=None, machine='xenpv-kvm', timeout=60):
        """Run QEMU to its end; returns (status, stdout and stderr)"""
        return self.place.run(self.log_name(), arch or self.arch, *options,
                              machine=machine, timeout=timeout)

    def assert_status(self, process, status, timeout=60):
        self.assertEqual(process.wait(timeout), status,
                         'exit status; stderr: %r' % process.stderr())

    def wait_status(self, guest, command, status):
        """Until a query- command says so"""
        end = time.monotonic() + guest.limit(60)
        while guest.qmp.command(command).get('status') != status:
            self.assertLess(time.monotonic(), end, status)
            guest.pump(0.1)

    def assert_silent(self, guest, seconds):
        """A guest that does not run does not answer"""
        guest.type('echo @$((6 * 7))@\n')
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            guest.pump(0.2)
        self.assertNotIn(b'@42@', guest.console.data)

    def wait_for_any_shell(self, guest):
        """
        In an initramfs that is not ours there is no prompt to wait for. What is
        typed before the shell is there may get lost, or half of it: it is
        typed again, and no half of it makes a shell wait for more.
        """
        for _ in range(180):
            guest.type('\nexpr 424241 + 1\n')
            try:
                guest.expect('424242', 1)
                return
            except Timeout:
                pass
        self.fail('no shell answers')

    def log_in_debian(self, guest):
        """To a shell like that of the other guests"""
        guest.expect('debian login: ', 300)
        guest.type('root\n')
        guest.expect('Password: ', 60)
        guest.type('xenpv\n')
        guest.expect(r'root@debian:~# ', 60)
        # Neither colours, nor an echo that breaks lines, nor the kernel's words
        guest.type('stty cols 200; export TERM=dumb PAGER=cat; dmesg -n 1; '
                   'bind "set enable-bracketed-paste off"; PS1="guest# "\n')
        guest.expect('\n.*guest# ', 30)

    def console_tail(self, lines=12):
        """For the log of a test that failed"""
        out = []
        for process in self.processes:
            if process.console:
                out += process.console.text().splitlines()[-lines:]
            out += process.stderr().splitlines()[-lines:]
        return out


class LinuxTest(GuestTest):
    """A test which boots one of Debian's kernels, to a shell on hvc0"""
    series = '6.1'
    memory = '256M'
    append = 'console=hvc0'
    devices = False         # with front ends for disks and networks

    def linux_options(self, append=None):
        place = self.place
        initramfs = (guests.device_initramfs(self.series) if self.devices
                     else guests.linux_initramfs())
        return ['-m', self.memory,
                '-kernel', place.file(guests.linux(self.series)),
                '-initrd', place.file(initramfs),
                '-append', self.append if append is None else append]

    def boot(self, *options, wait=True, ports=('console', 'qmp')):
        process = self.start(*self.linux_options(), *options, ports=ports)
        if wait:
            self.wait_for_shell(process)
        return process

    def wait_for_shell(self, process):
        """
        What the kernel still has to say by itself, of a CPU that came or of a
        slow host, must not get between the lines that a test reads. A panic is
        told all the same.
        """
        self.expect_shell(process)
        self.check(process, 'dmesg -n 1')

    def expect_shell(self, process):
        process.expect(guests.INIT_MARKER, 90)
        process.expect('guest# ', 30)

    def check(self, process, command, pattern=None, timeout=30):
        """Type a command that must succeed; returns what it wrote"""
        status, output = process.shell(command, timeout)
        self.assertEqual(status, 0, '%s: %s' % (command, output))
        if pattern is not None:
            self.assertRegex(output, pattern, command)
        return output


class Linux32Test(LinuxTest):
    """Likewise, but Ubuntu's or the user's own, since Debian has no 32-bit PV Linux
    any more; its initramfs has busybox, or something like it"""
    arch = 'i386'
    append = 'console=' + paths.CONSOLE32
    # Before Linux 5.10, leave_mm() warns if a process ends whose page tables a kernel
    # thread on another CPU has while it patches code: a race of Linux's own
    complaints = 'BUG|WARNING|Oops|lockup|rcu.*stall|I/O error'

    def linux_options(self, append=None):
        place = self.place
        return ['-m', self.memory, '-kernel', place.file(guests.linux32()),
                '-initrd', place.file(guests.initrd32()),
                '-append', self.append if append is None else append]

    def expect_shell(self, process):
        self.wait_for_any_shell(process)


__all__ = ['GuestTest', 'LinuxTest', 'Linux32Test', 'Gone', 'Timeout', 'only',
           'guests', 'paths']
