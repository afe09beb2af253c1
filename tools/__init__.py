"""The pipeline around the notebooks: execute, compare, summarise, diagnose. Not needed to use `helpers`."""
