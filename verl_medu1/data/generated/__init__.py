"""Generated questions: the quickstart's three answer types."""
