"""No name, link or special file of a folder from elsewhere leads out of it."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from featlab.errors import BundleError
from featlab.manifest import checked_files

MANIFEST = "manifest.json"
CONTENT = {"a.txt": b"one", "deep/er/b.json": b"{}", "deep/c.safetensors": b""}
LISTED = {name: sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three files and a manifest, with a copy of one of them beside it."""
    folder = tmp_path_factory.mktemp("parent") / "made"
    folder.mkdir()
    for name, content in {**CONTENT, MANIFEST: b"{}", "../beside.txt": CONTENT["a.txt"]}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "made"


def check(folder: Path, **more: str) -> dict[str, Path]:
    return checked_files(folder, {**LISTED, **more}, besides=[MANIFEST])


def test_a_whole_folder_gives_its_files(pristine: Path, tmp_path: Path) -> None:
    assert check(pristine) == {name: pristine / name for name in LISTED}
    (tmp_path / "link").symlink_to(pristine)
    assert check(tmp_path / "link").keys() == LISTED.keys()


PARTS = st.sampled_from(
    ["a.txt", "deep", "er", "c.safetensors", "made", "beside.txt", "..", ".", ""]
)
ODD = [
    "/etc/passwd",
    "a.txt/",
    "//a.txt",
    "deep\\c.safetensors",
    "C:a.txt",
    "a.txt\0",
    "~",
]
NAMES = st.lists(PARTS, max_size=5).map("/".join) | st.text(max_size=20) | st.sampled_from(ODD)


@given(name=NAMES, absolute=st.booleans())
def test_no_name_passes_but_those_that_the_folder_holds(
    pristine: Path, name: str, absolute: bool
) -> None:
    assume(name not in LISTED)
    if absolute:
        name = f"{pristine}/{name}"
    with pytest.raises(BundleError, match="is missing"):
        checked_files(pristine, {**LISTED, name: LISTED["a.txt"]})


def test_links_are_refused_wherever_they_lead(folder: Path) -> None:
    for target in ("a.txt", "../beside.txt", "/dev/zero", "nowhere", "deep", "..", "/"):
        for home in (folder, folder / "deep" / "er"):
            (home / "link").symlink_to(target)
            for name in ("link", f"{home.relative_to(folder)}/link", "link/beside.txt"):
                with pytest.raises(BundleError, match="link is a link"):
                    check(folder, **{name: LISTED["a.txt"]})
            (home / "link").unlink()
    shutil.move(folder / "deep", folder.parent)
    (folder / "deep").symlink_to("../deep")
    with pytest.raises(BundleError, match="deep is a link"):
        check(folder)


def test_what_would_never_end_is_not_opened(folder: Path) -> None:
    (folder / "a.txt").unlink()
    os.mkfifo(folder / "a.txt")
    with pytest.raises(BundleError, match=r"a\.txt is a link or no regular file"):
        check(folder)


def test_files_and_list_are_the_same_set(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not in its list"):
        checked_files(folder, LISTED)
    (folder / "deep" / ".more").touch()
    with pytest.raises(BundleError, match=r"deep/\.more is not in its list"):
        check(folder)
    (folder / "deep" / ".more").unlink()
    (folder / "a.txt").rename(folder / "A.txt")
    with pytest.raises(BundleError, match=r"a\.txt is missing"):
        check(folder)
    (folder / "A.txt").rename(folder / "a.txt")
    (folder / "a.txt").write_bytes(b"two")
    with pytest.raises(BundleError, match=r"a\.txt differs from its recorded sha256"):
        check(folder)
