"""The competition's own files, by Kaggle's client (``kagglehub``).

The client finds the credentials, shows its bar, goes on with an interrupted
download and keeps the file in its cache; here its refusals become sentences.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from pipelines.download.errors import AGAIN, BY_HAND, DownloadError, writable

_HOW = (
    "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into ~/.kaggle "
    "(kaggle.com, Settings, API)"
)
_NOBODY = f"no credentials for Kaggle: {_HOW}; or choose --source hub"


def has_credentials() -> bool:
    """Tell whether Kaggle's client is installed and knows whom to log in as.

    Raises
    ------
    DownloadError
        When there is a credentials file that cannot be read as one.
    """
    if find_spec("kagglehub") is None:
        return False
    from kagglehub.config import get_kaggle_credentials

    try:
        return get_kaggle_credentials() is not None
    except ValueError as error:
        raise DownloadError(f"{error}; download it again from kaggle.com") from None


def fetch_from_kaggle(competition: str, name: str) -> Path:
    """Fetch a file of the competition into the client's cache and return where it lies.

    Raises
    ------
    DownloadError
    """
    if find_spec("kagglehub") is None:
        raise DownloadError(
            "Kaggle's client is not installed: pip install kagglehub, or choose --source hub"
        )
    if not has_credentials():
        raise DownloadError(_NOBODY)
    import kagglehub
    import requests
    from kagglehub.config import get_cache_folder
    from kagglehub.exceptions import DataCorruptionError, UnauthenticatedError

    # Its log goes to the standard output, which belongs to results.
    logging.getLogger("kagglehub").setLevel(logging.ERROR)
    try:
        with writable(Path(get_cache_folder())):
            return Path(kagglehub.competition_download(competition, name))
    except UnauthenticatedError:
        reason = _NOBODY
    except DataCorruptionError:
        reason = f"{name} came damaged (its MD5 differs from Kaggle's) and was removed; {AGAIN}"
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        reason = {
            401: f"Kaggle refuses the credentials: {_HOW}",
            403: f"Kaggle asks to accept the rules first: do so on {rules} and run again",
            404: f"Kaggle has no {name} in the competition {competition}; {BY_HAND}",
        }.get(status, f"Kaggle answers with status {status}; {AGAIN}, or {BY_HAND}")
    except requests.RequestException as error:
        what = type(error).__name__
        reason = f"Kaggle cannot be reached or hung up ({what}); {AGAIN}, or {BY_HAND}"
    raise DownloadError(reason)
