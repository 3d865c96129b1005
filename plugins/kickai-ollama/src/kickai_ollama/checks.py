"""What keeps an instance from being used, and what would make it ready."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from kickai_providers_core import AuthenticationError, Problem, ProviderError
from kickai_providers_core.authoring import network_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Progress

    from kickai_ollama.settings import OllamaSettings

__all__ = ["offline", "online", "prepare"]

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

SHOWN = 12
"""How many of the server's models a message names."""


def offline(settings: OllamaSettings) -> Iterator[Problem]:
    """Yield what can be said without asking the server: whether its certificate can be checked, and who can listen."""
    address = settings.address
    if address.scheme == "https":
        # Proxies are not used here, so only the variables for certificates count.
        yield from network_problems({name: os.environ.get(name, "") for name in CERTIFICATES}, url=address.url)
    if not address.in_the_clear:
        return
    yield Problem(
        path="host",
        message=f"prompts and answers travel unencrypted to {address.host}: plain HTTP beyond this machine",
        hint="Keep it to a network that you trust, or put a TLS proxy before the server and use https://.",
        severity="warning",
    )
    if settings.api_key:
        yield Problem(
            path="api_key",
            message=f"the key is not sent to {address.host}: it would travel unencrypted",
            hint="Use https://, or remove the key.",
            severity="warning",
        )


def online(settings: OllamaSettings) -> Iterator[Problem]:
    """Yield what the server says: whether it answers, whether it has the model, and what it has."""
    from kickai_ollama.library import Library, full_name  # noqa: PLC0415  imports the ollama client
    from kickai_ollama.pools import Pools  # noqa: PLC0415

    with closing(Pools(settings.address)) as pools:
        try:
            names = Library(settings, pools).names()
        except AuthenticationError as error:
            yield Problem(path="api_key", message=error.message, missing="OLLAMA_API_KEY")
            return
        except ProviderError as error:
            yield Problem(path="host", message=error.message, missing="a running Ollama server")
            return
    has = f"it has {_listed(names)}" if names else "it has none yet"
    if settings.model is None:
        yield Problem(
            path="model",
            message=f"the server answers, and no model is set: {has}",
            hint="Set model, or name one in each target: ollama:MODEL.",
            severity="warning",
        )
    elif full_name(settings.model) not in names:
        hint = "It is pulled on first use." if settings.pull else f"Get it with `ollama pull {settings.model}`."
        yield Problem(
            path="model",
            message=f"the server does not have {settings.model}: {has}",
            hint=hint,
            missing=settings.model,
            severity="warning" if settings.pull else "error",
        )
    else:
        yield Problem(path="model", message=f"the server has {settings.model}; {has}", severity="note")


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def prepare(settings: OllamaSettings, model: str | None) -> Iterator[Progress]:
    """Pull the model, when the settings say so and the server lacks it, and yield how far that is.

    Args:
        settings: The instance.
        model: The model that is going to be asked; None for the instance's own.

    Raises:
        ProviderError: The server cannot be asked, or has nowhere to pull the model from.
    """
    from kickai_ollama.library import Library, full_name  # noqa: PLC0415
    from kickai_ollama.pools import Pools  # noqa: PLC0415

    model = model or settings.model
    if not settings.pull or not model:
        return
    with closing(Pools(settings.address)) as pools:
        library = Library(settings, pools)
        if full_name(model) not in library.names():
            yield from library.pull(model)
