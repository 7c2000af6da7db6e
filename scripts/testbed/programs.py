"""The Go programs of the bed: built once from the modules under `go/`, kept in the cache, each under a key of its own.

A key covers everything the program is made from: the module's go.mod and go.sum, our own sources in it, import path
and linker flags. The modules pin every version; go.sum pins every byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import layout
from testbed.cache import Artifact, digest
from testbed.process import run_logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.progress import Progress

MODULES = Path(__file__).parent / "go"
BUILD_SETTINGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
RUNNER_PACKAGE = "gitlab.com/gitlab-org/gitlab-runner"


def _variables(values: Mapping[str, str]) -> str:
    return " ".join(("-s -w", *(f"-X {name}={value}" for name, value in values.items())))


# Set in both packages, else the server reports v0.0.0-master and clients refuse features.
KUBERNETES_FLAGS = _variables(
    {
        "k8s.io/component-base/version.gitVersion": "v1.35.4",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "35",
        "k8s.io/client-go/pkg/version.gitVersion": "v1.35.4",
    }
)
RUNNER_FLAGS = _variables(
    {
        f"{RUNNER_PACKAGE}/common.VERSION": "19.4.0",
        f"{RUNNER_PACKAGE}/common.REVISION": "fc1f1862",
        f"{RUNNER_PACKAGE}/common.BUILT": "2026-09-03T21:47:10Z",
    }
)


def _is_source(path: Path) -> bool:
    return path.name not in {"go.mod", "go.sum"} and not path.name.endswith("_test.go")


@dataclass(frozen=True)
class Program:
    """One Go program: which module builds it, from which package."""

    name: str
    module: str
    """Folder below `go/`, or anywhere."""
    package: str
    flags: str = "-s -w"
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where the module is."""
        return MODULES / self.module

    @property
    def artifact(self) -> Artifact:
        """The built program in the cache: a folder, so that the file itself can carry the plain name."""
        modules = (self.folder / "go.mod", self.folder / "go.sum")
        own = sorted(path for path in self.folder.rglob("*") if path.is_file() and _is_source(path))
        sources = (*modules, *own)
        return Artifact("programs", self.name, digest((self.package, self.flags, *filter(None, [self.tags]), *sources)))

    @property
    def path(self) -> Path:
        """The built program."""
        return self.artifact.path / self.name


KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBELET, KUBECTL = (
    Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", KUBERNETES_FLAGS)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
)
KANIKO = Program("executor", "kaniko", "github.com/GoogleContainerTools/kaniko/cmd/executor")
REGISTRY = Program("registry", "registry", "github.com/distribution/distribution/v3/cmd/registry")
CRANE = Program("crane", "registry", "github.com/google/go-containerregistry/cmd/crane")
CACHE_REGISTRY = Program("cache-registry", str(Path(__file__).parents[2] / "cache-registry"), ".")
S3 = Program("versitygw", "s3", "github.com/versity/versitygw/cmd/versitygw")
RUNNER = Program("gitlab-runner", "runner", ".", RUNNER_FLAGS)
RUNNER_HELPER = Program("gitlab-runner-helper", "runner", f"{RUNNER_PACKAGE}/apps/gitlab-runner-helper", RUNNER_FLAGS)
# Of what Prometheus can discover, two thirds of the build, a check of rules needs nothing; its pages are left out, too.
PROMETHEUS, PROMTOOL = (
    Program(name, "prometheus", f"github.com/prometheus/prometheus/cmd/{name}", tags="remove_all_sd")
    for name in ("prometheus", "promtool")
)
"""Not among ALL: `scripts/alerts` alone builds them."""
ALL = (
    *(KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBELET, KUBECTL),
    *(KANIKO, REGISTRY, CRANE, CACHE_REGISTRY, S3, RUNNER, RUNNER_HELPER),
)


def missing() -> list[Program]:
    """Return the programs that are still to be built."""
    return [program for program in ALL if not program.artifact.ready]


def build(program: Program, go: Path, progress: Progress) -> None:
    """Build one program into the cache. Call it under the cache's lock."""
    log = layout.CACHE / "programs" / f"{program.name}.log"

    def compile_into(folder: Path) -> None:
        folder.mkdir()
        run_logged(
            (
                *(go, "build", "-p", str(os.cpu_count() or 2), "-trimpath", "-ldflags", program.flags),
                *("-tags", program.tags, "-o", folder / program.name, program.package),
            ),
            log,
            environment={**os.environ, **BUILD_SETTINGS},
            folder=program.folder,
        )

    with progress.step(f"building {program.name}"):
        program.artifact.make(compile_into)
