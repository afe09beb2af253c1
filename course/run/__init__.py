"""Execute notebooks, find their data, make and diagnose their environment."""
