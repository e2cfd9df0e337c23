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
# On the laptop everything works. This chapter deploys the model so that others can use it and, just as important,
# removes it again. Everything here runs **without an account**; the three places where a real project differs are
# marked ☁.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import json
import logging
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
from churn.data import load
from churn.data.experiment import Experiment
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
# A bundle is a TensorFlow SavedModel with a few facts beside it. To serve it, nothing else is needed: no pickle, no
# scaler, no list of columns, not even this package.

# %%
bundle = Bundle.load(Path("runs/first/bundle"))
for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
    print(f"{file.stat().st_size / 1000:9.1f} kB  {file.relative_to(bundle.path)}")

# %% [markdown]
# `bundle.json` says what a stranger must know: the inputs, the outputs, the metrics, and what the bundle was made from.

# %%
shown = ("name", "created", "threshold", "data", "versions", "git_commit")
print(json.dumps({key: bundle.facts[key] for key in shown}, indent=1))

# %% [markdown]
# ## An endpoint on this machine
#
# `churn serve` answers as Vertex AI does: with the same routes, the same JSON and the same checks. A client that works
# with one works with the other.

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "churn", "serve", f"bundle={bundle.path}", "serve.port=0"],
    stdout=subprocess.PIPE, text=True,
)
address = next(line for line in server.stdout if line.startswith("Serving ")).split()[-1]
print(address)

# %% [markdown]
# Vertex AI's JSON has no value for "missing": neither NaN nor null. A number at or below −10³⁰ stands for it;
# `parity.to_instances` writes rows in this form.

# %%
customers = load.load_dataset(cfg.data, cfg.seed)
rows = Experiment.split(customers, cfg).test.frame.head(200)
body = json.dumps({"instances": parity.to_instances(rows, bundle)}).encode()
with urlopen(Request(address, body, {"Content-Type": "application/json"})) as response:
    answers = json.load(response)["predictions"]
server.terminate()
answers[0]

# %% [markdown]
# ## The same answer everywhere
#
# Vertex AI's newest container runs TensorFlow 2.15, and this notebook runs a much later version. `make test` installs
# that version in `.venv-container`. If it is installed, we let it predict, too; it loads the bundle as TensorFlow
# Serving does.

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
    with np.load("out.npz") as output:
        elsewhere[f"TensorFlow {output['tensorflow']}, as in the container"] = output["churn_probability"]
else:
    print("There is no .venv-container on this machine; `make test` builds it where there is a python3.11.")

figure, axes = plt.subplots()
for (name, probability), marker in zip(elsewhere.items(), "o+"):
    gap = max(np.abs(probability - here["churn_probability"]).max(), 1e-12)
    axes.plot(100 * here["churn_probability"], 100 * probability, marker, alpha=0.6,
              label=f"{name}: less than {1.01 * gap:.0e} apart")
axes.set(title="The bundle gives the same answers everywhere", xlabel="Probability in this notebook (%)",
         ylabel="Probability elsewhere (%)")
axes.legend();

# %% [markdown]
# Compare this with the picture in chapter 2, where the scaler was lost.
#
# ## The plan, before anything costs money
#
# `churn deploy` first prints its plan: what it would do, what this costs if it is left running, and the same steps as
# `gcloud` commands. With `deploy.plan_only=true` (`make deploy PLAN=1`) it stops there and needs no account.

# %%
deploy(compose_config(f"bundle={bundle.path}", "deploy.plan_only=true"))

# %% [markdown]
# ☁ *With a real project: `gcloud auth application-default login`, then the same with
# `deploy.project=YOURS deploy.bucket=YOURS`. The plan then also shows what exists already.*
#
# A forgotten endpoint is the most common fear. This is what it costs:

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
axes.set(title="Cost of an endpoint that nobody calls", xlabel=f"US dollars a month (prices of {table.date})",
         xlim=(0, 1.15 * max(left_running.values())));

# %% [markdown]
# ## The whole life of an endpoint, on this machine
#
# The repository has a stand-in for Vertex AI, Cloud Storage and BigQuery, in `tests/doubles/`. Google's own clients
# connect to it, and it rejects every message that Google's message definitions reject. It was written from the
# documentation and never compared with the running service; [the guide on deployment](../docs/deploy.md) lists what
# this leaves open.

# %%
sys.path.insert(0, str(root / "tests"))
from doubles import vertex

logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)  # it warns of its own answers
operations.POLL_SECONDS = 0.0  # the stand-in finishes at once
open_servers = ExitStack()
cloud = open_servers.enter_context(vertex.running())
settings = [*small, "deploy.project=p", "deploy.bucket=bucket", f"deploy.emulator={cloud.url}",
            "deploy.yes=true", "deploy.answers=2"]
deploy(compose_config(*settings, f"bundle={bundle.path}"))

# %% [markdown]
# ☁ *With a real project leave out `deploy.emulator` and `deploy.yes`: then `churn deploy` asks before it does anything,
# and a deployment takes minutes.*
#
# A month later there is a better model. The new version first gets a tenth of the traffic, and `churn deploy` sends
# real rows until enough answers have come from it. Only if these equal the bundle's own does it get the fifth that
# `deploy.canary` asks for.

# %%
pipeline.run(compose_config(*small, "seed=7", "run.dir=runs/second"));

# %%
newer = compose_config(*settings, "bundle=runs/second/bundle", "deploy.canary=20")
deploy(newer)
status(newer)

# %% [markdown]
# Is something wrong with the new version? One call gives all traffic back to the previous version, which is still
# deployed.

# %%
rollback(newer)

# %% [markdown]
# At the end, `churn destroy` removes everything that costs money, in the order that the service allows. Then it
# **checks again** and prints what is left.

# %%
destroy(newer)
status(newer)
open_servers.close()

# %% [markdown]
# ☁ *With a real project: `make destroy`. It removes only what has the label of this deployment.*
#
# ## Try it
#
# **1.** On which day does Vertex AI's own TensorFlow container end, and what can be used after that?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# compose_config("serving=prebuilt").serving.available_until, compose_config("serving=tf_serving").serving.image
# ```
#
# `serving=tf_serving` runs TensorFlow Serving in a container of your own, which `deploy/tf_serving/` builds without a
# local Docker. The bundle stays the same.
#
# </details>
#
# **2.** Plan for production (`deploy.env=prod`). What differs?
#
# <details markdown="1"><summary>Solution</summary>
#
# ```python
# deploy(compose_config(f"bundle={bundle.path}", "deploy.plan_only=true", "deploy.env=prod"))
# ```
#
# It has two to four machines and other names, and to confirm one must type the name.
#
# </details>
#
# **3.** Send the local endpoint a row with a field missing. What does it answer?
#
# <details markdown="1"><summary>Solution</summary>
#
# Status 400, with the row, the field and what was expected; all faults of all rows are in one answer. With
# `serve.lenient=true` a field that is not sent counts as missing.
#
# </details>
#
# *Exam guide, Professional Machine Learning Engineer: section 4, serving and scaling models; section 5, tracking
# and auditing model versions.*
#
# Next: [drift](06_drift.ipynb).
