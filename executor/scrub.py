"""What must not be in anything that the driver prints: logins inside addresses, and orders for terminals.

The runner masks what GitLab told it to mask; a proxy's or a server's password in the operator's files is not among it.
Patterns are compiled only when a text may have what they look for: nearly none has, and compiling costs a stage 2 ms.
"""

from __future__ import annotations

import re

# The user information of RFC 3986, as people write it: up to the last @ before the path begins.
_IN_URL = r"(?<=://)[^\s/]*@"
# `user:password@host/image`, which is no name of an image, but gets written; a digest's @ is none of these.
_IN_IMAGE = r"^[^/]*@(?=[^/]*/)"
# What a proxy on the way may quote of a request that it refuses (RFC 9110, credentials).
_IN_HEADER = r"(?i)\b(Bearer|Basic) +[A-Za-z0-9+/=._~-]{8,}"
# Also as one character (C1), which terminals obey in UTF-8, too.
_ORDERS = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def without_logins(text: str) -> str:
    """Return a text whose URLs have lost user and password, and whose HTTP credentials are gone."""
    if "@" in text:
        text = re.sub(_IN_URL, "***@", text)
    lowered = text.lower()
    if "bearer " in lowered or "basic " in lowered:
        text = re.sub(_IN_HEADER, r"\1 ***", text)
    return text


def image_without_login(name: str) -> str:
    """Return the name of an image without a user and password before its host."""
    return re.sub(_IN_IMAGE, "***@", without_logins(name))


def without_orders(text: str) -> str:
    """Return a text of somebody else's without colours and other control characters, but for tabs and newlines."""
    return text if text.isprintable() else re.sub(_ORDERS, "", text)


def readable(text: str, longest: int) -> str:
    """Return a text that can be a value anywhere: bounded, and each control character replaced."""
    return "".join(letter if letter.isprintable() else _REPLACEMENT for letter in text[:longest])
