"""What people see in a terminal: tables, live views and progress bars."""
