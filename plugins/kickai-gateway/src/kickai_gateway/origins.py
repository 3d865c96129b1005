"""Where a request without a key may come from: a program on this machine, and not a web page in its browser.

A page of any site can send requests to loopback addresses. Its browser adds the header ``Origin``, names another host
after DNS rebinding, and asks for permission before it sends JSON. Each of the three checks would do; all are made.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from kickai_gateway.errors import ApiError, ErrorReply

if TYPE_CHECKING:
    from kickai_gateway.http import HttpRequest

__all__ = ["is_loopback", "require_json", "require_local"]


@lru_cache(maxsize=64)  # clients of a gateway use few names for it
def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine alone."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def require_local(request: HttpRequest) -> None:
    """Refuse a request that a web page, or a program on another machine, may have sent.

    Raises:
        ApiError: It names another host, or comes from a page.
    """
    hosts = [value for name, value in request.headers if name == b"host"]
    if len(hosts) != 1 or not is_loopback(_strip_port(hosts[0].decode("latin-1"))):
        raise _refuse("the header Host must name this machine (localhost, 127.0.0.1 or [::1])")
    if request.find_header("origin") is not None:
        raise _refuse("requests of web pages (with the header Origin) are not served without keys")


def require_json(request: HttpRequest) -> None:
    """Refuse a body that is not declared as JSON, such as that of a form.

    Raises:
        ApiError: It has another type.
    """
    kind = (request.find_header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = "the header Content-Type must be application/json"
        raise ApiError(ErrorReply(status=415, message=message, code="unsupported_media_type"))


def _strip_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.endswith("]")) else host


def _refuse(message: str) -> ApiError:
    return ApiError(ErrorReply(status=403, message=message, type="permission_error", code="forbidden"))
