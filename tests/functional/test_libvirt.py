# SPDX-License-Identifier: GPL-2.0-or-later
"""
A PV guest under libvirt, by what virsh offers

libvirtd of Debian 12 (9.0) and of its backports (11), or of Debian 13 (11),
each in a root of its own: unpacked packages, entered by chroot in namespaces of
its own, so that nothing of this machine's configuration is used or changed.
"""

import json
import re
import subprocess

from xenpv import image
from xenpv.place import Host
from xenpv.program import UNSHARE_AS_ROOT, Program, tool
from xenpv.testcase import GuestTest, Timeout, guests, paths

QEMU_CONF = '''security_driver = "%s"
user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
'''
LIBVIRTD_CONF = '''auth_unix_rw = "none"
host_uuid = "3a7c1a52-0b1e-4c57-9d0f-5f0e2c9b8a11"
'''
# What the chroot gets of this machine: devices, and this tree at its place.
# Who is in a chroot already has to name the root of its namespace for that
# what is mounted here is not seen outside
ENTER = '''set -e
root=$1 top=$2
mount --make-rprivate / 2> /dev/null ||
    nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
mount --rbind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
for d in run tmp root etc/libvirt var/lib/libvirt var/cache/libvirt \
    var/log/libvirt var/lock; do
    mkdir -p "$root/$d"
    mount -t tmpfs tmpfs "$root/$d"
done
# Last, because it may be below one of those
mkdir -p "$root$top"
mount --bind "$top" "$root$top"
'''
# A network of its own, with a bridge
BRIDGE = '''set -e
ip link set lo up
ip link add xenbr0 type bridge
ip addr add 10.9.0.1/24 dev xenbr0
ip link set xenbr0 up
'''
# A second host: a libvirtd with directories of its own but /tmp, started by what
# is written to /tmp/second
SECOND = '''mkfifo "$root/tmp/second"
unshare --mount sh -ec '
for d in run etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
    mount -t tmpfs tmpfs "$0/$d"
done
exec chroot "$0" /bin/bash --noprofile --norc /tmp/second' "$root" \
    < /dev/null > /dev/null 2>&1 &
'''
SECOND_URI = "'qemu+unix:///system?socket=/tmp/two/libvirt-sock'"
CHROOT = 'exec chroot "$root" /bin/bash --noprofile --norc\n'
ENVIRONMENT = 'export PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/root\n'
PREPARE = 'stty -echo; PS1= PS2=; ' + ENVIRONMENT

XL = '''name = "pvguest"
memory = 256
vcpus = 2
maxvcpus = 3
kernel = "%(kernel)s"
ramdisk = "%(ramdisk)s"
root = "/dev/xvda1 ro"
extra = "console=hvc0"
disk = [ 'file:%(disk)s,xvda,w', 'file:%(other)s,sdb1,r' ]
vif = [ 'mac=00:16:3e:12:34:56' ]
on_reboot = "restart"
'''
# With a disk that has snapshots, and nothing else
QCOW2 = re.sub(r'(?m)^disk = .*', "disk = [ 'format=qcow2,vdev=xvda,access=rw,"
               "target=%(disk)s.qcow2' ]", XL)
# What virt-install 4.1 has made of its options for a PV guest
VIRT_INSTALL = '''<domain type="%(type)s">
<name>pvguest</name><memory>262144</memory><vcpu>2</vcpu>
<os><type arch="x86_64" machine="xenpv-kvm">hvm</type>
<kernel>%(kernel)s</kernel><initrd>%(ramdisk)s</initrd>
<cmdline>console=hvc0 root=/dev/xvda1 ro</cmdline></os>
<features><acpi/><apic/></features>
<clock offset="utc"><timer name="rtc" tickpolicy="catchup"/>
<timer name="pit" tickpolicy="delay"/><timer name="hpet" present="no"/></clock>
<pm><suspend-to-mem enabled="no"/><suspend-to-disk enabled="no"/></pm>
<devices><emulator>%(emulator)s</emulator>
<disk type="file" device="disk"><driver name="qemu" type="raw"/>
<source file="%(disk)s"/><target dev="vda" bus="virtio"/></disk>
<controller type="usb" model="none"/><controller type="pci" model="pci-root"/>
<interface type="user"><model type="virtio"/></interface>
<console type="pty"/></devices>
</domain>'''
BACKUP = '''<domainbackup>%s<disks><disk name="xvda" type="file">
<driver type="qcow2"/><target file="/tmp/%s.qcow2"/></disk></disks>
</domainbackup>'''

# What a guest's agent says, by a shell. The channel is another one after a suspend,
# which it asks for by a message of xenstore's: a write
AGENT = r'''while :; do (
exec 3<> /dev/hvc1
busybox stty raw -echo <&3
touch /tmp/ready
while read -r line; do
    echo "$line" >> /tmp/asked
    id=${line##*\"id\":}
    case $line in
    *guest-suspend-ram*)
        rm /tmp/ready
        printf "\013\0\0\0\1\0\0\0\0\0\0\0\030\0\0\0%s" \
            "control/shutdown" > /tmp/message
        printf "\0suspend" >> /tmp/message
        dd if=/tmp/message of=/dev/xen/xenbus bs=40 2> /dev/null
        continue ;;
    *guest-sync*) answer=${id%%\}*} ;;
    *guest-network-get-interfaces*)
        answer='[{"name":"eth0","hardware-address":"00:16:3e:12:34:56",
            "ip-addresses":[{"ip-address":"10.0.2.15",
            "ip-address-type":"ipv4","prefix":24}]}]' ;;
    *guest-fsfreeze*) answer=1 ;;
    *) answer={} ;;
    esac
    echo {\"return\":$answer}
done <&3 >&3
); sleep 0.2; done
'''
LEASES = '''<network><name>leases</name><bridge name='pvbridge'/>
<forward mode='open'/><ip address='10.9.1.1' netmask='255.255.255.0'>
<dhcp><range start='10.9.1.2' end='10.9.1.9'/></dhcp></ip></network>'''
CHANNEL = '''<channel type='unix'>
<target type='virtio' name='org.qemu.guest_agent.0'/></channel>'''
CDROM = '''<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
<source file='/tmp/one.iso'/><target dev='sda' bus='%s'/><readonly/></disk>'''


def data_in(image_map):
    """How many bytes of an image, as qemu-img map tells, are in itself"""
    return sum(part['length'] for part in json.loads(image_map)
               if part['data'] and part['depth'] == 0)


class Libvirt(GuestTest):
    parts = ('functional',)
    root = None
    security_driver = 'none'
    # Verbs by which a guest goes and comes again, and by which it boots anew
    saves = (('save pvguest /tmp/saved', 'restore /tmp/saved'),
             ('managedsave pvguest', 'start pvguest'))
    boots = ('reset', 'reboot')

    def setUp(self):
        if not paths.has_libvirt(self.root):
            self.skipTest('this Debian has no %s' % self.root)
        super().setUp()
        self.shell = self.enter()
        self.processes.append(self.shell)
        self.addCleanup(self.shell.release)
        self.shell.type(PREPARE)
        self.write('/etc/libvirt/qemu.conf', QEMU_CONF % self.security_driver)
        self.write('/etc/libvirt/libvirtd.conf', LIBVIRTD_CONF)
        # Without a program for it, the newer one would not start
        self.write('/etc/libvirt/network.conf', 'firewall_backend = "none"')
        self.prepare()
        self.start_libvirtd()

    def start_libvirtd(self):
        self.run_in('libvirtd -f /etc/libvirt/libvirtd.conf '
                    '> /tmp/libvirtd.log 2>&1 & daemon=$!')
        self.wait_until('virsh uri > /dev/null 2>&1')

    def enter(self):
        """A shell in the root, on a terminal"""
        return Program(
            self.place, self.log_name(),
            [*UNSHARE_AS_ROOT, '--mount', '--pid', '--ipc', '--net', '--fork',
             '--kill-child', 'sh', '-c', BRIDGE + ENTER + SECOND + CHROOT,
             'sh',
             paths.asset(self.root), paths.TOP], tty=True)

    def prepare(self):
        """What else has to be done before libvirtd starts"""

    def files(self):
        """What the guest is made of: names in the root"""
        return {
            'kernel': guests.linux('6.1'), 'ramdisk': image.initramfs(),
            'disk': image.linux_tree(self.root).disk(24),
        }

    @staticmethod
    def emulator():
        return paths.qemu('x86_64')

    @staticmethod
    def virt_type():
        return 'kvm' if Host.has_real_kvm() else 'qemu'

    def run_in(self, command, timeout=60, status=0):
        """Run a command in the root; returns what it says"""
        got, output = self.shell.shell('{ %s\n}' % command, timeout)
        self.assertEqual(got, status, '%s: %s' % (command, output))
        return output

    def virsh(self, command, timeout=60):
        return self.run_in('virsh ' + command, timeout)

    def refused(self, command, says):
        output = self.run_in('virsh %s 2>&1' % command, status=1)
        self.assertRegex(output, says)

    def memory(self, name):
        """What dommemstat says of it, in KiB"""
        return int(re.search(r'^%s (\d+)$' % name,
                             self.virsh('dommemstat pvguest'), re.M).group(1))

    def wait_memory(self, kib):
        self.run_in('for i in $(seq 300); do [[ $(virsh dommemstat pvguest) == '
                    '*"actual %d"* ]] && break; sleep 0.2; done' % kib, 90)
        self.assertEqual(self.memory('actual'), kib)

    def state(self):
        return self.virsh('domstate pvguest').strip()

    def wait_for_state(self, state):
        self.run_in('for i in $(seq 300); do [ "$(virsh domstate pvguest '
                    '| head -n 1)" = "%s" ] && break; sleep 0.2; done' % state,
                    90)
        self.assertEqual(self.state(), state)

    def console(self, log_in=True):
        """virsh console, up to a shell's prompt"""
        self.shell.type('virsh console pvguest --force; echo @le\'\'ft@\n')
        self.shell.expect('Escape character is', 30)
        if log_in:
            image.log_in(self.shell, 120)

    def type_until(self, text, pattern):
        # virsh says how to leave before it listens: what comes in between is
        # lost, and has to be typed again
        for n in range(1, 70):
            self.shell.type(text)
            try:
                self.shell.expect(pattern, min(n / 10, 1))
                return
            except Timeout:
                pass
        self.fail('virsh console does not answer to %r' % text)

    def leave_console(self):
        self.type_until('\x1d', '@left@')
        # One that was too late for virsh is the shell's, and takes a character
        self.shell.type('\n')

    def in_console(self, command, pattern):
        """in_guest(), by a console for that alone"""
        self.console(log_in=False)
        self.type_until('\n', '# ')
        self.in_guest(command, pattern)
        self.leave_console()

    def boot(self):
        self.define(self.domain_xml(), 'create')
        self.console()
        self.leave_console()

    def wait_until(self, command):
        self.run_in('(for i in $(seq 150); do %s && exit 0; sleep 0.2; done; '
                    'exit 1)' % command, 90)

    def in_guest(self, command, pattern):
        status, output = self.shell.shell(command)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, pattern)

    def write(self, path, text):
        """A file in the root"""
        self.run_in('cat > %s << "E"\n%s\nE' % (path, text))

    def domain_xml(self, config=XL):
        """By way of what its owner had under Xen"""
        files = dict(self.files(), other='/tmp/other.img')
        self.run_in('printf "other disk" > /tmp/other.img; '
                    'truncate -s 4096 /tmp/other.img')
        done = subprocess.run(
            [tool('xenpv-convert'), '--virt-type', self.virt_type(),
             '-e', self.emulator(), '-'], input=config % files,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
            check=True)
        self.assertRegex(done.stderr, r'\Astdin:\d+: note: [^\n]*user networking')
        return done.stdout

    def check_running(self):
        """What else has to be so when it runs"""
        # libvirt confines a QEMU that says that it can be
        self.assertRegex(
            self.run_in('cat /var/log/libvirt/qemu/pvguest.log'),
            r'(?m)^-sandbox on,obsolete=deny,elevateprivileges=deny,'
            'spawn=deny,resourcecontrol=deny')

    def define(self, xml, verb='define'):
        self.write('/tmp/guest.xml', xml)
        self.virsh(verb + ' /tmp/guest.xml')

    def test_verbs(self):
        """A verb of virsh's does not do to a PV guest what it says, or a guest
        is not the same after a save"""
        self.assertRegex(self.virsh('--version'),
                         r'^%s\.' % self.root[len('libvirt-'):])
        self.define(self.domain_xml())
        self.assertEqual(self.state(), 'shut off')
        # What goes into a save, a snapshot or to another host is the domain
        self.virsh('dumpxml --migratable pvguest > /tmp/moved.xml')
        self.virsh('undefine pvguest')
        self.virsh('define /tmp/moved.xml')
        self.virsh('domrename pvguest renamed')
        self.virsh('domrename renamed pvguest')

        self.virsh('start pvguest')
        self.check_running()
        self.console()
        self.in_guest('cat /proc/mounts; cat /sys/class/net/eth0/address',
                      r'(?s)/dev/xvda1 / ext4 rw.*00:16:3e:12:34:56')
        self.in_guest('grep -c ^processor /proc/cpuinfo', '2')
        # Linux calls it so since 2.6.23
        self.in_guest('dd if=/dev/xvdb1 bs=10 count=1', 'other disk')
        self.leave_console()

        self.assertRegex(self.virsh('domblkstat pvguest xvda'),
                         r'xvda rd_req [1-9]')
        self.assertRegex(
            self.virsh('domstats pvguest'),
            r'(?s)state\.state=1.*cpu\.time=[1-9].*balloon\.current=262144.*'
            r'vcpu\.current=2.*vcpu\.1\.time=[1-9].*net\.count=1.*'
            r'block\.0\.name=xvda.*block\.0\.rd\.reqs=[1-9]')

        # Through xenstore: the device that libvirt gives every domain is none
        before = self.memory('actual')
        self.virsh('setmem pvguest %dK' % (before - 32768))
        self.wait_memory(before - 32768)
        self.virsh('setmem pvguest %dK' % before)
        self.wait_memory(before)

        # By its thread
        self.virsh('vcpupin pvguest 1 0')
        self.assertRegex(self.virsh('vcpuinfo pvguest'),
                         r'(?s)VCPU: +1\b.*CPU Affinity: +y(-|$)')

        # A vCPU that is plugged is the guest's to bring up, as under Xen; it
        # moves with the guest
        self.virsh('setvcpus pvguest 3 --live')
        self.assertRegex(self.virsh('vcpucount pvguest --live --active'), '^3')
        self.in_console('until echo 1 > /sys/devices/system/cpu/cpu2/online; do '
                        'sleep 0.2; done 2>/dev/null; nproc', r'\b3\b')

        self.virsh('suspend pvguest')
        self.assertEqual(self.state(), 'paused')
        self.virsh('resume pvguest')
        self.assertEqual(self.state(), 'running')

        for save, restore in self.saves:
            self.in_console('saved_word=kept', r'\A')
            self.virsh(save)
            self.assertEqual(self.state(), 'shut off')
            self.virsh(restore)
            self.assertEqual(self.state(), 'running')
            # The same shell, and its disk
            self.in_console('echo $saved_word; echo 3 > '
                            '/proc/sys/vm/drop_caches; '
                            'dd if=/dev/xvdb1 bs=10 count=1',
                            '(?s)kept.*other disk')

        self.in_console('nproc', r'\b3\b')
        self.virsh('setvcpus pvguest 2 --live')
        self.assertRegex(self.virsh('vcpucount pvguest --live --active'), '^2')
        self.in_console('nproc', r'\b2\b')

        for verb in self.boots:
            self.virsh(verb + ' pvguest')
            self.console()
            self.leave_console()
        self.virsh('shutdown pvguest')
        self.wait_for_state('shut off')

        self.virsh('start pvguest')
        self.virsh('destroy pvguest')
        self.assertEqual(self.state(), 'shut off')
        self.starts_by_itself()
        self.virsh('undefine pvguest')
        self.refused('domstate pvguest', 'failed to get domain|not found')

    def starts_by_itself(self):
        # As after the host has booted, which libvirtd remembers by a file
        self.virsh('autostart pvguest')
        self.run_in('kill $daemon; wait $daemon; rm -f /run/libvirt/qemu/'
                    'autostarted')
        self.start_libvirtd()
        self.wait_for_state('running')
        self.virsh('destroy pvguest')

    def test_disk(self):
        """A disk that virsh attaches is not the one that the guest finds, or
        does not go again"""
        self.boot()
        self.run_in('printf "new disk" > /tmp/new.img; '
                    'truncate -s 1M /tmp/new.img')
        self.write('/tmp/new.xml', "<disk type='file' device='disk'>"
                   "<driver name='qemu' type='raw'/>"
                   "<source file='/tmp/new.img'/>"
                   "<target dev='xvdc' bus='virtio'/></disk>")
        for attach, detach in (
                ('attach-disk pvguest /tmp/new.img xvdc --targetbus virtio',
                 'detach-disk pvguest xvdc'),
                ('attach-device pvguest /tmp/new.xml',
                 'detach-device pvguest /tmp/new.xml')):
            self.virsh(attach)
            self.assertRegex(self.virsh('domblklist pvguest'),
                             r'xvdc +/tmp/new\.img')
            self.in_console('for i in $(seq 50); do [ -b /dev/xvdc ] && break; '
                            'sleep 0.2; done; dd if=/dev/xvdc bs=8 count=1',
                            'new disk')
            self.assertRegex(self.virsh('domblkstat pvguest xvdc'),
                             r'xvdc rd_req [1-9]')
            self.virsh(detach)
            self.wait_until('! virsh domblkstat pvguest xvdc > /dev/null 2>&1')
            self.in_console('[ ! -e /dev/xvdc ]; echo gone=$?', 'gone=0')
        self.refused('attach-disk pvguest /tmp/new.img sdc --targetbus usb',
                     'USB|usb')
        self.virsh('destroy pvguest')

    def test_cdrom(self):
        """A CD drive has no medium, or another one than virsh put into it"""
        for name, size in (('one', 65536), ('two', 131072)):
            self.run_in('printf "the %s" > /tmp/%s.iso; '
                        'truncate -s %d /tmp/%s.iso' % (name, name, size, name))
        # By either of the buses that libvirt has for it here
        bus = {'libvirt-9': 'scsi', 'libvirt-11': 'sata'}[self.root]
        self.define(self.domain_xml().replace('<console', CDROM % bus +
                                              '<console'), 'create')
        self.console()
        self.leave_console()
        read = 'dd if=/dev/xvdp bs=7 count=1'
        self.in_console(read, 'the one')
        self.virsh('change-media pvguest sda /tmp/two.iso --update')
        self.in_console('until [ $(cat /sys/block/xvdp/size) = 256 ]; do '
                        'sleep 0.2; done; ' + read, 'the two')
        self.virsh('change-media pvguest sda --eject')
        self.assertRegex(self.virsh('domblklist pvguest'), r'sda +-')
        self.in_console('until [ $(cat /sys/block/xvdp/size) = 0 ]; do '
                        'sleep 0.2; done; head -c 1 /dev/xvdp | wc -c',
                        r'\b0\b')
        self.virsh('change-media pvguest sda /tmp/one.iso --insert')
        self.in_console('until [ $(cat /sys/block/xvdp/size) != 0 ]; do '
                        'sleep 0.2; done; ' + read, 'the one')
        self.virsh('destroy pvguest')

    def test_agent(self):
        """libvirt does not reach an agent in the guest, by a channel that is a
        console there, or not any more when the guest has been suspended"""
        self.define(self.domain_xml().replace('<console', CHANNEL + '<console'),
                    'create')
        self.console()
        self.leave_console()
        # The console's driver is there, and no agent
        self.refused("qemu-agent-command pvguest "
                     "'{\"execute\":\"guest-ping\"}'",
                     'QEMU guest agent is not connected')
        self.console(log_in=False)
        self.type_until('\n', '# ')
        for line in ["cat > /tmp/agent << 'E'", *AGENT.splitlines(), 'E',
                     'sh /tmp/agent &']:
            self.shell.type(line + '\n')
        # What comes before that, the terminal sends back
        self.in_guest('until [ -e /tmp/ready ]; do sleep 0.1; done', r'\A')
        self.leave_console()
        self.wait_until("virsh qemu-agent-command pvguest --timeout 5 "
                        "'{\"execute\":\"guest-ping\"}'")
        self.assertRegex(self.virsh('domifaddr pvguest --source agent'),
                         r'eth0 +00:16:3e:12:34:56 +ipv4 +10\.0\.2\.15/24')
        self.virsh('domfsfreeze pvguest')
        self.virsh('domfsthaw pvguest')
        self.virsh('set-user-password pvguest root secret')
        self.virsh('dompmsuspend pvguest mem')
        self.wait_for_state('pmsuspended')
        self.virsh('dompmwakeup pvguest')
        self.wait_for_state('running')
        self.in_console('until [ -e /tmp/ready ]; do sleep 0.1; done', r'\A')
        self.wait_until("virsh qemu-agent-command pvguest --timeout 5 "
                        "'{\"execute\":\"guest-ping\"}'")
        self.in_console('cat /tmp/asked', '(?s)fsfreeze-freeze.*fsfreeze-thaw.*'
                        'set-user-password')
        self.virsh('destroy pvguest')

    def test_network(self):
        """A card that virsh attaches does not reach the bridge, has no link
        state, no address or no statistics, or does not go again"""
        mac = '00:16:3e:12:34:57'
        self.boot()
        for n in range(2):
            self.virsh('attach-interface pvguest bridge xenbr0 --model virtio '
                       '--mac %s --target pvnet%d' % (mac, n))
            self.assertRegex(self.virsh('domiflist pvguest'),
                             r'pvnet%d +bridge +xenbr0 +virtio +%s' % (n, mac))
            self.in_console(
                'for i in $(seq 50); do [ -e /sys/class/net/eth1 ] && break; '
                'sleep 0.2; done; cat /sys/class/net/eth1/address; '
                'ip addr add 10.9.0.2/24 dev eth1; ip link set eth1 up; '
                'ping -A -c 5 -W 5 10.9.0.1', r'(?s)%s.* [1-5] (packets )?'
                'received' % mac)
            self.assertRegex(self.virsh('domifstat pvguest pvnet%d' % n),
                             r'(?s)rx_packets [1-9].*tx_packets [1-9]')
            self.virsh('domif-setlink pvguest %s down' % mac)
            self.assertRegex(self.virsh('domif-getlink pvguest ' + mac), 'down')
            self.in_console('! ping -c 1 -W 2 10.9.0.1', ' 0 (packets )?rec')
            self.write('/tmp/card.xml', "<interface type='bridge'>"
                       "<mac address='%s'/><source bridge='xenbr0'/>"
                       "<target dev='pvnet%d'/><model type='virtio'/>"
                       "<link state='up'/></interface>" % (mac, n))
            self.virsh('update-device pvguest /tmp/card.xml')
            self.in_console('ping -A -c 5 -W 5 10.9.0.1',
                            ' [1-5] (packets )?received')
            # The older one does not understand what newer kernels answer
            if self.root == 'libvirt-11':
                # The host asks the guest itself some seconds after it has answered
                self.wait_until('[[ $(virsh domifaddr pvguest --source arp) == '
                                '*pvnet%d*%s*ipv4*10.9.0.2/* ]]' % (n, mac))
            self.virsh('detach-interface pvguest bridge --mac ' + mac)
            self.wait_until('! virsh domifstat pvguest pvnet%d > /dev/null '
                            '2>&1' % n)
            self.in_console('[ ! -e /sys/class/net/eth1 ]; echo gone=$?',
                            'gone=0')

        # What libvirt's own DHCP server says
        self.write('/tmp/leases.xml', LEASES)
        self.virsh('net-create /tmp/leases.xml')
        self.virsh('attach-interface pvguest network leases --model virtio '
                   '--mac ' + mac)
        self.in_console(
            'for i in $(seq 50); do [ -e /sys/class/net/eth1 ] && break; '
            'sleep 0.2; done; ip link set eth1 up; '
            'busybox udhcpc -n -q -t 20 -T 1 -i eth1 -s /bin/echo',
            r'lease of 10\.9\.1\.')
        self.assertRegex(self.virsh('domifaddr pvguest'),
                         mac + r' +ipv4 +10\.9\.1\.[2-9]/24')
        self.virsh('destroy pvguest')
        self.virsh('net-destroy leases')

    def boot_qcow2(self):
        self.qcow2 = self.files()['disk'] + '.qcow2'
        subprocess.run([tool('qemu-img'), 'convert', '-O', 'qcow2',
                        self.qcow2[:-len('.qcow2')], self.qcow2], check=True)
        self.define(self.domain_xml(QCOW2))
        self.virsh('start pvguest')
        self.console()
        self.in_guest('word=first; echo first > /tmp/word; sync', r'\A')
        self.leave_console()

    def source(self):
        return self.virsh('domblklist pvguest').split()[-1]

    def test_snapshots(self):
        """A snapshot, in the image or beside it, is not what the guest was when
        it was made, or does not become part of the disk again"""
        def revert(name):
            self.in_console('word=second; echo second > /tmp/word; sync', r'\A')
            self.virsh('snapshot-revert pvguest ' + name)
            self.in_console('echo 3 > /proc/sys/vm/drop_caches; echo $word '
                            '$(cat /tmp/word)', 'first first')
            self.virsh('snapshot-delete pvguest ' + name)

        self.boot_qcow2()
        self.virsh('snapshot-create-as pvguest internal')
        revert('internal')

        self.virsh('snapshot-create-as pvguest disk --disk-only --atomic '
                   '--diskspec xvda,file=/tmp/overlay.qcow2')
        self.assertEqual(self.source(), '/tmp/overlay.qcow2')
        self.in_console('echo more > /tmp/more; sync', r'\A')
        self.virsh('blockcommit pvguest xvda --active --pivot --wait')
        self.assertEqual(self.source(), self.qcow2)
        self.virsh('snapshot-delete --metadata pvguest disk')
        self.in_console('echo 3 > /proc/sys/vm/drop_caches; cat /tmp/more',
                        'more')

        # The older one makes them, and does not go back to them
        self.virsh('snapshot-create-as pvguest external --live '
                   '--memspec file=/tmp/memory '
                   '--diskspec xvda,file=/tmp/overlay2.qcow2')
        if self.root == 'libvirt-11':
            revert('external')
        else:
            self.in_console('echo $word', 'first')
        self.virsh('destroy pvguest')

    def test_copies(self):
        """A copy of a running guest's disk or memory is not made, or is not
        what the guest had"""
        def backup(name, since='', more=''):
            self.write('/tmp/backup.xml', BACKUP % (since, name))
            self.virsh('backup-begin pvguest /tmp/backup.xml ' + more)
            self.wait_until('virsh domjobinfo pvguest | { read x y z; '
                            '[ "$z" = None ]; }')
            self.assertRegex(self.virsh('domjobinfo pvguest --completed'),
                             r'Completed *\nOperation: +Backup')
            return self.run_in('%s map -U --output=json /tmp/%s.qcow2'
                               % (tool('qemu-img'), name))

        self.boot_qcow2()
        self.virsh('blockcopy pvguest xvda /tmp/copy.qcow2 --wait --pivot '
                   '--transient-job --format qcow2')
        self.assertEqual(self.source(), '/tmp/copy.qcow2')
        self.in_console('echo 3 > /proc/sys/vm/drop_caches; cat /tmp/word',
                        'first')

        self.write('/tmp/point.xml', '<domaincheckpoint><name>point</name>'
                   '</domaincheckpoint>')
        full = backup('full', more='/tmp/point.xml')
        self.in_console('echo later > /tmp/word; sync', r'\A')
        some = backup('some', '<incremental>point</incremental>')
        self.assertIn('"data": true', some)
        self.assertLess(data_in(some), data_in(full))
        # The one on top of the other is the disk
        image = tool('qemu-img')
        self.run_in('%s rebase -u -F qcow2 -b /tmp/full.qcow2 /tmp/some.qcow2'
                    % image)
        self.virsh('suspend pvguest')
        self.run_in('%s compare -U /tmp/some.qcow2 /tmp/copy.qcow2' % image)
        self.virsh('resume pvguest')

        for more, begin in (('', 'QEVM'), ('--memory-only', 'ELF')):
            self.virsh('dump pvguest /tmp/core --live ' + more)
            self.assertIn(begin, self.run_in('head -c 16 /tmp/core | tr -d '
                                             '"\\0"'))
        self.in_console('echo $word', 'first')
        self.virsh('destroy pvguest')

    def test_migrate(self):
        """A guest does not get from one libvirtd to another while it runs"""
        uris = [SECOND_URI, 'qemu:///system']
        self.run_in('mkdir /tmp/two; cp -R /etc/libvirt /tmp/etc')
        self.write('/tmp/etc/libvirtd.conf', LIBVIRTD_CONF.replace(
            '3a7c', '3a7d') + 'unix_sock_dir = "/tmp/two"')
        self.write('/tmp/second', ENVIRONMENT +
                   'cp -R /tmp/etc/. /etc/libvirt\n'
                   'exec libvirtd -f /etc/libvirt/libvirtd.conf')
        self.wait_until('virsh -c %s uri > /dev/null 2>&1' % SECOND_URI)
        self.boot()
        self.in_console('word=kept', r'\A')
        for here, there in (uris[::-1], uris):
            self.virsh('-c %s migrate --live --unsafe pvguest %s '
                       '--migrateuri unix:///tmp/migration' % (here, there))
            self.assertEqual(self.virsh('-c %s domstate pvguest' % there).strip(),
                             'running')
        self.refused('-c %s domstate pvguest' % SECOND_URI, 'failed to get')
        # The same shell, and its disk
        self.in_console('echo $word; echo 3 > /proc/sys/vm/drop_caches; '
                        'dd if=/dev/xvdb1 bs=10 count=1',
                        '(?s)kept.*other disk')
        self.virsh('destroy pvguest')

    def test_old_xml(self):
        """XML that was written for a machine without a name for PCI, or with
        Xen's names for cards, makes other devices than it did"""
        def kind(alias):
            return self.run_in(
                "virsh qemu-monitor-command pvguest "
                "'{\"execute\":\"qom-get\",\"arguments\":{\"path\":"
                "\"%s\",\"property\":\"type\"}}'" % alias)

        stock = self.domain_xml()
        mmio = "<address type='virtio-mmio'/>"
        old = re.sub('</(disk|interface)>', mmio + r'\g<0>', stock)
        old = old.replace("<model type='virtio'/>",
                          "<model type='xen-net-device'/>")
        old = re.sub("(<controller type='pci'[^>]*>\\s*)+",
                     "<memballoon model='none'/>", old)
        self.assertEqual(old.count(mmio), 3)
        for xml in (old, stock.replace("<model type='virtio'/>",
                                       "<model type='netfront'/>")):
            self.define(xml, 'create --paused')
            self.assertRegex(kind('virtio-disk0'), 'xen-disk')
            self.assertRegex(kind('ua-sdb1'), 'xen-disk')
            self.assertRegex(kind('net0'), 'xen-net-device')
            self.virsh('destroy pvguest')

    def test_framebuffer(self):
        """A guest with a framebuffer has no VNC display under libvirt"""
        self.define(self.domain_xml(XL + "vfb = [ 'type=vnc' ]\n"),
                    'create --paused')
        self.assertEqual(self.state(), 'paused')
        self.assertRegex(self.virsh('vncdisplay pvguest'), r':\d+')
        self.virsh('resume pvguest')
        self.virsh('send-key pvguest KEY_LEFTSHIFT KEY_A')
        self.virsh('screenshot pvguest /tmp/shot')
        self.assertIn('PNG', self.run_in('head -c 4 /tmp/shot | tr -dc A-Z'))
        self.virsh('destroy pvguest')

    def test_i386(self):
        """libvirt cannot have a 32-bit guest on qemu-system-i386"""
        xml = re.sub(r'(?s)<kernel>.*</cmdline>', '<kernel>%s</kernel>'
                     % guests.grub('i386'), self.domain_xml())
        xml = xml.replace("arch='x86_64'", "arch='i686'").replace(
            paths.qemu('x86_64'), paths.qemu('i386'))
        self.define(xml, 'create --paused')
        self.console(log_in=False)
        self.leave_console()
        self.virsh('resume pvguest')
        self.console(log_in=False)
        self.type_until('\n', 'grub> ')
        self.shell.type('halt\n')
        # virsh console ends with the guest
        self.shell.expect('@left@', 60)
        # It is "in shutdown" until libvirt has seen QEMU end
        self.run_in('for i in $(seq 100); do '
                    'virsh domstate pvguest > /dev/null 2>&1 || break; '
                    'sleep 0.2; done')
        self.refused('domstate pvguest', 'failed to get domain|not found')

    def test_virt_install(self):
        """A domain as virt-install makes it of the README's line does not run"""
        files = self.files()
        self.define(VIRT_INSTALL % dict(files, type=self.virt_type(),
                                        emulator=self.emulator()), 'create')
        self.console()
        self.in_guest('cat /proc/mounts; ls /sys/class/net',
                      r'(?s)/dev/xvda1 / ext4.*eth0')

    def test_refused(self):
        """A device that a PV guest cannot have is accepted"""
        xml = re.sub(r'(?s)<disk.*</disk>', '', self.domain_xml())
        for device, says in (
                ("<serial type='null'><target type='isa-debug'>"
                 "<model name='isa-debugcon'/></target></serial>", 'isa-debug'),
                ("<rng model='virtio'><backend model='random'>/dev/urandom"
                 "</backend><address type='virtio-mmio'/></rng>",
                 "virtio-rng-device.*nothing that a Xen PV guest"),
                ("<rng model='virtio'><backend model='random'>/dev/urandom"
                 "</backend></rng>", 'virtio-rng-pci.*it has no PCI'),
                ("<interface type='user'><model type='e1000'/></interface>",
                 "e1000.*<model type='virtio'/>"),
                ("<graphics type='vnc'/>",
                 "its display is.*<model type='none'/>")):
            self.write('/tmp/refused.xml',
                       xml.replace('<console', device + '<console'))
            self.refused('create /tmp/refused.xml', says)
        self.write('/tmp/refused.xml',
                   re.sub("<controller type='usb'[^>]*>", '', xml))
        self.refused('create /tmp/refused.xml',
                     "usb.*<controller type='usb' model='none'/>")


class Libvirt9(Libvirt):
    label = 'libvirt-9'
    root = 'libvirt-9'


class Libvirt11(Libvirt):
    label = 'libvirt-11'
    root = 'libvirt-11'
