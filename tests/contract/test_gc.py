"""gc as an operator, a timer or a CronJob calls it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.contract.conftest import Attempt
    from tests.support.api_server import ApiServer, Exchange

CONFIG = Path(__file__).parents[2] / "config/gc"


def listed(name: str, job: int, *, overdue: float = 0.0, **more: Any) -> dict[str, Any]:
    labels = {"kaniko-driver/tenant": "tenant-a", "kaniko-driver/job": str(job)}
    annotations = {"kaniko-driver/delete-after": str(int(time.time() - overdue))}
    return {"metadata": {"name": name, "uid": name, "labels": labels, "annotations": annotations, **more}}


class Cluster:
    """Pods of one namespace, which know how to go."""

    def __init__(self, server: ApiServer) -> None:
        self.pods = [
            listed("young", 1, overdue=-600),
            listed("fresh", 2, overdue=60),
            listed("old", 3, overdue=3600),
            listed("stuck", 4, overdue=-600, deletionTimestamp="2026-01-01T00:00:00Z"),
        ]
        self.deleted: list[str] = []
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            self.deleted.append(exchange.path.rsplit("/", 1)[-1])
            exchange.json(200, {})
        else:
            assert "kaniko-driver/job" in dict(exchange.query)["labelSelector"]
            exchange.json(200, {"metadata": {}, "items": self.pods})


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


def test_what_is_overdue_goes_and_the_rest_stays(attempt: Attempt, cluster: Cluster) -> None:
    done = attempt.stage("gc", "--settings", str(attempt.settings))
    assert (done.code, done.err) == (0, "")
    assert cluster.deleted == ["old", "stuck"]
    assert "tenant-a: old (job 3): its deadline is over, 60 min ago: deleted\n" in done.out
    assert done.out.endswith("tenant-a: 2 left over\n")


def test_a_dry_run_deletes_nothing(attempt: Attempt, cluster: Cluster) -> None:
    done = attempt.stage("gc", "--settings", str(attempt.settings), "--dry-run", "--older-than", "0s", "tenant-a")
    assert (done.code, cluster.deleted) == (0, [])
    assert re.findall(r"tenant-a: (\w+) .* would be deleted", done.out) == ["fresh", "old", "stuck"]


def test_a_script_gets_one_object(attempt: Attempt, cluster: Cluster) -> None:
    done = attempt.stage("gc", "--settings", str(attempt.settings), "--output", "json", "--older-than", "2h")
    report = json.loads(done.out)
    (stuck,) = report["leftovers"]
    assert (report["dry_run"], report["swept"], report["failed"]) == (False, ["tenant-a"], {})
    assert {name: stuck[name] for name in ("tenant", "pod", "job", "why", "deleted")} == {
        "tenant": "tenant-a",
        "pod": "stuck",
        "job": "4",
        "why": "stuck",
        "deleted": True,
    }
    assert cluster.deleted == ["stuck"]


def test_one_tenant_that_cannot_be_asked_keeps_no_other_from_being_swept(attempt: Attempt, cluster: Cluster) -> None:
    text = (attempt.settings / "tenants" / "tenant-a.toml").read_text()
    broken = attempt.settings / "tenants" / "a-broken.toml"
    broken.write_text(re.sub(r"kubeconfig = '.*'", "kubeconfig = '/nowhere'", text))
    broken.chmod(0o644)
    done = attempt.stage("gc", "--settings", str(attempt.settings))
    assert done.code == 1
    assert "a-broken: not swept: " in done.err
    assert cluster.deleted == ["old", "stuck"]


def test_a_refusal_names_the_right(attempt: Attempt, server: ApiServer) -> None:
    words = 'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "tenant-a"'
    server.answers = [lambda exchange: exchange.refuse(403, words, "Forbidden")]
    done = attempt.stage("gc", "--settings", str(attempt.settings), "--output", "json")
    assert done.code == 1
    assert "the verb list on pods" in json.loads(done.out)["failed"]["tenant-a"]


class TestShipped:
    """The CronJob and the systemd units in config/gc call the command that there is."""

    def test_the_cron_job_has_the_rights_that_the_sweep_needs_and_no_more(self) -> None:
        objects = {one["kind"]: one for one in yaml.safe_load_all((CONFIG / "cronjob.yaml").read_text())}
        assert objects["Role"]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]}]
        pod = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
        (container,) = pod["containers"]
        assert container["command"][:2] == ["kaniko-driver", "gc"]
        assert set(container["resources"]) == {"requests", "limits"}

    def test_what_they_call_exists(self, attempt: Attempt, cluster: Cluster) -> None:
        command = yaml.safe_load_all((CONFIG / "cronjob.yaml").read_text())
        *_, cron = command
        template = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        unit = re.search(r"ExecStart=\S+ (.*)", (CONFIG / "kaniko-driver-gc.service").read_text())
        assert unit is not None
        for words in (template["containers"][0]["command"][1:], unit[1].split()):
            done = attempt.stage(*[str(attempt.settings) if word == "/etc/kaniko-driver" else word for word in words])
            assert (done.code, done.err) == (0, "")
        assert cluster.deleted == ["old", "stuck"] * 2

    def test_the_timer_starts_the_service(self) -> None:
        assert {path.stem for path in CONFIG.glob("kaniko-driver-gc.*")} == {"kaniko-driver-gc"}
        assert "OnUnitInactiveSec=" in (CONFIG / "kaniko-driver-gc.timer").read_text()
