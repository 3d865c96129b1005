"""The names of attributes and spans that are emitted, and values with a fixed meaning.

``gen_ai.*`` names are those of the semantic conventions for generative AI, version 0.1.0, of the repository
``open-telemetry/semantic-conventions-genai``. The previous names are those of version 1.41 of the general conventions,
which held the generative AI part before. They are constants of our own, since the Python package of the conventions
marks all of them as deprecated. Everything that the conventions do not name begins with ``kickai.``.
"""

from __future__ import annotations

__all__ = ["PROVIDER_NAMES", "SCOPE", "VERSION"]

SCOPE = "kickai_otel"
VERSION = "0.1.0"
"""Name and version of the instrumentation scope."""

# Attributes of the conventions.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105  not a secret
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  not a secret; previous conventions only
ERROR_TYPE = "error.type"
STATUS_CODE = "http.response.status_code"

# Attributes of our own.
REQUEST = "kickai.request"
ROLE = "kickai.role"
ARM = "kickai.arm"
INSTANCE = "kickai.instance"
MODEL = "kickai.model"
TARGETS = "kickai.targets"
OUTCOME = "kickai.outcome"
ATTEMPTS = "kickai.attempts"
DEADLINE_S = "kickai.deadline_s"
DEADLINE_LEFT_S = "kickai.deadline_left_s"
FELL_BACK = "kickai.fell_back"
FALLBACK_FROM = "kickai.fallback.provider"
FALLBACK_REASON = "kickai.fallback.reason"
ATTEMPT_NUMBER = "kickai.attempt.number"
ATTEMPT_OUTCOME = "kickai.attempt.outcome"
ATTEMPT_PRIMARY = "kickai.attempt.primary"
ATTEMPT_HEDGE = "kickai.attempt.hedge"
ATTEMPT_PROBE = "kickai.attempt.probe"
ATTEMPT_TIMEOUT_S = "kickai.attempt.timeout_s"
SUSPENDED_S = "kickai.attempt.suspended_s"
SKIP_REASON = "kickai.skip.reason"
BREAKER_BEFORE = "kickai.breaker.before"
BREAKER_AFTER = "kickai.breaker.after"
QUEUE_OUTCOME = "kickai.queue.outcome"
EVENT = "kickai.event"

# Values.
CHAT = "chat"
CANCELLED = "cancelled"
UNFINISHED = "unfinished"
UNKNOWN = "unknown"
OTHER = "other"
ADMITTED = "admitted"
LEFT = "left"

# Spans.
REQUEST_SPAN = "kickai.request"
ATTEMPT_SPAN = CHAT

PROVIDER_NAMES = {"gemini": "gcp.gemini"}
"""The values of ``gen_ai.provider.name`` for instances whose own name is not the conventions' one.

The conventions have no name for Hugging Face, Ollama and local models; their instances' names are used, as the
conventions allow.
"""
