# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where QEMU runs, and a QEMU that runs there.

A place has
  accel           what -accel gets; None: nothing
  patience        factor for all time limits, where nobody else wants the CPUs
  file(path)      the name by which QEMU finds a file of this machine
  disk(path)      likewise a disk's image, which is not written to
  start(...)      start QEMU and return a process
  run(...)        run QEMU to its end
  exits(process)  how many VM exits its KVM has counted
The other place is in nested.py. A test does not see which one it has.
"""

import os
import re
import signal
import socket
import subprocess
import time

from . import paths
from .channel import Channel, Gdb, Qmp, Timeout, wait_readable

# The ways into a QEMU: a name, and QEMU's options for a chardev of that name
PORTS = {
    'console': ['-serial', 'chardev:console'],
    'qmp': ['-mon', 'chardev=qmp,mode=control'],
    'gdb': ['-gdb', 'chardev:gdb'],
}


# What libvirt gives, too: a QEMU that a guest has taken over starts no program
SANDBOX = ('on,obsolete=deny,elevateprivileges=deny,spawn=deny,'
           'resourcecontrol=deny')


def busy():
    """
    How many there are for each CPU of this machine, at least 1. Limits are for
    what is stuck: others that want the CPUs make it slow
    """
    return max(1, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def plain_arguments(place, machine, options):
    """What all tests have in common on the command line"""
    arguments = ['-M', machine, '-no-user-config', '-nodefaults',
                 '-display', 'none']
    if '-sandbox' not in options:
        arguments += ['-sandbox', SANDBOX]
    if place.accel:
        arguments += ['-accel', place.accel]
    return arguments + [str(o) for o in options]


class Process:
    """A running QEMU; how it is reached is for the subclasses"""

    def __init__(self, place, channels):
        self.place = place
        self.channels = channels
        for channel in channels.values():
            channel.process = self
        self.console = channels.get('console')
        self.qmp = Qmp(channels['qmp']) if 'qmp' in channels else None
        self.gdb = Gdb(channels['gdb']) if 'gdb' in channels else None
        self.status = None
        self.commands = 0

    # For subclasses: pump(), poll(), stderr(), kill(), release()

    def describe_exit(self):
        text = 'status %s' % self.status
        if self.stderr():
            text += ': ' + self.stderr().strip().splitlines()[-1]
        return text

    def limit(self, seconds):
        return seconds * self.place.patience * busy()

    def expect(self, pattern, timeout=60):
        """Wait for something on the console"""
        return self.console.expect(pattern, self.limit(timeout))

    def type(self, text):
        self.console.send(text)

    def shell(self, command, timeout=30):
        """
        Type a command at the guest's shell and return (status, its output).

        Markers are typed as arithmetic, so that the terminal's echo of the
        line is not taken for the answer.
        """
        self.commands += 1
        n = self.commands
        self.type('echo @B$((%d))@; %s; echo @E$((%d))=$?@\n'
                  % (n, command, n))
        match = self.expect(r'@B%d@\r?\n(.*?)@E%d=(\d+)@\r?\n' % (n, n), timeout)
        output = match.group(1).decode(errors='replace').replace('\r', '')
        return int(match.group(2)), output.strip('\n')

    def wait(self, timeout=60):
        """Wait for QEMU's end and return its exit status"""
        end = time.monotonic() + self.limit(timeout)
        while self.pump(0.2):
            if time.monotonic() > end:
                raise Timeout('QEMU still runs after %d s'
                              % self.limit(timeout))
        for channel in self.channels.values():
            channel.receive()
        return self.status

    def wait_event(self, name, timeout=60):
        return self.qmp.event(name, self.limit(timeout))


class ChildProcess(Process):
    """One of this machine; subclasses set .popen, .log and .stderr_path"""
    stderr_start = 0            # where in that file its own begins

    def pump(self, timeout):
        """Read all channels; False when QEMU has ended and all is read"""
        wait_readable(self.channels.values(), timeout)
        return self.poll() is None

    def poll(self):
        self.status = self.popen.poll()
        return self.status

    def stderr(self):
        with open(self.stderr_path, 'rb') as f:
            f.seek(self.stderr_start)
            return f.read().decode(errors='replace')

    def kill(self):
        if self.poll() is None:
            self.send_kill()
            self.status = self.popen.wait()

    def send_kill(self):
        self.popen.send_signal(signal.SIGKILL)

    def release(self):
        self.kill()
        for channel in self.channels.values():
            channel.receive()
            channel.sock.close()
        self.log.close()


class HostProcess(ChildProcess):
    """PORTS: names of channels, and the options that use their chardevs"""

    def __init__(self, place, name, command, ports):
        self.name = name
        log = open(paths.result(name + '.console'), 'ab')
        self.log = log
        self.stderr_path = paths.result(name + '.stderr')
        channels, fds, options = {}, [], []
        for port in ports:
            ours, theirs = socket.socketpair()
            channels[port] = Channel(ours, log if port == 'console' else None)
            fds.append(theirs)
            options += ['-chardev', 'socket,id=%s,fd=%d'
                        % (port, theirs.fileno())]
            options += ports[port]
        super().__init__(place, channels)
        with open(self.stderr_path, 'ab') as stderr:
            self.stderr_start = stderr.tell()
            self.popen = subprocess.Popen(
                command + options, stdin=subprocess.DEVNULL, stdout=stderr,
                stderr=stderr, pass_fds=[f.fileno() for f in fds])
        for f in fds:
            f.close()
        with open(paths.result(name + '.command'), 'a') as f:
            f.write(' '.join(command + options) + '\n')


class Host:
    """This machine: under TCG, or under its own KVM where there is a real one"""

    def __init__(self, accel, patience=1):
        self.accel = accel
        self.patience = patience
        self.wrapper = []       # a command which runs QEMU

    def close(self):
        pass

    @staticmethod
    def has_real_kvm():
        """
        Can /dev/kvm be used here, and by hardware?

        A KVM on a processor without VMX and SVM exists, in some clouds; it
        emulates each instruction of ring 0 and is of no use.
        """
        with open('/proc/cpuinfo') as f:
            flags = re.search(r'^flags\s*:.*\b(vmx|svm)\b', f.read(), re.M)
        return bool(flags) and os.access('/dev/kvm', os.R_OK | os.W_OK)

    def file(self, path):
        return path

    def disk(self, path):
        return path

    def read(self, path, length):
        with open(path, 'rb') as f:
            return f.read(length)

    def scratch(self, name):
        """A path at which QEMU may write a file"""
        return paths.result(name)

    def start(self, name, arch, *options, machine='xenpv-kvm',
              ports=('console', 'qmp')):
        command = (self.wrapper + [paths.qemu(arch)] +
                   plain_arguments(self, machine, options))
        return HostProcess(self, name, command, {p: PORTS[p] for p in ports})

    def run(self, name, arch, *options, machine='xenpv-kvm', timeout=60):
        """Run QEMU without a console; returns (status, stdout and stderr)"""
        command = [paths.qemu(arch)] + plain_arguments(self, machine, options)
        process = HostProcess(self, name, command, {})
        try:
            return process.wait(timeout), process.stderr()
        finally:
            process.release()

    def exits(self, process):
        """What KVM counted for this QEMU (needs root and debugfs)"""
        total = 0
        prefix = '%d-' % process.popen.pid
        base = '/sys/kernel/debug/kvm'
        for entry in os.listdir(base):
            if entry.startswith(prefix):
                with open(os.path.join(base, entry, 'exits')) as f:
                    total += int(f.read())
        return total
