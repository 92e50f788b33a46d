# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a real KVM can tell and instruction counts cannot.

exits   VM exits for each operation of tests/guest/bench-ops, from KVM's own
        counters: a kernel does an operation N times, then 2N times; what is
        more is due to it.
boot    from QEMU's start to the guest's init, and QEMU's memory, Linux with the same
        initramfs here and on -M microvm, in pairs, so that a load on this
        machine which comes and goes hits both.

Results go to stdout and build/results/bench-kvm.txt; those of bench-vmx, which has
exits alone, of Intel's KVM, to bench-vmx.txt.
"""

import os
import re
import statistics
import time

from . import guests, paths
from .place import Host

KERNEL = 'bench-ops'
COUNT = 1000
PAIRS = 5

class Output:
    def __init__(self, name):
        self.file = open(paths.result(name), 'w')

    def __call__(self, text=''):
        print(text, flush=True)
        self.file.write(text + '\n')
        self.file.flush()


# --- VM exits ----------------------------------------------------------------

def run_operation(place, arch, path, operation, count):
    """(VM exits, what the kernel printed)"""
    process = place.start('bench-kvm/%s-%s' % (operation, arch), arch,
                          '-m', '128M', '-no-shutdown', '-no-reboot',
                          '-kernel', place.file(path),
                          '-append', 'test=%s op=%s count=%d'
                          % (KERNEL, operation, count))
    try:
        # -no-shutdown keeps QEMU, and with it KVM's counters
        process.wait_event('SHUTDOWN', 60)
        exits = place.exits(process)
        text = process.console.text()
        process.qmp.command('quit')
        process.wait(20)
        return exits, text
    finally:
        process.release()


def operations():
    """The names that bench-ops knows, from its own table"""
    source = os.path.join(paths.TOP, 'tests', 'guest', KERNEL, 'main.c')
    with open(paths.need(source, 'git checkout')) as f:
        return re.findall(r'^\s*\{\s*"([a-z0-9_-]+)"', f.read(), re.M)


def bench_exits(place, out, filters):
    names = [n for n in operations()
             if not filters or any(f in n for f in filters)]
    kernels = {arch: path for name, arch, path in guests.own()
               if name == KERNEL}
    if not kernels:
        raise paths.Missing('no %s in build/guest: run make -C tests/guest'
                            % KERNEL)
    out('VM exits per operation, counted by KVM')
    out('%-36s %10s %10s' % ('operation', 'x86_64', 'i386'))
    for name in names:
        cells = []
        for arch in ('x86_64', 'i386'):
            try:
                once, text = run_operation(place, arch, kernels[arch], name,
                                           COUNT)
                if 'Result: Success' not in text:
                    cells.append('-')
                    continue
                twice, _ = run_operation(place, arch, kernels[arch], name,
                                         2 * COUNT)
                # Timer ticks of the host's kernel are exits, too: a few
                each = (twice - once) / COUNT
                cells.append('%.2f' % max(each, 0))
            except Exception as e:
                cells.append('failed')
                out('# %s on %s: %s' % (name, arch, e))
        out('%-36s %10s %10s' % (name, *cells))
    out()


# --- Start to init -----------------------------------------------------------

def boot(place, machine, console, cpu):
    """Seconds until init, and QEMU's memory at most by then, in MiB"""
    options = ['-m', '512M',
               '-kernel', place.file(guests.linux('6.1')),
               '-initrd', place.file(guests.linux_initramfs()),
               '-append', 'console=%s panic=-1' % console]
    if cpu:
        options += ['-cpu', cpu]
    if machine.startswith('microvm') and isinstance(place, Host):
        options += ['-L', paths.FIRMWARE]
    begin = time.monotonic()
    process = place.start('bench-kvm/boot-' + machine, 'x86_64', *options,
                          machine=machine)
    try:
        process.expect(guests.INIT_MARKER, 120)
        seconds = time.monotonic() - begin
        memory = 0
        if isinstance(place, Host):
            with open('/proc/%d/status' % process.popen.pid) as f:
                memory = int(re.search(r'VmHWM:\s+(\d+)', f.read()).group(1))
        return seconds, memory / 1024
    finally:
        process.release()


def bench_boot(place, out):
    # Under TCG a microvm with ACPI has no timer that Linux can calibrate its
    # clock with: this kind of ACPI tells it not to look for a PIT.
    cpu = 'host' if place.accel == 'kvm' else None
    microvm = 'microvm' if place.accel == 'kvm' else 'microvm,acpi=off'
    pairs = []
    for _ in range(PAIRS):
        pairs.append(tuple(zip(boot(place, 'xenpv-kvm', 'hvc0', cpu),
                               boot(place, microvm, 'ttyS0', cpu))))
    for i, unit in enumerate(('s', 'MiB') if pairs[0][1][0] else ('s',)):
        values = [p[i] for p in pairs]
        ours = statistics.median(v[0] for v in values)
        theirs = statistics.median(v[1] for v in values)
        ratio = statistics.median(v[0] / v[1] for v in values)
        out('%-10s %10.2f %-3s %8.2f %-3s %8.2f   (pairs: %s)'
            % (place.accel, ours, unit, theirs, unit, ratio,
               ', '.join('%.2f/%.2f' % v for v in values)))


def main_vmx(place_for, filters):
    """FILTERs: names of operations"""
    place = place_for('vmx')
    try:
        bench_exits(place, Output('bench-vmx.txt'), filters)
    finally:
        place.close()
    return 0


def main(place_for, filters):
    """FILTERs: boot, exits, or names of operations; none: all"""
    out = Output('bench-kvm.txt')
    failed = False
    what = [f for f in filters if f in ('boot', 'exits')] or ['boot', 'exits']
    filters = [f for f in filters if f not in ('boot', 'exits')]
    if filters:
        what = ['exits']
    kvm = place_for('kvm')
    try:
        if 'boot' in what:
            out("Start to init of Debian's Linux 6.1, and QEMU's resident "
                "memory by then, median of %d pairs" % PAIRS)
            out('%-10s %14s %12s %8s' % ('', 'xenpv-kvm', 'microvm', 'ratio'))
            for place in (Host('tcg'), kvm):
                try:
                    bench_boot(place, out)
                except Exception as e:
                    failed = True
                    out('%-12s failed: %s' % (place.accel, e))
            out()
        if 'exits' in what:
            try:
                bench_exits(kvm, out, filters)
            except Exception as e:
                failed = True
                out('no VM exits: %s' % e)
    finally:
        kvm.close()
    return 1 if failed else 0
