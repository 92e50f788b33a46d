# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Linux kernels, to a shell on hvc0 and to all of their ends"""

import hashlib
import re
import time

from xenpv.testcase import Linux32Test, LinuxTest, only


class LinuxEnds(LinuxTest):
    """How a guest comes up and ends, for each kernel"""

    @only('functional', 'kvm', 'vmx')
    def test_poweroff(self):
        """A PV Linux no longer boots to a shell that can be typed at, or
        powering it off no longer ends QEMU as an orderly shutdown"""
        guest = self.boot()
        self.check(guest, 'uname -r', r'^%s\.' % re.escape(self.series))
        self.check(guest, 'cat /sys/hypervisor/type', '^xen$')
        self.check(guest, 'cat /sys/hypervisor/guest_type', '^PV$')
        self.check(guest, 'cat /sys/class/tty/console/active', r'\bhvc0$')
        guest.type('poweroff -f\n')
        event = guest.wait_event('SHUTDOWN')
        self.assertEqual((event['guest'], event['reason']),
                         (True, 'guest-shutdown'))
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')

    def test_reboot(self):
        """A guest that reboots does not come up again, or QEMU does not tell
        about the reset"""
        guest = self.boot()
        self.check(guest, 'echo kept > /tmp/file')
        guest.type('reboot -f\n')
        event = guest.wait_event('RESET')
        self.assertEqual((event['guest'], event['reason']),
                         (True, 'guest-reset'))
        self.wait_for_shell(guest)
        self.check(guest, '[ ! -e /tmp/file ]')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    def test_no_reboot(self):
        """-no-reboot does not turn a guest's reboot into the end of QEMU"""
        guest = self.boot('-no-reboot')
        guest.type('reboot -f\n')
        event = guest.wait_event('SHUTDOWN')
        self.assertEqual((event['guest'], event['reason']),
                         (True, 'guest-reset'))
        self.assert_status(guest, 0)

    def test_panic(self):
        """A guest that panics hangs, or QEMU's users are not told about it"""
        guest = self.boot('-action', 'panic=exit-failure')
        guest.type('echo c > /proc/sysrq-trigger\n')
        event = guest.wait_event('GUEST_PANICKED')
        self.assertEqual(event['action'], 'poweroff')
        self.assert_status(guest, 1)
        # In words, or by where it was
        self.assertRegex(guest.console.text(),
                         'sysrq(_handle_| triggered )crash')


class Linux612(LinuxEnds):
    label = 'linux-6.12'
    series = '6.12'
    without = {'test_no_reboot': ('kvm',), 'test_reboot': ('kvm',),
               'test_panic': ('kvm',), 'test_poweroff': ('vmx',)}


class Linux61(LinuxEnds):
    label = 'linux-6.1'
    series = '6.1'
    wrong = 'BUG:|Oops|general protection|WARNING:'

    def test_user_space(self):
        """Processes of a PV Linux lose memory, registers or signals: paging,
        traps or the FPU switch are wrong, though the kernel itself boots"""
        guest = self.boot()
        # Thousands of address spaces made and torn down, copy on write
        self.check(guest, 'i=0; while [ $i -lt 200 ]; do '
                   'x=$(echo $i | sed s/^/n/); [ $x = n$i ] || break; '
                   'i=$((i + 1)); done; echo $i', '^200$', 120)
        # Much memory, written, read back by another process
        self.check(guest, 'dd if=/dev/urandom of=/tmp/a bs=1M count=16 '
                   '2>/dev/null; cp /tmp/a /tmp/b; '
                   '[ "$(md5sum < /tmp/a)" = "$(md5sum < /tmp/b)" ]',
                   timeout=120)
        # The FPU's registers belong to each process
        self.check(guest, 'for n in 1 2 3; do awk -v n=$n \'BEGIN { '
                   'for (i = 0; i < 20000; i++) s += n / 4 * 1.5; '
                   'printf "%d\\n", s * 8 }\' > /tmp/fpu$n & done; wait; '
                   'cat /tmp/fpu1 /tmp/fpu2 /tmp/fpu3',
                   r'^60000\n120000\n180000$', 120)
        # A program that has just begun, and waits while no other runs, has its
        # kernel's tables: its system calls leave the TLB as it is
        if self.part == 'functional':
            self.check(guest, 'ifconfig lo up')
            before = self.tlb_flushes(guest)
            self.check(guest, 'ping -A -q -c 1000 -w 60 127.0.0.1',
                       '1000 packets received', 70)
            self.assertLess(self.tlb_flushes(guest) - before, 20000)
        # A fault that the kernel has to send on as a signal (139 = SIGSEGV)
        self.check(guest, 'sleep 100 & kill -SEGV $!; wait $!; echo $?',
                   r'139\s*$')
        self.check(guest, 'dmesg | grep -iE "%s" | head -n 3' % self.wrong, r'^$')

    @staticmethod
    def tlb_flushes(guest):
        """TCG's count, of each kind of access that has a TLB"""
        told = guest.qmp.command('human-monitor-command',
                                 **{'command-line': 'info jit'})
        return sum(int(n) for n in re.findall(r'TLB (?:full|partial|elided) '
                                              r'flushes +(\d+)', told))

    def test_console_transfer(self):
        """The console loses, doubles or reorders bytes when much goes through
        it at once, in one direction or the other"""
        guest = self.boot()
        output = self.check(guest, 'seq 1 4000', timeout=90)
        self.assertEqual(output.split(), [str(n) for n in range(1, 4001)])
        # More than the input ring's 1024 bytes, while nobody reads: the tty
        # is raw, so its own limit of 4095 bytes a line does not matter.
        lines = ''.join('line %06d\n' % n for n in range(900))
        guest.type('stty raw -echo; sleep 1; echo @GO@ | tr G g; '
                   'head -c %d > /tmp/in; stty sane; md5sum < /tmp/in\n'
                   % len(lines))
        guest.expect('@gO@', 30)
        guest.type(lines)
        guest.expect(hashlib.md5(lines.encode()).hexdigest(), 60)

    def test_time(self):
        """The guest's clock stands still, jumps, or runs at another speed than
        real time, or its wall clock is wrong"""
        guest = self.boot()
        self.check(guest,
                   'cat /sys/devices/system/clocksource/clocksource0/'
                   'current_clocksource', '^xen$')
        wall = int(self.check(guest, 'date -u +%s', r'^\d+$'))
        self.assertLess(abs(wall - time.time()), 30, 'wall clock')
        begin = time.monotonic()
        a = float(self.check(guest, 'cut -d " " -f 1 /proc/uptime'))
        self.check(guest, 'sleep 4')
        b = float(self.check(guest, 'cut -d " " -f 1 /proc/uptime'))
        real = time.monotonic() - begin
        self.assertGreaterEqual(b - a, 3.9)
        self.assertLessEqual(b - a, real + 0.5)

    @only('functional')
    def test_speculation(self):
        """A kernel does not find what bounds speculation, of a CPU that has it,
        and leaves one program's predictions to the next"""
        guest = self.boot('-cpu', 'max,x-force-features=on,'
                          'vendor=GenuineIntel,spec-ctrl=on,stibp=on,ssbd=on,'
                          'arch-capabilities=on,md-clear=on')
        self.check(guest, 'grep -m1 ^flags /proc/cpuinfo | tr " " "\\n" | '
                   'grep -xE "ibrs|ibpb|stibp|ssbd|arch_capabilities|md_clear" '
                   '| sort | tr "\\n" " "',
                   '^arch_capabilities ibpb ibrs md_clear ssbd stibp')
        for name, state in (('spectre_v2', 'IBPB: conditional'),
                            ('spec_store_bypass', 'via prctl'),
                            ('mds', 'Clear CPU buffers')):
            self.check(guest, 'cat /sys/devices/system/cpu/vulnerabilities/'
                       + name, state)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

    @only('functional')
    def test_panic_pause(self):
        """-action panic=pause does not keep a panicked guest for a debugger"""
        guest = self.boot('-action', 'panic=pause')
        guest.type('echo c > /proc/sysrq-trigger\n')
        event = guest.wait_event('GUEST_PANICKED')
        self.assertEqual(event['action'], 'pause')
        self.assertEqual(guest.qmp.command('query-status')['status'],
                         'guest-panicked')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)


class LinuxMemory(LinuxTest):
    """-m: each size is a layout of its own"""
    label = 'linux-memory'
    parts = ('functional',)

    def boot_with(self, memory, least_mib):
        self.memory = memory
        guest = self.boot()
        total = self.check(guest, 'awk \'/^MemTotal/ { print $2 }\' '
                           '/proc/meminfo', r'^\d+$')
        self.assertGreater(int(total), least_mib * 1024)
        # All of it belongs to the guest: fill most of what is free
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_small(self):
        """128 MiB are no longer enough for a kernel which Xen can run in it"""
        self.boot_with('128M', 60)

    def test_above_4g(self):
        """RAM above 4 GiB, behind the hole, is not there or is used wrongly"""
        self.boot_with('5G', 4700)


class Linux32(Linux32Test, Linux61):
    """A 32-bit one does the same"""
    label = 'linux-32'
    # Which needs a kernel that knows of it
    without = {'test_speculation': ('functional',)}
    # 5.4 maps shared_info so that it could be executed, and warns of that; here it
    # also says how many such pages it has found
    wrong = 'BUG:|Oops|general protection|FAILED, ([2-9]|1.) W.X pages'

    @only('functional', 'kvm', 'vmx')
    def test_poweroff(self):
        """A 32-bit PV Linux no longer boots to a shell or powers off"""
        guest = self.boot()
        self.check(guest, 'uname -a')
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)
