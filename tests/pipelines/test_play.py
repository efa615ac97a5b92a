"""The page to guess on: what it shows, what it hides, whom it answers, and in a browser."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

import models
from featlab.generated import generate_battles
from models.loaded import LoadedPredictor
from pipelines.play import __main__ as command
from pipelines.play.battles import read_voted
from pipelines.play.server import LARGEST_BODY, make_app
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import PlaySettings
from tests.browser import open_browser
from tests.models.small_run import make_run

HERE = "http://127.0.0.1"
NASTY = "<img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"
PAIR = {"prompt": "Is it so?", "response_a": "I'm sorry, but I cannot say.", "response_b": "Yes!"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedPredictor:
    return models.load(make_run(generate_battles(120, seed=8).train, tmp_path_factory.mktemp("x")))


@pytest.fixture(scope="module")
def battles(model: LoadedPredictor) -> pl.DataFrame:
    """Five battles, the first two of hostile texts."""
    read = model.read(generate_battles(5, seed=9).train, outcomes=True).collect()
    hostile = [[NASTY + "\u202e\x00"]] * 2
    texts = [
        pl.Series(name, [*hostile, *read[name].to_list()[2:]])
        for name in ("prompt", "response_a", "response_b")
    ]
    names = [pl.Series(name, [NASTY, NASTY, None, "gpt", "gpt"]) for name in ("model_a", "model_b")]
    stated = [pl.Series(f"stated_{name}", [value] * 5) for name, value in zip(
        ("a", "b", "tie"), (0.5, 0.3, 0.2), strict=True)]  # fmt: skip
    return read.with_columns(
        *texts, *names, *stated, pl.Series("vote", ["a", "b", "tie", "a", "b"])
    )


@pytest.fixture(scope="module")
def app(model: LoadedPredictor, battles: pl.DataFrame) -> Starlette:
    return make_app(model, battles, "<b>run</b>")


@pytest.fixture(scope="module")
def client(app: Starlette) -> TestClient:
    return TestClient(app, HERE, raise_server_exceptions=False)


def test_a_battle_hides_names_and_vote_until_they_are_asked_for(
    client: TestClient, battles: pl.DataFrame
) -> None:
    assert client.get("/run").json() == {
        "run": "<b>run</b>", "battles": 5, "outcomes": ["a", "b", "tie"]
    }  # fmt: skip
    shown = client.get("/battles/0").json()
    assert set(shown) == {"prompt", "response_a", "response_b"}
    assert shown["prompt"] == [NASTY + "[U+202E]␀"]
    answer = client.get("/battles/3/answer").json()
    assert (answer["vote"], answer["names"]) == ("a", ["gpt", "gpt"])
    assert answer["stated"] == {"a": 0.5, "b": 0.3, "tie": 0.2}
    assert client.get("/battles/2/answer").json()["names"] == [None, None]
    assert client.get("/battles/5").status_code == 404


def test_reasons_are_those_of_the_library(client: TestClient, model: LoadedPredictor) -> None:
    found = client.post("/explain", json=PAIR).json()
    explained = model.explain(**PAIR)
    assert list(found["stated"].values()) == pytest.approx(explained.probabilities)
    assert found["margin"] == pytest.approx(explained.margin)
    assert sum(margin for _, margin in found["families"]) == pytest.approx(explained.margin)
    assert found["features"][0]["meaning"] == explained.features["meaning"][0]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"prompt": 1, "response_a": "", "response_b": ""}', "application/json", 400),
        (json.dumps({**PAIR, "prompt": "\ud800"}).encode(), "application/json", 400),
        (b"\xff", "application/json", 400),
        (json.dumps(PAIR).encode(), "text/plain", 415),
        (b" " * (LARGEST_BODY + 1), "application/json", 413),
    ],
)
def test_a_body_that_is_not_asked_for_is_refused(
    client: TestClient, body: bytes, kind: str, status: int
) -> None:
    answered = client.post("/explain", content=body, headers={"Content-Type": kind})
    assert answered.status_code == status
    assert answered.json()["error"]


def test_empty_texts_are_answered(client: TestClient) -> None:
    assert client.post("/explain", json=dict.fromkeys(PAIR, "")).status_code == 200


@pytest.mark.parametrize("address", ["/", "/run", "/battles/0", "/battles/9", "/nothing"])
def test_every_answer_is_guarded(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(re.split("[ ;]", policy))
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    answered = client.get("/run", headers={"Host": host})
    assert answered.status_code == 400
    assert "battles" not in answered.text
    assert client.get("/run", headers={"Host": "localhost:1234"}).status_code == 200


def test_the_battles_are_a_run_s_with_what_was_said_before_they_were_seen(trained: Path) -> None:
    voted = read_voted(RunFolder(trained))
    stated = pl.read_parquet(trained / "oof.parquet")
    assert voted["stated_b"].equals(stated["winner_model_b"], check_names=False)
    labels = np.array(["a", "b", "tie"])[stated["label"]]
    assert voted["vote"].to_list() == labels.tolist()
    assert voted["id"].equals(stated["id"])


@pytest.mark.parametrize(("missing", "words"), [("run", "no finished run"), ("port", "port")])
def test_what_cannot_be_served_ends_in_a_sentence(
    trained: Path, tmp_path: Path, missing: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with command.listening(0) as taken:
        port, run = taken.getsockname()[1], tmp_path if missing == "run" else trained
        with pytest.raises(SystemExit) as ended:
            run_command(
                command.main, PlaySettings, "play", ["--run", str(run), "--port", str(port)]
            )
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_ctrl_c_ends_it_as_it_should(trained: Path) -> None:
    arguments = [sys.executable, "-m", "pipelines.play", "--run", str(trained)]
    with subprocess.Popen(
        arguments, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        assert "end it with Ctrl-C" in child.stderr.readline()
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        assert child.stderr.read().strip() == ""
    assert child.returncode == 0


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address of a server in a thread."""
    with command.listening(0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"{HERE}:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def test_a_person_guesses_in_a_browser_and_hostile_texts_stay_texts(
    app: Starlette, battles: pl.DataFrame, tmp_path: Path
) -> None:
    shown = "document.getElementById('{}').textContent"
    with serving(app) as address, open_browser(tmp_path / "profile") as browser:
        browser.open(address)
        browser.wait("!!document.querySelector('#guesses:not([hidden])')")
        assert browser.run(shown.format("run")) == "<b>run</b>"
        seen, right = [], 0
        for number in range(5):
            if number:
                browser.run("document.getElementById('draw').click()")
                browser.wait("document.getElementById('answer').hidden")
                browser.wait("!document.querySelector('[data-guess=a]').disabled")
            assert browser.run(shown.format("name_a")) == ""
            seen.append(browser.run(shown.format("shown_response_a")))
            browser.run("document.querySelector('[data-guess=a]').click()")
            browser.wait("!document.getElementById('answer').hidden")
            verdict = browser.run(shown.format("verdict"))
            right += "voter: A" in verdict
            assert "you: A · model: A" in verdict
            assert browser.run(shown.format("score")) == (
                f"you {right}, model {right} of {number + 1}"
            )
        assert right == 2
        assert sum(NASTY in text for text in seen) == 2
        assert browser.run("document.querySelectorAll('main img, main script').length") == 0
        browser.run("document.getElementById('own').click()")
        for name, text in PAIR.items():
            browser.run(f"document.getElementById('{name}').value = {json.dumps(text)}")
        browser.run("document.querySelector('[data-guess=b]').click()")
        browser.wait("!document.getElementById('answer').hidden")
        assert "voter" not in browser.run(shown.format("verdict"))
        assert browser.run(shown.format("families"))
        assert browser.run(shown.format("score")) == "you 2, model 2 of 5"
        assert browser.run("document.title") == "Guess against the model"
        assert browser.run("Object.keys(localStorage).length + document.cookie.length") == 0
        assert browser.said == []
        assert {url.startswith((address, "data:")) for url in browser.asked} == {True}
