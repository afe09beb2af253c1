"""Find, verify and download registered files: cache folder, mirror folder, official address, sample.

Which bytes are the right ones is said by data/registry.toml and data/leaves.csv; size and sha256 are checked
whenever a file is asked for. Environment: COURSE_MIRROR = mirror folder, relative to the repository
(../shared/data); COURSE_DATA = cache folder (data/raw, or the user's cache directory where `helpers` is
installed without the repository); COURSE_FEATURES = folder for computed features (features in the cache
folder). DATA is read by helpers.sources.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pooch

ROOT = Path(__file__).resolve().parents[1]
CHECKOUT = (ROOT / "pyproject.toml").is_file()
FOLDER = ROOT / "data" if CHECKOUT else Path(__file__).resolve().parent / "data"  # a built package carries it
LEAF_FOLDERS = {"black rot": "Apple___Black_rot", "healthy": "Apple___healthy"}
LEAF_ENDINGS = {"color": ".JPG", "segmented": "_final_masked.jpg"}
RENDERED_ENDINGS = {"color": ".webp", "segmented": ".webp", "masks": ".png"}  # of the sample's leaves

TIMEOUT = 20  # seconds without a byte
PAUSES = (1, 4)  # seconds before the second and the third attempt
THREADS = 6
LOG = logging.getLogger(__name__)
STALE = 3600  # seconds after which a partial download counts as left behind


@dataclass(frozen=True)
class File:
    """A registered file: name below the cache or mirror folder, size, sha256, official address."""

    name: str
    bytes: int
    sha256: str
    address: str


def cache_folder():
    """Folder that downloads go to: COURSE_DATA, else data/raw, else the user's cache directory."""
    default = ROOT / "data" / "raw" if CHECKOUT else pooch.os_cache("open-the-black-box")
    return Path(os.environ.get("COURSE_DATA") or default).expanduser().absolute()


def features_folder():
    """Folder that computed features are kept in: COURSE_FEATURES, else features in the cache folder."""
    given = os.environ.get("COURSE_FEATURES")
    return Path(given).expanduser().absolute() if given else cache_folder() / "features"


def keep_newest(folder, pattern, most):
    """Delete the files of a folder used longest ago, until the others have at most so many bytes."""
    total = 0
    for file in sorted(folder.glob(pattern), key=os.path.getmtime, reverse=True):
        total += file.stat().st_size
        if total > most:
            file.unlink(missing_ok=True)


def mirror_folder():
    """Folder with the same files that is only read: COURSE_MIRROR, else ../shared/data, else None."""
    given = os.environ.get("COURSE_MIRROR") or ("../shared/data" if CHECKOUT else None)
    return Path(os.path.normpath(ROOT / Path(given).expanduser())) if given else None


@lru_cache
def registry():
    """Every registered file, as a dict from its name to its File."""
    table = tomllib.loads((FOLDER / "registry.toml").read_text("utf-8"))
    files = [File(**entry) for part in table.values() for entry in part.get("files", [])]
    leaves = manifest()
    for kind, prefix in (("color", ""), ("segmented", "cutout_")):
        columns = (leaves[column].to_list() for column in (kind, prefix + "bytes", prefix + "sha256"))
        files += [File(name, size, digest, table["leaves"]["address"] + quote(name.removeprefix("leaves/")))
                  for name, size, digest in zip(*columns, strict=True)]
    return {file.name: file for file in files}


@lru_cache
def manifest(folder=FOLDER):
    """leaves.csv of a folder, with the names of photograph and cut-out in the columns color and segmented.

    Rendered leaves have masks as well.
    """
    frame = pd.read_csv(folder / "leaves.csv")
    rendered = frame["file"].str.endswith(RENDERED_ENDINGS["color"]).all()
    for kind, ending in (RENDERED_ENDINGS if rendered else LEAF_ENDINGS).items():
        frame[kind] = [f"leaves/{kind}/{LEAF_FOLDERS[label]}/{Path(file).stem}{ending}"
                       for label, file in zip(frame["label"], frame["file"], strict=True)]
    return frame


def problem(path, file):
    """None for a file that is whole and right, else what is wrong with it."""
    try:
        status = os.stat(path)
        if status.st_size != file.bytes:
            return f"{status.st_size} bytes instead of {file.bytes}"
        digest = _digest(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return "not there"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None if digest == file.sha256 else f"sha256 {digest[:8]}... instead of {file.sha256[:8]}..."


@cache
def _digest(path, *unchanged):
    """sha256 of a file, computed once per process while its size and dates stay the same."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find_verified(file):
    """(path, place, problems by place) of the verified file; path and place are None where nobody has it."""
    problems = {}
    for place, folder in (("cache", cache_folder()), ("mirror", mirror_folder())):
        if folder is not None:
            problems[place] = problem(folder / file.name, file)
            if problems[place] is None:
                return folder / file.name, place, problems
    return None, None, problems


def sample_paths(names):
    """Paths below data/sample that stand in for the names, or None where one is missing."""
    paths = [FOLDER / "sample" / name for name in names]
    return paths if paths and all(path.is_file() for path in paths) else None


def registered(names):
    """The File of each name; KeyError for a name that is not registered."""
    known = registry()
    for name in names:
        if name not in known:
            raise KeyError(f"name: {name!r} is not registered; allowed is what data/registry.toml and "
                           "data/leaves.csv list")
    return [known[name] for name in names]


def real_paths(names):
    """Verified paths of registered files, downloaded where neither cache nor mirror has them.

    Raises KeyError for a name that is not registered; FileNotFoundError, in one line that says what was tried
    and what helps, where a file cannot be had.
    """
    found = {file: find_verified(file) for file in registered(names)}
    for file, (_, place, problems) in found.items():
        if problems["cache"] not in (None, "not there"):
            problems["cache"] += _delete(cache_folder() / file.name)
            LOG.warning("data: cache file %r is wrong, %s; it comes from the %s instead", file.name,
                        problems["cache"], place or "address")
    missing = [file for file, (path, _, _) in found.items() if path is None]
    arrived = _download_all(missing)
    for file, result in arrived.items():
        if isinstance(result, str):
            more = f" and up to {len(missing) - 1} more" if len(missing) > 1 else ""
            tried = "; ".join(f"{place}: {what}" for place, what in found[file][2].items() if what)
            raise FileNotFoundError(
                f"data: {file.name!r}{more} cannot be had ({tried}; {result}); set COURSE_MIRROR to a folder "
                f"that holds it, put it at {cache_folder() / file.name}, or go online")
    return [found[file][0] or arrived[file] for file in found]


def shortfall(names):
    """Count and name what neither cache nor mirror has whole: "2 missing, 1 wrong of 1,200 files: 'a', ...".

    "" where all is there. Downloads nothing.
    """
    states = {file.name: set(problems.values()) - {None} for file in registered(names)
              for path, _, problems in [find_verified(file)] if path is None}
    missing = [name for name, problems in states.items() if problems == {"not there"}]
    wrong = [name for name in states if name not in missing]
    groups = (missing, "missing"), (wrong, "wrong")
    counts = ", ".join(f"{len(group)} {word}" for group, word in groups if group)
    named = ", ".join(map(repr, (missing + wrong)[:3])) + (", ..." if len(states) > 3 else "")
    return counts and f"{counts} of {len(names):,} file{'s'[:len(names) > 1]}: {named}"


def _download_all(files):
    """By file, its path or in words what went wrong; the first failure stops it, what arrived stays."""
    got = {}
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = {pool.submit(_download, file): file for file in files}
        finished = as_completed(jobs)
        if len(jobs) > 1:
            from helpers.runtime import progress  # imports torch, which takes seconds

            finished = progress(finished, "downloading", total=len(jobs))
        try:
            for job in finished:
                got[jobs[job]] = job.result()
                if isinstance(job.result(), str):
                    break
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return got


def _download(file):
    """Bring a file from its official address into the cache: its path, or in words what went wrong.

    It is written beside the target under a name of its own, verified, then renamed. So two processes may do
    it at once, and whatever is interrupted leaves nothing under the final name.
    """
    target = cache_folder() / file.name
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(".*.part"):
            with contextlib.suppress(OSError):  # another process may just have renamed it
                if time.time() - old.stat().st_mtime > STALE:
                    old.unlink()
        wrong = _transfer(file, partial)
        if wrong:
            return f"{file.address}: {wrong}{_delete(partial)}"
        os.replace(partial, target)
        return target
    except OSError as error:
        return f"cache folder {target.parent} cannot be written, {error.strerror or error}; set COURSE_DATA"
    finally:
        _delete(partial)


def _transfer(file, partial):
    """Download, in up to three attempts where a new one may help: None, or in words what went wrong."""
    import requests

    for pause in (*PAUSES, None):
        try:
            pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=2**16)(file.address, partial, None)
            wrong, again = problem(partial, file), partial.stat().st_size < file.bytes
        except requests.HTTPError as error:
            code = error.response.status_code
            wrong, again = f"HTTP {code}", code >= 500 or code == 429
        except requests.RequestException as error:
            late = isinstance(error, requests.Timeout) or "timed out" in str(error)
            wrong = f"no byte for {TIMEOUT} s" if late else f"connection failed ({type(error).__name__})"
            again = True
        if not wrong or not again or pause is None:
            return wrong
        time.sleep(pause)


def _delete(path):
    try:
        path.unlink()
    except OSError:
        return ""
    return " (deleted)"


def disguise(path):
    """What an own file is instead of data, with the remedy: a folder, empty, a web page, a pointer; or ""."""
    if Path(path).is_dir():
        return "is a folder; give a file"
    try:
        start = Path(path).read_bytes()[:512].lstrip().lower()
    except OSError as error:
        return f"cannot be opened ({error.strerror or error})"
    page = "holds a web page, not data; download the file itself, the raw file"
    for mark, finding in ((b"<!doctype", page), (b"<html", page),
                          (b"version https://git-lfs", "is a pointer of Git LFS; run git lfs pull"),
                          (b"matlab 7.3", "is of MATLAB 7.3 (HDF5); save it with save(..., '-v7')"),
                          (b"\x89hdf", "is HDF5, as of MATLAB 7.3; save it with save(..., '-v7')")):
        if start.startswith(mark):
            return finding
    return "" if start else "is empty; copy or download it again"


def unreadable(path, allowed, error):
    """The ValueError for an own file that does not read as what it should be: names file, finding, remedy."""
    if isinstance(error, UnicodeDecodeError):
        return ValueError(f"path: '{path}' does not read as {allowed}: it is no UTF-8; save it as UTF-8 text")
    cut = f"may be cut short ({type(error).__name__}: {error}); copy or download it again"
    message = f"path: '{path}' does not read as {allowed}: it {disguise(path) or cut}"
    return ValueError(message.replace("\n", " "))
