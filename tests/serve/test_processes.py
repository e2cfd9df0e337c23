"""Servers are found by a lock that ends with them; no other process gets a signal."""

import os
import signal

import pytest

from churn.serve.processes import Status, announce, reload_servers, wait_for_reload


@pytest.fixture
def signals():
    """The signals that this process gets instead of its end."""
    received = []
    before = signal.signal(signal.SIGHUP, lambda *_: received.append(True))
    yield received
    signal.signal(signal.SIGHUP, before)


def test_a_server_gets_the_signal_to_reload_while_it_is_announced(tmp_path, signals):
    with announce(str(tmp_path)) as say:
        say(Status(digest="old", loading=False, loads=1))
        assert reload_servers(str(tmp_path)) == {os.getpid(): Status("old", False, 1)}
    assert reload_servers(str(tmp_path)) == {}
    assert signals == [True]


def test_the_file_of_a_process_that_has_ended_leads_to_no_signal(tmp_path):
    (tmp_path / "serving").mkdir()
    stale = tmp_path / "serving" / str(os.getpid())  # a SIGHUP would end this test run
    stale.touch()
    assert reload_servers(str(tmp_path)) == {}
    assert not stale.exists()


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (Status("old", False, 1), Status("new", False, 2), ""),
        (
            Status("old", False, 1),
            Status("old", False, 2, "the bundle was changed"),
            "the bundle was changed",
        ),
        (Status("old", True, 1), Status("old", True, 2, "broken"), "not loaded it within 0.3 seconds"),
        (Status("old", False, 1), Status("old", False, 1), "not loaded it within 0.3 seconds"),
        (Status("old", False, 1, named="runs/a"), Status("old"), "started with: bundle=runs/a"),
    ],
)
def test_a_promotion_knows_whether_the_server_has_the_new_bundle(tmp_path, before, after, why):
    with announce(str(tmp_path)) as say:
        say(after)
        found = wait_for_reload(str(tmp_path), os.getpid(), before, "new", 0.3)
    assert why in found
    assert bool(found) == bool(why)


def test_a_promotion_does_not_wait_for_a_server_that_has_ended(tmp_path):
    assert wait_for_reload(str(tmp_path), os.getpid(), Status("old"), "new", 30) == "it has ended"
