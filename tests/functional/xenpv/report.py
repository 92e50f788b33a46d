# SPDX-License-Identifier: GPL-2.0-or-later
"""
Tells how each test ended: one line each, on stdout and in a .tap file,

    ok NAME (SECONDS s)
    not ok NAME - REASON
    skip NAME - REASON

and for one that failed, on stdout, the sentence which says what is broken,
the traceback and the last lines of the console.
"""

import time
import traceback
import unittest

from . import paths


class Report(unittest.TestResult):
    def __init__(self, tap):
        super().__init__()
        self.tap = open(paths.result(tap), 'w')
        self.ran = 0
        self.failed = 0

    def line(self, text):
        print(text, flush=True)
        self.tap.write(text + '\n')
        self.tap.flush()

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()

    def addSuccess(self, test):
        self.ran += 1
        self.line('ok %s (%.1f s)' % (test.name(),
                                      time.monotonic() - self.begin))

    def addSkip(self, test, reason):
        self.line('skip %s - %s' % (test.name(), reason))

    def addFailure(self, test, error):
        self.not_ok(test, error)

    def addError(self, test, error):
        self.not_ok(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self.not_ok(test, error)

    def not_ok(self, test, error):
        self.ran += 1
        self.failed += 1
        reason = ' '.join(str(error[1]).split()) or error[0].__name__
        self.line('not ok %s - %s' % (test.name(), reason[:300]))
        print('    what is broken: %s' % test.sentence())
        for entry in traceback.format_exception(*error):
            for line in entry.splitlines():
                print('    | ' + line)
        for line in test.console_tail():
            print('    > ' + line)
        print(flush=True)
