"""Mutants that send a part of the request wrongly, or not at all."""

from __future__ import annotations

import json
import urllib.request
from contextlib import suppress

from attrs import evolve

from kestrel.client import Client
from kestrel.mutants.altering import alters_payload
from kestrel.mutants.registry import mutant


@alters_payload("test_a_zero_is_sent")
def drops_zeros(payload, request):
    """Sends only values that are true."""
    return {**payload, "sampling": {name: value for name, value in payload["sampling"].items() if value}}


@alters_payload("test_an_unset_field_is_not_sent")
def sends_a_default_temperature(payload, request):
    """Sends a temperature of its own when the request has none."""
    return payload if request.temperature is not None else {**payload, "temperature": 0.7}


@alters_payload("test_several_stop_texts_are_sent")
def sends_one_stop_text(payload, request):
    """Sends the first stop text only."""
    return {**payload, "until": payload["until"][:1]}


@alters_payload("test_every_field_at_once_is_sent")
def drops_top_p_next_to_temperature(payload, request):
    """Leaves top_p out when there is a temperature above zero too."""
    sampling = dict(payload["sampling"])
    if sampling.get("heat"):
        sampling.pop("top", None)
    return {**payload, "sampling": sampling}


@alters_payload("test_every_field_at_once_is_sent")
def mixes_up_field_names(payload, request):
    """Sends top_p under the name of the temperature."""
    sampling = dict(payload["sampling"])
    if "top" in sampling:
        sampling["temperature"] = sampling.pop("top")
    return {**payload, "sampling": sampling}


@alters_payload("test_the_vendors_own_options_are_sent")
def drops_options(payload, request):
    """Ignores the options that it declares."""
    return {name: value for name, value in payload.items() if name not in {"wings", "call"}}


def change_turns(payload, change):
    """Return a payload with each turn changed."""
    return {**payload, "turns": [change(dict(turn)) for turn in payload["turns"]]}


@alters_payload("test_roles_are_sent")
def calls_everyone_user(payload, request):
    """Sends the assistant's messages as the user's."""
    return change_turns(payload, lambda turn: {**turn, "who": "user" if turn["who"] == "assistant" else turn["who"]})


@alters_payload("test_roles_are_sent")
def swaps_the_roles(payload, request):
    """Sends the user's messages as the assistant's, and the other way round."""
    other = {"user": "assistant", "assistant": "user"}
    return change_turns(payload, lambda turn: {**turn, "who": other.get(turn["who"], turn["who"])})


@alters_payload("test_the_system_message_is_no_other_message")
def sends_system_as_user(payload, request):
    """Sends the system message as the user's."""
    return change_turns(payload, lambda turn: {**turn, "who": "user" if turn["who"] == "system" else turn["who"]})


def change_tools(payload, change):
    """Return a payload with each tool changed."""
    return {**payload, "tools": [change(dict(tool)) for tool in payload["tools"]]} if "tools" in payload else payload


@alters_payload("test_tools_are_sent_unchanged")
def drops_tool_descriptions(payload, request):
    """Sends tools without their descriptions."""
    return change_tools(payload, lambda tool: {**tool, "about": ""})


@alters_payload("test_tools_are_sent_unchanged")
def flattens_tool_schemas(payload, request):
    """Sends the properties of a tool without what is nested in them."""
    return change_tools(payload, lambda tool: {**tool, "wants": flatten(tool["wants"])})


@alters_payload("test_json_schemas_are_sent_unchanged")
def flattens_json_schemas(payload, request):
    """Sends the properties of the JSON schema without what is nested in them."""
    return {**payload, "shape": flatten(payload["shape"])} if "shape" in payload else payload


def flatten(schema):
    """Return a schema whose properties have types only."""
    properties = {name: {"type": value["type"]} for name, value in schema.get("properties", {}).items()}
    return {**schema, "properties": properties}


@alters_payload("test_tool_calls_of_the_past_are_sent")
def drops_past_calls(payload, request):
    """Sends the conversation without the calls of tools."""
    return change_turns(payload, lambda turn: {name: value for name, value in turn.items() if name != "calls"})


@alters_payload("test_tool_calls_of_the_past_are_sent")
def drops_text_next_to_calls(payload, request):
    """Sends no text with calls of tools."""
    return change_turns(payload, lambda turn: {**turn, "says": ""} if turn.get("calls") else turn)


@alters_payload("test_tool_calls_of_the_past_are_sent")
def empties_past_arguments(payload, request):
    """Sends past calls without their arguments."""
    return change_turns(
        payload,
        lambda turn: {**turn, "calls": [{**call, "with": "{}"} for call in turn["calls"]]} if "calls" in turn else turn,
    )


@alters_payload("test_tool_results_are_sent_with_their_calls")
def mixes_up_results(payload, request):
    """Sends every result as that of the last call."""
    ids = [turn["call"] for turn in payload["turns"] if "call" in turn]
    return change_turns(payload, lambda turn: {**turn, "call": ids[-1]} if "call" in turn else turn)


@alters_payload("test_tool_results_are_sent_with_their_calls")
def drops_the_ids_of_results(payload, request):
    """Sends results without the id of their call."""
    return change_turns(payload, lambda turn: {name: value for name, value in turn.items() if name != "call"})


@alters_payload("test_the_tool_choice_is_sent_or_named")
def drops_the_tool_choice(payload, request):
    """Does not send tool_choice, and does not report that."""
    return {name: value for name, value in payload.items() if name != "choice"}


@alters_payload("test_the_tool_choice_is_sent_or_named")
def requires_any_tool(payload, request):
    """Sends the name of a tool as required."""
    named = payload.get("choice") not in {None, "auto", "none", "required"}
    return {**payload, "choice": "required"} if named else payload


@alters_payload("test_several_images_are_sent_in_order")
def sends_one_image(payload, request):
    """Sends the first image of a message only."""
    return change_turns(payload, lambda turn: {**turn, "images": turn["images"][:1]})


@alters_payload("test_the_text_next_to_images_is_sent")
def drops_text_next_to_images(payload, request):
    """Sends no text with images."""
    return change_turns(payload, lambda turn: {**turn, "says": ""} if turn["images"] else turn)


@alters_payload("test_media_types_are_sent")
def calls_every_image_png(payload, request):
    """Sends every image as PNG."""
    return change_turns(
        payload, lambda turn: {**turn, "images": [{**each, "kind": "image/png"} for each in turn["images"]]}
    )


@alters_payload("test_images_stay_with_their_messages")
def moves_images_to_the_end(payload, request):
    """Sends all images with the last message."""
    images = [image for turn in payload["turns"] for image in turn["images"]]
    turns = [{**turn, "images": []} for turn in payload["turns"]]
    return {**payload, "turns": [*turns[:-1], {**turns[-1], "images": images}]}


@alters_payload("test_an_image_by_url_is_sent_or_refused")
def drops_image_urls(payload, request):
    """Leaves out images that only have an address."""
    return change_turns(payload, lambda turn: {**turn, "images": [each for each in turn["images"] if "at" not in each]})


@alters_payload("test_the_system_message_is_no_other_message")
def sends_system_last(payload, request):
    """Sends the system message after the conversation."""
    return {**payload, "turns": sorted(payload["turns"], key=lambda turn: turn["who"] == "system")}


@alters_payload("test_several_system_messages_are_sent")
def sends_one_system_message(payload, request):
    """Sends the first system message only."""
    others = [turn for turn in payload["turns"] if turn["who"] == "system"][1:]
    return {**payload, "turns": [turn for turn in payload["turns"] if turn not in others]}


@alters_payload("test_tool_calls_of_the_past_are_sent")
def swaps_the_ids_of_past_calls(payload, request):
    """Sends each of two past calls with the id of the other."""

    def swap(turn):
        ids = [call["id"] for call in turn.get("calls", ())]
        calls = [{**call, "id": other} for call, other in zip(turn.get("calls", ()), ids[::-1], strict=True)]
        return {**turn, "calls": calls} if calls else turn

    return change_turns(payload, swap)


@alters_payload("test_the_tool_choice_is_sent_or_named")
def offers_required_tools(payload, request):
    """Sends the choice "required" as "auto"."""
    return {**payload, "choice": "auto"} if payload.get("choice") == "required" else payload


@alters_payload("test_a_large_value_is_sent_or_named")
def caps_the_temperature(payload, request):
    """Sends a temperature of 1 when a higher one is requested."""
    sampling = payload["sampling"]
    return {**payload, "sampling": {**sampling, "heat": min(sampling["heat"], 1)}} if "heat" in sampling else payload


@alters_payload("test_a_large_value_is_sent_or_named")
def caps_the_token_limit(payload, request):
    """Sends a token limit of 4096 when a higher one is requested."""
    sampling = payload["sampling"]
    return {**payload, "sampling": {**sampling, "most": min(sampling["most"], 4096)}} if "most" in sampling else payload


@alters_payload("test_the_service_reads_every_field")
def misnames_the_token_limit(payload, request):
    """Sends the token limit under a name that the service ignores."""
    renamed = {"limit" if name == "most" else name: value for name, value in payload["sampling"].items()}
    return {**payload, "sampling": renamed}


@alters_payload("test_the_service_reads_tools_and_their_calls")
def sends_arguments_as_objects(payload, request):
    """Sends the arguments of past calls as objects, which the service does not read."""

    def parse(turn):
        calls = [{**call, "with": json.loads(call["with"])} for call in turn.get("calls", ())]
        return {**turn, "calls": calls} if calls else turn

    return change_turns(payload, parse)


@alters_payload("test_the_service_reads_tools_and_their_calls")
def closes_tool_schemas(payload, request):
    """Adds a keyword of its own to the schemas of tools."""
    return change_tools(payload, lambda tool: {**tool, "wants": {**tool["wants"], "maxProperties": 9}})


@alters_payload("test_the_request_is_not_changed")
def completes_tool_schemas(payload, request):
    """Adds a keyword to the schemas of the request's own tools."""
    for tool in request.tools:
        tool.parameters["additionalProperties"] = False
    return payload


@alters_payload("test_the_service_reads_the_schema")
def opens_json_schemas(payload, request):
    """Leaves a keyword out of the JSON schema."""
    kept = {name: value for name, value in payload.get("shape", {}).items() if name != "additionalProperties"}
    return {**payload, "shape": kept} if "shape" in payload else payload


@alters_payload("test_the_service_reads_images")
def reads_images_backwards(payload, request):
    """Sends the images of a message in the opposite order."""
    return change_turns(payload, lambda turn: {**turn, "images": turn["images"][::-1]})


@mutant("test_an_image_by_url_is_sent_or_refused")
class FetchesImages(Client):
    """Fetches the images that only have an address."""

    def build_payload(self, request, *, live):
        """Fetch them."""
        for message in request.messages:
            for image in message.images:
                if image.url:
                    with suppress(OSError):
                        urllib.request.urlopen(image.url, timeout=1).close()  # noqa: S310  that is the fault
        return super().build_payload(evolve(request), live=live)
