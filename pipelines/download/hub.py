"""The owner's release of the battles on the Hugging Face hub, by the hub's own client.

The client's plain download begins anew in every process and compares no
checksum. So its `http_get` is called here as that download calls it, on a part
that stays: it goes on from the bytes that are there, takes up broken
connections, and shows speed and time left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get

from featlab.files import file_fingerprint
from featlab.progress import note
from pipelines.download.errors import AGAIN, BY_HAND, DownloadError, writable

# The base of every failure of the client's transport, which was another library in each version.
_TransportError: type[Exception] = HfHubHTTPError.__bases__[0]


def fetch_from_hub(repository: str, folder: Path) -> Path:
    """Fetch a release's table into `folder`, under a hidden name, whole and checked.

    What an earlier call left of it is gone on with; it is named after the
    content, so that parts of two versions never meet in one file.

    Raises
    ------
    DownloadError
    """
    try:
        return _fetch(repository, folder)
    except GatedRepoError:
        reason = (
            f"{repository} is given only to those who accepted its terms: accept them on its "
            "page, log in by `hf auth login`, and run again"
        )
    except (RepositoryNotFoundError, HFValidationError):
        reason = f"the hub knows no {repository}, or shows it only after `hf auth login`"
    except OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE keeps the hub's client off the network; unset it"
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = "log in by `hf auth login`" if status in (401, 403) else AGAIN
        reason = f"the hub answers with status {status} for {repository}; {advice}"
    except (_TransportError, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = f"the hub cannot be reached or hung up ({said}); {AGAIN}"
    except (ValueError, KeyError, TypeError):
        reason = "what answers is not the hub; look at HF_ENDPOINT and the network's login page"
    raise DownloadError(f"{reason}, or {BY_HAND}")


def _fetch(repository: str, folder: Path) -> Path:
    api = HfApi()
    release = api.dataset_info(repository, files_metadata=True)
    files = {file.rfilename: file for file in release.siblings or []}
    name = training_file(repository, list(files))
    size, lfs = files[name].size or 0, files[name].lfs
    note(f"{name} of {repository}, {size / 1e6:,.0f} MB, from {api.endpoint}")
    identity = lfs.sha256 if lfs else files[name].blob_id or str(release.sha)
    part = folder / f".train.{identity[:16]}.part{PurePosixPath(name).suffix}"
    url = hf_hub_url(repository, name, repo_type="dataset", revision=release.sha)
    _complete(part, size, url)
    if lfs and (found := file_fingerprint(part)) != lfs.sha256:
        part.unlink()
        raise DownloadError(
            f"what came has sha256 {found[:16]}..., the server's own record says "
            f"{lfs.sha256[:16]}...; it was removed, run the same command again"
        )
    return part


def training_file(repository: str, names: Sequence[str]) -> str:
    """Return the one table of battles among the files of a release, or refuse the release."""
    for suffix in (".csv", ".parquet"):
        found = [name for name in names if name.endswith(suffix)]
        named = [name for name in found if PurePosixPath(name).stem == "train"] or found
        if len(named) == 1:
            return named[0]
    raise DownloadError(
        f"{repository} has no single table of training battles "
        f"(it has {', '.join(names) or 'no file at all'}); {BY_HAND}"
    )


def _complete(part: Path, size: int, url: str) -> None:
    have = part.stat().st_size if part.is_file() else 0
    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with writable(part.parent, size - have), part.open("ab" if have <= size else "wb") as stream:
        while (have := stream.tell()) < size:
            try:
                http_get(url, stream, resume_size=have, headers=headers, expected_size=size)
            except _TransportError:
                # The client takes up connections that end or hang, not those that are reset.
                if stream.tell() <= have:
                    raise
