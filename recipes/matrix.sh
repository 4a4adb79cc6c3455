# What the recipes of the paper's experiments share: a matrix of configurations and seeds. To be sourced instead of
# stages.sh, which it reads:
#
#   confs=("$here/conf")   # the folders of configurations; where a name stands in several, the first holds
#   every=all few="NAME ..."  # optional: what runs where --experiment is not given, and with --smoke
#   source "$here/../matrix.sh"
#   run_matrix             # stages 1 and 2 of every run that is chosen
#
# A profile NAME is conf/NAME.yml; networks of that size alone lie in conf/NAME/. What is called *_peer is another's
# network, which the recipe's peer.py trains and scores.
# Afterwards profile and exp_root are set too, and configurations holds the files of the experiment, if there is one.
experiment= seeds=588 share=1/1 profile= exp_root=
own_option() {
    taken=2
    case $1 in
        --experiment) experiment=$2 ;;
        --seeds) seeds=$2 ;;
        --share) share=$2 ;;
        --exp_root) exp_root=$2 ;;
        --profile) profile=$2 args+=(--profile "$here/conf/$2.yml") confs=("$here/conf/$2" "${confs[@]}") ;;
        *) training_option "$@" ;;
    esac
}
source "$here/../stages.sh"

experiment=${experiment:-${smoke:+${few-}}}
experiment=${experiment:-${every-}}

chosen() {  # the configurations of the experiment, a path a line
    local patterns conf folder pattern seen=" "
    case $experiment in
        1) patterns="*_multi *_multi_none" ;;
        2) patterns="*_multi *_single_level?" ;;
        3) patterns="*_multi *_multi_all?? *_multi_leaf??" ;;
        all) patterns="sss_* qbe_*" ;;
        *) patterns=$experiment ;;
    esac
    set -f
    for pattern in $patterns; do
        for folder in "${confs[@]}"; do
            while read -r conf; do
                case $seen in *" $(basename "$conf") "*) continue ;; esac
                seen="$seen$(basename "$conf") "
                printf '%s\n' "$conf"
            done < <(find "$folder" -maxdepth 1 -name "$pattern.yml" 2> /dev/null | sort)
        done
    done
    set +f
}

configurations=()
if [ -n "$experiment" ]; then
    mapfile -t configurations < <(chosen)
    if [ ${#configurations[@]} -eq 0 ]; then
        printf 'hiersep: error: --experiment %s: expected 1, 2, 3, all, or names of configurations in %s\n' \
            "$experiment" "${confs[*]}" >&2
        exit 2
    fi
fi

run_matrix() {
    local number=0 seed conf dir words
    for seed in ${seeds//,/ }; do
        for conf in "${configurations[@]}"; do
            number=$((number + 1))
            [ $(((number - ${share%/*}) % ${share#*/})) -eq 0 ] || continue
            dir=$exp_root/$(basename "$conf" .yml)-$seed
            words=(${args[@]+"${args[@]}"} --training.seed "$seed")
            case $dir in
                *_peer-*) run 1 "Train and score" python "$here/peer.py" "$conf" "$dir" --size "${profile:-full}" "${words[@]}" ;;
                *)
                    run 1 "Train" hiersep train "$conf" --exp-dir "$dir" $overwrite "${words[@]}"
                    run 2 "Evaluate" python "$recipes/evaluate.py" "$dir/conf.yml" "$dir/best.safetensors" "$dir"
                    ;;
            esac
        done
    done
}
