# SPDX-License-Identifier: GPL-2.0-or-later
"""All devices in use at once, under a QEMU whose every access is looked at"""

import os
import shutil
import tempfile
import threading

from xenpv.screen import Vnc
from xenpv.testcase import Gone, Timeout, paths
from test_network import MAC, NetworkTest

MEGABYTES = 16
# What is written is another each time, and read back around the cache; the
# picture is noise, and text that scrolls
WORK = r'''
cat > /tmp/disks.sh <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    for disk in xvda xvdb; do
        head -c 3000000 /dev/urandom > /tmp/part
        sum=$(md5sum < /tmp/part)
        dd if=/tmp/part of=/dev/$disk bs=256k conv=fsync 2>/dev/null
        echo 3 > /proc/sys/vm/drop_caches
        back=$(head -c 3000000 /dev/$disk | md5sum)
        [ "$sum" = "$back" ] || echo "$disk, $n: $sum $back" >> /tmp/wrong
    done
    n=$((n + 1))
    echo $n > /tmp/rounds
done
touch /tmp/done
END
cat > /tmp/picture.sh <<'END'
while [ ! -e /tmp/stop ]; do
    dd if=/dev/urandom of=/dev/fb0 bs=64k count=8 2>/dev/null
    seq 1 100 > /dev/tty1
done
END
(sh /tmp/disks.sh & sh /tmp/picture.sh &) > /dev/null 2>&1
'''


class Load(NetworkTest):
    label = 'load'
    parts = ('sanitized-functional',)
    append = 'console=tty0 console=hvc0 loglevel=1 consoleblank=0'

    def image(self, letter):
        path = paths.result(self.log_name('.' + letter))
        with open(path, 'wb') as f:
            f.truncate(16 << 20)
        self.addCleanup(os.unlink, path)
        return path

    def watch(self, path):
        """Somebody looks at the screen all the time; .pictures counts"""
        vnc = Vnc(path, 600)
        self.pictures = 0
        self.watching = True

        def run():
            while self.watching:
                try:
                    vnc.picture()
                except (Gone, Timeout):         # the test sees for itself
                    return
                self.pictures += 1
        thread = threading.Thread(target=run)
        thread.start()

        def stop():
            self.watching = False
            thread.join()
            vnc.close()
        self.addCleanup(stop)

    def start_work(self, guest):
        self.check(guest, 'until [ -b /dev/xvda -a -b /dev/xvdb ]; '
                   'do usleep 50000; done; [ -e /dev/fb0 ]')
        for line in WORK.strip().splitlines():
            guest.type(line + '\n')

    def wait_rounds(self, guest, rounds):
        self.check(guest, 'until [ -s /tmp/rounds ] && [ $(cat /tmp/rounds) -ge '
                   '%d ]; do usleep 100000; done' % rounds, timeout=120)

    def plug(self, guest):
        """A disk that comes and goes, with something in its ring"""
        guest.qmp.command('device_add', driver='xen-disk', id='extra',
                          drive='c', vdev='xvdc')
        self.check(guest, 'until [ -b /dev/xvdc ]; do usleep 50000; done; '
                   '(dd if=/dev/xvdc of=/dev/null bs=64k 2>/dev/null &)')
        guest.qmp.command('device_del', id='extra')
        guest.wait_event('DEVICE_DELETED', 60)

    def test_all(self):
        """Disks, network, framebuffer and console at the same time: data is
        lost, or QEMU does what only a sanitizer sees"""
        directory = tempfile.mkdtemp()      # a socket's path must be short
        self.addCleanup(shutil.rmtree, directory)
        ports = self.start_peer('127.0.0.1')
        guest = self.start(
            *self.linux_options(), '-smp', '2', '-object', 'iothread,id=io',
            '-drive', 'if=none,id=a,format=raw,file=' + self.image('a'),
            '-device', 'xen-disk,drive=a,vdev=xvda,iothread=io',
            '-drive', 'if=none,id=b,format=raw,file=' + self.image('b'),
            '-device', 'xen-disk,drive=b,vdev=xvdb',
            '-blockdev', 'null-co,node-name=c,size=16777216,read-zeroes=on',
            '-netdev', 'user,id=n', '-device',
            'xen-net-device,netdev=n,mac=' + MAC,
            '-display', 'vnc=unix:' + directory + '/vnc',
            machine='xenpv-kvm,vfb=on')
        self.wait_for_shell(guest)
        self.watch(directory + '/vnc')
        self.wait_for_eth0(guest)
        self.check(guest, 'ip link set eth0 up; udhcpc -q -f -i eth0',
                   r'lease of 10\.0\.2\.15 obtained')
        self.start_work(guest)
        self.wait_rounds(guest, 1)
        self.transfer(guest, '10.0.2.2', ports, MEGABYTES)
        for _ in range(3):
            self.plug(guest)
            guest.qmp.command('stop')
            guest.qmp.command('cont')
        self.wait_rounds(guest, 3)
        self.check(guest, 'touch /tmp/stop; until [ -e /tmp/done ]; do usleep '
                   '50000; done; cat /tmp/wrong 2>/dev/null; true', r'^$', 120)
        self.check(guest, 'dmesg | grep -E "BUG|Oops|I/O error, dev xvd[ab]" | '
                   'head -n 3', r'^$')
        self.assertGreater(self.pictures, 3)
        # Once more, up to a reset at which all rings are in use
        self.check(guest, 'rm -f /tmp/stop /tmp/done /tmp/rounds')
        self.start_work(guest)
        self.wait_rounds(guest, 1)
        guest.qmp.command('system_reset')
        guest.wait_event('RESET')
        self.wait_for_shell(guest)
        self.assertGreater(self.pictures, 6)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        # All that it says is about itself
        self.assertNotRegex(guest.stderr(), 'ERROR: |runtime error|SUMMARY: ')
