#!/bin/sh
# TensorFlow's TFLiteConverter.from_concrete_functions first writes a SavedModel to the temporary folder. Where that cannot be
# written (a full disk, a limit of the size of files) it says nothing and converts another way: the LiteRT model has no
# signature, so that inputs and outputs have lost their names.
# Seen with tensorflow 2.21.0. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import resource

import tensorflow as tf

print("tensorflow", tf.__version__)


@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, "numbers")])
def model(numbers):
    return {"total": tf.reduce_sum(numbers, 1)}


def signatures(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    owner = tf.Module()
    owner.model = model
    content = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()], owner).convert()
    return tf.lite.Interpreter(model_content=content).get_signature_list()


seen = {limit: signatures(limit) for limit in (resource.RLIM_INFINITY, 100)}
print("signatures, with room for the SavedModel:", seen[resource.RLIM_INFINITY])
print("signatures, without:", seen[100])
assert list(seen[resource.RLIM_INFINITY]) == ["serving_default"] and not seen[100]
PYTHON
