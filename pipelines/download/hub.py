"""The owner's release of the battles on the Hugging Face hub, by the hub's own client.

The client asks the hub which files the release has, how large they are and
what their sha256 is, and reads them in ranges: an interrupted download goes on
where it stopped, which the client's plain download does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from featlab.battles import ARENA
from pipelines.download.errors import (
    BY_HAND,
    CredentialsError,
    NetworkError,
    RulesError,
    WrongFileError,
)
from pipelines.download.partial_file import complete, part_of
from pipelines.run.console import say

RELEASE = "lmarena-ai/arena-human-preference-55k"
_FIRST_BYTES = 1 << 16
# The base of every failure of the client's transport, which was another library in each version.
_TransportError: type[Exception] = HfHubHTTPError.__bases__[0]


@dataclass(frozen=True)
class ReleasedFile:
    """A file of the release as the hub records it.

    Parameters
    ----------
    name : str
        Path inside the release.
    size : int
        Bytes.
    identity : str
        What its content is known by: the sha256, or git's own hash of a small file.
    sha256 : str, optional
        In hexadecimal, where the hub keeps one.
    """

    name: str
    size: int
    identity: str
    sha256: str | None


def fetch_from_hub(repository: str, folder: Path) -> Path:
    """The release's table in `folder`, whole and checked, under a hidden name.

    Raises
    ------
    NetworkError, CredentialsError, RulesError, DiskFullError, WrongFileError
        Each says what to do.
    """
    with _explained(repository):
        api = HfApi()
        release = api.dataset_info(repository, files_metadata=True)
        file = training_file(
            repository,
            [
                ReleasedFile(
                    sibling.rfilename,
                    sibling.size or 0,
                    sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or str(release.sha),
                    sibling.lfs.sha256 if sibling.lfs else None,
                )
                for sibling in release.siblings or []
            ],
        )
        say(f"{file.name} of {repository}, {file.size / 1e6:,.0f} MB, from {api.endpoint}")
        hub = HfFileSystem(skip_instance_cache=True)
        with hub.open(
            f"datasets/{repository}@{release.sha}/{file.name}",
            size=file.size,
            cache_type="none",
        ) as stream:

            def read(start: int, end: int) -> bytes:
                stream.seek(start)
                return bytes(stream.read(end - start))

            if file.name.endswith(".csv"):
                check_header(repository, file.name, read(0, min(_FIRST_BYTES, file.size)))
            target = folder / f"train{PurePosixPath(file.name).suffix}"
            return complete(part_of(target, file.identity), file.size, file.sha256, read)


def training_file(repository: str, files: list[ReleasedFile]) -> ReleasedFile:
    """The table of battles among the files of a release.

    Raises
    ------
    WrongFileError
        When no file, or more than one, can be it.

    Examples
    --------
    >>> files = [ReleasedFile(name, 9, "1", None) for name in ("README.md", "train.csv")]
    >>> training_file("owner/name", files).name
    'train.csv'
    """
    for suffix in (".csv", ".parquet"):
        found = [file for file in files if file.name.endswith(suffix)]
        named = [file for file in found if PurePosixPath(file.name).stem == "train"] or found
        if len(named) == 1:
            return named[0]
    names = ", ".join(file.name for file in files) or "no file at all"
    raise WrongFileError(
        f"{repository} has no single table of training battles (it has {names}); {BY_HAND}"
    )


def check_header(repository: str, name: str, first: bytes) -> None:
    """Refuse another layout before the whole of it is fetched.

    Raises
    ------
    WrongFileError
        When the first line lacks a column of the competition's train.csv.
    """
    columns = first.partition(b"\n")[0].decode("utf-8-sig", "replace").strip().split(",")
    wanted = (ARENA.id, *ARENA.text_roles.values(), *ARENA.outcome.names)
    lacking = [column for column in wanted if column not in columns]
    if lacking:
        raise WrongFileError(
            f"{name} of {repository} lacks {', '.join(lacking)} (its first line: "
            f"{','.join(columns)[:120]}); {BY_HAND}"
        )


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError:
        raise RulesError(
            f"{repository} is given only to those who accepted its terms: accept them on "
            f"its page, log in by `hf auth login`, and run again; or {BY_HAND}"
        ) from None
    except RepositoryNotFoundError:
        raise CredentialsError(
            f"the hub knows no {repository}, or shows it only to those logged in "
            f"(`hf auth login`); or {BY_HAND}"
        ) from None
    except OfflineModeIsEnabled:
        raise NetworkError(
            f"HF_HUB_OFFLINE keeps the hub's client off the network; unset it, or {BY_HAND}"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise CredentialsError(
                f"the hub refuses {repository} (status {status}); log in by `hf auth login`, "
                f"or {BY_HAND}"
            ) from None
        raise NetworkError(
            f"the hub answers with status {status} for {repository}; run the same command again "
            f"later, it goes on where it stopped, or {BY_HAND}"
        ) from None
    except (_TransportError, ConnectionError) as error:
        raise NetworkError(
            f"the hub cannot be reached ({_first_line(error)}); run the same command again with "
            f"a network, it goes on where it stopped, or {BY_HAND}"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
