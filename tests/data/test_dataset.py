import yaml

from churn.data.dataset import Schema


def test_the_yaml_of_a_schema_is_a_configuration_with_the_same_roles():
    names = ("Call  Failure", "no", "50 %: kept", "x" * 130, "größe", "it's")
    schema = Schema(
        "Yes?", ("Yes", "1"), names, ("Plan",), id="on", dropped=("null",), decimal=",", missing=("-",)
    )
    assert yaml.safe_load(schema.to_yaml()) == {
        "target": "Yes?",
        "churned": ["Yes", "1"],
        "numeric": list(names),
        "categorical": ["Plan"],
        "id": "on",
        "missing": ["-"],
        "decimal": ",",
        "drop": ["null"],
    }
