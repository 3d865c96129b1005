"""The public surface as a user's type checker sees it; checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from kickai_providers_core import (
    AsyncReplyStream,
    Attempt,
    Capability,
    Chain,
    ChatRequest,
    FinishReason,
    KickaiSettings,
    Message,
    ParsedReply,
    Reply,
    ReplyChunk,
    ReplyStream,
    Resolver,
    Settings,
    Skip,
    ToolRun,
    Usage,
    compat,
)


@dataclass
class Lineup:
    """An answer as an object."""

    players: list[str]


def sync() -> None:
    """Use a resolver without an event loop."""
    with Resolver.from_settings(Settings(kickai=KickaiSettings(primary="mock")), env={}, plugins={}) as resolver:
        assert_type(resolver, Resolver)
        llm = resolver.for_role("player_coordinator")
        assert_type(llm, Chain)
        assert_type(llm.context_window, int | None)
        assert_type(llm.capabilities, frozenset[Capability])
        reply = llm.invoke("Who can play on Saturday?")
        assert_type(reply, Reply)
        assert_type(llm([{"role": "user", "content": "hi"}]), Reply)
        assert_type(llm([Message(role="user", content="hi")], deadline_s=3), Reply)
        assert_type(llm(ChatRequest.of("hi")), Reply)
        assert_type(llm.invoke("hi", temperature=0.2, stop="END", key="user-1", max_tokens=None), Reply)
        assert_type(llm.invoke("hi", response_type=Lineup, seed=1), ParsedReply[Lineup])
        assert_type(llm("hi", response_type=Lineup).parsed, Lineup)
        assert_type(llm.invoke("hi", response_type=None), Reply)
        assert_type(llm.run_tools("hi", tools=[sync], seed=1), ToolRun)
        llm.invoke("hi", temprature=0.2)  # type: ignore[call-overload]
        llm.invoke("hi", temperature="0.2")  # type: ignore[call-overload]
        assert_type(reply.text, str)
        assert_type(reply.usage, Usage | None)
        assert_type(reply.finish_reason, FinishReason)
        assert_type(reply.attempts, tuple[Attempt, ...])
        assert_type(reply.skipped, tuple[Skip, ...])
        chunks = llm.stream("hi", mode="restart")
        assert_type(chunks, ReplyStream)
        for chunk in chunks:
            assert_type(chunk, ReplyChunk)
        assert_type(resolver.chain("huggingface:a", "gemini", deadline_s=5), Chain)
        llm.stream("hi", mode="fast")  # type: ignore[arg-type]


async def asynchronous() -> None:
    """Use a resolver on an event loop."""
    async with Resolver.from_settings("kickai.toml") as resolver:
        llm = resolver.chain("mock")
        assert_type(await llm.ainvoke("hi"), Reply)
        assert_type((await llm.ainvoke("hi", response_type=Lineup)).parsed, Lineup)
        async with llm.astream("hi") as chunks:
            assert_type(chunks, AsyncReplyStream)
            async for chunk in chunks:
                assert_type(chunk, ReplyChunk)


async def plan() -> None:
    """Use the names of the migration plan."""
    llm = compat.ResilientLLM(compat.AgentRole.TEAM_MANAGER, stop=["Observation:"])
    assert_type(llm.invoke("Go", temperature=0.1), str)
    assert_type(llm("Go"), str)
    assert_type(await llm.ainvoke("Go"), str)
    assert_type(llm.chain, Chain)
    assert_type(llm.supports_stop_words(), bool)
    config = compat.get_agent_model_config(compat.AgentRole.TEAM_MANAGER)
    assert_type(config, compat.LLMConfig)
    assert_type(compat.get_fallback_config("team_manager"), compat.LLMConfig | None)
    assert_type(compat.LLMFactory.create_llm(config).invoke("Go"), str)
    assert_type(compat.get_agent_llm(5, "team_manager"), int | compat.ResilientLLM)
    assert_type(compat.get_smart_provider().get_optimal_provider(), str)
    assert_type(compat.get_migration_monitor().get_migration_report()["agents"], dict[str, compat.AgentReport])
    assert_type(compat.get_settings().get_ai_api_key(), str)
