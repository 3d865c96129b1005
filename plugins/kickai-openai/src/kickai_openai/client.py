"""The provider: one instance, called in four ways by `HttpProvider`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from kickai_providers_core import AuthenticationError
from kickai_providers_core.authoring import Endpoint, HttpProvider, HttpService, openai_chat

from kickai_openai.checks import find_settings_problems
from kickai_openai.mapping import build_chat_address, encode_request, find_omitted

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest
    from kickai_providers_core.authoring import HttpTransport
    from kickai_providers_core.authoring.openai_chat import ChatDecoder

    from kickai_openai.settings import OpenAISettings

__all__ = ["OpenAIProvider", "create_service"]


def create_service(url: str, settings: OpenAISettings, *, transport: HttpTransport | None = None) -> HttpService:
    """Return the requests to an address of an instance's service; ``transport`` has the connections, new by default.

    Raises:
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """
    endpoint = Endpoint(url=url, key=settings.api_key, headers=settings.headers)
    return HttpService(endpoint, settings, user_agent=_build_user_agent(), transport=transport)


class OpenAIProvider(HttpProvider):
    """One instance with its own connections. Safe to share between threads and event loops until it is closed.

    Args:
        settings: The instance's settings.
        transport: The connections; new ones by default.

    Raises:
        AuthenticationError: The key is missing, or would go to an address that must not get it.
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(self, settings: OpenAISettings, *, transport: HttpTransport | None = None) -> None:
        errors = [str(problem) for problem in find_settings_problems(settings) if problem.severity == "error"]
        if errors:
            raise AuthenticationError("; ".join(errors))
        super().__init__(create_service(build_chat_address(settings.address), settings, transport=transport), settings)
        self._instance = settings

    def encode(self, request: ChatRequest, *, is_stream: bool) -> bytes:
        """Return the body of a request."""
        return encode_request(request, self._instance, is_stream=is_stream)

    def create_decoder(self, request: ChatRequest, *, is_stream: bool) -> ChatDecoder:
        """Return a decoder for the answer."""
        return openai_chat.ChatDecoder(request, omitted=find_omitted(request, self._instance), is_stream=is_stream)


@cache  # reading the version takes as long as a call
def _build_user_agent() -> str:
    return f"kickai-openai/{version('kickai-openai')}"
