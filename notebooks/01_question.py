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
# # 1. The question and the data
#
# A telephone company loses a quarter of its customers in a year. On Monday morning the call centre can ring some
# of the others up and make them an offer. **Whom?** That is the whole question; everything in these chapters
# serves it.
#
# This chapter has no model in it. It asks what a wrong call costs, looks at the table, and finds the columns that
# would fool a model.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn.bundle import decision
from churn.config.root import compose_config
from churn.data import load, split
from churn.evaluate import baselines
from churn.evaluate.evaluation import MODEL, evaluate
from churn.evaluate.report.drawing import for_notebooks

for_notebooks()

# %% [markdown]
# ## What one call costs, and what it brings
#
# Before any data there are four numbers that somebody in the company knows, or must guess. They are keys of the
# configuration, group `decision`:

# %%
cfg = compose_config()
money = cfg.decision
keys = ["customer_value", "contact_cost", "offer_cost", "success"]
pd.Series({key: getattr(money, key) for key in keys}, name="default").to_frame()

# %% [markdown]
# There are only two kinds of customers and two things to do, so four outcomes. Somebody who would stay takes the
# offer as gladly as somebody who would leave: that makes the useless call the expensive one.

# %%
value = np.array(money.customer_value)
left, stayed = (float(decision.call_gain(np.array(kind), value, money)) for kind in (1, 0))
pd.DataFrame({"called": [left, stayed], "not called": 0.0}, index=["would leave", "would stay"])

# %% [markdown]
# A call to somebody who leaves with probability *p* brings *p* times the first number and 1 − *p* times the second.
# It pays from the point where that is above zero.

# %%
chance = np.linspace(0, 1, 101)
even = decision.break_even(money.customer_value, money)
figure, axes = plt.subplots()
axes.plot(100 * chance, decision.expected_profit(chance, value, money))
axes.axhline(0, color="0.4", linewidth=0.8)
axes.axvline(100 * even, color="C1", linestyle="--")
axes.annotate(f"pays from {even:.0%}", (100 * even + 2, 35), color="C1")
axes.axvline(50, color="0.4", linestyle=":")
axes.annotate("the tutorial's threshold", (52, -8), color="0.3")
axes.set(title="What one call brings on average", xlabel="Probability that the customer leaves (%)",
         ylabel="Profit of the call (any currency)");

# %% [markdown]
# Under these numbers a call pays at a sixth, far below one half. A model that only says "will leave" when it is more
# than 50 % sure leaves much of the money on the table; chapter 2 counts how much. And a *probability* is needed that
# means what it says, not just a ranking: chapter 4.
#
# ## The table
#
# The customers here are made by the package itself, in the columns of IBM's public Telco table, so that nothing has
# to be downloaded and the true probability of each is known. `churn train data=telco` would take the real one.

# %%
raw = load.read_source(cfg.data, cfg.seed)
raw.frame.head(3).T

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
print(f"{len(customers):,} customers, {customers.churned.mean():.1%} of them left")
customers.frame.describe().round(1)

# %% [markdown]
# One picture tells most of the story.

# %%
months = pd.cut(customers.frame["tenure"], range(0, 73, 6), labels=range(3, 73, 6))
contract = customers.frame["Contract"].to_numpy()
grouped = pd.Series(customers.churned).groupby([contract, months.to_numpy()])
rates = grouped.agg(["mean", "size"]).reset_index()
figure, axes = plt.subplots()
for kind, style in zip(sorted(set(contract)), ("o-", "s--", "^:"), strict=True):
    of = rates[(rates["level_0"] == kind) & (rates["size"] >= 30)]
    axes.plot(of["level_1"], 100 * of["mean"], style, label=kind)
axes.set(title="New customers leave, and those without a contract", xlabel="Months as a customer",
         ylabel="Customers who left (%)", ylim=(0, None))
axes.legend();

# %% [markdown]
# ## Columns that lie
#
# Real exports are less clean. Let us spoil the table as real ones are spoilt: a column that is filled in *because*
# somebody left, a number that is "Unknown" for some, a row counter, and the same export pasted twice.

# %%
spoilt = raw.frame.head(4000).copy()
gone = spoilt["Churn"] == "Yes"
dice = np.random.default_rng(0)
spoilt["LastDesk"] = np.where(gone & (dice.random(len(spoilt)) < 0.7), "retention", "sales")
prices = dice.choice([30, 60, 130], len(spoilt))
spoilt["HandsetPrice"] = np.where(dice.random(len(spoilt)) < 0.4, "Unknown", prices)
spoilt.insert(0, "RowNumber", range(len(spoilt)))
pd.concat([spoilt, spoilt.head(200)]).to_csv("export.csv", index=False)

# %% [markdown]
# No column is named now. The package infers what each is, and says what it found that a reader must know:

# %%
named = compose_config("data=csv", "data.path=export.csv")
suspicious = load.load_dataset(named.data, named.seed)
for finding in suspicious.findings:
    print(f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}")
print(suspicious.facts)

# %% [markdown]
# `LastDesk` is the dangerous one. With it any model looks brilliant; on Monday, when nobody has left yet, it is worth
# nothing. Here is the same logistic regression twice, on the same customers, with the column and without:

# %%
measured = {}
for name, left_out in {"with LastDesk": "[]", "without it": "[LastDesk]"}.items():
    settings = compose_config("data=csv", "data.path=export.csv", f"data.drop={left_out}")
    table = load.load_dataset(settings.data, settings.seed)
    parts = split.split_dataset(table, settings.split, 0, settings.seed)
    train, validation, test = (
        (table.frame.iloc[rows], table.churned[rows]) for rows in (parts.train, parts.validation, parts.test)
    )
    line = baselines.fit_baselines(*train, *validation, table.schema, settings.seed)["logistic_regression"]
    scores = evaluate(test[1], {MODEL: line(test[0])}, None, settings.evaluate, settings.seed)
    measured[name] = scores.scores[MODEL]["roc_auc"]

figure, axes = plt.subplots(figsize=(6.4, 1.9))
for name, auc in measured.items():
    axes.errorbar(auc.value, name, xerr=[[auc.value - auc.low], [auc.high - auc.value]], fmt="o", capsize=3)
axes.set(title="A leak looks like a triumph", xlabel="ROC AUC on the test part, with 95 % interval", xlim=(0.5, 1),
         ylim=(-0.6, 1.6))
axes.grid(axis="y", visible=False)

# %% [markdown]
# The second number is the honest one. The advice printed above, `'data.drop=["LastDesk"]'`, is what to type.
#
# What the package can see is listed in the report of each run under "What to know about the data". What it cannot
# see: whether a column was known *at the time of the decision*. That question is yours, column by column.
#
# ## Try it
#
# **1.** The offer costs 40 instead of 10. From which probability does a call pay now?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# costly = configured("decision.offer_cost=40").decision
# decision.break_even(costly.customer_value, costly)   # 0.47: the dear offer makes the useless call dear
# ```
#
# </details>
#
# **2.** Customers are not worth the same: take 24 months of the monthly charge. How many are worth a call at a
# probability of 15 %?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# own = configured("decision.value_column=MonthlyCharges", "decision.value_factor=24").decision
# worth = decision.values(customers.frame, own)
# (decision.expected_profit(np.array(0.15), worth, own) > 0).mean()
# ```
#
# With a value of their own the question is no longer one threshold: `churn score` decides each customer by expected
# profit.
#
# </details>
#
# **3.** Is `RowNumber` an input of the model above? Why not, and how would you make it one?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# suspicious.schema.dropped   # it counts the rows; 'data.numeric=["RowNumber"]' would insist
# ```
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 2, exploring and preprocessing organisation-wide data
# (data quality, leakage); section 3, choosing a success metric from the business problem.*
#
# Next: [the tutorial's twenty lines](02_twenty_lines.ipynb).
