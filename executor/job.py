"""The job file: everything that `config` resolved, for the later stages of the same attempt.

JSON, mode 0600, in the runner's temporary folder of the attempt, which the runner removes. It carries a version, so
that a job that runs during an upgrade of the driver finishes or fails with words.
"""

from __future__ import annotations

import json
import os

from executor.errors import ContractBroken, in_words
from executor.values import asdict, dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach the API server and how to authenticate; no token stands in here, only where one is found."""

    server: str
    namespace: str
    ca_file: str = ""
    """Empty: the system's certificate authorities."""
    tls_server_name: str = ""
    insecure: bool = False
    """The kubeconfig's own insecure-skip-tls-verify."""
    proxy: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token_file: str = ""
    """Read anew by every stage, since projected tokens rotate."""
    exec_plugin: dict[str, Any] = field(default_factory=dict)
    """`users[].user.exec` of the kubeconfig, when a program supplies the token."""
    exec_cache: str = ""
    """File that keeps the program's answer until it expires."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the build container may use at most, for the summary of what it used; 0 where it is not known."""

    memory: int = 0
    """The first three in bytes."""
    disk: int = 0
    builds: int = 0
    """Of the volume with the clone."""
    cpu: int = 0
    """In thousandths of a core."""

    def figures(self) -> dict[str, int]:
        """Return those that are known, by the names that they have in the operator log."""
        known = {
            "memory_limit_bytes": self.memory,
            "disk_limit_bytes": self.disk,
            "builds_limit_bytes": self.builds,
            "cpu_limit_millicores": self.cpu,
        }
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt of one job."""

    version: int = VERSION
    id: int
    tenant: str
    pod: str
    """Name of the job pod, chosen before it exists."""
    attempt: str
    """Value of the attempt label; unlike the job id it belongs to this attempt alone."""
    connection: Connection
    manifest: dict[str, Any]
    """The job pod as it will be created."""
    logins: str
    """A docker config.json with the tenant's and the job's registry logins; empty when there are none."""
    build_shell: str
    """`bash` or `sh`: what runs the author's scripts."""
    output_limit: int
    """Bytes that one sub-stage may print."""
    schedule_timeout: int
    """All time-outs in seconds."""
    start_timeout: int
    stop_grace: int
    connection_timeout: int
    journal: str
    sections: bool = False
    """GitLab folds sections of this job's log, and the job wants no plain text."""
    limits: Limits = Limits()
    pull_timeout: int = 600
    new_node_timeout: int = 0
    """How long to wait for a node that does not exist yet; 0: not at all."""
    keep_failed: int = 0
    """How long the pod stays after a failure, in seconds; 0: not at all."""
    keep_failed_most: int = 0
    """How many pods of the tenant may be kept at once."""
    when_full: str = "wait"
    """What to do while the tenant's quota has no room: `wait`, or `fail`."""
    secrets: tuple[dict[str, Any], ...] = ()
    """Secrets that the pod needs and that `prepare` makes; the pod waits for them at its scheduling gate."""
    health_ports: dict[str, str] = field(default_factory=dict)
    """Port that a service is to listen on before scripts begin -> its image."""
    services_wait: int = 0
    """Seconds to wait for that."""
    service_logs: dict[str, str] = field(default_factory=dict)
    """Container of a service whose log is shown in the job's -> its name there; empty unless the job asks for it."""
    print_events: bool = False
    """The job asks for the cluster's events of its pod."""
    usual_umask: bool = False
    """The job wants what git and the caches bring without a right to write for everybody."""
    warm: str = ""
    """Fingerprint of the warm pods that could serve this job; empty where none could."""
    cold_because: str = ""
    """Why not, where the tenant has some."""
    pull_policies: dict[str, list[str]] = field(default_factory=dict)
    """Container -> policies, as Kubernetes writes them, that are left for when its image cannot be pulled."""
    authors_image: bool = False
    """The build container's image was chosen by the job's author."""
    notes: tuple[str, ...] = ()
    """Lines for the job log that `config` cannot print itself: its stdout is the contract's."""

    def write(self, path: str) -> None:
        """Write the job file, readable by its owner only; it is whole or not there, even if this process is killed."""
        draft = f"{path}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        os.replace(draft, path)

    @classmethod
    def read(cls, path: str) -> Job:
        """Read the job file.

        Raises:
            ContractBroken: it is missing, damaged, or from another version of the driver.
        """
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            if document["version"] != VERSION:
                raise ContractBroken(
                    "This job was started by another version of kaniko-driver, which this one cannot continue.",
                    why=f"Its job file has version {document['version']}, this driver knows version {VERSION}.",
                    remedy="Run the job again; upgrade a runner's driver only while it is drained (SIGQUIT).",
                )
            document["connection"] = Connection(**document["connection"])
            document["limits"] = Limits(**document["limits"])
            document["notes"] = tuple(document["notes"])
            document["secrets"] = tuple(document["secrets"])
            return cls(**document)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ContractBroken(
                "The job file that the config stage wrote cannot be read.",
                why=f"{path}: {in_words(error, f'{type(error).__name__}: {error}')}",
                remedy="Run the job again; if it stays, the disk of the runner's host may be full.",
            ) from error
