"""What the command line does once it is parsed: options, results, one file a subject."""
