# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Our pipeline, stage by stage
#
# Chapter 2 ended with a list of faults. This chapter goes through the pipeline that has none of them.
#
# ![From a source to a report, a bundle, an endpoint and its log, and back to training](../docs/dataflow.svg)
#
# Each arrow is one function; its arguments and its result are the things at the two ends. Training produces the blue
# thing: a **bundle**, a directory that anyone can serve.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn import fit, pipeline
from churn.bundle import bundle
from churn.config.root import compose_config, config_directory
from churn.data import load
from churn.data.experiment import Experiment
from churn.evaluate import baselines
from churn.evaluate.evaluation import MODEL, TRUTH
from churn.evaluate.report import charts, drawing, wording
from churn.network import crossfit, encoding

drawing.for_notebooks()
cfg = compose_config("data.synthetic.rows=5000", "evaluate.bootstrap=300",
                 "evaluate.importance_repeats=1")

# %% [markdown]
# ## A table, and which rows serve which purpose
#
# `load_dataset` gives a `Dataset`: the features as numbers and texts, the labels, and a fingerprint of both.
# `Experiment.split` splits its rows into four parts. Copies of a row and rows of one customer stay together; with a
# time column the split is by time.

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
experiment = Experiment.split(customers, cfg)
parts = experiment.splits
print(parts.sizes(), customers.fingerprint[:12])

# %% [markdown]
# The test part is used once, at the end. On all other rows the default model is **cross-fitted**: its network is an
# ensemble, and each member is trained without one fold; so are the boosted trees beside it. So one fit gives each row a
# prediction by models that have not seen it, and calibration and threshold need no extra rows.

# %%
rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
plan = crossfit.plan_folds(customers, rows, cfg.model, cfg.seed)
held_out = pd.DataFrame(plan.held_out_mask()).groupby(plan.fold_of_row).first()
figure, axes = plt.subplots(figsize=(6.4, 2.6))
axes.imshow(~held_out.to_numpy().T, cmap="Blues", vmax=1.6, aspect="auto", origin="lower")
axes.grid(visible=False)
axes.set(title="White: the fold that a member only predicts", xlabel="Fold of the rows",
         ylabel="Member of the ensemble");

# %% [markdown]
# Trees find rules with fewer rows than a network needs; a network is smoother where the truth is smooth. So the model
# **reads boosted trees**: CatBoost grows symmetric trees on the same rows (`churn.network.boosting`), the folds tell how
# many, and weights at least 0, fitted on the out-of-fold log-odds of trees and network, stack both
# (`churn.network.stack`). Splits and leaves become constants of the TensorFlow graph (`churn.network.trees`), so that the
# bundle needs no CatBoost. `model=network` leaves the trees out.
#
# ## What the network reads
#
# scikit-learn fits the encoding, and the result becomes constants of the TensorFlow graph. A number is one input as it
# is, and it is also spread over quantile bins: each of these inputs rises from 0 to 1 within its bin. So a small
# network can change its slope where the customers are, as trees do.

# %%
months = np.arange(0, 73.0)
tenure = customers.frame[["tenure"]].iloc[parts.train]
bins = encoding.Bins(cfg.model.bins).fit(tenure.dropna().to_numpy())
figure, axes = plt.subplots(figsize=(6.4, 2.8))
axes.plot(months, bins.transform(months[:, None]))
axes.set(title="One number becomes many inputs", xlabel="Months as a customer",
         ylabel="Value of each input");

# %% [markdown]
# A category becomes one input for each level. Rare levels share one input, and so do unseen levels. A missing value has
# a flag.

# %%
fitted = encoding.fit_encoding(customers.frame.iloc[rows], customers.schema, cfg.model)
rare = [name for name, position in zip(customers.schema.categorical, fitted.rare) if position is not None]
print(f"{len(customers.schema.features)} columns become {len(fitted.shift)} inputs; with rare levels: {rare}")

# %% [markdown]
# ## All stages
#
# One function runs the stages in order, `churn.pipeline.run`; `make train` calls it. It prints what it does:

# %%
pipeline.run(cfg);

# %% [markdown]
# A run is a directory, and `runs/latest` points to the newest:

# %%
run = Path("runs/latest")
sorted(path.name for path in run.iterdir())

# %% [markdown]
# ## The bundle takes raw fields
#
# There is no scaler, no column list and no pickle: the graph takes the customer fields as the company has them, and
# gives all outputs.

# %%
served = bundle.Bundle.load(run / "bundle")
test = experiment.test.frame
pd.DataFrame(bundle.decode_strings(served.predict(test.head(3)))).T

# %% [markdown]
# An unknown payment method, or a tenure that is missing though it never was in training, is neither an error nor
# silently zero: the bundle answers, and counts both in `unseen_inputs`.

# %%
strange = test.head(1).assign(PaymentMethod="Shells", tenure=np.nan)
bundle.decode_strings(served.predict(strange))["unseen_inputs"]

# %% [markdown]
# ## What it is worth
#
# The report of the run answers this in full. Here are two of its pictures, drawn by the same functions, beside a
# logistic regression and beside the true probabilities, which are known for these synthetic customers:

# %%
fitted = baselines.fit_baselines(experiment.train, experiment.validation, customers.schema, cfg.seed)
predictions = {
    "logistic_regression": fitted["logistic_regression"](test),
    TRUTH: customers.true_probability[parts.test],
    MODEL: served.predict(test)["churn_probability"].astype(float),
}
gains, calibration, *_ = charts.draw_charts(experiment.test.churned, predictions, history={})
gains

# %%
calibration

# %% [markdown]
# The comparison in numbers: differences, with intervals from the same resampled customers. A bar that crosses the
# line means that the test part has too few customers to tell the two apart.

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
axes.set(title="Our model beside the others, on the same customers",
         xlabel="ROC AUC of our model minus theirs, with 95 % interval");

# %% [markdown]
# ## When a dense network is the right tool, and when it is not
#
# A practitioner would tune boosted trees. `benchmarks/quality.py` compares our model, which reads some, with three
# libraries' on the same folds of two public tables. This is its committed result; [the guide on quality](../docs/quality.md) says what was tried, and where
# the trees are still better:

# %%
results = config_directory().parent / "benchmarks" / "results"
tables = [json.loads(path.read_text()) for path in sorted(results.glob("quality-*.json"))]
auc = [entry for table in tables for entry in table if entry["name"].startswith("roc_auc_minus")]
figure, axes = plt.subplots(figsize=(6.4, 2.8))
for entry in auc:
    low, high = entry["value"] - entry["low"], entry["high"] - entry["value"]
    axes.errorbar(entry["value"], f"{entry['data']}, {entry['peer']}", xerr=[[low], [high]], fmt="o", capsize=3,
                  color="C0" if entry["data"] == "telco" else "C1")
axes.axvline(0, color="0.3", linewidth=0.8)
axes.grid(axis="y", visible=False)
axes.set(title="Left of the line tuned boosted trees rank better",
         xlabel="ROC AUC of our model minus theirs, ± one corrected standard error");

# %% [markdown]
# Choose our model when
#
# - the model has to be *one graph of plain operations*, with calibration, intervals, decision and reasons inside, that
#   a standard TensorFlow container serves, with the same answers everywhere;
# - probabilities matter as much as the ranking, with an honest prediction of every row behind them;
# - texts, images or sequences may join the table later.
#
# Choose boosted trees alone when
#
# - a ranking is enough, it is needed by Friday, and Python will serve it;
# - the table follows rules so closely ("left after the second complaint") that the network's weight is near 0 anyway.
#
# Choose the logistic regression when the report shows ≈ beside it. It often does, and this model is the easiest to
# explain.
#
# ## The same in two lines
#
# A frame that is in memory needs no file and no configuration: `fit` calls the same functions. In a notebook
# `model.report()` shows the page; `model.save(folder)` writes what `churn score bundle=folder/bundle` takes.

# %%
frame = customers.frame.assign(left=customers.churned)
model = fit(frame.head(2_000), target="left", settings=["model=tutorial", "train.epochs=3", "evaluate.bootstrap=50"])
model.predict(frame.tail(3))

# %% [markdown]
# ## Try it
#
# **1.** Train with `model=tutorial` on the same customers. By how much does its ROC AUC differ, and is the difference
# significant?
#
# <details markdown="1"><summary>Solution</summary>
#
# The pipeline has done it already: the report compares with "plain dense network".
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
# **3.** How far is the log loss of the network from the best possible?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# metrics["best_possible"]["log_loss"]["difference"]   # with its interval
# ```
#
# With more rows it comes closer: try `data.synthetic.rows=50000`.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 3, building, training and comparing models; section 5,
# developing end-to-end pipelines.*
#
# Next: [from probability to decision](04_decision.ipynb).
