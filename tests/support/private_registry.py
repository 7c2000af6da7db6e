"""A real registry, or a mirror of one, that lets nobody in without one login; inside the bed's network namespace."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed import layout, programs
from testbed.wait import wait_for
from tests.support import ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.tls import Certificate

USER, PASSWORD = "builder", "open sesame"
# bcrypt of the password, the only form that Distribution takes.
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"


@contextmanager
def private_registry(folder: Path, *, mirror_of: str = "", tls: Certificate | None = None) -> Iterator[str]:
    """Run it for the block; yields its address.

    Args:
        folder: for its files.
        mirror_of: address of the registry whose images it hands on and keeps; empty: it has its own.
        tls: its certificate; without one it speaks plain HTTP.
    """
    port = ports.free(layout.HOST_ADDRESS)
    address = f"{layout.HOST_ADDRESS}:{port}"
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "{address}"{_secured(tls)}}}\nauth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n'
        + (f"proxy: {{remoteurl: http://{mirror_of}}}\n" if mirror_of else "")
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs.REGISTRY.path, "serve", folder / "config.yml"],
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        wait_for("the private registry", lambda: ports.listens(layout.HOST_ADDRESS, port), 180)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def _secured(tls: Certificate | None) -> str:
    return f", tls: {{certificate: {tls.certificate}, key: {tls.key}}}" if tls else ""
