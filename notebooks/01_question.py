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
# A telephone company loses a quarter of its customers in a year. On Monday morning the call centre can call some
# of the others and make them an offer. **Whom should it call?** All six chapters serve this question.
#
# This chapter trains no network. It counts what a wrong call costs, looks at the table, and finds the columns that
# would mislead a model.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn.bundle import decision
from churn.config.root import compose_config
from churn.data import load
from churn.data.experiment import Experiment
from churn.evaluate import baselines
from churn.evaluate.evaluation import MODEL, evaluate
from churn.evaluate.report.drawing import for_notebooks

for_notebooks()

# %% [markdown]
# ## What one call costs, and what it earns
#
# Before we look at data, we need four numbers that somebody in the company knows or must guess. They are keys of the
# configuration, in the group `decision`:

# %%
cfg = compose_config()
money = cfg.decision
keys = ["customer_value", "contact_cost", "offer_cost", "success"]
pd.Series({key: getattr(money, key) for key in keys}, name="default").to_frame()

# %% [markdown]
# There are two kinds of customers and two possible actions, so there are four outcomes. A customer who would stay
# accepts the offer just as gladly as one who would leave. This is why the useless call is the expensive one.

# %%
value = np.array(money.customer_value)
left, stayed = (float(decision.call_gain(np.array(kind), value, money)) for kind in (1, 0))
pd.DataFrame({"called": [left, stayed], "not called": 0.0}, index=["would leave", "would stay"])

# %% [markdown]
# A call to a customer who leaves with probability *p* earns *p* times the first number plus 1 − *p* times the
# second, on average. It pays where this is above zero.

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
axes.set(title="What one call earns on average", xlabel="Probability that the customer leaves (%)",
         ylabel="Profit of the call (any currency)");

# %% [markdown]
# With these numbers a call pays from a probability of about one sixth, far below one half. A model that says "will
# leave" only above 50 % misses much of the profit; chapter 2 counts how much. It also follows that we need a
# *probability* that we can trust, not only a ranking: see chapter 4.
#
# ## The table
#
# The package generates the customers here, with the columns of IBM's public Telco table. So there is nothing to
# download, and the true probability of each customer is known. `churn train data=telco` uses the real table.

# %%
raw = load.read_source(cfg.data, cfg.seed)
raw.frame.head(3).T

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
print(f"{len(customers):,} customers, {customers.churned.mean():.1%} of them left")
customers.frame.describe().round(1)

# %% [markdown]
# One picture shows the main pattern.

# %%
months = pd.cut(customers.frame["tenure"], range(0, 73, 6), labels=range(3, 73, 6))
contract = customers.frame["Contract"].to_numpy()
grouped = pd.Series(customers.churned).groupby([contract, months.to_numpy()])
rates = grouped.agg(["mean", "size"]).reset_index()
figure, axes = plt.subplots()
for kind, style in zip(sorted(set(contract)), ("o-", "s--", "^:"), strict=True):
    group = rates[(rates["level_0"] == kind) & (rates["size"] >= 30)]
    axes.plot(group["level_1"], 100 * group["mean"], style, label=kind)
axes.set(title="New customers and those without a contract leave most", xlabel="Months as a customer",
         ylabel="Customers who left (%)", ylim=(0, None))
axes.legend();

# %% [markdown]
# ## Columns that mislead
#
# Real exports are less clean. We damage the table in the usual ways: a column that is filled in *because* a customer
# left, a number that is "Unknown" for some customers, a row counter, and rows that were pasted twice.

# %%
export = raw.frame.head(4000).copy()
has_left = export["Churn"] == "Yes"
random = np.random.default_rng(0)
export["LastDesk"] = np.where(has_left & (random.random(len(export)) < 0.7), "retention", "sales")
prices = random.choice([30, 60, 130], len(export))
export["HandsetPrice"] = np.where(random.random(len(export)) < 0.4, "Unknown", prices)
export.insert(0, "RowNumber", range(len(export)))
pd.concat([export, export.head(200)]).to_csv("export.csv", index=False)

# %% [markdown]
# We name no column. The package infers the role of each, and prints what a reader must know:

# %%
inferred = compose_config("data=csv", "data.path=export.csv")
suspicious = load.load_dataset(inferred.data, inferred.seed)
for finding in suspicious.findings:
    print(f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}")
print(suspicious.facts)

# %% [markdown]
# `LastDesk` is the dangerous column. With it any model looks brilliant; on Monday, when nobody has left yet, it has no
# value. Here is the same logistic regression on the same customers, with the column and without it:

# %%
measured = {}
for name, left_out in {"with LastDesk": "[]", "without it": "[LastDesk]"}.items():
    settings = compose_config("data=csv", "data.path=export.csv", f"data.drop={left_out}")
    table = load.load_dataset(settings.data, settings.seed)
    experiment = Experiment.split(table, settings)
    test = experiment.test
    fitted = baselines.fit_baselines(experiment.train, experiment.validation, table.schema, settings.seed)
    predictions = {MODEL: fitted["logistic_regression"](test.frame)}
    evaluation = evaluate(test.churned, predictions, None, settings.evaluate, settings.seed)
    measured[name] = evaluation.scores[MODEL]["roc_auc"]

figure, axes = plt.subplots(figsize=(6.4, 1.9))
for name, auc in measured.items():
    axes.errorbar(auc.value, name, xerr=[[auc.value - auc.low], [auc.high - auc.value]], fmt="o", capsize=3)
axes.set(title="With the leaking column the model looks excellent", xlabel="ROC AUC on the test part, with 95 % interval", xlim=(0.5, 1),
         ylim=(-0.6, 1.6))
axes.grid(axis="y", visible=False)

# %% [markdown]
# The second number is the honest one. The advice printed above says what to type: `'data.drop=["LastDesk"]'`.
#
# The report of each run lists the findings under "What to know about the data". The package cannot know whether a
# column was already filled in *at the time of the decision*. You have to answer this for each column.
#
# ## Try it
#
# **1.** The offer costs 40 instead of 10. From which probability on does a call pay now?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# costly = compose_config("decision.offer_cost=40").decision
# decision.break_even(costly.customer_value, costly)   # 0.47: with a costly offer the useless call costs more
# ```
#
# </details>
#
# **2.** Customers do not have the same value: take 24 months of the monthly charge. What share of them is worth a
# call at a probability of 15 %?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# own = compose_config("decision.value_column=MonthlyCharges", "decision.value_factor=24").decision
# values = decision.customer_values(customers.frame, own)
# (decision.expected_profit(np.array(0.15), values, own) > 0).mean()
# ```
#
# When each customer has a value, there is no single threshold any more: `churn score` decides by the expected profit
# of each customer.
#
# </details>
#
# **3.** Is `RowNumber` an input of the model above? Why not, and how could you make it one?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# suspicious.schema.dropped   # it only counts the rows; 'data.numeric=["RowNumber"]' would make it an input
# ```
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 2, exploring and preprocessing organisation-wide data
# (data quality, leakage); section 3, choosing a success metric from the business problem.*
#
# Next: [the tutorial's twenty lines](02_twenty_lines.ipynb).
