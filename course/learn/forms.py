"""Results of a student's functions in the form in which the grader hands them to a check.

The grader sends each result from one process to another (a generator arrives as a list) and brings it into
the form of what the reference returns for the same call (a list becomes the array that is asked for; another
shape is refused). self_check does the same with the same code, so that both say the same.
"""

import functools

from IPython.core.inputtransformer2 import TransformerManager

from course.grade.codec import decode, encode
from course.grade.conform import conform, no_stand_in
from course.grade.remote import Reference, Unknown


def as_graded(names, namespace, solution, changed):
    """{name: value}: what the student's cells define, each function with results as the grader has them.

    names: what the exercise asks for, all of it in the namespace. solution: the source of the reference's
    answer; "" in a release without solutions, where no form is known. changed: a list that gets, while checks
    run, (name, argument, what it was before) where a function changes what the reference leaves alone; the
    name is "" where it is not known whether it may.
    """
    reference = Reference(dict(namespace), defined_by(solution, namespace))
    return {name: wrapped(name, namespace[name], reference, changed) for name in names}


def defined_by(solution, namespace):
    """What the reference's answer defines, beside the variables of the notebook; {} where that fails."""
    own = dict(namespace)
    try:
        exec(compile(TransformerManager().transform_cell(solution), "<reference>", "exec"), own)
    except Exception:  # it needs a name that the student has not run yet, or has changed
        return {}
    return {name: value for name, value in own.items() if namespace.get(name) is not value}


def wrapped(name, value, reference, changed):
    """A value in the form of the reference's; a function whose results are."""
    like = reference.names.get(name)
    if isinstance(value, type) or not callable(value):
        return brought(value, like)

    @functools.wraps(value)
    def call(*args, **kwargs):
        arguments = [*args, *kwargs.values()]
        try:
            packed = reference.packed(args, kwargs)  # before the call, which may change its arguments
            before = [reference.packed(one, {}) for one in arguments]
        except Exception:
            packed, before = None, []
        try:
            wanted, may = reference.of_call(name, like, *packed) if packed and like else (None, None)
        except Unknown:
            wanted, may = None, None
        try:
            return brought(value(*args, **kwargs), wanted)
        finally:
            for place, was in enumerate(before):
                if place not in (may or ()) and is_changed(arguments[place], was, reference):
                    changed.append(("" if may is None else name, arguments[place], reference.copied(*was)[0]))

    return call


def is_changed(argument, was, reference):
    """Whether an argument is another than when it was packed; what cannot be packed any more is."""
    try:
        return reference.packed(argument, {})[0] != was[0]
    except Exception:
        return True


def brought(value, like):
    """A value as it arrives at the grader's check; raises WrongForm where its form is another."""
    kept = []

    def keep(part):
        kept.append(part)
        return len(kept) - 1

    found = decode(encode(value, keep), lambda number, kind: kept[number])
    if kept and found is kept[0]:
        no_stand_in(type(value).__name__, like)
        return value
    return conform(found, like)
