"""Why a download ended without a file: one class for each thing the user can do about it."""

from __future__ import annotations

from featlab.errors import FeatlabError

BY_HAND = "put Kaggle's train.csv and test.csv into the data folder by hand"


class DownloadError(FeatlabError):
    """Base of the reasons below; what has come so far is kept unless it is wrong."""


class NetworkError(DownloadError):
    """The server cannot be reached, hangs up, or answers that it is out of order."""


class CredentialsError(DownloadError):
    """The server wants to know who asks, and nobody is named or the name is refused."""


class RulesError(DownloadError):
    """The account has not accepted the rules under which the data are given."""


class DiskFullError(DownloadError):
    """The data do not fit where they shall lie."""


class WrongFileError(DownloadError):
    """What came is not the file that was asked for."""
