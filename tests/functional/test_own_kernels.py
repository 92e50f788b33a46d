# SPDX-License-Identifier: GPL-2.0-or-later
"""
The tiny PV kernels of tests/guest under a real KVM.

Under TCG, tests/guest/run runs them. Each prints one "Result: " line, with
Success, Skip, Failure or Error, and powers off.
"""

import itertools
import os
import re
import time

from xenpv.testcase import Gone, GuestTest, guests

# Not a test, but what bench-kvm runs; and one for a CPU that claims to have what
# it has not, which only TCG's may
NOT_TESTS = ('bench-ops', 'speculation', 'speculation-none')


class OwnKernels(GuestTest):
    label = 'guest'
    parts = ('kvm', 'vmx')
    options = ()

    @staticmethod
    def give(guest, orders):
        """Until the guest ends"""
        for order in itertools.cycle(orders):
            guest.pump(0.1)
            try:
                guest.qmp.command('human-monitor-command', command_line=order)
            except Gone:
                return

    def run_kernel(self, name, arch, path):
        guest = self.start('-m', guests.memory_of(name), '-no-reboot',
                           '-smp', guests.vcpus_of(name),
                           *guests.options_of(name), *self.options,
                           '-kernel', self.place.file(path),
                           '-append', 'test=' + name, arch=arch)
        self.give(guest, guests.orders_of(name))
        status = guest.wait(40)
        text = guest.console.text()
        result = re.search(r'^.*Result: (.*)$', text, re.M)
        self.assertTrue(result, 'no result, QEMU exited with %s' % status)
        verdict = result.group(1).strip()
        if verdict.startswith('Skip'):
            self.skipTest(verdict)
        why = re.search(r'^ *(?:fails|error): *(.*)$', text, re.M)
        self.assertEqual(verdict, 'Success', why and why.group(1))
        self.assertEqual(status, 0, guest.stderr())


def add(name, arch, path):
    def test(self):
        self.run_kernel(name, arch, path)
    test.__doc__ = ('%s, which tests/guest/%s/main.c explains, holds under TCG '
                    'at most' % (name, name))
    setattr(OwnKernels, 'test_%s_%s' % (name.replace('-', '_'), arch), test)


def none(self):
    """The tests of tests/guest do not run under KVM"""
    self.fail('no kernels in build/guest: run make -C tests/guest')


kernels = [k for k in guests.own() if k[0] not in NOT_TESTS]
for kernel in kernels:
    add(*kernel)
if not kernels:
    OwnKernels.test_kernels = none


class Variant(OwnKernels):
    """
    What depends on how KVM and its CPU do paging, traps and entries, on other
    CPUs of Intel's than the newest
    """
    label = None
    parts = ('vmx',)
    parameters = ''         # kvm_intel's
    widths = ('i386', 'x86-64')
    names = ('base-tables', 'emulation', 'exceptions', 'iret', 'paging', 'smp',
             'sysenter', 'table-writes', 'user', 'user-tables')

    @classmethod
    def runs_in(cls, method, part):
        name = method[len('test_'):].replace('_', '-')
        return (super().runs_in(method, part) and
                any(name == '%s-%s' % (n, w)
                    for n in cls.names for w in cls.widths))

    def setUp(self):
        super().setUp()
        self.place.parameters = self.parameters
        self.addCleanup(setattr, self.place, 'parameters', '')


class Shadow(Variant):
    """KVM keeps page tables of its own, and emulates real mode: before 2010"""
    label = 'guest-shadow'
    parameters = 'ept=0 unrestricted_guest=0 vpid=0'


class Nested(Variant):
    """A CPU model which has VMX for the guest, too"""
    label = 'guest-nested'
    parameters = 'nested=1'
    options = ('-cpu', 'host')


class Xpti(Variant):
    """Two tables for each of a 64-bit guest's, on a CPU with PCIDs"""
    label = 'guest-xpti'
    widths = ('x86-64',)
    options = ('-machine', 'xpti=on')


class Answers(GuestTest):
    """
    The same kernels ask the monitor for as much as they can: long lists, tables
    that come and go, memory given back. It is QEMU that is looked at here.
    """
    label = 'qmp'
    parts = ('functional',)
    # Asked within that time, in seconds, which grows with the machine's load
    limit = 0.1

    def waits(self, guest):
        """
        For how long each of its threads, and this one, were ready to run and did
        not, so far
        """
        tasks = '/proc/%d/task' % guest.popen.pid
        found = {}
        for path in [os.path.join(tasks, t) for t in os.listdir(tasks)] + [
                '/proc/thread-self']:
            with open(path + '/schedstat') as f:
                found[path] = int(f.read().split()[1]) / 1e9
        return found

    def waited(self, guest, before):
        """
        Since then: of this thread, the main one, and one of the others, which may
        have to wait for each other. That is the host's time, and not QEMU's.
        """
        now = self.waits(guest)
        main = '/proc/%d/task/%d' % (guest.popen.pid, guest.popen.pid)
        more = {path: now[path] - before.get(path, 0) for path in now}
        return (more.pop('/proc/thread-self') + more.pop(main) +
                max(more.values(), default=0))

    def ask(self, guest, *commands):
        """How long the slowest took, and how often there was time for all"""
        worst, rounds = 0, 0
        try:
            guest.qmp.command('query-status')       # when it has started
            while guest.poll() is None:
                for command in commands:
                    before, start = self.waits(guest), time.monotonic()
                    guest.qmp.command(command)
                    took = time.monotonic() - start
                    worst = max(worst, took - self.waited(guest, before))
                rounds += 1
        except (Gone, OSError):                     # it has ended
            pass
        return worst, rounds

    def run_all(self, arch):
        total = 0
        for name in ('long-batches', 'balloon-races', 'idle-tables', 'memory'):
            guest = self.start('-m', '4G', '-smp', guests.vcpus_of(name),
                               '-no-reboot', '-kernel',
                               [k[2] for k in guests.own()
                                if k[:2] == (name, arch)][0],
                               '-append', 'test=' + name, arch=arch)
            worst, rounds = self.ask(guest, 'query-status', 'stop', 'cont')
            self.assertEqual(guest.wait(), 0, guest.stderr())
            print('# %s, %s: asked %d times, %.1f ms at worst'
                  % (self.name(), name, 3 * rounds, worst * 1000), flush=True)
            total += rounds
            self.assertLess(worst, guest.limit(self.limit))
        # One that ends soon is hardly asked
        self.assertGreater(total, 20)

    def test_ends(self):
        """A QEMU that is asked something while it ends, because its guest has
        powered off, ends by a signal"""
        kernel = [k[2] for k in guests.own() if k[:2] == ('smoke', 'x86_64')][0]
        for _ in range(80):
            guest = self.start('-m', '64', '-no-reboot', '-kernel', kernel,
                               '-append', 'test=smoke')
            try:
                while guest.poll() is None:
                    guest.qmp.command('query-status')
            except (Gone, OSError):
                pass
            self.assertEqual(guest.wait(), 0, guest.stderr())
            guest.release()
            self.processes.remove(guest)

    def test_tables_i386(self):
        """A 32-bit guest of 4 GiB that pins, frees and gives back as much as it
        can keeps QMP waiting"""
        self.run_all('i386')

    def test_tables_x86_64(self):
        """A guest of 4 GiB that pins, frees and gives back as much as it can
        keeps QMP waiting"""
        self.run_all('x86_64')
