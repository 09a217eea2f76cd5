"""The page on the loopback address, the command, the notebook's frame and the state."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import chione as ch
from chione.base import SpecError
from chione.cli import main
from chione.explorer import build, fragment, write_page
from chione.explorer.serve import HOST, PortError, server


@pytest.fixture
def port():
    with server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


def answer(port, path="/", host=None, method="GET"):
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"{HOST}:{port}"})
    response = connection.getresponse()
    return response.status, response.read().decode("utf-8"), response.headers


def test_the_page_is_served_to_this_machine(port):
    status, text, headers = answer(port)
    assert status == 200
    assert text == build.page()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer(port, host=f"localhost:{port}")[0] == 200
    assert answer(port, method="HEAD")[:2] == (200, "")


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "evil.test:80", "127.0.0.1.evil:1"])
def test_a_name_of_another_site_is_refused(port, host):
    assert answer(port, host=host)[0] == 403


@pytest.mark.parametrize("path", ["/etc/passwd", "/../x", "/app.js"])
def test_nothing_else_is_served(port, path):
    assert answer(port, path)[0] == 404


def test_a_port_that_is_taken_is_said_in_a_sentence(port):
    with pytest.raises(PortError, match="give another with --port"):
        server(port)


def test_the_command_writes_the_page(tmp_path):
    out = tmp_path / "page.html"
    done = CliRunner().invoke(main, ["explore", "gelu", "--sigma-w", "1.5", "--out", str(out)])
    assert done.exit_code == 0
    assert 'data-state="activation=gelu&amp;sigma_w=1.5"' in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sigma-w", "21", "--out", "a.html"], "20"),
        (["gelu", "--depth", "2000", "--out", "a.html"], "from 1 to 1000"),
        (["gleu", "--out", "a.html"], "did you mean 'gelu'"),
        (["gelu", "--out", "a.pdf"], "html"),
        (["gelu", "--port", "70000", "--out", "a.html"], "65535"),
    ],
)
def test_bad_input_ends_in_a_sentence(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["explore", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not list(tmp_path.iterdir())


def test_the_command_serves_until_it_is_interrupted():
    code = (
        "import signal, sys; from chione.cli import main; main(['explore', 'tanh', '--no-browser'])"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        address = child.stderr.readline().strip()
        assert address.startswith(f"http://{HOST}:")
        assert address.endswith("/#activation=tanh")
        number = int(address.split(":")[2].split("/")[0])
        assert answer(number)[0] == 200
        child.send_signal(2)
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


# ---- notebook, results, state ------------------------------------------------------------------
class _Frames(HTMLParser):
    def __init__(self):
        super().__init__()
        self.frames = []

    def handle_starttag(self, tag, attrs):
        if tag == "iframe":
            self.frames.append(dict(attrs))


def test_a_notebook_shows_the_whole_page_in_a_frame():
    parser = _Frames()
    parser.feed(ch.explore("tanh", 1.5, 0.1)._repr_html_())
    (frame,) = parser.frames
    assert frame["srcdoc"] == build.page("activation=tanh&sigma_w=1.5&sigma_b=0.1")
    assert "allow-same-origin" not in frame["sandbox"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            lambda: ch.analyze("tanh", 1.5, 0.1, depth=20, simulate=False),
            "activation=tanh&sigma_w=1.5&sigma_b=0.1&depth=20&width=512",
        ),
        (lambda: ch.mean_field("gelu", 1.4), "activation=gelu&sigma_w=1.4&sigma_b=0"),
        (lambda: ch.phase_diagram("erf", sigma_w=[1.0], sigma_b=[0.1]), "activation=erf"),
        (
            lambda: ch.mean_field("leaky_relu(0.2)", 1.0),
            "activation=x%20if%20x%20%3E%200%20else%200.2%2Ax&sigma_w=1&sigma_b=0",
        ),
        (lambda: ch.mean_field("x*tanh(x)", 1.0), "activation=x%2Atanh%28x%29&sigma_w=1&sigma_b=0"),
    ],
)
def test_a_result_opens_the_page_at_its_network(made, expected):
    assert made().explore().fragment == expected


def test_a_table_of_gains_opens_at_the_activation_as_it_is():
    state = ch.gain_table("gelu").explore().fragment
    best = ch.gain("gelu", change=False)
    assert state.startswith(f"activation=gelu&sigma_w={best.sigma_w!r}")


def test_a_result_without_an_activation_says_so():
    with pytest.raises(SpecError, match=r"use chione.explore\(activation, sigma_w, sigma_b\)"):
        ch.trajectory("tanh", 1.5, depth=3).explore()


def test_a_function_without_a_formula_is_refused():
    with pytest.raises(SpecError, match="reads names and formulas"):
        ch.explore(lambda x: 2.0 * x)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"sigma": 1.0}, "its keys are activation"),
        ({"sigma_w": -1.0}, "from 0 to 20"),
        ({"depth": 2.5}, "whole number"),
        ({"mode": "x"}, "plain, residual"),
        ({"q": "nan"}, "a number from"),
    ],
)
def test_a_state_that_the_page_does_not_have_is_refused(state, message):
    with pytest.raises(SpecError, match=message):
        fragment(**state)


# ---- the file ----------------------------------------------------------------------------------
def test_the_page_is_one_file_with_a_strict_policy(tmp_path):
    path = write_page(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert "default-src 'none'" in text
    assert "unsafe" not in text.split("</head>")[0].split("<style>")[0]
    for word in (' src="http', ' href="http', "@import", "eval("):
        assert word not in text, word


def test_joined_modules_that_share_a_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.js").write_text("export const one = 1;\n", encoding="utf-8")
    (tmp_path / "b.js").write_text(
        'import { one } from "./a.js";\nfunction one() {}\n', encoding="utf-8"
    )
    monkeypatch.setattr(build, "STATIC", tmp_path)
    with pytest.raises(ValueError, match="both declare one"):
        build.joined("b.js")
