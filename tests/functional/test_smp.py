# SPDX-License-Identifier: GPL-2.0-or-later
"""Several vCPUs, in a Linux that uses all of them"""

from xenpv.testcase import LinuxTest, only

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

    def plug(self, guest, number):
        """Plug that vCPU, as management software does"""
        cpus = guest.qmp.command('query-hotpluggable-cpus')
        cpu = next(c for c in cpus if c['props']['core-id'] == number)
        self.assertNotIn('qom-path', cpu)
        guest.qmp.command('device_add', driver=cpu['type'],
                          id='cpu%d' % number, **cpu['props'])

    def wait_cpus(self, guest, present, online):
        """As the guest sees them, and QMP"""
        self.check(guest, 'until [ $(cat %s/present) = %s ] && [ $(nproc) = %d ];'
                   ' do usleep 50000; done' % (CPU, present, online), timeout=60)

    def shown(self, guest):
        return len(guest.qmp.command('query-cpus-fast'))

    @only('functional')
    def test_plug(self):
        """A vCPU that is plugged does not come up, or the guest does not let go
        of one that is to be unplugged, or a move takes it away"""
        options = ['-smp', '1,maxcpus=3']
        guest = self.boot(*options)
        # All are brought up at first, as under Xen
        self.wait_cpus(guest, '0', 1)
        self.assertEqual(self.shown(guest), 1)
        self.plug(guest, 2)
        self.check(guest, 'until [ -e %s/cpu2/online ]; do usleep 50000; done; '
                   'echo 1 > %s/cpu2/online' % (CPU, CPU), timeout=60)
        self.wait_cpus(guest, '0,2', 2)
        self.assertEqual(self.shown(guest), 2)
        self.check(guest, 'taskset -p 4 $$ > /dev/null; seq 5000 | sort -rn | '
                   'tail -n 1; taskset -p 7 $$ > /dev/null', r'^1$')

        path = self.state_file()
        guest.qmp.command('migrate', uri='file:' + path)
        guest.wait_event('STOP')
        self.wait_status(guest, 'query-migrate', 'completed')
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        # Without what was plugged it is refused, in words
        incoming = [*self.linux_options(), *options, '-incoming', 'file:' + path]
        target = self.start(*incoming)
        self.assert_status(target, 1)
        self.assertIn('has vCPU 2 plugged, and this machine has it not',
                      target.stderr())
        guest = self.start(*incoming, '-device', 'xenpv-vcpu,id=cpu2,'
                           'socket-id=0,core-id=2,thread-id=0')
        self.wait_status(guest, 'query-status', 'running')
        self.wait_cpus(guest, '0,2', 2)

        guest.qmp.command('device_del', id='cpu2')
        self.assertEqual(guest.wait_event('DEVICE_DELETED').get('device'), 'cpu2')
        self.wait_cpus(guest, '0', 1)
        self.assertEqual(self.shown(guest), 1)
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
