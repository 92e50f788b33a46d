# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which pages a migration has still to send: TCG's account of it
"""

import os
import platform
import time

from xenpv.held import Held, symbol
from xenpv.testcase import GuestTest, paths


class DirtyPages(GuestTest):
    label = 'migration'
    parts = ('functional',)

    kernel = os.path.join(paths.GUESTS, 'dirty-pages-x86_64')

    def small_guest(self, *more):
        return self.start('-m', '64M', '-no-reboot', '-kernel',
                          self.place.file(self.kernel), '-append', 'hold=1',
                          *more)

    def wait_for(self, guest, statuses, syncs):
        """Until this many times a look was taken which pages are dirty"""
        while True:
            info = guest.qmp.command('query-migrate')
            self.assertIn(info['status'], statuses, info)
            if info.get('ram', {}).get('dirty-sync-count', 0) >= syncs:
                return info
            time.sleep(0.05)

    def test_dirty_pages(self):
        """A page that a vCPU is just beginning to write to as a migration looks
        which are dirty is not sent again, whatever is written to it later"""
        if platform.machine() != 'x86_64':
            self.skipTest('the host is none whose registers are known here')
        guest = self.small_guest()
        guest.expect('begin', 60)
        path = paths.result(self.log_name('.sock'))
        other = self.small_guest('-incoming', 'unix:' + path)
        other.qmp.command('query-status')
        # So that the pages which are not zero take some seconds
        guest.qmp.command('migrate-set-parameters',
                          **{'downtime-limit': 1, 'max-bandwidth': 3 << 20})
        guest.qmp.command('migrate', uri='unix:' + path)
        self.wait_for(guest, ('setup', 'active'), 1)
        time.sleep(0.5)
        # Where the page was seen to be dirty, and is not in the TLB yet
        held = Held(guest.popen.pid,
                    guest.qmp.command('query-cpus-fast')[0]['thread-id'],
                    paths.qemu('x86_64'), 'tlb_set_page_full',
                    r'xchg +%\w+,\(', symbol(self.kernel, 'memory')[0])
        self.addCleanup(held.let_go)
        self.wait_for(guest, ('active',), 2)
        time.sleep(1.5)                 # the guest knows it by that
        held.let_go()
        guest.expect('written', 60)
        self.wait_for(guest, ('active',), 2)
        guest.qmp.command('migrate-set-parameters',
                          **{'downtime-limit': 10000, 'max-bandwidth': 0})
        while guest.qmp.command('query-migrate')['status'] != 'completed':
            self.wait_for(guest, ('active', 'device', 'completed'), 2)
            time.sleep(0.05)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(other.expect(r'kept|Result: [^\r\n]*', 60)[0], b'kept')
