# SPDX-License-Identifier: GPL-2.0-or-later
"""
A thread of QEMU's that is held between two of its instructions, by ptrace().

For a fault that takes two threads which meet there: the other one does its part
meanwhile. It is for x86-64 hosts, and needs a QEMU with its symbols.
"""

import ctypes
import os
import re
import signal
import subprocess

PTRACE_CONT, PTRACE_SINGLESTEP = 7, 9
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000               # waitpid(): threads, too
GENERAL, RIP, NR_REGS = 15, 16, 27      # in struct user_regs_struct
INT3 = b'\xcc'


def symbol(binary, name):
    """Its address and size"""
    table = subprocess.run(['nm', '-S', binary], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    match = re.search(r'^([0-9a-f]+) ([0-9a-f]+) \w %s$' % name, table, re.M)
    return int(match[1], 16), int(match[2], 16)


def instruction(binary, function, pattern):
    """Where in the file is FUNCTION's first instruction that looks so?"""
    start, size = symbol(binary, function)
    code = subprocess.run(
        ['objdump', '-d', '--no-show-raw-insn', '--start-address=%d' % start,
         '--stop-address=%d' % (start + size), binary],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(re.search(r'^ *([0-9a-f]+):\s+' + pattern, code, re.M)[1], 16)


class Held:
    """
    The thread TID of process PID, before the instruction that FUNCTION and PATTERN
    name, and with VALUE in a register
    """
    def __init__(self, pid, tid, binary, function, pattern, value):
        self.tid = tid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long
        with open('/proc/%d/maps' % pid) as maps:
            base = min(int(line.split('-')[0], 16) for line in maps
                       if line.rstrip().endswith(os.path.realpath(binary)))
        address = base + instruction(binary, function, pattern)
        self._ptrace(PTRACE_SEIZE)
        self._ptrace(PTRACE_INTERRUPT)
        os.waitpid(tid, WALL)
        try:
            with open('/proc/%d/mem' % pid, 'r+b', 0) as memory:
                while value not in self._go_to(memory, address):
                    self._until_trap(PTRACE_SINGLESTEP)
        except BaseException:
            self._ptrace(PTRACE_INTERRUPT)
            os.waitpid(tid, WALL)
            self.let_go()
            raise

    def _ptrace(self, request, data=0):
        if self.libc.ptrace(request, self.tid, 0, data) < 0:
            raise OSError(ctypes.get_errno(), 'ptrace(%#x)' % request)

    def _until_trap(self, request):
        self._ptrace(request)
        while True:
            status = os.waitpid(self.tid, WALL)[1]
            # An event of ptrace()'s is no signal to be passed on
            number = 0 if status >> 16 else os.WSTOPSIG(status)
            if number == signal.SIGTRAP:
                return
            self._ptrace(PTRACE_CONT, number)

    def _go_to(self, memory, address):
        """Returns the general registers there"""
        memory.seek(address)
        there = memory.read(1)
        memory.seek(address)
        memory.write(INT3)
        self._until_trap(PTRACE_CONT)
        memory.seek(address)
        memory.write(there)
        regs = (ctypes.c_uint64 * NR_REGS)()
        self._ptrace(PTRACE_GETREGS, ctypes.addressof(regs))
        regs[RIP] = address
        self._ptrace(PTRACE_SETREGS, ctypes.addressof(regs))
        return regs[:GENERAL]

    def let_go(self):
        """Nobody can wait for the process's end before that"""
        if self.tid:
            self._ptrace(PTRACE_DETACH)
            self.tid = None
