"""Two-class battles in several languages, as in the WSDM Cup. Here the longer answer wins."""

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from featlab import WSDM, BattleFeatures, read_battles

rng = np.random.default_rng(0)
asked = rng.choice(np.array(["Was ist Liebe? ", "愛とは。", "Что есть любовь? "], object), 300)
a, b = rng.integers(1, 9, (2, 300))
texts = {"prompt": asked, "response_a": asked * a, "response_b": asked * b}
won = np.where(a > b, "model_a", "model_b")
battles = read_battles(pl.DataFrame({"id": range(300), "winner": won, **texts}), WSDM).collect()
model = make_pipeline(BattleFeatures(), LGBMClassifier(n_estimators=40, n_jobs=1, verbose=-1))
print(cross_val_score(model, battles, battles["label"], cv=3).mean())
