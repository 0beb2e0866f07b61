"""How files are written: compression, encoding, and the columns of CSV, JSON and Parquet."""
