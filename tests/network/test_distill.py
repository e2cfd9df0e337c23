"""Augmented rows are mixtures of real ones, and soft labels see only the rows of their member."""

import numpy as np
from conftest import compose_config

from churn.network import crossfit, distill


def test_augmented_rows_have_real_cells_and_mostly_those_of_one_customer(customers):
    augmented = distill.augment(customers.frame, 500, seed=1)
    assert list(augmented) == list(customers.frame)
    assert (augmented.dtypes == customers.frame.dtypes).all()
    for name in augmented:
        assert augmented[name].isin(customers.frame[name]).all()
    contract_of = customers.frame.set_index("tenure")["contract"]  # each tenure belongs to one customer
    pairs = zip(augmented["tenure"], augmented["contract"], strict=True)
    together = [contract_of[tenure] == contract for tenure, contract in pairs]
    assert 0.5 < np.mean(together) < 1
    assert augmented.equals(distill.augment(customers.frame, 500, seed=1))


def test_soft_labels_do_not_depend_on_the_labels_of_their_member_s_fold(customers):
    cfg = compose_config("model.members=3", "model.folds=3").model
    rows = np.arange(len(customers))
    plan = crossfit.plan_folds(customers, rows, cfg, seed=1)
    augmented = distill.augment(customers.frame, 100, seed=1)
    churned = np.repeat(customers.churned[:, None], 3, axis=1).astype(np.float32)
    flipped = np.where(plan.fold_of_row[:, None] == 2, 1 - churned, churned)
    honest, other = (
        distill.tree_probabilities(crossfit.TrainingRows(customers, rows, labels), plan, augmented, seed=1)
        for labels in (churned, flipped)
    )
    held_out = plan.fold_of_member == 2
    assert np.array_equal(honest[:, held_out], other[:, held_out])
    assert not np.isclose(honest[:, ~held_out], other[:, ~held_out]).all(axis=0).any()
