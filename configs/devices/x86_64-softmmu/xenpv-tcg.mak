# SPDX-License-Identifier: GPL-2.0-or-later
#
# The xenpv-kvm machine, for builds that only test it, where there is no KVM. What
# it uses of other machines is built where those are.
CONFIG_XENPV_KVM=y
CONFIG_MICROVM=y
# What libvirt asks for, whose place xenpv-standins.c takes
CONFIG_PCI_BRIDGE=y
CONFIG_VIRTIO_BALLOON=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
CONFIG_VIRTIO_PCI=y
