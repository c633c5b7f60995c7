"""The HTML page of a run, with its curves, figures and examples."""
