"""LangChain's own standard tests, on a scripted vendor."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import define
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from scripted import create_resolver

from kickai_langchain import ChatKickai

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Resolver
    from langchain_core.messages import AIMessage

# Standard tests pass a key and a number of retries to every model.
pytestmark = pytest.mark.filterwarnings("ignore::kickai_langchain.IgnoredArgumentWarning")


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@define
class Download:
    """What `httpx.get` returns, for the image that the standard tests download."""

    content: bytes = PIXEL


@pytest.fixture(autouse=True)
def _images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_args, **_fields: Download())


@pytest.fixture(autouse=True, scope="module")
def _open() -> Iterator[None]:
    with create_resolver() as resolver:
        Scripted.resolver = resolver
        yield


class Scripted:
    """A model on the scripted vendor."""

    resolver: Resolver

    @property
    def chat_model_class(self) -> type[ChatKickai]:
        """The class that is tested."""
        return ChatKickai

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Its arguments."""
        return {"targets": ["mock"], "resolver": self.resolver}

    @property
    def supports_json_mode(self) -> bool:
        """Whether ``method="json_mode"`` works."""
        return True


class TestUnit(Scripted, ChatModelUnitTests):
    """Constructing and binding."""


class TestIntegration(Scripted, ChatModelIntegrationTests):
    """Calls."""

    @property
    def model_override_value(self) -> str:
        """Another model."""
        return "other-model"

    @property
    def supports_image_inputs(self) -> bool:
        """Whether images are taken."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Whether their addresses are taken."""
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        """Whether tools may return images."""
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        """Whether Anthropic's content parts are taken; ``cache_control`` is refused, since not every vendor has it."""
        return False

    @property
    def supported_usage_metadata_details(self) -> Any:
        """The details of token counts, which the vendor reports."""
        details = ["cache_read_input", "reasoning_output"]
        return {"invoke": details, "stream": details}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        """Return an answer with cached tokens."""
        return self._ask(stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        """Return an answer with reasoning."""
        return self._ask(stream=stream)

    def _ask(self, *, stream: bool) -> AIMessage:
        model = ChatKickai(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        first, *others = model.stream("Hello")
        return sum(others, first)
