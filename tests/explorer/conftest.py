"""One browser for all tests of the explorer; every request that leaves the machine is refused."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from explorer_browser import visit

from chione.explorer import build


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def static_address():
    """The static files, unjoined, at a loopback address."""
    handler = partial(_Quiet, directory=str(build.STATIC))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def new_page(browser):
    """A function that opens a page; what it asked for elsewhere is in its `refused`."""
    contexts = []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.refused = []

        def route(route):
            place = urlsplit(route.request.url)
            if place.scheme in ("file", "blob", "data") or place.hostname == "127.0.0.1":
                return route.continue_()
            page.refused.append(route.request.url)
            return route.abort()

        context.route("**/*", route)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def explorer_file(tmp_path_factory):
    """The built page as a file."""
    return build.write_page(tmp_path_factory.mktemp("explorer") / "explorer.html")


@pytest.fixture(scope="module")
def modules(browser, static_address):
    """A page on which ``import("/formula.js")`` and the other modules work, one by one."""
    page = browser.new_page()
    page.goto(f"{static_address}/formula.js")  # any file of theirs, so that the origin is right
    yield page
    page.close()


@pytest.fixture(scope="session")
def url(explorer_file):
    """The address of the built page."""
    return explorer_file.as_uri()


@pytest.fixture(scope="session")
def opened(browser, url):
    with visit(browser, url) as found:
        yield found


@pytest.fixture
def desk(opened):
    """One page for all tests that need none of their own; each goes where it wants to begin."""
    opened.page.evaluate("document.querySelector('dialog').close()")
    yield opened
    opened.check()
