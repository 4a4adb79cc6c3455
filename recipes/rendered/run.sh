#!/usr/bin/env bash
# Learn a path of a hierarchy from songs rendered on the spot: no download.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--stage N] [--stop_stage N] [--smoke] [--overwrite] [--section.key VALUE ...]
#
#   stages   0 prepare (render), 1 train, 2 separate a held-out song, 3 evaluate
#   --conf   the experiment; default conf/base.yml beside this script
#   --overwrite  train anew where DIR holds a training of other settings, which is lost
#   --smoke  conf/smoke.yml: all stages at a size that shows only that they run
#
# Every setting stands in the experiment's YAML; --section.key VALUE changes one. What is complete is not done again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/base.yml stage=0 stop_stage=3 overwrite=
own_option() {
    [ "$1" = --overwrite ] && overwrite=--overwrite taken=1
}
source "$here/../stages.sh"

run 0 "Prepare" python "$recipes/prepare.py" "$conf" ${args[@]+"${args[@]}"}
run 1 "Train" hiersep train "$conf" --exp-dir "$exp_dir" $overwrite ${args[@]+"${args[@]}"}
trained=("$exp_dir/conf.yml" "$exp_dir/best.safetensors")
run 2 "Separate a held-out song" python "$recipes/separate.py" "${trained[@]}" "$exp_dir/song"
run 3 "Evaluate on held-out songs" python "$recipes/evaluate.py" "${trained[@]}" "$exp_dir"
