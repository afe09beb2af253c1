"""A Sphinx extension for mathematics as MathML: every browser draws it, without a script or a network."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


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
    return text.replace("<math ", f'<math alttext="{" ".join(alternative.split())}" ', 1)


def ancestors(node):
    """The node and all that it lies in, from inside outwards."""
    while node is not None:
        yield node
        node = node.parent


def inline(writer, node):
    writer.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block(writer, node):
    # a formula wider than a phone scrolls in its own box, which the keyboard reaches
    writer.body.append(f'<div class="formula" tabindex="0" role="group">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
