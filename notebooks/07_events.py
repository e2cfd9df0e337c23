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
# # 7. From events to a table
#
# All chapters so far began with a table: one row per customer, one column that says who left. Most companies do not have
# it. They have payments, visits and contracts with dates, and nobody wrote down who "churned". Whoever makes the table
# by hand nearly always looks into the future without noticing.
#
# This chapter goes the whole way on synthetic events: raw tables, a definition, a table, a model, Monday's list.

# %%
# %config InlineBackend.figure_formats = ["svg"]
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from churn import pipeline
from churn.bundle.bundle import Bundle
from churn.config.root import compose_config
from churn.data.declared import with_declared_roles
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.evaluate.report.drawing import for_notebooks
from churn.events import report, stage
from churn.events.workspace import open_workspace
from churn.score.stage import score

for_notebooks()
example = ["events=synthetic", "events.synthetic.customers=2000", "events.synthetic.churn_rate=0.1"]
stage.synthesize(compose_config(*example))

# %% [markdown]
# ## The raw tables
#
# Subscriptions say when somebody came and left. Payments were made at one time and *booked*, that is known, on the same
# day or days later. Usage comes from a server that counts in UTC. Plans change.

# %%
folder = Path("runs/events")
payments = pd.read_csv(folder / "payments.csv", parse_dates=["paid_at"])
usage = pd.read_parquet(folder / "usage.parquet")
payments.head(3)

# %%
someone = payments["customer"].value_counts().index[40]
own = usage[usage["customer"] == someone]["at"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
paid = payments[payments["customer"] == someone]
figure, axes = plt.subplots(figsize=(6.4, 1.8))
axes.plot(own, np.zeros(len(own)), "|", markersize=16, label="used it")
axes.plot(paid["paid_at"], np.ones(len(paid)), "o", label="paid")
failed = paid[paid["status"] == "failed"]
axes.plot(failed["paid_at"], np.ones(len(failed)), "x", markersize=9, label="payment failed")
axes.axvline(pd.Timestamp("2024-03-01"), color="0.3", linestyle=":")
axes.annotate("a cut-off: what was known here?", (pd.Timestamp("2024-03-05"), 0.45), color="0.3")
axes.set(title=f"Everything we know of {someone}", yticks=[], ylim=(-0.5, 1.6))
axes.legend(loc="upper left", ncols=3, bbox_to_anchor=(0, -0.2), frameon=False);

# %% [markdown]
# ## A definition
#
# Three things make a table of this: **cut-offs** (dates at which the question is asked), a **horizon** (how long we wait for
# the answer) and a **definition** (what counts as churned). They stand in one file, `configs/events/synthetic.yaml`.
#
# Here the contract's end decides. Where there are no contracts, silence has to. From when on is silence an end? Of those who
# have been silent for so many days, so many come back:

# %%
events = compose_config(*example).events
with open_workspace(events) as work:
    made = report.make_snapshot(work, Path("snapshots.parquet"), seed=42)
silence = next(one for one in made.silences if one.table == "usage")
figure, axes = plt.subplots(figsize=(6.4, 2.8))
shown = slice(0, 200)
axes.plot(silence.days[shown], 100 * silence.come_back[shown])
axes.axhline(10, color="0.4", linestyle=":")
axes.axvline(silence.stable_from, color="C1")
axes.annotate(f"fewer than 10 % from {silence.stable_from} days on", (silence.stable_from + 3, 50), color="C1")
axes.set(title="Silence: a pause or an end?", xlabel="Days without a use", ylabel="Of those silent so long,\ncome back (%)",
         ylim=(0, 102));

# %% [markdown]
# A definition "no use for 30 days" would call many lost who only pause. `churn snapshot` draws this, the base rate by cut-off and
# more on one page beside the table, `snapshots.html`.
#
# ## The table

# %%
table = pd.read_parquet("snapshots.parquet")
print(f"{len(table):,} rows of {table['customer'].nunique():,} customers at {table['cutoff'].nunique()} cut-offs")
table[table["customer"] == someone].iloc[:4, [0, 1, 2, 3, 4, 6, 7, -3, -2, -1]]

# %% [markdown]
# One customer, several rows: each says what was known at one cut-off, strictly before it. A payment that was booked two days
# later is not known yet. What the program found odd on the way is counted, never silent:

# %%
for finding in made.findings:
    print(f"! {finding.title}\n    {finding.evidence}")

# %% [markdown]
# ## Rows of one customer are not independent
#
# The classic mistake with such a table is to deal its rows out at random. Next month's row of the same customer looks nearly
# the same, and with weekly cut-offs and a horizon of four weeks it even has the same answer. Nearest neighbours show how much of
# an "AUC" that can be:

# %%
weekly = compose_config(*example, "events.cutoffs.step=week", "events.cutoffs.first=2024-01-01", "output=weekly.parquet")
stage.snapshot(weekly)
data = with_declared_roles(compose_config("data=parquet", "data.path=weekly.parquet").data)
promised = {}
for method in ("article", "time"):
    cfg = compose_config(f"split.method={method}")
    parts = Experiment.split(load_dataset(data, 0), replace(cfg, data=data))
    numbers = list(parts.data.schema.numeric)
    X, Z = (part.frame[numbers].fillna(-1) for part in (parts.train, parts.test))
    neighbours = make_pipeline(QuantileTransformer(), KNeighborsClassifier(3)).fit(X, parts.train.churned)
    promised[method] = roc_auc_score(parts.test.churned, neighbours.predict_proba(Z)[:, 1])
pd.Series(promised).rename({"article": "rows dealt out at random", "time": "split by time, with a gap"}).to_frame("ROC AUC")

# %% [markdown]
# The second number is what the neighbours will hold. `churn train` splits a snapshot by time without being told: the file says
# which column is the time, and how long the horizon is.
#
# ## A model, and Monday's list

# %%
quick = ["train.epochs=4", "evaluate.bootstrap=50", "evaluate.importance_repeats=1", "export.refits=0"]
pipeline.run(compose_config("data=parquet", "data.path=snapshots.parquet", "run.dir=runs/from-events", *quick));

# %% [markdown]
# The example's customers leave by a hazard that is known, so that there is a best possible model: the true probabilities.

# %%
bundle = Bundle.load(Path("runs/from-events/bundle"))
data = with_declared_roles(compose_config("data=parquet", "data.path=snapshots.parquet").data)
parts = Experiment.split(load_dataset(data, 42), replace(compose_config(), data=data))
test = parts.splits.test
truth = pd.read_parquet(folder / "truth.parquet").astype({"cutoff": "datetime64[s]"})
asked = pd.DataFrame({"customer": parts.data.ids[test], "cutoff": parts.data.times[test]})
best = asked.merge(truth, how="left")["probability"]
ours = bundle.predict(parts.test.frame)["churn_probability"]
pd.Series({"this network": roc_auc_score(parts.test.churned, ours),
           "best possible": roc_auc_score(parts.test.churned, best)}).to_frame("ROC AUC").round(3)

# %% [markdown]
# On Monday the same definition, which travels in the bundle, makes the same columns of the tables as they are that day. Nothing is
# written twice, so nothing can differ. (The example's world ends with 2024; without a date it would be today.)

# %%
score(compose_config("bundle=runs/from-events/bundle", "input=events", "score.cutoff=2024-12-31", "output=monday.csv", "top=10"))
pd.read_csv("monday.csv").iloc[:5, [0, 1, 2, 3, -3]]

# %% [markdown]
# [The guide](../docs/events.md) has the rest: other definitions, BigQuery, labels for the monitor.
#
# ## Try it
#
# **1.** Define churn by silence instead: no use within 112 days, among those who used it in the 30 days before. What is the base
# rate?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# from churn.config.events import ChurnConfig, ChurnKind
#
# silent = ChurnConfig(kind=ChurnKind.inactive, table="usage", lookback=30)
# with open_workspace(replace(events, churn=silent, horizon=112)) as work:
#     other = report.make_snapshot(work, Path("silent.parquet"), seed=42)
# counts = np.array(list(other.contents.by_cutoff.values())).sum(axis=0)
# counts[1] / counts[0]
# ```
#
# </details>
#
# **2.** How many customers at the last cut-offs are censored by that longer horizon, and why have they no row?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# other.censored   # their 112 days are not over when the data end: nobody knows the answer yet
# ```
#
# </details>
#
# **3.** What does the file say about its own columns?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# from churn.data.declared import facts_of
# facts_of("snapshots.parquet")["roles"]["time"], facts_of("snapshots.parquet")["roles"]["horizon"]
# ```
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 2, preprocessing organisation-wide data and avoiding leakage;
# section 3, consistent features in training and serving.*
#
# This was the last chapter. Back to [the first](01_question.ipynb), or on to the guides.
