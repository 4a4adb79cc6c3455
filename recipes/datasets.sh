# What the recipes for data sets on disk share: an option more, and all of their stages. To be sourced:
#
#   here=... conf=$here/conf/base.yml
#   miniatures=(KIND ...)                           # what --smoke renders, in the order of data.folder
#   source "$here/../datasets.sh"
stage=0 stop_stage=4 overwrite=
own_option() {
    [ "$1" = --overwrite ] && overwrite=--overwrite taken=1
}
source "$here/../stages.sh"
if [ -n "$smoke" ]; then
    args=(--profile "$recipes/smoke.yml" ${args[@]+"${args[@]}"})
fi

for kind in ${smoke:+"${miniatures[@]}"}; do
    run 0 "Render a miniature of $kind" python "$recipes/miniature.py" "$kind" "exp/smoke/$kind"
done
run 0 "Index" python "$recipes/index.py" "$conf" ${args[@]+"${args[@]}"}
run 1 "Train" hiersep train "$conf" --exp-dir "$exp_dir" $overwrite ${args[@]+"${args[@]}"}
trained=("$exp_dir/conf.yml" "$exp_dir/best.safetensors")
run 2 "Separate a held-out song" python "$recipes/separate.py" "${trained[@]}" "$exp_dir/song"
run 3 "Evaluate on clips of held-out songs" python "$recipes/evaluate.py" "${trained[@]}" "$exp_dir"
run 4 "Score held-out songs as a whole" python "$recipes/songs.py" "${trained[@]}" "$exp_dir"
