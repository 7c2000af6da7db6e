"""Keep a job's output from driving the terminal of the person who reads it.

Pure. What a build prints is its author's: escape sequences in it can rename windows, write to the clipboard or answer
for the keyboard. Colours and the clearing of a line stay, so that logs look as they should; all else is dropped.
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    rb"(?P<kept>\x1b\[[0-9;:]*[mK])"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, clipboard, device control: up to their terminator
    rb"|\x1b[ -/]*[0-Z\\`-~]"  # short ones
    rb"|\x1b"  # the beginning of nothing known
    rb"|\xc2(?![\xa0-\xbf])[\x80-\x9f]?"  # the same as one character (C1), or a half one
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"
)
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z|\xc2\Z")
_LONGEST = 4096
"""Of a sequence that has not ended; a longer one is shown as text."""


class Harmless:
    """Cleans a stream that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown; the beginning of a sequence waits for its end."""
        text = self._rest + data
        begun = _BEGUN.search(text)
        at = begun.start() if begun and len(text) - begun.start() <= _LONGEST else len(text)
        self._rest = text[at:]
        return _SEQUENCE.sub(lambda match: match["kept"] or b"", text[:at])
