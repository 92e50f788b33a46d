# SPDX-License-Identifier: GPL-2.0-or-later
"""
A place with a real KVM on any machine.

QEMU's TCG emulates AMD's SVM with nested paging. So Debian's own kernel, in
an outer QEMU under TCG ("the outer machine"), loads kvm_amd and has a real
/dev/kvm. Our QEMUs run there, unpacked from its initramfs.

One outer machine serves all tests, since it needs seconds to come up. It has
a few virtio-serial ports. Over the first, "control", its /init takes shell
commands, one a line, and answers when they end. The others carry an inner
QEMU's console, QMP and gdb to this machine, so that a test drives a QEMU in
there just as one that runs here. The last is a terminal, hvc0, for a program
that wants one.

QEMUs that run at the same time have ports of their own: up to QEMUS of them.

A line to control is "ID COMMAND"; the answer is "ID STATUS BASE64" with
what the command wrote. Between two QEMUs each port gets a line "@@END ID@@",
so that the one's last words are not taken for the other's first.
"""

import base64
import os
import re
import shutil
import subprocess
import time

from . import guests, image, paths
from .channel import Gone, Timeout
from .cpio import Cpio
from .place import HostProcess, PORTS, Process, busy, plain_arguments

SERIES = '6.1'
# microvm comes up fastest. Debian's kernel takes its virtio-mmio devices only
# from ACPI, which needs bios-microvm.bin.
MACHINE = 'pc'
SERIAL = 'virtio-serial-pci'
MODULES = ('virtio_ring', 'virtio', 'virtio_pci_modern_dev',
           'virtio_pci_legacy_dev', 'virtio_pci', 'virtio_console',
           'virtio_blk',
           'irqbypass', 'kvm', 'ccp', 'kvm-amd')
QEMUS = 3
# The ports of the QEMU that comes first, then those of the next
INNER_PORTS = tuple((n, port) for n in range(QEMUS) for port in PORTS)
TERMINAL = 'hvc0'

INIT = '''#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs tmpfs /tmp
mkdir -p /run
for m in %(modules)s; do
    [ ! -e /modules/$m.ko ] || insmod /modules/$m.ko
done
%(prepare)s
sleep_count=0
while [ ! -e /dev/%(control)s ] && [ $sleep_count -lt 100 ]; do
    sleep 0.1
    sleep_count=$((sleep_count + 1))
done

# finish ID STATUS: tell what has become of a command.
finish()
{
    for port in $(cat /run/$1.ports 2>/dev/null); do
        echo "@@END $1@@" > /dev/$port
    done
    { echo -n "$1 $2 "; base64 -w 0 /run/$1.out; echo; } > /run/$1.answer
    until mkdir /run/lock 2>/dev/null; do
        usleep 1000
    done
    cat /run/$1.answer >&3
    rmdir /run/lock
    rm -f /run/$1.*
}

exec 3<> /dev/%(control)s
if [ -c /dev/kvm ]; then
    echo "ready" >&3
else
    echo "no /dev/kvm" >&3
fi
while read -r id line <&3; do
    case $line in
    "@ "*)  # @ PORTS COMMAND: one that uses ports
        line=${line#@ }
        echo "${line%%%% *}" | tr , ' ' > /run/$id.ports
        line=${line#* }
        ;;
    esac
    {
        sh -c "$line" > /run/$id.out 2>&1 < /dev/null 3>&- &
        pid=$!
        echo $pid > /run/$id.pid
        wait $pid
        finish $id $?
    } &
done
poweroff -f
'''


def libraries(program):
    """The shared libraries of a program, as (name in the image, path) pairs"""
    output = subprocess.run(['ldd', program], stdout=subprocess.PIPE,
                            check=True).stdout.decode()
    found = []
    for line in output.splitlines():
        match = re.match(r'\s*(?:(\S+) => )?(/\S+) \(', line)
        if match:
            name = match.group(1) or match.group(2)
            # The loader has an absolute name; the others go where it looks.
            found.append((name.lstrip('/') if name.startswith('/')
                          else 'lib/' + name, match.group(2)))
    return found


class Job(Process):
    """A command that the outer machine's /init runs"""

    def __init__(self, place, name, channels):
        place.job += 1
        self.job = place.job
        self.output = None
        self.log_path = paths.result(name + '.console')
        # Whose they were before has nothing to say here
        for channel in channels.values():
            channel.data = bytearray()
            channel.seen = bytearray()
        super().__init__(place, channels)

    def poll(self):
        answer = self.place.answers.get(self.job)
        if answer:
            self.status, self.output = answer
        return self.status

    def stderr(self):
        return self.output or ''


class NestedProcess(Job):
    def __init__(self, place, name, command, ports):
        self.number = place.take_number() if ports else None
        super().__init__(place, name, {p: place.port(self.number, p)
                                       for p in ports})
        self.name = name
        self.released = False
        self.end = b'@@END %d@@' % self.job
        self.open = set(self.channels.values())
        options = []
        for port in ports:
            options += ['-chardev', 'pipe,id=%s,path=/dev/%s'
                        % (port, place.device(self.number, port))]
            options += PORTS[port]
        line = ' '.join(quote(a) for a in command + options)
        with open(paths.result(name + '.command'), 'a') as f:
            f.write(line + '\n')
        devices = ','.join(place.device(self.number, p) for p in ports)
        prefix = '@ %s ' % devices if ports else ''
        place.control.send('%d %sexec %s\n' % (self.job, prefix, line))

    def pump(self, timeout):
        self.place.pump(timeout)
        for channel in self.channels.values():
            if self.end in channel.data:
                del channel.data[channel.data.index(self.end):]
                del channel.seen[channel.seen.index(self.end):]
                self.open.discard(channel)
        return self.poll() is None

    def kill(self):
        if self.poll() is None:
            self.place.shell('kill -9 $(cat /run/%d.pid)' % self.job)
            self.wait(10)

    def release(self):
        if self.released:       # its ports may be another's now
            return
        self.released = True
        try:
            self.kill()
            # Until all that it said, on all ports, has gone through.
            end = time.monotonic() + self.limit(10)
            while self.open:
                if time.monotonic() > end:
                    raise Timeout('a port of the outer machine is stuck')
                self.pump(0.2)
        except (Gone, Timeout):
            self.place.broken = True
            raise
        finally:
            self.place.numbers.discard(self.number)
            if self.console:
                with open(self.log_path, 'ab') as log:
                    log.write(self.console.seen)
            if self.output:
                with open(paths.result(self.name + '.stderr'), 'a') as f:
                    f.write(self.output)


class NestedProgram(Job):
    """A program of the outer machine's, on its terminal"""

    def __init__(self, place, name, command):
        super().__init__(place, name,
                         {'console': place.outer.channels['terminal']})
        place.control.send('%d exec setsid %s < /dev/%s > /dev/%s 2>&1\n'
                           % (self.job, command, TERMINAL, TERMINAL))

    def pump(self, timeout):
        self.place.pump(timeout)
        return self.poll() is None

    def release(self):
        try:
            if self.poll() is None:
                # With the first process of a namespace all others end, too
                self.place.shell('p=$(cat /run/%d.pid); kill -9 '
                                 '$(cat /proc/$p/task/$p/children) $p'
                                 % self.job)
                self.wait(10)
        except (Gone, Timeout):
            self.place.broken = True
            raise
        finally:
            with open(self.log_path, 'ab') as log:
                log.write(self.console.seen)


def quote(argument):
    return "'" + argument.replace("'", "'\\''") + "'"


class Outer:
    """This machine, as the place where the outer machine's QEMU runs"""
    accel = 'tcg'
    patience = 1


class Nested:
    accel = 'kvm'
    # Each a disk, after the image
    libvirt = {root: '/dev/vd' + letter for letter, root in zip('bc', (
        root for root in ('libvirt-9', 'libvirt-11')
        if paths.has_libvirt(root)))}
    # Everything is about this much slower than the same on this machine:
    # the inner guest has nested paging to walk, in an emulated processor.
    patience = 4
    series, modules = SERIES, MODULES
    control_device = 'vport0p1'
    prepare = ''            # what /init does before it looks for that

    def __init__(self, name='kvm/outer', disk=None, files=(), cpus=1):
        """Of images there is one, Debian's or DISK; FILES are there, too"""
        self.name = name
        self.cpus = cpus
        self.image = disk or guests.debian()
        self.outer = None
        self.boots = 0
        self.job = 0
        self.answers = {}
        self.numbers = set()    # of the QEMUs that run
        self.files = {}
        self._add_files()
        for path in files:
            self._add(path)
        self.boot()

    # --- The outer machine -------------------------------------------------

    def _add_files(self):
        self._add(guests.linux_initramfs())
        self._add(guests.device_initramfs(SERIES))
        for series in ('6.1', '6.12'):
            self._add(guests.linux(series))
        for arch in ('i386', 'x86_64'):
            self._add(guests.grub(arch))
        for _, _, path in guests.own():
            self._add(path)
        self._add(image.initramfs())
        self.files[image.linux_tree('nested').disk(8)] = '/guests/standin.img'
        self._add(paths.asset('busybox'))
        for path in (paths.LINUX32, paths.INITRD32):
            if os.path.exists(path):
                self._add(path)

    def _add(self, path):
        self.files[path] = '/guests/%d-%s' % (len(self.files),
                                              os.path.basename(path))

    def _image(self):
        path = paths.result(self.name + '.cpio')
        with Cpio(path) as archive:
            guests.add_busybox(archive)
            for directory in ('proc', 'sys', 'tmp', 'run', 'root'):
                archive.mkdir(directory)
            archive.symlink('var/tmp', '../tmp')    # for -snapshot
            archive.device('dev/console', 5, 1)
            archive.device('dev/null', 1, 3)
            archive.file('init', INIT % {'modules': ' '.join(self.modules),
                                         'prepare': self.prepare,
                                         'control': self.control_device},
                         0o755)
            for module in self.modules:
                # What is not there is built into the kernel
                f = os.path.join(paths.ASSETS, 'modules-' + self.series,
                                 module + '.ko')
                if os.path.exists(f):
                    archive.copy('modules/%s.ko' % module, f)
            done = set()
            for arch in ('i386', 'x86_64'):
                binary = paths.qemu(arch)
                self._program(archive, 'bin/qemu-system-' + arch, binary)
                for name, library in libraries(binary):
                    if name not in done:
                        done.add(name)
                        archive.copy(name, library)
            for f in sorted(os.listdir(paths.asset('firmware'))):
                archive.copy('firmware/' + f, os.path.join(paths.FIRMWARE, f))
            for f in paths.monitors():
                archive.copy('firmware/' + os.path.basename(f), f)
            for f, name in self.files.items():
                archive.copy(name.lstrip('/'), f)
        return path

    @staticmethod
    def _libvirt(root):
        """Debian's libvirt, as an archive that is a disk"""
        path = paths.result('kvm/%s.tar' % root)
        subprocess.run(['tar', '-C', paths.asset(root), '-cf', path, '.'],
                       check=True)
        return path

    @staticmethod
    def _program(archive, name, path):
        """Without its debug information, which would take all the memory"""
        stripped = paths.result('kvm/stripped')
        shutil.copy(path, stripped)
        subprocess.run(['strip', stripped], check=True)
        archive.copy(name, stripped)
        os.unlink(stripped)

    def boot(self):
        command = [paths.outer_qemu()] + plain_arguments(Outer, MACHINE, [
            '-cpu', 'max', '-smp', self.cpus, '-m', '3G', '-no-reboot',
            '-L', paths.asset('firmware'),
            '-kernel', guests.linux(SERIES), '-initrd', self._image(),
            # Where this machine is busy a tick takes longer than it is waited for
            '-append', 'console=ttyS0 loglevel=5 panic=-1 mitigations=off '
            'no_timer_check',
            '-chardev', 'file,id=log,path=' + paths.result(self.name + '.log'),
            '-serial', 'chardev:log',
            '-device', '%s,max_ports=%d' % (SERIAL, len(INNER_PORTS) + 2)])
        for path in [self.image] + [self._libvirt(r) for r in self.libvirt]:
            command += ['-drive', 'if=virtio,format=raw,readonly=on,file=' +
                        path]
        names = ['control'] + ['inner-%d-%s' % p for p in INNER_PORTS]
        ports = {name: ['-device', 'virtserialport,nr=%d,chardev=%s'
                        % (nr + 1, name)]
                 for nr, name in enumerate(names)}
        ports['terminal'] = ['-device', 'virtconsole,chardev=terminal']
        self._come_up(lambda: HostProcess(Outer, self.name, command, ports),
                      120 * busy())

    def _come_up(self, start_outer, limit):
        self.boots += 1
        self.broken = False
        self.numbers.clear()
        start = time.monotonic()
        self.outer = start_outer()
        self.control = self.outer.channels['control']
        answer = self.control.expect(r'([^\n]*)\n', limit).group(1).decode()
        if answer != 'ready':
            raise paths.Missing('the outer machine has ' + answer)
        self.boot_seconds = time.monotonic() - start

    def close(self):
        if self.outer:
            self.outer.release()
            self.outer = None

    def pump(self, timeout):
        """Read all that comes from the outer machine"""
        alive = self.outer.pump(timeout)
        while True:
            end = self.control.data.find(b'\n')
            if end < 0:
                break
            job, status, output = self.control.data[:end].split(b' ')
            self.control.data = self.control.data[end + 1:]
            self.answers[int(job)] = (
                int(status), base64.b64decode(output).decode(errors='replace'))
        if not alive:
            self.broken = True
            raise Gone('the outer machine ended (%s); see its log'
                       % self.outer.describe_exit())

    def take_number(self):
        """For a QEMU that begins; which ports are its own"""
        number = min(set(range(QEMUS)) - self.numbers)
        self.numbers.add(number)
        return number

    def port(self, number, name):
        return self.outer.channels['inner-%d-%s' % (number, name)]

    @staticmethod
    def device(number, name):
        return 'vport0p%d' % (INNER_PORTS.index((number, name)) + 2)

    def shell(self, command, timeout=60):
        """Run a command in the outer machine; returns (status, output)"""
        self.job += 1
        job = self.job
        self.control.send('%d %s\n' % (job, command))
        end = time.monotonic() + timeout * busy()
        while job not in self.answers:
            if time.monotonic() > end:
                self.broken = True
                raise Timeout('the outer machine does not answer to "%s"'
                              % command)
            self.pump(0.2)
        return self.answers.pop(job)

    # --- What every place has ----------------------------------------------

    def file(self, path):
        return self.files[path]

    def disk(self, path):
        assert path == self.image
        return '/dev/vda'

    def scratch(self, name):
        return '/tmp/' + os.path.basename(name)

    def read(self, path, length):
        status, output = self.shell('head -c %d %s | base64 -w 0'
                                    % (length, path))
        if status:
            raise OSError(output)
        return base64.b64decode(output)

    def _boot_again(self):
        if self.boots > 3:
            raise Gone('the outer machine broke down too often')
        self.close()
        self.boot()

    def _command(self, arch, machine, options):
        if self.broken:
            self._boot_again()
        return (['/bin/qemu-system-' + arch, '-L', '/firmware'] +
                plain_arguments(self, machine, options))

    def start(self, name, arch, *options, machine='xenpv-kvm',
              ports=('console', 'qmp')):
        command = self._command(arch, machine, options)
        return NestedProcess(self, name, command, ports)

    def program(self, name, command):
        """Run a shell's command on the outer machine's terminal"""
        if self.broken:
            self._boot_again()
        return NestedProgram(self, name, command)

    def run(self, name, arch, *options, machine='xenpv-kvm', timeout=60):
        command = self._command(arch, machine, options)
        process = NestedProcess(self, name, command, ())
        try:
            return process.wait(timeout), process.stderr()
        finally:
            process.release()

    def exits(self, process, kind='exits'):
        """What KVM has counted for this QEMU, which must still be there"""
        status, output = self.shell(
            'cat /sys/kernel/debug/kvm/$(cat /run/%d.pid)-*/%s'
            % (process.job, kind))
        if status:
            raise OSError(output)
        return sum(int(n) for n in output.split())
