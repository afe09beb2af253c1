"""What README and the data cards say of licences is what the registry says, data set by data set."""

import re
import tomllib

import pytest

from helpers.files import ROOT

REGISTRY = tomllib.loads((ROOT / "data" / "registry.toml").read_text(encoding="utf-8"))
NAMED = {"wholesale": "Wholesale customers", "qm7": "QM7", "leaves": "PlantVillage",
         "squeezenet1_1": "SqueezeNet|squeezenet1_1"}  # fmt: skip


def short(licence):
    """The licence's own name in a sentence about it."""
    found = re.search(r"CC BY(?:-SA)? \d\.\d|MIT|BSD|none", licence)
    assert found, licence
    return found[0]


def test_every_data_set_of_the_registry_states_its_licence_and_its_source():
    assert set(NAMED) <= set(REGISTRY)
    for name, entry in REGISTRY.items():
        assert entry["licence"].strip(), name
        assert entry["citation"].strip(), name
        assert entry["home"].startswith("http"), name


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("document", ["README.md", "data/README.md"])
def test_documents_say_what_the_registry_says(name, document):
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split())
    wanted = short(REGISTRY[name]["licence"])
    after = [text[match.start() : match.start() + 2500] for match in re.finditer(NAMED[name], text)]
    assert any(wanted in part for part in after), f"{document} does not say {wanted!r} of {NAMED[name]}"


def test_no_data_file_is_committed():
    """Only cards, registry, split and the embedded sample stand in data/."""
    kept = {"README.md", "registry.toml", "leaves.csv", "make_manifest.py", "sample", "raw", "__pycache__"}
    assert {path.name for path in (ROOT / "data").iterdir()} <= kept
