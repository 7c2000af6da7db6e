"""A failed job's pod that is kept: without its secrets, exactly so long, and open for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from executor.pod import programs
from executor.pod.control import ControlLines, Held
from tests.support.pods import run_script
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.container import Container
    from tests.support.pods import Pod

PERIOD: Final = {"KANIKO_DRIVER_IDLE_PERIOD": "0.1"}


def hold(build: Container, seconds: int = 60) -> None:
    done = build.exec(*programs.hold_command(seconds=seconds)).hang_up().wait()
    assert ControlLines().feed(done.err) == [Held()], done.err
    assert done.out == b""


def test_no_login_and_no_script_is_left(pod: Pod) -> None:
    build = pod.start()
    own = pod.folder / "build/kaniko/.docker"
    own.mkdir()
    (own / "config.json").write_text("s3cret")
    script = "mkdir /driver/logins/docker; echo s3cret > /driver/logins/docker/config.json; echo output\n"
    run_script(build, "s", "export TOKEN=s3cret\n" + script, logins=b'{"auths": "s3cret"}')
    hold(build)
    left = [path for folder in (pod.stages, pod.volumes["/driver/logins"], own) for path in folder.rglob("*")]
    assert not [path for path in left if path.is_file() and b"s3cret" in path.read_bytes()]
    # What it printed stays, for `logs`.
    assert (pod.stages / "s" / "out").read_bytes() == b"output\n"


def test_nothing_that_the_job_left_runs_on(build: Container) -> None:
    run_script(build, "s", "setsid sleep 4242 &\n")
    assert [line for line in build.processes() if "sleep 4242" in line]
    hold(build)
    until("its end", lambda: not [line for line in build.processes() if "sleep 4242" in line])


def test_what_is_always_another_process_does_not_get_away(pod: Pod) -> None:
    build, trail = pod.start(), pod.volumes["/builds"] / "trail"
    # Each lives for a moment: whoever looks at all processes and then ends them ends those of before.
    run_script(build, "s", "echo 'echo >>/builds/trail; sh /builds/next &' >/builds/next; setsid sh /builds/next\n")
    until("some of them", lambda: trail.exists() and trail.stat().st_size > 10)
    hold(build)
    length = trail.stat().st_size
    # As many could have come as there were when it began.
    left = [line for _ in range(20) for line in build.processes() if "/builds/next" in line]
    assert (left, trail.stat().st_size) == ([], length)


def test_the_pod_lives_longer_than_an_idle_one_and_no_longer_than_told(pod: Pod) -> None:
    build = pod.start(idle=1, environment=PERIOD)
    helper = pod.start("helper", idle=1, environment=PERIOD)
    began = time.monotonic()
    hold(build, seconds=4)
    # Whoever looks around keeps it no longer.
    looking = build.exec("sh", "-c", "while :; do sleep 1; done")
    assert (build.exit_code, helper.exit_code) == (0, 0)
    assert time.monotonic() - began > 2.5
    looking.wait()


def test_the_cache_registry_is_told_to_end(pod: Pod) -> None:
    build = pod.start(environment=PERIOD)
    pod.start("helper", environment=PERIOD)
    hold(build)
    until("the helper's word", (pod.volumes["/driver/pulse"] / "end").exists)
