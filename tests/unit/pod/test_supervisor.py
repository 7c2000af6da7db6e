"""The supervisor, with real busybox in real containers: bytes, exit codes, second lives, stops and lost files.

Nothing here runs outside of namespaces of its own; see tests/support/container.py.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from executor.pod import programs
from executor.pod.control import ControlLines, Exited, Failed, Started
from tests.support.pods import SUPERVISOR, digest, run_script, start_script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.pod.control import Control
    from tests.support.container import Container, Exec
    from tests.support.pods import Pod


LOOP = Path("/dev/loop-control")
_STALL_SECONDS = 7.0
"""More than the keeper waits for a recorder that is only slow."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, on a file."""
    image, folder = tmp_path / "disk.ext4", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def stalled(disk: Path) -> Iterator[None]:
    """Let every write to the disk wait for the end of the block."""
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)


def controls(done: Exec) -> list[Control]:
    """What the control lines said, beats apart; nothing but control lines may stand in stderr."""
    assert re.fullmatch(rb"(kd1 [^\n]*\n)*", done.err), done.err
    return [control for control in ControlLines().feed(done.err) if type(control).__name__ != "Beat"]


def ended(done: Exec) -> Exited:
    """How the script ended, as the last control line says."""
    last = controls(done)[-1]
    assert isinstance(last, Exited), done.err
    return last


def follow(container: Container, stage: str, offset: int = 0, verb: str = "follow") -> Exec:
    return container.run(*SUPERVISOR, verb, stage, str(offset))


def stop(container: Container, stage: str, *, grace: int = 0, offset: int = 0) -> Exec:
    return container.exec(*programs.stop_command(stage=stage, grace=grace, offset=offset))


def others(container: Container) -> list[str]:
    """The processes that are none of the supervisor's own."""
    own = ("/driver/tools/busybox sh /driver/tools/supervisor idle", "/driver/tools/busybox sleep", "{")
    return [line for line in container.processes() if not line.startswith(own)]


class TestRun:
    @pytest.mark.parametrize("code", [0, 1, 2, 37, 126, 127, 143, 255])
    def test_the_exit_code_is_the_scripts(self, build: Container, code: int) -> None:
        done = run_script(build, "s", f"echo out; echo err >&2; exit {code}\n")
        assert done.out == b"out\nerr\n"
        assert controls(done) == [Started(), ended(done)]
        assert (ended(done).code, ended(done).size, ended(done).full) == (code, 8, False)

    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ("no-such-command\n", 127),
            ("kill -9 $$\n", 137),
            ("kill $$\n", 143),
            ("kill -9 0\n", 137),
            ("trap 'trap - TERM; kill 0' EXIT TERM; sleep 600 & exit 0\n", 143),
            ("if\n", 2),
            ("", 0),
            ("true", 0),
            ("(exit 3)\nfalse\n", 1),
            ("exec cat /nowhere\n", 1),
        ],
    )
    def test_every_way_to_end_has_its_code(self, build: Container, script: str, code: int) -> None:
        assert ended(run_script(build, "s", script)).code == code

    def test_any_bytes_arrive_exactly(self, build: Container, pod: Pod) -> None:
        data = random.Random(9).randbytes(5_000_000) + b"\0\r\n\xff no newline at the end"
        (pod.volumes["/builds"] / "data").write_bytes(data)
        done = run_script(build, "s", "cat data\n")
        assert done.out == data
        assert ended(done).size == len(data)

    def test_a_script_with_any_bytes_arrives_exactly(self, build: Container) -> None:
        text = "# " + "ä漢\t" * 200_000 + "\nprintf %s 'a\\b$HOME`x`\r'\n"
        assert run_script(build, "s", text).out == b"a\\b$HOME`x`\r"

    def test_a_script_may_write_to_its_own_stderr_and_stdout_by_name(self, build: Container) -> None:
        done = run_script(build, "s", "echo one; echo two > /dev/stderr; echo three > /dev/stdout; echo four\n")
        assert done.out == b"one\ntwo\nthree\nfour\n"

    def test_nothing_waits_on_stdin(self, build: Container) -> None:
        assert run_script(build, "s", "read x; echo $?; cat; echo end\n").out == b"1\nend\n"

    def test_it_runs_where_the_container_works_with_the_umask_it_was_given(self, build: Container, pod: Pod) -> None:
        run_script(build, "a", "pwd > where; umask >> where\n", umask="0022")
        run_script(build, "b", "umask > mask; touch open\n", umask="0000")
        builds = pod.volumes["/builds"]
        assert (builds / "where").read_text() == "/builds\n0022\n"
        assert (builds / "mask").read_text() == "0000\n"
        assert (builds / "open").stat().st_mode & 0o777 == 0o666

    def test_a_script_knows_the_tools_and_not_the_supervisors_own_variables(self, build: Container) -> None:
        done = run_script(build, "s", "env; awk 'BEGIN { print \"awk works\" }'\n")
        assert b"\nPATH=/bin:/driver/tools/bin\n" in done.out
        assert done.out.endswith(b"awk works\n")
        assert b"KANIKO_DRIVER_UMASK" not in done.out

    def test_the_helper_container_has_the_runners_command(self, pod: Pod) -> None:
        helper = pod.start("helper")
        assert run_script(helper, "s", "command -v gitlab-runner\n").out == b"/driver/tools/helper/gitlab-runner\n"

    def test_another_shell_is_used_where_the_image_has_one(self, pod: Pod, build: Container) -> None:
        assert ended(run_script(build, "none", "echo x\n", shell="bash")).code == 0
        own = pod.folder / "with-bash"
        shutil.copytree(pod.image, own, symlinks=True)
        (own / "bash").write_text("#!/bin/sh\necho this is bash\n")
        (own / "bash").chmod(0o755)
        pod.volumes["/bin"] = own
        assert run_script(pod.start("helper"), "s", "echo x\n", shell="bash").out == b"this is bash\n"

    def test_a_child_that_stays_in_the_background_holds_nothing_up(self, build: Container) -> None:
        # It would be waited for longer than `run_script` waits.
        assert run_script(build, "s", "(sleep 600; echo late) & echo early\n").out == b"early\n"

    def test_what_a_child_prints_after_the_end_is_not_shown(self, build: Container, pod: Pod) -> None:
        script = "(while [ ! -e go ]; do sleep 0.05; done; echo late; touch went) & echo early\n"
        done = run_script(build, "s", script)
        (pod.volumes["/builds"] / "go").touch()
        until("the child", (pod.volumes["/builds"] / "went").exists)
        assert done.out == b"early\n"
        assert follow(build, "s").out == b"early\n"

    def test_the_last_line_of_a_fast_flood_is_never_lost(self, build: Container) -> None:
        for number in range(10):
            done = run_script(build, f"s{number}", "seq 20000; echo last\n")
            assert done.out.endswith(b"20000\nlast\n")
            assert len(done.out) == ended(done).size == 108_894 + 5

    @pytest.mark.skipif(os.geteuid() != 0 or not LOOP.exists(), reason="a disk can only be stalled by root")
    def test_the_last_lines_of_a_script_wait_for_a_disk_that_stalls(self, pod: Pod, disk: Path) -> None:
        pod.volumes["/driver/stages"] = disk
        script = start_script(pod.start(), "s", "echo first; while [ ! -e go ]; do sleep 0.05; done; seq 9000\n")
        script.until("first")
        with stalled(disk):
            (pod.volumes["/builds"] / "go").touch()
            begun = time.monotonic()
            until("the end of the stall", lambda: time.monotonic() - begun > _STALL_SECONDS)
        assert script.wait().out.endswith(b"8999\n9000\n")


class TestReceiving:
    def command(self, stage: str, payload: bytes, *, length: int | None = None, sha: str | None = None) -> list[str]:
        size = len(payload) if length is None else length
        return [*SUPERVISOR, "run", stage, str(size), sha or digest(payload), "0", "sh", "1000000", "0022"]

    @pytest.mark.parametrize("cut", [0, 1, 20])
    def test_a_cut_script_never_runs(self, build: Container, pod: Pod, cut: int) -> None:
        payload = b"touch ran\ntouch ran2\n"
        done = build.exec(*self.command("s", payload)).send(payload[:cut]).hang_up().wait()
        assert controls(done) == [Failed("cut")]
        assert list(pod.volumes["/builds"].iterdir()) == []
        assert not (pod.stages / "s").exists()

    def test_a_script_with_another_digest_never_runs(self, build: Container, pod: Pod) -> None:
        payload = b"touch ran\n"
        done = build.exec(*self.command("s", payload, sha=digest(b"other"))).send(payload).wait()
        assert controls(done) == [Failed("cut")]
        assert list(pod.volumes["/builds"].iterdir()) == []

    def test_after_a_cut_the_same_name_can_be_sent_again(self, build: Container, pod: Pod) -> None:
        payload = b"echo ran\n"
        build.exec(*self.command("s", payload)).send(payload[:3]).hang_up().wait()
        assert run_script(build, "s", payload).out == b"ran\n"
        assert [path.name for path in pod.stages.iterdir() if path.name.startswith(".new")] == []

    def test_bytes_after_the_script_are_not_its_own(self, build: Container) -> None:
        payload = b"echo ran\n"
        done = build.exec(*self.command("s", payload)).send(payload + b"echo more\n").wait()
        assert done.out == b"ran\n"

    def test_a_script_starts_while_the_connection_stays_open(self, build: Container) -> None:
        start_script(build, "s", "echo ran\n").until("ran\n").wait()

    def test_logins_come_before_the_script_and_are_kept_apart_from_it(self, build: Container, pod: Pod) -> None:
        done = run_script(build, "s", "cat /driver/logins/given.json\n", logins=b'{"auths": {"x": "\xff\n"}}')
        assert done.out == b'{"auths": {"x": "\xff\n"}}'
        given = pod.volumes["/driver/logins"] / "given.json"
        assert given.stat().st_mode & 0o777 == 0o600
        assert b"auths" not in (pod.stages / "s" / "script").read_bytes()

    def test_a_later_script_brings_newer_logins(self, build: Container) -> None:
        run_script(build, "a", "true\n", logins=b"old, and longer")
        assert run_script(build, "b", "cat /driver/logins/given.json\n", logins=b"new").out == b"new"
        assert run_script(build, "c", "cat /driver/logins/given.json\n").out == b"new"

    def test_a_container_without_a_place_for_logins_drops_them(self, pod: Pod) -> None:
        helper = pod.start("helper")
        assert run_script(helper, "s", "echo ran\n", logins=b"s3cret").out == b"ran\n"
        assert not [path for path in pod.stages.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]

    def test_no_room_for_the_script_is_told(self, build: Container, pod: Pod) -> None:
        pod.stages.rmdir() if not list(pod.stages.iterdir()) else shutil.rmtree(pod.stages)
        payload = b"echo ran\n"
        done = build.exec(*self.command("s", payload)).send(payload).wait()
        assert done.err.endswith(b"kd1 error full\n")
        assert done.out == b""


class TestOneLife:
    SCRIPT = "echo $$ >> lives; while [ ! -e go ]; do sleep 0.05; done; echo done\n"

    def test_a_second_run_only_follows(self, build: Container, pod: Pod) -> None:
        first = start_script(build, "s", self.SCRIPT).until("started")
        second = start_script(build, "s", self.SCRIPT).until("started")
        (pod.volumes["/builds"] / "go").touch()
        assert (first.wait().out, second.wait().out) == (b"done\n", b"done\n")
        assert len((pod.volumes["/builds"] / "lives").read_text().splitlines()) == 1

    def test_a_run_after_the_end_tells_the_same_end(self, build: Container, pod: Pod) -> None:
        (pod.volumes["/builds"] / "go").touch()
        first, second = run_script(build, "s", self.SCRIPT), run_script(build, "s", self.SCRIPT)
        assert ended(first) == ended(second)
        assert first.out == second.out
        assert len((pod.volumes["/builds"] / "lives").read_text().splitlines()) == 1

    def test_many_at_once_start_it_once(self, build: Container, pod: Pod) -> None:
        runs = [start_script(build, "s", self.SCRIPT) for _ in range(8)]
        for run in runs:
            run.until("started")
        (pod.volumes["/builds"] / "go").touch()
        assert [run.wait().out for run in runs] == [b"done\n"] * 8
        assert len((pod.volumes["/builds"] / "lives").read_text().splitlines()) == 1

    def test_a_script_survives_the_connection_that_brought_it(self, build: Container, pod: Pod) -> None:
        first = start_script(build, "s", self.SCRIPT).until("started")
        first.process.kill()
        until("the script", (pod.volumes["/builds"] / "lives").exists)
        (pod.volumes["/builds"] / "go").touch()
        assert follow(build, "s").out == b"done\n"


class TestFollow:
    def test_output_is_read_from_any_byte(self, build: Container) -> None:
        whole = run_script(build, "s", "seq 5000; printf '\\0\\377'\n").out
        some = random.Random(10)
        for offset in (0, 1, len(whole) - 1, len(whole), *(some.randrange(len(whole)) for _ in range(5))):
            done = follow(build, "s", offset)
            assert done.out == whole[offset:]
            assert ended(done).size == len(whole)

    def test_an_offset_beyond_the_end_reads_nothing(self, build: Container) -> None:
        run_script(build, "s", "echo x\n")
        done = follow(build, "s", 1000)
        assert (done.out, ended(done).code) == (b"", 0)

    def test_output_arrives_while_the_script_runs(self, build: Container, pod: Pod) -> None:
        running = start_script(build, "s", "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two\n").until(
            "one\n"
        )
        second = build.exec(*SUPERVISOR, "follow", "s", "2").until("e\n")
        (pod.volumes["/builds"] / "go").touch()
        assert running.wait().out == b"one\ntwo\n"
        assert second.wait().out == b"e\ntwo\n"

    def test_a_quiet_script_beats(self, build: Container) -> None:
        running = start_script(build, "s", "sleep 60\n").until("kd1 beat")
        assert running.out == b""

    @pytest.mark.parametrize("verb", ["follow", "drain"])
    def test_an_unknown_script_is_told(self, build: Container, verb: str) -> None:
        assert controls(follow(build, "never-sent", verb=verb)) == [Failed("unknown")]

    def test_an_unknown_verb_is_told(self, build: Container) -> None:
        assert controls(build.run(*SUPERVISOR, "dance")) == [Failed("verb")]

    def test_a_dead_containers_output_is_drained_from_the_other_one(self, pod: Pod, build: Container) -> None:
        helper = pod.start("helper")
        start_script(build, "s", "echo before; exec sleep 60\n").until("before")
        build.kill()
        done = follow(helper, "s", 2, verb="drain")
        assert done.out == b"fore\n"
        assert controls(done) == [Failed("lost")]

    def test_the_other_container_can_follow_a_living_one(self, pod: Pod, build: Container) -> None:
        helper = pod.start("helper")
        start_script(build, "s", "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two\n").until("one")
        other = helper.exec(*SUPERVISOR, "follow", "s", "0").until("kd1 beat").until("kd1 beat")
        (pod.volumes["/builds"] / "go").touch()
        assert other.wait().out == b"one\ntwo\n"
        assert ended(other).code == 0

    def test_a_script_of_the_other_container_runs_beside_ours(self, pod: Pod, build: Container) -> None:
        helper = pod.start("helper")
        running = start_script(build, "s", "while [ ! -e go ]; do sleep 0.05; done; echo survived\n").until("started")
        run_script(helper, "t", "echo helper; touch go\n")
        assert running.wait().out == b"survived\n"


class TestLimit:
    @pytest.mark.parametrize("limit", [512, 51_200, 50_000, 1000])
    def test_what_is_too_much_is_dropped_and_said_and_the_script_goes_on(
        self, build: Container, pod: Pod, limit: int
    ) -> None:
        done = run_script(build, "s", "seq 100000; touch went-on; exit 7\n", output_limit=limit)
        assert limit - 512 < len(done.out) <= limit
        assert done.out == b"".join(b"%d\n" % n for n in range(1, 100_001))[: len(done.out)]
        assert (ended(done).code, ended(done).full, ended(done).size) == (7, True, len(done.out))
        assert (pod.volumes["/builds"] / "went-on").exists()

    def test_output_below_the_limit_is_not_full(self, build: Container) -> None:
        assert not ended(run_script(build, "s", "echo x\n", output_limit=512)).full

    def test_files_of_the_script_have_no_limit(self, build: Container, pod: Pod) -> None:
        done = run_script(build, "s", "seq 100000 > big; echo $?\n", output_limit=512)
        assert done.out == b"0\n"
        assert (pod.volumes["/builds"] / "big").stat().st_size > 500_000

    def test_large_output_of_earlier_scripts_makes_room(self, build: Container, pod: Pod) -> None:
        run_script(build, "small", "echo x\n")
        run_script(build, "large", "head -c 68000000 /dev/zero\n")
        run_script(build, "next", "true\n")
        assert (pod.stages / "small" / "out").exists()
        assert not (pod.stages / "large" / "out").exists()


class TestLostFiles:
    def test_a_stage_deleted_under_its_script_is_told_and_no_hang(self, build: Container, pod: Pod) -> None:
        script = "echo before; while [ ! -e go ]; do sleep 0.05; done; rm -rf /driver/stages/s; sleep 60\n"
        running = start_script(build, "s", script).until("before")
        (pod.volumes["/builds"] / "go").touch()
        assert controls(running.wait())[-1] == Failed("lost")

    def test_all_stages_deleted_is_told_and_no_hang(self, build: Container, pod: Pod) -> None:
        script = "echo before; while [ ! -e go ]; do sleep 0.05; done; rm -rf /driver/stages/* /driver/stages/.*\n"
        running = start_script(build, "s", script).until("before")
        (pod.volumes["/builds"] / "go").touch()
        assert controls(running.wait())[-1] == Failed("lost")

    def test_output_deleted_before_a_second_look_is_told(self, build: Container, pod: Pod) -> None:
        run_script(build, "s", "echo x\n")
        (pod.stages / "s" / "out").unlink()
        assert controls(follow(build, "s")) == [Failed("lost")]

    def test_a_keeper_that_was_killed_is_told_and_no_hang(self, build: Container) -> None:
        keeper = "/driver/stages/s/keeper"
        script = f"echo before; while [ ! -s {keeper} ]; do sleep 0.05; done; kill -9 $(cat {keeper}); sleep 60\n"
        running = start_script(build, "s", script).until("before").wait()
        assert controls(running)[-1] == Failed("lost")
        assert running.out == b"before\n"

    def test_a_follower_that_comes_before_the_keeper_waits_for_it(self, pod: Pod, build: Container) -> None:
        """A second connection may come while the first still waits for Kaniko's wrapper."""
        wrapper = build.root / "kaniko" / "executor"
        wrapper.touch()
        first = start_script(build, "s", "echo ran\n")
        until("the stage", (pod.stages / "s").exists)
        second = start_script(build, "s", "echo ran\n").until("kd1 beat").until("kd1 beat")
        wrapper.with_suffix(".real").touch()
        assert (first.wait().out, second.wait().out) == (b"ran\n", b"ran\n")

    def test_a_forged_end_reaches_only_its_own_result(self, build: Container) -> None:
        script = "echo '0 3 0 0 0' > /driver/stages/s/exit; printf abcdef; sleep 60\n"
        done = start_script(build, "s", script).wait()
        assert ended(done).code == 0


class TestStop:
    def test_a_trap_has_its_say_and_its_code(self, build: Container) -> None:
        running = start_script(build, "s", "trap 'echo got TERM; exit 9' TERM; echo up; while :; do sleep 0.1; done\n")
        running.until("up")
        done = stop(build, "s", grace=10, offset=3).wait()
        assert done.out.endswith(b"got TERM\n")
        assert ended(done).code == 9

    def test_without_a_trap_the_code_is_that_of_the_signal(self, build: Container) -> None:
        start_script(build, "s", "echo up; sleep 60\n").until("up")
        assert ended(stop(build, "s", grace=10).wait()).code == 143

    def test_a_script_that_ignores_it_is_killed_after_the_grace(self, build: Container) -> None:
        start_script(build, "s", "trap '' TERM; echo up; while :; do sleep 0.1; done\n").until("up")
        started = time.monotonic()
        done = stop(build, "s", grace=1).wait()
        assert time.monotonic() - started >= 1
        assert ended(done).code == 137
        assert others(build) == []

    @pytest.mark.parametrize(
        "child",
        [
            "(trap '' TERM; while :; do sleep 0.1; done) &",
            "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' &",
            "setsid setsid sh -c '(sleep 60; echo x) & exec sleep 60' &",
            "(sleep 60 &)",
            "for i in 1 2 3; do sh -c 'while :; do (sleep 0.1 &); sleep 0.1; done' & done",
        ],
    )
    def test_no_process_survives_however_it_left_its_parent(self, build: Container, child: str) -> None:
        start_script(build, "s", f"trap '' TERM\n{child}\necho up; while :; do sleep 0.1; done\n").until("up")
        stop(build, "s", grace=0).wait()
        assert others(build) == []
        assert not build.ended

    def test_children_of_a_script_that_had_ended_are_dead_too(self, build: Container) -> None:
        run_script(build, "s", "sleep 60 & echo up\n")
        done = stop(build, "s").wait()
        assert ended(done).code == 0
        assert others(build) == []

    def test_it_ends_the_connections_that_follow_too(self, build: Container) -> None:
        running = start_script(build, "s", "echo up; sleep 60\n").until("up")
        stop(build, "s").wait()
        running.wait()

    def test_the_next_script_runs_as_if_nothing_had_been(self, build: Container) -> None:
        start_script(build, "s", "echo up; sleep 60\n").until("up")
        stop(build, "s").wait()
        assert run_script(build, "t", "echo after_script\n").out == b"after_script\n"

    def test_a_script_that_is_still_on_its_way_can_never_start(self, build: Container, pod: Pod) -> None:
        done = stop(build, "s").wait()
        assert ended(done).code == 137
        late = run_script(build, "s", "touch ran\n")
        assert ended(late).code == 137
        assert list(pod.volumes["/builds"].iterdir()) == []

    def test_forged_process_ids_save_nobody(self, build: Container) -> None:
        forge = "while [ ! -s keeper ]; do sleep 0.05; done; echo $! > keeper; echo $! > recorder"
        script = f"trap '' TERM; sleep 60 & cd /driver/stages/s; {forge}; echo up; while :; do sleep 0.1; done\n"
        start_script(build, "s", script).until("up")
        stop(build, "s").wait()
        assert others(build) == []

    def test_the_other_container_is_left_alone(self, pod: Pod, build: Container) -> None:
        helper = pod.start("helper")
        running = start_script(helper, "h", "while [ ! -e go ]; do sleep 0.05; done; echo alive\n").until("started")
        start_script(build, "s", "echo up; sleep 60\n").until("up")
        stop(build, "s").wait()
        (pod.volumes["/builds"] / "go").touch()
        assert running.wait().out == b"alive\n"


class TestEndingOlder:
    def test_a_new_script_first_ends_an_unfinished_one_of_its_container(self, build: Container) -> None:
        older = start_script(build, "a", "trap '' TERM; setsid sleep 600 & echo up; while :; do sleep 0.1; done\n")
        older.until("up")
        done = run_script(build, "b", "ps -o args\n")
        assert b"sleep 600" not in done.out
        assert ended(follow(build, "a")).code == 137
        assert ended(done).code == 0

    def test_background_children_of_a_finished_script_live_on(self, build: Container) -> None:
        """A script may start a server for the next one, as with the built-in executor."""
        run_script(build, "a", "sleep 600 & echo up\n")
        assert b"sleep 600" in run_script(build, "b", "ps -o args\n").out


class TestIdle:
    PERIOD: Final = {"KANIKO_DRIVER_IDLE_PERIOD": "0.1"}

    def test_it_lasts_while_any_container_works_and_ends_itself_soon_after(self, pod: Pod) -> None:
        build = pod.start(idle=1, environment=self.PERIOD, ready=False)
        helper = pod.start("helper", idle=1, environment=self.PERIOD, ready=False)
        # Orphans that nobody waits for are buried, and keep nobody busy.
        script = "for i in $(seq 20); do (true & exec true) & done; sleep 3; echo worked\n"
        assert run_script(helper, "s", script).out == b"worked\n"
        assert not build.ended
        assert (build.exit_code, helper.exit_code) == (0, 0)

    # In a session of its own, as a container runtime makes it.
    OWN_SESSION: Final = ("/driver/tools/busybox", "setsid", "sh")

    def test_who_only_looks_at_it_does_not_keep_it(self, pod: Pod) -> None:
        build = pod.start(idle=1, environment=self.PERIOD)
        # As `look` does it, for a very long look.
        build.exec(*self.OWN_SESSION, "-c", "true > /driver/stages/.look-build-$$; exec sleep 600")
        assert build.exit_code == 0

    def test_a_look_says_that_it_is_one_until_it_is_over(self, pod: Pod) -> None:
        build = pod.start(environment=self.PERIOD)
        looked = build.run(*self.OWN_SESSION, "/driver/tools/supervisor", "look")
        assert b"memory " in looked.out or b"builds " in looked.out
        assert [path.name for path in pod.stages.glob(".look*")] == [".looked"]

    def test_term_ends_it_at_once(self, build: Container) -> None:
        build.signal(signal.SIGTERM)
        assert build.exit_code == 0

    def test_the_pulse_is_the_helpers_to_give(self, pod: Pod) -> None:
        pulse = pod.volumes["/driver/pulse"]
        before = pulse.stat().st_mtime_ns
        pod.start("helper", environment=self.PERIOD)
        until("the pulse", lambda: pulse.stat().st_mtime_ns > before)


class TestWrapper:
    @pytest.fixture
    def kaniko(self, pod: Pod) -> Path:
        folder = pod.folder / "build" / "kaniko"
        folder.mkdir(parents=True)
        (folder / "executor").write_text('#!/bin/sh\necho real "$@"\n')
        (folder / "executor").chmod(0o755)
        return folder

    def test_it_stands_in_kanikos_place_before_the_first_script_runs(self, pod: Pod, kaniko: Path) -> None:
        build = pod.start(ready=False)
        done = run_script(build, "s", "/kaniko/executor version; /kaniko/executor --x\n")
        real, wrapped = done.out.splitlines()
        assert real == b"real version"
        assert wrapped.startswith(b"real --compressed-caching=false")
        assert wrapped.endswith(b" --x")
        assert (kaniko / "executor.real").exists()

    def test_an_image_without_kaniko_gets_none(self, build: Container) -> None:
        assert run_script(build, "s", "ls -A /kaniko; echo none\n").out == b"none\n"
