"""The language server: what the checker, the formatter and the tables know, in the words of an editor.

``server`` needs pygls (``pip install "energylang[lsp]"``); nothing here imports torch. Everything is worked out from
``Script``, the text of an open file and what the checker says about it.
"""
