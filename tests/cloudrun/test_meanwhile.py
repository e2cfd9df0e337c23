"""What others do while a deployment runs stays; what failed is as it was before."""

import pytest

from churn.bundle.bundle import Bundle
from churn.cloudrun import apply as apply_module
from churn.cloudrun import deploy as deploy_module
from churn.cloudrun.deploy import deploy
from churn.cloudrun.destroy import destroy
from churn.errors import UserError

from .test_deploy import MORE_MEMORY, Anything, everything, service_of, traffic


@pytest.fixture
def between(monkeypatch):
    """A function that lets something happen before a step of the next deployment, once."""

    def arrange(module, name, happen):
        step = getattr(module, name)

        def step_after(*arguments):
            monkeypatch.setattr(module, name, step)
            happen()
            return step(*arguments)

        monkeypatch.setattr(module, name, step_after)

    return arrange


def staged(cloud):
    """Digests of the bundles in the bucket."""
    return {name.split("/")[1] for name in cloud.service.storage.list("gs://bucket/churn-dev-run")}


@pytest.mark.parametrize("canary", [40, 100])
@pytest.mark.parametrize("earlier", [[], [1]])
def test_a_failed_deployment_keeps_the_revision_that_was_made_meanwhile(
    earlier, canary, cloud, settings, bundles, between
):
    for number in earlier:
        deploy(settings(number))
    digests = [Bundle.load(path).digest for path in bundles]
    cloud.run.broken.add(digests[1])
    kept = []

    def deploy_another():
        deploy(settings(1, MORE_MEMORY, f"deploy.canary={canary}"))
        kept.extend([everything(cloud), traffic(cloud)])

    between(deploy_module, "apply_revision", deploy_another)
    with pytest.raises(UserError, match="is not ready"):
        deploy(settings(2))
    names, shares, _template, *rest = everything(cloud)
    stays = [] if earlier else [(2, 0, "probe")]  # a service keeps the revision of its template
    assert (shares, rest) == (sorted(kept[1] + stays), list(kept[0][3:]))
    assert names[: len(kept[0][0])] == kept[0][0]
    assert len(names) - len(kept[0][0]) == len(stays)
    assert staged(cloud) == {digests[0]}


def test_files_that_another_revision_needs_stay(cloud, settings, bundles, between, monkeypatch):
    deploy(settings(1))

    def deploy_the_same_bundle():
        deploy(settings(2, MORE_MEMORY))
        monkeypatch.setattr(cloud, "wrong", Anything())

    between(deploy_module, "apply_revision", deploy_the_same_bundle)
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(2))
    assert traffic(cloud) == [(1, 0, "previous"), (2, 100, "")]
    assert staged(cloud) == {Bundle.load(path).digest for path in bundles}


def test_a_tag_that_another_deployment_takes_is_no_fault_of_the_revision(cloud, settings, between):
    deploy(settings(1))
    between(apply_module, "check_revision", lambda: deploy(settings(1, MORE_MEMORY)))
    with pytest.raises(UserError, match=r"another deployment has taken the tag(.|\n)*same command again"):
        deploy(settings(2))
    assert traffic(cloud) == [(1, 0, "previous"), (3, 100, "")]
    deploy(settings(2))
    assert traffic(cloud) == [(2, 100, ""), (3, 0, "previous")]


def test_a_promotion_that_fails_leaves_everything_as_it_was(cloud, settings, monkeypatch):
    deploy(settings(1))
    deploy(settings(2, "deploy.canary=10"))
    before = everything(cloud)
    monkeypatch.setattr(cloud, "wrong", Anything())
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(2, "deploy.min_replicas=1"))
    assert everything(cloud) == before


def test_a_log_in_another_region_is_neither_used_nor_removed(cloud, settings):
    deploy(settings(1))
    cloud.service.storage.make_bucket("bucket-eu", "EUROPE-WEST1")
    elsewhere = ("deploy.region=europe-west1", "deploy.bucket=bucket-eu")
    before = everything(cloud)
    for command in (deploy, destroy):
        with pytest.raises(UserError, match=r"us-central1(.|\n)*another deploy.name=NAME in europe-west1"):
            command(settings(1, *elsewhere))
    assert everything(cloud) == before
    cloud.service.datasets.clear()
    for command in (deploy, destroy):
        with pytest.raises(UserError, match="does not pass on entries of europe-west1"):
            command(settings(1, *elsewhere))
    assert cloud.sinks
    assert service_of(cloud)
