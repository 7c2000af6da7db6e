"""The bed as a whole: up and down. Each part is made where it is missing, so `up` may be repeated at any time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import (
    api,
    cache,
    cgroups,
    cluster,
    control_plane,
    images,
    layout,
    network,
    nodes,
    packages,
    pki,
    process,
    programs,
    registry,
    requirements,
    rootfs,
    s3,
    tenants,
)
from testbed.errors import BedError
from testbed.process import Service
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from testbed.layout import Node

enter_namespace = network.enter
in_node = nodes.in_node
SERVICES = ("etcd", "apiserver", "controller-manager", "scheduler", "registry", "s3")
LOCK = layout.STATE / "lock"
AT_WORK = "setting this bed up or taking it down"
FILLING = "filling the cache"


def up(progress: Progress) -> None:
    """Bring the bed up, or what is missing of it; returns when both nodes take pods.

    Raises:
        BedError: something is missing or did not start; the text says what to do.
    """
    requirements.check_person()
    with cache.lock(LOCK, progress, AT_WORK):
        _prepare(progress)
        if not network.exists():
            process.stop(_services())  # what lives in a deleted namespace can be reached by nobody
        network.create()
        cgroups.create()
        pki.ensure()
        started = datetime.now(UTC)
        new_nodes = _start_servers()
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(_fill_node, node, progress) for node in layout.NODES]
            work += [pool.submit(_fill_registry, progress), pool.submit(_start_control_plane, progress)]
            for done in work:
                done.result()
        if new_nodes:
            with progress.step("waiting for both nodes to be Ready"):
                _wait_for_nodes(started)
        _wait_for_nodes()


def _prepare(progress: Progress) -> None:
    to_build = programs.missing()
    if to_build or not network.exists():  # a bed that runs has what it needs
        requirements.check_machine(building=bool(to_build))
    packages.ensure(progress)
    if not (to_build or rootfs.missing() or images.missing()):
        return
    with cache.lock(layout.CACHE / "lock", progress, FILLING):
        cache.sweep()
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(_build_programs, progress), pool.submit(_build_root_file_systems, progress)]
            for done in work:
                done.result()
        for image in images.missing():
            images.build(image, progress)


def build_cache_registry(progress: Progress) -> None:
    """Build the one program that tests without a bed need, too, with Go where that is missing."""
    if not programs.CACHE_REGISTRY.artifact.ready:
        with cache.lock(layout.CACHE / "lock", progress, FILLING):
            programs.build(programs.CACHE_REGISTRY, packages.ensure_go(progress), progress)


def _build_programs(progress: Progress) -> None:
    wanted = programs.missing()
    if wanted:
        go = packages.ensure_go(progress)
        for program in wanted:
            programs.build(program, go, progress)


def _build_root_file_systems(progress: Progress) -> None:
    for root in rootfs.missing():
        rootfs.build(root, progress)


def _services() -> list[Service]:
    # By name alone: how they were started matters to nobody who wants to end or look at them.
    return [Service(name) for name in (*SERVICES, *(node.name for node in layout.NODES))]


def _start_servers() -> bool:
    """Start what waits for nobody; returns whether a node is new."""
    control_plane.etcd().start()
    registry.service().start()
    s3.service().start()
    started = [nodes.start(node) for node in layout.NODES]
    return any(started)


def _start_control_plane(progress: Progress) -> None:
    etcd, apiserver = control_plane.etcd(), control_plane.apiserver()
    with network.inside():
        wait_for("etcd", control_plane.etcd_ready, 180, etcd.check)
    if apiserver.start():
        with progress.step("starting the control plane"):
            wait_for("the API server", api.ready, 180, apiserver.check)
    wait_for("the API server", api.ready, 180, apiserver.check)
    control_plane.controller_manager().start()
    control_plane.scheduler().start()
    wait_for("the S3 server", s3.ready, 180, s3.service().check)
    for tenant in layout.TENANTS:
        if not tenants.done(tenant):
            with progress.step(f"setting up {tenant.name}"):
                tenants.set_up(tenant)


def _fill_node(node: Node, progress: Progress) -> None:
    wanted = [image for image in images.FOR_NODES if not nodes.has(node, image)]
    if not wanted:
        return
    with progress.step(f"loading {len(wanted)} images into {node.name}"):
        nodes.wait_for_containerd(node)
        for image in wanted:
            nodes.load(node, image)


def _fill_registry(progress: Progress) -> None:
    wanted = [image for image in images.FOR_REGISTRY if not registry.has(image)]
    wait_for("the registry", registry.ready, 180, registry.service().check)
    if wanted:
        with progress.step(f"pushing {len(wanted)} base images into the registry"):
            for image in wanted:
                registry.push(image)


def _wait_for_nodes(since: datetime | None = None) -> None:
    def alive() -> None:
        for node in layout.NODES:
            Service(node.name).check()

    what = f"both nodes Ready (their logs: {layout.LOGS}/node*.log)"
    wait_for(what, lambda: len(cluster.ready_nodes(since)) == len(layout.NODES), 180, alive)


def down(progress: Progress) -> list[str]:
    """Take the bed down and return what could not be removed (normally nothing). Data and cache stay.

    Whatever else runs in the bed's network namespace is ended too, except this process and those it comes from.

    Raises:
        BedError: a process could not be ended.
    """
    requirements.check_person()
    if not layout.STATE.exists() and not network.exists():
        return []
    with cache.lock(LOCK, progress, AT_WORK):
        process.stop(_services(), patience=1.5)  # the API server waits long for clients that are gone
        process.end_processes(network.processes(), patience=3)
        network.remove()
        groups = cgroups.remove()
        return [*(f"control group {group}" for group in groups), *(f"mount {mount}" for mount in _mounts())]


def _mounts() -> list[str]:
    mounted = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    ours = (layout.STATE, layout.NAMESPACE_PATH)
    return [place for place in mounted if any(Path(place).is_relative_to(folder) for folder in ours)]


def purge(*, built: bool) -> None:
    """Delete the data of a bed that is down, and with `built` also what was built for all beds.

    Raises:
        BedError: the bed is up again.
    """
    progress = Progress()
    with cache.lock(LOCK, progress, AT_WORK):
        if network.exists():
            raise BedError("the bed is up: nothing was deleted")
        cache.remove(layout.STATE)
    if built:
        with cache.lock(layout.CACHE / "lock", progress, FILLING):
            cache.clear()
