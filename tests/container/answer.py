"""Answers of a bundle in the TensorFlow of Vertex AI's containers; runs in `.venv-container`.

answer.py BUNDLE INPUTS.npz OUTPUTS.npz [SIGNATURE]. Loads as TensorFlow Serving does, from the graph and
signature alone: `tf.saved_model.load` would also accept bundles that the server refuses.
"""

import sys

import numpy as np
import tensorflow as tf

bundle, inputs, outputs, *signature_name = sys.argv[1:]
with tf.compat.v1.Session(graph=tf.Graph()) as session, np.load(inputs) as rows:
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], bundle)
    signature = loaded.signature_def[signature_name[0] if signature_name else "serving_default"]
    assert set(signature.inputs) == set(rows.files), set(signature.inputs) ^ set(rows.files)
    feed = {tensor.name: rows[name] for name, tensor in signature.inputs.items()}
    answer = session.run({name: tensor.name for name, tensor in signature.outputs.items()}, feed)
np.savez(
    outputs,
    tensorflow=tf.__version__,
    **{k: v.astype(str) if v.dtype == object else v for k, v in answer.items()},
)
