"""The explorer in a browser: what is drawn, dragged, typed, copied and saved."""

from __future__ import annotations

import random
import re
import statistics
import string
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from explorer_browser import visit

import chione as ch

DRAG_STEPS = 60
FORMULA = "x*tanh(softplus(x))"
TYPED = f"#activation={quote(FORMULA, safe='')}"


def test_the_page_is_one_small_file_that_asks_for_nothing_and_keeps_its_policy(browser, url):
    size = Path(url.removeprefix("file://")).stat().st_size
    assert size < 3_000_000
    with visit(browser, url) as v:
        for activation in ("gelu", "relu", "x*tanh(x)"):
            v.activation(activation)
        local = re.compile(r"^(file:|blob:|data:)")
        assert [r for r in v.requests if not local.match(r)] == []
        assert len([r for r in v.requests if r.startswith("file:")]) == 1
        policy = v.page.locator('meta[http-equiv="Content-Security-Policy"]').get_attribute(
            "content"
        )
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        painted = v.page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        assert painted < 5000  # a second on a quiet machine; machines that run tests are not quiet


def test_the_address_holds_the_whole_state_and_opens_it_again(browser, url, desk):
    fragment = (
        f"{TYPED}&sigma_w=1.7&sigma_b=0.25&depth=31&width=300"
        "&q=2.5&c=-0.25&weights=orthogonal&mode=plain&field=q_star"
    )
    desk.go(fragment)
    first, numbers = desk.hash(), desk.numbers()
    assert desk.page.locator("#notes").inner_text() == ""
    assert first == {
        "activation": FORMULA,
        "sigma_w": "1.7",
        "sigma_b": "0.25",
        "depth": "31",
        "width": "300",
        "q": "2.5",
        "c": "-0.25",
        "weights": "orthogonal",
        "mode": "plain",
        "field": "q_star",
    }
    desk.set("sigma_w", 1.25)
    assert desk.hash() == first | {"sigma_w": "1.25"}
    assert desk.numbers() != numbers
    with visit(browser, url, desk.page.evaluate("location.hash")) as v:
        assert v.hash() == first | {"sigma_w": "1.25"}
        assert v.numbers() == desk.numbers()
        v.set("sigma_w", 1.7)
        assert v.hash() == first
        assert v.numbers() == numbers


def test_a_notebook_shows_the_page_at_its_network(browser):
    page = browser.new_page()
    page.set_content(ch.explore("relu", 1.25, 0.5, depth=17)._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("body[data-state=rest]").wait_for()
    shown = {
        key: frame.locator(f"#number-{key}").input_value()
        for key in ("sigma_w", "sigma_b", "depth")
    }
    assert shown == {"sigma_w": "1.25", "sigma_b": "0.5", "depth": "17"}
    assert frame.locator("#activation").input_value() == "relu"
    page.close()


def _place(page, sigma_w, sigma_b):
    """Where a point of the first view (5 by 3) lies on the screen."""
    box = page.locator("#diagram-point").bounding_box()
    left, right, top, bottom = 44, 12, 8, 36  # the margins in diagram_view.js
    x = box["x"] + left + sigma_w / 5 * (box["width"] - left - right)
    y = box["y"] + top + (1 - sigma_b / 3) * (box["height"] - top - bottom)
    return x, y


def test_mouse_touch_and_keys_take_the_point_to_the_same_place(browser, url, desk):
    start, found = "#activation=tanh&sigma_w=1.5&sigma_b=0.1", []
    desk.go(start)
    mouse = desk.page.mouse
    mouse.move(*_place(desk.page, 1.5, 0.1))
    mouse.down()
    mouse.move(*_place(desk.page, 3, 1), steps=5)
    mouse.move(*_place(desk.page, 2.2, 0.4), steps=5)
    mouse.up()
    mouse.move(*_place(desk.page, 4, 2))  # the point stays where it was let go
    found.append((desk.hash(), desk.numbers()))
    desk.go(start)
    desk.page.focus("#diagram-point")
    for key, times in (
        ("Shift+ArrowRight", 7),
        ("Shift+ArrowUp", 3),
        ("ArrowRight", 1),
        ("ArrowLeft", 1),
    ):
        for _ in range(times):
            desk.page.keyboard.press(key)
    found.append((desk.hash(), desk.numbers()))
    assert "sigma_w 2.2" in desk.page.locator("#diagram-state").inner_text()
    with visit(browser, url, start, has_touch=True) as v:
        finger = v.page.context.new_cdp_session(v.page)
        for kind, at in (("Start", (1.5, 0.1)), ("Move", (2.2, 0.4)), ("End", None)):
            points = [] if at is None else [dict(zip("xy", _place(v.page, *at), strict=True))]
            finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
        found.append((v.hash(), v.numbers()))
    assert found[0][0]["sigma_w"] == "2.2"
    assert found[0][0]["sigma_b"] == "0.4"
    assert found[0] == found[1] == found[2]


def _hostile(rng: random.Random) -> str:
    keys = [
        "activation",
        "sigma_w",
        "sigma_b",
        "depth",
        "width",
        "q",
        "c",
        "weights",
        "mode",
        "field",
    ]
    keys += ["dropout", "alpha", "tokens", "__proto__", "constructor", "x", ""]
    values = ["", "NaN", "Infinity", "-1e309", "1e-400", "0x10", "1,5", "%", "%E0%A4%A", "null"]
    values += ["<img src=x onerror=alert(1)>", "relu(", "x**x**x", "1/0*x", "sigma", "toString"]
    values += ["a" * 400, "()" * 200, "tanh;drop", "１", "-0", "1e3", "0.5", "relu", "residual"]
    parts = [f"{rng.choice(keys)}={rng.choice(values)}" for _ in range(rng.randint(1, 6))]
    noise = "".join(rng.choice(string.printable[:95]) for _ in range(rng.randint(0, 12)))
    return "#" + "&".join([*parts, noise.replace("#", "")])


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_hostile_addresses_open_a_page_that_works(desk, count):
    rng = random.Random(count)
    for _ in range(count):
        desk.page.evaluate("(to) => { location.hash = to; }", _hostile(rng))
        desk.page.wait_for_timeout(25)
        assert desk.page.locator("#notes img").count() == 0
    desk.go("#activation=tanh&sigma_w=1.5&sigma_b=0.125")
    assert desk.hash()["sigma_b"] == "0.125"
    assert desk.page.locator("#numbers dd span").first.inner_text()[:2] == "0."


@pytest.mark.parametrize(
    ("fragment", "sentence"),
    [
        ("#sigma_w=abc", "“abc” is no number: sigma_w takes a number from 0 to 20."),
        ("#depth=5000", "5000 became 1000: the depth takes a whole number from 1 to 1000."),
        ("#speed=3", "The address holds “speed”, which this page does not know."),
        (
            "#weights=uniform",
            "weights is one of gaussian, orthogonal, not “uniform”; gaussian is shown.",
        ),
        ("#activation=tanhh", "tanhh"),
    ],
)
def test_what_is_wrong_in_an_address_is_said_in_a_sentence(desk, fragment, sentence):
    desk.go(fragment)
    assert sentence in desk.page.locator("#notes").inner_text()
    assert desk.numbers()


def test_a_wrong_formula_is_refused_in_a_sentence_and_the_old_one_stays(desk):
    before = desk.numbers()
    desk.page.fill("#activation", "x*tanh(")
    desk.page.press("#activation", "Enter")
    desk.page.locator("#activation[aria-invalid=true]").wait_for()
    assert "cannot be read" in desk.page.locator("#activation-error").inner_text()
    assert desk.numbers() == before
    desk.page.fill("#activation", "tan")
    assert desk.page.locator("#activation-list [role=option]").count() >= 3
    desk.page.keyboard.press("ArrowDown")
    desk.page.keyboard.press("Enter")
    desk.settle()
    assert desk.page.locator("#activation-error").inner_text() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing_serious(desk, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    desk.page.set_viewport_size({"width": width, "height": 800})
    desk.page.emulate_media(color_scheme=scheme)
    desk.settle()
    desk.page.evaluate("document.querySelector('#chart-gradient details').open = true")
    found = axe.Axe().run(desk.page).response
    assert len(found["passes"]) > 20  # it did look
    bad = [f for f in found["violations"] if f["impact"] in ("serious", "critical")]
    assert [(f["id"], [n["html"] for n in f["nodes"]]) for f in bad] == []
    theme = "document.documentElement.dataset.theme"
    assert desk.page.evaluate(theme) == scheme


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_hangs_out_of_the_screen(desk, width):
    desk.page.set_viewport_size({"width": width, "height": 800})
    desk.page.wait_for_timeout(100)  # charts follow a new width in the next frame
    desk.page.evaluate("document.querySelector('#chart-gradient details').open = true")
    outside = """(width) => Array.from(document.querySelectorAll("body *"))
        .filter((node) => node.getBoundingClientRect().right > width + 0.5)
        .filter((node) => !node.closest(".scroll"))
        .map((node) => node.tagName + node.className)"""
    assert desk.page.evaluate(outside, width) == []
    assert desk.page.evaluate("document.documentElement.scrollWidth") == width


def test_charts_read_their_values_with_errors_by_pointer_and_keys(desk):
    want = ch.trajectory("tanh", 1.5, 0.1, depth=50)
    desk.go("#activation=tanh&sigma_w=1.5&sigma_b=0.1&depth=50")
    plot = desk.page.locator("#chart-q .plot")
    plot.focus()
    desk.page.keyboard.press("Home")
    text = desk.page.locator("#chart-q .readout").inner_text()
    assert text.startswith("layer 1: q = 2.26")
    desk.page.keyboard.press("End")
    assert plot.get_attribute("aria-valuetext").startswith("layer 50: q = ")
    assert f"{want.q[-1]:.5f}"[:6] in plot.get_attribute("aria-valuetext")
    box = desk.page.locator("#chart-c .u-over").bounding_box()
    desk.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
    assert desk.page.locator("#chart-c .readout").inner_text().startswith("layer 50: c = ")
    desk.page.locator("#chart-c summary").click()
    rows = desk.page.locator("#chart-c tbody tr")
    rows.first.wait_for()  # filled by the event of opening, which comes a moment later
    assert rows.count() > 20


@pytest.mark.slow
def test_presets_go_where_they_say(desk):
    desk.go("#activation=tanh&sigma_w=2.5&sigma_b=0.5&width=512")
    desk.page.get_by_role("button", name="PyTorch’s default").click()
    found = desk.hash()
    assert float(found["sigma_w"]) == pytest.approx(3**-0.5, rel=1e-5)
    assert float(found["sigma_b"]) == pytest.approx((3 * 512) ** -0.5, rel=1e-5)
    desk.page.get_by_role("button", name="He", exact=True).click()
    assert float(desk.hash()["sigma_w"]) == pytest.approx(2**0.5, rel=1e-6)
    desk.set("sigma_w", 2.5)
    desk.set("sigma_b", 0.5)
    desk.page.get_by_role("button", name="just right").click()
    found = desk.hash()
    field = ch.mean_field("tanh", float(found["sigma_w"]), float(found["sigma_b"]))
    assert float(field.chi_perp) == pytest.approx(1, abs=0.01)
    desk.page.get_by_role("button", name="recommended").click()
    best, found = ch.gain("tanh", depth=50, change=False), desk.hash()
    assert float(found["sigma_w"]) == pytest.approx(best.sigma_w, rel=1e-5)
    assert float(found["sigma_b"]) == pytest.approx(best.sigma_b, rel=1e-5)
    seen = set()
    for _ in range(6):
        desk.page.get_by_role("button", name="break it").click()
        desk.settle()
        seen.add(desk.page.locator("#notes").inner_text())
    assert len(seen) == 6


def test_the_colours_of_the_field_climb_evenly_in_grey(desk):
    pixels = desk.page.evaluate(
        """() => { const c = document.querySelector("#key canvas");
        return Array.from(c.getContext("2d").getImageData(0, 0, c.width, 1).data); }"""
    )
    rgb = np.array(pixels).reshape(-1, 4)[:, :3] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])  # CIE L*, but for its scale
    steps = np.diff(lightness[::16])
    assert steps.min() > 0
    assert steps.max() < 2 * steps.min()


def test_the_theme_can_be_switched(desk):
    desk.page.set_viewport_size({"width": 1440, "height": 900})
    before = desk.page.evaluate("getComputedStyle(document.body).backgroundColor")
    desk.page.click("#toggle-theme")
    assert desk.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    desk.page.click("#toggle-theme")
    assert desk.page.evaluate("getComputedStyle(document.body).backgroundColor") == before


@pytest.mark.slow
def test_a_frame_of_a_drag_is_soon_drawn(desk):
    desk.go("#activation=gelu&sigma_w=1.5&sigma_b=0.1")
    desk.page.evaluate(
        """() => { window.costs = []; const ask = window.requestAnimationFrame;
        window.requestAnimationFrame = (draw) => ask((t) => {
          const begun = performance.now(); draw(t); costs.push(performance.now() - begun); }); }"""
    )
    desk.page.mouse.move(*_place(desk.page, 1.5, 0.1))
    desk.page.mouse.down()
    for i in range(DRAG_STEPS):
        turn = 2 * np.pi * i / DRAG_STEPS
        desk.page.mouse.move(*_place(desk.page, 1.5 + np.sin(turn), 1.1 - np.cos(turn)))
    desk.page.mouse.up()
    costs = desk.page.evaluate("costs")
    assert len(costs) > 10
    assert statistics.median(costs) < 50  # 16 on a quiet machine
