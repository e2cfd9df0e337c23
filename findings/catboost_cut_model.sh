#!/bin/sh
# CatBoost's save_model gives no error where only the end of the file cannot be written (a full disk, a limit of the size of
# files): the model is cut, as JSON and in CatBoost's own format. Where much is missing it raises CatBoostError.
# Seen with catboost 1.2.10. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet catboost==1.2.10
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import os
import resource
import sys

import catboost
import numpy as np

rows = np.random.default_rng(0).normal(size=(500, 5))
model = catboost.CatBoostClassifier(iterations=100, depth=6, verbose=False, allow_writing_files=False).fit(rows, rows[:, 0] > 0)
print("catboost", catboost.__version__)
seen = {}
for kind in ("json", "cbm"):
    file = os.path.join(sys.argv[1], f"model.{kind}")
    model.save_model(file, format=kind)
    whole = os.path.getsize(file)
    for missing in (1, 1000, 100_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing, resource.RLIM_INFINITY))
        try:
            model.save_model(file, format=kind)
            seen[kind, missing] = "no error"
        except catboost.CatBoostError as error:
            seen[kind, missing] = "CatBoostError"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(f"{kind}: {missing:,} bytes do not fit: {seen[kind, missing]}, {os.path.getsize(file):,} of {whole:,} bytes written")
        if kind == "json" and missing < 100_000:
            try:
                json.load(open(file))
                sys.exit("the file is whole JSON")
            except ValueError:
                pass
expected = {1: "no error", 1000: "no error", 100_000: "CatBoostError"}
assert seen == {(kind, missing): error for kind in ("json", "cbm") for missing, error in expected.items()}, seen
PYTHON
