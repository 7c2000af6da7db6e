"""The tools container's command, with real busybox."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from tests.support import kubelet
from tests.support.container import Container
from tests.support.pods import manifest_containers

if TYPE_CHECKING:
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
