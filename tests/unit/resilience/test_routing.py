"""The order of targets: the chain's own, the rule of the settings, and a plugin's ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from known_plugins import INFOS
from loguru import logger
from simulator import Target as Scripted
from simulator import World, always, script

from kickai_providers_core import (
    Capability,
    ChatRequest,
    ConfigError,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderUnavailableError,
    RateLimitedError,
    Reply,
    Resolver,
    Role,
    Settings,
    Target,
    Tool,
    hookimpl,
)
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.plugin_api.ranking import Ranking
from kickai_providers_core.resilience.actions import Call
from kickai_providers_core.resilience.routing import Routing
from kickai_providers_core.resilience.suspensions import Suspension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = "word " * 1000
TOOLS = ChatRequest(messages=ChatRequest.of("hi").messages, tools=(Tool(name="t"),))


class Provider:
    """A provider that answers with its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        offers = frozenset({Capability.TOOLS})
        return ProviderInfo(name=self.name, summary="", holds_timeouts=True, capabilities=offers)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        return Reply(text=self.name, finish_reason=FinishReason.STOP)


class Ranker:
    """An extension that ranks targets."""

    def __init__(self, opinion: Callable[[ChatRequest, Any], Any]) -> None:
        self.opinion = opinion

    @hookimpl
    def kickai_rank_targets(self, request: ChatRequest, targets: Any) -> Any:
        return self.opinion(request, targets)


def make_resolver(routing: Routing | None = None, opinion: Any = None, **kickai: Any) -> Resolver:
    """Return a resolver whose role ``coach`` has the weak provider twice, then the strong one."""
    plugins: dict[str, object] = {name: Provider(name) for name in ("weak", "strong")}
    if opinion is not None:
        plugins["ranker"] = Ranker(opinion)
    settings = Settings(
        kickai=KickaiSettings(primary="weak", fallback=("strong",), plugins=(), **kickai),
        roles={"coach": Role(name="coach", chain=(Target("weak", "a"), Target("weak", "b"), Target("strong", "c")))},
        routing=routing or Routing(),
    )
    return Resolver.from_settings(settings, plugins=plugins)


@pytest.mark.parametrize(
    ("prompt", "rule", "first"),
    [
        ("hi", Routing(strong=Target("strong"), above_tokens=100), "weak"),
        (LONG, Routing(strong=Target("strong"), above_tokens=100), "strong"),
        (LONG, Routing(strong=Target("strong", "c"), above_tokens=100), "strong"),
        (LONG, Routing(strong=Target("strong", "other"), above_tokens=100), "weak"),
        (LONG, Routing(strong=Target("elsewhere"), above_tokens=100), "weak"),
        (LONG, Routing(above_tokens=100), "weak"),
        (LONG, Routing(strong=Target("strong")), "weak"),
        (TOOLS, Routing(strong=Target("strong"), needs=(Capability.TOOLS, Capability.IMAGES)), "strong"),
        (TOOLS, Routing(strong=Target("strong"), needs=(Capability.IMAGES,)), "weak"),
        ("", Routing(strong=Target("strong"), above_tokens=0), "weak"),
        ("x" * 6, Routing(strong=Target("strong"), above_tokens=0), "strong"),
    ],
)
def test_a_rule_sends_complex_requests_to_the_stronger_provider(prompt: Any, rule: Routing, first: str) -> None:
    """The rule applies above a size or for given needs; the answer does not count as a fallback."""
    with make_resolver(rule) as resolver:
        reply = resolver.for_role("coach").invoke(prompt)
    assert (reply.text, reply.fell_back) == (first, False)


def test_the_rest_of_the_chain_keeps_its_order() -> None:
    """Targets of other providers keep their positions relative to each other."""
    candidates = World([Scripted(name=name, provider=name[0]) for name in ("a1", "b1", "a2", "b2")]).candidates
    ranked = Ranking(Routing(strong=Target("b"), above_tokens=0))(ChatRequest.of(LONG), candidates)
    assert [candidate.model for candidate in ranked] == ["b1", "b2", "a1", "a2"]


@pytest.mark.parametrize(
    ("opinion", "order"),
    [
        (lambda _request, targets: targets[::-1], "strong:c weak:b weak:a"),
        (lambda _request, targets: [targets[1]], "weak:b weak:a strong:c"),
        (lambda _request, _targets: None, "weak:a weak:b strong:c"),
        (lambda _request, _targets: [], "weak:a weak:b strong:c"),
        (
            lambda _request, _targets: [Target("other"), Target("strong", "c"), Target("strong", "c")],
            "strong:c weak:a weak:b",
        ),
        (lambda request, targets: targets[::-1] if request.needs else None, "weak:a weak:b strong:c"),
    ],
)
def test_a_plugin_may_rank_the_targets(opinion: Any, order: str) -> None:
    """It moves targets; it neither adds nor removes any."""
    with make_resolver(opinion=opinion) as resolver:
        chain = resolver.for_role("coach")
        assert chain._starter.rank is not None
        candidates = chain._starter.rank(ChatRequest.of("hi"), chain._candidates)
        assert " ".join(f"{candidate.provider}:{candidate.model}" for candidate in candidates) == order
        assert chain.invoke("hi").model == order.split(maxsplit=1)[0].partition(":")[2]


def test_the_plugin_ranks_after_the_rule() -> None:
    """It gets the order that the rule made."""
    seen: list[Any] = []
    rule = Routing(strong=Target("strong"), above_tokens=100)
    with make_resolver(rule, lambda _request, targets: seen.append(targets)) as resolver:
        assert resolver.for_role("coach").invoke(LONG).text == "strong"
    assert [[str(target) for target in targets] for targets in seen] == [["strong:c", "weak:a", "weak:b"]]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return what the core logs."""
    lines: list[str] = []
    logger.enable("kickai_providers_core")
    sink = logger.add(lines.append, format="{message}", level=0)
    yield lines
    logger.remove(sink)
    logger.disable("kickai_providers_core")


@pytest.mark.parametrize("opinion", [lambda _request, _targets: 1 / 0, lambda _request, _targets: 7])
def test_a_plugin_that_cannot_rank_changes_nothing(opinion: Any, logged: list[str]) -> None:
    """Its error is logged once, and the requests are answered."""
    with make_resolver(opinion=opinion) as resolver:
        chain = resolver.for_role("coach")
        assert [chain.invoke("hi").text for _ in range(3)] == ["weak"] * 3
    assert sum("ranking the targets raised" in line for line in logged) == 1


def test_targets_given_by_name_keep_their_order() -> None:
    """Neither a chain of given targets nor traffic that was moved to one provider is ranked."""
    rule = Routing(strong=Target("strong"), above_tokens=100)
    with make_resolver(rule) as resolver:
        assert resolver.chain("weak", "strong").invoke(LONG).text == "weak"
    with make_resolver(rule, preferred="weak") as resolver:
        assert resolver.for_role("coach").invoke(LONG).text == "weak"


def test_there_is_no_ranking_without_a_rule_and_a_plugin() -> None:
    """Without a rule and a plugin a chain has no ranking at all."""
    with make_resolver() as resolver:
        assert resolver.for_role("coach")._starter.rank is None


def test_a_walk_follows_the_given_order() -> None:
    """Fallbacks, second attempts and the last resort follow it, and the trace keeps the chain's own positions."""
    world = World(
        [
            Scripted(name="a", script=always(lambda: ProviderUnavailableError("down")), retries=0),
            Scripted(name="b", script=script(RateLimitedError("slow down", retry_after_s=2.0))),
        ]
    )
    world.candidates.reverse()
    walk = world.walk()
    action = walk.next(1000.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "b"
    action = walk.record_failure(RateLimitedError("slow down", retry_after_s=2.0), 1000.0)
    assert isinstance(action, Call)
    walk.record_failure(ProviderUnavailableError("down"), 1000.0)
    action = walk.next(1002.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "b"
    reply = walk.record_success(Reply(text="x", finish_reason=FinishReason.STOP), 1002.0)
    assert not reply.fell_back
    assert [attempt.position for attempt in reply.attempts] == [1, 0, 1]
    for candidate in world.candidates:
        candidate.health.target.suspend(Suspension(9000.0 - candidate.position, "quota"))
    forced = world.walk().next(1010.0)
    assert isinstance(forced, Call)
    assert forced.candidate.provider == "b"


def settings(text: dict[str, Any]) -> Settings:
    """Return the settings that a mapping means."""
    return structure(read(text, {}), INFOS)


def test_the_rule_is_read_from_the_settings() -> None:
    """Aliases and retired models are replaced by current names."""
    routing = settings(
        {"routing": {"strong": "gemini:gemini-1.5-flash", "above_tokens": 2000, "needs": ["tools", "json_schema"]}}
    ).routing
    assert routing.strong is not None
    assert routing.strong.provider == "gemini"
    assert routing.strong.model != "gemini-1.5-flash"
    assert (routing.above_tokens, routing.needs) == (2000, (Capability.TOOLS, Capability.JSON_SCHEMA))
    assert settings({"routing": {"strong": "hf"}}).routing == Routing(strong=Target("huggingface"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"strong": "gemni"}, "routing.strong"),
        ({"strong": "gemini", "above_tokens": -1}, "routing.above_tokens"),
        ({"strong": "gemini", "needs": ["toools"]}, "routing.needs[0]"),
        ({"stronger": "gemini"}, "routing.stronger"),
    ],
)
def test_an_invalid_rule_names_its_path(table: dict[str, Any], message: str) -> None:
    """With its path, like every other setting."""
    with pytest.raises(ConfigError) as raised:
        settings({"routing": table})
    assert [problem.path for problem in raised.value.problems] == [message]
