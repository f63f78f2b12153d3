"""Turn what the user asks for into typed orders, for the command line and for Python."""
