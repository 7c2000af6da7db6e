"""How long a script that cannot be reached is hoped for, and why it is given up.

Remembers what was heard from the pod, from the API server and from the node in between, over all connections of one
script. Decides nothing of what to do next.
"""

from __future__ import annotations

import time

from executor.categories import Category
from executor.errors import ClusterRefused, ClusterUnreachable, PodLost, ScriptLost

TRIES_FOR_THE_REST = 5
"""For the output of a script that has ended."""
# What starts in the pod and ends without a word is killed there. What does not start may be a node whose container
# runtime is restarted: four times as many tries, which take half a minute.
_VAIN_TRIES = 5
_UNSTARTED = 0.25
_DIALLED = "dial tcp"
"""How Go's errors of connections begin: here that from the API server to the kubelet."""
_NODE_SECONDS = 60.0
"""How long the API server may answer while nothing reaches the pod, before its node counts as lost: with the silence
before and one last try, two minutes at most."""
_DENIED = {Category.RIGHT_MISSING: 4.0, Category.CREDENTIALS: 15.0}
"""Seconds for which they may pass before a script that never ran is given up: a server that has just started knows
neither rights nor tokens, and a token may be renewed late."""


class Contact:
    """What one script's connections have come to."""

    def __init__(self, connection_timeout: float) -> None:
        """`connection_timeout`: seconds without a word from the pod after which it is given up."""
        self._connection_timeout = connection_timeout
        self.heard = time.monotonic()
        """When the pod was last heard of, on the monotonic clock."""
        self.last_words = ""
        """Why the last command that was to follow the script did not start; empty where it did."""
        self._answering_since: float | None = None
        """Since when the API server has answered all the time, while no connection to the pod worked."""
        self._denied_since: float | None = None
        self._vain = 0.0
        self._tries_for_the_rest = 0

    def silent_seconds(self) -> float:
        """Return for how long the pod has not been heard of."""
        return time.monotonic() - self.heard

    # ------------------------------------------------------------ what happens

    def api_server_answered(self) -> None:
        """Take note that the API server answers, while no connection to the pod works."""
        self._answering_since = self._answering_since or time.monotonic()

    def forget_answers(self) -> None:
        """Take note that a connection works, or that the API server does not answer either."""
        self._answering_since = None

    def learn_its_end(self, status: bytes) -> None:
        """Take the Status of a command that was to follow; it says nothing of the script."""
        if b'"Success"' in status or b'"NonZeroExitCode"' in status:
            self._vain += 1
            self.last_words = ""
            self.forget_answers()
            return
        words = _message(status)
        # The API server cannot reach the node: that is told by how long it lasts, and not by how often.
        self._vain += 0 if _DIALLED in words else _UNSTARTED
        self.last_words = words

    # ------------------------------------------------------------ when it is enough

    def count_vain_tries(self, *, more: bool, ended: bool) -> None:
        """Give up what would go on for ever although the connection stands.

        Args:
            more: the last connection brought output.
            ended: the script has, as the supervisor reported.

        Raises:
            ScriptLost: there were too many.
        """
        if more:
            self._vain = self._tries_for_the_rest = 0
        self._tries_for_the_rest += ended
        if self._tries_for_the_rest > TRIES_FOR_THE_REST:
            raise lost("Its end was reported, but not all that it had printed could be read.")
        if self._vain > _VAIN_TRIES:
            raise lost(f"Whatever looks for it in the pod ends at once, without a word. {self.last_words}".strip())

    def may_be_allowed_soon(self, error: ClusterRefused) -> bool:
        """Tell whether a missing right or a refused token may pass."""
        if error.category not in _DENIED:
            return False
        now = time.monotonic()
        self._denied_since = self._denied_since or now
        return now - self._denied_since < _DENIED[error.category]

    def require_hope(self, reason: str) -> None:
        """Give up a pod that has been silent for too long; `reason` is what the last try came to.

        Raises:
            PodLost: its node does not answer, while the API server does.
            ClusterUnreachable: nothing does.
        """
        now = time.monotonic()
        if self._answering_since is not None and now - self._answering_since > _NODE_SECONDS:
            raise PodLost(
                "The node of the job pod does not answer any more.",
                why=f"For {now - self.heard:.0f} s nothing reached the pod, while the API server answered. At last: "
                + reason,
                remedy="This is no fault of the job: run it again. If it stays, the operator must look at the node.",
                category=Category.NODE_LOST,
            )
        if now - self.heard > self._connection_timeout:
            raise ClusterUnreachable(
                "The connection to the job pod was lost and could not be made again.",
                why=f"Tried for {self._connection_timeout:.0f} s; at last: {reason}",
                remedy="This is no fault of the job: run it again. The operator can raise timeouts.connection.",
            )


def lost(why: str) -> ScriptLost:
    """Make the error for a script whose result nobody can tell."""
    return ScriptLost(
        "The script's result is lost.",
        why=why,
        remedy="Run the job again. If it stays: does the script delete or fill /driver, "
        "or kill processes that it did not start?",
    )


def _message(status: bytes) -> str:
    """Return what a Status says, without the address of the kubelet, which has the whole command in it."""
    # Imported here: streams that work bring none.
    import json

    try:
        words = str(json.loads(status)["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        words = status.decode("utf-8", "replace")
    before, dialled, after = words.partition(_DIALLED)
    return (f"{dialled}{after}" if dialled else before)[:500]
