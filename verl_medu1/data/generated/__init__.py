"""Questions that are generated: the quickstart's three answer types."""
