"""What the mock can be told: how its models behave, each of them or all."""

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

    from kickai_mock.call import Call

__all__ = ["Behaviour", "MockInCode", "MockSettings", "drill_scripts", "problems"]


def _several(_settings: object, _field: Attribute[Any], texts: object) -> None:
    if isinstance(texts, str):  # it would fall apart into letters
        raise TypeError(f"must be a tuple of texts, found the text {texts!r}")


def _entries(_settings: object, _field: Attribute[Any], entries: tuple[str, ...] | None) -> None:
    for entry in entries or ():
        Fault.parse(entry)


def _shares(_settings: object, _field: Attribute[Any], rates: Mapping[str, float] | None) -> None:
    for entry, share in (rates or {}).items():
        Fault.parse(entry)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"the rate of {entry!r} must be a share of calls from 0 to 1, found {share!r}")
    if sum((rates or {}).values()) > 1.0 + 1e-9:
        raise ValueError("the rates must not be more than 1 together")


def _drill(_settings: object, _field: Attribute[Any], text: str) -> None:
    drill_scripts(text)


def drill_scripts(text: str) -> dict[str, tuple[Fault, ...]]:
    """Return the scripts of a drill by model; those of the empty name are for every other model.

    A drill is ``[MODEL=]ENTRY,ENTRY,…`` and further such parts behind ``;``.

    Raises:
        ValueError: An entry is no fault, a part has no entry, or two parts are for one model.
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
    """How a model answers. What is None is as for the whole instance, and there as stated.

    Attributes:
        reply: The text of every answer.
        cycle: Texts that answer in turn, from the first again after the last; ``reply`` goes before them. Without
            either, the mock echoes the user's last message.
        latency_s: Seconds until the answer, or the first piece of a stream; 0.
        latency_max_s: Draws the latency evenly between ``latency_s`` and this.
        latency_sigma: Draws it from a lognormal distribution instead, whose median is ``latency_s`` and whose
            logarithm has this standard deviation, from 0 to 5; 0.5 gives one call in a hundred over 3.2 medians.
        pause_s: Seconds between two pieces of a stream; 0.
        script: What the next calls do, in order: an entry each, as `kickai_mock.faults` reads it.
        repeat: Whether the script starts over when it has ended; False. Otherwise the rates speak then.
        rates: From entry to the share of calls that do it, from 0 to 1, and not more than 1 together.
    """

    reply: str | None = None
    cycle: tuple[str, ...] | None = field(default=None, validator=_several)
    latency_s: float | None = field(default=None, validator=optional(ge(0)))
    latency_max_s: float | None = field(default=None, validator=optional(ge(0)))
    latency_sigma: float | None = field(default=None, validator=optional([ge(0), le(5)]))
    pause_s: float | None = field(default=None, validator=optional(ge(0)))
    script: tuple[str, ...] | None = field(default=None, validator=[_several, _entries])
    repeat: bool | None = None
    rates: Mapping[str, float] | None = field(default=None, validator=_shares)

    def over(self, base: Behaviour) -> Behaviour:
        """Return this behaviour, with what it leaves open taken from another."""
        said = {name: value for name in _BEHAVIOUR if (value := getattr(self, name)) is not None}
        inherited = {name: getattr(base, name) for name in _BEHAVIOUR if name not in said}
        if said.keys() & _TEXTS:  # either says what is answered, and then the other one is not inherited
            inherited |= dict.fromkeys(_TEXTS - said.keys())
        return Behaviour(**said, **inherited)


_BEHAVIOUR = tuple(attribute.name for attribute in fields(Behaviour))
_TEXTS = frozenset({"reply", "cycle"})


@frozen(kw_only=True)
class MockSettings(ProviderSettings, Behaviour):
    """The table ``[providers.mock]``: how every model behaves, unless ``drill`` or ``models`` says otherwise.

    Attributes:
        seed: Where all draws come from: the n-th call of a model does the same in every run.
        drill: Scripts that go round, as one text: ``a=timeout; b=ok,unavailable``. It is what an environment
            variable or a command line can say, and it overrides the scripts and rates of the models that it names;
            a part without ``MODEL=`` is for all others.
        models: The behaviour of single models, by name. A model that is not listed here, and whose whole name is an
            entry of the fault grammar, does that at every call: ``mock:unavailable``.
        keep_calls: How many of the latest calls `MockProvider.calls` holds, from 0.
    """

    seed: int = 0
    drill: str = field(default="", validator=_drill)
    models: Mapping[str, Behaviour] = field(factory=dict)
    keep_calls: int = field(default=1000, validator=ge(0))

    def behaviour_of(self, model: str) -> Behaviour:
        """Return how a model behaves, drills and names apart."""
        own = self.models.get(model)
        return own.over(self) if own is not None else self


@frozen(kw_only=True)
class MockInCode(MockSettings):
    """`MockSettings`, and what only code can give: ``Settings(providers={"mock": MockInCode(…)})``.

    Attributes:
        answer: Computes each answer from its request: a text, or a whole `Reply`, tool calls and all. It goes
            before ``reply`` and ``cycle``. It is called on the thread, or the event loop, of the call, from several
            at once; whatever it raises, the call raises.
        record: Gets every call appended when it begins; a list of the test's own.
        time: Clock and sleeps, for tests on a virtual clock. None for those of the machine; only their sleeps end
            when the provider is closed.
    """

    answer: Callable[[ChatRequest], str | Reply] | None = None
    record: MutableSequence[Call] | None = field(default=None, repr=False)
    time: Clockwork | None = None


def problems(settings: MockSettings) -> Iterator[Problem]:
    """Yield what single fields cannot show: those that exclude each other."""
    for path, own in (("", settings), *((f"models.{name}.", own) for name, own in settings.models.items())):
        whole = own.over(settings)
        if whole.latency_max_s is None:
            continue
        if whole.latency_sigma:
            yield Problem(
                path=f"{path}latency_sigma",
                message="latency_sigma and latency_max_s are both set: a latency is drawn in one way",
                hint="Leave one of them out",
            )
        least = whole.latency_s or 0.0
        if whole.latency_max_s < least:
            told = f"a latency of at most {whole.latency_max_s:g} s is less than the least, {least:g} s"
            yield Problem(path=f"{path}latency_max_s", message=told)
