r"""Formulas of the documentation as MathML: every browser sets it, with no script and no network.

latex2mathml translates. The table below rewrites what it does not know in terms of what it knows,
and functions such as \log get the space around them that TeX would put there. Primes stand on the
line: the sign is raised by itself, and one that is set small as well can hardly be seen.
"""

import re
from html import unescape

from latex2mathml.converter import convert

REWRITE = (
    (re.compile(r"\\(begin|end)\{(aligned|align\*?|split)\}"), r"\\\1{align*}"),
    (re.compile(r"\\[bB]ig+[lr]?\s*(?=\\(?:[lr]angle|[{}]))"), ""),
    (re.compile(r"'+"), lambda m: r"\prime" * len(m[0]) + " "),
    (re.compile(r"\\(arg|Im|Re)(?![a-zA-Z])"), r"\\operatorname{\1}"),
    (re.compile(r"\\mathrm\{([A-Za-z]{2,})\}"), r"\\operatorname{\1}"),
)
LEFT_OVER = re.compile(r"<m[iot][^>]*>(\\|&)")
FUNCTION = re.compile(
    r"(</m[inrsuf]\w*>)?((?:<msub>|<msup>)?<mi>[a-zA-Z]{2,}</mi>)(?=(<m[inrsuf]\w*[ >])?)"
)
RELATIONS = {  # signs that come without the space of a relation, and bars with a space of their own
    "<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
    "<mi>&#x027FA;</mi>": '<mo lspace="0.4em" rspace="0.4em">&#x027FA;</mo>',
    '<mo stretchy="false">&#x0007C;</mo>': '<mo stretchy="false" lspace="0" rspace="0">|</mo>',
}
SPACE = '<mspace width="0.167em" />'


def mathml(tex, *, block):
    """The MathML of one formula; `block` sets it on a line of its own."""
    text = " ".join(tex.split())
    if block and r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    for pattern, new in REWRITE:
        text = pattern.sub(new, text)
    try:
        made = convert(text, display="block" if block else "inline")
    except Exception as problem:
        raise ValueError(f"this formula cannot be set as MathML ({problem!r}): {tex}") from problem
    if LEFT_OVER.search(unescape(made)):
        raise ValueError(f"this formula holds a command that MathML does not know: {tex}")
    for sign, better in RELATIONS.items():
        made = made.replace(sign, better)
    return FUNCTION.sub(_with_spaces, made)


def _with_spaces(found):
    before, name, after = found[1], found[2], found[3]
    opens = name.startswith(("<msub>", "<msup>"))  # the space behind belongs after the whole index
    start = f"{before}{SPACE}" if before else ""
    return start + name + (SPACE if after and not opens else "")


def visit_inline(self, node):
    """Write an inline formula."""
    from docutils.nodes import SkipNode

    self.body.append(mathml(node.astext(), block=False))
    raise SkipNode


def visit_block(self, node):
    """Write a formula on its own line, in a box that scrolls where the page is narrow."""
    from docutils.nodes import SkipNode

    box = '<div class="math" style="overflow-x: auto; margin: 1em 0">'
    self.body.append(box + mathml(node.astext(), block=True) + "</div>\n")
    raise SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
