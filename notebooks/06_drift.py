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
# # 6. Drift
#
# The model is deployed, and the world changes: prices rise, a form changes, a competitor opens across the street. This
# chapter simulates such changes and answers three questions. What does each detector see? How often does it give a
# false alarm? When may a new model replace the old one?

# %%
# %config InlineBackend.figure_formats = ["svg"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn import pipeline
from churn.bundle import decision
from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHALLENGER, CHAMPION
from churn.config.loop import GateConfig
from churn.config.root import compose_config
from churn.data import load
from churn.evaluate.evaluation import MODEL, evaluate
from churn.evaluate.report.drawing import for_notebooks
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.window import Window, assess_window
from churn.retrain.gate import FreshRows, judge_challenger

for_notebooks()
small = ["data.synthetic.rows=5000", "evaluate.bootstrap=50", "evaluate.importance_repeats=1",
         "export.refits=0"]
cfg = compose_config(*small, "run.dir=runs/champion")
pipeline.run(cfg)
champion = Bundle.load(Path("runs/champion/bundle"))

# %% [markdown]
# The bundle contains a **profile**: how often each value occurred in training, how the probabilities were distributed,
# and a small sample without names. The monitor needs nothing else from training, not even TensorFlow. `churn monitor`
# reads the log of the server; here we give a window of customers to the same functions directly.
#
# ## What drift looks like
#
# The generator can change one thing at a time. We take a thousand customers after each change:

# %%
sizes = {"mean": 0.5, "spread": 0.5, "share": 0.2, "level": 0.1, "missing": 0.1, "concept": 1.0}
meaning = {
    "none": "nothing changed",
    "mean": "prices rose by half a standard deviation",
    "spread": "prices spread half as much again",
    "share": "20 % moved to fiber",
    "level": "10 % pay in a new way",
    "missing": "10 % of the tenures are missing",
    "concept": "same customers, different behaviour",
}
reports = {}
for kind in meaning:
    changed = compose_config("data.synthetic.rows=1000", f"data.synthetic.drift={kind}",
                             f"data.synthetic.drift_size={sizes.get(kind, 0)}")
    arrived = load.load_dataset(changed.data, seed=1)
    window = Window.of(champion.profile)
    window.add(arrived.frame, champion.predict(arrived.frame)["churn_probability"])
    reports[kind] = assess_window(window, champion.facts["metrics"])
table = {}
for kind, report in reports.items():
    worst = next(iter(report["features"]))
    drift = report["features"][worst]
    text = f"{worst}: {drift['status']}, PSI {drift['psi']:.2f}" if drift["status"] != "ok" else ""
    table[meaning[kind]] = {"status": report["status"], "worst feature": text}
pd.DataFrame(table).T

# %% [markdown]
# The monitor names the column that changed, and is quiet where nothing changed. Look at the last line: when the same
# customers *behave* differently, no detector of changed inputs can see it. Only labels show it, and they come late.
#
# The features of one status are ordered by their effect on profit and predictions, not by the size of the change:

# %%
report = reports["share"]
worst = list(report["features"].items())[:6]
figure, axes = plt.subplots(figsize=(6.4, 2.6))
colors = {"ok": "0.75", "warning": "C0", "alarm": "C1"}
for name, drift in reversed(worst):
    axes.barh(name, 100 * drift["probability"], color=colors[drift["status"]])
axes.legend(handles=[plt.Rectangle((0, 0), 1, 1, color=color, label=status) for status, color in colors.items()])
axes.grid(axis="y", visible=False)
axes.set(title="20 % moved to fiber: effect on the predictions",
         xlabel="Change of the mean churn probability (percentage points)");

# %% [markdown]
# ## How often there is a false alarm
#
# A detector with an alarm every Monday is switched off in the second week. So the first question is what it does when
# *nothing* has changed. We take sixty windows of 500 customers without any change, and three rules: any column with
# p < 0.05, as in many dashboards; any Jensen-Shannon divergence above 0.3, the default of Vertex AI's monitoring; and
# ours, which requires a change that is large enough *and* significant after a correction for the number of columns.

# %%
single_columns = DriftPolicy(permutations=0)  # without the test of all columns together, which takes longest
calm = load.load_dataset(compose_config("data.synthetic.rows=30000").data, seed=2)
probability = champion.predict(calm.frame)["churn_probability"]
quiet_reports = []
for first in range(0, 30_000, 500):
    window = Window.of(champion.profile)
    window.add(calm.frame.iloc[first : first + 500], probability[first : first + 500])
    quiet_reports.append(assess_window(window, champion.facts["metrics"], single_columns))
features = [report["features"].values() for report in quiet_reports]
false_alarms = {
    "any p < 0.05": np.mean([any(f["p"] < 0.05 for f in window) for window in features]),
    "Jensen-Shannon > 0.3": np.mean([any(f["jensen_shannon"] > 0.3 for f in window) for window in features]),
    "churn monitor": np.mean([report["status"] != "ok" for report in quiet_reports]),
}
figure, axes = plt.subplots(figsize=(6.4, 1.9))
bars = axes.barh(list(false_alarms), [100 * share for share in false_alarms.values()])
axes.bar_label(bars, fmt="%.0f %%", padding=4)
axes.grid(axis="y", visible=False)
axes.set(title="False alarms: nothing has changed", xlabel="Windows of 500 customers with an alarm or warning (%)",
         xlim=(0, 110));

# %% [markdown]
# Two of the three rules are quiet. But one of them is also quiet when prices rise:

# %%
steps = [0, 0.05, 0.1, 0.2, 0.3, 0.4]
detected = {name: [] for name in false_alarms}
for size in steps:
    changed = compose_config("data.synthetic.rows=10000", "data.synthetic.drift=mean",
                             f"data.synthetic.drift_size={size}")
    arrived = load.load_dataset(changed.data, seed=3)
    probability = champion.predict(arrived.frame)["churn_probability"]
    flags = {name: [] for name in detected}
    for first in range(0, 10_000, 500):
        window = Window.of(champion.profile)
        window.add(arrived.frame.iloc[first : first + 500], probability[first : first + 500])
        report = assess_window(window, champion.facts["metrics"], single_columns)
        charges = report["features"]["MonthlyCharges"]
        flags["any p < 0.05"].append(any(f["p"] < 0.05 for f in report["features"].values()))
        flags["Jensen-Shannon > 0.3"].append(charges["jensen_shannon"] > 0.3)
        flags["churn monitor"].append(report["status"] != "ok")
    for name, values in flags.items():
        detected[name].append(100 * np.mean(values))
figure, axes = plt.subplots()
for (name, share), style in zip(detected.items(), ("s--", "^:", "o-")):
    axes.plot(steps, share, style, label=name)
axes.set(title="How often each rule detects a rise in prices", ylim=(-3, 103),
         xlabel="Rise of the monthly charge (standard deviations)",
         ylabel="Windows of 500 customers\nwith an alarm or warning (%)")
axes.legend();

# %% [markdown]
# `benchmarks/drift.py` does this with thousands of windows, five kinds of drift and window sizes from 200 to 100,000.
#
# ## When labels come late
#
# Whether a customer left is known only when the month is over, and it is in the database another month later. In the
# following year customers begin to behave differently in month 5, and labels are two months late:

# %%
settings = compose_config("data.synthetic.rows=30000", "data.synthetic.dates=true", "data.time=Snapshot",
                          "data.synthetic.drift=concept", "data.synthetic.drift_size=1.2",
                          "data.synthetic.drift_from=2025-05-01", "evaluate.bootstrap=200")
year = load.load_dataset(settings.data, seed=4)
month = pd.DatetimeIndex(year.times).month
probability = champion.predict(year.frame)["churn_probability"].astype(float)
losses = []
for number in range(1, 13):
    rows = month == number
    measured = evaluate(year.churned[rows], {MODEL: probability[rows]}, None, settings.evaluate, seed=0)
    losses.append(measured.scores[MODEL]["log_loss"])
value, low, high = np.array([(loss.value, loss.low, loss.high) for loss in losses]).T
figure, axes = plt.subplots()
number = np.arange(1, 13)
axes.errorbar(number, value, [value - low, high - value], fmt="o-", capsize=3, label="in the month itself")
axes.plot(number + 2, value, "s--", label="when the labels are known")
axes.axvline(5, color="0.4", linestyle=":")
axes.annotate("customers begin\nto behave differently", (4.9, high.max()), ha="right", va="top", color="0.3")
axes.set(title="The loss is known only when the labels arrive", xlabel="Month",
         ylabel="Log loss (nats per customer)", xlim=(0.5, 14.5))
axes.legend(loc="lower right");

# %% [markdown]
# Until then there is only an estimate from the probabilities themselves: if they are calibrated, they say which log loss
# and which AUC to expect for *these* inputs (the monitor's section `expected`). This detects a change of the inputs. It
# cannot detect a change of behaviour; no method without labels can.
#
# ## Champion against challenger
#
# When the labels are known, a challenger is trained on the months since the change, here May to September. It is
# compared with the champion on **the same fresh rows, which neither has seen**, here October to December. After an
# alarm the challenger must be no worse in ROC AUC and log loss, with significance, and better calibrated or more
# profitable.

# %%
labelled = year.frame.assign(Churn=np.where(year.churned == 1, "Yes", "No"), customerID=year.ids)
labelled[(month >= 5) & (month <= 9)].head(5000).to_csv("recent.csv", index=False)
pipeline.run(compose_config("data=csv", "data.path=recent.csv", "data.target=Churn",
                            "run.dir=runs/challenger", *small[1:]))
challenger = Bundle.load(Path("runs/challenger/bundle"))

# %%
late = month >= 10
fresh_rows = year.frame[late]
money = cfg.decision
models = {CHAMPION: champion, CHALLENGER: challenger}
outputs = {name: model.predict(fresh_rows) for name, model in models.items()}
fresh = FreshRows(
    churned=year.churned[late],
    probability={name: output["churn_probability"].astype(float) for name, output in outputs.items()},
    called={name: output["churn"] == 1 for name, output in outputs.items()},
    brings=decision.call_gain(year.churned[late], decision.customer_values(fresh_rows, money), money),
)
verdict = judge_challenger(fresh, alarmed=True, cfg=GateConfig(), seed=0)
print("promote" if verdict.promote else "keep the champion", "--", verdict.reason)
pd.DataFrame([vars(check) for check in verdict.checks]).round(4)

# %%
figure, axes = plt.subplots(figsize=(6.4, 2.4))
for check in reversed([check for check in verdict.checks if "profit" not in check.question]):
    color = "C0" if check.passed else "C1"
    axes.plot([check.bound, check.gain], [check.question] * 2, color=color, linewidth=2)
    axes.plot(check.gain, check.question, "o" if check.passed else "X", color=color)
    axes.plot(check.least, check.question, "|", color="0.2", markersize=14)
axes.grid(axis="y", visible=False)
axes.set(title="To pass, a line must end to the right of its mark",
         xlabel="Gain (dot; nats or AUC) and its one-sided 95 % bound (end of the line)");

# %% [markdown]
# A challenger that is only newer does not pass: see exercise 2. `churn retrain` does all of this with the log, the
# labels and the registry. `churn loop` simulates twelve months of it in one command, and the pipeline in `deploy/` runs
# it in the cloud: [the guide to retraining](../docs/retraining.md). [The guide to monitoring](../docs/monitoring.md)
# explains the terms of the monitor.
#
# ## Try it
#
# **1.** Which columns does the monitor name when prices rise by half a standard deviation? Why not `TotalCharges`?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# {name: f["status"] for name, f in reports["mean"]["features"].items() if f["status"] != "ok"}
# ```
#
# The monthly charge. The total charges were billed at the old prices.
#
# </details>
#
# **2.** Compare the champion with itself. What is the verdict of the gate?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# probability = {name: fresh.probability[CHAMPION] for name in models}
# called = {name: fresh.called[CHAMPION] for name in models}
# same = FreshRows(fresh.churned, probability, called, fresh.brings)
# judge_challenger(same, alarmed=True, cfg=GateConfig(), seed=0).reason
# ```
#
# "No worse, but not shown": a new model is not better because it is new. Without an alarm it would also need a lower
# log loss.
#
# </details>
#
# **3.** How many fresh rows does the gate need for a verdict?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# GateConfig().min_rows, GateConfig().min_churners
# ```
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 6, monitoring AI solutions (skew, drift, retraining
# triggers); section 5, automating retraining.*
#
# This was the last chapter. Back to [the first](01_question.ipynb), or on to the guides.
