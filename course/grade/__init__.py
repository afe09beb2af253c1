"""Release student copies, grade what comes back, report."""
