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
# The model is deployed, and the world goes on. Prices rise, a form changes, a competitor opens across the street. This
# chapter simulates such worlds, and asks three questions: what does each detector see, how often does it cry for
# nothing, and when may a new model take over?

# %%
# %config InlineBackend.figure_formats = ["svg"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from churn import pipeline
from churn.bundle import decision
from churn.bundle.bundle import Bundle
from churn.config.loop import GateConfig
from churn.config.root import compose_config
from churn.data import load
from churn.evaluate.evaluation import MODEL, evaluate
from churn.evaluate.report.drawing import for_notebooks
from churn.monitor.drift.compare import DriftPolicy
from churn.monitor.window import Window, assess_window
from churn.retrain.gate import CHALLENGER, CHAMPION, FreshRows, judge_challenger

for_notebooks()
small = ["data.synthetic.rows=5000", "evaluate.bootstrap=50", "evaluate.importance_repeats=1",
         "export.refits=0"]
cfg = compose_config(*small, "run.dir=runs/champion")
pipeline.run(cfg)
champion = Bundle.load(Path("runs/champion/bundle"))

# %% [markdown]
# The bundle carries a **profile**: how often each value occurred in training, how the answers were spread, and a small sample
# that names nobody. The monitor needs
# nothing else from training, not even TensorFlow. `churn monitor` reads the log of the server; here we hand the same
# functions a window of customers directly.
#
# ## What a drift looks like
#
# The generator can change one thing at a time. A thousand customers of each changed world:

# %%
sizes = {"mean": 0.5, "spread": 0.5, "share": 0.2, "level": 0.1, "missing": 0.1, "concept": 1.0}
meaning = {
    "none": "nothing changed",
    "mean": "prices rose by half a standard deviation",
    "spread": "prices spread half as much again",
    "share": "20 % moved to fiber",
    "level": "10 % pay in a new way",
    "missing": "10 % of the tenures are lost",
    "concept": "same customers, other behaviour",
}
found = {}
for kind in meaning:
    world = compose_config("data.synthetic.rows=1000", f"data.synthetic.drift={kind}",
                       f"data.synthetic.drift_size={sizes.get(kind, 0)}")
    arrived = load.load_dataset(world.data, seed=1)
    window = Window.of(champion.profile)
    window.add(arrived.frame, champion.predict(arrived.frame)["churn_probability"])
    found[kind] = assess_window(window, champion.facts["metrics"])
shown = {}
for kind, report in found.items():
    worst = next(iter(report["features"]))
    drift = report["features"][worst]
    told = f"{worst}: {drift['status']}, PSI {drift['psi']:.2f}" if drift["status"] != "ok" else ""
    shown[meaning[kind]] = {"status": report["status"], "worst feature": told}
pd.DataFrame(shown).T

# %% [markdown]
# The monitor names the column, and says nothing where nothing changed. Look at the last line: when customers of the
# same kind *behave* differently, no detector that looks at inputs can see it. Only labels can, and they come late.
#
# Within a status the worst comes first, and worst is what moves the money and the predictions, not what moved most:

# %%
report = found["share"]
worst = list(report["features"].items())[:6]
figure, axes = plt.subplots(figsize=(6.4, 2.6))
colors = {"ok": "0.75", "warning": "C0", "alarm": "C1"}
for name, drift in reversed(worst):
    axes.barh(name, 100 * drift["probability"], color=colors[drift["status"]])
axes.legend(handles=[plt.Rectangle((0, 0), 1, 1, color=color, label=status) for status, color in colors.items()])
axes.grid(axis="y", visible=False)
axes.set(title="20 % moved to fiber: which change matters to the predictions",
         xlabel="Change of the mean churn probability (percentage points)");

# %% [markdown]
# ## How often it cries for nothing
#
# A detector that cries every Monday is switched off in the second week. So the first thing to know of one is what it
# does when *nothing* has changed. Sixty windows of 500 customers from the world that the model knows, judged by
# three rules: any column with p < 0.05, as many a dashboard does it; any Jensen-Shannon divergence above 0.3, the
# default of Vertex AI's monitoring; and ours, which asks for an effect that is large enough *and* beyond chance after
# all the columns have been counted.

# %%
one_by_one = DriftPolicy(permutations=0)  # not all columns at once too, which takes longest
calm = load.load_dataset(compose_config("data.synthetic.rows=30000").data, seed=2)
answers = champion.predict(calm.frame)["churn_probability"]
reports = []
for first in range(0, 30_000, 500):
    window = Window.of(champion.profile)
    window.add(calm.frame.iloc[first : first + 500], answers[first : first + 500])
    reports.append(assess_window(window, champion.facts["metrics"], one_by_one))
features = [report["features"].values() for report in reports]
cries = {
    "any p < 0.05": np.mean([any(f["p"] < 0.05 for f in of) for of in features]),
    "Jensen-Shannon > 0.3": np.mean([any(f["jensen_shannon"] > 0.3 for f in of) for of in features]),
    "churn monitor": np.mean([report["status"] != "ok" for report in reports]),
}
figure, axes = plt.subplots(figsize=(6.4, 1.9))
bars = axes.barh(list(cries), [100 * share for share in cries.values()])
axes.bar_label(bars, fmt="%.0f %%", padding=4)
axes.grid(axis="y", visible=False)
axes.set(title="Nothing has changed, and yet", xlabel="Windows of 500 customers with an alarm or warning (%)",
         xlim=(0, 110));

# %% [markdown]
# Two of the three are quiet. But one of them is quiet because it sleeps:

# %%
steps = [0, 0.05, 0.1, 0.2, 0.3, 0.4]
seen = {name: [] for name in cries}
for size in steps:
    world = compose_config("data.synthetic.rows=10000", "data.synthetic.drift=mean",
                       f"data.synthetic.drift_size={size}")
    arrived = load.load_dataset(world.data, seed=3)
    probability = champion.predict(arrived.frame)["churn_probability"]
    flags = {name: [] for name in seen}
    for first in range(0, 10_000, 500):
        window = Window.of(champion.profile)
        window.add(arrived.frame.iloc[first : first + 500], probability[first : first + 500])
        report = assess_window(window, champion.facts["metrics"], one_by_one)
        charges = report["features"]["MonthlyCharges"]
        flags["any p < 0.05"].append(any(f["p"] < 0.05 for f in report["features"].values()))
        flags["Jensen-Shannon > 0.3"].append(charges["jensen_shannon"] > 0.3)
        flags["churn monitor"].append(report["status"] != "ok")
    for name, values in flags.items():
        seen[name].append(100 * np.mean(values))
figure, axes = plt.subplots()
for (name, share), style in zip(seen.items(), ("s--", "^:", "o-")):
    axes.plot(steps, share, style, label=name)
axes.set(title="What each rule sees of a rise in prices", ylim=(-3, 103),
         xlabel="Rise of the monthly charge (standard deviations)",
         ylabel="Windows of 500 customers\nwith an alarm or warning (%)")
axes.legend();

# %% [markdown]
# `benchmarks/drift.py` does this with thousands of windows, five kinds of drift and window sizes from 200 to 100,000.
#
# ## When labels come late
#
# Whether somebody left is known only when the month is over, and in the books a month after that. Here is a year in
# which customers begin to behave differently in month 5, seen with labels that are two months late:

# %%
year = compose_config("data.synthetic.rows=30000", "data.synthetic.dates=true", "data.time=Snapshot",
                  "data.synthetic.drift=concept", "data.synthetic.drift_size=1.2",
                  "data.synthetic.drift_from=2025-05-01", "evaluate.bootstrap=200")
lived = load.load_dataset(year.data, seed=4)
month = pd.DatetimeIndex(lived.times).month
probability = champion.predict(lived.frame)["churn_probability"].astype(float)
losses = []
for number in range(1, 13):
    rows = month == number
    measured = evaluate(lived.churned[rows], {MODEL: probability[rows]}, None, year.evaluate, seed=0)
    losses.append(measured.scores[MODEL]["log_loss"])
value, low, high = np.array([(loss.value, loss.low, loss.high) for loss in losses]).T
figure, axes = plt.subplots()
number = np.arange(1, 13)
axes.errorbar(number, value, [value - low, high - value], fmt="o-", capsize=3, label="what happened")
axes.plot(number + 2, value, "s--", label="when it was known")
axes.axvline(5, color="0.4", linestyle=":")
axes.annotate("customers begin\nto behave differently", (4.9, high.max()), ha="right", va="top", color="0.3")
axes.set(title="With labels two months late, the fault shows two months late", xlabel="Month",
         ylabel="Log loss (nats per customer)", xlim=(0.5, 14.5))
axes.legend(loc="lower right");

# %% [markdown]
# Until then there is only what the probabilities themselves expect: calibrated ones say what loss and what AUC to
# expect of *these* inputs (the monitor's section `expected`). That catches a change of the inputs. It cannot catch this one,
# and no honest method can.
#
# ## Champion against challenger
#
# When the labels are in, a challenger is trained on the months since the change, May to September here, and meets the
# champion on **the same fresh rows that neither has seen**, October to December. After an alarm the question is: no worse in ranking and in
# probability, beyond doubt, and better calibrated or more profitable?

# %%
labelled = lived.frame.assign(Churn=np.where(lived.churned == 1, "Yes", "No"), customerID=lived.ids)
labelled[(month >= 5) & (month <= 9)].head(5000).to_csv("recent.csv", index=False)
pipeline.run(compose_config("data=csv", "data.path=recent.csv", "data.target=Churn",
                        "run.dir=runs/challenger", *small[1:]))
challenger = Bundle.load(Path("runs/challenger/bundle"))

# %%
late = month >= 10
fresh_rows = lived.frame[late]
money = cfg.decision
models = {CHAMPION: champion, CHALLENGER: challenger}
said = {name: model.predict(fresh_rows) for name, model in models.items()}
fresh = FreshRows(
    churned=lived.churned[late],
    probability={name: answer["churn_probability"].astype(float) for name, answer in said.items()},
    called={name: answer["churn"] == 1 for name, answer in said.items()},
    brings=decision.call_gain(lived.churned[late], decision.customer_values(fresh_rows, money), money),
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
axes.set(title="Each line must end to the right of its mark",
         xlabel="Gain of the challenger (dot; nats or AUC), and its one-sided 95 % bound (end of the line)");

# %% [markdown]
# A challenger that is merely newer does not pass: try exercise 2. `churn retrain` does all of this with the log, the
# labels and the registry, `churn loop` plays twelve months of it in one command, and the pipeline in `deploy/` does it
# in the cloud: [the guide to retraining](../docs/retraining.md). What the monitor's words mean is in
# [the guide to watching a model](../docs/monitoring.md).
#
# ## Try it
#
# **1.** Which columns does the monitor name when prices rise by half a standard deviation? Why not `TotalCharges`?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# {name: f["status"] for name, f in found["mean"]["features"].items() if f["status"] != "ok"}
# ```
#
# The monthly charge. What somebody has paid in total was billed at the old prices.
#
# </details>
#
# **2.** Let the champion challenge itself. What does the gate say?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# same = {name: fresh.probability[CHAMPION] for name in models}
# calls = {name: fresh.called[CHAMPION] for name in models}
# judge(Fresh(fresh.churned, same, calls, fresh.brings), alarmed=True, cfg=GateConfig(), seed=0).reason
# ```
#
# "No worse, but not shown": newness is no merit. Without an alarm it would have to be better outright.
#
# </details>
#
# **3.** How many rows does the gate want before it says anything?
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
# Next: [from events to a table](07_events.ipynb).
