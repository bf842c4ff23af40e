# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Every parameter of the node in one table: its default, range, unit and meaning.

The descriptors, the checks, the typed `Settings` and the table in the documentation
(`python -m gsvnet_ros.node.parameters`) all come from the fields of `Settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from gsvnet_model.hardware.device import AUTO, PRECISIONS
from gsvnet_model.model_info import INPUT_SCALES
from gsvnet_model.outputs.consumer import MAX_OUTPUT_PX
from gsvnet_model.outputs.merge import parse_group
from gsvnet_model.outputs.overlay import DEFAULT_OVERLAY_ALPHA
from gsvnet_model.scheduling.adaptive import (
    DEFAULT_MAX_INTERVAL,
    DEFAULT_MIN_INTERVAL,
    DEFAULT_THRESHOLD,
)
from gsvnet_model.scheduling.budget import DEFAULT_TARGET_MS
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL, MAX_FRAMES_BEHIND
from gsvnet_model.stream.state import DEFAULT_TEMPORAL_BLENDING, MAX_TEMPORAL_BLENDING

Effect = Literal["live", "configure", "start"]

EFFECTS: Mapping[Effect, str] = {
    "live": "next frame",
    "configure": "next configure",
    "start": "read-only",
}


@dataclass(frozen=True)
class ParameterSpec:
    """What is fixed about one parameter.

    Attributes:
        name: dotted ROS name.
        default: the value where none is given; its type is the parameter's type.
        description: one sentence, with the unit in the text.
        effect: `live` from the next frame on, `configure` while unconfigured, `start` never.
        low: smallest number allowed.
        high: largest number allowed.
        choices: the texts allowed; empty where any is.
        is_path: whether the text is a path, of which `~` is the home folder.
    """

    name: str
    default: bool | int | float | str | tuple[str, ...]
    description: str
    effect: Effect
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    is_path: bool = False

    @property
    def type_name(self) -> str:
        """The type as the documentation calls it."""
        if isinstance(self.default, tuple):
            return "string[]"
        return {bool: "bool", int: "integer", float: "double", str: "string"}[type(self.default)]

    def descriptor(self) -> ParameterDescriptor:
        """Return the ROS descriptor."""
        descriptor = ParameterDescriptor(
            name=self.name,
            description=f"{self.description} Takes effect: {EFFECTS[self.effect]}.",
            read_only=self.effect == "start",
            additional_constraints=f"one of: {', '.join(self.choices)}" if self.choices else "",
        )
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int):
                limits = IntegerRange(from_value=int(self.low), to_value=int(self.high))
                descriptor.integer_range = [limits]
            else:
                floats = FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
                descriptor.floating_point_range = [floats]
        return descriptor

    def parse(self, value: object) -> Any:
        """Return the value as the parameter's own type.

        An integer serves as a double; an empty list or `[""]` is an empty string list
        (the command line cannot write the first).

        Raises:
            ValueError: for another type, a number out of range or an unknown choice.
        """
        if isinstance(self.default, tuple):
            if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
                raise ValueError(f"{self.name}: expected a list of strings, got {value!r}")
            return tuple(text for text in value if text)
        parsed: Any = value
        if isinstance(self.default, float) and type(value) is int:
            parsed = float(value)
        if type(parsed) is not type(self.default):
            raise ValueError(f"{self.name}: expected {self.type_name}, got {value!r}")
        if isinstance(parsed, (int, float)) and not self._has_in_range(parsed):
            raise ValueError(
                f"{self.name}: expected a value from {self.low:g} to {self.high:g}, got {value!r}"
            )
        if self.choices and parsed not in self.choices:
            raise ValueError(
                f"{self.name}: expected one of {', '.join(self.choices)}, got {value!r}"
            )
        return os.path.expanduser(str(parsed)) if self.is_path else parsed

    def _has_in_range(self, number: float) -> bool:
        # Written so that not-a-number lies outside.
        return self.low is None or self.high is None or self.low <= number <= self.high


def _parameter(
    name: str,
    default: bool | int | float | str | tuple[str, ...],
    description: str,
    effect: Effect = "live",
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    is_path: bool = False,
) -> Any:
    low, high = limits if limits else (None, None)
    spec = ParameterSpec(name, default, description, effect, low, high, choices, is_path)
    return field(default=default, metadata={"spec": spec})


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one moment; replaced whole when one changes."""

    autostart: bool = _parameter(
        "autostart",
        True,
        "Configure and activate at start; a lifecycle manager needs false.",
        "start",
    )
    cameras: tuple[str, ...] = _parameter(
        "cameras",
        (),
        "Camera names; NAME subscribes to NAME/image and publishes below ~/NAME/. "
        "Empty: one camera, image and ~/.",
        "configure",
    )
    image_transport: str = _parameter(
        "image_transport",
        "raw",
        "raw subscribes to image, compressed to image/compressed (JPEG or PNG), which follows a "
        "remapping of image unless it is remapped itself.",
        "configure",
        choices=("raw", "compressed"),
    )
    model_weights: str = _parameter(
        "model.weights",
        "",
        "Path of a safetensors checkpoint; ~ is the home folder. Empty: the weights in the "
        "package.",
        "configure",
        is_path=True,
    )
    model_device: str = _parameter(
        "model.device",
        AUTO,
        "Device of the networks: cpu, cuda, cuda:N, or auto (cuda where there is one).",
        "configure",
    )
    model_precision: str = _parameter(
        "model.precision",
        AUTO,
        "Number format of the networks; auto takes the fastest that the device computes well.",
        "configure",
        choices=PRECISIONS,
    )
    model_input_scale: float = _parameter(
        "model.input_scale",
        0.0,
        "Keyframe input pixels per image pixel and direction, 0.1 to 2: less is faster and "
        "coarser. 0 takes what the weights are meant for: of the shipped ones, the image's own, "
        "at most about 640x480 in all.",
        "configure",
        limits=(0.0, INPUT_SCALES[1]),
    )
    model_threads: int = _parameter(
        "model.threads",
        0,
        "Processor threads of the networks, in all; 0 takes one per core. Background keyframes "
        "take as many again, which give way. Where other programs keep cores busy, fewer are used.",
        "configure",
        limits=(0, 256),
    )
    keyframe_policy: str = _parameter(
        "keyframe.policy",
        "fixed",
        "fixed takes a keyframe every keyframe.interval frames, adaptive where propagated labels "
        "have lost enough, budget as many as keep the mean time per frame at keyframe.target_ms. "
        "A scene cut is a keyframe under each.",
        choices=("fixed", "adaptive", "budget"),
    )
    keyframe_mode: str = _parameter(
        "keyframe.mode",
        "blocking",
        "blocking labels keyframes in the stream, which waits for them; background labels them "
        "beside it: no frame waits, and their labels come some frames later. Waited for in both "
        "are first frames and cuts, which leave no labels to go on from, those after a delay (see "
        "frames.max_gap), and the keyframe in place of one that has not come within "
        f"{MAX_FRAMES_BEHIND} frames, or two intervals if that is more (timed_out).",
        choices=("blocking", "background"),
    )
    keyframe_interval: int = _parameter(
        "keyframe.interval",
        DEFAULT_KEYFRAME_INTERVAL,
        "With fixed: every n-th frame goes through the keyframe network, in frames; 1 makes all "
        "keyframes.",
        limits=(1, 1000),
    )
    keyframe_threshold: float = _parameter(
        "keyframe.threshold",
        DEFAULT_THRESHOLD,
        "With adaptive: percent of pixels that should agree with a keyframe's labels just before "
        "the next one, at ordinary speed; higher means more keyframes.",
        limits=(0.0, 100.0),
    )
    keyframe_min_interval: int = _parameter(
        "keyframe.min_interval",
        DEFAULT_MIN_INTERVAL,
        "With adaptive: frames from one keyframe to the next at least.",
        limits=(1, 1000),
    )
    keyframe_max_interval: int = _parameter(
        "keyframe.max_interval",
        DEFAULT_MAX_INTERVAL,
        "With adaptive: frames from one keyframe to the next at most.",
        limits=(1, 1000),
    )
    keyframe_target_ms: float = _parameter(
        "keyframe.target_ms",
        DEFAULT_TARGET_MS,
        "With budget: mean time of the networks per frame, in ms.",
        limits=(0.1, 100000.0),
    )
    keyframe_carry_over: float = _parameter(
        "keyframe.carry_over",
        DEFAULT_TEMPORAL_BLENDING,
        "Share of a keyframe's labels that is taken from the frames before, where the image "
        "matches: more flickers less; 0 leaves the keyframe network's own. Without effect where "
        "every frame is a keyframe.",
        limits=(0.0, MAX_TEMPORAL_BLENDING),
    )
    keyframe_stagger: bool = _parameter(
        "keyframe.stagger",
        True,
        "Several cameras, with fixed: spread their keyframes over the interval, so that the load "
        "is even.",
    )
    overlay_alpha: float = _parameter(
        "overlay.alpha",
        DEFAULT_OVERLAY_ALPHA,
        "Share of the class colour in ~/overlay, 0 (image) to 1 (colours).",
        limits=(0.0, 1.0),
    )
    overlay_keyframes: bool = _parameter(
        "overlay.keyframes",
        True,
        "Mark the frames whose labels are new from the keyframe network with a white disc in the "
        "upper right corner of ~/overlay.",
    )
    overlay_legend: bool = _parameter(
        "overlay.legend",
        False,
        "Write the class names and the age of the keyframe onto ~/overlay and ~/color.",
    )
    frames_policy: str = _parameter(
        "frames.policy",
        "latest",
        "latest serves the newest frame and drops those it overtakes; all serves every frame "
        "in order (recordings).",
        "configure",
        choices=("latest", "all"),
    )
    frames_queue: int = _parameter(
        "frames.queue",
        100,
        "With frames.policy all: frames of one camera that may wait; more are dropped as busy.",
        "configure",
        limits=(1, 10000),
    )
    frames_max_age: float = _parameter(
        "frames.max_age",
        0.0,
        "Frames whose stamp is older than this are dropped as too_old, in s; 0 drops none. None is "
        "dropped while stamps and clock are not of one time (see the log).",
        limits=(0.0, 3600.0),
    )
    frames_max_gap: float = _parameter(
        "frames.max_gap",
        1.0,
        "A longer gap between two stamps forgets the temporal state, in s; 0 allows any gap. Where "
        "the camera went on and the node was busy for as long, the next frame is a keyframe "
        "(delay): with blocking keyframes that take longer than this, every frame; with background "
        "ones it is waited for too, unless it was such a wait that took so long.",
        limits=(0.0, 3600.0),
    )
    output_width: int = _parameter(
        "output.width",
        0,
        "Columns of all output images, in pixels; 0 follows from output.height, both 0 keep "
        "the size of the image.",
        limits=(0, MAX_OUTPUT_PX),
    )
    output_height: int = _parameter(
        "output.height",
        0,
        "Rows of all output images, in pixels; 0 follows from output.width.",
        limits=(0, MAX_OUTPUT_PX),
    )
    output_min_confidence: float = _parameter(
        "output.min_confidence",
        0.0,
        "Pixels of a lower probability are published as unlabeled (255), 0 to 1.",
        limits=(0.0, 1.0),
    )
    classes_merge: tuple[str, ...] = _parameter(
        "classes.merge",
        (),
        "Groups 'new name: class, class' that replace the model's classes, numbered in this "
        "order; '*' takes all unnamed classes, classes in no group become 255. Empty: the "
        "model's classes.",
    )
    diagnostics_latency_budget_ms: float = _parameter(
        "diagnostics.latency_budget_ms",
        100.0,
        "Latency from stamp to publication above which /diagnostics warns, in ms.",
        limits=(1.0, 100000.0),
    )
    diagnostics_stale_after: float = _parameter(
        "diagnostics.stale_after",
        1.0,
        "A camera without a frame for this long is reported as stale, in s.",
        limits=(0.1, 3600.0),
    )


SPECS: tuple[ParameterSpec, ...] = tuple(f.metadata["spec"] for f in fields(Settings))
SPEC_BY_NAME: Mapping[str, ParameterSpec] = {spec.name: spec for spec in SPECS}
_FIELD_BY_NAME: Mapping[str, str] = {f.metadata["spec"].name: f.name for f in fields(Settings)}


def make_settings(values: Mapping[str, object]) -> Settings:
    """Check a whole set of values and return them typed; what is missing has its default.

    Args:
        values: by dotted name.

    Raises:
        ValueError: names every parameter that is wrong, with the reason.
    """
    parsed: dict[str, Any] = {}
    reasons: list[str] = []
    for name, value in values.items():
        try:
            parsed[_FIELD_BY_NAME[name]] = SPEC_BY_NAME[name].parse(value)
        except ValueError as error:
            reasons.append(str(error))
    if reasons:
        raise ValueError("; ".join(reasons))
    settings = Settings(**parsed)
    _check_together(settings)
    return settings


def setting_values(settings: Settings) -> dict[str, Any]:
    """Return the values by dotted name."""
    return {name: getattr(settings, attribute) for name, attribute in _FIELD_BY_NAME.items()}


def _check_together(settings: Settings) -> None:
    for group in settings.classes_merge:
        try:
            parse_group(group)
        except ValueError as error:
            raise ValueError(f"classes.merge: {error}") from error
    low, high = INPUT_SCALES
    if 0.0 < settings.model_input_scale < low:
        raise ValueError(
            f"model.input_scale: expected 0 or a value from {low:g} to {high:g}, got "
            f"{settings.model_input_scale}"
        )
    if settings.keyframe_min_interval > settings.keyframe_max_interval:
        raise ValueError(
            "expected keyframe.min_interval up to keyframe.max_interval, got "
            f"{settings.keyframe_min_interval} and {settings.keyframe_max_interval}"
        )
    cameras = settings.cameras
    if len(set(cameras)) != len(cameras):
        raise ValueError(f"cameras: expected every name once, got {list(cameras)}")
    for camera in cameras:
        if not camera.isidentifier() or "__" in camera or not camera.isascii():
            raise ValueError(
                f"cameras: expected names of letters, digits and single underscores, got '{camera}'"
            )


def markdown_table() -> str:
    """Return the parameters as a Markdown table."""
    lines = [
        "| parameter | type | default | range | takes effect | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for spec in SPECS:
        allowed = ", ".join(f"`{choice}`" for choice in spec.choices)
        if spec.low is not None:
            allowed = f"{spec.low:g} to {spec.high:g}"
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        text = str(default).lower() if isinstance(default, bool) else default
        lines.append(
            f"| `{spec.name}` | {spec.type_name} | {f'`{text}`' if text != '' else 'empty'} "
            f"| {allowed} | {EFFECTS[spec.effect]} | {spec.description} |"
        )
    return "\n".join(lines)


PAGE = """\
# Parameters of the node `segmentation`

Written by `python -m gsvnet_ros.node.parameters > docs/parameters.md`; do not edit.

*next frame*: `ros2 param set` takes effect on the next frame. *next configure*: accepted
while the node is unconfigured, refused with the reason otherwise (`ros2 lifecycle set
/segmentation deactivate`, then `cleanup`). *read-only*: given at start. An integer is
accepted for a double; several parameters set together are checked as a whole (`ros2 param
load` sets them one by one, in the order of its file). Beside these the node writes
`classes.database` (names and colours of the published classes, JSON), and every image
subscription has its quality of service, given at start: `qos_overrides./image.subscription.POLICY`
for `reliability` (`best_effort`, `reliable`), `durability` (`volatile`, `transient_local`),
`history` and `depth`, with the resolved topic in the place of `/image`. With `frames.policy` at
`all` the name is `subscription_all`, and the depth is `frames.queue`. The defaults serve every
publisher, latched images included: the last image of a transient-local publisher that was there
before is fetched by itself.
"""


def main() -> None:
    """Print the parameter page of the documentation."""
    print(f"{PAGE}\n{markdown_table()}")


if __name__ == "__main__":
    main()
