# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks, as Debian's xen-netfront uses them"""

import os
import select
import socket
import struct
import subprocess
import sys
import time

from xenpv import paths, peer
from xenpv.place import busy
from xenpv.program import UNSHARE, inside
from xenpv.testcase import LinuxTest, Timeout, only

# Figures of more than what is good for a test that everybody runs
MEGABYTES = int(os.environ.get('XENPV_NETWORK_MB', '16'))
MAC = '52:54:00:12:34:99'
# Packets of each kind with sizes of all kinds
SIZES = int(os.environ.get('XENPV_NETWORK_SIZES', '150'))
# Of the soak, of some 10 seconds each
ROUNDS = int(os.environ.get('XENPV_ROUNDS', '3'))
# What this end leaves to the guest: all, checksums alone, nothing
OFFLOADS = (('checksums=1', 'segments=1'), ('segments=0',), ('checksums=0',))


class NetworkTest(LinuxTest):
    """A test with somebody to talk to"""
    devices = True

    def start_peer(self, address, within=()):
        """What the guest talks to, in another namespace if WITHIN says so"""
        self.peer = subprocess.Popen(
            [*within, sys.executable, peer.__file__, address],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(self.peer.stdout.close)
        self.addCleanup(self.peer.wait)
        self.addCleanup(self.peer.kill)
        return [int(p) for p in self.peer_line(20).split()]

    def peer_line(self, timeout):
        if not select.select([self.peer.stdout], [], [], timeout * busy())[0]:
            raise Timeout('the other end has nothing to tell')
        return self.peer.stdout.readline().decode()

    def in_network(self, script):
        """
        A network namespace of QEMU's own: there is nothing in it but what the
        script makes
        """
        self.place.wrapper = [
            *UNSHARE, '--net', 'sh', '-ec',
            'ip link set lo up; %s; exec "$@"' % script, 'sh']
        self.addCleanup(setattr, self.place, 'wrapper', [])

    def wait_for_eth0(self, guest):
        self.check(guest, 'until [ -e /sys/class/net/eth0 ]; do usleep 50000; '
                   'done')
        self.check(guest, 'cat /sys/class/net/eth0/address', '^%s$' % MAC)

    def transfer(self, guest, address, ports, megabytes):
        """TCP both ways, and no byte is another one at the other end"""
        sink, source = ports
        self.check(guest, 'dd if=/dev/urandom of=/tmp/data bs=1M count=4 '
                   '2>/dev/null')
        mine = self.check(
            guest, 'mkfifo /tmp/p 2>/dev/null; md5sum < /tmp/p > /tmp/sum & '
            '(i=0; while [ $i -lt %d ]; do cat /tmp/data; echo $i; '
            'i=$((i + 4)); done) | tee /tmp/p | nc %s %d; wait; cat /tmp/sum'
            % (megabytes, address, sink), timeout=60 + 4 * megabytes)
        total, theirs, up = self.peer_line(60).split()
        self.assertGreaterEqual(int(total), megabytes << 20)
        # The shell may have told of a job that is done, too
        self.assertRegex(mine, r'\b%s\b' % theirs)
        # nc ends when its input does, so that must stay open
        mine = self.check(
            guest, 'rm -f /tmp/end; (echo %d; until [ -e /tmp/end ]; do '
            'usleep 50000; done) | { nc %s %d; touch /tmp/end; } | md5sum'
            % (megabytes << 20, address, source), timeout=60 + 4 * megabytes)
        total, theirs, down = self.peer_line(60).split()
        self.assertEqual(int(total), megabytes << 20)
        # The shell may have told of a job that is done, too
        self.assertRegex(mine, r'\b%s\b' % theirs)
        # No packet was bad on its way
        self.check(guest, 'cat /sys/class/net/eth0/statistics/rx_errors '
                   '/sys/class/net/eth0/statistics/tx_errors', r'^0\n0$')
        print('# %s: %d MiB, %.1f MiB/s to the host, %.1f MiB/s from it'
              % (self.name(), megabytes, megabytes / float(up),
                 megabytes / float(down)), flush=True)


class Network(NetworkTest):
    label = 'network'

    @only('functional')
    def test_user(self):
        """User networking: no address by DHCP, or what goes through TCP is
        lost or changed"""
        ports = self.start_peer('127.0.0.1')
        guest = self.boot('-nic', 'user,model=xen-net-device,mac=' + MAC)
        self.wait_for_eth0(guest)
        self.check(guest, 'ip link set eth0 up; udhcpc -q -f -i eth0',
                   r'lease of 10\.0\.2\.15 obtained')
        self.transfer(guest, '10.0.2.2', ports, MEGABYTES)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')

    @only('functional')
    def test_tap(self):
        """A tap device, and two queues: packets are lost in a flood of pings, or
        what goes through TCP is lost or changed, or in small segments"""
        self.in_network('ip tuntap add tap0 mode tap; '
                        'ip addr add 192.0.2.1/24 dev tap0; '
                        'ip link set tap0 up')
        dump = paths.result(self.name() + '.pcap')
        guest = self.boot('-smp', '2', '-netdev', 'tap,id=n,ifname=tap0,'
                          'script=no,downscript=no', '-device',
                          'xen-net-device,netdev=n,id=nic,mac=' + MAC,
                          '-object', 'filter-dump,id=dump,netdev=n,file='
                          + dump)
        within = inside(guest.popen.pid)
        ports = self.start_peer('192.0.2.1', within)
        self.wait_for_eth0(guest)
        self.check(guest, 'ls /sys/class/net/eth0/queues',
                   r'rx-0\s+rx-1\s+tx-0\s+tx-1')
        # Frames that the card is done with are a socket's until a softirq has its
        # turn: some 180 fill what a raw one has, and the next is refused
        self.check(guest, 'echo 4000000 > /proc/sys/net/core/wmem_default; '
                   'ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up')
        for size in (0, 56, 1472):
            self.check(guest, 'ping -A -q -c 300 -w 60 -s %d 192.0.2.1' % size,
                       '300 packets transmitted, 300 packets received', 90)
            # Linux drops an answer of its own if its socket has no room, as
            # frames are freed only when a softirq of another kind has its turn
            before = self.discards(guest)
            received, damaged = subprocess.run(
                [*within, sys.executable, peer.__file__, 'flood', '192.0.2.2',
                 '3000', str(size)], stdout=subprocess.PIPE,
                timeout=guest.limit(90)).stdout.decode().split()
            self.assertEqual(int(received) + self.discards(guest) - before,
                             3000)
            self.assertGreater(int(received), 2000)
            self.assertEqual(damaged, '0')
        self.all_sizes(guest, within)
        before = self.counters(guest)
        self.transfer(guest, '192.0.2.1', ports, MEGABYTES)
        after = self.counters(guest)
        for way in ('tx', 'rx'):
            self.assertGreater(after[way][1] - before[way][1],
                               MEGABYTES << 20, way)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')
        # How often the kernel at either end has so much to send at once that it
        # leaves the cutting to others is a matter of who is faster
        large = self.large_frames(dump)
        print('# %s: %d frames to the host and %d from it were larger than '
              "Ethernet's" % (self.name(), large['tx'], large['rx']), flush=True)
        self.assertGreater(large['tx'], 10)
        self.assertGreater(large['rx'], 10)

    @only('soak')
    def test_soak(self):
        """In the long run packets are lost or damaged, of any size, by IPv4 or
        IPv6, whatever either end has left for the other to do"""
        self.in_network('ip tuntap add tap0 mode tap; '
                        'ip addr add 192.0.2.1/24 dev tap0; '
                        'ip addr add fd00::1/64 dev tap0 nodad; '
                        'ip link set tap0 up')
        guest = self.boot('-smp', '2', '-netdev', 'tap,id=n,ifname=tap0,'
                          'script=no,downscript=no', '-device',
                          'xen-net-device,netdev=n,id=nic,mac=' + MAC)
        within = inside(guest.popen.pid)
        ports = self.start_peer('::', within)
        self.wait_for_eth0(guest)
        self.check(guest, 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; '
                   'ip addr add 192.0.2.2/24 dev eth0; '
                   'ip addr add fd00::2/64 dev eth0; ip link set eth0 up')
        begin, sent, lost = time.monotonic(), 0, 0
        for n in range(ROUNDS):
            subprocess.run([*within, sys.executable, peer.__file__, 'offload',
                            'tap0', *OFFLOADS[n % len(OFFLOADS)]], check=True)
            lost += self.all_sizes(guest, within)
            sent += 3 * SIZES
            self.set_mtu(guest, within, (1500, 9000, 65000, 1280)[n % 4])
            self.transfer(guest, ('192.0.2.1', 'fd00::1')[n // 2 % 2], ports,
                          MEGABYTES)
            minutes = (time.monotonic() - begin) / 60
            print('# %d: %.1f minutes, %d of %d pings lost'
                  % (n, minutes, lost, sent), flush=True)
        counts = self.counters(guest)
        # What one side of the rings has counted is what the other has
        for way in ('tx', 'rx'):
            self.check(guest, 'cat /sys/class/net/eth0/statistics/%s_packets'
                       % way, r'(^|\n)%d$' % counts[way][0])
        # And so has the tap device, which calls it the other way round
        tap = subprocess.run(
            [*within, 'awk', '/tap0:/ { print $11, $3 }', '/proc/net/dev'],
            stdout=subprocess.PIPE, check=True).stdout.split()
        dropped = guest.qmp.command('qom-get', path='/machine/peripheral/nic',
                                    property='rx-dropped')
        self.assertEqual([int(n) for n in tap],
                         [counts['rx'][0] + dropped, counts['tx'][0]])
        # Nothing that was damaged came so far that only its checksum told
        self.check(guest, "awk '/^Tcp:/ { n++; if (n == 2) print $14, $16 }' "
                   '/proc/net/snmp', r'(^|\n)0 0$')
        self.check(guest, 'grep -E "InHdrErrors|InErrors|InCsumErrors" '
                   '/proc/net/snmp6 | grep -v -w 0; true', r'^$')
        again = self.check(guest, "awk '/^Tcp:/ { n++; if (n == 2) print $13 }' "
                           '/proc/net/snmp')
        print('# %s: %.0f minutes; %d frames with %d MiB to the host, %d with %d '
              'from it; %d of %d pings lost, and %d answers for want of room, '
              '%s segments of TCP sent again'
              % (self.name(), minutes, counts['tx'][0],
                 counts['tx'][1] >> 20, counts['rx'][0], counts['rx'][1] >> 20,
                 lost, sent, self.discards(guest), again), flush=True)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')

    def set_mtu(self, guest, within, mtu):
        subprocess.run([*within, 'ip', 'link', 'set', 'tap0', 'mtu', str(mtu)],
                       check=True)
        self.check(guest, 'ip link set eth0 mtu %d' % mtu)

    def all_sizes(self, guest, within):
        """
        Packets of any size, in as many slots as there can be, and in fragments;
        each byte is compared by the other end. Returns how many were lost, but
        for those of the guest's answers for which it had no room
        """
        lost = 0
        for mtu, most in ((65000, 64900), (9000, 9500), (1500, 20000)):
            self.set_mtu(guest, within, mtu)
            before = self.discards(guest)
            flood = subprocess.run(
                [*within, sys.executable, peer.__file__, 'flood', '192.0.2.2',
                 str(SIZES), '0', str(most)], stdout=subprocess.PIPE,
                timeout=guest.limit(90)).stdout.decode().split()
            received, damaged = map(int, flood)
            self.assertEqual(damaged, 0)
            here = received + self.discards(guest) - before
            # What a busy machine answers after two seconds counts as lost
            self.assertGreater(here, SIZES * 9 // 10)
            self.assertGreater(received, SIZES // 2)
            lost += SIZES - here
        # A checksum that is wrong at the guest's end
        self.check(guest, "awk '/^Icmp:/ { n++; if (n == 2) print $3, $4 }' "
                   '/proc/net/snmp', r'(^|\n)0 0$')
        return lost

    def large_frames(self, dump):
        """What no Ethernet would take, each way, in a file of filter-dump's"""
        large = {'tx': 0, 'rx': 0}
        with open(dump, 'rb') as f:
            f.read(24)
            while len(header := f.read(16)) == 16:
                _, _, captured, size = struct.unpack('=IIII', header)
                frame = f.read(captured)
                if size > 1514:
                    large['tx' if frame[6:12].hex(':') == MAC else 'rx'] += 1
        os.unlink(dump)
        return large

    def discards(self, guest):
        """Frames that the guest did not send for want of room"""
        return int(self.check(guest, "awk '/^Ip:/ { n++; if (n == 2) print $12 "
                              "}' /proc/net/snmp"))

    def counters(self, guest):
        """Frames and bytes, and that none was bad or lost"""
        def get(name):
            return guest.qmp.command('qom-get', path='/machine/peripheral/nic',
                                     property=name)

        self.assertEqual([get('tx-errors'), get('rx-errors')], [0, 0])
        return {way: [get(way + '-frames'), get(way + '-bytes')]
                for way in ('tx', 'rx')}

    @only('functional')
    def test_plug(self):
        """A network card cannot be added to or taken from a running guest, or not
        in the midst of a flood of packets"""
        guest = self.boot('-smp', '2', '-netdev', 'user,id=n')
        # One, two, and as many queues as there are vCPUs
        for queues in (1, 2, 0):
            guest.qmp.command('device_add', **{
                'driver': 'xen-net-device', 'id': 'nic', 'netdev': 'n',
                'mac': MAC, 'multi-queue-max-queues': queues})
            self.wait_for_eth0(guest)
            self.check(guest, 'ip link set eth0 up; udhcpc -q -f -i eth0; '
                       'ping -c 1 -w 10 10.0.2.2', '0% packet loss')
            self.check(guest, 'ls -d /sys/class/net/eth0/queues/tx-* | wc -l',
                       r'(^|\n)%d$' % (queues or 2))
            self.check(guest, '(for i in 1 2 3; do ping -A -q -s 1400 10.0.2.2 '
                       '& done) >/dev/null 2>&1; sleep 1; [ $(cat '
                       '/sys/class/net/eth0/statistics/rx_packets) -gt 50 ]')
            guest.qmp.command('device_del', id='nic')
            guest.wait_event('DEVICE_DELETED', 20)
            self.check(guest, 'until [ ! -e /sys/class/net/eth0 ]; do '
                       'usleep 50000; done; killall ping; true')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def send(self, source, target, address):
        """What goes through TCP from one guest to another is what arrives"""
        target.type('nc -l -p 9 > /tmp/got &\n')
        self.check(target, 'until netstat -ltn | grep -q :9; do usleep 50000; '
                   'done')
        data = self.check(source, 'dd if=/dev/urandom of=/tmp/data bs=1M '
                          'count=4 2>/dev/null; md5sum < /tmp/data')
        begin = time.monotonic()
        self.check(source, 'nc %s 9 < /tmp/data' % address, timeout=90)
        self.check(target, 'wait; md5sum < /tmp/got', data.split()[0], 90)
        return 4 / (time.monotonic() - begin)

    @only('functional')
    def test_router(self):
        """Between two guests that have a third as their router, large segments
        whose checksums nobody has made yet are lost, or arrive damaged"""
        self.in_network('for n in 1 2; do ip link add br$n type bridge; '
                        'ip link set br$n up; done; for t in a1 a2 b1 c2; do '
                        'ip tuntap add $t mode tap; '
                        'ip link set $t master br${t#?} up; done')
        guests = []
        for n, taps in enumerate((('a1', 'a2'), ('b1',), ('c2',))):
            options = []
            for tap in taps:
                options += ['-netdev', 'tap,id=%s,ifname=%s,script=no,'
                            'downscript=no' % (tap, tap), '-device',
                            'xen-net-device,netdev=%s,id=nic%s,mac=52:54:00:00:'
                            '0%d:0%s' % (tap, tap, n, tap[1])]
            guests.append(self.boot(*options, wait=False))
            # There, the script has made all taps: QEMU would make its own
            guests[0].qmp.command('query-status')
            self.place.wrapper = inside(guests[0].popen.pid)
        for guest in guests:
            self.wait_for_shell(guest)
        router, left, right = guests
        self.check(router, 'ip addr add 192.0.2.1/24 dev eth0; ip addr add '
                   '198.51.100.1/24 dev eth1; ip link set eth0 up; ip link set '
                   'eth1 up; echo 1 > /proc/sys/net/ipv4/ip_forward')
        for guest, net in ((left, '192.0.2'), (right, '198.51.100')):
            self.check(guest, 'ip addr add %s.2/24 dev eth0; ip link set eth0 '
                       'up; ip route add default via %s.1' % (net, net))
        self.check(left, 'ping -A -q -c 50 -w 30 -s 1400 198.51.100.2',
                   '50 packets received', 60)
        # In fragments
        self.check(left, 'ping -A -q -c 50 -w 30 -s 9000 198.51.100.2',
                   '50 packets received', 60)
        print('# %s: %.1f MiB/s, %.1f MiB/s' % (
            self.name(), self.send(left, right, '198.51.100.2'),
            self.send(right, left, '192.0.2.2')), flush=True)
        for guest in guests:
            # Neither a frame nor a checksum was bad, and nothing was resent
            # for that
            self.check(guest, 'cat /sys/class/net/eth*/statistics/[rt]x_errors '
                       '| sort -u', r'^0$')
            self.check(guest, "awk '/^Tcp:/ { n++; if (n == 2) print $14, $16 "
                       "}' /proc/net/snmp", r'(^|\n)0 0$')
        self.check(router, "awk '/^Ip:/ { n++; if (n == 2) print $5, $6 }' "
                   '/proc/net/snmp', r'(^|\n)0 0$')
        for way in ('rx', 'tx'):
            for nic in ('nica1', 'nica2'):
                self.assertGreater(self.frame_size(router, nic, way), 500)
        for guest in guests:
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    def frame_size(self, guest, nic, way):
        """The average, by the back end's own counters"""
        frames, size = (guest.qmp.command(
            'qom-get', path='/machine/peripheral/' + nic,
            property='%s-%s' % (way, what)) for what in ('frames', 'bytes'))
        return size / max(frames, 1)

    def talk(self, *netdevs):
        """Two guests with these -netdevs do not lose each other's pings"""
        guests = []
        for n, netdev in enumerate(netdevs, 1):
            guest = self.boot('-netdev', netdev + ',id=n',
                              '-device', 'xen-net-device,netdev=n,'
                              'mac=52:54:00:00:00:0%d' % n)
            self.check(guest, 'ip addr add 192.0.2.%d/24 dev eth0; '
                       'ip link set eth0 up' % n)
            guests.append(guest)
        # Both must be read from while they talk
        guests[1].type('ping -A -q -c 100 -w 30 192.0.2.1\n')
        end = time.monotonic() + guests[1].limit(60)
        while (b'100 packets received' not in guests[1].console.seen and
               time.monotonic() < end):
            for guest in guests:
                guest.pump(0.1)
        self.assertIn('100 packets received', guests[1].console.text())
        for guest in guests:
            guest.qmp.command('quit')
            self.assert_status(guest, 0)

    @only('functional')
    def test_stream(self):
        """Guests do not reach each other by -netdev stream"""
        path = self.place.scratch(self.log_name('.socket'))
        address = ',addr.type=unix,addr.path=' + os.path.relpath(path)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        self.talk('stream,server=on' + address, 'stream,server=off' + address)

    @only('functional')
    def test_socket(self):
        """Guests do not reach each other by -netdev socket"""
        with socket.create_server(('127.0.0.1', 0)) as s:
            address = '127.0.0.1:%d' % s.getsockname()[1]
        self.talk('socket,listen=' + address, 'socket,connect=' + address)

    @only('kvm')
    def test_kvm(self):
        """User networking under a real KVM"""
        guest = self.boot('-nic', 'user,model=xen-net-device,mac=' + MAC)
        self.wait_for_eth0(guest)
        self.check(guest, 'ip link set eth0 up; udhcpc -q -f -i eth0',
                   r'lease of 10\.0\.2\.15 obtained')
        self.check(guest, 'ping -A -c 3 -w 20 10.0.2.2', '0% packet loss')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
