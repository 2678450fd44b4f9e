"""Workers as an array of Slurm jobs: clusters and their limits, a plan, its batch script, and Slurm's own commands."""
