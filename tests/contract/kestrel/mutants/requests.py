"""Mutants that send wrong requests."""

from __future__ import annotations

from attrs import evolve

from kestrel.client import Client
from kestrel.mutants.registry import mutant


@mutant("test_the_request_is_not_changed")
class ChangesTheRequest(Client):
    """Removes the stop sequences from the request that it was given."""

    def build_payload(self, request, *, live):
        """Change the request."""
        asked = super().build_payload(request, live=live)
        object.__setattr__(request, "stop", ())
        return asked


@mutant("test_fields_are_sent_or_named")
class DropsTheSeed(Client):
    """Does not send the seed, and does not report that."""

    def build_payload(self, request, *, live):
        """Leave the seed out."""
        return super().build_payload(evolve(request, seed=None), live=live)


@mutant("test_the_model_is_asked_for")
class IgnoresTheModel(Client):
    """Sends its own model in place of the request's."""

    def build_payload(self, request, *, live):
        """Send the default model."""
        return super().build_payload(evolve(request, model="kestrel-1"), live=live)


@mutant("test_the_conversation_keeps_its_order")
class SendsTheLastMessageOnly(Client):
    """Sends the last message only."""

    def build_payload(self, request, *, live):
        """Drop all messages but the last."""
        return super().build_payload(evolve(request, messages=request.messages[-1:]), live=live)


@mutant("test_any_text_is_sent")
class EncodesAsLatin1(Client):
    """Raises UnicodeEncodeError for text that is not in Latin-1."""

    def build_payload(self, request, *, live):
        """Encode the messages."""
        for message in request.messages:
            message.content.encode("latin-1")
        return super().build_payload(request, live=live)


@mutant("test_tools_are_offered")
class DropsToolSchemas(Client):
    """Sends the names of tools without their schemas."""

    def build_payload(self, request, *, live):
        """Leave the schemas out."""
        asked = super().build_payload(request, live=live)
        return {**asked, "tools": [{"name": tool["name"]} for tool in asked.get("tools", ())]}
