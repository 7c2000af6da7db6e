"""The test bed itself: two nodes that run pods, tenants apart from each other, and nothing left of a bed taken down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

import testbed
from testbed import bed, cache, cluster, layout, nodes, registry, s3
from testbed.archive import LayerWriter, write_image
from testbed.errors import BedError
from testbed.layout import NODES, TENANTS, Node, Tenant
from testbed.network import inside
from testbed.process import run
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B = TENANTS
# Taken before the bed's network namespace is entered.
OUTSIDE = os.open("/proc/self/ns/net", os.O_RDONLY)
# What kubelet wants to change.
KERNEL_SETTINGS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom")


@pytest.fixture
def pod(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A pod that sleeps in the default namespace; deleted afterwards."""
    name = f"test-bed-{request.node.callspec.id if hasattr(request.node, 'callspec') else 'pod'}"
    yield {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": layout.TOOLS_IMAGE, "command": ["sleep", "600"]}],
        },
    }
    cluster.kubectl("delete", "pod", name, "--namespace=default", "--ignore-not-found", "--wait=false")


def started(pod: dict[str, Any]) -> str:
    """Create the pod, wait until it runs, return its address."""
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(pod))
    name = pod["metadata"]["name"]

    def address() -> str | None:
        status = cluster.get("Pod", name, "default")["status"]
        return status.get("podIP") if status.get("phase") == "Running" else None

    return wait_for(f"pod {name} to run", address, 180)


def test_both_nodes_are_ready() -> None:
    assert cluster.ready_nodes() == {"node1", "node2"}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_a_pod_runs_on_the_node_and_can_be_reached(node: Node, pod: dict[str, Any]) -> None:
    key, _, value = node.labels.partition("=")
    pod["spec"]["nodeSelector"] = {key: value}
    pod["spec"]["containers"][0]["command"] = ["sh", "-c", "hostname; exec httpd -f -p 8080 -h /bin"]
    address = started(pod)
    name = pod["metadata"]["name"]
    assert cluster.get("Pod", name, "default")["spec"]["nodeName"] == node.name
    assert cluster.kubectl("logs", name, "--namespace=default") == f"{name}\n"
    assert cluster.kubectl("exec", name, "--namespace=default", "--", "echo", "hello") == "hello\n"
    other = next(each for each in NODES if each != node)
    bed.in_node(other, "busybox", "wget", "-q", "-O", "/dev/null", f"http://{address}:8080/busybox")


def test_a_node_pulls_from_the_registry(pod: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["image"] = f"{layout.REGISTRY}/library/busybox:1"
    pod["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    started(pod)
    status = cluster.get("Pod", pod["metadata"]["name"], "default")["status"]["containerStatuses"][0]
    assert status["imageID"].endswith(registry.digest("library/busybox:1") or "nothing")


def test_the_registry_knows_what_it_has() -> None:
    assert (registry.digest("library/debian:bookworm") or "").startswith("sha256:")
    assert registry.digest("library/no-such-image:1") is None
    assert "library/gcc" in registry.crane("catalog", layout.REGISTRY)


def test_a_tenants_keys_open_its_own_buckets_only() -> None:
    with inside():
        own = s3.client(A.name)
        own.put_object(Bucket=A.cache_bucket, Key="test-bed", Body=b"mine")
        assert own.get_object(Bucket=A.cache_bucket, Key="test-bed")["Body"].read() == b"mine"
        own.delete_object(Bucket=A.cache_bucket, Key="test-bed")
        for bucket in (B.cache_bucket, B.runner_bucket):
            with pytest.raises(ClientError, match="AccessDenied"):
                own.list_objects_v2(Bucket=bucket)
            with pytest.raises(ClientError, match="AccessDenied"):
                own.put_object(Bucket=bucket, Key="test-bed", Body=b"not mine")


def may(tenant: Tenant, verb: str, what: str, namespace: str) -> bool:
    """Ask the API server, with the tenant's own token."""
    command = (f"--kubeconfig={tenant.kubeconfig}", "auth", "can-i", verb, what, f"--namespace={namespace}")
    try:
        return cluster.kubectl(*command) == "yes\n"
    except BedError:
        return False


def test_a_tenants_token_works_in_its_own_namespace_only() -> None:
    assert may(A, "create", "pods", A.name)
    assert may(A, "create", "pods/exec", A.name)
    assert not may(A, "get", "secrets", A.name)
    assert not may(A, "list", "pods", B.name)
    assert not may(A, "list", "nodes", "default")


def test_the_requests_of_a_tenant_are_counted() -> None:
    user = f"system:serviceaccount:{A.name}:kaniko-driver"
    # Told from requests of jobs, whose last ones may be noted late.
    asked = [f"/api/v1/namespaces/{A.name}/pods?limit={number}" for number in (7001, 7002)]

    def counted() -> list[str]:
        return [event["requestURI"] for event in cluster.requests_of(user) if event["requestURI"] in asked]

    for number in (0, 1, 1):
        cluster.kubectl(f"--kubeconfig={A.kubeconfig}", "get", "--raw", asked[number])
    # A request is noted after it was answered.
    wait_for("the requests", lambda: len(counted()) >= len(asked) + 1, 180)
    assert counted() == [asked[0], asked[1], asked[1]]


def test_a_loaded_archive_is_on_both_nodes(tmp_path: Path) -> None:
    reference = "bed.local/test-bed:1"
    with LayerWriter(tmp_path / "layer") as layer:
        layer.text("hello", "hello\n")
    write_image(tmp_path / "image.tar", reference, [tmp_path / "layer"], {})
    for node in NODES:
        nodes.load_file(node, tmp_path / "image.tar")
        assert reference in bed.in_node(node, "ctr", "-n", "k8s.io", "images", "ls", "-q").splitlines()
        bed.in_node(node, "ctr", "-n", "k8s.io", "images", "rm", reference)


class Second:
    """A bed beside the first, by name."""

    name = "kaniko-bed-second"

    def __init__(self) -> None:
        sources = str(Path(testbed.__file__).parent.parent)
        # Its state follows from its name.
        others = {name: value for name, value in os.environ.items() if name != "KANIKO_BED_STATE"}
        self._environment = {**others, "KANIKO_BED_NAME": self.name, "PYTHONPATH": sources}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of this bed."""
        command = (sys.executable, "-m", "testbed", *words)
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str) -> str:
        """Run a command of this bed to its end and return what it said."""
        process = self.start(*words)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said


@pytest.fixture
def second() -> Iterator[Second]:
    """A second bed that is down, without data, before and after."""
    other = Second()
    # Another session of these tests on this machine, maybe of another checkout, has the same one.
    with cache.lock(Path(gettempdir(), f"{other.name}.lock"), Progress(), "testing with a second bed"):
        other.run("down", "--purge")
        yield other
        other.run("down", "--purge")


def traces(name: str) -> list[str]:
    """Return what there is of a bed on this machine."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{name}")]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if name.encode() in words and int(folder.name) != os.getpid():
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return [*mounts, *groups, *found, *map(str, Path("/run/netns").glob(name))]


def host() -> list[str]:
    """Return what a bed must not change: the machine's own interfaces, routes and kernel settings."""
    outside = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{OUTSIDE}", "ip")
    network = [run((*outside, "-o", "link")), run((*outside, "route")), run((*outside, "rule"))]
    return [*network, *(Path("/proc/sys", setting).read_text() for setting in KERNEL_SETTINGS)]


def test_a_second_bed_survives_kills_and_leaves_nothing(second: Second) -> None:
    before = host()
    interrupted = second.start("up")
    wait_for("its namespace", (layout.NAMESPACE_PATH.parent / second.name).exists, 180)
    interrupted.kill()
    interrupted.communicate()

    second.run("up")
    second.run("node", "node2", "kill", "1")
    wait_for("the end of node2", lambda: "does not run" in second.start("status").communicate()[0], 180)
    second.run("up")
    second.run("status")
    overrides = '--overrides={"spec": {"nodeSelector": {"tenant": "b"}}}'
    second.run("kubectl", "run", "pod", f"--image={layout.TOOLS_IMAGE}", overrides, "--", "sleep", "600")
    second.run("kubectl", "wait", "--for=condition=Ready", "pod/pod", "--timeout=180s")
    second.run("down")

    assert traces(second.name) == []
    assert host() == before
    assert cluster.ready_nodes() == {"node1", "node2"}
