# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest's clock, next to the host's, over all that makes a machine stand still

XENPV_ROUNDS: how often each is done, instead of once.
"""

import os
import subprocess
import time

from xenpv.busy import BusyTest
from xenpv.cpio import Cpio
from xenpv.testcase import guests, paths

ROUNDS = int(os.environ.get('XENPV_ROUNDS', '1'))
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'xenpv',
                      'guest-clock.c')
MS = 1000000                # nanoseconds
# What this end measures by, and what the clock may be off: on a busy machine the
# events that tell of the pause are not told at its ends. (0.1 to 0.7 ms were seen
# on one that had nothing else to do.) How long QEMU's threads had to wait for a CPU
# meanwhile comes on top.
GOOD = 1 * MS
LIMIT = 20 * MS
# How long to look for an answer that came fast
TRIES = 200


class Clock(BusyTest):
    label = 'clock'

    def linux_options(self, append=None):
        """Its /init is a program that tells the time"""
        program = paths.result(self.log_name('.init'))
        subprocess.run(['gcc', '-O2', '-Wall', '-static', '-pthread', '-o',
                        program, SOURCE], check=True)
        with Cpio(program + '.cpio') as archive:
            archive.device('dev/console', 5, 1)
            archive.copy('init', program)
        return ['-m', '128M', '-kernel', guests.linux('6.1'), '-initrd',
                program + '.cpio', '-append', 'console=hvc0 quiet']

    def ahead(self, guest):
        """
        How far the guest's clock is ahead of this machine's: by what was told
        fastest, and how sure that is
        """
        best = None
        for _ in range(TRIES):
            begin = time.monotonic_ns()
            guest.type('\n')
            match = guest.expect(r'clock (\d+) (\d+) (\d+)', 60)
            end = time.monotonic_ns()
            clock, wall, backwards = [int(g) for g in match.groups()]
            self.assertEqual(backwards, 0, 'steps back')
            self.assertGreaterEqual(clock, self.last, 'a step back')
            self.last = clock
            if not best or end - begin < best[1] * 2:
                best = clock - (begin + end) // 2, (end - begin) // 2
            if best[1] < GOOD // 10:
                break
        return best

    @staticmethod
    def waited(guest):
        """How long its threads were ready to run, and did not, in ns"""
        task = '/proc/%d/task' % guest.popen.pid
        waited = 0
        for thread in os.listdir(task):
            try:
                with open('%s/%s/schedstat' % (task, thread)) as f:
                    waited += int(f.read().split()[1])
            except OSError:         # it has ended
                pass
        return waited

    def pause(self, stopped, resumed):
        """Between the last STOP of the one and the RESUME of the other"""
        return 1000 * (self.moment(resumed, 'RESUME') -
                       self.moment(stopped, 'STOP'))

    @staticmethod
    def moment(guest, name):
        guest.qmp.command('query-status')
        stamp = [e for e in guest.qmp.events if e['event'] == name][-1][
            'timestamp']
        return stamp['seconds'] * 1000000 + stamp['microseconds']

    def stop_and_cont(self, guest):
        waited = self.waited(guest)
        guest.qmp.command('stop')
        time.sleep(0.05)
        guest.qmp.command('cont')
        return guest, self.pause(guest, guest), self.waited(guest) - waited

    def migrate_it(self, guest):
        path = paths.result(self.log_name('.sock'))
        if os.path.exists(path):
            os.unlink(path)
        other = self.target('unix:' + path, image_format='qcow2')
        waited = self.waited(guest) + self.waited(other)
        self.migrate(guest, 'unix:' + path)
        self.wait_running(other)
        pause = self.pause(guest, other)
        waited = self.waited(guest) + self.waited(other) - waited
        self.quit(guest)
        guest.release()
        return other, pause, waited

    def snapshot(self, guest):
        waited = self.waited(guest)
        self.hmp(guest, 'savevm a')
        saved = self.moment(guest, 'STOP'), self.last
        # Time that will not have been
        guest.pump(0.2)
        self.hmp(guest, 'loadvm a')
        self.last = saved[1]
        pause = 1000 * (self.moment(guest, 'RESUME') - saved[0])
        return guest, pause, self.waited(guest) - waited

    def test_events(self):
        """After a stop, a migration or a snapshot the guest's clock is not where
        it was, or goes backwards"""
        self.make_image('qcow2')
        guest = self.start(*self.linux_options(),
                           *self.options(image_format='qcow2'))
        self.last = 0
        start, _ = self.ahead(guest)
        pauses, worst = 0, {}
        begin = time.monotonic()
        for _ in range(ROUNDS):
            for event in (self.stop_and_cont, self.migrate_it, self.snapshot):
                before, unsure = self.ahead(guest)
                guest, pause, waited = event(guest)
                after, unsure_then = self.ahead(guest)
                off = before - after - pause
                name = event.__name__
                unsure += unsure_then + waited
                worst[name] = max(worst.get(name, (-1 << 62,)),
                                  (abs(off) - unsure, off, pause, unsure))
                pauses += before - after
        for name, (_, off, pause, unsure) in worst.items():
            print('# %s: %s: %d us off at worst, of a pause of %d us (measured '
                  'to %d us)' % (self.name(), name, off // 1000, pause // 1000,
                                 unsure // 1000), flush=True)
        drift = start - self.ahead(guest)[0] - pauses
        print('# %s: %d us in %.0f s beside the pauses'
              % (self.name(), drift // 1000, time.monotonic() - begin),
              flush=True)
        for name, (_, off, pause, unsure) in worst.items():
            self.assertLess(abs(off), LIMIT + unsure, name)
