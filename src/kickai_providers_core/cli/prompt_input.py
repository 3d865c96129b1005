"""The prompt of ``kickai ask``: the words of the command line, or standard input, as UTF-8 text."""

from __future__ import annotations

import sys

import click

__all__ = ["read_prompt", "require_utf8"]


def read_prompt(words: tuple[str, ...]) -> str:
    """Return the prompt: the words, or standard input without words or for ``-``.

    Raises:
        click.UsageError: There is no prompt, or it is empty or not UTF-8 text.
    """
    if words and words != ("-",):
        text = require_utf8(" ".join(words), "the prompt")
    else:
        if sys.stdin is None or (not words and sys.stdin.isatty()):
            raise click.UsageError("There is no prompt: pass it as an argument or on standard input.")
        text = _read_stdin()
    if not text.strip():
        raise click.UsageError("The prompt is empty.")
    return text


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text.") from None
    except OSError as exc:
        raise click.UsageError(f"Standard input cannot be read: {exc.strerror}.") from None


def require_utf8(value: str, what: str) -> str:
    """Return an argument, which has to be UTF-8 text; other bytes arrive as lone surrogates.

    Raises:
        click.UsageError: It is not UTF-8 text.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{what.capitalize()} is not UTF-8 text.") from None
    return value
