"""The whole configuration, as programs change it."""

from conftest import compose_config

from churn.config.root import with_tutorial_model


def test_a_name_with_signs_of_the_configuration_s_language_stays_as_it_is():
    cfg = compose_config("seed=7")
    cfg.data.target = "${x}"
    tutorial = with_tutorial_model(cfg)
    assert (tutorial.data.target, tutorial.seed) == ("${x}", 7)
    assert (tutorial.model.name.value, tutorial.train.batch_size) == ("tutorial", 32)
    assert cfg.train.batch_size != 32
