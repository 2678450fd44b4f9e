"""The worker: its main loop, heartbeat, deadline and trainer."""
