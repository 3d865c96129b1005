"""The plugin API: the pluggy hook specifications that plugins implement.

A plugin is a module or an object with functions that are marked with `hookimpl`. Its distribution declares it as an
entry point in the group ``kickai.providers``.

A *provider plugin* implements at least `kickai_provider_info`, `kickai_create_provider`, and `kickai_invoke_provider`
or `kickai_ainvoke_provider`. Every other hook has a default. A plugin without `kickai_provider_info` is an *extension*:
it may implement `kickai_observe`, `kickai_rank_targets` and `kickai_open_store`, it may wrap the provider hooks of all
plugins with ``hookimpl(wrapper=True)``, and it may answer in place of a provider with ``hookimpl(tryfirst=True)``.

The core calls the hooks of one provider plugin at a time, inside the extensions. Arguments are passed by name, and an
implementation may omit those that it does not need.

All hooks exist since plugin API 1, unless a hook says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from attrs import field, frozen

from kickai_providers_core.plugin_api.presets import Preset, validate_presets
from kickai_providers_core.plugin_api.request_options import convert_option_types
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.base_value import Value
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

    from kickai_providers_core.stores.api import Store
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
    "Preset",
    "Progress",
    "ProviderInfo",
    "hookimpl",
    "hookspec",
]

PROJECT_NAME = "kickai"
"""The name of the pluggy project."""

ENTRY_POINT_GROUP = "kickai.providers"
"""The entry-point group in which a distribution declares its plugins."""

API_VERSION = 1
"""The version of the plugin API; it increases when plugins written for the previous version would break."""

SEAM_VERSION = API_VERSION
"""The name of `API_VERSION` in the first releases."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

Mode = Literal["invoke", "ainvoke", "stream", "astream"]
"""The four ways to call a provider."""


@frozen(kw_only=True, eq=False, repr=False)
class ModelInfo(Value):
    """What a plugin knows about one model.

    Attributes:
        context_window: The maximum number of tokens of prompt and answer together; None when unknown.
        capabilities: What the model supports; None for the capabilities of its provider.
        successor: The model that replaces this one after its retirement; None while it is available.
    """

    context_window: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    capabilities: frozenset[Capability] | None = None
    successor: str | None = field(default=None, validator=Text(optional=True))


@frozen(kw_only=True, eq=False, repr=False)
class Progress(Value):
    """The progress of a long operation.

    Attributes:
        status: A short description of the current step.
        completed: The number of bytes processed so far.
        total: The total number of bytes; 0 while it is unknown.
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


@frozen(kw_only=True, eq=False, repr=False)
class ProviderInfo(Value):
    """A provider plugin's description of itself.

    Attributes:
        name: The provider's name in settings and chains: lower-case letters, digits and ``-``.
        summary: One line for ``kickai providers``.
        settings_class: An attrs class that extends `ProviderSettings`.
        aliases: Other names for the same provider.
        capabilities: What the provider supports besides text.
        environment: Maps environment variables to the settings fields that they fill, most important first. They apply
            only to the instance with the plugin's name (or one of its aliases), so that a key is never sent to an
            address that it was not meant for.
        presets: The services that an instance can name with the setting ``preset``, by name; see `Preset`.
        models: What is known about models, by name. Models that are not listed may be used too.
        holds_timeouts: True if the plugin's sync hooks return or raise within ``timeout_s`` plus 250 ms, whatever the
            service does. If False, the core runs each sync call in its own thread so that it can stop waiting for it.
        options: The names and types of the options that only this provider knows, as type hints: ``{"top_k": int}``.
            The core checks ``ChatRequest.options`` against them before it calls the provider, which finds its own under
            its name.
        api_version: The version of the plugin API that the plugin was written for.
        native: The modes that the plugin implements itself. Discovery sets it from the plugin's hooks.
    """

    name: str = field(validator=Text())
    summary: str = field(validator=Text(empty=True))
    settings_class: type[ProviderSettings] = field(default=ProviderSettings, validator=InstanceOf(type))
    aliases: tuple[str, ...] = field(default=(), converter=_convert_aliases)
    capabilities: frozenset[Capability] = frozenset()
    environment: Mapping[str, str] = field(factory=dict, validator=InstanceOf(Mapping))
    presets: Mapping[str, Preset] = field(factory=dict, validator=validate_presets, repr=", ".join)
    models: Mapping[str, ModelInfo] = field(factory=dict, validator=[InstanceOf(Mapping), _validate_models])
    holds_timeouts: bool = field(default=False, validator=Boolean())
    options: Mapping[str, Any] = field(factory=dict, converter=convert_option_types, repr=", ".join)
    api_version: int = API_VERSION
    native: frozenset[Mode] = frozenset()


@hookspec(firstresult=True)
def kickai_provider_info() -> ProviderInfo:  # type: ignore[empty-body]
    """Describe the provider.

    Called once, at discovery, within 10 s. Required for provider plugins. It must be fast and must not import the
    vendor's client, because every application that has the plugin installed calls it.

    :return: The description.

    If it raises or returns anything else, the plugin is reported as broken. Other plugins are not affected.
    """


@hookspec(firstresult=True)
def kickai_validate_provider(settings: ProviderSettings, online: bool) -> Iterable[Problem]:  # type: ignore[empty-body]
    """Find problems that prevent the use of the provider with these settings.

    Called offline before the provider is created, and by ``kickai doctor``. Provider plugins may implement it. Without
    it, all settings that could be read are usable.

    :param settings: An instance of the plugin's settings class.
    :param online: Whether to contact the service, for example to check the key or the model. If False, do not use the
        network.
    :return: Problems, with paths relative to the settings (``api_key``); empty if the settings are usable. Only a
        problem of severity ``error`` prevents use. A ``warning`` does not, and a ``note`` is information, such as
        the list of models that the service offers.

    If it raises, the exception counts as one problem.
    """


@hookspec(firstresult=True)
def kickai_create_provider(settings: ProviderSettings) -> object:
    """Create the provider: an object that owns its client.

    Called on the first use of each instance in the settings, from any thread. Required for provider plugins. It must
    not use the network. The object must be safe to use from several threads and event loops at once until it is closed.

    :param settings: An instance of the plugin's settings class, already validated.
    :return: Any object except None. The other hooks receive it as ``provider``.

    If it raises, the attempt fails and the next call tries again. The message of a `ProviderError` is shown.
    """


@hookspec(firstresult=True)
def kickai_prepare_provider(settings: ProviderSettings, model: str | None) -> Iterator[Progress]:  # type: ignore[empty-body]
    """Prepare what a first call would otherwise wait for, such as the download of a model.

    Called by programs that can wait and show progress, such as ``kickai ask``; never by a chain. Provider plugins may
    implement it. It must only do what the settings allow.

    :param settings: An instance of the plugin's settings class, already validated.
    :param model: The model that will be used; None for the instance's own model.
    :return: An iterator that does the work as it is read and yields its progress; empty if nothing needs to be done.
    :raises ProviderError: From the iterator, if the preparation fails.
    """


@hookspec(firstresult=True)
def kickai_provider_capabilities(settings: ProviderSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what one instance can do, which may be less than what its plugin can do.

    Called once for each instance and model when a chain is built, within 50 ms. Provider plugins may implement it. It
    must not use the network. A target that lacks a capability which the request needs is skipped.

    :param settings: An instance of the plugin's settings class, not yet validated.
    :param model: The model that the chain names; None for the provider's default.
    :return: The capabilities. None if they are unknown: then ``ModelInfo.capabilities`` applies if it is set, and
        ``ProviderInfo.capabilities`` otherwise.

    If it raises, takes longer than 50 ms or returns unknown names, the core warns once and treats the result as None.
    """


@hookspec(firstresult=True)
def kickai_invoke_provider(provider: object, request: ChatRequest, timeout_s: float) -> Reply:  # type: ignore[empty-body]
    """Answer a request, blocking the calling thread.

    Called for each attempt. A provider plugin implements this or `kickai_ainvoke_provider`; without it, the
    asynchronous hook runs on an event loop in a thread, where the core can cancel it. Extensions may wrap it or answer
    in its place. It sends one request to the service and never retries: the core does that.

    :param provider: The object that `kickai_create_provider` returned.
    :param request: The request. Its model, temperature and token limit are final. Do not change it.
    :param timeout_s: The time limit of the whole attempt in seconds, including the connection.
    :return: The complete answer. An answer that was truncated by anything other than its token limit is an error.
    :raises ProviderError: The subclass determines what happens next. Any other exception counts as
        `ProviderUnavailableError`, with the exception as its cause.
    """


@hookspec(firstresult=True)
def kickai_ainvoke_provider(provider: object, request: ChatRequest, timeout_s: float) -> Awaitable[Reply]:  # type: ignore[empty-body]
    """Answer a request without blocking the event loop.

    Called for each attempt, on the loop that awaits the result, or on a loop in a thread for a blocking caller; several
    loops may use one provider, even at the same time. A provider plugin implements this or `kickai_invoke_provider`;
    without it, that hook runs in a thread. Extensions may wrap it or answer in its place: a wrapper receives the
    awaitable as the result and may return another one.

    :param provider: The object that `kickai_create_provider` returned.
    :param request: The request, as for `kickai_invoke_provider`.
    :param timeout_s: The time limit of the whole attempt in seconds. The core cancels the awaitable when it expires.
    :return: An awaitable of the answer, so the hook may be an ``async def``. Cancelling it must release everything that
        the attempt holds.
    :raises ProviderError: As for `kickai_invoke_provider`.
    """


@hookspec(firstresult=True)
def kickai_stream_provider(provider: object, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:  # type: ignore[empty-body]
    """Answer a request in chunks, blocking the calling thread while it waits for each one.

    Called for each attempt. Provider plugins may implement it; without it, `kickai_astream_provider` is read on an
    event loop in a thread, one chunk at a time. Without that hook too, the whole answer is the only chunk. Extensions
    may wrap it or answer in its place. The limits for the first token and between chunks are in the settings with which
    the provider was created.

    :param provider: The object that `kickai_create_provider` returned.
    :param request: The request, as for `kickai_invoke_provider`.
    :param timeout_s: The time limit of the whole stream in seconds.
    :return: An iterator of chunks; the last one has a finish reason. Its ``close()`` must close the connection at any
        point. A generator does that with ``finally``.
    :raises ProviderError: From the call or from the iterator. Raise `InvalidReplyError` if the service ends the stream
        without a finish reason.
    """


@hookspec(firstresult=True)
def kickai_astream_provider(provider: object, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:  # type: ignore[empty-body]
    """Answer a request in chunks without blocking the event loop.

    Called for each attempt. Provider plugins may implement it; without it, the sync stream is read in a thread. Without
    that hook too, the whole answer is the only chunk. Extensions may wrap it or answer in its place.

    :param provider: The object that `kickai_create_provider` returned.
    :param request: The request, as for `kickai_invoke_provider`.
    :param timeout_s: The time limit of the whole stream in seconds. The core also enforces it, and the limits for the
        first token and between chunks.
    :return: An async iterator of chunks; the last one has a finish reason. The hook may be an async generator. The
        iterator's ``aclose()`` must close the connection at any point.
    :raises ProviderError: As for `kickai_stream_provider`.
    """


@hookspec(firstresult=True)
def kickai_close_provider(provider: object) -> None:
    """Release everything that the provider holds.

    Called once when the resolver is closed, from a thread without a running event loop. Provider plugins may implement
    it; without it, `kickai_aclose_provider` runs on an event loop in a thread. That hook is also called in its place if
    the resolver has made calls on such a loop, since their connections can only be closed there.

    :param provider: The object that `kickai_create_provider` returned.

    If it raises, observers receive `ProviderCloseFailed`, and the other providers are still closed.
    """


@hookspec(firstresult=True)
def kickai_aclose_provider(provider: object) -> Awaitable[None]:  # type: ignore[empty-body]
    """Release everything that the provider holds, on a running event loop.

    Called once when the resolver is closed with ``aclose``, instead of `kickai_close_provider`. Provider plugins may
    implement it; without it, `kickai_close_provider` runs in a thread.

    :param provider: The object that `kickai_create_provider` returned.
    :return: An awaitable.

    If it raises, the effect is that of `kickai_close_provider`.
    """


@hookspec(firstresult=True)
def kickai_rank_targets(request: ChatRequest, targets: Sequence[Target]) -> Sequence[Target] | None:
    """Choose the order in which a request tries the targets of its chain.

    Called once for each request of a role's chain, before its first attempt, on the thread that serves the request. It
    must be fast and must not block. Any plugin may implement it; the first result that is not None counts. Not called
    for chains of explicit targets, or while all traffic is routed to one provider.

    :param request: The request, without the defaults of its role and target. Do not change it.
    :param targets: The targets of the chain, in the order of the settings.
    :return: The targets to try first. The others follow in their order, and targets outside the chain are ignored. None
        keeps the order.

    If it raises, the order stays as it is, and the exception is logged once.
    """


@hookspec
def kickai_observe(event: Event) -> None:
    """Observe attempts, skips, waits, changes of circuit breakers, and the start and end of requests.

    Called for every event, on the thread that serves the request. It must be fast and must not block. Any plugin may
    implement it.

    :param event: An instance of one of the classes in `kickai_providers_core.values.events`. It holds no prompt, reply
        or key. Do not change it: all observers receive the same object.

    If it raises, the exception is logged once and otherwise ignored.
    """


@hookspec(firstresult=True)
def kickai_open_store(url: str, namespace: str) -> Store | None:
    """Open the store at an address, which keeps metrics, the rollout, health and leases for several processes.

    Called when a resolver or a command opens the store of ``[store] url``, unless that is an SQLite file or in memory,
    within 10 s. Any plugin may implement it; the first result that is not None counts. It must not use the network: the
    store connects with its first call.

    :param url: The address, for example ``redis://localhost:6379/0``. It may hold credentials: no message, repr or log
        line of the store may show them.
    :param namespace: The name of the application within the store; never empty.
    :return: The store, which passes `StoreContract`. None if the plugin does not know the scheme of the address.
    :raises StoreError: The address is not valid. Of any other exception only the type is shown.

    If it raises, the other plugins are called, and the store is reported as unusable when none of them opens it.
    """
