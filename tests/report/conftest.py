"""The run folder that the report's tests read is that of the evaluation's."""

from tests.evaluate.conftest import make_run, sample, write_evaluation  # noqa: F401
