"""Containers for the in-pod programs: real busybox in process, mount and user namespaces of their own, no cluster.

`supervisor stop`, `run` and `idle` end every process that they can see. So nothing of them is ever started outside of
such namespaces: `Container` refuses when its first process shares ours, and every command looks again before it runs.
Works without root where the kernel lets users make namespaces, else as root.
"""

from __future__ import annotations

import functools
import os
import select
import shutil
import signal
import struct
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from tests.support.waiting import SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUSYBOX = Path("/bin/busybox")
_INTERPRETER = 3
"""ELF's PT_INTERP: names the loader of a program that is not static."""
_FOLDERS = ("bin", "dev", "proc", "tmp", "builds", "cache", "kaniko", "driver/pulse")

_SET_UP = """
root=$1 mounts=$2 path=$3
shift 3
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" || exit 97
echo "$mounts" | while read -r source target; do
    [ -z "$source" ] || mount --bind "$source" "$root$target" || exit 97
done || exit 97
exec chroot "$root" /bin/busybox sh -c 'PATH=$0 && cd /builds && exec "$@"' "$path" "$@"
"""
_GUARD = '[ "$(/bin/busybox readlink /proc/self/ns/pid)" = "$0" ] || exit 98; exec "$@"'


def busybox() -> Path:
    """Return the static busybox that plays every image.

    Raises:
        AssertionError: it is not installed, or needs libraries that a container of ours lacks.
    """
    assert BUSYBOX.exists(), (
        "these tests need a static busybox at /bin/busybox (Debian: apt-get install busybox-static)"
    )
    program = BUSYBOX.read_bytes()
    (table,) = struct.unpack_from("<Q", program, 0x20)
    size, count = struct.unpack_from("<HH", program, 0x36)
    kinds = {struct.unpack_from("<I", program, table + number * size)[0] for number in range(count)}
    assert _INTERPRETER not in kinds, "/bin/busybox is not static (Debian: apt-get install busybox-static)"
    return BUSYBOX


@functools.cache
def _unshare() -> tuple[str, ...]:
    """How this user gets namespaces on this machine."""
    base = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    choices = [(*base, "--user", "--map-root-user"), *([base] if os.geteuid() == 0 else [])]
    for choice in choices:
        if subprocess.run([*choice, "--mount-proc", "true"], capture_output=True, check=False).returncode == 0:
            return choice
    raise AssertionError("these tests need namespaces: allow users to make them (user.max_user_namespaces), or be root")


class Exec:
    """A command in a container, as the kubelet's exec starts one; its output is in files, to be read at any time."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    def send(self, data: bytes) -> Self:
        """Write to stdin and leave it open, as a connection does."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()
        return self

    def hang_up(self) -> Self:
        """End stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self

    @property
    def out(self) -> bytes:
        """Return stdout so far."""
        return (self._folder / "out").read_bytes()

    @property
    def err(self) -> bytes:
        """Return stderr so far."""
        return (self._folder / "err").read_bytes()

    def wait(self, seconds: float = SECONDS) -> Self:
        """Wait for its end."""
        # Not Popen.wait, which asks twenty times a second when it has a time-out.
        watched = os.pidfd_open(self.process.pid)
        try:
            assert select.select([watched], [], [], seconds)[0], f"still running; {self.out!r}; {self.err!r}"
        finally:
            os.close(watched)
        self.process.wait()
        self.close()
        assert self.process.returncode not in {97, 98}, f"not in its namespaces: {self.err!r}"
        return self

    def until(self, condition: str, seconds: float = SECONDS) -> Self:
        """Wait until this text stands in stdout or stderr."""
        wanted = condition.encode()
        until(f"{condition!r} in the output", lambda: wanted in self.out or wanted in self.err, seconds)
        return self

    def close(self) -> None:
        """Close what this side holds."""
        if self.process.stdin is not None:
            self.process.stdin.close()


class Container:
    """A first process in its own namespaces and root, and commands beside it."""

    def __init__(
        self,
        root: Path,
        command: Sequence[str],
        *,
        mounts: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            root: folder that becomes `/`.
            command: of the first process.
            mounts: path inside -> folder outside.
            environment: all variables that a command gets.
        """
        self.root = root
        self.environment = {"PATH": "/bin", **(environment or {})}
        self._execs: list[Exec] = []
        for folder in (*_FOLDERS, *(path.lstrip("/") for path in mounts or {})):
            (root / folder).mkdir(parents=True, exist_ok=True)
        lines = "\n".join(f"{source} {target}" for target, source in (mounts or {}).items())
        self.log = root / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_unshare(), "--", "sh", "-c", _SET_UP, "set-up", root, lines, self.environment["PATH"], *command],
                env={**self.environment, "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._first = 0
        until("the first process", self._find_first)
        self._namespace = str(Path(f"/proc/{self._first}/ns/pid").readlink())
        assert self._namespace != str(Path("/proc/self/ns/pid").readlink()), (
            "the container must have processes of its own"
        )

    def _find_first(self) -> bool:
        assert self._process.poll() is None, f"the container ended: {self.log.read_text()}"
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Until it has changed its root it is the shell that sets it up.
        entered = children and Path(f"/proc/{children[0]}/root").readlink() == self.root
        self._first = int(children[0]) if entered else 0
        return bool(entered)

    def exec(self, *command: str) -> Exec:
        """Start a command beside the first process."""
        folder = self.root.parent / f"{self.root.name}-exec{len(self._execs)}"
        folder.mkdir()
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            started = Exec(self.popen(*command, stdout=out, stderr=err), folder)
        self._execs.append(started)
        return started

    def popen(
        self, *command: str, stdout: int | IO[bytes] = subprocess.PIPE, stderr: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start a command beside the first process; the caller waits for it and closes its streams."""
        user = ("--user", "--preserve-credentials") if "--user" in _unshare() else ()
        enter = ("nsenter", "--target", str(self._first), *user, "--mount", "--pid", "--root", "--wd")
        return subprocess.Popen(
            [*enter, "--", "/bin/busybox", "sh", "-c", _GUARD, self._namespace, *command],
            env=self.environment,
            executable=shutil.which("nsenter"),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
        )

    def run(self, *command: str) -> Exec:
        """Run a command to its end."""
        return self.exec(*command).hang_up().wait()

    def processes(self) -> list[str]:
        """Return the command lines of all processes but the first one."""
        listed = self.run("/bin/busybox", "ps", "-o", "pid,args").out.decode().splitlines()[1:]
        lines = [line.split(maxsplit=1) for line in listed]
        return [words[1] for words in lines if words[0] != "1" and not words[1].startswith("/bin/busybox ps")]

    @property
    def ended(self) -> bool:
        """Tell whether the first process has ended."""
        return self._process.poll() is not None

    @property
    def exit_code(self) -> int:
        """Wait for the first process, and return its exit code."""
        return self._process.wait(SECONDS)

    def listens_for(self, number: signal.Signals) -> bool:
        """Tell whether the first process has a handler for a signal."""
        lines = Path(f"/proc/{self._first}/status").read_text().splitlines()
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
        return bool(caught >> (number - 1) & 1)

    def signal(self, number: signal.Signals) -> None:
        """Send the first process a signal."""
        os.kill(self._first, number)

    def kill(self) -> None:
        """End it and everything in it at once, as the kernel does when memory runs out."""
        if not self.ended:
            os.kill(self._first, signal.SIGKILL)
        self._process.wait(SECONDS)
        for started in self._execs:
            started.process.wait(SECONDS)
            started.close()
