"""Images in messages, and how they are read from files."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.prompt_masking import describe_optional_length
from kickai_providers_core.values.validation import (
    Text,
    describe_type,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
    raise_value_error,
)

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Image"]

MAX_IMAGE_BYTES = 20 * 2**20
"""The largest image, 20 MiB. Services take less: Gemini 20 MB for a whole request
(ai.google.dev/gemini-api/docs/image-understanding), others 5 to 10 MB."""

SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
"""How the files of each type begin (https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm)."""

BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif"}
"""The brands of the formats that are ISO base media files, at byte 8."""

MEDIA_TYPE = re.compile(r"image/[\w.+*-]+")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def _convert_image_data(data: bytes | bytearray | memoryview | None) -> bytes | None:
    if data is not None and not isinstance(data, bytes | bytearray | memoryview):
        raise_type_error("Image.data", "bytes", describe_type(data))
    return data if data is None or isinstance(data, bytes) else bytes(data)


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class Image(Value):
    """An image in a message: its bytes or its URL.

    Attributes:
        media_type: For example ``image/png``; ``image/*`` when only the URL is known.
        data: The bytes of the image, not empty. Hidden from the repr.
        url: A URL that the *provider* fetches, neither a file nor a data URL. Exactly one of data and url is set.
            Hidden from the repr.
    """

    media_type: str = field(validator=Text())
    data: bytes | None = field(default=None, converter=_convert_image_data, repr=describe_optional_length)
    url: str | None = field(default=None, validator=Text(optional=True), repr=describe_optional_length)

    def __attrs_post_init__(self) -> None:
        if not MEDIA_TYPE.fullmatch(self.media_type):
            raise_value_error("Image.media_type", "one such as 'image/png'", quote(self.media_type))
        if (self.data is None) == (self.url is None):
            message = "an Image must have either data or a url"
            raise ValueError(message)
        if self.data == b"":
            raise_value_error("Image.data", "bytes that are not empty", "b''")
        if self.url is not None and (not ADDRESS.fullmatch(self.url) or self.url.lower().startswith("file:")):
            raise_value_error(
                "Image.url", "an address that the provider can fetch (for data, use data=)", describe_type(self.url)
            )

    @classmethod
    @hide_arguments
    def from_file(cls, path: str | PathLike[str], *, max_bytes: int = MAX_IMAGE_BYTES) -> Image:
        """Return the image in a file. Its content decides the media type, or else the file's extension.

        Args:
            path: The file.
            max_bytes: The largest size; 20 MiB.

        Raises:
            ValueError: It is not a regular file, empty, too large, or not an image.
            OSError: It cannot be read.
        """
        data, media_type = _read_image(path, max_bytes)
        return cls(data=data, media_type=media_type)


def _read_image(path: str | PathLike[str], max_bytes: int) -> tuple[bytes, str]:
    """Return the bytes of an image file and its media type.

    Args:
        path: The file.
        max_bytes: The largest size.

    Raises:
        ValueError: It is not a regular file, empty, too large, or not an image.
        OSError: It cannot be read.
    """
    from pathlib import Path  # noqa: PLC0415  its import takes a while

    file = Path(path)
    if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for its writer
        raise_value_error("an image's path", "a regular file", repr(str(file)))
    with file.open("rb") as opened:
        data = opened.read(max_bytes + 1)
    if not data:
        raise_value_error("an image file", "not empty", repr(str(file)))
    if len(data) > max_bytes:
        raise_value_error(
            "an image file", f"at most {max_bytes} bytes", f"{file.stat().st_size} bytes in {str(file)!r}"
        )
    media_type = _recognize(data) or _guess_media_type(file.name) or "unknown"
    if not media_type.startswith("image/"):
        raise_value_error("an image file", "of a known image type", f"{str(file)!r}")
    return data, media_type


def _recognize(data: bytes) -> str | None:
    """Return the media type that the first bytes show, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return BRANDS.get(data[8:12])
    return next((media_type for signature, media_type in SIGNATURES if data.startswith(signature)), None)


def _guess_media_type(name: str) -> str | None:
    from mimetypes import guess_type  # noqa: PLC0415  its import takes a while, and most files are recognized

    return guess_type(name)[0]
