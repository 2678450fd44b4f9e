"""Turn images into batches: dataset on the device, batches, augmentation, preprocessing."""
