"""The settings of the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.stores.urls import SQLITE, StoreUrl
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.validation import Number, describe_type, raise_type_error, raise_value_error

if TYPE_CHECKING:
    from pathlib import Path

    from attrs import Attribute

__all__ = ["StoreSettings", "resolve_store"]

NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{0,64}")

MAX_DAYS = 36_500


def _validate_url(_instance: object, _attribute: Attribute[Secret | None], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Secret):
        raise_type_error("url", "a Secret or None", describe_type(value))
    StoreUrl.parse(value.reveal())


def _validate_namespace(_instance: object, _attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise_type_error("namespace", "a string", describe_type(value))
    if not NAMESPACE.fullmatch(value):
        raise_value_error("namespace", "at most 64 letters, digits, '_', '.' and '-'", describe_type(value))


@frozen(kw_only=True, eq=False, repr=False)
class StoreSettings(Value):
    """The table ``[store]``.

    Attributes:
        url: The address of the store, which may hold credentials; None for none.
        namespace: The name of the application in a remote store, which several applications may share. Required for a
            remote store.
        keep_days: The days after which metrics are deleted, from 1.
    """

    url: Secret | None = field(default=None, validator=_validate_url)
    namespace: str = field(default="", validator=_validate_namespace)
    keep_days: int = field(default=400, validator=Number(integer=True, minimum=1, maximum=MAX_DAYS))

    def __attrs_post_init__(self) -> None:
        address = self.address
        if address is not None and address.is_remote and not self.namespace:
            raise ValueError(
                f"a store at {address.scheme}:// needs a namespace, since applications may share it; "
                'for example namespace = "kickai"'
            )

    @property
    def address(self) -> StoreUrl | None:
        """The parsed address; None for no store."""
        return None if self.url is None else StoreUrl.parse(self.url.reveal())


def resolve_store(store: StoreSettings, folder: Path) -> StoreSettings:
    """Return the settings with an absolute path instead of a relative one, which starts at the folder."""
    address = store.address
    if address is None or address.scheme != SQLITE:
        return store
    return evolve(store, url=Secret(f"sqlite:///{address.find_path(folder)}"))
