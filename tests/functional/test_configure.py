# SPDX-License-Identifier: GPL-2.0-or-later
"""Which source configure builds"""

import os
import shutil
import subprocess
import tempfile

from xenpv.place import busy
from xenpv.testcase import GuestTest, paths


class Configure(GuestTest):
    label = 'configure'
    parts = ('functional',)

    def test_source(self):
        """QEMU's source that has changed since configure copied it is built as it
        was, or what has not is copied once more"""
        top = self.make_tree()
        source = os.path.join(top, 'source')
        file = 'hw/i386/kvm/xenstore_impl.c'
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
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=60 * busy(), encoding='utf-8', errors='replace')
            self.assertNotEqual(done.returncode, 0, done.stdout)
            self.assertEqual('copying ' + source in done.stdout, copied,
                             done.stdout)
            if text:
                with open(os.path.join(top, '.cache/qemu', file)) as f:
                    self.assertEqual(f.read(), text)

    def test_compilers(self):
        """Where the monitor's compiler cannot compile for x86, or the host is none
        of those that are known, configure does not say so in one line"""
        top = self.make_tree()
        bin_dir = os.path.join(top, 'bin')
        os.mkdir(bin_dir)
        # An aarch64 host whose gcc for x86 has one width only
        for name, text in (
                ('uname', 'echo aarch64'),
                ('arm-gcc', '[ "$1" = -dumpmachine ] && echo arm-linux-gnueabi'),
                ('no-x86-gcc', 'exit 1'),
                ('x86_64-linux-gnu-gcc', '[ "$1" = -m64 ]')):
            path = os.path.join(bin_dir, name)
            self.write(path, '#!/bin/sh\n%s\n' % text)
            os.chmod(path, 0o755)

        def check(said, *options):
            done = subprocess.run(
                # It is to get no further than to the source
                ['sh', './configure', '--qemu-src=none', *options], cwd=top,
                env=dict(os.environ, PATH=bin_dir + ':' + os.environ['PATH']),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                encoding='utf-8', errors='replace')
            self.assertNotEqual(done.returncode, 0, done.stdout)
            self.assertRegex(done.stdout, r'\Aconfigure: .*%s.*\n\Z' % said)

        check('the monitor is x86 code.* gcc-x86-64-linux-gnu, .*'
              '--cross-cc-x86_64=CC', '--cc=no-x86-gcc')
        for name in 'no-such-gcc', 'x86_64-linux-gnu-gcc':
            check('--cross-cc-x86_64=%s is no gcc' % name,
                  '--cross-cc-x86_64=' + name)
        check('--cross-prefix=arm-, arm: ', '--cross-prefix=arm-')
        check('--cross-prefix=m68k-linux-gnu-, m68k: ',
              '--cross-prefix=m68k-linux-gnu-')

    def make_tree(self):
        top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, top)
        shutil.copy2(os.path.join(paths.TOP, 'configure'), top)
        shutil.copytree(os.path.join(paths.TOP, 'scripts'),
                        os.path.join(top, 'scripts'))
        return top

    @staticmethod
    def write(*path_and_text):
        with open(os.path.join(*path_and_text[:-1]), 'w') as f:
            f.write(path_and_text[-1])
