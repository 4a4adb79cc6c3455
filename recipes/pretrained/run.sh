#!/usr/bin/env bash
# Train, score and ship a network of hiersep/models/pretrained: songs by our composer and by others, several soundfonts.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--card FILE] [--stage N] [--stop_stage N] [--smoke] [--section.key VALUE ...]
#
#   stages   0 gather and render the songs, 1 train, 2 evaluate on both test sets, 3 ship
#   --conf   the experiment; default conf/guitar-path.yml beside this script
#   --card   what stage 3 ships beside; default hiersep/models/pretrained/NAME.md, after conf's NAME
#   --overwrite  train anew where DIR holds a training of other settings, which is lost
#   --smoke  conf/smoke.yml: all stages at a size that shows only that they run
#
# Every setting stands in the experiment's YAML; --section.key VALUE changes one of its training. What is complete is not
# done again. The songs by others and the soundfonts are Debian's:
# apt install openttd-openmsx mma fluid-soundfont-gm csound-soundfont opl3-soundfont
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/guitar-path.yml card= stage=0 stop_stage=3
songs=(composed played played_test) tests=(composed played_test) midi=data/pretrained/midi
own_option() {
    if [ "$1" = --card ]; then card=$2 taken=2; else training_option "$@"; fi
}
source "$here/../stages.sh"
card=${card:-$here/../../hiersep/models/pretrained/$(basename "$conf" .yml).md}
if [ -n "$smoke" ]; then
    songs=(smoke) tests=(smoke) midi= card=$exp_dir/smoke.md
fi

if [ -n "$midi" ]; then
    run 0 "Gather songs by others" python "$here/midi.py" "$midi"
fi
for set in "${songs[@]}"; do
    run 0 "Render $set" python "$recipes/prepare.py" "$here/conf/$set.yml"
done
run 1 "Train" hiersep train "$conf" --exp-dir "$exp_dir" $overwrite ${args[@]+"${args[@]}"}
half=$exp_dir/half.safetensors
run 2 "Round to half precision" python "$here/half.py" "$exp_dir" "$half"
for set in "${tests[@]}"; do
    run 2 "Evaluate on $set" python "$recipes/evaluate.py" "$here/conf/$set.yml" "$half" "$exp_dir/$set"
done
if [ -n "$smoke" ] && [ -z "$dry_run" ] && [ ! -e "$card" ] && [ "$stop_stage" -ge 3 ]; then
    cp "$here/conf/smoke.md" "$card"
fi
for set in "${tests[@]}"; do
    run 3 "Write the table of $set" python "$recipes/tables.py" "$set" "$exp_dir/$set" "$card"
done
run 3 "Ship" python "$here/ship.py" "$exp_dir" "$half" "$card" "${tests[@]}"
