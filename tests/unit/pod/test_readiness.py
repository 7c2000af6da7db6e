"""When a pod takes scripts: from the kubelet's own words, in whatever order and however many they are."""

from __future__ import annotations

from typing import Any

import pytest

from executor.pod.readiness import takes_scripts

RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-11-25T12:00:00Z"}}
IN_PLACE: dict[str, Any] = {"terminated": {"exitCode": 0}}


def pod(**states: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"containerStatuses": [{"name": name, "state": state} for name, state in states.items()]}}


def test_both_containers_and_the_tools_are_enough() -> None:
    assert takes_scripts(pod(build=RUNNING, helper=RUNNING, tools=IN_PLACE))


@pytest.mark.parametrize("registry", [{"waiting": {"reason": "ImagePullBackOff"}}, RUNNING])
def test_nobody_waits_for_the_cache_registry(registry: dict[str, Any]) -> None:
    states = {"cache-registry": registry, "build": RUNNING, "helper": RUNNING, "tools": IN_PLACE}
    assert takes_scripts(pod(**states))


@pytest.mark.parametrize("registry", [RUNNING, IN_PLACE])
def test_a_cache_registry_that_brings_the_tools_has_brought_them_when_it_runs_or_ended_well(
    registry: dict[str, Any],
) -> None:
    assert takes_scripts(pod(**{"cache-registry": registry, "build": RUNNING, "helper": RUNNING}))


@pytest.mark.parametrize("registry", [{"waiting": {"reason": "ContainerCreating"}}, {"terminated": {"exitCode": 1}}])
def test_without_the_tools_that_it_brings_there_are_no_scripts(registry: dict[str, Any]) -> None:
    assert not takes_scripts(pod(**{"cache-registry": registry, "build": RUNNING, "helper": RUNNING}))


@pytest.mark.parametrize(
    "state",
    [
        {"metadata": {}},
        {"status": {"phase": "Pending"}},
        {"status": {"containerStatuses": None}},
        pod(build=RUNNING, helper=RUNNING),
        pod(build=RUNNING, helper=RUNNING, tools=RUNNING),
        pod(build=RUNNING, helper=RUNNING, tools={"terminated": {"exitCode": 1}}),
        pod(build=RUNNING, helper={"waiting": {"reason": "ContainerCreating"}}, tools=IN_PLACE),
        pod(build={"terminated": {"exitCode": 137}}, helper=RUNNING, tools=IN_PLACE),
    ],
)
def test_anything_less_is_not(state: dict[str, Any]) -> None:
    assert not takes_scripts(state)
