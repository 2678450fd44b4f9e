"""Hyperparameter optimization for Deep AUC Maximization on MedMNIST."""

__version__ = "0.1.0"
