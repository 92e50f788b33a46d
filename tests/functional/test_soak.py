# SPDX-License-Identifier: GPL-2.0-or-later
"""
Soaks: one guest that is moved over and over, with fio's verification on its disk
and a TCP stream that is compared byte by byte. By hand:

    scripts/assets debian-bench
    XENPV_ROUNDS=100 tests/functional/run.py soak debian

The same guest and load on -M q35 tell what another machine's downtime is.
"""

import os

from xenpv.busy import BusyTest
from xenpv.testcase import guests, paths

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

    def boot_load(self):
        self.make_image()
        return self.boot_busy()

    def move(self, guest, n):
        """To another QEMU, which is returned; and how it went"""
        path = paths.result(self.log_name('.sock%d' % (n % 2)))
        if os.path.exists(path):
            os.unlink(path)
        other = self.target('unix:' + path)
        info = self.migrate(guest, 'unix:' + path)
        self.wait_running(other)
        self.quit(guest)
        guest.release()
        self.processes.remove(guest)
        self.goes_on(other)
        return other, info

    def soak(self):
        guest = self.boot_load()
        downtimes, passes, moved = [], 0, 0
        for n in range(ROUNDS):
            guest, info = self.move(guest, n)
            downtimes.append(info['downtime'])
            passes += info['ram']['dirty-sync-count']
            moved += info['ram']['transferred']
            print('# %d: %d ms, %s passes' % (n, info['downtime'],
                                              info['ram']['dirty-sync-count']),
                  flush=True)
        streamed = self.streamed()
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
        os.system("cp --sparse=always '%s' '%s'"
                  % (paths.asset('debian-12-bench.ext4'), self.root_image))

    def wait_for_shell(self, guest):
        guest.expect('debian login: ', 300)
        guest.type('root\n')
        guest.expect('Password: ', 60)
        guest.type('xenpv\n')
        guest.expect(r'root@debian:~# ', 60)
        # Neither colours nor an echo that breaks lines
        guest.type('stty cols 200; export TERM=dumb PAGER=cat; '
                   'bind "set enable-bracketed-paste off"; PS1="guest# "\n')
        guest.expect('\n.*guest# ', 30)
        # And it does not tell of jobs that end
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
