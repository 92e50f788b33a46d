# SPDX-License-Identifier: GPL-2.0-or-later
"""
Writes the "newc" cpio archives which Linux takes for an initramfs.

Device nodes and owners are only numbers in the archive, so this needs no
rights; without times in it, the same input gives the same file.
"""

import os
import stat


class Cpio:
    def __init__(self, path):
        self.path = path
        self.out = open(path + '.new', 'wb')
        self.dirs = set()
        self.ino = 0

    def close(self):
        self._entry('TRAILER!!!', 0, b'')
        self.out.close()
        os.replace(self.path + '.new', self.path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0]:
            self.out.close()
            os.unlink(self.path + '.new')
        else:
            self.close()

    def _entry(self, name, mode, data, rdev=(0, 0)):
        self.ino += 1
        encoded = name.encode() + b'\0'
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(encoded), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + encoded
        self.out.write(head + b'\0' * (-len(head) % 4))
        self.out.write(data)
        self.out.write(b'\0' * (-len(data) % 4))

    def _parents(self, name):
        parent = os.path.dirname(name)
        if parent:
            self.mkdir(parent)

    def mkdir(self, name):
        if name not in self.dirs:
            self._parents(name)
            self.dirs.add(name)
            self._entry(name, stat.S_IFDIR | 0o755, b'')

    def file(self, name, data, mode=0o644):
        self._parents(name)
        if isinstance(data, str):
            data = data.encode()
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, name, path):
        """Add the file at PATH as NAME"""
        with open(path, 'rb') as f:
            self.file(name, f.read(), os.stat(path).st_mode & 0o777)

    def symlink(self, name, target):
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self._parents(name)
        self._entry(name, stat.S_IFCHR | 0o600, b'', (major, minor))
