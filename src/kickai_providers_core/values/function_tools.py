"""Tools from Python functions: the schema from type hints and the docstring, and the arguments for a call."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.docstrings import parse_docstring
from kickai_providers_core.values.object_shapes import build_object_shape, resolve_hints
from kickai_providers_core.values.shapes import MisfitError
from kickai_providers_core.values.tools import TOOL_NAME, Tool
from kickai_providers_core.values.type_shapes import find_shape
from kickai_providers_core.values.validation import describe_type, hide_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core.values.shapes import Shape

__all__ = ["FunctionTool"]

NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@frozen(eq=False, repr=False)
class FunctionTool(Value):
    """A Python function that a model may call.

    Attributes:
        tool: What the model gets to know.
        function: The function.
    """

    tool: Tool
    function: Callable[..., Any]
    _shape: Shape

    @classmethod
    @hide_arguments
    def from_function(cls, function: Callable[..., Any]) -> FunctionTool:
        """Return the tool for a function; see `Tool.from_function`."""
        name = _find_name(function)
        summary, descriptions = parse_docstring(inspect.getdoc(function))
        hints = resolve_hints(inspect.unwrap(getattr(function, "__func__", function)), name)
        fields = {}
        for parameter in inspect.signature(function).parameters.values():
            where = f"the parameter {parameter.name!r} of {name}"
            if parameter.kind not in NAMED:
                _refuse(where, "can be given by name only if it is not positional-only, *args or **kwargs")
            if parameter.name not in hints:
                _refuse(where, "has no type hint")
            shape = find_shape(hints[parameter.name], where)
            text = shape.schema.get("description") or descriptions.get(parameter.name, "")
            fields[parameter.name] = (shape.add_description(text), parameter.default is inspect.Parameter.empty)
        whole = build_object_shape(fields, dict, name)
        return cls(Tool(name=name, description=summary, parameters=whole.schema), function, whole)

    def parse_arguments(self, arguments: str) -> dict[str, Any]:
        """Return the keyword arguments for a call.

        Args:
            arguments: JSON, as the model wrote it.

        Raises:
            MisfitError: They are not a JSON object, or do not fit the function's type hints.
        """
        return self._shape.read(load_json(arguments), "")  # type: ignore[no-any-return]


def load_json(text: str) -> Any:
    """Return a JSON value; NaN and infinity, which JSON does not have, are refused.

    Raises:
        MisfitError: The text is not JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_require_distinct_keys)
    except (ValueError, RecursionError):
        raise MisfitError("", "valid JSON", text) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _require_distinct_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _find_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    if isinstance(function, type) or not isinstance(name, str) or not hasattr(function, "__call__"):  # noqa: B004
        message = f"a tool must be a function with a name, got {describe_type(function)}"
        raise TypeError(message)
    if not TOOL_NAME.fullmatch(name):
        message = f"a tool must be a function whose name has 1 to 64 letters, digits, '_' and '-', got {name!r}"
        raise TypeError(message)
    return name


def _refuse(where: str, reason: str) -> NoReturn:
    message = f"{where} {reason}"
    raise TypeError(message)
