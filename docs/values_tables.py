"""Renders the public values as tables: each field with type, default, range and meaning, from the code alone."""
# ruff: noqa: INP001

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import attrs
from settings_tables import ENTRY, _default, _range

from kickai_providers_core.plugin_api.hookspecs import ModelInfo, Progress, ProviderInfo
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values import errors
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.problems import Problem
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk
from kickai_providers_core.values.requests import Capability, ChatRequest
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.tools import Tool, ToolCall
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["VALUES", "render_values"]

VALUES: tuple[type, ...] = (
    ChatRequest,
    Message,
    Image,
    Tool,
    ToolCall,
    Reply,
    ReplyChunk,
    Usage,
    ProviderInfo,
    ModelInfo,
    ProviderSettings,
    Problem,
    Progress,
    Target,
)
"""The values that a plugin receives or returns, in the order of a call."""

WORDS = (FinishReason, Capability)


def render_values() -> str:
    """Return a section for each value, for the named words, and for the fields of errors, in Markdown."""
    parts = [""]
    for kind in VALUES:
        parts += _render_value(kind)
    for words in WORDS:
        parts += [f"## `{words.__name__}`", "", _summary(words), ""]
        parts += [f"* `{words.__name__}.{each.name}`: `{each.value!r}`" for each in words]
        parts.append("")
    parts += [
        "## Errors",
        "",
        "Every argument but the message is given by name. A class has the fields of the classes above it.",
        "",
        "| class | field | meaning |",
        "|---|---|---|",
    ]
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.ProviderError):
            parts += _render_error(kind)
    return "\n".join([*parts, ""])


def _render_value(kind: type) -> Iterator[str]:
    yield f"## `{kind.__name__}`"
    yield ""
    yield _summary(kind)
    yield ""
    yield "| field | type | default | range | meaning |"
    yield "|---|---|---|---|---|"
    docs = dict(ENTRY.findall(inspect.getdoc(kind) or ""))
    for field in attrs.fields(kind):
        if not field.init or field.name.startswith("_"):
            continue
        default = "required" if field.default is attrs.NOTHING else _default(field)
        name = getattr(field.type, "__name__", str(field.type)) if isinstance(field.type, type) else str(field.type)
        cells = [f"`{field.name}`", f"`{name}`", default, _range(field, field.type), _clean(docs.get(field.name, ""))]
        yield "| " + " | ".join(cell.replace(" | ", " or ") for cell in cells) + " |"
    yield ""


def _render_error(kind: type) -> Iterator[str]:
    entries = ENTRY.findall(inspect.getdoc(kind) or "") if kind.__doc__ else []
    own = [
        (name, text) for name, text in entries if kind is errors.ProviderError or name in getattr(kind, "RECORDED", ())
    ]
    for name, text in own or [("", _summary(kind))]:
        yield f"| `{kind.__name__}` | {f'`{name}`' if name else ''} | {_clean(text)} |"


def _summary(kind: type) -> str:
    """Return the first paragraph of a docstring on one line."""
    return _clean((inspect.getdoc(kind) or "").partition("\n\n")[0])


def _clean(text: str) -> str:
    return " ".join(re.sub(r"``", "`", text).split()).replace("|", "\\|")
