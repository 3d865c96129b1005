"""Which service an instance calls, as a text that processes can compare and that reveals no key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kickai_providers_core.plugin_api.secret_masking import find_secrets
from kickai_providers_core.plugin_api.settings import find_address_fields

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.instance import Instance

__all__ = ["identify_service"]

HASH_BYTES = 12


def identify_service(instance: Instance, model: str | None, namespace: str = "") -> str:
    """Return the identity of a service, of one of its models, and of the account that calls it.

    Instances of two processes have the same identity when they have the same plugin, addresses, keys and model. Address
    and keys are hashed (BLAKE2b, keyed with the namespace), so that nobody can compare them across namespaces.

    Args:
        instance: The instance.
        model: The model; None for the service as a whole.
        namespace: Separates the applications that share a store.
    """
    settings = instance.settings
    addresses = sorted(f"{each.alias}={getattr(settings, each.name)!r}" for each in find_address_fields(type(settings)))
    text = "\0".join([*addresses, *sorted(find_secrets(settings))])
    key = hashlib.blake2b(f"kickai/{namespace}".encode(), digest_size=32).digest()
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=HASH_BYTES).hexdigest()
    return "/".join(filter(None, (instance.info.name, digest, model)))
