# SPDX-License-Identifier: GPL-2.0-or-later
"""
A two-way stream with expect-like waiting, and what is spoken over it.

Channel   bytes; the console is one
Qmp       QEMU's monitor protocol
Gdb       as much of gdb's remote protocol as a sanity check needs

Nothing here waits without a limit. While one channel is waited for, all the
channels of the same process are read ("pump"), so that no writer gets stuck.
"""

import json
import re
import select
import time


class Timeout(Exception):
    pass


class Gone(Exception):
    """QEMU has ended while something was still expected from it"""


class Channel:
    def __init__(self, sock, log=None):
        self.sock = sock
        self.log = log
        self.data = bytearray()     # what has come and was not yet consumed
        self.seen = bytearray()     # all that has come
        self.closed = False
        self.process = None
        self.filter = None
        sock.setblocking(False)

    def fileno(self):
        return self.sock.fileno()

    def receive(self):
        """Take what is there, without waiting"""
        while not self.closed:
            try:
                new = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                new = b''
            if not new:
                self.closed = True
                return
            if self.log:
                self.log.write(new)
                self.log.flush()
            if self.filter:
                new = self.filter(new)
            self.data += new
            self.seen += new

    def send(self, data, timeout=60):
        if isinstance(data, str):
            data = data.encode()
        end = time.monotonic() + timeout
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Timeout('nothing takes what is sent') from None
                self.process.pump(0.1)
            except OSError as e:
                raise Gone('cannot send: %s' % e) from None

    def expect(self, pattern, timeout):
        """
        Wait for the regular expression; consume up to its end.

        Returns the match. Text before it is lost for the next expect().
        """
        regex = re.compile(pattern.encode() if isinstance(pattern, str)
                           else pattern, re.DOTALL)
        end = time.monotonic() + timeout
        while True:
            match = regex.search(self.data)
            if match:
                # The match keeps referring to what it was found in.
                self.data = self.data[match.end():]
                return match
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout('no %r within %d s' % (pattern, timeout))
            asked = time.monotonic()
            running = self.process.pump(min(left, 1))
            stall = time.monotonic() - asked - 1
            if stall > 5:
                # It was us who stood still, as on a disk that is slow to take
                # the log, and the guest waited for us to read
                end += stall
            if not running or self.closed:
                self.receive()
                if not regex.search(self.data):
                    # Its sockets may be closed a little before it is gone
                    ending = time.monotonic() + 5
                    while (self.process.pump(0.1) and
                           time.monotonic() < ending):
                        pass
                    raise Gone('QEMU ended (%s) before %r'
                               % (self.process.describe_exit(), pattern))

    def text(self):
        return self.seen.decode(errors='replace').replace('\r', '')


class QmpError(Exception):
    pass


class Qmp:
    def __init__(self, channel):
        self.channel = channel
        self.events = []
        # Without waiting for the greeting, so that a QEMU which ends soon
        # has told its events before. (It reads this when it is ready.)
        channel.send('{"execute": "qmp_capabilities"}\n')
        self.ready = False

    def _get_ready(self, timeout):
        if not self.ready:
            greeting = self._message(timeout)
            assert 'QMP' in greeting, greeting
            answer = self._message(timeout)
            assert answer == {'return': {}}, answer
            self.ready = True

    def _message(self, timeout):
        line = self.channel.expect(r'([^\n]*)\n', timeout).group(1)
        return json.loads(line)

    def command(self, name, _timeout=60, **arguments):
        self._get_ready(_timeout)
        message = {'execute': name}
        if arguments:
            message['arguments'] = {k.replace('_', '-'): v
                                    for k, v in arguments.items()}
        self.channel.send(json.dumps(message) + '\n')
        end = time.monotonic() + _timeout
        while True:
            answer = self._message(max(0.1, end - time.monotonic()))
            if 'event' in answer:
                self.events.append(answer)
            elif 'error' in answer:
                raise QmpError('%s: %s' % (name, answer['error']['desc']))
            else:
                return answer['return']

    def event(self, name, timeout):
        """Wait for an event; earlier ones are dropped. Returns its data"""
        self._get_ready(timeout)
        end = time.monotonic() + timeout
        while True:
            while self.events:
                event = self.events.pop(0)
                if event['event'] == name:
                    return event.get('data', {})
            answer = self._message_for(name, end - time.monotonic(), timeout)
            self.events.append(answer)

    def _message_for(self, name, left, timeout):
        try:
            return self._message(max(0.1, left))
        except Timeout:
            raise Timeout('no event %s within %d s' % (name, timeout)) from None
        except Gone as e:
            raise Gone('%s, and there was no event %s' % (e, name)) from None


class Gdb:
    def __init__(self, channel):
        self.channel = channel

    def send(self, packet):
        data = packet.encode()
        self.channel.send(b'$%s#%02x' % (data, sum(data) & 0xff))

    def receive(self, timeout=30):
        match = self.channel.expect(r'\$([^#]*)#..', timeout)
        self.channel.send('+')
        data = match.group(1).decode()
        # Run-length coding: "x*n" stands for x and ord(n) - 29 more of it
        return re.sub(r'(.)\*(.)',
                      lambda m: m.group(1) * (ord(m.group(2)) - 28), data)

    def ask(self, packet, timeout=30):
        self.send(packet)
        return self.receive(timeout)

    def interrupt(self, timeout=30):
        self.channel.send(b'\x03')
        return self.receive(timeout)

    def pc(self):
        """The program counter of the 64-bit register set (after 16 others)"""
        registers = bytes.fromhex(self.ask('g'))
        return int.from_bytes(registers[16 * 8:17 * 8], 'little')


def wait_readable(channels, timeout):
    """Wait until one of the channels has something, then read them all"""
    open_channels = [c for c in channels if not c.closed]
    if len(open_channels) < len(channels) or not open_channels:
        # A process that is ending, or one that can only be asked for its end
        timeout = min(timeout, 0.05)
        if not open_channels:
            time.sleep(timeout)
            return
    readable, _, _ = select.select(open_channels, [], [], timeout)
    for channel in readable:
        channel.receive()
