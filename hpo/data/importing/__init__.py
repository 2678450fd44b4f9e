"""From a folder of images and a table of labels to one file: `hpo data import`."""
