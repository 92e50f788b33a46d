# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest that has something to do while it is moved: a file is written to its
disk, read back around the cache and compared; a clock is watched; and a TCP
stream goes through its card and back, compared byte by byte at this end.

Each QEMU has a tap device of its own on a bridge, in a network namespace that
they share, so that the guest keeps its address and its connections.
"""

import os
import select
import subprocess
import sys
import time

from . import paths, peer
from .place import busy
from .program import BRIDGED, inside, tool
from .testcase import LinuxTest, Timeout

MIB = 1 << 20
TAPS = 3
LOAD = r'''
cat > /tmp/load.sh <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    head -c 1000000 /dev/urandom > /tmp/data
    sum=$(md5sum < /tmp/data)
    dd if=/tmp/data of=/dev/xvda bs=1M conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    back=$(head -c 1000000 /dev/xvda | md5sum)
    [ "$sum" = "$back" ] || echo "$n: $sum $back" >> /tmp/wrong
    n=$((n + 1))
    echo $n > /tmp/rounds
    usleep 50000
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
    usleep 20000
done
END
sh /tmp/load.sh > /dev/null 2>&1 & sh /tmp/clock.sh > /dev/null 2>&1 &
'''


class BusyTest(LinuxTest):
    # Its files and networks are this machine's. Under KVM libvirt's verbs save
    # and restore
    parts = ('functional',)
    devices = True
    vcpus = 2
    # What another machine calls the devices
    disk, nic = 'xen-disk,vdev=xvda', 'xen-net-device'
    block = '/dev/xvda'
    # Of the kernel's log
    complaints = 'BUG|WARNING|Oops|lockup|rcu.*stall|I/O error|Call Trace'
    # How it sends back what comes from a port; and how it looks whether the
    # network is there
    echo = ('mkfifo /tmp/echo; { (nc 10.9.0.1 %s < /tmp/echo | '
            'cat > /tmp/echo; echo the stream has ended >> /tmp/wrong) & }')
    reach = 'ping -A -c 3 -w 20 10.9.0.1 > /dev/null'
    load = LOAD
    image_size = '16M'
    tap = None

    def setUp(self):
        super().setUp()
        self.make_network()

    def make_network(self):
        taps = ''.join('ip tuntap add tap%d mode tap; ip link set tap%d master '
                       'xenbr0 up; ' % (n, n) for n in range(TAPS))
        holder = subprocess.Popen(
            [*BRIDGED, 'sh', '-ec', taps + 'echo; exec cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        for pipe in (holder.stdin, holder.stdout):
            self.addCleanup(pipe.close)
        holder.stdout.readline()
        self.inside = inside(holder.pid)
        self.place.wrapper = self.inside
        self.addCleanup(setattr, self.place, 'wrapper', [])

    def start_stream(self, guest):
        """The TCP connection that is there until the end"""
        self.peer = subprocess.Popen(
            [*self.inside, sys.executable, peer.__file__, 'echo', '10.9.0.1'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.peer.wait)
        self.addCleanup(self.peer.kill)
        for pipe in (self.peer.stdin, self.peer.stdout):
            self.addCleanup(pipe.close)
        self.check(guest, 'ip addr add 10.9.0.2/24 dev eth0; '
                   'ip link set eth0 up; ' + self.echo % self.peer_says())
        self.stream_goes_on(guest)

    def peer_says(self, timeout=30):
        if not select.select([self.peer.stdout], [], [], timeout * busy())[0]:
            raise Timeout('the other end of the stream has nothing to tell')
        return self.peer.stdout.readline().decode().strip()

    def streamed(self, guest):
        """How many bytes have been there and back; none was wrong"""
        self.peer.stdin.write(b'\n')
        self.peer.stdin.flush()
        answer = self.peer_says()
        self.assertRegex(answer, r'^\d+$')
        return int(answer)

    def stream_goes_on(self, guest, timeout=60):
        begin = self.streamed(guest)
        end = time.monotonic() + guest.limit(timeout)
        now = begin
        while now < begin + 100000:
            self.assertLess(time.monotonic(), end, 'the stream has stopped, '
                            'or has had no more than %d bytes' % (now - begin))
            time.sleep(0.05)
            now = self.streamed(guest)

    def free_tap(self):
        used = {getattr(p, 'tap', None) for p in self.processes
                if p.poll() is None}
        return min(set('tap%d' % n for n in range(TAPS)) - used)

    def network(self):
        """Of a QEMU: a -netdev"""
        self.tap = self.free_tap()
        return 'tap,script=no,downscript=no,ifname=' + self.tap

    def options(self, *more, image_format='raw'):
        return ['-smp', str(self.vcpus),
                '-drive', 'if=none,id=d,format=%s,file=%s'
                % (image_format, self.image),
                '-device', self.disk + ',drive=d,id=disk',
                '-netdev', self.network() + ',id=n',
                '-device', self.nic + ',netdev=n,mac=52:54:00:12:34:99',
                *more]

    def start(self, *options, **kwargs):
        process = super().start(*options, **kwargs)
        process.tap = self.tap
        return process

    def make_image(self, image_format='raw'):
        self.image = paths.result(self.log_name('.' + image_format))
        self.addCleanup(os.unlink, self.image)
        subprocess.run([tool('qemu-img'), 'create', '-q', '-f', image_format,
                        self.image, self.image_size], check=True)

    def boot_busy(self, *more, stream=True, **kwargs):
        guest = self.boot(*self.options(*more, **kwargs))
        self.check(guest, 'until [ -b %s -a -e /sys/class/net/eth0 '
                   ']; do usleep 50000; done' % self.block)
        # What a kernel says at boot, such as of the CPU's age, is no part of this
        self.check(guest, 'dmesg -c > /dev/null')
        load = self.load.replace('/dev/xvda', self.block)
        for line in load.strip().splitlines():
            guest.type(line + '\n')
        if stream:
            self.start_stream(guest)
        self.check(guest, 'until [ -s /tmp/rounds ]; do usleep 50000; done',
                   timeout=60)
        return guest

    def target(self, uri, *more, **kwargs):
        process = self.start(*self.linux_options(),
                             *self.options('-incoming', uri, *more, **kwargs))
        # It answers when it listens
        process.qmp.command('query-status', process.limit(60))
        return process

    def set(self, processes, capabilities=(), **parameters):
        for process in processes:
            if capabilities:
                process.qmp.command('migrate-set-capabilities', capabilities=[
                    {'capability': c.lstrip('!'), 'state': c[0] != '!'}
                    for c in capabilities])
            if parameters:
                process.qmp.command('migrate-set-parameters', **parameters)

    def migrated(self, guest, timeout=120):
        """Wait for its end; returns what query-migrate says then"""
        end = time.monotonic() + guest.limit(timeout)
        while True:
            info = guest.qmp.command('query-migrate')
            if info.get('status') in ('completed', 'failed', 'cancelled'):
                return info
            self.assertLess(time.monotonic(), end, info)
            time.sleep(0.02)

    def migrate(self, source, uri):
        source.qmp.command('migrate', uri=uri)
        info = self.migrated(source)
        self.assertEqual(info['status'], 'completed', info)
        return info

    def wait_running(self, guest):
        end = time.monotonic() + guest.limit(60)
        while not guest.qmp.command('query-status')['running']:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def quit(self, guest):
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def hmp(self, guest, line):
        answer = guest.qmp.command('human-monitor-command', 300,
                                   **{'command-line': line})
        self.assertEqual(answer.strip(), '', line)

    def goes_on(self, guest):
        """Disk and network have moved on, and nothing was wrong so far"""
        self.check(guest, 'n=$(($(cat /tmp/rounds) + 1)); until [ "$(cat '
                   '/tmp/rounds)" -gt $n ] 2> /dev/null; do usleep 50000; done; '
                   'cat /tmp/wrong 2> /dev/null; true', r'^$', timeout=120)
        self.stream_goes_on(guest)

    def all_is_well(self, guest, stream=True):
        """Disk, network, clock, other vCPUs and the log, after it has moved"""
        if stream:
            self.goes_on(guest)
        self.check(guest, 'touch /tmp/stop; until [ -e /tmp/done ]; do '
                   'usleep 50000; done; cat /tmp/wrong 2>/dev/null; rm -f '
                   '/tmp/stop /tmp/done; true', r'^$', timeout=120)
        self.check(guest, 'nproc', '^%d$' % self.vcpus)
        self.check(guest, self.reach, timeout=40)
        self.check(guest, 'dmesg | grep -v leave_mm | grep -E "%s" | head -n 3'
                   % self.complaints, r'^$')

    def restart_load(self, guest):
        self.check(guest, 'rm -f /tmp/rounds; '
                   '(sh /tmp/load.sh & sh /tmp/clock.sh &) > /dev/null 2>&1')
        self.check(guest, 'until [ -s /tmp/rounds ]; do usleep 50000; done',
                   timeout=60)
