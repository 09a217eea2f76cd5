"""The page of the documentation that lists the slips, made from executed checks."""

from __future__ import annotations

from chione.gallery.errata import lectures, problems, stability, universality
from chione.gallery.errata.slip import Slip

SLIPS: tuple[Slip, ...] = (
    *stability.SLIPS,
    *lectures.SLIPS,
    *problems.SLIPS,
    *universality.SLIPS,
)

# Slips of the pen that change no number: a list is enough.
TYPING = {
    stability.SOURCE: (
        "$W_\\ell \\sim N(0, 1/d)$ should be $1/d_{\\ell-1}$; $W_\\top \\delta$ is $W^\\top "
        "\\delta$; the text ends in the middle of a sentence.",
    ),
    lectures.EIGHT: (
        "$M_\\rho(z) := z G_\\rho(z) - 1$ lacks an equals sign before the sum; $z \\in C "
        "\\setminus R$, not $C/R$; the factors of J stand with $\\ell$ falling from left to right.",
    ),
    lectures.FIVE: (
        "$\\ell = 0, \\dots, L-1$ and $\\ell = 1, \\dots, L$ are both used; c is the cosine of the "
        "angle, not the angle; the remark that all fixed points are stable holds for the plotted "
        "$\\sigma_b = 0.3$ (at $\\sigma_b = 0$, $\\sigma_w > 1$ zero is unstable).",
    ),
    problems.SOURCE: (
        "In (3) the sum is missing inside the square; 4(b) integrates over the plane; 4(e) lacks "
        "indices in the derivative; 3(d) leaves the dependence of $q^*$ on the sigmas open, which "
        "for ReLU is $q^* = \\sigma_b^2 / (1 - \\sigma_w^2 / 2)$ below $\\sqrt 2$.",
    ),
    universality.SOURCE: (
        "$C_0$ is $C_b$; $\\kappa_{11}$ and $\\chi_{11}$ are $\\chi_\\parallel$; in the recursion "
        "of V the left side is $V^{(l+1)}$; for n neurons the determinant has the power $-n/2$; "
        "the first layer is exactly Gaussian at every width.",
    ),
}


def errata_markdown() -> str:
    """The page, in MyST; every number on it is computed here and now."""
    lines = [
        "# Errata of the sources",
        "",
        "Each number below was computed while this page was built: by the formula as printed, by",
        "the corrected one, and by a third way that uses neither.",
    ]
    for source, typing in TYPING.items():
        lines += ["", f"## {source}", ""]
        for slip in SLIPS:
            if slip.source == source:
                lines += _entry(slip)
        lines += ["**Slips of the pen**", "", *typing]
    return "\n".join(lines) + "\n"


def _entry(slip: Slip) -> list[str]:
    e = slip.evaluate()
    return [
        f"**{slip.place}** ({slip.kind})",
        "",
        f"- Printed: {slip.printed}",
        f"- Right: {slip.right}",
        f"- Evaluated: {slip.quantity}",
        f"- Printed gives {e.printed:.6g}, right gives {e.right:.6g}, "
        f"check gives {e.check:.6g} (resolution {e.tolerance:.1g}).",
        "",
    ]
