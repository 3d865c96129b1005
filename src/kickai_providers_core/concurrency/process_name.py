"""A random name of this process, as one resolver uses it."""

from __future__ import annotations

from os import urandom

__all__ = ["ProcessName"]


class ProcessName:
    """The random name under which a resolver writes metrics, and the beginning of the ids of its requests.

    A forked child gets a name of its own. Safe to use from any thread.

    Attributes:
        text: The name.
    """

    def __init__(self) -> None:
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Choose another name."""
        self.text = urandom(8).hex()

    def build_request_id(self, number: int) -> str:
        """Return an id for a request, which no other process and no other resolver uses."""
        return f"kickai-{self.text}-{number}"
