"""Compare what a notebook gives with what it promised."""
