"""Secrets of a real job, looked for wherever the driver and the cluster write something down."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import api, ci, layout, s3
from testbed.jobs import Credentials, JobSpec, Variable

from .conftest import BUSY

if TYPE_CHECKING:
    from .conftest import Author

TENANT = layout.TENANTS[0]


def command_lines() -> str:
    """The arguments of every process of this machine, those in pods included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(found)


def test_no_secret_of_a_job_is_written_down_anywhere(author: Author, gitlab: ci.Ci) -> None:
    """Arguments, manifests, labels, events, the operator log, the runner's log and the API server's audit log."""
    planted = {
        name: f"canary-{name}-{secrets.token_hex(12)}" for name in ("masked", "file", "plain", "login", "script")
    }
    keys, token = s3.credentials(TENANT.name), "".join(TENANT.kubeconfig.read_text().split("token:")[1].split()[:1])
    spec = JobSpec(
        TENANT.name,
        # The script's text is the author's: it goes into the pod and into the job log, and nowhere else.
        script=(f': {planted["script"]}; echo at" "work; {BUSY}',),
        after_script=("true",),
        variables=(
            Variable("MASKED", planted["masked"], public=False, masked=True),
            Variable("SECRET_FILE", planted["file"], public=False, file=True),
            Variable("PLAIN", planted["plain"], public=False),
        ),
        credentials=(Credentials("registry.invalid", "user", planted["login"]),),
        timeout=120,
    )
    job = author.submits(spec)
    job.wait_for("at work")
    (pod,) = ci.job_pods(TENANT, job.ident)
    seen = {
        "arguments": command_lines(),
        "the pod's manifest and status": json.dumps(pod),
        "events": json.dumps(api.items("Event", TENANT.name)),
    }
    job.cancel()
    job.wait()
    seen |= {
        "the operator log": (layout.DRIVER / "driver.jsonl").read_text(),
        "the runner's log": gitlab.runner.log.read_text(),
        "the API server's audit log": layout.AUDIT_LOG.read_text(),
        "the API server's own log": (layout.LOGS / "apiserver.log").read_text(errors="replace"),
    }
    hunted = planted | {"job token": job.given.token, "S3 secret key": keys.secret_key, "the driver's token": token}
    found = [(name, where) for name, secret in hunted.items() for where, text in seen.items() if secret in text]
    assert found == []
    assert str(job.ident) in seen["the operator log"], "the right log was looked at"
    assert pod["metadata"]["name"] in seen["the API server's audit log"]
