"""What can be seen from inside a running job pod of the tenant: Kaniko, GitLab, registries, layer cache, fences.

Every try is one script in the pod's own busybox; its words are judged apart from the asking.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from executor.cache import registry
from executor.cluster.place import Place
from executor.cluster.stream import STDERR, STDOUT
from executor.errors import ClusterUnreachable, DriverError
from executor.operate.checkup.findings import good, problem, skipped, warning
from executor.pod import names

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from executor.job import Connection
    from executor.operate.checkup.findings import Finding
    from executor.settings.model import Tenant

_ANSWER_SECONDS = 15
_LOOK_SECONDS = 0.2
"""From one look to the next at whether somebody wants this to end."""
_LONGEST_ANSWER = 65_536
_BUSYBOX = f"{names.TOOLS_FOLDER}/busybox"
_METADATA = "http://169.254.169.254/"
"""Where clouds give every process on a node the node's own credentials."""

_NO_NAME = re.compile(r"could not resolve (host|proxy)", re.IGNORECASE)
_NO_WAY = re.compile(
    r"failed to connect|connection (refused|timed out|reset)|couldn't connect|no route|unreachable|timed? ?out"
    r"|operation too slow",
    re.IGNORECASE,
)
_NO_TRUST = re.compile(r"ssl certificate|certificate verif|self.signed|unknown ca|issuer", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to try beside the pod itself."""

    reach: tuple[str, ...]
    """Addresses (https://…) that builds must reach, beside GitLab and the registries."""
    silence: int
    """Seconds for which a stream is left without a byte, to find proxies that cut it."""
    wait: int
    """Seconds until the pod must be ready."""
    stop: threading.Event
    """Set when somebody wants this to end."""


def seen_inside(tenant: Tenant, connection: Connection, pod: str, plan: Plan) -> Iterator[Finding]:
    """Try from inside of a running job pod what its scripts will do, all at once; one finding for each."""
    build, helper = (Place(connection, pod=pod, container=name) for name in (names.BUILD, names.HELPER))
    tries = [
        lambda: judged_kaniko(_said(build, _VERSION), copy_layers=tenant.cache.copy_layers),
        lambda: _silence(build, plan),
        *(lambda name=name, url=url: _reach(helper, name, url) for name, url in _addresses(tenant, plan)),
        lambda: _kept_out(helper, "api-server-closed", connection.server, "the API server"),
        lambda: _kept_out(helper, "metadata-closed", _METADATA, "the cloud's metadata"),
        *((lambda: _layer_cache(helper, tenant),) if tenant.cache.mode != "off" else ()),
    ]
    pool = ThreadPoolExecutor(max_workers=len(tries))
    try:
        for future in [pool.submit(_tried, one) for one in tries]:
            while not wait([future], timeout=_LOOK_SECONDS).done:
                if plan.stop.is_set():
                    yield skipped("trial-pod", "interrupted")
                    return
            yield future.result()
    finally:
        # Not waited for: what is still being tried ends with the pod, which whoever made it deletes now.
        pool.shutdown(wait=False, cancel_futures=True)


def _tried(one: Any) -> Finding:
    try:
        found: Finding = one()
    except (DriverError, TimeoutError) as error:
        words = f"{error.what} {error.why}" if isinstance(error, DriverError) else "no answer"
        return problem(
            "exec",
            f"a command in the trial pod did not come to its end: {words}",
            "Jobs need exec over WebSocket: proxies and load balancers before the API server must let it pass.",
        )
    return found


def _addresses(tenant: Tenant, plan: Plan) -> list[tuple[str, str]]:
    """Return what builds must reach, each with the name of its check."""
    found = [("gitlab", tenant.gitlab.url)] if tenant.gitlab.url else []
    found += [("registry", f"https://{host}/") for host in _registries(tenant)]
    return found + [("reach", address) for address in plan.reach]


def _registries(tenant: Tenant) -> list[str]:
    """Return the hosts of registries that builds talk to, as far as the settings name them."""
    from executor.operate.checkup.logins import hosts

    own = tenant.registry
    mirrors = [
        *(mirror for group in own.mirrors.values() for mirror in group),
        *(flag.partition("=")[2] for flag in (*tenant.kaniko.flags, *tenant.kaniko.locked_flags) if "-mirror=" in flag),
    ]
    found = [*hosts(own.logins_file), *own.authorities, *(one.partition("/")[0] for one in mirrors)]
    return list(dict.fromkeys(found))


def _said(place: Place, script: str, *, seconds: float = _ANSWER_SECONDS + 15) -> str:
    """Run a script in the pod's own busybox and return what it printed; the end is a line of its own."""
    stream = place.open([_BUSYBOX, "sh", "-c", f'export PATH="$PATH:{names.TOOLS_FOLDER}/bin"\n{script}'])
    said, end = b"", time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            frame = stream.receive(left)
            if frame is None:
                break
            if frame[0] in (STDOUT, STDERR) and len(said) < _LONGEST_ANSWER:
                said += bytes(frame[1])
    finally:
        stream.close()
    return said.decode("utf-8", "replace").strip()


_VERSION = "/kaniko/executor version 2>&1; echo code=$?"
_SOUND_KEYS = (1, 28)
"""From this version on Kaniko's maintained fork has what the keys of layers of COPY need."""


def judged_kaniko(said: str, *, copy_layers: bool) -> Finding:
    """Judge what the executor said of its version.

    Args:
        said: its output, and how it ended.
        copy_layers: whether the tenant keeps layers of COPY.
    """
    if "code=0" not in said:
        return problem(
            "kaniko",
            f"images.kaniko has no /kaniko/executor that runs: {_last_line(said)}",
            "Name Kaniko's debug image there: the one with a shell.",
        )
    found = re.search(r"version\s*:\s*(\S+)", said)
    # "unset": built without the flag that names it.
    version = found[1] if found and found[1] != "unset" else "of unknown version"
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if copy_layers and not (numbers and (int(numbers[1]), int(numbers[2])) >= _SOUND_KEYS):
        return problem(
            "kaniko",
            f"cache.copy_layers is on, and the keys of Kaniko {version} leave variables and names of files out",
            "Builds get layers of other content: remove the setting, or name Kaniko's maintained fork from 1.28 on.",
        )
    return good("kaniko", f"Kaniko {version} runs")


def _silence(place: Place, plan: Plan) -> Finding:
    """Leave a stream without a byte for a while: what proxies do to a quiet build."""
    began = time.monotonic()
    try:
        said = _said(place, f"sleep {plan.silence}; echo still here", seconds=plan.silence + 30)
    except ClusterUnreachable as error:
        said = error.why
    if "still here" in said:
        return good("exec-timeout", f"a stream without a byte lasted {plan.silence} s")
    seconds = time.monotonic() - began
    return warning(
        "exec-timeout",
        f"a stream without a byte was cut after {seconds:.0f} s",
        "Job logs survive that: the driver speaks every 5 s and goes on from the last byte. "
        "But something between here and the cluster cuts quiet connections: raise its time-out "
        "(nginx proxy_read_timeout, HAProxy timeout tunnel, the idle time-out of a load balancer).",
    )


def _reach(place: Place, check: str, address: str) -> Finding:
    """Ask an address as git does: names, routes, certificates and proxies are those of a job."""
    return judged(check, address, _asked_by_git(place, address))


def judged(check: str, address: str, said: str) -> Finding:
    """Tell by git's words about an address whether something there has answered."""
    host = urlsplit(address).netloc.rpartition("@")[2] or address
    if not said:
        return problem(check, f"{host} does not answer a pod of this tenant", _opening(check))
    if _NO_NAME.search(said):
        return problem(
            check,
            f"a pod of this tenant cannot look up the name of {host}",
            "Open DNS in [network] dns, or give the pod a name server: [pod.dns], or an entry in pod.host_aliases.",
        )
    if _NO_TRUST.search(said):
        return problem(
            check,
            f"a pod of this tenant does not trust the certificate of {host}: {_last_line(said)}",
            "Bring the authority along: a ConfigMap in [[pod.volumes]], and SSL_CERT_FILE or Kaniko's "
            "--registry-certificate; for git the runner's tls-ca-file does it.",
        )
    if _NO_WAY.search(said):
        return problem(check, f"a pod of this tenant cannot reach {host}: {_last_line(said)}", _opening(check))
    return good(check, f"a pod of this tenant reaches {host}")


def _opening(check: str) -> str:
    return (
        f"Name it in [network] {check if check in {'gitlab', 'registry'} else 'extra'}, then `kaniko-driver tenant "
        "apply`; if it is named, look at firewalls and proxies between the nodes and it."
    )


def _kept_out(place: Place, check: str, address: str, what: str) -> Finding:
    return judged_closed(check, address, what, _asked_by_git(place, address, seconds=5))


def judged_closed(check: str, address: str, what: str, said: str) -> Finding:
    """Tell by git's words whether an address that builds must not reach has stayed silent."""
    if not said or _NO_WAY.search(said) or _NO_NAME.search(said):
        return good(check, f"a pod of this tenant does not reach {what}")
    return warning(
        check,
        f"a pod of this tenant reaches {what} ({urlsplit(address).netloc})",
        "Builds of strangers should not: does the cluster's network plug-in enforce NetworkPolicies? "
        "docs/en/explanation/isolation.md says what that means.",
    )


def _asked_by_git(place: Place, address: str, *, seconds: int = _ANSWER_SECONDS) -> str:
    """Return git's words about an address that need not be a repository; empty when it gave none in time."""
    script = (
        "export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true GCM_INTERACTIVE=never HOME=/tmp\n"
        f"timeout {seconds} git ls-remote {shlex.quote(address)} HEAD 2>&1; code=$?\n"
        # 124 and 143 are how busybox ends what takes too long.
        '[ "$code" = 124 ] || [ "$code" = 143 ] || echo "code=$code"'
    )
    try:
        said = _said(place, script, seconds=seconds + 3)
    except TimeoutError:
        # git itself has ended, and what it had started to do the asking has not: it ends with the pod.
        return ""
    return said if "code=" in said else ""


def _layer_cache(place: Place, tenant: Tenant) -> Finding:
    if tenant.cache.credentials != "sts":
        return _cache_registry(place, tenant)
    # Imported here: boto3 is slow to import.
    from executor.cache import sts

    found = sts.check(tenant)
    if found.problem:
        remedy = "Builds go on without the layer cache, slowly. Check [cache] role, sts_endpoint and sts_profile."
        return problem("layer-cache", found.problem, remedy)
    if found.warnings:
        return warning("layer-cache", found.warnings[0], "Ask by keys of a user, or make the jobs' time-outs shorter.")
    return good("layer-cache", f"STS gives keys for {tenant.cache.bucket}")


def _cache_registry(place: Place, tenant: Tenant) -> Finding:
    """Ask the layer cache for what it cannot have, so that it must ask S3, and then why it had not."""
    address = f"http://{registry.address(tenant.cache)}"
    # It starts beside the scripts, so it may need a moment; a proxy of the pod's is not for its own address.
    script = (
        "unset http_proxy HTTP_PROXY\n"
        f"for try in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - {address}/v2/ >/dev/null 2>&1 && break; sleep 1; done\n"
        f"wget -q -O - {address}/v2/{registry.REPOSITORY}/manifests/{secrets.token_hex(32)} >/dev/null 2>&1\n"
        f"wget -q -O - {address}/driver/story 2>&1"
    )
    return judged_story(_said(place, script, seconds=60), tenant.cache.bucket)


_STORIES = (
    "",
    "S3 cannot be reached",
    "S3 answers too slowly",
    "S3 refuses the tenant's keys",
    "S3 is full, or a quota is",
    "S3 fails",
    "the pod has no keys for S3",
    "there is no such bucket",
)
"""By the number at the end of the cache registry's own story (cache-registry/story.go)."""


def judged_story(said: str, bucket: str) -> Finding:
    """Tell by the cache registry's numbers whether S3 has answered it."""
    last = said.rpartition(" ")[2]
    if not re.fullmatch(r"\d+( \d+)+", said) or int(last) >= len(_STORIES):
        return problem(
            "layer-cache",
            f"the cache registry in a pod of this tenant does not answer: {_last_line(said)}",
            "Builds go on without it, slowly. Check images.cache_registry, and its words by kubectl logs.",
        )
    if reason := _STORIES[int(last)]:
        return problem(
            "layer-cache",
            f"the layer cache does not work from a pod of this tenant: {reason} (bucket {bucket})",
            "Builds go on without it, slowly. Check [cache] endpoint, bucket and keys, and [network] s3.",
        )
    return good("layer-cache", f"the cache registry answers, and S3 behind it ({bucket})")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("code=")]
    shown = lines[-1].strip()[:300] if lines else "no words"
    return "".join(character if character.isprintable() else "?" for character in shown)
