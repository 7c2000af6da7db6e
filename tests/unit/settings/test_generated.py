"""What is made from the model is fresh, complete, and agrees with the reader: reference, schemas, examples."""

from __future__ import annotations

import json
import random
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from executor.settings.catalogue import Entry, Table, plain, tables
from executor.settings.model import Driver, Tenant
from executor.settings.reader import TomlFile
from executor.settings.reference import reference
from executor.settings.schema import driver_schema, tenant_schema
from tests.support.tenants import MINIMAL

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
EXAMPLES = ["driver.toml", "tenants/tenant-a.toml", "tenants/tenant-b.toml"]
HOW = "make it fresh: kaniko-driver settings {} > {}"
TENANT_SCHEMA = Draft7Validator(tenant_schema())
DRIVER_SCHEMA = Draft7Validator(driver_schema())


def test_the_reference_is_fresh() -> None:
    page = ROOT / "docs/en/reference/settings.md"
    assert page.read_text(encoding="utf-8") == reference(), HOW.format("reference", page)


@pytest.mark.parametrize(("name", "schema"), [("driver", driver_schema()), ("tenant", tenant_schema())])
def test_the_schemas_are_fresh_and_valid(name: str, schema: dict[str, Any]) -> None:
    file = CONFIG / f"{name}.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == schema, HOW.format(f"schema {name}", file)
    Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_names_its_schema(file: str) -> None:
    path = CONFIG / file
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("#:schema ")
    assert (path.parent / first.removeprefix("#:schema ")).resolve().exists()


def uncommented(file: str) -> str:
    """Return an example with all the keys that stand in it as comments."""
    text = (CONFIG / file).read_text(encoding="utf-8")
    return re.sub(r"^#(?=[\[\"a-z])(?!\S*:)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "with what is commented out"])
@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_is_good_to_the_schema_and_to_the_reader(file: str, *, whole: bool) -> None:
    text = uncommented(file) if whole else (CONFIG / file).read_text(encoding="utf-8")
    schema = DRIVER_SCHEMA if file == "driver.toml" else TENANT_SCHEMA
    document = tomllib.loads(text)
    assert [error.message for error in schema.iter_errors(document)] == []
    assert problems(text, Driver if file == "driver.toml" else Tenant) == []


def problems(text: str, model: type) -> list[str]:
    file = TomlFile("x.toml", text)
    table = {key: value for key, value in file.table.items() if key != "version"}
    file.flat(Tenant, table.pop("defaults", {}) if model is Driver else {}, inside=("defaults",))
    file.flat(model, table)
    return [str(problem) for problem in file.problems]


def all_entries() -> list[tuple[Table, Entry]]:
    return [(table, entry) for table in tables(Tenant) for entry in table.entries]


@pytest.mark.parametrize(("table", "entry"), all_entries(), ids=[".".join(one.path) for _, one in all_entries()])
def test_every_setting_is_explained_in_an_example(table: Table, entry: Entry) -> None:
    defaults = tomllib.loads(uncommented("driver.toml"))["defaults"]
    text = uncommented("tenants/tenant-a.toml")
    found = any(stands_in(document, entry.path) for document in (defaults, tomllib.loads(text)))
    if table.path[0] == "network":
        # One explanation serves all of its lists.
        found = found or f"\n#   {entry.path[-1]}" in text
    assert found or f"\n#   {entry.path[-1]}" in text.partition(f"of {'.'.join(table.path)}:\n")[2].partition("\n\n")[0]


def stands_in(value: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return any(stands_in(item, path) for item in value)
    return isinstance(value, dict) and path[0] in value and stands_in(value[path[0]], path[1:])


def test_every_key_of_an_example_has_a_comment_above_it() -> None:
    for file in ("driver.toml", "tenants/tenant-a.toml"):
        lines = uncommented(file).splitlines()
        for above, line in pairwise(lines):
            if re.match(r"[a-z_]+ = ", line) and "_request" not in line and "_limit" not in line:
                assert re.match(r"#|\[|[a-z_]+ = ", above), f"{file}: nothing explains {line!r}"


WRONG = [
    "[clutser]\nnamespace = 'a'\n",
    "[cluster]\nnamspace = 'a'\n",
    "[cluster]\nnamespace = 'A_b'\n",
    "[cluster]\nnamespace = 5\n",
    "[cluster]\nkubeconfig = './k'\n",
    "[cache]\nmode = 'on'\n",
    "[cache]\nport = 0\n",
    "[cache]\nport = true\n",
    "[cache]\nendpoint = 's3.example.com'\n",
    "[volumes]\nbuilds = '10 GB'\n",
    "[volumes]\nbuilds = '0'\n",
    "[volumes]\nbuilds = '400m'\n",
    "[timeouts]\nidle = '15 min'\n",
    "[timeouts]\nidle = ''\n",
    "[timeouts]\nidle = '0s'\n",
    "[resources.build]\ncpu_limit = '1Gi'\n",
    "[resources.build]\ncpu_limit = 2\n",
    "[nodes]\nlabels = { 'a b' = ['x'] }\n",
    "[nodes]\nlabels = { a = 'x' }\n",
    "[nodes]\nlabels = { a = ['x y'] }\n",
    "[nodes]\ntolerations = [{ value = 'a' }]\n",
    "[nodes]\ntolerations = [{ key = 'a', operator = 'In' }]\n",
    "[images]\nallowed = ['registry.example.com*']\n",
    "[kaniko]\nflags = ['verbosity=debug']\n",
    "[gitlab]\nroot_namespaces = [0]\n",
    "[gitlab]\nroot_namespaces = ['5']\n",
    "[pod]\nlabels = { 'a/b/c' = 'x' }\n",
    "[pod]\nhost_users = 'no'\n",
    "[pod.build]\nadd_capabilities = ['SYS_ADMIN']\n",
    "[pod.security]\nseccomp_profile = 'Unconfined'\n",
    "[pod.security]\nsysctls = { 'kernel.msgmax' = '1' }\n",
    "[pod.dns]\nnameservers = ['dns.example.com']\n",
    "[[pod.volumes]]\nname = 'x'\n",
    "[[pod.volumes]]\nname = 'x'\nhost_path = '/'\nmounts = [{ path = '/x' }]\n",
    "[[pod.volumes]]\nname = 'x'\nconfig_map = 'x'\nmounts = [{ path = 'x' }]\n",
    "[[pod.volumes]]\nname = 'x'\nempty_dir = {}\nmounts = [{ path = '/x' }]\n",
    "[[pod.volumes]]\nname = 'x'\nconfig_map = 'x'\nmounts = [{ path = '/x', sub_path = '../y' }]\n",
    "[[pod.node_preferences]]\nmatch = [{ kye = 'a' }]\n",
    "[[pod.node_preferences]]\nweight = 101\nmatch = [{ key = 'a' }]\n",
    "[overrides]\nnode_selector = ['']\n",
    "[overrides.build]\ncpu_limit = 'lots'\n",
    "[[network.extra]]\ncidr = '10.0.0.0/33'\n",
    "[[network.extra]]\ncidr = '10.0.0'\n",
    "[debug]\nkeep_failed = 30\n",
]


@pytest.mark.parametrize("text", WRONG)
def test_schema_and_reader_reject_the_same(text: str) -> None:
    whole = f"version = 1\n{text}"
    assert problems(whole, Tenant)
    assert list(TENANT_SCHEMA.iter_errors(tomllib.loads(whole)))
    inside = re.sub(r"^(\[+)", r"\1defaults.", text, flags=re.MULTILINE)
    assert problems(f"version = 1\n{inside}", Driver)
    assert list(DRIVER_SCHEMA.iter_errors(tomllib.loads(f"version = 1\n{inside}")))


@pytest.mark.parametrize(
    ("kind", "path"),
    [("cpu", ("resources", "build", "cpu_limit")), ("bytes", ("volumes", "builds")), ("time", ("timeouts", "idle"))],
)
def test_amounts_and_times_are_the_same_to_schema_and_reader(kind: str, path: tuple[str, ...]) -> None:
    source = random.Random(kind)
    parts = ["0", "1", "5", "00", ".", "m", "Mi", "Gi", "k", "h", "s", "90", "Ki", "E", " "]
    for _ in range(3000):
        text = "".join(source.choices(parts, k=source.randint(0, 4)))
        document: Any = text
        for key in reversed(path):
            document = {key: document}
        file = TomlFile("x", "")
        file.flat(Tenant, document)
        accepted = not list(TENANT_SCHEMA.iter_errors({"version": 1} | document))
        assert accepted == (not file.problems), text


def test_values_survive_being_shown() -> None:
    """`settings show` writes what the reader reads."""
    file = TomlFile("x", uncommented("tenants/tenant-a.toml"))
    read = file.flat(Tenant, {key: value for key, value in file.table.items() if key != "version"})
    for path, value in read.items():
        document: Any = plain(value)
        for key in reversed(path):
            document = {key: document}
        again = TomlFile("x", "").flat(Tenant, document)
        assert again == {path: value}


def test_a_minimal_tenant_is_good_to_the_schema() -> None:
    assert list(TENANT_SCHEMA.iter_errors(tomllib.loads(MINIMAL))) == []
