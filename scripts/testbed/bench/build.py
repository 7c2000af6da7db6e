"""The sample's build through the driver, and by Kaniko alone in a pod with the same images, limits and flags.

The bare pod is made of the manifest that the driver's own `config` wrote: its build container and its cache registry,
without everything that is the driver's.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from executor.cache import registry
from executor.pod import names
from testbed import api, ci, cluster, layer_cache, layout
from testbed.bench import clock
from testbed.bench.ground import DRIVER, PATIENCE, TENANT
from testbed.bench.player import Attempt
from testbed.bench.samples import Samples, merge
from testbed.errors import BedError
from testbed.joblog import section
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.bench.ground import Ground
    from testbed.coordinator_job import JobResult
    from testbed.jobs import JobSpec

BARE = "bench-kaniko-alone"
CONTEXT = "/builds/context"
BARE_VOLUMES = frozenset({"builds", "spool"})


def build(ground: Ground, rounds: int) -> Samples:
    """Build the sample with an empty and a full layer cache, through the driver and by Kaniko alone."""
    samples: Samples = {}
    ci.commit_sample(ground.coordinator)
    config = Attempt(ground.folder / "bare", replace(_job(), tenant=TENANT.name), settings=ground.settings).config()
    for _ in range(rounds):
        layer_cache.empty(TENANT)
        for cache in ("cold", "warm"):
            with ground.progress.step(f"the sample's build through the driver, {cache} layer cache"):
                result = ground.finished(ground.coordinator.submit(_job()))
            merge(samples, _of_driver(result, cache))
        ground.wait_until_quiet()
        layer_cache.empty(TENANT)
        for cache in ("cold", "warm"):
            with (
                ground.progress.step(f"the sample's build by Kaniko alone, {cache} layer cache"),
                _bare_pod(bare_pod(config["manifest"])),
            ):
                merge(samples, {f"build.alone.{cache}": [_kaniko_alone(flags(config["manifest"]))]})
    layer_cache.empty(TENANT)
    return samples


def _job() -> JobSpec:
    spec = ci.sample_job(TENANT)
    arguments = spec.script[1]
    return replace(
        spec, tenant=DRIVER, script=(clock.mark("begin"), arguments, clock.mark("end")), after_script=(), artifacts=()
    )


def _of_driver(result: JobResult, cache: str) -> Samples:
    script = section(result.trace, "step_script")
    if script is None or script.ended is None:
        raise BedError(f"the log of job {result.ident} has no complete script")
    whole, kaniko = (script.ended - script.started).total_seconds(), clock.between(result.trace, "begin", "end")
    return {f"build.driver.{cache}": [whole], f"build.around_kaniko.{cache}": [whole - kaniko]}


def bare_pod(manifest: dict[str, Any]) -> dict[str, Any]:
    """The pod for Kaniko alone: what a job pod has for building, and nothing of the driver."""
    spec = manifest["spec"]
    containers = {container["name"]: container for container in spec["containers"]}
    build_container = containers[names.BUILD] | {"command": ["sh", "-c", "sleep 3600"]}
    kept = [
        container | {"volumeMounts": [mount for mount in container["volumeMounts"] if mount["name"] in BARE_VOLUMES]}
        for container in (build_container, _registry_alone(containers[names.CACHE_REGISTRY]))
    ]
    labels = {names.TENANT_LABEL: manifest["metadata"]["labels"][names.TENANT_LABEL]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": BARE, "namespace": manifest["metadata"]["namespace"], "labels": labels},
        "spec": spec
        | {
            "containers": kept,
            "volumes": [volume for volume in spec["volumes"] if volume["name"] in BARE_VOLUMES],
            "terminationGracePeriodSeconds": 0,
        },
    }


def _registry_alone(container: dict[str, Any]) -> dict[str, Any]:
    """The cache registry without the driver's programs, and not ended together with a job."""
    variables = [
        {"name": "LAYER_CACHE", "value": json.dumps(json.loads(one["value"]) | {"pulse": ""})}
        if one["name"] == "LAYER_CACHE"
        else one
        for one in container["env"]
    ]
    return container | {"command": [registry.COMMAND], "env": variables}


def flags(manifest: dict[str, Any]) -> list[str]:
    """The flags that the driver adds to Kaniko's, from the files that the pod's first container writes."""
    words = manifest["spec"]["containers"][0]["command"]
    texts = [content for name, content in pairwise(words) if name.startswith("flags.")]
    return [line.replace("$$", "$") for text in texts for line in text.splitlines() if line]


@contextmanager
def _bare_pod(manifest: dict[str, Any]) -> Iterator[None]:
    namespace = manifest["metadata"]["namespace"]
    api.request("POST", api.path_of("Pod", namespace=namespace), manifest)
    try:
        wait_for("the pod for Kaniko alone", _bare_pod_runs, 120)
        _copy_sample()
        wait_for("its layer cache", _bare_cache_answers, 30)
        yield
    finally:
        with suppress(BedError):
            cluster.kubectl("delete", "pod", BARE, f"--namespace={namespace}", "--grace-period=0", "--force")
        wait_for("the end of the pod for Kaniko alone", lambda: api.get("Pod", BARE, namespace) is None, 60)


def _bare_pod_runs() -> bool:
    states = cluster.get("Pod", BARE, TENANT.name)["status"].get("containerStatuses", [])
    return bool(states) and all("running" in state["state"] for state in states)


def _bare_cache_answers() -> bool:
    try:
        _in_pod('wget -q -O /dev/null "$KANIKO_DRIVER_CACHE_URL"')
    except BedError:
        return False
    return True


def _copy_sample() -> None:
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ci.SAMPLE, ".")
    _in_pod(f"mkdir {CONTEXT} && tar -x -C {CONTEXT}", archive.getvalue())


def _kaniko_alone(added: list[str]) -> float:
    image = f"{layout.REGISTRY}/bench/kaniko-alone:1"
    words = [
        "/kaniko/executor",
        *added,
        f"--context={CONTEXT}",
        f"--dockerfile={CONTEXT}/Dockerfile",
        f"--build-arg=REGISTRY={layout.REGISTRY}",
        "--build-arg=VERSION=bench",
        f"--destination={image}",
        f"--digest-file={CONTEXT}/image.digest",
    ]
    out = _in_pod(f"set -e; {clock.mark('begin')}; {' '.join(words)}; {clock.mark('end')}")
    return clock.between(out, "begin", "end")


def _in_pod(script: str, stdin: bytes = b"") -> bytes:
    words = ("exec", "-i", f"--namespace={TENANT.name}", BARE, f"--container={names.BUILD}", "--", "sh", "-c", script)
    done = subprocess.run(
        cluster.kubectl_command(*words), input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise BedError(f"in the pod for Kaniko alone: {done.stderr[-2000:].decode(errors='replace')}")
    return done.stdout
