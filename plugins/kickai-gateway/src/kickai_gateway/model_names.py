"""The models that the gateway serves: roles, instances, targets, and chains of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import Target

from kickai_gateway.errors import ApiError, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Chain, Resolver

__all__ = ["DEFAULT", "ROLE_PREFIX", "ModelTable"]

ROLE_PREFIX = "kickai:"
"""The name of a role's chain is this prefix and the role's name."""

DEFAULT = "kickai"
"""The name of the chain without a role."""

MAX_CHAINS = 1_000
"""How many chains are kept; a client may name any number of them."""

MAX_NAME = 500
"""The maximum length of a model's name, in characters."""

MAX_TARGETS = 16
"""The maximum number of targets in a chain that a client names."""


@define
class ModelTable:
    """Finds the chain for the name of a model. For one event loop.

    Attributes:
        resolver: Creates the chains.
    """

    resolver: Resolver
    _chains: dict[str, Chain] = field(factory=dict, init=False, repr=False)

    def find(self, name: str) -> Chain:
        """Return the chain of a model.

        Args:
            name: ``kickai``, ``kickai:ROLE``, a role, ``INSTANCE``, ``INSTANCE:MODEL``, or several of the latter two
                with commas between them.

        Raises:
            ApiError: There is no such model.
        """
        chain = self._chains.get(name)
        if chain is None:
            if len(name) > MAX_NAME:
                raise _build_not_found_error(f"{name[:60]}…", "it is too long")
            chain = self._create(name)
            if len(self._chains) >= MAX_CHAINS:
                self._chains.pop(next(iter(self._chains)))
            self._chains[name] = chain
        return chain

    def list_names(self) -> list[str]:
        """Return the names of the models that the settings know, each once. Others of a provider can be named too."""
        return list(dict.fromkeys(self._find_names()))

    def describe(self, name: str) -> dict[str, Any]:
        """Return the entry of a model in ``GET /v1/models``.

        Raises:
            ApiError: There is no such model.
        """
        chain = self.find(name)
        return {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "kickai",
            "kickai": {
                "targets": list(chain.targets),
                "context_window": chain.context_window,
                "capabilities": sorted(each.value for each in chain.capabilities),
            },
        }

    def _find_names(self) -> Iterator[str]:
        settings = self.resolver.settings
        yield DEFAULT
        yield from (f"{ROLE_PREFIX}{role}" for role in settings.roles)
        instances = self._list_instances()
        yield from instances
        for role in (settings.default_role, *settings.roles.values()):
            targets = settings.targets_for(role)
            yield from (str(target) for target in targets if target.model and target.provider in instances)

    def _list_instances(self) -> dict[str, None]:
        settings = self.resolver.settings
        installed = {info.name for info in self.resolver.discovery.infos().values()}
        named = [*settings.kickai.order, *settings.providers]
        return dict.fromkeys(name for name in named if settings.kind_of(name) in installed)

    def _create(self, name: str) -> Chain:
        settings = self.resolver.settings
        role = name.removeprefix(ROLE_PREFIX)
        if name == DEFAULT:
            return self.resolver.for_role(None)
        if role in settings.roles and (role != name or name not in self._list_instances()):
            return self.resolver.for_role(role)
        if role != name:
            raise _build_not_found_error(name, f"unknown role; known are {', '.join(settings.roles)}")
        parts = name.split(",")
        if len(parts) > MAX_TARGETS:
            raise _build_not_found_error(name[:60], f"a chain has at most {MAX_TARGETS} targets")
        try:
            return self.resolver.chain(*(Target.parse(part) for part in parts))
        except (LookupError, ValueError) as error:  # UnknownProviderError, ArgumentValueError
            raise _build_not_found_error(name, str(error)) from None


def _build_not_found_error(name: str, reason: str) -> ApiError:
    message = f"the model {name!r} does not exist: {reason}; GET /v1/models lists the models"
    return ApiError(ErrorReply(status=404, message=message, code="model_not_found", param="model"))
