"""Define the networks, and convolutions of small feature maps as matrix products."""
