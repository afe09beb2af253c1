"""A Sphinx extension for mathematics as MathML: every browser draws it, without a script or a network."""

import re

from bs4 import BeautifulSoup
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError

WIDE = 30  # signs of a formula in the text that may not fit on a phone: it scrolls in its own box there


def mathml(node, display):
    """The MathML of a math node, with the formula's source as its alternative text."""
    latex = node.astext().strip()
    try:
        text = convert(latex, display=display)
    except Exception as error:  # latex2mathml raises many kinds of errors of its own
        text, reason = "", type(error).__name__
    else:  # it lets unknown commands and open braces pass
        unknown = re.search(r"\\\w+", re.sub(r"<[^>]*>", " ", text))
        reason = f"{unknown[0]} is not known" if unknown else ""
        braces = re.sub(r"\\[{}]", "", latex)
        if braces.count("{") != braces.count("}"):
            reason = "a brace is open"
    if reason:
        where = next((f"{up.source}:{up.line}" for up in ancestors(node) if up.source and up.line), "?")
        raise ExtensionError(f"{where}: cannot write ${latex}$ as MathML: {reason}")
    alternative = nodes.unescape(latex).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return overlined(text).replace("<math ", f'<math alttext="{" ".join(alternative.split())}" ', 1)


def overlined(text):
    """MathML whose bars over more than a letter are borders: no browser draws a long enough character."""
    soup = BeautifulSoup(text, "html.parser")
    for line in soup.find_all("mo", string="\u2015", accent=True):
        line.parent.name, line.parent["style"] = "mrow", "border-top: .06em solid"
        line.decompose()
    return str(soup)


def ancestors(node):
    """The node and all that it lies in, from inside outwards."""
    while node is not None:
        yield node
        node = node.parent


def inline(writer, node):
    text = mathml(node, "inline")
    if len(re.sub(r"<[^>]*>", "", text)) > WIDE:
        text = f'<span class="formula-long" tabindex="0" role="group">{text}</span>'
    writer.body.append(text)
    raise nodes.SkipNode


def block(writer, node):
    # a formula wider than a phone scrolls in its own box, which the keyboard reaches
    writer.body.append(f'<div class="formula" tabindex="0" role="group">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
