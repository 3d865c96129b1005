"""What the services say to an instance's settings: is the token accepted, who serves the model, what instead?

Three questions to the Hub (https://huggingface.co/docs/inference-providers/hub-api), or two to a server of one's own.
They are asked directly rather than through the vendor's ``HfApi``, whose requests have no bound in time.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from attrs import frozen
from kickai_providers_core import AuthenticationError, ModelNotFoundError, Problem, ProviderError, RateLimitedError

from kickai_hf import routes, transport
from kickai_hf.exchange import SyncCall
from kickai_hf.mapping import from_exception
from kickai_hf.patience import Patience
from kickai_hf.wire import Requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_hf.routes import Route
    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["Serving", "problems", "serving"]

POLICIES = frozenset({"auto", "fastest", "cheapest", "preferred"})
"""Suffixes of a model that leave the inference provider to the router."""

SUGGESTIONS = 3


@frozen(kw_only=True)
class Serving:
    """One inference provider that has a model.

    Attributes:
        provider: Its name, as in a model's suffix.
        status: ``live``, ``staging``, or ``error`` when the Hub's last check of it failed.
        task: ``conversational`` for chat.
    """

    provider: str
    status: str
    task: str

    @property
    def answers(self) -> bool:
        """Whether it can be asked now."""
        return self.status == "live" and self.task == "conversational"


def problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield what the services object to. Each question takes at most the instance's ``timeout_s``."""
    try:
        if settings.base_url is None:
            yield from _hub(settings)
        else:
            yield from _server(settings)
    except ProviderError as exc:
        path = "hub_url" if settings.base_url is None else "base_url"
        yield Problem(path=path, message=f"it cannot be asked: {exc}", severity="warning")


def serving(model: str, settings: HuggingFaceSettings) -> tuple[Serving, ...]:
    """Return the inference providers that have a model, whatever their state.

    Raises:
        ModelNotFoundError: The Hub has no such model, or not for this token.
        ProviderError: The Hub cannot be asked.
    """
    found = _get(routes.hub_route(settings), f"/api/models/{quote(model)}?expand=inferenceProviderMapping", settings)
    listed = found.get("inferenceProviderMapping") if isinstance(found, dict) else None
    if isinstance(listed, dict):  # as the Hub writes it when it is not asked for a list
        listed = [{**entry, "provider": name} for name, entry in listed.items() if isinstance(entry, dict)]
    return tuple(
        Serving(provider=str(one.get("provider")), status=str(one.get("status")), task=str(one.get("task")))
        for one in _objects(listed)
    )


def _hub(settings: HuggingFaceSettings) -> Iterator[Problem]:
    try:
        with suppress(RateLimitedError):  # this question alone has a strict limit; the next one shows a bad token, too
            _get(routes.hub_route(settings), "/api/whoami-v2", settings)
    except AuthenticationError:
        yield Problem(
            path="token" if settings.token else "hub_token",
            message="Hugging Face does not accept the token",
            hint=f"make a new one at {routes.TOKEN_PAGE}",
        )
        return
    if settings.model is not None:
        yield from _model(settings.model, settings)


def _model(named: str, settings: HuggingFaceSettings) -> Iterator[Problem]:
    model, _, suffix = named.partition(":")
    wanted = suffix or settings.inference_provider
    try:
        served = serving(model, settings)
    except (ModelNotFoundError, AuthenticationError):  # for a model that is private or gated the Hub says 401 or 403
        yield Problem(
            path="model", message=f"the Hub has no model {model} for this token", hint=_instead(model, settings)
        )
        return
    live = [one.provider for one in served if one.answers]
    if not live:
        told = ", ".join(f"{one.provider}: {one.status}, for {one.task}" for one in served) or "nobody has it"
        yield Problem(
            path="model",
            message=f"no inference provider serves {model} for chat now ({told})",
            hint=_instead(model, settings),
        )
    elif wanted not in POLICIES and wanted not in live:
        yield Problem(
            path="model" if suffix else "inference_provider",
            message=f"{wanted} does not serve {model} for chat now",
            hint=f"served by {', '.join(live)}",
        )
    else:
        yield Problem(path="model", message=f"{model} is served by {', '.join(live)} now", severity="note")


def _instead(model: str, settings: HuggingFaceSettings) -> str:
    """Return what to use instead: models that are served now, those of the same author first."""
    author = model.partition("/")[0]
    try:
        found = [*_served_models(settings, author=author), *_served_models(settings)]
    except ProviderError:
        return "see https://huggingface.co/models?inference_provider=all for models that are served"
    names = list(dict.fromkeys(found))[:SUGGESTIONS]
    return f"use {', '.join(names)} instead" if names else "the Hub lists no model that is served now"


def _served_models(settings: HuggingFaceSettings, **which: str) -> Iterable[str]:
    query = urlencode({"inference_provider": "all", "pipeline_tag": "text-generation", "limit": SUGGESTIONS, **which})
    found = _get(routes.hub_route(settings), f"/api/models?{query}", settings)
    return [str(one["id"]) for one in _objects(found) if "id" in one]


def _server(settings: HuggingFaceSettings) -> Iterator[Problem]:
    route = routes.server_route(settings)
    try:
        listed = _get(route, "/models" if settings.task == "chat" else "/info", settings)
    except ModelNotFoundError:  # it does not say what it serves
        return
    except AuthenticationError:
        told = "the server does not accept the token" if route.token else "the server wants a token"
        yield Problem(path="token", message=told, hint="set token in this instance's settings")
        return
    data = listed.get("data") if isinstance(listed, dict) else None
    names = [str(one["id"]) for one in _objects(data) if "id" in one]
    if settings.model is not None and names and settings.model not in names:
        yield Problem(
            path="model",
            message=f"the server does not list {settings.model}",
            hint=f"it lists {', '.join(names[:SUGGESTIONS])}",
            severity="warning",  # llama.cpp and TGI answer whatever they are called
        )


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; none of anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _get(route: Route, path: str, settings: HuggingFaceSettings) -> Any:
    """Return the JSON value at a path.

    Raises:
        ProviderError: There is none, or not in time.
    """
    patience = Patience(settings, settings.timeout_s)
    answering = False
    try:
        with closing(transport.sync_transport(route.url, 1, transport.trust(route.url))) as sender:
            call = SyncCall(Requests(route), patience, sender)
            with closing(call):
                call.get(path)
                answering = True
                return call.document()
    except Exception as exc:  # noqa: BLE001 - translated like that of any other request
        failure = from_exception(exc, patience, answering=answering)
    raise failure
