"""A job gets what it wishes inside its tenant's gates, is told of what it does not get, and reaches nothing else."""

from __future__ import annotations

import json
import random
import re
import string
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import JobRefused
from executor.pod import overrides
from executor.pod.manifest import render
from tests.support.tenants import CACHE, POD_REQUEST, tenant

if TYPE_CHECKING:
    from executor.settings.model import Tenant

MOST = {
    "cpu_request": "4",
    "cpu_limit": "8",
    "memory_request": "8Gi",
    "memory_limit": "16Gi",
    "ephemeral_storage_request": "40Gi",
    "ephemeral_storage_limit": "80Gi",
}
OPEN = {
    "build": MOST,
    "helper": MOST,
    "service": MOST,
    "node_selector": ["size=.*", "tenant=.*"],
    "tolerations": ["spot(=.*)?(:.*)?"],
    "labels": [".*"],
    "annotations": [".*"],
    "service_accounts": [".*"],
}


def applied(gates: dict[str, Any], **tables: Any) -> Any:
    """Return a function that takes a job's variables without their prefix."""

    def wish(**variables: str) -> tuple[Tenant, tuple[str, ...]]:
        named = {f"KUBERNETES_{name}": value for name, value in variables.items()}
        return overrides.apply(tenant(overrides=gates, cache=CACHE, **tables), named)

    return wish


with_open_gates = applied(OPEN)
with_closed_gates = applied({})


def refused(**variables: str) -> JobRefused:
    with pytest.raises(JobRefused) as raised:
        with_open_gates(**variables)
    assert raised.value.author_can_mend
    assert raised.value.remedy
    return raised.value


class TestAmounts:
    @pytest.mark.parametrize(("container", "prefix"), [("build", ""), ("helper", "HELPER_")])
    @pytest.mark.parametrize(
        ("what", "kind", "value"),
        [
            ("cpu", "request", "500m"),
            ("cpu", "limit", "8"),
            ("memory", "request", "256Mi"),
            ("memory", "limit", "16Gi"),
            ("ephemeral_storage", "request", "1Gi"),
            ("ephemeral_storage", "limit", "80Gi"),
        ],
    )
    def test_a_wish_up_to_the_maximum_is_granted(
        self, container: str, prefix: str, what: str, kind: str, value: str
    ) -> None:
        name = f"{prefix}{what.upper()}_{kind.upper()}"
        changed, notes = with_open_gates(**{name: value})
        pod = {one["name"]: one for one in render(changed, POD_REQUEST)["spec"]["containers"]}
        resource = what.replace("_", "-")
        assert pod[container]["resources"][f"{kind}s"][resource] == value
        assert notes == (f"as the job's variables ask: KUBERNETES_{name}",)

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("CPU_LIMIT", "9", "The maximum is 8 (overrides.build.cpu_limit of tenant-a)."),
            ("CPU_LIMIT", "8001m", "The maximum is 8 (overrides.build.cpu_limit of tenant-a)."),
            ("MEMORY_REQUEST", "8193Mi", "The maximum is 8Gi (overrides.build.memory_request of tenant-a)."),
            ("HELPER_MEMORY_LIMIT", "17Gi", "The maximum is 16Gi (overrides.helper.memory_limit of tenant-a)."),
            ("SERVICE_CPU_LIMIT", "9", "The maximum is 8 (overrides.service.cpu_limit of tenant-a)."),
            ("EPHEMERAL_STORAGE_LIMIT", "1Pi", "The maximum is 80Gi (overrides.build.ephemeral_storage_limit"),
        ],
    )
    def test_a_wish_above_the_maximum_names_it(self, name: str, value: str, words: str) -> None:
        error = refused(**{name: value})
        assert error.what == f"The job's variable KUBERNETES_{name} was refused: {value!r}"
        assert words in error.why

    @pytest.mark.parametrize("value", ["-1", "0", "4 cores", "1e9", "NaN", "٣", "8;9", "$(nproc)", "1Gi", " 1", "1\n"])
    def test_what_is_no_amount_is_refused(self, value: str) -> None:
        assert "no amount such as 500m or 2" in refused(CPU_LIMIT=value).why

    def test_amounts_of_services_are_their_own(self) -> None:
        changed, _ = with_open_gates(SERVICE_MEMORY_LIMIT="2Gi")
        assert changed.resources.service.memory_limit.text == "2Gi"
        assert changed.resources.build == tenant(cache=CACHE).resources.build

    def test_an_empty_wish_is_none(self) -> None:
        changed, notes = with_open_gates(CPU_LIMIT="", NODE_SELECTOR_X="")
        assert (changed, notes) == (tenant(overrides=OPEN, cache=CACHE), ())

    def test_a_request_above_the_limit_is_refused_with_the_way_out(self) -> None:
        error = refused(CPU_REQUEST="3")
        assert "cannot be above the limit, which is 2; KUBERNETES_CPU_LIMIT sets it" in error.why
        changed, _ = with_open_gates(CPU_REQUEST="3", CPU_LIMIT="3")
        assert changed.resources.build.cpu_request.text == "3"
        assert "which is 1" in refused(HELPER_CPU_REQUEST="2", HELPER_CPU_LIMIT="1").why

    def test_a_request_that_nobody_wished_follows_a_lower_limit(self) -> None:
        changed, _ = with_open_gates(MEMORY_LIMIT="1Gi")
        build = changed.resources.build
        assert (build.memory_request.text, build.memory_limit.text) == ("1Gi", "1Gi")
        assert build.cpu_request.text == "1"


class TestKeysAndValues:
    def test_a_node_selector_narrows_the_tenants_nodes(self) -> None:
        changed, _ = with_open_gates(NODE_SELECTOR_SIZE="size=l", NODE_SELECTOR_OWN="tenant=a")
        spec = render(changed, POD_REQUEST)["spec"]
        assert spec["nodeSelector"] == {"size": "l", "tenant": "a"}
        assert spec["affinity"] == render(tenant(cache=CACHE), POD_REQUEST)["spec"]["affinity"]

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("tenant=b", "Nodes of tenant-a have tenant = a here"),
            ("zone=x", "overrides.node_selector of tenant-a allows: size=.*, tenant=.*."),
            ("resize=l", "overrides.node_selector of tenant-a allows"),
            ("size=l, zone=x", "is no value of a label"),
            ("size=l\nzone=x", "overrides.node_selector of tenant-a allows"),
            ("size", "overrides.node_selector of tenant-a allows"),
        ],
    )
    def test_another_selector_is_refused(self, value: str, words: str) -> None:
        assert words in refused(NODE_SELECTOR_1=value).why

    def test_selectors_may_not_contradict_the_operator_or_each_other(self) -> None:
        wish = applied(OPEN, pod={"node_selector": {"size": "s"}})
        with pytest.raises(JobRefused, match="size = s"):
            wish(NODE_SELECTOR_1="size=l")
        assert "size = l" in refused(NODE_SELECTOR_1="size=l", NODE_SELECTOR_2="size=m").why

    @pytest.mark.parametrize(
        ("value", "toleration"),
        [
            ("spot=yes:NoSchedule", {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}),
            ("spot:NoExecute", {"key": "spot", "operator": "Exists", "effect": "NoExecute"}),
            ("spot", {"key": "spot", "operator": "Exists"}),
        ],
    )
    def test_tolerations_are_added_to_the_tenants(self, value: str, toleration: dict[str, str]) -> None:
        wish = applied(OPEN, nodes={"tolerations": [{"key": "own", "value": "a"}]})
        changed, _ = wish(NODE_TOLERATIONS_1=value)
        own, added = render(changed, POD_REQUEST)["spec"]["tolerations"]
        assert (own["key"], added) == ("own", toleration)

    @pytest.mark.parametrize("value", [":NoSchedule", "=x:NoSchedule", "spot=yes:Never", "spot=a b", "other"])
    def test_a_toleration_of_everything_or_nothing_is_refused(self, value: str) -> None:
        wish = applied(OPEN | {"tolerations": ["[^o].*"]})
        with pytest.raises(JobRefused):
            wish(NODE_TOLERATIONS_1=value)

    def test_labels_and_annotations_are_set(self) -> None:
        changed, _ = with_open_gates(POD_LABELS_1="team=web", POD_ANNOTATIONS_1="example.com/why=a=b $(X)")
        metadata = render(changed, POD_REQUEST)["metadata"]
        assert metadata["labels"]["team"] == "web"
        assert metadata["annotations"]["example.com/why"] == "a=b $(X)"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("POD_LABELS_1", "kaniko-driver/tenant=tenant-b"),
            ("POD_LABELS_1", "kaniko-driver/attempt=x"),
            ("POD_LABELS_1", "job.runner.gitlab.com/id=1"),
            ("POD_LABELS_1", "a=b c"),
            ("POD_LABELS_1", "=b"),
            ("POD_LABELS_1", "a"),
            ("POD_LABELS_1", f"a={'b' * 64}"),
            ("POD_ANNOTATIONS_1", "kaniko-driver/delete-after=9999999999"),
            ("POD_ANNOTATIONS_1", "project.runner.gitlab.com/id=1"),
            ("POD_ANNOTATIONS_1", "container.apparmor.security.beta.kubernetes.io/build=unconfined"),
            ("POD_ANNOTATIONS_1", "seccomp.security.alpha.kubernetes.io/pod=unconfined"),
            ("POD_ANNOTATIONS_1", f"a={'b' * 5000}"),
            ("POD_ANNOTATIONS_1", "a=\udcff"),
            ("SERVICE_ACCOUNT_OVERWRITE", "kaniko-driver"),
            ("SERVICE_ACCOUNT_OVERWRITE", "a/b"),
            ("SERVICE_ACCOUNT_OVERWRITE", "A"),
            ("NAMESPACE_OVERWRITE", "kube-system"),
        ],
    )
    def test_what_no_gate_may_open_is_refused(self, name: str, value: str) -> None:
        refused(**{name: value})

    def test_a_service_account_is_set_and_stays_without_token(self) -> None:
        changed, _ = with_open_gates(SERVICE_ACCOUNT_OVERWRITE="pullers")
        spec = render(changed, POD_REQUEST)["spec"]
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("pullers", False)

    def test_the_own_namespace_is_no_change(self) -> None:
        assert with_closed_gates(NAMESPACE_OVERWRITE="tenant-a")[1] == ()


class TestClosedGates:
    def test_all_ignored_wishes_are_told_in_one_line_and_change_nothing(self) -> None:
        changed, notes = with_closed_gates(
            CPU_LIMIT="64",
            HELPER_CPU_LIMIT="x",
            NODE_SELECTOR_A="tenant=b",
            POD_LABELS_A="kaniko-driver/tenant=b",
            SERVICE_ACCOUNT_OVERWRITE="admin",
            BEARER_TOKEN="s3cret",
            POD_CPU_LIMIT="9",
        )
        assert changed == tenant(cache=CACHE)
        (note,) = notes
        assert note.startswith("ignored, since tenant-a opens no gate for it ([overrides]): ")
        for name in (
            "CPU_LIMIT",
            "HELPER_CPU_LIMIT",
            "NODE_SELECTOR_A",
            "POD_LABELS_A",
            "BEARER_TOKEN",
            "POD_CPU_LIMIT",
        ):
            assert f"KUBERNETES_{name}" in note
        assert "s3cret" not in note

    def test_variables_that_are_no_wishes_are_nobodys_business(self) -> None:
        assert with_closed_gates(SERVICE_HOST="10.0.0.1", PORT="443", VERSION="1.35", CPU="x") == (
            tenant(cache=CACHE),
            (),
        )

    def test_a_flood_of_wishes_is_one_short_line(self) -> None:
        flood = {f"POD_LABELS_{number}\x1b[31m\n{'x' * 500}": "a=b" for number in range(1000)}
        (note,) = with_closed_gates(**flood)[1]
        assert len(note) < 1500
        assert note.endswith("and 988 more")
        assert note.isprintable()


NAMES = [
    *(
        f"{container}{what}_{kind}"
        for container in ("", "HELPER_", "SERVICE_")
        for what in ("CPU", "MEMORY", "EPHEMERAL_STORAGE")
        for kind in ("POD_REQUEST", "LIMIT")
    ),
    *(f"{one}_{n}" for one in ("NODE_SELECTOR", "NODE_TOLERATIONS", "POD_LABELS", "POD_ANNOTATIONS") for n in "12"),
    *("SERVICE_ACCOUNT_OVERWRITE", "NAMESPACE_OVERWRITE", "BEARER_TOKEN", "POD_CPU_LIMIT"),
]
PIECES = [
    *("tenant", "size", "spot", "=", ":", "a", "b", "NoSchedule", "kaniko-driver/tenant", "1", "999", "Gi", "m", "/"),
    *("..", "\n", "\x1b[2J", "\x00", "$(X)", "$$", "é", "\udcff", " ", ",", "{", '"', "'", "x" * 300),
    *string.ascii_letters,
]


@pytest.mark.parametrize("seed", range(40))
def test_no_wish_whatsoever_leaves_the_fence(seed: int) -> None:
    """Random wishes with every gate as open as can be: refused with words, or a pod that is still inside."""
    source = random.Random(seed)
    plain = render(tenant(cache=CACHE), POD_REQUEST)
    for _ in range(50):
        wishes = {
            name: "".join(source.choices(PIECES, k=source.randint(0, 6)))
            for name in source.sample(NAMES, k=source.randint(1, 4))
        }
        refusal, changed, notes = attempted(wishes)
        # Safe for a terminal, and text.
        assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\ud800-\udfff]*", refusal)
        assert len(refusal) < 1500
        assert all(note.isprintable() for note in notes)
        manifest = render(changed, POD_REQUEST)
        json.dumps(manifest).encode()
        assert_inside(manifest, plain)


def attempted(wishes: dict[str, str]) -> tuple[str, Tenant, tuple[str, ...]]:
    """Apply wishes; returns the words of a refusal, and settings as they are then."""
    try:
        return "", *with_open_gates(**wishes)
    except JobRefused as error:
        return str(error), tenant(cache=CACHE), ()


def assert_inside(manifest: dict[str, Any], plain: dict[str, Any]) -> None:
    """Everything but amounts, selector, tolerations, free labels and the account's name is as without any wish."""
    spec, before = manifest["spec"], plain["spec"]
    free = {"containers", "nodeSelector", "tolerations", "serviceAccountName"}
    assert {key: value for key, value in spec.items() if key not in free} == {
        key: value for key, value in before.items() if key not in free
    }
    for one, other in zip(spec["containers"], before["containers"], strict=True):
        assert {**one, "resources": None} == {**other, "resources": None}
    for kind in ("labels", "annotations"):
        assert plain["metadata"][kind].items() <= manifest["metadata"][kind].items()
    assert spec.get("nodeSelector", {}).get("tenant", "a") == "a"
    assert all(one.get("key") for one in spec["tolerations"])
