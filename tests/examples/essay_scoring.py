"""Essay scoring: one text, regression. Here the richer its vocabulary, the better the essay."""

import numpy as np
import polars as pl
from lightgbm import LGBMRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from featlab import TextFeatures

rng = np.random.default_rng(0)
grades = rng.integers(1, 7, 300)
texts = [" ".join(rng.integers(0, 9 * grade, 60).astype(str)) for grade in grades]
essays = pl.DataFrame({"essay": texts})
model = make_pipeline(TextFeatures("essay"), LGBMRegressor(n_jobs=1, verbose=-1))
print(cross_val_score(model, essays, grades, cv=3, scoring="r2").mean())
