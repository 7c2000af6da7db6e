"""Log streams over bad networks and restarts: the real driver's `run` against a real pod, byte for byte.

The stages are called as the runner calls them, since a runner would hide how a stream ended. Between the driver and
the API server stands a proxy with faults; TLS is verified through it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from testbed import api, ci, control_plane, layout, nodes, tenants
from testbed.errors import BedError
from testbed.faults import FaultProxy, schedule
from testbed.process import children, stop
from testbed.wait import wait_for
from tests.contract.conftest import BUILD_FAILURE, SYSTEM_FAILURE, Attempt
from tests.support.tenants import write_settings
from tests.support.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

TENANT = layout.TENANTS[0]
MEGABYTE = 1_000_000


class Job(Attempt):
    """A job of tenant-a whose driver reaches the API server through the proxy."""

    def __init__(self, folder: Path, proxy: FaultProxy, ident: int) -> None:
        self.proxy = proxy
        super().__init__(folder, f"https://127.0.0.1:{proxy.port}", None)  # type: ignore[arg-type] # not used here
        self.response(id=ident)
        self.environment["CUSTOM_ENV_CI_JOB_ID"] = str(ident)

    def point_at(self, server: str, _: object) -> None:
        """Write the tenant's kubeconfig, with the proxy as server and the server's own name for TLS."""
        document = yaml.safe_load(TENANT.kubeconfig.read_text())
        for cluster in document["clusters"]:
            cluster["cluster"] |= {"server": server, "tls-server-name": layout.HOST_ADDRESS}
        self.kubeconfig.write_text(json.dumps(document))
        self.kubeconfig.chmod(0o600)

    def configure(self, **_: str) -> None:
        """Write the tenant's settings."""
        text = tenants.settings(TENANT).replace(str(TENANT.kubeconfig), str(self.kubeconfig))
        write_settings(
            self.settings, tenant=text, driver=f"version = 1\n[log]\nfile = '{self.journal}'\n", name=TENANT.name
        )

    def begin(self) -> None:
        """Run config and prepare."""
        assert self.config(tenant=TENANT.name).code == 0
        done = self.stage("prepare")
        assert done.code == 0, done.words

    def start_run(self, script: str, sub_stage: str = "after_script") -> subprocess.Popen[bytes]:
        """Start a script in the build container, in the one sub-stage there that has no summary."""
        return super().start_run(script, sub_stage)

    def output(self, script: str) -> tuple[int, bytes]:
        """Run a script and return the stage's exit code and every byte of the job log."""
        process = self.start_run(script)
        out, err = process.communicate(timeout=400)
        assert err == b""
        return process.returncode, out

    def helper(self, script: str) -> str:
        """Run a short script in the helper container, beside what runs in the build container."""
        path = self.folder / "helper-script"
        path.write_text(script)
        done = self.finish(self.start("run", str(path), "get_sources"))
        assert done.code == 0, done.words
        return done.out

    @property
    def place(self) -> dict[str, Any]:
        """The pod, as far as opening its gate needs it."""
        return {"metadata": {"name": self.job["pod"], "namespace": TENANT.name}}

    def lost(self) -> int:
        """How often a stream was lost, by the operator log."""
        return sum(event["event"] == "exec stream lost" for event in self.events)


@pytest.fixture
def proxy(_bed: None) -> Iterator[FaultProxy]:
    """A proxy without faults in front of the API server."""
    with FaultProxy(layout.HOST_ADDRESS, layout.API_PORT) as running:
        yield running


@pytest.fixture
def job(tmp_path: Path, proxy: FaultProxy) -> Iterator[Job]:
    """A job whose pod is ready."""
    made = Job(tmp_path, proxy, ident=time.monotonic_ns() % 10**9)
    try:
        made.begin()
        yield made
    finally:
        proxy.plan()
        made.stage("cleanup")


def make_data(job: Job, megabytes: int) -> str:
    """Make random bytes in the pod and return their SHA-256."""
    script = f"head -c {megabytes * MEGABYTE} /dev/urandom > /builds/data; sha256sum < /builds/data\n"
    return job.helper(script).split()[0]


def survived(proxy: FaultProxy) -> int:
    """Tell how many faults there were, and return that."""
    print(f"\nsurvived {sum(proxy.met.values())} faults: {dict(proxy.met)}, {proxy.connections} connections")  # noqa: T201
    return sum(proxy.met.values())


class TestFaults:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_fifty_megabytes_arrive_byte_for_byte(self, job: Job, seed: int) -> None:
        digest = make_data(job, 50)
        job.proxy.plan(schedule(seed, 40, longest=4 * MEGABYTE))
        code, out = job.output("cat /builds/data; exit 7\n")
        assert code == BUILD_FAILURE
        assert job.code_file.read_text() == "7\n"
        assert survived(job.proxy) >= 15
        # A line about an outage that lasted stands between two lines of the script.
        told = b"kaniko-driver: The connection to the job pod was lost for "
        whole = b"".join(line for line in out.splitlines(keepends=True) if not line.startswith(told))
        assert hashlib.sha256(whole).hexdigest() == digest

    def test_a_proxy_that_ends_every_connection_after_a_while(self, job: Job) -> None:
        line = "漢字 ä 10%%\\r20%%\\r" + "x" * 5000
        script = f'i=0; while [ $i -lt 300 ]; do i=$((i + 1)); printf "$i {line}\\n"; sleep 0.05; done\n'
        job.proxy.plan(lifetime=2)
        code, out = job.output(script)
        assert code == 0
        # Seven in fifteen seconds, less where a busy machine needs as long for a connection as that lives.
        assert survived(job.proxy) >= 3
        expected = "".join(f"{number} {line}\n".replace("\\r", "\r").replace("%%", "%") for number in range(1, 301))
        assert out == expected.encode()

    def test_a_quiet_script_lives_through_idle_cuts(self, job: Job) -> None:
        job.proxy.plan(idle=2)
        code, out = job.output("echo before; sleep 25; echo after; exit 3\n")
        assert (code, out) == (BUILD_FAILURE, b"before\nafter\n")
        assert survived(job.proxy) >= 3

    def test_beats_keep_a_quiet_connection_busy_enough_for_most_proxies(self, job: Job) -> None:
        # A beat comes every 5 s, and later where the node has much to do.
        job.proxy.plan(idle=15)
        code, out = job.output("echo before; sleep 25; echo after\n")
        assert (code, out, survived(job.proxy)) == (0, b"before\nafter\n", 0)


class TestRestarts:
    # It still runs at the end of a restart, however long that takes.
    LINES = f"while [ $i -lt 100 ]; do i=$((i + 1)); echo line $i; [ $i != 90 ] || {ci.GATE}; sleep 0.1; done"
    SCRIPT = f"i=0; {LINES}; exit 9\n"
    OUTPUT = "".join(f"line {number}\n" for number in range(2, 101)).encode()

    def started(self, job: Job) -> subprocess.Popen[bytes]:
        process = job.start_run("touch /builds/up; " + self.SCRIPT)
        assert process.stdout is not None
        # Not by its buffer, which would keep more from `communicate`.
        assert os.read(process.stdout.fileno(), 7) == b"line 1\n"
        return process

    def finished(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        wait_for("the script's gate", lambda: self.let_go(job), 180)
        out, err = process.communicate(timeout=400)
        told = b"kaniko-driver: The connection to the job pod was lost for "
        kept = b"".join(line for line in out.splitlines(keepends=True) if not line.startswith(told))
        assert (process.returncode, kept, err) == (BUILD_FAILURE, self.OUTPUT, b"")
        assert job.code_file.read_text() == "9\n"
        print(f"\nlost {job.lost()} times")  # noqa: T201

    def let_go(self, job: Job) -> bool:
        try:
            ci.let_go(job.place)
        except BedError:
            return False  # a kubelet that has just started does not know the pod yet
        return True

    def test_of_the_api_server(self, job: Job) -> None:
        process = self.started(job)
        server = control_plane.apiserver()
        stop([server])
        server.start()
        wait_for("the API server", api.ready, 180, server.check)
        self.finished(job, process)
        assert job.lost() >= 1

    def test_of_the_kubelet(self, job: Job) -> None:
        process = self.started(job)
        before = kubelet()
        os.kill(before, signal.SIGKILL)
        wait_for("another kubelet", lambda: kubelet() not in {0, before}, 120)
        self.finished(job, process)
        assert job.lost() >= 1


def kubelet() -> int:
    """The kubelet of tenant-a's node; 0 while there is none."""
    first = nodes.first_process(layout.NODES[0])
    assert first is not None
    for pid in children(first):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "kubelet":
            return pid
    return 0


class TestSlowReader:
    def test_it_slows_the_reader_and_neither_the_script_nor_the_drivers_memory(self, job: Job) -> None:
        digest = make_data(job, 50)
        process = job.start_run("cat /builds/data; touch /builds/finished\n")
        assert process.stdout is not None
        # Nothing is read yet, and the script ends all the same.
        until("the script's end", lambda: "yes" in job.helper("[ ! -e /builds/finished ] || echo yes\n"), 180)
        assert process.poll() is None
        memory = peak_memory(process.pid)
        out = b"".join(iter(lambda: process.stdout.read(65536), b""))  # type: ignore[union-attr]
        grown = peak_memory(process.pid) if process.poll() is None else memory
        process.communicate(timeout=180)
        assert process.returncode == 0
        assert hashlib.sha256(out).hexdigest() == digest
        print(f"\npeak memory of the driver: {memory / MEGABYTE:.0f} MB, later {grown / MEGABYTE:.0f} MB")  # noqa: T201
        assert memory < 40 * MEGABYTE


def peak_memory(pid: int) -> int:
    """The most that a process had resident so far, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


class TestHostileScripts:
    """What a script does to the driver's files and processes ends its own job, with the cause, and soon."""

    def ended(self, job: Job, script: str) -> str:
        process = job.start_run(f"echo before; {ci.GATE}\n{script}\n")
        assert process.stdout is not None
        # Only now is it followed.
        assert os.read(process.stdout.fileno(), 7) == b"before\n"
        ci.let_go(job.place)
        began = time.monotonic()
        said = process.communicate(timeout=400)[0].decode()
        print(f"\nended after {time.monotonic() - began:.1f} s")  # noqa: T201
        assert process.returncode == SYSTEM_FAILURE, said
        return said

    @pytest.mark.parametrize(
        "script",
        [
            "rm -rf /driver/stages/*; sleep 600",
            "rm -rf /driver/*; exit 0",
            "kill -9 -1; exit 0",
            "while :; do for p in /proc/[0-9]*; do [ ${p#/proc/} = $$ ] || kill -9 ${p#/proc/}; done; done 2>/dev/null",
            "for s in /driver/stages/*/keeper; do kill -9 $(cat $s); done; exit 0",
            "for s in /driver/stages/*/recorder; do kill -9 $(cat $s); done; exit 0",
        ],
    )
    def test_its_own_job_fails_with_the_cause(self, job: Job, script: str) -> None:
        said = self.ended(job, script)
        assert "kaniko-driver: The script's result is lost." in said

    def test_a_full_driver_volume_is_told_as_such(self, job: Job) -> None:
        said = self.ended(job, "head -c 1800000000 /dev/zero > /driver/stages/junk; sleep 600")
        # Whoever looks first: the follower, every five seconds, or the bed's kubelet, every ten.
        assert (
            "The pod's disk is full." in said or "The job pod was evicted: it wrote more to disk than it may." in said
        )

    def test_a_script_that_closes_its_output_and_leaves_children_has_its_own_code(self, job: Job) -> None:
        code, out = job.output("echo before; setsid sleep 600 & exec >&- 2>&-; trap '' TERM; exit 4\n")
        assert (code, out) == (BUILD_FAILURE, b"before\n")
        assert job.code_file.read_text() == "4\n"

    def test_a_fork_bomb_that_ends_is_told_by_its_code(self, job: Job) -> None:
        script = "for i in $(seq 200); do sleep 60 & done; echo after; exit 5\n"
        code, out = job.output(script)
        assert (code, out) == (BUILD_FAILURE, b"after\n")
