"""The encoder signal: the logits of a fine-tuned preference model, as two columns."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import polars as pl

from featlab.encoder.spec import EncoderSpec
from featlab.parity import Parity
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.fine_tuning import fine_tune
from models.preference.preference_model import PreferenceModel

PARITY = {"encoder_margin": Parity.ODD, "encoder_tie": Parity.EVEN}


class EncoderSignal:
    """A fine-tuned encoder as a signal of the ensemble.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder to start from.
    settings : FineTuneSettings
    seed : int
        Root seed.
    folder : Path
        Where the model and, while it is trained, its checkpoints go; a killed
        training goes on from there.
    """

    def __init__(
        self, spec: EncoderSpec, settings: FineTuneSettings, seed: int, folder: Path
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.seed = seed
        self.folder = folder
        self.model_: PreferenceModel

    def fit(self, battles: pl.DataFrame) -> Self:
        """Fine-tune on battles with labels; see `models.preference.fine_tuning.fine_tune`."""
        self.model_ = fine_tune(
            battles, self.spec, self.settings, None, self.seed, self.folder, task=self.folder.name
        )
        return self

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        """``encoder_margin``, the logit of A less that of B, and ``encoder_tie``; Float32."""
        logits = self.model_.predict_logits(battles)
        return pl.DataFrame(
            {
                "encoder_margin": logits[:, 0] - logits[:, 1],
                "encoder_tie": logits[:, 2],
            },
            schema=dict.fromkeys(PARITY, pl.Float32),
        )

    def parity(self) -> dict[str, Parity]:
        """Odd and even: the head gives side b the negative of side a's logit."""
        return dict(PARITY)

    def save(self, folder: Path) -> None:
        """Copy the model's files."""
        self.model_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model, ready to transform."""
        model = PreferenceModel.load(folder)
        signal = cls(model.encoder.spec, model.settings, 0, folder)
        signal.model_ = model
        return signal
