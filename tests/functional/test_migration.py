# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving, loading and migrating a guest that takes no part in it"""

import os
import subprocess
import time

from xenpv.testcase import LinuxTest, paths

MIB = 1 << 20
# What runs in the guest meanwhile: a file is written, read back around the
# cache, and compared, and a clock is watched, until /tmp/stop is there
LOAD = r'''
cat > /tmp/load.sh <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    head -c 3000000 /dev/urandom > /tmp/data
    sum=$(md5sum < /tmp/data)
    dd if=/tmp/data of=/dev/xvda bs=1M conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    back=$(head -c 3000000 /dev/xvda | md5sum)
    [ "$sum" = "$back" ] || echo "$n: $sum $back" >> /tmp/wrong
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
done
END
sh /tmp/load.sh > /dev/null 2>&1 & sh /tmp/clock.sh > /dev/null 2>&1 &
'''


class Migration(LinuxTest):
    label = 'migration'
    # Its files are this machine's. Under KVM libvirt's verbs save and restore.
    parts = ('functional',)
    devices = True
    vcpus = 2

    def options(self, *more, image_format='raw'):
        return ['-smp', str(self.vcpus),
                '-drive', 'if=none,id=d,format=%s,file=%s'
                % (image_format, self.image),
                '-device', 'xen-disk,drive=d,vdev=xvda,id=disk',
                '-netdev', 'user,id=n', '-device',
                'xen-net-device,netdev=n,mac=52:54:00:12:34:99',
                *more]

    def make_image(self, image_format='raw'):
        self.image = paths.result(self.log_name('.' + image_format))
        self.addCleanup(os.unlink, self.image)
        subprocess.run([paths.need(os.path.join(paths.BUILD, 'qemu-img'), 'make'), 'create', '-q', '-f', image_format,
                        self.image, '16M'], check=True)

    def boot_busy(self, *more, **kwargs):
        guest = self.boot(*self.options(*more, **kwargs))
        self.check(guest, 'dmesg -n 1; until [ -b /dev/xvda ]; do usleep 50000;'
                   ' done; ifconfig eth0 up; udhcpc -n -q -i eth0 > /dev/null 2>&1')
        for line in LOAD.strip().splitlines():
            guest.type(line + '\n')
        self.check(guest, 'until [ -s /tmp/rounds ]; do usleep 50000; done',
                   timeout=60)
        return guest

    def target(self, uri, *more, **kwargs):
        process = self.start(*self.linux_options(),
                             *self.options('-incoming', uri, *more, **kwargs))
        # It answers when it listens
        process.qmp.command('query-status')
        return process

    def migrated(self, guest, timeout=120):
        """Wait for its end; returns what query-migrate says then"""
        end = time.monotonic() + guest.limit(timeout)
        while True:
            info = guest.qmp.command('query-migrate')
            if info.get('status') in ('completed', 'failed', 'cancelled'):
                return info
            self.assertLess(time.monotonic(), end, info)
            time.sleep(0.1)

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

    def all_is_well(self, guest):
        """Disk, network, clock, other vCPUs and the log, after it has moved"""
        self.check(guest, 'n=$(cat /tmp/rounds); until [ $(cat /tmp/rounds) -gt '
                   '$((n + 1)) ]; do usleep 50000; done', timeout=120)
        self.check(guest, 'touch /tmp/stop; until [ -e /tmp/done ]; do '
                   'usleep 50000; done; cat /tmp/wrong 2>/dev/null; rm -f '
                   '/tmp/stop /tmp/done; true', r'^$', timeout=120)
        self.check(guest, 'nproc', '^%d$' % self.vcpus)
        self.check(guest, 'ping -c 3 -w 20 10.0.2.2 > /dev/null', timeout=40)
        self.check(guest, 'dmesg | grep -E "BUG|WARNING|Oops|lockup|'
                   'rcu.*stall|I/O error|Call Trace" | head -n 3', r'^$')

    def restart_load(self, guest):
        self.check(guest, 'rm -f /tmp/rounds; '
                   '(sh /tmp/load.sh & sh /tmp/clock.sh &) > /dev/null 2>&1')
        self.check(guest, 'until [ -s /tmp/rounds ]; do usleep 50000; done',
                   timeout=60)

    def test_file(self):
        """A guest that is saved to a file and loaded from it has lost its
        disk, network, clock, console or a vCPU"""
        self.make_image()
        guest = self.boot_busy()
        path = paths.result(self.log_name('.state'))
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        self.migrate(guest, 'file:' + path)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        guest = self.target('file:' + path)
        self.wait_running(guest)
        self.all_is_well(guest)
        # It is a machine like any other: a reset builds the domain anew
        guest.qmp.command('system_reset')
        self.wait_for_shell(guest)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_live(self):
        """A busy guest that migrates, there and back, loses a write of QEMU's
        to its memory, or an event on its way"""
        self.make_image()
        guest = self.boot_busy()
        for i in range(4):
            path = paths.result(self.log_name('.sock%d' % i))
            other = self.target('unix:' + path)
            self.migrate(guest, 'unix:' + path)
            self.wait_running(other)
            guest.qmp.command('quit')
            self.assert_status(guest, 0)
            guest = other
            self.all_is_well(guest)
            self.restart_load(guest)

    def test_memory(self):
        """Somebody writes the guest's memory and does not say so: after several
        passes the target's memory is not the source's"""
        self.make_image()
        guest = self.boot_busy()
        path = paths.result(self.log_name('.sock'))
        other = self.target('unix:' + path, '-S')
        # Slow enough for several passes
        guest.qmp.command('migrate-set-parameters', **{
            'max-bandwidth': 40 * MIB, 'downtime-limit': 1000})
        info = self.migrate(guest, 'unix:' + path)
        self.assertGreater(info['ram']['dirty-sync-count'], 1, info)
        files = []
        for i, process in enumerate((guest, other)):
            memory = paths.result(self.log_name('.memory%d' % i))
            self.addCleanup(os.unlink, memory)
            process.qmp.command('pmemsave', val=0, size=256 * MIB,
                                filename=memory)
            files.append(open(memory, 'rb'))
            self.addCleanup(files[i].close)
        wrong = [n for n in range(256 * MIB >> 12)
                 if files[0].read(4096) != files[1].read(4096)]
        self.assertEqual(wrong, [], 'frames')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        other.qmp.command('cont')
        self.all_is_well(other)

    def test_snapshots(self):
        """A snapshot in a qcow2 image does not bring back memory and disk of
        when it was taken, with the machine as it was"""
        self.make_image('qcow2')
        guest = self.boot_busy(image_format='qcow2')

        def hmp(line):
            answer = guest.qmp.command('human-monitor-command', 300,
                                       **{'command-line': line})
            self.assertEqual(answer.strip(), '', line)
        self.check(guest, 'echo one > /tmp/word')
        for _ in range(3):
            hmp('savevm a')
            self.check(guest, 'echo two > /tmp/word')
            hmp('loadvm a')
            self.check(guest, 'cat /tmp/word', '^one$')
            self.all_is_well(guest)
            self.restart_load(guest)

    def test_refused(self):
        """A machine that is not what the domain was made for takes it, or the
        source does not go on after that"""
        self.make_image()
        guest = self.boot_busy()
        # Else QEMU's source does not wait for what the target says at its end
        guest.qmp.command('migrate-set-capabilities', capabilities=[
            {'capability': 'return-path', 'state': True}])
        for more, wrong in (
                (['-smp', '3'], '-smp differs'),
                (['-M', 'xenpv-kvm,xen-version=4.2'], 'xen-version'),
                (['-netdev', 'user,id=m', '-device',
                  'xen-net-device,netdev=m'], 'no device')):
            path = paths.result(self.log_name('.sock'))
            if os.path.exists(path):
                os.unlink(path)
            other = self.target('unix:' + path, *more)
            guest.qmp.command('migrate', uri='unix:' + path)
            other.wait(60)
            self.assertNotEqual(other.status, 0)
            self.assertIn(wrong, other.stderr())
            info = self.migrated(guest)
            self.assertEqual(info['status'], 'failed', info)
            self.wait_running(guest)
        self.all_is_well(guest)
