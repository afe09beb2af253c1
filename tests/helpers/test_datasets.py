"""datasets and files: what is loaded, what is refused, and every way in which a download can fail."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from helpers import datasets, files

NAME = "wholesale/a file.bin"
GOOD = np.random.default_rng(0).bytes(300_000)

# First photographs of the black-rot leaves in the authors' own list (leaf_grouping in their repository).
AUTHORS = [
    2729, 2738, 2748, 2757, 2771, 2782, 2794, 2813, 2834, 2848, 2859, 2870, 2885, 2895, 2909, 2921,
    2932, 2942, 2957, 2969, 2977, 2987, 2997, 3009, 3017, 3027, 3036, 3047, 3062, 3075, 3086,
    8569, 8574, 8579, 8590, 8595, 8600, 8605, 8611, 8617, 8623, 8629, 8635, 8641, 8647, 8653,
    8659, 8665, 8671, 8677, 8683, 8690, 8697, 8703, 8709, 8714, 8720, 8726, 8731, 8738, 8744, 8750,
    8757, 8763, 8768, 8774, 8780, 8786, 8791, 8796, 8802, 8809, 8815,
]
AUTHORS_TWICE = {8635: 8623, 8641: 8629}  # they count these as photographs of the same two leaves


# --- the manifest and the registry: no data needed


@pytest.fixture(scope="module")
def manifest():
    return files.manifest()


def test_splits_are_as_large_as_promised(manifest):
    counts = pd.crosstab(manifest["label"], manifest["split"])
    assert counts.loc["black rot"].to_dict() == {"train": 200, "validation": 50, "test": 50, "unused": 321}
    assert counts.loc["healthy"].to_dict() == {"train": 200, "validation": 50, "test": 50, "unused": 1338}


def splits_per_leaf(frame, leaf):
    return frame[frame["split"] != "unused"].groupby(leaf)["split"].nunique()


def test_no_leaf_is_in_two_splits(manifest):
    assert splits_per_leaf(manifest, "leaf").max() == 1


def test_no_leaf_of_the_authors_grouping_is_in_two_splits(manifest):
    rot = manifest[manifest["label"] == "black rot"]
    starts = np.array(AUTHORS)[np.searchsorted(AUTHORS, rot["number"], side="right") - 1]
    rot = rot.assign(authors=[AUTHORS_TWICE.get(start, start) for start in starts])
    assert splits_per_leaf(rot, "authors").max() == 1


def test_healthy_blocks_of_different_splits_are_far_apart(manifest):
    used = manifest[(manifest["label"] == "healthy") & (manifest["split"] != "unused")].sort_values("number")
    step, change = used["number"].diff(), used["leaf"].ne(used["leaf"].shift())
    assert step[change].min() > 20  # a leaf was photographed about six times in a row
    assert used.groupby("leaf")["split"].nunique().max() == 1


def test_every_split_holds_photographs_of_the_large_sessions(manifest):
    used = manifest[manifest["split"] != "unused"]
    share = pd.crosstab(used["session"], used["split"], normalize="columns")
    large = manifest["session"].value_counts().loc[lambda n: n > 150].index
    assert (share.loc[large] > 0).all(axis=None)


def test_manifest_is_sorted_and_names_every_photograph_once(manifest):
    assert manifest[["label", "number"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not manifest[["color", "segmented"]].stack().duplicated().any()
    assert not manifest["sha256"].duplicated().any()


def test_registry_entries_are_complete(manifest):
    known = files.registry()
    assert len(known) == 3 + 2 * len(manifest)
    for file in known.values():
        assert len(file.sha256) == 64
        assert file.bytes > 1000
        assert file.address.startswith("http")
        assert " " not in file.address
    quoted = manifest["file"].iloc[0].replace(" ", "%20")
    assert known[manifest["color"].iloc[0]].address.endswith(f"/master/raw/color/Apple___Black_rot/{quoted}")


def test_manifest_follows_from_its_script(manifest):
    sys.path.insert(0, str(files.FOLDER))
    try:
        import make_manifest
    finally:
        sys.path.pop(0)
    again = make_manifest.assign(manifest[["label", "number"]].copy())
    pd.testing.assert_frame_equal(again[["leaf", "session", "split"]], manifest[["leaf", "session", "split"]])


# --- the real data


@pytest.fixture(scope="module")
def real():
    if os.environ.get("DATA") == "real":
        return
    missing = datasets.describe().query("data != 'VGG-16' and source not in ['cache', 'mirror']")
    if len(missing):
        pytest.skip(f"neither cache nor mirror has: {', '.join(missing['data'])}")


@pytest.mark.usefixtures("real")
class TestRealData:
    def test_wholesale_is_the_original(self):
        frame = datasets.load_wholesale()
        assert frame.attrs["source"] == "real"
        assert list(frame.columns) == ["Channel", "Region", *datasets.SPENDINGS]
        assert frame["Channel"].value_counts().to_dict() == {"Horeca": 298, "Retail": 142}
        assert frame["Region"].value_counts().to_dict() == {"Lisbon": 77, "Oporto": 47, "Other": 316}
        assert frame["Fresh"].mean() == pytest.approx(12000.30, abs=0.005)
        assert frame["Fresh"].std() == pytest.approx(12647.33, abs=0.005)
        assert frame.loc[338, "Grocery"] == 7021

    def test_qm7_has_its_shapes_units_and_folds(self):
        molecules = datasets.load_qm7()
        assert molecules.source == "real"
        assert molecules.coordinates.shape == (7165, 23, 3)
        assert molecules.charges.shape == (7165, 23)
        assert molecules.folds.shape == (5, 1433)
        assert set(np.unique(molecules.charges)) == {0, *datasets.ELEMENTS}
        assert molecules.energies.min() == pytest.approx(-2192, abs=0.01)
        assert molecules.energies.max() == pytest.approx(-404.88, abs=0.01)
        atoms = (molecules.charges > 0).sum(axis=1)
        assert (atoms.min(), atoms.max()) == (4, 23)
        assert not molecules.coordinates[molecules.charges == 0].any()

    @pytest.mark.parametrize("kind", ["color", "segmented"])
    def test_leaves_decode_and_match_their_label(self, kind):
        frame = datasets.load_leaves(kind)
        assert frame.attrs["source"] == "real"
        assert list(frame.columns) == ["path", "label", "leaf", "split", "session", "number"]
        assert len(frame) == 600
        for row in frame.iloc[::75].itertuples():
            assert files.LEAF_FOLDERS[row.label] in str(row.path)
            with Image.open(row.path) as image:
                assert (image.mode, image.size) == ("RGB", (256, 256))
                image.load()

    def test_photographs_and_cutouts_are_in_the_same_order(self):
        color, segmented = datasets.load_leaves("color"), datasets.load_leaves("segmented")
        pd.testing.assert_frame_equal(color.drop(columns="path"), segmented.drop(columns="path"))
        assert [p.stem + "_final_masked" for p in color["path"]] == [p.stem for p in segmented["path"]]

    def test_weights_are_found(self):
        assert datasets.network_weights("squeezenet1_1").stat().st_size == 3_002_560


@pytest.mark.parametrize("bad", [{"kind": "grey"}, {"splits": "train"}, {"splits": ["exam"]}, {"splits": []}])
def test_load_leaves_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        datasets.load_leaves(**bad)


def test_network_weights_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="'resnet' is not known; allowed are 'squeezenet1_1' and 'vgg16'"):
        datasets.network_weights("resnet")


# --- finding and downloading, against a server of our own


class Server(ThreadingHTTPServer):
    """Answers every request with the next of `answers` (the last one for ever): functions of the handler."""

    daemon_threads = True

    def __init__(self):
        self.answers, self.requests = [whole], []
        self.release, self.lock = threading.Event(), threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.lock:
            answer = self.server.answers[min(len(self.server.requests), len(self.server.answers) - 1)]
            self.server.requests.append(self.path)
        answer(self)

    def log_message(self, *_):
        pass


def reply(handler, body, announced=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler):
    reply(handler, GOOD)


def truncated(handler):
    reply(handler, GOOD[:1000], len(GOOD))


def short(handler):
    reply(handler, GOOD[:1000])


def wrong(handler):
    reply(handler, GOOD[::-1])


def longer(handler):
    reply(handler, GOOD + b"x")


def stalled(handler):
    reply(handler, GOOD[:1000], len(GOOD))
    handler.server.release.wait(20)


def silent(handler):
    handler.server.release.wait(20)


def status(code):
    return lambda handler: handler.send_error(code)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def place(tmp_path, monkeypatch, server):
    """An empty cache, an empty mirror, no sample, and NAME registered at the server's address."""
    for name, value in (("COURSE_DATA", "cache"), ("COURSE_MIRROR", "mirror")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("DATA", "auto")
    address = f"http://127.0.0.1:{server.server_port}/a%20file.bin"
    file = files.File(NAME, len(GOOD), hashlib.sha256(GOOD).hexdigest(), address)
    monkeypatch.setitem(files.registry(), NAME, file)
    monkeypatch.setattr(files, "FOLDER", tmp_path / "data")
    monkeypatch.setattr(files, "PAUSES", (0.01, 0.02))
    return tmp_path


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(files, "TIMEOUT", 0.5)


def put(folder, content, name=NAME):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_over(place):
    return [path.name for path in place.rglob("*.part")]


def failure(name=NAME):
    """The message of the FileNotFoundError that looking for a file ends in; it has one line."""
    with pytest.raises(FileNotFoundError) as caught:
        datasets.fetch(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_download_lands_in_the_cache_and_is_used_from_there(place, server):
    path = datasets.fetch(NAME)
    assert path == place / "cache" / NAME
    assert path.read_bytes() == GOOD
    assert datasets.fetch(NAME) == path
    assert len(server.requests) == 1
    assert not left_over(place)


def test_cache_comes_before_mirror_before_address(place, server):
    mirrored = put(place / "mirror", GOOD)
    assert datasets.fetch(NAME) == mirrored
    cached = put(place / "cache", GOOD)
    assert datasets.fetch(NAME) == cached
    assert not server.requests


def test_mirror_path_is_relative_to_the_repository(monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", "../elsewhere")
    assert files.mirror_folder() == files.ROOT.parent / "elsewhere"


@pytest.mark.parametrize(
    ("answer", "attempts", "says"),
    [
        (truncated, 3, "connection failed"),
        (short, 3, "1000 bytes instead of 300000"),
        (longer, 1, "300001 bytes instead of 300000"),
        (wrong, 1, "sha256 .* instead of"),
        (status(404), 1, "HTTP 404"),
        (status(403), 1, "HTTP 403"),
        (status(500), 3, "HTTP 500"),
        (status(429), 3, "HTTP 429"),
        (stalled, 3, "no byte for 0.5 s"),
        (silent, 3, "no byte for 0.5 s"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_failed_download_leaves_nothing_and_says_why(place, server, answer, attempts, says):
    server.answers = [answer]
    with pytest.raises(FileNotFoundError, match=says) as caught:
        datasets.fetch(NAME)
    message = str(caught.value)
    for part in (f"'{NAME}'", "cache: not there", "mirror: not there", "COURSE_MIRROR", "go online",
                 str(place / "cache" / NAME), f"127.0.0.1:{server.server_port}"):
        assert part in message
    assert "\n" not in message
    assert len(server.requests) == attempts
    assert not [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("first", [truncated, short, status(500), status(503), stalled, silent])
def test_second_attempt_recovers(place, server, first):
    server.answers = [first, whole]
    assert datasets.fetch(NAME).read_bytes() == GOOD
    assert len(server.requests) == 2
    assert not left_over(place)


def test_refused_connection_is_one_line(place, server, monkeypatch):
    file = files.registry()[NAME]
    monkeypatch.setitem(files.registry(), NAME, files.File(NAME, file.bytes, file.sha256, "http://127.0.0.1:9/x"))
    assert "connection failed (ConnectionError)" in failure()


@pytest.mark.parametrize("content", [b"", GOOD[:1000], GOOD[::-1]])
def test_corrupted_cache_file_is_replaced(place, server, content):
    path = put(place / "cache", content)
    assert datasets.fetch(NAME) == path
    assert path.read_bytes() == GOOD
    assert len(server.requests) == 1


def test_corrupted_cache_file_is_deleted_and_named_where_nothing_replaces_it(place, server):
    server.answers = [status(404)]
    path = put(place / "cache", GOOD[:5])
    assert "cache: 5 bytes instead of 300000 (deleted)" in failure()
    assert not path.exists()


def test_file_that_is_spoilt_after_it_was_found_good_is_noticed(place, server):
    datasets.fetch(NAME)
    path = datasets.fetch(NAME)
    path.write_bytes(GOOD[::-1])
    assert datasets.fetch(NAME).read_bytes() == GOOD
    assert len(server.requests) == 2


def test_corrupted_mirror_file_is_passed_over_and_stays(place, server):
    mirrored = put(place / "mirror", GOOD[::-1])
    assert datasets.fetch(NAME) == place / "cache" / NAME
    assert mirrored.read_bytes() == GOOD[::-1]
    (place / "cache" / NAME).unlink()
    server.answers = [status(404)]
    assert "mirror: sha256" in failure()
    assert mirrored.exists()


def test_cache_that_is_a_file_gives_a_clear_error(place):
    (place / "cache").write_text("in the way")
    message = failure()
    assert "cache: not there" in message
    assert "cannot be written" in message
    assert "set COURSE_DATA" in message


def test_read_only_cache_gives_a_clear_error_or_uses_the_mirror(place, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    put(place / "cache", b"spoilt")
    monkeypatch.setattr(files.pooch, "HTTPDownloader", lambda **_: refuse)
    monkeypatch.setattr(files.Path, "unlink", refuse)
    message = failure()
    assert "cannot be written, Read-only file system; set COURSE_DATA" in message
    assert "(deleted)" not in message
    mirrored = put(place / "mirror", GOOD)
    assert datasets.fetch(NAME) == mirrored


def test_full_disk_gives_a_clear_error_and_leaves_nothing(place, monkeypatch):
    def write(_, path, __):
        path.write_bytes(GOOD[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.pooch, "HTTPDownloader", lambda **_: write)
    assert "cannot be written, No space left on device; set COURSE_DATA" in failure()
    assert not [path for path in place.rglob("*") if path.is_file()]


def process(place, before="", **options):
    """Another Python that fetches NAME from the same place and prints whether it is right."""
    file = files.registry()[NAME]
    code = f"""{before}
from helpers import files
files.PAUSES = (0.01, 0.02)
files.registry()[{NAME!r}] = files.File({NAME!r}, {file.bytes}, {file.sha256!r}, {file.address!r})
try:
    print(len(files.locate([{NAME!r}])[0][0].read_bytes()))
except FileNotFoundError as error:
    print(error)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=files.ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def test_file_appears_under_its_name_only_by_renaming(place, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files.os, "replace", refuse)
    assert "cannot be written, Input/output error" in failure()
    assert not [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
def test_write_that_the_system_cuts_off_leaves_nothing(place):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    out, _ = process(place, limit).communicate(timeout=60)
    assert "cannot be written, File too large; set COURSE_DATA" in out
    assert not [path for path in place.rglob("*") if path.is_file()]


def test_killed_download_leaves_no_file_and_the_next_run_recovers(place, server):
    server.answers = [stalled, whole]
    running = process(place)
    deadline = time.monotonic() + 60
    while not left_over(place) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    running.communicate()
    assert left_over(place)
    assert not (place / "cache" / NAME).exists()
    for path in place.rglob("*.part"):
        os.utime(path, (0, 0))
    assert datasets.fetch(NAME).read_bytes() == GOOD
    assert not left_over(place)


def test_running_download_of_another_process_is_left_alone(place):
    other = put(place / "cache", b"half", NAME.replace("a file", ".b file.1234") + ".part")
    datasets.fetch(NAME)
    assert other.exists()


def test_two_processes_at_once_both_succeed(place, server):
    both = threading.Barrier(2)

    def together(handler):
        both.wait(60)
        whole(handler)

    server.answers = [together]
    runs = [process(place) for _ in range(2)]
    for run in runs:
        out, error = run.communicate(timeout=90)
        assert out.strip() == str(len(GOOD)), error
    assert len(server.requests) == 2
    assert (place / "cache" / NAME).read_bytes() == GOOD
    assert not left_over(place)


def register_many(monkeypatch, count):
    file = files.registry()[NAME]
    names = [f"leaves/{index}.bin" for index in range(count)]
    for name in names:
        monkeypatch.setitem(files.registry(), name, files.File(name, file.bytes, file.sha256, file.address))
    return names


def test_many_files_arrive_in_order_and_a_broken_run_goes_on_where_it_stopped(place, server, monkeypatch):
    names = register_many(monkeypatch, 20)
    server.answers = [whole] * 10 + [status(404)]
    with pytest.raises(FileNotFoundError, match=r"'leaves/\d+.bin' and up to 19 more cannot be had"):
        files.locate(names)
    arrived = len(list((place / "cache" / "leaves").iterdir()))
    assert arrived == 10
    assert len(server.requests) < 10 + 2 * files.THREADS
    server.answers, server.requests = [whole], []
    paths, source = files.locate(names)
    assert (paths, source) == ([place / "cache" / name for name in names], "real")
    assert len(server.requests) == 20 - arrived


def test_unknown_name_is_refused():
    with pytest.raises(KeyError, match="'wholesale.csv' is not registered"):
        datasets.fetch("wholesale.csv")


# --- DATA and the sample


def test_unknown_data_mode_is_refused(monkeypatch):
    monkeypatch.setenv("DATA", "fake")
    with pytest.raises(ValueError, match="DATA: 'fake' is not known; allowed are 'auto', 'real'"):
        datasets.load_wholesale()


def sample_of(place):
    return put(place / "data" / "sample", b"sample")


def test_sample_is_the_last_resort(place, server):
    stand_in = sample_of(place)
    assert files.locate([NAME]) == ([place / "cache" / NAME], "real")
    (place / "cache" / NAME).unlink()
    server.answers = [status(404)]
    assert files.locate([NAME]) == ([stand_in], "sample")


def test_real_forbids_the_sample(place, server, monkeypatch):
    sample_of(place)
    monkeypatch.setenv("DATA", "real")
    server.answers = [status(404)]
    assert "HTTP 404" in failure()


def test_sample_forbids_the_network_and_takes_nothing_else(place, server, monkeypatch):
    monkeypatch.setenv("DATA", "sample")
    put(place / "mirror", GOOD)
    assert "data/sample has nothing for" in failure()
    stand_in = sample_of(place)
    assert files.locate([NAME]) == ([stand_in], "sample")
    assert not server.requests


def test_a_network_falls_back_on_the_one_of_the_sample(place, server, monkeypatch):
    name, file = datasets.SQUEEZENET, files.registry()[NAME]
    monkeypatch.setitem(files.registry(), name, files.File(name, file.bytes, file.sha256, file.address))
    mirrored = put(place / "mirror", GOOD, name)
    ours = put(place / "data" / "sample", b"sample", datasets.RENDERED_SQUEEZENET)
    assert datasets.network_weights("squeezenet1_1") == mirrored
    monkeypatch.setenv("DATA", "sample")
    assert datasets.network_weights("squeezenet1_1") == ours
    with pytest.raises(FileNotFoundError, match="the sample has no weights of vgg16"):
        datasets.network_weights("vgg16")
    assert not server.requests


def test_falling_back_is_said_loudly(place, server, caplog, monkeypatch):
    sample_of(place)
    server.answers = [status(404)]
    files.locate([NAME])
    assert caplog.messages[0].startswith(f"SAMPLE, not the real data: data: '{NAME}' cannot be had")
    assert "HTTP 404" in caplog.messages[0]
    caplog.clear()
    monkeypatch.setenv("DATA", "sample")  # asked for: nothing to warn of
    files.locate([NAME])
    assert not caplog.messages


def test_one_missing_photograph_gives_the_whole_sample_never_a_mixture(place, server, monkeypatch):
    leaves = files.manifest(files.ROOT / "data").query("split == 'test'")
    file = files.registry()[NAME]
    for name in leaves["color"]:
        monkeypatch.setitem(files.registry(), name, files.File(name, file.bytes, file.sha256, file.address))
    for name in leaves["color"].iloc[:-1]:
        put(place / "mirror", GOOD, name)
    drawn = leaves.head(4).assign(file=[f"{n}.JPG" for n in range(4)])
    folder = place / "data" / "sample"
    folder.mkdir(parents=True)
    drawn.drop(columns=["color", "segmented"]).to_csv(folder / "leaves.csv", index=False)
    for name in files.manifest(folder)["color"]:
        put(folder, b"drawn", name)
    server.answers = [status(404)]
    monkeypatch.setattr(datasets.files, "manifest", lambda at=None, found=files.manifest: found(
        at or files.ROOT / "data"))
    frame = datasets.load_leaves(splits=["test"])
    assert frame.attrs["source"] == "sample"
    assert len(frame) == 4
    assert all(path.is_relative_to(folder) for path in frame["path"])


def test_describe_says_where_data_would_come_from_and_downloads_nothing(place, server, monkeypatch):
    monkeypatch.setattr(datasets, "_leaves", lambda splits: {
        key: pd.DataFrame({"color": [NAME], "segmented": [NAME]}) for key in ("real", "sample")})
    table = datasets.describe().set_index("data")
    assert set(table["source"]) == {"address"}
    put(place / "mirror", GOOD)
    assert datasets.describe().set_index("data").loc["leaves, photographs", "source"] == "mirror"
    bad = put(place / "cache", b"spoilt")
    table = datasets.describe().set_index("data")
    assert "cache of" in table.loc["leaves, photographs", "note"]
    assert bad.exists()
    monkeypatch.setenv("DATA", "sample")
    assert datasets.describe().set_index("data").loc["QM7", "source"] == "missing"
    assert not server.requests


def test_package_without_repository_keeps_its_cache_with_the_user(monkeypatch):
    monkeypatch.setattr(files, "CHECKOUT", False)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.delenv("COURSE_MIRROR", raising=False)
    assert files.cache_folder().name == "open-the-black-box"
    assert files.ROOT not in files.cache_folder().parents
    assert files.mirror_folder() is None


# --- tables of customers


def customers(**columns):
    codes = {"Channel": [1, 2, 1], "Region": [3, 1, 2]}
    return pd.DataFrame(codes | dict.fromkeys(datasets.SPENDINGS, 10.0)).assign(**columns)


def test_own_table_is_loaded_and_labelled(tmp_path):
    customers(Extra="x").to_csv(tmp_path / "own.csv", index=False)
    frame = datasets.load_wholesale(tmp_path / "own.csv")
    assert frame.attrs["source"] == "own"
    assert list(frame["Channel"]) == ["Horeca", "Retail", "Horeca"]
    assert list(frame["Region"]) == ["Other", "Lisbon", "Oporto"]
    frame.to_csv(tmp_path / "labelled.csv", index=False)
    pd.testing.assert_frame_equal(datasets.load_wholesale(tmp_path / "labelled.csv"), frame)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (customers().drop(columns="Grocery"), "column 'Grocery' is missing; needed are Channel, Region"),
        (customers().rename(columns={"Delicassen": "Delicatessen"}), r"\(renamed to 'Delicatessen'\?\)"),
        (customers().rename(columns={"Milk": "milk "}), r"'Milk' is missing \(renamed to 'milk '\?\)"),
        (customers(Milk=[1, np.nan, 2]), "Milk of row 1 is nan; allowed are finite numbers of at least 0"),
        (customers(Milk=pd.array([1, None, 2], dtype="Int64")), "Milk of row 1 is <NA>"),
        (customers(Frozen=[1, 2, -3]), "Frozen of row 2 is -3"),
        (customers(Fresh=[np.inf, 2, 3]), "Fresh of row 0 is inf"),
        (customers(Fresh=["1", "2 EUR", "3"]), "Fresh of row 1 is 2 EUR"),
        (customers(Fresh=["1", "2", "3"]), "Fresh of row 0 is 1; allowed are numbers, not text"),
        (customers(Channel=[1, 3, 2]), r"Channel of row 1 is 3; allowed are \[1, 2\] or \['Horeca'"),
        (customers(Region=["Lisbon", "Porto", "Other"]), "Region of row 1 is Porto"),
        (customers(Channel=[1, np.nan, 2]), "Channel of row 1 is nan"),
        (customers().iloc[:0], "0 rows; allowed is at least one customer"),
    ],
)
def test_check_wholesale_refuses(frame, says):
    with pytest.raises(ValueError, match=f"^mine: .*{says}") as caught:
        datasets.check_wholesale(frame, "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00junk", b'a,b\n1,2,3,4\n5,"6'])
def test_own_table_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(ValueError, match="own.csv") as caught:
        datasets.load_wholesale(tmp_path / "own.csv")
    assert "\n" not in str(caught.value)


# --- molecules: methane and water, in bohr and kcal/mol


def molecules(**changed):
    tetrahedron = 1.19 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    coordinates = np.zeros((2, 5, 3))
    coordinates[0, 1:] = tetrahedron
    coordinates[1, 1:3] = [[1.43, 1.11, 0], [-1.43, 1.11, 0]]
    charges = np.array([[6, 1, 1, 1, 1], [8, 1, 1, 0, 0]])
    return {"coordinates": coordinates, "charges": charges, "energies": np.array([-420.0, -232.0]),
            "folds": np.array([[0], [1]])} | changed


def at(name, index, value):
    array = molecules()[name].astype(float)
    array[index] = value
    return {name: array}


def test_check_molecules_takes_good_ones():
    datasets.check_molecules(**molecules())
    datasets.check_molecules(**molecules(energies=None, folds=None))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (at("charges", (1, 0), 9), r"charges: molecule 1 has 9.0; allowed are 0 \(no atom\), 1 \(H\)"),
        (at("charges", (1, 0), 6.5), "charges: molecule 1 has 6.5"),
        (at("charges", (1, 0), np.nan), "charges: molecule 1 has nan"),
        (at("charges", 1, 0), "charges: molecule 1 has 0.0; allowed are molecules of at least one atom"),
        ({"charges": np.array([6, 1, 1])}, r"charges: shape \(3,\); allowed is \(molecules, atoms\)"),
        ({"coordinates": np.zeros((2, 4, 3))}, r"coordinates: shape \(2, 4, 3\); allowed is \(2, 5, 3\)"),
        (at("coordinates", (0, 1, 2), np.nan), "coordinates: molecule 0 has nan; allowed are finite"),
        ({"coordinates": molecules()["coordinates"] * 0.529177}, "as in angstrom; allowed is bohr"),
        ({"energies": np.zeros(3)}, r"energies: shape \(3,\); allowed is \(2,\)"),
        (at("energies", 1, np.nan), "energies: molecule 1 has nan; allowed are atomization energies in"),
        (at("energies", 1, 232), "energies: molecule 1 has 232.0; allowed .* -200 to -15 for each atom"),
        ({"energies": -molecules()["energies"]}, "energies: molecule 0 has 420.0"),
        ({"energies": molecules()["energies"] * 4.184}, r"molecule 0 has -1757.* look like kJ/mol\)"),
        ({"energies": molecules()["energies"] / 23.06}, r"energies: molecule 0 has -18.2.* look like eV\)"),
        ({"energies": molecules()["energies"] / 627.5}, r"molecule 0 has -0.6.* look like Hartree\)"),
        ({"folds": np.array([[0], [0]])}, "folds: .* allowed are the numbers 0 to 1, each once"),
        ({"folds": np.array([[1], [2]])}, "folds: .* allowed are the numbers 0 to 1, each once"),
    ],
)
def test_check_molecules_refuses(changed, says):
    with pytest.raises(ValueError, match=says) as caught:
        datasets.check_molecules(**molecules(**changed))
    assert "\n" not in str(caught.value)


def qm7_file(path, **changed):
    arrays = {key: molecules(**changed)[name] for key, name in datasets.ARRAYS.items()}
    savemat(path, arrays | {"T": np.atleast_2d(arrays["T"]), "X": np.ones((2, 5, 5))})


def test_own_molecules_from_both_file_kinds(tmp_path):
    qm7_file(tmp_path / "own.mat")
    np.savez(tmp_path / "own.npz", **molecules())
    for name in ("own.mat", "own.npz"):
        loaded = datasets.load_qm7(tmp_path / name)
        assert loaded.source == "own"
        for array, expected in molecules().items():
            np.testing.assert_array_equal(getattr(loaded, array), expected)
        assert loaded.charges.dtype.kind == loaded.folds.dtype.kind == "i"


def test_own_molecules_with_a_missing_key_or_bad_charge_are_refused(tmp_path):
    savemat(tmp_path / "own.mat", {"R": 1, "Z": 1, "P": 1})
    with pytest.raises(ValueError, match="own.mat' has no key 'T'; needed are R, Z, T, P"):
        datasets.load_qm7(tmp_path / "own.mat")
    qm7_file(tmp_path / "own.mat", **at("charges", (1, 0), 17))
    with pytest.raises(ValueError, match="molecule 1 has 17"):
        datasets.load_qm7(tmp_path / "own.mat")


# --- the built package


def test_package_carries_registry_and_manifest(tmp_path):
    for name in ("registry.toml", "leaves.csv"):
        (tmp_path / "helpers" / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(files.FOLDER / name, tmp_path / "helpers" / "data" / name)
    for path in (files.ROOT / "helpers").glob("*.py"):
        shutil.copy(path, tmp_path / "helpers")
    code = "from helpers import files; print(files.CHECKOUT, len(files.registry()), files.FOLDER)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True,
                         text=True, check=True)
    assert run.stdout.split()[:2] == ["False", str(len(files.registry()))]
    assert run.stdout.split()[2].startswith(str(tmp_path))
