"""A package, so that its modules are found before the `tests` that verl installs."""
