"""A fine-tuned encoder with its head: battles in, logits of the three outcomes out.

On disk it is a folder::

    preference.json        format, spec, settings, how the training went
    head.safetensors
    encoder/               config.json, tokenizer, model.safetensors
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors.torch import load_file, save_file

from featlab.encoder import EncoderSpec, load_encoder
from featlab.encoder.backbone import Backbone, cast_weights, quiet_transformers
from featlab.encoder.device import DTYPES
from featlab.encoder.encoder import Encoder
from featlab.encoder.tokens import Ids, Tokenizer, TokenSequences
from featlab.encoder.weights import check_safetensors
from featlab.errors import BundleError
from featlab.files import atomic_path, read_json, write_json
from featlab.progress import ProgressCallback
from models.preference.fine_tune_settings import FineTuneSettings, SavedDtype
from models.preference.preference_head import PreferenceHead

DESCRIPTION = "preference.json"
HEAD = "head.safetensors"
ENCODER = "encoder"
FORMAT = 1


class PreferenceModel:
    """Predicts which of two responses a person prefers, from their text alone.

    Made by `models.preference.fine_tuning.fine_tune` and by `load`.

    Parameters
    ----------
    folder : Path
        Where it is saved.
    encoder : Encoder
        The fine-tuned encoder, for inference.
    head : PreferenceHead
        In float32.
    description : dict
        The content of ``preference.json``.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, head: PreferenceHead, description: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.encoder = encoder
        self.head = head.eval()
        self.description = description

    @property
    def settings(self) -> FineTuneSettings:
        """How it was trained."""
        return FineTuneSettings.from_dict(self.description["settings"])

    @property
    def training(self) -> dict[str, Any]:
        """How the training went: battles, steps, losses, tokens a second."""
        return cast("dict[str, Any]", self.description["training"])

    def predict_logits(
        self, battles: pl.DataFrame, progress: ProgressCallback | None = None
    ) -> npt.NDArray[np.float32]:
        """Logits of each battle's outcomes.

        Exchanging the responses of a battle exchanges the first two columns
        and leaves the third, to the last bit: on whichever side they stand,
        the same sequences are encoded, in the same order and batches.

        Parameters
        ----------
        battles : DataFrame
            Canonical battles; only ``prompt``, ``response_a`` and
            ``response_b`` are read.
        progress : callable of featlab.progress.Progress, optional
            Called with the tokens done so far after every batch.

        Returns
        -------
        float32 array of shape (n, 3)
            In the order of `featlab.battles.OUTCOMES`.
        """
        a, b = sides(battles, self.encoder.tokenizer)
        return sequence_logits(self.encoder, self.head, a.ids, b.ids, progress)

    def save(self, folder: Path) -> None:
        """Write the model to another folder.

        Raises
        ------
        BundleError
            When the folder it came from is gone.
        """
        if not self.folder.is_dir():
            raise BundleError(f"{self.folder}: the saved model is gone; train or load it again")
        if folder.resolve() != self.folder.resolve():
            for name in (DESCRIPTION, HEAD, ENCODER):
                _copy(self.folder / name, folder / name)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read a saved model, ready for inference.

        Raises
        ------
        BundleError
            When the folder is incomplete or of another format.
        WeightsError
            When a file of weights is damaged.
        """
        for name in (DESCRIPTION, HEAD):
            if not (folder / name).is_file():
                raise BundleError(f"{folder}: {name} is missing; this is no preference model")
        description = read_json(folder / DESCRIPTION)
        if description.get("format") != FORMAT:
            raise BundleError(
                f"{folder}: is of format {description.get('format')}, but this version reads "
                f"{FORMAT}; train it again"
            )
        spec = EncoderSpec.from_dict(description["spec"])
        encoder = load_encoder(replace(spec, model=str(folder / ENCODER), revision=None), device)
        head = PreferenceHead(**description["head"])
        check_safetensors(folder / HEAD)
        head.load_state_dict(load_file(folder / HEAD))
        return cls(folder, encoder, head.to(encoder.device), description)


def sides(battles: pl.DataFrame, tokenizer: Tokenizer) -> tuple[TokenSequences, TokenSequences]:
    """The token sequences of both sides: the prompt with a's response, and with b's."""
    prompts = battles["prompt"].to_list()
    return (
        tokenizer.conversations(prompts, battles["response_a"].to_list()),
        tokenizer.conversations(prompts, battles["response_b"].to_list()),
    )


def sequence_logits(
    encoder: Encoder,
    head: PreferenceHead,
    a: list[Ids],
    b: list[Ids],
    progress: ProgressCallback | None = None,
) -> npt.NDArray[np.float32]:
    """Logits of shape (n, 3) from token sequences; equal sequences are encoded once."""
    keys = [sequence.tobytes() for sequence in a + b]
    # In an order that no exchange of sides can change, so that rounding cannot either.
    distinct = dict(sorted(zip(keys, a + b, strict=True), key=_key))
    row = {key: position for position, key in enumerate(distinct)}
    vectors = torch.from_numpy(encoder.encode(list(distinct.values()), progress))
    rows = torch.tensor([row[key] for key in keys], dtype=torch.int64)
    device = next(head.parameters()).device
    with torch.inference_mode():
        of_a, of_b = vectors[rows].to(device).chunk(2) if len(a) else (vectors, vectors)
        found: npt.NDArray[np.float32] = head(of_a, of_b).cpu().numpy()
    return found


def write_model(
    folder: Path,
    backbone: Backbone,
    head: PreferenceHead,
    tokenizer: Tokenizer,
    description: dict[str, Any],
    dtype: SavedDtype,
) -> None:
    """Write a trained model; `DESCRIPTION` last, so that a folder that has it is whole.

    Parameters
    ----------
    folder : Path
        Where to; an older model there is replaced.
    backbone, head
        Trained, in float32. The backbone's weights are cast to `dtype`.
    tokenizer : Tokenizer
        Saved beside the weights.
    description : dict
        ``spec``, ``settings`` and ``training``.
    dtype : {"float16", "float32"}
        Format of the encoder's weights on disk.
    """
    (folder / DESCRIPTION).unlink(missing_ok=True)
    cast_weights(backbone, DTYPES[dtype])
    backbone.use_attention("padded")
    model = cast("Any", backbone.model)
    with quiet_transformers():
        model.save_pretrained(folder / ENCODER)
    tokenizer.loaded.save_pretrained(folder / ENCODER)
    state = {name: tensor.cpu().contiguous() for name, tensor in head.state_dict().items()}
    with atomic_path(folder / HEAD) as path:
        save_file(state, path)
    head_fields = {"dimension": head.dimension, "hidden": head.hidden}
    write_json(folder / DESCRIPTION, {"format": FORMAT, **description, "head": head_fields})


def _key(item: tuple[bytes, Ids]) -> tuple[int, bytes]:
    return len(item[0]), item[0]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
