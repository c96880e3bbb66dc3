"""file_fdw: files and programs of the server as tables. Its code is above the readers of COPY's formats that it uses:
in ``compute_node/session/foreign_files.py``."""
