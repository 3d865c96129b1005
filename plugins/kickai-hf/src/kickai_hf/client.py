"""The provider: one Hugging Face instance, called in four ways by `HttpProvider`.

It posts the documented protocols on connections of its own. The vendor's ``InferenceClient`` shares one connection pool
among all its users in a process.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from huggingface_hub import constants
from kickai_providers_core import AuthenticationError, UnusableProviderError
from kickai_providers_core.authoring import HttpProvider, HttpService

from kickai_hf.endpoints import build_inference_endpoint
from kickai_hf.mapping import create_decoder, encode_request
from kickai_hf.offline_checks import find_settings_problems

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest
    from kickai_providers_core.authoring import DocumentDecoder, Endpoint, HttpTransport

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["HuggingFace", "create_service"]


def create_service(
    endpoint: Endpoint, settings: HuggingFaceSettings, *, transport: HttpTransport | None = None
) -> HttpService:
    """Return the requests to an endpoint; ``transport`` has the connections, new ones by default.

    Raises:
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """
    return HttpService(endpoint, settings, user_agent=_build_user_agent(), transport=transport)


class HuggingFace(HttpProvider):
    """One instance with its own connections. Safe to share between threads and event loops until it is closed.

    Args:
        settings: The instance's settings.
        transport: The connections; new ones by default.

    Raises:
        AuthenticationError: The token is missing, or would go to an address that must not get it.
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(self, settings: HuggingFaceSettings, *, transport: HttpTransport | None = None) -> None:
        errors = [str(problem) for problem in find_settings_problems(settings) if problem.severity == "error"]
        if errors:
            raise AuthenticationError("; ".join(errors))
        super().__init__(create_service(build_inference_endpoint(settings), settings, transport=transport), settings)
        self._instance = settings

    def encode(self, request: ChatRequest, *, is_stream: bool) -> bytes:
        """Return the body of a request.

        Raises:
            UnsupportedRequestError: The request cannot be sent to this instance.
            UnusableProviderError: The vendor's offline mode forbids requests to Hugging Face.
        """
        if self._instance.base_url is None and constants.HF_HUB_OFFLINE:
            raise UnusableProviderError(
                "HF_HUB_OFFLINE is set, which forbids requests to Hugging Face: unset it, or set base_url"
            )
        return encode_request(request, self._instance, is_stream=is_stream)

    def create_decoder(self, request: ChatRequest, *, is_stream: bool) -> DocumentDecoder:
        """Return a decoder for the answer."""
        return create_decoder(request, self._instance, is_stream=is_stream)


@cache  # reading the versions takes as long as a call
def _build_user_agent() -> str:
    return f"kickai-hf/{version('kickai-hf')}; hf_hub/{version('huggingface_hub')}"
