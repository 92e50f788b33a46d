# SPDX-License-Identifier: GPL-2.0-or-later
"""
PV guests under a libvirt that has a real KVM, confined by AppArmor: both
versions of libvirtd, in the outer machine, each in a root of its own. (Where
this machine has a real KVM, test_libvirt.py uses that, without AppArmor, whose
profiles would be loaded into its kernel.)
"""

import base64
import os

from test_libvirt import CHROOT, ENTER, Libvirt
from xenpv import image
from xenpv.nested import Nested
from xenpv.testcase import guests, paths

# The emulators at their places in Debian's file system. Their libraries are the
# root's own, which is of the same Debian.
UNPACK = '''set -e
disk=$3
mkdir -p "$1" /dev/pts
mount -t devpts devpts /dev/pts 2> /dev/null || true
mount -t securityfs securityfs /sys/kernel/security 2> /dev/null || true
ip link set lo up
mount -t tmpfs -o size=800m tmpfs "$1"
tar x -f "$disk" -C "$1"
mkdir -p "$1/usr/lib/xenpv-kvm/bin" "$1/usr/share/xenpv-kvm"
mount --bind /bin "$1/usr/lib/xenpv-kvm/bin"
mount --bind /firmware "$1/usr/share/xenpv-kvm"
'''
# As an initramfs does it, and not by chroot alone: AppArmor's paths are those of
# the whole namespace
SWITCH = '''cd "$root"
mount --move . /
root=.
'''
LOCAL = '/etc/apparmor.d/local/'
INCLUDE = 'include <abstractions/xenpv-kvm>'


class LibvirtKvm(Libvirt):
    parts = ('kvm',)
    security_driver = 'apparmor'
    # One of each kind: to choose between them is libvirt's, which is the same
    # under TCG
    saves = Libvirt.saves[:1]
    boots = ('reboot',)
    # They are about QEMU's options, which are the same here, or would take long
    # there; the last needs a bridge, which the outer machine's kernel does not
    # have
    without = {'test_framebuffer': ('kvm',), 'test_i386': ('kvm',),
               'test_refused': ('kvm',), 'test_old_xml': ('kvm',),
               'test_snapshots': ('kvm',), 'test_copies': ('kvm',),
               'test_migrate': ('kvm',),
               'test_network': ('kvm',), 'test_cdrom': ('kvm',),
               'test_agent': ('kvm',)}

    def setUp(self):
        if not isinstance(self.place, Nested):
            self.skipTest('%s has a real KVM on this machine' % self.root)
        super().setUp()

    def enter(self):
        script = UNPACK + ENTER + SWITCH + CHROOT
        script = base64.b64encode(script.encode()).decode()
        status, output = self.place.shell(
            'echo %s | base64 -d > /tmp/enter' % script)
        self.assertEqual(status, 0, output)
        return self.place.program(
            self.log_name(), 'unshare -m -p -i -f sh /tmp/enter /root-%s '
            '/guests %s' % (self.root, self.place.libvirt[self.root]))

    def prepare(self):
        """As README.Debian says"""
        with open(os.path.join(paths.TOP, 'scripts/deb/apparmor')) as f:
            self.write('/etc/apparmor.d/abstractions/xenpv-kvm', f.read())
        self.run_in('mkdir -p %sabstractions; touch %s'
                    'usr.lib.libvirt.virt-aa-helper' % (LOCAL, LOCAL))
        for name in ('usr.sbin.libvirtd', 'abstractions/libvirt-qemu'):
            self.write(LOCAL + name, INCLUDE)
        self.run_in('cd /etc/apparmor.d; apparmor_parser -K -r '
                    'usr.sbin.libvirtd usr.lib.libvirt.virt-aa-helper', 120)

    def test_verbs(self):
        """Under a real KVM a verb of virsh's does not do to a PV guest what it
        says, or AppArmor, with what the package brings, denies QEMU something
        that it needs"""
        self.place.shell('dmesg -c')
        super().test_verbs()
        status, output = self.place.shell('dmesg | grep apparmor=.DENIED')
        self.assertEqual(output, '', output)

    def starts_by_itself(self):
        """So is who starts it"""

    def check_running(self):
        super().check_running()
        self.assertRegex(self.virsh('dominfo pvguest'), r'Security label: +'
                         r'libvirt-[0-9a-f-]+ \(enforcing\)')

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
    # Which takes minutes here: it has them under TCG, and libvirt 11 both
    without = {**LibvirtKvm.without, 'test_verbs': ('kvm',),
               'test_virt_install': ('kvm',)}


class LibvirtKvm11(LibvirtKvm):
    label = 'libvirt-kvm-11'
    root = 'libvirt-11'
