"""A hostile job of tenant-a, with root in its container and all the time it needs, while tenant-b works beside it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import zipfile
from base64 import b64encode
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed import api, ci, enforcer, layout, s3
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import Artifacts, JobSpec, Variable
from testbed.process import run
from testbed.wait import wait_for

from . import fence
from .conftest import BUSY, PIPELINE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult, SubmittedJob

    from .conftest import Author

TENANT, OTHER = layout.TENANTS
METADATA = "169.254.169.254"
POD_PORT = 9000
HOST_PORT = 2222
"""Below the ports that the bed's tenants may reach for the sake of a coordinator."""
GREETING = "the-authors-own-variable"
LOGIN = "the-tenants-registry-password"
SECRET_OF_B = "the-other-tenants-secret"
FORGED = {
    "CI_JOB_ID": "999999",
    "CI_PROJECT_ID": "999999",
    "CI_RUNNER_TAGS": '["tenant-b"]',
    "TENANT": "tenant-b",
    "KANIKO_DRIVER_TENANT": "tenant-b",
    "KANIKO_DRIVER_CONTAINER": "helper",
    "KANIKO_DRIVER_JOB_FILE": "/etc/passwd",
    "JOB_RESPONSE_FILE": "/etc/passwd",
    "KUBECONFIG": "/etc/kubernetes/admin.conf",
    "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE": "kaniko-driver",
    "KUBERNETES_BEARER_TOKEN": "made-up",
    "BUILD_EXIT_CODE_FILE": "/dev/null",
    "SYSTEM_FAILURE_EXIT_CODE": "0",
    "PYTHONPATH": "/builds",
}
"""Variables of the job that bear names which mean something to the runner, the driver, or the built-in executor."""


@dataclass(frozen=True)
class Evidence:
    """What became of the job, and what it saw."""

    result: JobResult
    log: str
    views: dict[str, str]
    pod: dict[str, Any]
    heard: dict[str, int]
    """Connections that listeners of the test have taken, by their name."""
    dropped: int

    def probes(self, when: str) -> dict[str, str]:
        """How each probe went, `before` or `after` the network policies were in force."""
        (section,) = re.findall(rf"^== {when}\n(.*?)^== ", self.log, re.DOTALL | re.MULTILINE)
        return dict(re.findall(r"^PROBE (\S+) (\S+)$", section, re.MULTILINE))


class Listener:
    """A service that counts who comes, and says nothing."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.heard = 0
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.heard += 1
            visitor.close()


@contextmanager
def _metadata_address() -> Iterator[None]:
    """The bed's host answers at the address where clouds keep the node's credentials."""
    place = (f"{METADATA}/32", "dev", "lo")
    run(("ip", "addr", "add", *place))
    try:
        yield
    finally:
        run(("ip", "addr", "del", *place))


@pytest.fixture(scope="module")
def evidence(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("hostile")
    settings = folder / "settings"
    shutil.copytree(layout.DRIVER, settings, ignore=shutil.ignore_patterns("*.jsonl*"))
    _give_a_registry_login(settings)
    with ExitStack() as stack:
        stack.enter_context(_secret_of_b())
        stack.enter_context(_metadata_address())
        listeners = {
            "runner-host": stack.enter_context(closing(Listener(layout.HOST_ADDRESS, HOST_PORT))),
            "metadata": stack.enter_context(closing(Listener(METADATA, 80))),
        }
        gitlab = stack.enter_context(ci.at_work(folder / "ci", port=layout.COORDINATOR_PORT, settings=settings))
        victim = _victim(gitlab, folder)
        stack.callback(victim.abort)
        neighbour = _pod(OTHER, victim.ident)["status"]["podIP"]
        targets = _targets(listeners, neighbour)
        job = gitlab.coordinator.submit(_job(gitlab, folder, targets))
        job.wait_for("== waiting for the fence")
        pod = _pod(TENANT, job.ident)
        with enforcer.enforced():
            result = job.wait()
            dropped = enforcer.dropped()
        victim.abort()
        victim.wait()
    return Evidence(
        result=result,
        log=plain(result.trace).replace("\r", ""),
        views=_views(result),
        pod=pod,
        heard={name: listener.heard for name, listener in listeners.items()},
        dropped=dropped,
    )


def _give_a_registry_login(settings: Path) -> None:
    """The tenant's operator has given all its jobs a login for another registry."""
    logins = settings / "logins.json"
    auth = b64encode(f"robot:{LOGIN}".encode()).decode()
    logins.write_text(json.dumps({"auths": {"registry.example.com": {"auth": auth}}}))
    logins.chmod(0o600)
    file = settings / "tenants" / f"{TENANT.name}.toml"
    text = file.read_text()
    table = f'[registry]\nlogins_file = "{logins}"\n'
    assert "[registry]" not in text
    file.write_text(text + table)


@contextmanager
def _secret_of_b() -> Iterator[None]:
    name = {"name": "hostile-canary", "namespace": OTHER.name}
    api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": {"value": SECRET_OF_B}})
    yield
    api.request("DELETE", api.path_of("Secret", name["name"], OTHER.name))


def _victim(gitlab: ci.Ci, folder: Path) -> SubmittedJob:
    """A job of tenant-b that listens on a port of its pod."""
    (folder / "victim").mkdir()
    commit(gitlab.coordinator.repository("group/victim"), folder / "victim")
    script = (f'echo now" "listening; {BUSY} & while :; do timeout 600 nc -l -p {POD_PORT} -e true; done',)
    spec = JobSpec(OTHER.name, script=script, image=PIPELINE_IMAGE, variables=(Variable("SECRET", SECRET_OF_B),))
    job = gitlab.coordinator.submit(ci.in_project(spec, "group/victim"))
    job.wait_for("now listening")
    return job


def _pod(tenant: layout.Tenant, ident: int) -> dict[str, Any]:
    return wait_for("the job's pod", lambda: next(iter(ci.job_pods(tenant, ident)), None), 180)


def _targets(listeners: dict[str, Listener], neighbour: str) -> dict[str, tuple[str, int]]:
    return {
        "runner-host": (layout.HOST_ADDRESS, listeners["runner-host"].port),
        "metadata": (METADATA, 80),
        "api-server": (layout.HOST_ADDRESS, layout.API_PORT),
        "own-kubelet": (layout.NODES[0].address, 10250),
        "other-kubelet": (layout.NODES[1].address, 10250),
        "other-tenants-pod": (neighbour, POD_PORT),
        "registry": (layout.HOST_ADDRESS, layout.REGISTRY_PORT),
        "s3": (layout.HOST_ADDRESS, layout.S3_PORT),
        "gitlab": (layout.HOST_ADDRESS, layout.COORDINATOR_PORT),
    }


def _job(gitlab: ci.Ci, folder: Path, targets: dict[str, tuple[str, int]]) -> JobSpec:
    files = folder / "files"
    files.mkdir()
    probes = "".join(f"sh hostile.sh probe {name} {host} {port}\n" for name, (host, port) in targets.items())
    (files / "probes.sh").write_text(probes)
    (files / "hostile.sh").write_text((Path(__file__).parent / "hostile.sh").read_text())
    (files / "Dockerfile").write_text(
        f"FROM {layout.REGISTRY}/library/busybox:1\nCOPY hostile.sh /hostile.sh\n"
        "RUN sh /hostile.sh view >/builds/view-of-run; sh /hostile.sh break_out >/builds/breaks-of-run\n"
    )
    commit(gitlab.coordinator.repository("group/hostile"), files)
    host, port = targets["runner-host"]
    script = (
        "echo '== before'; sh probes.sh",
        "echo '== waiting for the fence'",
        f"until sh hostile.sh probe x {host} {port} | grep -q closed; do sleep 0.2; done",
        "echo '== after'; sh probes.sh",
        "echo '== breaking out'; sh hostile.sh break_out",
        f"sh hostile.sh attempt s3-of-b wget -q -O - 'http://{layout.HOST_ADDRESS}:{layout.S3_PORT}/cache-tenant-b/'",
        'wget -q -O - "http://127.0.0.1:5407/v2/_catalog" || true',
        'wget -q -O /dev/null "${CI_REPOSITORY_URL}/info/refs?service=git-upload-pack" && echo "git answers"',
        "echo '== view'; sh hostile.sh view >view-of-script",
        ci.KANIKO,
        "mv /builds/view-of-run . && cat /builds/breaks-of-run",
        "echo '== end'",
    )
    own = (Variable("GREETING", GREETING), *(Variable(name, value) for name, value in FORGED.items()))
    kept = Artifacts(("view-of-script", "view-of-run"), when="always")
    spec = JobSpec(TENANT.name, script=script, image=PIPELINE_IMAGE, variables=own, artifacts=(kept,))
    return ci.in_project(spec, "group/hostile")


def _views(result: JobResult) -> dict[str, str]:
    views: dict[str, str] = {}
    for artifact in result.artifacts:
        with zipfile.ZipFile(artifact.path) as archive:
            views |= {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    return views


def test_a_build_works_as_usual_inside_the_fence(evidence: Evidence) -> None:
    assert evidence.result.state == "success", evidence.log
    assert "git answers" in evidence.log
    assert evidence.views.keys() == {"view-of-script", "view-of-run"}


def test_without_anybody_who_enforces_policies_everything_is_open(evidence: Evidence) -> None:
    assert set(evidence.probes("before").values()) == {"open"}


def test_the_policies_leave_open_what_a_build_needs_and_nothing_else(evidence: Evidence) -> None:
    needed = {"registry", "s3", "gitlab"}
    assert evidence.probes("after") == {
        name: "open" if name in needed else "closed" for name in evidence.probes("before")
    }
    assert evidence.dropped > 0
    # From before; a connection that was let through in one direction only would have been heard of, too.
    assert evidence.heard["metadata"] == 1


def canaries(evidence: Evidence) -> dict[str, str]:
    """Secrets of the operator and of the other tenant, each whole or an unmistakable part."""
    assert evidence.pod
    keys = {user: s3.credentials(user) for user in (s3.ROOT, TENANT.name, OTHER.name)}
    return {
        **{f"S3 key of {user}": key.secret_key for user, key in keys.items()},
        **{f"S3 key id of {user}": key.access_key for user, key in keys.items()},
        **{f"driver's token of {tenant.name}": fence.driver_of(tenant).token for tenant in layout.TENANTS},
        "administrator's key": (layout.PKI / "admin.key").read_text().splitlines()[1],
        "secret and variable of the other tenant": SECRET_OF_B,
        "a runner's token": "glrt-",
    }


def test_nothing_of_the_operator_or_of_another_tenant_can_be_read(evidence: Evidence) -> None:
    places = {**evidence.views, "log": evidence.log, "manifest": json.dumps(evidence.pod)}
    # Whoever looks badly finds nothing either.
    assert evidence.views
    for seen in evidence.views.values():
        assert GREETING in seen
        assert "What a hostile author would put into a job" in seen
    found = [
        f"{what} in {name}"
        for what, text in canaries(evidence).items()
        for name, seen in places.items()
        if text in seen
    ]
    assert not found


def test_the_cache_registry_and_its_keys_are_in_another_container(evidence: Evidence) -> None:
    for view in evidence.views.values():
        assert "AWS_SECRET_ACCESS_KEY=" not in view
        assert "registry serve" not in view
    containers = {one["name"]: one for one in evidence.pod["spec"]["containers"]}
    holders = [name for name, one in containers.items() if "AWS_SECRET_ACCESS_KEY" in json.dumps(one.get("env", []))]
    assert holders == ["cache-registry"]
    assert not evidence.pod["spec"].get("shareProcessNamespace")


def test_what_a_run_instruction_can_read_is_what_the_security_page_says(evidence: Evidence) -> None:
    """Root of the build container is one: the script, Kaniko and RUN instructions share everything."""
    view = evidence.views["view-of-run"]
    auth = b64encode(f"robot:{LOGIN}".encode()).decode()
    assert GREETING in view
    assert re.search(r"CI_JOB_TOKEN=\S+", view)
    assert auth in view


def test_root_of_the_container_is_nobody_on_the_node(evidence: Evidence) -> None:
    attempts = re.findall(r"^ATTEMPT (\S+) (\S+)$", evidence.log, re.MULTILINE)
    assert len(attempts) == 2 * len({name for name, _ in attempts}) - 1, "the script's and those of RUN, and S3"
    # Nor is any of them "impossible", for want of the tool.
    assert {how for _, how in attempts} == {"failed"}, attempts


def test_forged_variables_move_nothing(evidence: Evidence) -> None:
    pod = evidence.pod
    labels = pod["metadata"]["labels"]
    assert pod["metadata"]["namespace"] == TENANT.name
    assert pod["spec"]["nodeName"] == layout.NODES[0].name
    assert labels["kaniko-driver/tenant"] == TENANT.name
    assert labels["kaniko-driver/job"] == str(evidence.result.ident)
    assert "999999" not in json.dumps(labels)
    assert pod["spec"]["serviceAccountName"] == "kaniko-build"
    assert not pod["spec"]["automountServiceAccountToken"]
    assert "opens no gate for it" in evidence.log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBERNETES_NAMESPACE_OVERWRITE", OTHER.name),
        ("KUBERNETES_CPU_LIMIT", "64"),
        ("KUBERNETES_NODE_SELECTOR_TENANT", "tenant=b"),
        ("KUBERNETES_POD_LABELS_TENANT", "kaniko-driver/tenant=tenant-b"),
    ],
)
def test_a_wish_that_nobody_could_have_meant_well_ends_the_job(author: Author, name: str, value: str) -> None:
    result = author.submits(JobSpec(TENANT.name, script=("true",), variables=(Variable(name, value),))).wait()
    assert result.state == "failed"
    assert f"The job's variable {name} was refused: '{value}'" in plain(result.trace)
