# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner of these tests itself"""

import os
import signal
import subprocess
import sys
import time

from xenpv.place import busy
from xenpv.testcase import GuestTest, Timeout

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run.py')
# Its QEMU is in a network namespace of its own
TEST = 'network/tap'


def processes_with(variable):
    """Those of this machine that have a variable in their environment"""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/environ' % pid, 'rb') as f:
                if variable.encode() in f.read().split(b'\0'):
                    found.append(int(pid))
        except OSError:
            pass
    return found


class RunnerTest(GuestTest):
    label = 'runner'
    parts = ('functional',)

    def stop(self, signum):
        results = self.place.scratch(self.log_name('.' + signum.name))
        variable = 'XENPV_RESULTS=' + results
        runner = subprocess.Popen(
            [sys.executable, RUN, 'functional', TEST],
            env=dict(os.environ, XENPV_RESULTS=results), encoding='utf-8',
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.addCleanup(runner.wait)
        self.addCleanup(runner.kill)
        end = time.monotonic() + 60 * busy()
        while len(processes_with(variable)) < 2:
            if runner.poll() is not None or time.monotonic() > end:
                raise Timeout('%s has not begun' % TEST)
            time.sleep(0.05)
        runner.send_signal(signum)
        output, _ = runner.communicate(timeout=60 * busy())
        self.assertEqual(runner.returncode, 1, output)
        self.assertIn('not ok %s - stopped by %s' % (TEST, signum.name), output)
        self.assertEqual(processes_with(variable), [])

    def test_stopped(self):
        """Who ends the tests early, by ^C or kill, is left with their emulators
        and daemons, which run on"""
        for signum in signal.SIGINT, signal.SIGTERM:
            self.stop(signum)
