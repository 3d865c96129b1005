"""The plugin API: the pluggy hook specifications that lie between the core and its plugins.

A plugin is a module or an object whose functions are marked with `hookimpl` and whose distribution declares it
under the entry-point group ``kickai.providers``. A *provider plugin* implements `kickai_provider_info`,
`kickai_create_provider` and `kickai_invoke_provider`; everything else has a default. A plugin without
`kickai_provider_info` is no provider: it may observe, and it may wrap the invocation hooks with
``hookimpl(wrapper=True)``, and then does so for every provider.

Each provider's hooks are called for that plugin alone, with the wrappers round them. Parameters are passed by
name; an implementation may leave out those it does not need.

Since plugin API 1, unless a hook says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import pluggy
from attrs import field, frozen

from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.validation import (
    Boolean,
    InstanceOf,
    Number,
    Text,
    convert_to_tuple,
    describe_type,
    raise_type_error,
    require_text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence

    from kickai_providers_core.values.errors import Problem
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.replies import Reply, ReplyChunk
    from kickai_providers_core.values.requests import Capability, ChatRequest
    from kickai_providers_core.values.targets import Target

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "PROJECT_NAME",
    "Mode",
    "ModelInfo",
    "Progress",
    "ProviderInfo",
    "hookimpl",
    "hookspec",
]

PROJECT_NAME = "kickai"
"""The name that pluggy knows this adapter by."""

ENTRY_POINT_GROUP = "kickai.providers"
"""Where a distribution declares its plugins."""

API_VERSION = 1
"""The version of the plugin API; it increases when plugins written for the previous version would break."""

SEAM_VERSION = API_VERSION
"""The name of `API_VERSION` in the first releases."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

Mode = Literal["invoke", "ainvoke", "stream", "astream"]
"""The four ways to call a provider."""


@frozen(kw_only=True)
class ModelInfo:
    """What a plugin knows of one model.

    Attributes:
        context_window: Tokens that prompt and answer may have together; None when unknown.
        capabilities: What this model offers; None for all that its provider does.
        successor: The model to ask instead, when this one is retired; None while it is served.
    """

    context_window: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    capabilities: frozenset[Capability] | None = None
    successor: str | None = field(default=None, validator=Text(optional=True))


@frozen(kw_only=True)
class Progress:
    """How far something is that takes a while.

    Attributes:
        status: What is being done, in a few words.
        completed: Bytes that are done.
        total: Bytes that there are; 0 while that is unknown.
    """

    status: str = field(validator=Text(empty=True))
    completed: int = field(default=0, validator=Number(integer=True, minimum=0))
    total: int = field(default=0, validator=Number(integer=True, minimum=0))

    def __str__(self) -> str:
        return f"{self.completed / self.total:.0%}" if self.total else self.status


def _convert_aliases(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        require_text(f"ProviderInfo.aliases[{place}]", alias)
        for place, alias in enumerate(convert_to_tuple("ProviderInfo.aliases", "names", value))
    )


def _validate_models(_info: object, _field: object, models: Mapping[str, ModelInfo]) -> None:
    for name, model in models.items():
        if not isinstance(model, ModelInfo):
            raise_type_error(f"ProviderInfo.models[{name!r}]", "a ModelInfo", describe_type(model))


@frozen(kw_only=True)
class ProviderInfo:
    """What a provider plugin says of itself.

    Attributes:
        name: Its name in settings and chains: lower-case letters, digits and ``-``.
        summary: One line for ``kickai providers``.
        settings_class: An attrs class that extends `ProviderSettings`.
        aliases: Further names that mean the same.
        capabilities: What it offers beyond text.
        environment: From environment variable to the settings field it fills, the most important first. They
            apply to the instance that is named after the plugin (or an alias of it), and to no other, so that a key
            never goes to an address that it was not meant for.
        models: What is known of models by name; a model that is not listed is not thereby wrong.
        holds_timeouts: True when the plugin's sync hooks return or raise within ``timeout_s`` plus 250 ms, whatever
            the service does. When False the core runs each sync call in a thread of its own, to be able to leave it.
        api_version: The version of the plugin API that it was written for.
        native: The modes it implements itself. Filled in by discovery from the hooks it has.
    """

    name: str = field(validator=Text())
    summary: str = field(validator=Text(empty=True))
    settings_class: type[ProviderSettings] = field(default=ProviderSettings, validator=InstanceOf(type))
    aliases: tuple[str, ...] = field(default=(), converter=_convert_aliases)
    capabilities: frozenset[Capability] = frozenset()
    environment: Mapping[str, str] = field(factory=dict, validator=InstanceOf(Mapping))
    models: Mapping[str, ModelInfo] = field(factory=dict, validator=[InstanceOf(Mapping), _validate_models])
    holds_timeouts: bool = field(default=False, validator=Boolean())
    api_version: int = API_VERSION
    native: frozenset[Mode] = frozenset()


@hookspec(firstresult=True)
def kickai_provider_info() -> ProviderInfo:  # type: ignore[empty-body]
    """Describe the provider.

    Called once, at discovery. It must be cheap and must not import the vendor's client: everyone who has
    the plugin installed pays for it.

    :return: The description. Anything else, and an exception, make the plugin broken; others are not affected.
    """


@hookspec(firstresult=True)
def kickai_validate_provider(settings: ProviderSettings, online: bool) -> Iterable[Problem]:  # type: ignore[empty-body]
    """Say what keeps the provider from being used with these settings.

    Called before the provider is created, offline, and by ``kickai doctor``. Optional: without it any settings
    that could be read are usable.

    :param settings: An instance of the plugin's own settings class.
    :param online: Whether the service may be asked: is the key accepted, is the model served? When False, no network.
    :return: Problems, their paths relative to the settings (``api_key``); none when usable.
        One with the severity ``warning`` does not keep the provider from being used; a ``note`` is merely worth
        knowing, such as which models the service has.
        An exception counts as one problem.
    """


@hookspec(firstresult=True)
def kickai_create_provider(settings: ProviderSettings) -> object:
    """Create the provider: an object that owns its client.

    Called once for each instance in the settings, on its first use, from whichever thread comes first. It must
    not ask the network. The object is used from several threads and event loops at once until it is closed.

    :param settings: An instance of the plugin's own settings class, already validated.
    :return: Any object but None; it is handed back to the other hooks as ``provider``.
        An exception means that the instance is not configured; the message of a `ProviderError` is shown.
    """


@hookspec(firstresult=True)
def kickai_prepare_provider(settings: ProviderSettings, model: str | None) -> Iterator[Progress]:  # type: ignore[empty-body]
    """Make ready what a first call would have to wait for: download a model, say.

    Called by programs that can wait and show the progress, as ``kickai ask`` does; never by a chain.
    Optional, and only what the settings ask for.

    :param settings: An instance of the plugin's own settings class, already validated.
    :param model: The model that is going to be asked; None for the instance's own.
    :return: An iterator that does the work while it is read, and tells how far it is; empty when all is ready.
    :raises ProviderError: From the iterator, when it cannot be made ready.
    """


@hookspec(firstresult=True)
def kickai_provider_capabilities(settings: ProviderSettings, model: str | None) -> frozenset[Capability] | None:
    """Say what one instance can do, which may be less than its plugin can.

    Called offline when a chain is built, once for each instance and model. Optional: without it, and when the result is
    None, ``ModelInfo.capabilities`` counts, and otherwise ``ProviderInfo.capabilities``. A target that lacks what a
    request needs is skipped.

    :param settings: An instance of the plugin's own settings class, not validated yet.
    :param model: The model that a chain names; None for one that only the provider knows.
    :return: The capabilities; None when unknown. An exception, unknown names and more than 50 ms count as unknown, and
        are one warning.
    """


@hookspec(firstresult=True)
def kickai_invoke_provider(provider: object, request: ChatRequest, timeout_s: float) -> Reply:  # type: ignore[empty-body]
    """Answer a request, blocking the calling thread.

    Called for each attempt. It makes one request of the service: no retries, they are the core's.
    A wrapper may wrap it.

    :param provider: What `kickai_create_provider` returned.
    :param request: What to ask, with model, temperature and token limit resolved. It is not to be changed.
    :param timeout_s: Seconds that the whole attempt may take, connecting included.
    :return: The answer, whole: a reply that was cut short by anything but its token limit is an error.
    :raises ProviderError: The subclass says what happens next. Anything else counts as
        `ProviderUnavailableError`, with the exception as its cause.
    """


@hookspec(firstresult=True)
def kickai_ainvoke_provider(provider: object, request: ChatRequest, timeout_s: float) -> Awaitable[Reply]:  # type: ignore[empty-body]
    """Answer a request without blocking the event loop.

    Called for each attempt, on the loop that awaits the result; one provider may serve several loops in turn or
    at once. Optional: without it, `kickai_invoke_provider` runs in a thread. Cancelling the awaitable must
    free what the attempt held. A wrapper gets the awaitable as its result and may return another.

    :param provider: As in `kickai_invoke_provider`.
    :param request: Likewise.
    :param timeout_s: Likewise; the core also cancels the awaitable when the time is over.
    :return: An awaitable of the answer (an ``async def`` does).
    :raises ProviderError: As in `kickai_invoke_provider`.
    """


@hookspec(firstresult=True)
def kickai_stream_provider(provider: object, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:  # type: ignore[empty-body]
    """Answer a request piece by piece, blocking the calling thread for each.

    Called for each attempt. The first-token and idle timeouts are in the settings that the provider was
    created with. Optional: without it, `kickai_invoke_provider` answers in one chunk. The result must have a
    ``close()`` (a generator has) that closes the connection, also half-way.

    :param provider: As in `kickai_invoke_provider`.
    :param request: Likewise.
    :param timeout_s: Seconds that the whole stream may take.
    :return: An iterator of chunks, the last of them with a finish reason.
    :raises ProviderError: On the call, or from the iterator; `InvalidReplyError` when the service ends the
        stream without saying why the model stopped.
    """


@hookspec(firstresult=True)
def kickai_astream_provider(provider: object, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:  # type: ignore[empty-body]
    """Answer a request piece by piece without blocking the event loop.

    Called for each attempt. Optional: without it, the sync stream is read in a thread. The result must have
    an ``aclose()`` (an async generator has) that closes the connection, also half-way.

    :param provider: As in `kickai_invoke_provider`.
    :param request: Likewise.
    :param timeout_s: Seconds that the whole stream may take; the core also holds it, and the first-token and idle
        timeouts, from outside.
    :return: An async iterator of chunks (an ``async def`` with ``yield`` does), the last of them with a finish reason.
    :raises ProviderError: As in `kickai_stream_provider`.
    """


@hookspec(firstresult=True)
def kickai_close_provider(provider: object) -> None:
    """Free all that the provider holds.

    Called once when its resolver is closed, from a thread without a running loop. Optional. An exception
    is an event for the observers (`ProviderCloseFailed`) and stops nothing.

    :param provider: As in `kickai_invoke_provider`.
    """


@hookspec(firstresult=True)
def kickai_aclose_provider(provider: object) -> Awaitable[None]:  # type: ignore[empty-body]
    """Free all that the provider holds, on a running event loop.

    Called once when its resolver is closed with ``aclose``, instead of `kickai_close_provider`. Optional:
    without it, `kickai_close_provider` runs in a thread.

    :param provider: As in `kickai_invoke_provider`.
    :return: An awaitable.
    """


@hookspec(firstresult=True)
def kickai_rank_targets(request: ChatRequest, targets: Sequence[Target]) -> Sequence[Target] | None:
    """Say in which order a request should go down its chain: a complex one to a stronger provider first, say.

    Called once for each request of a role's chain, on the thread that serves it, before its first attempt: be quick,
    do not block. Any plugin may implement it; of several, the first that returns something counts. A chain that was
    made of explicit targets keeps its order, and so does every chain while all traffic is moved to one provider.

    :param request: What is asked, before role and target have filled in what is missing. It is not to be changed.
    :param targets: The chain in the order of the settings.
    :return: The targets to ask first, in order; those that are left out follow in theirs, and what is not in the chain
        is ignored. None for no opinion. An exception leaves the order as it is, and is logged once.
    """


@hookspec
def kickai_observe(event: Event) -> None:
    """See what happens: attempts, skips, waits, breakers, the end of each request.

    Called for every event, on the thread that served the request, between its steps: be quick, do not block. Any
    plugin may implement it. An exception is dropped, after it was logged once.

    :param event: One of the classes of `kickai_providers_core.values.events`; it holds no prompt, no reply, no key. Do
        not change it: other observers get the same object.
    """
