# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guests which the tests boot.

linux('6.1'), linux('6.12')   Debian's kernels, 64-bit
linux32(), initrd32()         Ubuntu's, 32-bit, and busybox for it
grub('i386'), grub('x86_64')  Debian's PV GRUBs
linux_initramfs()             busybox and a shell on the console
device_initramfs('6.1')       and modules for disks and networks, loaded
debian()                      Debian 12 itself, an image of an ext4 filesystem
own()                         our own tiny kernels, from tests/guest
"""

import glob
import os
import re
import subprocess

from . import paths
from .cpio import Cpio

# What /init prints before anything else: the end of "start to init"
INIT_MARKER = 'xenpv-test: this is init'

INIT = '''#!/bin/sh
echo "%s"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
export PS1='guest# '
for m in $(cat /modules/order 2>/dev/null); do
    # As modprobe does, which needs more around it than there is here
    name=$(echo $m | tr - _)
    options=
    for word in $(cat /proc/cmdline); do
        case $word in "$name".*) options="$options ${word#*.}" ;; esac
    done
    insmod /modules/$m.ko $options 2>/dev/null
done
read -r first rest < /proc/cmdline
case " $first $rest " in
*" test=poweroff "*) poweroff -f ;;
*" test=switch_root "*)
    # What stands behind root= is mounted, and goes on by itself
    root=${rest#*root=}
    root=${root%% *}
    until [ -b "$root" ]; do
        usleep 20000
    done
    mount -t ext4 -o ro "$root" /mnt
    mount --move /dev /mnt/dev
    umount /proc /sys
    exec switch_root /mnt /sbin/init
    ;;
esac
# A controlling terminal, for ^C. A shell that ends is followed by another,
# because init must not end.
while :; do
    setsid cttyhack sh
done
''' % INIT_MARKER


def linux(series):
    return paths.asset('vmlinuz-%s-amd64' % series)


def linux32():
    return paths.need(paths.LINUX32, 'scripts/assets linux-i386')


def initrd32():
    return paths.need(paths.INITRD32, 'scripts/assets linux-i386')


def grub(arch):
    return paths.asset('grub-%s-xen.bin' % arch)


def busybox(arch='x86_64'):
    if arch == 'i386':
        return paths.asset('sshd-i386/bin/busybox', 'sshd-i386')
    return paths.asset('busybox')


def sshd(arch='x86_64'):
    """A directory with dropbear and its libraries, as a guest has them"""
    name = 'sshd-' + {'i386': 'i386', 'x86_64': 'amd64'}[arch]
    return paths.asset(name, name.replace('-amd64', ''))


def add_busybox(archive, arch='x86_64'):
    """busybox and a link for each of its applets"""
    program = busybox(arch)
    applets = subprocess.run([program, '--list'], stdout=subprocess.PIPE,
                             check=True).stdout.decode().split()
    archive.copy('bin/busybox', program)
    for applet in applets:
        if applet != 'busybox':
            archive.symlink('bin/' + applet, 'busybox')


# In the order in which they can be loaded. What is not there is built in, or
# is not needed by that kernel.
MODULES = ('xen-blkfront', 'xen-netfront',
           'virtio_ring', 'virtio', 'virtio_pci_modern_dev',
           'virtio_pci_legacy_dev', 'virtio_pci', 'virtio_mmio', 'virtio_blk',
           'failover', 'net_failover', 'virtio_net',
           'crc16', 'mbcache', 'jbd2', 'libcrc32c', 'crc32c_generic', 'ext4')

# What udhcpc calls with what it was told
DHCP_SCRIPT = '''#!/bin/sh
case $1 in
bound|renew)
    ifconfig $interface $ip netmask $subnet
    [ -z "$router" ] || route add default gw ${router%% *}
    ;;
esac
'''


def _initramfs(name, series=None):
    path = paths.result('functional/%s.cpio' % name)
    with Cpio(path) as archive:
        add_busybox(archive)
        for directory in ('proc', 'sys', 'tmp', 'root', 'mnt'):
            archive.mkdir(directory)
        archive.device('dev/console', 5, 1)
        archive.file('init', INIT, 0o755)
        if series:
            directory = paths.asset('modules-' + series)
            there = [m for m in MODULES
                     if os.path.exists(os.path.join(directory, m + '.ko'))]
            for m in there:
                archive.copy('modules/%s.ko' % m,
                             os.path.join(directory, m + '.ko'))
            archive.file('modules/order', '\n'.join(there), 0o644)
            archive.file('etc/udhcpc/default.script', DHCP_SCRIPT, 0o755)
    return path


def linux_initramfs():
    return _initramfs('initramfs')


def device_initramfs(series):
    return _initramfs('devices-' + series, series)


def debian():
    return paths.asset('debian-12.ext4')


def own():
    """Our own kernels: a list of (name, arch, path)"""
    found = []
    for path in sorted(glob.glob(os.path.join(paths.GUESTS, '*'))):
        match = re.fullmatch(r'(.+)-(i386|x86_64)', os.path.basename(path))
        # Not one that was built before its test was deleted
        if match and os.path.exists(os.path.join(paths.TOP, 'tests/guest',
                                                 match.group(1), 'main.c')):
            found.append((match.group(1), match.group(2), path))
    return found


def _wish_of(name, wish):
    """What a test of tests/guest says in its opening comment, or None"""
    with open(os.path.join(paths.TOP, 'tests/guest', name, 'main.c')) as f:
        match = re.search(r'^ \* %s: (.*)$' % wish, f.read(), re.M)
    return match.group(1) if match else None


def vcpus_of(name):
    """How many a test of tests/guest wants"""
    return _wish_of(name, 'vCPUs') or '1'


def memory_of(name):
    """What it wants -m to say"""
    return _wish_of(name, 'memory') or '128M'


def orders_of(name):
    """What QEMU's monitor is to be told while it runs, over and over"""
    return [order.strip() for order in
            (_wish_of(name, 'monitor') or '').split(';') if order]


def options_of(name):
    """The QEMU options for the CPU and the machine that it wants under KVM"""
    cpu, machine = _wish_of(name, 'CPU'), _wish_of(name, 'machine')
    return ((['-cpu', 'max,arch-capabilities=off,' + cpu] if cpu else []) +
            (['-machine', machine] if machine else []))
