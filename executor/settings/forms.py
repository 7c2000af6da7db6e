"""Forms of texts and numbers in the settings, as the API server and the registries check them.

Sources: k8s.io/apimachinery/pkg/util/validation, k8s.io/kubernetes/pkg/apis/core/validation,
github.com/distribution/reference, and the Pod Security Standard "baseline".
"""

from __future__ import annotations

from typing import Annotated, Literal

from executor.settings.declare import Form, Range

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
# Loose on purpose: colons decide that it is one, and the API server does the rest.
_IPV6 = r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"

Namespace = Annotated[str, Form(name="namespace", pattern=_LABEL, words="is no name of a namespace")]
ObjectName = Annotated[
    str, Form(name="name of an object", pattern=_SUBDOMAIN, words="is no name of an object of the cluster")
]
OptionalName = Annotated[
    str, Form(name="name of an object", pattern=rf"(?:{_SUBDOMAIN})?", words="is no name of an object of the cluster")
]
VolumeName = Annotated[
    str, Form(name="name of a volume", pattern=r"[a-z0-9](?:[-a-z0-9]{0,53}[a-z0-9])?", words="is no name of a volume")
]
LabelKey = Annotated[str, Form(name="label key", pattern=_KEY, words="is no key of a label")]
LabelValue = Annotated[str, Form(name="label value", pattern=rf"(?:{_NAME})?", words="is no value of a label")]
AnnotationKey = Annotated[str, Form(name="annotation key", pattern=_KEY, words="is no key of an annotation")]
# Only after a slash: `registry.example.com*` would also be `registry.example.com.evil.example/...`.
ImagePattern = Annotated[
    str,
    Form(
        name="image pattern",
        pattern=r"\*|[A-Za-z0-9._:-]+/[A-Za-z0-9._:/@*-]+|[A-Za-z0-9._-]+(?:[:@][A-Za-z0-9._:*-]+)?",
        words="is no pattern of images such as 'registry.example.com/team/*'; no * may stand in the name of the host",
    ),
]
Image = Annotated[
    str,
    Form(
        name="image", pattern=r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", words="is no image such as 'registry.example.com/a:1'"
    ),
]
OptionalImage = Annotated[
    str,
    Form(
        name="image",
        pattern=r"(?:[A-Za-z0-9][A-Za-z0-9._:/@-]*)?",
        words="is no image such as 'registry.example.com/a:1'",
    ),
]
AbsolutePath = Annotated[
    str, Form(name="absolute path", pattern=r"(?:/[^\n]*)?", words="must be an absolute path, starting with a slash")
]
MountPath = Annotated[
    str,
    Form(
        name="absolute path in the container",
        pattern=r"/[^\n:]*[^\n:/]",
        words="must be an absolute path in the container, without a colon and without a slash at its end",
    ),
]
SubPath = Annotated[
    str,
    Form(
        name="relative path",
        pattern=r"(?:(?!\.\.(?:/|$))[^/\n:]+(?:/(?!\.\.(?:/|$))[^/\n:]+)*)?",
        words="must be a relative path without '..'",
    ),
]
Url = Annotated[
    str, Form(name="URL", pattern=r"(?:https?://[^\s/?#]+[^\s]*)?", words="is no URL such as 'https://s3.example.com'")
]
RoleArn = Annotated[
    str,
    Form(
        name="ARN of a role",
        pattern=r"(?:arn:[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]*:[a-zA-Z0-9-]*:\S+)?",
        words="is no ARN such as 'arn:aws:iam::123456789012:role/layer-cache'",
    ),
]
Flag = Annotated[str, Form(name="flag", pattern=r"--[^\n]*", words="must be one flag, such as '--snapshot-mode=redo'")]
Feature = Annotated[
    str,
    Form(
        name="feature flag",
        pattern=r"FF_KANIKO_[A-Z0-9_]+",
        words="is no feature flag such as 'FF_KANIKO_SKIP_CACHED_STAGES'",
    ),
]
_REGISTRY = r"[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
RegistryHost = Annotated[
    str,
    Form(
        name="registry", pattern=_REGISTRY, words="is no host of a registry such as 'docker.io'; no path, no https://"
    ),
]
Mirror = Annotated[
    str,
    Form(
        name="registry with a path",
        pattern=rf"{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
        words="is no registry such as 'mirror.example.com/docker-hub'; without https:// and a slash at its end",
    ),
]
IpAddress = Annotated[str, Form(name="IP address", pattern=rf"{_IPV4}|{_IPV6}", words="is no IP address")]
Cidr = Annotated[
    str,
    Form(
        name="CIDR",
        pattern=rf"{_IPV4}/(?:3[0-2]|[12]?[0-9])|{_IPV6}/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])",
        words="is no range of addresses such as '10.0.0.0/8'",
    ),
]
Hostname = Annotated[str, Form(name="host name", pattern=_SUBDOMAIN, words="is no name of a host")]
DnsSearch = Annotated[str, Form(name="DNS domain", pattern=rf"(?:_?{_SUBDOMAIN})?\.?", words="is no DNS domain")]
SeccompProfile = Annotated[
    str,
    Form(
        name="profile",
        pattern=r"RuntimeDefault|localhost/[^/\s][^\s]*",
        words="must be 'RuntimeDefault' or 'localhost/PROFILE': Pod Security \"baseline\" allows no other",
    ),
]
AppArmorProfile = Annotated[
    str,
    Form(
        name="profile",
        pattern=r"(?:RuntimeDefault|localhost/[^/\s][^\s]*)?",
        words="must be 'RuntimeDefault' or 'localhost/PROFILE': Pod Security \"baseline\" allows no other",
    ),
]
Weight = Annotated[int, Range(name="weight", low=1, high=100)]
ServiceCount = Annotated[int, Range(name="number of services", low=1, high=20)]
Port = Annotated[int, Range(name="port", low=1, high=65535)]
Group = Annotated[int, Range(name="group id", low=0, high=2**31 - 1)]
RootNamespaceId = Annotated[int, Range(name="id of a root namespace", low=1, high=2**63 - 1)]

Capability = Literal[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
]
"""Those that Pod Security "baseline" allows to add."""

Sysctl = Literal[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
]
"""Those that Pod Security "baseline" allows on every version from 1.29."""
