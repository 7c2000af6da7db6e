"""A runner of the built-in executor becomes a tenant that can be used, and what does not is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from executor.settings.load import load
from executor.tenancy.carry import whole
from executor.tenancy.migrate import Migrated, migrate
from executor.tenancy.sample import usual
from tests.support.tenants import write_settings

DOCUMENT = tomllib.loads((Path(__file__).parent / "data" / "gitlab-docs.toml").read_text())


def runner(*, name: str = "tools", section: dict[str, Any] | None = None, **kubernetes: Any) -> dict[str, Any]:
    given = {"namespace": name, "node_selector": {"team": name}, **kubernetes}
    return {"name": name, "url": "https://gitlab.example.com", "executor": "kubernetes", "token": "glrt-x"} | (
        {"kubernetes": given} | (section or {})
    )


def only(**kubernetes: Any) -> Migrated:
    (one,) = migrate({"runners": [runner(**kubernetes)]})
    return one


def loaded(one: Migrated, folder: Path) -> Any:
    """The tenant as the driver reads its file: without a mistake."""
    return load(write_settings(folder, tenant=one.settings, name=one.tenant), one.tenant).tenant


def told(one: Migrated, *words: str) -> bool:
    return any(all(word in finding for word in words) for finding in one.findings)


def test_what_a_host_and_a_fence_still_need_is_told() -> None:
    inside, outside = only(), only(host="https://10.0.0.1:6443")
    assert told(inside, "cluster.kubeconfig is not set", "On a host set it")
    assert not told(outside, "cluster.kubeconfig is not set")
    assert told(inside, "[network] is empty", "[defaults.network]")


class TestTheExampleOfGitLabsDocumentation:
    @pytest.fixture
    def one(self) -> Migrated:
        (one,) = migrate(DOCUMENT)
        return one

    @pytest.fixture
    def tenant(self, one: Migrated, tmp_path: Path) -> Any:
        return loaded(one, tmp_path)

    def test_its_pod_has_the_same_limits_and_images_and_runs_in_the_same_place(self, tenant: Any) -> None:
        pod = usual(tenant)
        containers = {container["name"]: container for container in pod["spec"]["containers"]}
        build, helper = containers["build"]["resources"], containers["helper"]["resources"]
        assert (build["limits"]["cpu"], build["limits"]["memory"]) == ("1", "1Gi")
        assert (helper["limits"]["cpu"], helper["limits"]["memory"]) == ("500m", "100Mi")
        assert helper["requests"]["memory"] == "100Mi"  # the driver's own request would be above the limit
        assert containers["build"]["image"] == "gcr.io/kaniko-project/executor:v1.23.2-debug"
        assert pod["metadata"]["namespace"] == "gitlab"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry-pull"}]
        assert {"key": "onlyKey", "operator": "Exists"} in pod["spec"]["tolerations"]
        assert {
            "key": "custom.toleration",
            "operator": "Equal",
            "value": "value",
            "effect": "NoSchedule",
        } in pod["spec"]["tolerations"]

    def test_its_pod_is_what_it_was_in_every_other_way(self, tenant: Any) -> None:
        spec = usual(tenant)["spec"]
        assert {"ip": "10.0.0.7", "hostnames": ["mirror.example.com", "mirror"]} in spec["hostAliases"]
        assert (spec["priorityClassName"], spec["preemptionPolicy"]) == ("priority-1", "Never")
        assert spec["serviceAccountName"] == "builder"
        assert spec["automountServiceAccountToken"] is False
        assert spec["dnsConfig"]["nameservers"] == ["1.2.3.4"]
        assert spec["securityContext"]["fsGroup"] == 2000
        claims = [
            one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one
        ]
        assert claims == ["maven-cache"]
        assert not [volume for volume in spec["volumes"] if "hostPath" in volume or "nfs" in volume]
        build = next(container for container in spec["containers"] if container["name"] == "build")
        assert "/root/.m2" in {mount["mountPath"] for mount in build["volumeMounts"]}
        assert "KILL" not in build["securityContext"]["capabilities"]["add"]

    def test_its_nodes_are_the_tenants(self, tenant: Any) -> None:
        assert tenant.nodes.labels == {"gitlab": ("true",)}
        (requirement,) = tenant.pod.node_requirements
        assert (requirement.key, requirement.operator, requirement.values) == ("kubernetes.io/arch", "In", ("amd64",))
        (preference,) = tenant.pod.node_preferences
        assert (preference.weight, preference.match[0].key) == (50, "disk")
        (near,) = tenant.pod.affinity
        assert (near.relation, near.weight, near.topology_key, near.labels) == (
            *("apart", 100, "topology.kubernetes.io/zone"),
            {"app": "heavy"},
        )

    def test_jobs_may_wish_for_what_they_could_before(self, tenant: Any) -> None:
        assert tenant.overrides.build.cpu_limit.text == "4"
        assert tenant.overrides.build.memory_limit.text == "8Gi"
        assert tenant.overrides.helper.cpu_request.text == "1"
        assert tenant.overrides.build.cpu_request is None
        assert [gate.text for gate in tenant.overrides.node_selector] == ["zone=(a|b)"]
        assert tenant.overrides.annotations[0].matches("any=thing")
        assert tenant.images.allowed == ("registry.example.com/base/*", "ruby:*")
        assert tenant.images.allowed_pull_policies == ("always", "if-not-present")
        assert tenant.services.allowed == ("postgres:*",)

    def test_its_volumes_are_mounted_but_those_of_the_node(self, one: Migrated, tenant: Any) -> None:
        volumes = {volume.name: volume for volume in tenant.pod.volumes}
        assert set(volumes) == {"maven-cache", "ca", "npmrc", "scratch", "vault"}
        assert (volumes["maven-cache"].claim, volumes["maven-cache"].mounts[0].path) == ("maven-cache", "/root/.m2")
        assert not volumes["maven-cache"].mounts[0].read_only
        assert volumes["ca"].items == {"ca.crt": "company.crt"}
        assert volumes["npmrc"].mounts[0].containers == ("build", "helper")
        assert (volumes["scratch"].empty_dir.size.text, volumes["scratch"].empty_dir.medium) == ("1Gi", "Memory")
        assert volumes["vault"].csi.attributes == {"secretProviderClass": "team"}
        assert told(one, "volumes.host_path 'docker-socket'", "opens the fence")
        assert told(one, "volumes.nfs 'share'", "PersistentVolume")
        assert told(one, "pod.volumes", "/builds is taken")

    def test_what_the_pod_was_told_is_still_told(self, one: Migrated, tenant: Any) -> None:
        pod = tenant.pod
        assert (pod.labels, pod.annotations) == ({"team": "tools"}, {"prometheus.io/scrape": "false"})
        assert (pod.priority_class, pod.service_account) == ("priority-1", "builder")
        assert pod.termination_grace.seconds == 30
        assert (pod.host_aliases[0].ip, pod.host_aliases[0].hostnames) == ("10.0.0.7", ("mirror.example.com", "mirror"))
        assert (pod.dns.policy, pod.dns.options) == ("cluster-first", {"ndots": "2", "edns0": ""})
        assert pod.build.post_start == ("touch", "/builds/postStart.txt")
        assert pod.security.fs_group == 2000
        assert pod.build.drop_capabilities == ("KILL",)
        assert pod.build.add_capabilities == ("SYS_CHROOT",)
        assert pod.patch == {"preemptionPolicy": "Never"}
        assert told(one, "pod.labels 'pipeline'", "variable")
        assert told(one, "container_lifecycle.pre_stop")
        assert told(one, "pod_spec 'from a file'")

    def test_the_way_to_the_cluster_is_a_file_yet_to_be_made(self, one: Migrated, tenant: Any) -> None:
        assert tenant.cluster.kubeconfig == "/etc/kaniko-driver/myrunner.kubeconfig"
        assert told(one, "host, cert_file, key_file, ca_file, bearer_token: ", "tenant kubeconfig myrunner")

    def test_no_secret_is_copied_anywhere(self, one: Migrated) -> None:
        for text in (one.settings, one.section, *one.findings):
            for secret in ("SECRET-OF-THE-RUNNER", "BEARER-SECRET", "KEY-OF-THE-CACHE", "SECRET-OF-THE-CACHE"):
                assert secret not in text

    @pytest.mark.parametrize(
        "key",
        ["privileged", "namespace_overwrite_allowed", "services", "autoscaler", "poll_interval", "logs_base_dir"],
    )
    def test_what_has_no_place_is_told_with_the_reason(self, one: Migrated, key: str) -> None:
        assert told(one, f"{key}: ")

    def test_the_new_section_calls_the_driver_and_keeps_what_is_the_runners(self, one: Migrated) -> None:
        (section,) = tomllib.loads(one.section)["runners"]
        assert section["executor"] == "custom"
        assert "kubernetes" not in section
        assert section["custom"]["config_args"][-1] == "myrunner"
        # More than both waits of an hour that poll_timeout became.
        assert section["custom"]["prepare_exec_timeout"] > 7200
        assert section["environment"] == ["DOCKER_HOST=tcp://docker:2376"]
        assert (section["token"], section["cache"]["s3"]["SecretKey"]) == ("REPLACE-ME", "REPLACE-ME")
        assert section["cache"]["s3"]["BucketName"] == "runner-cache"

    def test_gitlabs_side_is_known_too(self, tenant: Any) -> None:
        assert (tenant.gitlab.url, tenant.capacity.jobs) == ("https://gitlab.example.com/", 4)
        assert (tenant.runner.cache_bucket, tenant.runner.cache_region) == ("runner-cache", "eu-central-1")


def test_a_runner_without_anything_becomes_a_tenant_with_questions(tmp_path: Path) -> None:
    (one,) = migrate({"runners": [{"name": "", "executor": "kubernetes"}]})
    tenant = loaded(one, tmp_path)
    assert (one.tenant, tenant.cluster.namespace) == ("tenant", "tenant")
    for setting in ("cluster.namespace", "nodes.labels", "images.kaniko", "images.helper", "images.allowed"):
        assert told(one, setting), setting
    # Where it spoke to the cluster by its pod's account, it still does.
    assert tenant.cluster.kubeconfig == ""


def test_an_unknown_key_is_told(tmp_path: Path) -> None:
    one = only(cpu_limits="1")
    assert told(one, "cpu_limits", "no such key")
    loaded(one, tmp_path)


@pytest.mark.parametrize(
    ("kubernetes", "words"),
    [
        ({"memory_limit": "1 GB"}, ("resources.build.memory_limit", "1 GB")),
        ({"node_selector": "team=a"}, ("node_selector", "could not be read")),
        ({"volumes": {"pvc": "x"}}, ("volumes", "could not be read")),
        ({"pod_labels": {"kaniko-driver/job": "1"}}, ("pod.labels", "belongs to the driver")),
        ({"pod_labels": {"a": "not a value!"}}, ("pod.labels", "not a value!")),
        ({"allowed_images": ["reg?stry/a"]}, ("images.allowed", "reg?stry/a")),
        ({"pod_labels_overwrite_allowed": "(?P<x"}, ("overrides.labels", "no regular expression")),
        ({"pod_security_context": {"seccomp_profile": {"type": "Unconfined"}}}, ("seccomp_profile", "Unconfined")),
        ({"runtime_class_name": "Not A Name"}, ("pod.runtime_class",)),
        ({"pod_spec": [{"name": "p", "patch": "hostNetwork: true"}]}, ("pod.patch", "hostNetwork")),
        ({"pod_spec": [{"name": "p", "patch": "[1"}]}, ("pod_spec 'p'", "neither JSON nor YAML")),
        ({"dns_policy": "cluster-first-with-host-net"}, ("dns_policy", "node's network")),
    ],
)
def test_what_cannot_be_is_left_out_and_told(
    kubernetes: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    one = only(**kubernetes)
    assert told(one, *words), one.findings
    usual(loaded(one, tmp_path))


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        ({"memory_limit": "1Gi"}, "1Gi", "1Gi"),
        ({"memory_request": "8Gi"}, "8Gi", "8Gi"),
        ({"memory_request": "8Gi", "memory_limit": "4Gi"}, "4Gi", "4Gi"),
        ({"memory_request": "1Gi", "memory_limit": "4Gi"}, "1Gi", "4Gi"),
    ],
)
def test_a_request_is_never_above_its_limit(given: dict[str, str], request_: str, limit: str, tmp_path: Path) -> None:
    build = loaded(only(**given), tmp_path).resources.build
    assert (build.memory_request.text, build.memory_limit.text) == (request_, limit)


def test_a_figure_that_was_changed_is_told() -> None:
    assert told(only(memory_request="8Gi", memory_limit="4Gi"), "memory_request is set to the limit, which was below")
    assert told(only(memory_request="8Gi"), "memory_limit is set to the request: there was no limit")


def test_what_says_what_is_so_anyway_is_not_worth_a_word() -> None:
    quiet = only(allowed_images=["registry.example.com/a/*"])
    assert (
        only(
            allowed_images=["registry.example.com/a/*"],
            privileged=False,
            automount_service_account_token=False,
            poll_interval=0,
            pod_labels={},
            host="",
            cap_drop=["ALL"],
            build_container_security_context={},
        ).findings
        == quiet.findings
    )


def test_two_runners_are_two_tenants_with_a_namespace_each(tmp_path: Path) -> None:
    first, second, third = migrate(
        {
            "runners": [
                runner(name="tools"),
                runner(name="Tools!", namespace="tools"),
                {"name": "shell", "executor": "shell"},
                runner(name="web"),
            ]
        }
    )
    assert [first.tenant, second.tenant, third.tenant] == ["tools", "tools-2", "web"]
    namespaces = [loaded(one, tmp_path).cluster.namespace for one in (first, second, third)]
    assert namespaces == ["tools", "tools-2", "web"]
    assert told(second, "cluster.namespace", "one customer")


@pytest.mark.parametrize(
    "section", [{"kubernetes": [3]}, {"cache": "s3"}, {"limit": "many", "url": 5}, {"cache": {"s3": [1]}}]
)
def test_what_the_runner_itself_would_refuse_stops_nothing(section: dict[str, Any], tmp_path: Path) -> None:
    (one,) = migrate({"runners": [runner(section=section)]})
    loaded(one, tmp_path)


def test_a_configuration_without_such_a_runner_gives_nothing() -> None:
    assert migrate({"runners": "x"}) == []
    assert migrate({"runners": [3]}) == []
    assert migrate({"runners": [{"name": "a", "executor": "docker"}]}) == []
    assert migrate({}) == []


@pytest.mark.parametrize(
    ("regex", "found", "pattern"),
    [
        ("ci-.*", "my-ci-1", ".*ci-.*"),
        ("^ci", "ci-1", "ci.*"),
        ("a|b", "xb", ".*(?:a|b).*"),
        ("^a$", "a", "a"),
        ("^a|b$", "ax", ".*(?:^a|b$).*"),
        ("^a|b$", "xb", ".*(?:^a|b$).*"),
        (r"^(a|[|])\|$", "a|", r"(a|[|])\|"),
        (".*", "anything", ".*"),
    ],
)
def test_a_pattern_matches_the_whole_of_what_it_was_found_in(regex: str, found: str, pattern: str) -> None:
    assert whole(regex) == pattern
    assert re.fullmatch(pattern, found)
