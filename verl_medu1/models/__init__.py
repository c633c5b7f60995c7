"""Models on disk: small ones that are made here, their folders, and their chat templates."""
