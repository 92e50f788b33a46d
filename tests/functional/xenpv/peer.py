#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
peer.py ADDRESS
peer.py flood ADDRESS COUNT LEAST [MOST]
peer.py echo ADDRESS
peer.py offload INTERFACE NAME=0|1...

What a guest talks to: two TCP servers at ADDRESS ("::": at all, of IPv4 as
well), whose ports are the first line of the output, "SINK SOURCE". To the one a
guest sends what it likes; the other sends it as many bytes of noise as its
first line says. For each connection a line tells "BYTES MD5 SECONDS".

A flood is of pings, as ping -f does it with a preload: 32 are on their way
at a time, with LEAST bytes of data, or each with as many as chance will have it,
up to MOST, and then no more than 64 KiB are on their way. One without an
answer for two seconds is lost. It tells "RECEIVED DAMAGED".

To the one who connects to an echo's port, which is the first line, goes noise
without end, at 1 MiB a second or so, and has to come back. For each line of the
input a line tells how many bytes have, or what was wrong with them.

offload sets which of OFFLOADS an interface does for what this end sends.

By itself, so that it can run in another network namespace than the tests do.
"""

import array
import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import sys
import threading
import time


def noise(length):
    block = os.urandom(1 << 20)
    sent = 0
    while sent < length:
        piece = block[:length - sent]
        yield piece
        sent += len(piece)
        # Another one each time, at little cost
        block = hashlib.md5(block).digest() + block[16:]


def serve(listener, handle):
    while True:
        connection, _ = listener.accept()
        digest, total = hashlib.md5(), 0
        begin = time.monotonic()
        with connection:
            for piece in handle(connection):
                digest.update(piece)
                total += len(piece)
        print(total, digest.hexdigest(), '%.3f' % (time.monotonic() - begin),
              flush=True)


def sink(connection):
    while True:
        piece = connection.recv(1 << 18)
        if not piece:
            return
        yield piece


def source(connection):
    with connection.makefile('rb') as f:
        length = int(f.readline())
    for piece in noise(length):
        connection.sendall(piece)
        yield piece


def main(address):
    ports = []
    for handle in (sink, source):
        listener = socket.create_server(
            (address, 0), family=socket.AF_INET6 if ':' in address
            else socket.AF_INET, dualstack_ipv6=':' in address)
        ports.append(listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, handle)).start()
    print(*ports, flush=True)


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


def flood(address, count, least, most=None):
    most = least if most is None else most
    payload = os.urandom(most)
    sizes = [random.randint(least, most) for _ in range(count)]
    limit = min(32, max(1, (1 << 16) // max(most, 1)))

    def request(sequence):
        header = struct.pack('!BBHHH', 8, 0, 0, 1, sequence)
        data = payload[:sizes[sequence]]
        return (header[:2] + struct.pack('!H', checksum(header + data)) +
                header[4:] + data)

    ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    ping.connect((address, 0))
    sent, damaged, lost, missing = 0, 0, 0, set()
    while sent < count or missing:
        while sent < count and len(missing) < limit:
            missing.add(sent)
            ping.send(request(sent))
            sent += 1
        if not select.select([ping], [], [], 2)[0]:
            lost += len(missing)
            missing.clear()
            continue
        reply = ping.recv(65536)[20:]
        if reply[0] == 0:
            sequence = struct.unpack('!H', reply[6:8])[0]
            missing.discard(sequence)
            damaged += reply[8:] != payload[:sizes[sequence]]
    print(sent - lost, damaged, flush=True)


# linux/ethtool.h and linux/sockios.h
OFFLOADS = {'checksums': 0x17, 'segments': 0x1f}
SIOCETHTOOL = 0x8946


def offload(interface, *settings):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for setting in settings:
            name, value = setting.split('=')
            # struct ethtool_value, and a struct ifreq that leads to it
            request = array.array('I', [OFFLOADS[name], int(value)])
            fcntl.ioctl(s, SIOCETHTOOL, struct.pack(
                '16sQ16x', interface.encode(), request.buffer_info()[0]))


def echo(address):
    listener = socket.create_server((address, 0))
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    # What is on its way is little, so that this end does not wait for itself
    pieces = (block[i:i + 8192] for block in noise(1 << 62)
              for i in range(0, len(block), 8192))
    total, wrong, ahead, come = 0, '', b'', b''
    commands = sys.stdin.fileno()
    os.set_blocking(commands, False)
    while True:
        room = not wrong and len(ahead) < 1 << 16
        ready = select.select([commands] + ([] if wrong else [connection]),
                              [], [], 0.005 if room else None)[0]
        if commands in ready:
            lines = os.read(commands, 4096)
            if not lines:
                return
            for _ in range(lines.count(b'\n')):
                print(wrong or total, flush=True)
        if connection in ready:
            come = connection.recv(1 << 16)
            if ahead.startswith(come) and come:
                ahead = ahead[len(come):]
                total += len(come)
            else:
                wrong = 'wrong after %d bytes: %s' % (total,
                                                      come[:32] or 'its end')
        if room and not wrong:
            piece = next(pieces)
            connection.sendall(piece)
            ahead += piece


if __name__ == '__main__':
    if sys.argv[1] == 'echo':
        echo(sys.argv[2])
    elif sys.argv[1] == 'flood':
        flood(sys.argv[2], *map(int, sys.argv[3:]))
    elif sys.argv[1] == 'offload':
        offload(*sys.argv[2:])
    else:
        main(sys.argv[1])
