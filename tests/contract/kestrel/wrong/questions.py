"""Wrong requests."""

from __future__ import annotations

from attrs import evolve

from kestrel.client import Client
from kestrel.wrong.register import mutant


@mutant("test_the_request_is_not_changed")
class ChangesTheRequest(Client):
    """Moves the stop texts out of the request that it was given."""

    def payload(self, request, *, live):
        """Ask, and change what was asked."""
        asked = super().payload(request, live=live)
        object.__setattr__(request, "stop", ())
        return asked


@mutant("test_fields_are_sent_or_named")
class DropsTheSeed(Client):
    """Leaves the seed out, and does not say so."""

    def payload(self, request, *, live):
        """Ask without the seed."""
        return super().payload(evolve(request, seed=None), live=live)


@mutant("test_the_model_is_asked_for")
class AsksItsOwnModel(Client):
    """Asks for one model, whatever the request names."""

    def payload(self, request, *, live):
        """Ask for the usual model."""
        return super().payload(evolve(request, model="kestrel-1"), live=live)


@mutant("test_the_conversation_keeps_its_order")
class SendsTheLastTurn(Client):
    """Sends the last message alone."""

    def payload(self, request, *, live):
        """Forget the conversation."""
        return super().payload(evolve(request, messages=request.messages[-1:]), live=live)


@mutant("test_any_text_is_sent")
class EncodesStrictly(Client):
    """Lets a UnicodeEncodeError through for text that is not in Latin-1."""

    def payload(self, request, *, live):
        """Encode first."""
        for message in request.messages:
            message.content.encode("latin-1")
        return super().payload(request, live=live)


@mutant("test_tools_are_offered")
class ForgetsTools(Client):
    """Claims tools, and sends their names alone."""

    def payload(self, request, *, live):
        """Leave the schemas out."""
        asked = super().payload(request, live=live)
        return {**asked, "tools": [{"name": tool["name"]} for tool in asked.get("tools", ())]}
