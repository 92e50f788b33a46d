# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the functional tests are written with. Reading order:

paths    where things are: the build, the guests, the results
cpio     writes initramfs images; needs neither root nor the cpio program
guests   the guests which the tests boot, and the initramfs for Linux
channel  a two-way stream with expect-like waiting, and QMP and gdb on top
place    where QEMU runs: this machine under TCG (or its real KVM) ...
nested   ... or Debian's kernel with a real /dev/kvm, itself under TCG
screen   what is to be read in a picture of a text console; VNC
peer     a program that guests talk to over a network
testcase what the tests derive from
report   the lines that tell how a test ended
bench    what only a real KVM can tell: VM exits, start to init
devbench disks and networks next to virtio
"""
