"""The page on the loopback address, for the browser of this machine alone."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chione.base import ChioneError
from chione.explorer.build import page

HOST = "127.0.0.1"


class PortError(ChioneError, OSError):
    """A port that cannot be had."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """A server of the page on the loopback address, not yet running.

    It answers GET and HEAD of / alone, and only if the Host of the request is this machine, so
    that a name of another site that resolves to it is refused.

    Parameters
    ----------
    port : int
        From 0 (any free one) to 65535.

    Raises
    ------
    PortError
        If the port is taken or not allowed.
    """
    text = page().encode("utf-8")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(send=True)

        def do_HEAD(self) -> None:
            self._answer(send=False)

        def _answer(self, *, send: bool) -> None:
            if self.headers.get("Host", "") not in allowed:
                self.send_error(403, "This page is for the machine that it runs on")
            elif self.path.partition("?")[0] not in ("/", "/index.html"):
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                if send:
                    self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Requests are nobody's business."""

    try:
        made = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as err:
        raise PortError(
            f"port {port} cannot be had ({err.strerror}); give another with --port, or none for a "
            "free one."
        ) from err
    number = made.server_address[1]
    allowed = {f"{name}:{number}" for name in (HOST, "localhost")}
    return made


def serve(
    fragment: str = "",
    *,
    port: int = 0,
    browser: bool = True,
    tell: Callable[[str], object] | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    fragment : str
        The state at which it opens.
    port : int
        From 0 (any free one) to 65535.
    browser : bool
        Whether the browser is opened.
    tell : callable, optional
        Is given the address; by default nothing is printed.
    """
    with server(port) as running:
        address = f"http://{HOST}:{running.server_address[1]}/"
        address += f"#{fragment}" if fragment else ""
        if tell is not None:
            tell(address)
        if browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            running.serve_forever()
