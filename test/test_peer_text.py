# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a peer sent is shown on one line, printable and short."""

from __future__ import annotations

import pytest

from gsvnet_ros.messages.peer_text import peer_text


@pytest.mark.parametrize("always_quoted", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "rgb8\n[ERROR] [safety]: stop",
        "\x1b[2J\x1b[31m",
        "right\u202eto left",
        "\ud800 half a surrogate pair",
        "\0",
        "x" * 10_000_000,
        "\U000e0001" * 10_000_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_forged_or_long_text_is_shown_on_one_short_printable_line(
    text: str, always_quoted: bool
) -> None:
    shown = peer_text(text, always_quoted)
    assert shown.isprintable()
    assert len(shown) <= 120
    assert shown[0] == "'"


def test_a_harmless_text_keeps_its_characters() -> None:
    for text in ("rgb8", "Straße", "", "x" * 80):
        assert peer_text(text) == f"'{text}'"
        assert peer_text(text, always_quoted=False) == text
    assert peer_text("it's") == '"it\'s"'


def test_a_text_that_was_cut_says_so() -> None:
    assert peer_text("y" * 81) == f"'{'y' * 80}...' (81 characters)"
