"""Changes of the helpers that no test can or should notice, each with its reason; see mutate_helpers."""

SPEED_ALONE = {  # (module, constant): it sets speed, patience or a size of blocks, and no result
    ("softmin", "BLOCK"), ("softmin_tasks", "TASK_ROWS"), ("softmin_tasks", "BLOCK_COLUMNS"),
    ("molecules", "BLOCK"), ("networks", "BATCH"), ("networks", "CACHED_FILES"), ("networks", "VERSION"),
    ("files", "TIMEOUT"), ("files", "PAUSES"), ("files", "THREADS"), ("files", "STALE"),
}

EQUIVALENT = {  # (module, line, change): reason
}
