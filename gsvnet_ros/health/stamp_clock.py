# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Whether the stamps of a camera and the clock of the node tell the same time."""

from __future__ import annotations

from dataclasses import dataclass

AHEAD_S = 1.0
"""A stamp may be ahead of the clock by this, in s: clocks of two machines, ticks of /clock."""

FRESH_S = 60.0
"""No camera takes this long, in s, to deliver a frame that does not first come in time."""

MAX_LATE_S = 3600.0
"""A frame that is older than this when it comes, in s, is not late: its clock is another one."""

_YEAR_S = 365.25 * 86400
_EPOCH_YEARS = 10
"""Stamps of the first years after 1970 count from the boot of a machine, or are simulated."""


@dataclass(frozen=True)
class ClockMismatch:
    """A frame whose stamp and the node's clock are not of one time.

    Attributes:
        stamp_ns: header stamp of the frame, ns.
        clock_ns: the node's clock when the frame came, ns.
        is_simulated: whether the node's clock follows /clock (`use_sim_time`).
    """

    stamp_ns: int
    clock_ns: int
    is_simulated: bool

    def describe(self) -> str:
        """Return in words what does not fit, with both values."""
        clock = "the simulated clock" if self.is_simulated else "the system clock"
        return (
            "stamps and clock are not of one time: the stamp "
            f"{seconds_text(self.stamp_ns)} came when {clock} was at {seconds_text(self.clock_ns)}"
        )

    def cure(self) -> str:
        """Return what to do about it."""
        stamp_years = 1e-9 * self.stamp_ns / _YEAR_S
        if self.is_simulated and self.clock_ns == 0:
            return "start the simulation that publishes /clock, or set use_sim_time to false"
        if self.stamp_ns == 0:
            return "let the camera driver stamp its images"
        if self.is_simulated:
            return "set use_sim_time alike for the camera driver and this node"
        if stamp_years < _EPOCH_YEARS:
            return (
                "set use_sim_time to true if a simulation or a recording publishes /clock, else "
                "let the camera driver stamp with the system time"
            )
        return (
            "synchronise the clocks of the camera and this machine; of a recording, play it with "
            "--clock and set use_sim_time to true"
        )


class StampClock:
    """Compares the stamps of one camera with the node's clock.

    Frames are noted in the executor's thread, ages are asked for in the inference thread.
    """

    def __init__(self) -> None:
        self._mismatch: ClockMismatch | None = None
        self._has_been_fresh = False

    @property
    def mismatch(self) -> ClockMismatch | None:
        """The newest frame, if its stamp and the clock were not of one time; else None."""
        return self._mismatch

    def received(self, stamp_ns: int, clock_ns: int, is_simulated: bool) -> None:
        """Note a frame at the moment it came, before it waits for anything in this node.

        Args:
            stamp_ns: header stamp of the frame, ns.
            clock_ns: the node's clock, ns.
            is_simulated: whether that clock follows /clock.
        """
        age_s = 1e-9 * (clock_ns - stamp_ns)
        is_of_one_time = stamp_ns > 0 and clock_ns > 0 and age_s >= -AHEAD_S
        self._has_been_fresh |= is_of_one_time and age_s <= FRESH_S
        # What never came in time is not late: it is stamped by another clock, or a recording.
        is_of_one_time &= age_s <= (MAX_LATE_S if self._has_been_fresh else FRESH_S)
        self._mismatch = None if is_of_one_time else ClockMismatch(stamp_ns, clock_ns, is_simulated)

    def age_s(self, stamp_ns: int, clock_ns: int) -> float | None:
        """Return how long ago a frame was taken, in s; None where stamps and clock do not fit.

        Args:
            stamp_ns: header stamp of the frame, ns.
            clock_ns: the node's clock now, ns.
        """
        return None if self._mismatch else 1e-9 * (clock_ns - stamp_ns)


def seconds_text(nanoseconds: int) -> str:
    """Return a time in s with three digits after the point."""
    return f"{1e-9 * nanoseconds:.3f} s"
