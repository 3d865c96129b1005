"""The problems of an instance, and the steps that make it ready."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from kickai_providers_core import AuthenticationError, Problem, ProviderError
from kickai_providers_core.authoring import network_problems

from kickai_ollama.address import CERTIFICATE_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core import Progress

    from kickai_ollama.settings import OllamaSettings

__all__ = ["find_offline_problems", "find_online_problems", "prepare", "validate"]

SHOWN_MODELS = 12
"""How many of the server's models a message names."""


def validate(settings: OllamaSettings, online: bool) -> Sequence[Problem]:
    """Return what is unsafe, and, online, whether the server answers and has the model."""
    return [*find_offline_problems(settings), *(find_online_problems(settings) if online else ())]


def find_offline_problems(settings: OllamaSettings) -> Iterator[Problem]:
    """Yield the problems that need no call: unusable certificates, and prompts or keys that others could read."""
    address = settings.address
    if address.scheme == "https":
        environ = {name: os.environ.get(name, "") for name in CERTIFICATE_VARIABLES}
        yield from network_problems(environ, url=address.url)
    if not address.is_readable_by_others:
        return
    yield Problem(
        path="host",
        message=f"prompts and answers travel unencrypted to {address.host}: it is another machine, over plain HTTP",
        hint="Use a network that you trust, or put a TLS proxy in front of the server and use https://.",
        severity="warning",
    )
    if settings.api_key:
        yield Problem(
            path="api_key",
            message=f"the key is not sent to {address.host}: it would travel unencrypted",
            hint="Use https://, or remove the key.",
            severity="warning",
        )


def find_online_problems(settings: OllamaSettings) -> Iterator[Problem]:
    """Yield whether the server answers, whether it has the model, and which models it has."""
    from kickai_ollama.model_pulls import Models  # noqa: PLC0415  imports the ollama client
    from kickai_ollama.transport import connect  # noqa: PLC0415

    with closing(connect(settings)) as connections:
        try:
            names = Models(settings, connections).list()
        except AuthenticationError as error:
            yield Problem(path="api_key", message=error.message, missing="OLLAMA_API_KEY")
            return
        except ProviderError as error:
            yield Problem(path="host", message=error.message, missing="a running Ollama server")
            return
    yield _check_model(settings, names)


def _check_model(settings: OllamaSettings, names: tuple[str, ...]) -> Problem:
    from kickai_ollama.model_pulls import add_tag  # noqa: PLC0415

    more = f" and {len(names) - SHOWN_MODELS} more" if len(names) > SHOWN_MODELS else ""
    has = f"it has {', '.join(names[:SHOWN_MODELS])}{more}" if names else "it has none yet"
    if settings.model is None:
        return Problem(
            path="model",
            message=f"the server answers, and no model is set: {has}",
            hint="Set model, or name one in each target: ollama:MODEL.",
            severity="warning",
        )
    if add_tag(settings.model) in names:
        return Problem(path="model", message=f"the server has {settings.model}; {has}", severity="note")
    return Problem(
        path="model",
        message=f"the server does not have {settings.model}: {has}",
        hint="It is pulled on first use." if settings.pull else f"Get it with `ollama pull {settings.model}`.",
        missing=settings.model,
        severity="warning" if settings.pull else "error",
    )


def prepare(settings: OllamaSettings, model: str | None) -> Iterator[Progress]:
    """Pull the model when ``pull`` is set and the server lacks it, and yield the progress.

    Args:
        settings: The instance.
        model: The model that will be called; None for the instance's own.

    Raises:
        ProviderError: The server cannot be called, or cannot pull the model.
    """
    from kickai_ollama.model_pulls import Models, add_tag  # noqa: PLC0415
    from kickai_ollama.transport import connect  # noqa: PLC0415

    model = model or settings.model
    if not settings.pull or not model:
        return
    with closing(connect(settings)) as connections:
        models = Models(settings, connections)
        if add_tag(model) not in models.list():
            yield from models.pull(model)
