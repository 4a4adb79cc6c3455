#!/usr/bin/env bash
# Learn one tree from data sets of different depth: Slakh2100, MUSDB18 and MoisesDB.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--stage N] [--stop_stage N] [--smoke] [--overwrite] [--section.key VALUE ...]
#
#   stages   0 index and store, 1 train, 2 separate a held-out song, 3 evaluate on clips, 4 score whole songs
#   --conf   the experiment; default conf/base.yml beside this script
#   --overwrite  train anew where DIR holds a training of other settings, which is lost
#   --smoke  conf/smoke.yml: all stages on a miniature, at a size that shows only that they run
#   --dry_run  print the commands, run none
#
# The data have to be there (README.md): --data.folder says where. Every setting stands in the experiment's YAML;
# --section.key VALUE changes one. What is complete is not done again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/base.yml miniatures=(slakh musdb18 moisesdb)
source "$here/../datasets.sh"
