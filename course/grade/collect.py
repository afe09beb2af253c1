"""Find each student's notebooks in what a learning platform gives: folders, flat names, zips or clones.

Moodle:  `Lovelace Ada_12345_assignsubmission_file_/...`, or flat with the file's name behind
Canvas:  `lovelaceada_LATE_12345_678901_anomalies-1.ipynb`, all in one folder
Blackboard: `Week 2_ada_attempt_2026-11-27-10-00-00_12_anomalies.ipynb`, all attempts are one student's
GitHub Classroom: a folder of clones, `anomalies-ada/`, recognised by their `.git`
Anything else: one notebook, zip or folder per student. All of these may be zipped.
"""

import os
import re
import stat
import sys
import time
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from course.grade import plan, reading
from course.grade.codec import readable

ENDING = re.compile(r"\.(ipynb|zip)(\.(txt|json))?$", re.IGNORECASE)
# what else may be meant as a hand-in: it is named, not opened
OTHER = re.compile(r"(\.(tar|t?gz|bz2|xz|tgz|rar|7z|html?|py|pdf|docx?))+$", re.IGNORECASE)
MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)$")
CANVAS = re.compile(r"^(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d{3,})_\d{3,}_(?P<file>.+)$")
BLACKBOARD = re.compile(r"^(?:.*?_)?(?P<name>[^_]+)_attempt_\d{4}(?:-\d\d){5}_(?P<file>.+)$")
NO_NOTEBOOK = "neither a notebook nor a zip: {}"
TOO_LARGE = f"has more than {reading.LARGEST_NOTEBOOK >> 20} MB and is not opened"
MOST_ENTRIES = 20_000  # of a student's folder
MOST_FILES, MOST_UNPACKED = 200, 128 * 2**20  # notebooks of a student; bytes out of their zips
MOST_SECONDS = 60  # for the zips of a student


@dataclass
class File:
    """One notebook that was handed in: where it lies, what it was called, when it was changed last."""

    path: Path
    name: str
    time: float

    @property
    def content(self):
        return read(self.path)

    @property
    def shown(self):
        """The file's name for reports and terminals."""
        return readable(Path(self.name).name)

    @property
    def stem(self):
        """The name without its ending, also where a browser added one or made it capital."""
        return ENDING.sub("", Path(self.name).name)


@dataclass
class Student:
    """Who handed in: the name as the platform writes it, its number for them, whether it says "late"."""

    name: str
    id: str = ""
    late: bool = False
    files: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    clone: str = ""  # the name of the folder, where it is a clone
    unpacked: int = 0  # bytes out of zips
    seconds: float = 0.0  # that unpacking took


def collect(folder, unpacked):
    """{key: Student} of a folder, of a zip, or of one notebook. unpacked: a folder for what lies in zips.

    Links are not followed: a submission must not point at somebody else's files.
    """
    if folder.is_file() and folder.suffix.lower() == ".zip":
        folder = unzip_class(folder, unpacked / "class")
    elif folder.is_file():
        return {ENDING.sub("", folder.name): Student(folder.stem, files=[file_at(folder)])}
    if not folder.is_dir():
        raise SystemExit(f"SUBMISSIONS={folder}: no such folder; give one with a notebook per student")
    entries = sorted(path for path in folder.iterdir() if not reading.hidden(path.name))
    entries = [path for path in entries if not path.is_symlink()]
    cloned = clones(folder)
    prefix = shared_prefix(cloned)
    students = {}
    for path in entries:
        if path.is_dir() or ENDING.search(path.name) or OTHER.search(path.name):
            who, name = owner(path, prefix)
            key = f"{who.name}_{who.id}" if who.id else who.name
            student = students.setdefault(key, who)
            student.clone = path.name if path.name in cloned else ""
            student.late |= who.late
            add(student, path, name, unpacked)
    if not students:
        raise SystemExit(f"SUBMISSIONS={folder}: no submission in it; give a notebook or folder per student")
    return students


def clones(folder):
    """The names of the clones in a class's folder: their files tell when they were cloned, not pushed.

    None where not more than half of the folders are some: one student's own .git is no class of clones.
    """
    folders = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    folders = [path for path in folders if not reading.hidden(path.name) and not path.is_symlink()]
    found = sorted(path.name for path in folders if Path(path, ".git").exists())
    return found if 2 * len(found) > len(folders) else []


def owner(path, prefix):
    """(Student, the file's own name) of an entry of the class's folder."""
    entry = unicodedata.normalize("NFC", path.name)  # macOS writes ü as two signs
    # Canvas first, and the first mark of Moodle: what follows is a name that the student gave
    if not path.is_dir() and (found := CANVAS.match(entry)):
        return Student(found["name"], found["id"], bool(found["late"])), found["file"]
    if found := MOODLE.match(entry):
        return Student(found["name"], found["id"]), found["file"] or path.name
    if not path.is_dir() and (found := BLACKBOARD.match(entry)):
        return Student(found["name"]), found["file"]
    return Student(OTHER.sub("", ENDING.sub("", entry)).removeprefix(prefix)), path.name


def shared_prefix(names):
    """What the names of clones begin with: the assignment's name and a hyphen."""
    return re.sub(r"[^-]*$", "", os.path.commonprefix(names)) if len(names) > 1 else ""


def add(student, path, name, unpacked):
    """Add a student's file, or all below a folder."""
    if not path.is_dir():
        return add_file(student, path, name, unpacked)
    seen, links, others = 0, [], []
    for place, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not reading.hidden(one))
        seen += len(folders) + len(names)
        if seen > MOST_ENTRIES:
            student.notes.append(f"more than {MOST_ENTRIES} files: the rest is not looked at")
            return None
        for one in sorted(names):
            if ENDING.search(one) and Path(place, one).is_symlink():
                links.append(one)
            elif ENDING.search(one) and not reading.hidden(one):
                add_file(student, Path(place, one), one, unpacked)
            elif OTHER.search(one):
                others.append(one)
    if not student.files and not others and not links:
        student.notes.append("no notebook in the folder")
    if not student.files:
        student.notes += [NO_NOTEBOOK.format(readable(one)) for one in others[:3]]
    student.notes += [f"a link, which is not opened: {readable(one)}" for one in links[:1]]
    return None


def add_file(student, path, name, unpacked):
    """Add one notebook, or all that lie in a zip, up to a number of files and bytes."""
    if not ENDING.search(name):
        student.notes.append(NO_NOTEBOOK.format(readable(name)))
        return
    left = MOST_SECONDS - student.seconds
    for few, what in ((len(student.files) < MOST_FILES, f"{MOST_FILES} notebooks"),
                      (left > 0, f"{MOST_SECONDS} seconds for zips"),
                      (student.unpacked < MOST_UNPACKED, f"{MOST_UNPACKED >> 20} MB in zips")):  # fmt: skip
        note = f"more than {what}: the rest is not looked at"
        if not few:
            student.notes += [] if note in student.notes else [note]
            return
    if not name.lower().endswith(".zip"):
        student.files.append(file_at(path, name))
        return
    if path.lstat().st_size > reading.LARGEST_NOTEBOOK:
        student.notes.append(f"{readable(name)} {TOO_LARGE}")
        return
    begin = time.monotonic()
    try:
        found, cut = reading.files(read(path), left)
    except reading.Unreadable as error:
        student.notes.append(f"{readable(name)}: {error}")
        found, cut = [], False
    if cut:
        limits = f"{reading.LARGEST_NOTEBOOK >> 20} MB or {reading.MOST_ZIPPED} notebooks"
        student.notes.append(f"{readable(name)}: more than {limits} in it: the rest is not looked at")
    student.seconds += (time.monotonic() - begin) / plan.crowding()
    if not found:
        student.notes.append(f"no notebook in {readable(name)}")
    for inner, content in found:
        target = unpacked / f"{len(os.listdir(unpacked))}.ipynb"
        target.write_bytes(content)
        student.unpacked += len(content)
        # not the date inside: that is what the student's clock, or the student, says
        student.files.append(File(target, inner, path.lstat().st_mtime))


def file_at(path, name=""):
    return File(path, name or path.name, path.lstat().st_mtime)


def seconds_of(date):
    """Seconds since 1970 of a zip's (year, month, day, hour, minute, second); None of none."""
    try:
        return time.mktime((*date, 0, 0, -1)) if date[0] > 1980 else None
    except (ValueError, OverflowError):
        return None


def unzip_class(path, target):
    """Unpack the zip that a platform gives for a class; nothing in it leaves the target folder."""
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            named = ENDING.search(info.filename) or OTHER.search(info.filename)
            if not named or info.file_size > reading.LARGEST_NOTEBOOK:
                stand_in(info, target, bool(named))
            else:
                try:  # it drops .. and leading slashes, and writes links as files
                    written = file.extract(info, target)
                except (OSError, RecursionError, RuntimeError, zipfile.BadZipFile) as error:
                    said = f"{readable(info.filename)[:80]}: {type(error).__name__}"
                    print(f"SUBMISSIONS={path}: not unpacked: {said}", file=sys.stderr)
                    continue
                moment = seconds_of(info.date_time) or path.stat().st_mtime
                os.utime(written, (moment, moment))
    if not target.is_dir():
        raise SystemExit(f"SUBMISSIONS={path}: no notebook in it")
    inside = [one for one in target.iterdir() if not reading.hidden(one.name)]
    single = len(inside) == 1 and inside[0].is_dir() and not MOODLE.match(inside[0].name)
    return inside[0] if single and any(one.is_dir() for one in inside[0].iterdir()) else target


def stand_in(info, target, named):
    """Put something in the place of what is not unpacked, so that its student has a row and a note.

    For a file of a hand-in's name one that is too large as well, and holds nothing on the disk; for any
    other Moodle's folder of the student.
    """
    parts = [part for part in info.filename.split("/") if part not in ("", ".", "..")]
    place = next((at for at, part in enumerate(parts[:-1], 1) if MOODLE.match(part)), 0)
    try:
        Path(target, *parts[:place]).mkdir(parents=True, exist_ok=True)
        if named:
            path = Path(target, *parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as file:
                file.truncate(reading.LARGEST_NOTEBOOK + 1)
    except OSError as error:
        print(f"SUBMISSIONS: {readable(info.filename)[:80]}: {type(error).__name__}", file=sys.stderr)


def read(path):
    """A file's bytes, no more than grading accepts; nothing where it cannot be read or is no ordinary file.

    A named pipe would keep the whole class waiting, and a device has no end: neither is opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            size = os.fstat(file.fileno()).st_size  # the buffer is as large as what is asked for
            return file.read(min(size, reading.LARGEST_NOTEBOOK) + 1)
    except OSError:
        return b""
