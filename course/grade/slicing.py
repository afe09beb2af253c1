"""Which statements of a notebook its checks need: a slice by names, so that grading skips the rest.

A statement binds names, loads names (also inside its functions) and touches names (`frame["x"] = 1`,
`model.fit(X)`, `np.fill_diagonal(z, 0)`). From the checks and the student's cells backwards, every statement
above that binds or touches a needed name is kept, with what it needs itself. What the analysis cannot
see (a call that changes its argument while its result is assigned) shows when the reference is graded through
the slice: course.grade.batch does that once per notebook, and takes the whole one where that is not enough.
"""

import ast
import functools
import re
import symtable
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager

SHOWING = {"print", "display", "show"}  # calls that leave their arguments alone
DRAWING = {"plt", "sns"}
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
TIMING = re.compile(r"\A(\s*%%(time|timeit|prun|capture)\b.*\n)+")  # cell magics above ordinary code


@dataclass
class Names:
    """What code binds, loads before it binds it, and touches; `*` stands for what a star import binds."""

    binds: set = field(default_factory=set)
    perhaps: set = field(default_factory=set)  # bound in a block that need not run
    loads: set = field(default_factory=set)
    later: set = field(default_factory=set)  # loaded when a function that it defines is called
    touches: set = field(default_factory=set)
    lent: set = field(default_factory=set)  # touched as the x of x.f(a): not touched where x is a module
    imports: set = field(default_factory=set)


@functools.lru_cache(maxsize=10_000)  # a long cell takes a second, and is asked for in every reading
def names(source):
    """The Names of a cell's source, not to be changed; of source that does not compile all sets are empty."""
    found = Names()
    try:
        for statement in ast.parse(plain(source)).body:
            _statement(statement, found, sure=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Names()
    return found


def compiles(source):
    """Whether a cell's source is code of this Python."""
    try:
        ast.parse(plain(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def plain(source):
    """A cell's source as Python: shell lines and magics as calls, without a magic that times what follows."""
    return TransformerManager().transform_cell(TIMING.sub("", source, count=1) if "%%" in source else source)


def _globals_of(node):
    """Names that a statement takes from outside itself, and those of them that its functions take later."""
    found, later = set(), set()
    node = NoInlining().visit(ast.parse(ast.unparse(node)))

    def walk(table, called):
        inside = table.get_type() != "module"
        called |= table.get_type() == "function" and table.get_name() != "genexpr"
        for symbol in table.get_symbols():
            counted = symbol.is_declared_global()  # calls += 1
            if counted or (symbol.is_referenced() and (symbol.is_global() or not inside)):
                (later if called else found).add(symbol.get_name())
        for child in table.get_children():
            walk(child, called)

    walk(symtable.symtable(ast.unparse(node), "cell", "exec"), False)
    return found | later, later


class NoInlining(ast.NodeTransformer):
    """Turns comprehensions into generator expressions: since Python 3.12 only these have a symbol table."""

    def visit_ListComp(self, node):
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node):
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def _load(node, found):
    """Add what a statement or expression loads."""
    loads, later = _globals_of(node)
    found.loads |= loads - found.binds
    found.later |= later


def _stored(node):
    """Names that a statement binds itself, not those bound in its blocks or in functions."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    inner = {id(one) for part in ast.walk(node) if isinstance(part, ast.comprehension)
             for one in ast.walk(part.target)}  # fmt: skip
    stored = [one for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    return {one.id for one in stored if id(one) not in inner}


def statements(source):
    """The top-level statements of a source, each as a source; of one that does not compile, the whole."""
    try:
        return [ast.unparse(node) for node in ast.parse(source).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [source]


def is_import(statement):
    """Whether a statement's source is an import."""
    return statement.startswith(("import ", "from "))


def _root(node):
    """The name at the root of a.b[c].d, or None."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _touched(node):
    """Names whose objects a simple statement may change, and of those the x of a call x.f(a)."""
    touched, lent, given = set(), set(), set()
    for part in ast.walk(node):
        if isinstance(part, (ast.Attribute, ast.Subscript)) and isinstance(part.ctx, (ast.Store, ast.Del)):
            touched.add(_root(part))
    if touched:
        touched &= _globals_of(node)[0]  # a function's own variable is none of the lesson's
    if isinstance(node, ast.AugAssign):
        touched.add(_root(node.target))
    if isinstance(node, ast.Import):  # import scipy.stats adds to what import scipy.special gave
        touched |= {alias.name.partition(".")[0] for alias in node.names if not alias.asname}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call, root = node.value, _root(node.value.func)
        given = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
        if root not in SHOWING | DRAWING:
            (lent if given and root not in touched else touched).add(root)
            touched |= given
    return (touched | lent) - {None}, lent - given


def _statement(node, found, sure):
    """Add one statement, and those in its blocks, to what is found. sure: it runs in any case."""
    blocks = [(name, getattr(node, name)) for name in BLOCKS if isinstance(getattr(node, name, None), list)]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or not blocks:
        _load(node, found)
        touched, lent = _touched(node)
        found.lent = (found.lent | lent) - (touched - lent)
        found.touches |= touched
        found.imports |= _stored(node) if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
        (found.binds if sure else found.perhaps).update(_stored(node))
    else:
        head = [part for name, part in ast.iter_fields(node) if name not in BLOCKS]
        for part in [item for entry in head for item in (entry if isinstance(entry, list) else [entry])]:
            for expression in _expressions(part):
                _load(ast.Expr(expression), found)
            if isinstance(part, ast.AST):
                found.binds |= _stored(part)
        for _, block in blocks:
            for inner in block:
                _statement(inner, found, sure and isinstance(node, (ast.For, ast.With)))
    if not sure:
        found.touches |= _stored(node)  # bound perhaps: an earlier value may still be needed


def _expressions(part):
    """The expressions in the head of a block statement: a test, an iterable, a with item, a match subject."""
    if isinstance(part, ast.withitem):
        return [part.context_expr]
    stored = isinstance(getattr(part, "ctx", None), ast.Store)
    return [part] if isinstance(part, ast.expr) and not stored else []


def needed(parts, wanted, calls=True):
    """Indices of the parts to keep: the wanted ones and all that they need from above, in order.

    parts: sources in the order in which they run; wanted: indices into them. calls: whether a function may be
    changed by a call of it, f(x).
    """
    known = [Names(**{kind: {*found} for kind, found in vars(names(source)).items()}) for source in parts]
    for source, part in zip(parts, known, strict=True):
        if not calls and (function := re.match(r"(\w+)\(", source)):
            part.touches.discard(function[1])
    modules = set().union(*(part.imports for part in known))
    for part in known:
        part.touches -= part.lent & modules
    wanted, keep = set(wanted), None
    while keep is None or wanted - keep:
        keep, missing = set(), set()
        for index in range(len(parts) - 1, -1, -1):
            part = known[index]
            if index in wanted or (part.binds | part.touches) & missing:
                keep.add(index)
                missing -= part.binds - part.touches - part.loads  # what stood there before is overwritten
                missing |= part.loads | part.touches
        # a function may use what is defined below it, before it is called
        for index in keep.copy():
            below = range(index + 1, max(wanted, default=0))
            wanted |= {one for one in below if (known[one].binds | known[one].touches) & known[index].later}
    return sorted(keep)
