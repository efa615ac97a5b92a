"""A folder that travels with a list of its files, and the check that it is what the list says.

Whoever sends a folder chooses its names and its links, so neither is followed
before it is checked: a name can lead out of the folder, a link can stand for
any file of the machine, and reading a pipe waits for ever.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from featlab.errors import BundleError
from featlab.files import file_fingerprint


def checked_files(
    folder: Path, listed: Mapping[str, str], *, besides: Collection[str] = ()
) -> dict[str, Path]:
    """Return the path of each listed file, when the folder holds exactly those and nothing else.

    Parameters
    ----------
    folder : Path
        Below it every entry must be a regular file or a folder, never a link.
    listed : mapping of str to str
        Path inside the folder, with forward slashes -> sha256 in hexadecimal.
    besides : collection of str
        Files that are there without being listed: the one that holds the list.

    Raises
    ------
    BundleError
        Naming the file that is a link or no regular file, is listed and not
        there, is there and not listed, or has another checksum.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> _ = (folder / "manifest.json").write_text("{}")
    >>> checked_files(folder, {}, besides=["manifest.json"])
    {}
    >>> checked_files(folder, {"/etc/passwd": "0" * 64}, besides=["manifest.json"])
    Traceback (most recent call last):
        ...
    featlab.errors.BundleError: /tmp/...: file /etc/passwd is missing; copy the whole folder again
    """
    there: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISREG(mode):
            there[name] = path
        elif not stat.S_ISDIR(mode):
            raise BundleError(
                f"{folder}: {name} is a link or no regular file, and could stand for anything; "
                "take the folder from where it was made"
            )
    # Only names that were found by walking the folder are opened, so none leads out of it.
    for name in listed:
        if name not in there:
            raise BundleError(f"{folder}: file {name} is missing; copy the whole folder again")
    for name in sorted(there.keys() - listed.keys() - set(besides)):
        raise BundleError(f"{folder}: file {name} is not in its list of files; remove it")
    for name, expected in listed.items():
        if file_fingerprint(there[name]) != expected:
            raise BundleError(
                f"{folder}: file {name} differs from its recorded sha256; copy it again"
            )
    return {name: there[name] for name in listed}
