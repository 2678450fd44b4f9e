"""Test what is built on `hpo` without training: a trainer that learns at once, and the tests of a database.

`hpo.testing.trainer` has the trainer, `hpo.testing.trials` the steps in the life of a trial, `hpo.testing.storage` the
class of tests that a database must pass (it needs pytest). docs/extending.md shows them at work.
"""

from hpo.testing.trainer import FakeTrainer, make_record, make_report, make_spec

__all__ = ["FakeTrainer", "make_record", "make_report", "make_spec"]
