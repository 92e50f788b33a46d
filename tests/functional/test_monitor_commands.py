# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP commands and the gdbstub on a running PV guest"""

import os
import subprocess
import time

from xenpv.channel import QmpError
from xenpv.place import busy
from xenpv.testcase import LinuxTest, guests, only


class MonitorCommands(LinuxTest):
    label = 'qmp'

    def test_stop_cont(self):
        """A stopped guest goes on running, or one that is continued has lost
        its timers, events or clock"""
        guest = self.boot()
        self.check(guest, 'echo before')
        guest.qmp.command('stop')
        self.assertEqual(guest.qmp.command('query-status')['status'], 'paused')
        self.assert_silent(guest, 3)
        guest.qmp.command('cont')
        guest.expect('@42@', 30)
        # A timer has to fire, too
        self.check(guest, 'sleep 1')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def counts(self, guest):
        return guest.qmp.command('qom-get', path='/machine', property='counts')

    def set_counters(self, guest, on):
        guest.qmp.command('qom-set', path='/machine', property='counters',
                          value=on)

    @only('functional')
    def test_counters(self):
        """What the monitor counts of a running guest when it is told to is not
        counted, or goes on when it is told to stop, or the guest stops"""
        guest = self.boot('-smp', '2')
        self.assertEqual(self.counts(guest)[0]['hypercalls'], {})
        before = {}
        for _ in range(3):
            self.set_counters(guest, True)
            self.check(guest, 'for i in $(seq 50); do echo $(echo $i); done '
                       '> /dev/null; (taskset 2 true; taskset 1 true)')
            counts = self.counts(guest)
            self.set_counters(guest, False)
            # A vCPU may have been stopped as it was just counting
            self.check(guest, 'taskset 2 true; taskset 1 true')
            after = self.counts(guest)
            self.check(guest, 'for i in $(seq 50); do echo $(echo $i); done '
                       '> /dev/null')
            self.assertEqual(self.counts(guest), after)
            self.assertEqual([c['vcpu'] for c in counts], [0, 1])
            for name in ('system-calls', 'upcalls', 'doorbells', 'interrupts',
                         'monitor-ticks'):
                self.assertGreater(sum(c[name] for c in counts), 0, name)
            # mmu_update, multicall, iret; page faults
            for kind, number in (('hypercalls', '1'), ('hypercalls', '13'),
                                 ('hypercalls', '23'), ('exceptions', '14')):
                self.assertGreater(sum(c[kind].get(number, 0) for c in counts),
                                   0, (kind, number, counts))
            self.assertNotEqual(counts, before)
            before = counts
        # A new domain is counted from the start
        self.set_counters(guest, True)
        guest.qmp.command('system_reset')
        guest.wait_event('RESET')
        self.wait_for_shell(guest)
        self.assertGreater(self.counts(guest)[0]['hypercalls']['1'], 100)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_counters_incoming(self):
        """Jumps are put into an image of the monitor of which a part has come in"""
        guest = self.start('-incoming', 'defer', '-kernel',
                           self.place.file(guests.grub('x86_64')))
        with self.assertRaisesRegex(QmpError, 'is not here yet'):
            self.set_counters(guest, True)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_system_reset(self):
        """The domain is not built anew when QEMU resets the machine"""
        guest = self.boot()
        for _ in range(2):
            guest.qmp.command('system_reset')
            event = guest.wait_event('RESET')
            self.assertEqual((event['guest'], event['reason']),
                             (False, 'host-qmp-system-reset'))
            self.wait_for_shell(guest)
            self.check(guest, 'echo @again@', '@again@')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_reset_while_booting(self):
        """A reset at any moment of the boot leaves something behind which
        keeps the next boot from working"""
        guest = self.boot(wait=False)
        for delay in (0, 0.1, 0.4, 0.8, 1.5):
            end = time.monotonic() + delay
            while time.monotonic() < end:
                guest.pump(0.05)
            guest.qmp.command('system_reset')
        guest.console.data.clear()
        self.wait_for_shell(guest)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_default_cpu(self):
        """32-bit Linux says that the CPU is not fit for SMP, as of an Athlon
        that is no MP"""
        for arch in ('i386', 'x86_64'):
            guest = self.start('-smp', '2', '-kernel',
                               self.place.file(guests.grub('i386')), arch=arch)
            path = guest.qmp.command('query-cpus-fast')[0]['qom-path']
            self.assertEqual([guest.qmp.command('qom-get', path=path,
                                                property=name)
                              for name in ('family', 'model', 'stepping')],
                             [6, 6, 1])
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    def test_quit(self):
        """QEMU cannot be ended while a guest is busy"""
        guest = self.boot()
        guest.type('while :; do :; done\n')
        guest.pump(1)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_dump_guest_memory(self):
        """A dump for crash or gdb is refused, or lacks the guest's memory"""
        guest = self.boot()
        # Neither the command's echo nor this source has it in one piece
        self.check(guest, 'x=xenpv; echo "$x-needle-$((6 * 7))" > /tmp/file')
        path = self.place.scratch(self.log_name('.dump'))
        guest.qmp.command('dump-guest-memory', 300, paging=False,
                          protocol='file:' + path)
        head = self.place.read(path, 64)
        self.assertEqual(head[:4], b'\x7fELF')
        if self.part == 'functional':
            dump = self.place.read(path, 1 << 30)
            self.assertGreaterEqual(len(dump), 256 << 20)
            self.assertIn(b'xenpv-needle-42', dump)
            os.unlink(path)
        self.check(guest, 'echo alive')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_dump_gdb(self):
        """A core of dump-guest-memory does not open in gdb with the symbols of
        the guest's kernel, or has other memory at their addresses"""
        kernels = {arch: path for name, arch, path in guests.own()
                   if name == 'smoke'}
        self.assertEqual(sorted(kernels), ['i386', 'x86_64'])
        for arch, magic in (('i386', 'xen-3.0-x86_32p'),
                            ('x86_64', 'xen-3.0-x86_64')):
            # It is done before anybody listens, else
            guest = self.start('-S', '-m', '100M', '-action', 'shutdown=pause',
                               '-kernel', kernels[arch], arch=arch)
            guest.qmp.command('cont')
            guest.wait_event('SHUTDOWN')
            core = self.place.scratch(self.log_name('.core-' + arch))
            self.addCleanup(lambda f: os.path.exists(f) and os.unlink(f), core)
            guest.qmp.command('dump-guest-memory', 300, paging=True,
                              protocol='file:' + core)
            said = subprocess.run(
                ['gdb', '-batch', '-nx', '-ex', 'print start_info->magic',
                 '-ex', 'print start_info->nr_pages', kernels[arch], core],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=120 * busy(), check=False).stdout.decode()
            self.assertRegex(said, r'(?m)^\$1 = "%s", ' % magic)
            self.assertRegex(said, r'(?m)^\$2 = %d$' % (100 << 8))
            guest.qmp.command('quit')
            self.assert_status(guest, 0)


class Gdbstub(LinuxTest):
    label = 'gdbstub'

    def test_stopped_start(self):
        """-S no longer stops before the first instruction, or a debugger can
        no longer look at, step and interrupt a guest"""
        guest = self.boot('-S', wait=False, ports=('console', 'qmp', 'gdb'))
        self.assertEqual(guest.qmp.command('query-status')['status'],
                         'prelaunch')
        gdb = guest.gdb
        gdb.channel.send('+')
        self.assertRegex(gdb.ask('?'), '^[TS]')
        first = gdb.pc()
        self.assertNotEqual(first, 0)
        # What is there can be read, and one step goes somewhere else
        self.assertEqual(len(gdb.ask('m%x,8' % first)), 16)
        self.assertRegex(gdb.ask('s'), '^[TS]05')
        self.assertNotEqual(gdb.pc(), first)
        self.assertEqual(guest.console.text(), '')
        gdb.send('c')
        guest.expect(guests.INIT_MARKER, 90)
        self.assertRegex(gdb.interrupt(), '^[TS]')
        self.assertEqual(guest.qmp.command('query-status')['running'], False)
        self.assertNotEqual(gdb.pc(), 0)
        gdb.send('c')
        self.check(guest, 'echo alive')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
