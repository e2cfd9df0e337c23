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
# # 4. From probability to decision
#
# A probability is not a decision. This chapter goes the rest of the way: may the number be believed, how far, what is
# it worth in money, who is called on Monday, and what does one tell the person who calls.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn import pipeline
from churn.bundle import decision
from churn.bundle.bundle import REASONS, Bundle, decode_strings
from churn.config.root import compose_config
from churn.data import load, split
from churn.evaluate import profit
from churn.evaluate.report.drawing import for_notebooks
from churn.evaluate.report.effects import draw_profit_curve
from churn.evaluate.report.wording import display_name
from churn.score.stage import score

for_notebooks()
cfg = compose_config("data.synthetic.rows=5000", "evaluate.bootstrap=300",
                 "evaluate.importance_repeats=1")
pipeline.run(cfg)
run = Path("runs/latest")
bundle, metrics = Bundle.load(run / "bundle"), json.loads((run / "metrics.json").read_text())
customers = load.load_dataset(cfg.data, cfg.seed)
parts = split.split_dataset(customers, cfg.split, cfg.data.horizon, cfg.seed)
test, churned = customers.frame.iloc[parts.test], customers.churned[parts.test]
answers = decode_strings(bundle.predict(test))
probability = answers["churn_probability"].astype(float)

# %% [markdown]
# ## Does 30 % mean 30 %?
#
# A ranking is enough to call the first hundred. As soon as money comes in, the number itself has to be right: of a hundred
# customers who were given 30 %, thirty should leave. The **calibration slope** sums that up: 1 is right, below 1 the
# model is too sure of itself.

# %%
slopes = {"model": metrics["test"], **metrics["baselines"]}
figure, axes = plt.subplots(figsize=(6.4, 2.4))
for name, numbers in slopes.items():
    slope = numbers["calibration_slope"]
    if slope["low"] is not None:
        low, high = slope["value"] - slope["low"], slope["high"] - slope["value"]
        axes.errorbar(slope["value"], display_name(name), xerr=[[low], [high]], fmt="o", capsize=3, color="C0")
axes.axvline(1, color="0.3", linewidth=0.8)
axes.grid(axis="y", visible=False)
axes.set(title="Left of the line a model is too sure of itself", xlabel="Calibration slope, with 95 % interval");

# %% [markdown]
# Ours was calibrated on customers that the judging members of the ensemble had not seen: the log-odds are divided by one number,
# the temperature. The tutorial's network, with nobody to hold it back, tends to be too sure.

# %%
print(f"temperature: {bundle.facts['temperature']:.3f}")

# %% [markdown]
# ## How far can one number be believed?
#
# Two customers may both have 30 %, one of a kind that training knew by the hundred, one of a kind it hardly saw. So each
# answer carries an interval, meant to hold the customer's *true* probability nine times in ten. Nobody knows true
# probabilities, except in a world one has made. Here we can look:

# %%
truth = customers.true_probability[parts.test]
low, high = answers["churn_probability_low"], answers["churn_probability_high"]
inside = (low <= truth) & (truth <= high)
some = np.argsort(probability)[:: len(probability) // 60][:60]
figure, axes = plt.subplots()
place = np.arange(len(some))
axes.vlines(place, 100 * low[some], 100 * high[some], color="C0", linewidth=3, alpha=0.4,
            label="interval")
hit = inside[some]
axes.plot(place[hit], 100 * truth[some][hit], "o", color="0.15", markersize=3, label="truth, inside")
axes.plot(place[~hit], 100 * truth[some][~hit], "X", color="C1", markersize=7, label="truth, outside")
axes.set(title=f"{inside.mean():.0%} of the intervals hold the truth ({len(truth):,} customers, 60 shown)",
         xlabel="Customers, by their predicted probability", ylabel="Probability of leaving (%)")
axes.legend();

# %% [markdown]
# How they are made says `churn.bundle.intervals`; how often they hold, and how wide they are, measures `benchmarks/coverage.py`.
#
# A shorter form of doubt for people who decide: `certainty` says *stays* or *leaves* where the data allow it, and
# *ambiguous* where both are likely enough.

# %%
shares = pd.Series(answers["certainty"]).value_counts(normalize=True)
figure, axes = plt.subplots(figsize=(6.4, 1.8))
bars = axes.barh(shares.index, 100 * shares)
axes.bar_label(bars, fmt="%.0f %%", padding=4)
axes.grid(axis="y", visible=False)
axes.set(title=f"Of {shares['ambiguous']:.0%} of the customers one cannot honestly say which",
         xlabel="Customers of the test part (%)", xlim=(0, 112 * shares.max()));

# %% [markdown]
# ## What a decision earns
#
# The costs of chapter 1 turn probabilities into money. Calling in order of the probability, how much does the
# company earn by the share of customers that it calls?

# %%
known = profit.Outcome(test, churned, probability)
threshold = bundle.facts["threshold"]
earned = profit.measure_profit(known, known, threshold, cfg.decision, cfg.evaluate, cfg.seed)
draw_profit_curve(earned)

# %%
pd.DataFrame({
    strategy.name: {"called (%)": 100 * strategy.called, "profit per customer": strategy.profit.value,
                    "low": strategy.profit.low, "high": strategy.profit.high}
    for strategy in earned.strategies
}).T.round(2)

# %% [markdown]
# The threshold in the bundle was chosen on other customers than these. The tutorial's 0.5 leaves money lying; so
# does calling everybody.
#
# ### Customers are not worth the same
#
# Take the charge of three months as what is lost when somebody leaves. Then there is no single threshold any more: a
# call to a small customer pays only if the risk is high.

# %%
own = compose_config("decision.value_column=MonthlyCharges", "decision.value_factor=3").decision
value = decision.customer_values(test, own)
expected = decision.expected_profit(probability, value, own)
called = expected > 0
figure, axes = plt.subplots()
charge = test["MonthlyCharges"]
axes.plot(charge[called], 100 * probability[called], "o", markersize=3.5, alpha=0.6, label="called")
axes.plot(charge[~called], 100 * probability[~called], "x", markersize=4, alpha=0.7, label="left alone")
line = np.linspace(18, 120, 100)
axes.plot(line, [100 * decision.break_even(3 * x, own) for x in line], color="0.2", label="break-even")
axes.set(title="Who is worth a call depends on risk and on worth", ylim=(0, 100),
         xlabel="Monthly charge (any currency)", ylabel="Predicted probability of leaving (%)")
axes.legend(loc="upper left");

# %% [markdown]
# ## Monday's list
#
# The call centre can make thirty calls. `churn score` writes the list: the thirty whom it pays most to call, with the reasons in
# words. Every tenth is **not** called, marked 0 in `treated`: without them nobody could say next month what calling
# does, and the called would spoil the next training set.

# %%
new = compose_config("data.synthetic.rows=2000", "seed=7")
load.read_source(new.data, new.seed).frame.drop(columns="Churn").to_csv("customers.csv", index=False)
score(compose_config("input=customers.csv", "output=monday.csv", "top=30", f"bundle={run}/bundle"))
monday = pd.read_csv("monday.csv", dtype={"customerID": str})
columns = ["customerID", "treated", "churn_probability", "expected_profit", "reason_1", "reason_2"]
monday[columns].head(6).round(2)

# %% [markdown]
# ## Why this customer?
#
# The reasons come out of the same graph: each column's contribution is the average change of the probability when
# the column takes the customer's value, in random order, starting from other customers (Shapley sampling). They add up:

# %%
customer = test.iloc[[probability.argmax()]]
one = pd.DataFrame(decode_strings(bundle.predict(customer, signature=REASONS))).iloc[0]
steps = {"the average customer": one["average_probability"]}
for number in (1, 2, 3):
    name = one[f"reason_{number}"]
    steps[f"{name} is {customer[name].iloc[0]}"] = one[f"contribution_{number}"]
steps["all other columns"] = one["other_contributions"]
ends = 100 * np.cumsum(list(steps.values()))
starts = np.concatenate([[0], ends[:-1]])
figure, axes = plt.subplots(figsize=(6.4, 2.6))
colors = np.where(ends > starts, "C1", "C0")
axes.barh(list(steps), ends - starts, left=starts, color=["0.7", *colors[1:]])
axes.axvline(100 * one["churn_probability"], color="0.3", linestyle=":")
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(title=f"From {starts[1]:.0f} % to {100 * one['churn_probability']:.0f} %, step by step",
         xlabel="Probability of leaving (%)");

# %% [markdown]
# A reason says what the *model* leans on. It does not say that a longer contract would keep the customer: who is moved to one
# is not who chose one. That is what the control group is for.
#
# ## Try it
#
# **1.** The offer works half as well as believed (`decision.success=0.15`). Who is still worth a call?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# weak = configured("decision.success=0.15").decision
# even = decision.break_even(weak.customer_value, weak)
# even, (probability >= even).mean()
# ```
#
# The report has a table of this kind: what it would have cost to be wrong in each assumption.
#
# </details>
#
# **2.** Is the interval wider for customers with a field that training never saw?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# strange = decoded(bundle.predict(test.assign(PaymentMethod="Shells")))
# (strange["churn_probability_high"] - strange["churn_probability_low"]).mean(), (high - low).mean()
# ```
#
# </details>
#
# **3.** Call the ten per cent most at risk instead of the most profitable: which key does that?
#
# <details markdown="1"><summary>Solution</summary>
#
# `decision.top_share=0.1`, when training. Or `decision.threshold=0.5`, if it must be.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 2, responsible use and explainability; section 3,
# choosing models and metrics for the business; section 4, serving predictions.*
#
# Next: [deployment](05_deployment.ipynb).
