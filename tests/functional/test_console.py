# SPDX-License-Identifier: GPL-2.0-or-later
"""Further consoles than the primary one"""

import os
import shutil
import socket
import tempfile

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
        second.settimeout(30)
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
