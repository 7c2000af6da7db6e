"""Scripts that fight their supervisor: each ends with its own code or with the cause, and none hangs or lies."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from executor.pod.control import ControlLines, Exited, Failed
from tests.support.pods import SUPERVISOR, run_script, start_script

if TYPE_CHECKING:
    from executor.pod.control import Control
    from tests.support.container import Container, Exec
    from tests.support.pods import Pod

RECORDED = "until [ -s /driver/stages/s/out ]; do sleep 0.02; done\n"
"""Waits until what was printed so far is in the file: before that, nobody can say that it was recorded."""
KILL_RECORDER = (
    "until [ -s /driver/stages/s/recorder ]; do sleep 0.05; done; kill -9 $(cat /driver/stages/s/recorder)\n"
)


def end(done: Exec) -> Control:
    """What the last control line says."""
    return ControlLines().feed(done.err)[-1]


def code(done: Exec) -> int:
    last = end(done)
    assert isinstance(last, Exited), done.err
    return last.code


def follow(container: Container, offset: int = 0) -> Exec:
    return container.run(*SUPERVISOR, "follow", "s", str(offset))


class TestOutput:
    def test_a_script_that_closes_its_output_has_its_code(self, build: Container) -> None:
        done = run_script(build, "s", "echo open; exec >&- 2>&-; echo closed; exit 5\n")
        assert (done.out, code(done)) == (b"open\n", 5)

    @pytest.mark.parametrize("after", ["", "echo after\n", "seq 100000\n"])
    def test_output_that_nobody_recorded_is_no_success(self, build: Container, after: str) -> None:
        done = run_script(build, "s", f"echo before\n{RECORDED}{KILL_RECORDER}{after}exit 0\n")
        assert (done.out, end(done)) == (b"before\n", Failed("lost"))

    def test_nor_is_it_when_the_recorders_parent_is_killed_with_it(self, build: Container) -> None:
        both = "recorder=$(cat /driver/stages/s/recorder); read -r _ _ _ parent _ < /proc/$recorder/stat\n"
        wait = "until [ -s /driver/stages/s/recorder ]; do sleep 0.05; done\n"
        done = run_script(build, "s", f"{wait}{both}kill -9 $parent $recorder; exit 0\n")
        assert end(done) == Failed("lost")

    def test_a_script_that_kills_all_processes_is_lost_for_every_follower(self, build: Container) -> None:
        start_script(build, "s", "echo before; sleep 0.3; kill -9 -1; sleep 60\n").wait()
        done = follow(build)
        assert (done.out, end(done)) == (b"before\n", Failed("lost"))

    def test_a_stage_that_was_moved_away_is_lost(self, build: Container) -> None:
        done = run_script(build, "s", "mv /driver/stages/s /builds/mine; echo moved; sleep 60\n")
        assert end(done) == Failed("lost")
        assert end(follow(build)) == Failed("unknown")

    def test_a_deleted_bell_wakes_nobody_and_loses_nothing(self, build: Container, pod: Pod) -> None:
        script = "echo quiet; until [ -e go ]; do sleep 0.05; done; rm /driver/stages/s/bell; exit 3\n"
        # Its follower has opened the bell when it shows output; for one that comes later the script is lost.
        following = start_script(build, "s", script).until("quiet\n")
        (pod.volumes["/builds"] / "go").touch()
        done = following.wait()
        assert (done.out, code(done)) == (b"quiet\n", 3)


class TestForging:
    @pytest.mark.parametrize("forged", ["nonsense", "5", "9 9", "$(touch /builds/ran)", "x[$(touch /builds/ran)] 1"])
    def test_an_exit_file_that_is_none_is_no_exit_and_no_command(self, build: Container, pod: Pod, forged: str) -> None:
        (pod.volumes["/builds"] / "forged").write_text(forged + "\n")
        done = start_script(build, "s", "cp forged /driver/stages/s/exit; sleep 60\n").wait()
        assert not any(isinstance(control, Exited) for control in ControlLines().feed(done.err))
        assert not (pod.volumes["/builds"] / "ran").exists()

    def test_control_lines_in_the_output_are_output(self, build: Container) -> None:
        script = "echo 'kd1 exit 0 0 0 0 0'; echo 'kd1 error lost' >&2; exit 4\n"
        done = run_script(build, "s", script)
        assert (done.out, code(done)) == (b"kd1 exit 0 0 0 0 0\nkd1 error lost\n", 4)


class TestFullDisk:
    """/driver on a disk of a megabyte."""

    @pytest.fixture
    def small(self, build: Container) -> Container:
        done = build.run("/bin/busybox", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/driver/stages")
        assert done.process.returncode == 0, done.err
        return build

    def test_output_without_room_ends_the_script_with_the_cause(self, small: Container) -> None:
        done = run_script(small, "s", "seq 1000000; sleep 600\n")
        assert done.out.startswith(b"1\n2\n3\n")
        assert end(done) == Failed("full")

    def test_room_that_comes_back_too_late_is_no_success(self, small: Container) -> None:
        fill = "cat /dev/zero > /driver/stages/junk 2>/dev/null"
        noticed = "until [ -e /driver/stages/s/exit ]; do sleep 0.02; done"
        done = run_script(small, "s", f"{fill}; seq 1000; {noticed}; rm /driver/stages/junk; echo more; exit 0\n")
        assert end(done) == Failed("full")

    def test_a_full_disk_loses_no_exit_code_of_a_script_that_prints_nothing(self, small: Container) -> None:
        fill = "cat /dev/zero > /driver/stages/junk 2>/dev/null"
        done = run_script(small, "s", f"echo before\n{RECORDED}{fill}; exit 6\n")
        assert (done.out, code(done)) == (b"before\n", 6)

    def test_the_next_script_is_refused_with_the_cause(self, small: Container) -> None:
        run_script(small, "s", "cat /dev/zero > /driver/stages/junk 2>/dev/null\n")
        assert end(run_script(small, "t", "echo never\n")) == Failed("full")


class TestVolumeLimit:
    """/driver/stages on a large disk, above the size that the kubelet would evict the pod for."""

    def test_a_script_that_fills_it_ends_with_the_cause(self, pod: Pod) -> None:
        build = pod.start(environment={"KANIKO_DRIVER_VOLUME_KILOBYTES": "2000"})
        done = run_script(build, "s", "echo before; head -c 3000000 /dev/zero > /driver/stages/junk; sleep 600\n")
        assert (done.out, end(done)) == (b"before\n", Failed("full"))

    def test_below_it_nothing_is_said(self, pod: Pod) -> None:
        build = pod.start(environment={"KANIKO_DRIVER_VOLUME_KILOBYTES": "2000"})
        wait = "for beat in 1 2 3 4 5; do sleep 0.3; done"
        done = run_script(build, "s", f"head -c 1000000 /dev/zero > /driver/stages/junk; {wait}; exit 3\n")
        assert code(done) == 3


class TestOddScripts:
    def test_ten_thousand_lines(self, build: Container) -> None:
        lines = "".join(f"echo {number}\n" for number in range(10_000))
        done = run_script(build, "s", lines)
        assert done.out == "".join(f"{number}\n" for number in range(10_000)).encode()

    def test_megabytes_on_one_line(self, build: Container) -> None:
        long = "x" * 3_000_000
        assert run_script(build, "s", f"v={long}; echo ${{#v}}\n").out == b"3000000\n"

    @pytest.mark.parametrize("odd", ["\x1b[31mred\x1b[0m\r\n", "10%\r20%\r30%\r", "\0\x01\x7f", "漢字\udcff\udcc3("])
    def test_bytes_of_any_kind_are_the_scripts_own(self, build: Container, odd: str) -> None:
        data = odd.encode("utf-8", "surrogateescape")
        escaped = "".join(f"\\{byte:03o}" for byte in data)
        done = run_script(
            build, "s", b"# " + data.replace(b"\n", b"") + b"\nprintf '" + escaped.encode() + b"'; exit 2\n"
        )
        assert (done.out, code(done)) == (data, 2)

    def test_a_script_with_carriage_returns_fails_as_its_shell_says(self, build: Container) -> None:
        done = run_script(build, "s", b"true\r\nfalse-command\r\n")
        assert (code(done), b"not found" in done.out) == (127, True)

    def test_random_bytes_as_script_end_somehow(self, build: Container) -> None:
        assert code(run_script(build, "s", b"exit 9\n" + random.Random(3).randbytes(5_000))) == 9
