"""Decorators that make a mutant of one function, which changes what the correct provider would send or return."""

from __future__ import annotations

from kestrel.client import Client
from kestrel.mutants.registry import mutant


def alters_payload(*found_by):
    """Make a mutant that changes the JSON value of its requests: ``change(payload, request)``."""

    def build(change):
        def build_payload(self, request, *, live):
            return change(Client.build_payload(self, request, live=live), request)

        return {"build_payload": build_payload}

    return _register(build, found_by)


def alters_answers(*found_by):
    """Make a mutant that changes its replies and chunks: ``change(answer)``."""

    def build(change):
        def parse_reply(self, body):
            return change(Client.parse_reply(self, body))

        def parse_event(self, line):
            return change(Client.parse_event(self, line))

        return {"parse_reply": parse_reply, "parse_event": parse_event}

    return _register(build, found_by)


def alters_errors(*found_by):
    """Make a mutant that changes the error for a status: ``change(error, status, headers, body)``."""

    def build(change):
        def build_error(self, status, headers, body):
            return change(Client.build_error(self, status, headers, body), status, headers, body)

        return {"build_error": build_error}

    return _register(build, found_by)


def _register(build, found_by):
    def decorate(change):
        name = "".join(part.capitalize() for part in change.__name__.split("_"))
        kind = type(name, (Client,), {"__doc__": change.__doc__, "__module__": change.__module__, **build(change)})
        mutant(*found_by)(kind)
        return change

    return decorate
