from pathlib import Path

import pytest

from featlab.encoder.spec import MINILM, QWEN3_SMALL
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings
from pipelines.run import presets
from pipelines.run.settings import TrainSettings


def recipe(*arguments: str) -> presets.Recipe:
    return presets.resolve(TrainSettings.load(list(arguments), "train"))


def test_fast_needs_no_encoder() -> None:
    chosen = recipe("--preset", "fast")
    assert chosen.context.encoder is None
    assert list(chosen.kinds) == ["text", "lexical", "identity"]


def test_cpu_takes_the_packaged_encoder() -> None:
    chosen = recipe("--preset", "cpu")
    assert list(chosen.kinds) == ["text", "lexical", "identity", "embedding"]
    assert chosen.context.encoder == MINILM


def test_only_a_card_fine_tunes_by_default() -> None:
    tuned = {preset for preset, names in presets.BY_DEFAULT.items() if "encoder" in names}
    assert tuned == {"modernbert", "llm"}


def test_battles_without_names_have_no_identity_signal() -> None:
    chosen = recipe("--preset", "fast")
    assert chosen.for_battles(named=True) == chosen
    without = chosen.for_battles(named=False)
    assert list(without.kinds) == ["text", "lexical"]
    assert "name no models" in without.reason


def test_signals_can_be_switched_and_keep_their_order() -> None:
    chosen = recipe("--preset", "cpu", "--signals", "encoder", "--signals", "text")
    assert list(chosen.kinds) == ["text", "encoder"]
    both = recipe("--preset", "fast", "--signals", "identity", "--signals", "lexical")
    assert list(both.kinds) == ["text", "lexical", "identity"]


def test_the_encoder_can_be_replaced() -> None:
    folder = str(find_weights(MINILM))
    chosen = recipe("--preset", "cpu", "--encoder.model", folder, "--encoder.max-tokens", "99")
    encoder = chosen.context.encoder
    assert encoder is not None
    assert (encoder.model, encoder.max_tokens) == (folder, 99)


def test_an_unknown_signal_is_named() -> None:
    with pytest.raises(ConfigError, match="smell"):
        recipe("--signals", "smell")


def test_automatic_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recipe().preset in {"cpu", "modernbert"}
    assert recipe().reason
    monkeypatch.setattr(presets, "find_spec", lambda name: None)
    without = recipe()
    assert without.preset == "fast"
    assert "not installed" in without.reason


def test_an_encoder_without_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="torch"):
        recipe("--preset", "cpu")


def test_a_presets_fine_tuning_gives_way_to_what_is_said() -> None:
    llm = recipe("--preset", "llm", "--encoder.reading", "alone", "--no-encoder.recompute")
    told = FineTuneSettings.from_dict(llm.context.options["fine_tuning"])
    assert llm.context.encoder == QWEN3_SMALL
    assert "embedding" not in llm.kinds
    assert (told.lora_rank, told.reading, told.recompute) == (16, "alone", False)
    plain = recipe("--preset", "cpu").context.options["fine_tuning"]
    assert plain == FineTuneSettings().to_dict()


def test_a_column_that_the_trees_cannot_name_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_names.py").write_text(
        "from featlab.columns import Column\nfrom featlab.parity import Parity\n"
        "from featlab.signals.text import TextSignal\n"
        "class Odd(TextSignal):\n    name = 'odd'\n"
        "    def columns(self):\n        return (Column('a:b', Parity.ODD, 'odd', 'x'),)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="signal odd: the column a:b holds ':'"):
        recipe("--preset", "fast", "--signals", "text", "--signals", "odd_names:Odd")
