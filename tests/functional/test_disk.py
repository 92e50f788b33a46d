# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks, as Debian's xen-blkfront uses them"""

import hashlib
import os
import time

from xenpv.testcase import LinuxTest, Timeout, guests, only, paths

MIB = 1 << 20


def content(length, seed):
    """Bytes that are the same for the same seed, and nowhere repeat"""
    block = 1 << 16
    return b''.join(hashlib.shake_128(b'%d-%d' % (seed, i)).digest(block)
                    for i in range(-(-length // block)))[:length]


class Disk(LinuxTest):
    label = 'disk'
    devices = True

    def make_image(self, name, size, seed=1):
        path = paths.result(self.log_name('.' + name))
        self.addCleanup(os.unlink, path)
        with open(path, 'wb') as f:
            f.write(content(size, seed))
        return path

    def wait_for(self, guest, condition, timeout=20):
        """Until a command succeeds"""
        self.check(guest, 'until %s; do usleep 50000; done' % condition,
                   timeout=timeout)

    @only('functional')
    def test_names(self):
        """A disk is not where its vdev name says, or a partition without its
        disk, a read-only disk or a CD-ROM is not what it should be"""
        images = [self.make_image('%d' % i, 64 * 1024, i) for i in range(8)]

        def drive(i, *options):
            return ['-drive', ','.join(('format=raw', 'file=' + images[i])
                                       + options)]

        def device(i, vdev, kind='xen-disk', *options):
            return (drive(i, 'if=none', 'id=d%d' % i, *options) +
                    ['-device', '%s,drive=d%d,vdev=%s' % (kind, i, vdev)])

        # if=xen takes the first name that is free: xvda, then xvdb
        guest = self.boot(*drive(0, 'if=xen'), *drive(1, 'if=xen'),
                          *device(2, 'xvdd1'), *device(3, 'sde2'),
                          *device(4, 'xvdf', 'xen-disk', 'readonly=on'),
                          *device(5, 'hdc', 'xen-cdrom'),
                          *device(6, 'xvdaa'), *device(7, 'xvdz3'))
        # As Linux maps them: all are xvd, whatever their old names were
        names = ['xvda', 'xvdb', 'xvdd1', 'xvde2', 'xvdf', 'xvdc', 'xvdaa',
                 'xvdz3']
        self.wait_for(guest, '[ $(ls /sys/block | grep -c xvd) = 8 ]')
        for i, name in enumerate(names):
            self.check(guest, 'md5sum < /dev/' + name,
                       hashlib.md5(content(64 * 1024, i)).hexdigest())
            self.check(guest, 'cat /sys/block/%s/ro' % name,
                       '^%d$' % (i in (4, 5)))
        status, output = guest.shell('echo > /dev/xvdf')
        self.assertNotEqual(status, 0, output)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        with open(images[4], 'rb') as f:
            self.assertEqual(f.read(), content(64 * 1024, 4))

    def transfer(self, guest, disk, image, megabytes):
        """Much written by the guest, seen by the host, and the other way"""
        size = megabytes * MIB
        # What is there is read, in requests of all sizes
        expected = hashlib.md5(content(size, 1)).hexdigest()
        for block in ('4k', '1M'):
            self.check(guest, 'echo 3 > /proc/sys/vm/drop_caches; '
                       'dd if=/dev/%s bs=%s iflag=direct 2>/dev/null | md5sum'
                       % (disk, block), expected, 60)
        # Backwards in the file, so that no block stays where it was
        self.check(guest, 'dd if=/dev/%s of=/tmp/data bs=1M 2>/dev/null'
                   % disk)
        self.check(guest, 'i=0; while [ $i -lt %d ]; do dd if=/tmp/data '
                   'of=/dev/%s bs=1M skip=$i seek=$((%d - i - 1)) count=1 '
                   'conv=notrunc 2>/dev/null || break; i=$((i + 1)); done; '
                   'sync; echo $i' % (megabytes, disk, megabytes),
                   '^%d$' % megabytes, 60)
        data = content(size, 1)
        reverse = b''.join(data[i:i + MIB]
                           for i in range(size - MIB, -1, -MIB))
        with open(image, 'rb') as f:
            self.assertEqual(hashlib.md5(f.read()).hexdigest(),
                             hashlib.md5(reverse).hexdigest())

    @only('functional')
    def test_medium(self):
        """A CD drive without a medium keeps QEMU from starting, or after a
        medium has gone in, or come out, the guest sees another one's data"""
        images = [self.make_image('cd%d' % i, 64 * 1024 << i, i)
                  for i in range(2)]
        guest = self.boot('-device', 'xen-cdrom,vdev=hdc,id=cd')
        for i in (0, 1, 0):
            path = images[i]
            for command, arguments in (
                    ('blockdev-add', {'driver': 'raw', 'node-name': 'n%d' % i,
                                      'read-only': True, 'file': {
                                          'driver': 'file', 'filename': path}}),
                    ('blockdev-insert-medium', {'id': 'cd',
                                                'node-name': 'n%d' % i})):
                guest.qmp.command(command, **arguments)
            self.wait_for(guest, '[ $(cat /sys/block/xvdc/size) = %d ]'
                          % (128 << i))
            with open(path, 'rb') as f:
                digest = hashlib.md5(f.read()).hexdigest()
            self.check(guest, 'md5sum < /dev/xvdc', digest)
            guest.qmp.command('blockdev-remove-medium', id='cd')
            guest.qmp.command('blockdev-del', **{'node-name': 'n%d' % i})
            self.wait_for(guest, '[ $(cat /sys/block/xvdc/size) = 0 ]')
            self.check(guest, 'head -c 1 /dev/xvdc | wc -c', '^0$')
        self.check(guest, 'dmesg | grep -E "BUG|WARNING" | head', '^$')

    def states(self, guest):
        """Of the only disk's back end and front end"""
        disk, = guest.qmp.command('qom-get', path='/machine',
                                  property='xenpv')['back-ends']
        return [disk['state'], disk['front-end-state']]

    @only('functional')
    def test_silent(self):
        """A disk that does not answer while the guest boots holds up QEMU, or
        more of the guest than it does under Xen, or for longer than it is
        silent"""
        image = self.make_image('raw', MIB)
        # The first request is done, the second's turn is in an hour
        guest = self.boot('-drive', 'if=none,id=d,format=raw,'
                          'throttling.bps-total=1,file=' + image, '-device',
                          'xen-disk,drive=d,vdev=xvda', wait=False)
        guest.expect(guests.INIT_MARKER, 90)
        # Connected without an answer from the disk: now Linux waits for its
        # partition table, and up to 300 s for that
        end = time.monotonic() + guest.limit(60)
        while self.states(guest) != ['Connected', 'Connected']:
            self.assertLess(time.monotonic(), end, self.states(guest))
            guest.pump(0.2)
        with self.assertRaises(Timeout):
            guest.console.expect('guest# ', 3)
        begin = time.monotonic()
        self.assertEqual(guest.qmp.command('query-status')['status'], 'running')
        self.assertEqual(self.states(guest), ['Connected', 'Connected'])
        self.assertLess(time.monotonic() - begin, guest.limit(1))
        guest.qmp.command('human-monitor-command', command_line=
                          'block_set_io_throttle d 0 0 0 0 0 0')
        guest.expect('guest# ', 60)
        with open(image, 'rb') as f:
            digest = hashlib.md5(f.read()).hexdigest()
        self.check(guest, 'md5sum < /dev/xvda', digest)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_transfer(self):
        """Data is lost or mixed up on its way to or from a disk; or requests
        no longer have indirect descriptors"""
        image = self.make_image('raw', 16 * MIB)
        guest = self.boot('-drive', 'if=xen,format=raw,discard=unmap,file='
                          + image)
        self.wait_for(guest, '[ -b /dev/xvda ]')
        # 32 of 4 KiB is what Linux asks for by itself, 11 are there anyway
        self.check(guest, 'cat /sys/block/xvda/queue/max_segments', '^32$')
        self.transfer(guest, 'xvda', image, 16)
        self.check(guest, 'blkdiscard -o 4194304 -l 8388608 /dev/xvda')
        self.check(guest, 'dd if=/dev/xvda bs=1M skip=4 count=8 2>/dev/null | '
                   'md5sum', hashlib.md5(bytes(8 * MIB)).hexdigest())
        self.assertLess(os.stat(image).st_blocks * 512, 10 * MIB)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_4k(self):
        """Linux cannot use a disk whose blocks are of 4 KiB, or takes it for
        one of another size; or does not hear of the physical blocks"""
        image = self.make_image('raw', 16 * MIB)
        guest = self.boot('-drive', 'if=none,id=d,format=raw,file=' + image,
                          '-device', 'xen-disk,drive=d,vdev=xvda,'
                          'logical_block_size=4096,physical_block_size=8192')
        self.wait_for(guest, '[ -b /dev/xvda ]')
        self.check(guest, 'cd /sys/block/xvda; cat size queue/logical_block_size '
                   'queue/physical_block_size | tr "\\n" " "; cd /',
                   '^32768 4096 8192 ')
        self.transfer(guest, 'xvda', image, 16)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_iothread(self):
        """The same in an IOThread, with a ring of several pages and two disks
        at once"""
        images = [self.make_image(n, 8 * MIB) for n in ('a', 'b')]
        options = ['-object', 'iothread,id=io']
        for i, image in enumerate(images):
            options += ['-drive', 'if=none,id=d%d,format=raw,file=%s'
                        % (i, image), '-device', 'xen-disk,drive=d%d,vdev=xvd'
                        '%s,iothread=io' % (i, 'ab'[i])]
        self.append = ('console=hvc0 loglevel=1 '
                       'xen_blkfront.max_ring_page_order=3')
        guest = self.boot(*options)
        self.wait_for(guest, '[ -b /dev/xvdb ]')
        self.check(guest, 'cat /sys/module/xen_blkfront/parameters/'
                   'max_ring_page_order', '^3$')
        guest.type('while :; do md5sum /dev/xvdb; '
                   'echo 3 > /proc/sys/vm/drop_caches; done > /tmp/sums 2>&1 '
                   '&\n')
        self.transfer(guest, 'xvda', images[0], 8)
        self.check(guest, 'kill $!; sort -u /tmp/sums | grep -v drop',
                   '^%s' % hashlib.md5(content(8 * MIB, 1)).hexdigest())
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')

    @only('functional')
    def test_persistent_grants(self):
        """With feature-persistent=on data is lost or mixed up, or grants are
        still mapped for each request; or they stay mapped without it"""
        images = [self.make_image(n, 8 * MIB) for n in ('a', 'b')]
        log = self.place.scratch(self.log_name('.trace'))
        self.addCleanup(os.unlink, log)
        self.append = ('console=hvc0 loglevel=1 '
                       'xen_blkfront.max_ring_page_order=3')
        # xvda and xvdb, which is as a disk is by itself
        guest = self.boot('-D', log, '-trace', 'xenpv_block_request',
                          '-trace', 'xenpv_block_grant_*',
                          '-trace', 'xenpv_gnttab_pin',
                          '-object', 'iothread,id=io',
                          '-global', 'xen-disk.iothread=io',
                          '-global', 'xen-disk.feature-persistent=on',
                          '-drive', 'if=xen,format=raw,file=' + images[0],
                          '-drive', 'if=none,id=b,format=raw,file=' + images[1],
                          '-device', 'xen-disk,drive=b,vdev=xvdb,'
                          'feature-persistent=off')
        self.wait_for(guest, '[ -b /dev/xvda -a -b /dev/xvdb ]')

        def counts():
            with open(log) as f:
                lines = f.read().splitlines()
            return (sum(int(line.split()[-1]) for line in lines
                        if line.startswith('xenpv_block_request ')),
                    *(sum(line.startswith(event + ' ') for line in lines)
                      for event in ('xenpv_block_grant_kept',
                                    'xenpv_block_grant_dropped',
                                    'xenpv_gnttab_pin')))

        start = counts()
        self.transfer(guest, 'xvda', images[0], 8)
        segments, kept, dropped, pins = (
            after - before for before, after in zip(start, counts()))
        # Three times all of it
        self.assertGreaterEqual(segments, 3 * 8 * MIB // 4096)
        self.assertGreater(counts()[1], 32)
        self.assertLess(kept, segments / 4)
        self.assertEqual(dropped, 0)
        self.assertLess(pins, segments / 4)
        # Linux has as many as it ever used at once: those of 1 MiB and its lists
        before = counts()
        for _ in range(4):
            self.check(guest, 'dd if=/dev/xvda of=/dev/null bs=1M iflag=direct')
        after = counts()
        self.assertGreaterEqual(after[0] - before[0], 4 * 8 * MIB // 4096)
        self.assertLessEqual(after[1] - before[1], MIB // 4096 + 8)
        self.assertEqual(after[2], before[2])
        self.assertLess(after[3] - before[3], MIB // 4096 + 64)

        start = after
        self.transfer(guest, 'xvdb', images[1], 8)
        segments, kept, dropped, pins = (
            after - before for before, after in zip(start, counts()))
        self.assertEqual((kept, dropped), (0, 0))
        self.assertGreaterEqual(pins, segments)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_other_abis(self):
        """With grants of version 2, or the 2-level event channels, which Linux
        uses when it is told to, data is lost or events are"""
        image = self.make_image('raw', 4 * MIB)
        self.append = ('console=hvc0 grant_table.version=2 xen.fifo_events=0')
        guest = self.boot('-drive', 'if=xen,format=raw,file=' + image,
                          '-smp', '2')
        self.check(guest, 'dmesg | grep -o "using version . layout"',
                   'version 2')
        self.check(guest, '! dmesg | grep "FIFO-based ABI"')
        self.wait_for(guest, '[ -b /dev/xvda ]')
        # A queue for each vCPU
        self.check(guest, 'ls /sys/block/xvda/mq | wc -l', '^2$')
        self.transfer(guest, 'xvda', image, 4)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_plug(self):
        """A disk cannot be added to or taken from a running guest"""
        image = self.make_image('raw', MIB)
        guest = self.boot('-object', 'iothread,id=io')
        for n in range(3):
            guest.qmp.command('blockdev-add', driver='raw', node_name='node',
                              file={'driver': 'file', 'filename': image})
            guest.qmp.command('device_add', driver='xen-disk', id='disk',
                              drive='node', vdev='xvdc',
                              **({'iothread': 'io'} if n == 1 else {}))
            self.wait_for(guest, '[ -b /dev/xvdc ]')
            self.check(guest, 'md5sum < /dev/xvdc',
                       hashlib.md5(content(MIB, 1)).hexdigest())
            guest.qmp.command('device_del', id='disk')
            guest.wait_event('DEVICE_DELETED', 20)
            self.wait_for(guest, '[ ! -b /dev/xvdc ]')
            guest.qmp.command('blockdev-del', node_name='node')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_errors(self):
        """A guest does not hear of its disk's errors, or rerror=stop and
        werror=stop do not let an administrator mend the disk"""
        image = self.make_image('raw', MIB)

        def blkdebug(name, once):
            return ['-blockdev', 'driver=file,filename=%s,node-name=f%s'
                    % (image, name), '-blockdev',
                    'driver=blkdebug,image=f%s,node-name=%s,'
                    'inject-error.0.event=none,inject-error.0.iotype=read,'
                    'inject-error.0.sector=512,inject-error.0.once=%s,'
                    'inject-error.1.event=none,inject-error.1.iotype=write,'
                    'inject-error.1.sector=1024,inject-error.1.once=%s'
                    % (name, name, once, once)]

        # Linux reads xvdb's partition table, but not where the errors are
        guest = self.boot(*blkdebug('a', 'off'), *blkdebug('b', 'on'),
                          '-device', 'xen-disk,drive=a,vdev=xvda,'
                          'rerror=report,werror=report,share-rw=on',
                          '-device', 'xen-disk,drive=b,vdev=xvdb,'
                          'rerror=stop,werror=stop,share-rw=on')
        self.wait_for(guest, '[ -b /dev/xvdb ]')
        read = 'dd if=/dev/%s of=/dev/null bs=4k skip=64 count=1 iflag=direct'
        write = ('dd if=/dev/zero of=/dev/%s bs=4k seek=128 count=1 '
                 'oflag=direct')
        for command in (read, write):
            status, output = guest.shell(command % 'xvda')
            self.assertNotEqual(status, 0, output)
            self.assertIn('Input/output error', output)
            self.check(guest, 'dd if=/dev/xvda of=/dev/null bs=4k count=1 '
                       'iflag=direct')
        for command in (read, write):
            self.stop_and_go(guest, command % 'xvdb')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def stop_and_go(self, guest, command):
        """One that fails and stops the machine, and then works"""
        guest.type(command + ' && echo @GO@ | tr G g\n')
        guest.wait_event('STOP', 20)
        self.assertEqual(guest.qmp.command('query-status')['status'],
                         'io-error')
        guest.qmp.command('cont')
        guest.expect('@gO@', 20)

    @only('functional')
    def test_drive_errors(self):
        """-drive if=xen does not take rerror= and werror=, or does not do what
        they say"""
        error = 'file.inject-error.%d.'
        guest = self.boot('-drive', ','.join(
            ['if=xen,format=raw,rerror=stop,werror=stop,file.driver=blkdebug',
             'file.image.filename=' + self.make_image('raw', MIB)] +
            [(error + 'event=none,' + error + 'once=on,' +
              error + 'iotype=%s,' + error + 'sector=%d')
             % (i, i, i, iotype, i, sector)
             for i, (iotype, sector) in enumerate((('read', 512),
                                                   ('write', 1024)))]))
        self.wait_for(guest, '[ -b /dev/xvda ]')
        self.stop_and_go(guest, 'dd if=/dev/xvda of=/dev/null bs=4k skip=64 '
                         'count=1 iflag=direct')
        self.stop_and_go(guest, 'dd if=/dev/zero of=/dev/xvda bs=4k seek=128 '
                         'count=1 oflag=direct')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('kvm')
    def test_kvm(self):
        """Data is lost or mixed up on its way under a real KVM, with grants used
        in place or with persistent ones"""
        options = ['-object', 'iothread,id=io', '-snapshot']
        for disk, persistent in ('xvda', 'off'), ('xvdb', 'on'):
            options += ['-drive', 'if=none,id=%s,format=raw,file=%s'
                        % (disk, self.place.file(paths.asset('busybox'))),
                        '-device', 'xen-disk,drive=%s,vdev=%s,iothread=io,'
                        'feature-persistent=%s' % (disk, disk, persistent)]
        guest = self.boot(*options)
        for disk, persistent in ('xvda', 'disabled'), ('xvdb', 'enabled'):
            self.wait_for(guest, '[ -b /dev/%s ]' % disk)
            self.check(guest, 'dmesg | grep "%s: .*persistent grants: %s"'
                       % (disk, persistent), disk)
            # QEMU fills up the last sector
            self.check(guest, 'md5sum < /bin/busybox > /tmp/a; '
                       'head -c $(wc -c < /bin/busybox) /dev/%s | md5sum '
                       '> /tmp/b; cmp /tmp/a /tmp/b' % disk)
            self.check(guest, 'dd if=/dev/urandom of=/tmp/r bs=1M count=1 '
                       '2>/dev/null; dd if=/tmp/r of=/dev/%s bs=4k '
                       'oflag=direct 2>/dev/null; '
                       'echo 3 > /proc/sys/vm/drop_caches; '
                       'head -c 1048576 /dev/%s | cmp - /tmp/r' % (disk, disk))
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('kvm')
    def test_poll(self):
        """A vCPU that waits for a disk halts, which is a VM exit, each time,
        though poll-max-ns allows it to look for the answer"""
        halts = []
        for poll in (0, 500 * 1000 * 1000):
            guest = self.boot('-machine', 'poll-max-ns=%d' % poll, '-drive',
                              'if=xen,driver=null-co,read-zeroes=on,size=16M,'
                              'latency-ns=3000000')
            self.wait_for(guest, '[ -b /dev/xvda ]')
            before = self.place.exits(guest, 'halt_exits')
            self.check(guest, 'dd if=/dev/xvda of=/dev/null bs=4k count=400 '
                       'iflag=direct 2>/dev/null')
            halts.append(self.place.exits(guest, 'halt_exits') - before)
            guest.qmp.command('quit')
            self.assert_status(guest, 0)
        # Not all: when the vCPU itself has to wait, the answer is there already
        self.assertGreater(halts[0], 200)
        self.assertLess(halts[1], halts[0] / 2)
