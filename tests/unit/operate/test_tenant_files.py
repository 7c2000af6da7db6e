"""Tenant commands that need no cluster: what an operator reads, and what a file is worth without editing."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from executor.operate.tenant import tenant
from executor.settings.load import load
from executor.tenancy import objects, starter
from tests.support.tenants import MINIMAL, write_settings

if TYPE_CHECKING:
    from click.testing import Result

EXAMPLE = Path(__file__).parents[3] / "runner-config.toml.example"


def call(*arguments: str, settings: str) -> Result:
    return CliRunner().invoke(tenant, [*arguments, "--settings", settings])


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """A folder with one tenant."""
    return write_settings(tmp_path / "settings")


class TestInit:
    def test_what_it_writes_is_valid_as_it_is(self, settings: str) -> None:
        done = call("init", "team-blue", "--jobs", "7", "--offline", settings=settings)
        assert done.exit_code == 0, done.output
        blue = load(settings, "team-blue").tenant
        assert (blue.cluster.namespace, blue.capacity.jobs) == ("team-blue", 7)
        assert blue.cluster.kubeconfig == f"{settings}/team-blue.kubeconfig"
        assert blue.pod.service_account == "kaniko-build"
        assert objects.render(blue)

    def test_a_script_reads_what_was_written_and_people_read_what_is_next(self, settings: str) -> None:
        told = json.loads(call("init", "team-blue", "--offline", "--output", "json", settings=settings).output)
        path = Path(settings, "tenants", "team-blue.toml")
        assert told == {"name": "team-blue", "file": str(path), "api_server": [], "text": path.read_text()}
        said = call("init", "team-red", "--offline", settings=settings).output
        assert f"kaniko-driver tenant apply team-red --settings {settings}" in said

    def test_the_driver_trusts_the_file_whatever_the_umask(self, settings: str) -> None:
        call("init", "team-blue", "--offline", settings=settings)
        assert Path(settings, "tenants", "team-blue.toml").stat().st_mode & 0o777 == 0o644

    def test_a_node_cannot_give_itself_the_label_that_draws_the_tenants_pods(self, settings: str) -> None:
        call("init", "team-blue", "--offline", settings=settings)
        labels = load(settings, "team-blue").tenant.nodes.labels
        assert labels == {"node-restriction.kubernetes.io/tenant": ("team-blue",)}

    def test_what_driver_toml_says_for_all_is_not_said_again(self, tmp_path: Path) -> None:
        everybody = (
            "version = 1\n[defaults.images]\nkaniko = 'k:1'\nhelper = 'h:1'\n"
            "[defaults.network]\nregistry = [{ cidr = '192.0.2.1/32' }]\ngitlab = [{ cidr = '192.0.2.2/32' }]\n"
        )
        folder = write_settings(tmp_path / "settings", driver=everybody)
        call("init", "team-blue", "--offline", settings=folder)
        blue = load(folder, "team-blue").tenant
        assert blue.images.kaniko == "k:1"
        assert blue.network.gitlab[0].cidr == "192.0.2.2/32"

    def test_it_never_overwrites(self, settings: str) -> None:
        before = Path(settings, "tenants", "tenant-a.toml").read_text()
        done = call("init", "tenant-a", "--offline", settings=settings)
        assert done.exit_code == 1
        assert "is there already" in done.output
        assert Path(settings, "tenants", "tenant-a.toml").read_text() == before

    @pytest.mark.parametrize("name", ["Team", "a_b", "-a", "x" * 41])
    def test_a_name_that_no_label_could_have_is_refused(self, settings: str, name: str) -> None:
        done = call("init", "--offline", "--settings", settings, "--", name, settings=settings)
        assert done.exit_code != 0
        assert not Path(settings, "tenants", f"{name}.toml").exists()

    def test_it_can_be_looked_at_first(self, settings: str) -> None:
        done = call("init", "team-blue", "--offline", "--print", settings=settings)
        assert tomllib.loads(done.output)["cluster"]["namespace"] == "team-blue"
        assert not Path(settings, "tenants", "team-blue.toml").exists()

    def test_a_cluster_that_was_asked_is_kept_out(self, settings: str) -> None:
        start = starter.Start(
            name="team-blue",
            namespace="team-blue",
            kubeconfig="/k",
            jobs=1,
            images_known=False,
            destinations_known=False,
            api_server=(("10.96.0.1", 443), ("2001:db8::1", 6443)),
        )
        write_settings(Path(settings), tenant=starter.text(start), name="team-blue")
        servers = load(settings, "team-blue").tenant.network.api_server
        assert [(one.cidr, one.ports) for one in servers] == [("10.96.0.1/32", (443,)), ("2001:db8::1/128", (6443,))]

    def test_a_cluster_that_does_not_answer_is_no_obstacle(self, settings: str, tmp_path: Path) -> None:
        done = call("init", "team-blue", "--kubeconfig", str(tmp_path / "none"), settings=settings)
        assert done.exit_code == 0, done.output
        assert "was not asked" in done.output


class TestRender:
    @pytest.mark.parametrize("output", ["yaml", "json"])
    def test_it_prints_what_would_be_applied(self, settings: str, output: str) -> None:
        done = call("render", "tenant-a", "--output", output, settings=settings)
        shown = list(yaml.safe_load_all(done.output)) if output == "yaml" else json.loads(done.output)["items"]
        assert shown == objects.render(load(settings, "tenant-a").tenant)

    def test_yaml_has_no_aliases(self, settings: str) -> None:
        assert "*id" not in call("render", "tenant-a", settings=settings).output

    def test_a_runner_inside_the_cluster_comes_with_it_where_that_is_wanted(self, tmp_path: Path) -> None:
        more = (
            '[gitlab]\nurl = "https://gitlab.example.com"\n[runner.pod]\nimage = "registry.example.com/runner:1"\n'
            "[network]\ngitlab = [{ cidr = '192.0.2.1/32' }]\napi_server = [{ cidr = '192.0.2.2/32' }]\n"
        )
        folder = write_settings(tmp_path / "settings", tenant=MINIMAL + more)
        with_runner = list(yaml.safe_load_all(call("render", "tenant-a", "--runner", settings=folder).output))
        without = list(yaml.safe_load_all(call("render", "tenant-a", settings=folder).output))
        assert with_runner[: len(without)] == without
        added = {one["kind"]: one for one in with_runner[len(without) :]}
        assert added["Deployment"]["metadata"]["namespace"] == "tenant-a-runner"
        assert MINIMAL in added["ConfigMap"]["data"]["tenant.toml"]

    def test_a_runner_that_could_not_work_is_refused(self, settings: str) -> None:
        done = call("render", "tenant-a", "--runner", settings=settings)
        assert done.exit_code == 1
        assert "runner.pod.image is not set" in done.output

    def test_an_unknown_tenant_is_named_with_those_there_are(self, settings: str) -> None:
        done = call("render", "tenant-x", settings=settings)
        assert done.exit_code == 1
        assert "tenant-a" in done.output


class TestRegister:
    def test_the_section_is_the_one_of_the_example(self, tmp_path: Path) -> None:
        example = tomllib.loads(EXAMPLE.read_text())["runners"][0]
        more = (
            '[gitlab]\nurl = "https://gitlab.example.com"\n'
            '[runner]\ncache_bucket = "runner-cache-tenant-a"\ncache_server = "s3.example.com"\n'
            'cache_region = "eu-central-1"\n'
        )
        folder = write_settings(tmp_path / "settings", tenant=MINIMAL + more)
        done = call("register", "tenant-a", "--command", "/usr/local/bin/kaniko-driver", settings=folder)
        (section,) = tomllib.loads(done.stdout)["runners"]
        section["custom"]["config_args"][2] = "/etc/kaniko-driver"
        assert section == example | {"token": "glrt-REPLACE-ME"}

    def test_limits_follow_from_the_settings(self, tmp_path: Path) -> None:
        more = '[capacity]\njobs = 3\n[timeouts]\nschedule = "1h"\nstart = "10m"\nstop_grace = "5m"\n'
        folder = write_settings(tmp_path / "settings", tenant=MINIMAL + more)
        (section,) = tomllib.loads(call("register", "tenant-a", settings=folder).stdout)["runners"]
        assert section["limit"] == 3
        # The driver must be able to say its own words before the runner ends it.
        assert section["custom"]["prepare_exec_timeout"] > 70 * 60
        assert section["custom"]["graceful_kill_timeout"] > 5 * 60

    def test_gitlab_is_told_to_take_no_untagged_jobs(self, tmp_path: Path) -> None:
        more = '[runner]\ntags = ["blue", "blue-large"]\nprotected = true\nlongest_job = "2h"\n'
        folder = write_settings(tmp_path / "settings", tenant=MINIMAL + more)
        said = call("register", "tenant-a", settings=folder).stdout
        for words in ("run_untagged=false", "tag_list=blue,blue-large", "access_level=ref_protected", "timeout=7200"):
            assert words in said

    def test_a_script_reads_both_sides(self, settings: str) -> None:
        told = json.loads(call("register", "tenant-a", "--output", "json", settings=settings).stdout)
        assert told["runner"]["run_untagged"] == "false"
        assert tomllib.loads(told["config_toml"])["runners"][0]["executor"] == "custom"

    def test_a_program_that_only_its_installer_reaches_is_noticed(
        self, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "kaniko-driver").touch(mode=0o755)
        monkeypatch.setenv("PATH", str(home / "bin"))
        home.chmod(0o700)
        done = call("register", "tenant-a", settings=settings)
        assert f'config_exec = "{home}/bin/kaniko-driver"' in done.stdout
        assert "can GitLab Runner's user run it?" in done.stderr
        assert not call("register", "tenant-a", "--command", "/opt/x", settings=settings).stderr

    def test_two_tenants_with_one_tag_are_refused(self, settings: str) -> None:
        write_settings(Path(settings), tenant=MINIMAL + '[runner]\ntags = ["x", "tenant-a"]\n', name="tenant-b")
        done = call("register", "tenant-a", settings=settings)
        assert done.exit_code == 1
        assert "shares a tag with tenant-b" in done.output

    def test_a_cache_of_jobs_lies_under_the_tenants_own_path(self, tmp_path: Path) -> None:
        more = '[runner]\ncache_bucket = "all"\n[cache]\nendpoint = "http://10.0.0.1:9000/x"\npath_style = true\n'
        folder = write_settings(tmp_path / "settings", tenant=MINIMAL + more)
        (section,) = tomllib.loads(call("register", "tenant-a", settings=folder).stdout)["runners"]
        assert (section["cache"]["Path"], section["cache"]["Shared"]) == ("tenant-a", False)
        s3 = section["cache"]["s3"]
        assert (s3["ServerAddress"], s3["Insecure"], s3["PathStyle"]) == ("10.0.0.1:9000", True, True)


class TestList:
    def test_it_says_where_each_tenant_is(self, settings: str) -> None:
        (row,) = json.loads(call("list", "--output", "json", settings=settings).output)
        assert row == {
            "name": "tenant-a",
            "namespace": "tenant-a",
            "jobs": 20,
            "nodes": "tenant=a",
            "tags": ["tenant-a"],
            "cache": "off",
        }
        assert "namespace tenant-a, 20 jobs" in call("list", settings=settings).output

    def test_a_broken_file_hides_no_other(self, settings: str) -> None:
        write_settings(Path(settings), tenant="version = 1\n", name="broken")
        said = call("list", settings=settings).output
        assert "broken: The settings of tenant 'broken' cannot be used." in said
        assert "tenant-a: namespace" in said


@pytest.mark.parametrize("command", ["init", "render", "apply", "kubeconfig", "register", "delete", "list"])
def test_help_teaches_without_a_cluster(command: str) -> None:
    done = CliRunner().invoke(tenant, [command, "--help"])
    assert done.exit_code == 0
    assert "\\b" not in done.output
