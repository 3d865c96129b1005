"""The online checks of ``kickai doctor --online``: is the token accepted, and who serves the model?

They read the Hub's documented endpoints (https://huggingface.co/docs/inference-providers/hub-api), or the model list of
the server at ``base_url``. They use the plugin's own connections rather than ``HfApi``, which reads and decompresses a
response of any size: here the size of each response is limited after decompression, and so is the time of all of them.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from attrs import frozen
from kickai_providers_core import (
    AuthenticationError,
    ModelNotFoundError,
    Problem,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
)
from kickai_providers_core.authoring import AttemptTimeouts, model_list_problems, printable_name

from kickai_hf.client import create_service
from kickai_hf.endpoints import build_hub_endpoint, build_server_endpoint
from kickai_hf.offline_checks import TOKEN_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["MAX_RESPONSE_BYTES", "OnlineCheck", "ProviderOfModel", "find_online_problems"]

ROUTER_POLICIES = frozenset({"auto", "fastest", "cheapest", "preferred"})
"""Suffixes of a model that leave the inference provider to the router."""

MAX_RESPONSE_BYTES = 2**20
"""The largest response that is read, decompressed. The Hub's are a few kilobytes; a server may list many models."""

MAX_SUGGESTIONS = 3
MAX_LISTED = 20
"""Inference providers that a message names."""


@frozen(kw_only=True)
class ProviderOfModel:
    """One inference provider that has a model.

    Attributes:
        name: As in a model's suffix.
        status: ``live``, ``staging``, or ``error`` when the Hub's last check of it failed.
        task: ``conversational`` for chat.
    """

    name: str
    status: str
    task: str

    @property
    def is_available(self) -> bool:
        """Whether it answers chat requests now."""
        return self.status == "live" and self.task == "conversational"


def find_online_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield the problems that the Hub, or the server at ``base_url``, reports. Takes at most ``timeout_s`` in all."""
    if settings.base_url is not None:
        path = "/models" if settings.task == "chat" else "/info"
        with closing(create_service(build_server_endpoint(settings), settings)) as service:
            yield from model_list_problems(service, settings, path)
        return
    try:
        with OnlineCheck(settings) as check:
            yield from check.find_hub_problems()
    except ProviderError as exc:
        yield Problem(path="hub_url", message=f"the online check failed: {exc}", severity="warning")


class OnlineCheck:
    """The requests to the Hub for one online check, on one connection and within one deadline.

    Args:
        settings: The instance to check; its ``timeout_s`` is the time for all requests together, from now.

    Raises:
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(self, settings: HuggingFaceSettings) -> None:
        self._settings = settings
        self._ends = time.monotonic() + settings.timeout_s
        self._service = create_service(build_hub_endpoint(settings), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def find_hub_problems(self) -> Iterator[Problem]:
        """Yield the problems with the token and the model that the Hub reports.

        Raises:
            ProviderError: The Hub does not answer in time, or not as documented.
        """
        try:
            with suppress(RateLimitedError):  # this endpoint has a strict limit; the next one reports a bad token too
                self._get("/api/whoami-v2")
        except AuthenticationError:
            yield Problem(
                path="token" if self._settings.token else "hub_token",
                message="Hugging Face does not accept the token",
                hint=f"Create a new one at {TOKEN_PAGE}",
            )
            return
        if self._settings.model is not None:
            yield self._build_model_problem(self._settings.model)

    def list_providers(self, model: str) -> tuple[ProviderOfModel, ...]:
        """Return the inference providers that have a model, in any state.

        Raises:
            ModelNotFoundError: The Hub has no such model, or hides it from this token.
            ProviderError: The Hub does not answer in time, or not as documented.
        """
        found = self._get(f"/api/models/{quote(model)}?expand=inferenceProviderMapping")
        listed = found.get("inferenceProviderMapping") if isinstance(found, dict) else None
        if isinstance(listed, dict):  # the form of the Hub's older answers
            listed = [{**entry, "provider": name} for name, entry in listed.items() if isinstance(entry, dict)]
        return tuple(
            ProviderOfModel(
                name=printable_name(entry.get("provider")),
                status=printable_name(entry.get("status")),
                task=printable_name(entry.get("task")),
            )
            for entry in _list_objects(listed)
        )

    def _build_model_problem(self, model_and_suffix: str) -> Problem:
        model, _, suffix = model_and_suffix.partition(":")
        wanted = suffix or self._settings.inference_provider
        try:
            providers = self.list_providers(model)
        except (ModelNotFoundError, AuthenticationError):  # the Hub says 401 or 403 for a private or gated model
            return Problem(
                path="model",
                message=f"the Hub has no model {model} for this token",
                hint=self._suggest_alternatives(model),
            )
        available = [each.name for each in providers if each.is_available]
        if not available:
            states = _format_names(f"{each.name}: {each.status}, for {each.task}" for each in providers)
            return Problem(
                path="model",
                message=f"no inference provider serves {model} for chat now ({states or 'none has it'})",
                hint=self._suggest_alternatives(model),
            )
        if wanted not in ROUTER_POLICIES and wanted not in available:
            return Problem(
                path="model" if suffix else "inference_provider",
                message=f"{wanted} does not serve {model} for chat now",
                hint=f"Served by {_format_names(available)}",
            )
        return Problem(path="model", message=f"{model} is served by {_format_names(available)} now", severity="note")

    def _suggest_alternatives(self, model: str) -> str:
        """Return a hint that names models that are served now, those of the same author first."""
        author = model.partition("/")[0]
        try:
            found = [*self._list_served_models(author=author), *self._list_served_models()]
        except ProviderError:
            return "see https://huggingface.co/models?inference_provider=all for models that are served"
        names = list(dict.fromkeys(found))[:MAX_SUGGESTIONS]
        return f"use {', '.join(names)} instead" if names else "the Hub lists no model that is served now"

    def _list_served_models(self, **filters: str) -> list[str]:
        fixed = {"inference_provider": "all", "pipeline_tag": "text-generation", "limit": MAX_SUGGESTIONS}
        return _list_ids(self._get(f"/api/models?{urlencode({**fixed, **filters})}"))

    def _get(self, path: str) -> Any:
        """Return the JSON value at a path.

        Raises:
            ProviderError: There is none, it is too large, or it is not read in time.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise ProviderTimeoutError("no answer in time", phase="total")
        timeouts = AttemptTimeouts(left, connect_timeout_s=self._settings.connect_timeout_s)
        return self._service.get_json(path, timeouts, MAX_RESPONSE_BYTES)


def _list_objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; none of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _list_ids(value: Any) -> list[str]:
    """Return the ids of a JSON array of models."""
    return [printable_name(each["id"]) for each in _list_objects(value) if "id" in each]


def _format_names(names: Iterable[str]) -> str:
    """Return names as one text, at most `MAX_LISTED` of them."""
    found = list(names)
    more = [f"and {len(found) - MAX_LISTED} more"] if len(found) > MAX_LISTED else []
    return ", ".join([*found[:MAX_LISTED], *more])
