"""The job pod is what docs/design.md promises: bounded, unprivileged, on the tenant's nodes, without a secret in it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from executor.cache.use import Use
from executor.pod.manifest import PodRequest, render
from executor.settings.units import Bytes
from tests.support import kubelet
from tests.support.tenants import CACHE, tenant

REQUEST = PodRequest(
    name="kaniko-job-7-bcdfgh",
    attempt="bcdfghjklmnpqrst",
    job_id=7,
    project_id=3,
    annotations={"job.runner.gitlab.com/name": "build $(HOME) it"},
    build_image="registry.example.com/kaniko:v1.24.0-debug",
    cache=Use(mode="read-write", prefix="layer-cache/tenant-a"),
    deadline=4800,
    delete_after=1_800_006_000,
)
# Pod Security Standards, "baseline": capabilities that may be added.
BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}


def pod(**tables: dict[str, Any]) -> dict[str, Any]:
    return render(tenant(**{"cache": CACHE} | tables), REQUEST)


def containers(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in manifest["spec"]["containers"]}


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}


POD = pod()
EVERY_CONTAINER = pytest.mark.parametrize("name", ["tools", "helper", "build", "cache-registry"])


def test_it_is_a_plain_pod_in_the_tenants_namespace_that_json_can_carry() -> None:
    assert (POD["apiVersion"], POD["kind"], POD["metadata"]["namespace"]) == ("v1", "Pod", "tenant-a")
    assert json.loads(json.dumps(POD)) == POD
    assert list(containers(POD)) == ["tools", "helper", "build", "cache-registry"]
    assert "initContainers" not in POD["spec"]


def test_a_tenant_without_layer_cache_has_no_cache_registry() -> None:
    cold = pod(cache={"mode": "off"})
    assert list(containers(cold)) == ["tools", "helper", "build"]
    assert "KANIKO_DRIVER_CACHE_URL" not in json.dumps(containers(cold)["build"]["env"])
    command = kubelet.command(containers(cold)["tools"])
    assert command[command.index("flags.cache") + 1] == ""


class TestPlacement:
    def test_only_the_tenants_nodes_may_take_it(self) -> None:
        labels = {"tenant": ["a"], "example.com/zone": ["x", "y"]}
        affinity = pod(nodes={"labels": labels})["spec"]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "tenant", "operator": "In", "values": ["a"]},
            {"key": "example.com/zone", "operator": "In", "values": ["x", "y"]},
        ]
        assert "preferredDuringSchedulingIgnoredDuringExecution" not in affinity

    def test_tolerations_are_those_of_the_settings(self) -> None:
        taints = [
            {"key": "tenant", "value": "a", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
        ]
        assert pod(nodes={"tolerations": taints})["spec"]["tolerations"] == [
            {"key": "tenant", "operator": "Equal", "effect": "NoSchedule", "value": "a"},
            {"key": "spot", "operator": "Exists"},
        ]
        assert POD["spec"]["tolerations"] == []

    def test_autoscalers_leave_it_alone(self) -> None:
        annotations = POD["metadata"]["annotations"]
        assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert annotations["karpenter.sh/do-not-disrupt"] == "true"


class TestIdentity:
    def test_labels_say_whose_it_is(self) -> None:
        assert POD["metadata"]["labels"] == {
            "kaniko-driver/tenant": "tenant-a",
            "kaniko-driver/job": "7",
            "kaniko-driver/attempt": "bcdfghjklmnpqrst",
            "kaniko-driver/project": "3",
        }

    def test_annotations_carry_the_jobs_words_untouched(self) -> None:
        annotations = POD["metadata"]["annotations"]
        assert annotations["job.runner.gitlab.com/name"] == "build $(HOME) it"
        assert annotations["kaniko-driver/delete-after"] == "1800006000"


class TestBounds:
    @EVERY_CONTAINER
    def test_a_container_has_requests_and_limits_for_everything(self, name: str) -> None:
        resources = containers(POD)[name]["resources"]
        for kind in ("requests", "limits"):
            assert set(resources[kind]) == {"cpu", "memory", "ephemeral-storage"}

    def test_they_are_those_of_the_settings(self) -> None:
        resources = containers(pod(resources={"build": {"memory_limit": "6Gi"}}))["build"]["resources"]
        assert resources["limits"] == {"cpu": "2", "memory": "6Gi", "ephemeral-storage": "20Gi"}
        assert resources["requests"] == {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "10Gi"}

    def test_every_volume_is_an_empty_one_with_a_size_limit(self) -> None:
        for volume in POD["spec"]["volumes"]:
            assert set(volume) == {"name", "emptyDir"}
            assert Bytes.parse(volume["emptyDir"]["sizeLimit"]).count > 0

    def test_the_output_limit_comes_before_the_volumes(self) -> None:
        stages = {volume["name"]: volume["emptyDir"] for volume in pod(volumes={"output": "3Gi"})["spec"]["volumes"]}
        assert Bytes.parse(stages["stages"]["sizeLimit"]).count > 3 * 2**30

    def test_memory_backed_volumes_are_a_few_mebibytes(self) -> None:
        # They count against the memory limit of the container that writes them.
        in_memory = [volume["emptyDir"] for volume in POD["spec"]["volumes"] if "medium" in volume["emptyDir"]]
        assert in_memory
        assert all(Bytes.parse(volume["sizeLimit"]).count <= 8 * 2**20 for volume in in_memory)

    def test_every_volume_is_mounted_and_every_mount_has_its_volume(self) -> None:
        volumes = {volume["name"] for volume in POD["spec"]["volumes"]}
        mounted = {mount["name"] for one in containers(POD).values() for mount in one["volumeMounts"]}
        assert mounted == volumes

    def test_it_ends_by_itself_when_nobody_does(self) -> None:
        assert POD["spec"]["activeDeadlineSeconds"] == 4800
        assert POD["spec"]["restartPolicy"] == "Never"


class TestSecurity:
    def test_it_has_no_service_account_token_and_learns_no_services(self) -> None:
        assert POD["spec"]["automountServiceAccountToken"] is False
        assert POD["spec"]["enableServiceLinks"] is False
        assert "serviceAccountName" not in POD["spec"]

    @EVERY_CONTAINER
    def test_a_container_adds_no_more_than_baseline_allows_to_nothing(self, name: str) -> None:
        context = containers(POD)[name]["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(context["capabilities"].get("add", ())) <= BASELINE_CAPABILITIES
        assert context["allowPrivilegeEscalation"] is False
        assert not {"privileged", "procMount", "seLinuxOptions", "seccompProfile"} & set(context)

    @pytest.mark.parametrize("name", ["tools", "helper", "build"])
    def test_modes_and_owners_are_those_of_one_constant_user(self, name: str) -> None:
        # They are part of Kaniko's cache keys, so another user would make every build cold.
        assert containers(POD)[name]["securityContext"]["runAsUser"] == 0

    def test_the_build_gets_what_kaniko_needs_as_root_and_no_more(self) -> None:
        context = containers(POD)["build"]["securityContext"]
        assert context["runAsUser"] == 0
        needed = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"}
        assert set(context["capabilities"]["add"]) == needed

    def test_the_cache_registry_is_nobody_on_a_read_only_root(self) -> None:
        context = containers(POD)["cache-registry"]["securityContext"]
        assert (context["runAsUser"], context["runAsNonRoot"]) == (65534, True)
        assert context["readOnlyRootFilesystem"] is True
        assert "add" not in context["capabilities"]

    def test_nothing_else_that_baseline_forbids_is_asked_for(self) -> None:
        spec = POD["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases"} & set(spec)
        assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
        assert not [port for one in spec["containers"] for port in one.get("ports", ())]

    def test_s3_keys_are_references_and_the_cache_registrys_alone(self) -> None:
        for name, container in containers(POD).items():
            references = [variable["valueFrom"] for variable in container.get("env", ()) if "valueFrom" in variable]
            if name == "cache-registry":
                assert [reference["secretKeyRef"] for reference in references] == [
                    {"name": "layer-cache-s3", "key": "AWS_ACCESS_KEY_ID"},
                    {"name": "layer-cache-s3", "key": "AWS_SECRET_ACCESS_KEY"},
                ]
            else:
                assert references == []


class TestOneImageForToolsAndCacheRegistry:
    """The container of the cache registry fills the tools volume, and there is no other for it."""

    IMAGE = "registry.example.com/cache-registry:1"
    POD = pod(images={"tools": IMAGE})

    def test_it_comes_first_since_the_others_wait_for_the_tools(self) -> None:
        assert list(containers(self.POD)) == ["cache-registry", "helper", "build"]
        assert "initContainers" not in self.POD["spec"]

    def test_it_installs_what_the_tools_container_would_and_goes_on_as_the_cache_registry(self) -> None:
        tools, both = containers(POD)["tools"], containers(self.POD)["cache-registry"]
        words = kubelet.command(tools)
        assert words[5] == ""
        assert kubelet.command(both) == [*words[:5], *kubelet.command(containers(POD)["cache-registry"]), *words[6:]]

    def test_it_alone_can_write_the_tools_and_still_sees_neither_scripts_nor_sources(self) -> None:
        seen = mounts(containers(self.POD)["cache-registry"])
        assert set(seen) == {"/spool", "/driver/pulse", "/driver/tools"}
        for name in ("build", "helper"):
            assert mounts(containers(self.POD)[name])["/driver/tools"]["readOnly"] is True

    def test_it_is_what_it_was_otherwise(self) -> None:
        apart, both = containers(POD)["cache-registry"], containers(self.POD)["cache-registry"]
        for field in ("image", "resources", "securityContext", "imagePullPolicy"):
            assert both[field] == apart[field]

    def test_keys_that_are_missing_do_not_keep_a_job_from_its_tools(self) -> None:
        references = [one["valueFrom"] for one in containers(self.POD)["cache-registry"]["env"] if "valueFrom" in one]
        assert [one["secretKeyRef"].get("optional") for one in references] == [True, True]

    def test_without_a_layer_cache_the_image_is_used_for_the_tools_alone(self) -> None:
        cold = pod(images={"tools": self.IMAGE}, cache={"mode": "off"})
        assert list(containers(cold)) == ["tools", "helper", "build"]


class TestMounts:
    def test_build_and_helper_see_the_same_files_at_the_same_places(self) -> None:
        build, helper = mounts(containers(POD)["build"]), mounts(containers(POD)["helper"])
        for path in ("/builds", "/driver/stages", "/driver/tools"):
            assert build[path] == helper[path]

    def test_kaniko_sees_no_mount_but_builds_outside_of_the_drivers_folder(self) -> None:
        """What lies on a mount is left out of images, without a word."""
        build = mounts(containers(POD)["build"])
        assert {path for path in build if not path.startswith("/driver/")} == {"/builds"}
        assert "/cache" in mounts(containers(POD)["helper"])

    def test_the_programs_are_read_only_for_the_job(self) -> None:
        for name in ("build", "helper"):
            assert mounts(containers(POD)[name])["/driver/tools"]["readOnly"] is True
        assert "readOnly" not in mounts(containers(POD)["tools"])["/driver/tools"]

    def test_logins_are_the_builds_alone_and_in_memory(self) -> None:
        with_logins = [name for name, one in containers(POD).items() if "/driver/logins" in mounts(one)]
        assert with_logins == ["build"]
        (volume,) = [volume for volume in POD["spec"]["volumes"] if volume["name"] == "logins"]
        assert volume["emptyDir"]["medium"] == "Memory"

    def test_the_cache_registry_sees_neither_programs_nor_scripts_nor_sources(self) -> None:
        seen = mounts(containers(POD)["cache-registry"])
        assert set(seen) == {"/spool", "/driver/pulse"}
        assert seen["/driver/pulse"]["readOnly"] is True

    def test_nothing_is_mounted_where_kaniko_works(self) -> None:
        for container in containers(POD).values():
            for path in mounts(container):
                assert not path.startswith(("/kaniko", "/workspace")), path
                assert path != "/"

    def test_scripts_start_where_kaniko_deletes_nothing(self) -> None:
        assert containers(POD)["build"]["workingDir"] == "/builds"
        assert containers(POD)["helper"]["workingDir"] == "/builds"


class TestImages:
    def test_each_container_has_its_image(self) -> None:
        assert {name: one["image"] for name, one in containers(POD).items()} == {
            "tools": "docker.io/library/busybox:1.37-musl",
            "build": "registry.example.com/kaniko:v1.24.0-debug",
            "helper": "registry.example.com/helper:v19.4.0",
            "cache-registry": "registry.example.com/cache-registry:1",
        }

    @pytest.mark.parametrize(
        ("setting", "policy"), [("always", "Always"), ("if-not-present", "IfNotPresent"), ("never", "Never")]
    )
    def test_all_are_pulled_as_the_tenant_wants(self, setting: str, policy: str) -> None:
        manifest = pod(images={"pull_policy": setting, "pull_secrets": ["mirror"]})
        assert {one["imagePullPolicy"] for one in containers(manifest).values()} == {policy}
        assert manifest["spec"]["imagePullSecrets"] == [{"name": "mirror"}]


class TestCommands:
    """What the processes get once the kubelet has expanded `$$` and `$(NAME)`."""

    def test_programs_arrive_as_they_stand_in_the_package(self) -> None:
        arguments = kubelet.command(containers(POD)["tools"])[6:]
        installed = dict(zip(arguments[::2], arguments[1::2], strict=True))
        shell = files("executor.pod") / "shell"
        for name, source in (("supervisor", "supervisor"), ("executor", "executor"), ("logins.awk", "logins.awk")):
            assert installed[name] == (shell / source).read_text()
        assert kubelet.command(containers(POD)["tools"])[3] == (shell / "install").read_text()

    def test_dollar_signs_of_settings_arrive_as_written(self) -> None:
        flags = ["--build-arg=A=$(KANIKO_DRIVER_CONTAINER)", "--label=a=$$b", "--x=$"]
        cache = CACHE | {"prefix": "a$(HOME)$$b"}
        manifest = render(
            tenant(kaniko={"flags": flags, "locked_flags": flags[::-1]}, cache=cache),
            PodRequest(**{**vars(REQUEST), "cache": Use(mode="read-write", prefix="a$(HOME)$$b/tenant-a")}),
        )
        command = kubelet.command(containers(manifest)["tools"])
        assert command[command.index("flags.default") + 1].endswith("\n".join([*flags, ""]))
        assert command[command.index("flags.locked") + 1] == "\n".join([*flags[::-1], ""])
        variables = kubelet.environment(
            containers(manifest)["cache-registry"], {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "k"}
        )
        assert json.loads(variables["LAYER_CACHE"])["prefix"] == "a$(HOME)$$b/tenant-a"

    def test_the_cache_registry_waits_for_a_sign_of_life_longer_than_the_pod_does(self) -> None:
        manifest = render(tenant(cache=CACHE, timeouts={"idle": "10m"}), REQUEST)
        keys = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "k"}
        variables = kubelet.environment(containers(manifest)["cache-registry"], keys)
        assert json.loads(variables["LAYER_CACHE"])["idle_seconds"] == 600 + 15

    def test_flags_of_the_driver_come_before_those_of_the_operator(self) -> None:
        command = kubelet.command(containers(pod(kaniko={"flags": ["--verbosity=debug"]}))["tools"])
        flags = command[command.index("flags.default") + 1].splitlines()
        assert flags[-1] == "--verbosity=debug"
        assert "--compressed-caching=false" in flags

    def test_a_container_knows_its_name_and_where_the_cache_is(self) -> None:
        build, helper = (kubelet.environment(containers(POD)[name], {}) for name in ("build", "helper"))
        assert (build["KANIKO_DRIVER_CONTAINER"], helper["KANIKO_DRIVER_CONTAINER"]) == ("build", "helper")
        assert (build["CI_DISPOSABLE_ENVIRONMENT"], helper["CI_DISPOSABLE_ENVIRONMENT"]) == ("true", "true")
        assert build["KANIKO_DRIVER_CACHE_URL"] == "http://127.0.0.1:5407/v2/"
        assert "KANIKO_DRIVER_CACHE_URL" not in helper

    @pytest.mark.parametrize("name", ["build", "helper"])
    def test_a_container_knows_the_limit_of_the_volume_for_output(self, name: str) -> None:
        (limit,) = [one["emptyDir"]["sizeLimit"] for one in POD["spec"]["volumes"] if one["name"] == "stages"]
        known = kubelet.environment(containers(POD)[name], {})["KANIKO_DRIVER_VOLUME_KILOBYTES"]
        assert int(known) == int(limit) // 1024
