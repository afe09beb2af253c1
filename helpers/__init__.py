"""Small, tested functions behind the course notebooks: one module per subject."""
