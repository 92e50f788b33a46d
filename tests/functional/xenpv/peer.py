#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
peer.py ADDRESS

What a guest talks to: two TCP servers at ADDRESS, whose ports are the first
line of the output, "SINK SOURCE". To the one a guest sends what it likes; the
other sends it as many bytes of noise as its first line says. For each
connection a line tells "BYTES MD5 SECONDS".

By itself, so that it can run in another network namespace than the tests do.
"""

import hashlib
import os
import socket
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
        listener = socket.create_server((address, 0))
        ports.append(listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, handle)).start()
    print(*ports, flush=True)


if __name__ == '__main__':
    main(sys.argv[1])
