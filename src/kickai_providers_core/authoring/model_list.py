"""The online check that most services allow: the list of their models, which also shows whether the key is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.service_names import printable_name
from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
from kickai_providers_core.values.errors import AuthenticationError, ModelNotFoundError, Problem, ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.authoring.http_service import HttpService
    from kickai_providers_core.plugin_api.settings import ProviderSettings

__all__ = ["MAX_LIST_BYTES", "model_list_problems"]

MAX_LIST_BYTES = 2**20
"""The largest list that is read, decompressed."""

MAX_SUGGESTIONS = 3


def model_list_problems(service: HttpService, settings: ProviderSettings, path: str = "/models") -> Iterator[Problem]:
    """Yield the problems with the key and the model that a service reports; one request of at most ``timeout_s``.

    A service that does not answer in time, or not as documented, is a warning.

    Args:
        service: The service; the endpoint's address is the one before ``path``. The caller closes it.
        settings: The instance, with its model and time limits.
        path: Where the list is: ``{"data": [{"id": "the-model"}]}``, or the array alone.
    """
    key_setting = service.endpoint.key_setting
    timeouts = AttemptTimeouts(settings.timeout_s, connect_timeout_s=settings.connect_timeout_s)
    try:
        found = service.get_json(path, timeouts, MAX_LIST_BYTES)
    except ModelNotFoundError:  # this service has no list of models
        return
    except AuthenticationError:
        refused = "the server does not accept the key" if service.endpoint.key else "the server requires a key"
        yield Problem(path=key_setting, message=refused, hint=f"Set {key_setting} in this instance's settings")
        return
    except ProviderError as exc:
        yield Problem(path="base_url", message=f"the online check failed: {exc}", severity="warning")
        return
    names = _list_names(found.get("data") if isinstance(found, dict) else found)
    if settings.model is not None and names and settings.model not in names:
        yield Problem(
            path="model",
            message=f"the server does not list {settings.model}",
            hint=f"It lists {', '.join(names[:MAX_SUGGESTIONS])}",
            severity="warning",  # llama.cpp and others answer to any name
        )


def _list_names(value: Any) -> list[str]:
    """Return the ids of a JSON array of models."""
    objects = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return [printable_name(each["id"]) for each in objects if "id" in each]
