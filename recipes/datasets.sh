# What the recipes for data sets on disk share: all of their stages. To be sourced:
#
#   here=... conf=$here/conf/base.yml
#   miniatures=(KIND ...)                           # what --smoke renders, in the order of data.folder
#   source "$here/../datasets.sh"
stage=0 stop_stage=4
own_option() { training_option "$@"; }
source "$here/../stages.sh"
if [ -n "$smoke" ]; then
    args=(--profile "$recipes/smoke.yml" ${args[@]+"${args[@]}"})
fi

for kind in ${smoke:+"${miniatures[@]}"}; do
    run 0 "Render a miniature of $kind" python "$recipes/miniature.py" "$kind" "exp/smoke/$kind"
done
run 0 "Index" python "$recipes/index.py" "$conf" ${args[@]+"${args[@]}"}
one_network
run 4 "Score held-out songs as a whole" python "$recipes/songs.py" "$exp_dir/conf.yml" "$exp_dir/best.safetensors" "$exp_dir"
