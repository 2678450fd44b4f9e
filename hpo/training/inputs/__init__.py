"""From images to batches: the data set on the device, batches, augmentation, preprocessing."""
