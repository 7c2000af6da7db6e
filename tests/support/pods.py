"""Job pods made of real programs: tools installed by the real command, containers as the manifest says."""

from __future__ import annotations

import signal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from executor.pod import programs
from executor.pod.manifest import render
from tests.support import kubelet
from tests.support.container import Container, Exec, busybox
from tests.support.tenants import POD_REQUEST, tenant
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUPERVISOR = ("/driver/tools/busybox", "sh", "/driver/tools/supervisor")
# The beat of a real follower is five seconds; tests that wait for one have not got them.
FAST = {"KANIKO_DRIVER_BEAT_TICKS": "2"}


def manifest_containers(**tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the containers of a tenant's job pod by name."""
    manifest = render(tenant(**tables), POD_REQUEST)
    return {container["name"]: container for container in manifest["spec"]["containers"]}


def make_image(folder: Path) -> Path:
    """Make the /bin of every container: busybox and some applets."""
    (folder / "busybox").write_bytes(busybox().read_bytes())
    (folder / "busybox").chmod(0o755)
    for applet in ("sh", "sleep", "ps", "cat", "kill", "setsid"):
        (folder / applet).symlink_to("busybox")
    return folder


def make_tools(folder: Path, image: Path) -> Path:
    """Fill a tools volume by the command of the tools container."""
    volume = folder / "volume"
    volume.mkdir()
    installer = Container(
        folder / "root",
        ["sh", "-c", "while :; do sleep 1; done"],
        mounts={"/bin": image, "/driver/tools": volume},
    )
    done = installer.run(*kubelet.command(manifest_containers()["tools"]))
    installer.kill()
    assert (done.process.returncode, done.err) == (0, b"")
    return volume


class Pod:
    """Containers that share volumes, as those of a job pod do."""

    def __init__(self, folder: Path, image: Path, tools: Path) -> None:
        self.folder = folder
        self.image = image
        self.volumes = {"/bin": image, "/driver/tools": tools}
        for path in ("/driver/stages", "/driver/logins", "/driver/pulse", "/builds", "/cache"):
            self.volumes[path] = folder / "volumes" / path.replace("/", "_")
            self.volumes[path].mkdir(parents=True)
        self.containers: list[Container] = []

    @property
    def stages(self) -> Path:
        """The volume of scripts and outputs."""
        return self.volumes["/driver/stages"]

    def start(
        self, name: str = "build", *, idle: int = 900, environment: Mapping[str, str] | None = None, ready: bool = True
    ) -> Container:
        """Start a container with the first process that the manifest gives it."""
        mounts = {path: source for path, source in self.volumes.items() if name == "build" or path != "/driver/logins"}
        container = Container(
            self.folder / name,
            programs.first_process(idle),
            mounts=mounts,
            environment={"KANIKO_DRIVER_CONTAINER": name, **FAST, **(environment or {})},
        )
        self.containers.append(container)
        if ready:
            # The supervisor is the one that does, and it begins with that.
            until("the first process", lambda: container.listens_for(signal.SIGTERM))
        return container

    def close(self) -> None:
        """End all containers."""
        for container in self.containers:
            container.kill()


def start_script(container: Container, stage: str, script: bytes | str, *, logins: bytes = b"", **options: Any) -> Exec:
    """Start a script as the driver does, with its stdin left open; `options` are those of `programs.run_command`."""
    payload = logins + (script.encode() if isinstance(script, str) else script)
    chosen = {"shell": "sh", "output_limit": 10**9, "umask": "0022", **options}
    command = programs.run_command(stage=stage, payload=payload, logins=len(logins), **chosen)
    return container.exec(*command).send(payload)


def run_script(container: Container, stage: str, script: bytes | str, **options: Any) -> Exec:
    """Run a script to its end."""
    return start_script(container, stage, script, **options).wait()


def digest(data: bytes) -> str:
    """Return the digest that the supervisor checks."""
    return sha256(data).hexdigest()
