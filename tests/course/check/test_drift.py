"""The drift between processors: which sets a machine can play, and when a kept run still counts."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from course import notebooks
from course.check import drift
from course.notebooks import find

CAN_PLAY = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(not CAN_PLAY, reason="instruction sets are chosen on x86-64 Linux")
def test_the_variables_take_effect():
    found = drift.effect("sse")
    assert found == drift.PLAYED["sse"]
    assert drift.not_played("own") == ""


def test_a_set_without_effect_is_named(monkeypatch):
    monkeypatch.setattr(drift, "effect", lambda setting: {**drift.PLAYED["avx512"], "PyTorch": "AVX2"})
    assert drift.not_played("avx512") == "avx512: not run: PyTorch uses AVX2, not AVX512"


def test_a_kept_run_counts_for_one_data_source_and_one_set_of_libraries(monkeypatch):
    path, digests = find("39"), []
    for name, value in (("real", "1"), ("sample", "1"), ("real", "2")):
        monkeypatch.setenv("DATA", name)
        monkeypatch.setattr(notebooks, "version", lambda library, value=value: value)
        digests.append(drift.fingerprint(path))
    assert len(set(digests)) == 3


def test_a_run_finds_no_features_of_another_set(tmp_path, monkeypatch):
    monkeypatch.setattr(drift, "KEPT", tmp_path)
    found = []

    def under(setting, command, COURSE_FEATURES, **others):
        found.append((COURSE_FEATURES, list(Path(COURSE_FEATURES).iterdir())))
        Path(COURSE_FEATURES, "left.npy").touch()
        Path(command[4]).parent.mkdir()
        Path(command[4]).write_bytes(find("11").read_bytes())
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(drift, "under", under)
    for setting in ("own", "sse"):
        drift.executed(find("11"), setting, 1)
    (first, _), (second, _) = found
    assert first != second
    assert [files for _, files in found] == [[], []]
