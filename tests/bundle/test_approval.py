"""Production needs an approval, which is kept with the version."""

import pytest
from conftest import compose_config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from churn.bundle.approval import approvals_of, check_approval, check_standing_approval, require_approval
from churn.bundle.bundle import Bundle
from churn.bundle.signature import is_signed, sign
from churn.errors import UserError
from churn.retrain.promote import promote

ADA = ("approval.by=Ada", "approval.evidence='ticket 7: card read'")


def test_prod_asks_for_a_name_and_its_evidence_before_anything_happens(tmp_path):
    cfg = compose_config(f"run.dir={tmp_path}", "deploy.env=prod")
    with pytest.raises(UserError, match=r'do: add approval.by=NAME approval.evidence="WHAT IT RESTS ON"'):
        promote(cfg)
    check_approval(compose_config(*ADA, "deploy.env=prod"))
    check_approval(compose_config())


@pytest.mark.parametrize("half", ADA)
def test_half_an_approval_is_none(half):
    with pytest.raises(UserError, match="a name and its evidence"):
        check_approval(compose_config(half))


def test_long_evidence_is_a_document():
    with pytest.raises(UserError, match=r"more than 1,000 characters(.|\n)*approval.evidence"):
        check_approval(compose_config(ADA[0], f"approval.evidence={'x' * 1_001}"))


def test_a_retraining_that_may_reach_production_needs_a_standing_approval():
    check_standing_approval(compose_config("deploy.env=prod"))  # only this machine's champion
    with pytest.raises(UserError, match="nobody has approved this version"):
        check_standing_approval(compose_config("deploy.env=prod", "target=vertex"))


def test_every_approval_is_kept_with_the_version(make_run, cfg):
    run = make_run("first")
    bundle = Bundle.load(run / "bundle")
    assert approvals_of(bundle, cfg.run.root) == []
    for by in ("Ada", "Grace"):
        promote(compose_config(f"run.dir={run}", f"run.root={cfg.run.root}", *ADA, f"approval.by={by}"))
    found = approvals_of(bundle, cfg.run.root)
    assert [(entry["by"], entry["evidence"]) for entry in found] == [
        ("Ada", "ticket 7: card read"), ("Grace", "ticket 7: card read"),
    ]  # fmt: skip
    assert all(entry["at"].endswith("Z") for entry in found)
    assert approvals_of(Bundle.load(make_run("other") / "bundle"), cfg.run.root) == []


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A function that makes a pair of PEM files, the private key readable by its owner only."""
    folder = tmp_path_factory.mktemp("keys")

    def make(name, password=None, kind=Ed25519PrivateKey):
        key = kind.generate()
        protection = BestAvailableEncryption(password) if password else NoEncryption()
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        private.chmod(0o600)
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return make


def test_production_takes_only_what_a_trusted_key_has_signed(make_run, cfg, keys, capsys):
    (private, public), (_, stranger) = keys("team"), keys("stranger")
    run, root = make_run("signed"), f"run.root={cfg.run.root}"
    bundle = Bundle.load(run / "bundle")
    prod = compose_config(root, "deploy.env=prod", f"approval.trusted=[{public}]")
    promote(compose_config(f"run.dir={run}", root, *ADA))
    require_approval(compose_config(root, "deploy.env=prod"), bundle)
    with pytest.raises(UserError, match="no approval of this bundle has a signature by a trusted key"):
        require_approval(prod, bundle)
    with pytest.raises(UserError, match=r"an approval needs a signature here(.|\n)*approval.key=FILE.pem"):
        promote(compose_config(f"run.dir={run}", root, *ADA, f"approval.trusted=[{public}]"))
    promote(compose_config(f"run.dir={run}", root, *ADA, f"approval.key={private}"))
    assert "Approved by Ada, signed." in capsys.readouterr().out
    require_approval(prod, bundle)
    with pytest.raises(UserError, match="by a trusted key"):
        require_approval(compose_config(root, "deploy.env=prod", f"approval.trusted=[{stranger}]"), bundle)


def test_a_signature_is_of_one_bundle_one_name_one_time_and_one_reason(keys):
    private, public = keys("one")
    entry = {"by": "Ada", "at": "2026-01-01T00:00:00Z", "evidence": "ticket 7"}
    signed = entry | sign(entry, "digest", str(private))
    assert is_signed(signed, "digest", [str(public)])
    assert not is_signed(signed, "another digest", [str(public)])
    for name in ("by", "at", "evidence", "signature", "key"):
        assert not is_signed(signed | {name: "AAAA"}, "digest", [str(public)])
    assert not is_signed(entry, "digest", [str(public)])


def test_a_key_with_a_password_and_what_is_no_key(keys, monkeypatch, tmp_path):
    entry = {"by": "Ada", "at": "now", "evidence": "e"}
    private, public = keys("locked", b"hush")
    with pytest.raises(UserError, match=r"not a private key(.|\n)*CHURN_KEY_PASSWORD") as refused:
        sign(entry, "d", str(private))
    assert "hush" not in str(refused.value)
    monkeypatch.setenv("CHURN_KEY_PASSWORD", "hush")
    assert is_signed(entry | sign(entry, "d", str(private)), "d", [str(public)])
    monkeypatch.delenv("CHURN_KEY_PASSWORD")
    with pytest.raises(UserError, match="not an Ed25519 key"):
        sign(entry, "d", str(keys("other", kind=X25519PrivateKey)[0]))
    with pytest.raises(UserError, match="not a public key"):
        is_signed(entry, "d", [str(private)])
    private.chmod(0o644)
    with pytest.raises(UserError, match="others may read the private key"):
        sign(entry, "d", str(private))
