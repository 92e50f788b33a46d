# SPDX-License-Identifier: GPL-2.0-or-later
"""xenner and xenpv-convert, as their users call them"""

import ctypes
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from xenpv import image
from xenpv.place import busy
from xenpv.program import BRIDGED, Program, inside, tool
from xenpv.testcase import GuestTest, guests, paths

# A guest of 2008, in the two ways in which its owner could start it. Only the
# files' directory is ours.
XENNER = ('xenner -m 512 -name pvfc10 -boot c '
          '-kernel %(dir)s/vmlinuz-2.6.27.5-117.fc10.i686.PAE '
          '-initrd %(dir)s/initrd-2.6.27.5-117.fc10.i686.PAE.img '
          '-append "root=/dev/xvda1 ro 3 xencons=tty" '
          '-hda %(dir)s/pvfc10.img -network 54:52:00:4d:1b:ec,xenbr0')
XM = '''kernel = "%(dir)s/vmlinuz-2.6.27.5-117.fc10.i686.PAE"
ramdisk = "%(dir)s/initrd-2.6.27.5-117.fc10.i686.PAE.img"
memory = 512
name = "pvfc10"
vif = [ 'mac=54:52:00:4d:1b:ec, bridge=xenbr0' ]
disk = [ 'tap:aio:%(dir)s/pvfc10.img,xvda,w' ]
root = "/dev/xvda1 ro"
extra = "3 xencons=tty"
'''


def run(*command, text=None, **how):
    """Returns (status, standard output, standard error)"""
    done = subprocess.run(command, input=text, capture_output=True,
                          timeout=60 * busy(), encoding='utf-8',
                          errors='replace', **how)
    return done.returncode, done.stdout, done.stderr


LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Tells whether anybody opens or looks into a file"""
    IN_ACCESS, IN_OPEN = 1, 0x20

    def __init__(self, path):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK)
        assert self.fd >= 0
        assert LIBC.inotify_add_watch(self.fd, path.encode(),
                                      self.IN_ACCESS | self.IN_OPEN) >= 0

    def seen(self):
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False

    def close(self):
        os.close(self.fd)


def without_seccomp():
    """From here on, this process and its children can make no sandbox"""
    def op(code, jt, jf, k):
        return struct.pack('HBBI', code, jt, jf, k)
    load, equal, ret = 0x20, 0x15, 0x06
    allow, refuse = 0x7fff0000, 0x00050001
    program = b''.join((
        op(load, 0, 0, 0),              # the number of the system call
        op(equal, 3, 0, 317),           # seccomp
        op(equal, 0, 3, 157),           # prctl
        op(load, 0, 0, 16),             # its first argument
        op(equal, 0, 1, 22),            # PR_SET_SECCOMP
        op(ret, 0, 0, refuse), op(ret, 0, 0, allow)))
    text = ctypes.create_string_buffer(program)
    header = struct.pack('HxxxxxxQ', len(program) // 8,
                         ctypes.addressof(text))
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0
    assert LIBC.prctl(22, 2, header, 0, 0) == 0


# What a terminal would do, not show: C0, C1 in UTF-8, and directions of text
UNSEEN = '\x08\x0e\x1b[2J\x7f\x9b2J\u202e\u2066\u200b'


class WaysIn(GuestTest):
    label = 'ways-in'
    parts = ('functional',)

    def program(self, command):
        process = Program(self.place, self.log_name(), BRIDGED + command)
        self.processes.append(process)
        self.addCleanup(process.release)
        return process

    def login_key(self):
        """A new one of ours: its private half's path, and the public text"""
        key = paths.result('functional/story.key')
        for path in (key, key + '.pub', key + '.hosts'):
            if os.path.exists(path):
                os.unlink(path)
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C',
                        'host', '-f', key], check=True, timeout=60 * busy(),
                       stdin=subprocess.DEVNULL)
        with open(key + '.pub') as f:
            return key, f.read()

    def ssh(self, guest, key, command, check='yes'):
        """
        By the bridge, from the network namespace that the guest was started in.
        CHECK: what is to become of a host key that is not known.
        """
        words = [*inside(guest.popen.pid), 'ssh', '-F', 'none', '-i', key, '-T',
                 '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes',
                 '-o', 'StrictHostKeyChecking=' + check,
                 '-o', 'UserKnownHostsFile=%s.hosts' % key,
                 '-o', 'GlobalKnownHostsFile=none', '-o', 'ConnectTimeout=60',
                 'root@10.9.0.2', command]
        done = subprocess.run(words, capture_output=True, timeout=120 * busy(),
                              stdin=subprocess.DEVNULL, encoding='utf-8',
                              errors='replace')
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def story_files(self, arch):
        """
        A Linux's kernel, initrd and disk under the names that Fedora's had.
        Returns their directory, and the login's key.
        """
        where = paths.result('functional/story-%s/x' % arch)[:-2]
        key, public = self.login_key()
        tree = image.linux_tree('story-root', arch=arch)
        image.add_sshd(tree, '10.9.0.2/24', public, arch)
        kernel, series = ((guests.linux('6.1'), '6.1') if arch == 'x86_64'
                          else (guests.linux32(), None))
        for old, new in ((kernel, 'vmlinuz-2.6.27.5-117.fc10.i686.PAE'),
                         (image.initramfs(series, arch=arch),
                          'initrd-2.6.27.5-117.fc10.i686.PAE.img'),
                         (tree.disk(48), 'pvfc10.img')):
            path = os.path.join(where, new)
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(os.path.abspath(old), path)
        return where, key

    def converted(self, where):
        """What xenpv-convert makes of xm's configuration, as a command"""
        config = paths.result('functional/pvfc10.cfg')
        with open(config, 'w') as f:
            f.write(XM % {'dir': where})
        # QEMU's helper joins bridges that a file of the administrator's names
        with open(os.path.join(paths.BUILD, 'xenpv-kvm.mak')) as f:
            prefix = re.search(r'^PREFIX \?= (.*)$', f.read(), re.M).group(1)
        etc = '%s/qemu-bundle%s/etc/xenpv-kvm' % (
            paths.BUILD, '' if prefix == '/usr' else prefix)
        os.makedirs(etc, exist_ok=True)
        with open(etc + '/bridge.conf', 'w') as f:
            f.write('allow xenbr0\n')
        status, command, notes = run(tool('xenpv-convert'), '--to', 'qemu',
                                     config)
        self.assertEqual((status, notes), (0, ''))
        return ['sh', '-c', 'exec ' + command]

    def story(self, arch):
        where, key = self.story_files(arch)
        words = [w.strip('"') for w in
                 re.findall(r'"[^"]*"|\S+', XENNER % {'dir': where})]

        guest = self.program([tool('xenner')] + words[1:])
        image.log_in(guest)
        output = self.ssh(guest, key, 'cat /proc/cmdline; uname -m; '
                          'cat /proc/mounts; cat /sys/class/net/eth0/address; '
                          'echo kept > /root/mark; sync', 'accept-new')
        self.assertIn('root=/dev/xvda1 ro 3 xencons=tty', output)
        self.assertIn('\nx86_64\n' if arch == 'x86_64' else '\ni686\n', output)
        self.assertRegex(output, r'\n/dev/(xvda1|root) / ext\d rw')
        self.assertIn('54:52:00:4d:1b:ec', output)
        status, output = guest.shell('ping -A -c 3 -w 20 10.9.0.1', 40)
        self.assertEqual(status, 0, output)
        guest.type('poweroff\n')
        self.assert_status(guest, 0)

        # The same disk, so the same key of the host's, which is checked now
        guest = self.program(self.converted(where))
        image.log_in(guest)
        self.assertEqual(self.ssh(guest, key, 'cat /root/mark; hostname'),
                         'kept\nstandin\n')
        guest.type('poweroff\n')
        self.assert_status(guest, 0)

    def test_story(self):
        """The command line that started a guest under Xenner on Fedora 10 no
        longer does, or what xenpv-convert makes of its configuration for xm
        does not, or without its disk or its network: nobody can log in to it by
        ssh. With the asset sshd-i386, a 32-bit guest likewise"""
        both = os.path.exists(os.path.join(paths.ASSETS, 'sshd-i386'))
        for arch in ('x86_64', *(['i386'] if both else [])):
            self.story(arch)

    def test_partitions(self):
        """Volumes that a Xen host handed over as partitions, with no whole
        disk, are not found by the guest under their names"""
        root = image.linux_tree('partition').file_system(24)
        other = paths.result('functional/partition.swap')
        with open(other, 'wb') as f:
            f.write(b'the second'.ljust(1 << 20))
        config = paths.result('functional/partition.cfg')
        with open(config, 'w') as f:
            f.write('''name = 'partition'
kernel = '%s'
ramdisk = '%s'
memory = 256
disk = [ 'file:%s,sda1,w', 'file:%s,sda2,w' ]
root = '/dev/xvda1 ro'
extra = 'console=hvc0'
''' % (guests.linux('6.1'), image.initramfs(), root, other))
        status, command, notes = run(tool('xenpv-convert'), '--to', 'qemu',
                                     config)
        self.assertEqual((status, notes), (0, ''))
        guest = self.program(['sh', '-c', 'exec ' + command])
        image.log_in(guest)
        status, output = guest.shell('ls /sys/block; '
                                     'dd if=/dev/xvda2 bs=10 count=1')
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r'xvda1\s+xvda2')
        self.assertIn('the second', output)
        guest.type('poweroff\n')
        self.assert_status(guest, 0)


class Bad(GuestTest):
    """Whatever is wrong: one line with file, line and reason"""
    label = 'bad-input'
    parts = ('functional',)

    def refused(self, *arguments, says, text=None):
        """xenpv-convert must say in one line what is wrong, and no more"""
        out = paths.result('functional/must-not-be')
        status, stdout, stderr = run(tool('xenpv-convert'), '-o', out,
                                     *arguments, text=text)
        self.assertEqual(status, 1, stderr)
        self.assertEqual(stdout, '')
        self.assertRegex(stderr, r'\A[^\n]+:\d+: [^\n]+\n\Z')
        self.assertRegex(stderr, says)
        self.assertFalse(os.path.exists(out), 'something was written')

    def test_written(self):
        """-o replaces a link to a file, or a device: as root, /dev/null"""
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        path, link, pipe = (os.path.join(place, name)
                            for name in ('file', 'link', 'pipe'))
        os.symlink('file', link)
        os.symlink('/proc/self/fd/1', pipe)
        text = "kernel = '/k'\nmemory = 64\nname = 'g'\n"
        for out in (link, pipe):
            status, stdout, stderr = run(tool('xenpv-convert'), '-o', out, '-',
                                         text=text)
            self.assertEqual(status, 0, stderr)
        self.assertIn('<domain', stdout)
        self.assertTrue(os.path.islink(link))
        with open(path, encoding='utf-8') as f:
            self.assertEqual(f.read(), stdout)

    def config(self, says, text):
        self.refused('-', says=says, text=text)

    def test_configs(self):
        """A configuration with a mistake is carried over in part, or refused
        without the place and the reason (the unit test has more of them)"""
        good = "kernel = '/k'\nmemory = 64\n"
        self.config('stdin:1: .*memory', "kernel = '/k'\n")
        self.config("stdin:3: .*','|stdin:3: ", good + "disk = [ 'a' 'b'\n")
        self.config('stdin:3: name', good + "name = 'a/b'\n")
        self.config("stdin:3: disk: .*vda", good + "disk = ['/a,raw,vda,w']\n")
        self.config('stdin:2: memory: .*run',
                    "kernel = '/k'\nmemory = int(open('/etc/x').read())\n")
        self.config("stdin:1: type: 'hvm'", "type = 'hvm'\n" + good)
        self.config('stdin:3: ', "<domain type='xen'>\n<os>\n</domain>\n")
        self.config("stdin:1: .*'kvm', not 'xen'", "<domain type='kvm'/>")
        self.config('stdin:2: -m:', 'xenner -kernel /k \\\n -m x\n')
        self.refused('/nonexistent', says='/nonexistent:0: .*No such file')
        self.refused('/', says='/:0: .*directory')

    def test_python_is_not_run(self):
        """Reading an xm configuration runs what is in it"""
        mark = paths.result('functional/was-run')
        if os.path.exists(mark):
            os.unlink(mark)
        run(tool('xenpv-convert'), '-', text="import os\n"
            "os.system('touch %s')\nkernel='/k'\nmemory=64\n" % mark)
        run(tool('xenpv-convert'), '-', text="kernel='/k'\n"
            "memory=__import__('os').system('touch %s')\n" % mark)
        self.assertFalse(os.path.exists(mark))

    def test_xenner(self):
        """xenner with a mistake starts something"""
        kernel = guests.linux('6.1')
        for says, arguments in (
                ('xenner:2: -kernel|xenner:2: /nonexistent.*No such file',
                 ['-kernel', '/nonexistent']),
                (r'xenner:4: /none: No such file',
                 ['-kernel', kernel, '-hda', '/none']),
                ("xenner:4: -m: 'x'", ['-kernel', kernel, '-m', 'x']),
                ('xenner:3: -frob', ['-kernel', kernel, '-frob']),
                ("xenner:4: .*no bridge 'nobridge0'",
                 ['-kernel', kernel, '-network', 'nobridge0']),
                ('xenner:1: .*neither a kernel', ['-m', '64'])):
            status, out, err = run(tool('xenner'), *arguments)
            self.assertEqual((status, out), (1, ''), err)
            self.assertRegex(err, r'\A[^\n]+:\d+: [^\n]+\n\Z')
            self.assertRegex(err, says)

    def image(self, says, data=b'', size=None, arguments=(), **how):
        path = paths.result('functional/bad.img')
        with open(path, 'wb') as f:
            f.write(data)
            if size:
                f.truncate(size)
        before = os.stat(path)
        status, out, err = run(tool('xenpv-convert'), '--check', *arguments,
                               path, **how)
        self.assertEqual((status, out), (1, ''), err)
        self.assertRegex(err, r'\A[^\n]+:\d+: [^\n]+\n\Z')
        self.assertRegex(err, says)
        after = os.stat(path)
        self.assertEqual((before.st_size, before.st_mtime_ns),
                         (after.st_size, after.st_mtime_ns))

    def test_images(self):
        """A damaged image crashes --check, changes, or passes"""
        qcow2 = b'QFI\xfb' + (3).to_bytes(4, 'big')
        tree = image.Tree('bad-fs')
        tree.file('etc/motd', 'x\n')
        file_system = tree.file_system(4)
        with open(file_system, 'rb') as f:
            fs = f.read()
        damaged = bytearray(fs)
        damaged[1024:2048] = os.urandom(8) * 128
        no_inodes = bytearray(fs)
        no_inodes[4096:1 << 20] = bytes((1 << 20) - 4096)
        table = image.mbr([(2048, 4096)])
        self.image('too small')
        self.image('neither a file system', size=1 << 20)
        self.image('neither a file system', b'\x55\xaa' * 4096)
        self.image('neither a file system', table, 1 << 20)
        self.image('neither a file system', table, 4 << 20)
        self.image('neither a file system',
                   image.mbr([(0xffffffff, 0xffffffff)]), 1 << 20)
        self.image('neither a file system', bytes(damaged))
        self.image('neither', bytes(no_inodes))
        self.image('neither', fs[:8192])
        self.image('neither', bytes(446) + b'\0\0\0\0\xee' + bytes(59) +
                   b'\x55\xaa' + b'EFI PART'.ljust(64, b'\xff'), 1 << 20)
        # A chain of logical partitions that ends where it begins
        self.image('neither', bytes(446) + b'\0\0\0\0\x05\0\0\0' +
                   (1).to_bytes(4, 'little') + b'\xff' * 4 + bytes(48) +
                   b'\x55\xaa' + (bytes(462) + b'\0\0\0\0\x05\0\0\0' +
                                  bytes(40) + b'\x55\xaa'), 1 << 20)
        self.image('LVM.*label is damaged',
                   bytes(512) + b'LABELONE'.ljust(24, b'\0') + b'LVM2 001',
                   1 << 20)
        with open(image.lvm(file_system), 'rb') as f:
            lvm = f.read()
        self.image('LVM.*metadata is damaged',
                   lvm[:5000] + b'x' + lvm[5001:])
        self.image('LVM.*does not fit', lvm[:3 << 20])
        self.image('its file system is XFS', b'XFSB', 1 << 20)
        self.image('cannot be opened', qcow2)
        self.image('cannot be opened', qcow2 + b'\xff' * 500, 1 << 20)
        self.image('cannot be opened', b'', 1 << 20,
                   arguments=('--format', 'qcow2'))
        self.image('cannot be opened', b'', 1 << 20,
                   arguments=('--format', 'frob'))
        self.image('no boot/grub|no .*menu.lst', fs)


    def test_other_files(self):
        """A raw disk that begins like an image of several files makes root
        open any file of the host's, or connect to a server"""
        other = paths.result('functional/another-file')
        with open(other, 'wb') as f:
            f.write(bytes(1 << 20))
        server = socket.socket()
        self.addCleanup(server.close)
        server.bind(('127.0.0.1', 0))
        server.listen()
        server.settimeout(0)
        url = 'nbd://127.0.0.1:%d/x' % server.getsockname()[1]
        watch = Watch(other)
        self.addCleanup(watch.close)

        def qcow2(name, version=3, features=0, data=b''):
            """One cluster of tables each, and a virtual size of 1 MiB"""
            header = struct.pack('>IIQIIQIIQQIIQQQQII', 0x514649fb, version,
                                 512 if name else 0, len(name), 16, 1 << 20, 0,
                                 1, 3 << 16, 1 << 16, 1, 0, 0, features, 0, 0,
                                 4, 104)
            disk = (header + data).ljust(512, b'\0') + name.encode()
            return disk.ljust(1 << 16, b'\0') + \
                (2 << 16).to_bytes(8, 'big').ljust(1 << 16, b'\0') + \
                bytes(1 << 17)

        def extension(kind, text):
            return struct.pack('>II', kind, len(text)) + \
                text.encode().ljust((len(text) + 7) & ~7, b'\0')

        raw = extension(0xe2792aca, 'raw')
        for name in other, 'file:' + other, url, 'json:{"driver":"nbd"}':
            self.image('based on another file', qcow2(name, data=raw))
            self.image('based on another file', qcow2(name, version=2))
            self.image('its data is in another file',
                       qcow2('', features=4, data=extension(0x44415441, name)))
            # ... whatever the format is said to be
            self.image('based on another file', qcow2(name, data=raw),
                       arguments=('-f', 'qcow2'))
            self.image('neither', qcow2(name, data=raw),
                       arguments=('-f', 'raw'))
        self.image('neither', qcow2(''))
        for driver in 'nbd', 'file', 'host_device', 'ssh', 'https', 'blkdebug':
            self.image('cannot be opened', bytes(1 << 20),
                       arguments=('-f', driver))
        self.assertFalse(watch.seen())
        with self.assertRaises(BlockingIOError):
            server.accept()
        # That is how it would be told
        with open(other, 'rb') as f:
            f.read(1)
        self.assertTrue(watch.seen())

    def test_no_sandbox(self):
        """A disk is looked into with all rights where they cannot be given
        up"""
        self.image('not looked into, as the process that would do it cannot '
                   'give up its rights: seccomp', bytes(1 << 20),
                   preexec_fn=without_seccomp)

    def test_bounds(self):
        """A disk that is made for it takes hours, or gigabytes"""
        start = time.monotonic()
        gpt = bytes(446) + b'\0\0\0\0\xee' + bytes(59) + b'\x55\xaa' + \
            b'EFI PART'.ljust(72, b'\0') + \
            struct.pack('<QII', 2, 0xffffffff, 128).ljust(440, b'\0')
        self.image('neither a file system', gpt, 1 << 40)
        tree = image.Tree('bounds')
        tree.file('etc/fstab', '\n' * (1 << 20))
        tree.file('boot/grub/grub.cfg', '\n' * ((1 << 20) + 1))
        path = tree.file_system(8)
        status, out, err = run(tool('xenpv-convert'), '--check', path)
        self.assertRegex(err, 'grub.cfg: it is larger than 1 MiB')
        tree = image.Tree('bounds')
        tree.file('etc/fstab', '/dev/vda1 / ext4\n' * 50000)
        status, out, err = run(tool('xenpv-convert'), '--check',
                               tree.file_system(8))
        self.assertEqual(len(err.splitlines()), 101)
        self.assertIn('there is more to say', err)
        self.assertLess(time.monotonic() - start, 50)

    def test_listing_bounds(self):
        """A listing that is made for it takes seconds of the CPU"""
        path = paths.result('bad-input.sxp')
        with open(path, 'w') as f:
            f.write('(domain (name a) (memory 64) %s (vcpus 1) '
                    '(image (linux (kernel /k))))' % ('(vcpu_avail 1)' * 18000))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        self.assertEqual(run(tool('xenpv-convert'), path)[0], 0)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime -
                        before, 0.5)

    def test_terminal(self):
        """What is on a disk or in a configuration reaches the terminal as it
        is there"""
        tree = image.Tree('terminal')
        tree.file('etc/motd', 'x\n')
        tree.file('boot/grub/menu.lst', 'title x\n kernel /k%s root=/dev/x\n'
                  % UNSEEN)
        tree.file('etc/fstab', '/dev/vda1%s / ext4\n' % UNSEEN)
        disk = tree.file_system(4)
        odd = paths.result('functional/x%s.img' % UNSEEN.replace('/', ''))
        if not os.path.lexists(odd):
            os.symlink(disk, odd)
        config = 'memory = 64\nkernel = "/k"\nname = "a/%s"\n' % UNSEEN
        for locale in 'C', 'C.UTF-8':
            for arguments, text in (
                    (('--check', odd), None), (('-',), config),
                    (('--check', '--format', UNSEEN, odd), None),
                    (('--to', UNSEEN, '-'), config), (('--' + UNSEEN,), None),
                    ((odd + '.none',), None)):
                done = subprocess.run(
                    (tool('xenpv-convert'),) + arguments, timeout=60 * busy(),
                    input=(text or '').encode(), capture_output=True,
                    env=dict(os.environ, LC_ALL=locale))
                self.assertEqual(done.returncode, 1)
                shown = (done.stdout + done.stderr).decode()
                self.assertTrue(shown)
                for c in shown:
                    self.assertTrue(c == '\n' or c.isprintable(), shown)

    def test_user(self):
        """--check is for root only"""
        if os.geteuid():
            self.skipTest('this is a user, as in all of these tests')
        user = dict(user=65534, group=65534, extra_groups=[])
        if run('test', '-x', tool('xenpv-convert'), **user)[0]:
            self.skipTest('this tree is not readable for others')
        path = '/tmp/xenpv-check-%d.img' % os.getpid()
        with open(path, 'wb') as f:
            f.truncate(1 << 20)
        self.addCleanup(os.unlink, path)
        status, out, err = run(tool('xenpv-convert'), '--check', path, **user)
        self.assertEqual(status, 1)
        self.assertIn('neither a file system', err)


class Check(GuestTest):
    label = 'check'
    parts = ('functional',)

    def check(self, tree, *findings, arguments=(), disk=None):
        """--check must find just that, in this order"""
        disk = disk or tree.disk(80)
        status, out, err = run(tool('xenpv-convert'), '--check', *arguments,
                               disk)
        lines = err.splitlines()
        self.assertEqual(len(lines), len(findings), err)
        for line, finding in zip(lines, findings):
            self.assertTrue(line.startswith(disk + ':'), line)
            self.assertRegex(line, finding)
        self.assertEqual(status, 1 if findings else 0)
        return out

    def tree(self, front_end=True, **how):
        tree = image.linux_tree('check', **how)
        image.add_boot(tree, front_end=front_end)
        tree.file('boot/grub/menu.lst', image.menu_lst())
        return tree

    def test_good(self):
        """An image that boots (see boot-disk) is said not to, as it is or in
        qcow2"""
        tree = self.tree()
        disk = tree.disk(80)
        out = self.check(None, disk=disk)
        self.assertIn('64-bit PV kernel', out)
        self.assertIn('nothing found that would keep it from booting', out)
        qcow2 = disk + '.qcow2'
        subprocess.run([tool('qemu-img'), 'convert', '-O', 'qcow2', disk,
                        qcow2], check=True)
        self.check(None, disk=qcow2)

    def test_lvm(self):
        """What is on an LVM volume is not looked into, or a mistake there is
        not found"""
        disk = image.lvm(self.tree().file_system(80))
        out = self.check(None, disk=disk)
        self.assertIn('the volume group vg0 has root, other', out)
        self.assertIn('64-bit PV kernel', out)
        fs = self.tree(fstab='/dev/vda1 / ext3 defaults 0 1\n').file_system(80)
        self.check(None, '/etc/fstab: .*/dev/vda1',
                   disk=image.lvm(fs, first=image.FIRST))

    def test_front_end(self):
        """An initrd without xen-blkfront passes: the guest would wait for its
        disk"""
        self.check(self.tree(front_end=False),
                   r'/boot/initrd.img-6.1: it has no xen-blkfront')

    def test_getty(self):
        """An image with a login on a terminal that a PV guest does not have
        passes"""
        self.check(self.tree(tty='tty1'),
                   '/etc/inittab: there is no login on hvc0')

    def test_fstab(self):
        """An fstab that names disks of another kind of machine passes"""
        self.check(self.tree(fstab='/dev/vda1 / ext3 defaults 0 1\n'
                             '/dev/sda2 /home ext3 defaults 0 2\n'),
                   r':1: /etc/fstab: .*/dev/vda1, which is not a Xen disk',
                   r':2: /etc/fstab: .*/dev/sda2.*vdev=sda2')

    def test_kernel(self):
        """A menu with a kernel that is none for PV, or is not there, passes"""
        tree = self.tree()
        tree.copy('boot/vmlinuz-6.1', paths.asset('busybox'))
        self.check(tree, '/boot/vmlinuz-6.1: it cannot be booted')
        tree = self.tree()
        tree.file('boot/grub/menu.lst', image.menu_lst('7.0').replace(
            'hvc0', 'ttyS0'))
        self.check(tree, "menu.lst: .*kernel, /boot/vmlinuz-7.0, is not there",
                   "initrd, /boot/initrd.img-7.0, is not there",
                   'console=hvc0 is missing')
