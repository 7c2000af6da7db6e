"""Each right of the driver's Role is needed: without it one thing fails, with words that name the verb.

The stages are called as the runner calls them, with the login of a service account that lacks one verb. The job has an
image of its own behind a login, and fails, so that its pod is kept: that is what uses every right. `events list` is
only used where a pod starts too slowly; tests/unit/stages/test_prepare.py shows it.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from executor.tenancy.rights import RULES
from testbed import api, ci, layout

from . import fence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENANT = layout.TENANTS[0]
ACCOUNT = "lacks-a-verb"
CONTRACT = {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2"}
LOGIN = {"type": "registry", "url": layout.REGISTRY, "username": "u", "password": "p"}
RESPONSE = {
    "id": 4711,
    "runner_info": {"timeout": 600},
    "image": {"name": f"{layout.REGISTRY}/library/alpine:3"},
    "credentials": [LOGIN],
}
EXEC = "the verbs get and create on pods/exec"
KEEP = '\n[debug]\nkeep_failed = "10m"\n'


@dataclass
class Story:
    """What the stages of one attempt said, by their names, and their exit codes."""

    folder: Path
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def stage(self, name: str, *arguments: str) -> str:
        """Call a stage; the operator log's part of it counts as said."""
        before = self._journal()
        done = subprocess.run(
            [ci.DRIVER_COMMAND, name, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        self.codes[name] = done.returncode
        # In the operator log quotes are escaped.
        self.said[name] = done.stdout + done.stderr + self._journal()[len(before) :].replace('\\"', '"')
        return done.stdout

    def _journal(self) -> str:
        file = self.folder / "driver.jsonl"
        return file.read_text() if file.exists() else ""


def tell(folder: Path, lacking: tuple[str, str], *, keep: bool, pod_vanishes: bool) -> Story:
    """Let somebody without the right go through a whole attempt."""
    settings = folder / "settings"
    shutil.copytree(layout.DRIVER, settings, ignore=shutil.ignore_patterns("*.jsonl*"))
    (settings / "driver.toml").write_text(f'version = 1\n[log]\nfile = "{folder}/driver.jsonl"\n')
    kubeconfig = folder / "kubeconfig"
    token = fence.account(TENANT, ACCOUNT, rules_without(*lacking)).token
    kubeconfig.write_text(TENANT.kubeconfig.read_text().replace(fence.driver_of(TENANT).token, token))
    kubeconfig.chmod(0o600)
    file = settings / "tenants" / f"{TENANT.name}.toml"
    text = file.read_text().replace(str(TENANT.kubeconfig), str(kubeconfig))
    assert "[debug]" not in text
    file.write_text(text + (KEEP if keep else ""))
    private = folder / "private"
    private.mkdir(mode=0o700)
    (private / "response.json").write_text(json.dumps(RESPONSE))
    script = private / "script"
    script.write_text("exit 3\n")
    given = {
        "JOB_RESPONSE_FILE": str(private / "response.json"),
        "BUILD_EXIT_CODE_FILE": str(private / "code"),
        "TMPDIR": str(private),
    }
    story = Story(folder, {**os.environ, **CONTRACT, **given})
    answer = story.stage("config", "--settings", str(settings), "--tenant", TENANT.name)
    assert story.codes["config"] == 0, story.said
    resolved = json.loads(answer)
    story.environment |= resolved["job_env"]
    story.stage("prepare")
    if story.codes["prepare"] == 0:
        if pod_vanishes:
            api.request("DELETE", f"{api.path_of('Pod', resolved['hostname'], TENANT.name)}?gracePeriodSeconds=0")
        story.stage("run", str(script), "build_script")
    story.stage("cleanup")
    return story


def rules_without(resource: str, verb: str) -> list[dict[str, Any]]:
    rules = copy.deepcopy(list(RULES))
    for rule in rules:
        if rule["resources"] == [resource]:
            rule["verbs"].remove(verb)
    assert not resource or rules != list(RULES)
    return rules


@pytest.fixture(autouse=True)
def _no_account_left(_bed: None) -> Iterator[None]:
    yield
    fence.forget(TENANT, ACCOUNT)
    ci.delete_job_pods()


def complaints(story: Story) -> dict[str, set[str]]:
    """The rights whose want each stage has complained of."""
    return {name: found for name, said in story.said.items() if (found := rights_in(said))}


def rights_in(said: str) -> set[str]:
    # The API server names no verb where `create` is missing for an exec, so the driver names both.
    if EXEC in said:
        return {"pods/exec"}
    return {f"{resource} {verb}" for verb, resource in re.findall(r'cannot (\w+) resource "([\w/]+)"', said)}


def test_with_every_right_nothing_is_complained_of(tmp_path: Path) -> None:
    story = tell(tmp_path, ("", ""), keep=True, pod_vanishes=False)
    assert complaints(story) == {}
    assert (story.codes["prepare"], story.codes["run"], story.codes["cleanup"]) == (0, 1, 0), story.said
    assert '"pod kept"' in story.said["cleanup"]


@pytest.mark.parametrize(
    ("resource", "verb", "stage"),
    [
        ("pods", "create", "prepare"),
        ("pods", "watch", "prepare"),
        ("pods", "patch", "prepare"),
        ("secrets", "create", "prepare"),
        ("pods/exec", "get", "run"),
        ("pods/exec", "create", "run"),
        ("pods", "get", "run"),
        ("pods", "list", "cleanup"),
        ("pods", "delete", "cleanup"),
        ("secrets", "delete", "cleanup"),
    ],
)
def test_a_right_that_is_missing_is_named_where_it_is_needed(
    tmp_path: Path, resource: str, verb: str, stage: str
) -> None:
    right = f"{resource} {verb}"
    # A kept pod is not deleted, and only a pod that is gone is looked for.
    story = tell(tmp_path, (resource, verb), keep=right != "pods delete", pod_vanishes=right == "pods get")
    found = complaints(story)
    assert stage in found, "\n".join(story.said.values())
    expected = {resource if resource == "pods/exec" else right}
    assert set().union(*found.values()) == expected, "\n".join(story.said.values())
    order = ["prepare", "run", "cleanup"]
    assert min(found, key=order.index) == stage
    assert all(story.codes[one] == 0 for one in order[: order.index(stage)] if one == "prepare")
    if stage != "cleanup":
        assert story.codes[stage] == 2
        assert "must give the tenant's service account the" in story.said[stage]
    assert story.codes["cleanup"] == 0
