"""A worker: claims a trial, trains it, reports, and takes the next; its heartbeat, deadline and trainer."""
