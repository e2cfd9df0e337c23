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
# A probability is not a decision yet. This chapter goes the rest of the way: is the probability right, how uncertain
# is it, what is it worth in money, who is called on Monday, and what should the caller know?

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
from churn.data import load
from churn.data.experiment import Experiment
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
experiment = Experiment.split(customers, cfg)
test, churned = experiment.test.frame, experiment.test.churned
answers = decode_strings(bundle.predict(test))
probability = answers["churn_probability"].astype(float)

# %% [markdown]
# ## Does 30 % mean 30 %?
#
# To call the first hundred, a ranking is enough. As soon as money matters, the probability itself has to be right: of a
# hundred customers with 30 %, thirty should leave. The **calibration slope** summarises this: 1 is right; below 1 the
# probabilities are too extreme.

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
axes.set(title="Left of the line the probabilities are too extreme", xlabel="Calibration slope, with 95 % interval");

# %% [markdown]
# Our network is calibrated on out-of-fold predictions, by members that had not seen the customer: the log-odds are
# divided by one number, the temperature. It stays 1 unless another number predicts held-out customers better. The
# tutorial's network has no such step, and its probabilities tend to be too extreme.

# %%
print(f"temperature: {bundle.facts['temperature']:.3f}")

# %% [markdown]
# ## How uncertain is one probability?
#
# Two customers may both have 30 %: one is like hundreds of customers in training, the other like very few. So each
# answer has an interval, which should contain the customer's *true* probability nine times in ten. In reality nobody
# knows the true probability; for synthetic customers we can check:

# %%
truth = customers.true_probability[experiment.splits.test]
low, high = answers["churn_probability_low"], answers["churn_probability_high"]
inside = (low <= truth) & (truth <= high)
shown = np.argsort(probability)[:: len(probability) // 60][:60]
figure, axes = plt.subplots()
position, is_inside = np.arange(len(shown)), inside[shown]
axes.vlines(position, 100 * low[shown], 100 * high[shown], color="C0", linewidth=3, alpha=0.4,
            label="interval")
axes.plot(position[is_inside], 100 * truth[shown][is_inside], "o", color="0.15", markersize=3, label="truth, inside")
axes.plot(position[~is_inside], 100 * truth[shown][~is_inside], "X", color="C1", markersize=7,
          label="truth, outside")
axes.set(title=f"{inside.mean():.0%} of the intervals contain the truth (60 of {len(truth):,} shown)",
         xlabel="Customers, by their predicted probability", ylabel="Probability of leaving (%)")
axes.legend();

# %% [markdown]
# `churn.bundle.intervals` says how they are computed; `benchmarks/coverage.py` measures their coverage and their width.
#
# There is also a simpler output for people who decide: `certainty` is *stays* or *leaves* where the data allow it, and
# *ambiguous* where both are likely enough.

# %%
shares = pd.Series(answers["certainty"]).value_counts(normalize=True)
figure, axes = plt.subplots(figsize=(6.4, 1.8))
bars = axes.barh(shares.index, 100 * shares)
axes.bar_label(bars, fmt="%.0f %%", padding=4)
axes.grid(axis="y", visible=False)
axes.set(title=f"For {shares['ambiguous']:.0%} of the customers the data do not decide",
         xlabel="Customers of the test part (%)", xlim=(0, 112 * shares.max()));

# %% [markdown]
# ## What a decision earns
#
# The costs of chapter 1 turn probabilities into money. The company calls customers in the order of their probability:
# how much does it earn, by the share of customers that it calls?

# %%
outcome = profit.Outcome(test, churned, probability)
threshold = bundle.facts["threshold"]
measured = profit.measure_profit(outcome, outcome, threshold, cfg.decision, cfg.evaluate, cfg.seed)
draw_profit_curve(measured)

# %%
pd.DataFrame({
    strategy.name: {"called (%)": 100 * strategy.called, "profit per customer": strategy.profit.value,
                    "low": strategy.profit.low, "high": strategy.profit.high}
    for strategy in measured.strategies
}).T.round(2)

# %% [markdown]
# The threshold in the bundle was chosen on other customers than these. The tutorial's threshold 0.5 earns less, and so
# does calling everybody.
#
# ### Customers do not have the same value
#
# Suppose that the company loses the charge of three months when a customer leaves. Then there is no single threshold
# any more: a call to a customer with a small charge pays only if the risk is high.

# %%
own = compose_config("decision.value_column=MonthlyCharges", "decision.value_factor=3").decision
value = decision.customer_values(test, own)
expected = decision.expected_profit(probability, value, own)
called = expected > 0
figure, axes = plt.subplots()
charge = test["MonthlyCharges"]
axes.plot(charge[called], 100 * probability[called], "o", markersize=3.5, alpha=0.6, label="called")
axes.plot(charge[~called], 100 * probability[~called], "x", markersize=4, alpha=0.7, label="not called")
line = np.linspace(18, 120, 100)
axes.plot(line, [100 * decision.break_even(3 * x, own) for x in line], color="0.2", label="break-even")
axes.set(title="Who is worth a call depends on risk and on value", ylim=(0, 100),
         xlabel="Monthly charge (any currency)", ylabel="Predicted probability of leaving (%)")
axes.legend(loc="upper left");

# %% [markdown]
# ## The call list for Monday
#
# The call centre has time for a list of thirty. `churn score` writes it: the thirty customers whose call is expected
# to earn most, with the reasons in words. About one in ten is **not** called and has 0 in `treated`: without this
# control group nobody could measure the effect of calling, and the next training set would be biased. A lottery by
# customer id decides, so that a short list may hold out more or fewer than a tenth, but at least one.

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
# The reasons come from the same graph. The contribution of a column is the average change of the probability when the
# column takes the customer's value, over random orders of the columns, starting from other customers (Shapley
# sampling). The contributions add up to the prediction:

# %%
customer = test.iloc[[probability.argmax()]]
explained = pd.DataFrame(decode_strings(bundle.predict(customer, signature=REASONS))).iloc[0]
steps = {"the average customer": explained["average_probability"]}
for number in (1, 2, 3):
    name = explained[f"reason_{number}"]
    steps[f"{name} is {customer[name].iloc[0]}"] = explained[f"contribution_{number}"]
steps["all other columns"] = explained["other_contributions"]
ends = 100 * np.cumsum(list(steps.values()))
starts = np.concatenate([[0], ends[:-1]])
figure, axes = plt.subplots(figsize=(6.4, 2.6))
colors = np.where(ends > starts, "C1", "C0")
axes.barh(list(steps), ends - starts, left=starts, color=["0.7", *colors[1:]])
axes.axvline(100 * explained["churn_probability"], color="0.3", linestyle=":")
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(title=f"From {starts[1]:.0f} % to {100 * explained['churn_probability']:.0f} %, step by step",
         xlabel="Probability of leaving (%)");

# %% [markdown]
# A reason says what the *model* uses. It does not say that a longer contract would keep the customer: customers who are
# moved to a long contract differ from those who chose one. The control group measures such effects.
#
# ## Try it
#
# **1.** The offer works half as often as assumed (`decision.success=0.15`). Who is still worth a call?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# weak = compose_config("decision.success=0.15").decision
# even = decision.break_even(weak.customer_value, weak)
# even, (probability >= even).mean()
# ```
#
# The report has a table of this kind: the cost of a wrong value for each assumption.
#
# </details>
#
# **2.** Is the interval wider for customers with a value that training has not seen?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# strange = decode_strings(bundle.predict(test.assign(PaymentMethod="Shells")))
# (strange["churn_probability_high"] - strange["churn_probability_low"]).mean(), (high - low).mean()
# ```
#
# </details>
#
# **3.** Call the ten per cent with the highest risk instead of the most profitable customers: which key does this?
#
# <details markdown="1"><summary>Solution</summary>
#
# `decision.top_share=0.1`, when training. `decision.threshold=0.5` sets a fixed threshold.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 2, responsible use and explainability; section 3,
# choosing models and metrics for the business; section 4, serving predictions.*
#
# Next: [deployment](05_deployment.ipynb).
