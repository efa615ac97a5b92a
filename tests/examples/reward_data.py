"""Reward data, chosen and rejected: a reward of each response alone. Here politeness is chosen."""

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from featlab import BattleFeatures, TextFeatures, read_battles

rng = np.random.default_rng(0)
polite, rude = rng.integers(2, 5, 300), rng.integers(0, 3, 300)
said = {"chosen": np.array("thanks ", object) * polite, "rejected": np.array("no! ", object) * rude}
battles = read_battles(pl.DataFrame({"prompt": map(str, range(300)), **said})).collect()
features = BattleFeatures(families=["verbosity", "punctuation"]).fit(battles)
names = [name for name in features.get_feature_names_out() if name.endswith("__difference")]
# On differences, without an intercept, the log odds of a battle are a difference of two rewards.
model = LogisticRegression(fit_intercept=False, C=0.01)
model.fit(features.transform(battles).select(names), battles["label"] == 0)
sides = TextFeatures("said", features=[name.removesuffix("__difference") for name in names])
rewards = [sides.fit_transform(pl.DataFrame({"said": said[side]})).to_numpy() @ model.coef_[0]
           for side in said]  # fmt: skip
print((rewards[0] > rewards[1]).mean())
