# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user may get wrong on the command line, and -machine's help"""

from xenpv.place import Host
from xenpv.testcase import GuestTest, guests, only, paths


class CommandLine(GuestTest):
    label = 'command-line'
    parts = ('functional',)

    def file(self, name, data=b'', size=None):
        """Make a file; SIZE may be more than its data, with a hole"""
        path = paths.result('functional/' + name)
        with open(path, 'wb') as f:
            f.write(data)
            if size:
                f.truncate(size)
        return path

    def refused(self, *options, says, arch='x86_64', memory='128M'):
        """QEMU must say in one line what is wrong, and exit with 1"""
        status, output = self.run_qemu('-m', memory, *options, arch=arch,
                                       timeout=30)
        self.assertEqual(status, 1, 'exit status; it said: %r' % output)
        lines = output.splitlines()
        self.assertEqual(len(lines), 1, 'one line, not: %r' % output)
        self.assertTrue(lines[0].startswith('qemu-system-'), lines[0])
        self.assertRegex(lines[0], '(?i)' + says)

    def test_no_kernel(self):
        """Without -kernel there is no hint that one is needed"""
        self.refused(says='-kernel')

    def test_kernel_missing(self):
        """A mistyped -kernel is not named in the error"""
        self.refused('-kernel', '/nonexistent/vmlinuz',
                     says='/nonexistent/vmlinuz.*no such file')

    def test_kernel_empty(self):
        """An empty file as -kernel is taken for a kernel"""
        self.refused('-kernel', self.file('empty'), says='empty|kernel')

    def test_kernel_not_a_kernel(self):
        """A text file as -kernel is taken for a kernel"""
        self.refused('-kernel', self.file('text', b'not a kernel\n' * 1000),
                     says='text.*kernel|kernel.*text')

    def test_kernel_not_pv(self):
        """A program which is ELF, but no PV kernel, is started"""
        self.refused('-kernel', paths.asset('busybox'), says='busybox.*(xen|pv)')

    def test_kernel_truncated(self):
        """A half-downloaded kernel crashes QEMU or starts"""
        with open(guests.linux('6.1'), 'rb') as f:
            data = f.read()
        self.refused('-kernel', self.file('truncated', data[:len(data) // 2]),
                     says='truncated')

    def test_kernel_damaged(self):
        """A kernel whose compressed data is damaged crashes QEMU or starts"""
        with open(guests.linux('6.1'), 'rb') as f:
            data = bytearray(f.read())
        middle = len(data) // 2
        data[middle:middle + 64] = bytes(64)
        self.refused('-kernel', self.file('damaged', data), says='damaged')

    def test_64_bit_on_i386(self):
        """A 64-bit kernel on qemu-system-i386 is not refused with the reason"""
        self.refused('-kernel', guests.linux('6.1'), arch='i386',
                     says='64-bit|x86_64')

    def test_32_bit_without_pae(self):
        """A 32-bit kernel without PAE, as those of Xen 3.0's two-level tables,
        starts and dies, or is refused without the reason"""
        note = b'\x0c\0\0\0\x09\0\0\0Xen\0'       # 12 bytes of PAE_MODE
        with open(guests.grub('i386'), 'rb') as f:
            data = f.read()
        self.assertIn(note + b'yes\0', data)
        kernel = self.file('without-pae',
                           data.replace(note + b'yes\0', note + b'no\0\0'))
        for arch in ('i386', 'x86_64'):
            self.refused('-kernel', kernel, arch=arch,
                         says='-kernel .*without-pae.*32-bit.*without PAE')

    def test_initrd_missing(self):
        """A mistyped -initrd is not named in the error"""
        self.refused('-kernel', guests.linux('6.1'), '-initrd', '/nonexistent/i',
                     says='/nonexistent/i.*no such file')

    def test_initrd_too_big(self):
        """An initrd that does not fit into the guest's memory overwrites
        something, or is refused without a reason"""
        big = self.file('big', size=200 << 20)
        self.refused('-kernel', guests.linux('6.1'), '-initrd', big,
                     says='initrd|memory|-m')

    def test_kernel_too_big_for_memory(self):
        """A kernel that does not fit into the guest's memory is loaded over
        its end"""
        self.refused('-kernel', guests.linux('6.1'), memory='32M',
                     says='-m|memory|ram')

    def test_memory_too_small(self):
        """Less memory than the machine can work with is accepted"""
        self.refused('-kernel', guests.grub('x86_64'), memory='4M',
                     says='memory|ram|-m')

    def test_maxmem(self):
        """maxmem= that the guest could never have is accepted"""
        kernel = ['-kernel', guests.grub('x86_64')]
        self.refused(*kernel, memory='64M,slots=2,maxmem=128M',
                     says='-m: slots=')
        self.refused(*kernel, memory='64M,maxmem=1025G', says='512 GiB')
        self.refused('-kernel', guests.grub('i386'), memory='64M,maxmem=17G',
                     says='16 GiB')
        self.refused(*kernel, '-object', 'memory-backend-ram,id=r,size=64M',
                     '-machine', 'memory-backend=r', memory='64M,maxmem=128M',
                     says='memory-backend=.*maxmem=')

    def test_own_devices(self):
        """A device of this machine's that cannot be is made, or is refused
        without the reason"""
        kernel = ['-kernel', guests.grub('x86_64'), '-smp', '1,maxcpus=2']
        self.refused(*kernel, '-device', 'xenpv-vcpu,core-id=7',
                     says='query-hotpluggable-cpus')
        self.refused(*kernel, '-device',
                     'xenpv-vcpu,socket-id=0,core-id=0,thread-id=0',
                     says='CPU 0 is there already')
        self.refused('-device', 'xenpv-vcpu', '-machine', 'none',
                     says='only -M xenpv-kvm')
        self.refused(*kernel, '-device', 'xenpv-xenstore-socket', says='path=')
        self.refused(*kernel, '-device',
                     'xenpv-xenstore-socket,path=/nonexistent/s',
                     says='path=.*/nonexistent/s')
        self.refused('-device', 'xenpv-xenstore-socket,path=s', '-machine',
                     'none', says='only -M xenpv-kvm')

    @only('functional', 'kvm')
    def test_cpus(self):
        """A CPU that lacks what the guest or the monitor runs with is taken, or
        QEMU crashes where it takes apart a vCPU of KVM's that it refuses"""
        self.refused('-kernel', self.place.file(guests.grub('x86_64')),
                     '-cpu', 'max,-lm', says='-cpu: a 64-bit guest .* lm')
        for feature in ('apic', 'pae', 'cx8', 'cmov'):
            self.refused('-kernel', self.place.file(guests.grub('i386')),
                         '-cpu', 'max,-' + feature,
                         says='-cpu: .* with ' + feature)

    @only('kvm')
    def test_irqchip(self):
        """A KVM without a local APIC is taken, and its vCPUs do not start"""
        self.refused('-kernel', self.place.file(guests.grub('i386')),
                     '-machine', 'kernel-irqchip=off',
                     says='kernel-irqchip=split')

    def test_smp(self):
        """More processors than the machine has are accepted"""
        self.refused('-kernel', guests.grub('x86_64'), '-smp', '65',
                     says='cpu')
        self.refused('-kernel', guests.grub('i386'), '-smp', '65',
                     says='cpu')

    def test_command_line_too_long(self):
        """An -append longer than start_info has room for is cut off silently"""
        self.refused('-kernel', guests.linux('6.1'), '-append', 'x' * 2000,
                     says='-append|command line')

    def test_machine_help(self):
        """A property of the machine is not described in -machine's help"""
        # Options come after -M, which is the last that counts
        for arch in ('i386', 'x86_64'):
            status, output = self.run_qemu('-machine', 'xenpv-kvm,help',
                                           arch=arch, timeout=30)
            self.assertEqual(status, 0, output)
            for line in output.splitlines():
                if line.strip() and not line.startswith('xenpv-kvm'):
                    self.assertRegex(line, r'^  \S+=<', arch)
                    self.assertRegex(line, r'\S.* - \S', arch)

    def test_hpet(self):
        """What management software says of each machine, that it has no HPET,
        is refused; or that it has one is not"""
        for arch in ('i386', 'x86_64'):
            status, output = self.run_qemu('-machine', 'hpet=on', arch=arch,
                                           timeout=30)
            self.assertEqual(status, 1, output)
            self.assertIn('hpet: a PV guest has none', output)
            status, output = self.run_qemu('-machine', 'hpet=off,help',
                                           arch=arch, timeout=30)
            self.assertEqual(status, 0, output)

    def test_default_accelerator(self):
        """Without -accel a real KVM is not taken, or TCG is taken without a
        warning"""
        guest = Host(None).start(self.log_name(), 'x86_64', '-m', '64M', '-S',
                                 '-kernel', guests.grub('x86_64'))
        self.processes.append(guest)
        self.addCleanup(guest.release)
        kvm = guest.qmp.command('query-kvm')['enabled']
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(kvm, Host.has_real_kvm())
        if kvm:
            self.assertEqual(guest.stderr(), '')
        else:
            self.assertRegex(guest.stderr(), r'(?i)^[^\n]*tcg[^\n]*\n\Z')
