"""The page, made with gradio: what is seen, and which function answers to what is pressed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hiersep.app import pieces
from hiersep.app.uploads import MOST_EXAMPLE_S, MOST_EXAMPLES
from hiersep.app.work import Order, format_names, take_apart
from hiersep.errors import HiersepError
from hiersep.files import clock
from hiersep.models.query import QuerySeparator

if TYPE_CHECKING:
    from hiersep.app.sessions import Session, Sessions
    from hiersep.app.work import Networks
    from hiersep.models.separator import Separator

HERE = Path(__file__).parent
# Of the system: a theme's own fonts would be asked for elsewhere.
THEME = gr.themes.Default(
    primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], radius_size="sm"
)
_FEW = 6  # so many nodes are all ticked at first
_EXTRAS = [
    ("residual: what all this leaves of the mixture", "residual"),
    ("report: one page to keep, with all players and pictures", "report"),
]
_UPLOAD = """
<div class="upload" data-visit="${value ? value.end : ''}" data-ready="${value ? 'yes' : ''}">
  <label class="drop"><span class="what">LABEL</span> <small>HINT</small><input type="file" MULTIPLE></label>
  <ul aria-live="polite"></ul><button type="button" title="Remove what was chosen">Remove</button>
</div>
"""
_TREE = """
<div class="trees" data-network="${value ? value.network : ''}">
  <div class="tick"><button type="button" data-tick="all">All</button>
  <button type="button" data-tick="none">None</button></div>${value ? value.tree : ''}
</div>
"""


def script(name: str) -> str:
    """Read a file that lies beside this one."""
    return (HERE / name).read_text(encoding="utf-8")


class Answers:
    """What the page's events are answered by.

    Args:
        sessions: The visits.
        networks: Of which a visitor chooses.
        device: Where they run. Default: the fastest at hand.
    """

    def __init__(self, sessions: Sessions, networks: Networks, device: str | None = None):
        self.sessions, self.networks, self.device = sessions, networks, device

    def begin(self, request: gr.Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a visit: tell the page where it brings the mixture and the examples."""
        session = self.sessions.begin(str(request.session_hash))
        return self._door(session, "mixture"), self._door(session, "example")

    @staticmethod
    def _door(session: Session, role: str) -> dict[str, Any]:
        return {
            "to": f"bring/{session.token}/{role}",
            "end": f"end/{session.token}",
            "most": session.limits.max_bytes,
            "too_large": session.limits.too_large,
        }

    def end(self, request: gr.Request) -> None:
        """End a visit."""
        self.sessions.end(str(request.session_hash))

    def show(self, model: str) -> tuple[dict[str, Any], Any, str, str]:
        """Draw what a network estimates, and ask for examples if it is asked by them."""
        try:
            network = self.networks[model]
        except HiersepError as error:
            return (
                {"network": model, "tree": "", "chosen": []},
                gr.update(visible=False),
                "",
                pieces.notice(str(error), "error"),
            )
        tree = {"network": model, "tree": pieces.tree(network), "chosen": ticked(network)}
        described = pieces.notice(self.networks.descriptions[model])
        return tree, gr.update(visible=isinstance(network, QuerySeparator)), described, ""

    def separate(
        self,
        model: str,
        tree: Any,
        span: str,
        extras: list[str],
        file_format: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008  # how gradio finds it
    ) -> tuple[str, Any]:
        """Take the visitor's mixture apart; say in one line what is wrong, if anything is."""
        progress(0.0, desc="Taking it apart")
        try:
            session = self.sessions.of(str(request.session_hash))
            kind, bits = format_names()[file_format]
            residual, report = "residual" in extras, "report" in extras
            order = Order(model, chosen_in(tree), span or "", residual=residual, report=report, kind=kind, bits=bits)
            stems = take_apart(session, self.networks, order, device=self.device)
        except HiersepError as error:
            return pieces.notice(str(error), "error"), gr.skip()
        sound = session.mixture
        done = f"{sound.name if sound else 'The mixture'} is taken apart: {len(stems.files)} stems below."
        lines = [pieces.notice(done), *(
            pieces.notice(warning, "warning") for warning in stems.warnings
        )]  # fmt: skip
        return "".join(lines), pieces.results(session, self.networks[model], stems)


def ticked(network: Separator) -> list[str]:
    """Choose what is ticked at first: all, or of many only the coarsest."""
    if isinstance(network, QuerySeparator) or len(network.nodes) <= _FEW:
        return list(network.nodes)
    return [id for id in network.nodes if network.hierarchy.node(id).parent not in network.nodes]


def chosen_in(tree: Any) -> list[str]:
    """Read the ticked names from what a browser sends; what is nothing of the kind holds none."""
    names = tree.get("chosen") if isinstance(tree, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def build(answers: Answers) -> gr.Blocks:
    """Put the page together."""
    networks, limits = answers.networks, answers.sessions.limits
    names, formats = list(networks.descriptions), list(format_names())
    page: gr.Blocks
    with gr.Blocks(title="hiersep", analytics_enabled=False) as page:
        gr.HTML(
            "<h1>hiersep</h1><p>Take music apart at several levels of an instrument hierarchy at once. Uploads and "
            "results stay on the computer that runs this page, and are removed when it is closed.</p>"
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                gr.HTML("<h2>1. The mixture</h2>")
                hint = f"at most {limits.max_mb:g} MB and {limits.max_minutes:g} minutes"
                mixture = _upload("Choose or drop an audio file", hint, elem_id="mixture")
                gr.HTML("<h2>2. The network</h2>")
                model = gr.Dropdown(names, value=names[0], label="Network", show_label=False, elem_id="model")
                described = gr.HTML()
                with gr.Column(visible=False) as asked:
                    hint = (
                        f"some seconds of the wanted sound alone, at most {clock(MOST_EXAMPLE_S)}; up to "
                        f"{MOST_EXAMPLES} files of the same sound"
                    )
                    example = _upload("Choose or drop examples", hint, multiple=True, elem_id="example")
                    span = gr.Textbox(
                        label="Or a stretch of the mixture in which it is heard alone, such as 0:10-0:15",
                        max_lines=1,
                        max_length=40,
                        elem_id="span",
                    )
            with gr.Column(scale=1, min_width=320):
                gr.HTML("<h2>3. What is wanted</h2>")
                tree = gr.HTML(
                    value=None,
                    html_template=_TREE,
                    js_on_load=script("tree.js"),
                    elem_id="tree",
                    apply_default_css=False,
                )
                extras = gr.CheckboxGroup(_EXTRAS, label="As well", elem_id="extras")
                file_format = gr.Dropdown(formats, value=formats[0], label="Written as", elem_id="format")
                button = gr.Button("Separate", variant="primary", elem_id="separate")
        status = gr.HTML(elem_id="status", min_height=40)
        results = gr.HTML(elem_id="results")

        shown = [tree, asked, described, status]
        private: Any = {"api_visibility": "private"}
        page.load(answers.begin, None, [mixture, example], show_progress="hidden", **private)
        page.load(answers.show, model, shown, show_progress="hidden", **private)
        model.change(answers.show, model, shown, show_progress="hidden", **private)
        button.click(
            answers.separate,
            [model, tree, span, extras, file_format],
            [status, results],
            show_progress_on=status,
            **private,
        )
        page.unload(answers.end)
    page.queue(max_size=32, default_concurrency_limit=1, api_open=False)
    return page


def _upload(label: str, hint: str, *, multiple: bool = False, elem_id: str) -> gr.HTML:
    template = _UPLOAD.replace("LABEL", label).replace("HINT", hint).replace("MULTIPLE", "multiple" * multiple)
    return gr.HTML(
        value=None, html_template=template, js_on_load=script("upload.js"), elem_id=elem_id, apply_default_css=False
    )
