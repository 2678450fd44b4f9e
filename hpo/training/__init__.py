"""Train one configuration: network, augmentation, loss, optimizer, loop; the only package with torch and libauc."""
