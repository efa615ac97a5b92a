"""The kernel, fitted on all folds but one, and what it says of that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.numpy import load_file

from featlab.columns import Column
from featlab.progress import note
from featlab.signals.state import load_state, save_arrays, save_state
from models.stacking.kernel import Kernel, KernelOutOfFold, fit_kernel
from pipelines.run.training import TableFiles, read_table

KERNEL = "kernel"
_PROBABILITIES = "probabilities"


def make_kernel(
    *,
    table: TableFiles,
    fitted: Path,
    predicted: Path,
    signals: Mapping[str, Sequence[Column]],
    seed: int,
) -> None:
    """Fit the kernel.

    Parameters
    ----------
    fitted : Path
        Folder to write its state into.
    predicted : Path
        Safetensors to write: out-of-fold probabilities, and hidden ties by fold.
    """
    note("kernel: fitting")
    kernel, found = fit_kernel(read_table(table, signals), seed)
    save_state(kernel.state(), fitted, KERNEL)
    arrays = {str(fold): chances for fold, chances in found.hidden_ties.items()}
    save_arrays({_PROBABILITIES: found.probabilities, **arrays}, predicted)


def read_kernel(fitted: Path) -> Kernel:
    """Return the fitted kernel of a run."""
    return Kernel.from_state(load_state(fitted, KERNEL))


def read_kernel_out_of_fold(predicted: Path) -> KernelOutOfFold:
    """Return what the kernel of a run says out of fold."""
    arrays = load_file(predicted)
    probabilities = arrays.pop(_PROBABILITIES)
    return KernelOutOfFold(probabilities, {int(fold): array for fold, array in arrays.items()})
