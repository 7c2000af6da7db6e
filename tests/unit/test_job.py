"""The job file carries everything from `config` to the later stages, privately, and says when it cannot."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from executor.errors import ContractBroken
from executor.job import VERSION, Connection, Job

JOB = Job(
    id=2**63 - 1,
    tenant="tenant-a",
    pod="kaniko-job-1-bcdfgh",
    attempt="bcdfghjklmnpqrst",
    connection=Connection(
        server="https://10.0.0.1:6443",
        namespace="tenant-a",
        exec_plugin={"command": ["aws", "eks"], "environment": {"A": "ä"}},
    ),
    manifest={"metadata": {"name": "kaniko-job-1-bcdfgh", "annotations": {"job": "\udcff ä 漢 \0"}}},
    logins='{"auths": {}}',
    build_shell="sh",
    output_limit=10**9,
    schedule_timeout=600,
    start_timeout=600,
    stop_grace=10,
    connection_timeout=300,
    journal="/var/log/x.jsonl",
    notes=("one", "two"),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "job.json")
    JOB.write(path)
    assert Job.read(path) == JOB


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    before = os.umask(0)
    try:
        JOB.write(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_write_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    path = str(tmp_path / "job.json")
    replace(JOB, logins="x" * 10000).write(path)
    JOB.write(path)
    assert Job.read(path) == JOB


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_another_version_is_told_with_what_to_do(tmp_path: Path, version: object) -> None:
    path = tmp_path / "job.json"
    JOB.write(str(path))
    document = json.loads(path.read_text())
    # Another version may have other fields too; that must not hide the reason.
    path.write_text(json.dumps(document | {"version": version, "new": 1}))
    with pytest.raises(ContractBroken) as broken:
        Job.read(str(path))
    assert "another version of kaniko-driver" in broken.value.what
    assert f"version {VERSION}" in broken.value.why
    assert "drained" in broken.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", f'{{"version": {VERSION}}}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.json"
    path.write_text(text)
    with pytest.raises(ContractBroken) as broken:
        Job.read(str(path))
    assert str(path) in broken.value.why
    assert broken.value.remedy


@pytest.mark.parametrize("cut", [1, 100, 500])
def test_a_file_that_a_full_disk_cut_is_told_without_its_logins(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "job.json"
    replace(JOB, logins="s3cret").write(str(path))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ContractBroken) as broken:
        Job.read(str(path))
    assert "s3cret" not in str(broken.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken) as broken:
        Job.read(str(tmp_path / "absent"))
    assert "absent: No such file or directory" in broken.value.why


RELEASED = Path(__file__).parent / "data/job-file-2.json"
"""A job file as the first version with this number wrote it. Never made anew: another form has another number."""


def test_a_job_that_began_before_an_upgrade_is_read_by_today_s_stages(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(RELEASED.read_text())
    job = Job.read(str(path))
    assert job.version == VERSION
    assert (job.id, job.tenant, job.connection.namespace, job.limits.memory) == (7, "tenant-a", "tenant-a", 4 * 2**30)
