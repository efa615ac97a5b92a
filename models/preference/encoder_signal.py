"""The encoder signal: the logits of a fine-tuned preference model, as two columns."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES, read_probabilities
from featlab.columns import Column, Kind
from featlab.encoder.spec import EncoderSpec
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import BattleError, BundleError, ConfigError
from featlab.files import file_fingerprint, read_json, value_fingerprint
from featlab.parity import Parity
from featlab.progress import ProgressCallback, note
from featlab.randomness import derive_seed
from featlab.signals import load_signal, save_signal
from featlab.signals.outcomes import Floats, Outcomes, Rows
from featlab.signals.signal import Context, Cost, Need, Signal
from featlab.signals.state import VALUES, State
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_model import PreferenceModel, free_memory
from models.preference.training_battles import BattleTokens, TrainingBattles
from models.preference.training_job import TrainingJob, process_share, training_device

logger = logging.getLogger(__name__)

FAMILY = "encoder signal"
SHARE_OF_FORWARD = 1 / 3
"""What reading a token costs beside training on it: one pass forward of forward and backward."""
COLUMNS = (
    Column("encoder_margin", Parity.ODD, FAMILY, "logit of a less that of b", Kind.MARGIN),
    Column("encoder_tie", Parity.EVEN, FAMILY, "logit of a tie"),
)


class EncoderSignal(Signal[BattleTokens]):
    """A fine-tuned encoder as a signal of the ensemble.

    Once fitted it keeps its weights on disk and loads them while it transforms.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder or decoder to start from; its `max_tokens` and `truncation`
        decide what of each response is read.
    settings : FineTuneSettings, optional
        How to train.
    seed : int, default 0
        Root seed.
    folder : Path, optional
        Where the model and, while it is trained, its checkpoints go. By default
        a temporary folder that lives as long as the signal.
    soft_labels : Path, optional
        A teacher's probabilities (`featlab.battles.read_probabilities`), in place
        of the battles' own soft labels.
    device : str, default "auto"
        CUDA where it is there, else the CPU.
    on_progress : callable of Progress, optional
        Called after every step; by default a bar on a terminal, lines in the
        log elsewhere.
    """

    name = "encoder"
    needs = frozenset({Need.ENCODER})
    cost = Cost.WHOLE_MACHINE
    probe_tolerance = 0.02

    def __init__(
        self,
        spec: EncoderSpec,
        settings: FineTuneSettings | None = None,
        seed: int = 0,
        folder: Path | None = None,
        soft_labels: Path | None = None,
        device: str = "auto",
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings or FineTuneSettings()
        self.seed = seed
        self.folder = folder
        self.soft_labels = soft_labels
        self.device = device
        self.on_progress = on_progress
        self._learned: State | None = None

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the unfitted signal of a fold.

        Parameters
        ----------
        context : Context
            Its options ``fine_tuning`` (fields of `FineTuneSettings`) and
            ``soft_labels`` (a path) are read.
        fold : int

        Raises
        ------
        ConfigError
            When there is no encoder or no such file, or a setting is unknown or out of range.
        """
        if context.encoder is None:
            raise ConfigError("signal encoder: there is no encoder to fine-tune; name a model")
        soft_labels = context.options.get("soft_labels")
        if soft_labels is not None and not Path(soft_labels).is_file():
            raise ConfigError(f"soft labels: there is no file {soft_labels}; name a teacher's file")
        return cls(
            context.encoder,
            FineTuneSettings.from_dict(context.options.get("fine_tuning") or {}),
            derive_seed(context.seed, "encoder", fold),
            None if context.folder is None else context.folder / str(fold),
            None if soft_labels is None else Path(soft_labels),
        )

    def columns(self) -> tuple[Column, ...]:
        """Return the margin, odd since b has the negative of a's logit, and the tie."""
        return COLUMNS

    def prepare(self, battles: pl.LazyFrame) -> BattleTokens:
        """Tokenise both sides; the tokens serve every fold's signal."""
        weights = self._learned.files if self._learned else None
        tokenizer = Tokenizer(weights or find_weights(self.spec), self.spec)
        return BattleTokens.of(battles, tokenizer, self.settings.reading)

    def fit(self, prepared: BattleTokens, outcomes: Outcomes, rows: Rows) -> Self:
        """Fine-tune on some battles.

        A call that was killed goes on from its last checkpoint, and a call that
        was finished takes its model, as long as tokens, outcomes, spec,
        settings and seed are the same; else it starts anew.

        Raises
        ------
        BattleError
            When the teacher's file is damaged or has none of the battles.
        WeightsError, ConfigError
            As `models.preference.fine_tuning.fine_tune`.
        """
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="featlab-encoder-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        soft = outcomes.soft[rows]
        if self.soft_labels is not None:
            teacher = teacher_probabilities(self.soft_labels, prepared.battle_ids[rows])
            soft = np.where(np.isfinite(teacher), teacher, soft)
        battles = TrainingBattles.of(prepared, outcomes, rows, soft)
        job = TrainingJob(
            self.settings,
            *training_device(self.settings, self.device),
            self.seed,
            self.folder,
            value_fingerprint({**self.recipe(), "battles": battles.fingerprint()}),
            f"encoder {self.folder.name}",
            self.on_progress,
        )
        values = job.folder / VALUES
        if values.is_file() and read_json(values)["values"].get("fingerprint") == job.fingerprint:
            logger.info("%s: already done in %s", job.task, job.folder)
            self._learned = load_signal(type(self), job.folder).state()
            return self
        # The Trainer takes seconds to import, and predicting does without.
        from models.preference.fine_tuning import TRAINING, fine_tune

        self._learned = fine_tune(battles, self.spec, job)
        if process_share()[0] == 0:
            save_signal(self, job.folder)
            shutil.rmtree(job.folder / TRAINING, ignore_errors=True)
        free_memory()
        return self

    def transform(self, prepared: BattleTokens, rows: Rows | None = None) -> pl.DataFrame:
        """Return ``encoder_margin`` and ``encoder_tie``, Float32, of some battles or of all."""
        tokens = prepared if rows is None else prepared.take(rows)
        (columns,) = self.transform_each([self], tokens)
        return columns

    @classmethod
    def transform_each(cls, fitted: Sequence[Self], prepared: BattleTokens) -> list[pl.DataFrame]:
        """Return what each fold makes of the same tokens; adapters share one encoder in memory."""
        made: list[pl.DataFrame] = []
        model: PreferenceModel | None = None
        for signal in fitted:
            state = signal.state()
            if model is None or state.files is not None:
                model = PreferenceModel(state, signal.device)
            else:
                model.learn(state)
            logits = model.logits(prepared)
            made.append(
                pl.DataFrame(
                    {"encoder_margin": logits[:, 0] - logits[:, 1], "encoder_tie": logits[:, 2]},
                    schema={column.name: pl.Float32 for column in COLUMNS},
                )
            )
        del model
        free_memory()
        return made

    def state(self) -> State:
        """Return the head, how it was trained, and the encoder's weights or its adapters."""
        if self._learned is None:
            raise ConfigError("signal encoder: it is not fitted yet")
        return self._learned

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the fitted signal of a saved state; weights are read when it transforms."""
        settings = FineTuneSettings.from_dict(state.values["settings"])
        if state.files is None and settings.lora_rank == 0:
            raise BundleError("signal encoder: the weights of its encoder are missing")
        signal = cls(EncoderSpec.from_dict(state.values["encoder"]), settings)
        signal._learned = state
        return signal

    def expected_seconds(self, battles: pl.LazyFrame, outcomes: Outcomes, folds: Rows) -> float:
        """Return how long fine-tuning every fold and reading all battles will take.

        Where there is no card, also note what is calculated for two of the cards
        that Kaggle lends.
        """
        # It imports this module.
        from models.preference.training_estimate import calculated_for_t4, estimate_fine_tuning

        prepared = self.prepare(battles)
        rows = np.flatnonzero(folds != folds.min())
        found = estimate_fine_tuning(self, prepared, outcomes, rows)
        logger.info("fine-tuning of a fold: %s", found)
        tokens = sum(len(sequence) for side in (prepared.a, prepared.b) for sequence in side)
        # Every battle is read by the fold model that has not seen it.
        passes = len(np.unique(folds)) + tokens * SHARE_OF_FORWARD / found.tokens
        if not found.device.startswith("cuda"):
            note(f"encoder: {calculated_for_t4(passes * found.operations)}")
        return passes * found.seconds

    def recipe(self) -> dict[str, Any]:
        """Return encoder, settings, seed and the content of the teacher's file."""
        return {
            "encoder": self.spec.id,
            # How often it is saved changes nothing about what is trained.
            "fine_tuning": {**self.settings.to_dict(), "checkpoint_minutes": None},
            "seed": self.seed,
            "soft_labels": None if self.soft_labels is None else file_fingerprint(self.soft_labels),
        }


def teacher_probabilities(file: Path, ids: pl.Series) -> Floats:
    """Return a teacher's probabilities for some battles; NaN where it has none: shape (n, 3).

    Raises
    ------
    BattleError
        As `featlab.battles.read_probabilities`; also when it has none for any of the battles.
    """
    rows = ids.rename("id").to_frame()
    joined = rows.join(read_probabilities(file), on="id", how="left", maintain_order="left")
    if joined[PROBABILITIES[0]].null_count() == len(joined):
        raise BattleError(
            "has a soft label for none of the battles",
            source=str(file),
            remedy="its ids must be those of the training battles",
        )
    return joined.select(pl.col(PROBABILITIES).fill_null(float("nan"))).to_numpy()
