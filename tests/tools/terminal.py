"""Runs a command at a terminal of its own, types a line once it has asked for one, and prints all that was on the screen.

usage: terminal.py PROMPT LINE COMMAND ARGUMENT...; ends with the command's status.
"""

import os
import pty
import sys

prompt, line, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
screen, typed = b"", False
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    if not some:
        break
    screen += some
    if not typed and prompt in screen:
        os.write(terminal, line + b"\n")
        typed = True
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
