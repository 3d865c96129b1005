"""Reads image files for messages."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.values.validation import raise_value_error

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["MAX_IMAGE_BYTES", "read_image"]

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


def read_image(path: str | PathLike[str], max_bytes: int) -> tuple[bytes, str]:
    """Return the bytes of an image file and its media type.

    Args:
        path: The file.
        max_bytes: The largest size.

    Raises:
        ValueError: It is not a regular file, empty, too large, or not an image.
        OSError: It cannot be read.
    """
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
