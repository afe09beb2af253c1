"""The checker: a process that holds the lesson, the checks, the reference's answers and the targets.

It shares nothing with the student's side but one socket a check, imports from nothing that the other side can
write, and runs no line of a student's code. First it rehearses: the reference's own answers have to pass all
checks here, and what they return is the form that an answer is brought into.
"""

import ast
import contextlib
import io
import json
import os
import pickle
import signal
import socket
import time
import warnings

from course.check.compare import agree, rules_of
from course.grade import lesson
from course.grade.codec import describe
from course.grade.remote import KILLED, Ended, Reference, Session
from course.grade.wire import receive, send, take

LONGEST_PRINT, SHOWN = 200_000, 4_000
MEMORY = 3000  # MB for decoding and comparing, beside the lesson
AGAIN = 3  # exit code of a copy in which the hand-in has changed numbers of the check


class Printed(io.StringIO):
    """What a check prints, up to a length: a result may be huge."""

    def write(self, text):
        if self.tell() + len(text) > LONGEST_PRINT:
            raise ValueError(f"the output is longer than {LONGEST_PRINT} characters")
        return super().write(text)


def serve(step, namespace, control):
    """Rehearse an exercise's checks, then stand ready to examine hand-ins."""
    for check in step["checks"]:  # once here, not once in every copy
        exec(imports(check["source"]), {})
    results, failed, seconds = rehearsed(step, namespace)
    send(control, json.dumps({"failed": failed, "seconds": seconds}).encode())
    lesson.copies(control, lambda message, sockets: examine(step, namespace, results, sockets[0]))


def reference_names(step, namespace):
    """What the reference's answer defines, run in a copy of the lesson's names."""
    own = dict(namespace)
    exec(compile(step["source"], "<reference>", "exec"), own)
    return {name: own[name] for name in step["names"] if name in own}


def rehearsed(step, namespace):
    """({digest: result}, [[check, what went wrong]], slowest seconds) of the reference, in a copy."""
    if not step["source"]:  # a release without solutions
        return {}, [], 0.0
    here, there = socket.socketpair()
    if os.fork() == 0:
        reference = Reference(dict(namespace))
        try:
            functions = reference_names(step, namespace)
            names = {
                name: reference.recorded(name, value) if type(value).__name__ == "function" else value
                for name, value in functions.items()
            }
            exec(step["imports"], namespace)
            records = [run_check(check, namespace, lambda: names) for check in step["checks"]]
            failed = [[one["check"], one["error"] or one["got"]] for one in records if not one["passed"]]
            slowest = max((one["seconds"] for one in records), default=0.0)
        except BaseException as error:
            failed, slowest = [[step["exercise"], ": ".join(describe(error))]], 0.0
        send(there, pickle.dumps((reference.results, failed, slowest)))
        os._exit(0)
    there.close()
    found = pickle.loads(receive(here, largest=2**40))  # from a copy of this process: no hand-in exists yet
    here.close()
    return found


def examine(step, namespace, results, control):
    """Run the checks that are asked for, in this copy, each over the socket that comes with it."""
    lesson.limit_memory(MEMORY)
    names = reference_names(step, namespace) if step["source"] else {}
    reference = Reference(dict(namespace), names, results)
    exec(step["imports"], namespace)
    checks = {check["check"]: check for check in step["checks"]}
    while True:
        message, sockets = take(control)
        job = json.loads(message)
        if job["changing"]:
            # a copy goes on from here, but the next check begins with what no hand-in has changed
            if copy := os.fork():
                sockets[0].close()
                if os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) != AGAIN:
                    os._exit(1)
                continue
            lesson.die_with_parent()
        signal.alarm(int(job["seconds"] * job["patience"]) + 5)  # ends this process, whatever it is busy with
        session = Session(sockets[0], (job["seconds"], job["patience"]), reference, job["changing"])
        record = run_check(checks[job["check"]], namespace, lambda: answer(session, step["names"]))  # noqa: B023
        sockets[0].close()
        signal.alarm(0)
        send(control, json.dumps({**record, "changed": session.changed}).encode())
        if job["changing"] and session.changed:
            os._exit(AGAIN)


def answer(session, names):
    """{name: value or stand-in} of what the student's cells define."""
    session.start()
    found = {name: session.name(name) for name in names}
    return {name: value for name, (present, value) in found.items() if present}


def run_check(check, namespace, names):
    """Run one check with what names() gives; returns what happened as plain data."""
    printed, error, killed, own, begin = Printed(), ("", ""), False, False, time.monotonic()
    for name in check["forget"]:
        namespace.pop(name, None)
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            namespace.update(names())
            exec(compile(check["source"], "<check>", "exec"), namespace)
    except BaseException as raised:
        own = getattr(raised, "of_hand_in", False)
        killed = isinstance(raised, Ended) and KILLED in str(raised)
        error = describe(raised) if not isinstance(raised, RecursionError) else ("RecursionError", "")
        error = (error[0] or "Exception", error[1])
    text = printed.getvalue()
    passed = not error[0] and (check["expected"] is None or agree(check["expected"], text, rules_of(check)))
    return {
        "check": check["check"],
        "passed": passed,
        "error": error[0],
        "text": error[1],
        "killed": killed,
        "own": own,  # raised by the student's code, not by the check
        "got": text[:SHOWN],
        "seconds": round(time.monotonic() - begin, 3),
    }


def imports(source):
    """The import lines at the top level of an exercise cell: its checks may rely on them."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return ""
    return "\n".join(ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom)))


def main():
    lesson.main(serve)
