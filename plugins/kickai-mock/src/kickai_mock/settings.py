"""The settings of the mock: how its models behave, each of them or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen
from attrs.validators import ge, le, optional
from kickai_providers_core import Problem, ProviderSettings

from kickai_mock.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableSequence

    from attrs import Attribute
    from kickai_providers_core import ChatRequest, Clockwork, Reply

    from kickai_mock.call_record import Call

__all__ = ["Behaviour", "MockInCode", "MockSettings", "find_conflicts", "parse_drill"]


def _validate_texts(_settings: object, _field: Attribute[Any], texts: object) -> None:
    if isinstance(texts, str):  # it would become a tuple of its letters
        raise TypeError(f"must be a tuple of texts, got the text {texts!r}")


def _validate_script(_settings: object, _field: Attribute[Any], entries: tuple[str, ...] | None) -> None:
    for entry in entries or ():
        Fault.parse(entry)


def _validate_rates(_settings: object, _field: Attribute[Any], rates: Mapping[str, float] | None) -> None:
    for entry, share in (rates or {}).items():
        Fault.parse(entry)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"the rate of {entry!r} must be from 0 to 1, got {share!r}")
    if sum((rates or {}).values()) > 1.0 + 1e-9:
        raise ValueError("the sum of the rates must be at most 1")


def _validate_drill(_settings: object, _field: Attribute[Any], text: str) -> None:
    parse_drill(text)


def parse_drill(text: str) -> dict[str, tuple[Fault, ...]]:
    """Return the scripts of a drill by model; the empty name is for every other model.

    A drill is ``[MODEL=]ENTRY,ENTRY,…``, and more such parts after ``;``.

    Raises:
        ValueError: An entry is not a fault, a part has no entry, or two parts are for one model.
    """
    scripts: dict[str, tuple[Fault, ...]] = {}
    for part in filter(str.strip, text.split(";")):
        model, equals, entries = part.rpartition("=")
        model = model.strip()
        if model in scripts or (equals and not model):
            raise ValueError(f"{part.strip()!r} must name a model before '=' that no other part of the drill names")
        scripts[model] = tuple(Fault.parse(entry) for entry in entries.split(","))
    return scripts


# A class without slots: `MockSettings` inherits from two classes, and only one of them can have slots of its own.
@frozen(kw_only=True, slots=False)
class Behaviour:
    """How a model answers. A field that is None is as for the whole instance, and there the default below.

    Attributes:
        reply: The text of every answer.
        cycle: Texts that answer in turn, again from the first after the last. ``reply`` takes precedence. By default
            the mock echoes the user's last message.
        latency_s: Seconds until the answer, or the first piece of a stream; 0.
        latency_max_s: Draws the latency uniformly between ``latency_s`` and this.
        latency_sigma: Draws the latency from a lognormal distribution with the median ``latency_s``; the standard
            deviation of its logarithm, from 0 to 5. With 0.5 one call in a hundred takes more than 3.2 medians.
        pause_s: Seconds between two pieces of a stream; 0.
        script: What the next calls do, in order: entries for `Fault.parse`.
        repeat: Whether the script starts over at its end; False. Otherwise the rates apply then.
        rates: The share of calls for each entry, from 0 to 1; at most 1 in total.
    """

    reply: str | None = None
    cycle: tuple[str, ...] | None = field(default=None, validator=_validate_texts)
    latency_s: float | None = field(default=None, validator=optional(ge(0)))
    latency_max_s: float | None = field(default=None, validator=optional(ge(0)))
    latency_sigma: float | None = field(default=None, validator=optional([ge(0), le(5)]))
    pause_s: float | None = field(default=None, validator=optional(ge(0)))
    script: tuple[str, ...] | None = field(default=None, validator=[_validate_texts, _validate_script])
    repeat: bool | None = None
    rates: Mapping[str, float] | None = field(default=None, validator=_validate_rates)

    def inherit_from(self, base: Behaviour) -> Behaviour:
        """Return this behaviour, with the fields that are None taken from another."""
        own = {name: value for name in _BEHAVIOUR if (value := getattr(self, name)) is not None}
        inherited = {name: getattr(base, name) for name in _BEHAVIOUR if name not in own}
        if own.keys() & _TEXTS:  # either says what is answered: the other one is then not inherited
            inherited |= dict.fromkeys(_TEXTS - own.keys())
        return Behaviour(**own, **inherited)


_BEHAVIOUR = tuple(attribute.name for attribute in fields(Behaviour))
_TEXTS = frozenset({"reply", "cycle"})


@frozen(kw_only=True)
class MockSettings(ProviderSettings, Behaviour):
    """The table ``[providers.mock]``: how every model behaves, unless ``drill`` or ``models`` says otherwise.

    Attributes:
        seed: The seed of all draws: the n-th call of a model does the same in every run.
        drill: Repeating scripts as one text, ``a=timeout; b=ok,unavailable``, for an environment variable. It overrides
            the scripts and rates of the models that it names; a part without ``MODEL=`` is for all others.
        models: The behaviour of single models, by name. A model without a table, whose whole name is a fault such as
            ``mock:unavailable``, does that at every call.
        keep_calls: How many of the latest calls `MockProvider.calls` keeps, from 0.
    """

    seed: int = 0
    drill: str = field(default="", validator=_validate_drill)
    models: Mapping[str, Behaviour] = field(factory=dict)
    keep_calls: int = field(default=1000, validator=ge(0))

    def get_behaviour(self, model: str) -> Behaviour:
        """Return how a model behaves by its table, without drills and names."""
        own = self.models.get(model)
        return own.inherit_from(self) if own is not None else self


@frozen(kw_only=True)
class MockInCode(MockSettings):
    """`MockSettings` with what only code can give: ``Settings(providers={"mock": MockInCode(…)})``.

    Attributes:
        answer: Computes each answer from its request: a text, or a whole `Reply` with tool calls. It takes precedence
            over ``reply`` and ``cycle``. It is called on the thread or event loop of the call, by several at once. The
            call raises what it raises.
        record: A list of the test, to which every call is appended when it begins.
        time: Clock and sleeps, for tests on a virtual clock. None for those of the machine; only their sleeps end
            when the provider is closed.
    """

    answer: Callable[[ChatRequest], str | Reply] | None = None
    record: MutableSequence[Call] | None = field(default=None, repr=False)
    time: Clockwork | None = None


def find_conflicts(settings: MockSettings) -> Iterator[Problem]:
    """Yield the problems of fields that exclude each other."""
    for path, own in (("", settings), *((f"models.{name}.", own) for name, own in settings.models.items())):
        whole = own.inherit_from(settings)
        if whole.latency_max_s is None:
            continue
        if whole.latency_sigma:
            yield Problem(
                path=f"{path}latency_sigma",
                message="latency_sigma and latency_max_s are both set, but a latency has one distribution",
                hint="Remove one of them",
            )
        minimum_s = whole.latency_s or 0.0
        if whole.latency_max_s < minimum_s:
            message = f"latency_max_s must be at least latency_s ({minimum_s:g} s), got {whole.latency_max_s:g} s"
            yield Problem(path=f"{path}latency_max_s", message=message)
