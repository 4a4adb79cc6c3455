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
conf=$here/conf/base.yml exp_dir= stage=0 stop_stage=3
args=() overwrite=()
while [ $# -gt 0 ]; do
    case $1 in
        --conf) conf=$2; shift 2 ;;
        --exp_dir) exp_dir=$2; shift 2 ;;
        --stage) stage=$2; shift 2 ;;
        --stop_stage) stop_stage=$2; shift 2 ;;
        --overwrite) overwrite=(--overwrite); shift ;;
        --smoke) conf=$here/conf/smoke.yml; shift ;;
        -h | --help) sed -n '2,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
        *) args+=("$1"); shift ;;
    esac
done
exp_dir=${exp_dir:-exp/$(basename "$conf" .yml)}

run() {  # run NUMBER NAME COMMAND...
    if [ "$1" -ge "$stage" ] && [ "$1" -le "$stop_stage" ]; then
        printf '\n== Stage %s: %s\n   %s\n' "$1" "$2" "${*:3}"
        "${@:3}"
    fi
}

run 0 "Prepare" python "$here/prepare.py" "$conf" ${args[@]+"${args[@]}"}
run 1 "Train" python "$here/train.py" "$conf" "$exp_dir" ${overwrite[@]+"${overwrite[@]}"} ${args[@]+"${args[@]}"}
run 2 "Separate a held-out song" python "$here/separate.py" "$exp_dir"
run 3 "Evaluate on held-out songs" python "$here/eval.py" "$exp_dir"
