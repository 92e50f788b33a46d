# SPDX-License-Identifier: GPL-2.0-or-later
"""Further consoles than the primary one"""

import os
import shutil
import socket
import tempfile
import time

from xenpv.testcase import LinuxTest


class Console(LinuxTest):
    label = 'console'
    parts = ('functional',)

    def test_second(self):
        """A second console loses bytes, or what is typed there does not come
        to the guest"""
        directory = tempfile.mkdtemp()      # a socket's path must be short
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, 'hvc1')
        guest = self.boot('-chardev', 'socket,id=second,server=on,wait=off,'
                          'path=' + path, '-device',
                          'xen-console,chardev=second')
        second = socket.socket(socket.AF_UNIX)
        self.addCleanup(second.close)
        second.settimeout(guest.limit(30))
        second.connect(path)
        # More than the ring holds: the guest has to wait
        # Its settings are lost when nobody has it open
        self.check(guest, 'exec 3<> /dev/hvc1; stty raw -echo <&3; '
                   '{ seq 1 3000 >&3 & }')
        expected = ''.join('%d\n' % n for n in range(1, 3001)).encode()
        got = b''
        while len(got) < len(expected):
            got += second.recv(4096)
        self.assertEqual(got, expected)
        self.check(guest, '{ head -c %d <&3 | md5sum > /tmp/sum & }'
                   % len(expected))
        second.sendall(expected)
        self.check(guest, 'until [ -s /tmp/sum ]; do usleep 50000; done; '
                   'seq 1 3000 | md5sum | cmp - /tmp/sum')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def wait_open(self, guest, wanted):
        end = time.monotonic() + guest.limit(30)
        while self.is_open(guest) != wanted:
            self.assertLess(time.monotonic(), end, 'open: %s' % (not wanted))
            guest.pump(0.1)

    @staticmethod
    def is_open(guest):
        return next(c['frontend-open'] for c in
                    guest.qmp.command('query-chardev') if c['label'] == 'agent')

    def test_told(self):
        """The host is not told, or wrongly, whether somebody in the guest has an
        agent's channel open, also where the guest comes in"""
        options = ['-chardev', 'null,id=agent', '-device', 'virtio-serial',
                   '-device', 'virtserialport,chardev=agent,name=agent']
        state = self.state_file()
        guest = self.boot(*options)
        self.check(guest, 'until [ -c /dev/hvc1 ]; do usleep 50000; done; sleep 2')
        self.assertFalse(self.is_open(guest))
        self.check(guest, 'exec 3<> /dev/hvc1')
        self.wait_open(guest, True)
        guest.qmp.command('migrate', uri='file:' + state)
        self.wait_status(guest, 'query-migrate', 'completed')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

        guest = self.start(*self.linux_options(), *options, '-S', '-incoming',
                           'file:' + state)
        self.wait_status(guest, 'query-migrate', 'completed')
        self.assertTrue(self.is_open(guest))
        guest.qmp.command('cont')
        self.check(guest, 'exec 3<&-')
        self.wait_open(guest, False)
