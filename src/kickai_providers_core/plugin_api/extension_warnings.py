"""Warnings for the developer of a plugin or observer."""

from __future__ import annotations

import logging

from loguru import logger

__all__ = ["warn"]


def warn(text: str) -> None:
    """Write a warning where it is seen.

    It goes to loguru if the application has enabled this package there, and otherwise to the standard library's logger
    ``kickai_providers_core``, which writes to standard error unless the application has configured it.
    """
    written: list[str] = []

    def write() -> str:
        written.append(text)
        return text

    logger.opt(lazy=True, depth=1).warning("{text}", text=write)
    if not written:
        logging.getLogger("kickai_providers_core").warning("%s", text)
