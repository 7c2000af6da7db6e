"""What a script used is told before its end: by control groups of both kinds, `du`, and Kaniko's own lines.

The containers of these tests have no control groups of their own, so files of a test stand in their place.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from executor.pod import programs
from executor.pod.control import CacheStory, ControlLines, Exited, Missed, Started, Used
from tests.support.pods import SUPERVISOR, run_script, start_script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.container import Container, Exec
    from tests.support.pods import Pod

MIB = 1 << 20
V1 = {"cpu": "cpuacct/cpuacct.usage", "memory": "memory/memory.stat"}
V2 = {"cpu": "cpu.stat", "memory": "memory.stat"}
KANIKO = "/kaniko/executor --fake\n"
COLOURED = (
    "\x1b[36mINFO\x1b[0m[0001] No cached layer found for cmd RUN make\n"
    "\x1b[36mINFO\x1b[0m[0002] Using caching version of cmd: RUN apk add gcc\n"
    "\x1b[36mINFO\x1b[0m[0002] Using caching version of cmd: COPY . .\n"
)


class CacheRegistry:
    """A cache registry that answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"1 2 3 4 5 6 7 8 9 10 11 12\n" if self.path == "/driver/story" else b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v2/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


def control_groups(pod: Pod, name: str = "build") -> Path:
    """Make the folder that a container's kernel would show."""
    folder = pod.folder / name / "sys/fs/cgroup"
    for below in ("cpuacct", "memory"):
        (folder / below).mkdir(parents=True)
    return folder


def used(done: Exec) -> Used:
    """The one line, which stands before the exit."""
    started, found, ended = [c for c in ControlLines().feed(done.err) if type(c).__name__ != "Beat"]
    assert isinstance(started, Started)
    assert isinstance(ended, Exited)
    assert isinstance(found, Used)
    return found


def measured(container: Container, script: str) -> Used:
    """Run a script that is measured."""
    return used(run_script(container, "s", script, measured=True))


def test_nothing_is_told_where_nobody_asks(build: Container) -> None:
    assert b"kd1 used" not in run_script(build, "s", "true\n").err


def test_what_is_not_known_is_left_open(build: Container) -> None:
    assert measured(build, "true\n") == Used(cpu=None, programs=None, disk=None, builds=None, hits=None, misses=None)


@pytest.mark.parametrize(
    ("files", "line", "microseconds"), [(V2, "usage_usec {}\nuser_usec 1\n", 1), (V1, "{}\n", 1000)]
)
def test_processor_time_is_that_of_the_script_alone(
    pod: Pod, files: dict[str, str], line: str, microseconds: int
) -> None:
    file = control_groups(pod) / files["cpu"]
    file.write_text(line.format(7_000_000 * microseconds))
    later = line.format(9_500_000 * microseconds).replace("\n", "\\n")
    assert measured(pod.start(), f"printf '{later}' > /sys/fs/cgroup/{files['cpu']}\n").cpu == 2_500_000


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (V2, "anon 300\nfile 99999\nshmem 20\nkernel 1\n"),
        (V1, "cache 9999\nrss 7\nshmem 7\ntotal_rss 300\ntotal_shmem 20\n"),
    ],
)
def test_memory_that_cannot_be_taken_back_is_the_most_of_some_looks(pod: Pod, files: dict[str, str], text: str) -> None:
    file = control_groups(pod) / files["memory"]
    file.write_text(text)
    build = pod.start(environment={"KANIKO_DRIVER_IDLE_PERIOD": "0.05"})
    until("the first look", (pod.stages / ".programs").exists)
    # The script ends once somebody has looked; what was seen before it began does not count.
    wait = "while ! grep -q . /driver/stages/.programs; do usleep 10000; done\n"
    assert measured(build, wait).programs == 320


def test_disk_is_what_came_on_top_of_the_image(pod: Pod) -> None:
    (pod.folder / "build").mkdir()
    (pod.folder / "build" / "image").write_bytes(b"x" * 30 * MIB)
    build = pod.start()
    until("the size of the image", lambda: (pod.stages / ".image").exists() and (pod.stages / ".image").read_text())
    disk = measured(build, f"head -c {8 * MIB} /dev/zero > /tmp/new; sleep 2\n").disk
    assert disk is not None
    assert 8 * MIB <= disk < 9 * MIB


def test_the_volume_of_the_clone_is_told_apart(build: Container) -> None:
    builds = measured(build, f"head -c {5 * MIB} /dev/zero > /builds/new; sleep 2\n").builds
    assert builds is not None
    assert 5 * MIB <= builds < 6 * MIB


def test_disk_of_an_unknown_image_is_not_told(build: Container) -> None:
    # The first process is still at it when the script begins.
    known = "while ! grep -q . /driver/stages/.image 2>/dev/null; do usleep 10000; done"
    assert measured(build, f"{known}; rm /driver/stages/.image; sleep 2\n").disk is None


def test_a_quick_script_is_not_held_up_by_du(build: Container) -> None:
    found = measured(build, "true\n")
    assert (found.disk, found.builds) == (None, None)


def kaniko_that_prints(pod: Pod, text: str) -> None:
    """Put a Kaniko into the image that prints this; the first process puts the wrapper before it."""
    folder = pod.folder / "build" / "kaniko"
    folder.mkdir(parents=True)
    (folder / "text").write_text(text)
    (folder / "executor").write_text("#!/bin/sh\ncat /kaniko/text\n")
    (folder / "executor").chmod(0o755)


def test_hits_and_misses_are_counted_by_kanikos_own_lines(pod: Pod) -> None:
    kaniko_that_prints(pod, COLOURED)
    found = measured(pod.start(), KANIKO)
    assert (found.hits, found.misses) == (2, 1)


@pytest.fixture
def registry() -> Iterator[CacheRegistry]:
    running = CacheRegistry()
    yield running
    running.close()


def test_the_story_of_the_cache_and_the_first_miss_are_told_before_the_end(pod: Pod, registry: CacheRegistry) -> None:
    kaniko_that_prints(pod, COLOURED)
    build = pod.start(environment={"KANIKO_DRIVER_CACHE_URL": registry.url})
    told = ControlLines().feed(run_script(build, "s", KANIKO, measured=True).err)
    (story,) = [control for control in told if isinstance(control, CacheStory)]
    assert (story.hits, story.reason) == (1, 12)
    assert [control.text for control in told if isinstance(control, Missed)] == ["RUN make"]
    assert isinstance(told[-1], Exited)
    assert registry.asked[-1] == "/driver/story"


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"info","msg":"No cached layer found for cmd RUN make","time":"2026-11-25T23:14:32Z"}',
        'time="2026-11-25T23:14:32Z" level=info msg="No cached layer found for cmd RUN make"',
    ],
)
def test_the_first_miss_is_told_in_any_format_of_kanikos_log(pod: Pod, registry: CacheRegistry, line: str) -> None:
    kaniko_that_prints(pod, f"{line}\n")
    build = pod.start(environment={"KANIKO_DRIVER_CACHE_URL": registry.url})
    told = ControlLines().feed(run_script(build, "s", KANIKO, measured=True).err)
    assert [control.text for control in told if isinstance(control, Missed)] == ["RUN make"]


def test_a_cache_that_is_not_used_is_not_asked(pod: Pod, registry: CacheRegistry) -> None:
    kaniko_that_prints(pod, COLOURED)
    build = pod.start(environment={"KANIKO_DRIVER_CACHE_URL": registry.url})
    assert b"kd1 cache" not in run_script(build, "s", "true\n", measured=True).err
    assert registry.asked == []


def test_a_cache_that_does_not_answer_spoils_nothing(pod: Pod) -> None:
    kaniko_that_prints(pod, COLOURED)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v2/"
        build = pod.start(environment={"KANIKO_DRIVER_CACHE_URL": url, "KANIKO_DRIVER_CACHE_SECONDS": "1"})
        done = run_script(build, "s", KANIKO + "exit 3\n", measured=True)
    assert b"kd1 cache" not in done.err
    assert b"kd1 exit 3 " in done.err


def test_a_build_without_a_cache_has_neither(pod: Pod) -> None:
    kaniko_that_prints(pod, "building\n")
    found = measured(pod.start(), KANIKO)
    assert (found.hits, found.misses) == (0, 0)


def test_lines_of_a_script_that_never_called_kaniko_do_not_count(pod: Pod) -> None:
    kaniko_that_prints(pod, COLOURED)
    build = pod.start()
    assert measured(build, KANIKO).hits == 2
    second = used(run_script(build, "second", "cat /kaniko/text\n", measured=True))
    assert (second.hits, second.misses) == (None, None)


def test_a_failed_script_is_measured_too(pod: Pod) -> None:
    kaniko_that_prints(pod, COLOURED)
    done = run_script(pod.start(), "s", KANIKO + "exit 7\n", measured=True)
    assert used(done).hits == 2
    assert b"kd1 exit 7 " in done.err


def test_of_a_dead_container_the_other_one_tells_hits_and_misses(pod: Pod) -> None:
    kaniko_that_prints(pod, COLOURED)
    build, helper = pod.start(), pod.start("helper")
    started = start_script(build, "s", KANIKO + "echo ready; sleep 60\n", measured=True).until("ready")
    build.kill()
    assert started.out.endswith(b"ready\n")
    done = helper.run(*SUPERVISOR, "drain", "s", "0")
    assert ControlLines().feed(done.err)[0] == Used(cpu=None, programs=None, disk=None, builds=None, hits=2, misses=1)


def test_a_full_disk_spoils_no_exit_code(build: Container) -> None:
    done = run_script(build, "s", "chmod 555 /driver/stages; rm -f /driver/stages/.programs; exit 3\n", measured=True)
    assert b"kd1 exit 3 " in done.err


def test_a_stopped_script_is_not_held_up_by_du(build: Container) -> None:
    start_script(build, "s", "sleep 2; echo long enough; sleep 60\n", measured=True).until("long enough")
    done = build.exec(*programs.stop_command(stage="s", grace=10, offset=0)).wait()
    (found,) = [control for control in ControlLines().feed(done.err) if isinstance(control, Used)]
    assert (found.disk, found.builds) == (None, None)
