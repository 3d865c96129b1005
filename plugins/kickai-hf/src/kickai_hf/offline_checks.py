"""The offline checks of an instance's settings: addresses, tokens, headers, proxies and certificates. No network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kickai_providers_core import Problem
from kickai_providers_core.authoring import (
    address_problems,
    connection_problems,
    header_problems,
    plain_http_problems,
)

from kickai_hf.endpoints import build_hub_endpoint, build_inference_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kickai_hf.settings import HuggingFaceSettings

__all__ = [
    "TOKEN_PAGE",
    "find_environment_problems",
    "find_settings_problems",
    "validate",
]

TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # noqa: S105 - an address
HUB_TOKEN_PREFIX = "hf_"  # noqa: S105 - the prefix of every token


def validate(settings: HuggingFaceSettings, online: bool) -> Sequence[Problem]:
    """Return the problems with the settings, and online those that the service reports."""
    problems = list(find_settings_problems(settings))
    if not _has_errors(problems):
        problems += find_environment_problems(settings)
    if online and not _has_errors(problems):
        from kickai_hf import online_checks  # noqa: PLC0415 - imports the HTTP client

        problems += online_checks.find_online_problems(settings)
    return problems


def _has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def find_settings_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield the errors in the settings, and a warning for each setting without effect."""
    yield from header_problems({"token": settings.token, "hub_token": settings.hub_token}, settings.headers)
    if settings.base_url is None:
        yield from _find_router_problems(settings)
    else:
        yield from address_problems("base_url", settings.base_url)
        has_secrets = bool(settings.token or settings.headers)
        yield from plain_http_problems(
            "base_url", settings.base_url, has_secrets=has_secrets, is_allowed=settings.allow_plain_http
        )
        yield from _find_settings_without_effect(settings)
    yield from address_problems("hub_url", settings.hub_url)
    has_token = bool(build_hub_endpoint(settings).key)
    yield from plain_http_problems(
        "hub_url", settings.hub_url, has_secrets=has_token, is_allowed=settings.allow_plain_http
    )


def find_environment_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield the environment variables that prevent requests; the settings must have no errors."""
    yield from connection_problems(build_inference_endpoint(settings).url)
    if settings.base_url is None and os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        yield Problem(
            path="HF_HUB_OFFLINE",
            message="HF_HUB_OFFLINE is set, which forbids requests to Hugging Face",
            hint="Unset it, or set base_url",
        )


def _find_router_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    token = settings.token or settings.hub_token
    if not token:
        yield Problem(
            path="token",
            message="Hugging Face's router requires a token",
            hint=f"Set HUGGINGFACE_API_TOKEN; create a token at {TOKEN_PAGE}",
            missing="HUGGINGFACE_API_TOKEN",
        )
    elif not token.reveal().startswith(HUB_TOKEN_PREFIX):
        yield Problem(
            path="token" if settings.token else "hub_token",
            message=f"this is not a Hugging Face token, which begins with {HUB_TOKEN_PREFIX}",
            hint="To use another vendor's key, set base_url to that vendor's address",
        )
    if settings.task == "text_generation":
        yield Problem(
            path="task",
            message="the router serves chat only",
            hint="Set base_url to a server that completes text, or remove task",
        )


def _find_settings_without_effect(settings: HuggingFaceSettings) -> Iterator[Problem]:
    used = {"inference_provider": settings.inference_provider != "auto", "bill_to": bool(settings.bill_to)}
    for path, is_set in used.items():
        if is_set:
            yield Problem(path=path, message="it has no effect together with base_url", severity="warning")
