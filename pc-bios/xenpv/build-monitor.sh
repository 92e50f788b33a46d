#!/bin/sh
# Compiles and links one width of the monitor.
#
# build-monitor.sh WIDTH OUTPUT WORKDIR SRCDIR INCLUDEDIR SOURCE... -- CC...
#
# SPDX-License-Identifier: GPL-2.0-or-later
set -e
width=$1 output=$2 work=$3 src=$4 include=$5
shift 5
sources=
while [ "$1" != -- ]; do
    sources="$sources $1"
    shift
done
shift

if [ "$width" = i386 ]; then
    # A handler's arguments are the guest's saved registers: it may change its
    # own, but a sibling call would reuse the room of all. As the guest's
    # are all saved at entry, no function need preserve any (but ebp, which
    # the compiler does not let go).
    arch="-m32 -march=i686 -fno-optimize-sibling-calls
          -mpreferred-stack-boundary=2 -fcall-used-ebx -fcall-used-esi
          -fcall-used-edi"
    emulation=elf_i386 base=0xf7800000 pic=-fno-pic
else
    arch="-m64 -march=x86-64" emulation=elf_x86_64 base=0xffff808000000000
    pic="-fPIC -fvisibility=hidden"
fi
flags="$arch $pic -std=gnu11 -O2 -g -Wall -Werror -ffreestanding -fno-builtin-printf
    -fno-stack-protector -fno-asynchronous-unwind-tables -fomit-frame-pointer
    -fcf-protection=none -mno-red-zone -mgeneral-regs-only -fno-jump-tables
    -fno-strict-aliasing -I$src -I$include"

mkdir -p "$work"
objects=
for source in $sources; do
    object=$work/$(basename "$source").o
    case $source in
    *.S) asm=-D__ASSEMBLY__ ;;
    *) asm= ;;
    esac
    "$@" $flags $asm -c -o "$object" "$source"
    objects="$objects $object"
done
"$@" -E -P -xc -DCORE_VIRT=$base "$src/xenpv.lds" -o "$work/xenpv.lds"
# These belong to the compiler, which may be one for another machine than this
ld=$("$@" -print-prog-name=ld)
objdump=$("$@" -print-prog-name=objdump)
objcopy=$("$@" -print-prog-name=objcopy)
"$ld" -m $emulation -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
    -T "$work/xenpv.lds" -o "$output.elf" $objects
# See dispatch.S. There is none that would have to be one, and so no thunks
if "$objdump" -d "$output.elf" | grep -E '\b(call|jmp) +\*'; then
    echo "$output: ring 0 has indirect branches" >&2
    exit 1
fi
"$objcopy" -O binary "$output.elf" "$output"
