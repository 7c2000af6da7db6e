"""What must not be in anything that the driver prints: logins inside addresses, and orders for terminals.

The runner masks what GitLab told it to mask; a proxy's or a server's password in the operator's files is not among it.
"""

from __future__ import annotations

import re

# The user information of RFC 3986, as people write it: up to the last @ before the path begins.
_IN_URL = re.compile(r"(?<=://)[^\s/]*@")
# `user:password@host/image`, which is no name of an image, but gets written; a digest's @ is none of these.
_IN_IMAGE = re.compile(r"^[^/]*@(?=[^/]*/)")
# What a proxy on the way may quote of a request that it refuses (RFC 9110, credentials).
_IN_HEADER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_ORDERS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def without_logins(text: str) -> str:
    """Return a text whose URLs have lost user and password, and whose HTTP credentials are gone."""
    return _IN_HEADER.sub(r"\1 ***", _IN_URL.sub("***@", text))


def image_without_login(name: str) -> str:
    """Return the name of an image without a user and password before its host."""
    return _IN_IMAGE.sub("***@", without_logins(name))


def without_orders(text: str) -> str:
    """Return a text of somebody else's without colours and other control characters, but for tabs and newlines."""
    return _ORDERS.sub("", text)


def readable(text: str, longest: int) -> str:
    """Return a text that can be a value anywhere: bounded, and each control character replaced."""
    return "".join(letter if letter.isprintable() else _REPLACEMENT for letter in text[:longest])
