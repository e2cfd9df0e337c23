"""No tracked file holds a secret that detect-secrets knows the form of."""

import subprocess

import pytest
from conftest import ROOT
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

MADE_UP = {"PASSWORD", "password", "secret", "pass", "hush", "tell"}  # in addresses of tests and guides
LOCKS = "requirements/"  # hold pins and hashes only (tests/test_lock.py)
LEFT_OUT = {  # no secrets, or slow and of services that this project does not use
    "Public IP (ipv4)", "Cloudant Credentials", "IBM Cloud IAM Key", "IBM COS HMAC Credentials",
    "SoftLayer Credentials",
}  # fmt: skip
DETECTORS = [
    detector()
    for kind, detector in get_mapping_from_secret_type_to_class().items()
    if issubclass(detector, RegexBasedDetector) and kind not in LEFT_OUT
]


def secrets(text):
    """Values in a text that look like secrets."""
    return {value for detector in DETECTORS for value in detector.analyze_string(text)} - MADE_UP


def test_no_tracked_file_holds_a_secret():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    scanned = [name for name in names.splitlines() if not name.startswith(LOCKS)]
    texts = {name: (ROOT / name).read_bytes().decode(errors="replace") for name in scanned}
    assert len(texts) > 100
    assert {name: found for name, text in texts.items() if (found := secrets(text))} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "AKIA" + "Q3EGRIYPSWXLD2OB",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "ghp_" + "a1B2" * 9,
        "postgresql://me:" + "hunter2@db/name",
        "xoxb-" + "1" * 12 + "-" + "2" * 12 + "-abcdefghijklmnopqrstuvwx",
    ],
)
def test_a_planted_secret_is_found(planted):
    assert secrets(f"x = 1\ntoken: {planted}\n")
