"""Files as they are found, read and written."""
