#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
run.py [--list] PART [FILTER...]

Runs the functional tests of a part:

  functional  real guests under TCG, on this machine
  sanitized-functional   one under load, and one that is saved and loaded, with
              the build that has sanitizers, where XENPV_BUILD is that of
              "make check-sanitizers"
  soak        no part of "make check": what is done over and over, XENPV_ROUNDS
              times, under TCG
  soak-kvm    likewise, always under a nested KVM
  kvm         real guests under a real KVM: this machine's, where its
              processor has VMX or SVM, else a nested one (xenpv/nested.py)
  vmx         no part of "make check": our own kernels, PV GRUB and a Linux under
              Intel's KVM, in Bochs (xenpv/bochs.py)
  bench-kvm   no test: VM exits for each operation, and the time from QEMU's
              start to a guest's init, next to -M microvm
  bench-vmx   no test: VM exits likewise, of Intel's KVM, in Bochs
  bench-linux no test: what system calls, faults, fork, exec and context switches
              cost inside Linux, next to a real Xen and -M microvm
  bench-devices   no test: throughput and VM exits of disks and networks, next
              to virtio (needs scripts/assets debian-bench)

With FILTERs, only the tests whose names contain one of them. Results are
printed and written to build/results/PART.tap, with logs in
build/results/PART/. The exit status is 0 if something ran and all was well.
"""

import os
import shutil
import signal
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from xenpv import bench, devbench, linuxbench, paths    # noqa: E402
from xenpv.bochs import Bochs               # noqa: E402
from xenpv.nested import Nested             # noqa: E402
from xenpv.place import Host, busy          # noqa: E402
from xenpv.report import Report             # noqa: E402
from xenpv.testcase import GuestTest        # noqa: E402

# No test takes that long; one that does is stuck in something unforeseen. What it
# waits for has shorter limits. All of them grow with the machine's load.
TEST_LIMIT = {'functional': 1200, 'sanitized-functional': 1800, 'kvm': 1800,
              'soak': 1800, 'soak-kvm': 1800, 'vmx': 3600}
# How much slower code is that looks at each access
SANITIZED_PATIENCE = 8


def tests_of(part, filters):
    found = []

    def walk(suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                walk(test)
            elif not isinstance(test, GuestTest):
                # unittest's stand-in for a module that cannot be imported
                test.debug()
            elif test.runs_in(test._testMethodName, part):
                if not filters or any(f in test.name() for f in filters):
                    found.append(test)

    loader = unittest.TestLoader()
    for file in sorted(os.listdir(HERE)):
        if file.startswith('test_') and file.endswith('.py'):
            walk(loader.loadTestsFromName(file[:-len('.py')]))
    return found


def alarm(signum, frame):
    raise TimeoutError('the test took longer than any should')


class Stopped(Exception):
    """By somebody who does not want to wait for the end"""


def stop_by_signal(report):
    """
    The test that runs fails then, so that it clears up, and no other one
    begins: unittest would skip what a test has to do at its end
    """
    signals = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

    def stop(signum, frame):
        for s in signals:
            signal.signal(s, signal.SIG_IGN)
        report.stop()
        raise Stopped('stopped by ' + signal.Signals(signum).name)

    for s in signals:
        # What is ignored already, as by nohup, stays so
        if signal.getsignal(s) != signal.SIG_IGN:
            signal.signal(s, stop)


def place_for(part, **nested):
    if part in ('functional', 'soak'):
        return Host('tcg')
    if part == 'sanitized-functional':
        return Host('tcg', SANITIZED_PATIENCE)
    if part == 'vmx':
        place = Bochs()
        print('# Bochs: Debian\'s kernel had /dev/kvm after %.0f s'
              % place.boot_seconds, flush=True)
        return place
    if part == 'soak-kvm':
        nested = {'name': part + '/outer', 'cpus': 2}
    elif Host.has_real_kvm() and not os.environ.get('XENPV_NESTED'):
        print('# this machine\'s own KVM', flush=True)
        return Host('kvm')
    place = Nested(**nested)
    print('# nested KVM: Debian\'s kernel under TCG had /dev/kvm after %.1f s'
          % place.boot_seconds, flush=True)
    return place


def run_tests(part, filters):
    tests = tests_of(part, filters)
    report = Report(part + '.tap')
    if not tests:
        report.line('not ok %s - no test has such a name' % part)
        return 1
    shutil.rmtree(os.path.join(paths.RESULTS, part), ignore_errors=True)
    stop_by_signal(report)
    try:
        place = place_for(part)
    except Exception as e:
        for test in tests:
            report.line('not ok %s - no place to run: %s' % (test.name(), e))
        return 1
    GuestTest.part = part
    GuestTest.place = place
    signal.signal(signal.SIGALRM, alarm)
    try:
        for test in tests:
            if report.shouldStop:
                break
            # A soak takes as long as it takes
            signal.alarm(0 if os.environ.get('XENPV_ROUNDS')
                         else int(TEST_LIMIT[part] * busy()))
            test.run(report)
            signal.alarm(0)
    finally:
        place.close()
    return 0 if report.ran and not report.failed and not report.shouldStop else 1


def main(arguments):
    listing = '--list' in arguments
    arguments = [a for a in arguments if a != '--list']
    if not arguments or arguments[0] not in (
            *TEST_LIMIT, 'bench-kvm', 'bench-vmx', 'bench-linux',
            'bench-devices'):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    part, filters = arguments[0], arguments[1:]
    if part == 'bench-kvm':
        return bench.main(place_for, filters)
    if part == 'bench-vmx':
        return bench.main_vmx(place_for, filters)
    if part == 'bench-linux':
        return linuxbench.main(place_for, filters)
    if part == 'bench-devices':
        return devbench.main(place_for, filters)
    if listing:
        for test in tests_of(part, filters):
            print('%s: %s' % (test.name(), test.sentence()))
        return 0
    return run_tests(part, filters)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
