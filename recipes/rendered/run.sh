#!/usr/bin/env bash
# Learn from songs rendered on the spot, without a download: one network, or the experiments of the paper.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--overwrite] [--stage N] [--stop_stage N] [--smoke] [--section.key VALUE ...]
#   run.sh --experiment 1|2|3|all|"NAME ..." --profile tiny|small|full [--seeds N,N,...] [--share I/N] [--exp_root DIR]
#          [--stage N] [--stop_stage N] [--section.key VALUE ...]
#
#   stages   0 render and index, 1 train, 2 separate a held-out song (one network), evaluate (experiments),
#            3 evaluate (one network), write the tables (experiments)
#   --conf   one network: its configuration; default conf/full.yml beside this script
#   --overwrite  train anew where DIR holds a training of other settings, which is lost
#   --smoke  conf/smoke.yml: all stages at a size that shows only that they run
#   --experiment and what follows it: as ../slakh/run.sh has them; beside its networks, those of conf/PROFILE
#   --dry_run  print the commands, run none
#
# Every setting stands in the YAML; --section.key VALUE changes one. What is complete is not done again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/full.yml stage=0 stop_stage=3
confs=("$here/conf" "$here/../slakh/conf")
source "$here/../matrix.sh"

if [ -n "$experiment" ]; then
    conf=${configurations[0]}
    exp_root=${exp_root:-exp/rendered-${profile:-full}}
    run 0 "Render songs" python "$recipes/prepare.py" "$conf" ${args[@]+"${args[@]}"}
    run 0 "Index" python "$recipes/index.py" "$conf" ${args[@]+"${args[@]}"}
    run_matrix
    run 3 "Tables" python "$here/../slakh/tables.py" "$exp_root"
    exit
fi
run 0 "Render songs" python "$recipes/prepare.py" "$conf" ${args[@]+"${args[@]}"}
one_network
