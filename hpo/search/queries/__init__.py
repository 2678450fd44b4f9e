"""Read-only views of a study: trials, status, importance of settings, test-set access log."""
