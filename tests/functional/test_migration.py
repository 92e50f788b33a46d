# SPDX-License-Identifier: GPL-2.0-or-later
"""
Saving, loading and migrating a guest that takes no part in it

XENPV_ROUNDS says how often each is done where it is done over and over (soaks:
100, say), and lifts the limit on a test's time.
"""

import os
import random
import signal
import time

from xenpv.busy import MIB, BusyTest
from xenpv.channel import Gone, QmpError
from xenpv.testcase import GuestTest, Linux32Test, guests, only, paths

ROUNDS = int(os.environ.get('XENPV_ROUNDS', '0'))
# The monitor's region: XENPV_CORE_GPA and _SIZE of hw/xenpv/xenpv-monitor.h
CORE, CORE_SIZE = 0xfe000000, 8 * MIB


class Migration(BusyTest):
    label = 'migration'

    def socket(self, n=0):
        path = paths.result(self.log_name('.sock%d' % n))
        if os.path.exists(path):
            os.unlink(path)
        return 'unix:' + path

    def count(self, guest, on):
        guest.qmp.command('qom-set', path='/machine', property='counters',
                          value=on)

    def is_counted(self, guest, yes=True):
        """By what the property says, and by what there is"""
        def mmu_updates():
            return sum(c['hypercalls'].get('1', 0) for c in guest.qmp.command(
                'qom-get', path='/machine', property='counts'))

        self.assertEqual(guest.qmp.command('qom-get', path='/machine',
                                           property='counters'), yes)
        before = mmu_updates()
        self.check(guest, '(true)')
        (self.assertGreater if yes else self.assertEqual)(mmu_updates(), before)

    @only('functional', 'sanitized-functional')
    def test_file(self):
        """A guest that is saved to a file and loaded from it has lost its
        disk, network, clock, console or a vCPU, or is not counted any more"""
        self.make_image()
        guest = self.boot_busy()
        self.count(guest, True)
        path = self.state_file()
        self.migrate(guest, 'file:' + path)
        self.quit(guest)
        guest = self.target('file:' + path)
        self.wait_running(guest)
        self.is_counted(guest)
        self.all_is_well(guest)
        # It is a machine like any other: a reset builds the domain anew
        guest.qmp.command('system_reset')
        self.wait_for_shell(guest)
        self.is_counted(guest)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_live(self):
        """A busy guest that migrates, there and back, loses a write of QEMU's
        to its memory, an event on its way, or a byte of a TCP connection"""
        self.make_image()
        guest = self.boot_busy()
        downtimes = []
        for i in range(ROUNDS or 4):
            uri = self.socket(i % 2)
            other = self.target(uri)
            downtimes.append(self.migrate(guest, uri)['downtime'])
            self.wait_running(other)
            self.quit(guest)
            guest.release()
            guest = other
            self.goes_on(guest)
        self.all_is_well(guest)
        downtimes.sort()
        print('# %s: %d migrations, downtime %d to %d ms, median %d'
              % (self.name(), len(downtimes), downtimes[0], downtimes[-1],
                 downtimes[len(downtimes) // 2]), flush=True)

    def hop(self, guest, uri, capabilities=(), more=()):
        """To another QEMU, by a socket; returns that"""
        compare = 'postcopy-ram' not in capabilities
        other = self.target('defer', *(['-S'] if compare else []), *more)
        self.set((guest, other), capabilities)
        other.qmp.command('migrate-incoming', uri=uri)
        if uri.endswith(':0'):
            address = other.qmp.command('query-migrate')['socket-address'][0]
            uri = uri[:-1] + address['port']
        guest.qmp.command('migrate', uri=uri)
        if 'postcopy-ram' in capabilities:
            guest.qmp.command('migrate-start-postcopy')
        info = self.migrated(guest)
        self.assertEqual(info['status'], 'completed', info)
        if compare:
            self.migrated(other)
            self.assert_same_memory(guest, other)
            other.qmp.command('cont')
        self.wait_running(other)
        self.quit(guest)
        self.set((other,), ['!' + c for c in capabilities])
        self.goes_on(other)
        return other

    def test_ways(self):
        """A way by which QEMU moves other machines does not move this one, or
        leaves something behind: TCP, several channels, post-copy"""
        self.make_image()
        guest = self.boot_busy()
        # What the target is told of itself is not what the domain brings along
        guest = self.hop(guest, 'tcp:127.0.0.1:0',
                         more=['-machine', 'counters=on'])
        self.is_counted(guest, False)
        self.make_zeroes(guest)
        guest = self.hop(guest, self.socket(), ['multifd'])
        try:
            guest = self.hop(guest, self.socket(1),
                             ['postcopy-ram', 'return-path'])
        except QmpError as e:
            # The host's administrator may not let QEMU have userfaultfd
            self.assertRegex(str(e), 'userfault|[Pp]ostcopy is not supported')
            print('# %s: not post-copy: %s' % (self.name(), e), flush=True)
        self.all_is_well(guest)

    def test_kept_memory(self):
        """A guest whose memory is a file that stays where it is (cpr-reboot) is
        overwritten by the QEMU that takes it over, or the mode cpr-transfer,
        which is not supported, is not refused before anything happens"""
        self.make_image()
        ram = paths.result(self.log_name('.ram'))
        self.addCleanup(lambda: os.path.exists(ram) and os.unlink(ram))
        more = ['-object', 'memory-backend-file,id=ram,share=on,size=%s,'
                'mem-path=%s' % (self.memory, ram),
                '-machine', 'memory-backend=ram']
        guest = self.boot_busy(*more)
        with self.assertRaisesRegex(QmpError, 'does not support .* cpr-transfer'):
            self.set((guest,), mode='cpr-transfer')
            guest.qmp.command('migrate', channels=[
                {'channel-type': kind, 'addr': {
                    'transport': 'socket', 'type': 'unix',
                    'path': self.socket(i)[len('unix:'):]}}
                for i, kind in enumerate(('main', 'cpr'))])
        path = self.state_file()
        self.set((guest,), ['x-ignore-shared'], mode='cpr-reboot')
        self.migrate(guest, 'file:' + path)
        self.assertLess(os.path.getsize(path), 32 * MIB)
        self.quit(guest)
        guest = self.target('defer', *more)
        self.set((guest,), ['x-ignore-shared'], mode='cpr-reboot')
        guest.qmp.command('migrate-incoming', uri='file:' + path)
        self.wait_running(guest)
        self.all_is_well(guest)

    def make_zeroes(self, guest):
        """Pages of zeroes where a reset of the target puts a kernel"""
        self.check(guest, 'dd if=/dev/zero of=/tmp/zeroes bs=1M count=40; '
                   'rm /tmp/zeroes')

    def assert_same_memory(self, guest, other):
        """Both stand still"""
        for name, start, size in ('RAM', 0, 256 * MIB), \
                                 ('core', CORE, CORE_SIZE):
            files = []
            for i, process in enumerate((guest, other)):
                memory = paths.result(self.log_name('.%s%d' % (name, i)))
                process.qmp.command('pmemsave', val=start, size=size,
                                    filename=memory)
                files.append(open(memory, 'rb'))
                os.unlink(memory)
            wrong = [hex(n << 12) for n in range(size >> 12)
                     if files[0].read(4096) != files[1].read(4096)]
            for file in files:
                file.close()
            self.assertEqual(wrong, [], 'frames of ' + name)

    def test_files(self):
        """A guest is not the same after a program or a file with a place for
        each page has had it"""
        self.make_image()
        # One that may start a program
        guest = self.boot_busy('-sandbox', 'on')
        path = self.state_file()
        for save, load, capabilities in (
                ('exec:cat > ' + path, 'exec:cat ' + path, []),
                ('file:' + path, 'file:' + path, ['mapped-ram', 'multifd'])):
            self.make_zeroes(guest)
            self.set((guest,), capabilities)
            self.migrate(guest, save)
            other = self.target('defer', '-S', '-sandbox', 'on')
            self.set((other,), capabilities)
            other.qmp.command('migrate-incoming', uri=load)
            self.migrated(other)
            self.assert_same_memory(guest, other)
            self.quit(guest)
            guest = other
            guest.qmp.command('cont')
            self.set((guest,), ['!' + c for c in capabilities])
            self.goes_on(guest)
        self.all_is_well(guest)

    def test_failure(self):
        """A migration that is cancelled, or whose target is killed, at any
        moment: the source does not go on as if nothing had been"""
        self.make_image()
        guest = self.boot_busy()
        self.set((guest,), ['return-path'], max_bandwidth=200 * MIB)
        ends = {}
        # One that nobody disturbs takes about this long
        span = None
        for i in range(ROUNDS or 4):
            # It must not run, as the source does
            uri = self.socket(i % 2)
            other = self.target(uri, '-S')
            begin = time.monotonic()
            guest.qmp.command('migrate', uri=uri)
            if span:
                moment = random.random() * span
                while time.monotonic() < begin + moment:
                    other.pump(0.002)
                if i % 2:
                    other.popen.send_signal(signal.SIGKILL)
                else:
                    guest.qmp.command('migrate_cancel')
            status = self.migrated(guest)['status']
            span = span or 1.1 * (time.monotonic() - begin)
            ends[status] = ends.get(status, 0) + 1
            if status == 'completed':
                # Too late: it is where it was sent to, and is taken back
                other.kill()
                guest.qmp.command('cont')
            other.release()
            self.wait_running(guest)
            self.goes_on(guest)
        self.all_is_well(guest)
        print('# %s: %s' % (self.name(), ', '.join(
            '%d %s' % (n, status) for status, n in sorted(ends.items()))),
              flush=True)

    def test_memory(self):
        """Somebody writes the guest's memory and does not say so: after several
        passes the target's memory is not the source's"""
        self.make_image()
        guest = self.boot_busy()
        uri = self.socket()
        other = self.target(uri, '-S')
        # Slow enough for several passes
        self.set((guest,), max_bandwidth=40 * MIB, downtime_limit=1000)
        info = self.migrate(guest, uri)
        self.assertGreater(info['ram']['dirty-sync-count'], 1, info)
        self.assert_same_memory(guest, other)
        self.quit(guest)
        other.qmp.command('cont')
        self.all_is_well(other)

    def test_snapshots(self):
        """A snapshot in a qcow2 image does not bring back memory and disk of
        when it was taken, with the machine as it was"""
        self.make_image('qcow2')
        # A connection does not go back in time
        guest = self.boot_busy(image_format='qcow2', stream=False)
        self.check(guest, 'ip addr add 10.9.0.2/24 dev eth0; '
                   'ip link set eth0 up; echo one > /tmp/word')
        for _ in range(ROUNDS or 3):
            self.hmp(guest, 'savevm a')
            self.check(guest, 'echo two > /tmp/word')
            self.hmp(guest, 'loadvm a')
            self.check(guest, 'cat /tmp/word', '^one$')
            self.all_is_well(guest, stream=False)
            self.restart_load(guest)

    def test_stopped_request(self):
        """A write that werror has stopped where the disk is full is lost on its
        way to where it is not"""
        # Of writes only: a source whose flush fails keeps the guest, rightly
        self.make_image()
        good = self.options()
        bad = [o.replace('format=raw,file=', 'werror=stop,driver=raw,'
                         'file.driver=blkdebug,'
                         'file.inject-error.0.event=write_aio,'
                         'file.inject-error.0.iotype=write,'
                         'file.inject-error.0.errno=28,'
                         'file.image.driver=file,file.image.filename=')
               for o in good]
        guest = self.boot(*bad)
        self.check(guest, 'until [ -b /dev/xvda ]; do usleep 50000; '
                   'done; head -c 1000000 /dev/urandom > /tmp/data')
        guest.type('dd if=/tmp/data of=/dev/xvda bs=100k conv=fsync; '
                   'echo written $?\n')
        self.assertEqual(guest.wait_event('BLOCK_IO_ERROR', 60)['action'],
                         'stop')
        self.assertEqual(guest.qmp.command('query-status')['status'],
                         'io-error')
        uri = self.socket()
        other = self.target(uri)
        self.migrate(guest, uri)
        self.assertFalse(other.qmp.command('query-status')['running'])
        self.quit(guest)
        other.qmp.command('cont')
        other.expect('written 0', 60)
        sums = self.check(other, 'echo 3 > /proc/sys/vm/drop_caches; md5sum '
                          '< /tmp/data; head -c 1000000 /dev/xvda | md5sum')
        self.assertEqual(len(set(sums.split())), 2, sums)

    def test_refused(self):
        """A machine that is not what the domain was made for takes it, or says
        something else first, or the source does not go on after that"""
        self.make_image()
        guest = self.boot_busy()
        # Else QEMU's source does not wait for what the target says at its end
        self.set((guest,), ['return-path'])
        for more, wrong in (
                (['-smp', '3'], 'has vCPUs: 2, this machine 3'),
                (['-smp', '1'], 'has vCPUs: 2, this machine 1'),
                (['-m', '384M'], 'has bytes of memory: 268435456,'),
                (['-M', 'xenpv-kvm,xen-version=4.2'], 'xen-version'),
                (['-netdev', 'user,id=m', '-device',
                  'xen-net-device,netdev=m'], 'no device')):
            uri = self.socket()
            other = self.target(uri, *more)
            guest.qmp.command('migrate', uri=uri)
            other.wait(60)
            self.assertNotEqual(other.status, 0)
            # After QEMU's own words of where in the stream it is
            self.assertIn(wrong, other.stderr().splitlines()[0])
            info = self.migrated(guest)
            self.assertEqual(info['status'], 'failed', info)
            self.wait_running(guest)
        self.all_is_well(guest)


class Migration32(Linux32Test, Migration):
    """A 32-bit Linux. The ways and the failures are the same for all guests"""
    label = 'migration-32'
    without = dict.fromkeys(('test_ways', 'test_kept_memory', 'test_files',
                             'test_failure', 'test_snapshots',
                             'test_stopped_request', 'test_refused'),
                            ('functional',))


class SmallGuests(GuestTest):
    """Guests that know nothing of Linux, of both widths"""
    label = 'migration-small'
    parts = ('functional',)

    def moved(self, guest, arch, options):
        """In another QEMU; None if it ended before"""
        uri = 'unix:' + self.place.scratch(self.log_name('.sock'))
        other = self.start(*options, '-incoming', uri, arch=arch)
        other.qmp.command('query-status')
        try:
            guest.qmp.command('migrate', uri=uri)
            while True:
                status = guest.qmp.command('query-migrate')['status']
                if status == 'completed':
                    break
                self.assertNotIn(status, ('failed', 'cancelled'))
                guest.pump(0.01)
            guest.qmp.command('quit')
        except Gone:
            return None
        self.assert_status(guest, 0)
        self.text += guest.console.text()
        guest.release()
        return other

    def races(self, name, width, arch):
        """Until the end of a test of tests/guest that takes some time"""
        options = ['-m', '128M', '-smp', '2', '-no-reboot', '-kernel',
                   self.place.file(os.path.join(paths.GUESTS,
                                                name + '-' + width)),
                   '-append', 'test=%s rounds=100000 seconds=6' % name]
        guest = self.start(*options, arch=arch)
        self.text, times = '', 0
        while guest.pump(0.1):
            other = self.moved(guest, arch, options)
            if not other:
                break
            guest = other
            times += 1
        self.assert_status(guest, 0)
        self.text += guest.console.text()
        self.assertRegex(self.text, r'Result: Success')
        self.assertGreater(times, 0)
        print('# %s: %s moved %d times' % (self.name(), arch, times), flush=True)

    def test_races_i386(self):
        """What two vCPUs do to each other's page tables does not survive that
        they are stopped anywhere, in the monitor, too, and go on elsewhere"""
        self.races('vcpu-races', 'i386', 'i386')
        self.races('races', 'i386', 'x86_64')

    def test_races_x86_64(self):
        """The same, of 64 bits"""
        self.races('vcpu-races', 'x86_64', 'x86_64')
        self.races('races', 'x86_64', 'x86_64')

    def grub(self, width, arch, rounds=ROUNDS or 3):
        options = ['-m', '64M', '-kernel',
                   self.place.file(guests.grub(width))]
        guest = self.start(*options, arch=arch)
        guest.expect('grub> ', 60)
        guest.type('set word=kept\r')
        self.text = ''
        for n in range(rounds):
            guest = self.moved(guest, arch, options)
            self.assertTrue(guest, 'QEMU has ended')
            guest.type('echo %d${word}%d\r' % (n, n))
            guest.expect(r'[\r\n]%dkept%d' % (n, n), 60)
            guest.expect('grub> ', 20)
        guest.type('halt\r')
        self.assert_status(guest, 0)

    def test_grub(self):
        """A 32-bit guest that migrates is not what it was, by either binary"""
        self.grub('i386', 'i386')
        self.grub('i386', 'x86_64')

    def test_no_stream(self):
        """A program that was to bring a stream, and ends without one, is waited
        for for ever"""
        status, said = self.run_qemu(
            '-kernel', self.place.file(guests.grub('x86_64')), '-sandbox', 'on',
            '-incoming', 'exec:false')
        self.assertEqual(status, 1, said)
        self.assertIn('Not a migration stream', said)

    @only('kvm')
    def test_kvm(self):
        """A 32-bit guest under KVM is not what it was after it has migrated, or,
        nested, ends the machine around it"""
        self.grub('i386', 'i386', 1)
