"""Rules between settings: each that is broken is told, and what just keeps them passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.errors import SettingsInvalid
from executor.settings.load import load
from tests.support.tenants import MINIMAL, write_settings

if TYPE_CHECKING:
    from pathlib import Path

CACHE = "[cache]\nmode = 'read-write'\nbucket = 'b'\nprefix = 'p'\nregion = 'r'\n"
ROLE = "role = 'arn:aws:iam::1:role/r'\n"
STS = f"{CACHE}credentials = 'sts'\n{ROLE}"
ACCOUNT = "[pod]\nservice_account = 'builds'\n"
MOUNT = "mounts = [{ path = '/data', containers = ['build'] }]"


def volume(*fields: str) -> str:
    return "".join(f"[[pod.volumes]]\nname = 'v'\n{field}\n" for field in fields)


def requirement(operator: str, *values: str) -> str:
    return f"[[pod.node_requirements]]\nkey = 'k'\noperator = '{operator}'\nvalues = {list(values)}\n"


BROKEN = {
    CACHE + "generation = '59m'\nsecret = 's'\n": "a generation must last an hour",
    CACHE + f"credentials = 'service-account'\n{ROLE}": "keys by a service account need pod.service_",
    CACHE + "credentials = 'pod-identity'\n": "keys by a service account need pod.service_account",
    CACHE + f"credentials = 'pod-identity'\n{ACCOUNT}[overrides]\nservice_accounts = ['x']\n": (
        "a job must not choose the service account"
    ),
    CACHE + "credentials = 'sts'\n": "the cache is on, so cache.role must be set",
    STS + "[capacity]\nwarm_pods = 1\n": "a pod that waits has no job yet",
    STS + "[runner]\nlongest_job = '12h'\n": "43200 s are the most",
    "[pod]\nlabels = { 'kaniko-driver/x' = 'y' }\n": "kaniko-driver/x belongs to the driver",
    requirement("In"): "In needs at least one of `values`",
    requirement("Exists", "a"): "Exists takes no `values`",
    requirement("DoesNotExist", "a"): "DoesNotExist takes no `values`",
    requirement("Gt", "x"): "Gt takes one whole number in `values`",
    requirement("Lt", "1", "2"): "Lt takes one whole number in `values`",
    "[[pod.node_preferences]]\nweight = 1\nmatch = []\n": "a preference needs at least one condition",
    "[pod.dns]\npolicy = 'none'\n": "policy 'none' needs pod.dns.nameservers",
    "[pod.dns]\nnameservers = ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4']\n": "Kubernetes allows 3 name servers",
    "[[pod.host_aliases]]\nip = '10.0.0.1'\nhostnames = []\n": "an alias needs at least one name",
    "[pod.build]\nadd_capabilities = ['CHOWN']\ndrop_capabilities = ['CHOWN']\n": (
        "CHOWN cannot be both added and dropped"
    ),
    volume(MOUNT): "volume 'v' needs exactly one of",
    volume(f"secret = 's'\nconfig_map = 'c'\n{MOUNT}"): "given: ",
    volume(f"claim = 'c'\nitems = {{ a = 'b' }}\n{MOUNT}"): "only a Secret or a ConfigMap has items",
    volume("config_map = 'c'\nmounts = []"): "volume 'v' is mounted nowhere",
    volume("config_map = 'c'\nmounts = [{ path = '/data', containers = [] }]"): "a mount needs at least one container",
    volume("config_map = 'c'\nmounts = [{ path = '/builds/x', containers = ['build'] }]"): (
        "/builds/x: /builds is taken in every job pod"
    ),
    volume("config_map = 'c'\nmounts = [{ path = '/a/../b', containers = ['build'] }]"): "must be written without",
    volume(*2 * [f"config_map = 'c'\n{MOUNT}"]): "two volumes have the same name",
    volume(f"secret = 'kaniko-driver-login'\n{MOUNT}"): "the Secret kaniko-driver-login belongs to the driver",
    volume(f"secret = 's'\n{MOUNT}") + CACHE + "secret = 's'\n": "the Secret s holds the keys of the layer cache",
}


@pytest.mark.parametrize("table", BROKEN)
def test_a_broken_rule_is_told(tmp_path: Path, table: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load(write_settings(tmp_path, tenant=MINIMAL + table), "tenant-a")
    assert BROKEN[table] in refused.value.why


@pytest.mark.parametrize(
    "table",
    [
        CACHE + f"credentials = 'service-account'\n{ROLE}{ACCOUNT}",
        CACHE + "generation = '1h'\nsecret = 's'\n",
        STS + "[runner]\nlongest_job = '11h'\n",
        requirement("In", "a") + requirement("Exists") + requirement("Gt", "3"),
        "[pod.dns]\npolicy = 'none'\nnameservers = ['1.1.1.1', '1.1.1.2', '1.1.1.3']\n",
        volume(f"secret = 's'\nitems = {{ a = 'b' }}\n{MOUNT}"),
        volume("config_map = 'c'\nmounts = [{ path = '/buildsx', containers = ['build'] }]"),
    ],
)
def test_what_just_keeps_the_rules_passes(tmp_path: Path, table: str) -> None:
    assert load(write_settings(tmp_path, tenant=MINIMAL + table), "tenant-a").tenant.name == "tenant-a"
