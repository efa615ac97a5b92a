from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featlab.encoder.spec import EncoderSpec
from featlab.errors import StoreError
from featlab.files import atomic_path
from featlab.vectors import EmbeddingStore, Keys, content_keys, open_store
from featlab.vectors.segments import TornSegmentError, read_keys, write_segment
from tests.featlab.hash_encoder import DIMENSION, SPEC, hashed

LOGGER = "featlab.vectors.store"


def keys_of(texts: list[str]) -> Keys:
    return content_keys("text", (text.encode() for text in texts))


def vectors_of(texts: list[str]) -> np.ndarray:
    return np.array([hashed(text) for text in texts]).reshape(len(texts), DIMENSION)


def append(store: EmbeddingStore, texts: list[str]) -> None:
    store.append(keys_of(texts), vectors_of(texts))


def segments(root: Path, spec: EncoderSpec = SPEC) -> list[Path]:
    return sorted((root / spec.id).glob("*.npy"))


@settings(max_examples=30)
@given(batches=st.lists(st.lists(st.text(max_size=5), max_size=6), max_size=6), data=st.data())
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    written = open_store(root, SPEC)
    for batch in batches:
        append(written, batch)
    texts = [text for batch in batches for text in batch]
    asked = data.draw(st.lists(st.sampled_from(texts), max_size=20)) if texts else []
    for store in (written, open_store(root, SPEC), open_store(root, SPEC, read_only=True)):
        assert not store.missing(keys_of(texts)).any()
        if texts:
            np.testing.assert_array_equal(store.read(keys_of(asked)), vectors_of(asked))
        strangers = [text + "?" for text in texts if text + "?" not in texts]
        assert store.missing(keys_of(strangers)).all()


def test_vectors_are_rounded_to_float16(tmp_path: Path) -> None:
    store = open_store(tmp_path, SPEC)
    store.append(keys_of(["x"]), np.array([[0.1, 1 / 3]], np.float32))
    read = store.read(keys_of(["x"]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.array([[0.1, 1 / 3]], np.float16))


def test_require_touches_no_file_and_appends_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no vectors of this spec"):
        open_store(tmp_path / "store", SPEC, read_only=True)
    assert list(tmp_path.iterdir()) == []
    append(open_store(tmp_path, SPEC), ["x"])
    with pytest.raises(StoreError, match="read only"):
        append(open_store(tmp_path, SPEC, read_only=True), ["y"])


def test_absent_vectors_are_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SPEC)
    append(store, ["x"])
    with pytest.raises(StoreError, match="2 of 3 vectors are absent"):
        store.read(keys_of(["x", "y", "z"]))


@pytest.mark.parametrize("value", [np.nan, np.inf, 70_000.0])
def test_numbers_that_float16_cannot_hold_are_refused(tmp_path: Path, value: float) -> None:
    store = open_store(tmp_path, SPEC)
    with pytest.raises(StoreError, match="not finite in float16"):
        store.append(keys_of(["x"]), np.array([[1.0, value]]))
    assert store.missing(keys_of(["x"])).all()
    assert segments(tmp_path) == []


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path, SPEC)
    store.append(keys_of(["x"]), np.ones((1, 4)))
    with pytest.raises(StoreError, match=r"shape \(1, 5\) where \(1, 4\)"):
        store.append(keys_of(["y"]), np.ones((1, 5)))


def test_a_changed_spec_reads_nothing_of_the_old_one(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x"])
    for changed in (
        EncoderSpec("hash-encoder", max_tokens=SPEC.max_tokens + 1),
        EncoderSpec("hash-encoder", pooling="cls"),
        EncoderSpec("hash-encoder", revision="main"),
        EncoderSpec("another"),
    ):
        assert open_store(tmp_path, changed).missing(keys_of(["x"])).all()
    assert not open_store(tmp_path, SPEC).missing(keys_of(["x"])).any()


def test_vectors_moved_under_another_spec_are_refused(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x"])
    other = EncoderSpec("another")
    (tmp_path / SPEC.id).rename(tmp_path / other.id)
    with pytest.raises(StoreError, match="another spec's vectors"):
        open_store(tmp_path, other)


def test_an_edited_spec_is_refused(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x"])
    path = tmp_path / SPEC.id / "spec.json"
    recorded = json.loads(path.read_text())
    recorded["spec"]["max_tokens"] += 1
    path.write_text(json.dumps(recorded))
    with pytest.raises(StoreError, match="was changed"):
        open_store(tmp_path, SPEC)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"fingerprint": 1}', "null"])
def test_a_damaged_spec_is_refused(tmp_path: Path, content: str) -> None:
    append(open_store(tmp_path, SPEC), ["x"])
    (tmp_path / SPEC.id / "spec.json").write_text(content)
    with pytest.raises(StoreError, match="is damaged"):
        open_store(tmp_path, SPEC)


def test_vectors_without_a_spec_are_refused(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x"])
    (tmp_path / SPEC.id / "spec.json").unlink()
    with pytest.raises(StoreError, match="what made them is unknown"):
        open_store(tmp_path, SPEC)


def test_the_spec_lies_beside_its_vectors(tmp_path: Path) -> None:
    open_store(tmp_path, SPEC)
    recorded = json.loads((tmp_path / SPEC.id / "spec.json").read_text())
    assert EncoderSpec.from_dict(recorded["spec"]) == SPEC


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_torn_segment_is_noticed_and_redone(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = open_store(root, SPEC)
    append(store, ["a", "b"])
    append(store, ["c"])
    torn = data.draw(st.sampled_from(segments(root)))
    content = bytearray(torn.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans(), label="cut short"):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    torn.write_bytes(content)

    with caplog.at_level(logging.WARNING, LOGGER):
        required = open_store(root, SPEC, read_only=True)
    assert required.torn == [torn]
    assert torn.exists()
    with pytest.raises(StoreError, match="1 of whose segments were torn"):
        required.read(keys_of(["a", "b", "c"]))

    caplog.clear()
    with caplog.at_level(logging.WARNING, LOGGER):
        mended = open_store(root, SPEC)
    assert torn.name in caplog.text
    assert not torn.exists()
    lost = [t for t, gone in zip("abc", mended.missing(keys_of(list("abc"))), strict=True) if gone]
    assert lost in (["a", "b"], ["c"])
    append(mended, lost)

    caplog.clear()
    again = open_store(root, SPEC, read_only=True)
    np.testing.assert_array_equal(again.read(keys_of(list("abc"))), vectors_of(list("abc")))
    assert (again.torn, caplog.text) == ([], "")


def test_a_stranger_named_like_a_segment_is_no_segment(tmp_path: Path) -> None:
    path = write_segment(tmp_path, keys_of(["x"]), np.ones((1, 4), np.float16))
    assert read_keys(path)[1] == 4
    for stranger in (np.ones(3), np.zeros((2, 2), [("key", "V16"), ("vector", "<f4", (2,))])):
        unnamed = tmp_path / "stranger.npy"
        np.save(unnamed, stranger)
        digest = hashlib.blake2b(unnamed.read_bytes(), digest_size=16).hexdigest()
        named = unnamed.rename(tmp_path / f"{digest}.npy")
        with pytest.raises(TornSegmentError, match="no segment of this store"):
            read_keys(named)


def test_a_segment_is_readable_with_numpy_alone(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x", "y"])
    records = np.load(segments(tmp_path)[0], mmap_mode="r")
    np.testing.assert_array_equal(records["vector"], vectors_of(["x", "y"]))
    assert records["key"].tobytes() == keys_of(["x", "y"]).tobytes()


def test_a_vector_once_read_stays_the_same(tmp_path: Path) -> None:
    first, second = open_store(tmp_path, SPEC), open_store(tmp_path, SPEC)
    for number in range(8):
        key = keys_of([str(number)])
        first.append(key, np.array([[1.0]]))
        second.append(key, np.array([[2.0]]))
        first.refresh()
        second.refresh()
        assert (first.read(key).item(), second.read(key).item()) == (1.0, 2.0)
        assert open_store(tmp_path, SPEC).read(key).item() in (1.0, 2.0)


def test_refresh_takes_in_what_others_appended(tmp_path: Path) -> None:
    mine, other = open_store(tmp_path, SPEC), open_store(tmp_path, SPEC)
    append(other, ["x"])
    assert mine.missing(keys_of(["x"])).all()
    mine.refresh()
    np.testing.assert_array_equal(mine.read(keys_of(["x"])), vectors_of(["x"]))


def test_the_same_batch_twice_is_one_segment(tmp_path: Path) -> None:
    append(open_store(tmp_path, SPEC), ["x", "y"])
    before = segments(tmp_path)
    store = EmbeddingStore(tmp_path / SPEC.id)
    append(store, ["x", "y"])
    assert segments(tmp_path) == before


def test_only_what_nobody_writes_any_more_is_removed(tmp_path: Path) -> None:
    open_store(tmp_path, SPEC)
    left = tmp_path / SPEC.id / ".ab.npy.0123abcd.part"
    with atomic_path(tmp_path / SPEC.id / "cd.npy") as written:
        left.write_bytes(b"half")
        open_store(tmp_path, SPEC, read_only=True)
        assert left.exists()
        open_store(tmp_path, SPEC)
        assert (left.exists(), written.exists()) == (False, True)


def _append_texts(root: Path, name: str, count: int) -> None:
    store = open_store(root, SPEC)
    for number in range(count):
        append(store, [f"shared {number}", f"{name} {number}"])


def test_processes_may_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    writers = [
        context.Process(target=_append_texts, args=(tmp_path, name, 25)) for name in ("one", "two")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    texts = [f"{name} {number}" for name in ("shared", "one", "two") for number in range(25)]
    store = open_store(tmp_path, SPEC, read_only=True)
    assert store.torn == []
    np.testing.assert_array_equal(store.read(keys_of(texts)), vectors_of(texts))


WRITER = """
import sys
from pathlib import Path
from featlab.vectors import open_store
from tests.featlab.vectors.test_store import append
from tests.featlab.hash_encoder import SPEC

store = open_store(Path(sys.argv[1]), SPEC)
for number in range(10**6):
    append(store, [f"{number} {row}" for row in range(300)])
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_every_finished_batch(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    for delay in (0.0, 0.013, 0.031):
        folder = tmp_path / str(delay)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(3)]
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.stdout.close()
        writer.wait(30)
        finished = len([line for line in said if line.endswith("\n")])
        assert finished >= 3

        store = open_store(folder, SPEC)
        assert store.torn == []
        # A batch may be stored just before the writer could say so, never half.
        cut = keys_of([f"{finished} {row}" for row in range(300)])
        assert store.missing(cut).sum() in (0, 300)
        assert store.missing(keys_of([f"{finished + 1} 0"])).all()
        texts = [f"{number} {row}" for number in range(finished) for row in range(300)]
        np.testing.assert_array_equal(store.read(keys_of(texts)), vectors_of(texts))
