"""Question pairs: two texts that may ask the same. Here those that do share most words."""

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from featlab import PairFeatures

rng = np.random.default_rng(0)
words, same = rng.integers(0, 200, (300, 9)), rng.integers(0, 2, 300)
others = np.where(rng.random((300, 9)) < 0.3 + 0.4 * same[:, None], words, words + 200)
questions = {name: [*map(" ".join, x.astype(str))] for name, x in (("q1", words), ("q2", others))}
model = make_pipeline(PairFeatures("q1", "q2", families="overlap"), LogisticRegression())
print(cross_val_score(model, pl.DataFrame(questions), same, cv=3, scoring="roc_auc").mean())
