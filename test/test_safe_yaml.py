# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""YAML of anyone's: plain data comes back, what would cost much is refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsvnet_lab.data.safe_yaml import MAX_YAML_BYTES, load_yaml
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.recipe import read_recipe

BOMB = "\n".join(
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)),
    ]
)


def test_plain_data(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: [1, 2.5, x, null, true]\nb:\n  c: {d: -3}\n  e:\n  - f\n  - g: h\n")
    expected = {"a": [1, 2.5, "x", None, True], "b": {"c": {"d": -3}, "e": ["f", {"g": "h"}]}}
    assert load_yaml(path) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "found an alias; write the values out"),
        ("&a {a: *a}", "found an alias"),
        ("[" * 20_000, "more than 20 levels"),
        ("{" * 20_000, "more than 20 levels"),
        ("- " * 10_000, "more than 20 levels"),
        ("".join(f"{' ' * i}a:\n" for i in range(200)), "more than 20 levels"),
        ("#" * (MAX_YAML_BYTES + 1), f"at most {MAX_YAML_BYTES} bytes"),
        ("a: 1" + ":59" * 10_000, "a number of more than 64 bits"),
        ("a: " + "9" * 30_000, "expected YAML"),
        ("!" + "a" * 30_000 + " b", "could not determine a constructor"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: 2001-99-99", "month must be"),
        ("? [a]\n: b", "unhashable key"),
        ("a: 1" + ":59" * 300 + ".5", "too large"),
        ("2001-01-01: b", "a key that is no text"),
        ("a: \x1b[31m", "special characters"),
        ('a: "\\e[31m\\n" b', "expected YAML"),
        ("a: [", "expected YAML"),
    ],
    ids=range(18),
)
def test_what_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(content)
    for read in (load_yaml, lambda path: read_recipe(path, KeyframeRecipe)):
        with pytest.raises(ValueError, match=message) as error:
            read(path)
        text = str(error.value)
        assert len(text) < 400
        assert text.isprintable()


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(ValueError, match="expected YAML"):
        load_yaml(path)
    with pytest.raises(ValueError, match="found none"):
        load_yaml(tmp_path / "missing.yaml")
