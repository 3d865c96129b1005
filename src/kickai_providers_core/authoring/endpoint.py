"""Where the requests to a service go, with the key and the headers that may go there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.secrets import Secret

__all__ = ["Endpoint"]


@frozen(kw_only=True)
class Endpoint:
    """One address of a service.

    Attributes:
        url: Where requests are posted, or the address to which paths are appended.
        key: Sent as a bearer token; None, or an empty one, to send no authorization at all.
        headers: Sent as well; they replace other headers of the same name. Their values are treated as secrets.
        key_setting: The name of the setting with the key, for messages.
    """

    url: str
    key: Secret | None = None
    headers: Mapping[str, Secret] = field(factory=dict)
    key_setting: str = "api_key"

    @property
    def is_secure(self) -> bool:
        """Whether requests go through TLS."""
        return self.url.lower().startswith("https:")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no message may contain."""
        return tuple(secret.reveal() for secret in (*self.headers.values(), self.key) if secret)

    def reveal_headers(self) -> dict[str, str]:
        """Return the headers of a request, names in lower case; only a request contains revealed secrets."""
        headers = {name.lower(): value.reveal() for name, value in self.headers.items()}
        if self.key:
            headers["authorization"] = f"Bearer {self.key.reveal()}"
        return headers
