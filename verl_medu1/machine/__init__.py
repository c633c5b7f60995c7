"""What the machine at hand has: accelerators, memory, packages."""
