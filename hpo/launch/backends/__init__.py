"""Where workers run: processes of this machine, jobs of a Slurm cluster."""
