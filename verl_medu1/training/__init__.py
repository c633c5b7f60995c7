"""What verl calls in a training step."""
