"""helpers.images: pictures of more than 8 bits a channel, and arrays that are no photographs."""

import struct
import zlib

import numpy as np
import pytest

from helpers import images

WIDE = (np.arange(32 * 32 * 3).reshape(32, 32, 3) * 20).astype(">u2")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour, channels):
    rows = b"".join(b"\0" + row[:, :1].repeat(channels, 1).tobytes() for row in WIDE)
    header = struct.pack(">IIBBBBB", 32, 32, 16, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def tiff(packed):
    """A TIFF of three channels of 16 bits, as it is or packed by zlib."""
    data = WIDE.astype("<u2").tobytes()
    data = zlib.compress(data) if packed else data
    end = 8 + 2 + 12 * 9 + 4  # where the three numbers of bits stand, and after them the pixels
    entries = [(256, 4, 1, 32), (257, 4, 1, 32), (258, 3, 3, end), (259, 4, 1, 8 if packed else 1),
               (262, 4, 1, 2), (273, 4, 1, end + 6), (277, 4, 1, 3), (278, 4, 1, 32), (279, 4, 1, len(data))]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, 9) + table + bytes(4) + struct.pack("<HHH", 16, 16, 16) + data


@pytest.mark.parametrize(("name", "content"), [
    ("rgb.png", png(2, 3)), ("rgba.png", png(6, 4)), ("la.png", png(4, 2)), ("plain.tif", tiff(False)),
    ("packed.tif", tiff(True)), ("16.ppm", b"P6\n32 32\n65535\n" + WIDE.tobytes()),
    ("10.ppm", b"P6\n32 32\n1023\n" + (WIDE % 1024).tobytes()),
])
def test_more_than_8_bits_a_channel_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    says = f"^image: '.*{name}' has mode 'RGBA? of 16 bits a channel'; allowed is 'RGB', .* bits: scale its"
    with pytest.raises(ValueError, match=says):
        images.read_image(tmp_path / name)


@pytest.mark.parametrize("path", [None, 5, ["a.jpg"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="^path: .* is no path; give a string or a pathlib.Path"):
        images.read_image(path)
    with pytest.raises(ValueError, match="^root: .* is no path; give a string or a pathlib.Path"):
        images.class_folders(path)


def test_8_bits_and_fewer_are_read(tmp_path):
    (tmp_path / "4.ppm").write_bytes(b"P6\n32 32\n15\n" + (WIDE % 16).astype(np.uint8).tobytes())
    found = images.read_image(tmp_path / "4.ppm", 32)
    np.testing.assert_array_equal(found.permute(1, 2, 0), WIDE % 16 * 17)


PICTURES = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize(("given", "says"), [
    ((PICTURES / 255,), "^images: type float64 is not allowed; give uint8, 0 to 255, as load_images does"),
    ((np.full(PICTURES.shape, np.nan, np.float32),), "^images: type float32 is not allowed"),
    ((PICTURES.transpose(0, 2, 3, 1),), r"^images: shape \(4, 32, 32, 3\) is not allowed; give \(n, 3, h"),
    ((PICTURES, None, 99), "^likeness: 99 is not allowed; give a correlation between 0 and 1"),
    ((PICTURES, None, "0.9"), "^likeness: '0.9' is not allowed"),
    ((PICTURES, ["a", "a", np.nan, "b"]), r"^groups: 1 are missing, the first at \[2\]"),
])
def test_near_duplicates_compares_photographs_alone(given, says):
    with pytest.raises(ValueError, match=says):
        images.near_duplicates(*given)
