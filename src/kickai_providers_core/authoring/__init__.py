"""The authoring toolkit: what every provider plugin needs. See docs/authoring.md, with an example for each part.

Nothing here knows a vendor. Decoders do no I/O: they take bytes in any split and return values, and iterators put them
on top of a client's response. Importing this package imports no HTTP library.
"""

from __future__ import annotations

from kickai_providers_core.authoring import openai_chat
from kickai_providers_core.authoring.async_generators import Untracked
from kickai_providers_core.authoring.decompression import Decompressor
from kickai_providers_core.authoring.endpoint import Endpoint
from kickai_providers_core.authoring.endpoint_checks import (
    address_problems,
    connection_problems,
    header_problems,
    is_private_network,
    plain_http_problems,
)
from kickai_providers_core.authoring.errors_from_exceptions import error_for_exception, system_cause
from kickai_providers_core.authoring.errors_from_responses import error_for_body, error_for_status, request_id_in
from kickai_providers_core.authoring.event_stream import (
    EventStreamDecoder,
    ServerSentEvent,
    asse_events,
    sse_events,
)
from kickai_providers_core.authoring.hooks import hooks_for
from kickai_providers_core.authoring.http_provider import HttpProvider
from kickai_providers_core.authoring.http_service import HttpService
from kickai_providers_core.authoring.http_transport import HttpAttempt, HttpTransport, http_transport
from kickai_providers_core.authoring.json_lines import JsonLinesDecoder, ajson_lines, json_lines
from kickai_providers_core.authoring.json_schema import check_answer
from kickai_providers_core.authoring.model_list import model_list_problems
from kickai_providers_core.authoring.network_environment import (
    network_problems,
    proxy_for,
    proxy_url,
    require_usable_network,
)
from kickai_providers_core.authoring.per_loop import PerLoop
from kickai_providers_core.authoring.reply_builder import ReplyBuilder, abuild_reply, build_reply
from kickai_providers_core.authoring.response_documents import DocumentDecoder, DocumentStream
from kickai_providers_core.authoring.service_names import printable_name
from kickai_providers_core.authoring.size_limits import alimit_chunks, limit_chunks
from kickai_providers_core.authoring.stated_delays import longest_retry_after
from kickai_providers_core.authoring.stop_texts import StopTexts
from kickai_providers_core.authoring.strict_json import as_object, dump_bytes, dumps, loads
from kickai_providers_core.authoring.surrogate_pairs import SurrogateJoiner
from kickai_providers_core.authoring.tool_calls import ToolCallAssembler, new_call_id
from kickai_providers_core.authoring.traceback_frames import without_frames
from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
from kickai_providers_core.values.plain_text import clean_text

__all__ = [
    "AttemptTimeouts",
    "Decompressor",
    "DocumentDecoder",
    "DocumentStream",
    "Endpoint",
    "EventStreamDecoder",
    "HttpAttempt",
    "HttpProvider",
    "HttpService",
    "HttpTransport",
    "JsonLinesDecoder",
    "PerLoop",
    "ReplyBuilder",
    "ServerSentEvent",
    "StopTexts",
    "SurrogateJoiner",
    "ToolCallAssembler",
    "Untracked",
    "abuild_reply",
    "address_problems",
    "ajson_lines",
    "alimit_chunks",
    "as_object",
    "asse_events",
    "build_reply",
    "check_answer",
    "clean_text",
    "connection_problems",
    "dump_bytes",
    "dumps",
    "error_for_body",
    "error_for_exception",
    "error_for_status",
    "header_problems",
    "hooks_for",
    "http_transport",
    "is_private_network",
    "json_lines",
    "limit_chunks",
    "loads",
    "longest_retry_after",
    "model_list_problems",
    "network_problems",
    "new_call_id",
    "openai_chat",
    "plain_http_problems",
    "printable_name",
    "proxy_for",
    "proxy_url",
    "request_id_in",
    "require_usable_network",
    "sse_events",
    "system_cause",
    "without_frames",
]
