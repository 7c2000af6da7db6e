"""What is asked of the machine, and the files a node is made from."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from testbed import cgroups, layout, network, node_files
from testbed.errors import BedError
from testbed.layout import NODES
from testbed.marks import Mark
from testbed.node import KERNEL_SETTINGS
from testbed.requirements import check_disk, memory_total
from testbed.status import Part, Status, resident

MOUNTS = """\
proc /proc proc rw,relatime 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BedError, match=r"not/yet/there: [\d.]+ GiB free, 1048576 GiB needed\. .*KANIKO_BED_STATE"):
        check_disk(tmp_path / "not" / "yet" / "there", 2**50)


def test_a_disk_with_room_is_accepted(tmp_path: Path) -> None:
    check_disk(tmp_path, 1)


def test_memory_is_read_as_the_kernel_states_it() -> None:
    assert memory_total("MemTotal:       24684092 kB\nMemFree: 1 kB\n") == 24684092 * 1024


def test_the_hierarchies_of_both_versions_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mounts")
    cgroups.MOUNTS.write_text(MOUNTS)
    assert cgroups.hierarchies("cgroup") == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/memory")]
    assert cgroups.hierarchies("cgroup2") == [Path("/sys/fs/cgroup/unified")]


def test_version_2_groups_are_made_in_the_one_hierarchy_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = tmp_path / "cgroup"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text("cpu memory")
    (mount / "cgroup.subtree_control").touch()
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mounts")
    cgroups.MOUNTS.write_text(f"cgroup2 {mount} cgroup2 rw 0 0\n")
    cgroups.create()
    assert (mount / layout.NAME / "node2").is_dir()
    # One controller a write: the kernel refuses all of them when it refuses one.
    assert (mount / "cgroup.subtree_control").read_text() == "+memory"
    assert cgroups.remove() == []
    assert not (mount / layout.NAME).exists()


def test_a_node_that_starts_again_finds_no_groups_of_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = tmp_path / "cgroup"
    pod, other = (mount / layout.NAME / node / "kubepods/burstable/pod1/container" for node in ("node1", "node2"))
    for group in (pod, other):
        group.mkdir(parents=True)
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mounts")
    cgroups.MOUNTS.write_text(f"cgroup2 {mount} cgroup2 rw 0 0\n")
    cgroups.forget_pods("node1")
    assert not (mount / layout.NAME / "node1/kubepods").exists()
    assert other.is_dir()


def test_a_bed_that_is_down_says_so_to_who_wants_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "NAMESPACE_PATH", tmp_path / "absent")
    with pytest.raises(BedError, match=r"is the bed up\?"):
        network.enter()
    assert network.processes() == {}


def test_each_node_has_addresses_of_its_own() -> None:
    first, second = NODES
    assert first.address != second.address
    assert first.pod_range != second.pod_range
    assert json.loads(node_files.cni(first))["plugins"][0]["ipam"]["ranges"] == [[{"subnet": first.pod_range}]]


def test_containerd_gets_valid_toml_with_the_pause_image() -> None:
    settings = tomllib.loads(node_files.containerd(NODES[0]))
    container_runtime = settings["plugins"]["io.containerd.grpc.v1.cri"]
    assert container_runtime["sandbox_image"] == layout.PAUSE_IMAGE
    assert container_runtime["restrict_oom_score_adj"] is True
    assert tomllib.loads(node_files.registry_hosts())["server"] == f"http://{layout.REGISTRY}"


def test_kubelet_keeps_loaded_images_and_large_logs() -> None:
    settings = json.loads(node_files.kubelet(NODES[0]))
    assert settings["imageGCHighThresholdPercent"] == 99
    assert settings["containerLogMaxSize"] == "100Mi"
    assert settings["cgroupRoot"] == f"/{layout.NAME}/node1"


def test_the_kernel_settings_that_are_covered_exist() -> None:
    assert all(Path("/proc/sys", name).exists() for name in KERNEL_SETTINGS)


def test_a_mark_is_there_for_just_the_content_it_was_set_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MARKS", tmp_path / "marks")
    assert not Mark("node1-pause", "aaaa").there
    Mark("node1-pause", "aaaa").set()
    assert Mark("node1-pause", "aaaa").there
    assert not Mark("node1-pause", "bbbb").there


def test_a_bed_is_healthy_when_everything_runs_and_all_nodes_are_ready() -> None:
    ready = frozenset(node.name for node in NODES)
    runs, stopped = Part("etcd", 12, 2**20), Part("s3", None, 0)
    assert Status((runs,), ready).healthy
    assert not Status((runs, stopped), ready).healthy
    assert not Status((runs,), frozenset({"node1"})).healthy
    assert stopped.line == "s3                  does not run"
    assert "1 MiB" in runs.line


def test_memory_of_a_process_that_is_gone_is_nothing() -> None:
    largest_pid = 2**22  # Linux PID_MAX_LIMIT
    assert resident(largest_pid + 1) == 0
