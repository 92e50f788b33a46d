# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 12 with systemd, from a disk"""

import os
import re
import subprocess

from xenpv.testcase import LinuxTest, guests, only, paths

# Figures of more than what is good for a test that everybody runs
MEGABYTES = int(os.environ.get('XENPV_DEBIAN_MB', '48'))


class Debian(LinuxTest):
    label = 'debian'
    memory = '512M'
    devices = True
    append = 'console=hvc0 test=switch_root root=/dev/xvda '

    def image(self, name):
        """A copy of Debian's image, which is removed at the end"""
        path = paths.result(self.log_name(name))
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        return path

    def use(self, guest, megabytes):
        """Write, reboot, read, power off"""
        limit = 60 + megabytes
        self.log_in_debian(guest)
        self.check(guest, 'cat /etc/debian_version', r'^12\.')
        self.check(guest, 'systemctl is-system-running --wait', 'running', 60)
        self.check(guest, 'findmnt -no SOURCE,FSTYPE,OPTIONS /',
                   r'^/dev/xvda +ext4 +rw')
        self.check(guest, 'dd if=/dev/urandom of=/data bs=1M count=%d '
                   'status=none && sync' % megabytes, timeout=limit)
        digest = self.check(guest, 'sha256sum < /data', timeout=limit)
        guest.type('systemctl reboot\n')
        self.assertTrue(guest.wait_event('RESET', 120)['guest'])
        self.log_in_debian(guest)
        self.check(guest, 'sha256sum < /data', '^%s$' % re.escape(digest),
                   limit)
        self.check(guest, 'dmesg -l err,crit,alert,emerg | '
                   'grep -E "xvd|EXT4|blk" | head', '^$')
        guest.type('systemctl poweroff\n')
        self.assertTrue(guest.wait_event('SHUTDOWN', 120)['guest'])
        self.assert_status(guest, 0)

    def fsck(self, path):
        result = subprocess.run(['fsck.ext4', '-fn', path],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout.decode())

    @only('functional')
    def test_raw(self):
        """Debian 12 no longer boots to a login from a raw image, or what it
        has written is not there after a reboot, or its filesystem is broken"""
        path = self.image('.raw')
        subprocess.run(['cp', '--sparse=always', guests.debian(), path],
                       check=True)
        guest = self.boot('-drive', 'if=xen,format=raw,file=' + path,
                          wait=False)
        self.use(guest, MEGABYTES)
        self.assertEqual(guest.stderr(), '')
        self.fsck(path)

    @only('functional')
    def test_qcow2(self):
        """The same from a qcow2 image, in an IOThread"""
        path = self.image('.qcow2')
        qemu_img = paths.need(os.path.join(paths.BUILD, 'qemu-img'), 'make')
        subprocess.run([qemu_img, 'create', '-q', '-f', 'qcow2', '-F', 'raw',
                        '-b', guests.debian(), path], check=True)
        guest = self.boot('-object', 'iothread,id=io', '-drive',
                          'if=none,id=disk,format=qcow2,discard=unmap,file='
                          + path, '-device', 'xen-disk,drive=disk,vdev=xvda,'
                          'iothread=io', wait=False)
        self.use(guest, MEGABYTES)
        self.assertEqual(guest.stderr(), '')
        raw = self.image('.converted')
        subprocess.run([qemu_img, 'convert', '-O', 'raw', path, raw],
                       check=True)
        self.fsck(raw)

    @only('kvm')
    def test_kvm(self):
        """Under a real KVM Debian 12 does not boot to a login, or what it has
        written is not there after a reboot, or its filesystem is broken"""
        guest = self.boot('-snapshot', '-drive', 'if=xen,format=raw,file='
                          + self.place.disk(guests.debian()), wait=False)
        self.log_in_debian(guest)
        self.check(guest, 'dd if=/dev/urandom of=/data bs=1M count=16 '
                   'status=none && sync', timeout=60)
        digest = self.check(guest, 'sha256sum < /data')
        guest.type('systemctl reboot\n')
        self.assertTrue(guest.wait_event('RESET', 60)['guest'])
        self.log_in_debian(guest)
        self.check(guest, 'sha256sum < /data', '^%s$' % re.escape(digest))
        # Nothing of the snapshot is left when QEMU ends, so fsck is here: of
        # what is read-only by force
        self.check(guest, 'sync; echo u > /proc/sysrq-trigger; '
                   'until grep -q "^/dev/[^ ]* / ext4 ro" /proc/mounts; do '
                   'sleep 0.1; done; echo 3 > /proc/sys/vm/drop_caches')
        self.check(guest, 'e2fsck -fn /dev/xvda', timeout=60)
        guest.type('poweroff -ff\n')
        self.assertTrue(guest.wait_event('SHUTDOWN', 60)['guest'])
        self.assert_status(guest, 0)
