# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where things are.

XENPV_BUILD    QEMU's build directory, instead of build/
XENPV_RESULTS  where results and logs go, instead of build/results/
XENPV_ASSETS   real guests and firmware as scripts/assets lays them out,
               instead of .cache/assets/
XENPV_OUTER    a qemu-system-x86_64 with -M microvm for the outer machine of the
               nested place, instead of the one in build/
XENPV_LINUX32  a 32-bit PV Linux kernel, instead of Ubuntu 18.04's 5.4
XENPV_INITRD32 its own initramfs, whose shell must be on the console and read
               /dev/console or hvc0. ways-in/story takes only the kernel,
               which needs the front ends and ext4 built in.
XENPV_CONSOLE32  its console's name: hvc0 (the default), or xvc0 for a Linux of
               Xen's own
"""

import glob
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.path.abspath(os.environ.get('XENPV_BUILD')
                        or os.path.join(TOP, 'build'))
ASSETS = os.path.abspath(os.environ.get('XENPV_ASSETS')
                         or os.path.join(TOP, '.cache', 'assets'))
RESULTS = os.path.abspath(os.environ.get('XENPV_RESULTS')
                          or os.path.join(TOP, 'build', 'results'))
GUESTS = os.path.join(TOP, 'build', 'guest')
FIRMWARE = os.path.join(ASSETS, 'firmware')

LINUX32 = (os.environ.get('XENPV_LINUX32')
           or os.path.join(ASSETS, 'vmlinuz-5.4-i386'))
INITRD32 = (os.environ.get('XENPV_INITRD32')
            or os.path.join(ASSETS, 'initrd-i386.gz'))
CONSOLE32 = os.environ.get('XENPV_CONSOLE32', 'hvc0')


class Missing(Exception):
    """Something that a test needs is not there; the text says how to get it"""


def need(path, how):
    """PATH, if it is there; else the test fails with the command HOW"""
    if not os.path.exists(path):
        raise Missing('%s is missing: run %s' % (os.path.relpath(path, TOP),
                                                 how))
    return path


def qemu(arch):
    return need(os.path.join(BUILD, 'qemu-system-' + arch), 'make')


def outer_qemu():
    return os.environ.get('XENPV_OUTER') or qemu('x86_64')


def asset(name, named=None):
    """NAMED: what scripts/assets is to be told, if it is not among all"""
    return need(os.path.join(ASSETS, name),
                'scripts/assets' + (' ' + named if named else ''))


def has_libvirt(name):
    """The libvirts of scripts/assets have the libraries of this machine's
    Debian, which the emulator needs; Debian 13 has none that is 9"""
    with open('/etc/os-release') as f:
        return name != 'libvirt-9' or 'VERSION_CODENAME=trixie\n' not in f


def monitors():
    """The monitor's images, as far as they are built"""
    return sorted(glob.glob(os.path.join(BUILD, 'pc-bios', 'xenpv', '*.bin')))


def result(name):
    """The path of a file under RESULTS, whose directory is made"""
    path = os.path.join(RESULTS, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path
