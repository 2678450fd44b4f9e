"""Check, for `hpo doctor`: database, data, device, disk, clock, Slurm, proxy, packages; changes nothing."""
