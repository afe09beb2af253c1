"""helpers.images: own photographs upright and in RGB, folders as people have them, the same picture twice."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from helpers import images


def photograph(seed=0, size=(96, 64)):
    """A smooth picture with a bright upper left corner, so that turning it shows."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 200, (4, 6, 3), dtype=np.uint8))
    pixels = np.array(small.resize(size, Image.BICUBIC))
    pixels[:16, :30] = 250
    return Image.fromarray(pixels)


TURNS = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
         6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_every_exif_orientation_is_read_upright(tmp_path, orientation):
    upright, exif = photograph(), Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(TURNS[orientation]) if orientation in TURNS else upright
    stored.save(tmp_path / "a.jpg", quality=98, exif=exif)
    found = images.read_image(tmp_path / "a.jpg", 32).float()
    expected = torch.from_numpy(np.array(upright.resize((32, 32), Image.BILINEAR))).permute(2, 0, 1).float()
    assert (found - expected).abs().mean() < 4


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_modes_with_one_translation_are_converted_and_said(tmp_path, mode):
    ending = "jpg" if mode == "L" else "png"
    image = photograph().convert(mode)
    image.save(tmp_path / f"a.{ending}", **({"quality": 98} if ending == "jpg" else {}))
    with pytest.warns(UserWarning, match=f"images of mode '{mode}' are converted to RGB"):
        found = images.read_image(tmp_path / f"a.{ending}", 64)
    with Image.open(tmp_path / f"a.{ending}") as stored:
        expected = np.array(stored.convert("RGB").resize((64, 64), Image.BILINEAR))
    np.testing.assert_array_equal(found.permute(1, 2, 0), expected)


def test_a_transparent_palette_is_refused(tmp_path):
    photograph().convert("P").save(tmp_path / "a.png", transparency=0)
    with pytest.raises(ValueError, match="has mode 'P'; allowed is 'RGB'.*put it on a background"):
        images.read_image(tmp_path / "a.png")


def own_folders(root):
    for name, seeds in (("healthy", (0, 1, 2)), ("sick", (3, 4))):
        (root / name).mkdir(parents=True)
        for seed in seeds:
            photograph(seed).save(root / name / f"{seed}.JPG", quality=95)
    return root


def test_hidden_folders_and_files_of_other_programs_are_no_photographs(tmp_path, recwarn, monkeypatch):
    root = own_folders(tmp_path / "own")
    for name in (".ipynb_checkpoints", "__MACOSX", ".git"):
        (root / name).mkdir()
        photograph().save(root / name / "0.jpg")
    (root / "sick" / "._3.JPG").write_bytes(b"resource fork")
    (root / "sick" / "Thumbs.db").write_bytes(b"cache")
    (root / "readme.txt").write_text("")
    paths, names = images.class_folders(root)
    assert list(names) == ["healthy"] * 3 + ["sick"] * 2
    assert not recwarn
    monkeypatch.chdir(tmp_path)
    assert len(images.class_folders("own")[0]) == 5


def test_photographs_that_pillow_does_not_read_are_counted_and_named(tmp_path):
    root = own_folders(tmp_path / "own")
    for number in range(4):
        (root / "sick" / f"IMG_{number}.HEIC").write_bytes(b"")
    with pytest.warns(UserWarning, match="has 4 .heic that cannot be read and are left out; save them"):
        assert len(images.class_folders(root)[0]) == 5
    (root / "late").mkdir()
    (root / "late" / "IMG_9.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no photograph in \['late'\] \(but 5 .heic that cannot be read"):
        images.class_folders(root)


def test_a_file_is_no_folder_of_classes(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="^root: '.*a.jpg' is no folder; allowed is one that holds"):
        images.class_folders(tmp_path / "a.jpg")


def test_the_same_picture_twice_is_found_in_another_size_brightness_and_compression(tmp_path):
    pictures = [photograph(seed) for seed in range(12)]
    pictures.append(ImageOps.autocontrast(pictures[3].resize((300, 200))).point(lambda v: 0.8 * v))
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number:02}.jpg", quality=40)
    raw = images.load_images(sorted(tmp_path.iterdir()), 64)
    assert images.near_duplicates(raw).tolist() == [[3, 12]]
    split = np.array(["train"] * 12 + ["test"])
    assert images.near_duplicates(raw, split).tolist() == [[3, 12]]
    assert images.near_duplicates(raw, np.repeat("train", 13)).tolist() == []
    with pytest.raises(ValueError, match=r"^groups: shape \(2,\) is not allowed; give \(13,\)"):
        images.near_duplicates(raw, ["a", "b"])


def test_the_same_pictures_are_found_in_batches_and_one_by_one():
    """Against NumPy's correlation of means over squares; more pictures than are compared at once."""
    small = np.random.default_rng(0).integers(0, 200, (21, 3, 16, 16), dtype=np.uint8)
    small[[17, 20]] = small[[2, 9]] + 30
    grey = small.mean(1).reshape(21, -1)
    expected = np.argwhere(np.triu(np.corrcoef(grey) > 0.99, 1)).tolist()
    large = small.repeat(3, axis=2).repeat(3, axis=3)
    assert images.near_duplicates(large).tolist() == expected == [[2, 17], [9, 20]]


def test_pictures_without_any_structure_are_the_same_where_their_grey_is():
    grey = torch.tensor([255, 255, 0, 20]).view(4, 1, 1, 1).expand(4, 3, 32, 32)
    other = torch.from_numpy(np.array(photograph().resize((32, 32)))).permute(2, 0, 1)
    raw = torch.cat([grey.to(torch.uint8), other[None]])
    assert images.near_duplicates(raw, ["a", "b", "b", "a", "a"]).tolist() == [[0, 1]]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


LONG_TEXT = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 2, 0, 0, 0))
             + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(3_000_000))))


@pytest.mark.parametrize(("content", "says"), [
    (b"\0\0\0\x18ftypheic" + bytes(200), "is HEIC; save it as .jpg"),
    (b"<!DOCTYPE html><html>", "holds a web page, not data"),
    (b"", "is empty"),
    (b"\xff\xd8\xff\xe0 cut", r"does not decode \("),
    (LONG_TEXT, "does not decode .Decompressed data too large"),
])
def test_what_is_called_jpg_and_is_not_is_named(tmp_path, content, says):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=f"^image: '.*a.jpg' {says}"):
        images.read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_of_several_frames_the_first_is_taken_and_said(tmp_path, ending):
    photograph(0).save(tmp_path / f"a.{ending}", save_all=True, append_images=[photograph(1)])
    with pytest.warns(UserWarning, match="of images with several frames the first is taken"):
        images.read_image(tmp_path / f"a.{ending}")


def test_folders_that_are_laid_out_otherwise(tmp_path):
    root = own_folders(tmp_path / "own")
    with pytest.raises(ValueError, match=r"no photograph in \['own'\] \(but folders such as 'healthy': give"):
        images.class_folders(tmp_path)
    photograph(9).save(root / "stray.png")
    with pytest.warns(UserWarning, match="has 1 pictures beside the class folders, which are left out"):
        assert len(images.class_folders(root)[0]) == 5
    with pytest.raises(ValueError, match=r"0 class folders \[\] \(but 3 pictures beside the class folders"):
        images.class_folders(root / "healthy")
    (root / "Sick ").mkdir()
    photograph(9).save(root / "Sick " / "0.gif")
    with pytest.raises(ValueError, match=r"classes \['Sick ', 'sick'\] that differ in capitals or spaces"):
        images.class_folders(root)


@pytest.mark.parametrize("error", [ValueError("a\nb"), TypeError(), struct.error("c"), MemoryError()])
def test_whatever_pillow_raises_is_one_line_with_the_file(tmp_path, monkeypatch, error):
    def fail(_):
        raise error

    photograph().save(tmp_path / "a.jpg")
    monkeypatch.setattr(images.ImageOps, "exif_transpose", fail)
    with pytest.raises(ValueError, match=r"^image: '.*a.jpg' does not decode \([\w ]+\); allowed are"):
        images.read_image(tmp_path / "a.jpg")


def test_a_transparent_colour_of_rgb_is_refused_where_a_pixel_has_it(tmp_path):
    photograph().save(tmp_path / "a.png", transparency=(250, 250, 250))
    with pytest.raises(ValueError, match="has mode 'RGB with a transparent colour'; .* put it on a back"):
        images.read_image(tmp_path / "a.png")
    photograph().save(tmp_path / "b.png", transparency=(1, 255, 1))
    photograph().save(tmp_path / "c.png")
    assert torch.equal(images.read_image(tmp_path / "b.png"), images.read_image(tmp_path / "c.png"))


def test_what_is_no_file_of_a_picture(tmp_path):
    root = own_folders(tmp_path / "own")
    (root / "sick" / "empty.jpg").mkdir()
    with pytest.raises(ValueError, match="^image: '.*empty.jpg' is a folder; give a file"):
        images.read_image(root / "sick" / "empty.jpg")
    (root / "sick" / "link.jpg").symlink_to("/nowhere.jpg")
    for name in ("a.ORF", "b.jxl", "notes.txt", "photo", "b.jpg_large"):
        (root / "sick" / name).write_bytes(b"1")
    photograph(8).save(root / "sick" / "x.jpe", "JPEG")
    with pytest.warns(UserWarning, match="own. has") as said:
        paths, _ = images.class_folders(root)
    assert [path.name for path in paths[3:]] == ["3.JPG", "4.JPG", "x.jpe"]
    notes = " ".join(str(note.message) for note in said)
    assert "has 1 .orf, 1 .jxl that cannot be read and are left out; save them as .jpg" in notes
    assert "has 1 .jpg_large, 1 without ending that are taken for no pictures and left out" in notes
    assert "has links that lead nowhere, such as 'link.jpg' (1), left out" in notes


def test_pictures_in_folders_below_a_class_are_refused(tmp_path):
    root = own_folders(tmp_path / "own")
    for folder in (".hidden", "notes", "more/most"):
        (root / "sick" / folder).mkdir(parents=True)
    photograph(9).save(root / "sick" / ".hidden" / "0.jpg")
    (root / "sick" / "notes" / "a.txt").write_text("")
    assert len(images.class_folders(root)[0]) == 5
    photograph(9).save(root / "sick" / "more" / "most" / "0.jpg")
    with pytest.raises(ValueError, match="has pictures in 1 folders below classes, such as 'sick/more'; put"):
        images.class_folders(root)


def test_one_path_no_path_and_other_sizes_are_refused(tmp_path):
    photograph().save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        with pytest.raises(ValueError, match="^paths: '.*a.png' is a single path; give a list"):
            images.load_images(path)
    with pytest.raises(ValueError, match="^paths: an empty list is not allowed"):
        images.load_images([])
    for size in (0, 10.5, "9"):
        with pytest.raises(ValueError, match=f"^size: {size!r} is not allowed; give a whole number"):
            images.read_image(tmp_path / "a.png", size)
    for name in ("batch", "threads"):
        for count in (0, -1, 1.5):
            with pytest.raises(ValueError, match=f"^{name}: {count} is not allowed; give a whole"):
                list(images.image_batches([tmp_path / "a.png"], **{name: count}))
    raw = images.load_images([tmp_path / "a.png"] * 2, 32)
    assert images.near_duplicates(raw.numpy()).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"^images: shape \(3, 32, 32\) is not allowed; give \(n, 3"):
        images.near_duplicates(raw[0])
    with pytest.raises(ValueError, match=r"^groups: 1 are missing, the first at \[1\]"):
        images.near_duplicates(raw, ["a", None])
