"""Options of a request that only one vendor knows: which ones an instance gets, and whether they are valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.errors import UnsupportedRequestError
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.shapes import MisfitError, Shape
from kickai_providers_core.values.trusted import evolve_trusted
from kickai_providers_core.values.validation import describe_type, raise_type_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["convert_option_types", "narrow_options"]

NAME_LIMIT = 60
"""The maximum length of an option's name in an error, in characters."""


def convert_option_types(types: Mapping[str, Any]) -> Mapping[str, Shape]:
    """Return the shape of each option of a plugin.

    Args:
        types: From the name of an option to its type, as a type hint (see `find_shape`) or as a shape.

    Raises:
        TypeError: It is not a mapping, or JSON has no form for a type.
    """
    if not isinstance(types, Mapping):
        raise_type_error("ProviderInfo.options", "a mapping from names to types", describe_type(types))
    if not types:
        return {}
    from kickai_providers_core.values.type_shapes import find_shape  # noqa: PLC0415  few plugins have options

    return {
        name: hint if isinstance(hint, Shape) else find_shape(hint, f"ProviderInfo.options[{name!r}]")
        for name, hint in types.items()
    }


def narrow_options(request: ChatRequest, info: ProviderInfo, instance: str) -> ChatRequest:
    """Return the request with the options for one instance only, under the name of its plugin.

    Options for the instance's own name outrank those for its plugin.

    Args:
        request: The request; its options are by plugin or instance.
        info: The instance's plugin.
        instance: The instance's name.

    Raises:
        UnsupportedRequestError: An option is unknown, or has the wrong type.
    """
    if not request.options:
        return request
    own: dict[str, Any] = {}
    for name in (*info.aliases, info.name, instance):
        own |= request.options.get(name, {})
    for name, value in own.items():
        _check(info, name, value)
    return evolve_trusted(request, options={info.name: own} if own else {})


def _check(info: ProviderInfo, name: str, value: Any) -> None:
    shape = info.options.get(name)
    if shape is None:
        shown = clean_line(name, NAME_LIMIT)
        raise UnsupportedRequestError(f"{info.name} has no option {shown!r} ({_build_hint(name, tuple(info.options))})")
    try:
        shape.read(value, f"options.{info.name}.{name}")
    except MisfitError as misfit:
        message = str(misfit)
    else:
        return
    raise UnsupportedRequestError(message)


def _build_hint(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

    near = get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(known)}" if known else "it takes none"
