"""A student's own copies: made and kept up to date, a start page, and an answer to every attempt."""
