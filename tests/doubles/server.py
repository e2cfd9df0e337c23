"""An HTTP server on this machine, on a free port; closing it ends all its threads."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """A client's request."""

    method: str
    url: str  # path and query, or the whole address if it comes through a proxy
    headers: dict[str, str]  # names in lower case
    content: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """The answer; with a `Content-Length` greater than the content's it breaks off."""

    content: bytes = b""
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """Base of the doubles, a context manager; subclasses define `answer`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def __enter__(self):
        handler = type("Handler", (Handler,), {"double": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = False  # closing waits for them
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    """Passes requests to the double."""

    double: Server

    def pass_on(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, self.path, headers, content)
        self.double.requests.append(request)
        answer = self.double.answer(request)
        self.send_response(answer.code)
        for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815

    def log_message(self, *_):
        """Write nothing to the terminal."""
