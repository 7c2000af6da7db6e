"""logs and exec as an operator calls them, with the real supervisor, and connections that break."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import struct
import subprocess
import termios
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.conftest import DRIVER, Attempt, Done
from tests.support.exec_bridge import ExecBridge
from tests.support.jobs import READY, pod_state
from tests.support.pods import Pod, make_image, make_tools, run_script, start_script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.api_server import ApiServer, Exchange
    from tests.support.container import Container

BUILD, SOURCES, AFTER = "build_script-bcdfghjk", "get_sources-bcdfghjk", "after_script-bcdfghjk"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The /bin of every container."""
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Path:
    """The tools volume."""
    return make_tools(tmp_path_factory.mktemp("tools"), image)


class Cluster:
    """One job pod of real programs, and other pods that only have names."""

    def __init__(self, server: ApiServer, pod: Pod) -> None:
        self.pod = pod
        self.containers: dict[str, Container] = {name: pod.start(name) for name in ("build", "helper")}
        self.bridge = ExecBridge(self.containers)
        self.listed: list[dict[str, Any]] = [listed("kaniko-job-4711-bcdfgh", 2)]
        self.asked: list[str] = []
        self.gone = False
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if self.gone:
            exchange.refuse(404, "not found")
        elif exchange.path.endswith("/exec"):
            self.asked.append(exchange.path.split("/")[-2])
            self.bridge.answer(exchange)
        elif exchange.path.endswith("/pods"):
            query = dict(exchange.query)
            exchange.json(200, {"items": self.listed if query["labelSelector"].endswith("job=4711") else []})
        else:
            exchange.json(200, pod_state(READY))


def listed(name: str, hour: int) -> dict[str, Any]:
    made = f"2026-08-01T{hour:02d}:00:00Z"
    return {"metadata": {"name": name, "creationTimestamp": made, "annotations": {}}}


@pytest.fixture
def cluster(tmp_path: Path, server: ApiServer, image: Path, tools: Path) -> Iterator[Cluster]:
    """A pod that is ready."""
    pod = Pod(tmp_path / "pod", image, tools)
    made = Cluster(server, pod)
    yield made
    pod.close()
    server.close()
    made.bridge.close()


class Operator:
    """Calls the commands with the settings of a tenant."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def arguments(self, command: str, *more: str) -> list[str]:
        return [command, "4711", "--settings", str(self.attempt.settings), *more]

    def calls(self, command: str, *more: str) -> Done:
        return self.attempt.stage(*self.arguments(command, *more))

    def bytes_of(self, command: str, *more: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [DRIVER, *self.arguments(command, *more)], capture_output=True, input=given, check=False, timeout=60
        )


@pytest.fixture
def operator(attempt: Attempt) -> Operator:
    """The operator of the attempt's runner."""
    return Operator(attempt)


class TestLogs:
    def test_every_script_is_shown_in_turn_byte_for_byte(self, cluster: Cluster, operator: Operator) -> None:
        data = random.Random(3).randbytes(300_000)
        (cluster.pod.volumes["/builds"] / "data").write_bytes(data)
        run_script(cluster.containers["helper"], SOURCES, "echo cloning\n")
        run_script(cluster.containers["build"], BUILD, "cat data; exit 3\n")
        done = operator.bytes_of("logs")
        assert (done.returncode, done.stdout) == (0, b"cloning\n" + data)
        said = done.stderr.decode().splitlines()
        assert [line.split(",")[0] for line in said] == ["== get_sources (helper", "== build_script (build"]

    def test_one_sub_stage_is_shown_alone(self, cluster: Cluster, operator: Operator) -> None:
        run_script(cluster.containers["helper"], SOURCES, "echo cloning\n")
        run_script(cluster.containers["build"], BUILD, "echo building\n")
        assert operator.calls("logs", "--sub-stage", "build_script").out == "building\n"
        missing = operator.calls("logs", "--sub-stage", "step_release")
        assert missing.code == 1
        assert "no script named step_release has run" in missing.err

    def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(self, cluster: Cluster, operator: Operator) -> None:
        run_script(cluster.containers["build"], BUILD, "cd /driver/stages; mkdir forged; mkfifo forged/container\n")
        run_script(cluster.containers["helper"], SOURCES, "echo cloning\n")
        assert operator.calls("logs").out == "cloning\n"

    def test_of_a_running_script_there_is_what_it_printed_so_far(self, cluster: Cluster, operator: Operator) -> None:
        start_script(cluster.containers["build"], BUILD, "echo so far; sleep 60\n").until("so far")
        assert operator.calls("logs").out == "so far\n"

    def test_broken_connections_lose_and_repeat_nothing(self, cluster: Cluster, operator: Operator) -> None:
        data = random.Random(4).randbytes(400_000)
        (cluster.pod.volumes["/builds"] / "data").write_bytes(data)
        run_script(cluster.containers["build"], BUILD, "cat data\n")
        # The first connection lists the scripts.
        cluster.bridge.drops = [10**9, 1, 100_000, 150_000]
        assert operator.bytes_of("logs").stdout == data

    def test_what_follows_is_shown_until_the_pod_is_gone(self, cluster: Cluster, operator: Operator) -> None:
        go = cluster.pod.volumes["/builds"] / "go"
        wait = "while [ ! -e go ]; do sleep 0.05; done\n"
        start_script(cluster.containers["build"], BUILD, f"echo one\n{wait}echo two\n").until("one")
        process = operator.attempt.start(*operator.arguments("logs", "--follow"))
        assert process.stdout is not None
        assert process.stdout.read(4) == b"one\n"
        go.touch()
        assert process.stdout.read(4) == b"two\n"
        run_script(cluster.containers["build"], AFTER, "echo three\n")
        assert process.stdout.read(6) == b"three\n"
        cluster.gone = True
        for container in cluster.containers.values():
            container.kill()
        assert operator.attempt.finish(process).code == 0

    def test_the_newest_of_several_attempts_is_shown_and_the_others_are_told(
        self, cluster: Cluster, operator: Operator
    ) -> None:
        run_script(cluster.containers["build"], BUILD, "echo x\n")
        cluster.listed = [listed("young", 5), listed("old", 1)]
        done = operator.calls("logs")
        assert "job 4711 has 2 pods; this is the newest, young; older: old" in done.err
        assert set(cluster.asked) == {"young"}
        operator.calls("logs", "--pod", "old")
        assert cluster.asked[-1] == "old"

    def test_a_job_without_a_pod_is_told_with_how_to_keep_one(self, cluster: Cluster, operator: Operator) -> None:
        cluster.listed = []
        done = operator.calls("logs")
        assert done.code == 1
        assert "there is no pod of job 4711" in done.err
        assert "keep_failed" in done.err

    def test_a_terminal_gets_no_harmful_escapes_unless_it_asks(self, cluster: Cluster, operator: Operator) -> None:
        run_script(cluster.containers["build"], BUILD, r"printf '\033]0;evil\007\033[32mgreen\033[0m\n'")
        assert at_terminal(operator.arguments("logs")) == (0, b"\x1b[32mgreen\x1b[0m\r\n")
        assert b"\x1b]0;evil\x07" in at_terminal(operator.arguments("logs", "--raw"))[1]

    def test_a_kubeconfig_is_enough(self, cluster: Cluster, operator: Operator) -> None:
        run_script(cluster.containers["build"], BUILD, "echo x\n")
        kubeconfig = str(operator.attempt.kubeconfig)
        there = operator.attempt.stage("logs", "4711", "--kubeconfig", kubeconfig, "--namespace", "tenant-a")
        assert (there.code, there.out) == (0, "x\n")
        assert operator.attempt.stage("logs", "4711", "--kubeconfig", kubeconfig).code == 2


def at_terminal(arguments: list[str], keys: bytes = b"", wait_for: bytes = b"") -> tuple[int, bytes]:
    """Run a command at a terminal of 80 by 24; its stderr goes elsewhere."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [DRIVER, *arguments], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    while wait_for not in shown:
        shown += os.read(ours, 65536)
    os.write(ours, keys)
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # how Linux says that the other side has closed
    finally:
        os.close(ours)
    return process.wait(60), shown


@pytest.mark.usefixtures("cluster")
class TestExec:
    def test_the_exit_code_and_both_outputs_are_the_commands(self, operator: Operator) -> None:
        done = operator.calls("exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        assert (done.code, done.out, done.err) == (7, "out\n", "err\n")

    def test_what_is_given_reaches_the_command_to_its_end(self, operator: Operator) -> None:
        data = random.Random(5).randbytes(200_000)
        assert operator.bytes_of("exec", "--", "cat", given=data).stdout == data

    def test_without_a_command_it_is_a_shell_with_tools(self, operator: Operator) -> None:
        done = operator.bytes_of("exec", given=b"pwd; echo $PATH; exit 5\n")
        assert (done.returncode, done.stdout) == (5, b"/builds\n/bin:/driver/tools/bin\n")

    def test_another_container_can_be_named(self, operator: Operator) -> None:
        done = operator.calls("exec", "--container", "helper", "--", "sh", "-c", "echo $KANIKO_DRIVER_CONTAINER")
        assert done.out == "helper\n"

    def test_at_a_terminal_keys_go_there_and_the_terminal_is_as_before(self, operator: Operator) -> None:
        # The bridge's process has no terminal of its own: what is typed comes back only as output.
        code, shown = at_terminal(
            operator.arguments("exec", "--", "sh", "-c", "echo ready; read line; echo got $line; exit 9"),
            keys=b"words\n",
            wait_for=b"ready",
        )
        assert code == 9
        assert b"got words" in shown

    def test_a_pod_whose_container_is_dead_is_told(self, cluster: Cluster, operator: Operator) -> None:
        cluster.containers["build"].kill()
        until("its end", lambda: cluster.containers["build"].ended)
        done = operator.calls("exec", "--", "true")
        assert done.code == 1
        assert "refused to run a command" in done.err
