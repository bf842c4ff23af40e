# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Text that came from another process, made safe to show."""

from __future__ import annotations

MAX_SHOWN_CHARACTERS = 80


def peer_text(text: str, always_quoted: bool = True) -> str:
    """Return a peer's text on one line, printable, and cut to a length a person reads.

    Anyone on the network can publish. Shown as it came, a text with line feeds forges lines of
    the log, one with escape codes changes the terminal, and one of 10 MB fills the log.

    Args:
        text: encoding, format, frame_id, topic, class or parameter name as it came.
        always_quoted: False returns a text that is safe already without quotes, for fields that
            programs compare, such as the values of a status.

    Returns:
        At most about 120 characters. A text that was cut ends in its full length.
    """
    if not always_quoted and text.isprintable() and len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    # Cut before quoting, which reads everything, and after: an escape takes up to 10 characters.
    quoted = repr(text[:MAX_SHOWN_CHARACTERS])
    if len(text) <= MAX_SHOWN_CHARACTERS and len(quoted) <= MAX_SHOWN_CHARACTERS + 2:
        return quoted
    quote, inner = quoted[0], quoted[1:-1]
    return f"{quote}{inner[:MAX_SHOWN_CHARACTERS]}...{quote} ({len(text)} characters)"
