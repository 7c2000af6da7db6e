"""A real registry that lets nobody in without one login; inside the bed's network namespace."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from testbed import layout, programs
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "builder", "open sesame"
# bcrypt of the password, the only form that Distribution takes.
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"


@contextmanager
def private_registry(folder: Path) -> Iterator[str]:
    """Run it for the block; yields its address."""
    with closing(socket.create_server((layout.HOST_ADDRESS, 0))) as taken:
        address = f"{layout.HOST_ADDRESS}:{taken.getsockname()[1]}"
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "{address}"}}\nauth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n'
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs.REGISTRY.path, "serve", folder / "config.yml"],
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        wait_for("the private registry", lambda: _listens(address), 30)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))):
        return True
