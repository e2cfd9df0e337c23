"""Servers are found by a lock that ends with them; no other process gets a signal."""

import os
import signal

from churn.serve.processes import announce, reload_servers


def test_a_server_gets_the_signal_to_reload_while_it_is_announced(tmp_path):
    signals = []
    before = signal.signal(signal.SIGHUP, lambda *_: signals.append(True))
    try:
        with announce(str(tmp_path)):
            assert reload_servers(str(tmp_path)) == 1
        assert reload_servers(str(tmp_path)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signals == [True]


def test_the_file_of_a_process_that_has_ended_leads_to_no_signal(tmp_path):
    (tmp_path / "serving").mkdir()
    stale = tmp_path / "serving" / str(os.getpid())  # a SIGHUP would end this test run
    stale.touch()
    assert reload_servers(str(tmp_path)) == 0
    assert not stale.exists()
