"""Kaggle's data set service on loopback: what kagglehub calls, with refusals as the service's."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIELDS = {  # the fields of each request
    "GetDataset": {"ownerSlug", "datasetSlug"},
    "DownloadDataset": {"ownerSlug", "datasetSlug", "datasetVersionNumber", "fileName", "raw", "hashLink"},
}


class Handler(BaseHTTPRequestHandler):
    """`server.datasets`: {file: bytes} by OWNER/NAME; `server.private`: names with terms to accept first."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = self.path.removeprefix("/v1/datasets.DatasetApiService/")
        self.server.asked.append(method)
        if method not in FIELDS or request.keys() - FIELDS[method]:
            return self.answer(400, b"unknown method or field")
        name = f"{request['ownerSlug']}/{request['datasetSlug']}"
        if name in self.server.private:
            return self.answer(403, b"{}")
        files = self.server.datasets.get(name)
        if files is None or request.get("fileName", next(iter(files))) not in files:
            return self.answer(404, b"{}")
        if method == "GetDataset":
            return self.answer(200, json.dumps({"ref": name, "currentVersionNumber": 3}).encode())
        if "fileName" in request:
            return self.answer(200, files[request["fileName"]], "text/csv")
        return self.answer(200, zipped(files), "application/zip")

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def zipped(files: dict[str, bytes]) -> bytes:
    """The archive that Kaggle makes of a data set."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def running(datasets: dict[str, dict[str, bytes]]) -> Iterator[ThreadingHTTPServer]:
    """The service at `server.url` while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.datasets, server.private, server.asked = datasets, set(), []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
