"""The checks of ``kickai doctor``: of the settings, and online of the key and the model."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from kickai_providers_core import Problem
from kickai_providers_core.authoring import (
    address_problems,
    connection_problems,
    header_problems,
    is_private_network,
    model_list_problems,
    plain_http_problems,
)

from kickai_openai.mapping import build_base_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_openai.settings import OpenAISettings

__all__ = ["find_settings_problems", "validate"]


def validate(settings: OpenAISettings, online: bool) -> Sequence[Problem]:
    """Return the problems with the settings and, online, those that the service reports for its list of models."""
    problems = list(find_settings_problems(settings))
    if not _has_errors(problems):
        problems += connection_problems(settings.address)
    if online and not _has_errors(problems):
        from kickai_openai.client import create_service  # noqa: PLC0415 - imports the HTTP client

        with closing(create_service(build_base_address(settings.address), settings)) as service:
            problems += model_list_problems(service, settings)
    return problems


def _has_errors(problems: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def find_settings_problems(settings: OpenAISettings) -> Iterator[Problem]:
    """Yield the errors in the settings, and a warning for what probably will not work."""
    address, has_secrets = settings.address, bool(settings.api_key or settings.headers)
    yield from header_problems({"api_key": settings.api_key}, settings.headers)
    yield from address_problems("base_url", address)
    yield from plain_http_problems("base_url", address, has_secrets=has_secrets, is_allowed=settings.allow_plain_http)
    variable = settings.service.key_variable
    if variable and not settings.base_url and not has_secrets:
        yield Problem(
            path="api_key", message=f"{settings.service.title} requires a key", hint=f"Set {variable}", missing=variable
        )
    elif not has_secrets and not is_private_network(address):
        yield Problem(
            path="api_key",
            message="no key is set, and the service is not in a private network",
            hint='Set api_key = { env = "NAME" }',
            severity="warning",
        )
    if settings.model is None and settings.service.needs_model:
        yield Problem(path="model", message="no model is set, so each target must name one", severity="warning")
