# SPDX-License-Identifier: GPL-2.0-or-later
"""xenpv-convert and xl, given the same configurations"""

import glob
import os
import shlex
import subprocess

from xenpv.place import busy
from xenpv.program import tool
from xenpv.testcase import GuestTest, paths

# How a setting can be written: what xl reads, we read alike
LANGUAGE = (
    "name='a'", 'name = "a b"', "name\t=\t'a'", "name='a' # c", "name='a#b'",
    "name='a';extra='b'", "name='a' ;", "# only\n\n\nname='a'", "name='a'\r\n",
    r"extra='a\'b'", r"extra='a\"b'", r'extra="a\"b"', r"extra='a\\b'",
    r"extra='a\tb'", r"extra='a\x41b'", r"extra='a\101b'", r"extra='a\ab'",
    r"extra='\vx\fy\bz'", r"extra='a\0b'", r"extra='a\8'", r"extra='\x4'",
    r"extra='a\qb'", "extra=''", 'extra="\'"', "memory=96", "memory='96'",
    "memory=0x60", "memory=0140", "memory='0x60'", "memory=' 96'",
    "memory=96\nmemory=128", "vcpus=2", "vcpus='2'", "vcpus=\"2\"",
    "root='/dev/xvda1'", "root='/dev/xvda1 ro'\nextra='3'", "extra='3'",
    "cmdline='a b'", "cmdline='a'\nextra='b'", "cmdline='a'\nroot='/r'",
    "maxmem=128", "extra='a'\nextra+='b'", "extra='a'\nextra += ' b'",
    "disk=['/a,raw,xvda,rw']\ndisk+=['/b,raw,xvdb,r']",
    "vif=['bridge=b']\nvif+=['bridge=c']", "extra+='a'",
    "disk=[]", "disk=[ ]", "disk=[ '/a,raw,xvda,rw', ]",
    "disk=['/a,raw,xvda,rw'\n,\n# c\n'/b,raw,xvdb,rw']",
    "disk = [\n\n '/a,raw,xvda,rw',\n\n]\n", "vif=['']",
    "vif=['mac=00:16:3e:00:00:01,bridge=b']", "vif = [ 'bridge=b', '' ]",
    "uuid='8f07fe28-753f-2729-d76d-bdbd892f949a'", "ramdisk='/r'",
    "extra='\xc3\xa4'", "name='a'\n\n\n\n", "extra=5", "name=10", "extra=0x10",
)

# As xl-disk-configuration(5) has them, and as it takes what xm had
DISKS = (
    '/a,raw,xvda,rw', '/a,qcow2,xvda,w', '/a,qed,xvda,ro', '/a,vhd,xvda,r',
    '/a,,xvda,rw', '/a,,xvda', '/a,raw,xvda', '/a,,xvda,', '/dev/v/g,,hda,rw',
    '/a,raw,sda1,w', '/a, raw, xvda, rw', ' /a,raw,xvda,rw', '/a ,raw,xvda,rw',
    '/a,raw,xvda,rw,cdrom', '/a,raw,hdc,r,devtype=cdrom', ',,hdc,,cdrom',
    ',,hdc,r,cdrom', 'vdev=hdc,access=r,devtype=cdrom,target=',
    ',empty,hdc,r,cdrom', 'format=empty,vdev=hdc,access=r,devtype=cdrom',
    'format=raw, vdev=xvda, access=rw, target=/a',
    'vdev=xvda,target=/a', 'vdev=xvda,format=qcow2,target=/a,b',
    'vdev=xvda,target=/a=b', 'access=ro,vdev=xvda,target=/a',
    '/a,format=raw,vdev=xvda,access=rw', '/a,vdev=xvda', '/a,raw,vdev=xvda',
    '/a,raw,xvda,access=r', '/a,raw,xvda,w,discard', '/a,raw,xvda,discard,w',
    '/a,raw,xvda,rw,no-discard', '/a,raw,xvda,rw,direct-io-safe',
    '/a,raw,xvda,rw,backendtype=qdisk', 'backendtype=phy,/dev/a,raw,xvda,rw',
    '/a,discard,raw,xvda,rw', '/a,raw,direct-io-safe,xvda,rw',
    '/a,xvda,w', 'file:/a,xvda,w', 'phy:/dev/a,xvda,w', 'phy:v/g,xvda,w',
    'file:/a,xvda1,r', 'file:/a,hdc:cdrom,r', 'tap:aio:/a,xvda,w',
    'tap:qcow2:/a,xvda,w', 'tap2:tapdisk:aio:/a,xvda,w', 'tap:vhd:/a,xvda,r',
    'tap2:qcow2:/a,xvda,w', 'aio:/a,xvda,w', 'raw:/a,xvda,w',
    'qcow2:/a,xvda,w', 'vhd:/a,xvda,w', 'qcow:/a,xvda,w', 'tap:/a,xvda,w',
    'phy:/dev/a,raw,xvda,w', 'file:/a,raw,xvda,w', 'file:/a,,xvda,w',
    '/a,raw,xvda,!w', '/a,raw,xvda,w!', '/a,aio,xvda,rw', '/a,raw,xvda,R',
    '/a,raw,d0,rw', '/a,raw,d1p2,rw', '/a,raw,51712,rw', '/a,raw,0xca00,rw',
    '/a,raw,xvdaa,rw', '/a,raw,xvda15,rw', '/a,raw,vda,rw', 'raw,/a,xvda,rw',
    '/a,zip,xvda,rw', '/a,raw,xvda,rw,frob', '/a,raw,xvda,rw,frob=1', '',
    '/a', ',raw,xvda,rw', ',,xvda', 'target=/a', '/a,raw,xvda,rw,',
    '/a,raw,xvda,rw,trusted', 'vdev=xvda,,target=/a',
)

# What is not as xl has it, on purpose
DIFFERENT = {
    r"extra='a\ab'": 'no control characters',
    r"extra='\vx\fy\bz'": 'no control characters',
    r"extra='a\101b'": "Python's octal digits, which xl takes for nothing",
    '/a ,raw,xvda,rw': 'a blank at the end of a name is a slip',
    'phy:v/g,xvda,w': "xm's names of volumes are relative to /dev",
    '/a,raw,vda,rw': 'no PV guest has such a disk',
    ',raw,xvda,rw': 'only a CD drive can be empty: xl finds that out later',
    ',,xvda': 'likewise',
}

# The same disks by other names
NUMBERS = {'d0': 'xvda', 'd1p2': 'xvdb2', '51712': 'xvda', '0xca00': 'xvda'}


class Oracle(GuestTest):
    label = 'xl'
    parts = ('functional',)

    def xl(self, files):
        """What xl reads in each: None if nothing, or its lines"""
        program = paths.result('functional/xl-oracle')
        subprocess.run(['cc', '-o', program, os.path.join(
            os.path.dirname(__file__), 'xenpv', 'xl-oracle.c'), '-lxlutil',
            '-lxenlight'], check=True)
        done = subprocess.run([program, *files], capture_output=True,
                              check=True, timeout=60 * busy())
        read = []
        for line in done.stdout.decode().splitlines():
            words = [bytes.fromhex(w[:-1]).decode(errors='replace')
                     if w.endswith('.') else w for w in line.split(' ')]
            if words[0] == 'file':
                read.append([])
            else:
                read[-1].append(words)
        self.assertEqual(len(read), len(files))
        return [None if r == [['refused']] else r for r in read]

    @staticmethod
    def meaning_of_xl(read):
        """What the machine would get; None if a disk is refused"""
        strings = {w[1]: w[2] for w in read if w[0] == 'string'}
        numbers = {w[1]: int(w[2]) for w in read if w[0] == 'number'}
        line = strings.get('cmdline')
        if not line:
            line = ' '.join(([] if not strings.get('root') else
                             ['root=' + strings['root']]) +
                            ([] if not strings.get('extra') else
                             [strings['extra']]))
        disks = []
        for words in read:
            if words[0] == 'disk':
                if words[1] == 'refused':
                    return None
                target, vdev, form, readwrite, cdrom = words[1:]
                disks.append((target and os.path.abspath(target),
                              NUMBERS.get(vdev, vdev),
                              {'vhd': 'vpc', 'unknown': 'raw'}.get(form, form)
                              if target else '',
                              readwrite == '0' or cdrom == '1'))
        return {'name': strings.get('name'), 'kernel': strings.get('kernel'),
                'initrd': strings.get('ramdisk') or None,
                'append': line.replace('\t', ' ') or None,
                'memory': numbers.get('memory', 0),
                'vcpus': numbers.get('vcpus', 1), 'disks': disks,
                'nics': len([w for w in read if w[0] == 'vif'])}

    @staticmethod
    def meaning_of(command):
        words = shlex.split(command)[1:]
        pairs = list(zip(words, words[1:]))

        def option(name):
            return next((b for a, b in pairs if a == name), None)

        def parts(text):
            """Of KEY=VALUE,..., with commas doubled in values"""
            items = text.replace(',,', '\0').split(',')
            return dict(i.replace('\0', ',').partition('=')[::2]
                        for i in items)

        drives = {}
        for _, drive in [p for p in pairs if p[0] == '-drive']:
            drive = parts(drive)
            drives[drive['id']] = drive
        disks = []
        for _, device in [p for p in pairs if p[0] == '-device']:
            if 'vdev=' in device:
                device = parts(device)
                drive = drives.get(device.get('drive'), {})
                disks.append((drive.get('file', ''), device['vdev'],
                              drive.get('format', ''),
                              drive.get('read-only',
                                        drive.get('readonly')) == 'on'
                              or 'drive' not in device))
        return {'name': option('-name'), 'kernel': option('-kernel'),
                'initrd': option('-initrd'), 'append': option('-append'),
                'memory': int(option('-m').split(',')[0]),
                'vcpus': int((option('-smp') or '1').split(',')[0]),
                'disks': disks,
                'nics': len([p for p in pairs if p[0] == '-netdev'])}

    def test_same_meaning(self):
        """A configuration means something else to xenpv-convert than to xl, or
        is refused though xl takes it (Xen's libxlutil says what it means)"""
        base = "name='n'\nkernel='/k'\nmemory=64\n"
        texts = [base + t + '\n' for t in LANGUAGE if t not in DIFFERENT]
        texts += [base + "disk=['%s']\n" % d for d in DISKS
                  if d not in DIFFERENT]
        files = []
        where = paths.result('functional/xl-oracle.d/x')[:-2]
        for n, text in enumerate(texts):
            files.append(os.path.join(where, '%03d' % n))
            with open(files[-1], 'w', encoding='latin-1') as f:
                f.write(text)
        files += sorted(glob.glob(os.path.join(paths.TOP,
                                               'tests/fuzz/corpus/xl/*')))
        wrong, both = [], 0
        for path, read in zip(files, self.xl(files)):
            done = subprocess.run(
                [tool('xenpv-convert'), '--to', 'qemu', path],
                capture_output=True, timeout=60 * busy())
            with open(path, encoding='utf-8', errors='replace') as f:
                text = f.read()[len(base) if path.startswith(where) else 0:]
            theirs = self.meaning_of_xl(read) if read is not None else None
            if theirs is None:
                continue
            if done.returncode:
                if path.startswith(where):
                    wrong.append('%r is refused: %s'
                                 % (text, done.stderr.decode()))
                continue
            both += 1
            ours = self.meaning_of(done.stdout.decode())
            wrong += ['%r: %s is %r, for xl %r' % (text, k, ours[k], theirs[k])
                      for k in theirs if ours[k] != theirs[k]]
        self.assertEqual(wrong, [], '\n'.join(wrong))
        self.assertGreater(both, 100)
