#!/usr/bin/env bash
# The experiments of the paper, on Slakh2100.
#
#   run.sh [--experiment 1|2|3|all|"NAME ..."] [--seeds N,N,...] [--share I/N] [--profile NAME] [--exp_root DIR]
#          [--overwrite] [--stage N] [--stop_stage N] [--smoke] [--section.key VALUE ...]
#
#   stages   0 index the data, 1 train, 2 evaluate, 3 write the tables
#   --experiment  which of the paper's; or names of configurations in conf/, * and ? stand for others; default all
#   --seeds    every network is trained once by each; default 588, the paper's
#   --share    the I-th of every N runs: on N machines or GPUs, each takes its own
#   --profile  a file of conf/, whose settings hold over those of base.yml: published
#   --exp_root where all runs go, as NAME-SEED; default exp/slakh, or exp/slakh-PROFILE
#   --overwrite  train anew where a run of other settings lies, which is lost
#   --smoke    songs rendered in Slakh's layout, and the profile smoke: to see that all stages run
#   --dry_run  print the commands, run none
#
# Every setting stands in the YAML; --section.key VALUE changes one of all networks. What is complete is not done again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/sss_multi.yml stage=0 stop_stage=3 every=all few="sss_multi sss_multi_none"
confs=("$here/conf")
source "$here/../matrix.sh"
if [ -n "$smoke" ]; then
    profile=smoke args=(--profile "$here/conf/smoke.yml" ${args[@]+"${args[@]}"})
    run 0 "Render songs in Slakh's layout" python "$recipes/prepare.py" "$here/conf/smoke.yml"
fi
exp_root=${exp_root:-exp/slakh${profile:+-$profile}}

run 0 "Index" python "$recipes/index.py" "$here/conf/sss_multi.yml" ${args[@]+"${args[@]}"}
run_matrix
run 3 "Tables" python "$here/tables.py" "$exp_root"
