"""What `hpo doctor` looks at: database, data, device, disk, clock, Slurm, proxy, packages; it changes nothing."""
