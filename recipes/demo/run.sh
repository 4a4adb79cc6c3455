#!/usr/bin/env bash
# Hear what the shipped networks do to songs that none of them has heard. Nothing is trained.
#
#   run.sh [--conf FILE] [--exp_dir DIR] [--stage N] [--stop_stage N] [--smoke] [--section.key VALUE ...]
#
#   stages   0 render the songs, 1 take one apart whole, 2 score each network, with a page to listen to
#   --conf   the songs and what is scored; default conf/demo.yml beside this script
#   --smoke  conf/smoke.yml: all stages at a size that shows only that they run
#
# Every setting stands in the YAML; --section.key VALUE changes one. What is complete is not done again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conf=$here/conf/demo.yml stage=0 stop_stage=2
source "$here/../stages.sh"
whole=(guitar-path tree) scored=(guitar-path tree query)
if [ -n "$smoke" ]; then
    whole=(guitar-path) scored=(guitar-path)
fi

run 0 "Render songs" python "$recipes/prepare.py" "$conf" ${args[@]+"${args[@]}"}
for name in "${whole[@]}"; do
    run 1 "Take a song apart: $name" \
        python "$recipes/separate.py" "$conf" "$name" "$exp_dir/song/$name" ${args[@]+"${args[@]}"}
done
for name in "${scored[@]}"; do
    run 2 "Score $name" python "$recipes/evaluate.py" "$conf" "$name" "$exp_dir/$name" ${args[@]+"${args[@]}"}
done
