"""Sweeps over whole scripts: ``el sweep script.el --set seed=0..4 --set strength=0.1,0.2 -o DIR --jobs N``.

    plan      from a script and ``--set`` to cells: the script as each of them runs it
    worker    one cell, wherever it is run: its rows, its record, the files that it wrote
    cells     the folder: a cell is finished when its file is there, whole
    spread    cells onto processes, onto the workers of a Dask scheduler, into the jobs of a cluster
    tables    from finished cells to the table, with mean and spread over seeds, and a picture

Whoever runs a cell only says what it gave; one process writes the folder, and the tables are made from the folder
alone. So they are the same, to the byte, however many processes there were and however often these were killed.
"""
