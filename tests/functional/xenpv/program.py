# SPDX-License-Identifier: GPL-2.0-or-later
"""
A program of ours other than QEMU, which may become QEMU: its console is its
standard input and output.
"""

import os
import signal
import socket
import subprocess

from . import paths
from .channel import Channel
from .place import ChildProcess


# What mounts do to each other is left, as unshare cannot say it in a chroot
_UNSHARE = ['unshare', '--propagation', 'unchanged']
# Namespaces for someone who is root there, and for one who may also become
# others. A user gets a namespace of users for the first; for the second
# scripts/packages has used sudo already.
UNSHARE = _UNSHARE + ([] if os.geteuid() == 0 else ['--map-root-user'])
UNSHARE_AS_ROOT = ([] if os.geteuid() == 0 else ['sudo', '-n']) + _UNSHARE

# A network of its own with a bridge, for what follows as "$@"
BRIDGED = [*UNSHARE, '--net', 'sh', '-ec',
           'ip link set lo up; ip link add xenbr0 type bridge; '
           'ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up; '
           'exec "$@"', 'sh']


def inside(pid):
    """What runs a command in the network namespace of a process of BRIDGED"""
    return ['nsenter', '-t', str(pid), '-n',
            *([] if os.geteuid() == 0 else ['-U', '--preserve-credentials'])]


def tool(name):
    return paths.need(os.path.join(paths.BUILD, name), 'make')


class Terminal:
    """Our end of a pseudo-terminal, with a socket's methods"""

    def __init__(self, fd):
        self.fd = fd
        self.fileno = lambda: fd
        self.recv = lambda size: os.read(fd, size)
        self.send = lambda data: os.write(fd, data)
        self.setblocking = lambda on: os.set_blocking(fd, on)
        self.close = lambda: os.close(fd)


def terminal():
    ours, theirs = os.openpty()
    return Terminal(ours), os.fdopen(theirs, 'r+b', buffering=0)


class Program(ChildProcess):
    def __init__(self, place, name, command, env=None, tty=False):
        ours, theirs = terminal() if tty else socket.socketpair()
        self.log = open(paths.result(name + '.console'), 'ab')
        super().__init__(place, {'console': Channel(ours, self.log)})
        self.stderr_path = paths.result(name + '.stderr')
        with open(self.stderr_path, 'wb') as stderr:
            self.popen = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=stderr,
                start_new_session=True,
                env=dict(os.environ, **env) if env else None)
        theirs.close()

    def send_kill(self):
        # It is the leader of its own group
        os.killpg(self.popen.pid, signal.SIGKILL)
