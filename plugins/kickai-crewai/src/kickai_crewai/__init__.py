"""A CrewAI LLM that routes each call to a provider that can answer it, and falls back when one fails.

>>> from crewai import Agent
>>> from kickai_crewai import KickaiLLM
>>> coordinator = Agent(  # doctest: +SKIP
...     role="Player coordinator", goal="…", backstory="…", llm=KickaiLLM(role="player_coordinator")
... )
"""

from kickai_crewai.errors import KickaiCallError
from kickai_crewai.llm import KickaiLLM
from kickai_crewai.sharing import SharedLLMWarning

__all__ = ["KickaiCallError", "KickaiLLM", "SharedLLMWarning"]
