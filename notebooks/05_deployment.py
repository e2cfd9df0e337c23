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
# # 5. Deployment
#
# On the laptop everything works. This chapter takes the model to where others can use it, and, as important, takes it
# down again. Everything here runs **without an account**; the three places where a real project would differ are
# marked ☁.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import matplotlib.pyplot as plt
import numpy as np

from churn import pipeline
from churn.bundle.bundle import Bundle, to_tensors
from churn.config.root import compose_config, config_directory
from churn.data import load, split
from churn.evaluate.report.drawing import for_notebooks
from churn.vertex.checks import parity
from churn.vertex.cloud import deployment, operations, prices
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback
from churn.vertex.status import status

for_notebooks()
small = ["data.synthetic.rows=2000", "train.epochs=15", "evaluate.bootstrap=50",
         "evaluate.importance_repeats=1"]
cfg = compose_config(*small, "run.dir=runs/first")
pipeline.run(cfg);

# %% [markdown]
# ## The bundle
#
# A TensorFlow SavedModel with a few facts beside it. Nothing else is needed to serve it: no pickle, no scaler, no list
# of columns, not even this package.

# %%
bundle = Bundle.load(Path("runs/first/bundle"))
for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
    print(f"{file.stat().st_size / 1000:9.1f} kB  {file.relative_to(bundle.path)}")

# %% [markdown]
# `bundle.json` says what a stranger must know: what goes in, what comes out, how good it was, and from what it was made.

# %%
shown = ("name", "created", "threshold", "data", "versions", "git_commit")
print(json.dumps({key: bundle.facts[key] for key in shown}, indent=1))

# %% [markdown]
# ## An endpoint on this machine
#
# `churn serve` answers as Vertex AI does: the same routes, the same JSON, the same strictness. A client that works here
# works there.

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "churn", "serve", f"bundle={bundle.path}", "serve.port=0"],
    stdout=subprocess.PIPE, text=True,
)
address = server.stdout.readline().split()[-1]
print(address)

# %% [markdown]
# Vertex AI's JSON has no word for "missing": no NaN, no null. A number at or below −10³⁰ stands for it, and
# `parity.instances` writes rows so.

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
rows = customers.frame.iloc[split.split_dataset(customers, cfg.split, 0, cfg.seed).test].head(200)
body = json.dumps({"instances": parity.to_instances(rows, bundle)}).encode()
with urlopen(Request(address, body, {"Content-Type": "application/json"})) as response:
    answers = json.load(response)["predictions"]
server.terminate()
answers[0]

# %% [markdown]
# ## The same answer everywhere
#
# Vertex AI's newest own container runs TensorFlow 2.15, this notebook a much later one. `make test` sets up that
# version in `.venv-container`; where it is there, we ask it too, by TensorFlow Serving's way of loading.

# %%
root = config_directory().parent
container = root / ".venv-container" / "bin" / "python"
keys = np.array([f"row-{i}" for i in range(len(rows))], object)
here = bundle.predict(rows, keys)
elsewhere = {"local endpoint": np.array([answer["churn_probability"] for answer in answers])}
if container.exists():
    fields = {name: tensor.numpy() for name, tensor in to_tensors(rows, bundle.facts["inputs"], keys).items()}
    np.savez("in.npz", **{k: v.astype(str) if v.dtype == object else v for k, v in fields.items()})
    script = root / "tests" / "container" / "answer.py"
    subprocess.run([container, script, bundle.path, "in.npz", "out.npz"], check=True, capture_output=True)
    with np.load("out.npz") as found:
        elsewhere[f"TensorFlow {found['tensorflow']}, as in the container"] = found["churn_probability"]
else:
    print("There is no .venv-container on this machine; `make test` builds it where there is a python3.11.")

figure, axes = plt.subplots()
for (name, probability), marker in zip(elsewhere.items(), "o+"):
    gap = max(np.abs(probability - here["churn_probability"]).max(), 1e-12)
    axes.plot(100 * here["churn_probability"], 100 * probability, marker, alpha=0.6,
              label=f"{name}: less than {1.01 * gap:.0e} apart")
axes.set(title="Wherever it is asked, the bundle says the same", xlabel="Probability in this notebook (%)",
         ylabel="Probability elsewhere (%)")
axes.legend();

# %% [markdown]
# Compare with the picture of chapter 2, where the scaler had stayed behind.
#
# ## The plan, before anything costs money
#
# `churn deploy` looks first, says what it would do and what that costs if left running, and gives the same steps as
# `gcloud` commands. With `deploy.plan_only=true` (`make deploy PLAN=1`) it stops there and needs no account.

# %%
deploy(compose_config(f"bundle={bundle.path}", "deploy.plan_only=true"))

# %% [markdown]
# ☁ *With a real project: `gcloud auth application-default login`, then the same with
# `deploy.project=YOURS deploy.bucket=YOURS`. The plan then also knows what exists already.*
#
# What people fear most is the forgotten endpoint. This is what it costs:

# %%
table = prices.load_prices()
left_running = {
    f"{env.value}, {versions}": table.hour[size.machine_type] * size.min_replicas * count * prices.HOURS_A_MONTH
    for env, size in deployment.SIZES.items()
    for versions, count in (("one version", 1), ("two, to roll back", 2))
}
figure, axes = plt.subplots(figsize=(6.4, 2.4))
bars = axes.barh(list(left_running), left_running.values())
axes.bar_label(bars, fmt="$%.0f", padding=4)
axes.grid(axis="y", visible=False)
axes.set(title="An endpoint that nobody calls costs this", xlabel=f"US dollars a month (prices of {table.date})",
         xlim=(0, 1.15 * max(left_running.values())));

# %% [markdown]
# ## The whole life of an endpoint, on this machine
#
# The repository has a stand-in for Vertex AI, Cloud Storage and BigQuery, in `tests/doubles/`. Google's own clients
# talk to it, and it refuses what the service's own message definitions refuse. It was written from the documentation
# and never compared with the running service; what that leaves open is listed in [the guide on deployment](../docs/deploy.md).

# %%
sys.path.insert(0, str(root / "tests"))
from doubles import vertex

operations.POLL_SECONDS = 0.0  # the stand-in is done at once
until_the_end = ExitStack()
cloud = until_the_end.enter_context(vertex.running())
ours = [*small, "deploy.project=p", "deploy.bucket=bucket", f"deploy.emulator={cloud.url}",
        "deploy.yes=true", "deploy.answers=2"]
deploy(compose_config(*ours, f"bundle={bundle.path}"))

# %% [markdown]
# ☁ *With a real project leave `deploy.emulator` and `deploy.yes` out: it asks before it does anything, and
# a deployment takes minutes.*
#
# A month later there is a better model. The new version gets a tenth of the traffic first; real rows are sent until
# enough answers came from it, and these must equal the bundle's own.

# %%
pipeline.run(compose_config(*small, "seed=7", "run.dir=runs/second"));

# %%
newer = compose_config(*ours, "bundle=runs/second/bundle", "deploy.canary=20")
deploy(newer)
status(newer)

# %% [markdown]
# Something is odd with the new one? One call brings everything back to the version before; it was never taken down.

# %%
rollback(newer)

# %% [markdown]
# And at the end of the day, everything that bills goes, in the order that the service allows; then it **looks again**
# and says what is left.

# %%
destroy(newer)
status(newer)
until_the_end.close()

# %% [markdown]
# ☁ *With a real project: `make destroy`. It touches only what carries this deployment's label.*
#
# ## Try it
#
# **1.** From which day on can Vertex AI's own TensorFlow container no longer be used, and what then?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# configured("serving=prebuilt").serving.available_until, configured("serving=tf_serving").serving.image
# ```
#
# `serving=tf_serving` runs TensorFlow Serving in a container of your own, built by `deploy/tf_serving/` without a
# local Docker. The bundle is the same.
#
# </details>
#
# **2.** Plan for production (`deploy.env=prod`). What differs?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# deploy(configured(f"bundle={bundle.path}", "deploy.plan_only=true", "deploy.env=prod"))
# ```
#
# Two machines at least and four at most, other names, and the name has to be typed to confirm.
#
# </details>
#
# **3.** Send the local endpoint a row with a field missing. What does it answer?
#
# <details markdown="1"><summary>Solution</summary>
#
# Status 400, with the row, the field and what was expected; all faults of all rows at once. `serve.lenient=true`
# takes a missing field as "missing" instead.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 4, serving and scaling models; section 5, tracking
# and auditing model versions.*
#
# Next: [drift](06_drift.ipynb).
