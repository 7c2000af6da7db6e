"""Settings that tests start from: the smallest tenant that is valid, with tables to lay over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.cache.use import Use
from executor.pod.manifest import PodRequest
from executor.settings.model import Tenant
from executor.settings.reader import TomlFile, build

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """\
version = 1

[cluster]
namespace = "tenant-a"

[nodes]
labels = { tenant = ["a"] }
[images]
kaniko = "registry.example.com/kaniko:v1.24.0-debug"
helper = "registry.example.com/helper:v19.4.0"
cache_registry = "registry.example.com/cache-registry:1"
"""

POD_REQUEST = PodRequest(
    name="kaniko-job-7-bcdfgh",
    attempt="bcdfghjklmnpqrst",
    job_id=7,
    project_id=3,
    annotations={},
    build_image="registry.example.com/kaniko:v1.24.0-debug",
    cache=Use(mode="read-write", prefix="layer-cache/tenant-a"),
    deadline=4800,
    delete_after=1_800_006_000,
)
"""What a pod needs to know of a plain job."""
CACHE: dict[str, Any] = {"mode": "read-write", "bucket": "layers", "secret": "layer-cache-s3"}
"""A `[cache]` table that turns the layer cache on."""


def tenant(**tables: dict[str, Any]) -> Tenant:
    """Make a tenant from the minimal one; `tenant(cache={"port": 5000})` lays a table over it."""
    document: dict[str, dict[str, Any]] = {
        "cluster": {"namespace": "tenant-a"},
        "nodes": {"labels": {"tenant": ["a"]}},
        "images": {
            "kaniko": "registry.example.com/kaniko:v1.24.0-debug",
            "helper": "registry.example.com/helper:v19.4.0",
            "cache_registry": "registry.example.com/cache-registry:1",
        },
    }
    for name, table in tables.items():
        document[name] = document.get(name, {}) | table
    file = TomlFile("tenant-a.toml", "")
    values = file.flat(Tenant, document) | {("name",): "tenant-a"}
    missing: list[tuple[str, ...]] = []
    built: Tenant = build(Tenant, values, missing)
    assert not file.problems
    assert not missing
    return built


def write_settings(
    folder: Path, *, tenant: str = MINIMAL, driver: str = "version = 1\n", name: str = "tenant-a"
) -> str:
    """Write a settings folder and return its path; a further call adds a tenant."""
    (folder / "tenants").mkdir(parents=True, exist_ok=True)
    for path, text in ((folder / "driver.toml", driver), (folder / "tenants" / f"{name}.toml", tenant)):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return str(folder)
