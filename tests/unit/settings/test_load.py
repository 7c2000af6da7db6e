"""Layers of settings, and every mistake in them told at once with its file, line and remedy."""

from __future__ import annotations

import os
import re
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from executor.errors import SettingsInvalid
from executor.settings.load import load, log_file, tenant_names
from tests.support.tenants import MINIMAL, write_settings

if TYPE_CHECKING:
    from pathlib import Path

    from executor.settings.load import Settings


def refused(folder: str, tenant: str = "tenant-a") -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as raised:
        load(folder, tenant)
    assert raised.value.remedy, "an error tells what to do next"
    return raised.value


def loaded(tmp_path: Path, *, tenant: str = MINIMAL, driver: str = "version = 1\n") -> Settings:
    return load(write_settings(tmp_path, tenant=tenant, driver=driver), "tenant-a")


def test_a_minimal_tenant_gets_the_built_in_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.tenant.name == "tenant-a"
    assert settings.tenant.resources.build.memory_limit.text == "4Gi"
    assert settings.tenant.cache.mode == "off"
    assert settings.driver.log.file == "/var/log/kaniko-driver/driver.jsonl"


def test_defaults_lie_over_built_in_ones_and_below_the_tenants(tmp_path: Path) -> None:
    driver = """\
version = 1
[log]
file = ""
[defaults.volumes]
builds = "20Gi"
cache = "3Gi"
[defaults.images]
tools = "mirror.example.com/busybox:1"
"""
    settings = loaded(tmp_path, tenant=MINIMAL + "[volumes]\nbuilds = '30Gi'\n", driver=driver)
    volumes = settings.tenant.volumes
    assert (volumes.builds.text, volumes.cache.text, volumes.output.text) == ("30Gi", "3Gi", "1Gi")
    assert settings.tenant.images.tools == "mirror.example.com/busybox:1"
    assert settings.driver.log.file == ""


def test_defaults_may_supply_what_is_required(tmp_path: Path) -> None:
    tenant = "version = 1\n[cluster]\nnamespace = 'a'\n[nodes]\nlabels = { t = ['a'] }\n"
    driver = "version = 1\n[defaults.images]\nkaniko = 'k'\nhelper = 'h'\n"
    assert loaded(tmp_path, tenant=tenant, driver=driver).tenant.images.kaniko == "k"


def test_an_unknown_tenant_is_answered_with_those_there_are(tmp_path: Path) -> None:
    folder = write_settings(tmp_path)
    write_settings(tmp_path, name="tenant-b")
    error = refused(folder, "tenat-b")
    assert "There is no tenant 'tenat-b'" in error.what
    assert "there are: tenant-a, tenant-b." in error.why
    assert "'tenant-b'?" in error.remedy


@pytest.mark.parametrize("name", ["../tenant-a", "tenant-a.toml", "", "Tenant-A", "tenant-a/", "/etc/passwd"])
def test_a_name_that_is_none_opens_no_file(tmp_path: Path, name: str) -> None:
    assert "There is no tenant" in refused(write_settings(tmp_path), name).what


def test_files_that_cannot_be_tenants_are_none(tmp_path: Path) -> None:
    folder = write_settings(tmp_path)
    # Backups of editors, and names that would be no label value: pods carry the tenant's name.
    for name in (".tenant-a.toml.swp", "tenant-a.toml~", "tenant-a.toml.bak", "-a.toml", "a-.toml", "A.toml", "README"):
        (tmp_path / "tenants" / name).write_text(MINIMAL)
    assert tenant_names(folder) == ["tenant-a"]


def test_a_missing_folder_names_itself_and_how_to_make_it(tmp_path: Path) -> None:
    error = refused(str(tmp_path / "absent"))
    assert f"{tmp_path}/absent/tenants: No such file or directory" in error.why
    assert "--settings" in error.remedy


def test_a_missing_driver_file_names_itself(tmp_path: Path) -> None:
    folder = write_settings(tmp_path)
    (tmp_path / "driver.toml").unlink()
    assert "driver.toml: No such file or directory" in refused(folder).why


@pytest.mark.parametrize("file", ["driver.toml", "tenants/tenant-a.toml"])
@pytest.mark.parametrize("bit", [stat.S_IWOTH, stat.S_IWGRP])
def test_a_file_that_others_can_write_is_not_trusted(tmp_path: Path, file: str, bit: int) -> None:
    folder = write_settings(tmp_path)
    (tmp_path / file).chmod(0o644 | bit)
    error = refused(folder)
    assert "can be changed by other users" in error.what
    assert f"chmod go-w {tmp_path}/{file}" in error.remedy


@pytest.mark.parametrize("folder", [".", "tenants"])
def test_a_file_that_others_can_replace_is_not_trusted(tmp_path: Path, folder: str) -> None:
    settings = write_settings(tmp_path)
    (tmp_path / folder).chmod(0o777)
    error = refused(settings)
    assert "can be replaced by any user" in error.what
    assert "chmod o-w" in error.remedy
    # As in /tmp: others can add files, and replace none.
    (tmp_path / folder).chmod(0o1777)
    assert load(settings, "tenant-a").tenant.name == "tenant-a"


def test_a_config_map_is_trusted_whose_folder_is_open_by_its_mode_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write_settings(tmp_path)
    tmp_path.chmod(0o777)
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY | os.ST_NOSUID)
    monkeypatch.setattr("os.statvfs", lambda _: mounted)
    assert load(settings, "tenant-a").tenant.name == "tenant-a"


def test_a_file_that_is_no_text_is_told_without_its_content(tmp_path: Path) -> None:
    folder = write_settings(tmp_path)
    (tmp_path / "tenants" / "tenant-a.toml").write_bytes(b"# \xff\xfe secret")
    error = refused(folder)
    assert "tenant-a.toml: not UTF-8" in error.why
    assert "secret" not in str(error)


def test_several_mistakes_in_both_files_are_all_listed_sorted(tmp_path: Path) -> None:
    driver = "version = 1\n[log]\nfil = 'x'\n[defaults.cache]\nport = 'x'\n"
    tenant = MINIMAL + "[cache]\nmode = 'on'\n[volumes]\nbuilds = 5\n[timeout]\nidle = '5m'\n"
    lines = refused(write_settings(tmp_path, tenant=tenant, driver=driver)).why.splitlines()
    assert len(lines) == 5
    assert ["driver.toml" in line for line in lines] == [True, True, False, False, False]
    numbers = [int(match[1]) for line in lines if (match := re.search(r"line (\d+)", line))]
    assert numbers == [3, 5, *sorted(numbers[2:])]
    assert "unknown key 'defaults" not in "".join(lines)
    assert "defaults.cache.port: 'x' must be a whole number" in lines[1]


def test_what_is_required_and_missing_is_named_by_its_whole_path(tmp_path: Path) -> None:
    error = refused(write_settings(tmp_path, tenant="version = 1\n[cluster]\nnamespace = 'a'\n"))
    for path in ("nodes.labels", "images.kaniko", "images.helper"):
        assert f"tenant-a.toml: {path} is not set, and it has no default" in error.why


@pytest.mark.parametrize("head", ["", "version = 0\n", "version = '1'\n", "version = true\n"])
def test_a_file_of_another_version_is_refused(tmp_path: Path, head: str) -> None:
    error = refused(write_settings(tmp_path, tenant=MINIMAL.replace("version = 1\n", head)))
    assert "version = 1 must stand at the top" in error.why


def test_a_file_for_a_newer_driver_is_told_as_such(tmp_path: Path) -> None:
    error = refused(write_settings(tmp_path, tenant=MINIMAL.replace("version = 1\n", "version = 2\n")))
    assert "version 2 is of a newer kaniko-driver; this one knows 1" in error.why


def test_a_syntax_error_is_the_only_complaint_about_its_file(tmp_path: Path) -> None:
    error = refused(write_settings(tmp_path, tenant="version = 1\n[cluster\n"))
    assert error.why.count("\n") == 0
    assert "line 2: this is no TOML" in error.why


def test_defaults_that_are_no_table_are_told(tmp_path: Path) -> None:
    error = refused(write_settings(tmp_path, driver="version = 1\ndefaults = 5\n"))
    assert "driver.toml, line 2: defaults is a table of tables" in error.why


def test_a_file_that_cannot_be_read_names_itself_and_why(tmp_path: Path) -> None:
    folder = write_settings(tmp_path)
    (tmp_path / "driver.toml").unlink()
    (tmp_path / "driver.toml").mkdir(mode=0o755)
    assert "driver.toml: Is a directory" in refused(folder).why


class TestLogFile:
    """The operator log is wanted most when nothing else can be read."""

    def test_it_is_known_where_other_settings_are_broken(self, tmp_path: Path) -> None:
        driver = "version = 1\n[log]\nfile = '/x.jsonl'\n[defaults.cache]\nbuket = 1\n"
        assert log_file(write_settings(tmp_path, driver=driver)) == "/x.jsonl"

    @pytest.mark.parametrize("driver", ["version = 1\n", "[log", "version = 1\n[log]\nfile = 5\n"])
    def test_it_is_the_built_in_one_where_none_can_be_read(self, tmp_path: Path, driver: str) -> None:
        assert log_file(write_settings(tmp_path, driver=driver)) == "/var/log/kaniko-driver/driver.jsonl"

    def test_a_missing_file_is_no_reason_to_fail(self, tmp_path: Path) -> None:
        assert log_file(str(tmp_path / "absent")) == "/var/log/kaniko-driver/driver.jsonl"


CACHE = "[cache]\nmode = 'read-write'\nbucket = 'b'\nsecret = 's'\n"


class TestServices:
    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ("[services]\nmost = 0\n", "number of services"),
            ("[services]\nmost = 21\n", "number of services"),
            ("[services]\nallowed = ['registry*/a']\n", "no pattern of images"),
            ("[resources.service]\nmemory_request = '2Gi'\nmemory_limit = '1Gi'\n", "above its limit"),
        ],
    )
    def test_what_no_tenant_can_mean_is_told(self, tmp_path: Path, table: str, words: str) -> None:
        assert words in refused(write_settings(tmp_path, tenant=MINIMAL + table)).why

    def test_a_pull_policy_that_there_is_not_is_told_with_those_there_are(self, tmp_path: Path) -> None:
        tenant = MINIMAL + "allowed_pull_policies = ['sometimes']\n"
        assert "'always', 'if-not-present', 'never'" in refused(write_settings(tmp_path, tenant=tenant)).why


class TestChecks:
    """Rules between settings and about their content."""

    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            (
                MINIMAL.replace('namespace = "tenant-a"', 'namespace = "Tenant_A"'),
                4,
                "'Tenant_A' is no name of a namespace",
            ),
            (MINIMAL.replace('namespace = "tenant-a"', 'namespace = ""'), 4, "'' is no name of a namespace"),
            (MINIMAL.replace('{ tenant = ["a"] }', "{}"), 7, "at least one label must name the tenant's nodes"),
            (MINIMAL.replace('["a"]', "[]"), 7, "tenant needs at least one value"),
            (MINIMAL.replace('["a"]', '["a b"]'), 7, "'a b' is no value of a label"),
            (MINIMAL.replace("{ tenant =", "{ 'a/b/c' ="), 7, "'a/b/c' is no key of a label"),
            (MINIMAL + "[resources.build]\ncpu_request = '3'\n", 13, "the cpu request is above its limit"),
            (MINIMAL + "[resources.helper]\nmemory_limit = '1Mi'\n", 12, "the memory request is above its limit"),
            (MINIMAL + CACHE.replace("bucket = 'b'\n", ""), 13, "the cache is on, so cache.bucket must be set"),
            (MINIMAL + CACHE.replace("secret = 's'\n", ""), 13, "the cache is on, so cache.secret must be set"),
            (MINIMAL + CACHE + "endpoint = 's3.example.com'\n", 16, "'s3.example.com' is no URL"),
            (MINIMAL + "[cache]\nport = 65536\n", 13, "65536 is no port"),
            (MINIMAL + "[cache]\nport = 0\n", 13, "0 is no port"),
            (MINIMAL + "[kaniko]\nflags = ['verbosity=debug']\n", 13, "'verbosity=debug' must be one flag"),
            (MINIMAL + '[kaniko]\nlocked_flags = ["--a\\n--b"]\n', 13, "must be one flag"),
            (MINIMAL + "[kaniko]\nfeatures = { FF_kaniko = true }\n", 13, "'FF_kaniko' is no feature flag such as"),
            (MINIMAL + "[kaniko]\nfeatures = { FF_KANIKO_A = 'yes' }\n", 13, "'yes' must be true or false"),
            (MINIMAL + "[registry]\nmirrors = { 'docker.io' = [] }\n", 13, "docker.io needs at least one mirror"),
            (MINIMAL + "[registry]\nmirrors = { 'a/b' = ['m'] }\n", 13, "'a/b' is no host of a registry"),
            (MINIMAL + "[registry]\nmirrors = { a = ['https://m'] }\n", 13, "'https://m' is no registry such as"),
            (MINIMAL + "[registry]\nmirrors = { a = ['m;b=c'] }\n", 13, "'m;b=c' is no registry such as"),
            (MINIMAL + "[registry]\nmirrors_only = true\n", 13, "there are no mirrors"),
            (MINIMAL + "[registry]\nauthorities = { a = '/no/file' }\n", 13, "/no/file: No such file or directory"),
            (
                MINIMAL + "[registry]\nlogins_file = '/nowhere/at/all'\n",
                13,
                "/nowhere/at/all: No such file or directory",
            ),
        ],
    )
    def test_a_broken_rule_is_told_at_its_line(self, tmp_path: Path, text: str, line: int, words: str) -> None:
        error = refused(write_settings(tmp_path, tenant=text))
        assert f"tenant-a.toml, line {line}: " in error.why
        assert words in error.why

    @pytest.mark.parametrize(
        ("tenant", "line"),
        [
            (MINIMAL.replace("[cluster]", "[cluster]\nkubeconfig = 'kubeconfig'"), 4),
            (MINIMAL + "[registry]\nlogins_file = './logins.json'\n", 13),
        ],
    )
    def test_a_file_that_is_not_named_from_the_root_is_refused(self, tmp_path: Path, tenant: str, line: int) -> None:
        """Each stage runs in a folder of its own that the runner deletes."""
        error = refused(write_settings(tmp_path, tenant=tenant))
        assert f"tenant-a.toml, line {line}: " in error.why
        assert "must be an absolute path" in error.why

    def test_so_is_an_operator_log(self, tmp_path: Path) -> None:
        error = refused(write_settings(tmp_path, driver="version = 1\n[log]\nfile = 'driver.jsonl'\n"))
        assert "driver.toml, line 3: log.file: 'driver.jsonl' must be an absolute path" in error.why

    def test_a_rule_broken_by_a_default_is_told_where_the_default_stands(self, tmp_path: Path) -> None:
        driver = "version = 1\n[defaults.cache]\nport = 99999\n"
        error = refused(write_settings(tmp_path, driver=driver))
        assert "driver.toml, line 3: defaults.cache.port: 99999 is no port" in error.why

    def test_a_logins_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        logins = tmp_path / "logins.json"
        logins.write_text("{}")
        logins.chmod(0o640)
        folder = write_settings(tmp_path / "s", tenant=MINIMAL + f"[registry]\nlogins_file = '{logins}'\n")
        assert f"chmod 600 {logins}" in refused(folder).why
        logins.chmod(0o600)
        assert load(folder, "tenant-a").tenant.registry.logins_file == str(logins)

    def test_figures_at_the_edge_of_a_rule_are_good(self, tmp_path: Path) -> None:
        equal = "[resources.helper]\ncpu_request = '1'\nmemory_request = '512Mi'\n"
        for port in (1, 65535):
            tenant = loaded(tmp_path, tenant=f"{MINIMAL}{equal}[cache]\nport = {port}\n").tenant
            assert tenant.cache.port == port

    def test_settings_of_a_cache_that_is_off_are_not_asked_for(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, tenant=MINIMAL + "[cache]\nmode = 'off'\n").tenant.cache.bucket == ""

    def test_a_whole_cache_passes(self, tmp_path: Path) -> None:
        tenant = MINIMAL + CACHE + "endpoint = 'http://10.0.0.1:7070'\npath_style = true\n"
        assert loaded(tmp_path, tenant=tenant).tenant.cache.path_style
