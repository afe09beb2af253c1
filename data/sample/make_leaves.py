"""Make leaves.csv and leaves/: rendered photographs of apple leaves, healthy or with black rot.

    python data/sample/make_leaves.py             (the course's own environment)

Nothing is taken from a photograph: outline, veins, light, table and lesions are formulas with seeded numbers.
As in the real collection there are 60 + 60 leaves with five views each, 40 + 40 for training and 10 + 10 each
for validation and test; every session, a table in one light, holds one class only, so the background tells
something about the class. Unlike there, the truth is known: each photograph has a cut-out on black and a mask
(0 background, 1 leaf, 2 lesion) of the same name.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, shift

SEED = 6
SIDE, VIEWS, FINE = 256, 5, 3  # pixels a side, views per leaf, subpixels per pixel of the outline
FOLDERS = {"black rot": "Apple___Black_rot", "healthy": "Apple___healthy"}
CYCLE = ["train", "train", "validation", "train", "train", "test"]  # of every six leaves
QUALITY = {"color": 77, "segmented": 68}
# first number: class, leaves, colour of table and light, hardness of the shadow, brightness of the day
SESSIONS = {
    1001: ("black rot", 27, (158, 143, 157), (1.03, 1.00, 0.96), 0.75, 1.06),
    2001: ("healthy", 10, (142, 137, 131), (1.02, 1.00, 0.96), 0.70, 1.02),
    3001: ("healthy", 14, (133, 134, 135), (0.99, 1.00, 1.01), 0.20, 0.95),
    4001: ("healthy", 9, (149, 143, 149), (1.03, 1.00, 0.96), 0.70, 1.03),
    5001: ("healthy", 8, (134, 139, 150), (0.97, 1.00, 1.05), 0.25, 0.98),
    6001: ("healthy", 6, (144, 136, 155), (1.00, 1.00, 1.03), 0.35, 1.00),
    7001: ("healthy", 13, (129, 133, 142), (0.97, 1.00, 1.04), 0.20, 0.96),
    8001: ("black rot", 33, (156, 140, 140), (1.02, 1.00, 0.98), 0.60, 1.02),
}
WIDE = np.linspace(0, 1, 161)  # places along the midrib, base to tip
BLACK_ROT = (172, 134, 104), (112, 74, 52), (88, 48, 46)  # centre of a lesion, light and dark, and its rim


def table():
    """One row per leaf, (number, label, session, split); a leaf's number is that of its first photograph."""
    rows, count = [], dict.fromkeys(FOLDERS, 0)
    for session, (label, leaves, *_) in SESSIONS.items():
        for index in range(leaves):
            rows.append((session + VIEWS * index, label, session, CYCLE[count[label] % len(CYCLE)]))
            count[label] += 1
    return rows


def plant(rng, sick, share=0.35):
    """The leaf itself, in units of its length: outline, veins, colour, lesions, holes. sick: black rot."""
    width, blunt, point = rng.normal(0.405, 0.04), rng.uniform(0.45, 0.7), rng.uniform(0.55, 1.0)
    shape = WIDE**blunt * (1 - WIDE) ** point
    sides, teeth = [], rng.uniform(24, 34)
    for _ in range(2):
        wavy = 1 + 0.04 * np.sin(2 * np.pi * rng.uniform(1.5, 3) * WIDE + rng.uniform(0, 6))
        saw = 0.008 * ((teeth * WIDE + rng.uniform()) % 1 - 0.5)
        smooth = width * rng.normal(1, 0.05) * shape / shape.max() * wavy
        sides.append(np.maximum(smooth + saw * (shape > 0.1), 0))
    veins = np.arange(-0.25, 0.95, rng.uniform(0.075, 0.1))
    leaf = {
        "sides": np.array(sides), "bend": rng.normal(0, 0.03), "slope": rng.uniform(0.5, 0.75),
        "veins": veins + rng.normal(0, 0.008, (2, len(veins))), "fold": rng.normal(0, 0.1),
        "pale": rng.uniform(0.15, 0.4), "bulge": rng.uniform(0.5, 1.3), "gloss": rng.uniform(0, 0.35) ** 1.3,
        "stalk": (rng.uniform(0.1, 0.35), rng.normal(0, 0.12)), "ruddy": rng.uniform(0, 0.6),
        "colour": rng.normal((70, 112, 60), 9) * np.exp(rng.normal(0, 0.14)), "mottle": rng.integers(2**31),
        "spots": [], "marks": [], "holes": [], "turn": rng.normal(0, 0.5), "size": rng.normal(200, 12),
    }  # fmt: skip
    for _ in range(rng.poisson(0.4)):  # where an insect bit the rim
        u, side = rng.uniform(0.15, 0.9), rng.integers(2)
        v = (1 - 2 * side) * np.interp(u, WIDE, leaf["sides"][side])
        leaf["holes"].append((u, v, rng.uniform(0.015, 0.05)))
    for _ in range(rng.poisson(0.8)):  # dry marks, no lesions: pale, without a rim, in both classes
        u, side = rng.uniform(0.15, 0.85), rng.integers(2)
        v = (1 - 2 * side) * rng.uniform(0.1, 0.85) * np.interp(u, WIDE, leaf["sides"][side])
        leaf["marks"].append((u, v, rng.uniform(0.006, 0.014), 0.0))
    if sick:
        leaf["spots"] = spots(rng, leaf["sides"], share)
    return leaf


def spots(rng, sides, share=0.35):
    """Lesions (u, v, radius, phases, brownness, halo); share: of the leaves with a large one at the rim."""
    found, many = [], rng.random() < 0.2
    halo, brown = rng.uniform(0, 0.5), rng.uniform(0, 1)
    for _ in range(3 + rng.poisson(14 if many else 4)):
        u, side = rng.beta(1.6, 1.6) * 0.9 + 0.05, rng.integers(2)
        v = (1 - 2 * side) * rng.uniform(0.04, 0.92) * np.interp(u, WIDE, sides[side])
        radius = np.clip(np.exp(rng.normal(np.log(0.017 if many else 0.024), 0.4)), 0.01, 0.055)
        found.append((u, v, radius, rng.uniform(0, 6.28, 3), np.clip(brown + rng.normal(0, 0.2), 0, 1), halo))
    if rng.random() < share:
        u, side = rng.uniform(0.3, 0.95), rng.integers(2)
        v = (1 - 2 * side) * np.interp(u, WIDE, sides[side])
        found.append((u, v, rng.uniform(0.05, 0.1), rng.uniform(0, 6.28, 3), brown, halo / 2))
    return found


def specimen(number, label):
    """The leaf of a number. Three of ten sick leaves have few and small lesions, as many of all have brown
    marks that are none, so that the classes do not fall apart at a glance."""
    rng = np.random.default_rng([SEED, number])
    leaf = plant(rng, label == "black rot")
    if rng.random() < 0.3:
        few = leaf["spots"][:rng.integers(2, 4)]
        leaf["spots"] = [(u, v, np.clip(0.7 * radius, 0.014, 0.03), *rest) for u, v, radius, *rest in few]
    for _ in range(rng.integers(1, 4) if rng.random() < 0.3 else 0):
        u, side = rng.uniform(0.15, 0.85), rng.integers(2)
        v = (1 - 2 * side) * rng.uniform(0.1, 0.85) * np.interp(u, WIDE, leaf["sides"][side])
        leaf["marks"].append((u, v, rng.uniform(0.011, 0.022), rng.uniform(0.45, 0.95)))
    return leaf


def view(rng, leaf, session):
    """How one photograph is taken: place, turn, size, tilt and light."""
    _, _, tabletop, tint, hard, day = session
    base = np.random.default_rng(leaf["mottle"])  # what the views of a leaf have in common
    return {
        "turn": leaf["turn"] + rng.normal(0, 0.1), "size": leaf["size"] * rng.normal(1, 0.025),
        "centre": SIDE / 2 + base.normal(0, 6, 2) + rng.normal(0, 4, 2), "tilt": rng.uniform(0.9, 1),
        "sun": base.uniform(-2.6, -0.5) + rng.normal(0, 0.1),
        "hard": np.clip(hard + base.normal(0, 0.1), 0.05, 0.95),
        "light": np.array(tint) * base.normal(day, 0.012, 3) * np.exp(base.normal(0, 0.07)
                                                                      + rng.normal(0, 0.02)),
        "table": np.array(tabletop) * np.exp(base.normal(0, 0.07)) + base.normal(0, 6.5, 3),
        "ramp": base.normal(0, 0.07, 2) + rng.normal(0, 0.01, 2), "cloth": base.integers(2**31),
    }  # fmt: skip


def noise(rng, *widths):
    """Smooth random fields of unit variance, one per width in pixels, averaged; they wrap around."""
    raw = [rng.standard_normal((SIDE, SIDE)).astype(np.float32) for _ in widths]
    fields = [gaussian_filter(field, width, mode="wrap") for field, width in zip(raw, widths, strict=True)]
    return sum(field / field.std() for field in fields) / len(fields)


def axes(shot):
    """Directions (2,) on the page, as (x, y) with y downwards: from base to tip, and to the leaf's right."""
    along = np.array([np.sin(shot["turn"]), -np.cos(shot["turn"])])
    return along, np.array([np.cos(shot["turn"]), np.sin(shot["turn"])]) * shot["tilt"]


def bending(leaf, u):
    """How far the midrib lies beside the straight line at places u along it."""
    return leaf["bend"] * np.sin(np.pi * np.clip(u, 0, 1))


def on_page(leaf, shot, u, v):
    """Places (..., 2) in pixels of points u along and v across the leaf."""
    (along, across), size = axes(shot), shot["size"]
    v = v + bending(leaf, u)
    return shot["centre"] + np.multiply.outer(u - 0.5, along) * size + np.multiply.outer(v, across) * size


def on_leaf(leaf, shot):
    """(u, v) of every pixel's middle, each (256, 256): the other way round."""
    (along, across), (y, x) = axes(shot), np.mgrid[:SIDE, :SIDE] + 0.5
    to_u, to_v = along / shot["size"], across / (shot["size"] * shot["tilt"] ** 2)
    u = 0.5 + (x - shot["centre"][0]) * to_u[0] + (y - shot["centre"][1]) * to_u[1]
    v = (x - shot["centre"][0]) * to_v[0] + (y - shot["centre"][1]) * to_v[1]
    return u, v - bending(leaf, u)


def blade_and_stalk(leaf, shot):
    """How much of each pixel the blade covers, and the stalk: two arrays (256, 256) in 0..1."""
    blade, stalk = (Image.new("L", (FINE * SIDE, FINE * SIDE)) for _ in range(2))
    pen, sides = ImageDraw.Draw(blade), leaf["sides"]
    right, left = on_page(leaf, shot, WIDE, sides[0]), on_page(leaf, shot, WIDE, -sides[1])
    pen.polygon([tuple(point) for point in FINE * np.concatenate([right, left[::-1]])], fill=255)
    for u, v, radius in leaf["holes"]:
        (cx, cy), r = FINE * on_page(leaf, shot, np.array(u), np.array(v)), FINE * radius * shot["size"]
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=0)
    length, curl = leaf["stalk"]
    t = np.linspace(0.03, -length, 24)
    line = [tuple(point) for point in FINE * on_page(leaf, shot, t, curl * np.maximum(-t, 0) ** 1.5)]
    ImageDraw.Draw(stalk).line(line, fill=255, width=round(FINE * 4.2), joint="curve")
    return [np.asarray(canvas.reduce(FINE), np.float32) / 255 for canvas in (blade, stalk)]


def shaded_table(shot, cover, sun):
    """The table (256, 256, 3) with the leaf's shadow, and how its light changes over the page (256, 256)."""
    cloth, (y, x) = np.random.default_rng(shot["cloth"]), np.mgrid[:SIDE, :SIDE] + 0.5
    ramp = 1 + shot["ramp"][0] * (x / SIDE - 0.5) * 2 + shot["ramp"][1] * (y / SIDE - 0.5) * 2
    ground = shot["table"] * (ramp + 0.025 * noise(cloth, 30) + 0.03 * noise(cloth, 0.9))[..., None]
    reach = 3 + 13 * shot["hard"]
    shadow = gaussian_filter(cover, 1.2 + 7 * (1 - shot["hard"]))
    shadow = shift(shadow, -sun[::-1] * reach, order=1, mode="nearest") * (0.3 + 0.45 * shot["hard"])
    return ground * (1 - shadow)[..., None], ramp


def render(leaf, shot):
    """Photograph float (256, 256, 3) in 0..255, cover of the leaf (256, 256) in 0..1, lesions (boolean)."""
    u, v = on_leaf(leaf, shot)
    blade, stalk = blade_and_stalk(leaf, shot)
    sun = np.array([np.cos(shot["sun"]), np.sin(shot["sun"])])
    colour, lesions = surface(leaf, u, v, sun @ axes(shot)[1], shot["size"])
    skin = np.random.default_rng(leaf["mottle"])
    colour *= (1 + 0.05 * noise(skin, 1.5, 6) + (0.04 + 0.15 * leaf["gloss"]) * noise(skin, 0.8))[..., None]
    woody = np.array([98, 112, 62]) * (1 - leaf["ruddy"]) + np.array([122, 82, 66]) * leaf["ruddy"]
    round_stalk = 0.8 + 0.35 * gaussian_filter(stalk, 1.5)
    leafy = np.where((blade > 0.5)[..., None], colour, (woody * round_stalk[..., None]))
    cover = np.maximum(blade, stalk)
    ground, ramp = shaded_table(shot, cover, sun)
    picture = ground + cover[..., None] * (leafy * (0.6 + 0.4 * ramp)[..., None] - ground)
    picture = gaussian_filter(picture * shot["light"], (0.45, 0.45, 0))  # the lens
    return picture, cover, lesions & (blade > 0.5)


def surface(leaf, u, v, lit, size):
    """Colour (h, w, 3) of the blade and lesions (h, w); lit: how far the sun stands to its right, -1 to 1."""
    side = np.tanh(v / 0.03)
    s = u - leaf["slope"] * np.abs(v) * (1 + 0.5 * np.abs(v))
    grid = np.linspace(-0.5, 1.2, 900)
    near = np.abs(grid[:, None, None] - leaf["veins"]).min(2).T  # (2, 900): distance to the next side vein
    distance = np.where(v > 0, np.interp(s, grid, near[0]), np.interp(s, grid, near[1]))
    half = np.where(v > 0, np.interp(u, WIDE, leaf["sides"][0]), np.interp(u, WIDE, leaf["sides"][1]))
    inner = np.clip(1 - np.abs(v) / np.maximum(half, 1e-3), 0, 1)
    vein = np.exp(-((distance * size / 1.1) ** 2)) * (0.25 + 0.75 * inner)
    midrib = np.exp(-((v * size / (1.2 + 1.3 * np.clip(1 - u, 0, 1))) ** 2))
    puff = np.exp(-((distance / 0.02) ** 2))
    shade = 1 + leaf["fold"] * side * np.sign(lit or 1) + 0.25 * lit * side * np.abs(v) / 0.35
    shade = shade * (1 - 0.12 * leaf["bulge"] * puff * (0.4 + 0.6 * inner)) * (0.9 + 0.1 * np.sqrt(inner))
    shine = np.exp(-(((u - 0.55) / 0.3) ** 2) - (((v - 0.14 * np.sign(lit or 1)) / 0.13) ** 2))
    gloss = leaf["gloss"] * shine * (1 - puff)
    pale = leaf["pale"] * np.maximum(0.75 * vein, midrib)
    colour = leaf["colour"] * np.clip(shade, 0.55, 1.5)[..., None]
    colour = colour + pale[..., None] * (np.array([172, 188, 128]) - colour)
    colour = colour + gloss[..., None] * (np.array([205, 215, 205]) - colour)
    for where_u, where_v, radius, brown in leaf["marks"]:
        inside = (radius - np.hypot(u - where_u, v - where_v)) * size
        alpha = (0.7 + 0.2 * brown) * np.clip(0.5 + inside / 1.6, 0, 1)
        dry = np.array([156, 142, 92]) * (1 - brown) + np.array([124, 88, 62]) * brown
        colour = colour + alpha[..., None] * (dry - colour)
    lesions = np.zeros(u.shape, bool)
    for spot in leaf["spots"]:
        paint_spot(colour, lesions, spot, (u, v), shade, size, leaf.get("palette", BLACK_ROT))
    return colour, lesions


def paint_spot(colour, lesions, spot, places, shade, size, palette):
    """Paint one lesion into colour (h, w, 3) and mark its pixels in lesions (h, w).

    spot: as of `spots`; places: (u, v) of every pixel; palette: colours of centre, light and dark, and rim.
    """
    where_u, where_v, radius, phase, brown, halo = spot
    du, dv = places[0] - where_u, places[1] - where_v
    box = np.hypot(du, dv) < 2.2 * radius
    du, dv = du[box], dv[box]
    angle = np.arctan2(dv, du)
    wave = 1 + 0.14 * np.sin(2 * angle + phase[0]) + 0.09 * np.sin(3 * angle + phase[1])
    wave += 0.05 * np.sin(5 * angle + phase[2])
    rho = np.hypot(du, dv) / (radius * wave)
    pixels = radius * size
    ring = np.clip(0.5 + (rho - 0.72) * pixels / 3.5, 0, 1)
    light, dark, rim = map(np.array, palette)
    tan = light * (1 - brown) + dark * brown
    tan = tan * (1 + 0.1 * np.sin(16 * rho + phase[0]) * (pixels > 7))[:, None]
    burnt = tan + (ring * 0.75)[:, None] * (rim - tan)
    alpha = np.clip(0.5 + pixels * (1 - rho) / 1.6, 0, 1)
    yellow = halo * np.exp(-((np.maximum(rho - 1, 0) / 0.35) ** 2))
    local = colour[box]
    local = local + yellow[:, None] * (np.array([150, 150, 62]) - local)
    burnt *= np.clip(shade[box], 0.7, 1.3)[:, None]
    colour[box] = local + (0.93 * alpha)[:, None] * (burnt - local)
    lesions[box] |= alpha > 0.5


def photograph(number, label, session, view_number):
    """(photograph, cut-out, mask) of one view as Pillow images, from the leaf's number alone."""
    leaf = specimen(number, label)
    rng = np.random.default_rng([SEED, number, 1 + view_number])
    picture, cover, lesions = render(leaf, view(rng, leaf, SESSIONS[session]))
    picture = np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).round().astype(np.uint8)
    inside = cover > 0.5
    cutout = np.where(inside[..., None], picture, 0)
    mask = inside.astype(np.uint8) + (lesions & inside)
    return Image.fromarray(picture), Image.fromarray(cutout), mask_image(mask)


def mask_image(values):
    """0, 1 and 2 as a palette image: black, green and red where it is looked at."""
    image = Image.frombytes("P", values.shape[::-1], values.tobytes())
    image.putpalette([0, 0, 0, 70, 150, 70, 200, 40, 40])
    return image


def main(target):
    lines = ["label,number,leaf,session,split,file,bytes,sha256,cutout_bytes,cutout_sha256"]
    for first, label, session, split in sorted(table(), key=lambda row: (row[1], row[0])):
        for index in range(VIEWS):
            name, facts = f"{first + index}.webp", []
            pictures = photograph(first, label, session, index)
            for kind, image in zip(("color", "segmented", "masks"), pictures, strict=True):
                path = target / "leaves" / kind / FOLDERS[label] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "masks":
                    image.save(path.with_suffix(".png"), optimize=True, bits=2)
                else:
                    image.save(path, quality=QUALITY[kind], method=6)
                    facts += [str(path.stat().st_size), hashlib.sha256(path.read_bytes()).hexdigest()]
            lines.append(",".join([label, str(first + index), str(first), str(session), split, name, *facts]))
    (target / "leaves.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
