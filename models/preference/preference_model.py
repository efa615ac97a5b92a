"""A fine-tuned encoder with its head: token sequences in, logits of the three outcomes out."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from featlab.encoder import EncoderSpec, load_encoder
from featlab.encoder.backbone import Backbone
from featlab.encoder.device import DTYPES, inference_dtype, pick_device
from featlab.encoder.encoder import Encoder
from featlab.encoder.pretrained import cast_weights, quiet_transformers
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.memory import return_freed_memory
from featlab.progress import ProgressCallback
from featlab.signals.state import PLAIN, State
from models.preference.fine_tune_settings import FineTuneSettings, SavedDtype
from models.preference.low_rank import PREFIX, set_adapters
from models.preference.preference_head import PreferenceHead
from models.preference.training_battles import BattleTokens
from models.preference.training_network import load_trainable


class PreferenceModel:
    """Predicts which of two responses a person prefers, from their text alone.

    Parameters
    ----------
    state : State
        What `models.preference.fine_tuning.fine_tune` returned.
    device : str, default "auto"
        CUDA where it is there, else the CPU.

    Raises
    ------
    WeightsError
        When a file of weights is missing or damaged.
    """

    def __init__(self, state: State, device: str = "auto") -> None:
        spec = EncoderSpec.from_dict(state.values["encoder"])
        self.computed: torch.dtype | None = None
        if state.files is not None:
            trained = replace(spec, model=str(state.files), revision=None)
            self.encoder = load_encoder(trained, device)
        else:
            self.encoder, self.computed = _adapted(state, spec, device)
        self.learn(state)

    def learn(self, state: State) -> None:
        """Take the head and the adapters of a state of the same encoder.

        Raises
        ------
        BundleError
            When the adapters are those of another encoder.
        """
        of_head = {
            name: torch.tensor(array)
            for name, array in state.arrays.items()
            if not name.startswith(PREFIX)
        }
        head = PreferenceHead(**state.values["head"])
        head.load_state_dict(of_head)
        self.head = head.to(self.encoder.device).eval()
        set_adapters(self.encoder.backbone, state.arrays)

    def logits(
        self, battles: BattleTokens, progress: ProgressCallback | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the logits of each battle's outcomes; equal sequences are encoded once.

        Exchanging the responses of a battle exchanges the first two columns
        and leaves the third, to the last bit: on whichever side they stand,
        the same sequences are encoded, in the same order and batches.

        Parameters
        ----------
        battles : BattleTokens
        progress : callable of Progress, optional
            Called after every batch.

        Returns
        -------
        float32 array of shape (n, 3), in the order a, b, tie
        """
        sequences = battles.a + battles.b
        keys = [sequence.tobytes() for sequence in sequences]
        # In an order that no exchange of sides can change, so that rounding cannot either.
        distinct = dict(
            sorted(zip(keys, sequences, strict=True), key=lambda item: (len(item[0]), item[0]))
        )
        row = {key: position for position, key in enumerate(distinct)}
        device = self.encoder.device
        # Adapters compute as they were trained.
        with torch.autocast(
            device.type, self.computed, enabled=self.computed not in {None, torch.float32}
        ):
            vectors = torch.from_numpy(self.encoder.encode(list(distinct.values()), progress))
        rows = torch.tensor([row[key] for key in keys], dtype=torch.int64)
        with torch.inference_mode():
            of_a, of_b = vectors[rows].to(device).tensor_split(2)
            found: npt.NDArray[np.float32] = self.head(of_a, of_b).cpu().numpy()
        return found


def _adapted(state: State, spec: EncoderSpec, device: str) -> tuple[Encoder, torch.dtype]:
    folder, picked = find_weights(spec), pick_device(device)
    settings = FineTuneSettings.from_dict(state.values["settings"])
    # Where nothing computes in 4 bits, the weights are what those were rounded from.
    there = picked.type == "cuda" and find_spec("bitsandbytes") is not None
    settings = replace(settings, four_bits=settings.four_bits and there)
    dtype, tokenizer = inference_dtype(spec.dtype, picked), Tokenizer(folder, spec)
    backbone = load_trainable(spec, settings, folder, picked, dtype, tokenizer.padding)
    return Encoder(spec, backbone, tokenizer), dtype


def write_encoder(
    folder: Path, backbone: Backbone, tokenizer: Tokenizer, dtype: SavedDtype = "float32"
) -> None:
    """Write an encoder as an ordinary model folder, in place of what is there.

    Its weights are cast to `dtype`, so this is the end of its training.
    """
    shutil.rmtree(folder, ignore_errors=True)
    cast_weights(backbone, DTYPES[dtype])
    backbone.use_attention("padded")
    model: Any = backbone.model
    with quiet_transformers():
        model.save_pretrained(folder)
    tokenizer.loaded.save_pretrained(folder)
    for path in folder.iterdir():
        # tokenizer.json says it all; some tokenizers also leave what they were made from.
        if path.suffix not in PLAIN:
            path.unlink()


def free_memory() -> None:
    """Drop what only cycles hold, and hand freed memory back to card and system.

    A Trainer and its callbacks refer to each other, so that network and
    optimiser outlive their last use; and glibc keeps what was freed, about a
    gigabyte a fine-tuning, unless it is told to trim.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return_freed_memory()
