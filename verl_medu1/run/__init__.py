"""A run's life: its keeper, what the keeper hears from the driver, and what the user is shown."""
