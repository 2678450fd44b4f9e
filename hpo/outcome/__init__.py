"""Turn a finished search into a result: confirmation, final training, test set, report, export."""
