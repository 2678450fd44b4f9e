"""AUC and accuracy with standard errors, confidence intervals, paired comparisons and tests across data sets.

What no library has is implemented here: DeLong for several labels, Obuchowski-Rockette over seeds, moderated variances,
the corrected resampled t-test, the expanded bootstrap, exact rank tests with ties. The rest is scipy and scikit-learn.
"""
