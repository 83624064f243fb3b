"""Where the files of data sets lie: one module each."""
