"""What is wrong with an instance's settings, and what soon will be; `kickai doctor` shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kickai_providers_core import AuthenticationError, Problem, ProviderError

from kickai_gemini.known_models import DEFAULT_MODEL, choose_served_model, find_retirement, strip_models_prefix
from kickai_gemini.network import find_network_problems
from kickai_gemini.sdk import GENERATIVEAI, build_missing_problem, choose_sdk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from kickai_gemini.settings import GeminiSettings

__all__ = ["find_problems", "validate"]

GET_A_KEY = "Set GOOGLE_API_KEY (or GEMINI_API_KEY) to a key from https://aistudio.google.com/apikey"


def validate(settings: GeminiSettings, online: bool) -> Iterator[Problem]:
    """Yield the problems of an instance today; the hook."""
    return find_problems(settings, datetime.now(UTC).date(), online=online)


def find_problems(settings: GeminiSettings, today: date, *, online: bool) -> Iterator[Problem]:
    """Yield the problems of an instance.

    Args:
        settings: Its settings.
        today: The day, which decides which models are retired.
        online: Whether to ask the service too, when nothing else is wrong.
    """
    found = [*_check_settings(settings), *_check_model(settings, today)]
    yield from found
    if online and not any(problem.severity == "error" for problem in found):
        yield from _check_online(settings, today)


def _check_settings(settings: GeminiSettings) -> Iterator[Problem]:
    if not settings.api_key:
        yield Problem(path="api_key", message="the API key is missing", hint=GET_A_KEY, missing="GOOGLE_API_KEY")
    elif not _is_possible_key(settings.api_key.reveal()):
        yield Problem(path="api_key", message="the API key has characters that no key has", hint=GET_A_KEY)
    sdk = choose_sdk(settings.client)
    if sdk is None:
        yield build_missing_problem(settings.client)
    if sdk == GENERATIVEAI and settings.thinking_level is not None:
        yield Problem(
            path="thinking_level",
            message="google-generativeai cannot send a thinking level, so it is left out",
            hint="Run pip install 'kickai-gemini[genai]'",
            severity="warning",
        )
    yield from find_network_problems(settings.base_url)
    if settings.base_url.startswith("http://") and not _is_loopback(settings.base_url):
        yield Problem(
            path="base_url",
            message="the API key would be sent unencrypted",
            hint="Use https://, or http:// on this machine only",
        )


def _is_possible_key(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_model(settings: GeminiSettings, today: date) -> Iterator[Problem]:
    model = settings.model or DEFAULT_MODEL
    end = find_retirement(model)
    if end is not None and end.is_over(today):
        message = f"{model} is retired; {choose_served_model(model, today)} is used instead"
        yield Problem(path="model", message=message, severity="warning")
    elif end is not None and end.is_soon(today):
        message = f"{model} will be retired on {end.on}; its successor is {end.successor}"
        yield Problem(path="model", message=message, severity="warning")


def _check_online(settings: GeminiSettings, today: date) -> Iterator[Problem]:
    from kickai_gemini.client import Gemini  # noqa: PLC0415  imports the HTTP library

    provider = Gemini(settings)
    try:
        names = sorted(provider.list_models())
    except AuthenticationError as exc:
        yield Problem(path="api_key", message=str(exc), hint=GET_A_KEY)
        return
    except ProviderError as exc:
        yield Problem(path="base_url", message=f"the models could not be listed: {exc}")
        return
    finally:
        provider.close()
    model = strip_models_prefix(choose_served_model(settings.model or DEFAULT_MODEL, today))
    if model not in names:
        yield Problem(path="model", message=f"{model} is not served to this key", hint="Choose one of the list below")
    message = f"the key may use {', '.join(_add_retirement(name, today) for name in names) or 'no model'}"
    yield Problem(path="model", message=message, severity="note" if names else "warning")


def _add_retirement(name: str, today: date) -> str:
    end = find_retirement(name)
    if end is None or not (end.is_over(today) or end.is_soon(today)):
        return name
    when = "retired on" if end.is_over(today) else "until"
    return f"{name} ({when} {end.on}: use {choose_served_model(end.successor, today)})"
