"""`deploy.idle_minutes`: an endpoint for development that costs nothing while nobody calls."""

import pytest

from churn.errors import UserError
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.status import status

from .test_deploy import ENDPOINT, traffic

IDLE = ("deploy.idle_minutes=30", "deploy.dedicated=true")


def test_an_idle_endpoint_has_no_machine_and_is_woken_for_the_next_version(cloud, settings, capsys):
    deploy(settings(1, *IDLE))
    printed = capsys.readouterr().out
    assert "If left running: 0 x n1-standard-2: $0.00 an hour, $0.00 a day, $0 a month" in printed
    assert "nobody may have called for 30 minutes (a preview" in printed
    assert "no command for it: comparing answers, a version that scales to zero" in printed
    (model,) = cloud.service.endpoints[ENDPOINT].deployed_models
    assert cloud.service.sleepers == {model.id: "1800s"}
    assert model.dedicated_resources.min_replica_count == 0
    cloud.service.asleep = 3
    deploy(settings(2, *IDLE))
    assert traffic(cloud) == {"1": 0, "2": 100}
    status(settings(2))
    assert "together $0.00 an hour" in capsys.readouterr().out
    destroy(settings(2))
    assert not cloud.service.endpoints


def test_it_can_be_deployed_again_but_not_changed_where_it_runs(cloud, settings):
    deploy(settings(1, *IDLE))
    deploy(settings(1, *IDLE))
    with pytest.raises(UserError, match=r"deploy\.idle_minutes is 'set' in what exists"):
        deploy(settings(1, "deploy.dedicated=true"))
    with pytest.raises(UserError, match=r"deploy\.idle_minutes is 30 in what exists(.|\n)*changed to 60"):
        deploy(settings(1, "deploy.idle_minutes=60", *IDLE[1:]))
    with pytest.raises(UserError, match=r"deploy\.max_replicas is 1 in what exists(.|\n)*changed to 2 there"):
        deploy(settings(1, *IDLE, "deploy.max_replicas=2"))


def test_prod_does_not_scale_to_zero(cloud, settings):
    with pytest.raises(UserError, match="for env=dev: requests are lost"):
        deploy(settings(1, *IDLE, "deploy.env=prod"))
    assert not cloud.calls
