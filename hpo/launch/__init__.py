"""Where workers run: processes on this machine."""
