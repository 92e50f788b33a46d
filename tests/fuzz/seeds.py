#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
seeds.py DIR: writes a few well-formed inputs of those fuzz targets whose inputs
have a form that a fuzzer would not find soon, each into DIR/TARGET/. They are
where tests/fuzz/corpus began; it is not needed to run the fuzzers. Run in the
top directory once QEMU is built.
"""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
import zlib

TOP = sys.argv[1]


def put(target, name, data):
    path = os.path.join(TOP, target)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), 'wb') as f:
        f.write(data.encode() if isinstance(data, str) else data)


# --- Kernels ----------------------------------------------------------------

def note(kind, desc):
    pad = b'\0' * (-len(desc) % 4)
    return struct.pack('<III', 4, len(desc), kind) + b'Xen\0' + desc + pad


def elf(is_64bit, symbols=False):
    """A kernel of one page at its base, with notes in a segment"""
    base = 0xffffffff80000000 if is_64bit else 0xc0000000
    addr = '<Q' if is_64bit else '<I'
    notes = b''.join(
        [note(6, b'linux\0'), note(5, b'xen-3.0\0'), note(8, b'generic\0'),
         note(3, struct.pack(addr, base)), note(4, struct.pack(addr, 0)),
         note(1, struct.pack(addr, base)), note(9, b'yes\0'),
         note(2, struct.pack(addr, base)), note(16, struct.pack('<I', 1)),
         note(10, b'!writable_page_tables|pae_pgdir_above_4gb\0'),
         note(15, struct.pack(addr, base + 0x40000000)) if is_64bit else
         note(12, struct.pack(addr, 0xf5800000)), note(14, b'\1\0\0\0')] +
        ([note(11, b'yes\0')] if symbols else []))
    text = b'\x90' * 64
    ehsize, phsize, shsize = (64, 56, 64) if is_64bit else (52, 32, 40)
    at = ehsize + 2 * phsize
    strtab = b'\0.symtab\0.strtab\0'
    sym_at = at + len(text) + len(notes)
    sh_at = sym_at + 24 + len(strtab)
    head = b'\x7fELF' + bytes([2 if is_64bit else 1, 1, 1]) + b'\0' * 9
    head += struct.pack('<HHI' + 3 * addr[1] + 'IHHHHHH', 2,
                        62 if is_64bit else 3, 1, base, ehsize, sh_at, 0,
                        ehsize, phsize, 2, shsize, 3 if symbols else 0,
                        2 if symbols else 0)

    def phdr(kind, offset, vaddr, filesz, memsz):
        if is_64bit:
            return struct.pack('<IIQQQQQQ', kind, 7, offset, vaddr,
                               vaddr - base if vaddr else 0, filesz, memsz, 4096)
        return struct.pack('<IIIIIIII', kind, offset, vaddr,
                           vaddr - base if vaddr else 0, filesz, memsz, 7, 4096)

    def shdr(name, kind, offset, size, link, entsize):
        if is_64bit:
            return struct.pack('<IIQQQQIIQQ', name, kind, 0, 0, offset, size,
                               link, 0, 1, entsize)
        return struct.pack('<IIIIIIIIII', name, kind, 0, 0, offset, size, link,
                           0, 1, entsize)

    data = head + phdr(1, at, base, len(text), 4096)
    data += phdr(4, at + len(text), 0, len(notes), len(notes))
    data += text + notes + b'\1' * 24 + strtab
    if symbols:
        data += shdr(0, 0, 0, 0, 0, 0) + shdr(1, 2, sym_at, 24, 2, 24)
        data += shdr(9, 3, sym_at + 24, len(strtab), 0, 0)
    return data


def bzimage(payload):
    head = bytearray(2048)
    head[0x1f1] = 1
    head[0x1fe:0x200] = b'\x55\xaa'
    head[0x202:0x206] = b'HdrS'
    struct.pack_into('<H', head, 0x206, 0x209)
    struct.pack_into('<II', head, 0x248, 1024, len(payload))
    return bytes(head) + payload


config = struct.pack('<HHHB', 600, 0, 5000, 1)
config_hole = struct.pack('<HHHB', 600, 100, 0, 1)
for width in (32, 64):
    image = elf(width == 64)
    put('kernel', 'elf%u' % width, config + image)
    put('kernel', 'elf%u-hole' % width, config_hole + image)
    put('kernel', 'elf%u-symbols' % width, config + elf(width == 64, True))
    put('kernel', 'elf%u-gzip' % width, config + gzip.compress(image, mtime=0))
    put('kernel', 'bzimage%u' % width,
        config + bzimage(gzip.compress(image, mtime=0)))
for tool in (['xz', '--check=crc32'], ['bzip2'], ['lzma'], ['zstd'],
             ['lz4', '-l'], ['lz4'], ['lzop']):
    try:
        out = subprocess.run(tool + ['-c'], input=elf(True), check=True,
                             stdout=subprocess.PIPE).stdout
        put('kernel', ''.join(tool).replace('--check=crc32', ''), config + out)
    except (OSError, subprocess.CalledProcessError):
        print('no ' + tool[0])


def elf_guest_info():
    """A kernel of before the notes: a section has what they say, as text"""
    base = 0xc0000000
    info = (b'GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,'
            b'VIRT_ENTRY=0xC0000000,ELF_PADDR_OFFSET=0x0,HYPERCALL_PAGE=0x0,'
            b'FEATURES=writable_page_tables|pae_pgdir_above_4gb,'
            b'PAE=yes[extended-cr3],BSD_SYMTAB=yes,LOADER=generic\0')
    names = b'\0__xen_guest\0.shstrtab\0'
    at = 52 + 32
    head = b'\x7fELF\1\1\1' + b'\0' * 9
    head += struct.pack('<HHIIIIIHHHHHH', 2, 3, 1, base, 52,
                        at + 64 + len(info) + len(names), 0, 52, 32, 1, 40, 3, 2)
    head += struct.pack('<IIIIIIII', 1, at, base, 0, 64, 4096, 7, 4096)
    return (head + b'\x90' * 64 + info + names + bytes(40) +
            struct.pack('<IIIIIIIIII', 1, 1, 0, 0, at + 64, len(info), 0, 0, 1, 0) +
            struct.pack('<IIIIIIIIII', 13, 3, 0, 0, at + 64 + len(info),
                        len(names), 0, 0, 1, 0))


put('kernel', 'guest-info', config + elf_guest_info())

# --- GRUB's memory disk -----------------------------------------------------

tar = bytearray(512)
tar[0:8] = b'grub.cfg'
tar[124:135] = b'%011o' % 100
tar[257:262] = b'ustar'
put('grub', 'tar', struct.pack('<H', 90) + b'image' + bytes(tar) +
    b'search\n'.ljust(512, b'#') + bytes(2048))

# --- Disks ------------------------------------------------------------------


def pieces(disk):
    """The form of the target "disk": what is not zeros"""
    out = struct.pack('<H', len(disk) // 512)
    i = 0
    while i < len(disk):
        if not disk[i]:
            i += 1
            continue
        end = i
        while end < len(disk) and any(disk[end:end + 16]):
            end += 16
        out += struct.pack('<IH', i, min(end, len(disk)) - i)[:3]
        out += struct.pack('<H', min(end, len(disk)) - i) + disk[i:end]
        i = end
    return out


def ext2(args):
    with tempfile.TemporaryDirectory() as d:
        root = os.path.join(d, 'root')
        for name, text in (
                ('etc/fstab', '/dev/sda1 / ext3 defaults 0 1\n'),
                ('etc/inittab', 'co:2345:respawn:/sbin/getty xvc0 9600\n'),
                ('boot/grub/menu.lst', 'default 0\ntitle x\nroot (hd0,0)\n'
                 'kernel /boot/vmlinuz root=/dev/sda1\ninitrd /boot/initrd\n'),
                ('boot/grub/grub.cfg', 'menuentry x {\nlinux /boot/vmlinuz '
                 'root=/dev/xvda1\ninitrd /boot/initrd\n}\n'),
                ('boot/vmlinuz', 'MZ'), ('boot/initrd', '070701')):
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='ascii') as f:
                f.write(text)
        image = os.path.join(d, 'image')
        subprocess.run(['mke2fs', '-q', '-b', '1024', '-N', '24', '-m', '0',
                        '-E', 'root_owner=0:0,hash_seed=' + 8 * '0' + '-0000-0000-0000-' + 12 * '0',
                        '-U', 'clear', '-d', root] + args + [image, '96'],
                       check=True)
        with open(image, 'rb') as f:
            return f.read()


def crc(data):
    return ~zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) & 0xffffffff


LVM_TEXT = '''vg0 {
id = "x"
status = ["READ", "WRITE"]
extent_size = 64
physical_volumes {
pv0 { id = "abcdef-ghij-klmn-opqr-stuv-wxyz-ABCDEF"
pe_start = 64
pe_count = 8 } }
logical_volumes {
root { segment_count = 2
segment1 { start_extent = 0
extent_count = 3
type = "striped"
stripe_count = 1
stripes = [ "pv0", 1 ] }
segment2 { start_extent = 3
extent_count = 1
type = "linear"
stripe_count = 1
stripes = [ "pv0", 0 ] } } }
}
# Generated by hand
'''


def lvm(content):
    """A physical volume; its first volume's first extents have the content"""
    text = LVM_TEXT.encode() + b'\0'
    size = 32768 * 9
    disk = bytearray(size)
    sector = b'abcdefghijklmnopqrstuvwxyzABCDEF' + struct.pack(
        '<QQQQQQQQQ', size, 32768, 0, 0, 0, 4096, 8192, 0, 0)
    label = struct.pack('<I', 32) + b'LVM2 001' + sector
    label = label.ljust(492, b'\0')
    disk[512:1024] = b'LABELONE' + struct.pack('<QI', 1, crc(label)) + label
    area = b'\x20LVM2\x20x[5A%r0N*>' + struct.pack(
        '<IQQQQII', 1, 4096, 8192, 512, len(text), crc(text), 0)
    area = area.ljust(508, b'\0')
    disk[4096:4608] = struct.pack('<I', crc(area)) + area
    disk[4608:4608 + len(text)] = text
    at = 32768 * 2
    disk[at:at + len(content)] = content
    return bytes(disk)


fs = ext2(['-t', 'ext2', '-O', '^resize_inode,^dir_index'])
put('disk', 'ext2', pieces(fs))
put('disk', 'ext4', pieces(ext2(['-t', 'ext4', '-O', '^has_journal'])))
mbr = bytearray(512)
mbr[446 + 4] = 0x83
struct.pack_into('<II', mbr, 446 + 8, 8, len(fs) // 512)
mbr[462 + 4] = 0x05
struct.pack_into('<II', mbr, 462 + 8, 4, 100)
mbr[510:512] = b'\x55\xaa'
put('disk', 'mbr', pieces(bytes(mbr).ljust(4096, b'\0') + fs))
gpt = bytearray(4096)
gpt[446 + 4] = 0xee
gpt[510:512] = b'\x55\xaa'
gpt[512:520] = b'EFI PART'
struct.pack_into('<QII', gpt, 512 + 72, 2, 4, 128)
struct.pack_into('<QQ', gpt, 1024 + 32, 8, 8 + len(fs) // 512)
put('disk', 'gpt', pieces(bytes(gpt) + fs))
put('disk', 'lvm', pieces(lvm(fs)))
put('lvm', 'disk', b'\2' + lvm(b'')[:12288])
put('lvm', 'text', b'\1' + struct.pack('<Q', 32768 * 9)[:5] + LVM_TEXT.encode())

# --- Configurations ---------------------------------------------------------

put('xl', 'xl', '''# a guest
name = "guest"
kernel = '/boot/vmlinuz'
ramdisk = "/boot/initrd"
extra = "console=hvc0" + " root=/dev/xvda1"
memory = 512
maxmem = 1024
vcpus = 2
disk = [ 'phy:/dev/vg/root,xvda1,w', 'file:/img,hdc:cdrom,r',
         'format=qcow2, vdev=xvdb, access=rw, target=/a b' ]
vif = [ 'mac=00:16:3e:00:00:01,bridge=br0,model=e1000', '' ]
vfb = [ 'type=vnc,vnclisten=0.0.0.0:1,vncpasswd=x,keymap=de' ]
on_crash = 'restart'
on_reboot = 'destroy'
bootloader = 'pygrub'
pci = [ '01:00.0' ]
''')
put('xl', 'xm', '''import os
def f():
    return 1
arch = os.uname()[4]
if arch == "x86_64":
    kernel = "/boot/%s" % arch
else:
    kernel = '/boot/' + 'i386'
vm = 3
for i in range(2):
    vm = vm + i
memory = 64 * 2
name = """x"""
root = "/dev/sda1 ro"
disk = [ "phy:%s,xvda,w" % ("/dev/x",) ]
builder = "linux"
''')
put('xl', 'net-disk', '''name = "n"
bootloader = "pygrub"
bootloader_args = [ "-q", "--entry=hda1:/k,/i", "--kernel=/boot/k --args=x" ]
disk = [ 'vdev=xvda,backendtype=qdisk,target=rbd:pool/image:id=admin:mon_host=a\\\\:6789',
         'nbd:10.0.0.1:10809:exportname=x\\\\:y,xvdb,w',
         'format=qcow2,vdev=xvdc,target=nbd:unix:/run/s:exportname=e',
         'raw:rbd:p/i@s:mon_host=[fe80\\\\:\\\\:1]\\\\:6789\\\\;b:conf=/c,hda,r' ]
''')
put('xml', 'net-disk', '''<domain type='xen'><name>n</name><memory>65536</memory>
<os><type>linux</type><kernel>/k</kernel></os>
<features><acpi/><pae/><xen><e820_host state='on'/><passthrough/></xen><x/></features>
<clock offset='localtime'><timer name='tsc' mode='native'/><x/></clock>
<devices><disk type='network' device='disk'><driver name='qemu' type='raw'/>
<auth username='admin'><secret type='ceph' uuid='x'/></auth>
<source protocol='rbd' name='pool/image:x'><host name='a' port='6789'/>
<host name='fe80::1'/><snapshot name='s'/><config file='/c'/></source>
<target dev='xvda' bus='xen'/></disk>
<disk type='network'><source protocol='nbd' name='e'>
<host transport='unix' socket='/run/s'/></source><target dev='xvdb'/></disk>
<disk type='network'><source protocol='iscsi' name='iqn'><host name='h'/></source>
<target dev='xvdc'/></disk></devices></domain>
''')
put('xml', 'xml', '''<?xml version="1.0"?>
<!-- a guest -->
<domain type='xen'>
<name>g&amp;h</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
<memory unit='KiB'>524288</memory><vcpu>2</vcpu>
<bootloader>/usr/bin/pygrub</bootloader>
<os><type arch='x86_64' machine='xenpv'>linux</type>
<kernel>/k</kernel><initrd>/i</initrd><cmdline>root=/dev/xvda1 &#x41;</cmdline></os>
<on_crash>restart</on_crash>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/img'/><target dev='xvda' bus='xen'/><readonly/></disk>
<disk type='block' device='disk'><source dev='/dev/x'/><target dev='xvdb'/></disk>
<interface type='bridge'><mac address='00:16:3e:5d:c7:9e'/>
<source bridge='br0'/><script path='vif-bridge'/></interface>
<graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0' passwd='x'/>
<console type='pty'><target type='xen' port='0'/></console>
<![CDATA[ x ]]>
</devices></domain>
''')
put('xml', 'sxp', '''(domain (domid 3) (name x) (vcpus 2) (memory 64)
  (image (linux (kernel /k) (args 'root=/dev/xvda1 "ro"') (notes (A 1))))
  (device (vif (bridge br0) (mac 00:16:3e:00:00:01) (backend 0)))
  (device (vfb (vnc 1) (vncpasswd p)))
  (device (tap (uname tap:aio:/a) (dev xvda:disk) (mode r))))
''')
put('xml', 'json', '''[{"domid": 3, "config": {
  "c_info": {"type": "pv", "name": "x\\u00e4"},
  "b_info": {"max_vcpus": 2, "avail_vcpus": [0], "target_memkb": 65536,
             "type.pv": {"bootloader": "pygrub", "bootloader_args": ["-q"]}},
  "disks": [{"pdev_path": "/a", "vdev": "xvda", "readwrite": 0}],
  "nics": [{"bridge": "br0", "mac": "00:16:3e:00:00:01"}],
  "vfbs": [{"vnc": {"enable": "True", "display": 0}}],
  "on_crash": "coredump_destroy"}}]
''')
put('xml', 'json-null', '''{"c_info": {"name": null, "type": null, "uuid": []},
 "b_info": {"target_memkb": null, "max_memkb": [1], "kernel": null},
 "disks": [null, 1, [], {}], "nics": [null], "vfbs": [null, {"vnc": null}],
 "on_crash": null}
''')
put('xml', 'xl', 'name = "x"\nkernel = "/k"\n')
put('xml', 'command', '#!/bin/sh\nxenner -m 64 -kernel /k \\\n -append "a b"\n')
put('xenner', 'all', '\n'.join(
    ['-m', '128', '-smp', '2', '-name', 'x', '-uuid',
     '4dea22b3-1d52-d8f3-2516-782e98ab3fa0', '-kernel', '/k', '-initrd', '/i',
     '-append', 'root=/dev/xvda1', '-hda', '/img', '--hdb', '/a.qcow2',
     '-network', '00:16:3e:5d:c7:9e,br0', '-vnc', '127.0.0.1:1', '-boot', 'c',
     '-nographic']))

# --- Files of a guest -------------------------------------------------------
# The numbers of the places are those of the table in menu.c.

CFG, CFG2, LST, EXTLINUX, EXTLINUX2, ENV2, ENV, BLS, BLS2, VMLINUZ, K, I, CONFIG, \
    MODULES, FSTAB, INITTAB, INIT, SYSTEMD, GETTY = range(19)


def files(*pairs):
    return b'\1' + b''.join(
        struct.pack('<BH', place, len(data)) + data
        for place, data in zip(pairs[::2], [
            d if isinstance(d, bytes) else d.encode() for d in pairs[1::2]]))


put('menu', 'grub', files(
    LST, 'default=1\ntimeout 5\ntitle Xen\nroot (hd0,0)\nkernel /xen.gz\n'
    'module /vmlinuz\ntitle A\nkernel (hd0,0)/vmlinuz-2.6.32-5 root=/dev/sda1 ro '
    'console=tty0\ninitrd /i\n', VMLINUZ, 'k', CONFIG,
    'CONFIG_XEN_BLKDEV_FRONTEND=m\n# CONFIG_XEN is not set\n', MODULES,
    'kernel/drivers/block/xen-blkfront.ko\n', FSTAB,
    '# x\n/dev/sda1 / ext3 defaults 0 1\nLABEL=x /boot ext2\n/dev/xvdb none '
    'swap\n', INITTAB, 'id:3:initdefault:\n1:2345:respawn:/sbin/mingetty tty1\n'
    'co:2345:respawn:/sbin/agetty hvc0 9600\n'))
put('menu', 'grub2', files(
    CFG, 'if [ "${next_entry}" ] ; then\n set default="${next_entry}"\nelse\n '
    'set default="1>0"\nfi\nmenuentry \'A b\' --class x --id=0 $m \'id-a\' {\n'
    '\tlinux /a ro\n}\nsubmenu "More" {\n menuentry \'C\' {\n linux16 '
    '($root)/boot/k root=UUID=1 console=hvc0\n initrd16 /i /j\n }\n}\n', K, 'k',
    I, gzip.compress(b'070701' + b'00000000' * 13 + b'TRAILER!!!\0', mtime=0),
    ENV, '# GRUB\nsaved_entry=id-d\n', SYSTEMD, '', GETTY, ''))
put('menu', 'bls', files(
    CFG2, 'set default="${saved_entry}"\nblscfg\n', ENV2,
    '# GRUB\nsaved_entry=a\nkernelopts=root=/dev/vda1 ro $tuned_params\n', BLS,
    'title T\nlinux /k\ninitrd /i $tuned_initrd\noptions $kernelopts a\n', BLS2,
    'title U\nversion 5.14\nlinux /vmlinuz\noptions b\n', INIT, 'exec getty hvc0\n'))
put('menu', 'extlinux', files(
    EXTLINUX, 'DEFAULT l2\nTIMEOUT 3\nLABEL l1\nKERNEL /a\nLABEL l2\n MENU '
    'LABEL x\n KERNEL ../k\n APPEND initrd=/i,j ro\n', EXTLINUX2,
    'label x\nkernel /k\nlabel y\nmenu default\nlinux k\ninitrd i\n', K, 'k'))

# --- Machines ---------------------------------------------------------------
# The numbers of the operations are those of the table in machine.c.

WRITE, WRITE32, CORE, GRANT, SEND, CALL, PORT, PUMP, NODE, STATE, XENSTORE, \
    CONNECT, REQUEST, HOST, STOP, RESET, TIME, LOOP, ADMIN = range(19)
WAKE_UP, COUNTERS, COUNTS, XENPV, INFO, PATCH, BALLOON, STATS = range(8)


def node(n, value):
    """The front end's node N gets a number of one byte"""
    return bytes([NODE, n, 0x20, 0, value])


def closed():
    return bytes([STATE, 5, STATE, 6, PUMP, STATE, 1, PUMP])


def segment(n):
    return bytes([n, 0x70])


for target in ('block', 'block-iothread'):
    for how in range(16):
        read = bytes([REQUEST, 1, 0, 2, 8, 0]) + segment(1) + segment(2)
        read += bytes([1, 1, 16, 0]) + segment(3)
        rest = bytes([REQUEST, 3, 3, 0, 0, 0, 5, 0, 1, 0, 8, 0,
                      6, 4, 0, 0]) + segment(1) + segment(2) + segment(3)
        rest += segment(4) + bytes([2, 1, 1, 1]) + segment(5)
        connect = bytes([CONNECT, how])
        put(target, 'requests-%u' % how, connect + read + bytes([PUMP]) + rest)
        put(target, 'again-%u' % how,
            connect + read + closed() + connect + rest + bytes([STOP]) + read +
            bytes([STOP, RESET]) + connect + read)
    # Two rings: requests of the first, of the second, of both
    for how in range(16, 32, 4):
        connect = bytes([CONNECT, how])
        first = bytes([REQUEST, 1, 0, 2, 8, 0]) + segment(1) + segment(2)
        first += bytes([1, 1, 16, 0]) + segment(3)
        second = bytes([REQUEST, 6, 0, 1, 0, 0]) + segment(4)
        second += bytes([2, 1, 9, 0]) + segment(5) + bytes([5, 0, 1, 0, 8, 0])
        put(target, 'queues-%u' % how,
            connect + second + first + bytes([PUMP]) + second + closed() +
            connect + first + second + bytes([STOP]) + second + first +
            bytes([STOP, RESET]) + connect + first + second)
for how in range(8):
    tx = bytes([REQUEST, 6, 1, 0, 0, 0, 60, 0, 2, 4, 0, 0, 200, 0, 3, 0, 0, 0,
                90, 0, 4, 0, 0, 0, 64, 0])
    rx = bytes([REQUEST, 7, 1, 2, 3, 4])
    packet = bytes([HOST, 60, 0, 4, 1, 2, 3, 4])
    connect = bytes([CONNECT, how])
    tx += bytes([REQUEST, 4, 5, 13, 0, 0, 200, 3, 1, 0, 100, 2, 1, 6, 5, 0, 0, 0,
                 2, 7, 0, 0, 0, 0, 100, 0])
    if how & 4:
        connect = bytes([CONNECT, how | 0x70])
        rx += bytes([REQUEST, 0x17, 1, 2, 3, 4])
        tx += bytes([REQUEST, 0x10, 1, 0, 0, 0, 60, 0])
    put('net', 'both-%u' % how, connect + tx + rx + packet + packet + closed() +
        connect + rx + packet + bytes([STOP]) + tx + bytes([STOP, RESET]))
    # Packets with headers, a checksum to be made, and to be cut into segments
    gso = bytes([1, 0, 200, 1, 1 + how % 2])
    put('net', 'segments-%u' % how, bytes([CONNECT, how | 0x20]) + b''.join(
        bytes([REQUEST, 0x84, 1, flag, 0, 0]) + struct.pack('<H', size) +
        bytes([how % 4]) + (gso if flag & 8 else b'') +
        bytes([2, 4 if size > 8000 else 0, 0, 0, 0, 16, 0]) +
        bytes([3, 0, 0, 0, 0, 16, 0])
        for flag, size in ((1 + 4, 4096 + 100), (1 + 4 + 8, 8192 + 100))) +
        bytes([PUMP]))
for limit in (0, 1, 255):
    put('console', 'limit-%u' % limit,
        node(3, limit) + bytes([CONNECT, 1, REQUEST, 1, 100, 0, PUMP, REQUEST,
                                0, 0, 4, HOST, 0, 3, 65, 66, 67, HOST, 1, 2, 68,
                                69]) + closed() + bytes([CONNECT, 0, RESET]))
for how in range(8):
    look = bytes([HOST, 0])
    put('fb', 'picture-%u' % how,
        bytes([CONNECT, 100, 0, 20, 144, 1, 0, 32, 0, how % 4, how]) + look +
        bytes([REQUEST, 2, 0, 0, 0, 0, 10, 0, 10, 0]) + look +
        bytes([REQUEST, 3, 50, 0, 20, 0, 200, 0, 16, 0]) + look +
        bytes([HOST, 5, 30, HOST, 2, 5, HOST, 7, 100, 1]) + closed() + look)
put('evtchn', 'calls', bytes([CONNECT, HOST, 2, 0]) + b''.join(
    bytes([REQUEST, 0x80 * event + op, 0x83, 3 * n, 1 + 3 * n, 1])
    for op in range(14) for n in (1, 3) for event in (0, 1)) + bytes([RESET]))


def field(size, n):
    """Of a structure: one of 2 << size bytes that is the table's number N"""
    return bytes([next(i for i in range(4 * n, 4 * n + 4) if i % 3 == size)])


# GNTTABOP_copy, of the two widths, from and to grants, a frame, and domain 0
SELF, A_REF, READONLY, LENGTH = 15, 6, 10, 9
for width in (1, 2):
    put('evtchn', 'copy-%u' % width, bytes([CONNECT]) + b''.join(
        bytes([REQUEST, 5, 0x88]) + b''.join(
            field(width, ref) + field(0, SELF) + field(0, 0)
            for ref in (source, dest)) + field(0, LENGTH) + field(0, flags)
        for source, dest, flags in ((A_REF, A_REF, 3), (A_REF, 7, 3),
                                    (4, A_REF, 2), (A_REF, 4, 1),
                                    (READONLY, A_REF, 3), (A_REF, READONLY, 3))))
put('call', 'calls', b''.join(
    bytes([REQUEST, op, cmd, 4, 0, 65, 66, 10, 0])
    for op in range(7) for cmd in range(6)) +
    bytes([PORT, 8, 0, 65, PORT, 8, 0, 10, PORT, 4, 2, 1, 0, 0, 0]))
path = bytes([3, 0, 10, 11])
put('xenstore', 'requests', b''.join(
    bytes([REQUEST, kind, 0]) + path + bytes([3, 1, 2, 3])
    for kind in (9, 8, 3, 11, 1, 0, 2, 10, 4, 12)) +
    bytes([REQUEST, 5, 0, REQUEST, 8, 1]) + path + bytes([2, 1, 2]) +
    bytes([REQUEST, 10, 1]) + path + bytes([REQUEST, 6, 1, 1, RESET]))

# Transactions that make, change, remove and make again, and are taken or not
START, END, XS_PUT, MAKE, REMOVE = 5, 6, 8, 9, 10


def in_tx(n, kind, depth):
    return bytes([REQUEST, kind, n, depth]) + bytes([0, 10, 11, 12][:depth]) + (
        bytes([2, 1, 2]) if kind == XS_PUT else b'')


def transaction(n, end, *steps):
    return (bytes([REQUEST, START, 0]) + b''.join(in_tx(n, *s) for s in steps) +
            bytes([REQUEST, END, n, end]))


put('xenstore', 'transactions',
    transaction(1, 1, (XS_PUT, 4), (XS_PUT, 3), (MAKE, 2)) +
    transaction(2, 1, (REMOVE, 3), (XS_PUT, 4), (REMOVE, 2), (MAKE, 4)) +
    transaction(3, 0, (REMOVE, 2), (XS_PUT, 3)) +
    transaction(4, 1, (REMOVE, 2), (REMOVE, 2), (XS_PUT, 2)) +
    # Another change comes between
    bytes([REQUEST, START, 0]) + in_tx(5, XS_PUT, 3) + in_tx(0, XS_PUT, 2) +
    bytes([REQUEST, END, 5, 1]) +
    # Two at a time, of which the first is taken; the other is left open
    bytes([REQUEST, START, 0, REQUEST, START, 0]) + in_tx(6, REMOVE, 2) +
    in_tx(7, XS_PUT, 4) + bytes([REQUEST, END, 6, 1, RESET]))
# Programs at the host's socket: they come, ask, watch, write, and do not listen
OPEN, SHUT, LISTEN, _, WRONG, ASK = range(6)


def client(n, what, more=b''):
    return bytes([HOST, 8 * n + what]) + more


put('xenstore', 'socket', client(0, OPEN) + client(1, OPEN) + client(
    1, ASK, bytes([3, 0, 0x80, 0])) + client(
    0, ASK, bytes([8, 0, 2, 10, 11, 3, 1, 2, 3])) + bytes(
    [REQUEST, 8, 0]) + path + bytes([3, 1, 2, 3]) + client(1, LISTEN) + client(
    0, ASK, bytes([5, 0])) + client(0, ASK, bytes([8, 1, 1, 12, 0])) + client(
    0, ASK, bytes([6, 1, 1])) + client(2, WRONG, b'\xff\xff') + client(
    3, 0x80 | ASK, bytes([1, 0]) + path + b'\3') + client(
    3, 0xc0 | ASK, bytes([1, 0]) + path + b'\3') + client(0, LISTEN) +
    bytes([RESET]) + client(1, LISTEN) + client(1, SHUT) +
    client(0, ASK, bytes([10, 0, 1, 10]))  + client(0, LISTEN))
# Counted, looked at, and with a table of places that the guest has written
put('call', 'counted', bytes([ADMIN, 0x80 | COUNTERS, ADMIN, COUNTS, ADMIN, INFO,
                              ADMIN, COUNTERS]) + b''.join(
    bytes([ADMIN, PATCH, 2]) + struct.pack('<H', site) +
    bytes([0, ADMIN, 0x80 | COUNTERS, ADMIN, COUNTS, ADMIN, COUNTERS])
    for site in (1, 40, 0xffff)))
# Its memory: 4 KiB, all of it, and more; and the guest has given some back
put('call', 'balloon', b''.join(
    bytes([ADMIN, BALLOON]) + struct.pack('<I', kib) + bytes([ADMIN, STATS, PUMP])
    for kib in (4, 16384, 8192, 1 << 30)) + bytes([REQUEST, 6, 0]) +
    struct.pack('<HQIII', 20, 4000, 2, 100, 101) +
    bytes([ADMIN, STATS, XENSTORE, 11, 0, 9, 0]) + b'data/m\0' b'1\n' +
    bytes([RESET, ADMIN, STATS]))

# --- Several devices --------------------------------------------------------
# Of machine.c's operations, CONNECT, REQUEST and HOST have a byte in front that
# says which device is meant; see devices.c.

BLOCK, NET, FB, CONSOLE = range(4)
connect_all = (
    bytes([CONNECT, BLOCK, 0, CONNECT, NET, 2, CONNECT, FB, 100, 0, 20, 144, 1,
           0, 32, 0, 0, 0, CONNECT, CONSOLE, 1]))
read_block = bytes([REQUEST, BLOCK, 1, 0, 2, 8, 0]) + segment(1) + segment(2)
read_block += bytes([1, 1, 16, 0]) + segment(3)
use_all = (
    read_block +
    bytes([REQUEST, NET, 2, 1, 0, 0, 0, 60, 0, 2, 0, 0, 0, 90, 0,
           REQUEST, NET, 3, 1, 2, REQUEST, FB, 2, 0, 0, 0, 0, 10, 0, 10, 0,
           REQUEST, CONSOLE, 1, 100, 0]))


def migration(before, changes, after):
    return (struct.pack('<H', len(before)) + before + bytes([len(changes)]) +
            b''.join(changes) + after)


def number(section, at, value):
    """Four bytes that end @at bytes before the section's end become 2^32 - 1"""
    return bytes([section, 0xa1]) + struct.pack('<H', at + 3) + bytes([value])


put('migration', 'nothing', migration(b'', [], b''))
put('migration', 'all', migration(connect_all + use_all, [],
                                  use_all + bytes([PUMP, RESET])))
put('migration', 'stopped', migration(connect_all + use_all + bytes([STOP]), [],
                                      use_all))
put('migration', 'two', migration(connect_all, [number(0, 0, 1), number(4, 4, 2)],
                                  b''))
for section in range(10):
    for at in (0, 4, 8, 12):
        put('migration', 'end-%u-%u' % (section, at),
            migration(connect_all + read_block, [number(section, at, 14)],
                      use_all))
    put('migration', 'cut-%u' % section,
        migration(connect_all, [bytes([section, 0x82, 7, 0, 255, 255])], b''))
# The number of ports, from the start of the event channels' section
put('migration', 'ports', migration(b'', [bytes([2, 0x21, 4, 0, 14])], b''))

# After one that is refused: the sections of xenstore, the vCPUs and the console
STORE, VCPUS, PRIMARY = 4, 5, 6


def ends(section, at):
    """The stream ends, @at bytes before its end, in a section"""
    return bytes([0x40 | section, 0x80]) + struct.pack('<H', at)


def ring_index(field, value):
    """One of xenstore's ring, of which nobody is told"""
    return (bytes([WRITE32, 2]) + struct.pack('<H', 2048 + 4 * field) +
            bytes([2]) + struct.pack('<H', value))


def call(op, cmd, data):
    return bytes([CALL, op, cmd, len(data)]) + data


# SHUTDOWN_suspend, with start_info in one of the target's frames, and awake again
asleep = call(3, 2, struct.pack('<Q', 20)) + bytes([LOOP])
awake = bytes([ADMIN, WAKE_UP, PUMP, ADMIN, XENPV])
put('migration', 'suspended', migration(connect_all + use_all + asleep, [],
                                        awake + connect_all + use_all))
put('migration', 'slept', migration(
    connect_all + use_all + asleep + awake + connect_all + use_all, [],
    asleep + bytes([STOP, STOP]) + awake + use_all + asleep + bytes([RESET])))
put('hotplug', 'slept', connect_all + use_all + asleep + bytes(
    [HOST, 2, PUMP]) + awake + bytes([HOST, 0]) + connect_all + use_all)
go_on = (bytes([SEND, 2, PUMP]) + call(4, 0, b'text') + use_all +
         bytes([TIME, 100, PUMP, RESET]))
for section in range(10):
    put('migration', 'ends-%u' % section, migration(
        connect_all + read_block, [ends(section, 3)], go_on))
# A request that is all but received, of which the stream says another length
put('migration', 'request', migration(
    bytes([WRITE, 2, 0, 0, 16]) + struct.pack('<4I', 11, 1, 0, 4096) + b''.join(
        ring_index(1, at) + bytes([SEND, 1, PUMP])
        for at in (1024, 2048, 3072, 4096, 4106)) + ring_index(1, 5106),
    [bytes([STORE, 0x21, 40, 0, 2])], go_on))
# A vCPU that is asked for, and is none of the devices
put('migration', 'asked', migration(
    b'', [bytes([VCPUS, 0x80, 0, 0, 4])], call(7, 2, b'\2\0\0\0') + go_on))
# The console's queue is longer than it can be, and that is not all said
put('migration', 'queue', migration(
    b'', [number(PRIMARY, 8, 14), ends(PRIMARY, 10)], go_on))
# Its ring is where there is no memory
put('migration', 'no-ring', migration(
    b'', [bytes([PRIMARY, 0x31, 0, 0, 14])], go_on))
DEL_ADD = [8 * n + 4 for n in range(7)]
put('hotplug', 'all', connect_all + use_all + b''.join(
    bytes([HOST, 8 * n + 2]) for n in (0, 2, 3)) + closed() + b''.join(
        bytes([HOST, 8 * n]) for n in range(7)) + connect_all + use_all)
for n in range(7):
    put('hotplug', 'one-%u' % n, connect_all + use_all + bytes(
        [HOST, DEL_ADD[n], NODE, 0, 0x20, 0, 5, NODE, 0, 0x20, 0, 6, PUMP, HOST,
         8 * n]) + connect_all + use_all + bytes([HOST, 8 * n + 2, RESET]))
put('hotplug', 'threads', connect_all + use_all + bytes(
    [HOST, 5 + 16, HOST, 2, HOST, 5 + 16, HOST, 8, HOST, 5]))

# --- Images -----------------------------------------------------------------

for what in ('I all is well\n', 'F3 a line\nF0 \x1b[2J\nF4294967296 x\nF1\n',
             'I ' + 3000 * 'x' + '\nI \xc2\x85 \x08\n', 'libfoo: no memory'):
    put('answers', 'answer-%u' % len(what), what.encode('latin-1'))


def image(kind, *options):
    """A disk of 64 KiB whose second block of 32 KiB is written, as pieces"""
    with tempfile.TemporaryDirectory() as d:
        raw, out = os.path.join(d, 'raw'), os.path.join(d, 'out')
        with open(raw, 'wb') as f:
            f.truncate(65536)
            f.seek(32768)
            f.write(b'x' * 4096)
        subprocess.run(['build/qemu-img', 'convert', '-f', 'raw', '-O', kind,
                        *options, raw, out], check=True)
        with open(out, 'rb') as f:
            data = f.read()
    blocks = b''
    for at in range(0, len(data), 512):
        block = data[at:at + 512].rstrip(b'\0')
        if block:
            blocks += struct.pack('<IH', at, len(block)) + block
    return (bytes([0]) + struct.pack('<H', -(-len(data) // 512)) +
            struct.pack('<8H', 0, 8192, 16384, 32768, 40000, 50000, 65535, 1) +
            blocks)


for name, options in (
        ('small', ['-o', 'cluster_size=512']),
        ('zlib', ['-c', '-o', 'cluster_size=4096']),
        ('zstd', ['-c', '-o', 'cluster_size=4096,compression_type=zstd']),
        ('subclusters', ['-o', 'cluster_size=16384,extended_l2=on']),
        ('refcounts', ['-o', 'cluster_size=4096,refcount_bits=1']),
        ('old', ['-o', 'cluster_size=4096,compat=0.10'])):
    try:
        put('image', name, image('qcow2', *options))
    except subprocess.CalledProcessError:
        print('no ' + name)
put('image', 'raw', image('raw'))
