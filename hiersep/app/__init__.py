"""The page in the browser: ``hiersep app``.

`sessions` keeps what a visitor brings and gets, and removes it; `work` is what a request does, by the functions that
the command line uses; `pieces` writes the tree and the results as HTML; `page` is the page, and `server` its door.
Only the last two need gradio (extra ``app``).
"""
