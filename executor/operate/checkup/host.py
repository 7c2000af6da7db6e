"""Checks of the runner's host: GitLab Runner's version, its config.toml, the operator log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

from executor.operate.checkup.findings import good, problem, skipped, warning
from executor.operate.shown import DEFAULT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.operate.checkup.findings import Finding
    from executor.settings.model import Tenant

LEAST_RUNNER = (17, 9)
_SECONDS = 20
_VERSION = re.compile(r"^Version:\s+v?(\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)
_TAG = re.compile(r":.*?v?(\d+)\.(\d+)(?:\.(\d+))?(?:-|$)")
_STAGES = ("config", "prepare", "run", "cleanup")
_RENEW = "Compare with what `kaniko-driver tenant register` prints."


def runner_version(program: str, tenants: Iterable[Tenant]) -> Iterator[Finding]:
    """Is the runner new enough, and are the helper images of its version?"""
    found = shutil.which(program)
    if not found:
        yield skipped(
            "runner-version",
            f"{program} is not on this machine",
            "Run this on the runner's host, or name the program by --runner-program.",
        )
        return
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield problem("runner-version", f"{found} --version: {error}", "Is it GitLab Runner?")
        return
    match = _VERSION.search(said.stdout)
    if not match:
        yield warning("runner-version", f"{found} does not tell its version", "Is it GitLab Runner?")
        return
    version = int(match[1]), int(match[2])
    shown = f"{match[1]}.{match[2]}"
    if version < LEAST_RUNNER:
        yield problem(
            "runner-version",
            f"GitLab Runner {shown} cannot tell the driver its job; 17.9 is the least",
            "Upgrade GitLab Runner.",
        )
        return
    yield good("runner-version", f"GitLab Runner {shown}")
    for tenant in tenants:
        tag = _TAG.search(tenant.images.helper.rpartition("/")[2])
        if tag and (int(tag[1]), int(tag[2])) != version:
            yield warning(
                "helper-version",
                f"{tenant.name} uses the helper image of {tag[1]}.{tag[2]}, the runner is {shown}",
                "Set images.helper to the runner's own version: they exchange artifacts and caches by private means.",
            )


def runner_config(path: str, tenants: Mapping[str, Tenant], folder: str) -> Iterator[Finding]:
    """Does config.toml call the driver for each tenant, with limits and time-outs that fit?

    Args:
        path: of config.toml.
        tenants: those with usable settings.
        folder: of these settings.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        remedy = "Run this as a user who may read it, or name it by --runner-config."
        yield skipped("runner-config", f"{path} cannot be read: {why}", remedy)
        return
    sections = [one for one in document.get("runners", ()) if _calls_driver(one)]
    if not sections:
        yield problem("runner-config", f"no section of {path} calls kaniko-driver", _RENEW)
        return
    served: set[str] = set()
    for section in sections:
        name = str(section.get("name") or "without a name")
        arguments = [str(word) for word in section.get("custom", {}).get("config_args", ())]
        tenant = _after(arguments, "--tenant")
        if tenant:
            served.add(tenant)
            if tenant not in tenants:
                yield problem(
                    "runner-config",
                    f"section {name!r} is for tenant {tenant!r}, which has no usable settings file",
                    "Correct --tenant in its config_args, or make the tenant: kaniko-driver tenant init.",
                )
        elif _after(arguments, "--tenant-by"):
            served |= {one.name for one in tenants.values() if one.gitlab.root_namespaces}
        else:
            yield problem("runner-config", f"section {name!r} does not tell whose runner it is", _RENEW)
        yield from _settings(_after(arguments, "--settings") or DEFAULT_SETTINGS, folder, name)
        yield from _stages(section, name)
        if tenant in tenants:
            yield from _limits(section, name, tenants[tenant])
    yield from _together(document, sections, tenants, served, path)


def _calls_driver(section: Mapping[str, Any]) -> bool:
    custom = section.get("custom") or {}
    words = [str(custom.get("config_exec") or ""), *map(str, custom.get("config_args") or ())]
    return section.get("executor") == "custom" and any("kaniko-driver" in word for word in words)


def _after(words: list[str], option: str) -> str:
    for index, word in enumerate(words):
        if word == option:
            return words[index + 1] if index + 1 < len(words) else ""
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def _settings(read: str, checked: str, name: str) -> Iterator[Finding]:
    if not os.path.exists(os.path.join(read, "driver.toml")):
        yield problem(
            "runner-config",
            f"section {name!r} reads its settings from {read}, where no driver.toml is",
            "Correct --settings in its config_args.",
        )
    elif not os.path.samefile(read, checked):
        yield warning(
            "runner-config",
            f"section {name!r} reads its settings from {read}; what was checked is {checked}",
            "Check those, by --settings, or correct --settings in its config_args.",
        )


def _stages(section: Mapping[str, Any], name: str) -> Iterator[Finding]:
    custom = section["custom"]
    for stage in _STAGES:
        program = str(custom.get(f"{stage}_exec") or "")
        if not program:
            what = {
                "cleanup": "pods would stay until their deadline",
                "config": "no job could start",
                "prepare": "no job could start",
                "run": "no job could run",
            }[stage]
            yield problem("runner-config", f"section {name!r} has no {stage}_exec: {what}", _RENEW)
        elif not shutil.which(program):
            yield problem(
                "runner-config",
                f"section {name!r}: {stage}_exec is {program}, and there is no such program here",
                "Correct the path: `command -v kaniko-driver` tells it.",
            )
        elif stage not in [str(word) for word in custom.get(f"{stage}_args") or ()]:
            yield problem("runner-config", f"section {name!r}: {stage}_args lacks the word {stage!r}", _RENEW)


def _limits(section: Mapping[str, Any], name: str, tenant: Tenant) -> Iterator[Finding]:
    limit = section.get("limit") or 0
    if not limit or limit > tenant.capacity.jobs:
        yield warning(
            "runner-limit",
            f"section {name!r} takes {limit or 'any number of'} jobs at once; {tenant.name}'s quota has room for "
            f"{tenant.capacity.jobs}, the others wait inside the runner's time-outs",
            f"Set limit = {tenant.capacity.jobs}, or raise capacity.jobs of the tenant.",
        )
    custom = section["custom"]
    waits = tenant.timeouts
    least = {
        "prepare_exec_timeout": waits.until_ready,
        "graceful_kill_timeout": waits.stop_grace.seconds,
    }
    for key, seconds in least.items():
        # Both have defaults of the runner's own: an hour, and ten minutes.
        if key in custom and custom[key] <= seconds:
            yield warning(
                "runner-timeouts",
                f"section {name!r}: {key} = {custom[key]}, but {tenant.name}'s own time-outs need more than {seconds}",
                "Raise it, so that the driver can finish and say why: `kaniko-driver tenant register` has the value.",
            )


def _together(
    document: Mapping[str, Any],
    sections: list[dict[str, Any]],
    tenants: Mapping[str, Tenant],
    served: set[str],
    path: str,
) -> Iterator[Finding]:
    limits = sum(one.get("limit") or 0 for one in document.get("runners", ()))
    if (concurrent := document.get("concurrent") or 1) < limits:
        yield warning(
            "runner-concurrent",
            f"concurrent = {concurrent}, but the sections together take {limits}: tenants take places from each other",
            f"Set concurrent = {limits} at the top of {path}.",
        )
    for section in sections:
        if section.get("run_untagged"):
            yield warning(
                "untagged-jobs",
                f"section {section.get('name')!r} allows untagged jobs: anybody's job may run on this tenant's nodes",
                "Turn `Run untagged jobs` off for this runner in GitLab.",
            )
    tags: dict[str, str] = {}
    for section in sections:
        for tag in _tags(section):
            if tag in tags and tags[tag] != section.get("name"):
                yield problem(
                    "shared-tag",
                    f"sections {tags[tag]!r} and {section.get('name')!r} share the tag {tag!r}: GitLab gives jobs with "
                    "it to either",
                    "Give each tenant's runner tags of its own.",
                )
            tags.setdefault(tag, str(section.get("name")))
    if missing := sorted(set(tenants) - served):
        yield warning(
            "runner-config",
            f"no section of {path} takes jobs of {', '.join(missing)}",
            "Add the section that this prints, unless another host or a runner in the cluster has it.",
            *(f"kaniko-driver tenant register {name}" for name in missing),
        )
    else:
        yield good("runner-config", f"{path} calls the driver for {', '.join(sorted(served))}")
    yield skipped(
        "gitlab-side",
        "tags and `Run untagged jobs` of registered runners are kept in GitLab, which was not asked",
        "Look at Settings > CI/CD > Runners of each: tags of its own, `Run untagged jobs` off.",
    )


def _tags(section: Mapping[str, Any]) -> list[str]:
    found = section.get("tag_list") or section.get("tags") or ()
    return [tag.strip() for tag in found.split(",")] if isinstance(found, str) else [str(tag) for tag in found]


def operator_log(path: str) -> Iterator[Finding]:
    """Can the operator log be written?"""
    if not path:
        yield warning(
            "operator-log",
            "the settings turn the operator log off: no usage, no metrics, no traceback",
            "Set [log] file in driver.toml.",
        )
        return
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        yield warning(
            "operator-log",
            f"{folder} does not exist, so nothing is logged",
            "Make it, for the user that GitLab Runner runs as.",
            f"install -d -o gitlab-runner -m 0750 {folder}",
        )
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        yield warning(
            "operator-log",
            f"{path} cannot be written by this user",
            "It must be writable for the user that GitLab Runner runs as; run this as that user to be sure.",
        )
    else:
        yield good("operator-log", f"{path} can be written")
