"""SIGTERM ends a stage once, at once, and never in the middle of a counted write. Each case is a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

PROLOGUE = """
import os, signal, sys
from executor.errors import Cancelled
from executor.stages import cancel
from executor.stages.joblog import JobLog

def term():
    os.kill(os.getpid(), signal.SIGTERM)

cancel.listen()
"""


def run(body: str) -> str:
    """Run a program that listens for SIGTERM; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + body], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_first_term_ends_what_runs_and_later_ones_do_nothing() -> None:
    assert (
        run("""
try:
    term()
    print("went on")
except Cancelled:
    term()
    term()
    print("cancelled once")
""")
        == "cancelled once\n"
    )


def test_it_is_no_exception_that_somebody_swallows() -> None:
    assert (
        run("""
try:
    try:
        term()
    except Exception:
        print("swallowed")
except Cancelled:
    print("cancelled")
""")
        == "cancelled\n"
    )


def test_where_python_itself_swallows_exceptions_it_comes_a_moment_later() -> None:
    """Weak references and finalizers: the import system has such a callback for each module."""
    assert (
        run("""
import time
class Finalized:
    def __del__(self):
        term()
        print("ended early")
try:
    Finalized()
    time.sleep(60)
    print("went on")
except Cancelled:
    print("cancelled")
""")
        == "cancelled\n"
    )


def test_other_exceptions_that_python_swallows_are_still_shown() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROLOGUE + "class Finalized:\n    def __del__(self):\n        raise ValueError('seen')\nFinalized()",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "ValueError: seen" in done.stderr


def test_a_shield_holds_it_back_until_its_end() -> None:
    assert (
        run("""
try:
    with cancel.shielded():
        with cancel.shielded():
            term()
            print("requested", cancel.requested())
        print("still held back")
    print("went on")
except Cancelled:
    print("cancelled", cancel.requested())
""")
        == "requested True\nstill held back\ncancelled False\n"
    )


def test_a_cancel_in_the_middle_of_output_counts_exactly_what_was_written() -> None:
    """The rest is asked for from that byte on, so a miscount would lose or repeat output."""
    received, counted = run("""
data = bytes(i % 251 for i in range(1_000_000))
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.close(writing)
    received = os.read(reading, 1000)
    os.kill(os.getppid(), signal.SIGTERM)
    while more := os.read(reading, 1000):
        received += more
    os.write(1, b"%d\\n" % (len(received) if data.startswith(received) else -1))
    os._exit(0)
os.close(reading)
log = JobLog(writing)
try:
    log.script_output(memoryview(data))
except Cancelled:
    os.close(writing)
    os.waitpid(child, 0)
    print(log.passed())
""").split()
    assert received == counted
    assert 1000 <= int(counted) < 1_000_000


def test_ctrl_c_in_a_terminal_is_the_same() -> None:
    assert (
        run("""
try:
    os.kill(os.getpid(), signal.SIGINT)
except Cancelled:
    print("cancelled")
""")
        == "cancelled\n"
    )


def test_a_stage_that_is_over_hears_nothing_any_more() -> None:
    assert (
        run("""
cancel.over()
term()
with cancel.shielded():
    term()
print("exit code kept")
""")
        == "exit code kept\n"
    )


def test_a_runner_that_died_is_noticed_once() -> None:
    assert (
        run("""
import time
from executor.errors import RunnerGone
told, tell = os.pipe()
ready, set_ready = os.pipe()
if os.fork():
    os.close(tell)
    print(os.read(told, 100).decode(), end="")
    sys.exit()
runner = os.getpid()
if os.fork():
    # This one is the runner: it ends as soon as its stage has seen it.
    os.read(ready, 1)
    os._exit(0)
watch = cancel.Runner()
watch.check()
os.write(set_ready, b"x")
while os.getppid() == runner:
    time.sleep(0.005)
try:
    watch.check()
except RunnerGone:
    watch.check()
    os.write(tell, b"gone, told once\\n")
""")
        == "gone, told once\n"
    )


def test_before_listening_a_term_simply_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, b"")
