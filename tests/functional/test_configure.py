# SPDX-License-Identifier: GPL-2.0-or-later
"""Which source configure builds"""

import os
import shutil
import subprocess
import tempfile

from xenpv.testcase import GuestTest, paths


class Configure(GuestTest):
    label = 'configure'
    parts = ('functional',)

    def test_source(self):
        """QEMU's source that has changed since configure copied it is built as it
        was, or what has not is copied once more"""
        top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, top)
        source = os.path.join(top, 'source')
        file = 'hw/i386/kvm/xenstore_impl.c'
        shutil.copy2(os.path.join(paths.TOP, 'configure'), top)
        shutil.copytree(os.path.join(paths.TOP, 'scripts'),
                        os.path.join(top, 'scripts'))
        # So that nothing is fetched
        os.mkdir(os.path.join(top, '.cache'))
        os.symlink(os.path.join(paths.TOP, '.cache/meson'),
                   os.path.join(top, '.cache/meson'))
        os.makedirs(os.path.join(source, os.path.dirname(file)))
        self.write(source, 'VERSION', '10.0.13')

        for text, copied in ('first', True), (None, False), ('second', True):
            if text:
                self.write(source, file, text)
            # There is not enough of QEMU to go further than that
            done = subprocess.run(
                ['sh', './configure', '--qemu-src=' + source], cwd=top,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                encoding='utf-8', errors='replace')
            self.assertNotEqual(done.returncode, 0, done.stdout)
            self.assertEqual('copying ' + source in done.stdout, copied,
                             done.stdout)
            if text:
                with open(os.path.join(top, '.cache/qemu', file)) as f:
                    self.assertEqual(f.read(), text)

    @staticmethod
    def write(*path_and_text):
        with open(os.path.join(*path_and_text[:-1]), 'w') as f:
            f.write(path_and_text[-1])
