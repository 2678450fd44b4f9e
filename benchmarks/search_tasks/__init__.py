"""Small networks on real data for the benchmark of search methods: data sets, training, search space."""
