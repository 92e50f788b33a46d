# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that a guest gives back and gets again"""

import re
import time

from xenpv.testcase import LinuxTest

MIB = 1 << 20


class Balloon(LinuxTest):
    label = 'balloon'
    # The host's side of it is measured on this machine
    parts = ('functional',)

    def resident(self, guest):
        """What this QEMU has of the host's memory for RAM, in bytes"""
        with open('/proc/%d/status' % guest.popen.pid) as f:
            return int(re.search(r'^RssShmem:\s+(\d+) kB', f.read(),
                                 re.M).group(1)) * 1024

    def actual(self, guest):
        return guest.qmp.command('query-balloon')['actual']

    def balloon(self, guest, size):
        """Ask the guest to have that much, and wait until it has"""
        guest.qmp.command('balloon', value=size)
        end = time.monotonic() + guest.limit(60)
        while self.actual(guest) != size:
            self.assertLess(time.monotonic(), end, self.actual(guest))
            guest.pump(0.2)

    def total(self, guest):
        """MiB that the guest's kernel counts"""
        return int(self.check(guest, "awk '/MemTotal/ { print int($2 / 1024) }'"
                              ' /proc/meminfo'))

    def fill(self, guest, mib):
        """Have that much in use, and find it again as it was"""
        self.check(guest, 'mount -t tmpfs -o size=400m x /mnt; '
                   'head -c 4000000 /dev/urandom > /mnt/0; '
                   'for i in $(seq %d); do cp /mnt/0 /mnt/$i; done; '
                   'md5sum /mnt/* | cut -c-32 | sort -u | wc -l; umount /mnt'
                   % (mib // 4), r'^1$', 120)

    def test_balloon(self):
        """What a guest gives back stays with QEMU, or QMP does not tell of it,
        or the guest does not get it back"""
        guest = self.boot()
        self.assertEqual(self.actual(guest), 256 * MIB)
        self.fill(guest, 150)
        before, had = self.resident(guest), self.total(guest)
        self.balloon(guest, 144 * MIB)
        self.assertEqual(guest.wait_event('BALLOON_CHANGE')['actual'] % 4096, 0)
        # All but what it never touched
        self.assertLess(self.resident(guest), before - 80 * MIB)
        self.assertLess(self.resident(guest), 146 * MIB)
        self.assertEqual(self.total(guest), had - 112)
        self.balloon(guest, 256 * MIB)
        self.assertEqual(self.total(guest), had)
        self.fill(guest, 120)
        # Beyond what there is is all that there is
        guest.qmp.command('balloon', value=1 << 40)
        self.check(guest, 'sleep 1')
        self.assertEqual(self.actual(guest), 256 * MIB)
        # A guest that is built anew has all, and goes to where it was told to
        self.balloon(guest, 144 * MIB)
        guest.qmp.command('system_reset')
        self.wait_for_shell(guest)
        end = time.monotonic() + guest.limit(60)
        while self.actual(guest) != 144 * MIB:
            self.assertLess(time.monotonic(), end)
            guest.pump(0.2)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_maxmem(self):
        """A guest that starts with less than maxmem= does not start so, or does
        not grow, or not beyond a save"""
        options = ['-m', '192M,maxmem=512M']
        guest = self.boot(*options)
        self.assertEqual(self.actual(guest), 192 * MIB)
        self.assertLess(self.resident(guest), 194 * MIB)
        had = self.total(guest)
        self.assertLess(had, 192)
        self.balloon(guest, 512 * MIB)
        self.assertEqual(self.total(guest), had + 320)
        self.fill(guest, 300)
        self.check(guest, 'head -c 20000000 /dev/urandom > /tmp/x; '
                   'md5sum < /tmp/x > /tmp/sum')
        self.balloon(guest, 320 * MIB)
        path = self.state_file()
        guest.qmp.command('migrate', uri='file:' + path)
        guest.wait_event('STOP')
        self.wait_status(guest, 'query-migrate', 'completed')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        guest = self.start(*self.linux_options(), *options, '-incoming',
                           'file:' + path)
        self.wait_status(guest, 'query-status', 'running')
        # A load touches all of it, and gives back what the guest has not
        self.assertLess(self.resident(guest), 324 * MIB)
        self.assertEqual(self.actual(guest), 320 * MIB)
        self.check(guest, 'md5sum < /tmp/x | cmp - /tmp/sum', timeout=60)
        self.balloon(guest, 512 * MIB)
        self.fill(guest, 300)
        # It begins again with what it began with, and none of that is left over
        guest.qmp.command('balloon', value=192 * MIB)
        guest.qmp.command('system_reset')
        self.wait_for_shell(guest)
        self.assertEqual(self.total(guest), had)
        self.assertLess(self.resident(guest), 194 * MIB)

    def test_stats(self):
        """What a guest tells of its memory, in xenstore, does not arrive"""
        guest = self.boot()

        def stats():
            return guest.qmp.command('qom-get', path='/machine/xenpv-balloon',
                                     property='guest-stats')
        unknown = 2 ** 64 - 1
        said = stats()
        self.assertEqual(said['last-update'], 0)
        self.assertEqual(set(said['stats'].values()), {unknown})
        # XS_WRITE, as a program that has xenstore's library would send it
        self.check(guest, r'value=$(head -n 5 /proc/meminfo); '
                   r'length=$(printf %o $((${#value} + 15))); '
                   r'printf "\013\0\0\0\0\0\0\0\0\0\0\0\\$length\0\0\0'
                   r'memory/meminfo\0%s" "$value" > /tmp/message; '
                   r'cat /tmp/message > /dev/xen/xenbus')
        end = time.monotonic() + guest.limit(30)
        while not stats()['last-update']:
            self.assertLess(time.monotonic(), end)
            guest.pump(0.2)
        said = stats()
        self.assertLess(abs(said['last-update'] - time.time()), 60)
        said = said['stats']
        self.assertEqual(said['stat-total-memory'] // 1024,
                         int(self.check(guest, "awk '/MemTotal/ { print $2 }' "
                                        '/proc/meminfo')))
        for name in ('stat-free-memory', 'stat-available-memory',
                     'stat-disk-caches'):
            self.assertLess(said[name], said['stat-total-memory'])
        self.assertEqual(said['stat-swap-in'], unknown)
