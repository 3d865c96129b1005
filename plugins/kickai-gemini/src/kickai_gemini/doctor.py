"""What keeps an instance from being used, and what will before long."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kickai_providers_core import AuthenticationError, Problem, ProviderError

from kickai_gemini import client, lifecycle, network
from kickai_gemini.choice import FIRST, choose, missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from kickai_gemini.settings import GeminiSettings

__all__ = ["problems"]

GET_A_KEY = "Set GOOGLE_API_KEY (or GEMINI_API_KEY) to a key from https://aistudio.google.com/apikey"


def problems(settings: GeminiSettings, today: date, *, online: bool) -> Iterator[Problem]:
    """Yield the problems of an instance.

    Args:
        settings: Its settings.
        today: The day, to tell which models are retired.
        online: Whether the service may be asked; it is, when nothing else is wrong.
    """
    found = [*_offline(settings), *_model(settings, today)]
    yield from found
    if online and not any(problem.severity == "error" for problem in found):
        yield from _online(settings, today)


def _offline(settings: GeminiSettings) -> Iterator[Problem]:
    if not settings.api_key:
        yield Problem(path="api_key", message="there is no API key", hint=GET_A_KEY, missing="GOOGLE_API_KEY")
    elif not _possible(settings.api_key.reveal()):
        yield Problem(path="api_key", message="the API key holds characters that no key has", hint=GET_A_KEY)
    sdk = choose(settings.client)
    if sdk is None:
        yield missing(settings.client)
    if sdk == FIRST and settings.thinking_level is not None:
        yield Problem(
            path="thinking_level",
            message="google-generativeai cannot send a thinking level, so it is left out",
            hint="Run pip install 'kickai-gemini[genai]'",
            severity="warning",
        )
    yield from network.problems(settings.base_url, sdk)
    if settings.base_url.startswith("http://") and not _is_loopback(settings.base_url):
        yield Problem(
            path="base_url",
            message="the API key would travel unencrypted",
            hint="Use https://, or http:// on this machine only",
        )


def _possible(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _model(settings: GeminiSettings, today: date) -> Iterator[Problem]:
    model = settings.model or lifecycle.DEFAULT_MODEL
    end = lifecycle.retirement(model)
    if end is not None and end.over(today):
        yield _warning(f"{model} is retired; {lifecycle.served(model, today)} is asked instead")
    elif end is not None and end.soon(today):
        yield _warning(f"{model} will be retired on {end.on}; its successor is {end.successor}")


def _online(settings: GeminiSettings, today: date) -> Iterator[Problem]:
    provider = client.create(settings)
    try:
        names = sorted(provider.models())
    except AuthenticationError as exc:
        yield Problem(path="api_key", message=str(exc), hint=GET_A_KEY)
        return
    except ProviderError as exc:
        yield Problem(path="base_url", message=f"the models could not be listed: {exc}")
        return
    finally:
        provider.close()
    asked = lifecycle.plain(lifecycle.served(settings.model or lifecycle.DEFAULT_MODEL, today))
    if asked not in names:
        yield Problem(path="model", message=f"{asked} is not served to this key", hint="Choose one of the list below")
    told = f"the key may use {', '.join(_flagged(name, today) for name in names) or 'no model'}"
    yield Problem(path="model", message=told, severity="note" if names else "warning")


def _flagged(name: str, today: date) -> str:
    end = lifecycle.retirement(name)
    if end is None or not (end.over(today) or end.soon(today)):
        return name
    told = "retired on" if end.over(today) else "until"
    return f"{name} ({told} {end.on}: use {lifecycle.served(end.successor, today)})"


def _warning(message: str) -> Problem:
    return Problem(path="model", message=message, severity="warning")
