"""Images: several of them, their media types, by URL, next to text."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from kickai_providers_core.testing.contract.helpers.constants import PROMPT
from kickai_providers_core.testing.contract.helpers.json_search import Leaf, find_leaves, find_text, show
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import require_capability
from kickai_providers_core.testing.contract.helpers.sending import get_last_request, send, try_to_send
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import FaultServer
from kickai_providers_core.values.errors import UnsupportedRequestError
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["IMAGES", "ImageTests"]

IMAGES = (
    Image(media_type="image/png", data=b"\x89PNG\r\n\x1a\ncanary-one"),
    Image(media_type="image/jpeg", data=b"\xff\xd8\xffcanary-two\xfb\xff\xbf"),
)
TYPES = tuple(image.media_type for image in IMAGES)


class ImageTests(ProviderSpec):
    """Images are sent with their message, each as it is."""

    @in_each_mode
    def test_several_images_are_sent_in_order(self, harness: ProviderHarness, mode: Mode) -> None:
        """All images of a message are sent, in their order, with all of their bytes."""
        require_capability(harness, Capability.IMAGES)
        body = _send_images(harness, mode)
        wanted = [b64encode(image.data or b"").decode() for image in IMAGES]
        found = [text for leaf in find_leaves(body) for text in wanted if text in str(leaf.value)]
        assert found == wanted, (
            f"expected {len(wanted)} images in Base64, in their order, got {len(found)} of them; "
            f"the service received {show(body)}"
        )

    @in_each_mode
    def test_the_text_next_to_images_is_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """The text of a message with images is sent, in the same message; an image without text is sent too."""
        require_capability(harness, Capability.IMAGES)
        body = _send_images(harness, mode)
        assert find_text(body, PROMPT), f"the text next to the images was not sent; the service received {show(body)}"
        bare = send(harness, mode, messages=(Message(role="user", images=IMAGES[:1]),))
        assert find_text(bare, b64encode(IMAGES[0].data or b"").decode()), (
            f"the image of a message without text was not sent; the service received {show(bare)}"
        )

    @in_each_mode
    def test_media_types_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each image has its own media type, if the service is sent any."""
        require_capability(harness, Capability.IMAGES)
        body = _send_images(harness, mode)
        if not find_text(body, "image/"):
            return
        for image in IMAGES:
            leaf = find_text(body, b64encode(image.data or b"").decode())
            assert leaf is not None, f"an image was not sent; the service received {show(body)}"
            types = _find_types(leaf)
            assert types == {image.media_type}, (
                f"expected the media type {image.media_type} with its image, got {sorted(types)}: {show(body)}"
            )

    @in_each_mode
    def test_images_stay_with_their_messages(self, harness: ProviderHarness, mode: Mode) -> None:
        """Images of several messages are sent with the text of their own message."""
        require_capability(harness, Capability.IMAGES)
        messages = (
            Message(role="user", content="turn-1", images=IMAGES[:1]),
            Message(role="assistant", content="turn-2"),
            Message(role="user", content="turn-3", images=IMAGES[1:]),
        )
        body = send(harness, mode, messages=messages)
        first, second = (b64encode(image.data or b"").decode() for image in IMAGES)
        order = [
            text
            for leaf in find_leaves(body)
            for text in ("turn-1", "turn-2", "turn-3", first, second)
            if text in str(leaf.value)
        ]
        named = ["image 1" if text == first else "image 2" if text == second else text for text in order]
        assert sorted(named[:2]) == ["image 1", "turn-1"], f"image 1 belongs to turn-1, got the order {named}"
        assert named[2:3] == ["turn-2"], f"images were moved to another message, got the order {named}"
        assert sorted(named[3:]) == ["image 2", "turn-3"], f"image 2 belongs to turn-3, got the order {named}"

    @in_each_mode
    def test_an_image_by_url_is_sent_or_refused(self, harness: ProviderHarness, mode: Mode) -> None:
        """The URL of an image is sent to the service, or refused as unsupported; the plugin does not fetch it."""
        require_capability(harness, Capability.IMAGES)
        with FaultServer(harness.server.wire) as elsewhere:
            url = f"{elsewhere.url}/canary.png"
            image = Image(media_type="image/*", url=url)
            outcome = try_to_send(harness, mode, messages=(Message(role="user", content=PROMPT, images=(image,)),))
            visits = elsewhere.accepted_connections
        assert not visits, "the plugin fetched the URL of an image: send the URL, or raise UnsupportedRequestError"
        if isinstance(outcome.raised, UnsupportedRequestError):
            return
        outcome.reply  # noqa: B018
        body = get_last_request(harness).json()
        assert find_text(body, url), f"the URL of the image was not sent; the service received {show(body)}"


def _send_images(harness: ProviderHarness, mode: Mode) -> Any:
    return send(harness, mode, messages=(Message(role="user", content=PROMPT, images=IMAGES),))


def _find_types(leaf: Leaf) -> set[str]:
    """Return the media types in an image's text, or else in the innermost value around it that has any."""
    found = {each for each in TYPES if each in str(leaf.value)}
    for value in leaf.around:
        found = found or {each for each in TYPES if each in str(value)}
    return found
