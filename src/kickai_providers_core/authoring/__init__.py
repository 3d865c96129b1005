"""What a plugin author gets from the core: readers, writers and error mappings that every provider needs.

Nothing here knows a vendor or does I/O of its own. The decoders take bytes and return values, in any split; thin
synchronous and asynchronous iterators put them on top of a client's response. See "The authoring toolkit" in
docs/writing-a-provider.md.
"""

from __future__ import annotations

from kickai_providers_core.authoring.event_stream import (
    EventStreamDecoder,
    ServerSentEvent,
    asse_events,
    sse_events,
)
from kickai_providers_core.authoring.json_lines import JsonLinesDecoder, ajson_lines, json_lines
from kickai_providers_core.authoring.strict_json import as_object, dump_bytes, dumps, loads
from kickai_providers_core.authoring.text import SurrogateJoiner, clean_text

__all__ = [
    "EventStreamDecoder",
    "JsonLinesDecoder",
    "ServerSentEvent",
    "SurrogateJoiner",
    "ajson_lines",
    "as_object",
    "asse_events",
    "clean_text",
    "dump_bytes",
    "dumps",
    "json_lines",
    "loads",
    "sse_events",
]
