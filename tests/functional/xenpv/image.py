# SPDX-License-Identifier: GPL-2.0-or-later
"""
Makes disk images for guests: a small Linux that can be logged in to.

It stands in for distributions which Debian's packages do not carry: a kernel
of Debian's, an initramfs with the front ends and the file system, and on the
disk busybox as init, getty, login and shell. User root, password "guest".
"""

import os
import shutil
import struct
import subprocess
import zlib

from . import guests, paths
from .cpio import Cpio

SECTOR = 512
FIRST = 2048                # the first partition's first sector
PASSWORD = 'guest'
# What "openssl passwd -6 -salt xenpv guest" gives
SHADOW = ('root:$6$xenpv$/JSbATQXMY8GnTaX6WaMfrgRfC/hPWxhesNHd9AM8'
          'Q0RiB5/TDshYn.yVUy8CMjfnnn0UkTWpdq4CPbgnwmCZ0'
          ':14000:0:99999:7:::\n')

INITRAMFS_INIT = '''#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
for m in crc16 mbcache crc32c_generic jbd2 ext4 xen-blkfront xen-netfront; do
    [ ! -e /m/$m.ko ] || insmod /m/$m.ko
done
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    rw) mode=rw ;;
    [1-5]) level=$word ;;
    esac
done
n=0
until [ -b "$root" ]; do
    n=$((n + 1))
    [ $n -lt 100 ] || exec sh
    sleep 0.1
done
mount -t ext4 -o ${mode:-ro} $root /new || exec sh
mount --move /dev /new/dev
umount /proc
exec switch_root /new /sbin/init $level
'''

INITTAB = '''::sysinit:/etc/rc
@TTY@::respawn:/sbin/getty -L 0 @TTY@ vt100
'''

RC = '''#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -o remount,rw /
hostname standin
'''

APPLETS = ('init', 'getty', 'login', 'sh', 'mount', 'umount', 'cat', 'echo',
           'ip', 'ping', 'poweroff', 'reboot', 'halt', 'sync', 'hostname',
           'ls', 'md5sum', 'dd', 'sleep', 'test', 'uname', 'grep', 'chmod',
           'chown')


def initramfs(series='6.1', front_end=True, arch='x86_64'):
    """
    An initramfs that mounts root= and goes on to its /sbin/init. SERIES None: a
    kernel with all of that in itself.
    """
    path = paths.result('functional/standin%s-%s.cpio'
                        % ('' if front_end else '-without', series or arch))
    with Cpio(path) as archive:
        guests.add_busybox(archive, arch)
        for directory in ('proc', 'sys', 'new', 'dev'):
            archive.mkdir(directory)
        archive.device('dev/console', 5, 1)
        for module in ('crc16', 'mbcache', 'crc32c_generic', 'jbd2', 'ext4',
                       'xen-blkfront', 'xen-netfront') if series else ():
            if front_end or not module.startswith('xen-'):
                archive.copy('m/%s.ko' % module,
                             paths.asset('modules-%s/%s.ko'
                                         % (series, module)))
        archive.file('init', INITRAMFS_INIT, 0o755)
    return path


class Tree:
    """A directory that becomes a file system"""

    def __init__(self, name):
        self.path = paths.result('functional/%s.tree' % name)
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)

    def file(self, name, data, mode=0o644):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data.encode() if isinstance(data, str) else data)
        os.chmod(path, mode)

    def copy(self, name, source, mode=0o644):
        with open(source, 'rb') as f:
            self.file(name, f.read(), mode)

    def file_system(self, size_mib, kind='ext3', features=()):
        """Make the file system; returns the path of its image"""
        out = self.path[:-len('.tree')] + '.fs'
        if os.path.exists(out):
            os.unlink(out)
        command = [shutil.which('mke2fs') or '/sbin/mke2fs', '-q', '-F', '-t',
                   kind, '-d', self.path, '-E', 'root_owner=0:0']
        command += features
        subprocess.run(command + [out, '%dM' % size_mib], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.path)
        return out

    def disk(self, size_mib, kind='ext3'):
        """Likewise, as the only partition of a disk"""
        fs = self.file_system(size_mib, kind)
        out = fs[:-len('.fs')] + '.img'
        with open(out, 'wb') as f:
            f.write(mbr([(FIRST, os.path.getsize(fs) // SECTOR)]))
            f.truncate(FIRST * SECTOR + os.path.getsize(fs))
            f.seek(FIRST * SECTOR)
            with open(fs, 'rb') as source:
                copy_sparse(source, f)
        os.unlink(fs)
        return out


def copy_sparse(source, f, size=None):
    """What is there of SOURCE, or SIZE bytes, to F, with its holes left out"""
    at = source.tell()
    end = os.fstat(source.fileno()).st_size
    end = min(end, at + size) if size is not None else end
    offset = f.tell() - at
    while at < end:
        try:
            data = os.lseek(source.fileno(), at, os.SEEK_DATA)
        except OSError:
            break               # only a hole up to the end
        hole = min(os.lseek(source.fileno(), data, os.SEEK_HOLE), end)
        at = data
        while at < hole:
            source.seek(at)
            block = source.read(min(1 << 20, hole - at))
            if block.strip(b'\0'):
                f.seek(offset + at)
                f.write(block)
            at += len(block)
    source.seek(end)
    f.seek(offset + end)


def mbr(partitions):
    """A partition table; each is (first sector, number of sectors)"""
    table = b''.join(struct.pack('<B3sB3sII', 0, bytes(3), 0x83, bytes(3),
                                 first, count)
                     for first, count in partitions)
    return bytes(446) + table.ljust(64, b'\0') + b'\x55\xaa'


def linux_tree(name, tty='hvc0', fstab='/dev/xvda1 / ext3 defaults 0 1\n',
               arch='x86_64'):
    """A Linux without kernel and menu"""
    tree = Tree(name)
    tree.copy('bin/busybox', guests.busybox(arch), 0o755)
    for directory in ('dev', 'proc', 'sys', 'tmp', 'root', 'sbin', 'etc'):
        os.makedirs(os.path.join(tree.path, directory), exist_ok=True)
    for applet in APPLETS:
        os.symlink('busybox', os.path.join(tree.path, 'bin', applet))
    for applet in ('init', 'getty', 'poweroff', 'reboot'):
        os.symlink('../bin/busybox', os.path.join(tree.path, 'sbin', applet))
    tree.file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n')
    tree.file('etc/group', 'root:x:0:\n')
    tree.file('etc/shadow', SHADOW, 0o600)
    tree.file('etc/inittab', INITTAB.replace('@TTY@', tty))
    tree.file('etc/rc', RC, 0o755)
    tree.file('etc/fstab', fstab)
    return tree


def add_sshd(tree, address, key, arch='x86_64'):
    """
    An address for eth0, and an sshd that lets root in with KEY, a public one.
    It makes its own key at the first start, and keeps it.
    """
    top = guests.sshd(arch)
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            tree.copy(os.path.relpath(path, top), path, 0o755)
    tree.file('root/.ssh/authorized_keys', key, 0o600)
    tree.file('etc/dropbear/README', 'keys of the host\n')
    if arch == 'i386':
        program = paths.result('functional/guest-random')
        subprocess.run(['gcc', '-m32', '-O2', '-Wall', '-ffreestanding',
                        '-nostdlib', '-static', '-fno-pie', '-no-pie',
                        '-fno-stack-protector', '-o', program, os.path.join(
                            os.path.dirname(__file__), 'guest-random.c')],
                       check=True)
        tree.copy('sbin/guest-random', program, 0o755)
    tree.file('etc/rc', RC + 'chown -R 0:0 /root; chmod 700 /root /root/.ssh\n'
              'ip link set lo up\nip addr add %s dev eth0\n'
              'ip link set eth0 up\n%sdropbear -R -s\n'
              % (address, 'guest-random\n' if arch == 'i386' else ''), 0o755)


def add_boot(tree, series='6.1', front_end=True):
    """Its kernel and initrd, as a distribution installs them"""
    tree.copy('boot/vmlinuz-' + series, guests.linux(series))
    tree.copy('boot/initrd.img-' + series, initramfs(series, front_end))


def menu_lst(series='6.1', append='root=/dev/xvda1 ro console=hvc0'):
    return ('default 0\ntimeout 1\n\ntitle Stand-in\nroot (hd0,0)\n'
            'kernel /boot/vmlinuz-%s %s\ninitrd /boot/initrd.img-%s\n'
            % (series, append, series))


def grub_cfg(series='6.1', append='root=/dev/xvda1 ro console=hvc0'):
    return ('set timeout=1\nset default=0\n'
            "menuentry 'Stand-in' {\n"
            '  linux /boot/vmlinuz-%s %s\n  initrd /boot/initrd.img-%s\n}\n'
            % (series, append, series))


def log_in(process, timeout=90):
    """Up to the shell's prompt"""
    process.expect('standin login: ', timeout)
    process.type('root\n')
    process.expect('Password: ', 30)
    process.type(PASSWORD + '\n')
    process.expect('# ', 30)


STRIPE = 64 << 10


def lvm(file_system, name='root', first=0, striped=False):
    """
    A disk with an LVM volume group, the file system one of its logical
    volumes. FIRST is the sector where a partition for it begins; 0: none.

    The volume is in two pieces, with another one between; or in two stripes.
    """
    mib = 1 << 20
    size = os.path.getsize(file_system) // mib
    piece = size // 2
    pv_size = size + 3          # the metadata, and 2 MiB for the other volume
    pv = 'p' * 32

    def dashed(uuid):
        return '-'.join((uuid[:6], uuid[6:10], uuid[10:14], uuid[14:18],
                         uuid[18:22], uuid[22:26], uuid[26:]))

    def volume(name, uuid, *segments):
        """
        Each is (first extent of the volume, their number, of the disk that of
        each stripe)
        """
        return '%s {\nid = "%s"\nstatus = ["READ", "WRITE", "VISIBLE"]\n' \
            'segment_count = %d\n' % (name, dashed(uuid * 32), len(segments)) + \
            ''.join('segment%d {\nstart_extent = %d\nextent_count = %d\n'
                    'type = "striped"\nstripe_count = %d\nstripe_size = %d\n'
                    'stripes = [\n%s\n]\n}\n'
                    % (n + 1, start, count, len(stripes), STRIPE // SECTOR,
                       ', '.join('"pv0", %d' % at for at in stripes))
                    for n, (start, count, *stripes) in enumerate(segments)) + \
            '}\n'

    pieces = [(0, size, 0, piece + 2)] if striped else \
        [(0, piece, 0), (piece, size - piece, piece + 2)]

    metadata = '''vg0 {
id = "%s"
seqno = 1
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 2048\t# 1 MiB
physical_volumes {
pv0 {
id = "%s"
status = ["ALLOCATABLE"]
dev_size = %d
pe_start = 2048
pe_count = %d
}
}
logical_volumes {
%s%s}
}
contents = "Text Format Volume Group"
version = 1
''' % (dashed('v' * 32), dashed(pv), pv_size * 2048, pv_size - 1,
       volume(name, 'l', *pieces),
       volume('other', 'o', (0, 2, piece)))
    metadata = metadata.encode() + b'\0'

    def crc(data):
        """LVM's has a start of its own, and is not inverted at the end"""
        return zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff

    # Behind the label, where the data is, and where the metadata
    label = struct.pack('<I8s32sQQQQQQQQQ', 32, b'LVM2 001', pv.encode(),
                        pv_size * mib, mib, 0, 0, 0, 4096, mib - 4096, 0,
                        0).ljust(SECTOR - 20, b'\0')
    label = struct.pack('<8sQI', b'LABELONE', 1, crc(label)) + label
    # The text begins at the end of its ring, and goes on at its beginning
    area_size = mib - 4096
    there = area_size - 100
    area = struct.pack('<16sIQQQQII', b' LVM2 x[5A%r0N*>', 1, 4096, area_size,
                       there, len(metadata), crc(metadata),
                       0).ljust(SECTOR - 4, b'\0')
    area = struct.pack('<I', crc(area)) + area + metadata[100:]
    out = file_system[:-len('.fs')] + '.img'
    start = first * SECTOR
    with open(out, 'wb') as f, open(file_system, 'rb') as source:
        if first:
            f.write(mbr([(first, pv_size * mib // SECTOR)]))
        for offset, data in ((SECTOR, label), (4096, area),
                             (4096 + there, metadata[:100])):
            f.seek(start + offset)
            f.write(data)
        if striped:
            for n in range(size * mib // STRIPE):
                f.seek(start + mib + n % 2 * (piece + 2) * mib +
                       n // 2 * STRIPE)
                copy_sparse(source, f, STRIPE)
        else:
            f.seek(start + mib)
            copy_sparse(source, f, piece * mib)
            f.seek(start + (1 + piece + 2) * mib)
            copy_sparse(source, f)
        f.truncate(start + pv_size * mib)
    return out


def _proto(directory, indent=''):
    """What mkfs.xfs reads of a directory's content"""
    lines = []
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        mode = '%03o 0 0' % (os.lstat(path).st_mode & 0o777)
        if os.path.islink(path):
            lines.append('%s%s l--777 0 0 %s' % (indent, name,
                                                 os.readlink(path)))
        elif os.path.isdir(path):
            lines.append('%s%s d--%s' % (indent, name, mode))
            lines += _proto(path, indent + ' ')
        else:
            lines.append('%s%s ---%s %s' % (indent, name, mode, path))
    return lines + [indent + '$']


def _new_file(path, mib):
    if os.path.exists(path):
        os.unlink(path)
    with open(path, 'wb') as f:
        f.truncate(mib << 20)


def run_tool(*command):
    """A program that makes a file system; /sbin is not in each PATH"""
    command = (shutil.which(command[0]) or '/sbin/' + command[0], *command[1:])
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)


def xfs(directory, path, mib=320):
    """Makes PATH a file system, XFS, with the content of DIRECTORY"""
    with open(path + '.proto', 'w') as f:
        f.write('/none\n0 0\nd--755 0 0\n%s\n' % '\n'.join(_proto(directory)))
    _new_file(path, mib)
    run_tool('mkfs.xfs', '-q', '-p', path + '.proto', path)


def btrfs(directory, path, top='', mib=256):
    """The same with btrfs; its / is in the directory TOP of it"""
    inner = directory + '.top'
    shutil.rmtree(inner, ignore_errors=True)
    shutil.copytree(directory, inner + top, symlinks=True)
    _new_file(path, mib)
    run_tool('mkfs.btrfs', '-q', '--rootdir', inner, path)
    shutil.rmtree(inner)


def partitioned(file_system, kind='mbr'):
    """A disk with it as the second partition, by an MBR or a GPT"""
    out = file_system + '.' + kind
    sectors = os.path.getsize(file_system) // SECTOR
    with open(file_system, 'rb') as source, open(out, 'wb') as f:
        if kind == 'mbr':
            f.write(mbr([(34, 8), (FIRST, sectors)]))
        else:
            f.write(bytes(446) + struct.pack('<B3sB3sII', 0, bytes(3), 0xee,
                                             bytes(3), 1, FIRST + sectors) +
                    bytes(48) + b'\x55\xaa')
            # Header and entries, of which those that read it look at this
            f.write(struct.pack('<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92,
                                0, 0, 1, FIRST + sectors, 34,
                                FIRST + sectors - 1, b'd' * 16, 2, 128, 128,
                                0).ljust(SECTOR, b'\0'))
            for first, last in (34, 41), (FIRST, FIRST + sectors - 1):
                f.write(struct.pack('<16s16sQQQ72s', b't' * 16, b'u' * 16,
                                    first, last, 0, b''))
        f.seek(FIRST * SECTOR)
        copy_sparse(source, f)
        # There may be a copy of the GPT behind it
        f.truncate((FIRST + sectors + 64) * SECTOR)
    return out
