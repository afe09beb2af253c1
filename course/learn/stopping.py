"""Stop code after some seconds, also where it sleeps or catches every exception.

What runs inside one call of a library (`sum(itertools.count())`) cannot be stopped from within its process.
"""

import _thread
import contextlib
import signal
import threading
import time

AGAIN = 0.5  # seconds until code that caught the first stop gets the second; then ever sooner
SOONEST = 1e-5


class OutOfTime(BaseException):
    """Raised in code whose time is over; no Exception, so that `except Exception` does not catch it."""


class Timer:
    """Wakes the main thread with a signal: the system's timer where there is one (it wakes a sleep too)."""

    number = getattr(signal, "SIGALRM", signal.SIGINT)
    thread = None

    def set(self, seconds):
        self.cancel()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            self.thread = threading.Timer(seconds, _thread.interrupt_main)
            self.thread.daemon = True
            self.thread.start()

    def cancel(self):
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif self.thread:
            self.thread.cancel()


def within(seconds, work):
    """work(), with OutOfTime raised in it after so many seconds, again and again until it gives up.

    Only in the main thread; elsewhere nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    timer, end, pause, back = Timer(), time.monotonic() + seconds, AGAIN, False

    def late(number, frame):
        nonlocal pause
        if back:
            return  # the work has ended already
        if frame and frame.f_code is within.__code__:
            # the work has not begun, or is just ending: raised here, nothing would be put back
            return timer.set(SOONEST)
        if time.monotonic() < end:
            raise KeyboardInterrupt  # where the timer is a thread, a person's interrupt comes here as well
        timer.set(pause)
        pause = max(pause / 4, SOONEST)
        raise OutOfTime

    before = signal.signal(timer.number, late)
    try:
        timer.set(max(seconds, SOONEST))
        return work()
    finally:
        back = True
        timer.cancel()
        with contextlib.suppress(TypeError):  # the handler before was not Python's
            signal.signal(timer.number, before)
