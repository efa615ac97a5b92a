"""Features of the user's own, from a Python file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from featlab.errors import FeatureError
from featlab.features.battle_features import BattleColumns
from featlab.features.catalogue import FEATURES
from featlab.features.feature import Feature


def load_features(file: Path) -> tuple[Feature, ...]:
    """Run a Python file, and return the features that it declares at its top level.

    Parameters
    ----------
    file : Path
        Single `Feature` objects count, and sequences of them; built-in ones do not.

    Raises
    ------
    FeatureError
        When there is no such file, it fails, or declares no feature, or one
        that cannot be built.
    """
    spec = spec_from_file_location(f"featlab.features.of_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise FeatureError(f"{file} is no Python file")
    module = module_from_spec(spec)
    # Where a class looks up the module that defines it.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        return _declared(file, vars(module))
    except FeatureError:
        raise
    except (Exception, SystemExit) as error:
        raise FeatureError(f"{file} fails: {type(error).__name__}: {error}") from error


def _declared(file: Path, names: Mapping[str, object]) -> tuple[Feature, ...]:
    """Return the features among the names of a module, each of which can be built."""
    found: list[Feature] = []
    for value in names.values():
        parts = value if isinstance(value, list | tuple) else [value]
        own = [part for part in parts if isinstance(part, Feature) and part not in FEATURES]
        found += [part for part in own if part not in found]
    if not found:
        raise FeatureError(f"{file} declares no feature: NAME = Feature(...)")
    for feature in found:
        try:
            BattleColumns([*FEATURES, feature]).check_names()
        except FeatureError:
            raise
        except Exception as error:
            raise FeatureError(
                f"{file}: feature {feature.name} fails: {type(error).__name__}: {error}"
            ) from error
    return tuple(found)
