# SPDX-License-Identifier: GPL-2.0-or-later
"""xenstore, by the host's programs: Debian's xenstore-utils, unmodified"""

import os
import socket
import struct
import subprocess
import tempfile
import time

from xenpv.place import busy
from xenpv.testcase import Linux32Test, LinuxTest

HOME = '/local/domain/1'
XS_READ, XS_WATCH, XS_TRANSACTION_START, XS_ERROR = 2, 4, 6, 16
EVENTS = 15


class Xenstore(LinuxTest):
    label = 'xenstore'
    # The programs are this machine's
    parts = ('functional',)

    def boot_with_socket(self, *options):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = os.path.join(place.name, 'socket')
        self.env = dict(os.environ, XENSTORED_PATH=self.path)
        guest = self.boot('-device', 'xenpv-xenstore-socket,path=' + self.path,
                          *options)
        return guest

    def tool(self, name, *args, status=0):
        done = subprocess.run(['xenstore-' + name, *args], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60 * busy(), check=False)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout.decode()

    def client(self):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.connect(self.path)
        sock.settimeout(60 * busy())
        return sock

    def send(self, sock, kind, data, tx=0, length=None):
        sock.sendall(struct.pack('<IIII', kind, 1, tx, len(data) if length
                                 is None else length) + data)

    def receive(self, sock):
        """(type, data) of a message; None at the end of the connection"""
        data = b''
        length = 16
        while len(data) < length:
            try:
                more = sock.recv(length - len(data))
            except ConnectionResetError:
                # It had not read all
                return None
            if not more:
                return None
            data += more
            if len(data) >= 16:
                length = 16 + struct.unpack('<I', data[12:16])[0]
        return struct.unpack('<I', data[:4])[0], data[16:]

    def ask(self, sock, kind, data, tx=0):
        self.send(sock, kind, data, tx)
        return self.receive(sock)

    def test_tools(self):
        """Programs for xenstore see another store than the guest, or cannot
        change it, or what they change does not outlive a reset"""
        guest = self.boot_with_socket()
        listing = self.tool('ls', '-f', HOME)
        self.assertIn(HOME + '/memory/target = "262144"', listing)
        self.assertIn(HOME + '/control', listing)
        self.assertEqual(self.tool('read', HOME + '/domid'), '1\n')
        self.assertIn('cpu', self.tool('list', HOME).split())
        self.tool('read', HOME + '/none', status=1)

        # One waits for what another writes
        with subprocess.Popen(['xenstore-watch', '-n', '2', HOME + '/data'],
                              env=self.env, stdout=subprocess.PIPE) as watch:
            self.assertEqual(watch.stdout.readline().decode(), HOME + '/data\n')
            self.tool('write', HOME + '/data/a', 'one', HOME + '/data/b', 'two')
            self.assertIn(watch.stdout.readline().decode(),
                          (HOME + '/data/a\n', HOME + '/data/b\n'))
            self.assertEqual(watch.wait(60 * busy()), 0)
        self.assertEqual(self.tool('read', HOME + '/data/a', HOME + '/data/b'),
                         'one\ntwo\n')
        self.tool('chmod', HOME + '/data/a', 'n0', 'r1')
        self.assertIn('(n0,r1)', self.tool('ls', '-p', HOME + '/data'))
        self.assertTrue(self.tool('exists', HOME + '/data/a') == '')
        self.tool('rm', HOME + '/data/b')
        self.tool('read', HOME + '/data/b', status=1)

        # The toolstack's, so it is there after a reset, with its permissions
        guest.qmp.command('system_reset')
        guest.wait_event('RESET')
        self.wait_for_shell(guest)
        self.assertEqual(self.tool('read', HOME + '/data/a'), 'one\n')
        self.assertIn('(n0,r1)', self.tool('ls', '-p', HOME + '/data'))
        self.tool('read', HOME + '/data/b', status=1)
        # Linux does what it is told, as by xl sysrq and by xl shutdown
        self.check(guest, 'true')
        self.tool('write', HOME + '/control/sysrq', 'h')
        self.check(guest, 'until dmesg | grep -q "sysrq: HELP"; do '
                   'usleep 50000; done')
        self.tool('write', HOME + '/control/shutdown', 'halt')
        end = time.monotonic() + guest.limit(60)
        while self.tool('read', HOME + '/control/shutdown') != '\n':
            self.assertLess(time.monotonic(), end)
            time.sleep(0.2)
        # What was asked of it is not asked of the next one
        guest.qmp.command('stop')
        guest.qmp.command('system_reset')
        guest.wait_event('RESET')
        self.assertEqual(self.tool('read', HOME + '/control/shutdown'), '\n')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertFalse(os.path.exists(self.path))

    def test_hostile(self):
        """A program that breaks xenstored's protocol, or does not read, stops
        QEMU or the guest, or has more than its share"""
        guest = self.boot_with_socket()
        # Longer than a message can be; half of one, which others do not wait for
        for length in (4097, 0x7fffffff, 0xffffffff, 0xfffffff0):
            sock = self.client()
            self.send(sock, XS_READ, b'x', length=length)
            self.assertIsNone(self.receive(sock))
        half = self.client()
        half.sendall(b'\x02\0\0')
        sock = self.client()
        # A relative path is domain 0's
        self.assertEqual(self.ask(sock, XS_READ, b'domid\0'), (XS_READ, b'0'))
        self.assertEqual(self.ask(sock, XS_READ, HOME.encode() + b'/domid\0'),
                         (XS_READ, b'1'))
        # What there is no such request for
        self.assertEqual(self.ask(sock, 12345, b''), (XS_ERROR, b'ENOSYS\0'))
        self.assertEqual(self.ask(sock, XS_READ, b'no end'),
                         (XS_ERROR, b'EINVAL\0'))

        # Transactions and watches: ten, and 128; and none of another's
        txs = []
        for _ in range(10):
            kind, data = self.ask(sock, XS_TRANSACTION_START, b'\0')
            self.assertEqual(kind, XS_TRANSACTION_START)
            txs.append(int(data[:-1]))
        self.assertEqual(self.ask(sock, XS_TRANSACTION_START, b'\0'),
                         (XS_ERROR, b'ENOSPC\0'))
        other = self.client()
        self.assertEqual(self.ask(other, XS_READ, b'/tool\0', tx=txs[0]),
                         (XS_ERROR, b'ENOENT\0'))
        answers = []
        for i in range(200):
            self.send(other, XS_WATCH, b'/\0t%d\0' % i)
            while True:
                kind, data = self.receive(other)
                if kind != EVENTS:
                    break
            answers.append(kind)
        self.assertEqual(answers.count(XS_WATCH), 128)

        # As many as may be connected; the others are turned away
        many = [self.client() for _ in range(60)]
        alive = 0
        for sock in many:
            try:
                alive += self.ask(sock, XS_READ, b'/tool/xenstored\0') is not None
            except (BrokenPipeError, ConnectionResetError):
                pass
        self.assertGreater(alive, 20)
        self.assertLessEqual(alive, 32)
        for sock in many:
            sock.close()

        # Who asks and does not read is not heard
        sock = self.client()
        sock.settimeout(5)
        sent = 0
        request = struct.pack('<IIII', XS_READ, 1, 0, 23) + HOME.encode() + \
            b'/domid\0\0'
        with self.assertRaises(TimeoutError):
            while sent < 64 << 20:
                sent += sock.send(request * 1000)
        self.assertEqual(guest.qmp.command('query-status')['status'], 'running')
        self.assertEqual(self.tool('read', HOME + '/domid'), '1\n')
        self.check(guest, 'echo alive')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)


class Suspend(Xenstore):
    label = 'suspend'
    devices = True

    # What the base class tests has been tested
    without = {'test_tools': ('functional',), 'test_hostile': ('functional',)}
    wrong = 'BUG|WARNING|Oops|lockup|I/O error|Call Trace'
    options = ['-smp', '2',
               '-blockdev', 'null-co,node-name=d,size=16777216,read-zeroes=on',
               '-device', 'xen-disk,drive=d,vdev=xvda',
               '-netdev', 'user,id=n',
               '-device', 'xen-net-device,netdev=n,mac=52:54:00:12:34:99']

    def all_is_well(self, guest):
        self.check(guest, 'dd if=/dev/xvda of=/dev/null bs=64k count=16 '
                   'iflag=direct 2>/dev/null', timeout=60)
        self.check(guest, 'ping -A -c 2 -w 20 10.0.2.2 > /dev/null', timeout=40)
        self.check(guest, 'nproc', '^2$')
        self.check(guest, 'sleep 1; dmesg | grep -E "%s" | head -n 3'
                   % self.wrong, r'^$')

    def suspend(self, guest):
        """As xl does, before it saves"""
        self.tool('write', HOME + '/control/shutdown', 'suspend')
        guest.wait_event('SUSPEND')
        self.assertEqual(guest.qmp.command('query-status'),
                         {'status': 'suspended', 'running': False})

    def test_wakeup(self):
        """A guest that suspends itself does not stop; or when it is woken up is not
        told that it has been restored, or is not found by its disk, network,
        console and other vCPU where it is after that"""
        guest = self.boot_with_socket(*self.options)
        self.check(guest, 'until [ -b /dev/xvda ]; do usleep 50000; done; '
                   'ifconfig eth0 10.0.2.15')
        for i in range(int(os.environ.get('XENPV_ROUNDS', '2'))):
            self.suspend(guest)
            self.assert_silent(guest, 2)
            guest.qmp.command('system_wakeup')
            guest.wait_event('WAKEUP')
            guest.expect('@42@', 60)
            self.all_is_well(guest)
            # Linux says so at its start, and when it makes a table anew
            self.check(guest, 'dmesg | grep -c "Grant tables using version"',
                       '^%d$' % (i + 2))

        # It moves, and is woken up there
        self.suspend(guest)
        state = self.path + '.state'
        guest.qmp.command('migrate', uri='file:' + state)
        self.wait_status(guest, 'query-migrate', 'completed')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        guest = self.start(*self.linux_options(), *self.options,
                           '-incoming', 'file:' + state)
        self.wait_status(guest, 'query-status', 'suspended')
        guest.qmp.command('system_wakeup')
        self.all_is_well(guest)

    def test_offline(self):
        """A vCPU that the guest had put down before it was suspended does not come
        up after that, as Linux initialises it anew"""
        guest = self.boot_with_socket(*self.options)
        online = '/sys/devices/system/cpu/cpu1/online'
        self.check(guest, 'until [ -b /dev/xvda ]; do usleep 50000; done; '
                   'ifconfig eth0 10.0.2.15; echo 0 > ' + online)
        self.suspend(guest)
        guest.qmp.command('system_wakeup')
        guest.wait_event('WAKEUP')
        self.check(guest, 'nproc', '^1$', 60)
        self.check(guest, 'echo 1 > ' + online, timeout=60)
        self.all_is_well(guest)


class Suspend32(Linux32Test, Suspend):
    """A 32-bit Linux of the user's own does so, too"""
    label = 'suspend-32'
    # A CPU of 4.19's that is idle between xen_arch_suspend(), which has stopped
    # its timer, and the hypercall is warned of that: "Current state: 1"
    wrong = 'BUG|Oops|lockup|I/O error'
