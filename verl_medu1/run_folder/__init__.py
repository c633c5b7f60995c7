"""The files of a run, each with its name and format."""
