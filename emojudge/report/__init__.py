"""Reports: JSON with six top keys, comparisons, and an HTML page that opens offline."""
