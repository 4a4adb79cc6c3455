#!/usr/bin/env bash
# Train, score and ship a network of hiersep/models/pretrained: songs by our composer and by others, several soundfonts.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--card FILE] [--stage N] [--stop_stage N] [--smoke] [--section.key VALUE ...]
#
#   stages   0 gather and render the songs, 1 train, 2 evaluate on both test sets, 3 ship
#   --conf   the experiment; default conf/guitar-path.yml beside this script
#   --card   what stage 3 ships beside; default hiersep/models/pretrained/NAME.md, after conf's NAME
#   --smoke  conf/smoke.yml: all stages at a size that shows only that they run
#
# Every setting stands in the experiment's YAML; --section.key VALUE changes one of its training. What is complete is not
# done again. The songs by others and the soundfonts are Debian's:
# apt install openttd-openmsx mma fluid-soundfont-gm csound-soundfont opl3-soundfont
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/guitar-path.yml exp_dir= card= stage=0 stop_stage=3
songs=(composed played played_test) tests=(composed played_test) midi=data/pretrained/midi
args=()
while [ $# -gt 0 ]; do
    case $1 in
        --conf) conf=$2; shift 2 ;;
        --exp_dir) exp_dir=$2; shift 2 ;;
        --card) card=$2; shift 2 ;;
        --stage) stage=$2; shift 2 ;;
        --stop_stage) stop_stage=$2; shift 2 ;;
        --smoke) conf=$here/conf/smoke.yml songs=(smoke) tests=(smoke) midi= card=exp/smoke/smoke.md; shift ;;
        -h | --help) sed -n '2,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
        *) args+=("$1"); shift ;;
    esac
done
name=$(basename "$conf" .yml)
exp_dir=${exp_dir:-exp/$name}
card=${card:-$here/../../hiersep/models/pretrained/$name.md}
confs=("${tests[@]/%/.yml}")
confs=("${confs[@]/#/$here/conf/}")

run() {  # run NUMBER NAME COMMAND...
    if [ "$1" -ge "$stage" ] && [ "$1" -le "$stop_stage" ]; then
        printf '\n== Stage %s: %s\n   %s\n' "$1" "$2" "${*:3}"
        "${@:3}"
    fi
}

python "$here/../check.py" "$conf" ${args[@]+"${args[@]}"}
if [ -n "$midi" ]; then
    run 0 "Gather songs by others" python "$here/midi.py" "$midi"
fi
for set in "${songs[@]}"; do
    run 0 "Render $set" python "$here/../rendered/prepare.py" "$here/conf/$set.yml"
done
run 1 "Train" hiersep train "$conf" --exp-dir "$exp_dir" ${args[@]+"${args[@]}"}
run 2 "Evaluate" python "$here/eval.py" "$exp_dir" "${confs[@]}"
if [ "$name" = smoke ] && [ ! -e "$card" ] && [ "$stop_stage" -ge 3 ]; then
    cp "$here/conf/smoke.md" "$card"
fi
for set in "${tests[@]}"; do
    run 3 "Write the table of $set" python "$here/../tables.py" "$set" "$exp_dir/$set" "$card"
done
run 3 "Ship" python "$here/ship.py" "$exp_dir" "$card" "${tests[@]}"
