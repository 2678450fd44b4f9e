"""Hyperparameter optimization for Deep AUC Maximization on MedMNIST."""

# Above every import of this file: modules of the package read these while it is being loaded.
__version__ = "0.1.0"
# Name on a package index, where `hpo` belongs to another project; `pip install 'hpo-dam[postgres]'`.
DISTRIBUTION = "hpo-dam"
