"""A bundle like another one, with shifted log-odds: its graph around the other one's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from churn.backend import silent_stderr, tensorflow
from churn.bundle.bundle import CODED, CODED_REASONS, EXTRA, Bundle
from churn.bundle.export import seal
from churn.bundle.light import require_parity, typical_rows, write_light
from churn.network.log_odds import logit

SHIFTED = ("churn_probability", "churn_probability_low", "churn_probability_high", "average_probability")
EPSILON = 1e-7  # least probability whose log-odds are shifted


def shift_bundle(
    bundle: Bundle, log_odds: float, path: Path, profile: dict[str, Any], **facts: Any
) -> Bundle:
    """Write a bundle that answers as `bundle` does, with `log_odds` added to those of each probability.

    The threshold stays, unless it is that of a share of the customers (`decision.top_share`): then it moves
    with the probabilities. The largest contributions to a probability stay; `other_contributions` takes up
    the difference. `facts` are added to bundle.json, `profile` replaces the bundle's.
    """
    tf, own = tensorflow(), _shifted_threshold(bundle.facts, log_odds)
    module = tf.Module()
    module.inner = bundle.saved_model
    signatures = {
        name: _shifted_signature(signature, log_odds, own)
        for name, signature in module.inner.signatures.items()
    }
    module.functions = list(signatures.values())
    with silent_stderr():
        tf.saved_model.save(module, str(path), signatures=signatures)
    (path / EXTRA).mkdir(exist_ok=True)
    shutil.copy(bundle.path / EXTRA / "words.json", path / EXTRA / "words.json")
    kept = {name: fact for name, fact in bundle.facts.items() if name != "format"}
    light = [name for name in (CODED, CODED_REASONS) if bundle.light_file(name).exists()]
    write_light({name: signatures[name] for name in light}, module.inner.weights, path / EXTRA)
    seal(path, kept | {"threshold": own} | facts, profile)
    shifted = Bundle.load(path)
    if light:
        require_parity(shifted, *typical_rows(shifted))
    return shifted


def _shifted_threshold(facts: dict[str, Any], log_odds: float) -> float:
    """The threshold of a bundle, by its facts, whose probabilities are shifted."""
    own = float(facts["threshold"])
    if facts.get("decision", {}).get("top_share") is None:
        return own
    return float(expit(logit(np.array(own), EPSILON) + log_odds))


def _shifted_signature(signature: Any, log_odds: float, threshold: float) -> Any:
    """The signature with the same inputs and outputs, whose probabilities are shifted."""
    tf, inputs = tensorflow(), signature.structured_input_signature[1]
    # TensorFlow lowers the case of the names in the specifications that it loads.
    specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()}

    def answers(tensors: dict[str, Any]) -> dict[str, Any]:
        return _shift_outputs(signature(**tensors), log_odds, threshold)

    return tf.function(answers).get_concrete_function(specs)


def _shift_outputs(outputs: dict[str, Any], log_odds: float, threshold: float) -> dict[str, Any]:
    tf, new = tensorflow(), dict(outputs)

    def shifted(probability: Any) -> Any:
        p = tf.clip_by_value(probability, EPSILON, 1 - EPSILON)
        return tf.sigmoid(tf.math.log(p) - tf.math.log1p(-p) + log_odds)

    new |= {name: shifted(outputs[name]) for name in SHIFTED if name in outputs}
    if "churn" in outputs:
        new["churn"] = tf.cast(new["churn_probability"] >= threshold, tf.int32)
    if "other_contributions" in outputs:  # the signature may have no probability
        largest = tf.add_n([value for name, value in outputs.items() if name.startswith("contribution_")])
        probability = outputs["average_probability"] + largest + outputs["other_contributions"]
        new["other_contributions"] = shifted(probability) - new["average_probability"] - largest
    return new
