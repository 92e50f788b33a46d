# SPDX-License-Identifier: GPL-2.0-or-later
"""
PV guests under a libvirt that has a real KVM: both versions of libvirtd, in the
outer machine, each in a root of its own. (Where this machine has a real KVM,
test_libvirt.py uses that.)
"""

import base64

from test_libvirt import ENTER, Libvirt
from xenpv import image
from xenpv.nested import Nested
from xenpv.testcase import guests

# The emulators at their places in Debian's file system. Their libraries are the
# root's own, which is of the same Debian.
UNPACK = '''set -e
disk=$3
mkdir -p "$1" /dev/pts
mount -t devpts devpts /dev/pts 2> /dev/null || true
ip link set lo up
mount -t tmpfs -o size=800m tmpfs "$1"
tar x -f "$disk" -C "$1"
mkdir -p "$1/usr/lib/xenpv-kvm/bin" "$1/usr/share/xenpv-kvm"
mount --bind /bin "$1/usr/lib/xenpv-kvm/bin"
mount --bind /firmware "$1/usr/share/xenpv-kvm"
'''


class LibvirtKvm(Libvirt):
    parts = ('kvm',)
    # They are about QEMU's options, which are the same here
    without = {'test_framebuffer': ('kvm',), 'test_i386': ('kvm',),
               'test_refused': ('kvm',)}

    def setUp(self):
        if not isinstance(self.place, Nested):
            self.skipTest('%s has a real KVM on this machine' % self.root)
        super().setUp()

    def enter(self):
        script = base64.b64encode((UNPACK + ENTER).encode()).decode()
        status, output = self.place.shell(
            'echo %s | base64 -d > /tmp/enter' % script)
        self.assertEqual(status, 0, output)
        return self.place.program(
            self.log_name(), 'unshare -m -p -i -f sh /tmp/enter /root-%s '
            '/guests %s' % (self.root, self.place.libvirt[self.root]))

    def files(self):
        self.run_in('cp /guests/standin.img /tmp')
        return {
            'kernel': self.place.file(guests.linux('6.1')),
            'ramdisk': self.place.file(image.initramfs()),
            'disk': '/tmp/standin.img',
        }

    @staticmethod
    def emulator():
        return '/usr/lib/xenpv-kvm/bin/qemu-system-x86_64'

    @staticmethod
    def virt_type():
        return 'kvm'


class LibvirtKvm9(LibvirtKvm):
    label = 'libvirt-kvm-9'
    root = 'libvirt-9'


class LibvirtKvm11(LibvirtKvm):
    label = 'libvirt-kvm-11'
    root = 'libvirt-11'
