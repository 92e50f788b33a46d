# SPDX-License-Identifier: GPL-2.0-or-later
"""
Soaks: one guest that is moved over and over, with fio's verification on its disk
and a TCP stream that is compared byte by byte. By hand:

    scripts/assets debian-bench
    XENPV_ROUNDS=100 tests/functional/run.py soak debian

The same guest and load on -M q35, and on -M microvm under the nested KVM, tell
what another machine's downtime is.

Without fio, of a 32-bit Linux (XENPV_LINUX32 for another: see xenpv/paths.py)
by both binaries; and, as the part soak-kvm, under a nested KVM.
"""

import os
import subprocess

from xenpv.busy import BusyTest
from xenpv.testcase import Linux32Test, paths

ROUNDS = int(os.environ.get('XENPV_ROUNDS', '3'))

# Random writes of random sizes, each block with its checksum, read back around
# the cache. In bash, without busybox.
FIO = r'''
cat > /tmp/load.sh <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    fio --name=soak --filename=/dev/xvda --direct=1 --ioengine=libaio \
        --iodepth=16 --rw=randwrite --bsrange=4k-64k --size=8M \
        --randseed=$n --verify=crc32c --verify_fatal=1 > /tmp/fio 2>&1 ||
        cat /tmp/fio >> /tmp/wrong
    n=$((n + 1))
    echo $n > /tmp/rounds
done
touch /tmp/done
END
cat > /tmp/clock.sh <<'END'
last=0
while [ ! -e /tmp/stop ]; do
    read -r now x < /proc/uptime
    now=${now%%.*}${now#*.}
    [ $now -ge $last ] || echo "clock: $last $now" >> /tmp/wrong
    last=$now
    sleep 0.05
done
END
sh /tmp/load.sh > /dev/null 2>&1 & sh /tmp/clock.sh > /dev/null 2>&1 &
'''


class Soak(BusyTest):
    parts = ('soak',)
    capabilities = []

    def boot_load(self):
        self.make_image()
        return self.boot_busy()

    def move(self, guest, n):
        """To another QEMU, which is returned; and how it went"""
        uri = 'unix:' + self.place.scratch(self.log_name('.sock%d' % (n % 2)))
        other = self.target(uri)
        self.set((guest,), self.capabilities)
        info = self.migrate(guest, uri)
        self.wait_running(other)
        self.quit(guest)
        guest.release()
        self.processes.remove(guest)
        self.goes_on(other)
        return other, info

    def soak(self):
        guest = self.boot_load()
        # What a kernel says at boot, such as of the CPU's age, is no part of this
        self.check(guest, 'dmesg -c > /dev/null')
        downtimes, passes, moved = [], 0, 0
        for n in range(ROUNDS):
            guest, info = self.move(guest, n)
            downtimes.append(info['downtime'])
            passes += info['ram']['dirty-sync-count']
            moved += info['ram']['transferred']
            print('# %d: %d ms, %s passes' % (n, info['downtime'],
                                              info['ram']['dirty-sync-count']),
                  flush=True)
        streamed = self.streamed(guest)
        rounds = self.check(guest, 'cat /tmp/rounds', r'^\d+$')
        self.all_is_well(guest)
        downtimes.sort()
        print('# %s: %d migrations, %d passes, %d MiB; downtime %d to %d ms, '
              'median %d; %s rounds of the disk, %d MiB of the stream'
              % (self.name(), ROUNDS, passes, moved >> 20, downtimes[0],
                 downtimes[-1], downtimes[ROUNDS // 2], rounds, streamed >> 20),
              flush=True)


class SoakDebian(Soak):
    """Debian 12 with systemd and fio"""
    label = 'soak-debian'
    memory = '512M'
    console, root, block = 'hvc0', '/dev/xvda', '/dev/xvdb'
    disk = 'xen-disk,vdev=xvdb'
    root_disk = 'xen-disk,vdev=xvda'
    load = FIO
    image_size = '8M'
    reach = 'exec 3<>/dev/tcp/10.9.0.1/1; [ $? = 1 ]'
    echo = ('{ (exec 3<> /dev/tcp/10.9.0.1/%s; cat <&3 >&3; '
            'echo the stream has ended >> /tmp/wrong) & }')
    machine, more = 'xenpv-kvm', []

    @property
    def append(self):
        return ('console=%s net.ifnames=0 test=switch_root root=%s '
                % (self.console, self.root))

    def options(self, *more, **kwargs):
        return super().options(
            '-drive', 'if=none,id=root,format=raw,file=' + self.root_image,
            '-device', self.root_disk + ',drive=root,id=root-disk', *self.more,
            *more, **kwargs)

    def start(self, *options, **kwargs):
        return super().start(*options, machine=self.machine, **kwargs)

    def make_image(self, **kwargs):
        super().make_image(**kwargs)
        # It is written to: a copy, which has the holes of the other
        self.root_image = self.image + '.root'
        self.addCleanup(os.unlink, self.root_image)
        subprocess.run(['cp', '--sparse=always',
                        paths.asset('debian-12-bench.ext4'), self.root_image],
                       check=True)

    def wait_for_shell(self, guest):
        self.log_in_debian(guest)
        # Nor does it tell of jobs that end
        self.check(guest, 'set +m; usleep() { sleep 0.05; }')
        # It asks for an address that it does not get
        self.check(guest, 'systemctl is-system-running --wait; systemctl stop '
                   'systemd-networkd.socket systemd-networkd; true', timeout=120)

    def test_live(self):
        """Debian 12 does not survive being migrated over and over while it has
        much to do"""
        self.soak()


class SoakDebianQ35(SoakDebian):
    label = 'soak-q35'
    machine = 'q35'
    console, root, block = 'ttyS0', '/dev/vda', '/dev/vdb'
    # In this order on the bus: sda is who comes first
    disk = 'virtio-blk-pci,addr=6'
    root_disk = 'virtio-blk-pci,addr=5'
    nic = 'virtio-net-pci,romfile='
    more = ['-L', paths.FIRMWARE]

    def test_live(self):
        """Not of ours: what the same guest and load are on -M q35"""
        self.soak()


class SoakLinux32(Linux32Test, Soak):
    """The user's own 32-bit Linux"""
    label = 'soak-32'

    def test_live(self):
        """A 32-bit Linux does not survive being migrated over and over while it
        has much to do"""
        self.soak()

    def test_live_x86_64(self):
        """Nor by qemu-system-x86_64"""
        self.arch = 'x86_64'
        self.soak()


# Numbers, one a line, go to the other guest and back, and come in their order;
# not as fast as can be, for this guest is not alone
NUMBERS = r'''
cat > /tmp/numbers.sh <<'END'
n=1
while :; do
    seq $n $((n + 999))
    n=$((n + 1000))
    usleep 100000
done
END
cat > /tmp/numbers.awk <<'END'
$1 != ++n { print "the stream: " $0 " for " n >> "/tmp/wrong"; exit }
n % 1000 == 0 { print n > "/tmp/streamed"; close("/tmp/streamed") }
END { print "the stream has ended" >> "/tmp/wrong" }
END
'''


class SoakKvm(Soak):
    """
    Debian's kernel under the KVM of the outer machine. That has neither a
    bridge nor our peer.py: its QEMUs are on a network of multicast datagrams,
    and another guest is who sends the stream back.
    """
    label = 'soak-kvm'
    parts = ('soak-kvm',)
    # On two CPUs with all of these the guest writes as fast as its memory is read
    capabilities = ['auto-converge']
    # Programs begin slowly there
    load = (BusyTest.load.replace('1000000', '200000')
            .replace('usleep 20000', 'usleep 200000') + NUMBERS)

    def make_network(self):
        status, output = self.place.shell(
            'ip link set lo up multicast on; ip route replace 224.0.0.0/4 dev lo')
        self.assertEqual(status, 0, output)

    def network(self):
        return 'socket,mcast=230.0.0.1:1234,localaddr=127.0.0.1'

    def make_image(self):
        self.image = self.place.scratch('soak.raw')
        status, output = self.place.shell('rm -f %s; truncate -s %s %s' % (
            self.image, self.image_size, self.image))
        self.assertEqual(status, 0, output)

    def start_stream(self, guest):
        peer = self.boot('-netdev', self.network() + ',id=n', '-device',
                         self.nic + ',netdev=n,mac=52:54:00:12:34:98')
        self.check(peer, 'until ip link set eth0 up; do usleep 50000; done; '
                   'ip addr add 10.9.0.1/24 dev eth0; '
                   '(nc -ll -p 7 -e cat > /dev/null 2>&1 &)')
        self.check(guest, 'ip addr add 10.9.0.2/24 dev eth0; '
                   'ip link set eth0 up; ' + self.reach)
        self.check(guest, '(sh /tmp/numbers.sh | nc 10.9.0.1 7 | '
                   'awk -f /tmp/numbers.awk > /dev/null 2>&1 &); '
                   'until [ -s /tmp/streamed ]; do usleep 50000; done')

    def streamed(self, guest):
        """How many bytes of numbers have been there and back"""
        # It is empty before it is written
        last = int(self.check(guest, 'until n=$(cat /tmp/streamed) && [ "$n" ]; '
                              'do usleep 10000; done; echo $n', r'^\d+$'))
        return last + sum(last + 1 - 10 ** n for n in range(len(str(last))))

    def test_live(self):
        """A guest under KVM does not survive being migrated over and over while
        it has much to do"""
        self.soak()


class SoakKvmMicrovm(SoakKvm):
    label = 'soak-kvm-microvm'
    append = 'console=ttyS0'
    block, disk, nic = '/dev/vda', 'virtio-blk-device', 'virtio-net-device'

    def start(self, *options, **kwargs):
        return super().start(*options, machine='microvm', **kwargs)

    def test_live(self):
        """Not of ours: what the same guest and load are on -M microvm"""
        self.soak()


class SoakKvm32(Linux32Test, SoakKvm):
    label = 'soak-kvm-32'

    def test_live(self):
        """Nor does a 32-bit Linux"""
        self.soak()
