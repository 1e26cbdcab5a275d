"""What begins: a project, a dataset from a file, a model from the rows of its dataset."""
