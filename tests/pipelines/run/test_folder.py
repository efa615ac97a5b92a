"""Which changes to a source file count as changes to what it makes."""

import sys
from pathlib import Path

import pytest

from pipelines.run.folder import source_fingerprint

FIRST = '"""One."""\n\n\ndef double(x):\n    """Twice."""\n    return 2 * x  # twice\n'


def fingerprint(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "made_up_module.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("made_up_module", None)
    return source_fingerprint("made_up_module")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (FIRST.replace("One.", "Another one."), True),
        (FIRST.replace("  # twice", ""), True),
        (FIRST.replace("    return", "\n    return"), True),
        (FIRST.replace("2 * x", "3 * x"), False),
        (FIRST.replace("double", "twice"), False),
    ],
)
def test_only_what_a_module_does_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, same: bool
) -> None:
    before = fingerprint(tmp_path, FIRST, monkeypatch)
    assert (fingerprint(tmp_path, changed, monkeypatch) == before) is same
