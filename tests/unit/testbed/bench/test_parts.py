"""The parts of the bench that need no cluster: shim, clock, audit log, settings, the pod for Kaniko alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from executor.cache import registry
from executor.cache.use import Use
from executor.pod import names
from executor.pod.manifest import PodRequest, render
from executor.settings.load import load
from testbed import layout, tenants
from testbed.bench import audit, build, clock, ground, host, shim
from testbed.bench.measures import stage_samples
from testbed.bench.player import environment
from testbed.errors import BedError
from testbed.wait import wait_for

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def shimmed(record: Path, *command: str) -> list[str]:
    return [sys.executable, "-I", "-S", shim.__file__, str(record), *command]


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_shim_passes_output_and_exit_code_on(tmp_path: Path) -> None:
    command = shimmed(tmp_path / "record", "/bin/sh", "-c", "cat; echo warned >&2; exit 7")
    done = subprocess.run(command, input=b"given\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given\n", b"warned\n")


def test_the_shim_writes_down_what_the_command_used(tmp_path: Path) -> None:
    program = "x = bytearray(80_000_000); sum(range(3_000_000))"
    command = shimmed(tmp_path / "record", sys.executable, "-c", program, "run", "script", "get_sources")
    subprocess.run(command, check=True, env={**os.environ, "CUSTOM_ENV_CI_JOB_ID": "7"})
    (record,) = records(tmp_path / "record")
    assert record["peak_mb"] > 76
    assert 0 < record["cpu_seconds"] <= record["wall_seconds"] * (os.cpu_count() or 1)
    assert (record["job"], record["code"]) == ("7", 0)


def test_the_shims_own_memory_is_not_the_commands(tmp_path: Path) -> None:
    ballast = bytearray(os.urandom(1) * 100_000_000)  # a big caller, as the bench itself is one
    subprocess.run(shimmed(tmp_path / "record", "/bin/sh", "-c", "true"), check=True)
    assert len(ballast) == 100_000_000
    assert records(tmp_path / "record")[0]["peak_mb"] < 30


def test_a_signal_reaches_the_command_behind_the_shim(tmp_path: Path) -> None:
    script = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(shimmed(tmp_path / "record", "/bin/sh", "-c", script), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"stopped\n"
    assert process.returncode == 3


def test_a_command_that_a_signal_ended_has_the_code_that_shells_give_it(tmp_path: Path) -> None:
    command = shimmed(tmp_path / "record", "/bin/sh", "-c", "kill -KILL $$")
    assert subprocess.run(command, check=False).returncode == 128 + signal.SIGKILL


def test_the_shim_tells_stages_and_sub_stages_apart() -> None:
    assert shim.describe(["driver", "run", "/run/script", "build_script"], "7", 0)["sub_stage"] == "build_script"
    assert shim.describe(["driver", "config", "--tenant", "a"], "7", 0)["sub_stage"] == ""


def test_the_command_that_records_is_the_driver(tmp_path: Path) -> None:
    driver = tmp_path / "a driver"
    driver.write_text('#!/bin/sh\necho "$1" "$2"\n')
    driver.chmod(0o700)
    command = ground.recorder(tmp_path / "recorder", tmp_path / "record", driver)
    assert subprocess.run([command, "prepare", "a b"], capture_output=True, check=True).stdout == b"prepare a b\n"
    assert records(tmp_path / "record")[0]["stage"] == "prepare"


def test_the_cpu_of_a_job_is_that_of_four_run_stages() -> None:
    used = [("config", 0.1), ("prepare", 0.2), *[("run", 0.05)] * 6, ("cleanup", 0.1)]
    lines = [
        json.dumps({"stage": stage, "job": "7", "cpu_seconds": cpu, "wall_seconds": 1.0, "peak_mb": 20.0})
        for stage, cpu in used
    ]
    samples = stage_samples(lines)
    assert samples["driver_cpu_seconds_per_job"] == [pytest.approx(0.6)]
    assert samples["whole_job.cpu_seconds"] == [pytest.approx(0.7)]
    assert samples["whole_job.run_stages"] == [6]
    assert len(samples["stage.run.wall_seconds"]) == 6


def event(verb: str, seconds: float, **target: str) -> dict[str, Any]:
    received = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {"verb": verb, "requestReceivedTimestamp": received, "requestURI": "/api?x=1", "objectRef": target or None}


def test_requests_are_counted_for_the_job_that_ran_then() -> None:
    events = [
        event("list", -1, resource="pods"),
        event("create", 0, resource="pods"),
        event("create", 1, resource="pods", subresource="exec"),
        event("create", 1, resource="pods", subresource="exec"),
        event("create", 10, resource="pods"),
        event("get", 11),
        event("delete", 20, resource="pods"),
    ]
    counts = audit.count(events, [START + timedelta(seconds=each) for each in (0, 10, 20)])
    assert counts == [{"create pods": 1, "create pods/exec": 2}, {"create pods": 1, "get /api": 1}]


def test_a_script_prints_the_time_that_this_machine_sees() -> None:
    before = clock.now()
    printed = subprocess.run(["sh", "-c", clock.mark("start")], capture_output=True, check=True).stdout
    assert before - 0.01 <= clock.marks(printed)["start"] <= clock.now() + 0.01


def test_the_echo_of_a_command_is_no_time_stamp() -> None:
    log = (
        f"$ {clock.mark('start')}\n".encode() + b"bench-mark start 12.50\nbench-mark end 14.00\nbench-mark end 15.00\n"
    )
    assert clock.between(log, "start", "end") == 1.5
    with pytest.raises(BedError, match="lacks the marks"):
        clock.between(log, "start", "finish")


def test_a_moment_and_the_clock_agree() -> None:
    assert clock.since_boot(datetime.now(UTC)) == pytest.approx(clock.now(), abs=10)  # boot was not in 1970


def test_what_a_process_tree_takes_is_seen() -> None:
    work = "x = bytearray(b'1' * 60_000_000); print(sum(range(5_000_000)), flush=True); input()"
    inner = f'"{sys.executable}" -c "{work}"; true'  # a child of the watched process, as a runner's stages are
    with (
        subprocess.Popen(["sh", "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        host.Consumption(process.pid) as consumption,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        wait_for("the memory to be seen", lambda: consumption.peak_mb > 50, 30)
        process.communicate(b"\n")
    assert host.proportional_bytes(process.pid) == 0


def test_the_cpu_of_children_that_ended_counts() -> None:
    before = host.processor_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert host.processor_seconds(os.getpid()) > before


def test_the_stages_get_what_the_runner_gives_and_no_variable_of_ours() -> None:
    given = environment(Path("/run/x"), 7, {"PATH": "/bin", "KANIKO_DRIVER_JOB_FILE": "/elsewhere"})
    assert given["CUSTOM_ENV_CI_JOB_ID"] == "7"
    assert "KANIKO_DRIVER_JOB_FILE" not in given


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The bench's settings, made of those of the bed's first tenant."""
    source = tmp_path / "bed"
    (source / "tenants").mkdir(parents=True)
    tenant = tenants.settings(ground.TENANT)
    (source / "tenants" / f"{ground.TENANT.name}.toml").write_text(tenant)
    return ground.write_settings(tmp_path / "bench", source)


def test_twenty_pods_fit_with_the_bench_s_settings_and_the_rest_is_the_tenants(settings: Path) -> None:
    file = settings / "tenants" / f"{ground.TENANT.name}.toml"
    changed, original = tomllib.loads(file.read_text()), tomllib.loads(tenants.settings(ground.TENANT))
    assert changed["resources"]["build"]["cpu_limit"] == original["resources"]["build"]["cpu_limit"]
    assert {key: changed[key] for key in ("cluster", "nodes", "images", "cache")} == {
        key: original[key] for key in ("cluster", "nodes", "images", "cache")
    }
    assert load(str(settings), ground.TENANT.name).tenant.resources.build.cpu_request.text == "50m"


def test_the_builtin_executor_asks_for_as_much_and_runs_on_the_same_node(settings: Path) -> None:
    resources = tomllib.loads((settings / "tenants" / f"{ground.TENANT.name}.toml").read_text())["resources"]
    options = ground.kubernetes_options(resources)
    assert options["node_selector"] == {"tenant": "a"}
    assert (options["cpu_request"], options["helper_cpu_request"]) == ("50m", "10m")
    assert options["memory_limit"] == resources["build"]["memory_limit"]
    assert options["helper_memory_limit"] == resources["helper"]["memory_limit"]


def test_the_builtin_executor_has_no_right_outside_its_namespace() -> None:
    kinds = [manifest["kind"] for manifest in ground.manifests()]
    assert "Namespace" in kinds
    assert not {"ClusterRole", "ClusterRoleBinding"} & set(kinds)
    assert {manifest["metadata"].get("namespace") for manifest in ground.manifests()[1:]} == {ground.NAMESPACE}


@pytest.fixture
def manifest(settings: Path) -> dict[str, Any]:
    """A job pod of that tenant."""
    request = PodRequest(
        name="job",
        attempt="a",
        job_id=1,
        project_id=1,
        annotations={},
        build_image=layout.KANIKO_IMAGE,
        cache=Use(mode="read-write", prefix="p"),
        deadline=60,
        delete_after=60,
    )
    return render(load(str(settings), ground.TENANT.name).tenant, request)


def test_the_pod_for_kaniko_alone_has_the_same_images_and_limits_and_nothing_of_the_driver(
    manifest: dict[str, Any],
) -> None:
    bare = build.bare_pod(manifest)
    containers = {container["name"]: container for container in manifest["spec"]["containers"]}
    kept = {container["name"]: container for container in bare["spec"]["containers"]}
    assert kept.keys() == {names.BUILD, names.CACHE_REGISTRY}
    for name, container in kept.items():
        for key in ("image", "resources", "securityContext"):
            assert container[key] == containers[name][key]
    assert "/driver" not in json.dumps(bare)
    assert names.JOB_LABEL not in bare["metadata"]["labels"]
    mounted = {mount["name"] for container in kept.values() for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in bare["spec"]["volumes"]}


def test_kaniko_alone_gets_every_flag_that_the_driver_adds(manifest: dict[str, Any], settings: Path) -> None:
    added = build.flags(manifest)
    assert "--compressed-caching=false" in added
    cache = load(str(settings), ground.TENANT.name).tenant.cache
    assert set(registry.kaniko_flags(cache, Use(mode="read-write", prefix="p"))) <= set(added)
    assert all(flag.startswith("--") for flag in added)
