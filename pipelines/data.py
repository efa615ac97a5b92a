"""Fetch the training battles: ``python -m pipelines.data``.

They are the owner's own release of the competition's rows on the Hugging Face
hub; Kaggle's files, put into the data folder by hand, serve as well.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from pydantic import Field

from featlab.battles import check_battles
from featlab.errors import ConfigError
from featlab.files import atomic_path
from pipelines.command_line import run_command, say
from pipelines.settings import CommandSettings

REPOSITORY = "lmarena-ai/arena-human-preference-55k"
FILE = "train.csv"
ROWS = 57_477


class DataCommandSettings(CommandSettings):
    """Settings of ``pipelines.data``."""

    data: Path = Field(Path("data"), description="folder to put train.csv into")


def fetch() -> Path:
    """The release's file in the hub's cache, downloaded if it is not there.

    Raises
    ------
    ConfigError
        When the hub cannot be reached or refuses.
    """
    try:
        return Path(hf_hub_download(REPOSITORY, FILE, repo_type="dataset"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{REPOSITORY} cannot be fetched ({reason}); without a network, put Kaggle's train.csv "
            "and test.csv into the data folder by hand"
        ) from None


def main(settings: DataCommandSettings) -> None:
    """Download, check, and put the file in place, unless it is there already."""
    target = settings.data / FILE
    if target.is_file():
        say(f"{target} is there already: {check_battles(target, require_outcome=True)} battles")
        return
    source = fetch()
    rows = check_battles(source, require_outcome=True)
    if rows != ROWS:
        raise ConfigError(f"{source} holds {rows} battles, not the {ROWS} of the release")
    with atomic_path(target) as path:
        shutil.copyfile(source, path)
    say(f"{rows} battles in {target}")


if __name__ == "__main__":
    run_command(main, DataCommandSettings, "python -m pipelines.data")
