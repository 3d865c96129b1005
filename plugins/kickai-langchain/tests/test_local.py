"""LangChain's standard tests on a small model on this machine. It takes no tools and no images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kickai_providers_core import ChainExhaustedError, Resolver
from langchain_tests.integration_tests import ChatModelIntegrationTests

from kickai_langchain import ChatKickai

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    # Standard tests pass a key and a number of retries to every model.
    pytest.mark.filterwarnings("ignore::kickai_langchain.IgnoredArgumentWarning"),
]

SETTINGS = {
    "kickai": {"primary": "local", "fallback": [], "plugins": ["local"], "deadline_s": 600},
    "providers": {"local": {"timeout_s": 600}},
}


@pytest.fixture(autouse=True, scope="module")
def _open() -> Iterator[None]:
    pytest.importorskip("xllamacpp")
    with Resolver.from_settings(SETTINGS, env={}) as resolver:
        TestLocal.resolver = resolver
        yield


class TestLocal(ChatModelIntegrationTests):
    """Calls of the real small model."""

    resolver: Resolver

    @property
    def chat_model_class(self) -> type[ChatKickai]:
        """The class that is tested."""
        return ChatKickai

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Its arguments: short answers, always the same."""
        return {"targets": ["local"], "resolver": self.resolver, "temperature": 0.0, "max_tokens": 200}

    @property
    def has_tool_calling(self) -> bool:
        """Whether tools work: the local provider refuses them, see `test_tools_are_refused`."""
        return False

    @property
    def supports_json_mode(self) -> bool:
        """Whether ``method="json_mode"`` works."""
        return True

    @property
    def supports_model_override(self) -> bool:
        """Whether there is another model; only one is installed."""
        return False

    @pytest.mark.xfail(reason="the small model fills the optional field up to the token limit", strict=False)
    def test_structured_output_optional_param(self, model: Any) -> None:
        """Answer with and without an optional field."""
        super().test_structured_output_optional_param(model)


def test_tools_are_refused() -> None:
    """The error says so. In a chain with another target, that one would be called."""
    model = ChatKickai(targets=["local"], resolver=TestLocal.resolver)
    assert model.profile is not None
    assert model.profile["tool_calling"] is False
    with pytest.raises(ChainExhaustedError, match="tools"):
        model.bind_tools([test_tools_are_refused]).invoke("hi")
