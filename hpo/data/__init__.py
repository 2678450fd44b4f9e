"""Arrays of MedMNIST and digits: files, development rows, resplit, sealed test rows. The only room with medmnist."""
