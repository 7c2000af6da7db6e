"""Builds whose layer cache fails are cold, right, and say why in one line; those that may only read never write."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import ci, kaniko_log, layer_cache, layout, programs, s3, tenants
from testbed.faults import FaultProxy
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.pki import write_private
from testbed.tenants import CACHE_PREFIX
from testbed.wait import wait_for
from tests.support import ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult, SubmittedJob

TENANT, OTHER = layout.TENANTS
PROJECT = "group/layers"
DOCKERFILE = f"""\
FROM {layout.REGISTRY}/library/busybox:1
RUN head -c 300000 /dev/urandom > /first
COPY data /data
RUN head -c 300000 /dev/urandom > /second
"""
CACHEABLE = kaniko_log.cacheable(DOCKERFILE)
KEY = "0123456789abcdef" * 4
REFUSED = f"http://{layout.HOST_ADDRESS}:59999"
"""Nobody listens there."""


@dataclass
class Project:
    """A project with a small build, and the settings of its tenant, which each test may change."""

    gitlab: ci.Ci
    settings: Path
    files: Path

    def configure(self, **cache: str) -> None:
        """Lay keys over the tenant's `[cache]`; TOML values."""
        text = tenants.settings(TENANT)
        head, mark, table = text.partition("[cache]\n")
        kept = [line for line in table.splitlines() if line.partition(" = ")[0] not in cache]
        added = [f"{key} = {value}" for key, value in cache.items()]
        path = self.settings / "tenants" / f"{TENANT.name}.toml"
        write_private(path, "\n".join([head + mark.strip(), *kept, *added, ""]))

    def starts(self, dockerfile: str = DOCKERFILE, *, protected: bool = True) -> SubmittedJob:
        """Commit a Dockerfile and start its build."""
        (self.files / "Dockerfile").write_text(dockerfile)
        commit(self.gitlab.coordinator.repository(PROJECT), self.files)
        spec = ci.in_project(JobSpec(TENANT.name, script=(ci.KANIKO,)), PROJECT)
        return self.gitlab.coordinator.submit(replace(spec, protected=protected))

    def build(self, dockerfile: str = DOCKERFILE, *, protected: bool = True) -> str:
        """Build; returns the log of a job that must succeed."""
        return log_of(self.starts(dockerfile, protected=protected).wait())


def log_of(result: JobResult) -> str:
    log = plain(result.trace)
    assert result.state == "success", log
    return log


@pytest.fixture(scope="module")
def gitlab_of_the_tenant(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ci.Ci, Path]]:
    folder = tmp_path_factory.mktemp("layer-cache")
    settings = folder / "settings"
    write_private(settings / "driver.toml", f'version = 1\n[log]\nfile = "{folder}/driver.jsonl"\n')
    write_private(settings / "tenants" / f"{TENANT.name}.toml", tenants.settings(TENANT))
    with ci.at_work(folder / "ci", tenants=[TENANT], settings=settings) as running:
        yield running, settings
        running.runner.check()


@pytest.fixture
def project(gitlab_of_the_tenant: tuple[ci.Ci, Path], tmp_path: Path) -> Iterator[Project]:
    """The project, and an empty cache."""
    gitlab, settings = gitlab_of_the_tenant
    files = tmp_path / "files"
    files.mkdir()
    (files / "data").write_text("some data\n")
    found = Project(gitlab, settings, files)
    found.configure()
    layer_cache.empty(TENANT)
    yield found
    layer_cache.empty(TENANT)


def test_s3_that_never_answers_costs_seconds_once(project: Project) -> None:
    usual = project.build()
    with FaultProxy(layout.HOST_ADDRESS, layout.S3_PORT, listen=layout.HOST_ADDRESS) as proxy:
        proxy.silent = True
        project.configure(endpoint=f'"http://{layout.HOST_ADDRESS}:{proxy.port}"')
        log = project.build()
        proxy.silent = False
    assert "built without the layer cache: S3 was too slow or did not answer" in log
    assert kaniko_log.hits(log) == 0
    assert "too slow" not in usual
    # What the cache registry itself counts: the patience, and one look at the clock more, which comes late on a busy
    # machine. More than the promised 15 s it must never be.
    waited = re.search(r"([0-9.]+) s of waiting for S3", log)
    assert waited
    assert 9 < float(waited[1]) <= 15


def test_s3_that_falls_silent_in_the_middle_of_a_build_costs_neither_hits_nor_the_build(project: Project) -> None:
    project.build()
    waits = DOCKERFILE + f"RUN echo half-way && {ci.GATE} && head -c 100000 /dev/urandom > /third\nRUN true > /fourth\n"
    with FaultProxy(layout.HOST_ADDRESS, layout.S3_PORT, listen=layout.HOST_ADDRESS) as proxy:
        project.configure(endpoint=f'"http://{layout.HOST_ADDRESS}:{proxy.port}"', patience='"8s"')
        job = project.starts(waits)
        # From here on the look-ups are over; the layers that were found are yet to be pushed with the image.
        job.wait_for("half-way\n")
        proxy.silent = True
        ci.let_go(*ci.job_pods(TENANT, job.ident))
        log = log_of(job.wait())
        proxy.silent = False
    assert kaniko_log.hits(log) == CACHEABLE
    assert "nothing new was stored in the layer cache: S3 was too slow or did not answer" in log


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        ({"endpoint": f'"{REFUSED}"'}, "S3 could not be reached"),
        ({"bucket": f'"{OTHER.cache_bucket}"'}, "S3 refused the keys"),
        ({"bucket": '"no-such-bucket"'}, "there is no such bucket"),
        ({"secret": '"no-such-secret"'}, "no keys for S3 were found"),
    ],
    ids=["down", "forbidden", "no bucket", "no keys"],
)
def test_a_cache_that_fails_is_told_in_one_line(project: Project, cache: dict[str, str], words: str) -> None:
    project.configure(**cache)
    log = project.build()
    (line,) = [line for line in log.splitlines() if f"layer cache: {words}" in line]
    assert f"built without the layer cache: {words}" in line
    assert "Error uploading layer to cache" not in log


def test_a_bucket_that_takes_no_more_is_still_read(project: Project) -> None:
    project.build()
    client = s3.client()
    keys = s3.credentials(TENANT.name)
    policy = s3.policy(keys.access_key, TENANT.cache_bucket)
    refusal = {
        "Effect": "Deny",
        "Principal": {"AWS": [keys.access_key]},
        "Action": ["s3:PutObject"],
        "Resource": f"arn:aws:s3:::{TENANT.cache_bucket}/*",
    }
    client.put_bucket_policy(Bucket=TENANT.cache_bucket, Policy=_json(policy, refusal))
    try:
        log = project.build(DOCKERFILE + "RUN head -c 100000 /dev/urandom > /third\n")
    finally:
        client.put_bucket_policy(Bucket=TENANT.cache_bucket, Policy=_json(policy))
    assert kaniko_log.hits(log) == CACHEABLE
    assert "nothing new was stored in the layer cache" in log


def test_a_full_server_costs_nothing_but_what_would_have_been_stored(project: Project, tmp_path: Path) -> None:
    with small_s3(tmp_path, kilobytes=500) as endpoint:
        project.configure(endpoint=f'"{endpoint}"')
        cold = project.build()
        log = project.build()
    # The first of the two layers of 300 kB fits.
    for one, hits, effect in ((cold, 0, "built without"), (log, 1, "nothing new was stored in")):
        assert kaniko_log.hits(one) == hits
        (line,) = [line for line in one.splitlines() if "the layer cache: " in line]
        assert f"{effect} the layer cache: the bucket takes no more" in line
        assert "Error uploading layer to cache" not in one


@contextmanager
def small_s3(folder: Path, *, kilobytes: int) -> Iterator[str]:
    """Run a second S3 server with the tenant's keys on a file system of this size; yields its URL."""
    disk = folder / "disk"
    disk.mkdir()
    port = ports.free(layout.HOST_ADDRESS)
    address = f"{layout.HOST_ADDRESS}:{port}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], check=True)
    (disk / TENANT.cache_bucket).mkdir()
    keys = s3.credentials(TENANT.name)
    command = [str(programs.S3.path), "--port", address, "--region", layout.S3_REGION, "posix", str(disk)]
    environment = {"ROOT_ACCESS_KEY": keys.access_key, "ROOT_SECRET_KEY": keys.secret_key}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the small S3 server", lambda: ports.listens(layout.HOST_ADDRESS, port), 180)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(60)
        subprocess.run(["umount", disk], check=True)


def _json(policy: dict[str, list[object]], *more: object) -> str:
    return json.dumps({**policy, "Statement": [*policy["Statement"], *more]})


def test_layers_that_were_lost_or_damaged_are_built_anew_and_found_the_next_time(project: Project) -> None:
    project.build()
    client = s3.client()
    blobs = [key for key in layer_cache.objects(TENANT) if "/blobs/" in key]
    assert len(blobs) == 2
    client.delete_object(Bucket=TENANT.cache_bucket, Key=blobs[0])
    client.put_object(Bucket=TENANT.cache_bucket, Key=blobs[1], Body=b"something else")
    log = project.build()
    assert kaniko_log.hits(log) == 0
    assert "cached layer(s) were lost or damaged in S3 and were built anew" in log
    healed = project.build()
    assert (kaniko_log.hits(healed), kaniko_log.misses(healed)) == (CACHEABLE, 0)
    assert "first not found: RUN head -c 300000 /dev/urandom > /first" in log


def test_a_branch_reads_the_protected_cache_and_cannot_write_it(project: Project) -> None:
    project.build()
    protected = set(layer_cache.objects(TENANT))
    assert {key.split("/")[2] for key in protected} == {"protected"}
    log = project.build(DOCKERFILE + "RUN head -c 100000 /dev/urandom > /third\n", protected=False)
    assert kaniko_log.hits(log) == CACHEABLE
    assert not {key for key in set(layer_cache.objects(TENANT)) - protected if "/protected/" in key}
    assert set(layer_cache.objects(TENANT)) > protected


def test_a_job_that_may_only_read_cannot_write_by_the_registrys_own_door(project: Project) -> None:
    """Also where a RUN instruction speaks to the registry itself."""
    project.build()
    before = set(layer_cache.objects(TENANT))
    project.configure(unprotected='"read-only"')
    door = "http://127.0.0.1:5407/v2/layers"
    attempt = f"wget -S -O - --post-data=x {door}/blobs/uploads/ 2>&1 | grep '403 Forbidden'"
    attack = f"RUN {attempt} && echo refused-as-it-should\n"
    log = project.build(DOCKERFILE + attack, protected=False)
    assert kaniko_log.hits(log) == CACHEABLE
    assert "refused-as-it-should\n" in log
    assert set(layer_cache.objects(TENANT)) == before
    assert "Error uploading layer to cache" not in log


def test_a_layer_of_300_mb_is_built_stored_and_found_in_a_pod_of_2_gib(project: Project) -> None:
    path = project.settings / "tenants" / f"{TENANT.name}.toml"
    text = path.read_text()
    assert text.count('memory_limit = "3Gi"') == 1
    write_private(path, text.replace('memory_limit = "3Gi"', 'memory_limit = "2Gi"'))
    large = f"FROM {layout.REGISTRY}/library/busybox:1\nRUN head -c 300000000 /dev/urandom > /large\n"
    project.build(large)
    log = project.build(large)
    assert (kaniko_log.hits(log), kaniko_log.misses(log)) == (1, 0)
    assert "memory was near its limit" not in log


def test_whatever_a_job_sends_to_its_registry_it_reaches_nothing_of_others(project: Project) -> None:
    """Nor the keys, nor another place in the bucket that the same keys open; and its own cache goes on as before."""
    project.configure(spool='"16Mi"')
    client = s3.client()
    place, canary = f"{CACHE_PREFIX}/{OTHER.name}/1/entries", "the-others-entry"
    client.put_object(Bucket=TENANT.cache_bucket, Key=f"{place}/{KEY}", Body=canary.encode())
    (project.files / "hostile.sh").write_text((Path(__file__).parent / "hostile.sh").read_text())
    spoil = f"sh hostile.sh spoil_cache {layout.S3_URL.partition('://')[2]} {TENANT.cache_bucket}/{place} {KEY}"
    (project.files / "Dockerfile").write_text(DOCKERFILE)
    commit(project.gitlab.coordinator.repository(PROJECT), project.files)
    script = (f"{ci.KANIKO} --cleanup", spoil, ci.GATE, f"{ci.KANIKO} --cleanup")
    job = project.gitlab.coordinator.submit(ci.in_project(JobSpec(TENANT.name, script=script), PROJECT))
    job.wait_for("DONE spoiling\n")
    (pod,) = ci.job_pods(TENANT, job.ident)
    ci.let_go(pod)
    log = log_of(job.wait())
    answers = dict(re.findall(r"^ANSWER (\S+) (\S+)$", log, re.MULTILINE))
    assert len(answers) == 17
    assert {name: status for name, status in answers.items() if not status.startswith(("3", "4"))} == {}
    assert answers["huge-upload"] == "413"
    keys = s3.credentials(TENANT.name)
    assert [word for word in (canary, keys.secret_key, keys.access_key, "SEEN /", "READ /") if word in log] == []
    assert [one["name"] for one in pod["status"]["containerStatuses"] if one["restartCount"]] == []
    assert client.get_object(Bucket=TENANT.cache_bucket, Key=f"{place}/{KEY}")["Body"].read() == canary.encode()
    own = rf"{CACHE_PREFIX}/{TENANT.name}/protected/\d+/(entries|blobs)/[0-9a-f]{{2,}}[0-9a-f/:]*"
    assert [key for key in layer_cache.objects(TENANT) if not re.fullmatch(own, key)] == [f"{place}/{KEY}"]
    assert kaniko_log.hits(log) == CACHEABLE
