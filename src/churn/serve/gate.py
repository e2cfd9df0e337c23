"""Who may ask: pages of other sites may not use a browser on this machine, nor strangers an open port."""

from __future__ import annotations

import hmac
import ipaddress
import os
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

from churn.config.serving import ServeConfig
from churn.errors import UserError
from churn.serve.refused import RefusedError

TOKEN = "CHURN_TOKEN"  # the variable with the token: command lines and files are seen by others
KNOWN = 64  # hosts and types of content about which the answer is remembered
Headers = dict[bytes, bytes]


class Gate:
    """Checks the headers of requests.

    On an address of this machine, `Host` and `Origin` must name this machine: else any page in a browser
    here could ask through a name of its own. Everywhere a body must say that it is JSON, which a page cannot
    send to another site without asking first. A container on Vertex AI, where no browser reaches it, takes
    what the service passes on.
    """

    def __init__(self, cfg: ServeConfig) -> None:
        self.local, self.on_vertex = _is_loopback(cfg.host), bool(os.environ.get("AIP_HTTP_PORT"))
        self.names = {cfg.host.encode(), b"localhost"}
        token = os.environ.get(TOKEN)
        self.authorization = f"Bearer {token}".encode() if token else None
        self._is_here = lru_cache(KNOWN)(self._names_this_machine)

    def check_caller(self, headers: Headers) -> None:
        """Raise `RefusedError` unless the caller may ask for anything but the health."""
        if self.local and not self._is_here(headers.get(b"host", b"localhost")):
            raise RefusedError(403, "host", "this server answers only to the names of its own machine")
        if self.authorization and not self._is_authorized(headers):
            wanted = (b"www-authenticate", b"Bearer")
            raise RefusedError(401, "token", "send the header Authorization: Bearer TOKEN", headers=[wanted])

    def check_post(self, headers: Headers) -> None:
        """Raise `RefusedError` unless the caller may send rows."""
        if self.on_vertex:
            return
        self.check_caller(headers)
        if not _is_json(headers.get(b"content-type", b"")):
            raise RefusedError(415, "type", "send the header Content-Type: application/json")
        origin = headers.get(b"origin")
        if self.local and origin is not None and not self._is_here(_host_of(origin)):
            raise RefusedError(403, "origin", "pages of other sites may not ask this server")

    def _names_this_machine(self, host: bytes) -> bool:
        """Whether a host, with or without a port, is this machine."""
        name = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
        return name in self.names or _is_loopback(name.decode("latin-1"))

    def _is_authorized(self, headers: Headers) -> bool:
        return hmac.compare_digest(headers.get(b"authorization", b""), self.authorization or b"")


@lru_cache(KNOWN)
def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _host_of(origin: bytes) -> bytes:
    """Host and port of an origin; empty for one that has none, such as `null`."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1")
    except ValueError:
        return b""


def _is_loopback(host: str) -> bool:
    """Whether an address or name can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(cfg: ServeConfig) -> None:
    """Raise `UserError` if others can reach the server, but anybody may ask, or read what is sent."""
    if _is_loopback(cfg.host) or os.environ.get("AIP_HTTP_PORT") or cfg.behind_proxy:
        return
    wanted = []
    if not os.environ.get(TOKEN):
        wanted.append(f"a token ({TOKEN}=... in the environment; clients send Authorization: Bearer TOKEN)")
    if not cfg.certificate:
        wanted.append("a certificate (serve.certificate=FILE.pem serve.certificate_key=FILE.pem)")
    if wanted:
        proxy = "serve.behind_proxy=true if a proxy encrypts and checks who asks"
        do = f"give it {' and '.join(wanted)}; or {proxy}"
        raise UserError("other machines can reach this server", f"serve.host={cfg.host}", do)


def check_certificate(cfg: ServeConfig) -> None:
    """Raise `UserError` if the files of the certificate and of its key cannot be used."""
    if not cfg.certificate:
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(
            cfg.certificate, cfg.certificate_key, password=""
        )  # else it would ask for one
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        where = f"serve.certificate={cfg.certificate} serve.certificate_key={cfg.certificate_key or 'null'}"
        do = "name PEM files of a certificate and of its private key, without a password"
        raise UserError(f"the certificate cannot be used: {error}", where, do) from None
