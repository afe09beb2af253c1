"""What `make all` has just executed is compared by nbval without a second run: a kernel that reads it out.

A recorded run counts only while nothing that a notebook's result depends on has changed since
(course.run.all.stale), and never where its data are the sample, whose executed copy is itself the reference.
A third of the notebooks, another one each week, is executed again all the same, so that it stays tested that
two runs agree.
"""

import os
from collections import deque
from datetime import date

import nbformat

from course.notebooks import checked, executed_copy
from course.run import all as executing


class RecordedKernel:
    """Answers as nbval's RunningKernel does, with the outputs of an executed notebook; nothing is run."""

    fails_when_dead = True  # nothing here can die

    def __init__(self, path):
        self.cells = deque(cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        self.messages = deque()

    def execute_cell_input(self, source, allow_stdin=None):
        """Queue what the next cell gave; ValueError where the recorded cell is another one."""
        cell = self.cells.popleft()
        if cell.source != source:
            raise ValueError(f"the recorded run has another cell here: {cell.source.splitlines()[:1]}")
        number = str(len(self.cells))
        for output in cell.outputs:
            self._send(number, output.output_type, output)
        self._send(number, "status", {"execution_state": "idle"})
        return number

    def _send(self, number, kind, content):
        self.messages.append({"msg_type": kind, "parent_header": {"msg_id": number}, "content": content})

    def get_message(self, stream, timeout=None):
        return self.messages.popleft()

    def is_alive(self):
        return True

    def await_reply(self, msg_id, timeout=None):
        pass

    def await_idle(self, parent_id, timeout):
        self.messages.clear()

    def interrupt(self):
        pass

    def stop(self):
        pass


def recorded_runs(paths, week=None):
    """{notebook: executed copy} of those that need no second run; week: by ISO, by default this one.

    None with TURNS=all, as for tests that take turns.
    """
    if os.environ.get("TURNS") == "all":
        return {}
    week = date.today().isocalendar().week if week is None else week
    by_time = sorted(paths, key=executing.budget)  # so that no week has all that take long
    again = set(by_time[week % 3 :: 3]) | set(executing.stale(paths, []))
    return {path: executed_copy(path) for path in paths
            if path not in again and checked(path) == path}  # fmt: skip
