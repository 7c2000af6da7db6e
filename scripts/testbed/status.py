"""What of the bed runs, how much memory it takes, and whether the nodes are Ready. Looks only; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed import bed, cluster, layout, network, nodes
from testbed.errors import BedError
from testbed.process import Service, descendants

MIB = 2**20


@dataclass(frozen=True)
class Part:
    """One service or node."""

    name: str
    pid: int | None
    memory: int
    note: str = ""

    @property
    def line(self) -> str:
        """How it is shown."""
        where = f"pid {self.pid:<8}{self.memory / MIB:6.0f} MiB" if self.pid else "does not run"
        return f"{self.name:20}{where}  {self.note}".rstrip()


@dataclass(frozen=True)
class Status:
    """The bed at one moment."""

    parts: tuple[Part, ...]
    ready: frozenset[str]
    trouble: str = ""

    @property
    def healthy(self) -> bool:
        """Whether everything runs and every node takes pods."""
        return all(part.pid for part in self.parts) and len(self.ready) == len(layout.NODES)

    @property
    def memory(self) -> int:
        """Bytes resident, pods included."""
        return sum(part.memory for part in self.parts)


def look() -> Status:
    """Return what runs now."""
    ready: set[str] = set()
    trouble = "" if network.exists() else "the bed is down: `scripts/bed up` starts it"
    if not trouble:
        try:
            ready = cluster.ready_nodes()
        except (BedError, OSError) as error:
            trouble = f"the API server does not answer: {error}"
    services = (_service(name) for name in bed.SERVICES)
    return Status((*services, *(_node(node, ready) for node in layout.NODES)), frozenset(ready), trouble)


def _service(name: str) -> Part:
    pid = Service(name).pid
    return Part(name, pid, resident(pid) if pid else 0)


def _node(node: layout.Node, ready: set[str]) -> Part:
    first = nodes.first_process(node)
    inside = descendants(first) if first else []
    state = "Ready" if node.name in ready else "not Ready"
    note = f"{state}, {node.address}, {node.labels}, {len(inside)} processes" if first else ""
    return Part(node.name, first, sum(resident(pid) for pid in inside), note)


def resident(pid: int) -> int:
    """Return the bytes of memory a process holds, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
