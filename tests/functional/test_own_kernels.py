# SPDX-License-Identifier: GPL-2.0-or-later
"""
The tiny PV kernels of tests/guest under a real KVM.

Under TCG, tests/guest/run runs them. Each prints one "Result: " line, with
Success, Skip, Failure or Error, and powers off.
"""

import re

from xenpv.testcase import Gone, GuestTest, guests

# Not a test, but what bench-kvm runs; and one for a CPU that claims to have what
# it has not, which only TCG's may
NOT_TESTS = ('bench-ops', 'speculation', 'speculation-none')


class OwnKernels(GuestTest):
    label = 'guest'
    parts = ('kvm',)

    def wake_up(self, guest):
        while guest.poll() is None:
            guest.pump(0.2)
            try:
                if guest.qmp.command('query-status')['status'] == 'suspended':
                    guest.qmp.command('system_wakeup')
            except Gone:
                return

    def run_kernel(self, name, arch, path):
        guest = self.start('-m', guests.memory_of(name), '-no-reboot',
                           '-smp', guests.vcpus_of(name),
                           *guests.options_of(name),
                           '-kernel', self.place.file(path),
                           '-append', 'test=' + name, arch=arch)
        if guests.is_woken_up(name):
            self.wake_up(guest)
        status = guest.wait(40)
        text = guest.console.text()
        result = re.search(r'^.*Result: (.*)$', text, re.M)
        self.assertTrue(result, 'no result, QEMU exited with %s' % status)
        verdict = result.group(1).strip()
        if verdict.startswith('Skip'):
            self.skipTest(verdict)
        why = re.search(r'^ *(?:fails|error): *(.*)$', text, re.M)
        self.assertEqual(verdict, 'Success', why and why.group(1))
        self.assertEqual(status, 0, guest.stderr())


def add(name, arch, path):
    def test(self):
        self.run_kernel(name, arch, path)
    test.__doc__ = ('%s, which tests/guest/%s/main.c explains, holds under TCG '
                    'at most' % (name, name))
    setattr(OwnKernels, 'test_%s_%s' % (name.replace('-', '_'), arch), test)


def none(self):
    """The tests of tests/guest do not run under KVM"""
    self.fail('no kernels in build/guest: run make -C tests/guest')


kernels = [k for k in guests.own() if k[0] not in NOT_TESTS]
for kernel in kernels:
    add(*kernel)
if not kernels:
    OwnKernels.test_kernels = none
