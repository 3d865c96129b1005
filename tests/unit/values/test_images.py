"""Images from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core import ArgumentValueError, Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n...", "image/png"),
        ("no-extension", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("wrong.png", b"GIF89a...", "image/gif"),
        ("a", b"GIF87a", "image/gif"),
        ("a", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("a", b"\x00\x00\x00\x20ftypavif", "image/avif"),
        ("a", b"\x00\x00\x00\x20ftypheic", "image/heic"),
        ("a", b"BM....", "image/bmp"),
        ("a", b"II*\x00", "image/tiff"),
        ("a.svg", b"<svg/>", "image/svg+xml"),
    ],
)
def test_the_media_type_is_that_of_the_content(tmp_path: Path, name: str, data: bytes, media_type: str) -> None:
    """The first bytes decide; the extension is used for formats that have no signature."""
    path = tmp_path / name
    path.write_bytes(data)
    assert Image.from_file(path) == Image.from_file(str(path)) == Image(media_type=media_type, data=data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an image file must be not empty, got "),
        (b"\xff\xd8\xff-----", "an image file must be at most 5 bytes, got 8 bytes in "),
        (b"text", "an image file must be of a known image type, got "),
        (b"\x00\x00\x00\x20ftypmp42"[:4], "an image file must be of a known image type, got "),
    ],
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """The error has the path."""
    path = tmp_path / "file.txt"
    path.write_bytes(data)
    with pytest.raises(ArgumentValueError) as raised:
        Image.from_file(path, max_bytes=5)
    assert str(raised.value) == f"{message}{str(path)!r}"


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are errors; a pipe does not block."""
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        Image.from_file(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "pipe.png"):
        with pytest.raises(ArgumentValueError, match="an image's path must be a regular file"):
            Image.from_file(path)
