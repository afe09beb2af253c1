"""What a cell's code binds, reads and asserts."""

import ast


def names_in(source, context):
    return {node.id for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, context)}  # fmt: skip


def defined(source):
    """Names that a cell binds at its top level."""
    tree = ast.parse(source)
    found = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            found |= {name.id for name in ast.walk(node)
                      if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}  # fmt: skip
    return found


def asserts(source):
    """Whether code asserts something that it computes: no constant, and no tuple, which is always true."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert) and not isinstance(node.test, (ast.Constant, ast.Tuple)):
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2].startswith("assert_"):
            return True
    return False
