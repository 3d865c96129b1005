"""The rows of docs/fault-matrix.md: each fault of a service, and the error that the plugin raises for it.

``python tests/test_fault_matrix.py`` writes the document.
"""

from __future__ import annotations

from kickai_providers_core.testing import FaultRow
from kickai_providers_core.testing.chat_completions import chat_fault_rows
from kickai_providers_core.testing.fault_matrix import STREAMS
from kickai_providers_core.testing.faults import ErrorPiece, Status
from kickai_providers_core.values import errors as e

GATED = Status(403, "", {"x-error-code": "GatedRepo"}, b"")
TGI = (
    FaultRow(name="403: gated model", fault=GATED, error=e.ModelNotFoundError),
    FaultRow(
        name="422: TGI, too long",
        fault=Status(422, "validation"),
        error=e.ContextLengthExceededError,
        fields={"limit_tokens": 2048},
    ),
    FaultRow(name="424: TGI, generation failed", fault=Status(424, "generation"), error=e.ProviderUnavailableError),
    FaultRow(name="429: TGI, overloaded", fault=Status(429, "overloaded"), error=e.RateLimitedError),
    FaultRow(
        name="503: the model is loading",
        fault=Status(503, "loading"),
        error=e.ProviderUnavailableError,
        retry_after_s=20.5,
    ),
    FaultRow(
        name="TGI, in the stream: overloaded",
        fault=ErrorPiece(1, "overloaded"),
        error=e.RateLimitedError,
        modes=STREAMS,
    ),
    FaultRow(
        name="TGI, in the stream: generation failed",
        fault=ErrorPiece(1, "generation"),
        error=e.ProviderUnavailableError,
        modes=STREAMS,
    ),
    FaultRow(
        name="TGI, in the stream: incomplete generation",
        fault=ErrorPiece(1, "incomplete"),
        error=e.InvalidReplyError,
        modes=STREAMS,
    ),
    FaultRow(
        name="TGI, in the stream: too long",
        fault=ErrorPiece(0, "validation"),
        error=e.ContextLengthExceededError,
        fields={"limit_tokens": 2048},
        modes=STREAMS,
    ),
)
SECTIONS = {**chat_fault_rows(), "Hugging Face": TGI}
