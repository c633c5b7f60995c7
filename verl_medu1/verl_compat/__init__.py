"""What is taken from verl that is not public, or works around it."""
