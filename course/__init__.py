"""The machinery around the notebooks, by job: run, check, grade, publish. Not needed to use `helpers`."""

import contextlib
import sys

GRAMMAR = "rfc3987_syntax"  # of addresses in any script: no notebook needs it, and it takes a second to build

if GRAMMAR not in sys.modules:
    sys.modules[GRAMMAR] = None  # jsonschema, which nbformat imports, does without it then
    with contextlib.suppress(ImportError):  # before the environment is made there is no nbformat
        import nbformat  # noqa: F401
    del sys.modules[GRAMMAR]
