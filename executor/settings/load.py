"""Find and read the settings of a tenant: built-in < `[defaults]` of driver.toml < tenants/NAME.toml."""

from __future__ import annotations

import difflib
import os
import re
import stat

from executor.errors import NoSuchTenant, SettingsInvalid
from executor.settings import checks
from executor.settings.model import Driver, Log, Tenant
from executor.settings.reader import Flat, Path, Problem, TomlFile, build, dotted
from executor.values import dataclass

VERSION = 1
# The name becomes a label's value and a path in the bucket.
TENANT_FILE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\.toml")

_OF_ONE_TENANT = {("cluster", "namespace"), ("gitlab", "root_namespaces")}

_FIX = "The operator of this runner must correct the settings; `kaniko-driver validate` checks them all."


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one stage needs: the driver's own settings and one tenant's."""

    driver: Driver
    tenant: Tenant


class Layers:
    """driver.toml and one tenant's file, read and laid over each other; knows where each value came from."""

    def __init__(self, folder: str, tenant: str) -> None:
        """Read the files.

        Raises:
            SettingsInvalid: one cannot be read at all.
        """
        self.tenant = tenant
        self.driver_file = _open(os.path.join(folder, "driver.toml"))
        self.tenant_file = _open(os.path.join(folder, "tenants", f"{tenant}.toml"))
        self.own, self.defaults = _read_driver(self.driver_file)
        self.values = _read_tenant(self.tenant_file)

    def settings(self) -> tuple[Settings | None, list[Problem]]:
        """Return the settings and all that is wrong with them; None where not even the required ones are there."""
        if not (self.driver_file.parsed and self.tenant_file.parsed):
            return None, sorted(self.driver_file.problems + self.tenant_file.problems)
        missing: list[Path] = []
        driver = build(Driver, self.own, missing)
        tenant = build(Tenant, self.defaults | {("name",): self.tenant} | self.values, missing)
        # One mistake in a table makes others of the same table look wrong, which would only confuse.
        broken = self.driver_file.broken | self.tenant_file.broken
        problems = [
            Problem(self.tenant_file.name, 0, f"{dotted(path)} is not set, and it has no default")
            for path in missing
            if path[0] not in broken
        ]
        if not missing:
            checks.check(tenant, lambda path, text: None if path[0] in broken else self.complain(path, text))
        problems += self.driver_file.problems + self.tenant_file.problems
        return (None if missing else Settings(driver=driver, tenant=tenant)), sorted(problems)

    def complain(self, path: Path, text: str) -> None:
        """Note a mistake at a tenant's setting, in the file that it came from."""
        if self._within(path, self.defaults) and not self._within(path, self.values):
            self.driver_file.complain(("defaults", *path), text)
        else:
            self.tenant_file.complain(path, text)

    def origin(self, path: Path) -> tuple[str, int]:
        """Return file and line that a tenant's setting came from; no file where it is built in."""
        if self._within(path, self.values):
            return self.tenant_file.name, self.tenant_file.line(path)
        if self._within(path, self.defaults):
            return self.driver_file.name, self.driver_file.line(("defaults", *path))
        return "", 0

    def driver_origin(self, path: Path) -> tuple[str, int]:
        """Return the same of one of the driver's own settings."""
        return (self.driver_file.name, self.driver_file.line(path)) if path in self.own else ("", 0)

    @staticmethod
    def _within(path: Path, values: Flat) -> bool:
        return any(path[:length] in values for length in range(1, len(path) + 1))


def load(folder: str, tenant: str) -> Settings:
    """Read driver.toml and one tenant's file.

    Raises:
        SettingsInvalid: no such tenant, an unreadable file, or mistakes: all of them are listed.
    """
    require_tenant(folder, tenant)
    settings, problems = Layers(folder, tenant).settings()
    if problems or settings is None:
        raise SettingsInvalid(
            f"The settings of tenant {tenant!r} cannot be used.", why="\n".join(map(str, problems)), remedy=_FIX
        )
    return settings


def require_tenant(folder: str, tenant: str) -> None:
    """Check that a tenant has a file.

    Raises:
        NoSuchTenant: it has none; those that have are named.
    """
    names = tenant_names(folder)
    if tenant in names:
        return
    near = difflib.get_close_matches(tenant, names, n=1)
    raise NoSuchTenant(
        f"There is no tenant {tenant!r} on this runner.",
        why=f"Looked for {tenant}.toml in {folder}/tenants; "
        + (f"there are: {', '.join(names)}." if names else "there are no tenants at all."),
        remedy=(f"Did the operator mean {near[0]!r}? " if near else "")
        + "The operator must correct `--tenant` in config_args of the runner's config.toml, or add the file.",
    )


def tenant_of_root_namespace(folder: str, number: int) -> str:
    """Return the tenant whose `[gitlab] root_namespaces` has the top-level group or user of a job's project.

    Args:
        folder: of the settings.
        number: `job_info.root_namespace_id` of the job response; nothing that a job can set is as good.

    Raises:
        SettingsInvalid: none of the tenants claims it, or several do.
    """
    claims = {name: _claimed(os.path.join(folder, "tenants", f"{name}.toml")) for name in tenant_names(folder)}
    # 0 is what a GitLab says that does not tell.
    found = [name for name, claimed in claims.items() if number and number in claimed]
    if len(found) == 1:
        return found[0]
    if found:
        raise SettingsInvalid(
            f"This runner serves several tenants, and {len(found)} of them claim the job's root namespace {number}.",
            why=f"gitlab.root_namespaces has it in: {', '.join(found)}.",
            remedy="The operator must leave it to one of them; `kaniko-driver validate` checks it.",
        )
    raise SettingsInvalid(
        "This runner serves several tenants, and the job belongs to none of them."
        if number
        else "This runner serves several tenants, and GitLab does not say to which the job belongs.",
        why=f"The id of its root namespace (the top-level group or user) is {number}, and no tenant has it in "
        "gitlab.root_namespaces."
        if number
        else "The job's description has no job_info.root_namespace_id.",
        remedy="Run the job on a runner of its own tenant, or ask the operator of this one to add the id to a tenant.",
    )


def _claimed(path: str) -> tuple[int, ...]:
    """Read one key of a tenant's file; a file that cannot be read claims nothing, and fails its own jobs only."""
    try:
        file = _open(path)
    except SettingsInvalid:
        return ()
    read: tuple[int, ...] = _read_tenant(file).get(("gitlab", "root_namespaces"), ())
    return () if file.problems else read


def log_file(folder: str) -> str:
    """Return where the operator log goes, even when nothing else of the settings can be used."""
    try:
        file = _open(os.path.join(folder, "driver.toml"))
        log: Log = build(Driver, _read_driver(file)[0], []).log
    except SettingsInvalid:
        return Log().file
    return log.file


def tenant_names(folder: str) -> list[str]:
    """List the tenants that have a file.

    Raises:
        SettingsInvalid: the folder cannot be read.
    """
    try:
        entries = os.listdir(os.path.join(folder, "tenants"))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and os.path.isdir(folder):
            return []  # a driver.toml alone: how everybody begins
        raise SettingsInvalid(
            "The settings of this runner's driver cannot be read.",
            why=f"{error.filename}: {error.strerror}",
            remedy="The operator must create the folder (config/ in kaniko-driver's repository is one to start from), "
            "make it readable for gitlab-runner's user, or name another by `--settings`.",
        ) from error
    return sorted(entry.removesuffix(".toml") for entry in entries if TENANT_FILE.fullmatch(entry))


def _open(path: str) -> TomlFile:
    try:
        if os.stat(path).st_mode & 0o022:
            raise SettingsInvalid(
                f"{path} can be changed by other users than its owner and is not trusted.",
                remedy=f"The operator must run: chmod go-w {path}",
            )
        folder = os.path.dirname(path) or "."
        if _is_for_everybody(folder):
            raise SettingsInvalid(
                f"{path} can be replaced by any user, since {folder} is writable for all, and is not trusted.",
                remedy=f"The operator must run: chmod o-w {folder}",
            )
        with open(path, encoding="utf-8") as file:
            return TomlFile(path, file.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8: {error}"
        raise SettingsInvalid("The driver's settings cannot be read.", why=f"{path}: {reason}", remedy=_FIX) from error


def _is_for_everybody(folder: str) -> bool:
    """Tell whether any user may put another file into a file's place."""
    mode = os.stat(folder).st_mode
    if not mode & stat.S_IWOTH or mode & stat.S_ISVTX:
        return False
    # A mounted ConfigMap is open to all by its mode, and to nobody since it is mounted to be read.
    return not os.statvfs(folder).f_flag & os.ST_RDONLY


def _read_driver(file: TomlFile) -> tuple[Flat, Flat]:
    table = dict(file.table)
    _check_version(file, table)
    defaults = table.pop("defaults", {})
    if not isinstance(defaults, dict):
        file.complain(("defaults",), "defaults is a table of tables: write [defaults.images] and so on")
        defaults = {}
    values = file.flat(Tenant, defaults, inside=("defaults",))
    for path in _OF_ONE_TENANT & values.keys():
        file.complain(("defaults", *path), f"{'.'.join(path)} belongs into one tenant's file: no two may share it")
    return file.flat(Driver, table), values


def _read_tenant(file: TomlFile) -> Flat:
    table = dict(file.table)
    _check_version(file, table)
    return file.flat(Tenant, table)


def _check_version(file: TomlFile, table: dict[str, object]) -> None:
    found = table.pop("version", None)
    if type(found) is int and found > VERSION:
        file.complain(("version",), f"version {found} is of a newer kaniko-driver; this one knows {VERSION}")
        return
    if (type(found) is not int or found != VERSION) and not file.problems:
        file.complain(("version",), f"version = {VERSION} must stand at the top; found {found!r}")
