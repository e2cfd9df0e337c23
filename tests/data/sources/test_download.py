"""A download is whole and has the hash of the configuration, or it is not kept."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from churn.config.secrets import hide_passwords
from churn.data.sources.download import fetch
from churn.errors import UserError

CONTENT = b"customerID,Churn\n" + b"A-1,Yes\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the table at /table.csv, half of it at /short.csv."""

    def do_GET(self):
        self.server.requested.append(self.path)
        self.send_response(404 if self.path.startswith("/gone.csv") else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/short.csv" else CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once(server, tmp_path):
    path = fetch(f"{server.url}/table.csv", SHA256, tmp_path / "downloads")
    assert path.read_bytes() == CONTENT
    assert fetch(f"{server.url}/table.csv", SHA256, tmp_path / "downloads") == path
    assert server.requested == ["/table.csv"]


@pytest.mark.parametrize(
    ("name", "sha256", "says"),
    [
        ("table.csv", "0" * 64, SHA256),
        ("short.csv", SHA256, "download failed"),
        ("short.csv", None, "download failed"),
        ("gone.csv", SHA256, "404"),
    ],
)
def test_a_file_that_is_not_whole_or_has_another_hash_is_refused_and_not_kept(
    server, tmp_path, name, sha256, says
):
    with pytest.raises(UserError, match=says) as refused:
        fetch(f"{server.url}/{name}", sha256, tmp_path)
    assert "data.path=FILE" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_token_in_an_address_reaches_the_server_and_stands_in_no_message_and_no_name(
    server, tmp_path, capfd
):
    there, gone = (hide_passwords(f"{server.url}/{name}.csv?se=2027&sig=tell") for name in ("table", "gone"))
    fetch(there, None, tmp_path)
    with pytest.raises(UserError, match="404") as refused:
        fetch(gone, None, tmp_path)
    assert server.requested == ["/table.csv?se=2027&sig=tell", "/gone.csv?se=2027&sig=tell"]
    assert "tell" not in str(refused.value) + capfd.readouterr().out + "".join(map(str, tmp_path.iterdir()))


def test_a_file_that_was_changed_on_the_disk_is_downloaded_again(server, tmp_path):
    path = fetch(f"{server.url}/table.csv", SHA256, tmp_path)
    path.write_bytes(b"changed")
    assert fetch(f"{server.url}/table.csv", SHA256, tmp_path).read_bytes() == CONTENT


def test_a_file_without_a_hash_is_downloaded_once(server, tmp_path, capfd):
    for _ in range(2):
        assert fetch(f"{server.url}/table.csv", None, tmp_path).read_bytes() == CONTENT
    assert server.requested == ["/table.csv"]
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == (f"Downloading {server.url}/table.csv ...\n", "")


def test_without_a_network_the_error_says_how_to_use_a_local_file(tmp_path):
    with pytest.raises(UserError, match=r"data\.path=FILE"):
        fetch("http://127.0.0.1:9/table.csv", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []
