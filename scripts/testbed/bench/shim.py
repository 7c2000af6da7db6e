"""Stands in front of a command, passes everything through, and writes down what the command used.

`shim.py RECORD COMMAND...`: stdin, stdout, stderr are the command's own, SIGTERM and SIGINT go on to it, its exit code
is this one's. One JSON line is added to RECORD. Run it with `python -I -S`: it imports nothing but the standard
library, because memory is counted from the process that the command is forked from, which has to be a small one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

FORWARDED = (signal.SIGTERM, signal.SIGINT)


def main(record: str, command: list[str]) -> int:
    """Run the command and return its exit code; 128 and the signal's number when a signal ended it."""
    began = time.time()
    # Until the child is known, a signal could not be passed on; it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.posix_spawn(command[0], command, os.environ, setsigmask=())
    for number in FORWARDED:
        signal.signal(number, lambda heard, _: os.kill(child, heard))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    line = describe(command, os.environ.get("CUSTOM_ENV_CI_JOB_ID", ""), code)
    line |= {
        "began": began,
        "wall_seconds": time.time() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    write(record, line)
    return code if code >= 0 else 128 - code


def describe(command: list[str], job: str, code: int) -> dict[str, Any]:
    """Say which stage of which job it was; `run` has a script and the sub-stage's name as its last words."""
    stage = command[1] if len(command) > 1 else ""
    return {"stage": stage, "sub_stage": command[-1] if stage == "run" else "", "job": job, "code": code}


def write(record: str, line: dict[str, Any]) -> None:
    """Add a line in one write: many stages share the file."""
    handle = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, json.dumps(line).encode() + b"\n")
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
