# The same with KVM, which Xen's emulation in QEMU needs
include xenpv-tcg.mak
CONFIG_XEN_EMU=y
