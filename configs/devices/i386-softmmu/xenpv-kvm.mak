# The xenpv-kvm machine, for builds that only test it. What it uses of other
# machines is built where those are.
CONFIG_XENPV_KVM=y
CONFIG_MICROVM=y
CONFIG_XEN_EMU=y
