# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Our pipeline, stage by stage
#
# Chapter 2 ended with a list of faults. Here is the machine that has none of them, opened up.
#
# ![From a source to a report, a bundle, an endpoint and its log, and back to training](../docs/dataflow.svg)
#
# Each arrow is one function, whose arguments and result are the things at its two ends. Training leaves one thing
# behind, the blue one: a **bundle**, a directory that anyone can serve.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn import pipeline
from churn.bundle import bundle
from churn.config.root import compose_config, config_directory
from churn.data import load, split
from churn.evaluate import baselines
from churn.evaluate.evaluation import MODEL, TRUTH
from churn.evaluate.report import charts, drawing, wording
from churn.network import crossfit, encoding

drawing.for_notebooks()
cfg = compose_config("data.synthetic.rows=5000", "evaluate.bootstrap=300",
                 "evaluate.importance_repeats=1")

# %% [markdown]
# ## A table, and who may see which row
#
# `load` gives a `Dataset`: the features as numbers and texts, the labels, and a fingerprint of both. `split` deals the
# rows out. Copies of a row, and rows of one customer, stay together; with a time column the split is by time.

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
parts = split.split_dataset(customers, cfg.split, cfg.data.horizon, cfg.seed)
print(parts.sizes(), customers.fingerprint[:12])

# %% [markdown]
# The test part is looked at once, at the end. On everything else the default network is **cross-fitted**: it is an
# ensemble, and each member is trained without one fold. So one fit gives a prediction for every row by members that
# have never seen it, and calibration and threshold need no rows of their own. A second fold tells each member when to
# stop.

# %%
rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
plan = crossfit.plan_folds(customers, rows, cfg.model, cfg.seed)
unseen = pd.DataFrame(plan.held_out()).groupby(plan.fold_of_row).first()
figure, axes = plt.subplots(figsize=(6.4, 2.6))
axes.imshow(~unseen.to_numpy().T, cmap="Blues", vmax=1.6, aspect="auto", origin="lower")
axes.grid(visible=False)
axes.set(title="White: the fold that a member never sees, and is asked about", xlabel="Fold of the rows",
         ylabel="Member of the ensemble");

# %% [markdown]
# A member learns the labels of its rows, and also what boosted trees, fitted on the same rows, answer about customers
# that are made up. Trees find rules with fewer rows than a network needs; the network learns them from the trees, and
# what ships is the network alone (`churn.network.distill`).
#
# ## What the network reads
#
# scikit-learn fits the encoding; what it fitted becomes constants of the TensorFlow graph. A number is given as it
# is, and also spread over quantile bins: each input rises from 0 to 1 within its bin. A small network can then bend
# where the customers are, which is what trees do for free.

# %%
months = np.arange(0, 73.0)
tenure = customers.frame[["tenure"]].iloc[parts.train]
bins = encoding.Bins(cfg.model.bins).fit(tenure.dropna().to_numpy())
figure, axes = plt.subplots(figsize=(6.4, 2.8))
axes.plot(months, bins.transform(months[:, None]))
axes.set(title="One number becomes many inputs, dense where the customers are", xlabel="Months as a customer",
         ylabel="Value of each input");

# %% [markdown]
# Categories become one input for each level; rare levels share one, and so does whatever is never seen before. A gap
# has a flag.

# %%
encoding = encoding.fit_encoding(customers.frame.iloc[rows], customers.schema, cfg.model)
rare = [name for name, place in zip(customers.schema.categorical, encoding.rare) if place is not None]
print(f"{len(customers.schema.features)} columns become {len(encoding.shift)} inputs; with rare levels: {rare}")

# %% [markdown]
# ## All of it
#
# One function runs the stages in order, `churn.pipeline.run`; `make train` calls it. It says what it does:

# %%
pipeline.run(cfg);

# %% [markdown]
# A run is a directory, and `runs/latest` points to the newest:

# %%
run = Path("runs/latest")
sorted(path.name for path in run.iterdir())

# %% [markdown]
# ## The bundle answers raw fields
#
# No scaler, no column list, no pickle: the graph takes what the company has, and gives everything that is needed.

# %%
served = bundle.Bundle.load(run / "bundle")
test = customers.frame.iloc[parts.test]
pd.DataFrame(bundle.decode_strings(served.predict(test.head(3)))).T

# %% [markdown]
# An unknown payment method is no crash and no silent zero: it is answered, and counted in `unseen_inputs`.

# %%
strange = test.head(1).assign(PaymentMethod="Shells", tenure=np.nan)
bundle.decode_strings(served.predict(strange))["unseen_inputs"]

# %% [markdown]
# ## What it is worth
#
# The report of the run has it all. Two of its pictures, drawn by the same functions, beside a logistic regression and
# beside the truth, which is known because these customers are synthetic:

# %%
churned = customers.churned[parts.test]
known = [(customers.frame.iloc[p], customers.churned[p]) for p in (parts.train, parts.validation)]
line = baselines.fit_baselines(*known[0], *known[1], customers.schema, cfg.seed)["logistic_regression"]
predictions = {
    "logistic_regression": line(test),
    TRUTH: customers.true_probability[parts.test],
    MODEL: served.predict(test)["churn_probability"].astype(float),
}
gains, calibration, *others = charts.draw_charts(churned, predictions, history={})
gains

# %%
calibration

# %% [markdown]
# And the same numbers as differences, each with an interval from the same resampled customers. A bar that crosses the
# line means: on this many customers, nobody can tell.

# %%
metrics = json.loads((run / "metrics.json").read_text())
others = {**metrics["baselines"], "truth": metrics["best_possible"]}
figure, axes = plt.subplots(figsize=(6.4, 2.6))
for name, numbers in others.items():
    if name != "base_rate":
        gap = numbers["roc_auc"]["difference"]
        low, high = gap["value"] - gap["low"], gap["high"] - gap["value"]
        axes.errorbar(gap["value"], wording.display_name(name), xerr=[[low], [high]], fmt="o", capsize=3, color="C0")
axes.axvline(0, color="0.3", linewidth=0.8)
axes.grid(axis="y", visible=False)
axes.set(title="Our network against the others, on the same test customers",
         xlabel="ROC AUC of this network minus theirs, with 95 % interval");

# %% [markdown]
# ## When a dense network is the right tool, and when it is not
#
# What a practitioner would use instead is boosted trees, tuned. The benchmark `benchmarks/quality.py` compares them on
# the same folds of two public tables; this is its committed result, and [the guide on quality](../docs/quality.md) says
# what was tried and where the trees stay better:

# %%
results = config_directory().parent / "benchmarks" / "results"
found = [json.loads(path.read_text()) for path in sorted(results.glob("quality-*.json"))]
auc = [entry for table in found for entry in table if entry["name"].startswith("roc_auc_minus")]
figure, axes = plt.subplots(figsize=(6.4, 2.8))
for entry in auc:
    low, high = entry["value"] - entry["low"], entry["high"] - entry["value"]
    axes.errorbar(entry["value"], f"{entry['data']}, {entry['peer']}", xerr=[[low], [high]], fmt="o", capsize=3,
                  color="C0" if entry["data"] == "telco" else "C1")
axes.axvline(0, color="0.3", linewidth=0.8)
axes.grid(axis="y", visible=False)
axes.set(title="Left of the line tuned boosted trees rank better",
         xlabel="ROC AUC of our network minus theirs, ± one corrected standard error");

# %% [markdown]
# Take the network when
#
# - the model has to be *one graph of plain operations*, with calibration, doubt, decision and reasons inside, that a
#   stock TensorFlow container serves and that answers alike everywhere;
# - there are very many rows, or the model has to go on learning from new ones;
# - texts, images or sequences may join the table later.
#
# Take boosted trees when
#
# - the table is small or follows rules ("left after the second complaint"), and a hundredth of ROC AUC is money;
# - nothing but a ranking is needed, by Friday, and Python will serve it.
#
# Take the logistic regression when the report says ≈. It often does, and it can be explained in one line.
#
# ## Try it
#
# **1.** Train with `model=tutorial` on the same customers. By how much does its ROC AUC differ, and can you tell?
#
# <details markdown="1"><summary>Solution</summary>
#
# It is there already: the report compares with "the tutorial's network".
#
# ```python
# metrics["baselines"]["tutorial"]["roc_auc"]["difference"]
# ```
#
# </details>
#
# **2.** Change one byte of `runs/latest/bundle/saved_model.pb` and load the bundle again.
#
# <details markdown="1"><summary>Solution</summary>
#
# `Bundle.load` compares the checksums of every file and refuses: "the bundle was changed or is incomplete".
#
# </details>
#
# **3.** How far is the network from the best possible in log loss?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# metrics["best_possible"]["log_loss"]["difference"]   # nats per customer, with its interval
# ```
#
# More rows bring it closer: try `data.synthetic.rows=50000`.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 3, building, training and comparing models; section 5,
# developing end-to-end pipelines.*
#
# Next: [from probability to decision](04_decision.ipynb).
