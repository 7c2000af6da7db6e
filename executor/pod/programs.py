"""The shell programs that run inside the pod, and the commands that start them."""

from __future__ import annotations

import os
from hashlib import sha256

from executor.pod import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SUPERVISOR = (f"{names.TOOLS_FOLDER}/busybox", "sh", f"{names.TOOLS_FOLDER}/supervisor")
_FILES = {
    "supervisor": "supervisor",
    "executor": "executor",
    "logins.awk": "logins.awk",
    "dockerfile.awk": "dockerfile.awk",
    "helper/gitlab-runner": "gitlab-runner",
}
"""Name on the tools volume -> package file."""

READY = "kd1-ready"
_BUILD_RUNS = ".runs-build"
"""On the volume of the stages, made by the build container's first process."""

PULSE_SECONDS = 15
"""The helper's first process touches the pulse every five seconds; more than that is no accident."""


def install_command(files: dict[str, str], *, then: str = "") -> list[str]:
    """Make the command of the container that fills the tools volume; `files` are written beside the programs.

    `then`: a program that the container goes on as. From then on it ends well, whatever becomes of the program: only
    an end that is no good one says that the tools are missing.
    """
    arguments = [part for name, source in _FILES.items() for part in (name, _read(source))]
    arguments += [part for name, content in files.items() for part in (name, content)]
    return ["/bin/busybox", "sh", "-c", _read("install"), "install", then, *arguments]


def first_process(idle_seconds: int) -> list[str]:
    """Make the command of a container's first process: any POSIX shell, until the tools are there."""
    return [
        "sh",
        "-c",
        f"{_until(f'[ -e {names.TOOLS_FOLDER}/ready ]')}; exec {' '.join(_SUPERVISOR)} idle {idle_seconds}",
    ]


def await_command() -> list[str]:
    """Print READY as soon as the pod accepts scripts; for the helper, by any POSIX shell; gives up after a while."""
    here = f"[ -e {names.TOOLS_FOLDER}/ready ] && [ -e {names.STAGES_FOLDER}/{_BUILD_RUNS} ]"
    return ["sh", "-c", f"{_until(here, give_up_after=30)}; echo {READY}"]


def _until(condition: str, *, give_up_after: int = 0) -> str:
    """Wait in any POSIX shell, at first impatiently: each look takes a process, and on a busy node there are many."""
    end = f"[ $n -lt {give_up_after} ] || exit 1; " if give_up_after else ""
    pause = "[ $n -gt 10 ] && pause=0.2 || pause=0.05; sleep $pause 2>/dev/null || sleep 1"
    return f"n=0; until {condition}; do n=$((n + 1)); {end}{pause}; done"


def run_command(  # noqa: PLR0913 - the words of the supervisor's own command line
    *, stage: str, payload: bytes, logins: int, shell: str, output_limit: int, umask: str, measured: bool = False
) -> list[str]:
    """Start a script that comes on stdin: `logins` bytes of registry logins, then the script.

    `measured`: how much it used is told at its end.
    """
    digest, measure = sha256(payload).hexdigest(), str(int(measured))
    words = (stage, str(len(payload)), digest, str(logins), shell, str(output_limit), umask, measure)
    return [*_SUPERVISOR, "run", *words]


def follow_command(*, stage: str, offset: int, until_end_of_file: bool = False) -> list[str]:
    """Print a script's output from a byte on; `until_end_of_file` when its container is known to be dead."""
    return [*_SUPERVISOR, "drain" if until_end_of_file else "follow", stage, str(offset)]


def stop_command(*, stage: str, grace: int, offset: int) -> list[str]:
    """End every process of the container, TERM and after `grace` seconds KILL, then print the rest."""
    return [*_SUPERVISOR, "stop", stage, str(grace), str(offset)]


def health_check_command(ports: Iterable[str], seconds: int) -> list[str]:
    """Try ports on the pod's loopback address for at most `seconds`, in the helper; prints each one that answers."""
    busybox = f"{names.TOOLS_FOLDER}/busybox"
    check = f'{busybox} timeout {seconds} gitlab-runner-helper health-check --port "$port" >/dev/null 2>&1'
    words = " ".join(ports)
    return [busybox, "sh", "-c", f'for port in {words}; do {{ {check} && echo "$port"; }} & done; wait']


def stages_command(*, seen: int | None = None) -> list[str]:
    """List the scripts so far, one a line: ID CONTAINER TIME; waits until there are more than `seen`."""
    return [*_SUPERVISOR, "stages", *([] if seen is None else [str(seen)])]


def look_command() -> list[str]:
    """Tell the newest script and what the container uses now, in lines that `operate/jobs.py` reads."""
    return [*_SUPERVISOR, "look"]


def shell_command(folder: str) -> list[str]:
    """Start an interactive shell in a folder, or in /builds where it is missing; with the tools last on PATH."""
    busybox, tools = f"{names.TOOLS_FOLDER}/busybox", f"{names.TOOLS_FOLDER}/bin"
    script = (
        f'cd "$1" 2>/dev/null || cd {names.BUILDS_FOLDER}; export PATH="$PATH:{tools}"; '
        f"if command -v bash >/dev/null; then exec bash; else exec {busybox} sh; fi"
    )
    return [busybox, "sh", "-c", script, "shell", folder]


def hold_command(*, seconds: int) -> list[str]:
    """Scrub the pod of logins and scripts, and keep its first processes alive for so long, scripts or none."""
    return [*_SUPERVISOR, "hold", str(seconds)]


def _read(name: str) -> str:
    # Not by importlib.resources: it brings tempfile and more along, a tenth of what `config` takes.
    with open(os.path.join(os.path.dirname(__file__), "shell", name), encoding="utf-8") as file:
        return file.read()
