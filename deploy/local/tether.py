"""Becomes the given program, which dies as soon as the process that started it does.

Run as a script: `python tether.py PARENT_PID PROGRAM ARGUMENT...`; the process id stays the same.
Linux only: the kernel keeps the wish to die with the parent across exec.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Ask to be killed with the parent, then become the program."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # the parent died before the kernel knew of the wish
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
