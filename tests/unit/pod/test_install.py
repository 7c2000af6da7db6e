"""The tools container's command, and the cache registry's first process, with real busybox."""

from __future__ import annotations

import json
import os
import signal
import time
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from tests.support import kubelet
from tests.support.container import Container
from tests.support.pods import manifest_containers
from tests.support.tenants import CACHE
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestInstall:
    def test_programs_stand_as_in_the_package_and_can_be_run(self, tools: Path) -> None:
        shell = files("executor.pod") / "shell"
        for name, source in (
            ("supervisor", "supervisor"),
            ("executor", "executor"),
            ("logins.awk", "logins.awk"),
            ("helper/gitlab-runner", "gitlab-runner"),
        ):
            assert (tools / name).read_text() == (shell / source).read_text()
            assert (tools / name).stat().st_mode & 0o777 == 0o755

    def test_flags_are_a_line_each(self, tools: Path) -> None:
        flags = (tools / "flags.default").read_text().splitlines()
        assert "--compressed-caching=false" in flags
        assert (tools / "flags.cache").read_text() == ""
        assert (tools / "flags.locked").read_text() == ""

    def test_applets_are_there_for_images_that_lack_them(self, tools: Path) -> None:
        for applet in ("sh", "awk", "find", "chmod", "mkdir", "tee"):
            assert (tools / "bin" / applet).is_symlink()

    def test_the_mark_for_the_waiting_containers_is_set(self, tools: Path) -> None:
        assert (tools / "ready").exists()

    def test_a_volume_that_cannot_be_written_is_a_failure(self, image: Path, tmp_path: Path) -> None:
        container = Container(tmp_path / "root", ["sh", "-c", "while :; do sleep 1; done"], mounts={"/bin": image})
        try:
            done = container.run(*kubelet.command(manifest_containers()["tools"]))
        finally:
            container.kill()
        assert done.process.returncode != 0


REGISTRY = """\
#!/bin/sh
trap 'echo term >> /builds/calls; exit 0' TERM
cat "$2" > /builds/config
echo "$@" >> /builds/calls
while [ ! -e /builds/crash ]; do sleep 0.05; done
rm /builds/crash
exit 1
"""


class TestCacheRegistry:
    @pytest.fixture
    def pulse(self, tmp_path: Path) -> Path:
        folder = tmp_path / "pulse"
        folder.mkdir()
        return folder

    @pytest.fixture
    def registry(self, tmp_path: Path, image: Path, pulse: Path) -> Iterator[Container]:
        program = tmp_path / "program"
        program.mkdir()
        (program / "registry").write_text(REGISTRY)
        (program / "registry").chmod(0o755)
        described = manifest_containers(cache=CACHE)["cache-registry"]
        container = Container(
            tmp_path / "root",
            kubelet.command(described),
            mounts={"/bin": image, "/program": program, "/driver/pulse": pulse},
            environment={
                **kubelet.environment(described, {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "k"}),
                "PATH": "/bin:/program",
                "KANIKO_DRIVER_IDLE_PERIOD": "0.1",
            },
        )
        yield container
        container.kill()

    def calls(self, container: Container) -> list[str]:
        path = container.root / "builds" / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def test_it_serves_with_the_configuration_of_the_manifest(self, registry: Container) -> None:
        until("the registry", lambda: self.calls(registry) == ["serve /tmp/config.yml"])
        until("its configuration", lambda: json.loads((registry.root / "builds" / "config").read_text() or "null"))
        configuration = json.loads((registry.root / "builds" / "config").read_text())
        assert configuration["storage"]["s3"]["bucket"] == "layers"

    def test_it_serves_again_after_a_crash(self, registry: Container) -> None:
        until("the registry", lambda: len(self.calls(registry)) == 1)
        (registry.root / "builds" / "crash").touch()
        until("the second registry", lambda: len(self.calls(registry)) == 2)

    def test_it_ends_when_the_helpers_pulse_does(self, registry: Container, pulse: Path) -> None:
        until("the registry", lambda: len(self.calls(registry)) == 1)
        assert not registry.ended
        os.utime(pulse, (time.time() - 3600, time.time() - 3600))
        assert registry.exit_code == 0

    def test_it_ends_when_the_pod_is_kept_for_people(self, registry: Container, pulse: Path) -> None:
        until("the registry", lambda: len(self.calls(registry)) == 1)
        (pulse / "end").touch()
        assert registry.exit_code == 0

    def test_term_ends_it_and_lets_the_registry_finish(self, registry: Container) -> None:
        until("the registry", lambda: len(self.calls(registry)) == 1)
        registry.signal(signal.SIGTERM)
        assert registry.exit_code == 0
        assert self.calls(registry)[-1] == "term"
