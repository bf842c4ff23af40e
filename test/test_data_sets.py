# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Data sets as people have them: labels of every kind, and what would train silently wrong."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.data.cityscapes import open_cityscapes
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels

Labels = NDArray[np.uint8]

IDS: Labels = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour_type: int, rows: bytes, *others: bytes
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(others) + data


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("colour_type", [0, 3])
def test_ids_of_every_depth(tmp_path: Path, depth: int, colour_type: int) -> None:
    ids = (IDS % min(4, 1 << depth)).astype(np.uint8)
    bits = np.unpackbits(ids[..., None], axis=-1)[..., 8 - depth :]
    packed = np.packbits(bits.reshape(4, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    palette = chunk(b"PLTE", bytes(range(90, 102))) + chunk(b"tRNS", b"\0\1\2\3")
    path = tmp_path / "labels.png"
    path.write_bytes(png(6, 4, depth, colour_type, rows, palette * (colour_type == 3)))
    np.testing.assert_array_equal(read_labels(path), ids)


def test_palette_of_voc(tmp_path: Path) -> None:
    """255, the border in Pascal VOC, is a place in the palette like others."""
    ids = IDS.copy()
    ids[0, 0] = 255
    image = Image.fromarray(ids, "P")
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    path = tmp_path / "labels.png"
    image.save(path)
    np.testing.assert_array_equal(read_labels(path), ids)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("RGB", "three colour channels; replace each colour by the id"),
        ("RGBA", "colours and alpha"),
        ("LA", "grey and alpha"),
        ("I;16", "at most 8 bits per pixel, got 16"),
    ],
)
def test_labels_of_more_channels_or_bits(tmp_path: Path, mode: str, message: str) -> None:
    path = tmp_path / "labels.png"
    Image.new(mode, (6, 4)).save(path)
    with pytest.raises(ValueError, match=f"labels.png: expected .*{message}"):
        read_labels(path)


def encoded(suffix: str, image: Labels) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        encoded(".jpg", IDS),
        encoded(".png", IDS)[:-20],
        encoded(".png", IDS)[:-1],
        encoded(".png", IDS).replace(b"IDAT", b"IDAX"),
        png(6, 4, 8, 3, bytes(28), struct.pack(">I", 600 << 20) + b"PLTE"),
        png(6, 4, 8, 0, bytes(3)),
        png(0, 4, 8, 0, b""),
        png(6, 4, 3, 0, bytes(28)),
        png(6, 4, 8, 9, bytes(28)),
        png(30_000, 30_000, 8, 0, bytes(28)),
        png(8000, 8000, 8, 0, bytes(28)),
        png(1 << 31, 1 << 31, 8, 3, bytes(28)),
    ],
    ids=range(14),
)
def test_what_is_no_label_png(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels\.png: expected"):
        read_labels(path)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, read_labels):
        for path in (tmp_path / "pipe.png", Path("/dev/zero")):
            with pytest.raises(ValueError, match="expected a regular file"):
                read(path)


def test_size_is_looked_at_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png(40_000, 30_000, 8, 2, bytes(100)))
    with pytest.raises(ValueError, match="of at most 67108864 pixels, got 40000x30000"):
        read_image(path)
    path.write_bytes(png(8000, 8000, 8, 2, bytes(100)))
    with pytest.raises(ValueError, match="bytes, which cannot hold 8000x8000 pixels"):
        read_image(path)


def test_chunks_larger_than_the_file(tmp_path: Path) -> None:
    """OpenCV took 600 MB for these hundred bytes."""
    path = tmp_path / "image.png"
    path.write_bytes(png(6, 4, 8, 2, bytes(76), struct.pack(">I", 600 << 20) + b"tEXt"))
    with pytest.raises(ValueError, match=r"image\.png: expected a whole PNG"):
        read_image(path)


def test_large_and_empty_labels(tmp_path: Path) -> None:
    """As small as a PNG of so many pixels can be."""
    path = tmp_path / "labels.png"
    path.write_bytes(png(8192, 8192, 8, 0, bytes(8192 * 8193)))
    assert path.stat().st_size < 70_000
    assert read_labels(path).shape == (8192, 8192)


def write(folder: Path, name: str, image: bytes | Labels, labels: Labels) -> None:
    for kind in ("images", "labels"):
        (folder / "train" / kind).mkdir(parents=True, exist_ok=True)
    content = image if isinstance(image, bytes) else encoded(".png", image)
    suffix = ".jpg" if content.startswith(b"\xff\xd8") else ".png"
    (folder / "train" / "images" / f"{name}{suffix}").write_bytes(content)
    (folder / "train" / "labels" / f"{name}.png").write_bytes(encoded(".png", labels))


def turned_jpeg(height: int, width: int) -> bytes:
    """A JPEG of a camera held upright: stored lying, with a note to turn it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (height, width)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_images_turned_by_their_metadata(tmp_path: Path) -> None:
    write(tmp_path, "turned", turned_jpeg(8, 6), np.zeros((8, 6), np.uint8))
    image, labels = open_split(tmp_path, "train", 11)[0]
    assert image.shape[:2] == labels.shape == (8, 6)


def test_labels_that_were_not_turned(tmp_path: Path) -> None:
    write(tmp_path, "turned", turned_jpeg(8, 6), np.zeros((6, 8), np.uint8))
    message = r"got 8x6 in .*turned\.png and 6x8 in .*turned\.jpg .*EXIF orientation"
    with pytest.raises(ValueError, match=message):
        open_split(tmp_path, "train", 11)[0]


def test_labels_of_another_size(tmp_path: Path) -> None:
    write(tmp_path, "0001", np.zeros((8, 6, 3), np.uint8), np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"got 3x4 in .*0001\.png and 6x8 in .*0001\.png"):
        open_split(tmp_path, "train", 11)[0]


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    write(tmp_path, "0001", np.zeros((8, 6, 3), np.uint8), np.zeros((8, 6), np.uint8))
    (tmp_path / "train" / "images" / "._0001.png").write_bytes(b"of macOS")
    (tmp_path / "train" / "images" / "old.png").mkdir()
    assert [path.name for path in open_split(tmp_path, "train", 11).image_files] == ["0001.png"]


def street(void: int) -> Labels:
    """Labels with about the shares that CamVid's classes have, and some void below."""
    rows = np.repeat([0, 1, 3, 4, 5, 8], [17, 24, 33, 5, 11, 7])
    labels = np.tile(rows[:, None], (1, 100)).astype(np.uint8)
    labels[:2, :60], labels[30:32, :60], labels[40:42, :60] = 2, 6, 7
    labels[60:62, :60], labels[70:72, :30] = 9, 10
    labels[-3:] = void
    return labels


@pytest.mark.parametrize("void", [11, 255])
def test_void_after_the_classes_or_255(
    tmp_path: Path, void: int, recwarn: pytest.WarningsRecorder
) -> None:
    write(tmp_path, "0001", np.zeros((97, 100, 3), np.uint8), street(void))
    labels = open_split(tmp_path, "train", 11)[0][1]
    np.testing.assert_array_equal(labels, street(255))
    assert not recwarn.list


def test_classes_counted_from_one(tmp_path: Path) -> None:
    """They trained silently: every class as the one after it, the last one as void."""
    shifted = street(255) + np.uint8(1)  # 255 becomes 0
    assert set(np.unique(shifted)) == set(range(12))
    for index in range(50):
        write(tmp_path, f"{index}", np.zeros((97, 100, 3), np.uint8), shifted)
    with pytest.raises(ValueError, match="0 seems to be void and the classes are 1 to 11; sub"):
        open_split(tmp_path, "train", 11)


def test_void_that_may_be_a_class(tmp_path: Path) -> None:
    for index in range(3):
        labels = np.full((8, 6), index + 1, np.uint8)
        write(tmp_path, f"{index}", np.zeros((8, 6, 3), np.uint8), labels)
    with pytest.warns(RuntimeWarning, match="id 3 is taken for void, as 255 does not occur"):
        open_split(tmp_path, "train", 3)


def test_ids_without_a_class(tmp_path: Path) -> None:
    write(tmp_path, "0001", np.zeros((4, 6, 3), np.uint8), IDS + np.uint8(20))
    with pytest.raises(ValueError, match=r"0001\.png: expected class ids 0 to 10.* got \[20, 21,"):
        open_split(tmp_path, "train", 11)[0]


def cityscapes(folder: Path, size: tuple[int, int], labels: Labels, kind: str) -> None:
    for where in ("leftImg8bit_sequence", "gtFine"):
        (folder / where / "val" / "city").mkdir(parents=True)
    for frame, shape in ((18, (4, 6)), (19, size)):
        name = folder / "leftImg8bit_sequence" / "val" / "city" / f"city_0_{frame:06d}"
        image = encoded(".png", np.zeros((*shape, 3), np.uint8))
        name.with_name(f"{name.name}_leftImg8bit.png").write_bytes(image)
    name = folder / "gtFine" / "val" / "city" / f"city_0_000019_gtFine_{kind}.png"
    name.write_bytes(encoded(".png", labels))


def test_cityscapes_of_several_sizes(tmp_path: Path) -> None:
    cityscapes(tmp_path, (8, 6), np.zeros((8, 6), np.uint8), "labelIds")
    with pytest.raises(ValueError, match=r"expected frames of one size, got 6x4 in .* and 6x8"):
        open_cityscapes(tmp_path, "val", 2)[0].read()


def test_cityscapes_labels_of_another_size(tmp_path: Path) -> None:
    cityscapes(tmp_path, (4, 6), np.zeros((4, 5), np.uint8), "labelIds")
    with pytest.raises(ValueError, match="expected labels of their image's size, got 5x4"):
        open_cityscapes(tmp_path, "val", 2)[0].read()


def test_cityscapes_train_ids_without_a_class(tmp_path: Path) -> None:
    cityscapes(tmp_path, (4, 6), IDS + np.uint8(17), "labelTrainIds")
    with pytest.raises(ValueError, match=r"expected train ids 0 to 18 or 255 .* got \[19, 20\]"):
        open_cityscapes(tmp_path, "val", 2)[0].read()
