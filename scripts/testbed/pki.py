"""The cluster's certificates and the kubeconfig files of its own components, made fresh with each new state folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml

from testbed import layout
from testbed.process import run

if TYPE_CHECKING:
    from pathlib import Path

VALID_FROM, VALID_UNTIL = timedelta(days=-1), timedelta(days=365)
"""Counted from now. A cluster's certificates are older than any clock is wrong, those of a young bed too."""
ADMIN, MANAGER, SCHEDULER = "admin", "controller-manager", "scheduler"


def ensure() -> None:
    """Make all keys, certificates and kubeconfig files; does nothing when a complete set is there."""
    complete = layout.PKI / "complete"
    if complete.exists():
        return
    layout.PKI.mkdir(parents=True, exist_ok=True)
    layout.PKI.chmod(0o700)
    (layout.PKI / "ca.cnf").write_text(_AUTHORITY)
    # Empty also where an earlier start was killed: what it had issued is made again.
    (layout.PKI / "issued").write_text("")
    (layout.PKI / "copies").mkdir(exist_ok=True)
    _certificate("ca", "/CN=kaniko-bed", authority=True)
    _openssl("genrsa", "-out", "service-accounts.key", "2048")
    _openssl("rsa", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")
    names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    addresses = f"IP:{layout.HOST_ADDRESS},IP:127.0.0.1,IP:{layout.SERVICE_ADDRESS}"
    _certificate("apiserver", "/CN=kube-apiserver", f"{addresses},{names}")
    _certificate("kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client")
    _certificate(ADMIN, "/O=system:masters/CN=admin")
    _certificate(MANAGER, "/CN=system:kube-controller-manager")
    _certificate(SCHEDULER, "/CN=system:kube-scheduler")
    for node in layout.NODES:
        subject = f"/O=system:nodes/CN=system:node:{node.name}"
        _certificate(node.name, subject, f"IP:{node.address},DNS:{node.name}")
    for user in (MANAGER, SCHEDULER, *(node.name for node in layout.NODES)):
        write_private(kubeconfig_path(user), certificate_kubeconfig(user))
    write_private(layout.ADMIN_KUBECONFIG, certificate_kubeconfig(ADMIN))
    complete.touch()


def kubeconfig_path(user: str) -> Path:
    """Where the kubeconfig of a component is."""
    return layout.PKI / f"{user}.kubeconfig"


def certificate_kubeconfig(user: str) -> str:
    """Return a kubeconfig that authenticates with the user's certificate, by file names."""
    certificate = layout.PKI / f"{user}.crt"
    return kubeconfig(
        user,
        cluster={"certificate-authority": str(layout.PKI / "ca.crt")},
        credentials={"client-certificate": str(certificate), "client-key": str(certificate.with_suffix(".key"))},
    )


def kubeconfig(user: str, *, cluster: dict[str, str], credentials: dict[str, str], namespace: str = "default") -> str:
    """Return the text of a kubeconfig with one cluster, one user and one context."""
    text: str = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": {"server": layout.API_URL, **cluster}}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user, "namespace": namespace}}],
            "current-context": "bed",
        },
        sort_keys=False,
    )
    return text


def write_private(path: Path, text: str) -> None:
    """Write a file that only root may read; it is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".new-{path.name}")
    temporary.write_text(text)
    temporary.chmod(0o600)
    temporary.rename(path)


def _openssl(*arguments: str) -> None:
    run(("openssl", *arguments), folder=layout.PKI)


def _key(name: str) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")


# `openssl x509` dates certificates back from OpenSSL 3.4 on only; `openssl ca` always has.
_AUTHORITY = """\
[ca]
default_ca = bed
[bed]
database = issued
new_certs_dir = copies
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
"""
# All that strict clients, Python 3.13 for one, look for.
_OF_AUTHORITIES = """\
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
"""
_OF_OTHERS = """\
extendedKeyUsage=clientAuth,serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


def _certificate(name: str, subject: str, alternatives: str = "", *, authority: bool = False) -> None:
    _key(name)
    _openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    extensions = _OF_AUTHORITIES if authority else _OF_OTHERS
    if alternatives:
        extensions += f"subjectAltName={alternatives}\n"
    (layout.PKI / f"{name}.ext").write_text(extensions)
    signer = ("-selfsign",) if authority else ("-cert", "ca.crt")
    first, last = (f"{datetime.now(UTC) + moment:%Y%m%d%H%M%SZ}" for moment in (VALID_FROM, VALID_UNTIL))
    _openssl(
        *("ca", "-batch", "-notext", "-config", "ca.cnf", *signer, "-keyfile", "ca.key", "-in", f"{name}.csr"),
        *("-startdate", first, "-enddate", last, "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
    )
