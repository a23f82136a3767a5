"""The five phases over the rooms below; what both the command line and the app drive."""
