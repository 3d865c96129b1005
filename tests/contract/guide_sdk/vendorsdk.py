"""A small SDK as vendors publish them, for the guide's provider: a client over HTTP, with errors of its own."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class StatusError(Exception):
    """The service answered with an error status."""

    def __init__(self, status, headers, body):
        super().__init__(f"status {status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body


class Client:
    """A client; without explicit values it takes the environment's, and it retries by itself."""

    def __init__(self, *, base_url=None, api_key=None, max_retries=2):
        self.base_url = base_url or os.environ.get("VENDOR_BASE_URL", "https://api.vendor.example")
        self.api_key = api_key or os.environ.get("VENDOR_API_KEY", "")
        self.max_retries = max_retries

    def chat(self, *, timeout, **fields):
        """Return an answer."""
        body = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
        headers = {"authorization": f"Bearer {self.api_key}", "content-type": "application/json"}
        for attempt in range(self.max_retries + 1):
            try:
                asked = Request(self.base_url, data=body, headers=headers)  # noqa: S310  a test's own address
                with urlopen(asked, timeout=timeout) as response:  # noqa: S310
                    return SimpleNamespace(**json.load(response))
            except HTTPError as error:
                with error:
                    failure = StatusError(error.code, error.headers, error.read())
                if attempt == self.max_retries:
                    raise failure from None
        return None

    def close(self):
        """Do nothing: no connection is kept."""
