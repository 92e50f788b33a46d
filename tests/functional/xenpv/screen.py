# SPDX-License-Identifier: GPL-2.0-or-later
"""
What is to be read on a guest's text console, and a VNC client that looks at it.

The shapes of the characters are learned from the guest itself: it is told to
write all of them in one row, and from then on a picture can be read.
"""

import socket
import struct

from .channel import Gone, Timeout

WIDTH, HEIGHT = 8, 16       # of a character, in pixels
# Those with a name of one letter in QMP, and the rest of what is looked for
LETTERS = ('abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
           '$()*+-./;=@#_: ')

KEYS = {' ': ('spc',), '\n': ('ret',), '-': ('minus',), '=': ('equal',),
        '/': ('slash',), '.': ('dot',), ';': ('semicolon',),
        '$': ('shift', '4'), '*': ('shift', '8'), '(': ('shift', '9'),
        ')': ('shift', '0'), '>': ('shift', 'dot'), '_': ('shift', 'minus')}


def keys_of(text):
    """The keys, for QMP's send-key, that type each character of a text"""
    for c in text:
        names = KEYS.get(c, (c,) if c == c.lower() else ('shift', c.lower()))
        yield [{'type': 'qcode', 'data': name} for name in names]


class Picture:
    """RGB, three bytes a pixel"""

    def __init__(self, width, height, pixels):
        assert len(pixels) == width * height * 3
        self.width, self.height, self.pixels = width, height, pixels

    @classmethod
    def from_ppm(cls, data):
        magic, size, depth, pixels = data.split(b'\n', 3)
        assert (magic, depth) == (b'P6', b'255'), data[:20]
        width, height = map(int, size.split())
        return cls(width, height, pixels)

    def cell(self, row, column):
        """A character's pixels, as to whether they are of the background"""
        cell = []
        for y in range(row * HEIGHT, (row + 1) * HEIGHT):
            at = (y * self.width + column * WIDTH) * 3
            line = self.pixels[at:at + WIDTH * 3]
            cell.append(tuple(any(line[i:i + 3])
                              for i in range(0, WIDTH * 3, 3)))
        return tuple(cell)


class Font:
    def __init__(self, picture, row=0):
        """From a picture with LETTERS in that row"""
        self.glyphs = {picture.cell(row, column): letter
                       for column, letter in enumerate(LETTERS)}
        # One that shows the same everywhere would read as anything
        if len(self.glyphs) != len(LETTERS):
            raise ValueError('some of the characters look alike')

    def read(self, picture):
        """All rows of text; what is no known character is a ?"""
        return [''.join(self.glyphs.get(picture.cell(row, column), '?')
                        for column in range(picture.width // WIDTH)).rstrip()
                for row in range(picture.height // HEIGHT)]


class Vnc:
    """As much of RFB 3.8 as it takes to look, type and point"""

    def __init__(self, path, timeout):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        assert self._get(12).startswith(b'RFB 003.')
        self.sock.sendall(b'RFB 003.008\n')
        methods = self._get(self._get(1)[0])
        assert 1 in methods, methods        # 1: no authentication
        self.sock.sendall(b'\x01')
        assert self._get(4) == bytes(4)
        self.sock.sendall(b'\x01')          # shared with others
        self.width, self.height = struct.unpack('>HH', self._get(4))
        self._get(16)
        self._get(struct.unpack('>I', self._get(4))[0])
        # 32 bits a pixel, little endian, 8 for each colour: x r g b
        self.sock.sendall(struct.pack('>Bxxx4B3H3Bxxx', 0, 32, 24, 0, 1,
                                      255, 255, 255, 16, 8, 0))
        # Encodings: raw, and to be told of another size
        self.sock.sendall(struct.pack('>BxHii', 2, 2, 0, -223))

    def close(self):
        self.sock.close()

    def _get(self, length):
        data = b''
        while len(data) < length:
            try:
                more = self.sock.recv(length - len(data))
            except socket.timeout:
                raise Timeout('nothing more from VNC') from None
            if not more:
                raise Gone('VNC has closed the connection')
            data += more
        return data

    def picture(self):
        """All of the screen, as it is now"""
        while True:
            self.sock.sendall(struct.pack('>BBHHHH', 3, 0, 0, 0, self.width,
                                          self.height))
            picture = self._update()
            if picture:
                return picture

    def _update(self):
        kind = self._get(1)[0]
        if kind == 2:                       # bell
            return None
        if kind == 3:                       # somebody's clipboard
            self._get(struct.unpack('>xxxI', self._get(7))[0])
            return None
        assert kind == 0, kind
        picture = None
        for _ in range(struct.unpack('>xH', self._get(3))[0]):
            x, y, w, h, encoding = struct.unpack('>HHHHi', self._get(12))
            if encoding == -223:
                self.width, self.height = w, h
                continue
            assert encoding == 0, encoding
            data = self._get(w * h * 4)
            if (x, y, w, h) == (0, 0, self.width, self.height):
                rgb = bytearray(w * h * 3)
                rgb[0::3], rgb[1::3], rgb[2::3] = data[2::4], data[1::4], \
                    data[0::4]
                picture = Picture(w, h, bytes(rgb))
        return picture

    def key(self, symbol):
        for down in (1, 0):
            self.sock.sendall(struct.pack('>BBxxI', 4, down, symbol))

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack('>BBHH', 5, buttons, x, y))
