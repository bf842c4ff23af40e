# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The parameter table and what is made of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL
from gsvnet_ros.node.parameters import (
    PAGE,
    SPEC_BY_NAME,
    SPECS,
    Settings,
    make_settings,
    markdown_table,
    setting_values,
)

ROOT = Path(__file__).parent.parent


def test_documentation_shows_this_table() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text()
    assert page == f"{PAGE}\n{markdown_table()}\n", (
        "run python -m gsvnet_ros.node.parameters > docs/parameters.md"
    )


def test_every_parameter_is_described_with_range_or_choices() -> None:
    for spec in SPECS:
        descriptor = spec.descriptor()
        assert descriptor.description.startswith(spec.description)
        if isinstance(spec.default, (int, float)) and not isinstance(spec.default, bool):
            limits = [*descriptor.integer_range, *descriptor.floating_point_range]
            assert [(limit.from_value, limit.to_value) for limit in limits] == [
                (spec.low, spec.high)
            ]


def test_defaults_pass_their_own_checks() -> None:
    settings = make_settings({spec.name: spec.default for spec in SPECS})
    assert settings == Settings()
    assert settings.keyframe_interval == DEFAULT_KEYFRAME_INTERVAL


def test_values_and_settings_are_inverse() -> None:
    settings = make_settings({"keyframe.interval": 9, "cameras": ["left", "right"]})
    assert make_settings(setting_values(settings)) == settings


def test_integer_serves_as_double() -> None:
    value = make_settings({"overlay.alpha": 1}).overlay_alpha
    assert value == 1.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("keyframe.interval", 0, "from 1 to 1000, got 0"),
        ("keyframe.interval", 2.0, "expected integer, got 2.0"),
        ("keyframe.interval", True, "expected integer, got True"),
        ("keyframe.interval", "5", "expected integer, got '5'"),
        ("overlay.alpha", 1.01, "from 0 to 1, got 1.01"),
        ("overlay.alpha", math.nan, "from 0 to 1, got nan"),
        ("overlay.alpha", None, "expected double, got None"),
        ("overlay.alpha", False, "expected double, got False"),
        ("model.input_scale", 0.09, "expected 0 or a value from 0.1 to 2, got 0.09"),
        ("model.input_scale", 2.1, "from 0 to 2, got 2.1"),
        ("image_transport", "theora", "expected one of raw, compressed, got 'theora'"),
        ("cameras", ["front", "front"], "expected every name once"),
        ("cameras", ["front camera"], "letters, digits and single underscores"),
        ("cameras", "front", "expected a list of strings"),
        ("classes.merge", ["no colon"], "expected a group of the form"),
    ],
)
def test_wrong_value_is_refused_with_its_reason(name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        make_settings({name: value})
    assert why in str(caught.value)


def test_input_scale_is_the_weights_own_or_one_that_they_can_be_given() -> None:
    for value in (0, 0.1, 2):
        assert make_settings({"model.input_scale": value}).model_input_scale == value


def test_all_reasons_are_named() -> None:
    with pytest.raises(ValueError, match=r"keyframe\.interval.*; overlay\.alpha"):
        make_settings({"keyframe.interval": -1, "overlay.alpha": 7.0})


def test_shipped_parameter_file_names_parameters_that_exist() -> None:
    lines = (ROOT / "config" / "segmentation.yaml").read_text().splitlines()
    # The examples are comments: with them uncommented it must be right too.
    text = "\n".join(line.replace("    # ", "    ", 1) for line in lines)
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    flat: dict[str, object] = {}
    for name, value in given.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    assert set(flat) <= set(SPEC_BY_NAME)
    assert len(flat) > 5
    make_settings(flat)
