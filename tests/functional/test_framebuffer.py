# SPDX-License-Identifier: GPL-2.0-or-later
"""The paravirtual framebuffer, keyboard and pointer, as a user sees them"""

import os
import shutil
import tempfile
import time

from xenpv.place import busy
from xenpv.screen import Font, LETTERS, Picture, Vnc, keys_of
from xenpv.testcase import LinuxTest, Timeout

CLEAR = r'\033[2J\033[H'


class Framebuffer(LinuxTest):
    label = 'framebuffer'
    parts = ('functional',)
    append = 'console=tty0 console=hvc0 loglevel=1 consoleblank=0'

    def boot_with_screen(self, *options):
        guest = self.start(*self.linux_options(), *options,
                           machine='xenpv-kvm,vfb=on')
        self.wait_for_shell(guest)
        return guest

    def screendump(self, guest):
        path = self.place.scratch(self.log_name('.ppm'))
        guest.qmp.command('screendump', filename=path)
        return Picture.from_ppm(self.place.read(path, 1 << 26))

    def learn(self, guest):
        # No cursor, which blinks
        self.check(guest, "printf '%s\\033[?25l%%s' '%s' > /dev/tty1"
                   % (CLEAR, LETTERS))
        end = time.monotonic() + guest.limit(20)
        while True:
            try:
                return Font(self.screendump(guest))
            except ValueError:          # not all of it is there yet
                if time.monotonic() > end:
                    raise
            guest.pump(0.2)

    def start_shell(self, guest):
        # Its first terminal is the controlling one of the session
        self.check(guest, 'printf "%s" > /dev/tty1; { PS1="tty# " setsid '
                   'sh -c "exec sh < /dev/tty1 > /dev/tty1 2>&1" & }' % CLEAR)

    def type_keys(self, guest, text):
        for keys in keys_of(text):
            guest.qmp.command('send-key', keys=keys, hold_time=20)
            # A key that is let go before the next one is pressed
            guest.pump(0.05)

    def wait_for_rows(self, rows, look):
        """Until these are the last ones with text in what look() sees"""
        end = time.monotonic() + 20 * busy()
        while True:
            seen = look()
            while seen and not seen[-1]:
                seen.pop()
            if seen[-len(rows):] == rows:
                return
            if time.monotonic() > end:
                raise Timeout('%r is not the end of %r' % (rows, seen))
            time.sleep(0.2)

    def test_keyboard(self):
        """What is typed at QEMU's keyboard does not come to the guest's text
        console, or what that shows is not in QEMU's picture"""
        guest = self.boot_with_screen()
        self.check(guest, 'cat /proc/fb', '^0 xen$')
        before = self.screendump(guest)
        self.assertEqual((before.width, before.height), (800, 600))
        font = self.learn(guest)

        def look():
            return font.read(self.screendump(guest))

        self.assertEqual(look()[0], LETTERS.rstrip())
        self.start_shell(guest)
        self.wait_for_rows(['tty#'], look)
        self.type_keys(guest, 'echo $((6*7)) Typed; uname -s\n')
        self.wait_for_rows(['tty# echo $((6*7)) Typed; uname -s', '42 Typed',
                            'Linux', 'tty#'], look)
        self.assertEqual(guest.stderr(), '')

    def test_pointer(self):
        """The guest is not told where the pointer is, or of its buttons"""
        guest = self.boot_with_screen()
        self.check(guest, 'grep -A 4 "Xen Virtual Pointer" '
                   '/proc/bus/input/devices', 'mouse0')
        # A PS/2 mouse's packets, as the kernel makes them of any pointer:
        # buttons, and how far in x and y, each signed by a bit of the first
        self.check(guest, '{ cat /dev/input/mouse0 > /tmp/mouse & }; '
                   'until ls -l /proc/$!/fd | grep -q mouse0; do '
                   'usleep 10000; done')

        def send(*events):
            """What these events come to: buttons, x, y"""
            before = len(self.packets)
            guest.qmp.command('input-send-event', events=list(events))
            end = time.monotonic() + guest.limit(20)
            while len(self.packets) == before:
                self.assertLess(time.monotonic(), end, events)
                output = self.check(guest, 'sleep 0.5; hexdump -v -e '
                                    '\'/1 "%u "\' /tmp/mouse')
                self.packets = [int(n) for n in output.split()]
            new = self.packets[before:]
            self.assertEqual(len(new) % 3, 0, new)
            x = sum(new[1::3]) - 256 * sum(b >> 4 & 1 for b in new[0::3])
            y = sum(new[2::3]) - 256 * sum(b >> 5 & 1 for b in new[0::3])
            return new[-3] & 7, x, y

        def position(x, y):
            return [{'type': 'abs', 'data': {'axis': axis, 'value': value}}
                    for axis, value in (('x', x), ('y', y))]

        def button(down):
            return {'type': 'btn', 'data': {'button': 'left', 'down': down}}

        self.packets = []
        send(*position(0x2000, 0x2000))     # from wherever it was
        buttons, x, y = send(*position(0x2800, 0x1800))
        self.assertEqual(buttons, 0)
        # Right and up
        self.assertGreater(x, 10)
        self.assertGreater(y, 10)
        self.assertEqual(send(button(True)), (1, 0, 0))
        self.assertEqual(send(button(False)), (0, 0, 0))

    def test_reboot(self):
        """After a reboot the new guest's picture is not the one that QEMU
        shows, or its keyboard is dead"""
        guest = self.boot_with_screen()
        font = self.learn(guest)
        guest.type('reboot -f\n')
        guest.wait_event('RESET')
        self.wait_for_shell(guest)
        self.check(guest, 'printf "%s\\033[?25l" > /dev/tty1' % CLEAR)
        self.start_shell(guest)

        def look():
            return font.read(self.screendump(guest))

        self.wait_for_rows(['tty#'], look)
        self.type_keys(guest, 'echo again\n')
        self.wait_for_rows(['tty# echo again', 'again', 'tty#'], look)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)
        self.assertEqual(guest.stderr(), '')

    def test_saved(self):
        """A guest that is loaded from a file has another picture than the one that
        was saved, or what is drawn from then on is not in it, or its keyboard is
        dead"""
        guest = self.boot_with_screen()
        font = self.learn(guest)

        def look():
            return font.read(self.screendump(guest))

        self.start_shell(guest)
        self.type_keys(guest, 'echo before\n')
        self.wait_for_rows(['before', 'tty#'], look)
        path = self.state_file()
        guest.qmp.command('migrate', uri='file:' + path)
        self.wait_status(guest, 'query-migrate', 'completed')
        before = self.screendump(guest)
        guest.qmp.command('quit')
        self.assert_status(guest, 0)

        guest = self.start(*self.linux_options(), '-incoming', 'file:' + path,
                           machine='xenpv-kvm,vfb=on')
        self.wait_status(guest, 'query-status', 'running')
        self.wait_for_rows(['before', 'tty#'], look)
        self.assertEqual(self.screendump(guest).pixels, before.pixels)
        self.type_keys(guest, 'echo after\n')
        self.wait_for_rows(['tty# echo after', 'after', 'tty#'], look)
        self.assertEqual(guest.stderr(), '')

    def test_vnc(self):
        """A VNC client does not see the guest's picture, or cannot type"""
        # A socket's path must be short
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, 'vnc')
        # The last -display counts
        guest = self.boot_with_screen('-display', 'vnc=unix:' + path)
        font = self.learn(guest)
        self.start_shell(guest)
        vnc = Vnc(path, 20)
        self.addCleanup(vnc.close)

        def look():
            guest.pump(0.1)
            return font.read(vnc.picture())

        self.wait_for_rows(['tty#'], look)
        for c in 'uname -n\r':
            # X11's key symbols are ASCII's but for the control characters
            vnc.key(0xff0d if c == '\r' else ord(c))
            guest.pump(0.05)
        self.wait_for_rows(['tty# uname -n', '(none)', 'tty#'], look)
        self.assertEqual(vnc.picture().pixels, self.screendump(guest).pixels)
