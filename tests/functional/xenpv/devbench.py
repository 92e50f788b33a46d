# SPDX-License-Identifier: GPL-2.0-or-later
"""
What disks and networks cost, next to virtio with the same kernel and the same
images, in one run.

exits   VM exits for each request and each packet, counted by KVM, next to
        -M microvm: in all, of these for I/O (the doorbell), and HLT. The rest
        are mostly interrupts and timers, which go with time
insns   guest instructions for each request, packet and MB, next to -M pc, under
        "-icount shift=0": what the guest's driver costs, whatever else this
        machine has to do
disk    fio: sequential and random, depths 1 and 32, one job and four, with and
        without an IOThread; next to virtio-blk-pci on -M pc, since Debian's
        kernel finds no virtio device of a microvm under TCG
net     iperf3 both ways, with one stream and with four, UDP packets of 64
        bytes on Ethernet, and pings; through user networking and through a tap
        device; likewise
kvm     both under KVM, next to -M microvm, with VM exits for each request and
        packet. The disk is no file but what forgets all, as a nested KVM's
        disk is not one to measure with

What is timed is done as often as XENPV_BENCH_RUNS says [5], by turns, and the
median is told, with the least and the most. disk and net also tell the host's
CPU time for each MB or 1000 requests: of the vCPU, and of the main loop. That
hangs less on what else runs here, and the larger one bounds the throughput. net
tells frames and the card's interrupts as well, which are the back end's doing.

A guest that fails costs its column, which says "-" from there on, and the exit
status. Results go to stdout and build/results/bench-devices.txt.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

from . import bench, guests, paths
from .place import Host
from .program import UNSHARE

SIZE = 256                  # MiB, of the disk that is measured
NULL_DISK = 'if=none,driver=null-co,read-zeroes=on,size=%d' % (SIZE << 20)
# x2APIC and icount do not go together in QEMU
ICOUNT_CPU = 'max,-x2apic'
SECONDS = 2                 # for each figure
RUNS = int(os.environ.get('XENPV_BENCH_RUNS', '5'))

# name: fio's options
LOADS = {'%s, depth %d%s' % (name, depth, ', 4 jobs' if jobs > 1 else ''):
         '%s --iodepth=%d --numjobs=%d --group_reporting'
         % (options, depth, jobs)
         for name, options in (('read 128k', '--rw=read --bs=128k'),
                               ('write 128k', '--rw=write --bs=128k'),
                               ('randread 4k', '--rw=randread --bs=4k'),
                               ('randwrite 4k', '--rw=randwrite --bs=4k'))
         for jobs in (1, 4) for depth in (1, 32)}

# machine, console, its disks' driver and names, its network card
MACHINES = {
    'xen': ('xenpv-kvm', 'hvc0', 'xen-disk', 'xvd', 'xen-net-device'),
    'virtio': ('pc', 'ttyS0', 'virtio-blk-pci', 'vd',
               'virtio-net-pci,romfile='),
    'virtio-mmio': ('microvm', 'ttyS0', 'virtio-blk-device', 'vd',
                    'virtio-net-device'),
}


class Table:
    """Cells by row and column. One that fails is told of, and has no more"""

    def __init__(self, out, title, columns, width, label=28):
        self.out, self.title, self.columns = out, title, columns
        self.width, self.label = width, label
        self.rows, self.failed = {}, set()

    @contextlib.contextmanager
    def column(self, name):
        try:
            yield
        except Exception as e:
            self.failed.add(name)
            self.out('# %s: %s: %s' % (self.title, name, e))

    def put(self, row, column, text):
        self.rows.setdefault(row, {})[column] = text

    def show(self):
        """False if a column has failed"""
        def line(label, cells):
            self.out('%-*s' % (self.label, label) + ''.join(
                ' %*s' % (self.width, c) for c in cells))

        self.out(self.title)
        line('', self.columns)
        for name, row in self.rows.items():
            line(name, [row.get(c, '-') for c in self.columns])
        self.out()
        return not self.failed


class Medians:
    """
    Figures by row and column, taken by turns; ratios are of each two columns,
    and above 1 where the first is the better one
    """

    def __init__(self, out, title, columns, form='%.0f', less_is_more=False,
                 ratios=None):
        self.columns, self.form, self.less = list(columns), form, less_is_more
        self.ratios = ratios or {'ratio': tuple(self.columns[:2])}
        self.table = Table(out, title + ': the median of %d (least, most)'
                           % RUNS, [*self.columns, *self.ratios], 22, 28)
        self.rows = {}

    def add(self, row, column, figure):
        self.rows.setdefault(row, {}).setdefault(column, []).append(figure)

    def show(self):
        for name, row in self.rows.items():
            for column, figures in row.items():
                self.table.put(name, column, '%s (%s, %s)' % tuple(
                    self.form % f for f in (statistics.median(figures),
                                            min(figures), max(figures))))
            for ratio, (ours, other) in self.ratios.items():
                if ours in row and other in row:
                    value = (statistics.median(row[ours]) /
                             max(statistics.median(row[other]), 1e-9))
                    self.table.put(name, ratio, '%.2f' % (
                        1 / max(value, 1e-9) if self.less else value))
        return self.table.show()


class Guest:
    """One that has the disk, the tools' image as a second one, and a card"""

    def __init__(self, place, kind, disk, iothread=False, tools=None,
                 more=(), netdev='user,id=n'):
        machine, console, driver, self.prefix, card = MACHINES[kind]
        options = ['-m', '512M', '-kernel', place.file(guests.linux('6.1')),
                   '-initrd', place.file(guests.device_initramfs('6.1')),
                   '-append', 'console=%s loglevel=1' % console,
                   '-object', 'iothread,id=io', '-drive', disk + ',id=d0',
                   '-device', '%s,drive=d0%s'
                   % (driver, ',iothread=io' if iothread else ''),
                   '-netdev', netdev, '-device', card + ',netdev=n',
                   *more]
        if tools:
            options += ['-drive', 'if=none,format=raw,readonly=on,file=%s,'
                        'id=d1' % tools, '-device', '%s,drive=d1' % driver]
        if not machine.startswith('xen') and isinstance(place, Host):
            options += ['-L', paths.FIRMWARE]
        if place.accel == 'kvm':
            options += ['-cpu', 'host']
        self.place = place
        self.process = place.start('bench-devices/' + kind, 'x86_64', *options,
                                   machine=machine)
        try:
            self.process.expect(guests.INIT_MARKER, 120)
            self.process.expect('guest# ', 60)
            self.shell('until [ -b /dev/%sa ]; do usleep 20000; done'
                       % self.prefix)
            if tools:
                self.shell('mount -t ext4 -o ro,noload /dev/%sb /mnt && '
                           'mount -o bind /dev /mnt/dev && '
                           'mount -t tmpfs tmpfs /mnt/tmp' % self.prefix)
        except BaseException:
            self.close()
            raise

    def shell(self, command, timeout=120):
        status, output = self.process.shell(command, timeout)
        if status:
            raise RuntimeError('%s: %s' % (command, output))
        return output

    def network(self):
        self.shell('ip link set eth0 up; udhcpc -q -f -i eth0 >/dev/null 2>&1')

    def packets(self):
        return sum(int(n) for n in self.shell(
            'cat /sys/class/net/eth0/statistics/[rt]x_packets').split())

    def cpu_time(self):
        """Milliseconds of this machine's CPUs: all vCPUs, and the main loop"""
        pid = self.process.popen.pid

        def of(thread):
            with open('/proc/%d/task/%d/schedstat' % (pid, thread)) as f:
                return int(f.read().split()[0]) / 1e6

        return (sum(of(cpu['thread-id']) for cpu in
                    self.process.qmp.command('query-cpus-fast')), of(pid))

    def busy(self):
        """Nanoseconds that its CPU was not idle; under -icount instructions"""
        now, *idle = re.findall(r'(\d+) nsecs', self.shell(
            'grep -E "^now at|(idle|iowait)_sleeptime" /proc/timer_list'))
        return int(now) - sum(int(n) for n in idle)

    def exits(self, command):
        """By KVM's counters while a command runs: all, for I/O, HLT"""
        def count():
            return [sum(self.place.exits(self.process, kind) for kind in kinds)
                    for kinds in (('exits',), ('io_exits', 'mmio_exits'),
                                  ('halt_exits',))]

        before = count()
        self.shell(command)
        return [a - b for a, b in zip(count(), before)]

    def close(self):
        self.process.release()


# --- VM exits ----------------------------------------------------------------

def bench_exits(place, out):
    many = 400

    def difference(guest, command, less, more):
        """Of what each of so many more cost"""
        return [(b - a) / (more - less) for a, b in
                zip(guest.exits(command % less), guest.exits(command % more))]

    loads = (('read 4k, depth 1', 1,
              'dd if=/dev/DISK of=/dev/null bs=4k count=%d iflag=direct'),
             ('write 4k, depth 1', 1,
              'dd if=/dev/zero of=/dev/DISK bs=4k count=%d oflag=direct'),
             ('read 128k, depth 8', 8,
              'dd if=/dev/DISK of=/dev/null bs=1M count=%d iflag=direct'))
    table = Table(out, 'VM exits for each request or packet, counted by KVM: '
                  'all (I/O, HLT)', ('xen', 'virtio-mmio'), 20)

    def measure(kind, more):
        guest = Guest(place, kind, NULL_DISK, more=more)
        try:
            for name, each, command in loads:
                cost = difference(
                    guest, command.replace('DISK', guest.prefix + 'a') +
                    ' 2>/dev/null', many // each, 2 * many // each)
                table.put(name, kind, cell([n / each for n in cost]))
            guest.network()
            for size in (56, 1400):
                cost = difference(
                    guest, 'ping -A -q -s %d -c %%d 10.0.2.2 > /dev/null'
                    % size, 100, 300)
                # One packet out, one in
                table.put('ping of %d bytes, a packet' % size, kind,
                          cell([n / 2 for n in cost]))
        finally:
            guest.close()

    def cell(cost):
        return '%.2f (%.2f, %.2f)' % tuple(cost)

    for kind in table.columns:
        # All is slower in an emulated host, so that polling takes longer, too
        more = ['-machine', 'poll-max-ns=20000000'] if (
            kind == 'xen' and not isinstance(place, Host)) else []
        with table.column(kind):
            measure(kind, more)
    return table.show()


# --- Throughput --------------------------------------------------------------

def fio(guest, options):
    """MiB/s, requests a second, requests"""
    output = guest.shell(
        'chroot /mnt fio --name=x --filename=/dev/%sa --direct=1 '
        '--ioengine=libaio --time_based --runtime=%d --output-format=json '
        '--output=/tmp/o %s > /dev/null 2>&1; cat /mnt/tmp/o'
        % (guest.prefix, SECONDS, options), 60)
    job = json.loads(output[output.index('{'):])['jobs'][0]
    side = job['read' if '=read' in options or '=randread' in options
               else 'write']
    return side['bw'] / 1024, side['iops'], side['total_ios']


def bench_disk(place, out):
    tools = paths.asset('debian-12-bench.ext4')
    image = paths.result('bench-devices/disk.raw')
    with open(image, 'wb') as f:
        for _ in range(SIZE):
            f.write(os.urandom(1 << 20))
    columns = disk_columns('xen', 'virtio')
    ratios = {'ratio': ('xen', 'virtio'),
              'IOThread, ratio': ('xen, IOThread', 'virtio, IOThread')}
    speed = Medians(out, 'Disk, requests/s, %s' % place.accel, columns,
                    ratios=ratios)
    cost = Medians(out, 'Disk, ms of the vCPU for 1000 requests', columns,
                   '%.1f', True, ratios)
    guests_ = {}
    try:
        for column, (kind, iothread) in columns.items():
            with speed.table.column(column):
                # What is on it does not matter, so all may have it
                guests_[column] = Guest(
                    place, kind, 'if=none,format=raw,file.locking=off,file='
                    + image, iothread, tools)
        for _ in range(RUNS):
            for name, options in LOADS.items():
                for column, guest in guests_.items():
                    if column in speed.table.failed:
                        continue
                    with speed.table.column(column):
                        before = guest.cpu_time()[0]
                        _, rate, requests = fio(guest, options)
                        speed.add(name, column, rate)
                        cost.add(name, column, (guest.cpu_time()[0] - before)
                                 / requests * 1000)
    finally:
        for guest in guests_.values():
            guest.close()
        os.unlink(image)
    ok = speed.show()
    return cost.show() and ok


def disk_columns(*kinds):
    """Columns by name: which machine, and whether with an IOThread"""
    return {kind + (', IOThread' if iothread else ''): (kind, iothread)
            for iothread in (False, True) for kind in kinds}


def host_iperf(tools):
    """iperf3 of the same image, as this machine may have none"""
    directory = paths.result('bench-devices/iperf')
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    library = '/usr/lib/x86_64-linux-gnu/'
    for name in ('/usr/bin/iperf3', library + 'libiperf.so.0',
                 library + 'libsctp.so.1', library + 'libcrypto.so.3'):
        # A link in the image is followed here
        while True:
            target = os.path.join(directory, os.path.basename(name))
            stat = subprocess.run(['debugfs', '-R', 'stat ' + name, tools],
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL).stdout.decode()
            if 'Fast link dest: "' not in stat:
                break
            link = stat.split('Fast link dest: "')[1].split('"')[0]
            os.symlink(os.path.basename(link), target)
            name = os.path.join(os.path.dirname(name), link)
        subprocess.run(['debugfs', '-R', 'dump %s %s' % (name, target), tools],
                       stderr=subprocess.DEVNULL, check=True)
    os.chmod(os.path.join(directory, 'iperf3'), 0o755)
    return directory


# name: iperf3's options. 18 bytes of UDP are 64 on Ethernet, with its checksum
STREAMS = {
    'TCP from the guest, Mbit/s': '',
    'TCP from it, 4 streams': '-P 4',
    'TCP to the guest': '-R',
    'TCP to it, 4 streams': '-P 4 -R',
    'packets/s from the guest': '-u -l 18 -b 0',
    'packets/s to the guest': '-u -l 18 -b 0 -R',
}
PINGS = 400
PINGS_ROW = 'pings/s'
TAP = ('ip link set lo up && ip tuntap add tap0 mode tap && '
       'ip addr add 192.0.2.1/24 dev tap0 && ip link set tap0 up && exec "$@"')


def iperf(guest, address, port, options):
    """Of what the other side has received, sent with those OPTIONS"""
    output = guest.shell('chroot /mnt iperf3 -J -c %s -p %d %s'
                         % (address, port, options), 300)
    end = json.loads(output[output.index('{'):])['end']
    if '-u' in options.split():
        got = end['sum']
        got['packets'] -= got['lost_packets']
        return got
    return end['sum_received']


class NetGuest:
    """A guest, and an iperf3 that it talks to"""

    def __init__(self, place, kind, network, tools, directory, more=()):
        self.address = '10.0.2.2' if network == 'user' else '192.0.2.1'
        netdev = 'user,id=n'
        if network == 'tap':
            place.wrapper = [*UNSHARE, '--net', 'sh', '-c', TAP, 'sh']
            netdev = 'tap,id=n,ifname=tap0,script=no,downscript=no'
        try:
            self.guest = Guest(place, kind, NULL_DISK,
                               False, tools, more, netdev)
        finally:
            place.wrapper = []
        try:
            self.talk_to(network, directory)
        except BaseException:
            self.close()
            raise

    def talk_to(self, network, directory):
        inside = []
        if network == 'tap':
            inside = ['nsenter', '-t', str(self.guest.process.popen.pid), '-n',
                      *([] if os.geteuid() == 0 else
                        ['-U', '--preserve-credentials'])]
            self.guest.shell('ip addr add 192.0.2.2/24 dev eth0; '
                             'ip link set eth0 up')
        else:
            self.guest.network()
        with socket.create_server(('127.0.0.1', 0)) as s:
            self.port = s.getsockname()[1]
        self.server = subprocess.Popen(
            [*inside, os.path.join(directory, 'iperf3'), '-s', '-B',
             '192.0.2.1' if inside else '127.0.0.1', '-p', str(self.port)],
            env=dict(os.environ, LD_LIBRARY_PATH=directory),
            stdout=subprocess.DEVNULL)

    def ping(self, count):
        self.guest.shell('ping -A -q -c %d %s >/dev/null'
                         % (count, self.address), 300)

    def iperf(self, options):
        return iperf(self.guest, self.address, self.port, options)

    def events(self):
        """Frames both ways, and the card's interrupts"""
        interrupts = re.findall(
            r'^ *\d+: +(\d+) .*(?:vif\d|virtio\d+-(?:in|out)put)',
            self.guest.shell('cat /proc/interrupts'), re.M)
        return self.guest.packets(), sum(map(int, interrupts))

    def measure(self, name):
        """
        Mbit/s, packets/s or pings/s; and for each MB, 1000 packets or pings
        milliseconds of the vCPU and of the main loop, frames, and interrupts
        """
        counted = self.events()
        before = self.guest.cpu_time()
        if name == PINGS_ROW:
            begin = time.monotonic()
            self.ping(PINGS)
            rate, work = PINGS / (time.monotonic() - begin), PINGS / 1000
        else:
            got = self.iperf('-t %d %s' % (SECONDS, STREAMS[name]))
            if 'packets' in got:
                rate, work = (got['packets'] / got['seconds'],
                              got['packets'] / 1000)
            else:
                rate, work = got['bits_per_second'] / 1e6, got['bytes'] / 1e6
        after = self.guest.cpu_time() + self.events()
        return (rate, *((b - a) / work
                        for a, b in zip(before + counted, after)))

    def close(self):
        if hasattr(self, 'server'):
            self.server.kill()
            self.server.wait()
        self.guest.close()


def bench_net(place, out):
    tools = paths.asset('debian-12-bench.ext4')
    directory = host_iperf(tools)
    ok = True
    for network in ('user', 'tap'):
        ok &= bench_network(place, out, network, tools, directory)
    return ok


def bench_network(place, out, network, tools, directory):
    kinds = ('xen', 'virtio')
    title = 'Network (-netdev %s), ' % network
    tables = [Medians(out, title + place.accel, kinds),
              Medians(out, title + 'ms of the vCPU for each MB, or 1000 '
                      'packets or pings', kinds, '%.2f', True),
              Medians(out, title + 'ms of the main loop, likewise', kinds,
                      '%.2f', True),
              # What is to be alike: as large frames, and no more interrupts
              Medians(out, title + 'frames, likewise', kinds, '%.1f', True),
              Medians(out, title + 'interrupts, likewise', kinds, '%.1f', True)]
    table = tables[0].table
    guests_ = {}
    try:
        for kind in kinds:
            with table.column(kind):
                guests_[kind] = NetGuest(place, kind, network, tools,
                                         directory)
        # By turns, as this machine may have other things to do
        for _ in range(RUNS):
            for name in (*STREAMS, PINGS_ROW):
                for kind, guest in guests_.items():
                    if kind in table.failed:
                        continue
                    with table.column(kind):
                        for t, figure in zip(tables, guest.measure(name)):
                            t.add(name, kind, figure)
    finally:
        for guest in guests_.values():
            guest.close()
    return all([t.show() for t in tables])


# --- Guest instructions ------------------------------------------------------

def bench_instructions(place, out):
    tools = paths.asset('debian-12-bench.ext4')
    directory = host_iperf(tools)
    table = Table(out, 'Thousands of guest instructions (-icount shift=0, tap)',
                  ('xen', 'virtio'), 14, 40)

    def measure(kind, guest, network):
        def cost(work, less, more):
            """Of each of what more there is to do, so without the start"""
            spent = []
            for count in (less, more):
                before = guest.busy()
                done = work(count) or count
                spent.append((guest.busy() - before, done))
            (a, n), (b, m) = spent
            return '%.1f' % ((b - a) / (m - n) / 1000)

        network.iperf('-n 1M')
        for name, options in STREAMS.items():
            if name == 'packets/s from the guest':
                # As fast as can be is more than is taken
                table.put('UDP packet of 64 bytes from the guest', kind, cost(
                    lambda n: network.iperf('-n %d -l 18 -u -b 2M' % (n * 18))
                    ['packets'], 2000, 20000))
            elif 'packets' not in name:
                # Of packets to the guest the host's clock, and not the guest's,
                # says how many come at once, and so what they cost
                table.put('MB of ' + name.split(', Mbit')[0], kind, cost(
                    lambda n: network.iperf('-n %dM %s' % (n, options))
                    ['bytes'] / 1e6, 16, 80))
        table.put('ping', kind, cost(network.ping, 200, 1000))
        dd = 'dd if=%s of=%s bs=%s count=%d %sflag=direct 2>/dev/null'
        disk = '/dev/%sa' % guest.prefix
        for bs, count in (('4k', 1000), ('128k', 200)):
            table.put('read of ' + bs, kind, cost(lambda n: guest.shell(
                dd % (disk, '/dev/null', bs, n, 'i')) and None,
                count, 3 * count))
            table.put('write of ' + bs, kind, cost(lambda n: guest.shell(
                dd % ('/dev/zero', disk, bs, n, 'o')) and None,
                count, 3 * count))

    for kind in table.columns:
        with table.column(kind):
            network = NetGuest(place, kind, 'tap', tools, directory,
                               ('-icount', 'shift=0', '-cpu', ICOUNT_CPU))
            try:
                measure(kind, network.guest, network)
            finally:
                network.close()
    return table.show()


# --- Both under KVM ----------------------------------------------------------

def bench_kvm_disk(place, out, tools):
    columns = disk_columns('xen', 'virtio-mmio')
    table = Table(out, 'Disk, MiB/s (requests/s, VM exits for each, those of '
                  'fio\'s start and of the clock as well), kvm',
                  list(columns), 25, 24)
    for column, (kind, iothread) in columns.items():
        with table.column(column):
            guest = Guest(place, kind, NULL_DISK, iothread,
                          place.disk(tools))
            try:
                for name, options in LOADS.items():
                    before = place.exits(guest.process)
                    speed, rate, requests = fio(guest, options)
                    exits = place.exits(guest.process) - before
                    table.put(name, column, '%.1f (%5.0f, %5.2f)'
                              % (speed, rate, exits / requests))
            finally:
                guest.close()
    return table.show()


def bench_kvm_net(place, out, tools, files):
    names = [os.path.basename(f) for f in files]
    copies = '; '.join('cp %s /iperf/%s' % (place.file(f), name)
                       for f, name in zip(files, names))
    place.shell('ip link set lo up; mkdir /iperf; %s; '
                'chmod 755 /iperf/iperf3; LD_LIBRARY_PATH=/iperf '
                '/iperf/iperf3 -s -B 127.0.0.1 -D'
                % copies)
    table = Table(out, 'iperf3 through user networking, Mbit/s or packets/s '
                  '(VM exits for each packet), kvm', ('xen', 'virtio-mmio'),
                  16, 28)

    def measure(kind, guest):
        guest.network()
        for name, options in STREAMS.items():
            before = place.exits(guest.process), guest.packets()
            got = iperf(guest, '10.0.2.2', 5201,
                        '-t %d %s' % (SECONDS, options))
            packets = guest.packets() - before[1]
            exits = place.exits(guest.process) - before[0]
            rate = (got['packets'] / got['seconds'] if 'packets' in got
                    else got['bits_per_second'] / 1e6)
            table.put(name, kind, '%.1f (%5.2f)' % (rate, exits / packets))
        begin = time.monotonic()
        before = place.exits(guest.process)
        guest.shell('ping -A -q -c %d 10.0.2.2 >/dev/null' % PINGS, 300)
        table.put(PINGS_ROW, kind, '%.1f (%5.2f)' % (
            PINGS / (time.monotonic() - begin),
            (place.exits(guest.process) - before) / PINGS / 2))

    for kind in table.columns:
        with table.column(kind):
            guest = Guest(place, kind, NULL_DISK, False, place.disk(tools))
            try:
                measure(kind, guest)
            finally:
                guest.close()
    return table.show()


def bench_kvm(place_for, out):
    tools = paths.asset('debian-12-bench.ext4')
    directory = host_iperf(tools)
    files = [os.path.join(directory, f) for f in sorted(os.listdir(directory))]
    place = place_for('kvm', disk=tools, files=files)
    try:
        ok = bench_kvm_disk(place, out, tools)
        return bench_kvm_net(place, out, tools, files) and ok
    finally:
        place.close()


def main(place_for, filters):
    """FILTERs: exits, insns, disk, net, kvm; none: all"""
    out = bench.Output('bench-devices.txt')
    failed = False
    for name, function, place_of in (('insns', bench_instructions,
                                      lambda: Host('tcg')),
                                     ('disk', bench_disk, lambda: Host('tcg')),
                                     ('net', bench_net, lambda: Host('tcg')),
                                     ('exits', bench_exits,
                                      # A back end runs beside the vCPU
                                      lambda: place_for('kvm', cpus=2))):
        if filters and name not in filters:
            continue
        place = place_of()
        try:
            failed |= not function(place, out)
        except Exception as e:
            failed = True
            out('no figures for %s: %s' % (name, e))
        finally:
            place.close()
    if not filters or 'kvm' in filters:
        try:
            failed |= not bench_kvm(place_for, out)
        except Exception as e:
            failed = True
            out('no figures for kvm: %s' % e)
    return 1 if failed else 0
