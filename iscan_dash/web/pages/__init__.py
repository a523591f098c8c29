"""The pages of the Data and Analysis Panel."""
