"""How long the texts may be that values, errors and names quote, in characters.

Services and plugins choose these texts: one that passes a page of HTML must not fill the log.
"""

from __future__ import annotations

__all__ = ["DETAIL_LIMIT", "MESSAGE_LIMIT", "NAME_LIMIT", "QUOTE_LIMIT", "SERVICE_MESSAGE_LIMIT"]

MESSAGE_LIMIT = 2000
"""The maximum length of an error's message."""

SERVICE_MESSAGE_LIMIT = 500
"""The maximum length of what an error quotes from a service or from an exception of a plugin."""

DETAIL_LIMIT = 1000
"""The maximum length of the detail of a skip, which may come from a plugin."""

NAME_LIMIT = 200
"""The maximum length of a name or an id that a service gives, such as a model or a request id."""

QUOTE_LIMIT = 60
"""The maximum length of a value of the caller that an error quotes."""
