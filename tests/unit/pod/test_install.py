"""The tools container's command, with real busybox."""

from __future__ import annotations

import shutil
import signal
from importlib.resources import files
from typing import TYPE_CHECKING

from executor.pod import programs
from tests.support import kubelet
from tests.support.container import Container, Exec
from tests.support.pods import manifest_containers
from tests.support.waiting import until

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

    def test_a_container_that_goes_on_as_a_program_ends_well_when_the_program_fails(
        self, image: Path, tmp_path: Path
    ) -> None:
        # There is no such program, which is as good a failure as any.
        done, volume = self.installed(programs.install_command({}, then="/bin/fails"), image, tmp_path)
        assert done.process.returncode == 0
        assert (volume / "ready").exists()

    def test_it_hands_the_wish_to_end_on_to_the_program(self, image: Path, tmp_path: Path) -> None:
        volume, program = tmp_path / "volume", tmp_path / "bin"
        volume.mkdir()
        shutil.copytree(image, program, symlinks=True)
        (program / "waits").write_text(
            "#!/bin/sh\ntrap '> /driver/tools/ended; exit 3' TERM\n> /driver/tools/waits\nwhile :; do sleep 0.1; done\n"
        )
        (program / "waits").chmod(0o755)
        container = Container(
            tmp_path / "root",
            programs.install_command({}, then="/bin/waits"),
            mounts={"/bin": program, "/driver/tools": volume},
        )
        until("the program", (volume / "waits").exists)
        container.signal(signal.SIGTERM)
        assert container.exit_code == 0
        assert (volume / "ended").exists()

    def test_one_that_was_started_again_leaves_the_programs_as_they_are(self, image: Path, tmp_path: Path) -> None:
        done, volume = self.installed(programs.install_command({}), image, tmp_path, ready="", supervisor="in use")
        assert done.process.returncode == 0
        assert (volume / "supervisor").read_text() == "in use"

    @staticmethod
    def installed(command: list[str], image: Path, folder: Path, **there: str) -> tuple[Exec, Path]:
        """Run a command on a volume where some files are already; returns the command and the volume."""
        volume = folder / "volume"
        volume.mkdir()
        for name, text in there.items():
            (volume / name).write_text(text)
        mounts = {"/bin": image, "/driver/tools": volume}
        container = Container(folder / "root", ["sh", "-c", "while :; do sleep 1; done"], mounts=mounts)
        try:
            return container.run(*command), volume
        finally:
            container.kill()

    def test_a_volume_that_cannot_be_written_is_a_failure(self, image: Path, tmp_path: Path) -> None:
        container = Container(tmp_path / "root", ["sh", "-c", "while :; do sleep 1; done"], mounts={"/bin": image})
        try:
            done = container.run(*kubelet.command(manifest_containers()["tools"]))
        finally:
            container.kill()
        assert done.process.returncode != 0
