"""Each slip of the sources is shown by a number that uses neither form."""

import pytest

from chione.gallery.errata import SLIPS, Evidence, errata_markdown
from chione.gallery.errata.page import TYPING

NAMES = [f"{s.place}-{i}" for i, s in enumerate(SLIPS)]


@pytest.mark.parametrize("slip", SLIPS, ids=NAMES)
def test_the_check_sides_with_the_corrected_form(slip):
    evidence = slip.evaluate()
    assert abs(evidence.right - evidence.check) <= evidence.tolerance
    assert abs(evidence.printed - evidence.check) > 3.0 * evidence.tolerance


def test_evidence_that_cannot_tell_the_two_apart_does_not_hold():
    assert Evidence(1.0, 2.0, 2.0, 0.1).holds
    assert not Evidence(1.0, 2.0, 1.5, 0.1).holds
    assert not Evidence(2.1, 2.0, 2.0, 0.1).holds
    assert not Evidence(1.0, float("nan"), 2.0, 0.1).holds


def test_values_that_the_literature_states_come_out():
    by_place = {(s.place, s.quantity): s for s in SLIPS}
    table = next(s for k, s in by_place.items() if k[0] == "table 1 and its text").evaluate()
    assert table.printed == pytest.approx(0.435845, abs=1e-6)
    assert table.right == pytest.approx(0.408244566, abs=1e-9)
    listing = next(s for k, s in by_place.items() if k[0] == "5(d), listing").evaluate()
    assert (listing.printed, listing.right) == pytest.approx((1.172953, 0.939807), abs=1e-6)


def test_the_page_holds_every_slip_and_its_numbers():
    page = errata_markdown()
    assert page.count("- Printed: ") == len(SLIPS)
    assert "0.435845" in page and "0.408245" in page
    assert set(TYPING) == {s.source for s in SLIPS}
    assert "gives nan" not in page
