# SPDX-License-Identifier: GPL-2.0-or-later
"""
A place with Intel's KVM on any machine.

Bochs emulates Intel's VMX with EPT, VPID and unrestricted guests, which QEMU's
TCG does not. So Debian's kernel loads kvm_intel in it and has a real /dev/kvm,
and our QEMUs run there as they do in nested.py's outer machine, of which this
one differs in how it comes up and how it is reached: from a CD, and over four
serial ports, which are sockets of this machine. The first is the log; the
others are control, the inner QEMU's console and its QMP.

The kernel is the one for clouds, which comes up in half the time.
"""

import os
import re
import shutil
import socket
import subprocess
import time

from . import guests, paths
from .channel import Channel, Gone
from .nested import Nested
from .place import ChildProcess
from .program import Terminal

SERIES = '6.1-cloud'
MODULES = ('irqbypass', 'kvm', 'kvm-intel')
# COM2 to COM4
SERIAL = {'control': 'ttyS1', 'inner-console': 'ttyS2', 'inner-qmp': 'ttyS3'}
# What Debian's packages have. What isolinux needs is in two places
BOCHS = '/usr/share/bochs'
ISOLINUX = ('/usr/lib/ISOLINUX/isolinux.bin',
            '/usr/lib/syslinux/modules/bios/ldlinux.c32')
MEMORY = 1024       # MiB

# How many instructions are a second of the outer machine: about as many as are
# emulated in one
IPS = 50000000

# An MSR that Bochs does not know is an "error", with a line for each access
CONFIG = '''
config_interface: textconfig
display_library: term
romimage: file={bochs}/BIOS-bochs-latest
vgaromimage: file={bochs}/VGABIOS-lgpl-latest
cpu: model=corei7_skylake_x, count=1, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
clock: sync=none, time0=local
ata0: enabled=1
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={log}
{ports}
log: {bochs_log}
info: action=ignore
debug: action=ignore
error: action=ignore
panic: action=fatal
'''
# The TSC counts instructions, IPS in a second of all the other clocks. What CPUID
# says of it, 3.5 GHz, would make a second of seventy, most of all one that a guest
# waits for without sleeping.
APPEND = ('console=ttyS0 loglevel=5 panic=-1 nokaslr mitigations=off '
          'no_timer_check tsc=reliable tsc_early_khz=%d' % (IPS // 1000))


class BochsProcess(ChildProcess):
    """Bochs itself, as the outer machine"""

    def __init__(self, place, name, config, names):
        self.log = open(paths.result(name + '.bochs'), 'wb')
        self.stderr_path = self.log.name
        listeners = {n: socket.create_server(('127.0.0.1', 0)) for n in names}
        ports = '\n'.join('com%d: enabled=1, mode=socket-client, '
                          'dev=127.0.0.1:%d' % (i + 2, s.getsockname()[1])
                          for i, s in enumerate(listeners.values()))
        rc = paths.result(name + '.bochsrc')
        with open(rc, 'w') as f:
            f.write(config.replace('{ports}', ports))
        # Debian's has a debugger, which waits to be told to go on
        debugger = paths.result(name + '.debugger')
        with open(debugger, 'w') as f:
            f.write('c\n')
        channels = {}
        super().__init__(place, channels)
        self.popen = subprocess.Popen(
            # It does not end by SIGTERM, nor with us, unless the kernel sees to it
            ['setpriv', '--pdeathsig', 'KILL', 'bochs', '-q', '-f', rc,
             '-rc', debugger],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            for n, listener in listeners.items():
                listener.settimeout(30)
                channels[n] = Channel(listener.accept()[0])
            # It has opened a terminal for its screen, and stops when that is
            # full: it has to be read, too
            channels['screen'] = Channel(self._screen())
        except Exception:
            self.release()
            raise
        finally:
            for listener in listeners.values():
                listener.close()
        for channel in channels.values():
            channel.process = self

    def _screen(self):
        end = time.monotonic() + 30
        while True:
            match = re.search(r'connected to screen "([^"]*)"', self.stderr())
            if match:
                return Terminal(os.open(match.group(1),
                                        os.O_RDWR | os.O_NOCTTY))
            if self.poll() is not None or time.monotonic() > end:
                raise paths.Missing('Bochs has not come up: see '
                                    + self.stderr_path)
            time.sleep(0.1)


class Bochs(Nested):
    # Bochs emulates some 30 million instructions a second, and a VM exit is
    # thousands of the outer kernel's
    patience = 20
    series, modules = SERIES, MODULES
    libvirt = {}
    control_device = SERIAL['control']
    # Open all the time, so that what comes before QEMU is there waits for it
    prepare = '\n'.join('stty -F /dev/%s raw -echo clocal -hupcl 115200; '
                        'exec %d<> /dev/%s' % (d, n + 4, d)
                        for n, d in enumerate(SERIAL.values()))

    def __init__(self):
        self.parameters = ''    # what kvm_intel gets; a test may set others
        for program in ('bochs', 'xorriso'):
            if not shutil.which(program):
                raise paths.Missing('no %s: run scripts/packages --install vmx'
                                    % program)
        super().__init__('vmx/outer')

    def _add_files(self):
        self._add(guests.linux_initramfs())
        self._add(guests.linux('6.1'))
        for arch in ('i386', 'x86_64'):
            self._add(guests.grub(arch))
        for _, _, path in guests.own():
            self._add(path)
        for path in (paths.LINUX32, paths.INITRD32):
            if os.path.exists(path):
                self._add(path)

    def _iso(self):
        root = paths.result('vmx/iso')
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root + '/isolinux')
        for f in ISOLINUX:
            shutil.copy(paths.need(f, 'scripts/packages --install vmx'),
                        root + '/isolinux')
        shutil.copy(guests.linux(SERIES), root + '/linux')
        os.rename(self._image(), root + '/initrd')
        with open(root + '/isolinux/isolinux.cfg', 'w') as f:
            f.write('default linux\nprompt 0\nlabel linux\n  kernel /linux\n'
                    '  initrd /initrd\n  append %s\n' % APPEND)
        iso = paths.result('vmx/outer.iso')
        subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-o', iso,
                        '-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat',
                        '-no-emul-boot', '-boot-load-size', '4',
                        '-boot-info-table', root],
                       check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(root)
        return iso

    def boot(self):
        config = CONFIG.format(
            bochs=BOCHS, ips=IPS, memory=MEMORY, iso=self._iso(),
            log=paths.result(self.name + '.log'), ports='{ports}',
            bochs_log=paths.result(self.name + '.bochs-log'))
        self._come_up(lambda: BochsProcess(self, self.name, config, SERIAL),
                      900)
        self.loaded = ''

    @staticmethod
    def device(name):
        return SERIAL['inner-' + name]

    def disk(self, path):
        raise paths.Missing('no disks in Bochs')

    def _command(self, arch, machine, options):
        command = super()._command(arch, machine, options)
        if self.loaded != self.parameters:
            status, output = self.shell('rmmod kvm-intel && insmod '
                                        '/modules/kvm-intel.ko '
                                        + self.parameters, 120)
            if status:
                self.broken = True
                raise Gone('kvm-intel cannot be loaded anew: ' + output)
            self.loaded = self.parameters
        return command
