# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Conditions that come and go, told when they begin and when they end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Debounce:
    """A condition that is looked at again and again.

    Attributes:
        begins_after: looks in a row at which it holds, before it counts as begun.
        ends_after: looks in a row at which it does not, before it counts as over.
        is_on: whether it lasts.
    """

    begins_after: int
    ends_after: int
    is_on: bool = False
    _against: int = 0

    def changes(self, holds: bool) -> bool:
        """Return whether it begins or ends with this look."""
        self._against = self._against + 1 if holds != self.is_on else 0
        if self._against < (self.ends_after if self.is_on else self.begins_after):
            return False
        self.is_on, self._against = holds, 0
        return True
