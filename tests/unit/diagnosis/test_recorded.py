"""Pods, events and refusals as a real API server returned them (`python -m testbed.record`), each with its cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executor.diagnosis import cause, quota, refusal

RECORDED = Path(__file__).parent / "data/pods"
# name -> category, and a part of the evidence
WAITING = {
    "no-matching-node": ("no_matching_node", "didn't match Pod's node affinity/selector"),
    "too-large": ("too_large", "The job pod asks for cpu 100 and memory 1Ti."),
    "too-large-storage": ("too_large", "The job pod asks for ephemeral-storage 100Ti."),
    "image-not-found": ("image_not_found", "library/nothing:1: not found"),
    "image-back-off": ("image_not_found", "Back-off pulling image"),
    "image-unreachable": ("image_unreachable", "connection refused"),
    "image-dns": ("image_dns", "registry.invalid"),
    "image-tls": ("image_tls", "x509: certificate signed by unknown authority"),
    "image-invalid-name": ("image_not_found", "InvalidImageName"),
    "image-never": ("image_not_found", "ErrImageNeverPull"),
    "secret-missing": ("secret_missing", 'secret "nothing" not found'),
    "command-missing": ("container_ended", "StartError"),
}
STARTING = {
    "volume-secret-missing": ("secret_missing", 'secret "nothing" not found'),
    "volume-host-path": ("volume_failed", "hostPath type check failed"),
    "sandbox-failed": ("sandbox_failed", 'no runtime for "none" is configured'),
}
LOST = {
    "out-of-memory": ("out_of_memory", "Its limit is 64Mi."),
    "disk-limit-volume": ("disk_limit", "/builds, the volume of the clone, is limited to 20Mi."),
    "disk-limit-container": ("disk_limit", "All containers and volumes of the pod may hold 20Mi together."),
    "deadline": ("deadline", "It may run for 3 s."),
    "ended": ("container_ended", "exit code 7."),
    "killed": ("container_ended", "exit code 137, by signal 9."),
    # The script's own processes were killed, and the container ended well: the supervisor counts these.
    "out-of-memory-succeeded": ("container_ended", "Completed, exit code 0."),
    "deleted": ("pod_deleted", ""),
    "drained": ("drained", "EvictionByEvictionAPI"),
    "tainted": ("node_lost", "DeletionByTaintManager"),
}
REFUSED = {
    "refused-service-account": ("admission_refused", "tenant apply"),
    "refused-priority-class": ("admission_refused", "what the message names"),
    "refused-runtime-class": ("admission_refused", "what the message names"),
    "refused-invalid": ("manifest_invalid", "[pod]"),
    "refused-limit-range": ("admission_refused", "LimitRange"),
    "refused-quota-unset": ("admission_refused", "wants limits"),
    "refused-quota": ("quota", "raise the quota"),
    "refused-pod-security": ("admission_refused", "Pod Security"),
}


def read(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return recorded


def test_every_recording_is_looked_at() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == {*WAITING, *STARTING, *LOST, *REFUSED}


@pytest.mark.parametrize("name", WAITING)
def test_what_a_pod_waits_for(name: str) -> None:
    found = cause.of_waiting_pod(read(name)["pod"])
    assert found is not None
    category, evidence = WAITING[name]
    assert (found.category, evidence in found.why) == (category, True), found


@pytest.mark.parametrize("name", STARTING)
def test_what_only_events_tell(name: str) -> None:
    recorded = read(name)
    assert cause.of_waiting_pod(recorded["pod"]) is None
    found = cause.of_start(recorded["events"])
    assert found is not None
    category, evidence = STARTING[name]
    assert (found.category, evidence in found.why) == (category, True), found


@pytest.mark.parametrize("name", [name for name in WAITING if name != "image-back-off"])
def test_events_say_nothing_of_a_mount_where_something_else_is_wrong(name: str) -> None:
    assert cause.of_start(read(name)["events"]) is None


@pytest.mark.parametrize("name", LOST)
def test_why_a_pod_is_lost(name: str) -> None:
    recorded = read(name)
    found = cause.of_lost_pod(recorded["pod"], "build", recorded["events"])
    category, evidence = LOST[name]
    assert (found.category, evidence in found.why) == (category, True), found


@pytest.mark.parametrize(("name", "category"), [("tainted", "node_lost"), ("deleted", "pod_deleted")])
def test_why_a_pod_is_gone_is_known_from_its_events_alone(name: str, category: str) -> None:
    assert cause.of_lost_pod(None, "build", read(name)["events"]).category == category


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_server_refuses(name: str) -> None:
    answer = read(name)["refusal"]
    found, remedy = refusal.of_answer(answer["status"], answer["message"])
    category, words = REFUSED[name]
    assert (found, words in remedy) == (category, True), (found, remedy)
    assert (quota.of_refusal(answer["message"]) is not None) == (category == "quota")
