"""Look for known holes in what uv.lock installs: pip-audit asks an advisory service, this judges what came of it.

pip-audit calls it no finding when a service knows nothing of any package, as the indexes of closed networks do; here
that is not taken for an audit. That every file is locked by its hash is a unit test and needs nobody to be asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLEAN, FOUND, NOT_AUDITED = 0, 1, 3
PIP_AUDIT = "pip-audit>=2.9,<3"
OSV_URL = "AUDIT_OSV_URL"
"""Variable with the address of a service that speaks OSV's protocol, for networks that have their own."""
USAGE = f"""\
scripts/audit: look for known holes in what uv.lock installs.

Asks the Python package index for its advisories, or the service that {OSV_URL} names (an OSV query address, such as
https://api.osv.dev/v1/query). Exit codes: {CLEAN} none known, {FOUND} some are, {NOT_AUDITED} nobody could be asked,
so that nothing was audited.
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an audit came to."""

    code: int
    words: str


def judge(report: str, errors: str) -> Verdict:
    """Judge pip-audit's JSON report; `errors` is what it said on stderr, where it made none."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, LookupError, TypeError):
        last = next(iter(errors.strip().splitlines()[-1:]), "no word from pip-audit")
        return Verdict(code=NOT_AUDITED, words=f"NOTHING WAS AUDITED: the advisories cannot be reached ({last})")
    audited = [one for one in packages if "skip_reason" not in one]
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in audited
        for hole in one["vulns"]
    ]
    if holes:
        return Verdict(code=FOUND, words="known holes in what is locked:\n" + "\n".join(holes))
    if not audited:
        return Verdict(
            code=NOT_AUDITED, words=f"NOTHING WAS AUDITED: who was asked knows none of {len(unknown)} packages"
        )
    more = f"; unknown there, and not audited: {', '.join(unknown)}" if unknown else ""
    return Verdict(code=CLEAN, words=f"no known holes in {len(audited)} packages{more}")


def audit(uv: str) -> Verdict:
    """Audit the lock file with the program `uv`."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        export = ("export", "--quiet", "--locked", "--all-groups", "--no-emit-project", "--format", "requirements-txt")
        with wanted.open("wb") as file:
            subprocess.run((uv, *export), stdout=file, check=True)
        service = os.environ.get(OSV_URL, "")
        asked = ("--vulnerability-service", "osv", "--osv-url", service) if service else ()
        done = subprocess.run(
            (
                *(uv, "tool", "run", "--quiet", PIP_AUDIT, "--disable-pip", "--require-hashes"),
                *("--progress-spinner=off", "--format", "json", *asked, "--requirement", wanted),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
    return judge(done.stdout, done.stderr)


def main() -> int:
    """Audit, say what came of it, and return the exit code."""
    if sys.argv[1:]:
        print(USAGE)
        return 0 if sys.argv[1] in {"-h", "--help"} else 2
    verdict = audit(os.environ["UV"])
    print(f"audit: {verdict.words}", file=sys.stderr)
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
