"""Services run where the tenant allows them, under GitLab's names for them, and their variables are no manifest's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from executor.errors import JobRefused
from executor.pod.manifest import render
from executor.pod.secrets import gate, owned, variable_secrets
from executor.pod.services import Services, choose_services
from executor.runner.response import JobResponse, Service, Variable
from executor.settings.units import Bytes
from tests.support import kubelet
from tests.support.tenants import POD_REQUEST, tenant

JOB = JobResponse(
    id=1,
    timeout=3600,
    name="build",
    project_id=1,
    project_path="group/project",
    root_namespace_id=1,
    ref="main",
    sha="0" * 40,
    protected=False,
    image="",
    services=(),
    logins=(),
)


def choose(*services: Service, variables: tuple[Variable, ...] = (), **table: Any) -> Services:
    allowing = tenant(services={"allowed": ["*"], **table})
    return choose_services(replace(JOB, services=services, variables=variables), allowing)


def refused(*services: Service, **table: Any) -> JobRefused:
    with pytest.raises(JobRefused) as error:
        choose(*services, **table)
    assert error.value.remedy
    return error.value


class TestAllowed:
    def test_a_job_without_services_has_none(self) -> None:
        assert choose() == Services()

    def test_a_tenant_without_patterns_refuses_all_by_name(self) -> None:
        error = refused(Service(name="redis:7"), Service(name="postgres:16"), allowed=[])
        assert "redis:7, postgres:16" in error.what
        assert "services.allowed" in error.remedy

    def test_one_beyond_the_patterns_is_named_with_them(self) -> None:
        error = refused(Service(name="redis:7"), Service(name="mysql:8"), allowed=["redis:*", "registry.example.com/*"])
        assert "mysql:8" in error.what
        assert "redis:*, registry.example.com/*" in error.why

    def test_more_than_the_tenant_allows_are_refused_with_the_figure(self) -> None:
        error = refused(*(Service(name=f"redis:{number}") for number in range(3)), most=2)
        assert "3 services" in error.what
        assert "allows 2" in error.what

    @pytest.mark.parametrize(
        "image", ["docker:dind", "docker:24.0-dind", "registry.example.com/docker:dind-rootless", "docker:stable-dind"]
    )
    @pytest.mark.parametrize("allowed", [[], ["*"]])
    def test_a_docker_daemon_is_refused_with_its_own_remedy(self, image: str, allowed: list[str]) -> None:
        error = refused(Service(name=image), allowed=allowed)
        assert image in error.what
        assert "Kaniko builds images without Docker" in error.remedy

    @pytest.mark.parametrize("name", ["", "a b", "user:s3cret@registry.example.com/db"])
    def test_a_name_that_no_image_can_have_is_refused_without_its_login(self, name: str) -> None:
        assert "s3cret" not in str(refused(Service(name=name)))

    def test_the_pull_policy_has_the_gate_of_the_jobs_image(self) -> None:
        (sidecar,) = choose(Service(name="redis", pull_policies=("if-not-present",))).sidecars
        assert sidecar.pull_policies == ("IfNotPresent",)
        assert "never" in refused(Service(name="redis", pull_policies=("never",))).what

    def test_its_own_variables_shape_it_within_the_tenants_gates(self) -> None:
        def wish(**variables: str) -> Service:
            return Service(
                name="redis", variables=tuple(Variable(key=key, value=one) for key, one in variables.items())
            )

        gates = {"overrides": {"service": {"memory_limit": "2Gi"}}}
        services = (
            wish(KUBERNETES_SERVICE_MEMORY_LIMIT="1Gi", KUBERNETES_SERVICE_CPU_LIMIT="9"),
            Service(name="redis"),
        )
        settings = tenant(services={"allowed": ["*"]}, **gates)
        chosen = choose_services(replace(JOB, services=services), settings)
        manifest = render(settings, replace(POD_REQUEST, services=chosen))
        limits = [one["resources"]["limits"]["memory"] for one in manifest["spec"]["initContainers"]]
        assert limits == ["1Gi", settings.resources.service.memory_limit.text]
        assert chosen.notes == (
            "as the variables of the service redis ask: KUBERNETES_SERVICE_MEMORY_LIMIT",
            "ignored, since tenant-a opens no gate for it ([overrides]): KUBERNETES_SERVICE_CPU_LIMIT",
        )
        with pytest.raises(JobRefused, match="KUBERNETES_SERVICE_MEMORY_LIMIT"):
            choose_services(replace(JOB, services=(wish(KUBERNETES_SERVICE_MEMORY_LIMIT="3Gi"),)), settings)

    def test_a_user_is_not_used_and_said(self) -> None:
        (note,) = choose(Service(name="redis", user="999")).notes
        assert "redis" in note


class TestNames:
    """As TestCreateHostAliases and TestSplitNameAndVersion of GitLab Runner."""

    @pytest.mark.parametrize(
        ("image", "hosts"),
        [
            ("postgres", ("postgres",)),
            ("postgres:16", ("postgres",)),
            ("postgres@sha256:" + "0" * 64, ("postgres",)),
            ("bitnami/postgresql:16", ("bitnami-postgresql",)),
            ("registry.example.com/group/db:1", ("registry.example.com-group-db",)),
            ("registry.example.com:5000/group/db:1", ("registry.example.com-group-db",)),
            ("registry:5000/db@sha256:" + "0" * 64, ("registry-db",)),
            ("my_db:1", ()),
        ],
    )
    def test_of_an_image(self, image: str, hosts: tuple[str, ...]) -> None:
        assert choose(Service(name=image)).hosts == hosts

    def test_aliases_come_beside_those_of_the_image_each_once(self) -> None:
        services = (Service(name="postgres", aliases=("db", "db.internal", "postgres")), Service(name="redis"))
        assert choose(*services).hosts == ("postgres", "db", "db.internal", "redis")

    @pytest.mark.parametrize("alias", ["my_db", "Db", "-db", "a" * 64, "db..x", "ä"])
    def test_an_alias_that_no_host_can_have_is_told(self, alias: str) -> None:
        error = refused(Service(name="postgres", aliases=(alias,)))
        assert "postgres" in error.what
        assert repr(alias) in error.what

    def test_services_of_the_web_terminal_have_no_names(self) -> None:
        assert choose(Service(name="postgres", aliases=("not_a_host",), proxied=True)).hosts == ()


class TestVariables:
    def of(self, *own: Variable, job: tuple[Variable, ...] = ()) -> dict[str, str]:
        (sidecar,) = choose(Service(name="postgres", variables=own), variables=job).sidecars
        return {key: value for key, value in sidecar.variables.items() if not key.startswith(("CI_", "RUNNER_"))}

    def test_the_jobs_public_ones_come_along_and_the_services_own_win(self) -> None:
        job = (
            Variable(key="POSTGRES_DB", value="a", public=True),
            Variable(key="POSTGRES_USER", value="first", public=True),
            Variable(key="POSTGRES_USER", value="last", public=True),
            Variable(key="TOKEN", value="s3cret"),
            Variable(key="MASKED", value="s3cret", public=True, masked=True),
        )
        own = Variable(key="POSTGRES_DB", value="b")
        assert self.of(own, job=job) == {"POSTGRES_DB": "b", "POSTGRES_USER": "last"}

    def test_its_own_may_refer_to_any_of_the_job(self) -> None:
        job = (Variable(key="TOKEN", value="s3cret"), Variable(key="HOST", value="h$TOKEN"))
        own = (
            Variable(key="A", value="$TOKEN-${HOST}/$$x/$MISSING."),
            Variable(key="B", value="$TOKEN", raw=True),
            Variable(key="C", value="$A"),
        )
        assert self.of(*own, job=job) == {
            "A": "s3cret-hs3cret/$x/.",
            "B": "$TOKEN",
            "C": "$TOKEN-${HOST}/$$x/$MISSING.",
        }

    def test_files_are_the_paths_that_scripts_see(self) -> None:
        job = (Variable(key="CONFIG", value="content", file=True, public=True),)
        assert self.of(job=job) == {"CONFIG": "/builds/group/project.tmp/CONFIG"}

    def test_it_knows_the_project_folder(self) -> None:
        (sidecar,) = choose(Service(name="postgres")).sidecars
        assert sidecar.variables["CI_PROJECT_DIR"] == "/builds/group/project"

    @pytest.mark.parametrize(("key", "value"), [("a b", "x"), ("1", "x"), ("", "x"), ("A", "a\0b"), ("Ä", "x")])
    def test_one_that_no_process_can_have_is_told_and_the_jobs_are_left_out(self, key: str, value: str) -> None:
        variable = Variable(key=key, value=value, public=True)
        assert self.of(job=(variable,)) == {}
        assert repr(key) in refused(Service(name="postgres", variables=(variable,))).what

    def test_more_than_a_secret_holds_is_told(self) -> None:
        error = refused(Service(name="postgres", variables=(Variable(key="A", value="x" * 950_000),)))
        assert "too large" in error.what

    def test_a_port_to_wait_for_is_the_services_own(self) -> None:
        own = Variable(key="HEALTHCHECK_TCP_PORT", value="$PORT")
        job = (Variable(key="PORT", value="5432"), Variable(key="HEALTHCHECK_TCP_PORT", value="1", public=True))
        services = choose(Service(name="postgres", variables=(own,)), Service(name="redis"), variables=job)
        assert services.health_ports == {"5432": "postgres"}

    def test_one_image_may_run_on_two_ports(self) -> None:
        services = (
            Service(name="redis", variables=(Variable(key="HEALTHCHECK_TCP_PORT", value=port),)) for port in ("1", "02")
        )
        assert choose(*services).health_ports == {"1": "redis", "2": "redis"}

    @pytest.mark.parametrize("port", ["", "x", "0", "65536", "-1", "1 2", "'; reboot'"])
    def test_what_is_no_port_is_told(self, port: str) -> None:
        own = Variable(key="HEALTHCHECK_TCP_PORT", value=port)
        assert "HEALTHCHECK_TCP_PORT" in refused(Service(name="postgres", variables=(own,))).what


class TestHostile:
    """What happens on the runner's host stays small, whatever a service of 300 kB asks for."""

    def test_a_short_text_that_names_a_long_one_many_times_is_refused_before_it_is_made(self) -> None:
        job = (Variable(key="LONG", value="x" * 100_000), Variable(key="SECRET", value="${LONG}$LONG" * 100))
        with pytest.raises(JobRefused, match="too large") as error:
            choose(Service(name="redis"), variables=job)
        assert "variables:" in error.value.remedy
        assert "xxx" not in str(error.value)

    def test_many_that_are_each_small_enough_are_refused_together(self) -> None:
        job = Variable(key="LONG", value="x" * 100_000)
        own = tuple(Variable(key=f"V{number}", value="$LONG" * 8) for number in range(20))
        with pytest.raises(JobRefused, match="when the references in them are replaced"):
            choose(Service(name="redis", variables=own), variables=(job,))

    def test_braces_that_nobody_closes_cost_no_time(self) -> None:
        # Each looked for its end through all the others: a quarter of a minute on a quiet machine.
        own = Variable(key="OPEN", value="${" * 30_000)
        (sidecar,) = choose(Service(name="redis", variables=(own,))).sidecars
        assert sidecar.variables["OPEN"] == own.value

    @pytest.mark.parametrize("host", ["s3.internal", "layers.s3.internal", "sts.internal"])
    def test_none_takes_the_name_of_the_layer_caches_servers(self, host: str) -> None:
        cache = {
            "mode": "read-write",
            "bucket": "layers",
            "endpoint": "http://s3.internal:9000",
            "sts_endpoint": "http://STS.internal/x",
        }
        allowing = tenant(services={"allowed": ["*"]}, cache=cache)
        with pytest.raises(JobRefused, match=host):
            choose_services(replace(JOB, services=(Service(name="redis", aliases=("db", host)),)), allowing)
        # A name that comes of the image's alone is nobody's wish.
        assert choose_services(replace(JOB, services=(Service(name=f"{host}:1"),)), allowing).hosts == ()


class TestManifest:
    SERVICE = Service(
        name="postgres:16",
        aliases=("db",),
        entrypoint=("docker-entrypoint.sh", "$HOME"),
        command=("-c", "fsync=$(OFF)"),
        variables=(Variable(key="POSTGRES_PASSWORD", value="s3cret"),),
    )

    def pod(self, *services: Service, **tables: Any) -> dict[str, Any]:
        allowing = tenant(services={"allowed": ["*"]}, **tables)
        chosen = choose_services(replace(JOB, services=services), allowing)
        manifest = render(allowing, replace(POD_REQUEST, services=chosen))
        gate(manifest, variable_secrets(POD_REQUEST.name, chosen))
        return manifest

    def test_a_service_is_a_native_sidecar_with_what_the_author_wrote(self) -> None:
        pod = self.pod(self.SERVICE)
        (sidecar,) = pod["spec"]["initContainers"]
        assert (sidecar["name"], sidecar["image"], sidecar["restartPolicy"]) == ("svc-0", "postgres:16", "Always")
        assert kubelet.command(sidecar) == ["docker-entrypoint.sh", "$HOME", "-c", "fsync=$(OFF)"]
        assert pod["spec"]["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["postgres", "db"]}]

    def test_an_empty_entrypoint_leaves_the_command_alone_as_with_docker(self) -> None:
        with_command, without = self.pod(
            Service(name="redis", entrypoint=("",), command=("sleep", "60")), Service(name="redis", entrypoint=("",))
        )["spec"]["initContainers"]
        assert (with_command["command"], "args" in with_command) == (["sleep", "60"], False)
        assert not {"command", "args"} & set(without)

    def test_the_images_own_process_and_user_are_kept(self) -> None:
        (sidecar,) = self.pod(Service(name="redis"))["spec"]["initContainers"]
        assert not {"command", "args"} & set(sidecar)
        assert "runAsUser" not in sidecar["securityContext"]

    def test_it_has_bounds_and_no_more_rights_than_a_build(self) -> None:
        pod = self.pod(Service(name="redis"), resources={"service": {"memory_limit": "3Gi"}})
        (sidecar,) = pod["spec"]["initContainers"]
        assert Bytes.parse(sidecar["resources"]["limits"]["memory"]).count == 3 * 2**30
        assert set(sidecar["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
        build = next(one for one in pod["spec"]["containers"] if one["name"] == "build")
        assert sidecar["securityContext"]["capabilities"] == build["securityContext"]["capabilities"]
        assert sidecar["securityContext"]["allowPrivilegeEscalation"] is False

    def test_it_shares_the_sources_and_nothing_of_the_driver(self) -> None:
        (sidecar,) = self.pod(Service(name="redis"))["spec"]["initContainers"]
        assert [mount["mountPath"] for mount in sidecar["volumeMounts"]] == ["/builds"]

    def test_its_variables_come_from_a_secret_of_this_pod(self) -> None:
        pod = self.pod(self.SERVICE)
        (sidecar,) = pod["spec"]["initContainers"]
        assert sidecar["envFrom"] == [{"secretRef": {"name": f"{POD_REQUEST.name}-svc-0"}}]
        assert "s3cret" not in json.dumps(pod)
        assert pod["spec"]["schedulingGates"]

    def test_a_pod_without_services_pays_nothing_for_them(self) -> None:
        spec = self.pod()["spec"]
        assert not {"initContainers", "schedulingGates", "hostAliases"} & set(spec)


def test_a_secret_belongs_to_its_pod() -> None:
    services = choose(Service(name="redis"))
    manifest = {"metadata": {"namespace": "n", "labels": {"a": "b"}}, "spec": {}}
    (secret,) = variable_secrets("p", services)
    gate(manifest, [secret])
    metadata = owned(secret, {"metadata": {"name": "p", "uid": "u"}})["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("p-svc-0", "n", {"a": "b"})
    assert metadata["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]
