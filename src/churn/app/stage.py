"""`churn app`: the page for people who do not type."""

from __future__ import annotations

from churn.config.root import Config
from churn.errors import missing_extra

PACKAGES = ("shiny", "uvicorn", "starlette", "htmltools", "fastapi", "msgspec")  # of the extra `app`


def app(cfg: Config) -> None:
    """Serve the page until Ctrl-C. Raises `UserError` for an address that cannot be used.

    >>> app(compose_config("app.port=8050"))
    """
    print("Loading ...", flush=True)
    try:
        import uvicorn

        from churn.app.server import make_app
        from churn.serve.gate import check_address, check_certificate
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise missing_extra(str(error.name), "app") from None
    check_address(cfg.serve)
    check_certificate(cfg.serve)
    from churn.serve.stage import listen

    listener = listen(cfg.serve.host, cfg.app.port, "app.port")
    scheme = "https" if cfg.serve.certificate else "http"
    print(
        f"Open {scheme}://{cfg.serve.host}:{listener.getsockname()[1]} in a browser; Ctrl-C ends it.",
        flush=True,
    )
    settings = uvicorn.Config(
        make_app(cfg), log_level="warning", server_header=False, proxy_headers=False,
        ssl_certfile=cfg.serve.certificate, ssl_keyfile=cfg.serve.certificate_key, ws="websockets-sansio",
    )  # fmt: skip
    uvicorn.Server(settings).run([listener])
