"""A LangChain chat model that routes each call to a provider that can answer it, and falls back when one fails.

>>> from kickai_langchain import ChatKickai
>>> model = ChatKickai(role="player_coordinator")  # doctest: +SKIP
>>> model.invoke("Who can play on Saturday?").text  # doctest: +SKIP
'Ada, Bo and Cy.'
"""

from kickai_langchain.chat_model import ChatKickai
from kickai_langchain.ignored_arguments import IgnoredArgumentWarning

__all__ = ["ChatKickai", "IgnoredArgumentWarning"]
