"""Memory that all workers share: each writes to a part of its own, and reads those of all.

It is an unlinked file, which the supervisor creates and its workers inherit. What a killed worker wrote stays.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Self

from attrs import field, frozen

__all__ = ["SharedMemory"]


@frozen(eq=False)
class SharedMemory:
    """A block of memory, divided into equal parts.

    Attributes:
        data: All parts.
        parts: Their number.
        own: The number of this process's part, from 0.
        descriptor: The descriptor of the file, for other processes.
    """

    data: mmap.mmap = field(repr=False)
    parts: int
    own: int
    descriptor: int

    @classmethod
    def create(cls, parts: int, part_bytes: int) -> Self:
        """Return a new block of zeros. This process has the first part.

        Args:
            parts: The number of parts.
            part_bytes: The size of each.
        """
        with tempfile.TemporaryFile() as file:
            file.truncate(parts * part_bytes)
            return cls._from_descriptor(os.dup(file.fileno()), parts, 0)

    @classmethod
    def open(cls, descriptor: int, parts: int, own: int) -> Self:
        """Return the block that another process has created.

        Args:
            descriptor: The inherited descriptor of its file.
            parts: The number of parts.
            own: The number of this process's part.
        """
        return cls._from_descriptor(descriptor, parts, own)

    @classmethod
    def _from_descriptor(cls, descriptor: int, parts: int, own: int) -> Self:
        return cls(mmap.mmap(descriptor, 0), parts, own, descriptor)

    def get_part(self, number: int) -> memoryview:
        """Return the bytes of a part."""
        size = len(self.data) // self.parts
        return memoryview(self.data)[number * size : (number + 1) * size]

    def close(self) -> None:
        """Close the file; the memory is freed when nothing refers to it any more."""
        os.close(self.descriptor)
