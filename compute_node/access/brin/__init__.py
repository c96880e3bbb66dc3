"""BRIN indexes: for each range of a table's pages a summary of the values there; a scan gives whole pages.

``pages`` is the format, ``classes`` what each operator class keeps of values, ``summary`` a range's summary of all
columns, ``store`` reading and writing them, ``versions`` the rows that a new summary must hold, ``index`` the access
method.
"""
