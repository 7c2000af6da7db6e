"""What is installed is what was locked: each file by its hash, each dependency below a next major version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_file_of_every_package_is_locked_by_its_hash() -> None:
    packages = [one for one in LOCK["package"] if "registry" in one["source"]]
    assert len(packages) > 20
    for one in packages:
        files = [*one.get("wheels", ()), *([one["sdist"]] if "sdist" in one else [])]
        assert files, one["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), one["name"]


def test_nothing_comes_from_elsewhere_than_a_registry() -> None:
    sources = {key for one in LOCK["package"] for key in one["source"]}
    assert sources <= {"registry", "editable"}


def test_what_users_install_stays_below_the_next_major_version() -> None:
    for wanted in PROJECT["project"]["dependencies"]:
        assert "<" in wanted, wanted
