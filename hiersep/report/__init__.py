"""One page that opens from disk: a mixture taken apart, to listen to and to look at, with scores where there is truth.

`evaluation` scores a checkpoint and makes the page of an example; `page` writes the page of any separation, `folder` of
what `hiersep separate` wrote; `outline`
says which nodes it shows at which level, `sound` how it carries the audio. What the browser gets lies in `templates`:
`page.html` is filled in by jinja2, which escapes every name; `mixer.js` decodes and mixes, `pictures.js` draws,
`page.js` listens to the user. Nothing in it is fetched from anywhere, and its security policy forbids it.
"""

from hiersep.report.evaluation import run_evaluation, write_example
from hiersep.report.folder import report_folder
from hiersep.report.page import PAGE_NAME, Truth, write_report

__all__ = ["PAGE_NAME", "Truth", "report_folder", "run_evaluation", "write_example", "write_report"]
