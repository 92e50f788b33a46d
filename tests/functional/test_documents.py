# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents, as make html and make man build them"""

import os
import subprocess

from xenpv.place import busy
from xenpv.testcase import GuestTest, paths


class Documents(GuestTest):
    label = 'documents'
    parts = ('functional',)

    def build(self, form, *files):
        done = subprocess.run([os.path.join(paths.TOP, 'scripts/docs'), form],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=240 * busy(), encoding='utf-8',
                              errors='replace')
        self.assertEqual(done.returncode, 0, done.stdout)
        for name in files:
            path = os.path.join(paths.TOP, 'build', form, name)
            self.assertGreater(os.path.getsize(path), 1000, name)

    def test_html(self):
        """Sphinx warns about a document, or one is not in the manual"""
        self.build('html', 'system/i386/xenpv-kvm.html',
                   'system/i386/xenpv-kvm-migration.html',
                   'system/i386/xenpv-kvm-guests.html',
                   'specs/xenpv-kvm.html', 'specs/xenpv-devices.html')

    def test_man(self):
        """A command has no man page, or Sphinx warns about it"""
        self.build('man', 'xenner.1', 'xenpv-convert.1', 'qemu-xenpv-i386.1',
                   'qemu-xenpv-x86_64.1')
