"""Logins that stand inside an address: nothing that the driver prints may show them.

The runner masks what GitLab told it to mask; a proxy's or a server's password in the operator's files is not among it.
"""

from __future__ import annotations

import re

# The user information of RFC 3986, as people write it: up to the last @ before the path begins.
_IN_URL = re.compile(r"(?<=://)[^\s/]*@")
# `user:password@host/image`, which is no name of an image, but gets written; a digest's @ is none of these.
_IN_IMAGE = re.compile(r"^[^/]*@(?=[^/]*/)")


def without_logins(text: str) -> str:
    """Return a text whose URLs have lost their user and password."""
    return _IN_URL.sub("***@", text) if "@" in text else text


def image_without_login(name: str) -> str:
    """Return the name of an image without a user and password before its host."""
    return _IN_IMAGE.sub("***@", without_logins(name))
