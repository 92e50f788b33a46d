# SPDX-License-Identifier: GPL-2.0-or-later
"""Several vCPUs, in a Linux that uses all of them"""

from xenpv.testcase import LinuxTest

CPU = '/sys/devices/system/cpu'


class Smp(LinuxTest):
    label = 'smp'
    series = '6.1'
    vcpus = 4
    memory = '320M'

    def boot_smp(self):
        # Real KVM is nested under TCG, where fewer are enough of a load
        vcpus = self.vcpus if self.part == 'functional' else 2
        guest = self.boot('-smp', str(vcpus))
        # The kernel tells of each vCPU that comes and goes
        self.check(guest, 'dmesg -n 1')
        self.check(guest, 'nproc', '^%d$' % vcpus)
        return guest, vcpus

    def no_complaints(self, guest):
        self.check(guest, 'dmesg | grep -E "BUG|WARNING|Oops|lockup|'
                   'rcu.*stall|Call Trace|clocksource.*unstable" | head -n 3',
                   r'^$')

    def test_load(self):
        """Processes on several vCPUs lose memory or hang: TLB flushes, IPIs or
        page-table counts are wrong between vCPUs"""
        guest, vcpus = self.boot_smp()
        # Each makes and tears down address spaces, and they share pipes
        self.check(guest, 'for c in $(seq %d); do (i=0; '
                   'while [ $i -lt 60 ]; do x=$(seq 50 | sort -rn | tail -n 1);'
                   ' [ "$x" = 1 ] || echo wrong; i=$((i + 1)); done) & done; '
                   'wait; echo' % (2 * vcpus), r'^$', 200)
        self.check(guest, 'for c in $(seq %d); do (dd if=/dev/urandom '
                   'of=/tmp/a$c bs=64k count=64 2>/dev/null; cp /tmp/a$c '
                   '/tmp/b$c; cmp /tmp/a$c /tmp/b$c; rm /tmp/[ab]$c) & done; '
                   'wait; echo' % vcpus, r'^$', 200)
        # All of them took part
        used = self.check(guest, "awk '/timer/ { for (i = 2; i <= %d; i++) "
                          "n[i] += $i } END { for (i in n) c += n[i] > 20; "
                          "print c }' /proc/interrupts" % (vcpus + 1))
        self.assertEqual(int(used), vcpus)
        self.no_complaints(guest)
        guest.type('poweroff -f\n')
        self.assert_status(guest, 0)

    def test_hotplug(self):
        """A vCPU that is taken offline does not stop, or does not come back"""
        guest, vcpus = self.boot_smp()
        self.check(guest, 'n=0; while [ $n -lt 10 ]; do '
                   'for c in %s/cpu[1-9]*; do echo 0 > $c/online; done; '
                   '[ $(nproc) = 1 ] || echo up; '
                   'for c in %s/cpu[1-9]*; do echo 1 > $c/online; done; '
                   '[ $(nproc) = %d ] || echo down; n=$((n + 1)); done'
                   % (CPU, CPU, vcpus), r'^$', 200)
        self.no_complaints(guest)

    def test_time(self):
        """The clocks of vCPUs disagree, so that time goes back when a process
        moves"""
        guest, vcpus = self.boot_smp()
        self.check(guest, 'last=0; n=0; while [ $n -lt 60 ]; do '
                   'read -r now x < /proc/uptime; now=${now%%.*}${now#*.}; '
                   '[ $now -ge $last ] || echo back; last=$now; '
                   'n=$((n + 1)); taskset -p $((1 << n %% %d)) $$ > /dev/null; '
                   'done' % vcpus, r'^$', 120)
        self.check(guest, 'cat /sys/devices/system/clocksource/clocksource0/'
                   'current_clocksource', '^xen$')
        self.no_complaints(guest)

    def test_reset(self):
        """A reset while several vCPUs run leaves one of them behind, or an
        interrupt of a local APIC in service, which then takes no more"""
        guest, vcpus = self.boot_smp()
        guest.type('while :; do :; done & while :; do :; done &\n')
        guest.qmp.command('stop')
        guest.qmp.command('system_reset')
        guest.wait_event('RESET')
        for cpu in range(vcpus):
            state = guest.qmp.command(
                'human-monitor-command',
                **{'command-line': 'info lapic %d' % cpu})
            self.assertRegex(state, r'initial_count = 0\b', state)
            self.assertRegex(state, r'ISR\s+\(none\)', state)
        guest.qmp.command('cont')
        self.wait_for_shell(guest)
        self.check(guest, 'nproc', '^%d$' % vcpus)
