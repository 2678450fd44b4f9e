"""One training run: network, augmentation, batches, loss, optimizer, loop. The only room with torch and libauc."""
