"""Compare examples from the mixture itself with examples of the wanted sound alone, on the same clips.

Usage: python spans.py CHECKPOINT CONF.yml NUMBER

An example from the mixture is what people have: of the clip's whole song the four seconds in which the target stands
out most. Scored are NUMBER clips of the configuration's test set, as `hiersep evaluate` draws them.
"""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np
import torch

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.data.mixing import mix, realise
from hiersep.data.sampling import Clip, excerpt_of_song
from hiersep.evaluation.clips import choose_clips
from hiersep.evaluation.items import ClipSet
from hiersep.evaluation.lines import SCORED
from hiersep.evaluation.scoring import score_clips
from hiersep.metrics import rms_db
from hiersep.models.checkpoint import from_pretrained

SPAN_S, STEP_S = 4.0, 1.0


class Spans(ClipSet):
    """Clips whose queries are spans of their own songs; `stands_out` gathers by how many dB the target does there."""

    stands_out: list[float]

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return {**super().__getitem__(number), "query": self._span(number)}

    def _span(self, number: int) -> torch.Tensor:
        clip = self.clips.clips[number]
        track = self._tracks[clip.track]
        row = self.hierarchy.index(str(clip.target))
        claims = self._labels.of(track).claims
        length = self.catalog.duration(track)
        best, span = -np.inf, torch.empty(0)
        for start in np.arange(0.0, length - SPAN_S, STEP_S):
            spec = excerpt_of_song(self.catalog, Clip(track, float(start)), claims, SPAN_S)
            membership, _ = self._labels.of_mixture(spec)
            mixture, submixes = mix(realise(self.catalog, spec, 1), membership[[row]])
            whole, target = torch.from_numpy(mixture), torch.from_numpy(submixes[0])
            ratio = (rms_db(target) - rms_db(whole - target)).item()
            if rms_db(target) > -50 and ratio > best:
                best, span = ratio, whole
        self.stands_out.append(best)
        return span


def main(checkpoint: str, conf: str, number: str) -> None:
    model, config = from_pretrained(checkpoint), load_experiment(conf, [])
    settings = dataclasses.replace(config.evaluation, num_test=int(number), query_duration=SPAN_S)
    clips, catalog = choose_clips(model, config.data.folder, settings)
    nothing = dict.fromkeys(model.hierarchy.ids, torch.ones(1, 1, 1))  # no static masks: their row is not looked at
    alone, spans = ClipSet(clips, catalog, model), Spans(clips, catalog, model)
    spans.stands_out = []
    gains = []
    for of in (alone, spans):
        lines = [line for n in range(len(of)) for line in score_clips(model, nothing, of, [n]) if line.status == SCORED]
        of_level = {level: [line for line in lines if line.level == level] for level in model.nodes}
        gains.append({level: [line.estimate - line.mixture for line in of_level[level]] for level in model.nodes})
    print(f"{clips.data}, {len(clips.clips)} clips; SI-SDR improvement in dB\n")
    print("| example | " + " | ".join(model.nodes) + " |\n|---|" + "--:|" * len(model.nodes))
    for name, levels in zip(("alone, of another song", "a span of the mixture"), gains, strict=True):
        cells = [f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}" for values in levels.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("| clips | " + " | ".join(str(len(values)) for values in gains[0].values()) + " |")
    print(f"\nIn its span the target stands out by {statistics.median(spans.stands_out):.1f} dB (median).")


if __name__ == "__main__":
    run_script(main)
