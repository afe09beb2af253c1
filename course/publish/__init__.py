"""Show the course to readers who run nothing."""
