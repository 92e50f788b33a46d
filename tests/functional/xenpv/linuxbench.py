# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a program pays inside Debian's Linux 6.1: linux-ops.c as its /init, here,
as the domain 0 of a real Xen (as tests/guest/bench runs it), and natively, on
-M microvm. The last is the floor: the same kernel without paravirtualisation
underneath. In instructions of the guest's CPU ("-icount shift=0"), so exact to
what the kernel itself varies.

The 32-bit kernel likewise, but under Xen: Debian's has no 32-bit PV.

Then what one does to another CPU, with two: in instructions of both together.

Results go to stdout and build/results/bench-linux.txt.
"""

import os
import re
import subprocess

from . import guests, paths
from .bench import Output
from .cpio import Cpio
from .place import Host

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      'linux-ops.c')
# x2APIC and icount do not go together in QEMU
CPU = 'max,-x2apic'
LABELS = (
    ('getppid', 'system call (getppid)'),
    ('segment-base', 'arch_prctl(ARCH_SET_GS), set_thread_area'),
    ('signal', 'signal to oneself, handler, sigreturn'),
    ('first-touch', 'first touch of a page'),
    ('map-touch-unmap', 'mmap, touch, munmap of a page'),
    ('pipe', 'write and read of a pipe, one process'),
    ('context-switch', 'the same and a context switch'),
    ('fork-exit', 'fork, exit, wait'),
    ('fork-exec-exit', 'fork, exec, exit, wait'),
)
SMP_LABELS = (
    ('wake-other', 'wake-up of a process that sleeps on it'),
    ('ipi-other', 'IPI and its answer (membarrier)'),
    ('flush-other', "first touch, and its TLB's flush (madvise)"),
)


def initramfs(arch):
    width = {'x86_64': '64', 'i386': '32'}[arch]
    program = paths.result('bench-linux/init-' + arch)
    subprocess.run(['gcc', '-m' + width, '-std=gnu11', '-O2', '-Wall',
                    '-ffreestanding', '-fno-pie', '-no-pie', '-nostdlib',
                    '-static', '-fno-stack-protector',
                    '-fno-asynchronous-unwind-tables', '-o', program, SOURCE],
                   check=True)
    path = program + '.cpio'
    with Cpio(path) as archive:
        archive.device('dev/console', 5, 1)
        archive.copy('init', program)
    return path


def counts(name, arch, machine, options, labels):
    """What one of the machines measures: a dictionary"""
    place = Host('tcg')
    process = place.start('bench-linux/' + name, arch,
                          '-icount', 'shift=0', '-cpu', CPU, '-no-reboot',
                          *options, machine=machine)
    try:
        process.expect(guests.INIT_MARKER, 180)
        process.expect('linux-ops: (done|failed)', 180)
        found = re.findall(r'^bench (\S+) (\d+)$', process.console.text(),
                           re.M)
        missing = {n for n, _ in labels} - {n for n, _ in found}
        if missing:
            raise RuntimeError('%s has no figure for %s'
                               % (name, ', '.join(sorted(missing))))
        return {n: int(count) for n, count in found}
    finally:
        process.release()


def bench(out, arch, kernel, smp):
    """False if a guest has failed, which costs its column"""
    init = initramfs(arch)
    append = ' quiet panic=-1'
    more, labels = [], LABELS
    if smp:
        append += ' smp=1'
        more, labels = ['-smp', '2'], SMP_LABELS
    failed = []

    def column(name, machine, options, may_fail=False):
        try:
            return counts('%s-%s' % (name, arch), arch, machine,
                          options + more, labels)
        except Exception as e:
            out('# %s: %s' % (name, e))
            if not may_fail:
                failed.append(name)
            return {}

    ours = column('xenpv-kvm', 'xenpv-kvm', [
        '-m', '256M', '-kernel', kernel, '-initrd', init,
        '-append', 'console=hvc0' + append])
    # A kernel of the user's own need not have drivers for more than Xen
    native = column('microvm', 'microvm,acpi=off', [
        '-L', paths.FIRMWARE, '-m', '256M', '-kernel', kernel,
        '-initrd', init, '-append', 'console=ttyS0 reboot=t' + append],
        kernel != guests.linux('6.1'))
    xen = {}
    if arch == 'x86_64':
        # As for dom0 of tests/guest/bench; of the memory Xen takes its part
        xen = column('xen', 'pc', [
            '-L', paths.FIRMWARE, '-m', '512M',
            '-kernel', paths.asset('xen-4.17-amd64'), '-append',
            'console=com1 dom0=pv dom0_mem=256M dom0_max_vcpus=%d reboot=k,t '
            'loglvl=warning' % (2 if smp else 1), '-initrd',
            '%s console=hvc0%s,%s' % (kernel, append, init)])
    out('instructions per operation %s Linux (%s), %s'
        % ('on another CPU of' if smp else 'inside', os.path.basename(kernel),
           arch))
    out('%-42s %8s %8s %6s %8s %6s' % ('', 'ours', 'Xen', 'ratio', 'native',
                                       'ratio'))
    for name, label in labels:
        cells = ['%8s' % ours.get(name, '-')]
        for other in (xen, native):
            if name in other and name in ours:
                cells.append('%8d %6.2f' % (other[name],
                                            ours[name] / other[name]))
            else:
                cells.append('%8s %6s' % (other.get(name, '-'), '-'))
        out('%-42s %s' % (label, ' '.join(cells)))
    out()
    return not failed


def main(place_for, filters):
    """FILTERs: x86_64, i386, smp; none: all"""
    os.makedirs(paths.result('bench-linux'), exist_ok=True)
    out = Output('bench-linux.txt')
    kernels = [('x86_64', guests.linux('6.1')), ('i386', guests.linux32())]
    kernels = [k for k in kernels if k[0] in filters or
               not {'x86_64', 'i386'} & set(filters)]
    failed = False
    for arch, kernel in kernels:
        for other in (False, True):
            if filters and other != ('smp' in filters):
                continue
            try:
                failed |= not bench(out, arch, kernel, other)
            except Exception as e:
                failed = True
                out('%s failed: %s' % (arch, e))
    return 1 if failed else 0
