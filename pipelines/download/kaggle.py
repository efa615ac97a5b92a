"""The competition's own files, by Kaggle's client (``kagglehub``).

The client finds the credentials, shows its bar, goes on with an interrupted
download and keeps the file in its cache; here its refusals become sentences.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pipelines.download.errors import (
    BY_HAND,
    CredentialsError,
    NetworkError,
    RulesError,
    WrongFileError,
)
from pipelines.download.partial_file import writable

COMPETITION = "llm-classification-finetuning"
_HOW = (
    "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into ~/.kaggle "
    "(kaggle.com, Settings, API)"
)


def has_credentials() -> bool:
    """Whether Kaggle's client is installed and knows whom to log in as.

    Raises
    ------
    CredentialsError
        When there is a credentials file that cannot be read as one.
    """
    if find_spec("kagglehub") is None:
        return False
    from kagglehub.config import get_kaggle_credentials

    try:
        return get_kaggle_credentials() is not None
    except ValueError as error:
        raise CredentialsError(f"{error}; download it again from kaggle.com") from None


def fetch_from_kaggle(competition: str, name: str) -> Path:
    """A file of the competition in the client's cache.

    Raises
    ------
    NetworkError, CredentialsError, RulesError, DiskFullError, WrongFileError
        Each says what to do.
    """
    if find_spec("kagglehub") is None:
        raise CredentialsError(
            "Kaggle's client is not installed: pip install kagglehub, or choose --source hub"
        )
    if not has_credentials():
        raise CredentialsError(f"no credentials for Kaggle: {_HOW}; or choose --source hub")
    import kagglehub
    from kagglehub.config import get_cache_folder

    # Its log goes to the standard output, which belongs to results.
    logging.getLogger("kagglehub").setLevel(logging.ERROR)
    with writable(Path(get_cache_folder())), _explained(competition, name):
        return Path(kagglehub.competition_download(competition, name))


@contextmanager
def _explained(competition: str, name: str) -> Iterator[None]:
    import requests
    from kagglehub.exceptions import DataCorruptionError, UnauthenticatedError

    try:
        yield
    except UnauthenticatedError:
        raise CredentialsError(f"no credentials for Kaggle: {_HOW}; or --source hub") from None
    except DataCorruptionError:
        raise WrongFileError(
            f"{name} came damaged (its MD5 differs from Kaggle's) and was removed; "
            "run the same command again"
        ) from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status == 401:
            raise CredentialsError(f"Kaggle refuses the credentials: {_HOW}") from None
        if status == 403:
            raise RulesError(
                "Kaggle gives the data only to those who accepted the rules: accept them on "
                f"https://www.kaggle.com/competitions/{competition}/rules and run again"
            ) from None
        if status == 404:
            raise WrongFileError(
                f"Kaggle has no {name} in the competition {competition}; {BY_HAND}"
            ) from None
        raise NetworkError(
            f"Kaggle answers with status {status}; run the same command again later, "
            f"it goes on where it stopped, or {BY_HAND}"
        ) from None
    except requests.RequestException as error:
        raise NetworkError(
            f"Kaggle cannot be reached or hung up ({type(error).__name__}); run the same command "
            f"again with a network, it goes on where it stopped, or {BY_HAND}"
        ) from None
