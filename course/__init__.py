"""The machinery around the notebooks, by job: run, check, grade, publish. Not needed to use `helpers`."""
