# SPDX-License-Identifier: GPL-2.0-or-later
"""
A PV guest under a libvirt that has a real KVM: libvirtd of Debian 12 in the
outer machine, in a root of its own. (Where this machine has a real KVM,
test_libvirt.py uses that.)
"""

import base64

from test_libvirt import LIBVIRTD_CONF, QEMU_CONF
from xenpv.nested import Nested
from xenpv.testcase import GuestTest, guests

ROOT = '/libvirt'
CHROOT = ('env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin LC_ALL=C HOME=/root '
          'chroot %s ' % ROOT)
DOMAIN = '''<domain type='kvm'
    xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>pvguest</name>
  <memory unit='MiB'>192</memory>
  <os>
    <type arch='x86_64' machine='xenpv-kvm'>hvm</type>
    <kernel>/guest/vmlinuz</kernel>
    <initrd>/guest/initrd</initrd>
    <cmdline>console=hvc0</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/guest/qemu-system-x86_64</emulator>
    <console type='pty'/>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-L'/><qemu:arg value='/guest/firmware'/>
  </qemu:commandline>
</domain>
'''
# QEMU's binary finds its libraries in the root, which is of the same Debian
PREPARE = '''set -e
ip link set lo up
mkdir -p {root}
mount -t tmpfs -o size=600m tmpfs {root}
tar x -f {tar} -C {root}
cd {root}
mount --bind /dev dev
mkdir -p dev/pts
mount -t devpts devpts dev/pts
mount -t sysfs sysfs sys
mount -t proc proc proc
for d in run tmp root etc/libvirt var/lib/libvirt var/cache/libvirt \
    var/log/libvirt var/lock; do
    mkdir -p $d
    mount -t tmpfs tmpfs $d
done
mkdir guest guest/firmware
cp /bin/qemu-system-x86_64 guest
cp /firmware/* guest/firmware
cp {kernel} guest/vmlinuz
cp {initrd} guest/initrd'''


class LibvirtKvm(GuestTest):
    label = 'libvirt-kvm'
    parts = ('kvm',)

    def setUp(self):
        super().setUp()
        if not isinstance(self.place, Nested):
            self.skipTest('libvirt-9/verbs has a real KVM on this machine')
        self.addCleanup(self.place.shell,
                        'for p in $(pidof libvirtd); do kill -9 $p; done; '
                        'umount -l %s' % ROOT)
        self.outer(PREPARE.replace('\n', ';').replace('do;', 'do').format(
            root=ROOT, tar=self.place.libvirt,
            kernel=self.place.file(guests.linux('6.1')),
            initrd=self.place.file(guests.linux_initramfs())))
        self.put('/etc/libvirt/qemu.conf', QEMU_CONF)
        self.put('/etc/libvirt/libvirtd.conf', LIBVIRTD_CONF)
        self.put('/tmp/guest.xml', DOMAIN)
        self.outer(CHROOT + "sh -c 'ulimit -n 1024; libvirtd -d "
                   "-f /etc/libvirt/libvirtd.conf > /tmp/libvirtd.log 2>&1'")
        self.outer('for i in $(seq 60); do %s virsh uri && break; sleep 1; '
                   'done' % CHROOT)

    def outer(self, command, timeout=60, status=0):
        got, output = self.place.shell(command,
                                       timeout * self.place.patience)
        self.assertEqual(got, status, '%s: %s' % (command, output))
        return output

    def put(self, path, text):
        self.outer('echo %s | base64 -d > %s%s' % (
            base64.b64encode(text.encode()).decode(), ROOT, path))

    def virsh(self, command, status=0):
        return self.outer('%s virsh %s 2>&1' % (CHROOT, command),
                          status=status).strip()

    def tty(self):
        return ROOT + self.virsh('ttyconsole pvguest')

    def wait_for(self, command):
        self.outer('for i in $(seq 100); do %s && exit; sleep 1; done; exit 1'
                   % command)

    def wait_for_shell(self):
        self.wait_for('grep -q guest# /tmp/console')

    def test_verbs(self):
        """libvirt cannot run a PV guest of type "kvm", or does not do to it
        what it is told"""
        self.virsh('define /tmp/guest.xml')
        self.virsh('start pvguest')
        self.outer('tr "\\0" " " < /proc/$(pidof qemu-system-x86_64)/cmdline '
                   '| grep -q -e "-accel kvm"')
        self.outer('cat %s > /tmp/console 2> /dev/null &' % self.tty())
        self.wait_for_shell()
        self.outer('echo "echo @\\$((6 * 7))@" > ' + self.tty())
        self.wait_for('grep -q @42@ /tmp/console')
        self.virsh('suspend pvguest')
        self.assertEqual(self.virsh('domstate pvguest'), 'paused')
        self.virsh('resume pvguest')
        self.assertEqual(self.virsh('domstate pvguest'), 'running')
        for verb in ('reset', 'reboot'):
            self.outer(': > /tmp/console')
            if verb == 'reset':
                self.virsh('reset pvguest')
            else:
                self.outer('echo "reboot -f" > ' + self.tty())
            self.wait_for_shell()
        self.assertRegex(self.virsh('save pvguest /tmp/saved', 1),
                         'cannot be migrated or saved')
        self.outer('echo "poweroff -f" > ' + self.tty())
        self.wait_for('%s virsh domstate pvguest | grep -q "shut off"' % CHROOT)
        self.virsh('start pvguest')
        self.virsh('destroy pvguest')
        self.assertEqual(self.virsh('domstate pvguest'), 'shut off')
        self.virsh('undefine pvguest')
