"""Made-up customers are mixtures of real ones, and a teacher knows only what its member may know."""

import numpy as np
from conftest import compose_config

from churn.network import crossfit, distill


def test_made_up_customers_have_real_cells_and_mostly_those_of_one_customer(customers):
    made = distill.augment(customers.frame, 500, seed=1)
    assert list(made) == list(customers.frame)
    assert (made.dtypes == customers.frame.dtypes).all()
    for name in made:
        assert made[name].isin(customers.frame[name]).all()
    known = set(customers.frame["tenure"])
    by_tenure = customers.frame.set_index("tenure")["contract"]
    own = [by_tenure[t] == c for t, c in zip(made["tenure"], made["contract"], strict=True) if t in known]
    assert 0.5 < np.mean(own) < 1
    assert made.equals(distill.augment(customers.frame, 500, seed=1))


def test_a_teacher_s_answers_do_not_depend_on_the_labels_of_its_member_s_fold(customers):
    cfg = compose_config("model.members=3", "model.folds=3").model
    rows = np.arange(len(customers))
    plan = crossfit.plan_folds(customers, rows, cfg, seed=1)
    made = distill.augment(customers.frame, 100, seed=1)
    churned = np.repeat(customers.churned[:, None], 3, axis=1).astype(np.float32)
    spoilt = np.where(plan.fold_of_row[:, None] == 2, 1 - churned, churned)
    honest, other = (
        distill.teacher_probabilities(crossfit.TrainingRows(customers, rows, labels), plan, made, seed=1)
        for labels in (churned, spoilt)
    )
    own = plan.fold_of_member == 2
    assert np.array_equal(honest[:, own], other[:, own])
    assert not np.isclose(honest[:, ~own], other[:, ~own]).all(axis=0).any()
