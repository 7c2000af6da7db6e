"""run over a network that fails on a schedule: the real driver, the real supervisor, and a proxy with faults."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from testbed.faults import Fault, FaultProxy, schedule
from tests.contract.conftest import BUILD_FAILURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.conftest import Job
    from tests.support.api_server import ApiServer
    from tests.support.tls import Certificate


@pytest.fixture
def proxy(server: ApiServer) -> Iterator[FaultProxy]:
    """A proxy in front of the API server, without faults yet."""
    address = urlsplit(server.url)
    with FaultProxy(address.hostname or "", address.port or 0) as running:
        yield running


@pytest.fixture
def job(job: Job, proxy: FaultProxy, certificate: Certificate) -> Job:
    """A job whose pod is ready behind the proxy."""
    job.attempt.configure(timeouts='connection = "60s"')
    job.attempt.point_at(f"https://127.0.0.1:{proxy.port}", certificate)
    assert job.attempt.config().code == 0
    return job


def test_a_schedule_of_faults_leaves_output_and_code_as_they_are(job: Job, proxy: FaultProxy) -> None:
    data = random.Random(2).randbytes(20_000_000)
    (job.builds / "data").write_bytes(data)
    faults = [fault for fault in schedule(2, 60, longest=1_000_000) if fault.kind != "stall"]
    proxy.plan(faults)
    process = job.attempt.start_run("cat data; echo ran >> lives; exit 7\n", "after_script")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (BUILD_FAILURE, b"")
    assert out == data
    assert job.attempt.code_file.read_text() == "7\n"
    assert (job.builds / "lives").read_text() == "ran\n"
    assert sum(proxy.met.values()) >= 15


def test_a_connection_that_stalls_is_left_and_told(job: Job, proxy: FaultProxy) -> None:
    proxy.plan([Fault("stall", 20_000)])
    process = job.attempt.start_run("seq 20000\n", "after_script")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, proxy.met["stall"]) == (0, 1)
    lines = out.decode().splitlines()
    (told,) = [line for line in lines if not line.isdecimal()]
    assert told.startswith("kaniko-driver: The connection to the job pod was lost for ")
    lines.remove(told)
    assert lines == [str(number) for number in range(1, 20_001)]
